//! The slots of a bounded buffer in shared memory, for the mechanisms that bring their own way of counting.
//!
//! ```text
//!  slot  0                        1
//!        +---------+---------+----+---------+--
//!        | len u32 | message | -- | len u32 | ...      each slot rounded up to 8 bytes
//!        +---------+---------+----+---------+--
//! ```
#![allow(unsafe_code)]

use std::io;
use std::ptr;

use super::join;

const LEN_BYTES: usize = size_of::<u32>();
const SLOT_ALIGN: usize = 8;

/// Slots of equal size behind a pointer to shared memory.
#[derive(Debug)]
pub struct Slots {
    base: *mut u8,
    stride: usize,
    capacity: usize,
    message_len_max: usize,
}

impl Slots {
    /// Bytes that `capacity` slots take; none when that is more than an address can say.
    pub fn footprint(capacity: usize, message_len_max: usize) -> Option<usize> {
        let stride = message_len_max
            .checked_add(LEN_BYTES)?
            .checked_next_multiple_of(SLOT_ALIGN)?;
        stride.checked_mul(capacity)
    }

    /// # Safety
    /// `base` is aligned to 8 bytes and points to `footprint(capacity, message_len_max)` bytes of shared memory that
    /// stay mapped, readable and writable, as long as the value is used.
    pub unsafe fn new(base: *mut u8, capacity: usize, message_len_max: usize) -> Self {
        let stride = (message_len_max + LEN_BYTES).next_multiple_of(SLOT_ALIGN);
        Self {
            base,
            stride,
            capacity,
            message_len_max,
        }
    }

    /// The slot after `slot`.
    #[inline]
    pub fn after(&self, slot: usize) -> usize {
        if slot + 1 == self.capacity {
            0
        } else {
            slot + 1
        }
    }

    /// The slot of the message with this number, counted from the first one ever sent.
    pub fn of_position(&self, position: u64) -> usize {
        (position % self.capacity as u64) as usize
    }

    #[inline]
    fn at(&self, slot: usize) -> *mut u8 {
        assert!(slot < self.capacity);
        // SAFETY: the slot is one of `capacity`, which `new` was told are all mapped.
        unsafe { self.base.add(slot * self.stride) }
    }

    /// Whether a message fits into a slot; to be asked before a slot is taken.
    ///
    /// # Errors
    /// `InvalidInput` when it is longer than was agreed.
    #[inline]
    pub fn check(&self, message: &[u8]) -> io::Result<()> {
        join::check_sent(message.len(), self.message_len_max)
    }

    /// Copies a message into a slot.
    ///
    /// # Panics
    /// When it does not fit ([`Self::check`] tells).
    ///
    /// # Safety
    /// The mechanism has given this slot to the sender: nobody else touches it until the sender says that it is filled.
    #[inline]
    pub unsafe fn fill(&self, slot: usize, message: &[u8]) {
        assert!(message.len() <= self.message_len_max);
        let at = self.at(slot);
        let len_at: *mut u32 = at.cast();
        // SAFETY: aligned by `new` and the stride; the caller owns the slot.
        unsafe { len_at.write(message.len() as u32) };
        // SAFETY: behind the length, still inside the slot.
        let payload = unsafe { at.add(LEN_BYTES) };
        // SAFETY: the length was checked against the slot's; the caller owns the slot, so nothing overlaps.
        unsafe { ptr::copy_nonoverlapping(message.as_ptr(), payload, message.len()) };
    }

    /// Copies the message of a slot to the front of `buffer` and returns its length.
    ///
    /// # Errors
    /// `InvalidData` or `InvalidInput` when the length in the slot is over what was agreed or over the buffer's.
    ///
    /// # Safety
    /// The mechanism has given this slot to the receiver: nobody writes to it until the receiver says that it is free.
    #[inline]
    pub unsafe fn take(&self, slot: usize, buffer: &mut [u8]) -> io::Result<usize> {
        let at = self.at(slot);
        let len_at: *const u32 = at.cast();
        // SAFETY: aligned by `new` and the stride; the caller owns the slot.
        let len = unsafe { len_at.read() } as usize;
        join::check_received(len, self.message_len_max, buffer.len())?;
        // SAFETY: behind the length, still inside the slot.
        let payload = unsafe { at.add(LEN_BYTES) };
        // SAFETY: the local copy of the length was checked against both; the buffer is private memory.
        unsafe { ptr::copy_nonoverlapping(payload, buffer.as_mut_ptr(), len) };
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_from_their_slots_and_lengths_are_checked() {
        let mut memory = vec![0u64; Slots::footprint(3, 13).unwrap() / 8];
        // SAFETY: the vector is aligned to 8 and has exactly the footprint.
        let slots = unsafe { Slots::new(memory.as_mut_ptr().cast(), 3, 13) };
        for (slot, message) in [&b"thirteen long"[..], b"", b"x"].iter().enumerate() {
            // SAFETY: one thread only.
            unsafe { slots.fill(slot, message) };
        }
        let mut buffer = [0; 13];
        for (slot, message) in [&b"thirteen long"[..], b"", b"x"].iter().enumerate() {
            // SAFETY: one thread only.
            let len = unsafe { slots.take(slot, &mut buffer) }.unwrap();
            assert_eq!(&buffer[..len], *message);
        }
        memory[0] = 14;
        // SAFETY: one thread only.
        let error = unsafe { slots.take(0, &mut buffer) }.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(slots.check(&[0; 13]).is_ok());
        assert!(slots.check(&[0; 14]).is_err());
    }

    #[test]
    fn slots_follow_each_other_in_a_circle() {
        // SAFETY: no slot is touched.
        let slots = unsafe { Slots::new(ptr::null_mut(), 3, 8) };
        assert_eq!([slots.after(0), slots.after(1), slots.after(2)], [1, 2, 0]);
        assert_eq!(slots.of_position(7), 1);
        assert_eq!(Slots::footprint(usize::MAX, 8), None);
    }
}
