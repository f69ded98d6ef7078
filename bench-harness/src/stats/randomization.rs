//! How often chance alone does as much: randomization tests, which assume no distribution.

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
        sums = sums
            .iter()
            .flat_map(|sum| [sum - difference, sum + difference])
            .collect();
    }
    sums.sort_unstable_by(f64::total_cmp);
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
    if first.is_empty() || second.is_empty() {
        return 1.0;
    }
    let mut ranks = doubled_ranks(first, second);
    let expected = (first.len() * (ranks.len() + 1)) as u64;
    let distance = |sum: u64| sum.abs_diff(expected);
    let least = distance(ranks[..first.len()].iter().sum());
    if ranks.len() <= EXACT_VALUES_MAX {
        let counts = subset_sums(&ranks, first.len());
        let far = counts
            .iter()
            .enumerate()
            .filter(|&(sum, _)| distance(sum as u64) >= least);
        return far.map(|(_, count)| count).sum::<f64>() / counts.iter().sum::<f64>();
    }
    let mut random = fastrand::Rng::with_seed(seed);
    let hits = (0..DRAWS)
        .filter(|_| distance(drawn_sum(&mut ranks, first.len(), &mut random)) >= least)
        .count();
    (hits + 1) as f64 / f64::from(DRAWS + 1)
}

/// The least p-value that two series of these lengths can have.
pub fn least_rank_sum(first: usize, second: usize) -> f64 {
    if first == 0 || second == 0 {
        return 1.0;
    }
    if first + second > EXACT_VALUES_MAX {
        return 1.0 / f64::from(DRAWS + 1);
    }
    let divisions = (1..=first).fold(1.0, |product, k| product * (second + k) as f64 / k as f64);
    2.0 / divisions
}

/// Twice the rank of each value among all, those of the first series first: twice, so that a shared rank is whole as well.
fn doubled_ranks(first: &[f64], second: &[f64]) -> Vec<u64> {
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
fn drawn_sum(ranks: &mut [u64], chosen: usize, random: &mut fastrand::Rng) -> u64 {
    for index in 0..chosen {
        let other = random.usize(index..ranks.len());
        ranks.swap(index, other);
    }
    ranks[..chosen].iter().sum()
}
