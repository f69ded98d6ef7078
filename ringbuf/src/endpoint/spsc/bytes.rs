//! Bytes through records.

#![allow(unsafe_code, reason = "bytes that the protocol hands out")]

use std::sync::Arc;

use shm_semaphore::Pollable;

use super::core::Endpoint;
use super::{ByteReceiver, ByteSender};
use crate::endpoint::sides;
use crate::endpoint::sides::{ReceiveSide, Side};
use crate::endpoint::when::When;
use crate::error::{Error, RecvError, SendError};
use crate::protocol::ends::{ReadSide, WriteSide, poll_message, poll_room};
use crate::protocol::position::Position;
use crate::protocol::records::{HEADER_LEN, Record, RecordReader, RecordWriter, record_len};
use crate::protocol::storage::Words;
use crate::role::Role;
use crate::segment::layout::Geometry;
use crate::segment::lifecycle::Segment;
use crate::segment::view::MappedRecords;
use crate::wait::Wait;

impl Side for ByteSender {
    fn join(segment: &Arc<Segment>, wait: Wait) -> Result<Self, Error> {
        // Nothing to repair: the chain of headers ends where the committed records end.
        Endpoint::take_side(segment, Role::Producer, wait, |view, _| {
            RecordWriter::attach(MappedRecords::new(view))
        })
    }

    fn geometry(&self) -> &Geometry {
        self.geometry()
    }
    fn used(&self) -> u64 {
        self.side.used()
    }
    fn pollable(&self) -> Result<Pollable, Error> {
        self.own_pollable()
    }
}

impl ByteSender {
    /// Makes sure that a record of this length can be written.
    #[inline]
    fn record_room(&mut self, len: usize, when: When) -> Result<(), SendError> {
        let max = self.geometry().max_message_len() as usize;
        if len > max {
            return Err(SendError::TooLong { len, max });
        }
        // A batch may be pending whose caller's `as_ref` has panicked.
        self.side.abort();
        self.room(record_len(len as u64), when)
    }

    /// Whether another record fits behind the pending ones. A corruption ends the batch here, and shows at the next call.
    fn fits_behind(&mut self, len: usize) -> bool {
        if len > self.geometry().max_message_len() as usize {
            return false;
        }
        let fits = self.side.fits(len as u64);
        self.checked(fits).unwrap_or(false)
    }
}

impl sides::ByteSender for ByteSender {
    #[inline]
    fn send_one(&mut self, message: &[u8], when: When) -> Result<(), SendError> {
        self.record_room(message.len(), when)?;
        // SAFETY: there is room for the record.
        unsafe { self.side.write(0, message) };
        sides::ByteSender::commit(self, message.len())
    }

    fn send_all(&mut self, messages: &[&[u8]], when: When) -> Result<(), SendError> {
        let lens = messages
            .iter()
            .map(|message| record_len(message.len() as u64));
        let units = lens.fold(0, u64::saturating_add);
        let room = self.geometry().capacity.get() - HEADER_LEN;
        if units > room {
            return Err(SendError::TooLong {
                len: units as usize,
                max: room as usize,
            });
        }
        self.side.abort();
        self.room(units, when)?;
        for message in messages {
            // SAFETY: there is room for all of the records.
            unsafe { self.side.write(0, message) };
            self.side.push(message.len() as u64);
        }
        self.side.publish();
        self.published();
        Ok(())
    }

    fn send_some<B: AsRef<[u8]>>(&mut self, messages: &[B]) -> Result<usize, SendError> {
        let mut sent = 0;
        for message in messages {
            let message = message.as_ref();
            if sent == 0 {
                self.record_room(message.len(), When::Now)?;
            } else if !self.fits_behind(message.len()) {
                break;
            }
            // SAFETY: there is room for this record behind the pending ones.
            unsafe { self.side.write(0, message) };
            self.side.push(message.len() as u64);
            sent += 1;
        }
        if sent > 0 {
            self.side.publish();
            self.published();
        }
        Ok(sent)
    }

    fn claim(&mut self, len: usize, when: When) -> Result<(), SendError> {
        self.record_room(len, when)
    }

    fn claim_ptr(&mut self) -> *mut u8 {
        self.side.storage().byte_ptr(self.side.payload_position())
    }

    #[inline]
    fn commit(&mut self, used: usize) -> Result<(), SendError> {
        self.side.push(used as u64);
        self.side.publish();
        self.published();
        Ok(())
    }

    /// Nobody sees what was written.
    #[inline]
    fn abort(&mut self) {}

    fn arm_if_full(&mut self, pollable: &Pollable, len: usize) -> bool {
        // A batch may be pending whose caller's `as_ref` has panicked.
        self.side.abort();
        let units = record_len(len as u64);
        self.arm(
            pollable,
            |side| poll_room(side, units),
            |side| side.storage().not_full(),
        )
    }
}

impl Side for ByteReceiver {
    fn join(segment: &Arc<Segment>, wait: Wait) -> Result<Self, Error> {
        Endpoint::take_side(segment, Role::Consumer, wait, |view, _| {
            RecordReader::attach(MappedRecords::new(view))
        })
    }

    fn geometry(&self) -> &Geometry {
        self.geometry()
    }
    fn used(&self) -> u64 {
        self.side.used()
    }
    fn pollable(&self) -> Result<Pollable, Error> {
        self.own_pollable()
    }
}

impl ReceiveSide for ByteReceiver {
    type Found = Record;

    fn is_empty(&self) -> bool {
        !matches!(self.side.has_message(), Ok(true))
    }

    fn find(&mut self, when: When) -> Result<(Record, bool), RecvError> {
        let found = self.record(when)?;
        Ok((found, self.side.take_until(found.end())))
    }

    fn position(&self, found: Record) -> u64 {
        found.position.0
    }

    #[inline]
    fn release(&mut self, found: Record) {
        self.side.release_until(found.end());
        self.released();
    }

    fn arm_if_empty(&mut self, pollable: &Pollable) -> bool {
        self.arm(
            pollable,
            |side| poll_message(side),
            |side| side.storage().not_empty(),
        )
    }
}

impl sides::ByteReceiver for ByteReceiver {
    #[inline]
    fn recv_one(&mut self, buffer: &mut [u8], when: When) -> Result<usize, RecvError> {
        let record = self.record(when)?;
        let (len, buffer_len) = (record.payload_len as usize, buffer.len());
        let Some(front) = buffer.get_mut(..len) else {
            return Err(RecvError::BufferTooSmall { len, buffer_len });
        };
        // SAFETY: the record is there, and `front` is as long as its payload.
        unsafe { self.side.read(record, 0, front) };
        ReceiveSide::release(self, record);
        Ok(len)
    }

    fn recv_some(
        &mut self,
        max: usize,
        when: When,
        mut visit: impl FnMut(&mut Self, Record, bool),
    ) -> Result<usize, RecvError> {
        let mut next = Some(self.record(when)?);
        let start = self.side.read_position();
        let mut batch = Batch {
            receiver: self,
            end: start,
            start,
        };
        let mut visited = 0;
        while let Some(found) = next {
            let redelivered = batch.receiver.side.take_until(found.end());
            visit(batch.receiver, found, redelivered);
            batch.end = found.end();
            visited += 1;
            if visited == max {
                break;
            }
            let peeked = batch.receiver.side.peek_at(batch.end);
            // A corruption ends the batch here, and shows at the next call.
            next = batch.receiver.checked(peeked).unwrap_or(None);
        }
        Ok(visited)
    }

    fn len_of(&self, found: Record) -> usize {
        found.payload_len as usize
    }

    fn payload_ptr(&self, found: Record) -> *const u8 {
        self.side.storage().byte_ptr(found.payload_position())
    }
}

/// Messages that were visited; dropping it releases them, also when `visit` panics.
struct Batch<'a> {
    receiver: &'a mut ByteReceiver,
    start: Position,
    end: Position,
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        if self.end != self.start {
            self.receiver.side.release_until(self.end);
            self.receiver.released();
        }
    }
}
