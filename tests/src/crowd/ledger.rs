//! What the producers and consumers of one ring did, in a file that all of them map.
//!
//! The kernel keeps the pages of a killed process, so every store that was made before the kill is there afterwards. An actor notes a step before it takes it and
//! after it has taken it; what lies between the two is the doubt that its death leaves.

#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use memmap2::{MmapOptions, MmapRaw};
use nix::time::{ClockId, clock_gettime};

use crate::history::Id;

/// How many actors, one after the other, a ledger has lines for.
pub const ACTORS_MAX: u32 = 1 << 14;

/// Words of the head: how many entries each of the logs has room for, and how many were begun.
const ROOM: usize = 0;
const DELIVERIES: usize = 1;
const SENDS: usize = 2;
const EMPTIES: usize = 3;
const HEAD_WORDS: usize = 8;

/// Words of an actor's line.
const ATTEMPTED: usize = 0;
const COMMITTED: usize = 1;
const WHOLE: usize = 2;
const IN_HAND: usize = 3;
const UNSEEN: usize = 4;
const DEAD: usize = 5;
const LINE_WORDS: usize = 8;

/// Words of the entries.
const DELIVERY_WORDS: usize = 6;
const SEND_WORDS: usize = 4;
const EMPTY_WORDS: usize = 3;

/// Flags beside the number of a consumer.
const VALID: u64 = 1 << 63;
const MARKED: u64 = 1 << 62;
const AGAIN: u64 = 1 << 61;

/// Nanoseconds of the clock that all processes share. What was done before it was asked is seen by all by then, and what is done after it is done after.
///
/// # Panics
/// When there is no such clock.
pub fn now_ns() -> u64 {
    fence(Ordering::SeqCst);
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock");
    fence(Ordering::SeqCst);
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}

/// How far a message has got that was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It was not released for certain.
    Held,
    /// Nobody knows.
    Releasing,
    /// It was released for certain.
    Released,
}

/// A message that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Which.
    pub id: Id,
    /// By whom.
    pub consumer: u32,
    /// Its position, and whether it was marked as redelivered, if the way to receive says that.
    pub mark: Option<(u64, bool)>,
    /// When the call began that received it.
    pub begun_ns: u64,
    /// When it was noted.
    pub seen_ns: u64,
    /// How far it has got.
    pub phase: Phase,
}

/// A call that sent messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sending {
    /// The first one.
    pub first: Id,
    /// How many.
    pub count: u64,
    /// When the call began.
    pub begun_ns: u64,
    /// When it was over.
    pub ended_ns: u64,
}

/// A call that found no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VainLook {
    /// When it began.
    pub begun_ns: u64,
    /// When it was over.
    pub ended_ns: u64,
    /// How long it was to wait at most; zero of one that does not wait.
    pub timeout_ns: u64,
}

/// What an actor did, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Line {
    /// It began to send the messages before this.
    pub attempted: u64,
    /// It sent the messages before this for certain.
    pub committed: u64,
    /// All that it attempted last was to be sent as a whole.
    pub whole: bool,
    /// So many messages it may have held at the end, at most.
    pub in_hand: u64,
    /// So many of them it may have released without having noted them.
    pub unseen: u64,
    /// It was killed.
    pub dead: bool,
}

/// The ledger of one ring.
#[derive(Debug)]
pub struct Ledger {
    map: MmapRaw,
    room: usize,
}

impl Ledger {
    /// Makes a ledger with room for so many deliveries, calls and vain looks. The file is sparse.
    ///
    /// # Panics
    /// When the file can't be made.
    pub fn create(path: &Path, room: usize) -> Self {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).open(path);
        let file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let words = Self::deliveries_at(room) + DELIVERY_WORDS * room;
        file.set_len(words as u64 * 8).expect("a sparse file");
        let ledger = Self::map(&file, room);
        ledger.word(ROOM).store(room as u64, Ordering::SeqCst);
        ledger
    }

    /// Opens a ledger that another process made.
    ///
    /// # Panics
    /// When the file can't be opened.
    pub fn open(path: &Path) -> Self {
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut ledger = Self::map(&file, 0);
        ledger.room = ledger.word(ROOM).load(Ordering::SeqCst) as usize;
        ledger
    }

    fn map(file: &File, room: usize) -> Self {
        let map = MmapOptions::new().map_raw(file);
        let map = map.expect("a file of whole words can be mapped");
        Self { map, room }
    }

    fn sends_at() -> usize {
        HEAD_WORDS + LINE_WORDS * ACTORS_MAX as usize
    }

    fn empties_at(room: usize) -> usize {
        Self::sends_at() + SEND_WORDS * room
    }

    fn deliveries_at(room: usize) -> usize {
        Self::empties_at(room) + EMPTY_WORDS * room
    }

    /// The line of an actor.
    ///
    /// # Panics
    /// When the ledger has no line of that number.
    pub fn actor(&self, number: u32) -> Actor<'_> {
        assert!(number < ACTORS_MAX, "actor {number}");
        Actor {
            ledger: self,
            number,
        }
    }

    /// How many deliveries were noted.
    pub fn delivered(&self) -> usize {
        self.begun(DELIVERIES)
    }

    /// How many deliveries and calls there is still room for, at least.
    pub fn room(&self) -> usize {
        self.room - self.begun(DELIVERIES).max(self.begun(SENDS))
    }

    fn begun(&self, log: usize) -> usize {
        (self.word(log).load(Ordering::SeqCst) as usize).min(self.room)
    }

    /// What an actor did, in numbers.
    pub fn line(&self, number: u32) -> Line {
        let word = |word| self.line_word(number, word).load(Ordering::SeqCst);
        Line {
            attempted: word(ATTEMPTED),
            committed: word(COMMITTED),
            whole: word(WHOLE) != 0,
            in_hand: word(IN_HAND),
            unseen: word(UNSEEN),
            dead: word(DEAD) != 0,
        }
    }

    /// All that was received, each consumer's in its order.
    pub fn deliveries(&self) -> Vec<Delivery> {
        let start = Self::deliveries_at(self.room);
        let entries = (0..self.delivered()).map(|at| start + DELIVERY_WORDS * at);
        entries.filter_map(|entry| self.delivery(entry)).collect()
    }

    /// `None` if its consumer was killed before it had noted all.
    fn delivery(&self, entry: usize) -> Option<Delivery> {
        let word = |at| self.word(entry + at).load(Ordering::SeqCst);
        let who = word(4);
        if who & VALID == 0 {
            return None;
        }
        let phase = match word(5) {
            0 => Phase::Held,
            1 => Phase::Releasing,
            _ => Phase::Released,
        };
        Some(Delivery {
            id: Id::from_word(word(0)),
            consumer: who as u32,
            mark: (who & MARKED != 0).then(|| (word(1), who & AGAIN != 0)),
            begun_ns: word(2),
            seen_ns: word(3),
            phase,
        })
    }

    /// All calls that sent something.
    pub fn sendings(&self) -> Vec<Sending> {
        let entries = (0..self.begun(SENDS)).map(|at| Self::sends_at() + SEND_WORDS * at);
        let entries = entries.map(|entry| {
            let word = |at| self.word(entry + at).load(Ordering::SeqCst);
            Sending {
                first: Id::from_word(word(0)),
                count: word(1),
                begun_ns: word(2),
                ended_ns: word(3),
            }
        });
        // One whose actor was killed before it had noted all has no end.
        entries.filter(|sending| sending.ended_ns != 0).collect()
    }

    /// The calls that found nothing.
    pub fn empties(&self) -> Vec<VainLook> {
        let start = Self::empties_at(self.room);
        let entries = (0..self.begun(EMPTIES)).map(|at| start + EMPTY_WORDS * at);
        let word = |at| self.word(at).load(Ordering::SeqCst);
        let entries = entries.map(|entry| VainLook {
            begun_ns: word(entry),
            ended_ns: word(entry + 1),
            timeout_ns: word(entry + 2),
        });
        entries.filter(|look| look.ended_ns != 0).collect()
    }

    fn line_word(&self, number: u32, word: usize) -> &AtomicU64 {
        self.word(HEAD_WORDS + LINE_WORDS * number as usize + word)
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        assert!(at < self.map.len() / 8, "the ledger ends before {at}");
        let base: *mut u64 = self.map.as_mut_ptr().cast();
        // SAFETY: inside the mapping, by the assertion.
        let word = unsafe { base.add(at) };
        // SAFETY: aligned, mapped as long as `self` lives, and only ever accessed atomically.
        unsafe { AtomicU64::from_ptr(word) }
    }
}

/// An actor that takes notes of what it does; a successor counts as another actor.
#[derive(Clone, Copy, Debug)]
pub struct Actor<'a> {
    ledger: &'a Ledger,
    number: u32,
}

impl Actor<'_> {
    /// Its number.
    pub fn number(self) -> u32 {
        self.number
    }

    /// Notes that it is about to send the messages before `until`, as a whole or not.
    pub fn attempts(self, until: u64, whole: bool) {
        // Between the two stores nothing is attempted that is not committed.
        self.store(WHOLE, u64::from(whole));
        self.store(ATTEMPTED, until);
    }

    /// Notes that the messages before `until` are sent.
    pub fn commits(self, until: u64) {
        self.store(COMMITTED, until);
    }

    /// Notes when a call sent so many messages from number `first` on. No word of it if the ledger is full.
    pub fn sent(self, first: u64, count: u64, begun_ns: u64, ended_ns: u64) {
        let id = Id {
            producer: self.number,
            sequence: first,
        };
        let entry = [id.to_word(), count, begun_ns, ended_ns];
        self.append(SENDS, &entry);
    }

    /// Notes that it is about to take so many messages at most, in a way that shows them before it releases them, or not.
    pub fn takes(self, most: u64, shown_before: bool) {
        self.store(UNSEEN, if shown_before { 0 } else { most });
        self.store(IN_HAND, most);
    }

    /// Notes that it holds nothing.
    pub fn holds_nothing(self) {
        self.store(IN_HAND, 0);
        self.store(UNSEEN, 0);
    }

    /// Notes a message that it received, and says where.
    ///
    /// # Panics
    /// When the ledger is full.
    pub fn received(
        self,
        id: u64,
        mark: Option<(u64, bool)>,
        begun_ns: u64,
        phase: Phase,
    ) -> usize {
        let flags = match mark {
            Some((_, true)) => VALID | MARKED | AGAIN,
            Some((_, false)) => VALID | MARKED,
            None => VALID,
        };
        let position = mark.map_or(0, |(position, _)| position);
        let who = u64::from(self.number) | flags;
        // Who it was comes last: it makes the entry whole.
        let entry = [id, position, begun_ns, now_ns()];
        let at = self.append(DELIVERIES, &entry);
        let at = at.expect("room in the ledger");
        self.reaches(at, phase);
        self.ledger.word(at + 4).store(who, Ordering::SeqCst);
        at
    }

    /// Notes how far a message has got.
    pub fn reaches(self, at: usize, phase: Phase) {
        let word = self.ledger.word(at + 5);
        word.store(phase as u64, Ordering::SeqCst);
    }

    /// Notes that a call found nothing. No word of it if the ledger is full.
    pub fn found_nothing(self, look: VainLook) {
        let words = [look.begun_ns, look.ended_ns, look.timeout_ns];
        self.append(EMPTIES, &words);
    }

    /// Notes that it was killed: for the one who did it.
    pub fn was_killed(self) {
        self.store(DEAD, 1);
    }

    fn store(self, word: usize, value: u64) {
        let word = self.ledger.line_word(self.number, word);
        word.store(value, Ordering::SeqCst);
    }

    /// Says where the entry is; `None` if there is no room.
    fn append(self, log: usize, entry: &[u64]) -> Option<usize> {
        let room = self.ledger.room;
        let number = self.ledger.word(log).fetch_add(1, Ordering::SeqCst) as usize;
        if number >= room {
            return None;
        }
        let (start, words) = match log {
            DELIVERIES => (Ledger::deliveries_at(room), DELIVERY_WORDS),
            SENDS => (Ledger::sends_at(), SEND_WORDS),
            _ => (Ledger::empties_at(room), EMPTY_WORDS),
        };
        let at = start + words * number;
        for (word, value) in entry.iter().enumerate() {
            self.ledger.word(at + word).store(*value, Ordering::SeqCst);
        }
        Some(at)
    }
}
