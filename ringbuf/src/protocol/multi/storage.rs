//! What the protocol needs of the memory below it, and of the kernel.

#![allow(
    unsafe_code,
    reason = "payload access, whose conditions the protocol keeps"
)]

use shm_semaphore::sync::AtomicU64;

use crate::protocol::position::{Capacity, Index};

/// The words that all participants share.
pub trait Cells {
    /// The number of cells.
    fn capacity(&self) -> Capacity;

    /// The word of a cell; see [`Cell`](super::cell::Cell).
    fn cell(&self, index: Index) -> &AtomicU64;

    /// The next position to be taken by a consumer.
    fn head(&self) -> &AtomicU64;

    /// The next position to be claimed by a producer.
    fn tail(&self) -> &AtomicU64;

    /// What was dropped, and the last one that was counted; see [`drops`](super::drops).
    fn dropped(&self) -> &AtomicU64;

    /// Seats that were ever taken: those from here on have announced nothing yet.
    fn seats(&self) -> usize;

    /// The word of a seat; see [`Intent`](super::intent::Intent).
    fn intent(&self, seat: usize) -> &AtomicU64;

    /// Whether whoever has the seat may still store into the segment. Only a proof of the contrary makes it false.
    fn lives(&self, seat: usize) -> bool;

    /// Whether there is never more than one producer, so that nobody else moves the tail.
    fn has_one_producer(&self) -> bool;

    /// Whether there is never more than one consumer, so that nobody else moves the head.
    fn has_one_consumer(&self) -> bool;
}

/// Cells that carry one value each.
pub trait ValueCells: Cells {
    /// What a cell carries.
    type Payload: Copy;

    /// Copies a value into a cell.
    ///
    /// # Safety
    /// The protocol has given the cell to the caller, for writing.
    unsafe fn write(&self, index: Index, payload: Self::Payload);

    /// Copies the value out of a cell.
    ///
    /// # Safety
    /// The protocol has given the cell to the caller, for reading.
    unsafe fn read(&self, index: Index) -> Self::Payload;
}

/// Cells whose bytes follow one another, those of the last by those of the first.
pub trait ByteCells: Cells {
    /// Bytes of a cell.
    fn cell_len(&self) -> u64;

    /// The bytes of the message that begins in a cell.
    fn message_len(&self, index: Index) -> &AtomicU64;

    /// Copies bytes into the cells from this one on.
    ///
    /// # Safety
    /// The protocol has given the cells to the caller, for writing.
    unsafe fn write(&self, index: Index, offset: u64, bytes: &[u8]);

    /// Copies bytes out of the cells from this one on.
    ///
    /// # Safety
    /// The protocol has given the cells to the caller, for reading.
    unsafe fn read(&self, index: Index, offset: u64, bytes: &mut [u8]);
}
