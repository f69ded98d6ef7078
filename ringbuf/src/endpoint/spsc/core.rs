//! What both sides of both forms have in common: a side of a protocol, a seat, a way of waiting.

use std::sync::Arc;

use shm_semaphore::{Deadline, EventCount, Pollable, WaitKey};

use crate::endpoint::when::When;
use crate::error::{Corruption, Error, RecvError, SendError};
use crate::participants::{Peer, Seat};
use crate::protocol::ends::{End, Poll, ReadSide, WriteSide, poll_message, poll_room};
use crate::protocol::records::{Record, RecordReader, RecordWriter};
use crate::protocol::slots::{SlotReader, SlotWriter};
use crate::protocol::storage::{RecordStorage, SlotStorage, Words};
use crate::role::Role;
use crate::segment::layout::Geometry;
use crate::segment::lifecycle::Segment;
use crate::segment::view::{HasView, View};
use crate::wait::{Look, Wait, Waited, Waiter};
use shm_semaphore::os::descriptors::with_private_table;

/// A side of either protocol over a mapped segment.
pub trait Mapped {
    #[doc(hidden)]
    fn view(&self) -> &View;
}

/// A side with all that belongs to its process.
#[derive(Debug)]
pub struct Endpoint<S: Mapped> {
    pub(in crate::endpoint) side: S,
    seat: Seat,
    waiter: Waiter,
    /// Set for good by the first impossible word.
    corruption: Option<Corruption>,
    /// Whether anybody may be asleep on the other side.
    notifies: bool,
    /// Messages (or batches) published or released since the last wait.
    burst: u64,
}

/// Why waiting is of no use.
#[derive(Debug)]
enum Stop {
    Ended(End),
    Corrupt(Corruption),
}

impl From<Corruption> for Stop {
    fn from(corruption: Corruption) -> Self {
        Self::Corrupt(corruption)
    }
}

/// A side seen by the loop that waits.
struct SideLook<'a, S, P, G> {
    side: &'a mut S,
    seat: &'a Seat,
    poll: P,
    gate: G,
}

impl<S, P, G> Look for SideLook<'_, S, P, G>
where
    S: Mapped,
    P: FnMut(&mut S) -> Result<Poll, Corruption>,
    G: Fn(&S) -> &EventCount,
{
    type Stop = Stop;

    fn gate(&self) -> &EventCount {
        (self.gate)(self.side)
    }

    #[inline]
    fn is_ready(&mut self) -> Result<bool, Stop> {
        match (self.poll)(self.side)? {
            Poll::Ready => Ok(true),
            Poll::NotYet => Ok(false),
            Poll::Ended(end) => Err(Stop::Ended(end)),
        }
    }

    fn probe(&mut self) -> Result<(), Stop> {
        Ok(self.seat.probe_peer(self.side.view())?)
    }

    fn shares_processor(&mut self, now: Deadline) -> bool {
        self.seat.shares_processor(self.side.view(), now)
    }
}

impl<S: Mapped> Endpoint<S> {
    /// Takes a seat and joins the protocol there.
    pub(in crate::endpoint) fn take_side(
        segment: &Arc<Segment>,
        role: Role,
        wait: Wait,
        attach: impl FnOnce(View, bool) -> Result<S, Corruption> + Send,
    ) -> Result<Self, Error>
    where
        S: Send,
    {
        let ring_spins = segment.geometry.wait == Wait::Spin;
        if ring_spins && wait != Wait::Spin {
            return Err(Error::WaitNotSupported {
                name: segment.name.to_string(),
            });
        }
        let (seat, side) = with_private_table(|| {
            let joined = Seat::take(segment, role)?;
            let side = attach(joined.view, joined.predecessor_died)
                .map_err(|corruption| Error::from_corruption(&segment.name, corruption))?;
            joined.seat.announce(side.view(), &joined.own)?;
            Ok((joined.seat, side))
        })?;
        let waiter = Waiter::new(wait);
        Ok(Self {
            side,
            seat,
            waiter,
            corruption: None,
            notifies: !ring_spins,
            burst: 0,
        })
    }

    #[inline]
    fn healthy(&self) -> Result<(), Corruption> {
        self.corruption.map_or(Ok(()), Err)
    }

    /// Passes a result on, and remembers a corruption for good.
    #[inline]
    pub(in crate::endpoint) fn checked<T>(
        &mut self,
        result: Result<T, Corruption>,
    ) -> Result<T, Corruption> {
        result.inspect_err(|&corruption| self.corruption = Some(corruption))
    }

    pub(in crate::endpoint) fn geometry(&self) -> &Geometry {
        self.side.view().geometry()
    }

    /// What is known of the other side, asked afresh.
    pub(in crate::endpoint) fn ask_peer(&self) -> Result<Peer, Corruption> {
        self.seat.peer(self.side.view())
    }

    /// A descriptor that becomes readable when this side's gate is notified.
    pub(in crate::endpoint) fn own_pollable(&self) -> Result<Pollable, Error> {
        let name = self.seat.segment_name();
        if !self.notifies {
            return Err(Error::WaitNotSupported {
                name: name.to_string(),
            });
        }
        Pollable::new(self.seat.gate()?)
            .map_err(|source| Error::from_io("start a thread", name, source))
    }

    /// Arms the descriptor unless what `poll` asks for is there, or can't come any more.
    pub(in crate::endpoint) fn arm(
        &mut self,
        pollable: &Pollable,
        poll: impl FnMut(&mut S) -> Result<Poll, Corruption>,
        gate: impl Fn(&S) -> &EventCount,
    ) -> bool {
        let key = self.prepare(poll, gate);
        match key {
            Some(key) => pollable.arm(key),
            None => pollable.disarm(),
        }
        key.is_some()
    }

    /// Announces a sleeper who waits for what `poll` asks for; `None` if there is an answer now.
    fn prepare(
        &mut self,
        poll: impl FnMut(&mut S) -> Result<Poll, Corruption>,
        gate: impl Fn(&S) -> &EventCount,
    ) -> Option<WaitKey> {
        self.healthy().ok()?;
        let mut look = SideLook {
            side: &mut self.side,
            seat: &self.seat,
            poll,
            gate,
        };
        match self.waiter.prepare(Deadline::now(), &mut look) {
            Ok(key) => key,
            Err(stop) => {
                self.note(&stop);
                None
            }
        }
    }

    /// Remembers a corruption for good.
    fn note(&mut self, stop: &Stop) {
        if let Stop::Corrupt(corruption) = *stop {
            self.corruption = Some(corruption);
        }
    }

    /// Waits for what `poll` asks for; a call that does not wait has timed out at once.
    fn wait(
        &mut self,
        when: When,
        poll: impl FnMut(&mut S) -> Result<Poll, Corruption>,
        gate: impl Fn(&S) -> &EventCount,
    ) -> Result<Waited, Stop> {
        let mut look = SideLook {
            side: &mut self.side,
            seat: &self.seat,
            poll,
            gate,
        };
        let waited = match when.deadline() {
            None => self.waiter.try_once(&mut look),
            Some(deadline) => {
                let burst = std::mem::take(&mut self.burst);
                self.waiter.wait_until(deadline, burst, &mut look)
            }
        };
        waited.inspect_err(|stop| self.note(stop))
    }
}

impl<W: Mapped + WriteSide> Endpoint<W> {
    /// Makes sure that `units` can be claimed.
    #[inline]
    pub(in crate::endpoint) fn room(&mut self, units: u64, when: When) -> Result<(), SendError> {
        self.healthy()?;
        let polled = poll_room(&mut self.side, units);
        match self.checked(polled)? {
            Poll::Ready => Ok(()),
            Poll::NotYet | Poll::Ended(_) => self.room_slow(units, when),
        }
    }

    #[cold]
    fn room_slow(&mut self, units: u64, when: When) -> Result<(), SendError> {
        let waited = self.wait(
            when,
            |side| poll_room(side, units),
            |side| side.storage().not_full(),
        );
        match waited {
            Ok(Waited::Ready) => Ok(()),
            Ok(Waited::TimedOut) if matches!(when, When::Now) => Err(SendError::Full(())),
            Ok(Waited::TimedOut) => Err(SendError::TimedOut(())),
            Err(Stop::Ended(End::Closed)) => Err(SendError::Disconnected(())),
            Err(Stop::Ended(End::Died)) => Err(SendError::OwnerDied(())),
            Err(Stop::Corrupt(corruption)) => Err(SendError::Corrupt(corruption)),
        }
    }

    /// Something was published: counts it, and wakes the consumer if it sleeps.
    #[inline]
    pub(in crate::endpoint) fn published(&mut self) {
        self.burst += 1;
        if self.notifies {
            self.side.storage().not_empty().notify_all();
        }
    }
}

impl<R: Mapped + ReadSide> Endpoint<R> {
    /// Makes sure that a message is there.
    #[inline]
    pub(in crate::endpoint) fn message(&mut self, when: When) -> Result<(), RecvError> {
        self.healthy()?;
        let has_message = self.side.has_message();
        if self.checked(has_message)? {
            Ok(())
        } else {
            self.message_slow(when)
        }
    }

    #[cold]
    fn message_slow(&mut self, when: When) -> Result<(), RecvError> {
        let waited = self.wait(
            when,
            |side| poll_message(side),
            |side| side.storage().not_empty(),
        );
        match waited {
            Ok(Waited::Ready) => Ok(()),
            Ok(Waited::TimedOut) if matches!(when, When::Now) => Err(RecvError::Empty),
            Ok(Waited::TimedOut) => Err(RecvError::TimedOut),
            Err(Stop::Ended(End::Closed)) => Err(RecvError::Disconnected),
            Err(Stop::Ended(End::Died)) => Err(RecvError::OwnerDied),
            Err(Stop::Corrupt(corruption)) => Err(RecvError::Corrupt(corruption)),
        }
    }

    /// Something was released: counts it, and wakes the producer if it sleeps.
    #[inline]
    pub(in crate::endpoint) fn released(&mut self) {
        self.burst += 1;
        if self.notifies {
            self.side.storage().not_full().notify_all();
        }
    }
}

impl<S: Mapped> Drop for Endpoint<S> {
    fn drop(&mut self) {
        // In a child after `fork` the memory is not there, and the seat is the parent's.
        if self.side.view().is_ours() {
            self.seat.close(self.side.view());
        }
    }
}

impl<S: RecordStorage + HasView> Endpoint<RecordReader<S>> {
    /// Waits for a record and looks at it, once: what is acted upon is what was checked.
    #[inline]
    pub(in crate::endpoint) fn record(&mut self, when: When) -> Result<Record, RecvError> {
        self.healthy()?;
        let peeked = self.side.peek();
        if let Some(record) = self.checked(peeked)? {
            return Ok(record);
        }
        self.message_slow(when)?;
        // There it was, and only we could have released it.
        let vanished = Corruption {
            field: "record.header",
            found: 0,
        };
        let peeked = self.side.peek().and_then(|record| record.ok_or(vanished));
        Ok(self.checked(peeked)?)
    }
}

macro_rules! mapped_sides {
    ($($side:ident of $storage:ident),*) => {$(
        impl<S: $storage + HasView> Mapped for $side<S> {
            #[inline]
            fn view(&self) -> &View {
                self.storage().view()
            }
        }
    )*};
}

mapped_sides!(
    SlotWriter of SlotStorage,
    SlotReader of SlotStorage,
    RecordWriter of RecordStorage,
    RecordReader of RecordStorage
);
