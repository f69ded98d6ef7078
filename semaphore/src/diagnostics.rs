//! What the waits and wakes of this crate cost, for those who measure it.

use std::cell::Cell;

thread_local! {
    // A plain cell: threads that wait and wake at the same time must not meet on a line of memory because somebody might look.
    static SYSTEM_CALLS: Cell<u64> = const { Cell::new(0) };
}

/// How many system calls this crate, and the rings above it, have made on the calling thread to wait, to wake, to give the processor away and to find out
/// who is alive: `futex`, `futex_waitv`, `membarrier`, `sched_yield`, the locks that prove a life (`fcntl`), and the
/// reads and writes of the descriptor behind a [`Pollable`](crate::Pollable).
///
/// It only grows: take the difference of two moments. What makes, opens and removes things is not in it, nor is reading the clock,
/// which Linux does without a system call.
///
/// ```
/// use shm_semaphore::{Deadline, Semaphore, diagnostics};
///
/// let semaphore = Semaphore::new(1)?;
/// let before = diagnostics::system_calls();
/// semaphore.acquire()?;
/// assert_eq!(diagnostics::system_calls(), before); // nobody had to wait
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn system_calls() -> u64 {
    SYSTEM_CALLS.get()
}

/// Right before a system call. It is never on a path without one.
#[inline]
pub(crate) fn count() {
    SYSTEM_CALLS.set(SYSTEM_CALLS.get().wrapping_add(1));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Deadline, EventCount, Futex, WaitResult};

    #[test]
    fn a_notification_of_nobody_makes_no_call_and_a_wake_makes_one() {
        let event = EventCount::new();
        let before = system_calls();
        event.notify_all();
        assert_eq!(system_calls(), before);
        Futex::new(0).wake_all();
        assert_eq!(system_calls(), before + 1);
    }

    #[test]
    fn every_sleep_is_counted_on_the_thread_that_slept() {
        let event = EventCount::new();
        let before = system_calls();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(system_calls(), 0);
                let deadline = Deadline::after(Duration::from_millis(2));
                let mut sleeps = 0;
                loop {
                    sleeps += 1;
                    let key = event.prepare_wait();
                    if event.wait(key, deadline) == WaitResult::TimedOut {
                        break;
                    }
                }
                assert!(system_calls() >= sleeps, "{} of {sleeps}", system_calls());
            });
        });
        assert_eq!(system_calls(), before);
    }
}
