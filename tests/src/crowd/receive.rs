//! The ways to receive from a ring of several producers and consumers.

use std::time::{Duration, Instant};

use shm_ringbuf::Deadline;
use shm_ringbuf::bytemuck::{Pod, bytes_of};
use shm_ringbuf::multi::Consumer;

use crate::pattern::{Mismatch, Pattern};
use crate::traffic::{Ending, RecvWay};

/// What a guard says of its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Where it is in the order of all messages.
    pub position: u64,
    /// Whether a consumer that is gone may have had it.
    pub redelivered: bool,
}

/// A message that is shown.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// The message.
    pub bytes: &'a [u8],
    /// Only the ways that hold a message while they show it say this.
    pub mark: Option<Mark>,
}

/// A consumer of either form.
pub trait Receiver {
    /// Whether this way shows a message before it is released, and with its mark.
    fn shows_before(way: RecvWay) -> bool;

    /// Receives one message, or up to `most` if it is a way to receive several, and shows each. A way that does not wait tries once.
    ///
    /// # Errors
    /// What the ring said.
    fn receive_messages(
        &mut self,
        way: RecvWay,
        most: usize,
        patience: Duration,
        show: &mut dyn FnMut(Shown<'_>),
    ) -> Result<usize, Ending>;

    /// Receives one message in place, shows it and holds it until that returns; then releases it, or forgets it if that says so.
    ///
    /// # Errors
    /// What the ring said.
    fn hold_guard(
        &mut self,
        patience: Duration,
        show: &mut dyn FnMut(Shown<'_>) -> bool,
    ) -> Result<(), Ending>;

    /// Compares a message of this form with number `id`.
    ///
    /// # Errors
    /// Says where it differs.
    fn check(pattern: &Pattern, id: u64, found: &[u8]) -> Result<(), Mismatch>;

    /// `len`, as the consumer sees it.
    fn fill_level(&self) -> usize;

    /// Closes.
    fn close_side(self);
}

/// The mark of a guard of either form.
macro_rules! mark {
    ($guard:expr) => {
        Some(Mark {
            position: $guard.position(),
            redelivered: $guard.redelivered(),
        })
    };
}

impl<T: Pod> Receiver for Consumer<T> {
    fn shows_before(way: RecvWay) -> bool {
        matches!(way, RecvWay::Guard | RecvWay::TryGuard)
    }

    fn receive_messages(
        &mut self,
        way: RecvWay,
        most: usize,
        patience: Duration,
        show: &mut dyn FnMut(Shown<'_>),
    ) -> Result<usize, Ending> {
        let message = match way {
            RecvWay::Plain => self.recv()?,
            RecvWay::Try => self.try_recv()?,
            RecvWay::Timeout => self.recv_timeout(patience)?,
            RecvWay::Deadline => self.recv_deadline(Instant::now() + patience)?,
            RecvWay::Guard | RecvWay::TryGuard => {
                let guard = match way {
                    RecvWay::Guard => self.recv_ref_timeout(patience)?,
                    _ => self.try_recv_ref()?,
                };
                show(Shown {
                    bytes: bytes_of(&guard.read()),
                    mark: mark!(guard),
                });
                if way == RecvWay::Guard {
                    guard.release();
                }
                return Ok(1);
            }
            RecvWay::UpTo | RecvWay::TryUpTo => {
                let mut buffer = vec![T::zeroed(); most];
                let count = match way {
                    RecvWay::UpTo => self.recv_up_to_timeout(&mut buffer, patience)?,
                    _ => self.try_recv_up_to(&mut buffer)?,
                };
                for message in &buffer[..count] {
                    show(Shown {
                        bytes: bytes_of(message),
                        mark: None,
                    });
                }
                return Ok(count);
            }
        };
        show(Shown {
            bytes: bytes_of(&message),
            mark: None,
        });
        Ok(1)
    }

    fn hold_guard(
        &mut self,
        patience: Duration,
        show: &mut dyn FnMut(Shown<'_>) -> bool,
    ) -> Result<(), Ending> {
        let guard = self.recv_ref_deadline(Deadline::after(patience))?;
        let message = guard.read();
        let shown = Shown {
            bytes: bytes_of(&message),
            mark: mark!(guard),
        };
        if show(shown) {
            guard.release();
        } else {
            std::mem::forget(guard);
        }
        Ok(())
    }

    fn check(pattern: &Pattern, id: u64, found: &[u8]) -> Result<(), Mismatch> {
        pattern.check_len(id, size_of::<T>(), found)
    }

    fn fill_level(&self) -> usize {
        self.len()
    }

    fn close_side(self) {
        self.close();
    }
}

impl Receiver for Consumer<[u8]> {
    fn shows_before(way: RecvWay) -> bool {
        matches!(
            way,
            RecvWay::Guard | RecvWay::TryGuard | RecvWay::UpTo | RecvWay::TryUpTo
        )
    }

    fn receive_messages(
        &mut self,
        way: RecvWay,
        most: usize,
        patience: Duration,
        show: &mut dyn FnMut(Shown<'_>),
    ) -> Result<usize, Ending> {
        let mut buffer = vec![0xaa; self.max_message_len()];
        let len = match way {
            RecvWay::Plain => self.recv(&mut buffer)?,
            RecvWay::Try => self.try_recv(&mut buffer)?,
            RecvWay::Timeout => self.recv_timeout(&mut buffer, patience)?,
            RecvWay::Deadline => self.recv_deadline(&mut buffer, Deadline::after(patience))?,
            RecvWay::Guard => {
                let guard = self.recv_ref_timeout(patience)?;
                let len = guard.copy_to(&mut buffer);
                assert_eq!(len, guard.len(), "copy_to copies what len announces");
                show(Shown {
                    bytes: &buffer[..len],
                    mark: mark!(guard),
                });
                guard.release();
                return Ok(1);
            }
            RecvWay::TryGuard => {
                let guard = self.try_recv_ref()?;
                show(Shown {
                    bytes: &guard.to_vec(),
                    mark: mark!(guard),
                });
                return Ok(1);
            }
            RecvWay::UpTo => {
                return Ok(self.recv_up_to_timeout(most, patience, |message| {
                    show(Shown {
                        bytes: &message.to_vec(),
                        mark: mark!(message),
                    });
                })?);
            }
            RecvWay::TryUpTo => {
                return Ok(self.try_recv_up_to(most, |message| {
                    show(Shown {
                        bytes: &message.to_vec(),
                        mark: mark!(message),
                    });
                })?);
            }
        };
        show(Shown {
            bytes: &buffer[..len],
            mark: None,
        });
        Ok(1)
    }

    fn hold_guard(
        &mut self,
        patience: Duration,
        show: &mut dyn FnMut(Shown<'_>) -> bool,
    ) -> Result<(), Ending> {
        let guard = self.recv_ref_deadline(Deadline::after(patience))?;
        let message = guard.to_vec();
        let shown = Shown {
            bytes: &message,
            mark: mark!(guard),
        };
        if show(shown) {
            guard.release();
        } else {
            std::mem::forget(guard);
        }
        Ok(())
    }

    fn check(pattern: &Pattern, id: u64, found: &[u8]) -> Result<(), Mismatch> {
        pattern.check(id, found)
    }

    fn fill_level(&self) -> usize {
        self.len()
    }

    fn close_side(self) {
        self.close();
    }
}
