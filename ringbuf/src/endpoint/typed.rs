//! Typed endpoints.

#![allow(unsafe_code, reason = "slots that the protocol hands out")]

use std::time::Duration;

use bytemuck::Pod;
use shm_semaphore::Deadline;

use super::consumer::{Consumer, Received};
use super::producer::{Claim, Producer};
use super::sides::{ReceiveSide as _, TypedReceiver, TypedSender};
use super::topology::{Multi, Spsc, Topology};
use super::when::When;
use crate::error::{RecvError, SendError};

/// # Sending typed messages
///
/// ```
/// use shm_ringbuf::{Config, SendError};
/// use std::time::Duration;
///
/// let ring = Config::spsc().capacity(2).anonymous::<u32>()?;
/// let mut producer = ring.producer()?;
/// producer.send(1)?;
/// let mut claim = producer.claim()?;
/// claim.write(2);
/// claim.commit();
/// assert_eq!(producer.try_send(3), Err(SendError::Full(3)));
/// assert_eq!(producer.send_timeout(3, Duration::from_millis(1)), Err(SendError::TimedOut(3)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl<T: Pod, K: Topology> Producer<T, K> {
    /// Sends if there is room now.
    ///
    /// # Errors
    /// [`SendError::Full`], [`SendError::Disconnected`], [`SendError::OwnerDied`], [`SendError::Corrupt`].
    #[inline]
    pub fn try_send(&mut self, message: T) -> Result<(), SendError<T>> {
        self.send_when(message, When::Now)
    }

    /// Sends; waits for room.
    ///
    /// # Errors
    /// [`SendError::Disconnected`], [`SendError::OwnerDied`], [`SendError::Corrupt`].
    #[inline]
    pub fn send(&mut self, message: T) -> Result<(), SendError<T>> {
        self.send_when(message, When::EVER)
    }

    /// Sends; waits for room, `timeout` at most.
    ///
    /// # Errors
    /// [`SendError::TimedOut`], and those of [`send`](Self::send).
    #[inline]
    pub fn send_timeout(&mut self, message: T, timeout: Duration) -> Result<(), SendError<T>> {
        self.send_when(message, When::Within(timeout))
    }

    /// Sends; waits for room until `deadline` at most.
    ///
    /// # Errors
    /// [`SendError::TimedOut`], and those of [`send`](Self::send).
    #[inline]
    pub fn send_deadline(
        &mut self,
        message: T,
        deadline: impl Into<Deadline>,
    ) -> Result<(), SendError<T>> {
        self.send_when(message, When::until(deadline))
    }

    #[inline]
    fn send_when(&mut self, message: T, when: When) -> Result<(), SendError<T>> {
        self.sender.send_one(message, when)
    }

    /// Sends all or none if there is room for all now; consumers see them all at once. A ring for many takes 1,024 at most.
    ///
    /// # Errors
    /// [`SendError::TooLong`] if they can never fit, and those of [`try_send`](Self::try_send).
    pub fn try_send_exact(&mut self, messages: &[T]) -> Result<(), SendError> {
        self.send_exact_when(messages, When::Now)
    }

    /// Sends all or none; waits until there is room for all.
    ///
    /// # Errors
    /// [`SendError::TooLong`] if they can never fit, and those of [`send`](Self::send).
    pub fn send_exact(&mut self, messages: &[T]) -> Result<(), SendError> {
        self.send_exact_when(messages, When::EVER)
    }

    /// Sends all or none; waits until there is room for all, `timeout` at most.
    ///
    /// # Errors
    /// [`SendError::TimedOut`], and those of [`send_exact`](Self::send_exact).
    pub fn send_exact_timeout(
        &mut self,
        messages: &[T],
        timeout: Duration,
    ) -> Result<(), SendError> {
        self.send_exact_when(messages, When::Within(timeout))
    }

    fn send_exact_when(&mut self, messages: &[T], when: When) -> Result<(), SendError> {
        if messages.is_empty() {
            return Ok(());
        }
        self.sender.send_all(messages, when)
    }

    /// Sends as many as there is room for now, at least one of a batch that is not empty, and says how many.
    ///
    /// # Errors
    /// Those of [`try_send`](Self::try_send).
    pub fn try_send_up_to(&mut self, messages: &[T]) -> Result<usize, SendError> {
        if messages.is_empty() {
            return Ok(0);
        }
        self.sender.send_some(messages)
    }

    /// Claims a slot if one is free now.
    ///
    /// # Errors
    /// Those of [`try_send`](Self::try_send).
    pub fn try_claim(&mut self) -> Result<Claim<'_, T, K>, SendError> {
        self.claim_when(When::Now)
    }

    /// Claims a slot; waits for one.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub fn claim(&mut self) -> Result<Claim<'_, T, K>, SendError> {
        self.claim_when(When::EVER)
    }

    /// Claims a slot; waits for one, `timeout` at most.
    ///
    /// # Errors
    /// Those of [`send_timeout`](Self::send_timeout).
    pub fn claim_timeout(&mut self, timeout: Duration) -> Result<Claim<'_, T, K>, SendError> {
        self.claim_when(When::Within(timeout))
    }

    /// Claims a slot; waits for one until `deadline` at most.
    ///
    /// # Errors
    /// Those of [`send_deadline`](Self::send_deadline).
    pub fn claim_deadline(
        &mut self,
        deadline: impl Into<Deadline>,
    ) -> Result<Claim<'_, T, K>, SendError> {
        self.claim_when(When::until(deadline))
    }

    fn claim_when(&mut self, when: When) -> Result<Claim<'_, T, K>, SendError> {
        self.sender.claim(when)?;
        Ok(Claim {
            sender: &mut self.sender,
            claimed: false,
        })
    }
}

/// # Writing a typed message in place
impl<T: Pod, K: Topology> Claim<'_, T, K> {
    /// Writes the message into its slot; the last one written counts.
    pub fn write(&mut self, message: T) {
        // SAFETY: the claim stands for a slot that is ours to write.
        unsafe { self.as_mut_ptr().write(message) };
    }

    /// The slot itself, for a message too large to be built elsewhere first. It holds what an earlier lap left there.
    pub fn as_mut_ptr(&mut self) -> *mut T {
        self.claimed = true;
        self.sender.claim_ptr()
    }

    fn commit_written(&mut self) -> Result<(), SendError> {
        if !self.claimed {
            self.write(T::zeroed());
        }
        self.sender.commit()
    }
}

impl<T: Pod> Claim<'_, T, Spsc> {
    /// Sends the message; all zero if none was written.
    pub fn commit(mut self) {
        let sent = self.commit_written();
        debug_assert!(sent.is_ok(), "the only producer keeps its place");
    }
}

impl<T: Pod> Claim<'_, T, Multi> {
    /// Sends the message; all zero if none was written. If the claim was held for longer than the ring's patience, it may have lost its place; then the
    /// message is sent at another one, and this waits until there is room.
    ///
    /// # Errors
    /// [`SendError::Disconnected`], [`SendError::OwnerDied`], [`SendError::Corrupt`]: it was not sent.
    pub fn commit(mut self) -> Result<(), SendError> {
        self.commit_written()
    }
}

/// # Receiving typed messages
///
/// ```
/// use shm_ringbuf::{Config, RecvError};
///
/// let ring = Config::spsc().anonymous::<u32>()?;
/// let (mut producer, mut consumer) = (ring.producer()?, ring.consumer()?);
/// producer.send_exact(&[1, 2, 3, 4])?;
/// assert_eq!(consumer.recv()?, 1);
///
/// let received = consumer.recv_ref()?;
/// assert_eq!((received.read(), received.redelivered()), (2, false));
/// received.release();
///
/// let mut rest = [0; 8];
/// assert_eq!(consumer.recv_up_to(&mut rest)?, 2);
/// assert_eq!(consumer.try_recv(), Err(RecvError::Empty));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl<T: Pod, K: Topology> Consumer<T, K> {
    /// Receives if a message is there now. It is released before this returns: a process that is killed afterwards has had it.
    ///
    /// # Errors
    /// [`RecvError::Empty`], [`RecvError::Disconnected`], [`RecvError::OwnerDied`], [`RecvError::Corrupt`].
    #[inline]
    pub fn try_recv(&mut self) -> Result<T, RecvError> {
        self.recv_when(When::Now)
    }

    /// Receives; waits for a message.
    ///
    /// # Errors
    /// [`RecvError::Disconnected`], [`RecvError::OwnerDied`], [`RecvError::Corrupt`].
    #[inline]
    pub fn recv(&mut self) -> Result<T, RecvError> {
        self.recv_when(When::EVER)
    }

    /// Receives; waits for a message, `timeout` at most.
    ///
    /// # Errors
    /// [`RecvError::TimedOut`], and those of [`recv`](Self::recv).
    #[inline]
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<T, RecvError> {
        self.recv_when(When::Within(timeout))
    }

    /// Receives; waits for a message until `deadline` at most.
    ///
    /// # Errors
    /// [`RecvError::TimedOut`], and those of [`recv`](Self::recv).
    #[inline]
    pub fn recv_deadline(&mut self, deadline: impl Into<Deadline>) -> Result<T, RecvError> {
        self.recv_when(When::until(deadline))
    }

    #[inline]
    fn recv_when(&mut self, when: When) -> Result<T, RecvError> {
        self.receiver.recv_one(when)
    }

    /// Receives, and leaves the message in the ring until the guard is dropped, if one is there now.
    ///
    /// # Errors
    /// Those of [`try_recv`](Self::try_recv).
    pub fn try_recv_ref(&mut self) -> Result<Received<'_, T, K>, RecvError> {
        self.recv_ref_when(When::Now)
    }

    /// Receives, and leaves the message in the ring until the guard is dropped; waits for one.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    pub fn recv_ref(&mut self) -> Result<Received<'_, T, K>, RecvError> {
        self.recv_ref_when(When::EVER)
    }

    /// The same; waits `timeout` at most.
    ///
    /// # Errors
    /// Those of [`recv_timeout`](Self::recv_timeout).
    pub fn recv_ref_timeout(&mut self, timeout: Duration) -> Result<Received<'_, T, K>, RecvError> {
        self.recv_ref_when(When::Within(timeout))
    }

    /// The same; waits until `deadline` at most.
    ///
    /// # Errors
    /// Those of [`recv_deadline`](Self::recv_deadline).
    pub fn recv_ref_deadline(
        &mut self,
        deadline: impl Into<Deadline>,
    ) -> Result<Received<'_, T, K>, RecvError> {
        self.recv_ref_when(When::until(deadline))
    }

    fn recv_ref_when(&mut self, when: When) -> Result<Received<'_, T, K>, RecvError> {
        let (found, redelivered) = self.receiver.find(when)?;
        Ok(Received {
            receiver: &mut self.receiver,
            found,
            redelivered,
            releases: true,
        })
    }

    /// Receives as many as are there now and fit into `messages`, at least one, and says how many.
    ///
    /// # Errors
    /// Those of [`try_recv`](Self::try_recv).
    pub fn try_recv_up_to(&mut self, messages: &mut [T]) -> Result<usize, RecvError> {
        self.recv_up_to_when(messages, When::Now)
    }

    /// Receives as many as are there and fit into `messages`; waits for the first.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    pub fn recv_up_to(&mut self, messages: &mut [T]) -> Result<usize, RecvError> {
        self.recv_up_to_when(messages, When::EVER)
    }

    /// The same; waits `timeout` at most.
    ///
    /// # Errors
    /// Those of [`recv_timeout`](Self::recv_timeout).
    pub fn recv_up_to_timeout(
        &mut self,
        messages: &mut [T],
        timeout: Duration,
    ) -> Result<usize, RecvError> {
        self.recv_up_to_when(messages, When::Within(timeout))
    }

    fn recv_up_to_when(&mut self, messages: &mut [T], when: When) -> Result<usize, RecvError> {
        if messages.is_empty() {
            return Ok(0);
        }
        self.receiver.recv_some(messages, when)
    }
}

/// # Reading a typed message in place
impl<T: Pod, K: Topology> Received<'_, T, K> {
    /// Copies the message.
    pub fn read(&self) -> T {
        // SAFETY: a message that nobody writes to until it is released.
        unsafe { self.receiver.payload_ptr(self.found).read() }
    }

    /// The message in place.
    ///
    /// # Safety
    /// No process writes to the slot while the reference lives: true if all who have the segment open use it through
    /// this library, and not if one of them may be hostile or broken.
    pub unsafe fn as_ref(&self) -> &T {
        // SAFETY: a message that its producer leaves alone until the release; the caller vouches for the others.
        unsafe { &*self.receiver.payload_ptr(self.found) }
    }
}
