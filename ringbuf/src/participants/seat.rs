//! A seat: a side of a ring that a process has taken.
//!
//! The proof of life is a lock on one byte of the file, held by nothing but the mapping (see [`shm_semaphore::os::lock`]). A free byte proves that
//! the process can't store into the segment any more, so a successor may repair what it left. "Free" is trusted only
//! while our own byte reads as held: a file system on which locks do nothing makes nobody dead.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use shm_semaphore::Deadline;
use shm_semaphore::membarrier::register;
use shm_semaphore::sync::Ordering;

use super::table;
use crate::error::{Corruption, Error};
use crate::protocol::presence::Status;
use crate::role::Role;
use crate::segment::gate::Gate;
use crate::segment::layout::{Control, Participant};
use crate::segment::lifecycle::Segment;
use crate::segment::view::View;
use shm_semaphore::os::mapping::Mapping;
use shm_semaphore::os::{file, lock, process};
use shm_semaphore::segment::Name;

/// Beyond the bytes that prove a life.
const ANNOUNCED_BYTES: u32 = 1 << 16;

/// A millisecond, roughly, of a clock in nanoseconds.
const MILLISECOND_BITS: u32 = 20;
/// For so long a side is taken to be where it waited last.
const HINT_LASTS_MS: u32 = 50;

impl Role {
    /// The byte that its holder locks, and its place in the table of participants.
    pub(crate) fn slot(self) -> usize {
        match self {
            Self::Producer => 0,
            Self::Consumer => 1,
        }
    }

    /// The byte that its holder locks when its record tells who it is.
    fn announced_byte(self) -> u32 {
        ANNOUNCED_BYTES + self.slot() as u32
    }

    fn other(self) -> Self {
        match self {
            Self::Producer => Self::Consumer,
            Self::Consumer => Self::Producer,
        }
    }

    fn record(self, control: &Control) -> &Participant {
        &control.participants[self.slot()]
    }
}

/// What is known of the process on one side of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Nobody ever attached.
    Absent,
    /// Attached and alive (perhaps stopped).
    Attached {
        /// The process, as it sees itself.
        pid: u32,
        /// When it attached.
        since: SystemTime,
    },
    /// The last one closed its endpoint.
    Closed,
    /// The last one died without closing, and nobody has taken its place.
    Died {
        /// The process, as it saw itself.
        pid: u32,
    },
}

/// A side that this process has taken.
#[derive(Debug)]
pub struct Seat {
    role: Role,
    segment: Arc<Segment>,
}

/// A seat that was won, and has not announced itself yet.
#[derive(Debug)]
pub struct Joined {
    /// The seat.
    pub seat: Seat,
    /// The memory.
    pub view: View,
    /// Whether the predecessor died, and what it left must be repaired.
    pub predecessor_died: bool,
    /// The description that holds the lock, for [`Seat::announce`]. Once this is closed the mapping alone holds it.
    pub own: OwnedFd,
}

impl Seat {
    /// Takes a side: locks its byte through a description of our own, which is to be left to the mapping alone. Called with a private
    /// table of descriptors, or a child that is forked in these moments would keep the description, and us alive, for ever.
    pub fn take(segment: &Arc<Segment>, role: Role) -> Result<Joined, Error> {
        let name = &segment.name;
        let os = |operation| move |source| Error::from_io(operation, name, source);
        let own = file::reopen(segment.file.as_fd()).map_err(os("reopen"))?;
        if !lock::try_lock(own.as_fd(), role.slot() as u32).map_err(os("lock"))? {
            return Err(Self::taken(segment, role));
        }
        let view = table::map_all(segment, own.as_fd()).map_err(os("map"))?;
        let seen = role.record(view.control()).presence.seen();
        let status = seen
            .map_err(|corruption| Error::from_corruption(name, corruption))?
            .status;
        let predecessor_died = matches!(status, Status::Attached | Status::Died);
        let seat = Self {
            role,
            segment: Arc::clone(segment),
        };
        Ok(Joined {
            seat,
            view,
            predecessor_died,
            own,
        })
    }

    /// The refusal. The record is that of the living holder only once that one has locked its second byte; before, it is its predecessor's.
    fn taken(segment: &Arc<Segment>, role: Role) -> Error {
        let is_announced = lock::is_locked(segment.file.as_fd(), role.announced_byte());
        let (pid, since) = match is_announced.map(|known| known.then(|| peer_of(segment, role))) {
            Ok(Some(Ok(Peer::Attached { pid, since }))) => (Some(pid), Some(since)),
            _ => (None, None),
        };
        Error::RoleTaken {
            name: segment.name.to_string(),
            role,
            pid,
            since,
        }
    }

    /// Tells the other side that we are here, and whoever is refused who we are.
    pub fn announce(&self, view: &View, own: &OwnedFd) -> Result<(), Error> {
        if view.geometry().asymmetric_wakeups && !register() {
            // We could neither be reached by the fence of a sleeper nor make it.
            view.control().not_empty.event.make_symmetric();
            view.control().not_full.event.make_symmetric();
        }
        let record = self.role.record(view.control());
        // Relaxed, all: told to people, and published by the store inside `attach`.
        record
            .pid
            .store(u64::from(std::process::id()), Ordering::Relaxed);
        record
            .attached_at_ns
            .store(process::real_time_ns(), Ordering::Relaxed);
        record.scratch.waited.store(0, Ordering::Relaxed);
        record.presence.attach();
        view.control().not_empty.event.notify_all();
        view.control().not_full.event.notify_all();
        lock::try_lock(own.as_fd(), self.role.announced_byte())
            .map_err(|source| Error::from_io("lock", &self.segment.name, source))?;
        Ok(())
    }

    /// Tells the other side that we leave.
    pub fn close(&self, view: &View) {
        self.role.record(view.control()).presence.close();
        view.control().not_empty.event.notify_all();
        view.control().not_full.event.notify_all();
    }

    /// Asks the kernel whether the other side lives, and marks it if it does not.
    pub fn probe_peer(&self, view: &View) -> Result<(), Corruption> {
        let record = self.role.other().record(view.control());
        let file = self.segment.file.as_fd();
        let own_is_held = || lock::is_locked(file, self.role.slot() as u32);
        let seen = record.presence.seen()?;
        if seen.status == Status::Attached && is_dead(file, self.role.other(), own_is_held) {
            record.presence.mark_died(seen);
        }
        Ok(())
    }

    /// What is known of the other side, asked afresh.
    pub fn peer(&self, view: &View) -> Result<Peer, Corruption> {
        self.probe_peer(view)?;
        describe(self.role.other().record(view.control()))
    }

    /// Where this side sleeps, without the seat.
    pub fn gate(&self) -> Result<Gate, Error> {
        Gate::map(&self.segment, self.role)
            .map_err(|source| Error::from_io("map", &self.segment.name, source))
    }

    /// The name of the segment, for messages.
    pub fn segment_name(&self) -> &Name {
        &self.segment.name
    }

    /// Notes the processor that we wait on, and says whether the other side waited on the same one lately.
    pub fn shares_processor(&self, view: &View, now: Deadline) -> bool {
        let Some(processor) = process::processor() else {
            return false;
        };
        let own = &self.role.record(view.control()).scratch.waited;
        let other = &self.role.other().record(view.control()).scratch.waited;
        let now_ms = now.as_monotonic_ns() >> MILLISECOND_BITS;
        let waits = now_ms << 32 | u64::from(processor + 1);
        // Relaxed, all: a hint.
        if own.load(Ordering::Relaxed) != waits {
            own.store(waits, Ordering::Relaxed);
        }
        let waited = other.load(Ordering::Relaxed);
        let same = waited as u32 == processor + 1;
        same && (now_ms as u32).wrapping_sub((waited >> 32) as u32) <= HINT_LASTS_MS
    }
}

/// Whether the byte of a role is free, while locks are seen to work.
fn is_dead(
    file: BorrowedFd<'_>,
    role: Role,
    locks_work: impl FnOnce() -> std::io::Result<bool>,
) -> bool {
    // A system that does not answer proves nothing.
    let held = lock::is_locked(file, role.slot() as u32).unwrap_or(true);
    !held && locks_work().unwrap_or(false)
}

fn describe(record: &Participant) -> Result<Peer, Corruption> {
    let status = record.presence.seen()?.status;
    // Relaxed, both: published by the store that `seen` read.
    let pid = record.pid.load(Ordering::Relaxed) as u32;
    let attached_at = Duration::from_nanos(record.attached_at_ns.load(Ordering::Relaxed));
    Ok(match status {
        Status::Absent => Peer::Absent,
        Status::Attached => Peer::Attached {
            pid,
            since: UNIX_EPOCH + attached_at,
        },
        Status::Closed => Peer::Closed,
        Status::Died => Peer::Died { pid },
    })
}

/// What is known of a side, for one who has no seat. Nothing is marked: without a seat there is no lock of our own to hold the
/// kernel's word against.
pub fn peer_of(segment: &Segment, role: Role) -> Result<Peer, Error> {
    let os = |operation| move |source| Error::from_io(operation, &segment.name, source);
    let own = file::reopen(segment.file.as_fd()).map_err(os("reopen"))?;
    let control_len = segment.geometry.data_offset;
    let mapping = Mapping::new(own.as_fd(), control_len, 0).map_err(os("map"))?;
    let view = View::new(mapping, segment.geometry);
    let look = || {
        describe(role.record(view.control()))
            .map_err(|corruption| Error::from_corruption(&segment.name, corruption))
    };
    let before = look()?;
    let held = lock::is_locked(own.as_fd(), role.slot() as u32).map_err(os("inspect"))?;
    // It may have closed, or another one attached, around the look at the lock.
    match look()? {
        now @ Peer::Attached { pid, .. } if !held && now == before => Ok(Peer::Died { pid }),
        now => Ok(now),
    }
}
