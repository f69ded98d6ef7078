//! A storm of signals.

#![allow(unsafe_code)]

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// Microseconds between two signals.
const INTERVAL_US: libc::suseconds_t = 100;

extern "C" fn do_nothing(_signal: libc::c_int) {}

/// From now on a signal comes every 100 us, and interrupts every system call.
pub(crate) fn begin() {
    // Without SA_RESTART.
    let action = SigAction::new(
        SigHandler::Handler(do_nothing),
        SaFlags::empty(),
        SigSet::empty(),
    );
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGALRM, &action) }.expect("a handler can be set");
    let interval = libc::timeval {
        tv_sec: 0,
        tv_usec: INTERVAL_US,
    };
    let timer = libc::itimerval {
        it_interval: interval,
        it_value: interval,
    };
    // SAFETY: a timer of this process, and memory that outlives the call.
    let result =
        unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
    assert_eq!(result, 0, "the timer can be set");
}
