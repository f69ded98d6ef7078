//! The producer of byte messages.

#![allow(unsafe_code, reason = "bytes that the protocol hands out")]

use std::io;
use std::time::Duration;

use shm_semaphore::Deadline;

use super::super::message::ClaimedBytes;
use super::super::producer::{Claim, Producer};
use super::super::sides::ByteSender;
use super::super::topology::{Multi, Spsc, Topology};
use super::super::when::When;
use crate::error::SendError;

/// # Sending byte messages
///
/// ```
/// use shm_ringbuf::Config;
/// use std::io::Write;
///
/// let ring = Config::spsc().capacity(4096).anonymous::<[u8]>()?;
/// let (mut producer, mut consumer) = (ring.producer()?, ring.consumer()?);
/// producer.send(b"ready")?;
///
/// let mut claim = producer.claim(100)?;
/// write!(claim, "{} °C", 21.5)?;
/// let used = claim.written();
/// claim.commit(used);
///
/// let mut buffer = [0; 100];
/// assert_eq!(consumer.recv(&mut buffer)?, 5);
/// assert_eq!(consumer.recv_ref()?.to_vec(), "21.5 °C".as_bytes());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl<K: Topology> Producer<[u8], K> {
    /// Sends if there is room now.
    ///
    /// # Errors
    /// [`SendError::Full`], [`SendError::TooLong`], [`SendError::Disconnected`], [`SendError::OwnerDied`], [`SendError::Corrupt`].
    #[inline]
    pub fn try_send(&mut self, message: &[u8]) -> Result<(), SendError> {
        self.send_when(message, When::Now)
    }

    /// Sends; waits for room.
    ///
    /// # Errors
    /// [`SendError::TooLong`], [`SendError::Disconnected`], [`SendError::OwnerDied`], [`SendError::Corrupt`].
    #[inline]
    pub fn send(&mut self, message: &[u8]) -> Result<(), SendError> {
        self.send_when(message, When::EVER)
    }

    /// Sends; waits for room, `timeout` at most.
    ///
    /// # Errors
    /// [`SendError::TimedOut`], and those of [`send`](Self::send).
    #[inline]
    pub fn send_timeout(&mut self, message: &[u8], timeout: Duration) -> Result<(), SendError> {
        self.send_when(message, When::Within(timeout))
    }

    /// Sends; waits for room until `deadline` at most.
    ///
    /// # Errors
    /// [`SendError::TimedOut`], and those of [`send`](Self::send).
    #[inline]
    pub fn send_deadline(
        &mut self,
        message: &[u8],
        deadline: impl Into<Deadline>,
    ) -> Result<(), SendError> {
        self.send_when(message, When::until(deadline))
    }

    #[inline]
    fn send_when(&mut self, message: &[u8], when: When) -> Result<(), SendError> {
        self.sender.send_one(message, when)
    }

    /// Sends all or none if there is room for all now; the consumer sees them all at once.
    ///
    /// # Errors
    /// [`SendError::TooLong`] if one is too long, or if they can never fit together (its lengths then include 8 bytes for each header, and padding), and
    /// those of [`try_send`](Self::try_send).
    pub fn try_send_exact<B: AsRef<[u8]>>(&mut self, messages: &[B]) -> Result<(), SendError> {
        self.send_exact_when(messages, When::Now)
    }

    /// Sends all or none; waits until there is room for all.
    ///
    /// # Errors
    /// [`SendError::TooLong`] if they can never fit together, and those of [`send`](Self::send).
    pub fn send_exact<B: AsRef<[u8]>>(&mut self, messages: &[B]) -> Result<(), SendError> {
        self.send_exact_when(messages, When::EVER)
    }

    /// Sends all or none; waits until there is room for all, `timeout` at most.
    ///
    /// # Errors
    /// [`SendError::TimedOut`], and those of [`send_exact`](Self::send_exact).
    pub fn send_exact_timeout<B: AsRef<[u8]>>(
        &mut self,
        messages: &[B],
        timeout: Duration,
    ) -> Result<(), SendError> {
        self.send_exact_when(messages, When::Within(timeout))
    }

    fn send_exact_when<B: AsRef<[u8]>>(
        &mut self,
        messages: &[B],
        when: When,
    ) -> Result<(), SendError> {
        if messages.is_empty() {
            return Ok(());
        }
        // Looked at once: `as_ref` of a foreign type may answer differently the next time.
        let messages: Vec<&[u8]> = messages.iter().map(AsRef::as_ref).collect();
        let max = self.max_message_len();
        if let Some(long) = messages.iter().find(|message| message.len() > max) {
            return Err(SendError::TooLong {
                len: long.len(),
                max,
            });
        }
        self.sender.send_all(&messages, when)
    }

    /// Sends as many as there is room for now, at least one of a batch that is not empty, and says how many.
    ///
    /// # Errors
    /// Those of [`try_send`](Self::try_send); a message that is too long further on ends the batch before it.
    pub fn try_send_up_to<B: AsRef<[u8]>>(&mut self, messages: &[B]) -> Result<usize, SendError> {
        self.sender.send_some(messages)
    }

    /// Claims `len` bytes if there is room now.
    ///
    /// # Errors
    /// Those of [`try_send`](Self::try_send).
    pub fn try_claim(&mut self, len: usize) -> Result<Claim<'_, [u8], K>, SendError> {
        self.claim_when(len, When::Now)
    }

    /// Claims `len` bytes; waits for room.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub fn claim(&mut self, len: usize) -> Result<Claim<'_, [u8], K>, SendError> {
        self.claim_when(len, When::EVER)
    }

    /// Claims `len` bytes; waits for room, `timeout` at most.
    ///
    /// # Errors
    /// Those of [`send_timeout`](Self::send_timeout).
    pub fn claim_timeout(
        &mut self,
        len: usize,
        timeout: Duration,
    ) -> Result<Claim<'_, [u8], K>, SendError> {
        self.claim_when(len, When::Within(timeout))
    }

    /// Claims `len` bytes; waits for room until `deadline` at most.
    ///
    /// # Errors
    /// Those of [`send_deadline`](Self::send_deadline).
    pub fn claim_deadline(
        &mut self,
        len: usize,
        deadline: impl Into<Deadline>,
    ) -> Result<Claim<'_, [u8], K>, SendError> {
        self.claim_when(len, When::until(deadline))
    }

    fn claim_when(&mut self, len: usize, when: When) -> Result<Claim<'_, [u8], K>, SendError> {
        self.sender.claim(len, when)?;
        Ok(Claim {
            sender: &mut self.sender,
            claimed: ClaimedBytes { len, cursor: 0 },
        })
    }
}

/// # Writing a byte message in place
///
/// Bytes that are not written hold what an earlier lap left there. `io::Write` goes on where it stopped.
impl<K: Topology> Claim<'_, [u8], K> {
    /// The bytes that were claimed.
    pub fn len(&self) -> usize {
        self.claimed.len
    }

    /// How far `io::Write` has come.
    pub fn written(&self) -> usize {
        self.claimed.cursor
    }

    /// Writes bytes at an offset.
    ///
    /// # Panics
    /// If they do not lie within the claim.
    pub fn write_at(&mut self, offset: usize, bytes: &[u8]) {
        let len = self.claimed.len;
        let fits = offset
            .checked_add(bytes.len())
            .is_some_and(|end| end <= len);
        assert!(
            fits,
            "{} bytes at {offset} lie outside a claim of {len}",
            bytes.len()
        );
        // SAFETY: within the claim, whose bytes are contiguous.
        let start = unsafe { self.sender.claim_ptr().add(offset) };
        // SAFETY: as above, and they are ours to write.
        unsafe { start.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }

    /// The bytes in place.
    ///
    /// # Safety
    /// No other process reads or writes them while the slice lives: true if all who have the segment open use it through
    /// this library, and not if one of them may be hostile or broken.
    pub unsafe fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: contiguous in the double mapping, and ours; the caller vouches for the others.
        unsafe { std::slice::from_raw_parts_mut(self.sender.claim_ptr(), self.claimed.len) }
    }

    fn commit_used(&mut self, used: usize) -> Result<(), SendError> {
        let len = self.claimed.len;
        assert!(used <= len, "{used} bytes are used of a claim of {len}");
        self.sender.commit(used)
    }
}

impl Claim<'_, [u8], Spsc> {
    /// Sends the first `used` bytes.
    ///
    /// # Panics
    /// If more are used than were claimed.
    pub fn commit(mut self, used: usize) {
        let sent = self.commit_used(used);
        debug_assert!(sent.is_ok(), "the only producer keeps its place");
    }
}

impl Claim<'_, [u8], Multi> {
    /// Sends the first `used` bytes. If the claim was held for longer than the ring's patience, it may have lost its place; then the message is
    /// sent at another one, and this waits until there is room.
    ///
    /// # Errors
    /// [`SendError::Disconnected`], [`SendError::OwnerDied`], [`SendError::Corrupt`]: it was not sent.
    ///
    /// # Panics
    /// If more are used than were claimed.
    pub fn commit(mut self, used: usize) -> Result<(), SendError> {
        self.commit_used(used)
    }
}

impl<K: Topology> io::Write for Claim<'_, [u8], K> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.claimed.len - self.claimed.cursor;
        let taken = &bytes[..bytes.len().min(left)];
        self.write_at(self.claimed.cursor, taken);
        self.claimed.cursor += taken.len();
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
