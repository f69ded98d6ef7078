//! An event count: sleep until a condition that lives elsewhere may have changed.
//!
//! One 32-bit word, `sequence << 1 | waiting`. Nobody counts the waiters: a waiter that dies would leave the count wrong for ever.
//!
//! ```text
//! sleeper                                   waker
//! S1  set `waiting`                         W1  change the condition
//! S2  fence(SeqCst)                         W2  fence(SeqCst)
//! S3  look at the condition again           W3  is `waiting` set?
//! S4  FUTEX_WAIT while the word is as in S1 W4  yes: sequence + 1, waiting off, FUTEX_WAKE
//! ```
//!
//! Of the two fences one comes first. If it is S2, then W3 sees `waiting` and W4 wakes (or changes the word before S4 compares it).
//! If it is W2, then S3 sees the condition. Either way nobody sleeps through a change. This is the store-buffer litmus test, which
//! release and acquire alone do not forbid; the models in `tests/loom_event_count.rs` fail when either fence is taken away.
//!
//! Source: Folly's `EventCount` (the protocol and the names), reduced to one word that a dead waiter can't spoil.

use crate::Deadline;
use crate::futex::{Channels, Futex, Slept};
use crate::sync::{Ordering, fence};

/// Somebody may be asleep.
const WAITING: u32 = 1;
/// One step of the sequence.
const SEQUENCE_STEP: u32 = 2;

/// Lets one side of a lock-free structure sleep and the other side wake it, at the price of a fence and a load for a
/// waker that finds nobody asleep.
///
/// The sequence has 31 bits: a sleeper that is held up between [`prepare_wait`](Self::prepare_wait) and
/// [`wait`](Self::wait) while exactly 2³¹ wakes happen would miss them. Sleep in slices where that matters.
///
/// ```
/// use shm_semaphore::{Deadline, EventCount, WaitResult};
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// static READY: AtomicBool = AtomicBool::new(false);
/// static CHANGED: EventCount = EventCount::new();
///
/// std::thread::spawn(|| {
///     READY.store(true, Ordering::Release);
///     CHANGED.notify_all();
/// });
///
/// while !READY.load(Ordering::Acquire) {
///     let key = CHANGED.prepare_wait();
///     if READY.load(Ordering::Acquire) {
///         CHANGED.cancel_wait(key);
///         break;
///     }
///     CHANGED.wait(key, Deadline::NEVER);
/// }
/// ```
#[derive(Debug)]
#[cfg_attr(not(loom), repr(transparent))]
pub struct EventCount {
    state: Futex,
}

/// What [`EventCount::prepare_wait`] saw; [`EventCount::wait`] sleeps only while nothing has happened since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a prepared wait is either waited on or cancelled"]
pub struct WaitKey(u32);

impl WaitKey {
    pub(crate) fn new(value: u32) -> Self {
        Self(value)
    }

    /// The word that a sleeper expects.
    #[cfg(not(loom))]
    pub(crate) fn value(self) -> u32 {
        self.0
    }
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitResult {
    /// Notified, or not: look at the condition again.
    MaybeNotified,
    /// The deadline has passed.
    TimedOut,
}

impl EventCount {
    /// A fresh one; its bytes are all zero.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self {
            state: Futex::new(0),
        }
    }

    /// A fresh one.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self {
            state: Futex::new(0),
        }
    }

    /// Announces a sleeper. Look at the condition once more after this call, then either [`wait`](Self::wait) or
    /// [`cancel_wait`](Self::cancel_wait).
    pub fn prepare_wait(&self) -> WaitKey {
        // Relaxed: the fence below orders it; it guards no data.
        let before = self.state.word().fetch_or(WAITING, Ordering::Relaxed);
        fence(Ordering::SeqCst); // edge: event_count.fence
        WaitKey(before | WAITING)
    }

    /// Takes an announcement back. The mark stays in the word, since another sleeper may need it; the next waker
    /// makes one needless wake call at most.
    pub fn cancel_wait(&self, _key: WaitKey) {}

    /// Sleeps until a notification that came after [`prepare_wait`](Self::prepare_wait), or until the deadline. May return
    /// early for no reason.
    ///
    /// A waker that is killed between its change of the condition and its notification wakes nobody. A sleeper that must
    /// survive that passes a deadline of at most a tenth of a second, looks again, and repeats.
    pub fn wait(&self, key: WaitKey, deadline: Deadline) -> WaitResult {
        match self.state.wait(key.0, Channels::ALL, deadline) {
            Slept::CheckAgain => WaitResult::MaybeNotified,
            Slept::TimedOut => WaitResult::TimedOut,
        }
    }

    /// The prepared wait as one of several, for [`wait_any`](crate::wait_any).
    #[cfg(not(loom))]
    pub fn prepared(&self, key: WaitKey) -> crate::Prepared<'_> {
        crate::Prepared::new(&self.state, key)
    }

    /// Wakes every sleeper that announced itself before the fence in this call. Call it after the condition was changed.
    /// Without a sleeper it costs a fence and a load; with one, one system call, however many changes precede the sleeper's next sleep.
    ///
    /// All are woken, not one: a single woken sleeper that is killed or stopped at that moment would take the wake with it.
    pub fn notify_all(&self) {
        fence(Ordering::SeqCst); // edge: event_count.fence
        let word = self.state.word();
        // Relaxed: the fence above orders it against the caller's change of the condition.
        let mut seen = word.load(Ordering::Relaxed);
        // Every failed exchange means that another waker took the announcement over, or that a sleeper announced itself anew.
        while seen & WAITING != 0 {
            let next = seen.wrapping_add(SEQUENCE_STEP) & !WAITING;
            // Relaxed: a sleeper that reads this value looks at the condition after a fence of its own.
            match word.compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return self.state.wake_all(),
                Err(now) => seen = now,
            }
        }
    }

    /// An event count at `ptr`.
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

impl Default for EventCount {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_notification_after_prepare_ends_the_wait_at_once() {
        let event = EventCount::new();
        let key = event.prepare_wait();
        event.notify_all();
        assert_eq!(event.wait(key, Deadline::NEVER), WaitResult::MaybeNotified);
    }

    #[test]
    fn a_notification_without_a_sleeper_leaves_the_word_alone() {
        let event = EventCount::new();
        event.notify_all();
        assert_eq!(event.state.word().load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_sequence_wraps() {
        let event = EventCount {
            state: Futex::new(u32::MAX - 1),
        };
        let key = event.prepare_wait();
        event.notify_all();
        assert_eq!(event.state.word().load(Ordering::Relaxed), 0);
        assert_eq!(event.wait(key, Deadline::NEVER), WaitResult::MaybeNotified);
    }

    #[test]
    fn a_wait_that_nobody_ends_times_out() {
        let event = EventCount::new();
        let deadline = Deadline::after(Duration::from_millis(2));
        let key = event.prepare_wait();
        while event.wait(key, deadline) != WaitResult::TimedOut {}
        assert!(deadline.has_passed());
    }
}
