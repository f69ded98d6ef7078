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
use crate::sync::{Condvar, Mutex, Ordering};

/// A 32-bit word that processes can sleep on.
///
/// The value has no meaning here; [`EventCount`](crate::EventCount) and [`Semaphore`](crate::Semaphore) give it one.
#[derive(Debug)]
#[cfg_attr(not(loom), repr(transparent))]
pub struct Futex {
    word: AtomicU32,
    #[cfg(loom)]
    sleepers: (Mutex<()>, Condvar),
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
            sleepers: (Mutex::new(()), Condvar::new()),
        }
    }

    /// The word itself.
    pub fn word(&self) -> &AtomicU32 {
        &self.word
    }

    /// Sleeps while the word is `expected`, until woken or until the deadline.
    #[cfg(not(loom))]
    pub(crate) fn wait(&self, expected: u32, deadline: Deadline) -> Slept {
        let until = deadline.as_timespec();
        let until_ptr = until
            .as_ref()
            .map_or(core::ptr::null(), core::ptr::from_ref);
        // SAFETY: the word is borrowed for the whole call, and `until` outlives it; the kernel only reads both.
        let result = unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.word.as_ptr(),
                libc::FUTEX_WAIT_BITSET,
                expected,
                until_ptr,
                core::ptr::null::<u32>(),
                libc::FUTEX_BITSET_MATCH_ANY,
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

    /// Wakes every sleeper.
    #[cfg(not(loom))]
    pub(crate) fn wake_all(&self) {
        // SAFETY: the word is borrowed for the whole call; FUTEX_WAKE does not touch its value.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.word.as_ptr(),
                libc::FUTEX_WAKE,
                i32::MAX,
            )
        };
    }

    /// Stands in for the kernel, which compares the word and goes to sleep in one step under a lock of its own.
    /// There is no clock here: a lost wakeup is a deadlock, and loom reports that.
    #[cfg(loom)]
    pub(crate) fn wait(&self, expected: u32, _deadline: Deadline) -> Slept {
        let guard = self.sleepers.0.lock().unwrap();
        // Relaxed: the lock orders this load after the store of a waker that woke before us.
        if self.word.load(Ordering::Relaxed) == expected {
            drop(self.sleepers.1.wait(guard).unwrap());
        }
        Slept::CheckAgain
    }

    /// Stands in for the kernel.
    #[cfg(loom)]
    pub(crate) fn wake_all(&self) {
        drop(self.sleepers.0.lock().unwrap());
        self.sleepers.1.notify_all();
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
        assert_eq!(Futex::new(1).wait(0, Deadline::NEVER), Slept::CheckAgain);
    }

    #[test]
    fn a_sleep_ends_at_its_deadline() {
        let deadline = Deadline::after(Duration::from_millis(2));
        let futex = Futex::new(0);
        while futex.wait(0, deadline) != Slept::TimedOut {}
        assert!(deadline.has_passed());
    }
}
