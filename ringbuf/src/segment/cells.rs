//! The cells of a ring for many in a mapped segment.

#![allow(unsafe_code, reason = "payload in mapped memory")]

use std::fmt;
use std::marker::PhantomData;
use std::os::fd::AsFd;
use std::sync::Arc;

use shm_semaphore::os::lock;
use shm_semaphore::sync::{AtomicU64, Ordering};

use super::lifecycle::Segment;
use super::view::{View, slot_shape};
use crate::protocol::multi::storage::{ByteCells, Cells, ValueCells};
use crate::protocol::position::{Capacity, Index};

/// The segment of a ring for many, as one of its participants sees it.
#[derive(Debug)]
pub struct Mapped {
    view: View,
    segment: Arc<Segment>,
    seat: usize,
}

impl Mapped {
    /// The caller has locked the seat, and the lock is carried by the view's mapping.
    pub fn new(view: View, segment: Arc<Segment>, seat: usize) -> Self {
        Self {
            view,
            segment,
            seat,
        }
    }

    /// The mapped bytes.
    #[inline]
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The file.
    pub fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Our own seat.
    pub fn seat(&self) -> usize {
        self.seat
    }
}

/// Where a participant's cells lie.
pub trait InSegment: Cells {
    /// All of it.
    fn mapped(&self) -> &Mapped;

    /// The bytes of the message that begins in a cell, where that varies.
    #[inline]
    fn len_at(&self, _index: Index) -> u64 {
        0
    }
}

/// Cells that carry a `T` each.
pub struct MappedValues<T> {
    mapped: Mapped,
    /// A `T` is only ever copied in and out, so the storage goes to any thread.
    payload: PhantomData<fn(T) -> T>,
}

impl<T> fmt::Debug for MappedValues<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.mapped.fmt(f)
    }
}

impl<T> MappedValues<T> {
    /// The view's geometry was validated for `T`.
    pub fn new(mapped: Mapped) -> Self {
        debug_assert_eq!(mapped.view.geometry().payload.size, size_of::<T>() as u64);
        Self {
            mapped,
            payload: PhantomData,
        }
    }

    /// Where a cell keeps its payload.
    #[inline]
    pub fn payload_ptr(&self, index: Index) -> *mut T {
        let (stride, payload_offset) = const { slot_shape::<T>() };
        // SAFETY: the index was masked with the capacity, so the cell lies inside the data.
        unsafe {
            self.mapped
                .view
                .data
                .as_ptr()
                .add(index.0 * stride + payload_offset)
                .cast()
        }
    }
}

/// Cells of bytes, which follow one another.
#[derive(Debug)]
pub struct MappedBytes {
    mapped: Mapped,
}

impl MappedBytes {
    /// The view's mapping shows its data twice.
    pub fn new(mapped: Mapped) -> Self {
        Self { mapped }
    }

    /// Where the bytes of a cell begin; those of the cells behind it follow, as many as there are.
    #[inline]
    pub fn byte_ptr(&self, index: Index) -> *mut u8 {
        let view = &self.mapped.view;
        // SAFETY: the index was masked with the capacity, so the cell lies inside the data.
        unsafe {
            view.data
                .as_ptr()
                .add(index.0 * view.geometry().many.cell_len as usize)
        }
    }
}

macro_rules! cells_of_segment {
    ($($storage:ty $(, $parameter:ident)? => $word:expr);*) => {$(
        impl$(<$parameter>)? Cells for $storage {
            #[inline]
            fn capacity(&self) -> Capacity {
                self.mapped.view.geometry().capacity
            }
            #[inline]
            fn cell(&self, index: Index) -> &AtomicU64 {
                let word: fn(&Self, Index) -> &AtomicU64 = $word;
                word(self, index)
            }
            #[inline]
            fn head(&self) -> &AtomicU64 {
                &self.mapped.view.many().head.position
            }
            #[inline]
            fn tail(&self) -> &AtomicU64 {
                &self.mapped.view.many().tail.position
            }
            fn dropped(&self) -> &AtomicU64 {
                &self.mapped.view.many().notes.dropped
            }
            fn seats(&self) -> usize {
                // Relaxed: whoever took a seat raised this before anything that can be seen of it; and bounded, since anybody may write it.
                let seats = self.mapped.view.many().notes.seats.load(Ordering::Relaxed);
                seats.min(self.mapped.view.geometry().many.seats) as usize
            }
            #[inline]
            fn intent(&self, seat: usize) -> &AtomicU64 {
                &self.mapped.view.seats()[seat].intent
            }
            fn lives(&self, seat: usize) -> bool {
                let file = self.mapped.segment.file.as_fd();
                // A system that does not answer proves nothing; nor does one in which our own lock does not show.
                lock::is_locked(file, seat as u32).unwrap_or(true)
                    || !lock::is_locked(file, self.mapped.seat as u32).unwrap_or(false)
            }
            #[inline]
            fn has_one_producer(&self) -> bool {
                self.mapped.view.geometry().many.one_producer
            }
            #[inline]
            fn has_one_consumer(&self) -> bool {
                self.mapped.view.geometry().many.one_consumer
            }
        }
    )*};
}

cells_of_segment!(
    MappedValues<T>, T => |values, index| {
        let (stride, _) = const { slot_shape::<T>() };
        // SAFETY: strides are multiples of 8, and the index was masked with the capacity.
        unsafe { values.mapped.view.word(index.0 * stride) }
    };
    MappedBytes => |bytes, index| bytes.mapped.view.cell_word(index, 0)
);

impl<T> InSegment for MappedValues<T> {
    #[inline]
    fn mapped(&self) -> &Mapped {
        &self.mapped
    }
}

impl InSegment for MappedBytes {
    #[inline]
    fn mapped(&self) -> &Mapped {
        &self.mapped
    }

    #[inline]
    fn len_at(&self, index: Index) -> u64 {
        // Relaxed: published by the exchange of the cell.
        self.message_len(index).load(Ordering::Relaxed)
    }
}

impl<T: Copy> ValueCells for MappedValues<T> {
    type Payload = T;

    #[inline]
    unsafe fn write(&self, index: Index, payload: T) {
        // SAFETY: inside the mapping and aligned; the protocol has given us the cell.
        unsafe { self.payload_ptr(index).write(payload) };
    }

    #[inline]
    unsafe fn read(&self, index: Index) -> T {
        // SAFETY: inside the mapping and aligned; the protocol has given us the cell, and any bytes are a `T`.
        unsafe { self.payload_ptr(index).read() }
    }
}

impl ByteCells for MappedBytes {
    #[inline]
    fn cell_len(&self) -> u64 {
        self.mapped.view.geometry().many.cell_len
    }

    #[inline]
    fn message_len(&self, index: Index) -> &AtomicU64 {
        self.mapped.view.cell_word(index, 1)
    }

    #[inline]
    unsafe fn write(&self, index: Index, offset: u64, bytes: &[u8]) {
        // SAFETY: the run begins in the first image and is no longer than the ring, so it ends in the second at the latest.
        let start = unsafe { self.byte_ptr(index).add(offset as usize) };
        // SAFETY: as above, and the protocol has given us these bytes.
        unsafe { start.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }

    #[inline]
    unsafe fn read(&self, index: Index, offset: u64, bytes: &mut [u8]) {
        // SAFETY: as for writing.
        let start = unsafe { self.byte_ptr(index).add(offset as usize) };
        // SAFETY: as above, and the protocol has given us these bytes.
        unsafe { start.copy_to_nonoverlapping(bytes.as_mut_ptr(), bytes.len()) };
    }
}
