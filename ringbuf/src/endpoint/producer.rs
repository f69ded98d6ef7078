//! The producer, as far as both forms agree.

use super::core::Endpoint;
use super::message::Message;
use crate::error::Corruption;
use crate::participants::Peer;
use crate::protocol::ends::WriteSide;

/// The sending side of a ring; there is one at a time in all processes.
///
/// Dropping it closes it: the consumer receives everything that was sent and is then told
/// [`Disconnected`](crate::RecvError::Disconnected). A process that ends without dropping it (`exit`, a crash, SIGKILL) counts as dead.
/// It does not survive `fork`: in the child its memory is not there, and nothing but dropping it makes sense.
#[derive(Debug)]
pub struct Producer<M: Message + ?Sized> {
    pub(in crate::endpoint) endpoint: Endpoint<M::Writer>,
    not_sync: NotSync,
}

/// Endpoints may move to another thread, but two threads can't use one at once.
pub(super) type NotSync = std::marker::PhantomData<std::cell::Cell<()>>;

impl<M: Message + ?Sized> Producer<M> {
    pub(in crate::endpoint) fn new(endpoint: Endpoint<M::Writer>) -> Self {
        Self {
            endpoint,
            not_sync: NotSync::default(),
        }
    }

    /// How much is in use at this moment: messages of a typed ring, bytes (headers included) of a byte ring.
    pub fn len(&self) -> usize {
        self.endpoint.side.used() as usize
    }

    /// Whether everything was released at this moment.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How much the ring holds, in the same unit.
    pub fn capacity(&self) -> usize {
        self.endpoint.geometry().capacity.get() as usize
    }

    /// The longest message, in bytes.
    pub fn max_message_len(&self) -> usize {
        self.endpoint.geometry().max_message_len() as usize
    }

    /// What is known of the consumer; asks the kernel whether it lives.
    ///
    /// # Errors
    /// [`Corruption`] of the consumer's record.
    pub fn peer(&self) -> Result<Peer, Corruption> {
        self.endpoint.peer()
    }

    /// Leaves the ring; the same as dropping the producer.
    pub fn close(self) {}
}

/// Room for one message, to be written in place. Dropped without `commit`, nothing was sent.
#[derive(Debug)]
#[must_use = "a claim that is dropped is aborted"]
pub struct Claim<'a, M: Message + ?Sized> {
    pub(in crate::endpoint) endpoint: &'a mut Endpoint<M::Writer>,
    pub(in crate::endpoint) claimed: M::Claimed,
}
