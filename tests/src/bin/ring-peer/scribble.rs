//! A hostile process: writes rubbish over a segment while others use it.

#![allow(unsafe_code)]

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use memmap2::MmapOptions;

/// Writes at random places and times until it is killed.
#[derive(Debug, Args)]
pub(crate) struct Scribble {
    file: PathBuf,
    #[arg(long)]
    seed: u64,
    /// The first byte that is written over.
    #[arg(long, default_value_t = 0)]
    from: usize,
    /// The end of what is written over; the end of the segment if it is left out.
    #[arg(long)]
    to: Option<usize>,
    /// The longest pause between two writes.
    #[arg(long, default_value_t = 200)]
    pause_us: u64,
}

impl Scribble {
    pub(crate) fn play(self) {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&self.file)
            .expect("a segment");
        let map = MmapOptions::new().map_raw(&file).expect("it can be mapped");
        let range = self.from..self.to.unwrap_or(map.len()).min(map.len());
        let mut random = fastrand::Rng::with_seed(self.seed);
        println!("ready");
        loop {
            let at = random.usize(range.clone());
            if random.bool() {
                let byte = map.as_mut_ptr().wrapping_add(at);
                // SAFETY: inside the mapping; what others make of it is what is tested.
                let byte = unsafe { AtomicU8::from_ptr(byte) };
                byte.store(random.u8(..), Ordering::Relaxed);
            } else {
                let word: *mut u64 = map.as_mut_ptr().wrapping_add(at & !7).cast();
                // SAFETY: aligned and inside the mapping, which is whole pages.
                let word = unsafe { AtomicU64::from_ptr(word) };
                let old = word.load(Ordering::Relaxed);
                word.store(rubbish(&mut random, old), Ordering::Relaxed);
            }
            match random.u64(..=self.pause_us) {
                pause if pause % 4 == 0 => {}
                pause => std::thread::sleep(Duration::from_micros(pause)),
            }
        }
    }
}

/// A value made to hurt: an extreme, a near miss or noise.
fn rubbish(random: &mut fastrand::Rng, old: u64) -> u64 {
    match random.u8(..8) {
        0 => 0,
        1 => u64::MAX,
        2 => old.wrapping_add(random.u64(1..10)),
        3 => old.wrapping_sub(random.u64(1..10)),
        4 => old ^ 1 << random.u8(..64),
        5 => 1 << random.u8(..64),
        6 => u64::from(random.u32(..)) << 32 | (old & 0xffff_ffff),
        _ => random.u64(..),
    }
}
