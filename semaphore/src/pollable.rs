//! A descriptor for event loops that is readable once a word was notified.
//!
//! No descriptor can wait for a futex, and nothing shall be asked of the waker, which may be another user's process. So a thread of the *waiting*
//! process, the bridge, sleeps on the word and makes an eventfd readable. It sleeps on two words at once: the shared one, while somebody waits, and a control word of its own
//! through which it is armed, disarmed and stopped.
//!
//! ```text
//!              arm(key)                         word ≠ key, woken, or 100 ms
//! disarmed ───────────────► armed ────────────────────────────────────────────► fired
//!    ▲      flag lowered      │ bridge sleeps on the word        flag raised      │ bridge sleeps on the control word alone
//!    └────────────────────────┴───────────────────────────────────────────────────┘
//!                         disarm(): flag lowered
//! ```
//!
//! The state and the flag change together, under a lock; each change from outside also changes the control word. So:
//!
//! - *No notification is missed.* The bridge compares the word with the key in the very step in which it falls asleep. A word that changed at any moment since the
//!   key was made fires.
//! - *Each arming that fires makes an edge.* The flag is raised anew even if it is raised, since tokio and mio wait for changes of the level only, and have
//!   acknowledged the one before.
//! - *Nothing stale fires.* When the bridge wakes it looks, under the lock, whether the control word is still what it was when it fell asleep. If not, somebody disarmed
//!   or armed anew meanwhile, and it only starts over.
//! - *No wake is swallowed.* If the wake of one sleeper chose the bridge although nobody waits through it any more, the bridge hands it on.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::futex::Futex;
use crate::os::eventfd::Flag;
use crate::os::forks::ProcessMark;
use crate::os::signals::without_signals;
use crate::sync::Ordering;
use crate::wait_any::{How, SLICE_NS, Woken, sleep_any};
use crate::{Deadline, EventCount, Prepared, Semaphore, WaitKey};

/// Bytes of the bridge's stack: it calls a few functions deep, with one array of 3 KiB.
const BRIDGE_STACK_LEN: usize = 128 << 10;

/// Something whose waits can be prepared: an event count, a semaphore, or what shares one.
///
/// [`Pollable`] calls it on a thread of its own, so it must not panic.
pub trait Waitable {
    /// A wait that was prepared there, as one of several; always on the same word.
    fn prepared(&self, key: WaitKey) -> Prepared<'_>;
}

impl Waitable for EventCount {
    fn prepared(&self, key: WaitKey) -> Prepared<'_> {
        Self::prepared(self, key)
    }
}

impl Waitable for Semaphore {
    fn prepared(&self, key: WaitKey) -> Prepared<'_> {
        Self::prepared(self, key)
    }
}

impl<W: Waitable + ?Sized> Waitable for &W {
    fn prepared(&self, key: WaitKey) -> Prepared<'_> {
        (**self).prepared(key)
    }
}

impl<W: Waitable + ?Sized> Waitable for Arc<W> {
    fn prepared(&self, key: WaitKey) -> Prepared<'_> {
        (**self).prepared(key)
    }
}

/// A file descriptor for `epoll`, `poll`, mio or tokio: readable, level-triggered, from a notification that came after the key was made
/// until [`disarm`](Self::disarm) or the next [`arm`](Self::arm). For a loop that waits for edges, each arming makes one of its own.
///
/// While it is armed it becomes readable after 100 ms at the latest, notified or not: a waker that was killed before its notification is found
/// out by who looks again. Readable therefore means "look at the condition again", as every wakeup here does. Do not read from it or write to it.
///
/// A release of a permit may wake one waiter only, and that may be this one: take the permit soon when it becomes readable, or others who sleep find it late (by their own slice).
///
/// The descriptor is one and the same, and open, for as long as the `Pollable` lives.
///
/// Behind it is a thread of this process, which sleeps for good while nothing is armed. A notification reaches an event loop one thread switch later than a
/// thread that sleeps in [`EventCount::wait`] directly.
///
/// Dropping it stops the thread and waits for its end, some microseconds. After `fork` the child has the descriptor, which is the parent's, and no
/// thread: there it can only be dropped, and a new one be made.
///
/// ```
/// use shm_semaphore::{EventCount, Pollable};
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use tokio::io::{Interest, unix::AsyncFd};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// static JOBS: AtomicU32 = AtomicU32::new(0);
/// let changed = Arc::new(EventCount::new());
/// let waker = Arc::clone(&changed);
/// std::thread::spawn(move || {
///     JOBS.fetch_add(1, Ordering::Release);
///     waker.notify_all();
/// });
///
/// let pollable = Pollable::new(Arc::clone(&changed))?;
/// // SAFETY: a pollable keeps one descriptor open for as long as it lives.
/// let pollable = unsafe { AsyncFd::register_with_interest(pollable, Interest::READABLE)? };
/// while JOBS.load(Ordering::Acquire) == 0 {
///     let key = changed.prepare_wait();
///     if JOBS.load(Ordering::Acquire) != 0 {
///         changed.cancel_wait(key);
///         break;
///     }
///     pollable.get_ref().arm(key);
///     pollable.readable().await?.clear_ready();
/// }
/// pollable.get_ref().disarm();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Pollable {
    bridge: Arc<Bridge>,
    /// `None` only while it is being dropped.
    thread: Option<JoinHandle<()>>,
    /// Who made it, and has the thread.
    maker: ProcessMark,
}

/// What the bridge and its users share.
struct Bridge {
    source: Box<dyn Waitable + Send + Sync>,
    /// The longest sleep on the shared word.
    slice_ns: u64,
    flag: Flag,
    /// Changes, under the lock, with every change of the state that the bridge did not make.
    control: Futex,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Disarmed,
    Armed(WaitKey),
    /// The flag is raised.
    Fired,
    Stopped,
}

impl Pollable {
    /// A descriptor for what `source` shares, and the thread behind it; disarmed.
    ///
    /// # Errors
    /// What the system says when it has no descriptor or no thread to give.
    pub fn new(source: impl Waitable + Send + Sync + 'static) -> io::Result<Self> {
        Self::with_slices(source, SLICE_NS)
    }

    /// One that is readable because of notifications only; so a test finds out if one is missed.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    #[doc(hidden)]
    pub fn without_slices(source: impl Waitable + Send + Sync + 'static) -> io::Result<Self> {
        Self::with_slices(source, u64::MAX)
    }

    fn with_slices(
        source: impl Waitable + Send + Sync + 'static,
        slice_ns: u64,
    ) -> io::Result<Self> {
        let bridge = Arc::new(Bridge {
            slice_ns,
            source: Box::new(source),
            flag: Flag::new()?,
            control: Futex::new(0),
            state: Mutex::new(State::Disarmed),
        });
        let behind = Arc::clone(&bridge);
        let thread = std::thread::Builder::new()
            .name("shm-pollable".into())
            .stack_size(BRIDGE_STACK_LEN);
        let thread = without_signals(|| thread.spawn(move || behind.run()))?;
        Ok(Self {
            bridge,
            thread: Some(thread),
            maker: ProcessMark::of_this_process(),
        })
    }

    /// From now on a notification that came after `key` was made, or comes, makes the descriptor readable; until then it is not. Replaces
    /// what was armed before.
    ///
    /// The key is one of `prepare_wait` on the very object that this was made for; any other one makes the descriptor readable at once, or only after 100 ms.
    ///
    /// # Panics
    /// In a child after `fork`, which has no thread that would ever make it readable.
    pub fn arm(&self, key: WaitKey) {
        assert!(
            self.is_ours(),
            "a Pollable does not survive fork: make a new one in the child"
        );
        let bridge = &self.bridge;
        // A notification that came already needs no bridge.
        if bridge.source.prepared(key).has_changed() {
            bridge.change(State::Fired);
        } else {
            bridge.change(State::Armed(key));
        }
    }

    /// Makes the descriptor unreadable until it is armed again. Nobody wakes up for it then.
    ///
    /// Does nothing in a child after `fork`, since the descriptor is its parent's.
    pub fn disarm(&self) {
        if self.is_ours() {
            self.bridge.change(State::Disarmed);
        }
    }

    fn is_ours(&self) -> bool {
        self.maker == ProcessMark::of_this_process()
    }
}

impl Bridge {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A change by a user.
    fn change(&self, next: State) {
        let mut state = self.state();
        let before = *state;
        if next == State::Fired {
            // Also if it is raised: each arming needs an edge of its own, for who waits for edges.
            self.flag.raise();
        } else if before == State::Fired {
            self.flag.lower();
        }
        *state = next;
        // Relaxed, both: changed and read under the lock; the kernel's look needs no more than the word itself.
        let control = self.control.word();
        control.store(
            control.load(Ordering::Relaxed).wrapping_add(1),
            Ordering::Relaxed,
        );
        drop(state);
        // From one state without a sleep on the shared word to another: the bridge may sleep on.
        let sleeps_on_word = |state| matches!(state, State::Armed(_));
        if sleeps_on_word(before) || sleeps_on_word(next) || next == State::Stopped {
            self.control.wake_all();
        }
    }

    /// What the thread does.
    fn run(&self) {
        loop {
            let state = self.state();
            let (order, now) = (self.order(), *state);
            drop(state);
            match now {
                State::Stopped => return,
                State::Armed(key) => self.sleep_until_notified(order, key),
                State::Disarmed | State::Fired => {
                    let orders = Prepared::on(&self.control, order);
                    sleep_any(How::Kernel, &[orders], Deadline::NEVER);
                }
            }
        }
    }

    /// The control word, to be read under the lock.
    fn order(&self) -> u32 {
        // Relaxed: the lock orders it.
        self.control.word().load(Ordering::Relaxed)
    }

    fn sleep_until_notified(&self, order: u32, key: WaitKey) {
        let word = self.source.prepared(key);
        // The shared word comes last: of several wakes the last is told, and the one on this word must be known of.
        let waits = [Prepared::on(&self.control, order), word];
        let slice_end = Deadline::now().plus_ns(self.slice_ns);
        let woken = sleep_any(How::Kernel, &waits, slice_end);
        let mut state = self.state();
        if self.order() == order {
            // Whatever ended the sleep: who waits shall look again.
            self.flag.raise();
            *state = State::Fired;
        } else if woken == Woken::By(1) {
            drop(state);
            // Nobody waits through us any more; if somebody armed anew, the changed word will show it.
            word.pass_on();
        }
    }
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl AsFd for Pollable {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bridge.flag.as_fd()
    }
}

impl AsRawFd for Pollable {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl Drop for Pollable {
    fn drop(&mut self) {
        let thread = self.thread.take().expect("only drop takes it");
        if !self.is_ours() {
            // The thread is the parent's, and the lock may be held by it for ever: no word, no wait.
            std::mem::forget(thread);
            return;
        }
        self.bridge.change(State::Stopped);
        // It has nothing to say.
        let _ = thread.join();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::futex::{Channels, Slept};
    use std::time::Duration;

    struct Word(Arc<Futex>);

    impl Waitable for Word {
        fn prepared(&self, key: WaitKey) -> Prepared<'_> {
            Prepared::new(&self.0, key)
        }
    }

    /// The bridge was disarmed, and is woken through the shared word before it hears of that.
    #[test]
    fn a_wake_that_chose_the_bridge_in_vain_goes_on_to_the_next_sleeper() {
        let word = Arc::new(Futex::new(5));
        let bridge = Bridge {
            source: Box::new(Word(Arc::clone(&word))),
            slice_ns: u64::MAX,
            flag: Flag::new().unwrap(),
            control: Futex::new(0),
            state: Mutex::new(State::Disarmed),
        };
        let deadline = Deadline::after(Duration::from_secs(60));
        let time_to_fall_asleep = Duration::from_millis(20);
        std::thread::scope(|scope| {
            scope.spawn(|| bridge.sleep_until_notified(0, WaitKey::new(5)));
            std::thread::sleep(time_to_fall_asleep);
            // Relaxed: a plain word of this test.
            bridge.control.word().store(1, Ordering::Relaxed);
            let next = scope.spawn(|| word.wait(5, Channels::ALL, deadline));
            std::thread::sleep(time_to_fall_asleep);
            assert_eq!(word.wake(1, Channels::ALL), 1);
            assert_eq!(next.join().unwrap(), Slept::CheckAgain);
            // If the bridge was not the first to be woken, it still sleeps.
            word.wake_all();
            bridge.control.wake_all();
        });
        assert_eq!(*bridge.state(), State::Disarmed);
    }
}
