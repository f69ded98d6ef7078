//! Ends a test that hangs, and shows where it hung.
//!
//! A guard that is not dropped in time names its test, makes the test's own thread print its
//! backtrace, removes the segments of the process and aborts it.

#![allow(unsafe_code)]

use std::backtrace::Backtrace;
use std::io::Write as _;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::pthread::{Pthread, pthread_kill, pthread_self};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::names;

/// Sent to the hung thread; nothing else in these tests uses it.
const ASK_FOR_BACKTRACE: Signal = Signal::SIGUSR2;

static BACKTRACE_PRINTED: AtomicBool = AtomicBool::new(false);

/// Starts a [`Watchdog`] for the function around it, with a limit in seconds.
#[macro_export]
macro_rules! watchdog {
    ($limit_s:expr) => {{
        fn here() {}
        let name = std::any::type_name_of_val(&here).trim_end_matches("::here");
        $crate::watchdog::Watchdog::start(name, std::time::Duration::from_secs($limit_s))
    }};
}

/// Aborts the process unless it is dropped in time.
#[derive(Debug)]
pub struct Watchdog {
    cancel: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Watches over the calling thread until the guard is dropped. The long form of the tests has
    /// twenty times the limit.
    pub fn start(test: &str, limit: Duration) -> Self {
        install_handler();
        let limit = limit * crate::short_or_long(1, 20);
        let test = test.to_owned();
        let watched = pthread_self();
        let (cancel, cancelled) = channel::<()>();
        let thread = std::thread::spawn(move || {
            if cancelled.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                report_and_abort(&test, limit, watched);
            }
        });
        Self {
            cancel: Some(cancel),
            thread: Some(thread),
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.cancel = None;
        if let Some(thread) = self.thread.take() {
            // It has nothing to say: it either was cancelled or aborts the process.
            let _ = thread.join();
        }
    }
}

fn install_handler() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let action = SigAction::new(
            SigHandler::Handler(print_backtrace),
            SaFlags::SA_RESTART,
            SigSet::empty(),
        );
        // SAFETY: the handler runs only in a process that is about to be aborted, so what it
        // interrupts need not stay consistent.
        unsafe { sigaction(ASK_FOR_BACKTRACE, &action) }.expect("a handler can be set");
    });
}

extern "C" fn print_backtrace(_signal: libc::c_int) {
    // Allocates, which a signal handler must not; the one that asked aborts the process soon even
    // if this deadlocks.
    let backtrace = Backtrace::force_capture();
    say(&format!("{backtrace}\n"));
    BACKTRACE_PRINTED.store(true, Ordering::Release);
}

fn report_and_abort(test: &str, limit: Duration, watched: Pthread) -> ! {
    say(&format!(
        "\nwatchdog: {test} is still running after {limit:?}; its thread is here:\n"
    ));
    if pthread_kill(watched, ASK_FOR_BACKTRACE).is_ok() {
        let end = Instant::now() + Duration::from_secs(5);
        while !BACKTRACE_PRINTED.load(Ordering::Acquire) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    names::sweep_this_process();
    std::process::abort();
}

/// Writes past the capture of the test harness.
fn say(text: &str) {
    // Nobody is left to tell if stderr is closed.
    let _ = std::io::stderr().write_all(text.as_bytes());
}
