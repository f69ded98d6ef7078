//! `semaphore` (class notify): the semaphore of this project, placed in shared memory.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::RawFd;
use std::time::Instant;

use memmap2::MmapRaw;
use shm_semaphore::{AcquireError, Deadline, ReleaseError, Semaphore};

use super::{
    Link, LinkError, LinkShape, Promises, Receiver, Sender, Ticket, Transport, alarm, join,
    shared_memory,
};

/// A [`Semaphore`] in shared memory.
#[derive(Debug, Clone, Copy)]
pub struct ShmSemaphore;

impl Transport for ShmSemaphore {
    type Tx = SemaphoreEnd;
    type Rx = SemaphoreEnd;

    fn promises(&self) -> Promises {
        Promises::COUNTER
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        // All-zero bytes are a semaphore without permits.
        let memory = shared_memory::anonymous_page()?;
        Ok(join::link_of_one(
            memory,
            shape,
            Semaphore::MAX_PERMITS as usize,
        ))
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<SemaphoreEnd> {
        SemaphoreEnd::map(&ticket.sender_fds)
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<SemaphoreEnd> {
        SemaphoreEnd::map(&ticket.receiver_fds)
    }
}

/// One side of the semaphore.
#[derive(Debug)]
pub struct SemaphoreEnd {
    map: MmapRaw,
    deadline: Deadline,
}

impl SemaphoreEnd {
    fn map(fds: &[RawFd]) -> io::Result<Self> {
        Ok(Self {
            map: shared_memory::map(&join::adopt(fds)?, shared_memory::PAGE_LEN)?,
            deadline: Deadline::NEVER,
        })
    }

    #[inline]
    fn semaphore(&self) -> &Semaphore {
        // SAFETY: the start of a mapped page that lives as long as self and holds nothing but this semaphore.
        unsafe { Semaphore::from_ptr(self.map.as_mut_ptr().cast()) }
    }
}

impl Sender for SemaphoreEnd {
    #[inline]
    fn send(&mut self, _: &[u8]) -> io::Result<()> {
        give(|| self.semaphore().release(1))
    }
}

impl Receiver for SemaphoreEnd {
    #[inline]
    fn recv(&mut self, _: &mut [u8]) -> io::Result<usize> {
        taken(self.semaphore().acquire_deadline(self.deadline))?;
        Ok(0)
    }

    fn begin_window(&mut self, deadline: Instant) {
        self.deadline = deadline.into();
    }
}

/// Gives permits; waits while the semaphore can't count more.
///
/// # Errors
/// `TimedOut` when the deadline has passed, otherwise what the semaphore said.
#[inline]
pub(super) fn give(mut release: impl FnMut() -> Result<(), ReleaseError>) -> io::Result<()> {
    loop {
        match release() {
            Ok(()) => return Ok(()),
            Err(ReleaseError::Overflow { .. }) if !alarm::expired() => alarm::yield_now(),
            Err(ReleaseError::Overflow { .. }) => return Err(alarm::timed_out()),
            Err(error) => return Err(io::Error::other(error)),
        }
    }
}

/// What a transport says about what a semaphore says.
///
/// # Errors
/// `TimedOut` when the deadline has passed, otherwise what the semaphore said.
#[inline]
pub(super) fn taken<T>(acquired: Result<T, AcquireError>) -> io::Result<T> {
    acquired.map_err(|error| match error {
        AcquireError::TimedOut => alarm::timed_out(),
        error => io::Error::other(error),
    })
}
