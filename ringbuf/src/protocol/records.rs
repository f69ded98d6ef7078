//! The byte SPSC ring: records of variable length, framed by a header word.
//!
//! ```text
//!           8 bytes                        len bytes        to a multiple of 8
//! record:  | header: len | flags | check | payload … | rest |
//!
//! header:   63            40 39    32 31              0
//!          |     check     |  flags  |       len       |     zero: not committed
//! ```
//!
//! The header is the flag as well: zero until the record is committed. The producer zeroes the *next* header before it publishes this
//! one, so the consumer never writes to the data, and a consumer that waits polls the line in which the next message will arrive.
//! For that, eight bytes behind the last record always stay free. The ring is mapped twice in a row, so no record wraps and no padding exists.
//!
//! | step | access | pairs with |
//! |---|---|---|
//! | P1 | producer reads `read_position`, Acquire (`space`) | C3 |
//! | P2 | producer writes the payload, and zero into the next header | |
//! | P3 | producer stores the header, Release (`record_full`) | C1 |
//! | C1 | consumer reads the header, Acquire (`record_full`) | P3 |
//! | C2 | consumer reads the payload | |
//! | C3 | consumer stores `read_position`, Release (`space`) | P1 |
//!
//! P3 to C1: a consumer that sees a header sees the payload, and a zero (or a later commit) behind it. C3 to P1: a producer that
//! writes over a record does so after the consumer's last look at it.
//!
//! A batch writes all its records and headers but the first, then the zero behind the last, then publishes the first
//! header: one line changes hands, and the consumer sees all of it or nothing. After a crash of the producer the chain of headers ends
//! where the committed records end; whatever an unfinished claim or batch wrote behind that is invisible and gets overwritten.
//!
//! Source: a length word in front that is published last is Agrona's framing; zeroing ahead and the double
//! mapping take the place of its padding records and of its clean-up by the consumer.

use shm_semaphore::sync::{Ordering, compiler_fence};

use super::cursor::{ReadCursor, WriteCursor};
use super::ends::{ReadSide, WriteSide};
use super::position::{Capacity, Position};
use super::storage::RecordStorage;
use crate::error::Corruption;

/// Bytes of a header word; records start at its multiples.
pub const HEADER_LEN: u64 = 8;
/// Set in the flags of every committed record, so that no committed header is zero.
const COMMITTED: u64 = 1 << 32;
/// What stands where the next record will be.
const NOT_COMMITTED: u64 = 0;

/// Bytes that a record of this payload length occupies.
#[inline]
pub fn record_len(payload_len: u64) -> u64 {
    HEADER_LEN + payload_len.next_multiple_of(HEADER_LEN)
}

/// The longest payload in a ring of this capacity: one record and the free header behind it fill the ring.
pub fn max_payload_len(capacity: Capacity) -> u64 {
    (capacity.get() - 2 * HEADER_LEN).min(u64::from(u32::MAX) & !(HEADER_LEN - 1))
}

/// The header of a committed record. The check binds it to its position, so that a stale or scribbled word is found out.
#[inline]
fn header_word(position: Position, payload_len: u64) -> u64 {
    let check = (position.0 / HEADER_LEN) ^ payload_len.wrapping_mul(0x9E37_79B9) ^ 0x005A_5A5A;
    check << 40 | COMMITTED | payload_len
}

/// The payload length of the record at `position`; `None` if there is none yet.
#[inline]
fn parse_header(
    position: Position,
    header: u64,
    capacity: Capacity,
) -> Result<Option<u64>, Corruption> {
    if header == NOT_COMMITTED {
        return Ok(None);
    }
    let payload_len = header & u64::from(u32::MAX);
    if header != header_word(position, payload_len) || payload_len > max_payload_len(capacity) {
        return Err(Corruption {
            field: "record.header",
            found: header,
        });
    }
    Ok(Some(payload_len))
}

/// Keeps the compiler from moving a store of payload behind the store of a header. To the compiler the two images of the ring are
/// different memory; the processor knows that they are one, and keeps stores to one place in order.
#[inline]
fn settle_images() {
    compiler_fence(Ordering::SeqCst);
}

/// The producer's side of the protocol.
#[derive(Debug)]
pub struct RecordWriter<S> {
    storage: S,
    cursor: WriteCursor,
    /// Bytes of the batch that is being written, from the write position on.
    pending_len: u64,
    /// The first header of that batch, held back until it is published.
    first_header: u64,
}

impl<S: RecordStorage> RecordWriter<S> {
    /// Joins behind the last committed record.
    pub fn attach(storage: S) -> Result<Self, Corruption> {
        let capacity = storage.capacity();
        let cursor = WriteCursor::attach(&storage, capacity, HEADER_LEN, |read_position| {
            let mut end = read_position;
            loop {
                // Relaxed: we follow a predecessor that is gone; the kernel's lock on the role ordered its stores before us.
                let found = storage.header(end.index(capacity)).load(Ordering::Relaxed);
                let Some(payload_len) = parse_header(end, found, capacity)? else {
                    return Ok(end);
                };
                end = end.plus(record_len(payload_len));
                if end.distance_from(read_position) + HEADER_LEN > capacity.get() {
                    return Err(Corruption {
                        field: "record.header",
                        found,
                    });
                }
            }
        })?;
        Ok(Self {
            storage,
            cursor,
            pending_len: 0,
            first_header: NOT_COMMITTED,
        })
    }

    /// Whether a record of this payload length fits behind what is pending.
    #[inline]
    pub fn fits(&mut self, payload_len: u64) -> Result<bool, Corruption> {
        self.has_room(self.pending_len + record_len(payload_len))
    }

    /// Writes a part of the payload of the record behind what is pending.
    ///
    /// # Safety
    /// [`fits`](Self::fits) has said yes for a payload of at least `offset + bytes.len()` bytes since the last change here.
    #[allow(unsafe_code)]
    #[inline]
    pub unsafe fn write(&mut self, offset: u64, bytes: &[u8]) {
        let at = self.payload_position().plus(offset);
        // SAFETY: the bytes are free and we are the only producer; the consumer reads them after the header was published.
        unsafe { self.storage.write(at, bytes) };
    }

    /// Where the payload of the record behind what is pending begins.
    #[inline]
    pub fn payload_position(&self) -> Position {
        self.cursor.position().plus(self.pending_len + HEADER_LEN)
    }

    /// Adds the record that was just written to the pending batch.
    #[inline]
    pub fn push(&mut self, payload_len: u64) {
        let position = self.cursor.position().plus(self.pending_len);
        let header = header_word(position, payload_len);
        if self.pending_len == 0 {
            self.first_header = header;
        } else {
            settle_images();
            let word = self.storage.header(position.index(self.storage.capacity()));
            // Relaxed: behind a header that is not published yet; its Release covers this one.
            word.store(header, Ordering::Relaxed);
        }
        self.pending_len += record_len(payload_len);
    }

    /// Commits the pending batch, all at once for the consumer.
    #[inline]
    pub fn publish(&mut self) {
        if self.pending_len == 0 {
            return;
        }
        let capacity = self.storage.capacity();
        let start = self.cursor.position();
        let end = start.plus(self.pending_len);
        settle_images();
        let behind = self.storage.header(end.index(capacity));
        // Relaxed: covered by the Release below.
        behind.store(NOT_COMMITTED, Ordering::Relaxed);
        let first = self.storage.header(start.index(capacity));
        first.store(self.first_header, Ordering::Release); // edge: record_full.release
        self.pending_len = 0;
        self.cursor.advance_to(&self.storage, end);
    }

    /// Forgets the pending batch.
    #[inline]
    pub fn abort(&mut self) {
        self.pending_len = 0;
    }
}

impl<S: RecordStorage> WriteSide for RecordWriter<S> {
    type Storage = S;

    #[inline]
    fn storage(&self) -> &S {
        &self.storage
    }

    #[inline]
    fn has_room(&mut self, units: u64) -> Result<bool, Corruption> {
        // With the header behind, which stays free.
        let wanted = units + HEADER_LEN;
        Ok(self
            .cursor
            .free(&self.storage, self.storage.capacity(), wanted)?
            >= wanted)
    }

    fn used(&self) -> u64 {
        self.cursor.used(&self.storage, self.storage.capacity())
    }
}

/// A committed record, as the consumer found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Where its header is.
    pub position: Position,
    /// Bytes of payload.
    pub payload_len: u64,
}

impl Record {
    /// Where its payload begins.
    #[inline]
    pub fn payload_position(self) -> Position {
        self.position.plus(HEADER_LEN)
    }

    /// Where the next record begins.
    #[inline]
    pub fn end(self) -> Position {
        self.position.plus(record_len(self.payload_len))
    }
}

/// The consumer's side of the protocol.
#[derive(Debug)]
pub struct RecordReader<S> {
    storage: S,
    cursor: ReadCursor,
}

impl<S: RecordStorage> RecordReader<S> {
    /// Joins at the first record that was not released.
    pub fn attach(storage: S) -> Result<Self, Corruption> {
        let cursor = ReadCursor::attach(&storage, storage.capacity(), HEADER_LEN)?;
        Ok(Self { storage, cursor })
    }

    /// The next record.
    #[inline]
    pub fn peek(&self) -> Result<Option<Record>, Corruption> {
        self.peek_at(self.read_position())
    }

    /// The record at `position`, which is the read position or the end of a record that was seen and not yet released.
    #[inline]
    pub fn peek_at(&self, position: Position) -> Result<Option<Record>, Corruption> {
        let capacity = self.storage.capacity();
        let header = self.storage.header(position.index(capacity));
        let found = header.load(Ordering::Acquire); // edge: record_full.acquire
        let Some(payload_len) = parse_header(position, found, capacity)? else {
            return Ok(None);
        };
        let record = Record {
            position,
            payload_len,
        };
        if record.end().distance_from(self.read_position()) + HEADER_LEN > capacity.get() {
            return Err(Corruption {
                field: "record.header",
                found,
            });
        }
        Ok(Some(record))
    }

    /// Notes that everything before `end` is about to be seen by the application while it is not yet released; says whether it
    /// was before.
    #[inline]
    pub fn take_until(&mut self, end: Position) -> bool {
        self.cursor.take_until(&self.storage, end)
    }

    /// Copies a part of a record's payload.
    ///
    /// # Safety
    /// [`peek_at`](Self::peek_at) has returned the record since the last release, and `offset + bytes.len()` is within its payload.
    #[allow(unsafe_code)]
    #[inline]
    pub unsafe fn read(&self, record: Record, offset: u64, bytes: &mut [u8]) {
        let at = record.payload_position().plus(offset);
        // SAFETY: the record is committed, and the producer reuses its bytes only after the release.
        unsafe { self.storage.read(at, bytes) };
    }

    /// Gives everything before `end`, the end of a record, back to the producer.
    #[inline]
    pub fn release_until(&mut self, end: Position) {
        self.cursor.release_until(&self.storage, end);
    }

    /// The position of the next record.
    #[inline]
    pub fn read_position(&self) -> Position {
        self.cursor.position()
    }

    /// Records before this position were handed out before.
    pub fn taken_position(&self) -> Position {
        self.cursor.taken_position()
    }
}

impl<S: RecordStorage> ReadSide for RecordReader<S> {
    type Storage = S;

    #[inline]
    fn storage(&self) -> &S {
        &self.storage
    }

    #[inline]
    fn has_message(&self) -> Result<bool, Corruption> {
        Ok(self.peek()?.is_some())
    }

    fn used(&self) -> u64 {
        self.cursor.used(&self.storage, self.storage.capacity())
    }
}
