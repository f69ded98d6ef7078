//! The page that the measured processes of a session share.
//!
//! It carries what a window needs besides the contender itself: the ready-and-go barrier, the number of messages of the
//! next window, the moments of the first send and of the last verified message, what several producers or consumers count
//! at the end of their part, and the line on which `limit-line` plays.
//!
//! Every process writes to a line of its own, and nobody writes to one inside a window but at its two ends.
#![allow(unsafe_code)]

use std::io;
use std::mem::size_of;
use std::os::fd::{OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::{Deserialize, Serialize};
use shm_semaphore::{Deadline, EventCount};

use crate::clock::now_ns;
use crate::fan::{Fan, SIDE_MAX, Seat};

/// The two sides of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Sends the stream and starts each round trip.
    Left,
    /// Receives the stream and answers each round trip.
    Right,
}

/// A word with two cache lines for itself, so that adjacent-line prefetch doesn't couple it with another.
#[repr(C, align(128))]
struct Padded<T>(T);

/// What one process says.
#[repr(C)]
struct SeatWords {
    /// How many barriers it has reached.
    arrived: AtomicU32,
    /// `CLOCK_MONOTONIC` before its first send of the run; zero of one that never sent.
    started_ns: AtomicU64,
    /// `CLOCK_MONOTONIC` after its last verified message of the run; zero of one that never received.
    finished_ns: AtomicU64,
}

/// The words of the page. All-zero bytes are its fresh state.
#[repr(C)]
struct Words {
    /// One for each process; the order is that of [`Fan::seats`].
    seats: [Padded<SeatWords>; SEATS_MAX],
    /// Who waits at the barrier for longer than a moment sleeps here.
    gathering: Padded<EventCount>,
    /// Set by a process that gives up.
    abort: Padded<AtomicU32>,
    /// What the leader decided for the next run.
    messages: Padded<AtomicU64>,
    /// Whether the next run is the one that counts.
    is_final: Padded<AtomicU32>,
    /// Producers that have sent their part of the run.
    producers_done: Padded<AtomicU32>,
    /// Consumers that have been told the end of the run.
    consumers_done: Padded<AtomicU32>,
    /// Messages that those consumers took.
    taken: Padded<AtomicU64>,
    /// After so many messages a run ends early; zero if it doesn't.
    cut: Padded<AtomicU64>,
    /// The one line of `limit-line`, used in both directions.
    line: Padded<AtomicU64>,
}

const SEATS_MAX: usize = 2 * SIDE_MAX as usize;
/// Bytes of the page.
pub(crate) const PAGE_LEN: usize = 16 << 10;
const _: () = assert!(size_of::<Words>() <= PAGE_LEN);
const _: () = assert!(size_of::<Padded<AtomicU64>>() == 128);
const _: () = assert!(size_of::<Padded<SeatWords>>() == 128);

/// What the leader (the first of those who send) decided for the next run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunOrder {
    /// The number of messages of all producers together.
    pub messages: u64,
    /// Whether this is the window; the runs before it only calibrate.
    pub is_final: bool,
}

/// Why a barrier wasn't passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// Another process gave up.
    Aborted,
    /// Another process didn't come in time.
    TimedOut,
}

/// The mapped page.
#[derive(Debug)]
pub struct SharedPage {
    map: MmapRaw,
    fan: Fan,
    /// Some processes share a core: waiting by spinning would only delay the others.
    is_crowded: bool,
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

    /// Maps the page of two processes.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(fd: RawFd, one_core: bool) -> io::Result<Self> {
        Self::open_for(fd, Fan::PAIR, one_core)
    }

    /// Maps the page of so many.
    ///
    /// # Errors
    /// What the system says.
    pub fn open_for(fd: RawFd, fan: Fan, is_crowded: bool) -> io::Result<Self> {
        if fan.producers > SIDE_MAX || fan.consumers > SIDE_MAX {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let map = MmapOptions::new().len(PAGE_LEN).map_raw(fd)?;
        Ok(Self {
            map,
            fan,
            is_crowded,
        })
    }

    fn words(&self) -> &Words {
        let start =
            NonNull::new(self.map.as_mut_ptr()).expect("a mapping is never at address zero");
        // SAFETY: the mapping is page-aligned, PAGE_LEN >= size_of::<Words>() bytes long and lives as long as self; every field
        // is an atomic for which any bit pattern is valid, so that writes of the other process are no data race.
        unsafe { start.cast::<Words>().as_ref() }
    }

    fn seats(&self) -> &[Padded<SeatWords>] {
        &self.words().seats[..self.fan.processes()]
    }

    fn seat(&self, seat: impl Into<Seat>) -> &SeatWords {
        &self.seats()[self.fan.index_of(seat.into())].0
    }

    /// Waits until all have come as often.
    ///
    /// # Errors
    /// When another one gives up or doesn't come until `deadline_ns`.
    pub fn meet(&self, seat: impl Into<Seat>, deadline_ns: u64) -> Result<(), Missed> {
        const SPIN_NS: u64 = 200_000;
        let mine = &self.seat(seat).arrived;
        // Relaxed: a single writer reads its own word.
        let goal = mine.load(Ordering::Relaxed).wrapping_add(1);
        // Release pairs with the Acquire of those who wait: what was written before the barrier is seen after it.
        mine.store(goal, Ordering::Release);
        let gathering = &self.words().gathering.0;
        gathering.notify_all();
        let spin_until_ns = now_ns() + if self.is_crowded { 0 } else { SPIN_NS };
        loop {
            if let Some(met) = self.have_met(goal) {
                return met;
            }
            let now = now_ns();
            if now >= deadline_ns {
                return Err(Missed::TimedOut);
            }
            if now < spin_until_ns {
                std::hint::spin_loop();
                continue;
            }
            let key = gathering.prepare_wait();
            if let Some(met) = self.have_met(goal) {
                return met;
            }
            // It sleeps for no longer than a tenth of a second at a time, so the deadline is looked at often enough.
            gathering.wait(key, Deadline::NEVER);
        }
    }

    /// Whether all have reached barrier `goal`, if that can be told already.
    fn have_met(&self, goal: u32) -> Option<Result<(), Missed>> {
        // Level with us, or already one barrier further.
        let has_come = |seat: &Padded<SeatWords>| {
            let behind = goal.wrapping_sub(seat.0.arrived.load(Ordering::Acquire));
            behind == 0 || behind > u32::MAX / 2
        };
        if self.seats().iter().all(has_come) {
            return Some(Ok(()));
        }
        self.is_aborted().then_some(Err(Missed::Aborted))
    }

    /// Tells the others that this one gives up.
    pub fn abort(&self) {
        // Relaxed: nothing else is read on the strength of this flag; the notification makes its sleepers look.
        self.words().abort.0.store(1, Ordering::Relaxed);
        self.words().gathering.0.notify_all();
    }

    fn is_aborted(&self) -> bool {
        // Relaxed: nothing else is read on the strength of this flag.
        self.words().abort.0.load(Ordering::Relaxed) != 0
    }

    /// Sets what the next run is; before [`Self::meet`].
    pub fn order(&self, order: RunOrder) {
        let words = self.words();
        // Relaxed, all: the barrier orders these.
        words.messages.0.store(order.messages, Ordering::Relaxed);
        words
            .is_final
            .0
            .store(u32::from(order.is_final), Ordering::Relaxed);
        words.producers_done.0.store(0, Ordering::Relaxed);
        words.consumers_done.0.store(0, Ordering::Relaxed);
        words.taken.0.store(0, Ordering::Relaxed);
        words.cut.0.store(0, Ordering::Relaxed);
    }

    /// What the next run is; after [`Self::meet`].
    pub fn ordered(&self) -> RunOrder {
        // Relaxed: the barrier orders these.
        RunOrder {
            messages: self.words().messages.0.load(Ordering::Relaxed),
            is_final: self.words().is_final.0.load(Ordering::Relaxed) != 0,
        }
    }

    /// A process notes the moment of its first send.
    pub fn note_start(&self, seat: impl Into<Seat>, at_ns: u64) {
        // Relaxed: read after the next barrier.
        self.seat(seat).started_ns.store(at_ns, Ordering::Relaxed);
    }

    /// What the leader noted last by [`Self::note_start`]. To be asked by a process that has received a message of this run: the
    /// note precedes every send.
    pub fn leader_started_ns(&self) -> u64 {
        // Relaxed: the message orders it. A mechanism whose messages ordered nothing could carry none.
        self.seat(Side::Left).started_ns.load(Ordering::Relaxed)
    }

    /// The only sender of a run ends it after so many messages; before it sends the last one of these.
    pub fn cut(&self, messages: u64) {
        // Relaxed: the message orders it.
        self.words().cut.0.store(messages, Ordering::Relaxed);
    }

    /// Whether the run ends after so many messages, by the word of the sender. To be asked by the receiver once it has the last of them.
    #[inline]
    pub fn is_cut_after(&self, messages: u64) -> bool {
        // Relaxed: the message orders it. A mechanism whose messages ordered nothing could carry none.
        self.words().cut.0.load(Ordering::Relaxed) == messages
    }

    /// A process notes the moment at which it had its last verified message.
    pub fn note_finish(&self, seat: impl Into<Seat>, at_ns: u64) {
        // Relaxed: read after the next barrier.
        self.seat(seat).finished_ns.store(at_ns, Ordering::Relaxed);
    }

    /// Time from the very first send to the very last verified message of the run before the last barrier.
    pub fn elapsed_ns(&self) -> u64 {
        // Relaxed, both: written before the last barrier.
        let started = |seat: &Padded<SeatWords>| seat.0.started_ns.load(Ordering::Relaxed);
        let finished = |seat: &Padded<SeatWords>| seat.0.finished_ns.load(Ordering::Relaxed);
        let first = self.seats().iter().map(started).filter(|&at_ns| at_ns != 0);
        let last = self.seats().iter().map(finished).max();
        last.unwrap_or(0)
            .saturating_sub(first.min().unwrap_or(0))
            .max(1)
    }

    /// A producer has sent its part of the run. Says whether it is the last one.
    pub fn is_last_producer(&self) -> bool {
        let done = &self.words().producers_done.0;
        // AcqRel: the sends of all others precede whatever the last one does next.
        done.fetch_add(1, Ordering::AcqRel) + 1 == self.fan.producers
    }

    /// A consumer was told the end of the run after so many messages. The last one hears how many all of them took.
    pub fn taken_by_all(&self, taken: u64) -> Option<u64> {
        let words = self.words();
        // Relaxed: the counter below orders it.
        words.taken.0.fetch_add(taken, Ordering::Relaxed);
        // AcqRel: the last one sees what all others have added.
        let done = words.consumers_done.0.fetch_add(1, Ordering::AcqRel) + 1;
        (done == self.fan.consumers).then(|| words.taken.0.load(Ordering::Relaxed))
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
    use std::thread;

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

    #[test]
    fn several_meet_and_their_time_is_from_the_first_to_the_last() {
        let fan = Fan {
            producers: 3,
            consumers: 2,
        };
        let fd = SharedPage::create().unwrap();
        let at = |seat: Seat| 1_000 + 10 * fan.index_of(seat) as u64;
        thread::scope(|scope| {
            for seat in fan.seats() {
                let page = SharedPage::open_for(fd.as_raw_fd(), fan, true).unwrap();
                scope.spawn(move || {
                    for _ in 0..100 {
                        page.meet(seat, soon()).unwrap();
                        match seat.side {
                            Side::Left => page.note_start(seat, at(seat)),
                            Side::Right => page.note_finish(seat, at(seat)),
                        }
                        page.meet(seat, soon()).unwrap();
                        assert_eq!(page.elapsed_ns(), 40);
                    }
                });
            }
        });
    }

    #[test]
    fn the_last_of_each_side_is_told_so_in_every_run() {
        let fan = Fan {
            producers: 2,
            consumers: 3,
        };
        let fd = SharedPage::create().unwrap();
        let page = SharedPage::open_for(fd.as_raw_fd(), fan, true).unwrap();
        for _ in 0..2 {
            page.order(RunOrder {
                messages: 10,
                is_final: false,
            });
            assert_eq!([(); 2].map(|()| page.is_last_producer()), [false, true]);
            let totals = [4, 1, 5].map(|taken| page.taken_by_all(taken));
            assert_eq!(totals, [None, None, Some(10)]);
        }
    }
}
