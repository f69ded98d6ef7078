//! The memory of a semaphore, and how its permits change.
//!
//! ```text
//! take / give     M1  intent <- op + 1, the change of what we own
//!                 M2  state: exchange; names us and op + 1
//!                 M3  record <- op + 1, what we own now
//! ```
//!
//! The exchange M2 is the one moment at which anything happens. A participant that is killed behind it has not written M3 yet, so before anybody
//! else replaces a state that names an operation, it makes sure that this operation is recorded (from the intent), by an exchange that can succeed
//! only once. Whatever a dead participant owned can therefore be read from its record.
//!
//! Permits that nobody owns are changed in the same way, with a change of nothing in M1. So every state bears the name of the operation that made it, and none is ever there
//! twice: an exchange of one who was stopped for long finds either what it saw or something else, never the same bits after others have got on (a
//! number comes again after 2^26 operations of one participant). Recovery depends on that. Only where permits can't be owned at all, and nothing is ever
//! recovered, a state names no actor, and M1 and M3 are skipped.
//!
//! Source: the helping of descriptors in multi-word compare-and-swap (Harris, Fraser, Pratt, DISC 2002), reduced to one word that counts and
//! one that accounts.

use super::member::Member;
use super::word::{Actor, HELD_MAX, Intent, PERMITS_MAX, Record, State, Tally};
use crate::futex::Futex;
use crate::sync::{AtomicU64, Ordering};

/// Looks at a tally that changes meanwhile, before [`Core::permits`] is content with what it saw last.
const LOOKS_MAX: usize = 64;

/// What all users of a semaphore share. All-zero bytes are a semaphore without permits.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Words {
    /// See [`State`].
    pub(crate) state: AtomicU64,
    /// See [`Reservation`](super::reserve::Reservation).
    pub(crate) reservation: AtomicU64,
    /// Changes with every release that somebody may sleep for; what sleepers sleep on.
    pub(crate) news: Futex,
    /// When somebody last asked who is dead, in ticks.
    pub(crate) asked_at: crate::sync::AtomicU32,
    #[cfg(not(loom))]
    spare: u64,
}

#[cfg(not(loom))]
const _: () = {
    assert!(size_of::<Words>() == 32 && align_of::<Words>() == 8);
    assert!(std::mem::offset_of!(Words, reservation) == 8);
    assert!(std::mem::offset_of!(Words, news) == 16);
    assert!(std::mem::offset_of!(Words, asked_at) == 20);
};

impl Words {
    pub(crate) fn new(permits: u32) -> Self {
        Self {
            state: AtomicU64::new(State::shared(permits).0),
            reservation: AtomicU64::new(0),
            news: Futex::new(0),
            asked_at: crate::sync::AtomicU32::new(0),
            #[cfg(not(loom))]
            spare: 0,
        }
    }
}

/// What a participant has and does. Written by the participant, and on its behalf when it is dead or slow.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Account {
    /// See [`Record`].
    pub(crate) record: AtomicU64,
    /// See [`Intent`].
    pub(crate) intent: AtomicU64,
    /// See [`Tally`].
    pub(crate) taken: AtomicU64,
    /// See [`Tally`].
    pub(crate) given: AtomicU64,
}

/// A seat in the table of participants. On lines of its own: its holder writes to it with every change.
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct Participant {
    /// Generation << 1 | taken. Changed by read-modify-writes only.
    pub(crate) life: AtomicU64,
    /// The process, as it sees itself. Told to people; proves nothing.
    pub(crate) pid: AtomicU64,
    /// What it has.
    pub(crate) account: Account,
}

#[cfg(not(loom))]
const _: () = {
    assert!(size_of::<Participant>() == 128);
    assert!(std::mem::offset_of!(Participant, account) == 16);
    assert!(std::mem::offset_of!(Account, record) == 0);
    assert!(std::mem::offset_of!(Account, intent) == 8);
    assert!(std::mem::offset_of!(Account, taken) == 16);
    assert!(std::mem::offset_of!(Account, given) == 24);
};

#[cfg(loom)]
impl Participant {
    pub(crate) fn new() -> Self {
        Self {
            life: AtomicU64::new(0),
            pid: AtomicU64::new(0),
            account: Account {
                record: AtomicU64::new(0),
                intent: AtomicU64::new(0),
                taken: AtomicU64::new(0),
                given: AtomicU64::new(0),
            },
        }
    }
}

/// A change of the permits, all or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    /// Takes or gives.
    pub(crate) direction: Direction,
    /// So many.
    pub(crate) count: u32,
    /// Whether the participant accounts for them.
    pub(crate) owned: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Take,
    Give,
}

impl Change {
    pub(crate) fn take(count: u32, owned: bool) -> Self {
        Self {
            direction: Direction::Take,
            count,
            owned,
        }
    }

    pub(crate) fn give(count: u32, owned: bool) -> Self {
        Self {
            direction: Direction::Give,
            count,
            owned,
        }
    }

    /// The permits afterwards.
    pub(crate) fn applied_to(self, permits: u32) -> Result<u32, Refused> {
        let overflow = Refused::Overflow { permits };
        match self.direction {
            Direction::Take => permits.checked_sub(self.count).ok_or(Refused::NoPermits),
            // Owned ones came out of here; if others filled their place meanwhile, the count stays at its limit.
            Direction::Give if self.owned => {
                Ok(permits.saturating_add(self.count).min(PERMITS_MAX))
            }
            Direction::Give => {
                let sum = permits.checked_add(self.count).ok_or(overflow)?;
                (sum <= PERMITS_MAX).then_some(sum).ok_or(overflow)
            }
        }
    }

    /// The state afterwards, if nobody needs to be woken; the actor is as it was.
    #[inline]
    fn applied_simply(self, seen: State) -> Option<State> {
        match self.direction {
            Direction::Take => (seen.permits() >= self.count).then(|| seen.minus(self.count)),
            Direction::Give => (!seen.is_waiting() && self.count <= PERMITS_MAX - seen.permits())
                .then(|| seen.plus(self.count)),
        }
    }

    /// What grows in the tally of a semaphore that one has to oneself, afterwards; `None` if there is too little of it or too much.
    #[inline]
    pub(crate) fn applied_to_tally(self, tally: Tally) -> Option<u64> {
        let owned = if self.owned { self.count } else { 0 };
        match self.direction {
            Direction::Take => tally.taking(self.count, owned),
            Direction::Give => tally.giving(self.count, owned),
        }
    }

    /// Whether it can be made once the participant has the semaphore to itself. If not, taking it for that would lead back here, for ever.
    fn fits_a_bias(self, permits: u32, held: u32) -> bool {
        self.applied_to_tally(Tally::new(permits, held)).is_some()
    }

    /// The change of what the participant owns.
    pub(crate) fn held_change(self) -> i32 {
        match (self.owned, self.direction) {
            (false, _) => 0,
            (true, Direction::Take) => self.count as i32,
            (true, Direction::Give) => -(self.count as i32),
        }
    }
}

/// Why nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There are too few permits.
    NoPermits,
    /// They are reserved for one who has waited for long.
    Reserved,
    /// There would be too many permits.
    Overflow { permits: u32 },
    /// One participant would own too many.
    TooMany { max: u32 },
    /// A word that no correct participant writes.
    Corrupt { field: &'static str, found: u64 },
    /// The system does not let us take the semaphore from the one that has it to itself.
    CannotRevoke,
}

/// A semaphore as the protocol sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Core<'a> {
    pub(crate) words: &'a Words,
    /// Nobody, if it was placed in memory of the caller's.
    pub(crate) participants: &'a [Participant],
}

impl Words {
    #[inline]
    pub(crate) fn load(&self) -> State {
        State(self.state.load(Ordering::Acquire)) // edge: permit.acquire
    }

    /// Replaces the state, if it is still what was seen.
    #[inline]
    pub(crate) fn replace(&self, seen: State, next: State) -> bool {
        let exchanged = self.state.compare_exchange(
            seen.0,
            next.0,
            Ordering::AcqRel,  // edge: permit.acquire, permit.release
            Ordering::Relaxed, // Relaxed: nothing has changed, and the caller looks again
        );
        exchanged.is_ok()
    }

    /// Tries the change once, where there is nothing to settle, to account for or to wake. False says nothing but that it has to be
    /// done by [`change`](Core::change).
    #[inline]
    pub(crate) fn change_at_once(&self, change: Change) -> bool {
        let seen = self.load();
        let next = seen.is_simple().then(|| change.applied_simply(seen));
        next.flatten().is_some_and(|next| self.replace(seen, next))
    }

    /// The same for a participant.
    #[expect(
        clippy::inline_always,
        reason = "three words are read and one is written; a call costs as much again"
    )]
    #[inline(always)]
    pub(crate) fn change_at_once_as(&self, member: &Member<'_>, change: Change) -> bool {
        match member.bias() {
            Some(bias) => self.change_biased(member, bias, change),
            None => self.change_simply(member, change),
        }
    }

    /// The same in a state that participants share.
    fn change_simply(&self, member: &Member<'_>, change: Change) -> bool {
        let seen = self.load();
        let is_simple = seen.is_simple() || seen.is_simple_for(member.index);
        if !is_simple || member.wants_bias(seen) {
            return false;
        }
        let Some(next) = change.applied_simply(seen) else {
            return false;
        };
        let permits = next.permits();
        if !member.accounts() {
            let next = seen.changed(permits, None);
            return self.replace(seen, next) && member.left(seen, next);
        }
        let Ok(record) = member.announce(change) else {
            return false;
        };
        let next = seen.changed(permits, Some(Actor::new(member.index, record.op)));
        self.replace(seen, next) && member.record(record) && member.left(seen, next)
    }
}

impl<'a> Core<'a> {
    pub(crate) fn load(self) -> State {
        self.words.load()
    }

    pub(crate) fn replace(self, seen: State, next: State) -> bool {
        self.words.replace(seen, next)
    }

    pub(crate) fn account(self, index: usize) -> Result<&'a Account, Refused> {
        let participant = self.participants.get(index);
        participant.map_or(
            Err(Refused::Corrupt {
                field: "state.actor",
                found: index as u64,
            }),
            |participant| Ok(&participant.account),
        )
    }

    /// Changes the permits, now or not at all; tells the state that it replaced. Every failed attempt means that somebody else has got on.
    ///
    /// # Errors
    /// Why it can't be done now.
    pub(crate) fn change(
        self,
        member: Option<&Member<'_>>,
        change: Change,
        has_reservation: bool,
    ) -> Result<State, Refused> {
        loop {
            if let Some(member) = member
                && let Some(bias) = member.bias()
            {
                if self.words.change_biased(member, bias, change) {
                    return Ok(bias);
                }
                continue;
            }
            let seen = self.load();
            if let Some(changed) = self.change_shared(member, change, has_reservation, seen)? {
                return Ok(changed);
            }
        }
    }

    /// The same in a state that all share; `None` if it has to be looked at again.
    fn change_shared(
        self,
        member: Option<&Member<'_>>,
        change: Change,
        has_reservation: bool,
        seen: State,
    ) -> Result<Option<State>, Refused> {
        if seen.is_biased() {
            self.settle(seen)?;
            return Ok(None);
        }
        if let Some(member) = member {
            // Before all else: who asks for more than it may ever own must not wait for that, and hold up others.
            member.held_after(change)?;
        }
        let permits = change.applied_to(seen.permits())?;
        if seen.is_reserved() && change.direction == Direction::Take && !has_reservation {
            return Err(Refused::Reserved);
        }
        if !self.account_for_last(seen, member)? {
            return Ok(None);
        }
        if let Some(member) = member
            && member.wants_bias(seen)
            && change.fits_a_bias(seen.permits(), member.held())
        {
            self.words.start_bias(member, seen);
            return Ok(None);
        }
        let actor = match member {
            Some(member) if member.accounts() => Some((member, member.announce(change)?)),
            _ => None,
        };
        let next = seen.changed(
            permits,
            actor.map(|(member, record)| Actor::new(member.index, record.op)),
        );
        if !self.replace(seen, next) {
            return Ok(None);
        }
        if let Some((member, record)) = actor {
            member.record(record);
        }
        if let Some(member) = member {
            member.left(seen, next);
        }
        Ok(Some(seen))
    }

    /// Makes sure that the operation which a state names is recorded. False if somebody has got on meanwhile.
    pub(crate) fn account_for_last(
        self,
        seen: State,
        member: Option<&Member<'_>>,
    ) -> Result<bool, Refused> {
        let Some(actor) = seen.actor() else {
            return Ok(true);
        };
        if member.is_some_and(|member| member.index == actor.index) {
            // We record our own before we begin the next.
            return Ok(true);
        }
        let account = self.account(actor.index)?;
        // Relaxed: at least as new as what was there when the state was written, which we have acquired.
        let bits = account.record.load(Ordering::Relaxed);
        let record = Record::from_bits(bits);
        let op = record.op.wrapping_add(1);
        if !actor.is_op(op) {
            return Ok(true);
        }
        let found = account.intent.load(Ordering::Acquire); // edge: intent.acquire
        let intent = Intent::from_bits(found);
        // Relaxed, both: if they have changed, so has the other one's business, and we look again.
        let is_same = account.record.load(Ordering::Relaxed) == bits
            && self.words.state.load(Ordering::Relaxed) == seen.0;
        if !is_same {
            return Ok(false);
        }
        let held = record.held.checked_add_signed(intent.held_change);
        let Some(held) = held.filter(|&held| intent.op == op && held <= HELD_MAX) else {
            let field = "participant.intent";
            return Err(Refused::Corrupt { field, found });
        };
        let next = Record {
            op,
            available: 0,
            held,
        };
        // Relaxed: the exchange of the state that follows publishes it. If this one fails, it was recorded meanwhile.
        let _ = account.record.compare_exchange(
            bits,
            next.to_bits(),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        Ok(true)
    }

    /// The permits at this moment; too few perhaps where one has the semaphore to itself and never pauses, but not too many.
    pub(crate) fn permits(self) -> u32 {
        let mut available = 0;
        for _ in 0..LOOKS_MAX {
            // Relaxed: a snapshot that guards no data.
            let seen = State(self.words.state.load(Ordering::Relaxed));
            if !seen.is_biased() {
                return seen.permits();
            }
            let owner = seen.actor().map(|owner| self.account(owner.index));
            let Some(Ok(account)) = owner else {
                return 0;
            };
            let given = account.given.load(Ordering::Acquire); // edge: bias.acquire
            // Relaxed: not older than what was given, so there never seem to be more permits than there were.
            let taken = account.taken.load(Ordering::Relaxed);
            available = Tally { taken, given }.available();
            // Relaxed, both: if neither has moved, the pair belongs together.
            let is_same = account.given.load(Ordering::Relaxed) == given
                && self.words.state.load(Ordering::Relaxed) == seen.0;
            if is_same {
                break;
            }
        }
        // One that is below zero has more taken than was given when we looked.
        u32::try_from(available as i32).unwrap_or(0).min(HELD_MAX)
    }
}
