//! `event-count` (class notify): the event count of this project beside a counter, both in shared memory.
//!
//! An event count only says "look again"; what there is to see is the counter, which the sender alone raises. The
//! receiver keeps for itself how far it has come, so the number of notifications is exact.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use memmap2::MmapRaw;
use shm_semaphore::{Deadline, EventCount, WaitResult};

use super::{
    Link, LinkError, LinkShape, Promises, Receiver, Sender, Ticket, Transport, alarm, join,
    shared_memory,
};

/// The sender's count of notifications.
const COUNTER: usize = 0;
/// The event count, in cache lines of its own: a receiver that goes to sleep writes to it.
const EVENT: usize = 128;

/// What is said about the highest count: the counter's own is 2^64 - 1, but not every reader of JSON keeps such a number.
const COUNT_MAX: usize = 1 << 53;

/// An [`EventCount`] beside a counter in shared memory.
#[derive(Debug, Clone, Copy)]
pub struct ShmEventCount;

impl Transport for ShmEventCount {
    type Tx = EventSender;
    type Rx = EventReceiver;

    fn promises(&self) -> Promises {
        Promises::COUNTER
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        // All-zero bytes are a fresh counter and a fresh event count.
        Ok(join::link_of_one(
            shared_memory::anonymous_page()?,
            shape,
            COUNT_MAX,
        ))
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<EventSender> {
        let words = Words::map(&ticket.sender_fds)?;
        Ok(EventSender {
            sent: words.counter().load(Ordering::Relaxed),
            words,
        })
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<EventReceiver> {
        let words = Words::map(&ticket.receiver_fds)?;
        Ok(EventReceiver {
            words,
            taken: 0,
            seen: 0,
            deadline: Deadline::NEVER,
        })
    }
}

#[derive(Debug)]
struct Words(MmapRaw);

impl Words {
    fn map(fds: &[RawFd]) -> io::Result<Self> {
        Ok(Self(shared_memory::map(
            &join::adopt(fds)?,
            shared_memory::PAGE_LEN,
        )?))
    }

    #[inline]
    fn counter(&self) -> &AtomicU64 {
        // SAFETY: inside the mapped page.
        let at = unsafe { self.0.as_mut_ptr().add(COUNTER) };
        // SAFETY: aligned, mapped as long as self, and touched only as this atomic.
        unsafe { AtomicU64::from_ptr(at.cast()) }
    }

    #[inline]
    fn event(&self) -> &EventCount {
        // SAFETY: inside the mapped page.
        let at = unsafe { self.0.as_mut_ptr().add(EVENT) };
        // SAFETY: aligned, mapped as long as self, and nothing but this event count.
        unsafe { EventCount::from_ptr(at.cast()) }
    }
}

/// Counts up and notifies.
#[derive(Debug)]
pub struct EventSender {
    words: Words,
    sent: u64,
}

impl Sender for EventSender {
    #[inline]
    fn send(&mut self, _: &[u8]) -> io::Result<()> {
        self.sent += 1;
        // Release: whatever the sender did before is done when the receiver sees the count. It is the only writer.
        self.words.counter().store(self.sent, Ordering::Release);
        self.words.event().notify_all();
        Ok(())
    }
}

/// Takes notifications one by one, and sleeps when there is none.
#[derive(Debug)]
pub struct EventReceiver {
    words: Words,
    taken: u64,
    /// The last look at the counter.
    seen: u64,
    deadline: Deadline,
}

impl EventReceiver {
    #[inline]
    fn look(&mut self) -> bool {
        // Acquire: pairs with the sender's store.
        self.seen = self.words.counter().load(Ordering::Acquire);
        self.seen > self.taken
    }

    fn sleep(&mut self) -> io::Result<()> {
        loop {
            let key = self.words.event().prepare_wait();
            if self.look() {
                self.words.event().cancel_wait(key);
                return Ok(());
            }
            let result = self.words.event().wait(key, self.deadline);
            if self.look() {
                return Ok(());
            }
            if result == WaitResult::TimedOut {
                return Err(alarm::timed_out());
            }
        }
    }
}

impl Receiver for EventReceiver {
    #[inline]
    fn recv(&mut self, _: &mut [u8]) -> io::Result<usize> {
        if self.seen <= self.taken && !self.look() {
            self.sleep()?;
        }
        self.taken += 1;
        Ok(0)
    }

    fn begin_window(&mut self, deadline: Instant) {
        self.deadline = deadline.into();
    }
}
