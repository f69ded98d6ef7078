//! What a protocol needs of the memory below it. The mapped segment implements these traits, and so does a stand-in on
//! the heap, which loom and Miri can follow.

#![allow(
    unsafe_code,
    reason = "payload access, whose conditions the protocols keep"
)]

use shm_semaphore::EventCount;
use shm_semaphore::sync::AtomicU64;

use super::position::{Capacity, Index, Position};
use super::presence::Presence;

/// The words that the two sides show each other.
pub trait Words {
    /// Written by the producer; only a hint for observers, since the slots and records themselves tell what is committed.
    fn write_position(&self) -> &AtomicU64;
    /// Written by the consumer: everything before it has been released.
    fn read_position(&self) -> &AtomicU64;
    /// Written by the consumer: everything before it has been handed out, and perhaps acted upon.
    fn taken_position(&self) -> &AtomicU64;
    /// Who produces.
    fn producer(&self) -> &Presence;
    /// Who consumes.
    fn consumer(&self) -> &Presence;
    /// The consumer sleeps here.
    fn not_empty(&self) -> &EventCount;
    /// The producer sleeps here.
    fn not_full(&self) -> &EventCount;
}

/// Fixed slots, each with a sequence word beside its payload.
pub trait SlotStorage: Words {
    /// What a slot carries.
    type Payload: Copy;

    /// The number of slots.
    fn capacity(&self) -> Capacity;

    /// The word that says which position the slot was last published for.
    fn sequence(&self, index: Index) -> &AtomicU64;

    /// Copies a payload into the slot.
    ///
    /// # Safety
    /// The protocol has given the slot to the caller, for writing.
    unsafe fn write(&self, index: Index, payload: Self::Payload);

    /// Copies the payload out of the slot.
    ///
    /// # Safety
    /// The protocol has given the slot to the caller, for reading.
    unsafe fn read(&self, index: Index) -> Self::Payload;
}

/// A ring of bytes in which any run that is no longer than the ring is contiguous (the mapping shows the ring twice in a row), and
/// in which every eighth byte can be the header word of a record.
pub trait RecordStorage: Words {
    /// The number of bytes, a multiple of 8.
    fn capacity(&self) -> Capacity;

    /// The header word at an index that is a multiple of 8.
    fn header(&self, index: Index) -> &AtomicU64;

    /// Copies bytes into the ring.
    ///
    /// # Safety
    /// The protocol has given these bytes to the caller, for writing.
    unsafe fn write(&self, at: Position, bytes: &[u8]);

    /// Copies bytes out of the ring.
    ///
    /// # Safety
    /// The protocol has given these bytes to the caller, for reading.
    unsafe fn read(&self, at: Position, bytes: &mut [u8]);
}
