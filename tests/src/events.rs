//! A page full of event counts, each with the number that it tells of, for processes to meet at.

#![allow(unsafe_code)]

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use memmap2::{MmapOptions, MmapRaw};
use shm_semaphore::{Deadline, EventCount, Prepared, WaitKey, Waitable};

/// Bytes of the file.
const LEN: usize = 4096;
/// How many event counts there are.
pub const WORDS: usize = LEN / 8;

/// The page, mapped.
#[derive(Debug)]
pub struct Page(MmapRaw);

impl Page {
    /// Makes the file, and maps it.
    ///
    /// # Panics
    /// When that can't be done.
    pub fn create(path: impl AsRef<Path>) -> Arc<Self> {
        std::fs::write(&path, [0; LEN]).expect("a page of shared memory");
        Self::open(path)
    }

    /// Maps the file.
    ///
    /// # Panics
    /// When that can't be done.
    pub fn open(path: impl AsRef<Path>) -> Arc<Self> {
        let file = File::options().read(true).write(true).open(path);
        let map = MmapOptions::new().len(LEN).map_raw(&file.expect("a file"));
        Arc::new(Self(map.expect("a page")))
    }

    /// An event count.
    pub fn event(&self, index: usize) -> &EventCount {
        // SAFETY: an aligned word within a page that is mapped for as long as the reference lives, and nothing else for all who use it.
        unsafe { EventCount::from_ptr(self.word(2 * index)) }
    }

    /// The number that it tells of.
    pub fn count(&self, index: usize) -> &AtomicU32 {
        // SAFETY: an aligned word within a page that is mapped for as long as the reference lives, and nothing else for all who use it.
        unsafe { AtomicU32::from_ptr(self.word(2 * index + 1)) }
    }

    fn word(&self, index: usize) -> *mut u32 {
        assert!(index < LEN / 4, "the page has {WORDS} event counts");
        let words: *mut u32 = self.0.as_mut_ptr().cast();
        words.wrapping_add(index)
    }

    /// What has been counted.
    pub fn counted(&self, index: usize) -> u32 {
        self.count(index).load(Ordering::Acquire)
    }

    /// Counts, and tells nobody.
    pub fn change(&self, index: usize) {
        self.count(index).fetch_add(1, Ordering::Release);
    }

    /// Counts, and notifies.
    pub fn bump(&self, index: usize) {
        self.change(index);
        self.event(index).notify_all();
    }

    /// Sleeps until so much has been counted.
    pub fn wait_for(&self, index: usize, counted: u32) {
        while self.counted(index) < counted {
            let key = self.event(index).prepare_wait();
            if self.counted(index) < counted {
                self.event(index).wait(key, Deadline::NEVER);
            } else {
                self.event(index).cancel_wait(key);
            }
        }
    }
}

/// One event count of a page, with a share of the page.
#[derive(Debug)]
pub struct Word {
    /// The page.
    pub page: Arc<Page>,
    /// Which one.
    pub index: usize,
}

impl Waitable for Word {
    fn prepared(&self, key: WaitKey) -> Prepared<'_> {
        self.page.event(self.index).prepared(key)
    }
}
