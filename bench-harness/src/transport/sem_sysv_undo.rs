//! `sem-sysv-undo` (class notify): System V semaphores whose operations the kernel takes back when their process dies (`SEM_UNDO`).
//!
//! The kernel keeps for each process how far it has moved each semaphore, and refuses beyond 32,767. A side that only gives would
//! soon be there, so the sides go hand over hand ([`hand_over`]): still one `semop` a message on each side, with two operations.

use std::io;

use super::hand_over::{self, Place};
use super::sysv::{self, OwnedSemaphores, Semaphores};
use super::{Link, LinkError, LinkShape, Promises, Receiver, Sender, Ticket, Transport};

/// Three System V semaphores with `SEM_UNDO`.
#[derive(Debug, Clone, Copy)]
pub struct SemSysvUndo;

impl Transport for SemSysvUndo {
    type Tx = SemSysvUndoEnd;
    type Rx = SemSysvUndoEnd;

    fn promises(&self) -> Promises {
        // The kernel undoes what a process did, and here the ends are threads of one.
        Promises {
            system_v: &["sem"],
            ..Promises::SHARED
        }
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let semaphores = OwnedSemaphores::create(hand_over::FRESH)?;
        let ticket = Ticket {
            text: semaphores.id().to_string(),
            message_len_max: shape.message_len_max,
            capacity: hand_over::CAPACITY,
            ..Ticket::default()
        };
        Ok(Link {
            ticket,
            fds: Vec::new(),
            cleanup: Some(Box::new(semaphores)),
        })
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<SemSysvUndoEnd> {
        SemSysvUndoEnd::join(ticket, Place::SENDER)
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<SemSysvUndoEnd> {
        SemSysvUndoEnd::join(ticket, Place::RECEIVER)
    }
}

/// One side of the semaphores.
#[derive(Debug)]
pub struct SemSysvUndoEnd {
    set: Semaphores,
    place: Place,
}

impl SemSysvUndoEnd {
    fn join(ticket: &Ticket, place: Place) -> io::Result<Self> {
        let set = Semaphores::of(sysv::number_in(&ticket.text, 0)?);
        Ok(Self { set, place })
    }

    #[inline]
    fn pass(&mut self) -> io::Result<()> {
        let step = self.place.step();
        self.set
            .exchange_with_undo(step.take as u16, step.give as u16)?;
        self.place.advance();
        Ok(())
    }
}

impl Sender for SemSysvUndoEnd {
    fn send(&mut self, _: &[u8]) -> io::Result<()> {
        self.pass()
            .map_err(|error| sysv::removed_as(io::ErrorKind::BrokenPipe, error))
    }
}

impl Receiver for SemSysvUndoEnd {
    fn recv(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.pass()
            .map_err(|error| sysv::removed_as(io::ErrorKind::UnexpectedEof, error))?;
        Ok(0)
    }
}
