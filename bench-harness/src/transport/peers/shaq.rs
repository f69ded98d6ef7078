//! `shaq`: its queue for one producer and one consumer, in shared memory.
//!
//! A message is of one type, `[u64; N]`, and goes in and out by value: `try_write` and `try_read`, which publish and release at once. The batches are for
//! several messages. A consumer can wait: `read_timeout` looks two thousand times and then sleeps at a futex, which is why that row is `spin-park` and not `park`. A
//! producer can't: it finds the queue full, and it is up to its program what to do. Here it looks again, at once where the row spins, and after
//! giving its core away where the row sleeps.
#![allow(unsafe_code)]

use std::fmt;
use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use shaq::error::Error;
use shaq::spsc::{self, Consumer, Producer};

use super::lengths::{self, with_peer_words};
use crate::conformance::{self, Answer, Failure, Question};
use crate::job::{Job, SideReport};
use crate::measure::duplex::run_transport;
use crate::shared::SharedPage;
use crate::transport::registry::Mechanism;
use crate::transport::typed;
use crate::transport::{
    Carries, Class, Link, LinkError, LinkShape, Promises, Receiver, Sender, Ticket, Transport,
    WaitMode, alarm, calls, join, shared_memory,
};

/// The queue, for messages of any of the lengths that it is compiled for.
#[derive(Debug)]
pub struct Shaq(WaitMode);

impl Shaq {
    /// One whose consumer waits like that.
    pub const fn new(mode: WaitMode) -> Self {
        Self(mode)
    }
}

impl Mechanism for Shaq {
    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let len = lengths::of_one_length("shaq", shape)?;
        with_peer_words!(len, |N| Transport::create(&Queue::<N>(self.0), shape), else {
            Err(lengths::not_compiled("shaq", len))
        })
    }

    fn ask(&self, class: Class, question: Question) -> Result<Answer, Failure> {
        conformance::ask(&Queue::<1>(self.0), class, question)?;
        conformance::ask(&Queue::<64>(self.0), class, question)?;
        conformance::ask(&Queue::<4096>(self.0), class, question)
    }

    fn run(&self, job: &Job, page: &SharedPage) -> SideReport {
        let len = job.forward.message_len_max;
        with_peer_words!(len, |N| run_transport(&Queue::<N>(self.0), job, page), else {
            SideReport::failed(format!("no queue was made for messages of {len} bytes"))
        })
    }
}

/// The queue for messages of `[u64; N]`.
#[derive(Debug)]
pub struct Queue<const N: usize>(WaitMode);

impl<const N: usize> Queue<N> {
    /// One whose consumer waits like that.
    pub const fn new(mode: WaitMode) -> Self {
        Self(mode)
    }
}

/// What the queue takes with so many places. Its own function for that panics where the number is too large.
fn footprint<const N: usize>(capacity: usize) -> Option<usize> {
    /// More than a queue needs beside its places.
    const HEADER_LEN_MAX: usize = 4096;
    let places = capacity.checked_next_power_of_two()?;
    let len = places.checked_mul(size_of::<[u64; N]>())?;
    len.checked_add(HEADER_LEN_MAX)?;
    Some(spsc::minimum_file_size::<[u64; N]>(places))
}

impl<const N: usize> Transport for Queue<N> {
    type Tx = QueueSender<N>;
    type Rx = QueueReceiver<N>;

    fn promises(&self) -> Promises {
        Promises {
            carries: Carries::Only(size_of::<[u64; N]>()),
            ..Promises::SHARED
        }
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let wanted = shape.capacity.max(1);
        let len = footprint::<N>(wanted);
        let memory = File::from(shared_memory::posix(len.unwrap_or(usize::MAX))?);
        // SAFETY: the memory is new, so it is made a queue once, here. This producer never sends and is gone when this function returns; the one
        // that joins later is the only one then.
        let made = unsafe { Producer::<[u64; N]>::create(&memory, len.unwrap_or_default()) };
        let capacity = match made {
            Ok(producer) => producer.capacity(),
            Err(Error::InvalidBufferSize) => {
                return Err(LinkError::Unavailable(format!(
                    "{wanted} messages are over the 4294967296 places that a queue of shaq has at most; choose a smaller capacity"
                )));
            }
            Err(error) => return Err(io::Error::other(error).into()),
        };
        Ok(join::link_of_one(memory.into(), shape, capacity))
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<QueueSender<N>> {
        if self.0 != WaitMode::Spin {
            // It wakes a consumer that sleeps.
            calls::hide();
        }
        let memory = File::from(join::adopt(&ticket.sender_fds)?);
        // SAFETY: whoever made the queue has no producer any more, the harness joins one sender for a link, and the other side has the same `N`: it
        // follows from the length in the ticket. Any bytes are a valid `[u64; N]`.
        let producer = unsafe { Producer::join(&memory) };
        Ok(QueueSender {
            producer: producer.map_err(io::Error::other)?,
            wait: self.0,
        })
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<QueueReceiver<N>> {
        if self.0 != WaitMode::Spin {
            calls::hide();
        }
        let memory = File::from(join::adopt(&ticket.receiver_fds)?);
        // SAFETY: the harness joins one receiver for a link, and the other side has the same `N`: it follows from the length in the ticket. Any bytes
        // are a valid `[u64; N]`.
        let consumer = unsafe { Consumer::join(&memory) };
        Ok(QueueReceiver {
            consumer: consumer.map_err(io::Error::other)?,
            wait: self.0,
            deadline: None,
        })
    }
}

/// The sending end.
pub struct QueueSender<const N: usize> {
    producer: Producer<[u64; N]>,
    wait: WaitMode,
}

impl<const N: usize> Sender for QueueSender<N> {
    #[inline]
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let message: &[u64; N] = typed::message_in(message)?;
        let producer = &mut self.producer;
        match self.wait {
            WaitMode::Spin => alarm::spin_until(|| producer.try_write(*message).ok()),
            WaitMode::SpinPark | WaitMode::Park => {
                alarm::yield_until_function(Errno::EAGAIN, || {
                    producer.try_write(*message).map_err(|_| Errno::EAGAIN)
                })
            }
        }
    }
}

/// The receiving end.
pub struct QueueReceiver<const N: usize> {
    consumer: Consumer<[u64; N]>,
    wait: WaitMode,
    deadline: Option<Instant>,
}

impl<const N: usize> QueueReceiver<N> {
    #[inline]
    fn next(&mut self) -> io::Result<[u64; N]> {
        let consumer = &mut self.consumer;
        if self.wait == WaitMode::Spin {
            return alarm::spin_until(|| consumer.try_read());
        }
        // Before the clock is read: how long it may wait matters only if it has to.
        if let Some(message) = consumer.try_read() {
            return Ok(message);
        }
        let timeout = self.deadline.map_or(Duration::MAX, |deadline| {
            deadline.saturating_duration_since(Instant::now())
        });
        consumer
            .read_timeout(timeout)
            .map_err(|_timeout| alarm::timed_out())
    }
}

impl<const N: usize> Receiver for QueueReceiver<N> {
    #[inline]
    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let place: &mut [u64; N] = typed::place_in(buffer)?;
        *place = self.next()?;
        Ok(size_of::<[u64; N]>())
    }

    fn begin_window(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
    }
}

impl<const N: usize> fmt::Debug for QueueSender<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueSender").finish_non_exhaustive()
    }
}

impl<const N: usize> fmt::Debug for QueueReceiver<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueReceiver").finish_non_exhaustive()
    }
}
