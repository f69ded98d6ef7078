//! The cells of a multi ring on the heap, for loom and Miri, as [`heap`](super::heap) is for the other forms.

#![allow(unsafe_code, reason = "payload cells that the protocol hands out")]

use std::sync::Arc;

use crossbeam_utils::CachePadded;
use shm_semaphore::sync::{AtomicU64, Ordering, UnsafeCell};

use crate::protocol::multi::storage::{Cells, ValueCells};
use crate::protocol::position::{Capacity, Index, Position};

/// How a ring on the heap is made.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Cells, a power of two.
    pub capacity: u64,
    /// Participants.
    pub seats: usize,
    /// Where head and tail begin.
    pub start: u64,
    /// Only one seat ever produces.
    pub has_one_producer: bool,
    /// Only one seat ever consumes.
    pub has_one_consumer: bool,
    /// Participants join one by one, and nobody asks for one that has not. That is how it is in a segment; a model takes much longer for it.
    pub joins: bool,
}

impl Shape {
    /// A ring for many that begins at its first position.
    pub fn new(capacity: u64, seats: usize) -> Self {
        Self {
            capacity,
            seats,
            start: 0,
            has_one_producer: false,
            has_one_consumer: false,
            joins: false,
        }
    }
}

#[derive(Debug)]
struct Slot {
    state: AtomicU64,
    payload: UnsafeCell<u64>,
}

// SAFETY: the protocol orders every access to a payload cell; that is what loom and Miri check here.
unsafe impl Send for Slot {}
// SAFETY: as above.
unsafe impl Sync for Slot {}

#[derive(Debug)]
struct Seat {
    intent: AtomicU64,
    /// What the kernel knows: a dead one's stores all come before this one.
    is_dead: AtomicU64,
}

#[derive(Debug)]
struct Memory {
    shape: Shape,
    head: CachePadded<AtomicU64>,
    tail: CachePadded<AtomicU64>,
    dropped: AtomicU64,
    /// Seats that were ever taken.
    raised: AtomicU64,
    slots: Vec<Slot>,
    seats: Vec<Seat>,
}

/// Cells on the heap, each with a number in it.
#[derive(Debug, Clone)]
pub struct HeapCells {
    memory: Arc<Memory>,
}

impl HeapCells {
    /// A fresh ring.
    pub fn new(shape: Shape) -> Self {
        let capacity = Capacity::new(shape.capacity);
        let first = |index: u64| {
            let start = Position(shape.start);
            let ahead = index.wrapping_sub(shape.start) & (shape.capacity - 1);
            let free = crate::protocol::multi::cell::Kind::Free;
            crate::protocol::multi::cell::Cell::new(free, start.plus(ahead), capacity)
        };
        let slots = (0..shape.capacity).map(|index| Slot {
            state: AtomicU64::new(first(index).0),
            payload: UnsafeCell::new(0),
        });
        let seats = (0..shape.seats).map(|_| Seat {
            intent: AtomicU64::new(0),
            is_dead: AtomicU64::new(0),
        });
        Self {
            memory: Arc::new(Memory {
                shape,
                head: CachePadded::new(AtomicU64::new(shape.start)),
                tail: CachePadded::new(AtomicU64::new(shape.start)),
                dropped: AtomicU64::new(0),
                raised: AtomicU64::new(0),
                slots: slots.collect(),
                seats: seats.collect(),
            }),
        }
    }

    /// The seat is about to be taken.
    pub fn raise(&self, seat: usize) {
        if !self.memory.shape.joins {
            return;
        }
        let wanted = seat as u64 + 1;
        let raised = &self.memory.raised;
        // Relaxed, all: whoever sees anything of this participant sees what came before it.
        let mut seen = raised.load(Ordering::Relaxed);
        while seen < wanted {
            match raised.compare_exchange(seen, wanted, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// The participant is dead: it does nothing any more.
    pub fn bury(&self, seat: usize) {
        // Release: as the kernel gives a lock back after all stores of its holder.
        self.memory.seats[seat].is_dead.store(1, Ordering::Release); // edge: burial.release
    }

    /// Somebody else has won the seat of a dead one, whose end the caller has seen.
    pub fn revive(&self, seat: usize) {
        // Relaxed: from a living one's lock nobody concludes anything.
        self.memory.seats[seat].is_dead.store(0, Ordering::Relaxed);
    }
}

impl Cells for HeapCells {
    fn capacity(&self) -> Capacity {
        Capacity::new(self.memory.shape.capacity)
    }

    fn cell(&self, index: Index) -> &AtomicU64 {
        &self.memory.slots[index.0].state
    }

    fn head(&self) -> &AtomicU64 {
        &self.memory.head
    }

    fn tail(&self) -> &AtomicU64 {
        &self.memory.tail
    }

    fn dropped(&self) -> &AtomicU64 {
        &self.memory.dropped
    }

    fn seats(&self) -> usize {
        if !self.memory.shape.joins {
            return self.memory.shape.seats;
        }
        // Relaxed: who is looked for has raised it before the claim that was seen.
        self.memory.raised.load(Ordering::Relaxed) as usize
    }

    fn intent(&self, seat: usize) -> &AtomicU64 {
        &self.memory.seats[seat].intent
    }

    fn lives(&self, seat: usize) -> bool {
        // Acquire: as the kernel's lock orders what follows behind its holder's stores.
        self.memory.seats[seat].is_dead.load(Ordering::Acquire) == 0 // edge: burial.acquire
    }

    fn has_one_producer(&self) -> bool {
        self.memory.shape.has_one_producer
    }

    fn has_one_consumer(&self) -> bool {
        self.memory.shape.has_one_consumer
    }
}

impl ValueCells for HeapCells {
    type Payload = u64;

    unsafe fn write(&self, index: Index, payload: u64) {
        // SAFETY: the caller was given the cell for writing.
        self.memory.slots[index.0]
            .payload
            .with_mut(|cell| unsafe { *cell = payload });
    }

    unsafe fn read(&self, index: Index) -> u64 {
        // SAFETY: the caller was given the cell for reading.
        self.memory.slots[index.0]
            .payload
            .with(|cell| unsafe { *cell })
    }
}
