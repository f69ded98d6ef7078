//! The consumer of byte messages.

#![allow(unsafe_code, reason = "bytes that the protocol hands out")]

use std::time::Duration;

use shm_semaphore::Deadline;

use super::super::consumer::{Consumer, Received};
use super::super::sides::{ByteReceiver, ReceiveSide as _};
use super::super::topology::Topology;
use super::super::when::When;
use crate::error::RecvError;

/// # Receiving byte messages
///
/// ```
/// use shm_ringbuf::{Config, RecvError};
///
/// let ring = Config::spsc().anonymous::<[u8]>()?;
/// let (mut producer, mut consumer) = (ring.producer()?, ring.consumer()?);
/// producer.send_exact(&["one", "two", "three"])?;
///
/// let mut small = [0; 2];
/// let too_small = RecvError::BufferTooSmall { len: 3, buffer_len: 2 };
/// assert_eq!(consumer.recv(&mut small), Err(too_small));
///
/// let mut lengths = Vec::new();
/// consumer.recv_up_to(10, |message| lengths.push(message.len()))?;
/// assert_eq!(lengths, [3, 3, 5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl<K: Topology> Consumer<[u8], K> {
    /// Receives into the front of `buffer` if a message is there now, and says how long it is. It is released before this
    /// returns: a process that is killed afterwards has had it.
    ///
    /// # Errors
    /// [`RecvError::Empty`], [`RecvError::BufferTooSmall`], [`RecvError::Disconnected`], [`RecvError::OwnerDied`],
    /// [`RecvError::Corrupt`].
    #[inline]
    pub fn try_recv(&mut self, buffer: &mut [u8]) -> Result<usize, RecvError> {
        self.recv_when(buffer, When::Now)
    }

    /// Receives into the front of `buffer`; waits for a message.
    ///
    /// # Errors
    /// [`RecvError::BufferTooSmall`], [`RecvError::Disconnected`], [`RecvError::OwnerDied`], [`RecvError::Corrupt`].
    #[inline]
    pub fn recv(&mut self, buffer: &mut [u8]) -> Result<usize, RecvError> {
        self.recv_when(buffer, When::EVER)
    }

    /// Receives into the front of `buffer`; waits for a message, `timeout` at most.
    ///
    /// # Errors
    /// [`RecvError::TimedOut`], and those of [`recv`](Self::recv).
    #[inline]
    pub fn recv_timeout(
        &mut self,
        buffer: &mut [u8],
        timeout: Duration,
    ) -> Result<usize, RecvError> {
        self.recv_when(buffer, When::Within(timeout))
    }

    /// Receives into the front of `buffer`; waits for a message until `deadline` at most.
    ///
    /// # Errors
    /// [`RecvError::TimedOut`], and those of [`recv`](Self::recv).
    #[inline]
    pub fn recv_deadline(
        &mut self,
        buffer: &mut [u8],
        deadline: impl Into<Deadline>,
    ) -> Result<usize, RecvError> {
        self.recv_when(buffer, When::until(deadline))
    }

    #[inline]
    fn recv_when(&mut self, buffer: &mut [u8], when: When) -> Result<usize, RecvError> {
        self.receiver.recv_one(buffer, when)
    }

    /// Receives, and leaves the message in the ring until the guard is dropped, if one is there now.
    ///
    /// # Errors
    /// Those of [`try_recv`](Self::try_recv), without the buffer.
    pub fn try_recv_ref(&mut self) -> Result<Received<'_, [u8], K>, RecvError> {
        self.recv_ref_when(When::Now)
    }

    /// Receives, and leaves the message in the ring until the guard is dropped; waits for one.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv), without the buffer.
    pub fn recv_ref(&mut self) -> Result<Received<'_, [u8], K>, RecvError> {
        self.recv_ref_when(When::EVER)
    }

    /// The same; waits `timeout` at most.
    ///
    /// # Errors
    /// Those of [`recv_timeout`](Self::recv_timeout), without the buffer.
    pub fn recv_ref_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Received<'_, [u8], K>, RecvError> {
        self.recv_ref_when(When::Within(timeout))
    }

    /// The same; waits until `deadline` at most.
    ///
    /// # Errors
    /// Those of [`recv_deadline`](Self::recv_deadline), without the buffer.
    pub fn recv_ref_deadline(
        &mut self,
        deadline: impl Into<Deadline>,
    ) -> Result<Received<'_, [u8], K>, RecvError> {
        self.recv_ref_when(When::until(deadline))
    }

    fn recv_ref_when(&mut self, when: When) -> Result<Received<'_, [u8], K>, RecvError> {
        let (found, redelivered) = self.receiver.find(when)?;
        Ok(Received {
            receiver: &mut self.receiver,
            found,
            redelivered,
            releases: true,
        })
    }

    /// Hands as many messages as are there now, `max` at most and at least one, to `visit`, releases those that it has seen, all at once, and
    /// says how many. If `visit` panics, those before are released and the one it panicked at is delivered again.
    ///
    /// # Errors
    /// Those of [`try_recv_ref`](Self::try_recv_ref).
    pub fn try_recv_up_to(
        &mut self,
        max: usize,
        visit: impl FnMut(&Received<'_, [u8], K>),
    ) -> Result<usize, RecvError> {
        self.recv_up_to_when(max, When::Now, visit)
    }

    /// The same as [`try_recv_up_to`](Self::try_recv_up_to); waits for the first message.
    ///
    /// # Errors
    /// Those of [`recv_ref`](Self::recv_ref).
    pub fn recv_up_to(
        &mut self,
        max: usize,
        visit: impl FnMut(&Received<'_, [u8], K>),
    ) -> Result<usize, RecvError> {
        self.recv_up_to_when(max, When::EVER, visit)
    }

    /// The same; waits `timeout` at most.
    ///
    /// # Errors
    /// Those of [`recv_ref_timeout`](Self::recv_ref_timeout).
    pub fn recv_up_to_timeout(
        &mut self,
        max: usize,
        timeout: Duration,
        visit: impl FnMut(&Received<'_, [u8], K>),
    ) -> Result<usize, RecvError> {
        self.recv_up_to_when(max, When::Within(timeout), visit)
    }

    fn recv_up_to_when(
        &mut self,
        max: usize,
        when: When,
        mut visit: impl FnMut(&Received<'_, [u8], K>),
    ) -> Result<usize, RecvError> {
        if max == 0 {
            return Ok(0);
        }
        self.receiver
            .recv_some(max, when, |receiver, found, redelivered| {
                visit(&Received {
                    receiver,
                    found,
                    redelivered,
                    releases: false,
                });
            })
    }
}

/// # Reading a byte message in place
impl<K: Topology> Received<'_, [u8], K> {
    /// Bytes of the message.
    pub fn len(&self) -> usize {
        self.receiver.len_of(self.found)
    }

    /// Whether it is a message without bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies as much of the message as fits to the front of `buffer`, and says how much.
    pub fn copy_to(&self, buffer: &mut [u8]) -> usize {
        let copied = self.len().min(buffer.len());
        let start = self.receiver.payload_ptr(self.found);
        // SAFETY: a message that nobody writes to until it is released, contiguous in the double mapping; the copy is no longer than it.
        unsafe { start.copy_to_nonoverlapping(buffer.as_mut_ptr(), copied) };
        copied
    }

    /// Copies the message.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut message = vec![0; self.len()];
        self.copy_to(&mut message);
        message
    }

    /// The bytes in place.
    ///
    /// # Safety
    /// No process writes to them while the slice lives: true if all who have the segment open use it through
    /// this library, and not if one of them may be hostile or broken.
    pub unsafe fn as_slice(&self) -> &[u8] {
        let start = self.receiver.payload_ptr(self.found);
        // SAFETY: contiguous in the double mapping, and left alone by its producer until the release; the caller vouches for the others.
        unsafe { std::slice::from_raw_parts(start, self.len()) }
    }
}
