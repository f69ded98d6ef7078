//! Knowing about, and holding off, the forks of this process.

#![allow(unsafe_code, reason = "system calls")]

use std::cell::UnsafeCell;
use std::sync::Once;

use crate::sync::{AtomicU64, Ordering};

/// Held for reading by who must not be copied at this moment, and for writing by who forks. A lock of the system, since it must be taken in
/// one function and released in another.
struct ForkLock(UnsafeCell<libc::pthread_rwlock_t>);

// SAFETY: a lock of the system, made to be used by many threads.
unsafe impl Sync for ForkLock {}

static FORK_LOCK: ForkLock = ForkLock(UnsafeCell::new(libc::PTHREAD_RWLOCK_INITIALIZER));
/// How many forks lie between this process and the one that loaded the library.
static GENERATION: AtomicU64 = AtomicU64::new(0);

fn register() {
    static REGISTERED: Once = Once::new();
    // SAFETY: the handlers are functions that live as long as the process.
    REGISTERED.call_once(|| unsafe {
        libc::pthread_atfork(
            Some(before_fork),
            Some(after_fork),
            Some(after_fork_in_child),
        );
    });
}

extern "C" fn before_fork() {
    // SAFETY: an initialised lock.
    unsafe { libc::pthread_rwlock_wrlock(FORK_LOCK.0.get()) };
}

extern "C" fn after_fork() {
    // SAFETY: this thread holds it.
    unsafe { libc::pthread_rwlock_unlock(FORK_LOCK.0.get()) };
}

extern "C" fn after_fork_in_child() {
    // Relaxed: the child has one thread.
    GENERATION.fetch_add(1, Ordering::Relaxed);
    // The lock knows its writer by a thread id, which the child does not have: made anew instead of unlocked.
    // SAFETY: the child's only thread is here, and nobody holds the lock for reading, since the fork waited for it.
    unsafe { FORK_LOCK.0.get().write(libc::PTHREAD_RWLOCK_INITIALIZER) };
}

/// How many forks lie between this process and the one that loaded the library, counted from the first call on.
#[inline]
pub fn generation() -> u64 {
    // Relaxed: written by the fork that made this process.
    GENERATION.load(Ordering::Relaxed)
}

/// Tells a process from its children, also where both have the same process id in namespaces of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessMark {
    pid: u32,
    generation: u64,
}

impl ProcessMark {
    /// Of this process.
    pub fn of_this_process() -> Self {
        register();
        Self {
            pid: std::process::id(),
            generation: generation(),
        }
    }
}

/// Runs `work` while no other thread of this process can call `fork`.
pub fn without_forks<R>(work: impl FnOnce() -> R) -> R {
    struct Unlock;
    impl Drop for Unlock {
        fn drop(&mut self) {
            after_fork();
        }
    }
    register();
    // SAFETY: an initialised lock.
    unsafe { libc::pthread_rwlock_rdlock(FORK_LOCK.0.get()) };
    let _unlock = Unlock;
    work()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fork_waits_for_who_must_not_be_copied_and_changes_the_mark() {
        let before = ProcessMark::of_this_process();
        let (started, is_done) = (std::sync::Barrier::new(2), std::sync::OnceLock::new());
        std::thread::scope(|scope| {
            let forker = scope.spawn(|| {
                started.wait();
                // SAFETY: the child calls nothing but what compares two numbers, and `_exit`.
                let pid = unsafe { libc::fork() };
                if pid == 0 {
                    let differs = ProcessMark::of_this_process() != before;
                    // SAFETY: ends the child at once.
                    unsafe { libc::_exit(i32::from(differs)) };
                }
                is_done.set(()).unwrap();
                pid
            });
            without_forks(|| {
                started.wait();
                std::thread::sleep(std::time::Duration::from_millis(20));
                assert!(is_done.get().is_none(), "forked meanwhile");
            });
            let mut status = 0;
            // SAFETY: a child of ours, and an integer to fill.
            unsafe { libc::waitpid(forker.join().unwrap(), &raw mut status, 0) };
            assert_eq!(libc::WEXITSTATUS(status), 1);
        });
    }
}
