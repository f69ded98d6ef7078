//! How many messages a window takes: both sides must know it before it starts, so the rate is found out first.

/// Plans the runs that lead to a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pacing {
    /// How long the window ought to last.
    pub window_ns: u64,
    /// Messages of the first trial.
    pub first: u64,
    /// The window takes at least so many, if they fit into `stretch_max` windows.
    pub wanted: u64,
    /// How far `wanted` may stretch the window.
    pub stretch_max: u64,
    /// No run has more messages than that, however short it then is.
    pub most: u64,
    /// A window has a whole multiple of so many, however long it then is.
    pub multiple: u64,
    /// How long a run may well take: ten times that is too long.
    pub expected_ns: u64,
}

/// Trials before the window, at most.
const TRIALS_MAX: u32 = 6;
/// A trial grows at most so much over the last one.
const GROWTH_MAX: f64 = 16.0;

impl Pacing {
    /// A stream: the first trial goes once around the link, so that no window pays for first touches.
    pub fn stream(window_ns: u64, capacity: usize) -> Self {
        Self {
            window_ns,
            first: (capacity as u64 * 5 / 4).max(64),
            wanted: 100,
            stretch_max: 3,
            most: u64::MAX,
            multiple: 1,
            expected_ns: window_ns,
        }
    }

    /// Round trips: enough for a 99th percentile, if that can be had.
    pub fn round_trip(window_ns: u64) -> Self {
        Self {
            window_ns,
            first: 16,
            wanted: 1_050,
            stretch_max: 3,
            most: u64::MAX,
            multiple: 1,
            expected_ns: window_ns,
        }
    }

    /// The same with no more than so many messages in a run.
    #[must_use]
    pub fn at_most(self, most: u64) -> Self {
        Self {
            first: self.first.min(most),
            most,
            ..self
        }
    }

    /// The same with a whole multiple of so many messages in the window.
    #[must_use]
    pub fn in_multiples_of(self, multiple: u64) -> Self {
        Self { multiple, ..self }
    }

    /// The same for runs that may well take so long.
    #[must_use]
    pub fn expecting(self, expected_ns: u64) -> Self {
        Self {
            expected_ns: self.expected_ns.max(expected_ns),
            ..self
        }
    }

    /// The next trial, or nothing if the last one told enough.
    pub fn next_trial(&self, trials: u32, messages: u64, elapsed_ns: u64) -> Option<u64> {
        if trials >= TRIALS_MAX || elapsed_ns >= self.window_ns / 8 {
            return None;
        }
        let growth =
            (self.window_ns as f64 / 5.0 / elapsed_ns.max(1) as f64).clamp(2.0, GROWTH_MAX);
        Some(((messages as f64 * growth) as u64).min(self.most))
    }

    /// The messages of the window, given the last trial.
    pub fn window(&self, messages: u64, elapsed_ns: u64) -> u64 {
        let per_ns = messages as f64 / elapsed_ns.max(1) as f64;
        let fitting = per_ns * self.window_ns as f64;
        let stretched = (fitting * self.stretch_max as f64).min(self.wanted as f64);
        let messages = (fitting.max(stretched) as u64).clamp(1, self.most);
        messages.next_multiple_of(self.multiple)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACING: Pacing = Pacing {
        window_ns: 40_000_000,
        first: 100,
        wanted: 1_000,
        stretch_max: 3,
        most: 1 << 30,
        multiple: 1,
        expected_ns: 40_000_000,
    };

    #[test]
    fn trials_grow_until_one_is_long_enough() {
        assert_eq!(PACING.next_trial(1, 100, 1_000), Some(1_600));
        assert_eq!(PACING.next_trial(1, 100, 4_000_000), Some(200));
        assert_eq!(PACING.next_trial(1, 100, 5_000_000), None);
        assert_eq!(PACING.next_trial(TRIALS_MAX, 100, 1_000), None);
    }

    #[test]
    fn the_window_lasts_as_long_as_asked() {
        // 100 ns a message, 40 ms.
        assert_eq!(PACING.window(100_000, 10_000_000), 400_000);
    }

    #[test]
    fn a_slow_contender_stretches_the_window_but_not_for_ever() {
        // 100 us a message: 400 fit, 1,000 are wanted and fit into three windows.
        assert_eq!(PACING.window(100, 10_000_000), 1_000);
        // 1 ms a message: 40 fit, three windows hold 120.
        assert_eq!(PACING.window(100, 100_000_000), 120);
        // 1 s a message.
        assert_eq!(PACING.window(1, 1_000_000_000), 1);
    }

    #[test]
    fn no_run_has_more_messages_than_allowed() {
        let pacing = PACING.at_most(500);
        assert_eq!(pacing.first, 100);
        assert_eq!(pacing.at_most(50).first, 50);
        assert_eq!(pacing.next_trial(1, 100, 1_000), Some(500));
        assert_eq!(pacing.window(100_000, 10_000_000), 500);
    }

    #[test]
    fn a_window_has_whole_multiples() {
        let pacing = PACING.in_multiples_of(300_000);
        assert_eq!(pacing.window(100_000, 10_000_000), 600_000);
        assert_eq!(pacing.window(1, 1_000_000_000), 300_000);
    }

    #[test]
    fn the_first_trial_goes_around_the_link() {
        assert_eq!(Pacing::stream(1, 1024).first, 1280);
        assert_eq!(Pacing::stream(1, 10).first, 64);
    }
}
