//! Bounds every blocking call by the deadline of the window.
//!
//! A timed form of each system call would cost a clock read or a longer path for every message. Instead one timer per
//! thread stays silent until the deadline and then sends `SIGALRM` to that thread, again and again (a single signal could
//! arrive between the check and the call). Its handler is installed without `SA_RESTART`, so the call that
//! blocks returns `EINTR`, and [`retry`] turns that into `TimedOut`. The fast path pays nothing.
//!
//! [`setup`] also makes the process ignore `SIGPIPE`: writing to a dead peer is an error here (`EPIPE`), not the end of
//! the process. [`ignore_size_signal`] does the same for `SIGXFSZ`.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::time::TimeSpec;
use nix::unistd::gettid;

use super::calls;

/// How often a thread that is past its deadline is interrupted.
const TICK: Duration = Duration::from_millis(5);

/// How often a loop that spins looks at the clock's flag; between two looks it costs nothing but a counter.
const SPINS_PER_LOOK: u32 = 64;

thread_local! {
    static EXPIRED: AtomicBool = const { AtomicBool::new(false) };
    static TIMER: RefCell<Option<ThreadTimer>> = const { RefCell::new(None) };
}

/// A timer that interrupts the thread that made it.
#[derive(Debug)]
struct ThreadTimer(libc::timer_t);

impl ThreadTimer {
    fn new() -> io::Result<Self> {
        // SAFETY: all-zero bytes are a valid `sigevent`: integers and a null pointer.
        let mut event: libc::sigevent = unsafe { MaybeUninit::zeroed().assume_init() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = libc::SIGALRM;
        event.sigev_notify_thread_id = gettid().as_raw();
        let mut timer: libc::timer_t = ptr::null_mut();
        // SAFETY: both pointers are to locals that outlive the call.
        let made =
            unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) };
        match Errno::result(made) {
            Ok(_) => Ok(Self(timer)),
            // Timers and queued signals of a user share one limit.
            Err(Errno::EAGAIN) => Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                "this user has no timer left for the deadline of a window; raise `ulimit -i`",
            )),
            Err(errno) => Err(errno.into()),
        }
    }

    /// First tick after `first` (zero: stop), then every `every`.
    fn set(&self, first: Duration, every: Duration) -> io::Result<()> {
        let spec = libc::itimerspec {
            it_value: *TimeSpec::from(first).as_ref(),
            it_interval: *TimeSpec::from(every).as_ref(),
        };
        // SAFETY: the timer is ours until drop; `spec` outlives the call.
        let set = unsafe { libc::timer_settime(self.0, 0, &raw const spec, ptr::null_mut()) };
        Errno::result(set)?;
        Ok(())
    }
}

impl Drop for ThreadTimer {
    fn drop(&mut self) {
        // SAFETY: the timer is ours and is not used again.
        unsafe { libc::timer_delete(self.0) };
    }
}

extern "C" fn on_tick(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: installed with SA_SIGINFO, so the kernel hands over a valid `siginfo_t`.
    let code = unsafe { (*info).si_code };
    if code == libc::SI_TIMER {
        // Touches a flag of this thread only, one without destructor or lazy start: safe inside a handler.
        EXPIRED.with(|expired| expired.store(true, Ordering::Relaxed));
    }
}

/// Prepares the process: the handler of `SIGALRM` interrupts calls, and `SIGPIPE` is ignored. [`arm`] does it by
/// itself; a process that writes without an alarm calls it once.
///
/// # Errors
/// What `sigaction` said.
pub fn setup() -> io::Result<()> {
    static DONE: OnceLock<Result<(), Errno>> = OnceLock::new();
    DONE.get_or_init(|| {
        let tick = SigAction::new(
            SigHandler::SigAction(on_tick),
            SaFlags::SA_SIGINFO,
            SigSet::empty(),
        );
        // SAFETY: `on_tick` does nothing but async-signal-safe work.
        unsafe { sigaction(Signal::SIGALRM, &tick) }?;
        ignore(Signal::SIGPIPE)
    })
    .map_err(io::Error::from)
}

/// A limit of the length of files (`ulimit -f`) is told as an error (`EFBIG`) from here on, and is not the end of the process. It holds for
/// shared memory, too. Processes that are executed inherit it.
///
/// # Errors
/// What `sigaction` said.
pub fn ignore_size_signal() -> io::Result<()> {
    ignore(Signal::SIGXFSZ).map_err(io::Error::from)
}

/// Whether this process ignores a signal, as those that `nohup` starts ignore `SIGHUP`.
///
/// # Errors
/// What `sigaction` said.
pub fn is_ignored(signal: Signal) -> io::Result<bool> {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: nothing is changed; the answer is a local that outlives the call.
    let asked = unsafe { libc::sigaction(signal as i32, ptr::null(), action.as_mut_ptr()) };
    Errno::result(asked)?;
    // SAFETY: all-zero bytes are a valid `sigaction`, and the call filled it.
    let action = unsafe { action.assume_init() };
    Ok(action.sa_sigaction == libc::SIG_IGN)
}

fn ignore(signal: Signal) -> Result<(), Errno> {
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler is involved.
    unsafe { sigaction(signal, &ignore) }?;
    Ok(())
}

/// From `deadline` on, blocking calls of this thread end with `TimedOut` (those that go through [`retry`],
/// [`spin_until`] or [`yield_until`]).
///
/// # Errors
/// What the system said about the timer or the handler.
pub fn arm(deadline: Instant) -> io::Result<()> {
    setup()?;
    TIMER.with_borrow_mut(|slot| {
        let timer = if let Some(timer) = slot {
            timer
        } else {
            SigSet::from(Signal::SIGALRM).thread_unblock()?;
            slot.insert(ThreadTimer::new()?)
        };
        timer.set(Duration::ZERO, Duration::ZERO)?;
        let remaining = deadline.saturating_duration_since(Instant::now());
        EXPIRED.with(|expired| expired.store(remaining.is_zero(), Ordering::Relaxed));
        // Zero would stop the timer instead of firing it at once.
        timer.set(remaining.max(Duration::from_nanos(1)), TICK)
    })
}

/// The window is over: nothing times out until the next [`arm`].
///
/// # Errors
/// What the system said about the timer.
pub fn disarm() -> io::Result<()> {
    let stopped = TIMER.with_borrow(|slot| match slot {
        Some(timer) => timer.set(Duration::ZERO, Duration::ZERO),
        None => Ok(()),
    });
    // After the timer: a tick that was already on its way is delivered before its call returns.
    EXPIRED.with(|expired| expired.store(false, Ordering::Relaxed));
    stopped
}

/// Whether the deadline that this thread armed has passed. A load of a flag: no clock is read.
#[inline]
pub fn expired() -> bool {
    // Relaxed: written by this very thread, in its handler.
    EXPIRED.with(|expired| expired.load(Ordering::Relaxed))
}

/// What a call gives that the deadline ended.
pub fn timed_out() -> io::Error {
    io::Error::from(io::ErrorKind::TimedOut)
}

/// Makes a system call until it is not interrupted, or gives `TimedOut` once the deadline has passed. Each attempt is counted ([`calls`]).
///
/// # Errors
/// What the call said, or `TimedOut`.
#[inline]
pub fn retry<T>(mut call: impl FnMut() -> nix::Result<T>) -> io::Result<T> {
    retry_function(|| {
        calls::count();
        call()
    })
}

/// The same for a function of a library, which may make a system call or none: nothing is counted ([`calls::hide`]).
///
/// # Errors
/// What the function said, or `TimedOut`.
#[inline]
pub fn retry_function<T>(mut call: impl FnMut() -> nix::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Ok(value) => return Ok(value),
            Err(Errno::EINTR) if expired() => return Err(timed_out()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Burns the core until `poll` has something, or gives `TimedOut` once the deadline has passed.
///
/// # Errors
/// `TimedOut`.
#[inline]
pub fn spin_until<T>(mut poll: impl FnMut() -> Option<T>) -> io::Result<T> {
    loop {
        for _ in 0..SPINS_PER_LOOK {
            if let Some(value) = poll() {
                return Ok(value);
            }
            std::hint::spin_loop();
        }
        if expired() {
            return Err(timed_out());
        }
    }
}

/// Gives the core away until the system call does not say `busy` any more: for mechanisms that refuse instead of blocking. Each attempt is
/// counted ([`calls`]).
///
/// # Errors
/// What the call said, or `TimedOut`.
#[inline]
pub fn yield_until<T>(busy: Errno, mut call: impl FnMut() -> nix::Result<T>) -> io::Result<T> {
    yield_until_function(busy, || {
        calls::count();
        call()
    })
}

/// The same for something that is no system call, or may be none: only what gives the core away is counted.
///
/// # Errors
/// What the function said, or `TimedOut`.
#[inline]
pub fn yield_until_function<T>(
    busy: Errno,
    mut call: impl FnMut() -> nix::Result<T>,
) -> io::Result<T> {
    loop {
        match call() {
            Ok(value) => return Ok(value),
            Err(errno) if errno == busy || errno == Errno::EINTR => {
                if expired() {
                    return Err(timed_out());
                }
                yield_now();
            }
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Gives the core away, and counts that.
pub fn yield_now() {
    calls::count();
    std::thread::yield_now();
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::{pipe, read};

    fn after(ms: u64) -> Instant {
        Instant::now() + Duration::from_millis(ms)
    }

    #[test]
    fn blocked_read_ends_at_the_deadline_and_not_before() {
        let (reader, _writer) = pipe().unwrap();
        let deadline = after(30);
        arm(deadline).unwrap();
        let error = retry(|| read(&reader, &mut [0; 8])).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(Instant::now() >= deadline);
        assert!(expired());
        disarm().unwrap();
        assert!(!expired());
    }

    #[test]
    fn deadline_that_has_passed_already_interrupts_the_next_call() {
        let (reader, _writer) = pipe().unwrap();
        arm(Instant::now()).unwrap();
        let error = retry(|| read(&reader, &mut [0; 8])).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        disarm().unwrap();
    }

    #[test]
    fn each_thread_has_a_deadline_of_its_own() {
        arm(Instant::now()).unwrap();
        std::thread::spawn(|| {
            assert!(!expired());
        })
        .join()
        .unwrap();
        assert!(expired());
        disarm().unwrap();
    }

    #[test]
    fn spinning_and_yielding_end_at_the_deadline() {
        arm(after(10)).unwrap();
        assert_eq!(
            spin_until(|| None::<()>).unwrap_err().kind(),
            io::ErrorKind::TimedOut
        );
        arm(after(10)).unwrap();
        let busy = yield_until(Errno::EAGAIN, || Err::<(), _>(Errno::EAGAIN));
        assert_eq!(busy.unwrap_err().kind(), io::ErrorKind::TimedOut);
        disarm().unwrap();
    }

    #[test]
    fn re_arming_takes_the_old_deadline_back() {
        arm(Instant::now()).unwrap();
        arm(after(60_000)).unwrap();
        assert!(!expired());
        disarm().unwrap();
    }
}
