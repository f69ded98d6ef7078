//! What a process did, written where its death cannot touch it: a file that is mapped shared.
//!
//! The kernel keeps the pages of a killed process, so every store that was made before the kill
//! is there afterwards. A note that is made before a step and one that is made after it leave a
//! doubt about one step at most.

#![allow(unsafe_code)]

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};

use crate::history::{History, Id};

/// The words before the first delivery: the count of deliveries, then two words per producer.
const HEAD_WORDS: usize = 1 + 2 * PRODUCERS_MAX;

/// How many producers, one after the other, a journal has room for.
pub const PRODUCERS_MAX: usize = 8191;

/// Marks a delivery as redelivered, in a bit that no [`Id`] uses here.
const REDELIVERED: u64 = 1 << 63;

/// A journal of one ring: what its producers sent and what its consumers received.
#[derive(Debug)]
pub struct Journal {
    map: MmapRaw,
    words: usize,
}

impl Journal {
    /// Makes a journal with room for so many deliveries. The file is sparse.
    ///
    /// # Panics
    /// When the file can't be made.
    pub fn create(path: &Path, deliveries_max: usize) -> Self {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path);
        let file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        file.set_len((HEAD_WORDS + deliveries_max) as u64 * 8)
            .expect("a sparse file");
        Self::map(&file)
    }

    /// Opens a journal that another process made.
    ///
    /// # Panics
    /// When the file can't be opened.
    pub fn open(path: &Path) -> Self {
        let file = OpenOptions::new().read(true).write(true).open(path);
        Self::map(&file.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    fn map(file: &std::fs::File) -> Self {
        let map = MmapOptions::new()
            .map_raw(file)
            .expect("a file of whole words can be mapped");
        let words = map.len() / 8;
        Self { map, words }
    }

    /// Notes that this producer is about to send the messages before `attempted`.
    pub fn attempt(&self, producer: u32, attempted: u64) {
        self.word(1 + 2 * producer as usize)
            .store(attempted, Ordering::SeqCst);
    }

    /// Notes that the messages before `committed` are sent.
    pub fn commit(&self, producer: u32, committed: u64) {
        self.word(2 + 2 * producer as usize)
            .store(committed, Ordering::SeqCst);
    }

    /// Notes a delivery; to be called before the message is released.
    ///
    /// # Panics
    /// When the journal is full.
    pub fn deliver(&self, id: Id, redelivered: bool) {
        let count = self.delivered();
        let mark = if redelivered { REDELIVERED } else { 0 };
        self.word(HEAD_WORDS + count)
            .store(id.to_word() | mark, Ordering::SeqCst);
        self.word(0).store(count as u64 + 1, Ordering::SeqCst);
    }

    /// How many deliveries were noted.
    pub fn delivered(&self) -> usize {
        self.word(0).load(Ordering::SeqCst) as usize
    }

    /// How many deliveries there is still room for.
    pub fn room(&self) -> usize {
        self.words - HEAD_WORDS - self.delivered()
    }

    /// All of it, as a history to be checked.
    pub fn history(&self) -> History {
        let mut history = History::new();
        for producer in 0..PRODUCERS_MAX as u32 {
            let attempted = self.word(1 + 2 * producer as usize).load(Ordering::SeqCst);
            let committed = self.word(2 + 2 * producer as usize).load(Ordering::SeqCst);
            if attempted != 0 {
                history.sent(producer, committed, attempted);
            }
        }
        for at in 0..self.delivered() {
            let word = self.word(HEAD_WORDS + at).load(Ordering::SeqCst);
            history.received(
                0,
                Id::from_word(word & !REDELIVERED),
                word & REDELIVERED != 0,
            );
        }
        history
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        assert!(
            at < self.words,
            "the journal has {} words, not {at}",
            self.words
        );
        let base: *mut u64 = self.map.as_mut_ptr().cast();
        // SAFETY: inside the mapping, by the assertion.
        let word = unsafe { base.add(at) };
        // SAFETY: aligned, mapped as long as `self` lives, and only ever accessed atomically.
        unsafe { AtomicU64::from_ptr(word) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Fault, Summary};

    #[test]
    fn a_journal_gives_back_the_history_that_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let ours = Journal::create(&path, 10);
        let theirs = Journal::open(&path);
        theirs.attempt(3, 3);
        theirs.commit(3, 2);
        ours.deliver(
            Id {
                producer: 3,
                sequence: 0,
            },
            false,
        );
        assert_eq!(
            ours.history().check(),
            Err(vec![Fault::Lost(Id {
                producer: 3,
                sequence: 1
            })])
        );
        ours.deliver(
            Id {
                producer: 3,
                sequence: 0,
            },
            true,
        );
        ours.deliver(
            Id {
                producer: 3,
                sequence: 1,
            },
            false,
        );
        let summary = Summary {
            delivered: 2,
            redelivered: 1,
            never_committed: 1,
        };
        assert_eq!(theirs.history().check(), Ok(summary));
        assert_eq!(theirs.room(), 7);
    }
}
