//! An event count: sleep until a condition that lives elsewhere may have changed.
//!
//! One 32-bit word, `sequence << 2 | asymmetric << 1 | waiting`. Nobody counts the waiters: a waiter that dies would leave the count wrong for ever.
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
//! # Waking one
//!
//! ```text
//! N1  change the condition    N2  fence    N3  is `waiting` set?
//! N4  yes: FUTEX_WAKE 1, the word stays as it is
//! N5  nobody was asleep: exchange (sequence + 1, waiting off) if the word is still as N3 found it, then FUTEX_WAKE all
//! ```
//!
//! What must hold: if somebody has announced itself and not looked since N1, then one of them looks, unless the change is used up.
//!
//! - *N3 does not show its announcement.* Then N2 came before its S2, and S3 sees the change.
//! - *It is asleep.* The mark was never taken away while it slept (only N5 and W4 do that, and both wake all sleepers afterwards). N4 wakes it, or somebody
//!   else who looks. If that is one who has looked since N1 and sleeps all the same (the kernel prefers sleepers of a higher priority), then the change is used up. The
//!   others sleep on, and the mark stays for them.
//! - *It is not asleep yet when N4 finds nobody.* It holds the word that N3 found, or an older one. N5 changes that word: S4 does not sleep, or, if it came before N5, the second wake
//!   call ends it. If the exchange fails, then another waker has changed the word before us, and its own wake call comes after that. (A change of the
//!   mode alone is no such change: N5 is tried again.)
//! - *Why N5 steps the sequence.* If it took off the mark alone, a third one that announces itself would restore the very word that the one above holds: it would sleep, and of
//!   two changes only the third one's would be used.
//! - *A waker that is killed* before a wake call that it owes, and *a sleeper that is killed* right after N4 picked it,
//!   leave sleepers that nobody wakes. Therefore [`EventCount::wait`] sleeps 100 ms at most: whoever is left looks by itself.
//!
//! # The asymmetric mode
//!
//! W2 costs 5 to 7 ns at every change of the condition, although most of them find nobody asleep. With the bit `asymmetric`, S2 is a
//! [`heavy_fence`](crate::membarrier::heavy_fence), which makes W2 on behalf of every waker whose process has registered; those keep only the compiler from
//! reordering W1 and W3. A process that has not registered, or finds the bit off, makes the full fence. Wakers register by themselves, the first time that they find the bit.
//!
//! - *The bit goes on* while others are at work: a waker that reads it reads a word that is newer than every announcement made without it.
//! - *The bit goes off* for good when a sleeper can't make the heavy fence (a filter of system calls, say), or a participant can't register. A waker that
//!   had read the word before, and whose change has not left its store buffer when the sleeper looks, overlooks that sleeper: it sleeps for one slice of
//!   100 ms. Nobody who reads the word after that is concerned.
//!
//! Source: Folly's `EventCount` (the protocol and the names), reduced to one word that a dead waiter can't spoil. Folly too pays for both sides with `membarrier`.

use std::time::Duration;

use crate::Deadline;
use crate::futex::{Channels, Futex, Slept};
use crate::membarrier::{heavy_fence, is_registered, light_fence, register};
use crate::sync::{Ordering, fence};

/// Somebody may be asleep.
const WAITING: u32 = 1;
/// The sleepers pay for the fence of the wakers.
const ASYMMETRIC: u32 = 2;
/// One step of the sequence.
const SEQUENCE_STEP: u32 = 4;
/// The longest sleep before a waiter looks again by itself.
const SLICE: Duration = Duration::from_millis(100);

/// Lets one side of a lock-free structure sleep and the other side wake it, at the price of a fence and a load for a
/// waker that finds nobody asleep; in the [asymmetric](Self::make_asymmetric) mode of the load alone.
///
/// No sleep is longer than 100 ms: a waker that is killed before it could wake, or a sleeper that is killed with the wake in its hands, delays the others by
/// so much and no more.
///
/// The sequence has 30 bits: a sleeper that is held up between [`prepare_wait`](Self::prepare_wait) and
/// [`wait`](Self::wait) while exactly 2³⁰ wakes happen sleeps one slice too long.
///
/// ```
/// use shm_semaphore::{Deadline, EventCount};
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
    /// The word of a fresh one in the asymmetric mode, for whoever writes a segment before anybody maps it. It must have registered.
    #[doc(hidden)]
    pub const FRESH_ASYMMETRIC: u32 = ASYMMETRIC;

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

    /// A fresh one in the asymmetric mode, if this process can have it; see [`make_asymmetric`](Self::make_asymmetric).
    ///
    /// ```
    /// use shm_semaphore::EventCount;
    ///
    /// let changed = EventCount::asymmetric();
    /// changed.notify_all();
    /// ```
    pub fn asymmetric() -> Self {
        let event = Self::new();
        event.make_asymmetric();
        event
    }

    /// Lets the sleepers pay for the wakers: a notification that finds nobody asleep costs two loads and no fence, and every
    /// [`prepare_wait`](Self::prepare_wait) a system call of 2 to 20 µs that interrupts the running threads of all registered processes of the
    /// machine for a moment. That pays where there are thousands of notifications for each sleep.
    ///
    /// Says whether the mode is on: it stays off where the kernel (before 4.16) or a filter of system calls refuses `membarrier`. To be called
    /// by whoever creates the event count. Those who open it need do nothing: their first notification registers their process, and if that fails they make
    /// the fence as before. A sleeper that can't make its part of the fence turns the mode off for good.
    ///
    /// ```
    /// use shm_semaphore::EventCount;
    ///
    /// let changed = EventCount::new();
    /// assert_eq!(changed.make_asymmetric(), changed.is_asymmetric());
    /// ```
    pub fn make_asymmetric(&self) -> bool {
        if register() {
            // Relaxed: a waker that reads the bit reads all announcements before it as well.
            self.state.word().fetch_or(ASYMMETRIC, Ordering::Relaxed);
        }
        self.is_asymmetric()
    }

    /// Turns the asymmetric mode off. A sleeper that goes to sleep while a waker is between its look for sleepers and its return may sleep one
    /// slice of 100 ms too long.
    ///
    /// ```
    /// use shm_semaphore::EventCount;
    ///
    /// let changed = EventCount::asymmetric();
    /// changed.make_symmetric();
    /// assert!(!changed.is_asymmetric());
    /// ```
    pub fn make_symmetric(&self) {
        // Relaxed: whoever reads the bit off makes a fence.
        self.state.word().fetch_and(!ASYMMETRIC, Ordering::Relaxed);
    }

    /// Whether the sleepers pay at this moment.
    pub fn is_asymmetric(&self) -> bool {
        // Relaxed: a snapshot that guards no data.
        self.state.word().load(Ordering::Relaxed) & ASYMMETRIC != 0
    }

    /// Announces a sleeper. Look at the condition once more after this call, then either [`wait`](Self::wait) or
    /// [`cancel_wait`](Self::cancel_wait).
    pub fn prepare_wait(&self) -> WaitKey {
        // Relaxed: the fence below orders it; it guards no data.
        let before = self.state.word().fetch_or(WAITING, Ordering::Relaxed);
        if before & ASYMMETRIC != 0 {
            if heavy_fence() {
                return WaitKey(before | WAITING);
            }
            self.make_symmetric();
        }
        fence(Ordering::SeqCst); // edge: event_count.fence
        // If a waker has taken the announcement away before the mode was off, then the sequence differs, and nobody sleeps by this key.
        WaitKey((before | WAITING) & !ASYMMETRIC)
    }

    /// Takes an announcement back. The mark stays in the word, since another sleeper may need it; the next waker
    /// makes one needless wake call at most.
    pub fn cancel_wait(&self, _key: WaitKey) {}

    /// Sleeps until a notification that came after [`prepare_wait`](Self::prepare_wait), until the deadline, or for 100 ms. May return
    /// early for no reason.
    ///
    /// The limit is there because a waker may be killed between its change of the condition and its notification, and a sleeper with the wake of
    /// [`notify_one`](Self::notify_one) in its hands: somebody has to look unasked.
    pub fn wait(&self, key: WaitKey, deadline: Deadline) -> WaitResult {
        let until = deadline.min(Deadline::after(SLICE));
        match self.state.wait(key.0, Channels::ALL, until) {
            Slept::TimedOut if until == deadline => WaitResult::TimedOut,
            Slept::TimedOut | Slept::CheckAgain => WaitResult::MaybeNotified,
        }
    }

    /// The prepared wait as one of several, for [`wait_any`](crate::wait_any).
    #[cfg(not(loom))]
    pub fn prepared(&self, key: WaitKey) -> crate::Prepared<'_> {
        crate::Prepared::new(&self.state, key)
    }

    /// Wakes every sleeper that announced itself before the fence in this call. Call it after the condition was changed.
    /// Without a sleeper it costs a fence and a load; with one, one system call, however many changes precede the sleeper's next sleep.
    #[inline]
    pub fn notify_all(&self) {
        let seen = self.look_for_sleepers();
        if seen & WAITING != 0 {
            self.wake_all(seen);
        }
    }

    /// Wakes one sleeper of those that announced themselves before the fence in this call, the one that has slept longest; if nobody is asleep, sends those back to
    /// the condition who are about to be. Call it after a change that one of them can use up: one more message, one more permit.
    /// Costs what [`notify_all`](Self::notify_all) does without a sleeper, and one system call with sleepers (two when it finds that the last one is gone).
    ///
    /// A sleeper that was woken and then leaves although the condition holds must notify another one. If it is killed instead, the others look by
    /// themselves within 100 ms.
    ///
    /// ```
    /// use shm_semaphore::{Deadline, EventCount};
    /// use std::sync::atomic::{AtomicU32, Ordering};
    ///
    /// static TASKS: AtomicU32 = AtomicU32::new(0);
    /// static ADDED: EventCount = EventCount::new();
    ///
    /// fn try_take() -> bool {
    ///     TASKS.fetch_update(Ordering::Acquire, Ordering::Relaxed, |tasks| tasks.checked_sub(1)).is_ok()
    /// }
    ///
    /// let worker = || while !try_take() {
    ///     let key = ADDED.prepare_wait();
    ///     if try_take() {
    ///         return ADDED.cancel_wait(key);
    ///     }
    ///     ADDED.wait(key, Deadline::NEVER);
    /// };
    /// std::thread::scope(|scope| {
    ///     for _ in 0..3 {
    ///         scope.spawn(worker);
    ///     }
    ///     for _ in 0..3 {
    ///         TASKS.fetch_add(1, Ordering::Release);
    ///         ADDED.notify_one();
    ///     }
    /// });
    /// ```
    #[inline]
    pub fn notify_one(&self) {
        let seen = self.look_for_sleepers();
        if seen & WAITING != 0 {
            self.wake_one(seen);
        }
    }

    /// The word, read behind a fence that the sleepers' own is paired with.
    #[inline]
    fn look_for_sleepers(&self) -> u32 {
        let word = self.state.word();
        // Relaxed: a guess at the mode, which is checked below.
        if word.load(Ordering::Relaxed) & ASYMMETRIC != 0 && is_registered() {
            light_fence();
            // Relaxed: the sleepers make the heavy fence, and it reaches us.
            let seen = word.load(Ordering::Relaxed);
            if seen & ASYMMETRIC != 0 {
                return seen;
            }
        }
        fence(Ordering::SeqCst); // edge: event_count.fence
        // Relaxed: the fence above orders it against the caller's change of the condition.
        let seen = word.load(Ordering::Relaxed);
        if seen & ASYMMETRIC != 0 {
            // For the next time. If it fails, it is not tried again, and every look is this one.
            register();
        }
        seen
    }

    #[cold]
    fn wake_all(&self, mut seen: u32) {
        // Every failed exchange means that another waker has been here, that a sleeper announced itself anew, or that the mode has changed.
        while seen & WAITING != 0 {
            match self.take_the_mark_off(seen) {
                Ok(_) => return self.state.wake_all(),
                Err(now) => seen = now,
            }
        }
    }

    #[cold]
    fn wake_one(&self, seen: u32) {
        if self.state.wake(1, Channels::ALL) == 0 {
            self.wake_the_late(seen);
        }
    }

    /// Nobody was asleep. Sends those back who are about to be, and takes the mark off, so that the next notifications make no system call.
    fn wake_the_late(&self, mut seen: u32) {
        loop {
            match self.take_the_mark_off(seen) {
                Ok(_) => return self.state.wake_all(),
                // Only the mode has changed.
                Err(now) if now ^ seen == ASYMMETRIC => seen = now,
                Err(_) => return,
            }
        }
    }

    fn take_the_mark_off(&self, seen: u32) -> Result<u32, u32> {
        let next = seen.wrapping_add(SEQUENCE_STEP) & !WAITING;
        let word = self.state.word();
        // Relaxed, both: a sleeper that reads the new value looks at the condition after a fence of its own.
        word.compare_exchange(seen, next, Ordering::Relaxed, Ordering::Relaxed)
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
            state: Futex::new(!(WAITING | ASYMMETRIC)),
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

    #[test]
    fn a_wait_ends_by_itself_long_before_a_late_deadline() {
        let event = EventCount::new();
        let deadline = Deadline::after(Duration::from_secs(3600));
        let key = event.prepare_wait();
        assert_eq!(event.wait(key, deadline), WaitResult::MaybeNotified);
        assert!(!deadline.has_passed());
    }

    #[test]
    fn waking_one_keeps_the_mark_until_nobody_sleeps() {
        let event = EventCount::new();
        let first = event.prepare_wait();
        event.notify_one();
        // Nobody was asleep: the mark is gone, and the one who had only announced itself does not sleep.
        assert_eq!(event.state.word().load(Ordering::Relaxed), SEQUENCE_STEP);
        assert_eq!(
            event.wait(first, Deadline::NEVER),
            WaitResult::MaybeNotified
        );
        event.notify_one();
        assert_eq!(event.state.word().load(Ordering::Relaxed), SEQUENCE_STEP);
    }

    #[test]
    fn one_of_two_sleepers_is_woken_and_then_the_other() {
        let event = EventCount::new();
        let woken = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                let told = woken.0.clone();
                let event = &event;
                scope.spawn(move || {
                    let key = event.prepare_wait();
                    event.wait(key, Deadline::NEVER);
                    told.send(()).unwrap();
                });
            }
            std::thread::sleep(Duration::from_millis(20));
            event.notify_one();
            woken.1.recv().unwrap();
            event.notify_one();
            woken.1.recv().unwrap();
        });
    }

    #[test]
    fn the_mode_survives_notifications_and_ends_when_it_is_told_to() {
        let event = EventCount::asymmetric();
        let on = event.is_asymmetric();
        let key = event.prepare_wait();
        event.notify_one();
        assert_eq!(event.wait(key, Deadline::NEVER), WaitResult::MaybeNotified);
        let key = event.prepare_wait();
        event.notify_all();
        assert_eq!(event.wait(key, Deadline::NEVER), WaitResult::MaybeNotified);
        assert_eq!(event.is_asymmetric(), on);
        let key = event.prepare_wait();
        event.make_symmetric();
        let ended = event.wait(key, Deadline::NEVER);
        assert_eq!(ended, WaitResult::MaybeNotified, "the word is another one");
        assert!(!event.is_asymmetric());
    }
}
