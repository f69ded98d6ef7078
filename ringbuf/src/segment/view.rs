//! From mapped bytes to typed references: what the protocols see of a segment.
//!
//! The mapping was checked against the file's true length, and the geometry was validated and copied into private memory. So every
//! offset computed here from a masked index lies inside the mapping, whatever a peer writes into the segment.

#![allow(unsafe_code, reason = "references into mapped memory")]

use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;

use shm_semaphore::EventCount;
use shm_semaphore::sync::AtomicU64;

use super::layout::{CONTROL_OFFSET, Control, Geometry};
use super::many;
use crate::protocol::position::{Capacity, Index, Position};
use crate::protocol::presence::Presence;
use crate::protocol::storage::{RecordStorage, SlotStorage, Words};
use crate::role::Role;
use shm_semaphore::os::mapping::Mapping;

/// A mapped segment with private copies of all that is needed to find things in it.
#[derive(Debug)]
pub struct View {
    control: NonNull<Control>,
    pub(super) data: NonNull<u8>,
    words_offset: usize,
    geometry: Geometry,
    mapping: Mapping,
}

// SAFETY: the pointers lead into the mapping, which moves with the view and is valid on any thread.
unsafe impl Send for View {}

impl View {
    /// Wraps a mapping of at least the geometry's length, mirrored if it holds records.
    pub fn new(mapping: Mapping, geometry: Geometry) -> Self {
        let base = mapping.base();
        // SAFETY: the mapping is at least `total_len` long, which is beyond the control page.
        let control = unsafe { base.add(CONTROL_OFFSET as usize) }.cast();
        // SAFETY: as above; data begins within `total_len`.
        let data = unsafe { base.add(geometry.data_offset as usize) };
        Self {
            control,
            data,
            words_offset: geometry.words_offset as usize,
            geometry,
            mapping,
        }
    }

    /// The shared words.
    #[inline]
    pub fn control(&self) -> &Control {
        // SAFETY: mapped for as long as we live, aligned (asserted in the layout), and made of atomics, for which any bytes are valid.
        unsafe { self.control.as_ref() }
    }

    /// The shared words of a ring for many.
    #[inline]
    pub fn many(&self) -> &many::Control {
        debug_assert!(self.geometry.kind.is_multi());
        // SAFETY: as for `control`; the geometry of such a ring reaches beyond these words.
        unsafe { self.control.cast().as_ref() }
    }

    /// The seats of a ring for many.
    #[inline]
    pub fn seats(&self) -> &[many::Seat] {
        debug_assert!(self.geometry.kind.is_multi());
        // SAFETY: the seats lie behind the control words, before the data; made of atomics, for which any bytes are valid.
        let first = unsafe { self.control.cast::<many::Control>().add(1) };
        // SAFETY: as above; the size of the control words is a multiple of their alignment (asserted in the layout).
        unsafe {
            std::slice::from_raw_parts(first.cast().as_ptr(), self.geometry.many.seats as usize)
        }
    }

    /// One of the two words of a cell that lie apart from its bytes.
    #[inline]
    pub(super) fn cell_word(&self, index: Index, which: usize) -> &AtomicU64 {
        let offset = self.words_offset + index.0 * many::CELL_WORDS_LEN as usize + which * 8;
        // SAFETY: the words of all cells lie before the data, and the index was masked with the capacity.
        let word = unsafe { self.mapping.base().add(offset) };
        // SAFETY: aligned (offsets are multiples of 8), and only ever reached as an atomic.
        unsafe { word.cast().as_ref() }
    }

    /// The private copy of the geometry.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Whether this process has the mapping (a child after `fork` does not).
    pub fn is_ours(&self) -> bool {
        self.mapping.is_ours()
    }

    /// The word at an offset into the data.
    ///
    /// # Safety
    /// `offset` is a multiple of 8, and `offset + 8` is at most the length of the data.
    #[inline]
    pub(super) unsafe fn word(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: inside the mapping, as the caller vouches.
        let word = unsafe { self.data.add(offset) };
        // SAFETY: aligned, and processes reach it through atomics only for as long as it is a word.
        unsafe { word.cast().as_ref() }
    }
}

macro_rules! words_of_view {
    ($($storage:ty $(, $parameter:ident)?);*) => {$(
        impl$(<$parameter>)? Words for $storage {
            #[inline]
            fn write_position(&self) -> &AtomicU64 {
                &self.view.control().producer_line.write_position
            }
            #[inline]
            fn read_position(&self) -> &AtomicU64 {
                &self.view.control().consumer_line.read_position
            }
            #[inline]
            fn taken_position(&self) -> &AtomicU64 {
                &self.view.control().consumer_line.taken_position
            }
            #[inline]
            fn producer(&self) -> &Presence {
                &self.view.control().participants[Role::Producer.slot()].presence
            }
            #[inline]
            fn consumer(&self) -> &Presence {
                &self.view.control().participants[Role::Consumer.slot()].presence
            }
            #[inline]
            fn not_empty(&self) -> &EventCount {
                &self.view.control().not_empty.event
            }
            #[inline]
            fn not_full(&self) -> &EventCount {
                &self.view.control().not_full.event
            }
        }

        impl$(<$parameter>)? HasView for $storage {
            #[inline]
            fn view(&self) -> &View {
                &self.view
            }
        }
    )*};
}

words_of_view!(MappedSlots<T>, T; MappedRecords);

/// Storage that lies in a segment.
pub trait HasView: Words {
    /// The segment.
    fn view(&self) -> &View;
}

/// Slots in a segment.
pub struct MappedSlots<T> {
    view: View,
    /// A `T` is only ever copied in and out, so the storage goes to any thread.
    payload: PhantomData<fn(T) -> T>,
}

impl<T> fmt::Debug for MappedSlots<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view.fmt(f)
    }
}

impl<T> MappedSlots<T> {
    /// The view's geometry was validated for `T`.
    pub fn new(view: View) -> Self {
        debug_assert_eq!(view.geometry.payload.size, size_of::<T>() as u64);
        Self {
            view,
            payload: PhantomData,
        }
    }

    /// Where the slot of a position keeps its payload.
    #[inline]
    pub fn payload_ptr(&self, index: Index) -> *mut T {
        // A typed ring's stride and offset depend on `T` alone, so the compiler knows them.
        let (stride, payload_offset) = const { slot_shape::<T>() };
        // SAFETY: the index was masked with the capacity, so the slot lies inside the data.
        unsafe {
            self.view
                .data
                .as_ptr()
                .add(index.0 * stride + payload_offset)
                .cast()
        }
    }
}

/// Stride and offset of the payload, as [`Geometry::new`] computes them (which a test holds against this).
pub(super) const fn slot_shape<T>() -> (usize, usize) {
    let (size, align) = (size_of::<T>(), align_of::<T>());
    if size <= 8 && align <= 8 {
        return (16, 8);
    }
    let align = if align > 8 { align } else { 8 };
    ((align + size).next_multiple_of(align), align)
}

impl<T: Copy> SlotStorage for MappedSlots<T> {
    type Payload = T;

    #[inline]
    fn capacity(&self) -> Capacity {
        self.view.geometry.capacity
    }

    #[inline]
    fn sequence(&self, index: Index) -> &AtomicU64 {
        let (stride, _) = const { slot_shape::<T>() };
        // SAFETY: strides are multiples of 8, and the index was masked with the capacity.
        unsafe { self.view.word(index.0 * stride) }
    }

    #[inline]
    unsafe fn write(&self, index: Index, payload: T) {
        // SAFETY: inside the mapping and aligned; the protocol has given us the slot.
        unsafe { self.payload_ptr(index).write(payload) };
    }

    #[inline]
    unsafe fn read(&self, index: Index) -> T {
        // SAFETY: inside the mapping and aligned; the protocol has given us the slot, and any bytes are a `T`.
        unsafe { self.payload_ptr(index).read() }
    }
}

/// A byte ring in a segment, mapped twice in a row.
#[derive(Debug)]
pub struct MappedRecords {
    view: View,
}

impl MappedRecords {
    /// The view's mapping shows its data twice.
    pub fn new(view: View) -> Self {
        Self { view }
    }

    /// Where the byte at a position is; as many bytes as the ring is long follow it.
    #[inline]
    pub fn byte_ptr(&self, at: Position) -> *mut u8 {
        // SAFETY: the index was masked with the capacity.
        unsafe { self.view.data.as_ptr().add(at.index(self.capacity()).0) }
    }
}

impl RecordStorage for MappedRecords {
    #[inline]
    fn capacity(&self) -> Capacity {
        self.view.geometry.capacity
    }

    #[inline]
    fn header(&self, index: Index) -> &AtomicU64 {
        // SAFETY: positions of records are multiples of 8 (checked on attach and kept so), and the index was masked.
        unsafe { self.view.word(index.0) }
    }

    #[inline]
    unsafe fn write(&self, at: Position, bytes: &[u8]) {
        // SAFETY: the run begins in the first image and is no longer than the ring, so it ends in the second at the latest;
        // the protocol has given us these bytes.
        unsafe {
            self.byte_ptr(at)
                .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len())
        };
    }

    #[inline]
    unsafe fn read(&self, at: Position, bytes: &mut [u8]) {
        // SAFETY: as for writing.
        unsafe {
            self.byte_ptr(at)
                .copy_to_nonoverlapping(bytes.as_mut_ptr(), bytes.len())
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::layout::{Kind, PayloadType};
    use crate::segment::many::Many;
    use crate::wait::Wait;

    fn assert_same_shape<T>() {
        let payload = PayloadType {
            size: size_of::<T>() as u64,
            align: align_of::<T>() as u64,
            tag: 0,
        };
        let geometry = Geometry::new(
            Kind::SpscSlots,
            8,
            payload,
            Wait::Spin,
            false,
            Many::default(),
        )
        .unwrap();
        let (stride, payload_offset) = slot_shape::<T>();
        assert_eq!(
            (geometry.stride, geometry.payload_offset),
            (stride as u64, payload_offset as u64)
        );
    }

    #[test]
    fn the_compiler_and_the_header_agree_on_the_shape_of_a_slot() {
        #[repr(align(64))]
        struct Line([u8; 64]);
        assert_same_shape::<()>();
        assert_same_shape::<u8>();
        assert_same_shape::<u64>();
        assert_same_shape::<[u8; 9]>();
        assert_same_shape::<u128>();
        assert_same_shape::<[u64; 8]>();
        assert_same_shape::<Line>();
        assert_eq!(Line([0; 64]).0[0], 0);
    }
}
