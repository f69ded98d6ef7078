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
