//! Waiting for several words at once.
//!
//! Source: `futex_waitv(2)` (Linux 5.16), which compares all the words and joins all their queues in one step. A wait on one word takes the
//! ordinary call. Without the new one, and for more words than it takes, the wait is made of short sleeps on one word at a time with a look at all of
//! them in between: a notification changes its word, so a look finds it, up to [`NAP_NS_MAX`] late.

#![allow(unsafe_code, reason = "the system call")]

use std::io;

use crate::event_count::WaitResult;
use crate::futex::{Channels, Futex, Slept};
use crate::sync::Ordering;
use crate::{Deadline, WaitKey};

/// Words that one call of the kernel takes (`FUTEX_WAITV_MAX`).
const WORDS_MAX: usize = 128;
/// `FUTEX_32`; `FUTEX_PRIVATE_FLAG` is not set.
const SHARED_32_BITS: u32 = 2;
/// The longest sleep before the caller looks again: a wake that a killed waiter took with it is missed for so long.
pub(crate) const SLICE_NS: u64 = 100_000_000;
/// The first sleep where the kernel can't wait for all the words; each further one is twice as long.
const NAP_NS_MIN: u64 = 50_000;
/// The longest such sleep.
const NAP_NS_MAX: u64 = 2_000_000;

/// A wait that was prepared: a word, and the value that it had. Made by [`EventCount::prepared`](crate::EventCount::prepared).
#[derive(Debug, Clone, Copy)]
pub struct Prepared<'a> {
    futex: &'a Futex,
    expected: u32,
}

impl<'a> Prepared<'a> {
    /// A wait on this word, which had this value when the sleeper announced itself.
    pub(crate) fn new(futex: &'a Futex, key: WaitKey) -> Self {
        Self::on(futex, key.value())
    }

    /// A wait for this word to become another one.
    pub(crate) fn on(futex: &'a Futex, expected: u32) -> Self {
        Self { futex, expected }
    }

    /// Whether the word is another one by now.
    pub(crate) fn has_changed(self) -> bool {
        // Relaxed: as the kernel's look at the word. Whoever sees a change looks at the condition, which has an order of its own.
        self.futex.word().load(Ordering::Relaxed) != self.expected
    }

    /// Hands a wake on to another sleeper.
    pub(crate) fn pass_on(self) {
        self.futex.wake(1, Channels::ALL);
    }
}

/// Sleeps until one of several prepared waits is notified, or until the deadline; 100 ms at most, then it says
/// [`MaybeNotified`](WaitResult::MaybeNotified). It does not say which one: look at all the conditions, and prepare anew those that do not hold. Without any wait it sleeps
/// until the deadline or the slice ends.
///
/// Up to 128 waits are one system call on Linux 5.16 and later. Elsewhere, and beyond that number, it looks at all the words in turn: a notification is then noticed
/// with a delay of about as long as the wait has lasted, 2 ms at most, and a waiting thread wakes up to 500 times a second.
///
/// ```
/// use shm_semaphore::{Deadline, EventCount, Prepared, wait_any};
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// struct Source { ready: AtomicBool, changed: EventCount }
/// let sources = [0, 1].map(|_| Source { ready: AtomicBool::new(false), changed: EventCount::new() });
///
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         sources[1].ready.store(true, Ordering::Release);
///         sources[1].changed.notify_all();
///     });
///
///     let find = || sources.iter().position(|source| source.ready.load(Ordering::Acquire));
///     let found = loop {
///         // Prepare all, look once more, and only then sleep.
///         let waits: Vec<Prepared<'_>> =
///             sources.iter().map(|source| source.changed.prepared(source.changed.prepare_wait())).collect();
///         if let Some(found) = find() {
///             break found;
///         }
///         wait_any(&waits, Deadline::NEVER);
///     };
///     assert_eq!(found, 1);
/// });
/// ```
pub fn wait_any(prepared: &[Prepared<'_>], deadline: impl Into<Deadline>) -> WaitResult {
    wait_any_how(How::Kernel, prepared, deadline.into())
}

/// The same as [`wait_any`] on a kernel that can't wait for several words; for tests.
#[doc(hidden)]
pub fn wait_any_by_naps(prepared: &[Prepared<'_>], deadline: impl Into<Deadline>) -> WaitResult {
    wait_any_how(How::Naps, prepared, deadline.into())
}

fn wait_any_how(how: How, prepared: &[Prepared<'_>], deadline: Deadline) -> WaitResult {
    let slice = Deadline::now().plus_ns(SLICE_NS);
    match sleep_any(how, prepared, deadline.min(slice)) {
        // The earlier one of the two ended the sleep; only the caller's own is told.
        Woken::TimedOut if deadline <= slice => WaitResult::TimedOut,
        _ => WaitResult::MaybeNotified,
    }
}

/// By which means to wait for several words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// `futex_waitv`, if there is one.
    Kernel,
    /// Short sleeps.
    Naps,
}

/// What ended a sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    /// A wake call on this word; if there were several, on the last of them.
    By(usize),
    /// One of the words had changed, a signal, or what can't be told.
    CheckAgain,
    /// The deadline has passed.
    TimedOut,
}

/// Sleeps while all the words are as expected.
pub(crate) fn sleep_any(how: How, prepared: &[Prepared<'_>], deadline: Deadline) -> Woken {
    match prepared {
        [] => sleep_on(Prepared::on(&Futex::new(0), 0), deadline),
        [one] => sleep_on(*one, deadline),
        _ if how == How::Kernel && prepared.len() <= WORDS_MAX => {
            sleep_on_all(prepared, deadline).unwrap_or_else(|| nap(prepared, deadline))
        }
        _ => nap(prepared, deadline),
    }
}

fn sleep_on(one: Prepared<'_>, deadline: Deadline) -> Woken {
    match one.futex.wait(one.expected, Channels::ALL, deadline) {
        Slept::CheckAgain => Woken::CheckAgain,
        Slept::TimedOut => Woken::TimedOut,
    }
}

/// Short sleeps on one word after the other, so that a wake on any of them is noticed at once now and then, and as a change of the word always.
fn nap(prepared: &[Prepared<'_>], deadline: Deadline) -> Woken {
    let mut nap_ns = NAP_NS_MIN;
    for one in prepared.iter().cycle() {
        if prepared.iter().any(|one| one.has_changed()) {
            return Woken::CheckAgain;
        }
        let now = Deadline::now();
        if now >= deadline {
            return Woken::TimedOut;
        }
        if sleep_on(*one, deadline.min(now.plus_ns(nap_ns))) == Woken::CheckAgain {
            return Woken::CheckAgain;
        }
        nap_ns = (2 * nap_ns).min(NAP_NS_MAX);
    }
    Woken::CheckAgain
}

/// `struct futex_waitv` of `linux/futex.h`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Waiter {
    value: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

const _: () = assert!(size_of::<Waiter>() == 24);

/// `struct __kernel_timespec`: 64 bits each on every machine.
#[repr(C)]
struct KernelTime {
    seconds: i64,
    nanoseconds: i64,
}

/// Asks the kernel to wait for all the words; `None` if it can't (an old one, a filter of system calls, no memory). That is asked for each
/// time: filters are a matter of each thread, and the refusal costs little.
fn sleep_on_all(prepared: &[Prepared<'_>], deadline: Deadline) -> Option<Woken> {
    let mut waiters = [Waiter {
        value: 0,
        address: 0,
        flags: SHARED_32_BITS,
        reserved: 0,
    }; WORDS_MAX];
    for (waiter, one) in waiters.iter_mut().zip(prepared) {
        waiter.value = u64::from(one.expected);
        waiter.address = one.futex.word().as_ptr().expose_provenance() as u64;
    }
    let until = (deadline != Deadline::NEVER).then(|| KernelTime {
        seconds: (deadline.as_monotonic_ns() / 1_000_000_000) as i64,
        nanoseconds: (deadline.as_monotonic_ns() % 1_000_000_000) as i64,
    });
    let until_ptr = until.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    crate::diagnostics::count();
    // SAFETY: the words are borrowed for the whole call, `waiters` and `until` outlive it; the kernel only reads all of them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex_waitv,
            waiters.as_ptr(),
            prepared.len(),
            0,
            until_ptr,
            libc::CLOCK_MONOTONIC,
        )
    };
    if let Ok(index) = usize::try_from(result) {
        return Some(Woken::By(index));
    }
    match io::Error::last_os_error().raw_os_error() {
        Some(libc::ETIMEDOUT) => Some(Woken::TimedOut),
        // EFAULT: a page that a peer truncated away.
        Some(libc::EAGAIN | libc::EINTR | libc::EFAULT) => Some(Woken::CheckAgain),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EventCount;
    use std::time::{Duration, Instant};

    const WAYS: [How; 2] = [How::Kernel, How::Naps];

    /// More events than the kernel takes at once.
    fn events() -> Vec<EventCount> {
        (0..300).map(|_| EventCount::new()).collect()
    }

    fn prepare(events: &[EventCount]) -> Vec<Prepared<'_>> {
        events
            .iter()
            .map(|event| event.prepared(event.prepare_wait()))
            .collect()
    }

    #[test]
    fn a_notification_before_the_sleep_ends_it_at_once_whichever_it_is_for() {
        for how in WAYS {
            for count in [1, 2, 128, 129, 300] {
                let events = &events()[..count];
                for at in [0, count / 2, count - 1] {
                    let waits = prepare(events);
                    events[at].notify_all();
                    assert_eq!(
                        sleep_any(how, &waits, Deadline::NEVER),
                        Woken::CheckAgain,
                        "{how:?}, {at} of {count}"
                    );
                }
            }
        }
    }

    /// So a look at all the words comes before anything else.
    #[test]
    fn a_notification_counts_even_when_the_deadline_has_passed() {
        for how in WAYS {
            for count in [1, 2, 128, 300] {
                let events = &events()[..count];
                let waits = prepare(events);
                events[count - 1].notify_all();
                let woken = sleep_any(how, &waits, Deadline::now());
                assert_eq!(woken, Woken::CheckAgain, "{how:?}, {count}");
            }
        }
    }

    #[test]
    fn a_notification_during_the_sleep_ends_it_whichever_it_is_for() {
        for how in WAYS {
            for (count, at) in [(1, 0), (2, 0), (2, 1), (128, 127), (129, 128), (300, 150)] {
                let events = &events()[..count];
                let waits = prepare(events);
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        std::thread::sleep(Duration::from_millis(5));
                        events[at].notify_all();
                    });
                    let deadline = Deadline::after(Duration::from_secs(60));
                    let woken = sleep_any(how, &waits, deadline);
                    assert_ne!(woken, Woken::TimedOut, "{how:?}, {at} of {count}");
                });
            }
        }
    }

    #[test]
    fn a_wait_that_nobody_ends_ends_at_its_deadline() {
        for how in WAYS {
            for count in [0, 1, 2, 300] {
                let events = &events()[..count];
                let waits = prepare(events);
                let deadline = Deadline::after(Duration::from_millis(5));
                while wait_any_how(how, &waits, deadline) != WaitResult::TimedOut {}
                assert!(deadline.has_passed());
            }
        }
    }

    #[test]
    fn a_wait_without_a_deadline_ends_by_itself_after_a_slice() {
        for how in WAYS {
            for count in [0, 1, 2, 300] {
                let events = &events()[..count];
                let waits = prepare(events);
                let (start, slice) = (Instant::now(), Duration::from_nanos(SLICE_NS));
                // A signal may end it early.
                while start.elapsed() < slice {
                    let result = wait_any_how(how, &waits, Deadline::NEVER);
                    assert_eq!(result, WaitResult::MaybeNotified);
                }
            }
        }
    }

    #[test]
    fn the_last_word_that_was_woken_is_told() {
        let (first, second) = (Futex::new(0), Futex::new(0));
        let waits = [Prepared::on(&first, 0), Prepared::on(&second, 0)];
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| sleep_on_all(&waits, Deadline::NEVER));
            while !sleeper.is_finished() {
                second.wake_all();
                std::thread::sleep(Duration::from_micros(100));
            }
            let woken = sleeper.join().unwrap();
            // No such call in this kernel is an answer too.
            assert!(matches!(woken, None | Some(Woken::By(1))), "{woken:?}");
        });
    }
}
