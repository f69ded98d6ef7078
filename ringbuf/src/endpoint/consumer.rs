//! The consumer, as far as both forms agree.

use super::core::Endpoint;
use super::message::Message;
use super::producer::NotSync;
use crate::error::Corruption;
use crate::participants::Peer;
use crate::protocol::ends::ReadSide;

/// The receiving side of a ring; there is one at a time in all processes.
///
/// Dropping it closes it: the producer is told [`Disconnected`](crate::SendError::Disconnected), and what was not received stays for a
/// new consumer. A process that ends without dropping it (`exit`, a crash, SIGKILL) counts as dead.
/// It does not survive `fork`: in the child its memory is not there, and nothing but dropping it makes sense.
#[derive(Debug)]
pub struct Consumer<M: Message + ?Sized> {
    pub(in crate::endpoint) endpoint: Endpoint<M::Reader>,
    not_sync: NotSync,
}

impl<M: Message + ?Sized> Consumer<M> {
    pub(in crate::endpoint) fn new(endpoint: Endpoint<M::Reader>) -> Self {
        Self {
            endpoint,
            not_sync: NotSync::default(),
        }
    }

    /// How much is in use at this moment: messages of a typed ring, bytes (headers included) of a byte ring. A message that was just
    /// sent may be missing from it while it can be received already.
    pub fn len(&self) -> usize {
        self.endpoint.side.used() as usize
    }

    /// Whether nothing can be received at this moment.
    pub fn is_empty(&self) -> bool {
        !matches!(self.endpoint.side.has_message(), Ok(true))
    }

    /// How much the ring holds, in the same unit.
    pub fn capacity(&self) -> usize {
        self.endpoint.geometry().capacity.get() as usize
    }

    /// The longest message, in bytes.
    pub fn max_message_len(&self) -> usize {
        self.endpoint.geometry().max_message_len() as usize
    }

    /// What is known of the producer; asks the kernel whether it lives.
    ///
    /// # Errors
    /// [`Corruption`] of the producer's record.
    pub fn peer(&self) -> Result<Peer, Corruption> {
        self.endpoint.peer()
    }

    /// The position of the next message.
    pub fn position(&self) -> u64 {
        M::read_position(&self.endpoint.side).0
    }

    /// Messages before this position were handed out before; if it lies beyond [`position`](Self::position), a predecessor
    /// that died may have acted upon those in between.
    pub fn redelivered_until(&self) -> u64 {
        M::taken_position(&self.endpoint.side).0
    }

    /// Leaves the ring; the same as dropping the consumer.
    pub fn close(self) {}
}

/// A message that was received and is still in the ring. Dropping it releases it; if the process is killed before that, the
/// message is delivered again, marked as [`redelivered`](Self::redelivered).
#[derive(Debug)]
pub struct Received<'a, M: Message + ?Sized> {
    pub(in crate::endpoint) endpoint: &'a mut Endpoint<M::Reader>,
    pub(in crate::endpoint) found: M::Found,
    pub(in crate::endpoint) redelivered: bool,
    /// False inside a batch, which is released as a whole.
    pub(in crate::endpoint) releases: bool,
}

impl<M: Message + ?Sized> Received<'_, M> {
    /// Its position in the ring: the same whenever it is delivered, and different for every message.
    pub fn position(&self) -> u64 {
        M::position(&self.endpoint.side, self.found).0
    }

    /// Whether it was handed out before and not released: to a consumer that died, or to one whose guard was forgotten or whose closure
    /// panicked.
    pub fn redelivered(&self) -> bool {
        self.redelivered
    }

    /// Gives its space back; the same as dropping it.
    pub fn release(self) {}
}

impl<M: Message + ?Sized> Drop for Received<'_, M> {
    fn drop(&mut self) {
        if self.releases {
            M::release(&mut self.endpoint.side, self.found);
            self.endpoint.released();
        }
    }
}
