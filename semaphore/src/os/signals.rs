//! Threads of ours that no signal of the application may run on.

#![allow(unsafe_code, reason = "system calls")]

use std::mem::MaybeUninit;

/// Runs `work` with all signals held off on this thread; a thread that it starts holds them off for good.
pub fn without_signals<R>(work: impl FnOnce() -> R) -> R {
    struct Restore(libc::sigset_t);
    impl Drop for Restore {
        fn drop(&mut self) {
            set_mask(&self.0);
        }
    }
    let mut all = MaybeUninit::uninit();
    // SAFETY: a set of our own to fill.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: filled.
    let all = unsafe { all.assume_init() };
    let _restore = Restore(set_mask(&all));
    work()
}

/// Sets the signals that this thread holds off, and says which it held off before.
fn set_mask(mask: &libc::sigset_t) -> libc::sigset_t {
    let mut before = MaybeUninit::zeroed();
    // SAFETY: an initialised set, and one of our own to fill.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, before.as_mut_ptr()) };
    // SAFETY: filled, and all-zero bytes are a set too.
    unsafe { before.assume_init() }
}
