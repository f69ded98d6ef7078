//! A page that processes map, with an event count and the conditions that it stands for.

#![allow(unsafe_code)]

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use memmap2::{MmapOptions, MmapRaw};
use shm_semaphore::EventCount;

/// Bytes of a page; all zero, it is a fresh one.
pub const PAGE_LEN: usize = 4096;

/// Where things are, in words.
const EVENT: usize = 0;
const ITEMS: usize = 32;
const TURN: usize = 64;

/// A mapped page.
#[derive(Debug)]
pub struct EventPage(MmapRaw);

impl EventPage {
    /// Makes the file, all zero, and maps it.
    ///
    /// # Panics
    /// When that fails.
    pub fn create(file: &Path) -> Self {
        std::fs::write(file, [0; PAGE_LEN]).expect("a file");
        Self::open(file)
    }

    /// Maps a file of this length.
    ///
    /// # Panics
    /// When that fails.
    pub fn open(file: &Path) -> Self {
        let file = std::fs::File::options().read(true).write(true).open(file);
        let map = MmapOptions::new().map_raw(&file.expect("a file"));
        Self(map.expect("a page"))
    }

    fn word(&self, number: usize) -> *mut u32 {
        assert!(number < PAGE_LEN / 4);
        let words: *mut u32 = self.0.as_mut_ptr().cast();
        words.wrapping_add(number)
    }

    /// The event count.
    pub fn event(&self) -> &EventCount {
        // SAFETY: an aligned word of a mapping that outlives the reference, used as nothing else.
        unsafe { EventCount::from_ptr(self.word(EVENT)) }
    }

    /// How many items there are to take.
    pub fn items(&self) -> &AtomicU32 {
        // SAFETY: an aligned word of a mapping that outlives the reference, used as nothing else.
        unsafe { AtomicU32::from_ptr(self.word(ITEMS)) }
    }

    /// Whose turn it is.
    pub fn turn(&self) -> &AtomicU32 {
        // SAFETY: an aligned word of a mapping that outlives the reference, used as nothing else.
        unsafe { AtomicU32::from_ptr(self.word(TURN)) }
    }

    /// Takes an item if there is one.
    pub fn try_take(&self) -> bool {
        let less_one = |items: u32| items.checked_sub(1);
        self.items()
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, less_one)
            .is_ok()
    }

    /// Adds an item and wakes one who waits for it.
    pub fn put(&self) {
        self.items().fetch_add(1, Ordering::Release);
        self.event().notify_one();
    }
}
