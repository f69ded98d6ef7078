//! The typed SPSC ring: fixed slots that carry their own flag.
//!
//! ```text
//! slot:  | sequence: u64 | payload … |     sequence = position + 1 once the slot is published for that position
//! ```
//!
//! The flag lives beside the payload, so a consumer that waits for a small message needs one cache line, not an index line and a
//! payload line. The producer never reads what the consumer writes until its cached copy of the read position says "full".
//!
//! | step | access | pairs with |
//! |---|---|---|
//! | P1 | producer reads `read_position`, Acquire (`slot_free`) | C3 |
//! | P2 | producer writes the payload | |
//! | P3 | producer stores the sequence, Release (`slot_full`) | C1 |
//! | C1 | consumer reads the sequence, Acquire (`slot_full`) | P3 |
//! | C2 | consumer reads the payload | |
//! | C3 | consumer stores `read_position`, Release (`slot_free`) | P1 |
//!
//! P3 to C1: a consumer that sees the sequence sees the payload. C3 to P1: a producer that reuses a slot does so after the consumer's
//! last look at it. The consumer never writes to a slot.
//!
//! A batch is published from its last slot to its first. The consumer follows the positions, so it sees nothing of the batch
//! before the first slot, and then all of it.
//!
//! After a crash of the producer the slots themselves tell where the committed messages end. A batch that was being published may
//! have left published slots beyond that end; the successor's [`SlotWriter::recover`] wipes them. Nothing else is in doubt.
//!
//! Source: the sequence in the slot is Vyukov's bounded queue, reduced to one producer and one consumer; the cached position is
//! that of `rtrb` and Agrona.

use shm_semaphore::sync::{Ordering, compiler_fence};

use super::ends::{ReadSide, WriteSide};
use super::position::Position;
use super::storage::SlotStorage;
use crate::error::Corruption;

/// The sequence of a slot that was never published, or was wiped by a recovery.
const NEVER_PUBLISHED: u64 = 0;

/// The sequence that publishes a slot for a position.
#[inline]
fn published(position: Position) -> u64 {
    position.0.wrapping_add(1)
}

/// The producer's side of the protocol.
#[derive(Debug)]
pub struct SlotWriter<S> {
    storage: S,
    write_position: Position,
    /// What `read_position` was when we last had to know.
    cached_read_position: Position,
}

impl<S: SlotStorage> SlotWriter<S> {
    /// Joins behind the last committed message.
    pub fn attach(storage: S) -> Result<Self, Corruption> {
        let capacity = storage.capacity().get();
        let read_position = Position(storage.read_position().load(Ordering::Acquire)); // edge: slot_free.acquire
        if read_position.0.checked_add(2 * capacity).is_none() {
            return Err(Corruption {
                field: "read_position",
                found: read_position.0,
            });
        }
        let committed = (0..capacity).take_while(|&ahead| {
            let position = read_position.plus(ahead);
            let sequence = storage.sequence(position.index(storage.capacity()));
            // Relaxed: we follow a predecessor that is gone; the kernel's lock on the role ordered its stores before us.
            sequence.load(Ordering::Relaxed) == published(position)
        });
        let write_position = read_position.plus(committed.count() as u64);
        storage
            .write_position()
            .store(write_position.0, Ordering::Relaxed); // own word
        Ok(Self {
            storage,
            write_position,
            cached_read_position: read_position,
        })
    }

    /// Wipes what a dead predecessor had published of a batch without its first slot. Safe to repeat, and to be killed in.
    pub fn recover(&mut self) {
        let capacity = self.storage.capacity();
        for ahead in 0..capacity.get() {
            let position = self.write_position.plus(ahead);
            let sequence = self.storage.sequence(position.index(capacity));
            // Relaxed, both: a slot at or beyond the write position is read by nobody else.
            if sequence.load(Ordering::Relaxed) == published(position) {
                sequence.store(NEVER_PUBLISHED, Ordering::Relaxed);
            }
        }
    }

    /// The free slots, looked up afresh only if the last look does not show `wanted`.
    #[inline]
    pub fn free_slots(&mut self, wanted: u64) -> Result<u64, Corruption> {
        let capacity = self.storage.capacity().get();
        let used = self.write_position.distance_from(self.cached_read_position);
        if capacity - used >= wanted {
            return Ok(capacity - used);
        }
        let read_position = Position(self.storage.read_position().load(Ordering::Acquire)); // edge: slot_free.acquire
        let used = self.write_position.distance_from(read_position);
        // Neither beyond what was written nor back.
        if used > self.write_position.distance_from(self.cached_read_position) {
            return Err(Corruption {
                field: "read_position",
                found: read_position.0,
            });
        }
        self.cached_read_position = read_position;
        Ok(capacity - used)
    }

    /// Writes the payload of the slot `ahead` of the write position; nobody sees it before [`publish`](Self::publish).
    ///
    /// # Safety
    /// [`free_slots`](Self::free_slots) has answered more than `ahead` since the last publish.
    #[allow(unsafe_code)]
    #[inline]
    pub unsafe fn write(&mut self, ahead: u64, payload: S::Payload) {
        let index = self
            .write_position
            .plus(ahead)
            .index(self.storage.capacity());
        // SAFETY: the slot is free and we are the only producer; the consumer reads it only after it was published.
        unsafe { self.storage.write(index, payload) };
    }

    /// Commits the first `count` slots from the write position on, all at once for the consumer.
    #[inline]
    pub fn publish(&mut self, count: u64) {
        let capacity = self.storage.capacity();
        for ahead in (0..count).rev() {
            let position = self.write_position.plus(ahead);
            let sequence = self.storage.sequence(position.index(capacity));
            sequence.store(published(position), Ordering::Release); // edge: slot_full.release
        }
        self.write_position = self.write_position.plus(count);
        self.storage
            .write_position()
            .store(self.write_position.0, Ordering::Relaxed); // own word
    }

    /// The next position to be written.
    pub fn write_position(&self) -> Position {
        self.write_position
    }
}

impl<S: SlotStorage> WriteSide for SlotWriter<S> {
    type Storage = S;

    #[inline]
    fn storage(&self) -> &S {
        &self.storage
    }

    #[inline]
    fn has_room(&mut self, units: u64) -> Result<bool, Corruption> {
        Ok(self.free_slots(units)? >= units)
    }

    fn used(&self) -> u64 {
        // Relaxed: a snapshot that guards no data.
        let read_position = Position(self.storage.read_position().load(Ordering::Relaxed));
        self.write_position
            .distance_from(read_position)
            .min(self.storage.capacity().get())
    }
}

/// The consumer's side of the protocol.
#[derive(Debug)]
pub struct SlotReader<S> {
    storage: S,
    read_position: Position,
    /// Messages before it were handed out before, by us or by a predecessor: our own copy of the shared word.
    taken_position: Position,
}

impl<S: SlotStorage> SlotReader<S> {
    /// Joins at the first message that was not released.
    pub fn attach(storage: S) -> Result<Self, Corruption> {
        // Relaxed, both: a predecessor wrote them, and the kernel's lock on the role ordered its stores before us.
        let read_position = Position(storage.read_position().load(Ordering::Relaxed));
        let taken_position = Position(storage.taken_position().load(Ordering::Relaxed));
        let capacity = storage.capacity().get();
        if read_position.0.checked_add(2 * capacity).is_none() {
            return Err(Corruption {
                field: "read_position",
                found: read_position.0,
            });
        }
        if taken_position > read_position.plus(capacity) {
            return Err(Corruption {
                field: "taken_position",
                found: taken_position.0,
            });
        }
        Ok(Self {
            storage,
            read_position,
            taken_position,
        })
    }

    /// Whether the message `ahead` of the read position is there; those before it are.
    #[inline]
    pub fn ready_at(&self, ahead: u64) -> Result<bool, Corruption> {
        let capacity = self.storage.capacity();
        if ahead == capacity.get() {
            return Ok(false);
        }
        let position = self.read_position.plus(ahead);
        let sequence = self.storage.sequence(position.index(capacity));
        let found = sequence.load(Ordering::Acquire); // edge: slot_full.acquire
        if found == published(position) {
            return Ok(true);
        }
        let previous_lap = published(position).wrapping_sub(capacity.get());
        if found != previous_lap && found != NEVER_PUBLISHED {
            return Err(Corruption {
                field: "slot.sequence",
                found,
            });
        }
        Ok(false)
    }

    /// Notes that `count` messages are about to be seen by the application while they are not yet released; says
    /// whether they were before.
    #[inline]
    pub fn take(&mut self, count: u64) -> bool {
        let end = self.read_position.plus(count);
        let taken_before = end <= self.taken_position;
        // A predecessor may have seen more than we have: its mark must outlive us too.
        if !taken_before {
            self.taken_position = end;
            self.storage
                .taken_position()
                .store(end.0, Ordering::Relaxed); // own word
        }
        // A kill between here and the release must find the note made: the processor completes stores in order for whoever
        // comes after the death, so only the compiler has to be held back.
        compiler_fence(Ordering::SeqCst);
        taken_before
    }

    /// Copies the message `ahead` of the read position.
    ///
    /// # Safety
    /// [`ready_at`](Self::ready_at) has said yes to `ahead` since the last release.
    #[allow(unsafe_code)]
    #[inline]
    pub unsafe fn read(&self, ahead: u64) -> S::Payload {
        let index = self
            .read_position
            .plus(ahead)
            .index(self.storage.capacity());
        // SAFETY: the slot is published, and the producer reuses it only after its release.
        unsafe { self.storage.read(index) }
    }

    /// Gives the first `count` slots back to the producer.
    #[inline]
    pub fn release(&mut self, count: u64) {
        self.read_position = self.read_position.plus(count);
        let read_position = self.storage.read_position();
        read_position.store(self.read_position.0, Ordering::Release); // edge: slot_free.release
    }

    /// The position of the next message.
    pub fn read_position(&self) -> Position {
        self.read_position
    }

    /// Messages before this position were handed out before.
    pub fn taken_position(&self) -> Position {
        self.taken_position
    }
}

impl<S: SlotStorage> ReadSide for SlotReader<S> {
    type Storage = S;

    #[inline]
    fn storage(&self) -> &S {
        &self.storage
    }

    #[inline]
    fn has_message(&self) -> Result<bool, Corruption> {
        self.ready_at(0)
    }

    fn used(&self) -> u64 {
        // Relaxed: a snapshot that guards no data.
        let write_position = Position(self.storage.write_position().load(Ordering::Relaxed));
        let used = write_position.distance_from(self.read_position);
        // The hint is stored after the slot: it may lag behind a message that we have read already.
        if used > self.storage.capacity().get() {
            0
        } else {
            used
        }
    }
}
