//! `sem-sysv` (class notify): one System V semaphore, one `semop` to give and one to take.

use std::io;

use super::sysv::{self, OwnedSemaphores, SEMAPHORE_VALUE_MAX, Semaphore};
use super::{Link, LinkError, LinkShape, Promises, Receiver, Sender, Ticket, Transport};

/// A System V semaphore.
#[derive(Debug, Clone, Copy)]
pub struct SemSysv;

impl Transport for SemSysv {
    type Tx = SemSysvEnd;
    type Rx = SemSysvEnd;

    fn promises(&self) -> Promises {
        Promises {
            system_v: &["sem"],
            ..Promises::COUNTER
        }
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let semaphores = OwnedSemaphores::create([0])?;
        let ticket = Ticket {
            text: semaphores.id().to_string(),
            message_len_max: shape.message_len_max,
            capacity: SEMAPHORE_VALUE_MAX,
            ..Ticket::default()
        };
        Ok(Link {
            ticket,
            fds: Vec::new(),
            cleanup: Some(Box::new(semaphores)),
        })
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<SemSysvEnd> {
        SemSysvEnd::join(ticket)
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<SemSysvEnd> {
        SemSysvEnd::join(ticket)
    }
}

/// One side of the semaphore.
#[derive(Debug)]
pub struct SemSysvEnd(Semaphore);

impl SemSysvEnd {
    fn join(ticket: &Ticket) -> io::Result<Self> {
        Ok(Self(Semaphore::of(sysv::number_in(&ticket.text, 0)?, 0)))
    }
}

impl Sender for SemSysvEnd {
    fn send(&mut self, _: &[u8]) -> io::Result<()> {
        self.0
            .post()
            .map_err(|error| sysv::removed_as(io::ErrorKind::BrokenPipe, error))
    }
}

impl Receiver for SemSysvEnd {
    fn recv(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0
            .wait()
            .map_err(|error| sysv::removed_as(io::ErrorKind::UnexpectedEof, error))?;
        Ok(0)
    }
}
