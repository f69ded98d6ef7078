//! The producer, as far as both forms agree.

use super::message::Message;
use super::sides::Side;
use super::spsc::AsksPeer;
use super::topology::{Spsc, Topology};
use crate::error::Corruption;
use crate::participants::Peer;

/// The sending side of a ring: in an SPSC ring the only one at a time in all processes, in a ring for many one of several.
///
/// Dropping it closes it: when the last one is gone, consumers receive everything that was sent and are then told
/// [`Disconnected`](crate::RecvError::Disconnected). A process that ends without dropping it (`exit`, a crash, SIGKILL) counts as dead.
/// It does not survive `fork`: in the child its memory is not there, and nothing but dropping it makes sense.
#[derive(Debug)]
pub struct Producer<M: Message + ?Sized, K: Topology> {
    pub(in crate::endpoint) sender: M::Sender<K>,
    not_sync: NotSync,
}

/// Endpoints may move to another thread, but two threads can't use one at once.
pub(super) type NotSync = std::marker::PhantomData<std::cell::Cell<()>>;

impl<M: Message + ?Sized, K: Topology> Producer<M, K> {
    pub(in crate::endpoint) fn new(sender: M::Sender<K>) -> Self {
        Self {
            sender,
            not_sync: NotSync::default(),
        }
    }

    /// How much is in use at this moment: messages of a typed ring, bytes (headers included) of a byte ring.
    pub fn len(&self) -> usize {
        self.sender.used() as usize
    }

    /// Whether everything was released at this moment.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How much the ring holds, in the same unit.
    pub fn capacity(&self) -> usize {
        self.sender.geometry().room() as usize
    }

    /// The longest message, in bytes.
    pub fn max_message_len(&self) -> usize {
        self.sender.geometry().max_message_len() as usize
    }

    /// Leaves the ring; the same as dropping the producer.
    pub fn close(self) {
        drop(self);
    }
}

impl<M> Producer<M, Spsc>
where
    M: Message + ?Sized,
    M::Sender<Spsc>: AsksPeer,
{
    /// What is known of the consumer; asks the kernel whether it lives.
    ///
    /// # Errors
    /// [`Corruption`] of the consumer's record.
    pub fn peer(&self) -> Result<Peer, Corruption> {
        self.sender.peer()
    }
}

/// Room for one message, to be written in place. Dropped without `commit`, nothing was sent.
///
/// It may be held for as long as its holder likes. In a ring for many it holds up the consumers for the ring's patience at most; after that it loses
/// its place in the order, and `commit` sends it at another one.
#[derive(Debug)]
#[must_use = "a claim that is dropped is aborted"]
pub struct Claim<'a, M: Message + ?Sized, K: Topology> {
    pub(in crate::endpoint) sender: &'a mut M::Sender<K>,
    pub(in crate::endpoint) claimed: M::Claimed,
}

impl<M: Message + ?Sized, K: Topology> Drop for Claim<'_, M, K> {
    #[inline]
    fn drop(&mut self) {
        // After a commit there is none to be given up.
        M::abort::<K>(self.sender);
    }
}
