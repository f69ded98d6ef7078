//! When messages are due: an open loop, which no slow contender can hold up.
//!
//! Both sides compute the same moments from the same seed, so a message needs to carry no time, and the latency is taken from the
//! moment at which it was *due*, however late it was really sent. (The mistake of taking it from the moment of sending is known
//! as coordinated omission: Gil Tene, "How NOT to measure latency".)

use std::fmt;

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the moments lie.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Arrivals {
    /// All the same distance apart.
    Constant,
    /// As if from very many independent sources: distances are exponentially distributed.
    Poisson,
}

impl fmt::Display for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Constant => "constant",
            Self::Poisson => "poisson",
        })
    }
}

/// When messages are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pace {
    /// Messages a second, in the mean.
    pub rate_per_second: u64,
    /// How the moments lie.
    pub arrivals: Arrivals,
    /// Makes another series of moments.
    pub seed: u64,
}

impl Pace {
    /// How many messages are due within a window.
    pub fn messages_within(&self, window_ns: u64) -> u64 {
        let messages = u128::from(window_ns) * u128::from(self.rate_per_second) / 1_000_000_000;
        u64::try_from(messages).unwrap_or(u64::MAX).max(1)
    }

    /// The moments, in nanoseconds from the beginning of the run.
    pub fn moments(&self) -> Moments {
        Moments {
            pace: *self,
            random: fastrand::Rng::with_seed(self.seed),
            number: 0,
            poisson_ns: 0.0,
        }
    }
}

/// The moments at which messages are due, one after the other.
#[derive(Debug, Clone)]
pub struct Moments {
    pace: Pace,
    random: fastrand::Rng,
    number: u64,
    poisson_ns: f64,
}

impl Moments {
    /// The next one.
    #[inline]
    pub fn next_ns(&mut self) -> u64 {
        let rate = self.pace.rate_per_second;
        match self.pace.arrivals {
            Arrivals::Constant => {
                let at = u128::from(self.number) * 1_000_000_000 / u128::from(rate);
                self.number += 1;
                at as u64
            }
            Arrivals::Poisson => {
                let at = self.poisson_ns;
                // 1 - f64() lies in (0, 1], so the logarithm is finite.
                self.poisson_ns -= (1.0 - self.random.f64()).ln() * 1e9 / rate as f64;
                at as u64
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(arrivals: Arrivals, rate_per_second: u64, seed: u64) -> Pace {
        Pace {
            rate_per_second,
            arrivals,
            seed,
        }
    }

    fn moments(pace: Pace, count: usize) -> Vec<u64> {
        let mut moments = pace.moments();
        (0..count).map(|_| moments.next_ns()).collect()
    }

    #[test]
    fn a_constant_rate_has_equal_distances_without_drift() {
        let all = moments(pace(Arrivals::Constant, 3, 1), 3_001);
        assert_eq!(all[..4], [0, 333_333_333, 666_666_666, 1_000_000_000]);
        assert_eq!(all[3_000], 1_000_000_000_000);
    }

    #[test]
    fn poisson_distances_are_exponential_with_the_mean_of_the_rate() {
        const COUNT: usize = 200_000;
        let all = moments(pace(Arrivals::Poisson, 10_000, 5), COUNT + 1);
        let distances: Vec<f64> = all.windows(2).map(|w| (w[1] - w[0]) as f64).collect();
        let mean = distances.iter().sum::<f64>() / COUNT as f64;
        assert!((mean / 100_000.0 - 1.0).abs() < 0.01, "{mean}");
        // Of an exponential distribution 1 - 1/e lie below the mean, and e^-3 above three times the mean.
        for (times, share) in [(1.0_f64, 0.6321), (3.0, 0.9502)] {
            let below = distances.iter().filter(|&&d| d < times * 100_000.0).count();
            let seen = below as f64 / COUNT as f64;
            assert!((seen - share).abs() < 0.005, "{times}: {seen}");
        }
    }

    #[test]
    fn both_sides_compute_the_same_moments_and_another_seed_makes_others() {
        let of = |seed| moments(pace(Arrivals::Poisson, 1_000, seed), 100);
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
    }

    #[test]
    fn a_window_has_as_many_messages_as_are_due_in_it() {
        let pace = pace(Arrivals::Constant, 10_000, 1);
        assert_eq!(pace.messages_within(50_000_000), 500);
        assert_eq!(pace.messages_within(1), 1);
    }
}
