//! Progress on standard error, drawn between sessions only, while nothing is measured.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressStyle};

use crate::entry::Entry;
use crate::notice;

/// A bar on a terminal, a line for each round elsewhere.
#[derive(Debug)]
pub struct Progress {
    rounds: u32,
    entries: usize,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// For so many rounds of so many rows.
    pub fn new(rounds: u32, entries: usize) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(u64::from(rounds) * entries as u64);
            if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len} {elapsed} {msg}")
            {
                bar.set_style(style);
            }
            bar
        });
        Self {
            rounds,
            entries,
            bar,
        }
    }

    /// The next session is about to start.
    pub fn show(&self, round: u32, done: usize, entry: &Entry) {
        match &self.bar {
            Some(bar) => {
                let (rounds, name) = (self.rounds, entry.name());
                bar.set_message(format!(
                    "round {round} of {rounds}: {name}, {} B",
                    entry.size
                ));
                bar.set_position(u64::from(round - 1) * self.entries as u64 + done as u64);
                bar.tick();
            }
            None if done == 0 => {
                let plural = if self.entries == 1 {
                    "contender and size"
                } else {
                    "contenders and sizes"
                };
                notice::tell(format_args!(
                    "round {round} of {}: {} {plural}",
                    self.rounds, self.entries
                ));
            }
            None => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
