//! Intervals from order statistics.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::median;
use super::randomization::{EXACT_VALUES_MAX, subset_sums};
use super::verdict::COVERAGE;

/// So many standard deviations to either side hold 95 % of a normal distribution.
const TWO_SIDED_95: f64 = 1.959_964;

/// Where a value lies, and how surely.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The probability that such an interval holds the true value: at least what was asked for, unless there are too few values.
    pub coverage: f64,
}

impl Interval {
    /// The interval with both ends passed through a growing function.
    #[must_use]
    pub fn map(self, growing: impl Fn(f64) -> f64) -> Self {
        Self {
            low: growing(self.low),
            high: growing(self.high),
            coverage: self.coverage,
        }
    }

    /// Whether the value lies inside, ends included.
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// The narrowest symmetric interval between two of the values that holds the median of their distribution with a probability
/// of `at_least`; the whole range where even that has less (fewer than six values for 0.95). Nothing of nothing.
///
/// The k-th smallest lies above the median only if fewer than k of n values fell below it, and how many do is binomial (n, ½)
/// for every continuous distribution. So the coverage is exact without an assumption about shape, and no less where values tie.
/// Source: David and Nagaraja, "Order Statistics", 3rd edition, section 7.1.
///
/// ```
/// use bench_harness::stats::median_interval;
///
/// let interval = median_interval(&[5.0, 1.0, 4.0, 2.0, 6.0, 3.0], 0.95).expect("values");
/// assert_eq!((interval.low, interval.high), (1.0, 6.0));
/// assert_eq!(interval.coverage, 1.0 - 2.0 / 64.0);
/// ```
pub fn median_interval(values: &[f64], at_least: f64) -> Option<Interval> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let (below, coverage) = ranks_to_leave_out(sorted.len(), at_least)?;
    Some(Interval {
        low: sorted[below],
        high: sorted[sorted.len() - 1 - below],
        coverage,
    })
}

/// How many of the ordered values to leave out at either end, and the coverage that is left.
fn ranks_to_leave_out(len: usize, at_least: f64) -> Option<(usize, f64)> {
    if len == 0 {
        return None;
    }
    // In logarithms, as ½ to the power of a large count is no f64.
    let mut ln_probability = -(len as f64) * std::f64::consts::LN_2;
    let mut tail = ln_probability.exp();
    let mut chosen = (0, (1.0 - 2.0 * tail).max(0.0));
    for left_out in 1..len.div_ceil(2) {
        ln_probability += ((len + 1 - left_out) as f64 / left_out as f64).ln();
        tail += ln_probability.exp();
        let coverage = 1.0 - 2.0 * tail;
        if coverage < at_least {
            break;
        }
        chosen = (left_out, coverage);
    }
    Some(chosen)
}

/// By how much the values of one series lie above those of another: the median of all differences between a value of the first
/// and one of the second (the Hodges-Lehmann estimate), and its interval at [`COVERAGE`]. Nothing if a series is empty.
///
/// The interval holds those shifts that the [rank test](super::randomization::rank_sum) of the same series wouldn't reject, so the
/// two never contradict each other. Source: Hollander, Wolfe and Chicken, "Nonparametric Statistical Methods", sections 4.2 and 4.3.
pub(super) fn shift(first: &[f64], second: &[f64]) -> Option<(f64, Interval)> {
    let pairs = first.iter().flat_map(|a| second.iter().map(move |b| a - b));
    let mut differences: Vec<f64> = pairs.collect();
    let shift = median(&differences)?;
    differences.sort_unstable_by(f64::total_cmp);
    let (left_out, coverage) = differences_to_leave_out(first.len(), second.len());
    let interval = Interval {
        low: differences[left_out],
        high: differences[differences.len() - 1 - left_out],
        coverage,
    };
    Some((shift, interval))
}

/// How many of the ordered differences to leave out at either end, and the coverage that is left.
///
/// As many differences lie below the true shift as the Mann-Whitney statistic counts, and that is a rank sum less its minimum.
fn differences_to_leave_out(first: usize, second: usize) -> (usize, f64) {
    let all = first + second;
    if all > EXACT_VALUES_MAX {
        // The normal approximation, which is off by less than a rank at this size.
        let pairs = (first * second) as f64;
        let reach = TWO_SIDED_95 * (pairs * (all + 1) as f64 / 12.0).sqrt();
        return ((pairs / 2.0 - reach).floor() as usize, COVERAGE);
    }
    let ranks: Vec<u64> = (1..=all as u64).collect();
    let counts = subset_sums(&ranks, first);
    let divisions: f64 = counts.iter().sum();
    let mut tail = 0.0;
    let mut chosen = (0, 1.0 - 2.0 / divisions);
    for (left_out, count) in counts[first * (first + 1) / 2..].iter().enumerate() {
        tail += count / divisions;
        let coverage = 1.0 - 2.0 * tail;
        if left_out > 0 && coverage < COVERAGE {
            break;
        }
        chosen = (left_out, coverage.max(0.0));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::super::simulated::{Draw, REPEATS, normal, share};
    use super::*;

    fn assert_close(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-9, "{left} {right}");
    }

    fn counting(len: usize) -> Vec<f64> {
        (1..=len).map(|value| value as f64).collect()
    }

    #[test]
    fn ranks_and_coverages_are_those_of_the_binomial_distribution() {
        // Of 2^12 outcomes 1 + 12 + 66 = 79 have at most two below; of 2^10, 1 + 10 = 11 have at most one; of 2^7, one has none.
        let expected = [
            (12, 3.0, 10.0, 1.0 - 158.0 / 4096.0),
            (10, 2.0, 9.0, 1.0 - 22.0 / 1024.0),
            (7, 1.0, 7.0, 1.0 - 2.0 / 128.0),
        ];
        for (len, low, high, coverage) in expected {
            let interval = median_interval(&counting(len), 0.95).expect("values");
            assert_close(interval.low, low);
            assert_close(interval.high, high);
            assert_close(interval.coverage, coverage);
        }
    }

    #[test]
    fn too_few_values_give_their_range_and_the_coverage_that_it_has() {
        let interval = median_interval(&[3.0, 1.0, 2.0, 5.0, 4.0], 0.95).expect("values");
        assert_close(interval.low, 1.0);
        assert_close(interval.high, 5.0);
        assert_close(interval.coverage, 0.9375);
        let alone = median_interval(&[3.0], 0.95).expect("a value");
        assert_close(alone.coverage, 0.0);
        assert_eq!(median_interval(&[], 0.95), None);
    }

    #[test]
    fn thousands_of_values_keep_their_coverage() {
        let interval = median_interval(&counting(4000), 0.95).expect("values");
        assert!((0.95..0.952).contains(&interval.coverage), "{interval:?}");
        // Nearly 1.96 · √4000 / 2 to either side of the middle.
        assert!((1937.0..=1939.0).contains(&interval.low), "{interval:?}");
    }

    #[test]
    fn the_median_lies_inside_as_often_as_promised_whatever_the_distribution() {
        let shapes: [(&str, Draw); 3] = [
            ("normal", normal),
            ("lognormal, median at one", |random| {
                normal(random).exp() - 1.0
            }),
            ("bimodal, as likely below as above zero", |random| {
                let side = if random.bool() { 1.0 } else { -1.0 };
                side * (1.0 + 0.1 * normal(random).abs())
            }),
        ];
        for (shape, draw) in shapes {
            let mut random = fastrand::Rng::with_seed(17);
            let inside = share(|| {
                let values: Vec<f64> = (0..12).map(|_| draw(&mut random)).collect();
                median_interval(&values, 0.95).is_some_and(|interval| interval.contains(0.0))
            });
            let expected = 1.0 - 158.0 / 4096.0;
            let tolerance = 4.0 * (expected * (1.0 - expected) / f64::from(REPEATS)).sqrt();
            assert!((inside - expected).abs() < tolerance, "{shape}: {inside}");
        }
    }

    #[test]
    fn a_shift_is_the_median_of_all_differences() {
        let (by, interval) = shift(&[11.0, 12.0, 15.0], &[1.0, 2.0]).expect("values");
        // The differences: 9, 10, 10, 11, 13, 14.
        assert_close(by, 10.5);
        assert_close(interval.low, 9.0);
        assert_close(interval.high, 14.0);
        assert_close(interval.coverage, 1.0 - 2.0 / 10.0);
        assert!(shift(&[], &[1.0]).is_none());
    }

    #[test]
    fn the_interval_of_a_shift_leaves_out_what_the_rank_test_would_reject() {
        // With five and five, 4 of 252 divisions have a Mann-Whitney statistic of at most 2, and 7 one of at most 3.
        assert_eq!(differences_to_leave_out(5, 5).0, 2);
        assert_close(differences_to_leave_out(5, 5).1, 1.0 - 8.0 / 252.0);
    }

    #[test]
    fn the_approximation_takes_over_where_exactness_ends() {
        let (exact, _) = differences_to_leave_out(40, 40);
        let (approximate, _) = differences_to_leave_out(40, 41);
        assert!(approximate.abs_diff(exact) < 25, "{exact} {approximate}");
    }

    #[test]
    fn a_known_shift_lies_inside_as_often_as_promised() {
        let mut random = fastrand::Rng::with_seed(23);
        let inside = share(|| {
            let mut series = |center: f64| {
                (0..8)
                    .map(|_| center + normal(&mut random))
                    .collect::<Vec<_>>()
            };
            let (first, second) = (series(3.0), series(1.0));
            shift(&first, &second).is_some_and(|(_, interval)| interval.contains(2.0))
        });
        assert!((0.945..0.985).contains(&inside), "{inside}");
    }
}
