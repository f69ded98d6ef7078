//! Taking a permit of whichever semaphore has one.

use crate::wait_any::wait_any;
use crate::{AcquireError, Deadline, NamedSemaphore, Prepared, Semaphore, WaitKey};

/// What [`acquire_any`] asks of a semaphore. Both kinds have it, and nothing else.
pub trait Permits {
    /// Takes a permit, or says `NoPermits`.
    #[doc(hidden)]
    fn try_take(&self) -> Result<(), AcquireError>;

    /// Announces a sleeper, or says `None` because a try would have succeeded at that moment.
    #[doc(hidden)]
    fn announce(&self) -> Option<WaitKey>;

    /// The wait that was announced.
    #[doc(hidden)]
    fn prepared(&self, key: WaitKey) -> Prepared<'_>;

    /// The permits now.
    #[doc(hidden)]
    fn permits(&self) -> u32;
}

macro_rules! permits {
    ($($kind:ty),*) => {$(
        impl Permits for $kind {
            fn try_take(&self) -> Result<(), AcquireError> {
                self.try_acquire()
            }
            fn announce(&self) -> Option<WaitKey> {
                self.prepare_wait()
            }
            fn prepared(&self, key: WaitKey) -> Prepared<'_> {
                self.prepared(key)
            }
            fn permits(&self) -> u32 {
                self.permits()
            }
        }
    )*};
}

permits!(Semaphore, NamedSemaphore);

/// Takes one permit of one of the semaphores, the first in the slice that has one, and says of which; waits until `deadline` at most. The
/// permit is given back by `release`; nobody owns it.
///
/// It waits as [`wait_any`] does: with one system call for up to 128 semaphores on Linux 5.16 and later. It reserves nothing: those
/// who wait for a single semaphore and have waited long go first, and under steady traffic on all of them it may wait for long.
///
/// ```
/// use shm_semaphore::{AcquireError, Deadline, Semaphore, acquire_any};
/// use std::time::Duration;
///
/// let (urgent, other) = (Semaphore::new(0)?, Semaphore::new(1)?);
/// assert_eq!(acquire_any(&[&urgent, &other], Deadline::NEVER), Ok(1));
///
/// let soon = Deadline::after(Duration::from_millis(1));
/// assert_eq!(acquire_any(&[&urgent, &other], soon), Err(AcquireError::TimedOut));
///
/// std::thread::scope(|scope| {
///     scope.spawn(|| urgent.release(1));
///     assert_eq!(acquire_any(&[&urgent, &other], Deadline::NEVER), Ok(0));
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`AcquireError::TimedOut`], and what a try says of a semaphore that is corrupt.
pub fn acquire_any<S: Permits>(
    semaphores: &[&S],
    deadline: impl Into<Deadline>,
) -> Result<usize, AcquireError> {
    let mut has_slept = false;
    let result = take_one(semaphores, deadline.into(), &mut has_slept);
    if has_slept {
        // A release of another one may have chosen us to be woken.
        let left = |index: usize| result != Ok(index);
        let others = semaphores
            .iter()
            .enumerate()
            .filter(|&(index, _)| left(index));
        for (_, other) in others.filter(|(_, other)| other.permits() > 0) {
            other.prepared(WaitKey::new(0)).pass_on();
        }
    }
    result
}

fn take_one<S: Permits>(
    semaphores: &[&S],
    deadline: Deadline,
    has_slept: &mut bool,
) -> Result<usize, AcquireError> {
    // A turn that does not sleep found a permit that somebody else then took: others make progress.
    loop {
        for (index, semaphore) in semaphores.iter().enumerate() {
            match semaphore.try_take() {
                Ok(()) => return Ok(index),
                Err(AcquireError::NoPermits) => {}
                Err(error) => return Err(error),
            }
        }
        if deadline.has_passed() {
            return Err(AcquireError::TimedOut);
        }
        let waits: Vec<Prepared<'_>> = semaphores
            .iter()
            .map_while(|one| one.announce().map(|key| one.prepared(key)))
            .collect();
        if waits.len() == semaphores.len() {
            *has_slept = true;
            // Whatever ended it: a permit that came by the deadline counts.
            wait_any(&waits, deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_permit_is_taken_once_by_those_who_wait_for_several() {
        const EACH: u32 = 200;
        let semaphores = [0, 1, 2].map(|_| Semaphore::new(0).unwrap());
        let all: Vec<&Semaphore> = semaphores.iter().collect();
        let deadline = Deadline::after(Duration::from_secs(60));
        let take_all = || {
            let mut taken = [0; 3];
            (0..EACH).for_each(|_| taken[acquire_any(&all, deadline).unwrap()] += 1);
            taken
        };
        std::thread::scope(|scope| {
            let takers = [(); 3].map(|()| scope.spawn(take_all));
            for turn in 0..3 * EACH {
                semaphores[turn as usize % 3].release(1).unwrap();
            }
            let taken = takers.map(|taker| taker.join().unwrap());
            for index in 0..3 {
                assert_eq!(taken.iter().map(|taken| taken[index]).sum::<u32>(), EACH);
            }
        });
        assert!(all.iter().all(|one| one.permits() == 0));
    }

    #[test]
    fn without_a_semaphore_or_a_permit_it_ends_at_the_deadline() {
        let empty = Semaphore::new(0).unwrap();
        for semaphores in [&[][..], &[&empty], &[&empty, &empty]] {
            let deadline = Deadline::after(Duration::from_millis(2));
            let ended = acquire_any(semaphores, deadline);
            assert_eq!(ended, Err(AcquireError::TimedOut));
            assert!(deadline.has_passed());
        }
    }
}
