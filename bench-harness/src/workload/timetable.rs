//! When the records of a workload are due.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A second in nanoseconds.
pub const SECOND_NS: u64 = 1_000_000_000;

/// The moments of the records, and when the first one is due again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timetable {
    moments_ns: Vec<u64>,
    lap_ns: u64,
}

/// How often something is due.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rhythm {
    /// Records a second, in the mean.
    pub mean_rate_per_second: f64,
    /// Records a second within the millisecond that has the most.
    pub peak_rate_per_second: f64,
}

impl Timetable {
    /// Stretches or shortens the distances before the records such that all of them together last `lap_ns`. The distance before the first one is
    /// that from the last one to the next lap.
    pub fn of_distances(distances: &[u64], lap_ns: u64) -> Self {
        let total: u64 = distances.iter().sum();
        let mut sum = 0;
        let moments = distances.iter().skip(1).map(|distance| {
            sum += distance;
            scaled(sum, lap_ns, total.max(1))
        });
        Self {
            moments_ns: std::iter::once(0).chain(moments).collect(),
            lap_ns,
        }
    }

    /// `count` records all the same distance apart.
    pub fn regular(count: usize, lap_ns: u64) -> Self {
        let at = |number: usize| scaled(number as u64, lap_ns, count as u64);
        Self {
            moments_ns: (0..count).map(at).collect(),
            lap_ns,
        }
    }

    /// The moments, in nanoseconds from the first one.
    pub fn moments_ns(&self) -> &[u64] {
        &self.moments_ns
    }

    /// After so many nanoseconds the first record is due again.
    pub fn lap_ns(&self) -> u64 {
        self.lap_ns
    }

    /// The same round, begun with another record.
    pub fn begin_with(&mut self, first: usize) {
        let begin_ns = self.moments_ns[first];
        self.moments_ns.rotate_left(first);
        for at_ns in &mut self.moments_ns {
            *at_ns = (*at_ns + self.lap_ns - begin_ns) % self.lap_ns;
        }
    }

    /// Records a second, in the mean.
    pub fn mean_rate_per_second(&self) -> f64 {
        self.moments_ns.len() as f64 * SECOND_NS as f64 / self.lap_ns as f64
    }

    /// How often something is due.
    pub fn rhythm(&self) -> Rhythm {
        const WITHIN_NS: u64 = SECOND_NS / 1_000;
        let moments = &self.moments_ns;
        let most = moments
            .iter()
            .enumerate()
            .map(|(first, &from_ns)| {
                moments[first..].partition_point(|&at_ns| at_ns < from_ns + WITHIN_NS)
            })
            .max()
            .unwrap_or(0);
        Rhythm {
            mean_rate_per_second: self.mean_rate_per_second(),
            peak_rate_per_second: most as f64 * SECOND_NS as f64 / WITHIN_NS as f64,
        }
    }
}

/// `value * of / whole`, rounded down.
fn scaled(value: u64, of: u64, whole: u64) -> u64 {
    (u128::from(value) * u128::from(of) / u128::from(whole)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_stretched_to_the_lap() {
        let table = Timetable::of_distances(&[2, 1, 1], 4_000);
        assert_eq!(table.moments_ns(), [0, 1_000, 2_000]);
        assert_eq!(table.lap_ns(), 4_000);
    }

    #[test]
    fn a_round_that_begins_elsewhere_has_the_same_distances() {
        let mut table = Timetable::of_distances(&[4, 1, 3, 2], 10);
        assert_eq!(table.moments_ns(), [0, 1, 4, 6]);
        table.begin_with(2);
        assert_eq!(table.moments_ns(), [0, 2, 6, 7]);
        table.begin_with(2);
        assert_eq!(table.moments_ns(), [0, 1, 4, 6]);
    }

    #[test]
    fn the_peak_is_that_of_the_fullest_millisecond() {
        // Three within a millisecond across the boundary of two, then nothing until the second is over.
        let distances = [997_500_000, 800_000, 400_000, 300_000, 1_000_000];
        let table = Timetable::of_distances(&distances, SECOND_NS);
        let rhythm = table.rhythm();
        assert!((rhythm.peak_rate_per_second - 3_000.0).abs() < 1e-9);
        assert!((rhythm.mean_rate_per_second - 5.0).abs() < 1e-9);
    }

    #[test]
    fn regular_moments_do_not_drift() {
        let table = Timetable::regular(180, 3 * SECOND_NS);
        assert_eq!(table.moments_ns()[1], 16_666_666);
        assert_eq!(table.moments_ns()[120], 2 * SECOND_NS);
    }
}
