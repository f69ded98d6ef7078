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
//! | P1 | producer reads `read_position`, Acquire (`space`) | C3 |
//! | P2 | producer writes the payload | |
//! | P3 | producer stores the sequence, Release (`slot_full`) | C1 |
//! | C1 | consumer reads the sequence, Acquire (`slot_full`) | P3 |
//! | C2 | consumer reads the payload | |
//! | C3 | consumer stores `read_position`, Release (`space`) | P1 |
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

use shm_semaphore::sync::Ordering;

use super::cursor::{ReadCursor, WriteCursor};
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
    cursor: WriteCursor,
}

impl<S: SlotStorage> SlotWriter<S> {
    /// Joins behind the last committed message.
    pub fn attach(storage: S) -> Result<Self, Corruption> {
        let capacity = storage.capacity();
        let is_committed = |position: Position| {
            // Relaxed: we follow a predecessor that is gone; the kernel's lock on the role ordered its stores before us.
            let sequence = storage
                .sequence(position.index(capacity))
                .load(Ordering::Relaxed);
            sequence == published(position)
        };
        let cursor = WriteCursor::attach(&storage, capacity, 1, |read_position| {
            let ahead = 0..capacity.get();
            let committed = ahead.take_while(|&ahead| is_committed(read_position.plus(ahead)));
            Ok(read_position.plus(committed.count() as u64))
        })?;
        Ok(Self { storage, cursor })
    }

    /// Wipes what a dead predecessor had published of a batch without its first slot. Safe to repeat, and to be killed in.
    pub fn recover(&mut self) {
        let capacity = self.storage.capacity();
        for ahead in 0..capacity.get() {
            let position = self.write_position().plus(ahead);
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
        self.cursor
            .free(&self.storage, self.storage.capacity(), wanted)
    }

    /// Writes the payload of the slot `ahead` of the write position; nobody sees it before [`publish`](Self::publish).
    ///
    /// # Safety
    /// [`free_slots`](Self::free_slots) has answered more than `ahead` since the last publish.
    #[allow(unsafe_code)]
    #[inline]
    pub unsafe fn write(&mut self, ahead: u64, payload: S::Payload) {
        let index = self
            .write_position()
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
            let position = self.write_position().plus(ahead);
            let sequence = self.storage.sequence(position.index(capacity));
            sequence.store(published(position), Ordering::Release); // edge: slot_full.release
        }
        self.cursor
            .advance_to(&self.storage, self.write_position().plus(count));
    }

    /// The next position to be written.
    #[inline]
    pub fn write_position(&self) -> Position {
        self.cursor.position()
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
        self.cursor.used(&self.storage, self.storage.capacity())
    }
}

/// The consumer's side of the protocol.
#[derive(Debug)]
pub struct SlotReader<S> {
    storage: S,
    cursor: ReadCursor,
}

impl<S: SlotStorage> SlotReader<S> {
    /// Joins at the first message that was not released.
    pub fn attach(storage: S) -> Result<Self, Corruption> {
        let cursor = ReadCursor::attach(&storage, storage.capacity(), 1)?;
        Ok(Self { storage, cursor })
    }

    /// Whether the message `ahead` of the read position is there; those before it are.
    #[inline]
    pub fn ready_at(&self, ahead: u64) -> Result<bool, Corruption> {
        let capacity = self.storage.capacity();
        if ahead == capacity.get() {
            return Ok(false);
        }
        let position = self.read_position().plus(ahead);
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

    /// Notes that the next message is about to be seen by the application while it is not yet released; says whether it was before.
    #[inline]
    pub fn take(&mut self) -> bool {
        self.cursor
            .take_until(&self.storage, self.read_position().plus(1))
    }

    /// Copies the message `ahead` of the read position.
    ///
    /// # Safety
    /// [`ready_at`](Self::ready_at) has said yes to `ahead` since the last release.
    #[allow(unsafe_code)]
    #[inline]
    pub unsafe fn read(&self, ahead: u64) -> S::Payload {
        let index = self
            .read_position()
            .plus(ahead)
            .index(self.storage.capacity());
        // SAFETY: the slot is published, and the producer reuses it only after its release.
        unsafe { self.storage.read(index) }
    }

    /// Gives the first `count` slots back to the producer.
    #[inline]
    pub fn release(&mut self, count: u64) {
        self.cursor
            .release_until(&self.storage, self.read_position().plus(count));
    }

    /// The position of the next message.
    #[inline]
    pub fn read_position(&self) -> Position {
        self.cursor.position()
    }

    /// Messages before this position were handed out before.
    pub fn taken_position(&self) -> Position {
        self.cursor.taken_position()
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
        self.cursor.used(&self.storage, self.storage.capacity())
    }
}
