//! Who holds how many permits of a semaphore: a line for each process, in a file that all map.
//!
//! A process writes what it holds after it has acquired, and wipes it out before it releases. So
//! what the board says at one moment is never more than what is held, and if it is more than
//! there are permits, one was invented.

#![allow(unsafe_code)]

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};

/// The words of a line.
const HELD: usize = 0;
const TURNS: usize = 1;
const DOUBT: usize = 2;
const PID: usize = 3;
const WORDS: usize = 8;

/// Of the flags in `/proc/PID/stat`: it has begun to end, and may have let go of what it held.
const PF_EXITING: u64 = 4;

/// The board of one semaphore.
#[derive(Debug)]
pub struct Board {
    map: MmapRaw,
    lines: usize,
}

impl Board {
    /// Makes a board with so many lines.
    ///
    /// # Panics
    /// When the file can't be made.
    pub fn create(path: &Path, lines: usize) -> Self {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path);
        let file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        file.set_len((lines * WORDS * 8) as u64)
            .expect("a sparse file");
        Self::map(&file)
    }

    /// Opens a board that another process made.
    ///
    /// # Panics
    /// When the file can't be opened.
    pub fn open(path: &Path) -> Self {
        let file = OpenOptions::new().read(true).write(true).open(path);
        Self::map(&file.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    fn map(file: &fs::File) -> Self {
        let map = MmapOptions::new()
            .map_raw(file)
            .expect("a file of whole words can be mapped");
        let lines = map.len() / 8 / WORDS;
        Self { map, lines }
    }

    /// Takes a line for this process.
    pub fn sign(&self, line: usize) {
        let pid = u64::from(std::process::id());
        self.word(line, PID).store(pid, Ordering::SeqCst);
    }

    /// Notes that the process of this line is about to acquire or to release so many permits that come back to nobody, or is done with that (0).
    pub fn doubt(&self, line: usize, permits: u32) {
        let doubt = self.word(line, DOUBT);
        doubt.store(u64::from(permits), Ordering::SeqCst);
    }

    /// Notes what the process of this line holds.
    pub fn hold(&self, line: usize, permits: u32) {
        let word = self.word(line, HELD);
        let number = (word.load(Ordering::SeqCst) >> 32).wrapping_add(1);
        word.store(number << 32 | u64::from(permits), Ordering::SeqCst);
    }

    /// Notes that the process of this line has got on.
    pub fn turn(&self, line: usize) {
        self.word(line, TURNS).fetch_add(1, Ordering::SeqCst);
    }

    /// How often it has got on.
    pub fn turns(&self, line: usize) -> u64 {
        self.word(line, TURNS).load(Ordering::SeqCst)
    }

    /// What a dead process held for certain, and at most; the line is wiped.
    pub fn wipe(&self, line: usize) -> (u32, u32) {
        let held = self.word(line, HELD).load(Ordering::SeqCst) as u32;
        let doubt = self.word(line, DOUBT).load(Ordering::SeqCst) as u32;
        self.hold(line, 0);
        self.doubt(line, 0);
        (held, held.max(doubt))
    }

    /// The permits that live processes hold at one moment; `None` if they change too fast to tell.
    pub fn held_at_once(&self) -> Option<u64> {
        // With the process: by the time that we ask whether it lives, the line may be its successor's.
        let read = || -> Vec<(u64, u64)> {
            let word = |line, word| self.word(line, word).load(Ordering::SeqCst);
            (0..self.lines)
                .map(|line| (word(line, HELD), word(line, PID)))
                .collect()
        };
        let (first, second) = (read(), read());
        if first != second {
            return None;
        }
        let held = first
            .into_iter()
            .map(|(word, pid)| (word & 0xffff_ffff, pid));
        Some(
            held.filter(|&(held, pid)| held > 0 && lives(pid))
                .map(|(held, _)| held)
                .sum(),
        )
    }

    fn word(&self, line: usize, word: usize) -> &AtomicU64 {
        assert!(
            line < self.lines,
            "the board has {} lines, not {line}",
            self.lines
        );
        let base: *mut u64 = self.map.as_mut_ptr().cast();
        // SAFETY: inside the mapping, by the assertion.
        let word = unsafe { base.add(line * WORDS + word) };
        // SAFETY: aligned, mapped as long as `self` lives, and only ever accessed atomically.
        unsafe { AtomicU64::from_ptr(word) }
    }
}

fn lives(pid: u64) -> bool {
    // The fields behind the name: state, five numbers, flags.
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let flags = fields.split_whitespace().nth(6);
    let flags: u64 = flags.and_then(|flags| flags.parse().ok()).unwrap_or(0);
    flags & PF_EXITING == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_adds_up_what_the_living_hold() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("board");
        let ours = Board::create(&path, 3);
        let theirs = Board::open(&path);
        ours.sign(0);
        theirs.sign(1);
        ours.hold(0, 2);
        theirs.hold(1, 3);
        // A line that nobody has signed is nobody's.
        theirs.hold(2, 100);
        assert_eq!(ours.held_at_once(), Some(5));
        theirs.doubt(1, 4);
        assert_eq!(ours.wipe(1), (3, 4));
        assert_eq!((ours.held_at_once(), ours.wipe(1)), (Some(2), (0, 0)));
        theirs.turn(2);
        assert_eq!(ours.turns(2), 1);
    }
}
