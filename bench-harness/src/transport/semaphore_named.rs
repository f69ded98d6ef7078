//! `semaphore-named` (class notify): the semaphore of this project as most would use it, with participants, and without owned permits.
//!
//! It is anonymous and passed on as a descriptor, which differs from a name only in how it is found.

use std::io;
use std::os::fd::{AsFd, RawFd};
use std::time::Instant;

use shm_semaphore::{Deadline, Error, NamedSemaphore, Semaphore, SemaphoreOptions};

use super::semaphore::{give, taken};
use super::{
    Link, LinkError, LinkShape, Promises, Receiver, Sender, Ticket, Transport, join, limits,
};

/// A [`NamedSemaphore`] whose permits can't be owned.
#[derive(Debug, Clone, Copy)]
pub struct ShmSemaphoreNamed;

/// What a link says about what a semaphore says.
pub(super) fn not_made(error: Error) -> LinkError {
    match error {
        Error::NoSpace { needed, .. } => limits::file_too_long(needed)
            .unwrap_or_else(|| LinkError::Unavailable(error.to_string())),
        Error::PermissionDenied { .. } | Error::Unsupported { .. } => {
            LinkError::Unavailable(error.to_string())
        }
        error => LinkError::Failed(io::Error::other(error)),
    }
}

/// Joins a semaphore through a descriptor, which becomes the semaphore's.
///
/// # Errors
/// What the semaphore says.
pub fn attach(options: &SemaphoreOptions, fds: &[RawFd]) -> io::Result<NamedSemaphore> {
    options.from_fd(join::adopt(fds)?).map_err(io::Error::other)
}

/// How it is made.
pub fn options() -> SemaphoreOptions {
    SemaphoreOptions::new().owned(false)
}

impl Transport for ShmSemaphoreNamed {
    type Tx = NamedSemaphore;
    type Rx = NamedReceiver;

    fn promises(&self) -> Promises {
        Promises::COUNTER
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let semaphore = options().anonymous(0).map_err(not_made)?;
        let shared = semaphore.as_fd().try_clone_to_owned()?;
        Ok(join::link_of_one(
            shared,
            shape,
            Semaphore::MAX_PERMITS as usize,
        ))
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<NamedSemaphore> {
        attach(&options(), &ticket.sender_fds)
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<NamedReceiver> {
        Ok(NamedReceiver {
            semaphore: attach(&options(), &ticket.receiver_fds)?,
            deadline: Deadline::NEVER,
        })
    }
}

impl Sender for NamedSemaphore {
    #[inline]
    fn send(&mut self, _: &[u8]) -> io::Result<()> {
        give(|| self.release(1))
    }
}

/// Takes permits.
#[derive(Debug)]
pub struct NamedReceiver {
    semaphore: NamedSemaphore,
    deadline: Deadline,
}

impl Receiver for NamedReceiver {
    #[inline]
    fn recv(&mut self, _: &mut [u8]) -> io::Result<usize> {
        taken(self.semaphore.acquire_deadline(self.deadline))?;
        Ok(0)
    }

    fn begin_window(&mut self, deadline: Instant) {
        self.deadline = deadline.into();
    }
}
