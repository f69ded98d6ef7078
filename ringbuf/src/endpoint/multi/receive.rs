//! The consumer's part that both forms share: taking, releasing, taking over.

use std::sync::Arc;

use shm_semaphore::{Deadline, Pollable};

use super::behind::{Behind, CELLS_PER_LOOK};
use super::core::{Endpoint, Party, Stop};
use crate::endpoint::when::When;
use crate::error::{Corruption, Error, RecvError};
use crate::protocol::ends::End;
use crate::protocol::multi::cell::{CELLS_MAX, Cell};
use crate::protocol::multi::consumer::{Taken, TakenOver};
use crate::protocol::multi::front::Front;
use crate::protocol::position::{Index, Position};
use crate::role::Role;
use crate::segment::cells::{InSegment, Mapped};
use crate::segment::lifecycle::Segment;
use crate::wait::Wait;

/// Looks at a head that others change all the time before a call gives up for the moment.
const ROUNDS_MAX: usize = 1 << 12;
/// From one search for what the dead had taken to the next, while the living may have some of it.
const SEARCH_EVERY_NS: u64 = 20_000_000;

/// What is known of messages that were taken and not released.
#[derive(Debug)]
pub(super) struct Leftovers {
    drops: bool,
    /// What the ring said of them when they were last searched to the end.
    searched: Option<u64>,
    /// When to search again, since some may belong to the living.
    searches_at_ns: Option<u64>,
    /// Messages that lay in the way of the head.
    passed: Vec<Taken>,
    /// Bytes that the caller has room for.
    pub(super) len_max: u64,
    /// Looks at the head so far, those included that a search is worth. It may wrap.
    looks: u64,
}

/// A consumer.
#[derive(Debug)]
pub(super) struct Receiver<C: InSegment> {
    pub(super) endpoint: Endpoint<C>,
    pub(super) leftovers: Leftovers,
    /// What is taken and not released: a guard is open, or was forgotten.
    held: Option<Taken>,
    /// A message that did not fit into the caller's buffer: the next one.
    kept: Option<Taken>,
}

impl<C: InSegment + Send> Receiver<C> {
    pub(super) fn join(
        segment: &Arc<Segment>,
        wait: Wait,
        make_cells: impl FnOnce(Mapped) -> C + Send,
    ) -> Result<Self, Error> {
        let endpoint = Endpoint::join(segment, Role::Consumer, wait, make_cells)?;
        let leftovers = Leftovers {
            drops: segment.geometry.many.drops_taken,
            searched: None,
            searches_at_ns: None,
            passed: Vec::new(),
            len_max: u64::MAX,
            looks: 0,
        };
        Ok(Self {
            endpoint,
            leftovers,
            held: None,
            kept: None,
        })
    }
}

impl<C: InSegment> Receiver<C> {
    pub(super) fn index(&self, at: Position) -> Index {
        at.index(self.endpoint.geometry().capacity)
    }

    /// Takes the next message.
    #[inline]
    pub(super) fn take(&mut self, when: When) -> Result<Taken, RecvError> {
        let party = &mut self.endpoint.party;
        party.healthy()?;
        let is_usual = self.held.is_none()
            && self.kept.is_none()
            && self.leftovers.passed.is_empty()
            && self.leftovers.searched == Some(party.mapped().left_behind());
        if is_usual {
            let front = party.member.front(|at, cell| self.leftovers.pass(at, cell));
            if let Front::Ready(position, cell) = party.checked(front)? {
                let taken = Taken { position, cell };
                if self.leftovers.fits(party, position)
                    && party.member.take(position, taken.cells())
                {
                    self.held = Some(taken);
                    return Ok(taken);
                }
            }
        }
        self.take_slow(when)
    }

    #[cold]
    fn take_slow(&mut self, when: When) -> Result<Taken, RecvError> {
        if let Some(kept) = self.kept.take() {
            self.held = Some(kept);
            return Ok(kept);
        }
        self.forget_held();
        let when = when.begun();
        let mut found = self.wait(when);
        if matches!(found, Ok(None)) {
            found = self.wait_behind(when);
        }
        match found {
            Ok(Some(taken)) => {
                self.held = Some(taken);
                let party = &self.endpoint.party;
                if party.member.ready_at(party.member.head()).is_some() {
                    party.pass_on();
                }
                Ok(taken)
            }
            Ok(None) if matches!(when, When::Now | When::Besides) => Err(RecvError::Empty),
            Ok(None) => Err(RecvError::TimedOut),
            Err(Stop::Ended(End::Closed)) => Err(RecvError::Disconnected),
            Err(Stop::Ended(End::Died)) => Err(RecvError::OwnerDied),
            Err(Stop::Corrupt(corruption)) => Err(RecvError::Corrupt(corruption)),
            Err(Stop::TooLong(len)) => Err(RecvError::BufferTooSmall {
                len: len as usize,
                buffer_len: self.leftovers.len_max as usize,
            }),
        }
    }

    /// Takes the next message, or nothing if none comes in time.
    fn wait(&mut self, when: When) -> Result<Option<Taken>, Stop> {
        let leftovers = &mut self.leftovers;
        let mut taken = None;
        self.endpoint.wait(when, |party| {
            taken = attempt(party, leftovers)?;
            Ok(taken.is_some())
        })?;
        Ok(taken)
    }

    /// The end of a call whose time is up. It goes on behind an unfinished claim if something was committed there: that is in the ring, but the claim has to
    /// come to an end first. A call that has something in hand, or a deadline and is not late, stays only until it is clear whether somebody living has made
    /// the claim.
    fn wait_behind(&mut self, when: When) -> Result<Option<Taken>, Stop> {
        let mut behind = match when.deadline() {
            Some(deadline) => {
                let now_ns = Deadline::now().as_monotonic_ns();
                Behind::late_by_ns(now_ns.saturating_sub(deadline.as_monotonic_ns()))
            }
            None if matches!(when, When::Now) => Behind::patient(),
            None => Behind::hurried(),
        };
        loop {
            let party = &self.endpoint.party;
            let may_stay = behind.is_patient() || party.patience.is_unasked();
            if !may_stay || !behind.has_message(&party.member) {
                return Ok(None);
            }
            shm_semaphore::sync::spin_loop();
            let looks = self.leftovers.looks;
            let found = self.wait(When::Now);
            if !matches!(found, Ok(None)) {
                return found;
            }
            behind.spend(self.leftovers.looks.wrapping_sub(looks));
        }
    }

    /// A guard was forgotten: its message is another one's from the next intent on.
    fn forget_held(&mut self) {
        if self.held.take().is_some() {
            self.endpoint.party.member.retract();
            self.endpoint.party.mapped().leave_behind();
        }
    }

    /// Takes more messages of one cell right behind one that was taken; `max` in all.
    pub(super) fn take_run(&mut self, max: usize, when: When) -> Result<(Taken, u64), RecvError> {
        let party = &mut self.endpoint.party;
        party.healthy()?;
        let is_usual = self.held.is_none()
            && self.kept.is_none()
            && self.leftovers.passed.is_empty()
            && self.leftovers.searched == Some(party.mapped().left_behind());
        let capacity = self.endpoint.geometry().capacity.get();
        // A stopped consumer keeps what it has taken out of use: a part of the ring only.
        let max = (max as u64).min(CELLS_MAX).min((capacity / 4).max(1));
        let party = &mut self.endpoint.party;
        if is_usual && max > 1 {
            let front = party.member.front(|at, cell| self.leftovers.pass(at, cell));
            if let Front::Ready(position, cell) = party.checked(front)? {
                let is_ready = |ahead: &u64| party.member.ready_at(position.plus(*ahead)).is_some();
                let run = 1 + (1..max).take_while(is_ready).count() as u64;
                if party.member.take(position, run) {
                    return Ok((Taken { position, cell }, run));
                }
            }
        }
        self.take(when).map(|taken| (taken, 1))
    }

    /// Gives a message back.
    #[inline]
    pub(super) fn release(&mut self, taken: Taken) {
        self.held = None;
        let party = &mut self.endpoint.party;
        let released = party.member.release(taken);
        // It shows at the next call.
        let _ = party.checked(released);
        self.released();
    }

    /// Gives a run of messages of one cell back.
    pub(super) fn release_run(&mut self, first: Taken, run: u64) {
        self.release(first);
        for ahead in 1..run {
            let party = &mut self.endpoint.party;
            let at = first.position.plus(ahead);
            if let Some(taken) = party.member.ready_at(at) {
                self.release(taken);
            }
        }
    }

    /// Keeps a message for the next call.
    pub(super) fn keep(&mut self, taken: Taken) {
        self.held = None;
        self.kept = Some(taken);
    }

    #[inline]
    fn released(&mut self) {
        self.endpoint.burst += 1;
        let party = &self.endpoint.party;
        if party.notifies {
            party.wake_producers();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        let party = &self.endpoint.party;
        self.kept.is_none()
            && party.member.ready_at(party.member.head()).is_none()
            && !Behind::once().has_message(&party.member)
    }

    /// Arms the descriptor unless a message is there, or an end is to be told.
    pub(super) fn arm_if_empty(&mut self, pollable: &Pollable) -> bool {
        if self.kept.is_some() {
            pollable.disarm();
            return false;
        }
        self.forget_held();
        let leftovers = &mut self.leftovers;
        let mut taken = None;
        let armed = self.endpoint.arm(pollable, |party| {
            taken = attempt(party, leftovers)?;
            Ok(taken.is_some())
        });
        self.kept = taken;
        armed
    }
}

/// Takes a message, if there is one: of those that the dead had, or the next.
fn attempt<C: InSegment>(
    party: &mut Party<C>,
    leftovers: &mut Leftovers,
) -> Result<Option<Taken>, Stop> {
    if let Some(taken) = leftovers.search(party) {
        return Ok(Some(taken));
    }
    let mut end = None;
    for _ in 0..ROUNDS_MAX {
        leftovers.looks = leftovers.looks.wrapping_add(1);
        let front = party.member.front(|at, cell| leftovers.pass(at, cell))?;
        if let Some(taken) = leftovers.take_over_passed(party) {
            return Ok(Some(taken));
        }
        match front {
            Front::Ready(position, cell) => {
                party.patience.end();
                let taken = Taken { position, cell };
                if !leftovers.fits(party, position) {
                    let cells = party.member.cells();
                    let room = taken.cells() * party.mapped().view().geometry().stride;
                    let len = cells.len_at(position.index(cells.capacity()));
                    // It is the length of that message only if nobody has taken it meanwhile.
                    if party.member.head() == position && len > leftovers.len_max {
                        party.member.retract();
                        return Err(if len > room {
                            Stop::Corrupt(impossible_len(len))
                        } else {
                            Stop::TooLong(len)
                        });
                    }
                    continue;
                }
                if party.member.take(position, taken.cells()) {
                    return Ok(Some(taken));
                }
            }
            Front::Blocked(at, seen) => {
                party.member.retract();
                if !party.patience.look(&party.member, at, seen) {
                    party.waits_for(at, seen);
                    return Ok(None);
                }
            }
            Front::Busy => break,
            Front::Empty => {
                party.patience.end();
                if let Some(end) = end {
                    party.member.retract();
                    return Err(Stop::Ended(end));
                }
                end = party.end()?;
                if end.is_none() {
                    let at = party.member.head();
                    party.waits_for(at, party.member.look(at));
                    break;
                }
                // Something may have been committed between the look and the end: having seen the end, we see it now.
            }
        }
    }
    party.member.retract();
    Ok(None)
}

impl<C: InSegment> Party<C> {
    #[inline]
    pub(super) fn wake_producers(&self) {
        let notes = &self.mapped().view().many().notes;
        // Relaxed: a waiter has stored it before it announced itself.
        if notes
            .many_awaited
            .load(shm_semaphore::sync::Ordering::Relaxed)
            == 0
        {
            self.others_gate().notify_one();
        } else {
            self.others_gate().notify_all();
        }
    }
}

impl Leftovers {
    /// Whether the message at the head is short enough for the caller, as far as can be told before it is taken.
    #[inline]
    fn fits<C: InSegment>(&self, party: &Party<C>, at: Position) -> bool {
        let index = at.index(party.member.cells().capacity());
        party.member.cells().len_at(index) <= self.len_max
    }

    /// Notes a message that lay in the way of the head: somebody has it, or had it.
    fn pass(&mut self, at: Position, cell: Cell) {
        // Others that are passed meanwhile are found when the ring comes round again.
        if self.passed.len() < 16 {
            let position = at;
            self.passed.push(Taken { position, cell });
        }
    }

    fn take_over_passed<C: InSegment>(&mut self, party: &mut Party<C>) -> Option<Taken> {
        while let Some(passed) = self.passed.pop() {
            let capacity = party.member.cells().capacity();
            let position = passed.cell.position_near(passed.position, capacity);
            let taken = Taken { position, ..passed };
            if let TakenOver::Ours(taken) = self.take_over(party, taken) {
                return Some(taken);
            }
        }
        None
    }

    fn take_over<C: InSegment>(&self, party: &mut Party<C>, taken: Taken) -> TakenOver {
        let taken_over = party.member.take_over(taken, self.drops);
        if taken_over == TakenOver::Dropped && party.notifies {
            party.wake_producers();
        }
        taken_over
    }

    /// Looks through the whole ring for what the dead had taken, if there may be something.
    fn search<C: InSegment>(&mut self, party: &mut Party<C>) -> Option<Taken> {
        let left_behind = party.mapped().left_behind();
        let is_new = self.searched != Some(left_behind);
        let is_due = |at_ns| Deadline::now().as_monotonic_ns() >= at_ns;
        if !is_new && !self.searches_at_ns.is_some_and(is_due) {
            return None;
        }
        let head = party.member.head();
        let capacity = party.member.cells().capacity().get();
        // Nothing was taken before the first position, whose lap would be mistaken for the next one to come.
        let mut from = Position(head.0.saturating_sub(capacity));
        let mut is_any_held = false;
        self.looks = self.looks.wrapping_add(capacity / CELLS_PER_LOOK);
        while let Some(taken) = party.member.next_taken(from, head) {
            match self.take_over(party, taken) {
                TakenOver::Ours(taken) => return Some(taken),
                TakenOver::Held => is_any_held = true,
                TakenOver::Gone | TakenOver::Dropped => {}
            }
            let ahead = taken.position.distance_from(from) & (capacity - 1);
            from = from.plus(ahead + 1);
        }
        self.searched = Some(left_behind);
        self.searches_at_ns =
            is_any_held.then(|| Deadline::now().as_monotonic_ns() + SEARCH_EVERY_NS);
        None
    }
}

impl<C: InSegment> Drop for Receiver<C> {
    fn drop(&mut self) {
        // In a child after `fork` the memory is not there, and the seat is the parent's.
        if self.endpoint.party.mapped().view().is_ours() {
            let leaves_behind = self.held.is_some() || self.kept.is_some();
            self.endpoint.party.member.retract();
            self.endpoint.party.mapped().close(leaves_behind);
        }
    }
}

/// A corruption that a reader found.
pub(super) fn impossible_len(found: u64) -> Corruption {
    Corruption {
        field: "cell.message_len",
        found,
    }
}
