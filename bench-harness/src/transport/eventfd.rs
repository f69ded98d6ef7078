//! `eventfd` (class notify), with `EFD_SEMAPHORE`: each write adds one, each read takes one, nothing is merged.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::unistd::{read, write};

use super::{
    Link, LinkError, LinkShape, Promises, Receiver, Sender, Ticket, Transport, alarm, join, limits,
};

/// What is said about the highest count: the kernel's own is 2^64 - 2, but not every reader of JSON keeps such a number.
const COUNT_MAX: usize = 1 << 53;

/// An eventfd that counts.
#[derive(Debug, Clone, Copy)]
pub struct Eventfd;

impl Transport for Eventfd {
    type Tx = EventfdEnd;
    type Rx = EventfdEnd;

    fn promises(&self) -> Promises {
        Promises::COUNTER
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let flags = EfdFlags::EFD_SEMAPHORE | EfdFlags::EFD_CLOEXEC;
        let counter = EventFd::from_value_and_flags(0, flags)
            .map_err(|errno| limits::refused("eventfd", errno))?;
        let shared = counter.as_fd().try_clone_to_owned()?;
        Ok(join::link_of_one(shared, shape, COUNT_MAX))
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<EventfdEnd> {
        alarm::setup()?;
        Ok(EventfdEnd(join::adopt(&ticket.sender_fds)?))
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<EventfdEnd> {
        Ok(EventfdEnd(join::adopt(&ticket.receiver_fds)?))
    }
}

/// One side of the counter.
#[derive(Debug)]
pub struct EventfdEnd(OwnedFd);

impl Sender for EventfdEnd {
    #[inline]
    fn send(&mut self, _: &[u8]) -> io::Result<()> {
        alarm::retry(|| write(&self.0, &1u64.to_ne_bytes())).map(drop)
    }
}

impl Receiver for EventfdEnd {
    #[inline]
    fn recv(&mut self, _: &mut [u8]) -> io::Result<usize> {
        let mut taken = [0; size_of::<u64>()];
        alarm::retry(|| read(&self.0, &mut taken))?;
        match u64::from_ne_bytes(taken) {
            1 => Ok(0),
            other => {
                let text = format!("a read of the eventfd took {other} instead of one");
                Err(io::Error::new(io::ErrorKind::InvalidData, text))
            }
        }
    }
}
