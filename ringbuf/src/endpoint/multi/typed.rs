//! Values through cells.

#![allow(unsafe_code, reason = "cells that the protocol hands out")]

use std::fmt;
use std::sync::Arc;

use bytemuck::Pod;
use shm_semaphore::Pollable;

use super::receive::Receiver;
use super::send::Sender;
use crate::endpoint::sides;
use crate::endpoint::sides::{ReceiveSide, Side};
use crate::endpoint::when::When;
use crate::error::{Error, RecvError, SendError};
use crate::protocol::multi::consumer::Taken;
use crate::protocol::multi::storage::ValueCells;
use crate::protocol::position::Position;
use crate::segment::cells::MappedValues;
use crate::segment::layout::Geometry;
use crate::segment::lifecycle::Segment;
use crate::wait::Wait;

/// Sends values.
pub struct TypedSender<T: Pod> {
    side: Sender<MappedValues<T>>,
}

impl<T: Pod> fmt::Debug for TypedSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.side.fmt(f)
    }
}

/// Receives values.
pub struct TypedReceiver<T: Pod> {
    pub(super) side: Receiver<MappedValues<T>>,
}

impl<T: Pod> fmt::Debug for TypedReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.side.fmt(f)
    }
}

impl<T: Pod> TypedSender<T> {
    #[inline]
    fn write(&self, at: Position, value: T) {
        let index = self.side.index(at);
        let cells = self.side.endpoint.party.member.cells();
        // SAFETY: the callers have claimed the cell.
        unsafe { cells.write(index, value) };
    }

    fn send_run(&mut self, messages: &[T], when: When) -> Result<(), SendError> {
        self.side.begin();
        loop {
            let open = self.side.claim(messages.len() as u64, when)?;
            for (ahead, message) in messages.iter().enumerate() {
                self.write(open.at.plus(ahead as u64), *message);
            }
            if self.side.commit(open, |_| Some(0))? {
                return Ok(());
            }
        }
    }
}

impl<T: Pod> Side for TypedSender<T> {
    fn join(segment: &Arc<Segment>, wait: Wait) -> Result<Self, Error> {
        let side = Sender::join(segment, wait, MappedValues::new)?;
        Ok(Self { side })
    }
    fn geometry(&self) -> &Geometry {
        self.side.endpoint.geometry()
    }
    fn used(&self) -> u64 {
        self.side.endpoint.party.member.used()
    }
    fn pollable(&self) -> Result<Pollable, Error> {
        self.side.endpoint.pollable()
    }
}

impl<T: Pod> sides::TypedSender<T> for TypedSender<T> {
    #[inline]
    fn send_one(&mut self, message: T, when: When) -> Result<(), SendError<T>> {
        self.side.begin();
        loop {
            let open = match self.side.claim(1, when) {
                Ok(open) => open,
                Err(error) => return Err(error.map(|()| message)),
            };
            self.write(open.at, message);
            if self.side.commit(open, |_| Some(0))? {
                return Ok(());
            }
        }
    }

    fn send_all(&mut self, messages: &[T], when: When) -> Result<(), SendError> {
        let (len, max) = (messages.len(), self.side.cells_max() as usize);
        if len > max {
            return Err(SendError::TooLong { len, max });
        }
        self.send_run(messages, when)
    }

    fn send_some(&mut self, messages: &[T]) -> Result<usize, SendError> {
        let free = self.geometry().capacity.get() - self.used();
        let most = free.min(self.side.cells_max()).max(1) as usize;
        let mut run = messages.len().min(most);
        loop {
            match self.send_run(&messages[..run], When::Now) {
                Ok(()) => return Ok(run),
                // Others have claimed a part of it, or something lies in its midst.
                Err(SendError::Full(())) if run > 1 => run /= 2,
                Err(error) => return Err(error),
            }
        }
    }

    fn claim(&mut self, when: When) -> Result<(), SendError> {
        self.side.begin();
        self.side.claim(1, when).map(drop)
    }

    fn claim_ptr(&mut self) -> *mut T {
        let open = self
            .side
            .open
            .expect("a claim is open while its guard lives");
        let cells = self.side.endpoint.party.member.cells();
        cells.payload_ptr(self.side.index(open.at))
    }

    fn commit(&mut self) -> Result<(), SendError> {
        let mut open = self
            .side
            .open
            .expect("a claim is open while its guard lives");
        loop {
            if self.side.commit(open, |_| Some(0))? {
                return Ok(());
            }
            let index = self.side.index(open.at);
            // SAFETY: taken out of the order, and out of use until our next claim.
            let message = unsafe { self.side.endpoint.party.member.cells().read(index) };
            open = self.side.claim(1, When::EVER)?;
            self.write(open.at, message);
        }
    }

    #[inline]
    fn abort(&mut self) {
        self.side.abort();
    }

    fn arm_if_full(&mut self, pollable: &Pollable, count: u64) -> bool {
        self.side.begin();
        count <= self.side.cells_max() && self.side.arm_if_full(pollable, count)
    }
}

impl<T: Pod> TypedReceiver<T> {
    #[inline]
    fn read(&self, at: Position) -> T {
        let index = self.side.index(at);
        // SAFETY: the callers have taken the message and not released it.
        unsafe { self.side.endpoint.party.member.cells().read(index) }
    }
}

impl<T: Pod> Side for TypedReceiver<T> {
    fn join(segment: &Arc<Segment>, wait: Wait) -> Result<Self, Error> {
        let side = Receiver::join(segment, wait, MappedValues::new)?;
        Ok(Self { side })
    }
    fn geometry(&self) -> &Geometry {
        self.side.endpoint.geometry()
    }
    fn used(&self) -> u64 {
        self.side.endpoint.party.member.used()
    }
    fn pollable(&self) -> Result<Pollable, Error> {
        self.side.endpoint.pollable()
    }
}

impl<T: Pod> ReceiveSide for TypedReceiver<T> {
    type Found = Taken;

    fn is_empty(&self) -> bool {
        self.side.is_empty()
    }

    fn find(&mut self, when: When) -> Result<(Taken, bool), RecvError> {
        let taken = self.side.take(when)?;
        Ok((taken, taken.is_redelivered()))
    }

    fn position(&self, found: Taken) -> u64 {
        found.position.0
    }

    #[inline]
    fn release(&mut self, found: Taken) {
        self.side.release(found);
    }

    fn arm_if_empty(&mut self, pollable: &Pollable) -> bool {
        self.side.arm_if_empty(pollable)
    }
}

impl<T: Pod> sides::TypedReceiver<T> for TypedReceiver<T> {
    #[inline]
    fn recv_one(&mut self, when: When) -> Result<T, RecvError> {
        let taken = self.side.take(when)?;
        let message = self.read(taken.position);
        self.side.release(taken);
        Ok(message)
    }

    fn recv_some(&mut self, messages: &mut [T], when: When) -> Result<usize, RecvError> {
        let (mut received, mut when) = (0, when);
        while received < messages.len() {
            let left = &mut messages[received..];
            let (first, run) = match self.side.take_run(left.len(), when) {
                Ok(taken) => taken,
                Err(error) if received == 0 => return Err(error),
                // It shows again at the next call.
                Err(_) => break,
            };
            for (ahead, message) in left[..run as usize].iter_mut().enumerate() {
                *message = self.read(first.position.plus(ahead as u64));
            }
            self.side.release_run(first, run);
            received += run as usize;
            when = When::Besides;
        }
        Ok(received)
    }

    #[inline]
    fn payload_ptr(&self, found: Taken) -> *const T {
        let cells = self.side.endpoint.party.member.cells();
        cells.payload_ptr(self.side.index(found.position))
    }
}
