//! How far each side has come: what the two forms of ring have in common.
//!
//! Positions count slots in one form and bytes in the other; here they are just units.

use shm_semaphore::sync::{Ordering, compiler_fence};

use super::position::{Capacity, Position};
use super::storage::Words;
use crate::error::Corruption;

/// The producer's place.
#[derive(Debug)]
pub struct WriteCursor {
    position: Position,
    /// What `read_position` was when we last had to know.
    cached_read_position: Position,
}

impl WriteCursor {
    /// Joins at the end of what is committed, which `find_end` follows from the read position on. Positions are multiples
    /// of `unit`.
    pub fn attach(
        words: &impl Words,
        capacity: Capacity,
        unit: u64,
        find_end: impl FnOnce(Position) -> Result<Position, Corruption>,
    ) -> Result<Self, Corruption> {
        let read_position = Position(words.read_position().load(Ordering::Acquire)); // edge: space.acquire
        check_start(read_position, capacity, unit)?;
        let position = find_end(read_position)?;
        words.write_position().store(position.0, Ordering::Relaxed); // own word
        Ok(Self {
            position,
            cached_read_position: read_position,
        })
    }

    /// The next position to be written.
    #[inline]
    pub fn position(&self) -> Position {
        self.position
    }

    /// The free units, looked up afresh only if the last look does not show `wanted`.
    #[inline]
    pub fn free(
        &mut self,
        words: &impl Words,
        capacity: Capacity,
        wanted: u64,
    ) -> Result<u64, Corruption> {
        let used = self.position.distance_from(self.cached_read_position);
        let free = capacity.get() - used;
        if free >= wanted {
            return Ok(free);
        }
        let read_position = Position(words.read_position().load(Ordering::Acquire)); // edge: space.acquire
        let used_now = self.position.distance_from(read_position);
        // It has gone neither beyond what was written nor back.
        if used_now > used {
            return Err(Corruption {
                field: "read_position",
                found: read_position.0,
            });
        }
        self.cached_read_position = read_position;
        Ok(capacity.get() - used_now)
    }

    /// What was written up to `end` is published.
    #[inline]
    pub fn advance_to(&mut self, words: &impl Words, end: Position) {
        self.position = end;
        words.write_position().store(end.0, Ordering::Relaxed); // own word
    }

    /// Units in use at this moment.
    pub fn used(&self, words: &impl Words, capacity: Capacity) -> u64 {
        // Relaxed: a snapshot that guards no data.
        let read_position = Position(words.read_position().load(Ordering::Relaxed));
        self.position
            .distance_from(read_position)
            .min(capacity.get())
    }
}

/// The consumer's place.
#[derive(Debug)]
pub struct ReadCursor {
    position: Position,
    /// What lies before it was handed out before, by us or by a predecessor: our own copy of the shared word.
    taken_position: Position,
}

impl ReadCursor {
    /// Joins at the first message that was not released. Positions are multiples of `unit`.
    pub fn attach(words: &impl Words, capacity: Capacity, unit: u64) -> Result<Self, Corruption> {
        // Relaxed, both: a predecessor wrote them, and the kernel's lock on the role ordered its stores before us.
        let position = Position(words.read_position().load(Ordering::Relaxed));
        let taken_position = Position(words.taken_position().load(Ordering::Relaxed));
        check_start(position, capacity, unit)?;
        if taken_position > position.plus(capacity.get()) {
            return Err(Corruption {
                field: "taken_position",
                found: taken_position.0,
            });
        }
        Ok(Self {
            position,
            taken_position,
        })
    }

    /// The position of the next message.
    #[inline]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Messages before this position were handed out before.
    pub fn taken_position(&self) -> Position {
        self.taken_position
    }

    /// Notes that everything before `end` is about to be seen by the application while it is not yet released; says whether it
    /// was before.
    #[inline]
    pub fn take_until(&mut self, words: &impl Words, end: Position) -> bool {
        let taken_before = end <= self.taken_position;
        // A predecessor may have seen more than we have: its mark must outlive us too.
        if !taken_before {
            self.taken_position = end;
            words.taken_position().store(end.0, Ordering::Relaxed); // own word
        }
        // A kill between here and the release must find the note made: the processor completes stores in order for whoever
        // comes after the death, so only the compiler has to be held back.
        compiler_fence(Ordering::SeqCst);
        taken_before
    }

    /// Gives everything before `end` back to the producer.
    #[inline]
    pub fn release_until(&mut self, words: &impl Words, end: Position) {
        self.position = end;
        words.read_position().store(end.0, Ordering::Release); // edge: space.release
    }

    /// Units in use at this moment.
    pub fn used(&self, words: &impl Words, capacity: Capacity) -> u64 {
        // Relaxed: a snapshot that guards no data.
        let write_position = Position(words.write_position().load(Ordering::Relaxed));
        let used = write_position.distance_from(self.position);
        // It is stored after the message: it may lag behind one that we have read already.
        if used > capacity.get() { 0 } else { used }
    }
}

/// A position to start from must leave room for a lap, and lie where messages begin.
fn check_start(position: Position, capacity: Capacity, unit: u64) -> Result<(), Corruption> {
    let has_room = position.0.checked_add(2 * capacity.get()).is_some();
    if has_room && position.0.is_multiple_of(unit) {
        return Ok(());
    }
    Err(Corruption {
        field: "read_position",
        found: position.0,
    })
}
