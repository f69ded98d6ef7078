//! How long the windows were: those of paced messages are longer than asked for where the rate is low.

use super::document::{Report, Settings};
use super::numbers::{counted, rate, time};

impl Settings {
    /// How long a window of paced messages lasts at that rate: older results don't know.
    fn paced_window_at_ns(&self, rate_per_second: u64) -> Option<f64> {
        let messages = f64::from(self.paced_messages_min?);
        let least_ns = messages * 1e9 / rate_per_second.max(1) as f64;
        Some(least_ns.max(self.stream_window_ns as f64))
    }
}

impl Report {
    /// How long the windows of the run were, as in `50 ms windows`.
    pub(super) fn told_windows(&self) -> String {
        let asked_ns = self.settings.stream_window_ns as f64;
        let asked = time(asked_ns);
        let rates = self.rates();
        let at = |rate: Option<&u64>| self.settings.paced_window_at_ns(*rate?);
        let (Some(shortest_ns), Some(longest_ns)) = (at(rates.last()), at(rates.first())) else {
            return format!("{asked} windows");
        };
        let paced = if shortest_ns < longest_ns {
            format!("{} to {}", time(shortest_ns), time(longest_ns))
        } else {
            time(longest_ns)
        };
        if longest_ns <= asked_ns {
            format!("{asked} windows")
        } else if self.is_paced_alone() {
            format!("{paced} windows")
        } else {
            format!("{asked} windows, paced ones of {paced}")
        }
    }

    /// That windows are longer than they were to be, and why.
    pub(super) fn on_longer_windows(&self) -> Option<String> {
        let rates = self.rates();
        let lowest = *rates.first()?;
        let asked_ns = self.settings.stream_window_ns as f64;
        let longest_ns = self.settings.paced_window_at_ns(lowest)?;
        let least = counted(self.settings.paced_messages_min? as usize, "message");
        let at = if rates.len() > 1 {
            "at the lowest rate, "
        } else {
            "at "
        };
        (longest_ns > asked_ns).then(|| {
            format!(
                "Windows of paced messages were lengthened from {} to {}: {least} are the least in one, and {at}{} a second, they take that long.",
                time(asked_ns),
                time(longest_ns),
                rate(lowest)
            )
        })
    }

    /// Those of paced messages, the lowest first, each once.
    fn rates(&self) -> Vec<u64> {
        let rates = self
            .results
            .iter()
            .filter_map(|row| row.paced_ns.rate_per_second);
        let mut rates: Vec<u64> = rates.collect();
        rates.sort_unstable();
        rates.dedup();
        rates
    }

    fn is_paced_alone(&self) -> bool {
        matches!(self.command.as_str(), "paced" | "curve" | "wake")
    }
}
