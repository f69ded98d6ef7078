//! `posix-shm-sem`: the textbook's bounded buffer in POSIX shared memory, with two process-shared `sem_t`.
//!
//! One semaphore counts the free slots and one the filled slots. There is one sender and one receiver, so the textbook's third
//! semaphore, the one around the indices, would only cost.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::RawFd;

use memmap2::MmapRaw;

use super::sem_posix::{SEMAPHORE_LEN, SharedSemaphore};
use super::slots::Slots;
use super::{
    Link, LinkError, LinkShape, Promises, Receiver, Sender, Ticket, Transport, join, shared_memory,
};

const FREE: usize = 0;
const FILLED: usize = SEMAPHORE_LEN;
const SLOTS: usize = 2 * SEMAPHORE_LEN;

/// A bounded buffer in POSIX shared memory with POSIX semaphores.
#[derive(Debug, Clone, Copy)]
pub struct PosixShmSem;

impl Transport for PosixShmSem {
    type Tx = PosixShmSender;
    type Rx = PosixShmReceiver;

    fn promises(&self) -> Promises {
        Promises::SHARED
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let capacity = shape.capacity.max(1);
        let slots_len = Slots::footprint(capacity, shape.message_len_max).unwrap_or(usize::MAX);
        let memory = shared_memory::posix(slots_len.saturating_add(SLOTS))?;
        let map = shared_memory::map(&memory, SLOTS)?;
        // SAFETY: inside the mapping.
        let free = unsafe { map.as_mut_ptr().add(FREE) };
        // SAFETY: fresh memory that only this process has; a page plus a multiple of 128 is aligned.
        unsafe { SharedSemaphore::init(free, capacity) }?;
        // SAFETY: inside the mapping.
        let filled = unsafe { map.as_mut_ptr().add(FILLED) };
        // SAFETY: as above.
        unsafe { SharedSemaphore::init(filled, 0) }?;
        Ok(join::link_of_one(memory, shape, capacity))
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<PosixShmSender> {
        Ok(PosixShmSender(Side::join(&ticket.sender_fds, ticket)?))
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<PosixShmReceiver> {
        Ok(PosixShmReceiver(Side::join(&ticket.receiver_fds, ticket)?))
    }
}

#[derive(Debug)]
struct Side {
    free: SharedSemaphore,
    filled: SharedSemaphore,
    slots: Slots,
    slot: usize,
    _map: MmapRaw,
}

impl Side {
    fn join(fds: &[RawFd], ticket: &Ticket) -> io::Result<Self> {
        let slots_len = Slots::footprint(ticket.capacity, ticket.message_len_max)
            .ok_or(io::ErrorKind::InvalidInput)?;
        let map = shared_memory::map(&join::adopt(fds)?, SLOTS + slots_len)?;
        // SAFETY: inside the mapping.
        let free = unsafe { map.as_mut_ptr().add(FREE) };
        // SAFETY: inside the mapping.
        let filled = unsafe { map.as_mut_ptr().add(FILLED) };
        // SAFETY: inside the mapping.
        let base = unsafe { map.as_mut_ptr().add(SLOTS) };
        Ok(Self {
            // SAFETY: `create` made a semaphore there; the mapping lives in the same struct.
            free: unsafe { SharedSemaphore::at(free) },
            // SAFETY: as above.
            filled: unsafe { SharedSemaphore::at(filled) },
            // SAFETY: the mapping has room for the slots, aligned, and lives in the same struct.
            slots: unsafe { Slots::new(base, ticket.capacity, ticket.message_len_max) },
            slot: 0,
            _map: map,
        })
    }
}

/// Fills the slots.
#[derive(Debug)]
pub struct PosixShmSender(Side);

impl Sender for PosixShmSender {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let side = &mut self.0;
        side.slots.check(message)?;
        side.free.wait()?;
        // SAFETY: the semaphore has given this slot to the sender, and `filled` gives it away.
        unsafe { side.slots.fill(side.slot, message) };
        side.slot = side.slots.after(side.slot);
        side.filled.post()
    }
}

/// Empties the slots.
#[derive(Debug)]
pub struct PosixShmReceiver(Side);

impl Receiver for PosixShmReceiver {
    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let side = &mut self.0;
        side.filled.wait()?;
        // SAFETY: the semaphore has given this slot to the receiver, and `free` gives it away.
        let len = unsafe { side.slots.take(side.slot, buffer) };
        side.slot = side.slots.after(side.slot);
        side.free.post()?;
        len
    }
}
