//! A semaphore in memory of the caller's.

use std::time::Duration;

use super::core::{Change, Core, Words};
use super::word::PERMITS_MAX;
use super::{not_acquired, not_released, taking, waited};
use crate::Deadline;
use crate::error::{AcquireError, ReleaseError};
use crate::event_count::WaitKey;

/// A count of permits that processes share, in 32 bytes of memory that they all map.
///
/// An uncontended acquire or release makes no system call. A permit that a killed process held is lost; permits that come back
/// need a [`NamedSemaphore`](crate::NamedSemaphore). A waiter that is killed, also just after it was woken, takes nothing with it.
///
/// A newcomer may take a permit ahead of a sleeper that was just woken for it. A sleeper that was woken in vain, or has slept for 25 ms, reserves the next permits,
/// the oldest one first, and nobody else gets any until it has its own; so nobody starves, also not one who wants many
/// at once. A reservation lapses 75 ms after its holder looked last: one that was killed or stopped holds up the others no longer.
///
/// All-zero bytes are a semaphore without permits.
///
/// ```
/// use shm_semaphore::{AcquireError, Semaphore};
///
/// let jobs = Semaphore::new(3)?;
/// jobs.acquire()?;
/// assert_eq!(jobs.try_acquire_many(3), Err(AcquireError::NoPermits));
/// jobs.acquire_many(2)?;
/// assert_eq!(jobs.try_acquire(), Err(AcquireError::NoPermits));
/// jobs.release(3)?;
/// assert_eq!(jobs.permits(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[cfg_attr(not(loom), repr(transparent))]
pub struct Semaphore {
    words: Words,
}

impl Semaphore {
    /// The most permits that it counts: 2²⁴ − 1.
    pub const MAX_PERMITS: u32 = PERMITS_MAX;

    /// A semaphore with so many permits.
    ///
    /// # Errors
    /// [`ReleaseError::Overflow`] beyond [`MAX_PERMITS`](Self::MAX_PERMITS).
    pub fn new(permits: u32) -> Result<Self, ReleaseError> {
        if permits > PERMITS_MAX {
            return Err(ReleaseError::Overflow {
                released: permits,
                permits: 0,
            });
        }
        Ok(Self {
            words: Words::new(permits),
        })
    }

    #[inline]
    fn core(&self) -> Core<'_> {
        Core {
            words: &self.words,
            participants: &[],
        }
    }

    /// Takes a permit if one is there and nobody has reserved it.
    ///
    /// # Errors
    /// [`AcquireError::NoPermits`], [`AcquireError::Corrupt`].
    #[inline]
    pub fn try_acquire(&self) -> Result<(), AcquireError> {
        self.try_acquire_many(1)
    }

    /// Takes a permit; waits until there is one.
    ///
    /// # Errors
    /// [`AcquireError::Corrupt`].
    #[inline]
    pub fn acquire(&self) -> Result<(), AcquireError> {
        self.acquire_many(1)
    }

    /// Takes a permit; waits `timeout` at most.
    ///
    /// # Errors
    /// [`AcquireError::TimedOut`], [`AcquireError::Corrupt`].
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<(), AcquireError> {
        self.acquire_many_timeout(1, timeout)
    }

    /// Takes a permit; waits until `deadline` at most.
    ///
    /// # Errors
    /// [`AcquireError::TimedOut`], [`AcquireError::Corrupt`].
    pub fn acquire_deadline(&self, deadline: impl Into<Deadline>) -> Result<(), AcquireError> {
        self.acquire_many_deadline(1, deadline)
    }

    /// Takes `wanted` permits if so many are there and nobody has reserved them, or none.
    ///
    /// # Errors
    /// [`AcquireError::NoPermits`], [`AcquireError::TooMany`] beyond [`MAX_PERMITS`](Self::MAX_PERMITS), [`AcquireError::Corrupt`].
    #[inline]
    pub fn try_acquire_many(&self, wanted: u32) -> Result<(), AcquireError> {
        if self.take_at_once(wanted) {
            return Ok(());
        }
        self.try_take_slowly(wanted)
    }

    /// The short way, compiled into the caller.
    #[inline]
    fn take_at_once(&self, wanted: u32) -> bool {
        let change = Change::take(wanted, false);
        wanted <= PERMITS_MAX && self.words.change_at_once(change)
    }

    #[cold]
    fn try_take_slowly(&self, wanted: u32) -> Result<(), AcquireError> {
        let change = taking(wanted, false)?;
        self.core()
            .try_take(None, change)
            .map_err(|refused| not_acquired(refused, wanted))
    }

    /// Takes `wanted` permits at once; waits until there are so many. Once it has waited for long it holds back all others until they are there, also if that
    /// is never: ask for no more than there can be.
    ///
    /// # Errors
    /// [`AcquireError::TooMany`], [`AcquireError::Corrupt`].
    #[inline]
    pub fn acquire_many(&self, wanted: u32) -> Result<(), AcquireError> {
        self.acquire_many_deadline(wanted, Deadline::NEVER)
    }

    /// Takes `wanted` permits at once; waits `timeout` at most.
    ///
    /// # Errors
    /// [`AcquireError::TimedOut`], [`AcquireError::TooMany`], [`AcquireError::Corrupt`].
    pub fn acquire_many_timeout(&self, wanted: u32, timeout: Duration) -> Result<(), AcquireError> {
        match self.try_acquire_many(wanted) {
            Err(AcquireError::NoPermits) => {
                self.acquire_many_deadline(wanted, Deadline::after(timeout))
            }
            result => result,
        }
    }

    /// Takes `wanted` permits at once; waits until `deadline` at most.
    ///
    /// # Errors
    /// [`AcquireError::TimedOut`], [`AcquireError::TooMany`], [`AcquireError::Corrupt`].
    #[inline]
    pub fn acquire_many_deadline(
        &self,
        wanted: u32,
        deadline: impl Into<Deadline>,
    ) -> Result<(), AcquireError> {
        if self.take_at_once(wanted) {
            return Ok(());
        }
        self.take_slowly(wanted, deadline.into())
    }

    #[cold]
    fn take_slowly(&self, wanted: u32, deadline: Deadline) -> Result<(), AcquireError> {
        let change = taking(wanted, false)?;
        let result = self.core().take(None, change, deadline, || Ok(()));
        waited(result, wanted)
    }

    /// Gives back, or adds, `permits`, and wakes who waits for them.
    ///
    /// # Errors
    /// [`ReleaseError::Overflow`] if the count can't hold them; nothing has changed then. [`ReleaseError::Corrupt`].
    #[inline]
    pub fn release(&self, permits: u32) -> Result<(), ReleaseError> {
        let change = Change::give(permits, false);
        if self.words.change_at_once(change) {
            return Ok(());
        }
        self.release_slowly(permits)
    }

    #[cold]
    fn release_slowly(&self, permits: u32) -> Result<(), ReleaseError> {
        self.core()
            .give(None, Change::give(permits, false))
            .map_err(|refused| not_released(refused, permits))
    }

    /// The permits at this moment; another process may take one before the caller looks at the answer.
    pub fn permits(&self) -> u32 {
        self.core().permits()
    }

    /// Announces a sleeper for [`wait_any`](crate::wait_any) or a [`Pollable`](crate::Pollable); `None` if there is a permit to be tried for now.
    ///
    /// A sleep that begins with the key ends when permits are given. Look again after 100 ms at the latest: a wake may have
    /// gone to one who was killed.
    pub fn prepare_wait(&self) -> Option<WaitKey> {
        self.core().prepare_wait()
    }

    /// The prepared wait as one of several.
    #[cfg(not(loom))]
    pub fn prepared(&self, key: WaitKey) -> crate::Prepared<'_> {
        crate::Prepared::new(self.news(), key)
    }

    /// A semaphore at `ptr`: 32 bytes, as [`new`](Self::new) or all-zero memory has them.
    ///
    /// # Safety
    /// `ptr` is aligned to 8 bytes and valid for reads and writes of 32 bytes for all of `'a`, and for as long nobody, in any process,
    /// reaches them but through this type.
    #[cfg(not(loom))]
    #[allow(unsafe_code)]
    pub unsafe fn from_ptr<'a>(ptr: *mut u64) -> &'a Self {
        // SAFETY: a transparent wrapper of atomic words; the caller vouches for the pointer.
        unsafe { &*ptr.cast::<Self>() }
    }

    #[cfg(not(loom))]
    pub(crate) fn news(&self) -> &crate::Futex {
        &self.words.news
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn more_permits_than_the_count_holds_are_an_error_and_change_nothing() {
        let semaphore = Semaphore::new(Semaphore::MAX_PERMITS).unwrap();
        let refused = semaphore.release(1).unwrap_err();
        let permits = Semaphore::MAX_PERMITS;
        let released = 1;
        assert_eq!(refused, ReleaseError::Overflow { released, permits });
        assert!(semaphore.release(u32::MAX).is_err());
        assert_eq!(semaphore.permits(), Semaphore::MAX_PERMITS);
        assert!(Semaphore::new(permits + 1).is_err());
        let wanted = permits + 1;
        let too_many = semaphore.acquire_many(wanted).unwrap_err();
        assert_eq!(
            too_many,
            AcquireError::TooMany {
                wanted,
                max: permits
            }
        );
    }

    #[test]
    fn a_wait_without_a_permit_times_out_and_leaves_the_count_alone() {
        let semaphore = Semaphore::new(0).unwrap();
        let timeout = Duration::from_millis(60);
        assert_eq!(
            semaphore.acquire_timeout(timeout),
            Err(AcquireError::TimedOut)
        );
        semaphore.release(3).unwrap();
        assert_eq!(semaphore.permits(), 3);
        assert!(
            semaphore.try_acquire_many(3).is_ok(),
            "nothing is reserved any more"
        );
    }

    #[test]
    fn many_permits_are_taken_together_or_not_at_all() {
        let semaphore = Semaphore::new(2).unwrap();
        assert_eq!(semaphore.try_acquire_many(3), Err(AcquireError::NoPermits));
        assert_eq!(semaphore.permits(), 2);
        semaphore.try_acquire_many(0).unwrap();
        semaphore.try_acquire_many(2).unwrap();
        semaphore.try_acquire_many(0).unwrap();
        assert_eq!(semaphore.permits(), 0);
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
            assert!(
                waiters
                    .into_iter()
                    .all(|waiter| waiter.join().unwrap().is_ok())
            );
        });
        assert_eq!(semaphore.permits(), 0);
    }
}
