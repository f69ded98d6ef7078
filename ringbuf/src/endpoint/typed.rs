//! Typed endpoints.

#![allow(unsafe_code, reason = "slots that the protocol hands out")]

use std::time::Duration;

use bytemuck::Pod;
use shm_semaphore::Deadline;

use super::consumer::{Consumer, Received};
use super::core::When;
use super::producer::{Claim, Producer};
use crate::error::{RecvError, SendError};
use crate::protocol::ends::{ReadSide, WriteSide};
use crate::protocol::storage::SlotStorage;

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
impl<T: Pod> Producer<T> {
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
        if let Err(error) = self.endpoint.room(1, when) {
            return Err(error.map(|()| message));
        }
        // SAFETY: there is room for one.
        unsafe { self.endpoint.side.write(0, message) };
        self.endpoint.side.publish(1);
        self.endpoint.published();
        Ok(())
    }

    /// Sends all or none if there is room for all now; the consumer sees them all at once.
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
        let max = self.capacity();
        if messages.len() > max {
            return Err(SendError::TooLong {
                len: messages.len(),
                max,
            });
        }
        if messages.is_empty() {
            return Ok(());
        }
        self.endpoint.room(messages.len() as u64, when)?;
        self.publish_all(messages);
        Ok(())
    }

    /// Sends as many as there is room for now, at least one of a batch that is not empty, and says how many.
    ///
    /// # Errors
    /// Those of [`try_send`](Self::try_send).
    pub fn try_send_up_to(&mut self, messages: &[T]) -> Result<usize, SendError> {
        if messages.is_empty() {
            return Ok(0);
        }
        self.endpoint.room(1, When::Now)?;
        let wanted = messages.len().min(self.capacity());
        let free = self.endpoint.side.free_slots(wanted as u64);
        let sent = wanted.min(self.endpoint.checked(free)? as usize);
        self.publish_all(&messages[..sent]);
        Ok(sent)
    }

    /// There is room for all of them.
    fn publish_all(&mut self, messages: &[T]) {
        for (ahead, message) in messages.iter().enumerate() {
            // SAFETY: the callers have asked for room.
            unsafe { self.endpoint.side.write(ahead as u64, *message) };
        }
        self.endpoint.side.publish(messages.len() as u64);
        self.endpoint.published();
    }

    /// Claims a slot if one is free now.
    ///
    /// # Errors
    /// Those of [`try_send`](Self::try_send).
    pub fn try_claim(&mut self) -> Result<Claim<'_, T>, SendError> {
        self.claim_when(When::Now)
    }

    /// Claims a slot; waits for one.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub fn claim(&mut self) -> Result<Claim<'_, T>, SendError> {
        self.claim_when(When::EVER)
    }

    /// Claims a slot; waits for one, `timeout` at most.
    ///
    /// # Errors
    /// Those of [`send_timeout`](Self::send_timeout).
    pub fn claim_timeout(&mut self, timeout: Duration) -> Result<Claim<'_, T>, SendError> {
        self.claim_when(When::Within(timeout))
    }

    /// Claims a slot; waits for one until `deadline` at most.
    ///
    /// # Errors
    /// Those of [`send_deadline`](Self::send_deadline).
    pub fn claim_deadline(
        &mut self,
        deadline: impl Into<Deadline>,
    ) -> Result<Claim<'_, T>, SendError> {
        self.claim_when(When::until(deadline))
    }

    fn claim_when(&mut self, when: When) -> Result<Claim<'_, T>, SendError> {
        self.endpoint.room(1, when)?;
        Ok(Claim {
            endpoint: &mut self.endpoint,
            claimed: false,
        })
    }
}

/// # Writing a typed message in place
impl<T: Pod> Claim<'_, T> {
    /// Writes the message into its slot; the last one written counts.
    pub fn write(&mut self, message: T) {
        // SAFETY: the claim stands for a free slot.
        unsafe { self.endpoint.side.write(0, message) };
        self.claimed = true;
    }

    /// The slot itself, for a message too large to be built elsewhere first. It holds what an earlier lap left there.
    pub fn as_mut_ptr(&mut self) -> *mut T {
        self.claimed = true;
        let (side, at) = (&self.endpoint.side, self.endpoint.side.write_position());
        side.storage()
            .payload_ptr(at.index(side.storage().capacity()))
    }

    /// Sends the message; all zero if none was written.
    pub fn commit(mut self) {
        if !self.claimed {
            self.write(T::zeroed());
        }
        self.endpoint.side.publish(1);
        self.endpoint.published();
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
impl<T: Pod> Consumer<T> {
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
        self.endpoint.message(when)?;
        // SAFETY: a message is there.
        let message = unsafe { self.endpoint.side.read(0) };
        self.endpoint.side.release(1);
        self.endpoint.released();
        Ok(message)
    }

    /// Receives, and leaves the message in the ring until the guard is dropped, if one is there now.
    ///
    /// # Errors
    /// Those of [`try_recv`](Self::try_recv).
    pub fn try_recv_ref(&mut self) -> Result<Received<'_, T>, RecvError> {
        self.recv_ref_when(When::Now)
    }

    /// Receives, and leaves the message in the ring until the guard is dropped; waits for one.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    pub fn recv_ref(&mut self) -> Result<Received<'_, T>, RecvError> {
        self.recv_ref_when(When::EVER)
    }

    /// The same; waits `timeout` at most.
    ///
    /// # Errors
    /// Those of [`recv_timeout`](Self::recv_timeout).
    pub fn recv_ref_timeout(&mut self, timeout: Duration) -> Result<Received<'_, T>, RecvError> {
        self.recv_ref_when(When::Within(timeout))
    }

    /// The same; waits until `deadline` at most.
    ///
    /// # Errors
    /// Those of [`recv_deadline`](Self::recv_deadline).
    pub fn recv_ref_deadline(
        &mut self,
        deadline: impl Into<Deadline>,
    ) -> Result<Received<'_, T>, RecvError> {
        self.recv_ref_when(When::until(deadline))
    }

    fn recv_ref_when(&mut self, when: When) -> Result<Received<'_, T>, RecvError> {
        self.endpoint.message(when)?;
        let redelivered = self.endpoint.side.take();
        Ok(Received {
            endpoint: &mut self.endpoint,
            found: (),
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
        self.endpoint.message(when)?;
        let mut received = 0;
        for message in messages.iter_mut() {
            let ready = self.endpoint.side.ready_at(received);
            if !self.endpoint.checked(ready)? {
                break;
            }
            // SAFETY: the message is there.
            *message = unsafe { self.endpoint.side.read(received) };
            received += 1;
        }
        self.endpoint.side.release(received);
        self.endpoint.released();
        Ok(received as usize)
    }
}

/// # Reading a typed message in place
impl<T: Pod> Received<'_, T> {
    /// Copies the message.
    pub fn read(&self) -> T {
        // SAFETY: the message is there until it is released.
        unsafe { self.endpoint.side.read(0) }
    }

    /// The message in place.
    ///
    /// # Safety
    /// No process writes to the slot while the reference lives: true if all who have the segment open use it through
    /// this library, and not if one of them may be hostile or broken.
    pub unsafe fn as_ref(&self) -> &T {
        let (side, at) = (&self.endpoint.side, self.endpoint.side.read_position());
        let payload = side
            .storage()
            .payload_ptr(at.index(side.storage().capacity()));
        // SAFETY: a published slot, which its producer leaves alone until the release; the caller vouches for the others.
        unsafe { &*payload }
    }
}
