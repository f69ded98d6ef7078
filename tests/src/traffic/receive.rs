//! The ways to receive.

use std::time::{Duration, Instant};

use shm_ringbuf::bytemuck::{Pod, bytes_of};
use shm_ringbuf::{Consumer, Corruption, Deadline, Peer};

use super::{Ending, retry};
use crate::pattern::{Mismatch, Pattern};

/// A way to receive one message or several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvWay {
    /// `recv`.
    Plain,
    /// `try_recv`, again and again.
    Try,
    /// `recv_timeout`.
    Timeout,
    /// `recv_deadline`.
    Deadline,
    /// `recv_ref_timeout`, released by name.
    Guard,
    /// `try_recv_ref`, again and again, released by drop.
    TryGuard,
    /// `recv_up_to_timeout`, several at once.
    UpTo,
    /// `try_recv_up_to`, again and again.
    TryUpTo,
}

impl RecvWay {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Plain,
        Self::Try,
        Self::Timeout,
        Self::Deadline,
        Self::Guard,
        Self::TryGuard,
        Self::UpTo,
        Self::TryUpTo,
    ];
}

/// A consumer of either form.
pub trait Receiver {
    /// Receives one message, or up to `most` if it is a way to receive several, and shows each
    /// with its mark of redelivery. The ways with a guard, and a batch of bytes, show a message
    /// before it is released; the others after it, and without a mark.
    ///
    /// # Errors
    /// What the ring said.
    fn receive_messages(
        &mut self,
        way: RecvWay,
        most: usize,
        patience: Duration,
        show: &mut dyn FnMut(&[u8], bool),
    ) -> Result<usize, Ending>;

    /// Receives one message in place, shows it, and holds it until that returns.
    ///
    /// # Errors
    /// What the ring said.
    fn hold_guard(&mut self, show: &mut dyn FnMut(&[u8], bool)) -> Result<(), Ending>;

    /// Compares a message of this form with number `id`.
    ///
    /// # Errors
    /// Says where it differs.
    fn check(pattern: &Pattern, id: u64, found: &[u8]) -> Result<(), Mismatch>;

    /// The state of the producer.
    ///
    /// # Errors
    /// What the ring said.
    fn peer_state(&self) -> Result<Peer, Corruption>;

    /// `len`, as the consumer sees it.
    fn fill_level(&self) -> usize;

    /// Closes.
    fn close_side(self);
}

impl<T: Pod> Receiver for Consumer<T> {
    fn receive_messages(
        &mut self,
        way: RecvWay,
        most: usize,
        patience: Duration,
        show: &mut dyn FnMut(&[u8], bool),
    ) -> Result<usize, Ending> {
        let message = match way {
            RecvWay::Plain => self.recv()?,
            RecvWay::Try => retry(patience, || Ok(self.try_recv()?))?,
            RecvWay::Timeout => self.recv_timeout(patience)?,
            RecvWay::Deadline => self.recv_deadline(Instant::now() + patience)?,
            RecvWay::Guard => {
                let guard = self.recv_ref_timeout(patience)?;
                show(bytes_of(&guard.read()), guard.redelivered());
                guard.release();
                return Ok(1);
            }
            RecvWay::TryGuard => {
                retry(patience, || {
                    let guard = self.try_recv_ref()?;
                    show(bytes_of(&guard.read()), guard.redelivered());
                    Ok(())
                })?;
                return Ok(1);
            }
            RecvWay::UpTo | RecvWay::TryUpTo => {
                let mut buffer = vec![T::zeroed(); most];
                let count = if way == RecvWay::UpTo {
                    self.recv_up_to_timeout(&mut buffer, patience)?
                } else {
                    retry(patience, || Ok(self.try_recv_up_to(&mut buffer)?))?
                };
                buffer[..count]
                    .iter()
                    .for_each(|message| show(bytes_of(message), false));
                return Ok(count);
            }
        };
        show(bytes_of(&message), false);
        Ok(1)
    }

    fn hold_guard(&mut self, show: &mut dyn FnMut(&[u8], bool)) -> Result<(), Ending> {
        let guard = self.recv_ref()?;
        show(bytes_of(&guard.read()), guard.redelivered());
        Ok(())
    }

    fn check(pattern: &Pattern, id: u64, found: &[u8]) -> Result<(), Mismatch> {
        pattern.check_len(id, size_of::<T>(), found)
    }

    fn peer_state(&self) -> Result<Peer, Corruption> {
        self.peer()
    }

    fn fill_level(&self) -> usize {
        self.len()
    }

    fn close_side(self) {
        self.close();
    }
}

impl Receiver for Consumer<[u8]> {
    fn receive_messages(
        &mut self,
        way: RecvWay,
        most: usize,
        patience: Duration,
        show: &mut dyn FnMut(&[u8], bool),
    ) -> Result<usize, Ending> {
        let mut buffer = vec![0xaa; self.max_message_len()];
        let len = match way {
            RecvWay::Plain => self.recv(&mut buffer)?,
            RecvWay::Try => retry(patience, || Ok(self.try_recv(&mut buffer)?))?,
            RecvWay::Timeout => self.recv_timeout(&mut buffer, patience)?,
            RecvWay::Deadline => self.recv_deadline(&mut buffer, Deadline::after(patience))?,
            RecvWay::Guard => {
                let guard = self.recv_ref_timeout(patience)?;
                let len = guard.copy_to(&mut buffer);
                assert_eq!(len, guard.len(), "copy_to copies what len announces");
                show(&buffer[..len], guard.redelivered());
                guard.release();
                return Ok(1);
            }
            RecvWay::TryGuard => {
                retry(patience, || {
                    let guard = self.try_recv_ref()?;
                    show(&guard.to_vec(), guard.redelivered());
                    Ok(())
                })?;
                return Ok(1);
            }
            RecvWay::UpTo => {
                return Ok(self.recv_up_to_timeout(most, patience, |message| {
                    show(&message.to_vec(), message.redelivered());
                })?);
            }
            RecvWay::TryUpTo => {
                return retry(patience, || {
                    Ok(self.try_recv_up_to(most, |message| {
                        show(&message.to_vec(), message.redelivered());
                    })?)
                });
            }
        };
        show(&buffer[..len], false);
        Ok(1)
    }

    fn hold_guard(&mut self, show: &mut dyn FnMut(&[u8], bool)) -> Result<(), Ending> {
        let guard = self.recv_ref()?;
        show(&guard.to_vec(), guard.redelivered());
        Ok(())
    }

    fn check(pattern: &Pattern, id: u64, found: &[u8]) -> Result<(), Mismatch> {
        pattern.check(id, found)
    }

    fn peer_state(&self) -> Result<Peer, Corruption> {
        self.peer()
    }

    fn fill_level(&self) -> usize {
        self.len()
    }

    fn close_side(self) {
        self.close();
    }
}
