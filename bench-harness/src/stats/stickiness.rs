//! What sticks to a contender from one round to the next.
//!
//! Rounds of one contender may resemble each other: by memory that it got and kept, or by a neighbour that disturbs just its kind
//! of work for a while. Then many rounds say little more than one, and a test that takes them for independent calls chance a
//! difference: with a correlation of 0.3 between successive rounds it does so in one family of five, instead of one in
//! twenty. The remedy of the textbooks, fewer effective rounds, would leave too few rounds for any verdict, even about a
//! contender that takes ten times as long. So it is the floor that grows instead: what differs by much stays settled.

use std::f64::consts::FRAC_PI_2;

use super::median;
use super::verdict::SIGNIFICANCE;

/// What makes the median distance from the median the standard deviation of a normal distribution.
pub(super) const NORMAL_CONSISTENCY: f64 = 1.4826;

/// More correlation than this can't be told from a lasting difference in the rounds that a run has.
const CORRELATION_MAX: f64 = 0.9;

/// With fewer rounds the correction of the bias would exceed what it corrects.
const ROUNDS_MIN: usize = 6;

/// The robust standard deviation; zero of nothing.
pub(super) fn robust_deviation(values: &[f64]) -> f64 {
    median(values).map_or(0.0, |center| deviation_around(values, center))
}

/// The robust standard deviation around a given center; zero of nothing.
pub(super) fn deviation_around(values: &[f64], center: f64) -> f64 {
    let distances: Vec<f64> = values.iter().map(|value| (value - center).abs()).collect();
    NORMAL_CONSISTENCY * median(&distances).unwrap_or(0.0)
}

/// The correlation of the values' ranks with those of their successors. Nothing of too few or of equal values.
///
/// Ranks, so that no outlier settles it. In short series the plain estimate is too low by about (1 + 4r) / n, which is taken
/// back. Source of the bias: Kendall, "Note on bias in the estimation of autocorrelation", Biometrika 41 (1954).
pub(super) fn correlation(values: &[f64]) -> Option<f64> {
    let len = values.len();
    if len < ROUNDS_MIN {
        return None;
    }
    let ranks = super::randomization::doubled_ranks(values, &[]);
    let centered: Vec<f64> = ranks
        .iter()
        .map(|&rank| rank as f64 - (len + 1) as f64)
        .collect();
    let square: f64 = centered.iter().map(|rank| rank * rank).sum();
    let product: f64 = centered.windows(2).map(|pair| pair[0] * pair[1]).sum();
    (square > 0.0).then(|| (len as f64 * product / square + 1.0) / (len as f64 - 4.0))
}

/// By how much correlation between successive rounds widens the variance of their mean. Source: Box, Jenkins and Reinsel,
/// "Time Series Analysis", section 2.1, for a first-order autoregressive series.
pub(super) fn inflation(correlation: f64) -> f64 {
    let correlation = correlation.clamp(0.0, CORRELATION_MAX);
    (1.0 + correlation) / (1.0 - correlation)
}

/// How far from zero chance takes the median of independent rounds on a log scale, given their deviation and `inverse_rounds` (one
/// divided by their number), if none of `questions` such medians is to go farther in 95 of 100 runs.
///
/// The variance of the median is π/2 times that of the mean. A normal value exceeds x deviations with a probability of at most
/// exp(-x²/2), both sides together; that bound is wider than the quantile by about what estimating the deviation takes.
pub(super) fn reach(deviation: f64, inverse_rounds: f64, questions: usize) -> f64 {
    let deviations = (2.0 * (questions as f64 / SIGNIFICANCE).ln()).sqrt();
    deviations * deviation_of_median(deviation, inverse_rounds)
}

/// The standard deviation of the median of rounds, given theirs and `inverse_rounds` (one divided by their number; the sum of both
/// for a difference of two medians).
pub(super) fn deviation_of_median(deviation: f64, inverse_rounds: f64) -> f64 {
    deviation * (FRAC_PI_2 * inverse_rounds).sqrt()
}
