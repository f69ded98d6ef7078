//! Bytes through cells.

#![allow(unsafe_code, reason = "cells that the protocol hands out")]

use std::sync::Arc;

use shm_semaphore::Pollable;
use shm_semaphore::sync::Ordering;

use super::receive::{Receiver, impossible_len};
use super::send::{Open, Sender};
use crate::endpoint::sides;
use crate::endpoint::sides::{ReceiveSide, Side};
use crate::endpoint::when::When;
use crate::error::{Error, RecvError, SendError};
use crate::protocol::multi::consumer::Taken;
use crate::protocol::multi::storage::ByteCells;
use crate::protocol::position::Position;
use crate::segment::cells::MappedBytes;
use crate::segment::layout::Geometry;
use crate::segment::lifecycle::Segment;
use crate::wait::Wait;

/// Sends bytes.
#[derive(Debug)]
pub struct ByteSender {
    side: Sender<MappedBytes>,
}

/// Receives bytes.
#[derive(Debug)]
pub struct ByteReceiver {
    side: Receiver<MappedBytes>,
}

/// A message that was taken, with its checked length.
#[derive(Debug, Clone, Copy)]
pub struct TakenBytes {
    taken: Taken,
    len: usize,
}

impl ByteSender {
    fn cells(&self) -> &MappedBytes {
        self.side.endpoint.party.member.cells()
    }

    /// Cells that a message of this length takes.
    #[inline]
    fn cells_for(&self, len: usize) -> u64 {
        (len as u64).div_ceil(self.cells().cell_len()).max(1)
    }

    #[inline]
    fn write(&self, at: Position, message: &[u8]) {
        let (cells, index) = (self.cells(), self.side.index(at));
        // SAFETY: the callers have claimed as many cells as the message takes.
        unsafe { cells.write(index, 0, message) };
        self.write_len(at, message.len());
    }

    #[inline]
    fn write_len(&self, at: Position, len: usize) {
        let word = self.cells().message_len(self.side.index(at));
        // Relaxed: published by the exchange of the cell.
        word.store(len as u64, Ordering::Relaxed);
    }

    #[inline]
    fn commit_message(&mut self, open: Open) -> Result<bool, SendError> {
        let followers = open.cells - 1;
        let committed = self
            .side
            .commit(open, |ahead| (ahead == 0).then_some(followers))?;
        Ok(committed)
    }
}

impl Side for ByteSender {
    fn join(segment: &Arc<Segment>, wait: Wait) -> Result<Self, Error> {
        let side = Sender::join(segment, wait, MappedBytes::new)?;
        Ok(Self { side })
    }
    fn geometry(&self) -> &Geometry {
        self.side.endpoint.geometry()
    }
    fn used(&self) -> u64 {
        self.side.endpoint.party.member.used() * self.cells().cell_len()
    }
    fn pollable(&self) -> Result<Pollable, Error> {
        self.side.endpoint.pollable()
    }
}

impl sides::ByteSender for ByteSender {
    #[inline]
    fn send_one(&mut self, message: &[u8], when: When) -> Result<(), SendError> {
        let (len, max) = (message.len(), self.geometry().max_message_len() as usize);
        if len > max {
            return Err(SendError::TooLong { len, max });
        }
        self.side.begin();
        loop {
            let open = self.side.claim(self.cells_for(len), when)?;
            self.write(open.at, message);
            if self.commit_message(open)? {
                return Ok(());
            }
        }
    }

    fn send_all(&mut self, messages: &[&[u8]], when: When) -> Result<(), SendError> {
        let max = self.side.cells_max();
        let lens = messages.iter().map(|message| self.cells_for(message.len()));
        let cells = lens.fold(0, u64::saturating_add);
        if cells > max {
            let cell_len = self.cells().cell_len();
            return Err(SendError::TooLong {
                len: cells.saturating_mul(cell_len) as usize,
                max: (max * cell_len) as usize,
            });
        }
        // For each cell, how many follow in the message that begins there.
        let mut starts = vec![None; cells as usize];
        let mut places = Vec::with_capacity(messages.len());
        let mut ahead = 0;
        for message in messages {
            let taken = self.cells_for(message.len());
            starts[ahead as usize] = Some(taken - 1);
            places.push(ahead);
            ahead += taken;
        }
        self.side.begin();
        loop {
            let open = self.side.claim(cells, when)?;
            for (message, ahead) in messages.iter().zip(&places) {
                self.write(open.at.plus(*ahead), message);
            }
            if self.side.commit(open, |ahead| starts[ahead as usize])? {
                return Ok(());
            }
        }
    }

    fn send_some<B: AsRef<[u8]>>(&mut self, messages: &[B]) -> Result<usize, SendError> {
        let mut sent = 0;
        for message in messages {
            match self.send_one(message.as_ref(), When::Now) {
                Ok(()) => sent += 1,
                Err(error) if sent == 0 => return Err(error),
                // It shows again at the next call.
                Err(_) => break,
            }
        }
        Ok(sent)
    }

    fn claim(&mut self, len: usize, when: When) -> Result<(), SendError> {
        let max = self.geometry().max_message_len() as usize;
        if len > max {
            return Err(SendError::TooLong { len, max });
        }
        self.side.begin();
        self.side.claim(self.cells_for(len), when).map(drop)
    }

    fn claim_ptr(&mut self) -> *mut u8 {
        let open = self
            .side
            .open
            .expect("a claim is open while its guard lives");
        self.cells().byte_ptr(self.side.index(open.at))
    }

    fn commit(&mut self, used: usize) -> Result<(), SendError> {
        let mut open = self
            .side
            .open
            .expect("a claim is open while its guard lives");
        self.write_len(open.at, used);
        loop {
            if self.commit_message(open)? {
                return Ok(());
            }
            let mut message = vec![0; used];
            let index = self.side.index(open.at);
            // SAFETY: taken out of the order, and out of use until our next claim.
            unsafe { self.cells().read(index, 0, &mut message) };
            open = self.side.claim(self.cells_for(used), When::EVER)?;
            self.write(open.at, &message);
        }
    }

    #[inline]
    fn abort(&mut self) {
        self.side.abort();
    }

    fn arm_if_full(&mut self, pollable: &Pollable, len: usize) -> bool {
        self.side.begin();
        let cells = self.cells_for(len);
        self.side.arm_if_full(pollable, cells)
    }
}

impl ByteReceiver {
    fn cells(&self) -> &MappedBytes {
        self.side.endpoint.party.member.cells()
    }

    #[inline]
    fn take(&mut self, when: When) -> Result<TakenBytes, RecvError> {
        let taken = self.side.take(when)?;
        let word = self.cells().message_len(self.side.index(taken.position));
        // Relaxed: the message was published by the exchange of its cell. Read once, and checked.
        let len = word.load(Ordering::Relaxed);
        if len > taken.cells() * self.cells().cell_len() {
            let found = Err(impossible_len(len));
            self.side.endpoint.party.checked(found)?;
        }
        Ok(TakenBytes {
            taken,
            len: len as usize,
        })
    }
}

impl Side for ByteReceiver {
    fn join(segment: &Arc<Segment>, wait: Wait) -> Result<Self, Error> {
        let side = Receiver::join(segment, wait, MappedBytes::new)?;
        Ok(Self { side })
    }
    fn geometry(&self) -> &Geometry {
        self.side.endpoint.geometry()
    }
    fn used(&self) -> u64 {
        self.side.endpoint.party.member.used() * self.cells().cell_len()
    }
    fn pollable(&self) -> Result<Pollable, Error> {
        self.side.endpoint.pollable()
    }
}

impl ReceiveSide for ByteReceiver {
    type Found = TakenBytes;

    fn is_empty(&self) -> bool {
        self.side.is_empty()
    }

    fn find(&mut self, when: When) -> Result<(TakenBytes, bool), RecvError> {
        let found = self.take(when)?;
        Ok((found, found.taken.is_redelivered()))
    }

    fn position(&self, found: TakenBytes) -> u64 {
        found.taken.position.0
    }

    #[inline]
    fn release(&mut self, found: TakenBytes) {
        self.side.release(found.taken);
    }

    fn arm_if_empty(&mut self, pollable: &Pollable) -> bool {
        self.side.arm_if_empty(pollable)
    }
}

impl sides::ByteReceiver for ByteReceiver {
    #[inline]
    fn recv_one(&mut self, buffer: &mut [u8], when: When) -> Result<usize, RecvError> {
        self.side.leftovers.len_max = buffer.len() as u64;
        let found = self.take(when);
        self.side.leftovers.len_max = u64::MAX;
        let TakenBytes { taken, len } = found?;
        let buffer_len = buffer.len();
        let Some(front) = buffer.get_mut(..len) else {
            // One that a dead consumer had.
            self.side.keep(taken);
            return Err(RecvError::BufferTooSmall { len, buffer_len });
        };
        let index = self.side.index(taken.position);
        // SAFETY: the message is taken and not released, and `front` is as long as it.
        unsafe { self.cells().read(index, 0, front) };
        self.side.release(taken);
        Ok(len)
    }

    fn recv_some(
        &mut self,
        max: usize,
        when: When,
        mut visit: impl FnMut(&mut Self, TakenBytes, bool),
    ) -> Result<usize, RecvError> {
        let mut found = self.take(when)?;
        let mut visited = 0;
        loop {
            visit(self, found, found.taken.is_redelivered());
            self.side.release(found.taken);
            visited += 1;
            if visited == max {
                return Ok(visited);
            }
            found = match self.take(When::Besides) {
                Ok(found) => found,
                // It shows again at the next call.
                Err(_) => return Ok(visited),
            };
        }
    }

    fn len_of(&self, found: TakenBytes) -> usize {
        found.len
    }

    fn payload_ptr(&self, found: TakenBytes) -> *const u8 {
        self.cells().byte_ptr(self.side.index(found.taken.position))
    }
}
