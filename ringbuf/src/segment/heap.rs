//! The same storage on the heap, for loom and Miri: they follow every access, which they can't in mapped memory.
//!
//! Payload goes through [`UnsafeCell`]s, so an access that the protocol does not order is reported as a data race.

#![allow(unsafe_code, reason = "payload cells that the protocol hands out")]

use std::sync::Arc;

use crossbeam_utils::CachePadded;
use shm_semaphore::EventCount;
use shm_semaphore::sync::{AtomicU64, Ordering, UnsafeCell};

use crate::protocol::position::{Capacity, Index, Position};
use crate::protocol::presence::Presence;
use crate::protocol::storage::{RecordStorage, SlotStorage, Words};

/// What the control page of a segment holds.
#[derive(Debug)]
struct Control {
    write_position: CachePadded<AtomicU64>,
    read_position: CachePadded<AtomicU64>,
    taken_position: AtomicU64,
    not_empty: EventCount,
    not_full: EventCount,
    producer: Presence,
    consumer: Presence,
}

impl Control {
    fn starting_at(position: u64) -> Self {
        Self {
            write_position: CachePadded::new(AtomicU64::new(position)),
            read_position: CachePadded::new(AtomicU64::new(position)),
            taken_position: AtomicU64::new(position),
            not_empty: EventCount::new(),
            not_full: EventCount::new(),
            producer: Presence::new(),
            consumer: Presence::new(),
        }
    }
}

#[derive(Debug)]
struct Slot<T> {
    sequence: AtomicU64,
    payload: UnsafeCell<T>,
}

/// Slots on the heap.
#[derive(Debug, Clone)]
pub struct HeapSlots<T> {
    control: Arc<Control>,
    slots: Arc<[Slot<T>]>,
}

// SAFETY: the protocol orders every access to a payload cell; that is what loom and Miri check here.
unsafe impl<T: Send> Send for HeapSlots<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for HeapSlots<T> {}

impl<T: Copy + Default> HeapSlots<T> {
    /// A ring of `capacity` slots, a power of two.
    pub fn new(capacity: u64) -> Self {
        let slot = || Slot {
            sequence: AtomicU64::new(0),
            payload: UnsafeCell::new(T::default()),
        };
        Self {
            control: Arc::new(Control::starting_at(0)),
            slots: (0..capacity).map(|_| slot()).collect(),
        }
    }

    /// Publishes a slot as a batch does before its first slot, for a producer that is to die there.
    pub fn publish_stray(&self, position: u64) {
        let index = Position(position).index(self.capacity());
        // Relaxed: planted before the threads of a model start.
        self.slots[index.0]
            .sequence
            .store(position + 1, Ordering::Relaxed);
    }
}

macro_rules! words_of_control {
    ($($storage:ty $(, $parameter:ident)?);*) => {$(
        impl$(<$parameter>)? Words for $storage {
            fn write_position(&self) -> &AtomicU64 {
                &self.control.write_position
            }
            fn read_position(&self) -> &AtomicU64 {
                &self.control.read_position
            }
            fn taken_position(&self) -> &AtomicU64 {
                &self.control.taken_position
            }
            fn producer(&self) -> &Presence {
                &self.control.producer
            }
            fn consumer(&self) -> &Presence {
                &self.control.consumer
            }
            fn not_empty(&self) -> &EventCount {
                &self.control.not_empty
            }
            fn not_full(&self) -> &EventCount {
                &self.control.not_full
            }
        }
    )*};
}

words_of_control!(HeapSlots<T>, T; HeapRecords);

impl<T: Copy> SlotStorage for HeapSlots<T> {
    type Payload = T;

    fn capacity(&self) -> Capacity {
        Capacity::new(self.slots.len() as u64)
    }

    fn sequence(&self, index: Index) -> &AtomicU64 {
        &self.slots[index.0].sequence
    }

    unsafe fn write(&self, index: Index, payload: T) {
        // SAFETY: the caller was given the slot for writing.
        self.slots[index.0]
            .payload
            .with_mut(|cell| unsafe { *cell = payload });
    }

    unsafe fn read(&self, index: Index) -> T {
        // SAFETY: the caller was given the slot for reading.
        self.slots[index.0].payload.with(|cell| unsafe { *cell })
    }
}

/// Eight bytes that are a header at one time and payload at another. The content is atomic; the cell beside it is there to be
/// touched with every access to payload, so that unordered ones are noticed.
#[derive(Debug)]
struct Word {
    content: AtomicU64,
    payload: UnsafeCell<()>,
}

/// A byte ring on the heap.
#[derive(Debug, Clone)]
pub struct HeapRecords {
    control: Arc<Control>,
    words: Arc<[Word]>,
}

// SAFETY: the cells hold nothing, and the content is atomic; the cells only report accesses that the protocol does not order.
unsafe impl Send for HeapRecords {}
// SAFETY: as above.
unsafe impl Sync for HeapRecords {}

impl HeapRecords {
    /// A ring of `capacity` bytes, a power of two and a multiple of 8.
    pub fn new(capacity: u64) -> Self {
        let word = || Word {
            content: AtomicU64::new(0),
            payload: UnsafeCell::new(()),
        };
        Self {
            control: Arc::new(Control::starting_at(0)),
            words: (0..capacity / 8).map(|_| word()).collect(),
        }
    }

    fn word(&self, byte: Position) -> &Word {
        &self.words[byte.index(self.capacity()).0 / 8]
    }
}

impl RecordStorage for HeapRecords {
    fn capacity(&self) -> Capacity {
        Capacity::new(self.words.len() as u64 * 8)
    }

    fn header(&self, index: Index) -> &AtomicU64 {
        &self.words[index.0 / 8].content
    }

    unsafe fn write(&self, at: Position, bytes: &[u8]) {
        for (ahead, byte) in bytes.iter().enumerate() {
            let at = at.plus(ahead as u64);
            let word = self.word(at);
            let shift = (at.0 % 8) * 8;
            word.payload.with_mut(|_| ());
            // Relaxed, both: payload, which the cell watches.
            let others = word.content.load(Ordering::Relaxed) & !(0xFF << shift);
            word.content
                .store(others | u64::from(*byte) << shift, Ordering::Relaxed);
        }
    }

    unsafe fn read(&self, at: Position, bytes: &mut [u8]) {
        for (ahead, byte) in bytes.iter_mut().enumerate() {
            let at = at.plus(ahead as u64);
            let word = self.word(at);
            word.payload.with(|_| ());
            // Relaxed: payload, which the cell watches.
            *byte = (word.content.load(Ordering::Relaxed) >> ((at.0 % 8) * 8)) as u8;
        }
    }
}
