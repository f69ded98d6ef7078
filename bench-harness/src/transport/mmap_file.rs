//! `mmap-file`: a bounded buffer in a mapped regular file; both sides spin on two indices.
//!
//! Nothing but loads and stores: each side writes its own position and keeps a copy of the other's, which it
//! renews when the buffer looks full or empty.
#![allow(unsafe_code)]

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::MmapRaw;

use super::slots::Slots;
use super::{
    Link, LinkError, LinkShape, Promises, Receiver, Sender, Ticket, Transport, alarm, join,
    shared_memory,
};

/// The sender's count of messages; alone in its cache lines.
const WRITE_POSITION: usize = 0;
/// The receiver's count of messages.
const READ_POSITION: usize = 128;
/// The slots.
const SLOTS: usize = 256;

/// A bounded buffer in a mapped regular file.
#[derive(Debug, Clone, Copy)]
pub struct MmapFile;

impl Transport for MmapFile {
    type Tx = MmapSender;
    type Rx = MmapReceiver;

    fn promises(&self) -> Promises {
        Promises::SHARED
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let capacity = shape.capacity.max(1);
        let slots_len = Slots::footprint(capacity, shape.message_len_max).unwrap_or(usize::MAX);
        let file = shared_memory::regular_file(slots_len.saturating_add(SLOTS))?;
        Ok(join::link_of_one(file, shape, capacity))
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<MmapSender> {
        let buffer = Buffer::map(&ticket.sender_fds, ticket)?;
        let position = buffer.write_position().load(Ordering::Relaxed);
        Ok(MmapSender {
            slot: buffer.slots.of_position(position),
            position,
            read: 0,
            buffer,
        })
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<MmapReceiver> {
        let buffer = Buffer::map(&ticket.receiver_fds, ticket)?;
        let position = buffer.read_position().load(Ordering::Relaxed);
        Ok(MmapReceiver {
            slot: buffer.slots.of_position(position),
            position,
            written: 0,
            buffer,
        })
    }
}

#[derive(Debug)]
struct Buffer {
    slots: Slots,
    capacity: u64,
    map: MmapRaw,
}

impl Buffer {
    fn map(fds: &[std::os::fd::RawFd], ticket: &Ticket) -> io::Result<Self> {
        let slots_len = Slots::footprint(ticket.capacity, ticket.message_len_max)
            .ok_or(io::ErrorKind::InvalidInput)?;
        let map = shared_memory::map(&join::adopt(fds)?, SLOTS + slots_len)?;
        // SAFETY: the mapping is larger than SLOTS.
        let base = unsafe { map.as_mut_ptr().add(SLOTS) };
        // SAFETY: a page plus SLOTS is aligned to 8; the mapping has room for the slots and lives in the same struct.
        let slots = unsafe { Slots::new(base, ticket.capacity, ticket.message_len_max) };
        Ok(Self {
            slots,
            capacity: ticket.capacity as u64,
            map,
        })
    }

    #[inline]
    fn write_position(&self) -> &AtomicU64 {
        self.position(WRITE_POSITION)
    }

    #[inline]
    fn read_position(&self) -> &AtomicU64 {
        self.position(READ_POSITION)
    }

    #[inline]
    fn position(&self, offset: usize) -> &AtomicU64 {
        debug_assert!(offset == WRITE_POSITION || offset == READ_POSITION);
        // SAFETY: both offsets are inside the mapping.
        let at = unsafe { self.map.as_mut_ptr().add(offset) };
        // SAFETY: aligned (a page plus a multiple of 128), mapped as long as self, and touched only as atomics.
        unsafe { AtomicU64::from_ptr(at.cast()) }
    }
}

/// Fills the slots.
#[derive(Debug)]
pub struct MmapSender {
    buffer: Buffer,
    /// Messages sent: this side is the only one that writes it.
    position: u64,
    /// A copy of the receiver's position, maybe old.
    read: u64,
    slot: usize,
}

impl Sender for MmapSender {
    #[inline]
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let buffer = &self.buffer;
        buffer.slots.check(message)?;
        if self.position.wrapping_sub(self.read) >= buffer.capacity {
            self.read = alarm::spin_until(|| {
                // Acquire: what the receiver read from the slot came before it gave the slot back.
                let read = buffer.read_position().load(Ordering::Acquire);
                (self.position.wrapping_sub(read) < buffer.capacity).then_some(read)
            })?;
        }
        // SAFETY: the receiver has given this slot back, and takes it only after the store below.
        unsafe { buffer.slots.fill(self.slot, message) };
        self.slot = buffer.slots.after(self.slot);
        self.position += 1;
        // Release: the message is in its slot before the receiver sees the count.
        buffer
            .write_position()
            .store(self.position, Ordering::Release);
        Ok(())
    }
}

/// Empties the slots.
#[derive(Debug)]
pub struct MmapReceiver {
    buffer: Buffer,
    /// Messages received: this side is the only one that writes it.
    position: u64,
    /// A copy of the sender's position, maybe old.
    written: u64,
    slot: usize,
}

impl Receiver for MmapReceiver {
    #[inline]
    fn recv(&mut self, message: &mut [u8]) -> io::Result<usize> {
        let buffer = &self.buffer;
        if self.written <= self.position {
            self.written = alarm::spin_until(|| {
                // Acquire: the message was in its slot before the sender counted it.
                let written = buffer.write_position().load(Ordering::Acquire);
                (written > self.position).then_some(written)
            })?;
        }
        // SAFETY: the sender has counted this slot as filled, and takes it back only after the store below.
        let len = unsafe { buffer.slots.take(self.slot, message) }?;
        self.slot = buffer.slots.after(self.slot);
        self.position += 1;
        // Release: the message has been copied out before the sender sees the slot as free.
        buffer
            .read_position()
            .store(self.position, Ordering::Release);
        Ok(len)
    }
}
