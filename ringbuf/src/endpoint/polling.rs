//! Endpoints in event loops.

use bytemuck::Pod;
use shm_semaphore::Pollable;

use super::consumer::Consumer;
use super::message::Message;
use super::producer::Producer;
use super::sides::{ByteSender, ReceiveSide, Side, TypedSender};
use super::topology::Topology;
use crate::error::Error;

/// # Receiving in an event loop
impl<M: Message + ?Sized, K: Topology> Consumer<M, K> {
    /// A descriptor that an event loop waits for in this consumer's place; see [`arm_if_empty`](Self::arm_if_empty). It has a mapping and a
    /// thread of its own, and may outlive the consumer; the next consumer of this ring may use it too.
    ///
    /// # Errors
    /// [`Error::WaitNotSupported`] for a ring made with [`Wait::Spin`](crate::Wait::Spin), which has no wakeups; [`Error::Os`].
    pub fn pollable(&self) -> Result<Pollable, Error> {
        self.receiver.pollable()
    }

    /// If there is nothing to receive now, makes `pollable` unreadable and says true: it becomes readable when a message comes, when the producer
    /// closes or dies, and after 100 ms at the latest. False means that [`try_recv`](Self::try_recv) has an answer now, a message or the end.
    ///
    /// Nothing has to be done when the wait is given up: `pollable` then becomes readable once more at most, until it is armed anew or
    /// [disarmed](Pollable::disarm). A pollable of another ring would be readable late, by 100 ms at most.
    ///
    /// ```
    /// use shm_ringbuf::{Config, RecvError};
    /// use tokio::io::{Interest, unix::AsyncFd};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = Config::spsc().anonymous::<u64>()?;
    /// let mut consumer = ring.consumer()?;
    /// let mut producer = ring.producer()?;
    /// std::thread::spawn(move || (1..=3).try_for_each(|n| producer.send(n)));
    ///
    /// // SAFETY: a pollable keeps one descriptor open for as long as it lives.
    /// let pollable = unsafe { AsyncFd::register_with_interest(consumer.pollable()?, Interest::READABLE)? };
    /// let mut sum = 0;
    /// loop {
    ///     match consumer.try_recv() {
    ///         Ok(message) => sum += message,
    ///         Err(RecvError::Empty) => {
    ///             if consumer.arm_if_empty(pollable.get_ref()) {
    ///                 pollable.readable().await?.clear_ready();
    ///             }
    ///         }
    ///         Err(RecvError::Disconnected) => break,
    ///         Err(error) => return Err(error.into()),
    ///     }
    /// }
    /// assert_eq!(sum, 6);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// In a child after `fork`, as [`Pollable::arm`] does.
    #[must_use = "when it is false there is something to receive, or an end to be told"]
    pub fn arm_if_empty(&mut self, pollable: &Pollable) -> bool {
        self.receiver.arm_if_empty(pollable)
    }
}

impl<M: Message + ?Sized, K: Topology> Producer<M, K> {
    /// A descriptor that an event loop waits for in this producer's place; see `arm_if_full`. It has a mapping and a thread of its
    /// own, and may outlive the producer; the next producer of this ring may use it too.
    ///
    /// # Errors
    /// [`Error::WaitNotSupported`] for a ring made with [`Wait::Spin`](crate::Wait::Spin), which has no wakeups; [`Error::Os`].
    pub fn pollable(&self) -> Result<Pollable, Error> {
        self.sender.pollable()
    }
}

/// # Sending typed messages in an event loop
impl<T: Pod, K: Topology> Producer<T, K> {
    /// If there is no room for `count` messages now, makes `pollable` unreadable and says true: it becomes readable when the consumer
    /// releases, closes or dies, and after 100 ms at the latest. False means that an attempt to send so many has an answer now. All
    /// else is as for [`Consumer::arm_if_empty`].
    ///
    /// ```
    /// use shm_ringbuf::{Config, SendError};
    /// use tokio::io::{Interest, unix::AsyncFd};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = Config::spsc().capacity(1).anonymous::<u64>()?;
    /// let (mut producer, mut consumer) = (ring.producer()?, ring.consumer()?);
    /// let receiver = std::thread::spawn(move || [(); 3].map(|()| consumer.recv()));
    ///
    /// // SAFETY: a pollable keeps one descriptor open for as long as it lives.
    /// let pollable = unsafe { AsyncFd::register_with_interest(producer.pollable()?, Interest::READABLE)? };
    /// for message in 1..=3 {
    ///     while let Err(SendError::Full(_)) = producer.try_send(message) {
    ///         if producer.arm_if_full(pollable.get_ref(), 1) {
    ///             pollable.readable().await?.clear_ready();
    ///         }
    ///     }
    /// }
    /// assert_eq!(receiver.join().unwrap(), [Ok(1), Ok(2), Ok(3)]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// In a child after `fork`, as [`Pollable::arm`] does.
    #[must_use = "when it is false there is room, or an end to be told"]
    pub fn arm_if_full(&mut self, pollable: &Pollable, count: usize) -> bool {
        count <= self.capacity() && self.sender.arm_if_full(pollable, count as u64)
    }
}

/// # Sending byte messages in an event loop
impl<K: Topology> Producer<[u8], K> {
    /// If there is no room for a message of `len` bytes now, makes `pollable` unreadable and says true: it becomes readable when the
    /// consumer releases, closes or dies, and after 100 ms at the latest. False means that an attempt to send it has an answer now. All
    /// else is as for [`Consumer::arm_if_empty`].
    ///
    /// # Panics
    /// In a child after `fork`, as [`Pollable::arm`] does.
    #[must_use = "when it is false there is room, or an end to be told"]
    pub fn arm_if_full(&mut self, pollable: &Pollable, len: usize) -> bool {
        len <= self.max_message_len() && self.sender.arm_if_full(pollable, len)
    }
}
