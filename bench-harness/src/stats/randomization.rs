//! How often chance alone does as much: randomization tests, which assume no distribution.

use super::strata::{self, Stratum};

/// How many rearrangements are drawn where there are too many to go through.
pub const DRAWS: u32 = 100_000;

/// The most pairs whose sign flips are all gone through.
pub const EXACT_PAIRS_MAX: usize = 32;

/// The most values of both sides together whose divisions are all counted.
pub const EXACT_VALUES_MAX: usize = 80;

/// Sums that differ by less than this share of the largest possible one tie: the order of adding rounds differently.
const TIE: f64 = 1e-12;

/// The two-sided p-value of paired differences: the share of all ways to flip their signs whose mean lies as far from zero as
/// theirs. One if there are none.
///
/// If two contenders are equally fast, which of them a round favours is settled by their order in the round, and that is
/// shuffled for each round alone; so each sign could as well have been the other. That holds whatever the machine does over
/// time, with every distribution. It doesn't hold for what sticks to one of the contenders for several rounds: the noise
/// floor is for that.
///
/// The statistic is the mean and not the count of signs or the median, since it sees by how much the rounds differ, so that
/// few rounds are enough, and since hardly two arrangements tie, so that the p-value takes almost every value that 2ⁿ
/// arrangements allow. Differences should be logarithms of ratios: see [the module above](super).
///
/// Up to [`EXACT_PAIRS_MAX`] pairs the value is exact. Beyond, [`DRAWS`] flips are drawn from `seed`, and the arrangement that
/// was seen counts as one of them, or else the test would call too much real.
/// Source: Phipson and Smyth, "Permutation P-values should never be zero", Stat. Appl. Genet. Mol. Biol. 9 (2010).
///
/// ```
/// // Of eight ways to set the signs, two are as far from zero: all up and all down.
/// assert_eq!(bench_harness::stats::randomization::sign_flip(&[0.1, 0.3, 0.2], 1), 0.25);
/// ```
pub fn sign_flip(differences: &[f64], seed: u64) -> f64 {
    let reach: f64 = differences.iter().map(|d| d.abs()).sum();
    let least = differences.iter().sum::<f64>().abs() - TIE * reach;
    if least <= 0.0 {
        return 1.0;
    }
    if differences.len() <= EXACT_PAIRS_MAX {
        return far_sums(differences, least) / 2f64.powi(differences.len() as i32);
    }
    let mut random = fastrand::Rng::with_seed(seed);
    let hits = (0..DRAWS)
        .filter(|_| flipped_sum(differences, &mut random).abs() >= least)
        .count();
    (hits + 1) as f64 / f64::from(DRAWS + 1)
}

/// The least p-value that so many pairs can have.
pub fn least_sign_flip(pairs: usize) -> f64 {
    if pairs <= EXACT_PAIRS_MAX {
        return 2f64.powi(1 - pairs as i32).min(1.0);
    }
    1.0 / f64::from(DRAWS + 1)
}

/// How many ways to set the signs give a sum at least so far from zero.
///
/// The sums of either half are listed and sorted; then one walk up the first and down the second list finds, for each sum of
/// the first, how many of the second reach far enough. That needs two lists of 2^(n/2) instead of 2ⁿ sums.
fn far_sums(differences: &[f64], least: f64) -> f64 {
    let (front, back) = differences.split_at(differences.len() / 2);
    let (front, back) = (sorted_sums(front), sorted_sums(back));
    let mut above = back.len();
    let mut count = 0;
    for sum in &front {
        while above > 0 && sum + back[above - 1] >= least {
            above -= 1;
        }
        count += back.len() - above;
    }
    // As many lie below, as every arrangement has its mirror image.
    2.0 * count as f64
}

fn sorted_sums(differences: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0];
    for difference in differences {
        let lower = sums.iter().map(|sum| sum - difference);
        let upper = sums.iter().map(|sum| sum + difference);
        sums = lower.chain(upper).collect();
        // Two runs that are in order already: the stable sort just merges them.
        sums.sort_by(f64::total_cmp);
    }
    sums
}

fn flipped_sum(differences: &[f64], random: &mut fastrand::Rng) -> f64 {
    let flipped = differences.chunks(64).map(|chunk| {
        let signs = random.u64(..);
        let signed = chunk.iter().enumerate().map(|(bit, difference)| {
            if signs >> bit & 1 == 1 {
                -difference
            } else {
                *difference
            }
        });
        signed.sum::<f64>()
    });
    flipped.sum()
}

/// The two-sided p-value of two unpaired series: the share of all divisions of their values into two such series whose ranks
/// differ as much as theirs (the Wilcoxon and Mann-Whitney test; equal values share their mean rank). One if a series is empty.
///
/// Ranks and not the values, since two runs at different times have rounds during which the machine changed: such a round is
/// off by a factor, would decide a mean alone, and counts here for no more than being the slowest.
///
/// Up to [`EXACT_VALUES_MAX`] values together the value is exact, ties included; beyond, [`DRAWS`] divisions are drawn from `seed`
/// by the same rule as in [`sign_flip`].
///
/// ```
/// // Of twenty divisions, two are as far apart: all below and all above.
/// let p = bench_harness::stats::randomization::rank_sum(&[1.0, 2.0, 3.0], &[7.0, 8.0, 9.0], 1);
/// assert!((p - 0.1).abs() < 1e-12);
/// ```
pub fn rank_sum(first: &[f64], second: &[f64], seed: u64) -> f64 {
    strata::rank_sum(&[Stratum::new(first, second)], seed)
}

/// The least p-value that two series of these lengths can have.
pub fn least_rank_sum(first: usize, second: usize) -> f64 {
    strata::least(&[(first, second)])
}

/// Twice the rank of each value among all, those of the first series first: twice, so that a shared rank is whole as well.
pub(super) fn doubled_ranks(first: &[f64], second: &[f64]) -> Vec<u64> {
    let values: Vec<f64> = first.iter().chain(second).copied().collect();
    let mut by_size: Vec<usize> = (0..values.len()).collect();
    by_size.sort_by(|&left, &right| values[left].total_cmp(&values[right]));
    let mut ranks = vec![0; values.len()];
    let mut below = 0;
    for equal in by_size.chunk_by(|&left, &right| values[left].total_cmp(&values[right]).is_eq()) {
        // The ranks below + 1 to below + len, shared.
        let shared = (2 * below + equal.len() + 1) as u64;
        for &index in equal {
            ranks[index] = shared;
        }
        below += equal.len();
    }
    ranks
}

/// How many choices of `chosen` values have each sum. Counts are f64: they exceed 2⁶⁴, and only their shares matter.
pub(super) fn subset_sums(values: &[u64], chosen: usize) -> Vec<f64> {
    let mut largest = values.to_vec();
    largest.sort_unstable();
    let sum_max: u64 = largest.iter().rev().take(chosen).sum();
    let mut counts = vec![vec![0.0; sum_max as usize + 1]; chosen + 1];
    counts[0][0] = 1.0;
    for &value in values {
        let value = value as usize;
        // From the last on, so that no value is chosen twice.
        for size in (1..=chosen).rev() {
            let (smaller, same) = counts.split_at_mut(size);
            let added = same[0][value..].iter_mut();
            for (count, fewer) in added.zip(&smaller[size - 1]) {
                *count += fewer;
            }
        }
    }
    counts.swap_remove(chosen)
}

/// The sum of as many ranks, drawn without putting back.
pub(super) fn drawn_sum(ranks: &mut [u64], chosen: usize, random: &mut fastrand::Rng) -> u64 {
    for index in 0..chosen {
        let other = random.usize(index..ranks.len());
        ranks.swap(index, other);
    }
    ranks[..chosen].iter().sum()
}

#[cfg(test)]
mod tests {
    use super::super::simulated::{REPEATS, normal, share};
    use super::*;

    fn assert_close(left: f64, right: f64, tolerance: f64) {
        assert!((left - right).abs() <= tolerance, "{left} {right}");
    }

    #[test]
    fn sign_flips_are_counted_as_by_hand() {
        // The sums ±1 ±2 ±4 ±8 are all odd numbers to 15, once each: 9 and more eight times.
        assert_close(
            sign_flip(&[-1.0, 2.0, -4.0, 8.0].map(|d| d * 0.1), 1),
            12.0 / 16.0,
            1e-12,
        );
        assert_close(
            sign_flip(&[-1.0, -2.0, 4.0, 8.0].map(|d| d * 0.1), 1),
            8.0 / 16.0,
            1e-12,
        );
        assert_close(sign_flip(&[1.0, 2.0, 4.0, 8.0], 1), 2.0 / 16.0, 1e-12);
    }

    #[test]
    fn the_darwin_data_have_the_p_value_of_fisher() {
        // Heights of 15 pairs of plants, in eighths of an inch; 1726 of 32768 flips reach as far, of which 863 on one side.
        // Source: Fisher, "The Design of Experiments" (1935), section 21.
        let pairs = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48].map(f64::from);
        assert_close(sign_flip(&pairs, 1), 1726.0 / 32768.0, 1e-12);
    }

    #[test]
    fn equal_and_missing_pairs_show_nothing() {
        assert_close(sign_flip(&[], 1), 1.0, 0.0);
        assert_close(sign_flip(&[0.0; 9], 1), 1.0, 0.0);
        assert_close(sign_flip(&[0.0; 40], 1), 1.0, 0.0);
        assert_close(rank_sum(&[], &[1.0], 1), 1.0, 0.0);
        assert_close(rank_sum(&[2.0; 9], &[2.0; 9], 1), 1.0, 1e-12);
    }

    #[test]
    fn the_least_p_values_are_reached_and_not_passed() {
        for pairs in [1, 2, 7, 20, 40] {
            assert_close(
                sign_flip(&vec![0.1; pairs], 1),
                least_sign_flip(pairs),
                1e-15,
            );
        }
        for (first, second) in [(1, 1), (3, 4), (7, 7), (30, 50), (60, 60)] {
            let low: Vec<f64> = (0..first).map(|value| value as f64).collect();
            let high: Vec<f64> = (0..second).map(|value| 1000.0 + value as f64).collect();
            let least = least_rank_sum(first, second);
            assert_close(rank_sum(&low, &high, 1) / least, 1.0, 1e-9);
        }
    }

    #[test]
    fn drawing_comes_near_to_counting() {
        let mut random = fastrand::Rng::with_seed(5);
        let differences: Vec<f64> = (0..20).map(|_| 0.3 + normal(&mut random)).collect();
        let exact = sign_flip(&differences, 1);
        // Pairs that are equal change no sum, but are too many to be gone through.
        let mut padded = differences;
        padded.resize(EXACT_PAIRS_MAX + 1, 0.0);
        let drawn = sign_flip(&padded, 1);
        assert_close(drawn, exact, 4.0 * (exact / f64::from(DRAWS)).sqrt());
        assert_close(drawn, sign_flip(&padded, 1), 0.0);
    }

    /// The share of all choices of as many values whose mean rank is as far from the others', one by one.
    fn rank_sum_one_by_one(first: &[f64], second: &[f64]) -> f64 {
        let ranks = doubled_ranks(first, second);
        let expected = (first.len() * (ranks.len() + 1)) as u64;
        let distance = |choice: u32| {
            let chosen = (0..ranks.len()).filter(|index| choice >> index & 1 == 1);
            chosen
                .map(|index| ranks[index])
                .sum::<u64>()
                .abs_diff(expected)
        };
        let seen = distance((1 << first.len()) - 1);
        let choices =
            (0..1_u32 << ranks.len()).filter(|choice| choice.count_ones() as usize == first.len());
        let distances: Vec<u64> = choices.map(distance).collect();
        let far = distances.iter().filter(|&&other| other >= seen).count();
        far as f64 / distances.len() as f64
    }

    #[test]
    fn rank_sums_are_counted_as_one_by_one() {
        // 4 of 252 divisions have a Mann-Whitney statistic of at most 2, and as many are their mirror images.
        let p = rank_sum(&[1.0, 2.0, 3.0, 4.0, 7.0], &[5.0, 6.0, 8.0, 9.0, 10.0], 1);
        assert_close(p, 8.0 / 252.0, 1e-12);
        let mut random = fastrand::Rng::with_seed(6);
        for (first, second) in [(1, 4), (3, 5), (5, 5), (6, 4)] {
            // Of so few different values, many tie.
            let mut draw = |len: usize| {
                (0..len)
                    .map(|_| f64::from(random.u8(0..5)))
                    .collect::<Vec<_>>()
            };
            let (first, second) = (draw(first), draw(second));
            assert_close(
                rank_sum(&first, &second, 1),
                rank_sum_one_by_one(&first, &second),
                1e-12,
            );
        }
    }

    #[test]
    fn many_ranks_are_drawn_near_to_what_is_counted() {
        let mut random = fastrand::Rng::with_seed(8);
        let mut draw = |len: usize, center: f64| {
            (0..len)
                .map(|_| center + normal(&mut random))
                .collect::<Vec<_>>()
        };
        let (first, second) = (draw(40, 0.0), draw(41, 0.4));
        let drawn = rank_sum(&first, &second, 1);
        let counted = rank_sum(&first, &second[..40], 1);
        assert_close(drawn.ln(), counted.ln(), 0.7);
    }

    /// How far the shares of p-values up to some bounds are above these bounds at most, and below.
    fn beside_uniform(p_values: &[f64]) -> (f64, f64) {
        let bounds = (1..=20).map(|step| f64::from(step) / 20.0);
        let beside: Vec<f64> = bounds
            .map(|bound| {
                let below = p_values.iter().filter(|&&p| p <= bound).count();
                below as f64 / p_values.len() as f64 - bound
            })
            .collect();
        let above = beside.iter().copied().fold(0.0, f64::max);
        (above, -beside.iter().copied().fold(0.0, f64::min))
    }

    #[test]
    fn without_a_difference_the_p_values_are_uniform() {
        let mut random = fastrand::Rng::with_seed(11);
        let mut p_values = |one: &dyn Fn(&mut fastrand::Rng) -> f64| -> Vec<f64> {
            (0..REPEATS).map(|_| one(&mut random)).collect()
        };
        let paired = p_values(&|random| {
            let cubed: Vec<f64> = (0..12).map(|_| normal(random).powi(3)).collect();
            sign_flip(&cubed, 1)
        });
        let unpaired = p_values(&|random| {
            let mut draw = || (0..8).map(|_| normal(random).exp()).collect::<Vec<_>>();
            rank_sum(&draw(), &draw(), 1)
        });
        // The critical value of Kolmogorov and Smirnov at 1 %, 1.63/√n. Ranks of 16 values have few sums, so fewer small p-values.
        let critical = 1.63 / f64::from(REPEATS).sqrt();
        let (above, below) = beside_uniform(&paired);
        assert!(above < critical && below < critical, "{above} {below}");
        let (above, below) = beside_uniform(&unpaired);
        assert!(
            above < critical && below < critical + 0.11,
            "{above} {below}"
        );
    }

    #[test]
    fn a_difference_of_one_and_a_half_deviations_is_mostly_seen() {
        let mut random = fastrand::Rng::with_seed(12);
        let paired = share(|| {
            let differences: Vec<f64> = (0..12).map(|_| 1.5 + normal(&mut random)).collect();
            sign_flip(&differences, 1) < 0.01
        });
        assert!(paired > 0.95, "{paired}");
        let unpaired = share(|| {
            let mut draw = |center: f64| {
                let values = (0..8).map(|_| center + normal(&mut random));
                values.collect::<Vec<_>>()
            };
            rank_sum(&draw(1.5), &draw(0.0), 1) < 0.05
        });
        assert!(unpaired > 0.7, "{unpaired}");
    }
}
