//! The kernel's wait and wake on a word that processes share.
//!
//! Source: `futex(2)`. The calls never carry `FUTEX_PRIVATE_FLAG`: with it, a word in a shared mapping would never wake another
//! process. Waits use `FUTEX_WAIT_BITSET`, because that alone takes an absolute time on `CLOCK_MONOTONIC`.

#![allow(
    unsafe_code,
    reason = "the system call, and words placed in mapped memory"
)]

use crate::Deadline;
use crate::sync::AtomicU32;
#[cfg(loom)]
use crate::sync::{Condvar, Mutex};

/// A 32-bit word that processes can sleep on.
///
/// The value has no meaning here; [`EventCount`](crate::EventCount) and [`Semaphore`](crate::Semaphore) give it one.
#[derive(Debug)]
#[cfg_attr(not(loom), repr(transparent))]
pub struct Futex {
    word: AtomicU32,
    #[cfg(loom)]
    sleepers: (Mutex<Sleepers>, Condvar),
}

/// The kernel's queue of sleepers, the longest asleep first.
#[cfg(loom)]
#[derive(Debug, Default)]
struct Sleepers {
    next_ticket: usize,
    asleep: Vec<(usize, Channels)>,
}

/// Who of those that sleep on one word a wake call is for: a set of 32 bits (`futex(2)`, the bitset).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Channels(u32);

impl Channels {
    /// All of them.
    pub(crate) const ALL: Self = Self(u32::MAX);

    /// Those of a bitset, which is not empty.
    pub(crate) const fn of(bits: u32) -> Self {
        Self(bits)
    }
}

/// How a sleep ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slept {
    /// Woken, interrupted, or the word had changed before: look at the condition again.
    CheckAgain,
    /// The deadline has passed.
    #[cfg_attr(loom, expect(dead_code, reason = "loom has no clock"))]
    TimedOut,
}

impl Futex {
    /// A word with this value.
    #[cfg(not(loom))]
    pub const fn new(value: u32) -> Self {
        Self {
            word: AtomicU32::new(value),
        }
    }

    /// A word with this value.
    #[cfg(loom)]
    pub fn new(value: u32) -> Self {
        Self {
            word: AtomicU32::new(value),
            sleepers: (Mutex::new(Sleepers::default()), Condvar::new()),
        }
    }

    /// The word itself.
    pub fn word(&self) -> &AtomicU32 {
        &self.word
    }

    /// Sleeps while the word is `expected`, until a wake call for one of `channels`, or until the deadline.
    #[cfg(not(loom))]
    pub(crate) fn wait(&self, expected: u32, channels: Channels, deadline: Deadline) -> Slept {
        let until = deadline.as_timespec();
        let until_ptr = until
            .as_ref()
            .map_or(core::ptr::null(), core::ptr::from_ref);
        crate::diagnostics::count();
        // SAFETY: the word is borrowed for the whole call, and `until` outlives it; the kernel only reads both.
        let result = unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.word.as_ptr(),
                libc::FUTEX_WAIT_BITSET,
                expected,
                until_ptr,
                core::ptr::null::<u32>(),
                channels.0,
            )
        };
        let timed_out =
            result == -1 && std::io::Error::last_os_error().raw_os_error() == Some(libc::ETIMEDOUT);
        // Whatever else came back (EAGAIN, EINTR, even EFAULT of a page that a peer truncated away) means: look again.
        if timed_out {
            Slept::TimedOut
        } else {
            Slept::CheckAgain
        }
    }

    /// Wakes at most so many of those who sleep on one of `channels`, those who have slept longest first. Says how many there were.
    #[cfg(not(loom))]
    pub(crate) fn wake(&self, count: u32, channels: Channels) -> u32 {
        crate::diagnostics::count();
        // SAFETY: the word is borrowed for the whole call; waking does not touch its value.
        let woken = unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.word.as_ptr(),
                libc::FUTEX_WAKE_BITSET,
                i32::try_from(count).unwrap_or(i32::MAX),
                core::ptr::null::<libc::timespec>(),
                core::ptr::null::<u32>(),
                channels.0,
            )
        };
        // An error means that the word can't be reached, and so that nobody sleeps there.
        u32::try_from(woken).unwrap_or(0)
    }

    /// Wakes every sleeper.
    pub(crate) fn wake_all(&self) {
        self.wake(u32::MAX, Channels::ALL);
    }

    /// Stands in for the kernel, which compares the word and joins the queue in one step under a lock of its own.
    /// There is no clock here: a lost wakeup is a deadlock, and loom reports that.
    #[cfg(loom)]
    pub(crate) fn wait(&self, expected: u32, channels: Channels, _deadline: Deadline) -> Slept {
        let (queue, woken) = &self.sleepers;
        let mut sleepers = queue.lock().unwrap();
        // The lock orders this look after the store of a waker that woke before us.
        if self.word.peek() == expected {
            let ticket = sleepers.next_ticket;
            sleepers.next_ticket += 1;
            sleepers.asleep.push((ticket, channels));
            while sleepers.asleep.iter().any(|&(other, _)| other == ticket) {
                sleepers = woken.wait(sleepers).unwrap();
            }
        }
        Slept::CheckAgain
    }

    /// Stands in for the kernel.
    #[cfg(loom)]
    pub(crate) fn wake(&self, count: u32, channels: Channels) -> u32 {
        let (queue, woken) = &self.sleepers;
        let mut sleepers = queue.lock().unwrap();
        let before = sleepers.asleep.len();
        let mut left = count;
        sleepers.asleep.retain(|&(_, on)| {
            let wakes = left > 0 && on.0 & channels.0 != 0;
            left -= u32::from(wakes);
            !wakes
        });
        let gone = before - sleepers.asleep.len();
        drop(sleepers);
        woken.notify_all();
        gone as u32
    }

    /// A futex at `ptr`.
    ///
    /// # Safety
    /// `ptr` is aligned to 4 bytes and valid for reads and writes for all of `'a`, and for as long nobody, in any process, reaches
    /// these four bytes except through atomic operations.
    #[cfg(not(loom))]
    pub unsafe fn from_ptr<'a>(ptr: *mut u32) -> &'a Self {
        // SAFETY: the type is a transparent AtomicU32, which has the size and alignment of u32; the caller vouches for the rest.
        unsafe { &*ptr.cast::<Self>() }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_changed_word_is_not_slept_on() {
        assert_eq!(
            Futex::new(1).wait(0, Channels::ALL, Deadline::NEVER),
            Slept::CheckAgain
        );
    }

    #[test]
    fn a_sleep_ends_at_its_deadline() {
        let deadline = Deadline::after(Duration::from_millis(2));
        let futex = Futex::new(0);
        while futex.wait(0, Channels::ALL, deadline) != Slept::TimedOut {}
        assert!(deadline.has_passed());
    }
}
