//! Two series in strata: only values of the same stratum are compared, as those of others differ for a known reason.
//!
//! The statistic is how many values of one series lie above how many of the other, within strata, summed up: with one stratum it is that of
//! Wilcoxon, Mann and Whitney. Source of the strata: van Elteren, "On the combination of independent two sample tests of Wilcoxon",
//! Bulletin of the International Statistical Institute 37 (1960); with equal weights, so that test, estimate and interval agree.

use super::randomization::{DRAWS, EXACT_VALUES_MAX, doubled_ranks, drawn_sum, subset_sums};
use super::stickiness::{correlation, robust_deviation};
use super::verdict::COVERAGE;
use super::{Interval, median};

/// So many standard deviations to either side hold 95 % of a normal distribution.
const TWO_SIDED_95: f64 = 1.959_964;

/// The values of both series in one stratum, in the order of measuring.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Stratum {
    pub(super) first: Vec<f64>,
    pub(super) second: Vec<f64>,
}

impl Stratum {
    pub(super) fn new(first: &[f64], second: &[f64]) -> Self {
        Self {
            first: first.to_vec(),
            second: second.to_vec(),
        }
    }

    pub(super) fn lens(&self) -> (usize, usize) {
        (self.first.len(), self.second.len())
    }

    /// Whether there is anything to compare.
    pub(super) fn is_two_sided(&self) -> bool {
        !self.first.is_empty() && !self.second.is_empty()
    }
}

fn two_sided(strata: &[Stratum]) -> impl Iterator<Item = &Stratum> {
    strata.iter().filter(|stratum| stratum.is_two_sided())
}

fn values(strata: &[Stratum]) -> usize {
    let lens = two_sided(strata).map(Stratum::lens);
    lens.map(|(first, second)| first + second).sum()
}

/// The two-sided p-value: the share of all divisions of the values into two series, within each stratum, whose ranks differ as much.
pub(super) fn rank_sum(strata: &[Stratum], seed: u64) -> f64 {
    let mut ranks: Vec<(Vec<u64>, usize)> = two_sided(strata)
        .map(|stratum| {
            let ranks = doubled_ranks(&stratum.first, &stratum.second);
            (ranks, stratum.first.len())
        })
        .collect();
    if ranks.is_empty() {
        return 1.0;
    }
    let expected: u64 = ranks
        .iter()
        .map(|(ranks, first)| (first * (ranks.len() + 1)) as u64)
        .sum();
    let found: u64 = ranks
        .iter()
        .map(|(ranks, first)| ranks[..*first].iter().sum::<u64>())
        .sum();
    let least = found.abs_diff(expected);
    if values(strata) <= EXACT_VALUES_MAX {
        let counts = ranks
            .iter()
            .map(|(ranks, first)| subset_sums(ranks, *first))
            .reduce(|all, one| convolved(&all, &one))
            .unwrap_or_default();
        let is_far = |sum: usize| (sum as u64).abs_diff(expected) >= least;
        let far = counts.iter().enumerate().filter(|&(sum, _)| is_far(sum));
        return far.map(|(_, count)| count).sum::<f64>() / counts.iter().sum::<f64>();
    }
    let mut random = fastrand::Rng::with_seed(seed);
    let mut drawn = || -> u64 {
        let draw = |(ranks, first): &mut (Vec<u64>, usize)| drawn_sum(ranks, *first, &mut random);
        ranks.iter_mut().map(draw).sum()
    };
    let hits = (0..DRAWS)
        .filter(|_| drawn().abs_diff(expected) >= least)
        .count();
    (hits + 1) as f64 / f64::from(DRAWS + 1)
}

/// How many ways lead to each sum of two.
fn convolved(left: &[f64], right: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; left.len() + right.len() - 1];
    for (offset, count) in left.iter().enumerate().filter(|(_, count)| **count > 0.0) {
        for (sum, other) in sums[offset..].iter_mut().zip(right) {
            *sum += count * other;
        }
    }
    sums
}

/// The least p-value that strata with so many values of either series can have.
pub(super) fn least(lens: &[(usize, usize)]) -> f64 {
    let two_sided = || {
        lens.iter()
            .filter(|&&(first, second)| first > 0 && second > 0)
    };
    let all: usize = two_sided().map(|(first, second)| first + second).sum();
    if all == 0 {
        return 1.0;
    }
    if all > EXACT_VALUES_MAX {
        return 1.0 / f64::from(DRAWS + 1);
    }
    let divisions = two_sided().map(|&(first, second)| {
        (1..=first).fold(1.0, |product, k| product * (second + k) as f64 / k as f64)
    });
    2.0 / divisions.product::<f64>()
}

/// By how much the values of the first series lie above those of the second: the median of all differences between a value of the one
/// and one of the other within strata (the Hodges-Lehmann estimate), and its interval at [`COVERAGE`]. Nothing if no stratum has both.
///
/// The interval holds those shifts that the [rank test](rank_sum) wouldn't reject, so the two never contradict each other.
/// Source: Hollander, Wolfe and Chicken, "Nonparametric Statistical Methods", sections 4.2 and 4.3.
pub(super) fn shift(strata: &[Stratum]) -> Option<(f64, Interval)> {
    let mut differences: Vec<f64> = Vec::new();
    for stratum in strata {
        let pairs = stratum.first.iter();
        differences.extend(pairs.flat_map(|a| stratum.second.iter().map(move |b| a - b)));
    }
    let shift = median(&differences)?;
    differences.sort_unstable_by(f64::total_cmp);
    let lens: Vec<(usize, usize)> = two_sided(strata).map(Stratum::lens).collect();
    let (left_out, coverage) = differences_to_leave_out(&lens);
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
fn differences_to_leave_out(lens: &[(usize, usize)]) -> (usize, f64) {
    let all: usize = lens.iter().map(|(first, second)| first + second).sum();
    if all > EXACT_VALUES_MAX {
        // The normal approximation, which is off by less than a rank at this size.
        let pairs: usize = lens.iter().map(|(first, second)| first * second).sum();
        let variance = |&(first, second): &(usize, usize)| {
            (first * second * (first + second + 1)) as f64 / 12.0
        };
        let deviation = lens.iter().map(variance).sum::<f64>().sqrt();
        let left_out = (pairs as f64 / 2.0 - TWO_SIDED_95 * deviation).floor();
        return (left_out as usize, COVERAGE);
    }
    let counts = lens
        .iter()
        .map(|&(first, second)| {
            let ranks: Vec<u64> = (1..=(first + second) as u64).collect();
            subset_sums(&ranks, first).split_off(first * (first + 1) / 2)
        })
        .reduce(|all, one| convolved(&all, &one))
        .unwrap_or_default();
    let divisions: f64 = counts.iter().sum();
    let mut tail = 0.0;
    let mut chosen = (0, (1.0 - 2.0 / divisions).max(0.0));
    for (left_out, count) in counts.iter().enumerate() {
        tail += count / divisions;
        let coverage = 1.0 - 2.0 * tail;
        if left_out > 0 && coverage < COVERAGE {
            break;
        }
        chosen = (left_out, coverage.max(0.0));
    }
    chosen
}

/// What strata scatter by, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scatter {
    /// The robust standard deviation of the series where it is larger.
    pub(super) deviation: f64,
    /// How much successive values resemble each other.
    pub(super) correlation: Option<f64>,
    /// What the variance of a value has to be multiplied by for that of the shift.
    pub(super) inverse_rounds: f64,
    /// The values of the shorter series.
    pub(super) rounds: usize,
}

impl Scatter {
    pub(super) fn of(strata: &[Stratum]) -> Self {
        let (first, second) = (
            residuals(strata, |s| &s.first),
            residuals(strata, |s| &s.second),
        );
        let correlations = [&first, &second].map(|side| correlation(&side.values));
        let known: Vec<f64> = correlations.into_iter().flatten().collect();
        // The variance of a mean of differences within strata, each with a weight of its pairs by its values.
        let weight = |stratum: &Stratum| {
            let (first, second) = stratum.lens();
            (first * second) as f64 / (first + second) as f64
        };
        let weights: f64 = two_sided(strata).map(weight).sum();
        Self {
            deviation: first.deviation().max(second.deviation()),
            correlation: (!known.is_empty())
                .then(|| known.iter().sum::<f64>() / known.len() as f64),
            inverse_rounds: if weights > 0.0 { 1.0 / weights } else { 2.0 },
            rounds: first.values.len().min(second.values.len()),
        }
    }
}

/// How far the values of a series lie from the median of their stratum.
struct Residuals {
    values: Vec<f64>,
    strata: usize,
}

impl Residuals {
    /// Each stratum's median has taken one value's worth of freedom.
    fn deviation(&self) -> f64 {
        let free = self
            .values
            .len()
            .saturating_sub(self.strata.saturating_sub(1));
        let len = self.values.len().max(1) as f64;
        robust_deviation(&self.values) * (len / free.max(1) as f64).sqrt()
    }
}

fn residuals(strata: &[Stratum], side: fn(&Stratum) -> &Vec<f64>) -> Residuals {
    let mut all = Residuals {
        values: Vec::new(),
        strata: 0,
    };
    for stratum in two_sided(strata) {
        let center = median(side(stratum)).unwrap_or(0.0);
        all.values
            .extend(side(stratum).iter().map(|value| value - center));
        all.strata += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::simulated::{normal, share};
    use super::*;

    fn assert_close(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-9, "{left} {right}");
    }

    fn one(first: &[f64], second: &[f64]) -> [Stratum; 1] {
        [Stratum::new(first, second)]
    }

    #[test]
    fn a_shift_is_the_median_of_all_differences() {
        let (by, interval) = shift(&one(&[11.0, 12.0, 15.0], &[1.0, 2.0])).expect("values");
        // The differences: 9, 10, 10, 11, 13, 14.
        assert_close(by, 10.5);
        assert_close(interval.low, 9.0);
        assert_close(interval.high, 14.0);
        assert_close(interval.coverage, 1.0 - 2.0 / 10.0);
        assert!(shift(&one(&[], &[1.0])).is_none());
    }

    #[test]
    fn only_values_of_the_same_stratum_are_compared() {
        let strata = [
            Stratum::new(&[11.0, 12.0], &[1.0]),
            Stratum::new(&[110.0], &[100.0, 101.0]),
            Stratum::new(&[], &[7.0]),
        ];
        // The differences: 10, 11, 10, 9.
        assert_close(shift(&strata).expect("values").0, 10.0);
        // Of 3 · 3 divisions within the strata, two are as far apart.
        assert_close(rank_sum(&strata, 1), 2.0 / 9.0);
        assert_close(least(&strata.each_ref().map(Stratum::lens)), 2.0 / 9.0);
        assert_close(least(&[(0, 3)]), 1.0);
        assert_close(rank_sum(&strata[2..], 1), 1.0);
    }

    #[test]
    fn the_interval_of_a_shift_leaves_out_what_the_rank_test_would_reject() {
        // With five and five, 4 of 252 divisions have a Mann-Whitney statistic of at most 2, and 7 one of at most 3.
        assert_eq!(differences_to_leave_out(&[(5, 5)]).0, 2);
        assert_close(differences_to_leave_out(&[(5, 5)]).1, 1.0 - 8.0 / 252.0);
    }

    #[test]
    fn the_approximation_takes_over_where_exactness_ends() {
        let (exact, _) = differences_to_leave_out(&[(40, 40)]);
        let (approximate, _) = differences_to_leave_out(&[(40, 41)]);
        assert!(approximate.abs_diff(exact) < 25, "{exact} {approximate}");
    }

    #[test]
    fn a_known_shift_lies_inside_as_often_as_promised() {
        let mut random = fastrand::Rng::with_seed(23);
        for lens in [vec![(8, 8)], vec![(6, 3), (3, 6)]] {
            let inside = share(|| {
                let mut series = |len: usize, center: f64| {
                    let values = (0..len).map(|_| center + normal(&mut random));
                    values.collect::<Vec<_>>()
                };
                let strata: Vec<Stratum> = (1..)
                    .zip(&lens)
                    .map(|(center, &(first, second))| Stratum {
                        first: series(first, 10.0 * f64::from(center) + 2.0),
                        second: series(second, 10.0 * f64::from(center)),
                    })
                    .collect();
                shift(&strata).is_some_and(|(_, interval)| interval.contains(2.0))
            });
            assert!((0.945..0.985).contains(&inside), "{lens:?}: {inside}");
        }
    }

    #[test]
    fn scatter_is_that_within_strata() {
        let strata = [
            Stratum::new(&[10.0, 11.0, 12.0], &[10.0, 11.0, 12.0]),
            Stratum::new(&[110.0, 111.0, 112.0], &[110.0, 111.0, 112.0]),
        ];
        let scatter = Scatter::of(&strata);
        assert_close(scatter.deviation, 1.4826 * (6.0_f64 / 5.0).sqrt());
        assert_close(scatter.inverse_rounds, 1.0 / 3.0);
        assert_eq!(scatter.rounds, 6);
        assert_close(Scatter::of(&strata[..1]).inverse_rounds, 2.0 / 3.0);
    }
}
