//! Times of single messages and round trips, and when a percentile may be told.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A percentile is told only with so many samples beyond it.
const SAMPLES_BEYOND_MIN: f64 = 10.0;
/// No single round trip is longer: every wait ends before.
const LONGEST_NS: u64 = 600_000_000_000;

/// The distribution of a window. A percentile with too few samples beyond it is missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// The median.
    pub p50: Option<u64>,
    /// Nine tenths are shorter.
    pub p90: Option<u64>,
    /// All but one in a hundred are shorter.
    pub p99: Option<u64>,
    /// All but one in a thousand are shorter.
    pub p99_9: Option<u64>,
    /// All but one in ten thousand are shorter.
    pub p99_99: Option<u64>,
    /// The longest.
    pub max: u64,
    /// How many there are.
    pub samples: u64,
}

/// All times of a window: some percentiles, and the whole histogram.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distribution {
    /// Some percentiles.
    pub summary: Latency,
    /// The histogram as the tools of `HdrHistogram` exchange it: version 2, deflated, in base 64.
    pub histogram: String,
}

/// Collects times.
#[derive(Debug)]
pub struct Recorder {
    histogram: Histogram<u64>,
}

impl Default for Recorder {
    fn default() -> Self {
        let histogram =
            Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("constant, valid bounds");
        Self { histogram }
    }
}

impl Recorder {
    /// Forgets everything.
    pub fn clear(&mut self) {
        self.histogram.reset();
    }

    /// Takes one time.
    #[inline]
    pub fn record(&mut self, elapsed_ns: u64) {
        self.histogram.saturating_record(elapsed_ns);
    }

    /// Takes in all times of another one.
    ///
    /// # Errors
    /// One sentence, when the text is no histogram of ours.
    pub fn add(&mut self, histogram: &str) -> Result<(), String> {
        let broken = |error: &dyn std::fmt::Display| format!("a histogram can't be read: {error}");
        let bytes = STANDARD.decode(histogram).map_err(|e| broken(&e))?;
        let other: Histogram<u64> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|e| broken(&e))?;
        self.histogram.add(other).map_err(|e| broken(&e))
    }

    /// All of it, to be passed on.
    ///
    /// # Panics
    /// Never: a vector takes whatever is written to it.
    pub fn distribution(&self) -> Distribution {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&self.histogram, &mut bytes)
            .expect("a histogram within constant bounds can be written to memory");
        Distribution {
            summary: self.summary(),
            histogram: STANDARD.encode(bytes),
        }
    }

    /// The curve from the shortest to the longest time: shares of all times, and the time within which they lie. The shares come
    /// nearer to one in equal steps of the logarithm of what is left, and end where too few samples are left to tell a percentile.
    pub fn curve(&self) -> Vec<(f64, u64)> {
        const STEPS_PER_DECADE: i32 = 10;
        // More samples than a hundred years have nanoseconds.
        const STEPS_MAX: i32 = 20 * STEPS_PER_DECADE;
        let samples = self.histogram.len();
        (0..=STEPS_MAX)
            .map(|step| 10_f64.powf(f64::from(-step) / f64::from(STEPS_PER_DECADE)))
            .map(|left| 1.0 - left)
            .take_while(|&share| has_enough_beyond(samples, share))
            .map(|share| (share, self.histogram.value_at_quantile(share)))
            .collect()
    }

    /// The distribution.
    pub fn summary(&self) -> Latency {
        let samples = self.histogram.len();
        let at = |quantile: f64| {
            has_enough_beyond(samples, quantile).then(|| {
                self.histogram
                    .value_at_quantile(quantile)
                    .min(self.histogram.max())
            })
        };
        Latency {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max: self.histogram.max(),
            samples,
        }
    }
}

/// Whether enough samples lie beyond the quantile for it to mean anything.
fn has_enough_beyond(samples: u64, quantile: f64) -> bool {
    // Rounded, since 0.9999 has no exact binary form.
    (samples as f64 * (1.0 - quantile) * 1e6).round() / 1e6 >= SAMPLES_BEYOND_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_ends_where_too_few_samples_are_left() {
        let curve = |samples: u64| {
            let mut recorder = Recorder::default();
            (1..=samples).for_each(|ns| recorder.record(ns));
            recorder.curve()
        };
        assert_eq!(curve(9), []);
        let last = |samples| curve(samples).last().map(|&(share, _)| share);
        for (samples, share) in [(10, 0.0), (100, 0.9), (10_000, 0.999), (99_999, 0.9998)] {
            let last = last(samples).unwrap();
            assert!((last - share).abs() < 1e-4, "{samples}: {last}");
        }
    }

    #[test]
    fn a_percentile_needs_ten_samples_beyond_it() {
        for (quantile, needed) in [
            (0.5, 20),
            (0.9, 100),
            (0.99, 1_000),
            (0.999, 10_000),
            (0.9999, 100_000),
        ] {
            assert!(has_enough_beyond(needed, quantile), "{quantile}");
            assert!(!has_enough_beyond(needed - 1, quantile), "{quantile}");
        }
    }

    #[test]
    fn the_maximum_is_always_told() {
        let mut recorder = Recorder::default();
        recorder.record(123_456);
        let summary = recorder.summary();
        assert_eq!((summary.p50, summary.samples), (None, 1));
        assert!(summary.max.abs_diff(123_456) <= 123);
    }

    #[test]
    fn percentiles_are_those_of_the_samples() {
        let mut recorder = Recorder::default();
        (1..=2_000).for_each(|ns| recorder.record(ns));
        let summary = recorder.summary();
        assert_eq!((summary.p50, summary.p90), (Some(1_000), Some(1_800)));
        assert_eq!((summary.p99, summary.p99_9), (Some(1_980), None));
        assert_eq!((summary.max, summary.samples), (2_000, 2_000));
        recorder.clear();
        assert_eq!(recorder.summary(), Latency::default());
    }
}
