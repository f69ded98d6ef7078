//! Is there a message, is there room, and has the other side gone? One order of questions for both forms of ring.

use super::presence::Status;
use super::storage::Words;
use crate::error::Corruption;

/// A side that writes.
pub trait WriteSide {
    /// The memory below.
    type Storage: Words;
    /// The memory below.
    fn storage(&self) -> &Self::Storage;
    /// Whether `units` (slots, or bytes of records) can be claimed.
    fn has_room(&mut self, units: u64) -> Result<bool, Corruption>;
    /// Units in use at this moment.
    fn used(&self) -> u64;
}

/// A side that reads.
pub trait ReadSide {
    /// The memory below.
    type Storage: Words;
    /// The memory below.
    fn storage(&self) -> &Self::Storage;
    /// Whether a message is there.
    fn has_message(&self) -> Result<bool, Corruption>;
    /// Units in use at this moment.
    fn used(&self) -> u64;
}

/// How the other side ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It closed its endpoint.
    Closed,
    /// Its process died.
    Died,
}

/// The answer to "can I go on?".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poll {
    /// Yes.
    Ready,
    /// No, but the other side may change that.
    NotYet,
    /// No, and the other side is gone.
    Ended(End),
}

/// Asks for a message. An end is told only when everything committed before it has been received.
#[inline]
pub fn poll_message<R: ReadSide>(reader: &R) -> Result<Poll, Corruption> {
    if reader.has_message()? {
        return Ok(Poll::Ready);
    }
    let end = match reader.storage().producer().seen()?.status {
        Status::Absent | Status::Attached => return Ok(Poll::NotYet),
        Status::Closed => End::Closed,
        Status::Died => End::Died,
    };
    // A message may have been committed between the first look and the end; having seen the end, we see it now.
    Ok(if reader.has_message()? {
        Poll::Ready
    } else {
        Poll::Ended(end)
    })
}

/// Asks for room. A consumer that closed ends the matter; one that died leaves its room to be filled for a successor.
#[inline]
pub fn poll_room<W: WriteSide>(writer: &mut W, units: u64) -> Result<Poll, Corruption> {
    let status = writer.storage().consumer().seen()?.status;
    if status == Status::Closed {
        return Ok(Poll::Ended(End::Closed));
    }
    if writer.has_room(units)? {
        return Ok(Poll::Ready);
    }
    Ok(if status == Status::Died {
        Poll::Ended(End::Died)
    } else {
        Poll::NotYet
    })
}
