//! How the time of a campaign is shared out among its rows.

use std::time::Duration;

use crate::entry::Entry;
use crate::measure::schedule::Pace;

/// A paced window has so many messages at least, however long it then is.
pub const PACED_MIN: u32 = 25;
/// The same of a quick run.
pub const PACED_MIN_QUICK: u32 = 10;
/// A figure is the median of so many rounds at least, however little time there is.
pub const ROUNDS_MIN: u32 = 3;

/// How the time of a run is shared out.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// What the sessions together may take.
    pub sessions: Duration,
    /// After so long no further round is begun, and nothing is repeated.
    pub limit: Duration,
    /// How often each row is measured, if there is time.
    pub rounds: u32,
    /// Messages of a paced window at least.
    pub paced_min: u32,
}

impl Budget {
    /// Starting and ending a process, and its part of their links.
    const OVERHEAD: Duration = Duration::from_micros(7_500);
    /// A window needs trials before it, which take about a third as long again.
    const WITH_TRIALS: f64 = 1.3;
    /// No window is shorter, however many rows there are.
    pub const SHORTEST: Duration = Duration::from_millis(5);
    /// No window is longer, however few rows there are.
    pub const LONGEST: Duration = Duration::from_millis(200);

    /// How often each row can be measured in time: less often where windows are long by their nature.
    pub fn rounds(&self, entries: &[Entry]) -> u32 {
        let shortest = self.round(entries, Self::SHORTEST);
        let fitting = self.sessions.as_secs_f64() / shortest.as_secs_f64().max(f64::MIN_POSITIVE);
        (fitting as u32).clamp(ROUNDS_MIN.min(self.rounds), self.rounds)
    }

    /// The length of a window such that all rounds fit.
    pub fn window(&self, entries: &[Entry], rounds: u32) -> Duration {
        const STEP: Duration = Duration::from_millis(1);
        let fits = |window| self.round(entries, window) * rounds <= self.sessions;
        let mut window = Self::SHORTEST;
        while window < Self::LONGEST && fits(window + STEP) {
            window += STEP;
        }
        window
    }

    /// How long a round takes with windows of that length.
    pub fn round(&self, entries: &[Entry], window: Duration) -> Duration {
        let of = |entry: &Entry| {
            let wanted = entry.wanted;
            let paced = wanted.paced.map_or(Duration::ZERO, |pace| {
                // Its rate is known, so it has a short run before it and no trials.
                self.paced_window(window, pace).mul_f64(1.125)
            });
            let others = wanted.windows() - u32::from(wanted.paced.is_some());
            let overhead = Self::OVERHEAD * entry.fan.processes() as u32;
            overhead + paced + (window * others).mul_f64(Self::WITH_TRIALS)
        };
        entries.iter().map(of).sum()
    }

    /// How long a paced window lasts: long enough for some messages.
    pub fn paced_window(&self, window: Duration, pace: Pace) -> Duration {
        let gap = Duration::from_secs_f64(1.0 / pace.rate_per_second.max(1) as f64);
        window.max(gap * self.paced_min)
    }
}
