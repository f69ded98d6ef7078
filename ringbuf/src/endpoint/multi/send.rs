//! The producer's part that both forms share: claims, commits, and what comes of them.

use std::sync::Arc;

use shm_semaphore::sync::Ordering;
use shm_semaphore::{Deadline, Pollable};

use super::core::{Endpoint, Party, Stop};
use super::patience::LOOKS_UNASKED_MAX;
use crate::endpoint::when::When;
use crate::error::{Corruption, Error, SendError};
use crate::protocol::ends::End;
use crate::protocol::multi::cell::CELLS_MAX;
use crate::protocol::multi::front::Front;
use crate::protocol::multi::producer::Claimed;
use crate::protocol::position::{Index, Position};
use crate::role::Role;
use crate::segment::cells::{InSegment, Mapped};
use crate::segment::lifecycle::Segment;
use crate::wait::{Wait, Waited};

/// Claims of the dead at the head that one attempt clears away.
const HELPS_MAX: u32 = 64;

/// Cells that are ours to write.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open {
    pub(super) at: Position,
    pub(super) cells: u64,
}

/// A producer.
#[derive(Debug)]
pub(super) struct Sender<C: InSegment> {
    pub(super) endpoint: Endpoint<C>,
    /// The claim that is neither committed nor given up.
    pub(super) open: Option<Open>,
    /// Attempts for the present message that were taken out of the order.
    retries: u32,
    /// Since when there would be room but for a cell that somebody uses.
    in_use_since_ns: Option<u64>,
}

impl<C: InSegment + Send> Sender<C> {
    pub(super) fn join(
        segment: &Arc<Segment>,
        wait: Wait,
        make_cells: impl FnOnce(Mapped) -> C + Send,
    ) -> Result<Self, Error> {
        let endpoint = Endpoint::join(segment, Role::Producer, wait, make_cells)?;
        Ok(Self {
            endpoint,
            open: None,
            retries: 0,
            in_use_since_ns: None,
        })
    }
}

impl<C: InSegment> Sender<C> {
    /// The most cells that can be claimed at once.
    pub(super) fn cells_max(&self) -> u64 {
        self.endpoint.geometry().capacity.get().min(CELLS_MAX)
    }

    pub(super) fn index(&self, at: Position) -> Index {
        at.index(self.endpoint.geometry().capacity)
    }

    /// Begins a new message.
    #[inline]
    pub(super) fn begin(&mut self) {
        self.abort();
        self.retries = 0;
    }

    /// Claims so many cells for the present message.
    #[inline]
    pub(super) fn claim(&mut self, cells: u64, when: When) -> Result<Open, SendError> {
        let party = &mut self.endpoint.party;
        party.healthy()?;
        let end = party.end();
        if party.checked(end)? != Some(End::Closed) && self.retries == 0 {
            let claimed = party.member.claim(cells, 0, false);
            if let Claimed::At(at) = party.checked(claimed)? {
                return Ok(self.opened(at, cells));
            }
        }
        self.claim_slow(cells, when)
    }

    #[inline]
    fn opened(&mut self, at: Position, cells: u64) -> Open {
        let open = Open { at, cells };
        self.open = Some(open);
        self.in_use_since_ns = None;
        open
    }

    #[cold]
    fn claim_slow(&mut self, cells: u64, when: When) -> Result<Open, SendError> {
        if cells > 1 && self.endpoint.party.notifies {
            let awaited = &self
                .endpoint
                .party
                .mapped()
                .view()
                .many()
                .notes
                .many_awaited;
            // Relaxed: the fence of whoever goes to sleep orders it before the look of whoever would wake it.
            awaited.store(1, Ordering::Relaxed); // own word
        }
        let (retries, mut in_use_since_ns) = (self.retries, self.in_use_since_ns);
        let mut claimed = None;
        let mut attempt = |party: &mut Party<C>| {
            claimed = attempt(party, cells, retries, &mut in_use_since_ns)?;
            Ok(claimed.is_some())
        };
        let mut waited = self.endpoint.wait(when, &mut attempt);
        // Perhaps it is full of what a dead one has claimed: that is asked before a call gives up.
        for _ in 0..LOOKS_UNASKED_MAX {
            if !matches!(waited, Ok(Waited::TimedOut)) || !self.endpoint.party.patience.is_unasked()
            {
                break;
            }
            waited = self.endpoint.wait(When::Now, &mut attempt);
        }
        self.in_use_since_ns = in_use_since_ns;
        let at = match waited {
            Ok(Waited::Ready) => claimed.expect("it is ready when it is claimed"),
            Ok(Waited::TimedOut) if matches!(when, When::Now) => return Err(SendError::Full(())),
            Ok(Waited::TimedOut) => return Err(SendError::TimedOut(())),
            Err(Stop::Ended(End::Closed)) => return Err(SendError::Disconnected(())),
            Err(Stop::Ended(End::Died)) => return Err(SendError::OwnerDied(())),
            Err(Stop::Corrupt(corruption)) => return Err(SendError::Corrupt(corruption)),
            Err(Stop::TooLong(_)) => unreachable!("only consumers have a buffer"),
        };
        self.endpoint.party.pass_on();
        Ok(self.opened(at, cells))
    }

    /// Commits the open claim, and wakes who waits for it. False if it was taken out of the order: then it is closed, but its cells still hold what was
    /// written, and are ours until the next claim.
    #[inline]
    pub(super) fn commit(
        &mut self,
        open: Open,
        message_at: impl Fn(u64) -> Option<u64>,
    ) -> Result<bool, Corruption> {
        self.open = None;
        let party = &mut self.endpoint.party;
        let committed = party.member.commit(open.at, open.cells, message_at);
        if !party.checked(committed)? {
            self.retries += 1;
            return Ok(false);
        }
        self.endpoint.burst += 1;
        if self.endpoint.party.notifies {
            let gate = self.endpoint.party.others_gate();
            if open.cells == 1 {
                gate.notify_one();
            } else {
                gate.notify_all();
            }
        }
        Ok(true)
    }

    /// Gives the open claim up, if there is one.
    #[inline]
    pub(super) fn abort(&mut self) {
        if let Some(open) = self.open.take() {
            let party = &mut self.endpoint.party;
            party.member.abort(open.at, open.cells);
            if party.notifies {
                // Somebody may be asleep behind it.
                party.others_gate().notify_all();
            }
        }
    }

    /// Arms the descriptor unless so many cells could be claimed now.
    pub(super) fn arm_if_full(&mut self, pollable: &Pollable, cells: u64) -> bool {
        let mut in_use_since_ns = self.in_use_since_ns;
        self.endpoint.arm(pollable, |party| {
            let Some(at) = attempt(party, cells, 0, &mut in_use_since_ns)? else {
                return Ok(false);
            };
            // There is room: leaves it for the attempt to send.
            party.member.abort(at, cells);
            Ok(true)
        })
    }
}

/// Claims, if that is possible now; else sees to it that it will be.
fn attempt<C: InSegment>(
    party: &mut Party<C>,
    cells: u64,
    retries: u32,
    in_use_since_ns: &mut Option<u64>,
) -> Result<Option<Position>, Stop> {
    let end = party.end()?;
    if end == Some(End::Closed) {
        return Err(Stop::Ended(End::Closed));
    }
    let is_over = |since_ns| {
        let waited_ns = Deadline::now().as_monotonic_ns() - since_ns;
        waited_ns >= party.patience.base_ns()
    };
    // What the dead had taken stays where it is until a consumer comes.
    let passes = end == Some(End::Died) || in_use_since_ns.is_some_and(is_over);
    for _ in 0..HELPS_MAX {
        let claimed = party.member.claim(cells, retries, passes)?;
        let is_in_use = claimed == Claimed::InUse;
        party.patience.has_cell_in_use(is_in_use);
        match claimed {
            Claimed::At(at) => {
                party.patience.end();
                return Ok(Some(at));
            }
            Claimed::InUse => {
                in_use_since_ns.get_or_insert_with(|| Deadline::now().as_monotonic_ns());
                return Ok(None);
            }
            Claimed::Full => *in_use_since_ns = None,
        }
        if !help_the_head(party)? {
            break;
        }
    }
    if let Some(End::Died) = party.end()? {
        // Whoever finds the ring full of what nobody has taken.
        return match party.member.claim(cells, retries, passes)? {
            Claimed::At(at) => Ok(Some(at)),
            Claimed::Full | Claimed::InUse => Err(Stop::Ended(End::Died)),
        };
    }
    let at = party.member.tail().plus(cells - 1);
    party.waits_for(at, party.member.look(at));
    Ok(None)
}

/// The ring looks full, perhaps of what will never be committed, and all consumers may be asleep. Says whether something of that was cleared away.
fn help_the_head<C: InSegment>(party: &mut Party<C>) -> Result<bool, Corruption> {
    if party.member.cells().has_one_consumer() {
        let at = party.member.head();
        let capacity = party.member.cells().capacity();
        if party.notifies && !party.member.look(at).is_ready_for(at, capacity) {
            party.others_gate().notify_all();
        }
        return Ok(false);
    }
    let Front::Blocked(at, seen) = party.member.front(|_, _| ())? else {
        party.patience.end();
        return Ok(false);
    };
    Ok(party.patience.look(&party.member, at, seen))
}

impl<C: InSegment> Drop for Sender<C> {
    fn drop(&mut self) {
        // In a child after `fork` the memory is not there, and the seat is the parent's.
        if self.endpoint.party.mapped().view().is_ours() {
            self.abort();
            self.endpoint.party.member.retract();
            self.endpoint.party.mapped().close(false);
        }
    }
}
