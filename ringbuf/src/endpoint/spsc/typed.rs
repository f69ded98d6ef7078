//! Values through slots.

#![allow(unsafe_code, reason = "slots that the protocol hands out")]

use std::sync::Arc;

use bytemuck::Pod;
use shm_semaphore::Pollable;

use super::core::Endpoint;
use super::{TypedReceiver, TypedSender};
use crate::endpoint::sides;
use crate::endpoint::sides::{ReceiveSide, Side};
use crate::endpoint::when::When;
use crate::error::{Error, RecvError, SendError};
use crate::protocol::ends::{ReadSide, WriteSide, poll_message, poll_room};
use crate::protocol::slots::{SlotReader, SlotWriter};
use crate::protocol::storage::{SlotStorage, Words};
use crate::role::Role;
use crate::segment::layout::Geometry;
use crate::segment::lifecycle::Segment;
use crate::segment::view::MappedSlots;
use crate::wait::Wait;

impl<T: Pod> Side for TypedSender<T> {
    fn join(segment: &Arc<Segment>, wait: Wait) -> Result<Self, Error> {
        Endpoint::take_side(segment, Role::Producer, wait, |view, predecessor_died| {
            let mut writer = SlotWriter::attach(MappedSlots::new(view))?;
            if predecessor_died {
                writer.recover();
            }
            Ok(writer)
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

impl<T: Pod> TypedSender<T> {
    /// There is room for all of them.
    fn publish_all(&mut self, messages: &[T]) {
        for (ahead, message) in messages.iter().enumerate() {
            // SAFETY: the callers have asked for room.
            unsafe { self.side.write(ahead as u64, *message) };
        }
        self.side.publish(messages.len() as u64);
        self.published();
    }
}

impl<T: Pod> sides::TypedSender<T> for TypedSender<T> {
    #[inline]
    fn send_one(&mut self, message: T, when: When) -> Result<(), SendError<T>> {
        if let Err(error) = self.room(1, when) {
            return Err(error.map(|()| message));
        }
        // SAFETY: there is room for one.
        unsafe { self.side.write(0, message) };
        self.side.publish(1);
        self.published();
        Ok(())
    }

    fn send_all(&mut self, messages: &[T], when: When) -> Result<(), SendError> {
        let max = self.geometry().capacity.get() as usize;
        if messages.len() > max {
            return Err(SendError::TooLong {
                len: messages.len(),
                max,
            });
        }
        self.room(messages.len() as u64, when)?;
        self.publish_all(messages);
        Ok(())
    }

    fn send_some(&mut self, messages: &[T]) -> Result<usize, SendError> {
        self.room(1, When::Now)?;
        let wanted = (messages.len() as u64).min(self.geometry().capacity.get());
        let free = self.side.free_slots(wanted);
        let sent = wanted.min(self.checked(free)?) as usize;
        self.publish_all(&messages[..sent]);
        Ok(sent)
    }

    #[inline]
    fn claim(&mut self, when: When) -> Result<(), SendError> {
        self.room(1, when)
    }

    #[inline]
    fn claim_ptr(&mut self) -> *mut T {
        let at = self.side.write_position();
        let storage = self.side.storage();
        storage.payload_ptr(at.index(storage.capacity()))
    }

    #[inline]
    fn commit(&mut self) -> Result<(), SendError> {
        self.side.publish(1);
        self.published();
        Ok(())
    }

    /// Nobody sees what was written.
    #[inline]
    fn abort(&mut self) {}

    fn arm_if_full(&mut self, pollable: &Pollable, count: u64) -> bool {
        self.arm(
            pollable,
            |side| poll_room(side, count),
            |side| side.storage().not_full(),
        )
    }
}

impl<T: Pod> Side for TypedReceiver<T> {
    fn join(segment: &Arc<Segment>, wait: Wait) -> Result<Self, Error> {
        Endpoint::take_side(segment, Role::Consumer, wait, |view, _| {
            SlotReader::attach(MappedSlots::new(view))
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

impl<T: Pod> ReceiveSide for TypedReceiver<T> {
    type Found = ();

    fn is_empty(&self) -> bool {
        !matches!(self.side.has_message(), Ok(true))
    }

    fn find(&mut self, when: When) -> Result<((), bool), RecvError> {
        self.message(when)?;
        Ok(((), self.side.take()))
    }

    fn position(&self, (): ()) -> u64 {
        self.side.read_position().0
    }

    #[inline]
    fn release(&mut self, (): ()) {
        self.side.release(1);
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

impl<T: Pod> sides::TypedReceiver<T> for TypedReceiver<T> {
    #[inline]
    fn recv_one(&mut self, when: When) -> Result<T, RecvError> {
        self.message(when)?;
        // SAFETY: a message is there.
        let message = unsafe { self.side.read(0) };
        self.side.release(1);
        self.released();
        Ok(message)
    }

    fn recv_some(&mut self, messages: &mut [T], when: When) -> Result<usize, RecvError> {
        self.message(when)?;
        let mut received = 0;
        for message in messages.iter_mut() {
            let ready = self.side.ready_at(received);
            if !self.checked(ready)? {
                break;
            }
            // SAFETY: the message is there.
            *message = unsafe { self.side.read(received) };
            received += 1;
        }
        self.side.release(received);
        self.released();
        Ok(received as usize)
    }

    #[inline]
    fn payload_ptr(&self, (): ()) -> *const T {
        let at = self.side.read_position();
        let storage = self.side.storage();
        storage.payload_ptr(at.index(storage.capacity()))
    }
}
