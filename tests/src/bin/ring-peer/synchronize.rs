//! Processes that meet at a semaphore or at an event count in a file that both map.

#![allow(unsafe_code)]

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use clap::{Args, Subcommand};
use memmap2::{MmapOptions, MmapRaw};
use shm_semaphore::{Deadline, EventCount, Semaphore};

/// The words of the file, by their numbers. The semaphore has eight.
const SEMAPHORE: usize = 0;
const COUNTER: usize = 8;
const TURN: usize = 9;
const EVENT: usize = 10;

/// Uses what is in the file, and says `done`.
#[derive(Debug, Args)]
pub(crate) struct Synchronize {
    file: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum What {
    /// Count, in two steps that nobody else may come between.
    Count { times: u32 },
    /// Take turns with another process.
    Alternate {
        times: u32,
        /// Which of the two this is: 0 or 1.
        me: u32,
    },
    /// Acquire, say `acquired`, and hold until told or killed.
    Hold,
}

impl Synchronize {
    pub(crate) fn play(self) {
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .open(&self.file);
        let map = MmapOptions::new()
            .map_raw(&file.expect("a file"))
            .expect("a page");
        match self.what {
            What::Count { times } => count(&map, times),
            What::Alternate { times, me } => alternate(&map, times, me),
            What::Hold => {
                semaphore(&map).acquire().expect("a permit");
                println!("acquired");
                // Whatever comes ends it.
                let _ = std::io::stdin().read_line(&mut String::new());
                semaphore(&map).release(1).expect("it was ours");
            }
        }
        println!("done");
    }
}

fn count(map: &MmapRaw, times: u32) {
    for turn in 0..times {
        match turn % 3 {
            0 => semaphore(map).acquire().expect("a permit"),
            1 => {
                while semaphore(map)
                    .acquire_timeout(std::time::Duration::from_millis(1))
                    .is_err()
                {}
            }
            _ => semaphore(map)
                .acquire_deadline(Deadline::NEVER)
                .expect("a permit"),
        }
        // Relaxed, both: the semaphore orders them.
        let counted = counter(map).load(Ordering::Relaxed);
        if turn % 64 == 0 {
            std::thread::yield_now();
        }
        counter(map).store(counted + 1, Ordering::Relaxed);
        semaphore(map).release(1).expect("it was ours");
    }
}

fn alternate(map: &MmapRaw, times: u32, me: u32) {
    let event = event(map);
    for _ in 0..times {
        while turn(map).load(Ordering::Acquire) != me {
            let key = event.prepare_wait();
            if turn(map).load(Ordering::Acquire) == me {
                event.cancel_wait(key);
                break;
            }
            event.wait(key, Deadline::NEVER);
        }
        turn(map).store(1 - me, Ordering::Release);
        event.notify_all();
    }
}

fn word(map: &MmapRaw, number: usize) -> *mut u32 {
    let words: *mut u32 = map.as_mut_ptr().cast();
    words.wrapping_add(number)
}

fn semaphore(map: &MmapRaw) -> &Semaphore {
    // SAFETY: an aligned word of a mapping that outlives the reference, used as nothing else.
    unsafe { Semaphore::from_ptr(word(map, SEMAPHORE).cast()) }
}

fn event(map: &MmapRaw) -> &EventCount {
    // SAFETY: an aligned word of a mapping that outlives the reference, used as nothing else.
    unsafe { EventCount::from_ptr(word(map, EVENT)) }
}

fn counter(map: &MmapRaw) -> &AtomicU32 {
    // SAFETY: an aligned word of a mapping that outlives the reference, used as nothing else.
    unsafe { AtomicU32::from_ptr(word(map, COUNTER)) }
}

fn turn(map: &MmapRaw) -> &AtomicU32 {
    // SAFETY: an aligned word of a mapping that outlives the reference, used as nothing else.
    unsafe { AtomicU32::from_ptr(word(map, TURN)) }
}
