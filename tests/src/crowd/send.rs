//! The ways to send to a ring of several producers and consumers.

use std::time::{Duration, Instant};

use shm_ringbuf::Deadline;
use shm_ringbuf::bytemuck::{Pod, bytes_of_mut};
use shm_ringbuf::multi::Producer;

use crate::pattern::Pattern;
use crate::traffic::{Ending, SendWay};

/// More than what a message takes beside its bytes.
const OVERHEAD: usize = 128;
/// The most cells of a batch that is sent as a whole, a little less.
const BATCH_CELLS: usize = 1000;

/// A producer of either form that sends the messages of a [`Pattern`].
pub trait Sender {
    /// Sends the messages `ids` in this way, or only the first of them if it is a way to send one. A way that does not wait tries once. Says how many were sent.
    ///
    /// # Errors
    /// What the ring said.
    fn send_messages(
        &mut self,
        way: SendWay,
        pattern: &Pattern,
        ids: &[u64],
        patience: Duration,
    ) -> Result<usize, Ending>;

    /// How many of these messages, the first ones, surely fit in an empty ring together.
    fn batch_that_fits(&self, pattern: &Pattern, ids: &[u64]) -> usize;

    /// Claims room for message `id`, writes it, calls `held` and commits or aborts as that says.
    ///
    /// # Errors
    /// What the ring said.
    fn hold_claim(
        &mut self,
        pattern: &Pattern,
        id: u64,
        patience: Duration,
        held: &mut dyn FnMut() -> bool,
    ) -> Result<(), Ending>;

    /// `len`, as the producer sees it.
    fn fill_level(&self) -> usize;

    /// Closes.
    fn close_side(self);
}

/// Message `id` as a value of a fixed size.
fn typed<T: Pod>(pattern: &Pattern, id: u64) -> T {
    let mut value = T::zeroed();
    pattern.fill(id, bytes_of_mut(&mut value));
    value
}

impl<T: Pod> Sender for Producer<T> {
    fn send_messages(
        &mut self,
        way: SendWay,
        pattern: &Pattern,
        ids: &[u64],
        patience: Duration,
    ) -> Result<usize, Ending> {
        let first: T = typed(pattern, ids[0]);
        let all = || -> Vec<T> { ids.iter().map(|id| typed(pattern, *id)).collect() };
        match way {
            SendWay::Plain => self.send(first)?,
            SendWay::Try => self.try_send(first)?,
            SendWay::Timeout => self.send_timeout(first, patience)?,
            SendWay::Deadline => self.send_deadline(first, Deadline::after(patience))?,
            SendWay::Claim => {
                let mut claim = self.claim_timeout(patience)?;
                claim.write(first);
                claim.commit()?;
            }
            SendWay::AbortThenClaim => {
                let mut claim = self.try_claim()?;
                claim.write(T::zeroed());
                drop(claim);
                let mut claim = self.claim_deadline(Instant::now() + patience)?;
                claim.write(first);
                claim.commit()?;
            }
            SendWay::Exact => {
                self.send_exact_timeout(&all(), patience)?;
                return Ok(ids.len());
            }
            SendWay::TryExact => {
                self.try_send_exact(&all())?;
                return Ok(ids.len());
            }
            SendWay::UpTo => return Ok(self.try_send_up_to(&all())?),
        }
        Ok(1)
    }

    fn batch_that_fits(&self, _pattern: &Pattern, ids: &[u64]) -> usize {
        ids.len().min(self.capacity()).min(BATCH_CELLS)
    }

    fn hold_claim(
        &mut self,
        pattern: &Pattern,
        id: u64,
        patience: Duration,
        held: &mut dyn FnMut() -> bool,
    ) -> Result<(), Ending> {
        let mut claim = self.claim_timeout(patience)?;
        claim.write(typed(pattern, id));
        if held() {
            claim.commit()?;
        }
        Ok(())
    }

    fn fill_level(&self) -> usize {
        self.len()
    }

    fn close_side(self) {
        self.close();
    }
}

impl Sender for Producer<[u8]> {
    fn send_messages(
        &mut self,
        way: SendWay,
        pattern: &Pattern,
        ids: &[u64],
        patience: Duration,
    ) -> Result<usize, Ending> {
        let first = pattern.message(ids[0]);
        let all = || -> Vec<Vec<u8>> { ids.iter().map(|id| pattern.message(*id)).collect() };
        match way {
            SendWay::Plain => self.send(&first)?,
            SendWay::Try => self.try_send(&first)?,
            SendWay::Timeout => self.send_timeout(&first, patience)?,
            SendWay::Deadline => self.send_deadline(&first, Deadline::after(patience))?,
            SendWay::Claim => {
                // More is claimed than is used, and it is written in two pieces.
                let spare = ids[0] as usize % 9 * 20;
                let room = (first.len() + spare).min(self.max_message_len());
                let mut claim = self.claim_timeout(room, patience)?;
                let (head, tail) = first.split_at(first.len() / 2);
                claim.write_at(head.len(), tail);
                claim.write_at(0, head);
                claim.commit(first.len())?;
            }
            SendWay::AbortThenClaim => {
                let mut claim = self.try_claim(first.len() / 2)?;
                claim.write_at(0, &vec![0xee; first.len() / 2]);
                drop(claim);
                let mut claim = self.claim_deadline(first.len(), Instant::now() + patience)?;
                claim.write_at(0, &first);
                claim.commit(first.len())?;
            }
            SendWay::Exact => {
                self.send_exact_timeout(&all(), patience)?;
                return Ok(ids.len());
            }
            SendWay::TryExact => {
                self.try_send_exact(&all())?;
                return Ok(ids.len());
            }
            SendWay::UpTo => return Ok(self.try_send_up_to(&all())?),
        }
        Ok(1)
    }

    fn batch_that_fits(&self, pattern: &Pattern, ids: &[u64]) -> usize {
        let mut room = self.capacity() / 2;
        let fits = ids.iter().take_while(|id| {
            room = room.saturating_sub(pattern.len(**id) + OVERHEAD);
            room != 0
        });
        fits.take(BATCH_CELLS / 16).count().max(1)
    }

    fn hold_claim(
        &mut self,
        pattern: &Pattern,
        id: u64,
        patience: Duration,
        held: &mut dyn FnMut() -> bool,
    ) -> Result<(), Ending> {
        let message = pattern.message(id);
        let mut claim = self.claim_timeout(message.len(), patience)?;
        claim.write_at(0, &message);
        if held() {
            claim.commit(message.len())?;
        }
        Ok(())
    }

    fn fill_level(&self) -> usize {
        self.len()
    }

    fn close_side(self) {
        self.close();
    }
}
