//! `semaphore-owned` (class notify): semaphores of this project whose permits belong to who took them, hand over hand ([`hand_over`]).
#![allow(unsafe_code, reason = "a guard beside what it borrows")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::ptr;
use std::rc::Rc;
use std::time::Instant;

use shm_semaphore::{Deadline, NamedSemaphore, OwnedPermits, SemaphoreOptions};

use super::hand_over::{self, Place, STATIONS};
use super::semaphore::{give, taken};
use super::semaphore_named::{attach, not_made};
use super::{Link, LinkError, LinkShape, Promises, Receiver, Sender, Ticket, Told, Transport};

/// Three semaphores with owned permits.
#[derive(Debug, Clone, Copy)]
pub struct ShmSemaphoreOwned;

impl Transport for ShmSemaphoreOwned {
    type Tx = OwnedEnd;
    type Rx = OwnedEnd;

    fn promises(&self) -> Promises {
        Promises {
            end_of_sender: Told::AsMessages,
            ..Promises::SHARED
        }
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let mut fds = Vec::with_capacity(STATIONS);
        for permits in hand_over::FRESH {
            let options = SemaphoreOptions::new();
            let semaphore = options.anonymous(permits.into()).map_err(not_made)?;
            fds.push(semaphore.as_fd().try_clone_to_owned()?);
        }
        let numbers: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let ticket = Ticket {
            sender_fds: numbers.clone(),
            receiver_fds: numbers,
            message_len_max: shape.message_len_max,
            capacity: hand_over::CAPACITY,
            ..Ticket::default()
        };
        Ok(Link {
            ticket,
            fds,
            cleanup: None,
        })
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<OwnedEnd> {
        OwnedEnd::join(&ticket.sender_fds, Place::SENDER)
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<OwnedEnd> {
        OwnedEnd::join(&ticket.receiver_fds, Place::RECEIVER)
    }
}

/// One side of the semaphores.
#[derive(Debug)]
pub struct OwnedEnd {
    /// What this side holds; none before its first message, when the link was made so. Before the semaphores: it is dropped first.
    held: Option<OwnedPermits<'static>>,
    stations: [Rc<NamedSemaphore>; STATIONS],
    place: Place,
    deadline: Deadline,
}

impl OwnedEnd {
    fn join(fds: &[RawFd], place: Place) -> io::Result<Self> {
        let options = SemaphoreOptions::new();
        let mut stations = Vec::with_capacity(STATIONS);
        for number in fds.chunks(1) {
            stations.push(Rc::new(attach(&options, number)?));
        }
        Ok(Self {
            held: None,
            stations: stations
                .try_into()
                .map_err(|_| io::ErrorKind::InvalidInput)?,
            place,
            deadline: Deadline::NEVER,
        })
    }

    #[inline]
    fn pass(&mut self) -> io::Result<()> {
        let step = self.place.step();
        let station = ptr::from_ref::<NamedSemaphore>(&self.stations[step.take]);
        // SAFETY: the guard that borrows this lives in the same struct and is dropped before the semaphores, which do not move.
        let station: &'static NamedSemaphore = unsafe { &*station };
        let next = taken(station.acquire_owned_deadline(self.deadline))?;
        match self.held.replace(next) {
            Some(held) => drop(held),
            None => give(|| self.stations[step.give].release(1))?,
        }
        self.place.advance();
        Ok(())
    }
}

impl Sender for OwnedEnd {
    #[inline]
    fn send(&mut self, _: &[u8]) -> io::Result<()> {
        self.pass()
    }

    fn begin_window(&mut self, deadline: Instant) {
        self.deadline = deadline.into();
    }
}

impl Receiver for OwnedEnd {
    #[inline]
    fn recv(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.pass()?;
        Ok(0)
    }

    fn begin_window(&mut self, deadline: Instant) {
        self.deadline = deadline.into();
    }
}
