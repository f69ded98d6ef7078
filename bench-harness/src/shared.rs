//! The page that the two measured processes of a session share.
//!
//! It carries what a window needs besides the contender itself: the ready-and-go barrier, the number of messages of the
//! next window, the moments of the first send and of the last verified message, and the line on which
//! `limit-line` plays.
#![allow(unsafe_code)]

use std::io;
use std::mem::size_of;
use std::os::fd::{OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use memmap2::{MmapOptions, MmapRaw};
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::{Deserialize, Serialize};

use crate::clock::now_ns;

/// The two measured processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Sends the stream and starts each round trip.
    Left,
    /// Receives the stream and answers each round trip.
    Right,
}

impl Side {
    /// The other one.
    #[must_use]
    pub fn peer(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Left => 0,
            Self::Right => 1,
        }
    }
}

/// A word with two cache lines for itself, so that adjacent-line prefetch doesn't couple it with another.
#[repr(C, align(128))]
struct Padded<T>(T);

/// The words of the page. All-zero bytes are its fresh state.
#[repr(C)]
struct Words {
    /// How many barriers each side has reached.
    arrived: [Padded<AtomicU32>; 2],
    /// Set by a side that gives up.
    abort: Padded<AtomicU32>,
    /// What the left side decided for the next run.
    messages: Padded<AtomicU64>,
    /// Whether the next run is the one that counts.
    is_final: Padded<AtomicU32>,
    /// `CLOCK_MONOTONIC` before the first send of the run.
    started_ns: Padded<AtomicU64>,
    /// `CLOCK_MONOTONIC` after the last verified message of the run.
    finished_ns: Padded<AtomicU64>,
    /// The one line of `limit-line`, used in both directions.
    line: Padded<AtomicU64>,
}

const PAGE_LEN: usize = 4096;
const _: () = assert!(size_of::<Words>() <= PAGE_LEN);
const _: () = assert!(size_of::<Padded<AtomicU64>>() == 128);

/// What the left side decided for the next run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunOrder {
    /// The number of messages.
    pub messages: u64,
    /// Whether this is the window; the runs before it only calibrate.
    pub is_final: bool,
}

/// Why a barrier wasn't passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// The other side gave up.
    Aborted,
    /// The other side didn't come in time.
    TimedOut,
}

/// The mapped page.
#[derive(Debug)]
pub struct SharedPage {
    map: MmapRaw,
    /// Both sides run on one core: waiting by spinning would only delay the other.
    one_core: bool,
}

impl SharedPage {
    /// Makes a fresh page; the descriptor is for the measured processes.
    ///
    /// # Errors
    /// What the system says.
    pub fn create() -> io::Result<OwnedFd> {
        let fd = memfd_create(c"bench-harness-page", MFdFlags::MFD_CLOEXEC)?;
        nix::unistd::ftruncate(&fd, PAGE_LEN.cast_signed() as i64)?;
        Ok(fd)
    }

    /// Maps the page.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(fd: RawFd, one_core: bool) -> io::Result<Self> {
        let map = MmapOptions::new().len(PAGE_LEN).map_raw(fd)?;
        Ok(Self { map, one_core })
    }

    fn words(&self) -> &Words {
        let start =
            NonNull::new(self.map.as_mut_ptr()).expect("a mapping is never at address zero");
        // SAFETY: the mapping is page-aligned, PAGE_LEN >= size_of::<Words>() bytes long and lives as long as self; every field
        // is an atomic for which any bit pattern is valid, so that writes of the other process are no data race.
        unsafe { start.cast::<Words>().as_ref() }
    }

    /// Waits until both sides have come as often.
    ///
    /// # Errors
    /// When the other side gives up or doesn't come until `deadline_ns`.
    pub fn meet(&self, side: Side, deadline_ns: u64) -> Result<(), Missed> {
        const SPIN_NS: u64 = 200_000;
        const NAP: Duration = Duration::from_micros(30);
        let words = self.words();
        let mine = &words.arrived[side.index()].0;
        let theirs = &words.arrived[side.peer().index()].0;
        // Relaxed: a single writer reads its own word.
        let goal = mine.load(Ordering::Relaxed).wrapping_add(1);
        // Release pairs with the Acquire below: what was written before the barrier is seen after it.
        mine.store(goal, Ordering::Release);
        let spin_until_ns = now_ns() + if self.one_core { 0 } else { SPIN_NS };
        loop {
            let behind = goal.wrapping_sub(theirs.load(Ordering::Acquire));
            // The peer is level with us, or already one barrier further.
            if behind == 0 || behind > u32::MAX / 2 {
                return Ok(());
            }
            if self.is_aborted() {
                return Err(Missed::Aborted);
            }
            let now = now_ns();
            if now >= deadline_ns {
                return Err(Missed::TimedOut);
            }
            if now < spin_until_ns {
                std::hint::spin_loop();
            } else {
                thread::sleep(NAP);
            }
        }
    }

    /// Tells the other side that this one gives up.
    pub fn abort(&self) {
        // Relaxed: nothing else is read on the strength of this flag.
        self.words().abort.0.store(1, Ordering::Relaxed);
    }

    fn is_aborted(&self) -> bool {
        // Relaxed: nothing else is read on the strength of this flag.
        self.words().abort.0.load(Ordering::Relaxed) != 0
    }

    /// Sets what the next run is; before [`Self::meet`].
    pub fn order(&self, order: RunOrder) {
        // Relaxed: the barrier orders these.
        self.words()
            .messages
            .0
            .store(order.messages, Ordering::Relaxed);
        self.words()
            .is_final
            .0
            .store(u32::from(order.is_final), Ordering::Relaxed);
    }

    /// What the next run is; after [`Self::meet`].
    pub fn ordered(&self) -> RunOrder {
        // Relaxed: the barrier orders these.
        RunOrder {
            messages: self.words().messages.0.load(Ordering::Relaxed),
            is_final: self.words().is_final.0.load(Ordering::Relaxed) != 0,
        }
    }

    /// The left side notes the moment of its first send.
    pub fn note_start(&self, at_ns: u64) {
        // Relaxed: read after the next barrier.
        self.words().started_ns.0.store(at_ns, Ordering::Relaxed);
    }

    /// The right side notes the moment at which it had its last verified message.
    pub fn note_finish(&self, at_ns: u64) {
        // Relaxed: read after the next barrier.
        self.words().finished_ns.0.store(at_ns, Ordering::Relaxed);
    }

    /// Time from the first send to the last verified message of the run before the last barrier.
    pub fn elapsed_ns(&self) -> u64 {
        // Relaxed: written before the last barrier.
        let started = self.words().started_ns.0.load(Ordering::Relaxed);
        let finished = self.words().finished_ns.0.load(Ordering::Relaxed);
        finished.saturating_sub(started).max(1)
    }

    /// `limit-line`: puts a value on the line.
    #[inline]
    pub fn line_store(&self, value: u64) {
        // Release as a ring's publication would be; it costs nothing on x86.
        self.words().line.0.store(value, Ordering::Release);
    }

    /// `limit-line`: what is on the line.
    #[inline]
    pub fn line_load(&self) -> u64 {
        // Acquire pairs with the Release above.
        self.words().line.0.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    fn soon() -> u64 {
        now_ns() + 5_000_000_000
    }

    #[test]
    fn what_is_ordered_before_the_barrier_is_seen_after_it() {
        let fd = SharedPage::create().unwrap();
        let left = SharedPage::open(fd.as_raw_fd(), false).unwrap();
        let right = SharedPage::open(fd.as_raw_fd(), true).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                for messages in 0..200 {
                    left.order(RunOrder {
                        messages,
                        is_final: messages == 199,
                    });
                    left.meet(Side::Left, soon()).unwrap();
                    left.meet(Side::Left, soon()).unwrap();
                }
            });
            for messages in 0..200 {
                right.meet(Side::Right, soon()).unwrap();
                assert_eq!(
                    right.ordered(),
                    RunOrder {
                        messages,
                        is_final: messages == 199
                    }
                );
                right.meet(Side::Right, soon()).unwrap();
            }
        });
    }

    #[test]
    fn a_barrier_ends_when_the_peer_gives_up_or_stays_away() {
        let fd = SharedPage::create().unwrap();
        let left = SharedPage::open(fd.as_raw_fd(), false).unwrap();
        assert_eq!(
            left.meet(Side::Left, now_ns() + 1_000_000),
            Err(Missed::TimedOut)
        );
        let right = SharedPage::open(fd.as_raw_fd(), false).unwrap();
        right.abort();
        assert_eq!(left.meet(Side::Left, soon()), Err(Missed::Aborted));
    }
}
