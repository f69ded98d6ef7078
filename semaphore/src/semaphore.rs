//! A counting semaphore in one 32-bit word: `permits << 1 | waiting`.
//!
//! The count and the mark of a sleeper share a word, so the exchange that gives a permit back sees the sleeper, and no fence is needed
//! (glibc's `sem_t` arrived at the same form for 64-bit machines). A release wakes all sleepers: a single one that is
//! killed right after it was woken would take the permit's news with it. Waits sleep in slices, so a
//! releaser that is killed between its exchange and its wake call delays the others by one slice at most.

use std::fmt;
use std::time::Duration;

use crate::Deadline;
use crate::futex::{Channels, Futex};
use crate::sync::Ordering;

/// Somebody may be asleep.
const WAITING: u32 = 1;
/// One permit.
const PERMIT: u32 = 2;
/// The longest sleep before a waiter looks again by itself.
const SLICE: Duration = Duration::from_millis(100);

/// A count of permits that processes share.
///
/// Uncontended `try_acquire`, `acquire` and `release` make no system call. A permit that a killed process held is lost.
///
/// ```
/// use shm_semaphore::Semaphore;
///
/// let jobs = Semaphore::new(2)?;
/// assert!(jobs.try_acquire() && jobs.try_acquire() && !jobs.try_acquire());
/// jobs.release(1)?;
/// assert_eq!(jobs.permits(), 1);
/// # Ok::<(), shm_semaphore::Overflow>(())
/// ```
#[derive(Debug)]
#[cfg_attr(not(loom), repr(transparent))]
pub struct Semaphore {
    state: Futex,
}

/// More permits than a [`Semaphore`] can count; nothing was released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overflow {
    /// The permits that were to be added.
    pub released: u32,
    /// The permits that were there.
    pub permits: u32,
}

impl fmt::Display for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { released, permits } = self;
        let max = Semaphore::MAX_PERMITS;
        write!(
            f,
            "{released} permits on top of {permits} are more than a semaphore counts ({max}); release fewer"
        )
    }
}

impl std::error::Error for Overflow {}

impl Semaphore {
    /// The most permits that it counts: 2³¹ − 1.
    pub const MAX_PERMITS: u32 = u32::MAX / PERMIT;

    /// A semaphore with so many permits.
    ///
    /// # Errors
    /// [`Overflow`] beyond [`MAX_PERMITS`](Self::MAX_PERMITS).
    pub fn new(permits: u32) -> Result<Self, Overflow> {
        if permits > Self::MAX_PERMITS {
            return Err(Overflow {
                released: permits,
                permits: 0,
            });
        }
        Ok(Self {
            state: Futex::new(permits * PERMIT),
        })
    }

    /// Takes a permit if one is there.
    pub fn try_acquire(&self) -> bool {
        let word = self.state.word();
        // Relaxed: a guess that the exchange checks.
        let mut seen = word.load(Ordering::Relaxed);
        while seen >= PERMIT {
            match word.compare_exchange_weak(
                seen,
                seen - PERMIT,
                Ordering::Acquire, // edge: permit.acquire
                Ordering::Relaxed, // Relaxed: nothing was taken
            ) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// Takes a permit; waits until there is one.
    pub fn acquire(&self) {
        while !self.acquire_deadline(Deadline::NEVER) {}
    }

    /// Takes a permit; waits `timeout` at most. Says whether it got one.
    pub fn acquire_timeout(&self, timeout: Duration) -> bool {
        self.try_acquire() || self.acquire_deadline(Deadline::after(timeout))
    }

    /// Takes a permit; waits until `deadline` at most. Says whether it got one.
    pub fn acquire_deadline(&self, deadline: impl Into<Deadline>) -> bool {
        let deadline = deadline.into();
        loop {
            if self.try_acquire() {
                return true;
            }
            if deadline.has_passed() {
                return false;
            }
            if self.announce() {
                self.state
                    .wait(WAITING, Channels::ALL, deadline.min(Deadline::after(SLICE)));
            }
        }
    }

    /// Marks a sleeper in a word without permits; false if there is a permit by now.
    fn announce(&self) -> bool {
        let word = self.state.word();
        // Relaxed, both: the mark guards no data, and releasers see it in the very word that they change.
        match word.compare_exchange(0, WAITING, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => true,
            Err(now) => now == WAITING,
        }
    }

    /// Gives back, or adds, `permits`.
    ///
    /// # Errors
    /// [`Overflow`] if the count can't hold them; nothing has changed then.
    pub fn release(&self, permits: u32) -> Result<(), Overflow> {
        let word = self.state.word();
        // Relaxed: a guess that the exchange checks.
        let mut seen = word.load(Ordering::Relaxed);
        loop {
            let there = seen / PERMIT;
            if permits > Self::MAX_PERMITS - there {
                return Err(Overflow {
                    released: permits,
                    permits: there,
                });
            }
            match word.compare_exchange_weak(
                seen,
                (there + permits) * PERMIT,
                Ordering::Release, // edge: permit.release
                Ordering::Relaxed, // Relaxed: nothing was given
            ) {
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        if seen & WAITING != 0 {
            self.state.wake_all();
        }
        Ok(())
    }

    /// The permits at this moment; another process may take one before the caller looks at the answer.
    pub fn permits(&self) -> u32 {
        // Relaxed: a snapshot that guards no data.
        self.state.word().load(Ordering::Relaxed) / PERMIT
    }

    /// A semaphore at `ptr`; all-zero bytes are one without permits.
    ///
    /// # Safety
    /// As for [`Futex::from_ptr`].
    #[cfg(not(loom))]
    #[allow(unsafe_code)]
    pub unsafe fn from_ptr<'a>(ptr: *mut u32) -> &'a Self {
        // SAFETY: a transparent wrapper of Futex; the caller vouches for the pointer.
        unsafe { &*ptr.cast::<Self>() }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn more_permits_than_the_count_holds_are_an_error_and_change_nothing() {
        let semaphore = Semaphore::new(Semaphore::MAX_PERMITS).unwrap();
        assert_eq!(
            semaphore.release(1).unwrap_err().permits,
            Semaphore::MAX_PERMITS
        );
        assert_eq!(semaphore.permits(), Semaphore::MAX_PERMITS);
        assert!(Semaphore::new(u32::MAX).is_err());
    }

    #[test]
    fn a_wait_without_a_permit_times_out_and_leaves_the_count_alone() {
        let semaphore = Semaphore::new(0).unwrap();
        assert!(!semaphore.acquire_timeout(Duration::from_millis(2)));
        semaphore.release(3).unwrap();
        assert_eq!(semaphore.permits(), 3);
    }

    #[test]
    fn sleepers_get_every_permit_that_is_released() {
        let semaphore = Semaphore::new(0).unwrap();
        std::thread::scope(|scope| {
            let waiters: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| semaphore.acquire_timeout(Duration::from_secs(60))))
                .collect();
            for _ in 0..4 {
                semaphore.release(1).unwrap();
            }
            assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap()));
        });
        assert_eq!(semaphore.permits(), 0);
    }
}
