//! What both sides of both forms have in common: a member of the protocol, a way of waiting, and what is known of the others.

use std::num::NonZero;
use std::sync::{Arc, OnceLock};
use std::thread::available_parallelism;

use shm_semaphore::os::descriptors::with_private_table;
use shm_semaphore::{Deadline, EventCount, Pollable};

use super::patience::Patience;
use crate::endpoint::when::When;
use crate::error::{Corruption, Error};
use crate::participants::table;
use crate::protocol::ends::End;
use crate::protocol::multi::cell::Cell;
use crate::protocol::multi::member::Member;
use crate::protocol::position::Position;
use crate::role::Role;
use crate::segment::cells::{InSegment, Mapped};
use crate::segment::gate::Gate;
use crate::segment::layout::Geometry;
use crate::segment::lifecycle::Segment;
use crate::wait::{Look, Wait, Waited, Waiter};

/// Why waiting is of no use.
#[derive(Debug)]
pub(super) enum Stop {
    Ended(End),
    Corrupt(Corruption),
    /// The next message is longer than what the caller has room for.
    TooLong(u64),
}

impl From<Corruption> for Stop {
    fn from(corruption: Corruption) -> Self {
        Self::Corrupt(corruption)
    }
}

/// A participant: all but its way of waiting.
#[derive(Debug)]
pub(super) struct Party<C: InSegment> {
    pub(super) member: Member<C>,
    pub(super) patience: Patience,
    role: Role,
    /// Set for good by the first impossible word.
    corruption: Option<Corruption>,
    /// Whether anybody may be asleep in this ring.
    pub(super) notifies: bool,
    /// The roll when we last looked who is there.
    roll: Option<u64>,
    /// How the other side had ended then.
    end: Option<End>,
    /// Whether there were more participants than processors then.
    is_crowded: bool,
    /// The position and the cell that we wait for, as they were at the last real look.
    waits_for: Option<(Position, Cell)>,
    /// Looks at that cell alone before the next real one.
    looks_left: u32,
}

/// While spinning, so many looks at one cell alone follow each real look: the head and the tail are left to those who move them.
const LOOKS_AT_ONE_CELL: u32 = 32;

/// Processors that this process may run on.
fn processors() -> usize {
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    *PROCESSORS.get_or_init(|| available_parallelism().map_or(1, NonZero::get))
}

/// A participant that can wait.
#[derive(Debug)]
pub(super) struct Endpoint<C: InSegment> {
    pub(super) party: Party<C>,
    waiter: Waiter,
    /// Messages (or batches) published or released since the last wait.
    pub(super) burst: u64,
}

/// A participant seen by the loop that waits.
struct PartyLook<'a, C: InSegment, A> {
    party: &'a mut Party<C>,
    attempt: A,
}

impl<C, A> Look for PartyLook<'_, C, A>
where
    C: InSegment,
    A: FnMut(&mut Party<C>) -> Result<bool, Stop>,
{
    type Stop = Stop;

    fn gate(&self) -> &EventCount {
        self.party.own_gate()
    }

    #[inline]
    fn is_ready(&mut self) -> Result<bool, Stop> {
        (self.attempt)(self.party)
    }

    #[inline]
    fn seems_ready(&mut self) -> Result<bool, Stop> {
        if self.party.is_as_it_was() {
            return Ok(false);
        }
        self.is_ready()
    }

    fn is_crowded(&self) -> bool {
        self.party.is_crowded
    }

    fn probe(&mut self) -> Result<(), Stop> {
        self.party.mapped().look_around(Deadline::now())?;
        // Whoever was killed between a change and the mark in the roll has left it out.
        self.party.roll = None;
        Ok(())
    }

    fn shares_processor(&mut self, _now: Deadline) -> bool {
        false
    }

    fn looks_again_at(&mut self, now: Deadline) -> Deadline {
        self.party.patience.looks_again_at(now)
    }
}

impl<C: InSegment> Party<C> {
    #[inline]
    pub(super) fn mapped(&self) -> &Mapped {
        self.member.cells().mapped()
    }

    fn own_gate(&self) -> &EventCount {
        let control = self.mapped().view().many();
        match self.role {
            Role::Producer => &control.not_full.event,
            Role::Consumer => &control.not_empty.event,
        }
    }

    #[inline]
    pub(super) fn others_gate(&self) -> &EventCount {
        let control = self.mapped().view().many();
        match self.role {
            Role::Producer => &control.not_empty.event,
            Role::Consumer => &control.not_full.event,
        }
    }

    /// Something is there for another one of our own side as well: passes on the wake that we may have got for it.
    pub(super) fn pass_on(&self) {
        if self.notifies {
            self.own_gate().notify_one();
        }
    }

    #[inline]
    pub(super) fn healthy(&self) -> Result<(), Corruption> {
        self.corruption.map_or(Ok(()), Err)
    }

    /// Passes a result on, and remembers a corruption for good.
    #[inline]
    pub(super) fn checked<T>(&mut self, result: Result<T, Corruption>) -> Result<T, Corruption> {
        result.inspect_err(|&corruption| self.corruption = Some(corruption))
    }

    /// Nothing could be done, and nothing can before this cell changes (or its claimer is found to be gone).
    pub(super) fn waits_for(&mut self, at: Position, cell: Cell) {
        self.waits_for = Some((at, cell));
        self.looks_left = LOOKS_AT_ONE_CELL;
    }

    /// Whether what we wait for looks as it did; now and then it says no, so that the real look is made.
    #[inline]
    fn is_as_it_was(&mut self) -> bool {
        let Some((at, cell)) = self.waits_for else {
            return false;
        };
        if self.looks_left > 0 && self.member.look(at) == cell {
            self.looks_left -= 1;
            return true;
        }
        self.waits_for = None;
        false
    }

    /// Whether more participants are attached than this number. Seats that were left need no processor.
    pub(super) fn outnumber(&self, number: usize) -> Result<bool, Corruption> {
        // They are counted only if so many were ever taken.
        Ok(self.member.cells().seats() > number && self.mapped().attached()? > number)
    }

    /// How the other side ended; `None` while somebody is there, or may come for the first time.
    #[inline]
    pub(super) fn end(&mut self) -> Result<Option<End>, Corruption> {
        let roll = self.mapped().roll();
        if self.roll != Some(roll) {
            let other = match self.role {
                Role::Producer => Role::Consumer,
                Role::Consumer => Role::Producer,
            };
            self.end = self.mapped().end_of(other)?;
            self.is_crowded = self.outnumber(processors())?;
            self.roll = Some(roll);
        }
        Ok(self.end)
    }
}

impl<C: InSegment> Endpoint<C> {
    /// Takes a seat and joins the protocol there.
    pub(super) fn join(
        segment: &Arc<Segment>,
        role: Role,
        wait: Wait,
        make_cells: impl FnOnce(Mapped) -> C + Send,
    ) -> Result<Self, Error>
    where
        C: Send,
    {
        let ring_spins = segment.geometry.wait == Wait::Spin;
        if ring_spins && wait != Wait::Spin {
            return Err(Error::WaitNotSupported {
                name: segment.name.to_string(),
            });
        }
        let member = with_private_table(|| {
            let joined = table::take_seat(segment, role)?;
            let (seat, next) = (joined.mapped.seat(), joined.next);
            let member = Member::new(make_cells(joined.mapped), seat);
            let mapped = member.cells().mapped();
            mapped.announce(next);
            // Whoever died while nobody was there to notice.
            mapped
                .find_the_dead()
                .map_err(|corruption| Error::from_corruption(&segment.name, corruption))?;
            Ok::<_, Error>(member)
        })?;
        let geometry = &segment.geometry;
        let party = Party {
            patience: Patience::new(geometry.many.patience_ns, geometry.stride),
            member,
            role,
            corruption: None,
            notifies: !ring_spins,
            roll: None,
            end: None,
            is_crowded: false,
            waits_for: None,
            looks_left: 0,
        };
        Ok(Self {
            party,
            waiter: Waiter::new(wait),
            burst: 0,
        })
    }

    pub(super) fn geometry(&self) -> &Geometry {
        self.party.mapped().view().geometry()
    }

    /// A descriptor that becomes readable when this side's gate is notified.
    pub(super) fn pollable(&self) -> Result<Pollable, Error> {
        let segment = self.party.mapped().segment();
        if !self.party.notifies {
            return Err(Error::WaitNotSupported {
                name: segment.name.to_string(),
            });
        }
        let gate = Gate::map(segment, self.party.role)
            .map_err(|source| Error::from_io("map", &segment.name, source))?;
        Pollable::new(gate)
            .map_err(|source| Error::from_io("start a thread", &segment.name, source))
    }

    /// Makes attempts until one succeeds; for a call that does not wait, one or two.
    pub(super) fn wait(
        &mut self,
        when: When,
        attempt: impl FnMut(&mut Party<C>) -> Result<bool, Stop>,
    ) -> Result<Waited, Stop> {
        let mut look = PartyLook {
            party: &mut self.party,
            attempt,
        };
        let waited = match when.deadline() {
            None => self.waiter.try_once(&mut look),
            Some(deadline) => {
                let burst = std::mem::take(&mut self.burst);
                self.waiter.wait_until(deadline, burst, &mut look)
            }
        };
        self.remember(waited)
    }

    /// Arms the descriptor unless `attempt` has an answer.
    pub(super) fn arm(
        &mut self,
        pollable: &Pollable,
        attempt: impl FnMut(&mut Party<C>) -> Result<bool, Stop>,
    ) -> bool {
        if self.party.healthy().is_err() {
            pollable.disarm();
            return false;
        }
        let mut look = PartyLook {
            party: &mut self.party,
            attempt,
        };
        let prepared = self.waiter.prepare(Deadline::now(), &mut look);
        let Ok(Some(key)) = self.remember(prepared) else {
            pollable.disarm();
            return false;
        };
        pollable.arm(key);
        true
    }

    /// Remembers a corruption for good.
    fn remember<T>(&mut self, result: Result<T, Stop>) -> Result<T, Stop> {
        if let Err(Stop::Corrupt(corruption)) = result {
            self.party.corruption = Some(corruption);
        }
        result
    }
}
