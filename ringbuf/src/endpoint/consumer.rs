//! The consumer, as far as both forms agree.

use super::message::Message;
use super::producer::NotSync;
use super::sides::{ReceiveSide, Side};
use super::spsc::{AsksPeer, FollowsPositions};
use super::topology::{Spsc, Topology};
use crate::error::Corruption;
use crate::participants::Peer;

/// The receiving side of a ring: in an SPSC ring the only one at a time in all processes, in a ring for many one of several.
///
/// Dropping it closes it: when the last one is gone, producers are told [`Disconnected`](crate::SendError::Disconnected), and what was not received stays for a
/// new consumer. A process that ends without dropping it (`exit`, a crash, SIGKILL) counts as dead.
/// It does not survive `fork`: in the child its memory is not there, and nothing but dropping it makes sense.
#[derive(Debug)]
pub struct Consumer<M: Message + ?Sized, K: Topology> {
    pub(in crate::endpoint) receiver: M::Receiver<K>,
    not_sync: NotSync,
}

impl<M: Message + ?Sized, K: Topology> Consumer<M, K> {
    pub(in crate::endpoint) fn new(receiver: M::Receiver<K>) -> Self {
        Self {
            receiver,
            not_sync: NotSync::default(),
        }
    }

    /// How much is in use at this moment: messages of a typed ring, bytes (headers included) of a byte ring. A message that was just
    /// sent may be missing from it while it can be received already.
    pub fn len(&self) -> usize {
        self.receiver.used() as usize
    }

    /// Whether nothing can be received at this moment.
    pub fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }

    /// How much the ring holds, in the same unit.
    pub fn capacity(&self) -> usize {
        self.receiver.geometry().room() as usize
    }

    /// The longest message, in bytes.
    pub fn max_message_len(&self) -> usize {
        self.receiver.geometry().max_message_len() as usize
    }

    /// Leaves the ring; the same as dropping the consumer.
    pub fn close(self) {
        drop(self);
    }
}

impl<M> Consumer<M, Spsc>
where
    M: Message + ?Sized,
    M::Receiver<Spsc>: AsksPeer + FollowsPositions,
{
    /// What is known of the producer; asks the kernel whether it lives.
    ///
    /// # Errors
    /// [`Corruption`] of the producer's record.
    pub fn peer(&self) -> Result<Peer, Corruption> {
        self.receiver.peer()
    }

    /// The position of the next message.
    pub fn position(&self) -> u64 {
        self.receiver.read_position()
    }

    /// Messages before this position were handed out before; if it lies beyond [`position`](Self::position), a predecessor
    /// that died may have acted upon those in between.
    pub fn redelivered_until(&self) -> u64 {
        self.receiver.taken_position()
    }
}

/// A message that was received and is still in the ring. Dropping it releases it; if the process is killed before that, the
/// message is delivered again, marked as [`redelivered`](Self::redelivered) (or dropped and counted, in a ring that was made so).
#[derive(Debug)]
pub struct Received<'a, M: Message + ?Sized, K: Topology> {
    pub(in crate::endpoint) receiver: &'a mut M::Receiver<K>,
    pub(in crate::endpoint) found: Found<M, K>,
    pub(in crate::endpoint) redelivered: bool,
    /// False inside a batch, which is released as a whole.
    pub(in crate::endpoint) releases: bool,
}

type Found<M, K> = <<M as Message>::Receiver<K> as ReceiveSide>::Found;

impl<M: Message + ?Sized, K: Topology> Received<'_, M, K> {
    /// Its position in the ring: the same whenever it is delivered, and different for every message.
    pub fn position(&self) -> u64 {
        self.receiver.position(self.found)
    }

    /// Whether it was handed out before and not released: to a consumer that died, or to one whose guard was forgotten or whose closure
    /// panicked.
    pub fn redelivered(&self) -> bool {
        self.redelivered
    }

    /// Gives its space back; the same as dropping it.
    pub fn release(self) {
        drop(self);
    }
}

impl<M: Message + ?Sized, K: Topology> Drop for Received<'_, M, K> {
    #[inline]
    fn drop(&mut self) {
        if self.releases {
            self.receiver.release(self.found);
        }
    }
}
