//! `sysv-shm-sem`: the textbook's bounded buffer in System V shared memory, with two System V semaphores.
//!
//! One semaphore counts the free slots and one the filled slots; there is one sender and one receiver, so the indices need
//! no third.
#![allow(unsafe_code)]

use std::io;

use super::slots::Slots;
use super::sysv::{self, Attachment, OwnedSemaphores, SEMAPHORE_VALUE_MAX, Semaphore};
use super::{Link, LinkError, LinkShape, Promises, Receiver, Sender, Ticket, Transport};

const FREE: u16 = 0;
const FILLED: u16 = 1;

/// A bounded buffer in System V shared memory with System V semaphores.
#[derive(Debug, Clone, Copy)]
pub struct SysvShmSem;

impl Transport for SysvShmSem {
    type Tx = SysvShmSender;
    type Rx = SysvShmReceiver;

    fn promises(&self) -> Promises {
        Promises {
            system_v: &["sem", "shm"],
            ..Promises::SHARED
        }
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let capacity = shape.capacity.clamp(1, SEMAPHORE_VALUE_MAX);
        let len = Slots::footprint(capacity, shape.message_len_max).unwrap_or(usize::MAX);
        let (memory_id, memory) = Attachment::create(len)?;
        let semaphores = OwnedSemaphores::create([capacity as u16, 0])?;
        let ticket = Ticket {
            text: format!("{} {memory_id}", semaphores.id()),
            message_len_max: shape.message_len_max,
            capacity,
            ..Ticket::default()
        };
        Ok(Link {
            ticket,
            fds: Vec::new(),
            cleanup: Some(Box::new((semaphores, memory))),
        })
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<SysvShmSender> {
        Ok(SysvShmSender(Side::join(ticket)?))
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<SysvShmReceiver> {
        Ok(SysvShmReceiver(Side::join(ticket)?))
    }
}

#[derive(Debug)]
struct Side {
    free: Semaphore,
    filled: Semaphore,
    slots: Slots,
    slot: usize,
    _memory: Attachment,
}

impl Side {
    fn join(ticket: &Ticket) -> io::Result<Self> {
        let semaphores = sysv::number_in(&ticket.text, 0)?;
        let memory_id = sysv::number_in(&ticket.text, 1)?;
        let len = Slots::footprint(ticket.capacity, ticket.message_len_max)
            .ok_or(io::ErrorKind::InvalidInput)?;
        let memory = Attachment::attach(memory_id, len)?;
        Ok(Self {
            free: Semaphore::of(semaphores, FREE),
            filled: Semaphore::of(semaphores, FILLED),
            // SAFETY: the segment has room for the slots, aligned to a page, and lives in the same struct.
            slots: unsafe { Slots::new(memory.base(), ticket.capacity, ticket.message_len_max) },
            slot: 0,
            _memory: memory,
        })
    }
}

/// Fills the slots.
#[derive(Debug)]
pub struct SysvShmSender(Side);

impl Sender for SysvShmSender {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let side = &mut self.0;
        let gone = |error| sysv::removed_as(io::ErrorKind::BrokenPipe, error);
        side.slots.check(message)?;
        side.free.wait().map_err(gone)?;
        // SAFETY: the semaphore has given this slot to the sender, and `filled` gives it away.
        unsafe { side.slots.fill(side.slot, message) };
        side.slot = side.slots.after(side.slot);
        side.filled.post().map_err(gone)
    }
}

/// Empties the slots.
#[derive(Debug)]
pub struct SysvShmReceiver(Side);

impl Receiver for SysvShmReceiver {
    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let side = &mut self.0;
        let gone = |error| sysv::removed_as(io::ErrorKind::UnexpectedEof, error);
        side.filled.wait().map_err(gone)?;
        // SAFETY: the semaphore has given this slot to the receiver, and `free` gives it away.
        let len = unsafe { side.slots.take(side.slot, buffer) };
        side.slot = side.slots.after(side.slot);
        side.free.post().map_err(gone)?;
        len
    }
}
