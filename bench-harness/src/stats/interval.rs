//! Intervals from order statistics.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
}
