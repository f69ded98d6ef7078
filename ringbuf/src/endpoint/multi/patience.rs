//! How long a participant waits behind the claim of another one.

use shm_semaphore::Deadline;

use crate::protocol::multi::cell::Cell;
use crate::protocol::multi::front::Resolved;
use crate::protocol::multi::intent::Intent;
use crate::protocol::multi::member::Member;
use crate::protocol::multi::storage::Cells;
use crate::protocol::position::Position;

/// Looks at a blocked head before the clock is read: most claims are committed within a few of them.
const LOOKS_BEFORE_CLOCK: u32 = 16;
/// So long nobody is asked who has made the claim: a running producer commits within it.
const UNASKED_NS: u64 = 2_000;
/// From one question to the next.
const ASK_EVERY_NS: u64 = 2_000;
/// What writing a byte of a long claim may take.
const NS_PER_BYTE: u64 = 1;

/// Looks at blocked heads that a call in a hurry takes at most, until somebody is asked who blocks them. It takes some microseconds, unless others move the
/// head on meanwhile.
pub(super) const LOOKS_UNASKED_MAX: u32 = 1 << 14;

/// What a participant knows of the claims in its way.
#[derive(Debug)]
pub(super) struct Patience {
    base_ns: u64,
    cell_len: u64,
    /// The blocked head.
    at: Option<Position>,
    looks: u32,
    /// When it is asked next who has made the claim; zero before the clock was read.
    asks_at_ns: u64,
    has_asked: bool,
    /// A cell in use lies in the way of the tail.
    has_cell_in_use: bool,
    /// Since when it waits for which intent of which seat.
    waits: Vec<(usize, Intent, u64)>,
}

impl Patience {
    pub(super) fn new(base_ns: u64, cell_len: u64) -> Self {
        Self {
            base_ns,
            cell_len,
            at: None,
            looks: 0,
            asks_at_ns: 0,
            has_asked: false,
            has_cell_in_use: false,
            waits: Vec::new(),
        }
    }

    /// The head is not blocked.
    #[inline]
    pub(super) fn end(&mut self) {
        if self.at.is_some() {
            self.at = None;
            self.waits.clear();
        }
    }

    /// Whether the head is blocked and nobody was asked about it yet.
    pub(super) fn is_unasked(&self) -> bool {
        self.at.is_some() && !self.has_asked
    }

    /// The head was found blocked. Says whether that has changed.
    pub(super) fn look<C: Cells>(&mut self, member: &Member<C>, at: Position, seen: Cell) -> bool {
        if self.at != Some(at) {
            // Right behind one that nobody had claimed lies the next one of that kind, most likely.
            let is_next = self.at.is_some_and(|before| before.plus(1) == at);
            self.looks = if is_next { LOOKS_BEFORE_CLOCK } else { 0 };
            self.asks_at_ns = u64::from(is_next);
            self.at = Some(at);
            self.has_asked = false;
        }
        self.looks += 1;
        if self.looks < LOOKS_BEFORE_CLOCK {
            return false;
        }
        let now_ns = Deadline::now().as_monotonic_ns();
        if self.asks_at_ns == 0 {
            self.asks_at_ns = now_ns + UNASKED_NS;
        }
        if now_ns < self.asks_at_ns {
            return false;
        }
        self.asks_at_ns = now_ns + ASK_EVERY_NS;
        self.has_asked = true;
        let (base_ns, cell_len, waits) = (self.base_ns, self.cell_len, &mut self.waits);
        let resolved = member.resolve(at, seen, |seat, intent| {
            let same = |wait: &&(usize, Intent, u64)| (wait.0, wait.1) == (seat, intent);
            let since_ns = if let Some(&(_, _, since_ns)) = waits.iter().find(same) {
                since_ns
            } else {
                waits.push((seat, intent, now_ns));
                now_ns
            };
            let bytes_ns = intent.cells().saturating_mul(cell_len) * NS_PER_BYTE;
            let patience_ns = base_ns.saturating_add(bytes_ns) << intent.retries();
            now_ns - since_ns >= patience_ns
        });
        resolved == Resolved::Changed
    }

    /// Is about to sleep: when to look again, if the head is blocked.
    pub(super) fn looks_again_at(&mut self, now: Deadline) -> Deadline {
        if self.has_cell_in_use {
            return now.plus_ns(self.base_ns);
        }
        if self.at.is_none() {
            return Deadline::NEVER;
        }
        self.looks = LOOKS_BEFORE_CLOCK;
        now.plus_ns(self.base_ns.max(UNASKED_NS))
    }

    /// Whether a cell in use lies in the way of the tail.
    pub(super) fn has_cell_in_use(&mut self, has: bool) {
        self.has_cell_in_use = has;
    }

    /// How long a claim of one cell is waited for.
    pub(super) fn base_ns(&self) -> u64 {
        self.base_ns
    }
}
