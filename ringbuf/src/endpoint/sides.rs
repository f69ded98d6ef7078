//! What an endpoint needs of the side that it stands for, whatever the kind of ring.

use std::fmt::Debug;
use std::sync::Arc;

use shm_semaphore::Pollable;

use super::when::When;
use crate::error::{Error, RecvError, SendError};
use crate::segment::layout::Geometry;
use crate::segment::lifecycle::Segment;
use crate::wait::Wait;

/// A side with all that belongs to its process.
pub trait Side: Sized + Debug + Send {
    /// Joins the ring.
    fn join(segment: &Arc<Segment>, wait: Wait) -> Result<Self, Error>;
    /// The private copy of the geometry.
    fn geometry(&self) -> &Geometry;
    /// What is in use at this moment, in the unit of the form.
    fn used(&self) -> u64;
    /// A descriptor that becomes readable when this side's gate is notified.
    fn pollable(&self) -> Result<Pollable, Error>;
}

/// A side that receives.
pub trait ReceiveSide: Side {
    /// A message that was found and not released.
    type Found: Copy + Debug;

    /// Whether nothing can be received at this moment.
    fn is_empty(&self) -> bool;
    /// Takes the next message. Says whether it was handed out before.
    fn find(&mut self, when: When) -> Result<(Self::Found, bool), RecvError>;
    /// The position of a message.
    fn position(&self, found: Self::Found) -> u64;
    /// Gives its space back.
    fn release(&mut self, found: Self::Found);
    /// See [`Consumer::arm_if_empty`](super::Consumer::arm_if_empty).
    fn arm_if_empty(&mut self, pollable: &Pollable) -> bool;
}

/// Sends values.
pub trait TypedSender<T>: Side {
    fn send_one(&mut self, message: T, when: When) -> Result<(), SendError<T>>;
    /// All or none.
    fn send_all(&mut self, messages: &[T], when: When) -> Result<(), SendError>;
    /// As many as there is room for now; there is at least one message.
    fn send_some(&mut self, messages: &[T]) -> Result<usize, SendError>;
    /// Opens a claim; one at a time.
    fn claim(&mut self, when: When) -> Result<(), SendError>;
    /// Where the open claim's value is.
    fn claim_ptr(&mut self) -> *mut T;
    /// Sends the open claim.
    fn commit(&mut self) -> Result<(), SendError>;
    /// Gives the open claim up, if there is one.
    fn abort(&mut self);
    fn arm_if_full(&mut self, pollable: &Pollable, count: u64) -> bool;
}

/// Receives values.
pub trait TypedReceiver<T>: ReceiveSide {
    fn recv_one(&mut self, when: When) -> Result<T, RecvError>;
    /// As many as are there and fit; at least one does.
    fn recv_some(&mut self, messages: &mut [T], when: When) -> Result<usize, RecvError>;
    /// Where a message is.
    fn payload_ptr(&self, found: Self::Found) -> *const T;
}

/// Sends bytes.
pub trait ByteSender: Side {
    fn send_one(&mut self, message: &[u8], when: When) -> Result<(), SendError>;
    /// All or none; there is at least one, and none is longer than the longest message.
    fn send_all(&mut self, messages: &[&[u8]], when: When) -> Result<(), SendError>;
    /// As many as there is room for now, and at most up to one that is too long.
    fn send_some<B: AsRef<[u8]>>(&mut self, messages: &[B]) -> Result<usize, SendError>;
    /// Opens a claim of so many bytes; one at a time.
    fn claim(&mut self, len: usize, when: When) -> Result<(), SendError>;
    /// Where the open claim's bytes are.
    fn claim_ptr(&mut self) -> *mut u8;
    /// Sends the first bytes of the open claim.
    fn commit(&mut self, used: usize) -> Result<(), SendError>;
    /// Gives the open claim up, if there is one.
    fn abort(&mut self);
    fn arm_if_full(&mut self, pollable: &Pollable, len: usize) -> bool;
}

/// Receives bytes.
pub trait ByteReceiver: ReceiveSide {
    /// Receives into the front of a buffer. A message that does not fit is the next one again.
    fn recv_one(&mut self, buffer: &mut [u8], when: When) -> Result<usize, RecvError>;
    /// Shows `visit` the messages that are there, at least one and at most `max`, and releases those that it has seen.
    fn recv_some(
        &mut self,
        max: usize,
        when: When,
        visit: impl FnMut(&mut Self, Self::Found, bool),
    ) -> Result<usize, RecvError>;
    /// Bytes of a message.
    fn len_of(&self, found: Self::Found) -> usize;
    /// Where they are.
    fn payload_ptr(&self, found: Self::Found) -> *const u8;
}
