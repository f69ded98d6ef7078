//! When messages are due: an open loop, which no slow contender can hold up.
//!
//! Both sides compute the same moments from the same seed, so a message needs to carry no time, and the latency is taken from the
//! moment at which it was *due*, however late it was really sent. (The mistake of taking it from the moment of sending is known
//! as coordinated omission: Gil Tene, "How NOT to measure latency".)
//!
//! The records of a workload have moments of their own, bursts and all; another rate than theirs makes time run faster or slower.

use std::fmt;

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::workload::Timetable;

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
    /// As those of the records that are sent: of workloads.
    Recorded,
}

impl fmt::Display for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Constant => "constant",
            Self::Poisson => "poisson",
            Self::Recorded => "recorded",
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

    /// The moments, in nanoseconds from the beginning of the run; nothing if they are those of records that have none.
    pub fn moments<'a>(&self, recorded: Option<&'a Timetable>) -> Option<Moments<'a>> {
        let rate = self.rate_per_second;
        let kind = match self.arrivals {
            Arrivals::Constant => Course::Constant { rate, number: 0 },
            Arrivals::Poisson => Course::Poisson {
                mean_ns: 1e9 / rate as f64,
                random: fastrand::Rng::with_seed(self.seed),
                at_ns: 0.0,
            },
            Arrivals::Recorded => {
                let timetable = recorded?;
                let own = timetable.mean_rate_per_second();
                Course::Recorded {
                    timetable,
                    slower: own / rate as f64,
                    index: 0,
                    lap_began_ns: 0,
                }
            }
        };
        Some(Moments(kind))
    }
}

/// The moments at which messages are due, one after the other.
#[derive(Debug, Clone)]
pub struct Moments<'a>(Course<'a>);

#[derive(Debug, Clone)]
enum Course<'a> {
    Constant {
        rate: u64,
        number: u64,
    },
    Poisson {
        mean_ns: f64,
        random: fastrand::Rng,
        at_ns: f64,
    },
    Recorded {
        timetable: &'a Timetable,
        /// How many times as long everything takes as it was recorded.
        slower: f64,
        index: usize,
        lap_began_ns: u64,
    },
}

impl Moments<'_> {
    /// How long so many messages may well take: gaps among recorded moments may make it longer than they take in the mean.
    pub fn expected_ns(&self, messages: u64) -> u64 {
        match &self.0 {
            Course::Constant { rate, .. } => messages.saturating_mul(1_000_000_000) / *rate,
            Course::Poisson { mean_ns, .. } => (messages as f64 * mean_ns) as u64,
            Course::Recorded {
                timetable, slower, ..
            } => {
                let laps = messages.div_ceil(timetable.moments_ns().len() as u64);
                (laps as f64 * timetable.lap_ns() as f64 * slower) as u64
            }
        }
    }

    /// The next one.
    #[inline]
    pub fn next_ns(&mut self) -> u64 {
        match &mut self.0 {
            Course::Constant { rate, number } => {
                let at = u128::from(*number) * 1_000_000_000 / u128::from(*rate);
                *number += 1;
                at as u64
            }
            Course::Poisson {
                mean_ns,
                random,
                at_ns,
            } => {
                let at = *at_ns;
                // 1 - f64() lies in (0, 1], so the logarithm is finite.
                *at_ns -= (1.0 - random.f64()).ln() * *mean_ns;
                at as u64
            }
            Course::Recorded {
                timetable,
                slower,
                index,
                lap_began_ns,
            } => {
                let moments = timetable.moments_ns();
                if *index == moments.len() {
                    *index = 0;
                    *lap_began_ns += timetable.lap_ns();
                }
                let at = *lap_began_ns + moments[*index];
                *index += 1;
                // Below 2^53 it is exact where time runs as it was recorded: more than a hundred days.
                (at as f64 * *slower) as u64
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
        let mut moments = pace.moments(None).unwrap();
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
    fn recorded_moments_go_around_and_another_rate_scales_time() {
        let timetable = Timetable::of_distances(&[5, 1, 4], 1_000_000_000);
        let at = |rate| {
            let pace = pace(Arrivals::Recorded, rate, 1);
            let mut moments = pace.moments(Some(&timetable)).unwrap();
            [(); 5].map(|()| moments.next_ns())
        };
        let ms = |times: [u64; 5]| times.map(|ms| ms * 1_000_000);
        assert_eq!(at(3), ms([0, 100, 500, 1_000, 1_100]));
        assert_eq!(at(6), ms([0, 50, 250, 500, 550]));
        assert_eq!(at(1), ms([0, 300, 1_500, 3_000, 3_300]));
    }

    #[test]
    fn what_has_no_moments_of_its_own_has_none() {
        assert!(pace(Arrivals::Recorded, 1, 1).moments(None).is_none());
    }

    #[test]
    fn a_window_has_as_many_messages_as_are_due_in_it() {
        let pace = pace(Arrivals::Constant, 10_000, 1);
        assert_eq!(pace.messages_within(50_000_000), 500);
        assert_eq!(pace.messages_within(1), 1);
    }
}
