//! What a report may say about two contenders.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::holm::holm;
use super::randomization::{least_rank_sum, least_sign_flip, rank_sum, sign_flip};
use super::{Interval, median, median_interval, ratios};

/// An adjusted p-value has to be below this before anything is called a difference.
pub const SIGNIFICANCE: f64 = 0.05;

/// The probability with which intervals are to hold what they are for.
pub const COVERAGE: f64 = 0.95;

/// What a comparison comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Verdict {
    /// Less time: below what chance and the noise floor explain.
    #[serde(rename = "faster")]
    Faster,
    /// More time: above what chance and the noise floor explain.
    #[serde(rename = "slower")]
    Slower,
    /// Chance or the noise floor explains it. That isn't to say that there is none.
    #[serde(rename = "no detectable difference")]
    NoDetectableDifference,
    /// With so many questions, so few rounds couldn't have shown a difference, whatever they had been.
    #[serde(rename = "too few rounds")]
    TooFewRounds,
}

impl Verdict {
    /// The words of the report.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Faster => "faster",
            Self::Slower => "slower",
            Self::NoDetectableDifference => "no detectable difference",
            Self::TooFewRounds => "too few rounds",
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// How the times of two contenders differ.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// How often the other's time: above one is slower. None if nothing could be compared.
    pub ratio: Option<f64>,
    /// Where the ratio lies.
    pub interval: Option<Interval>,
    /// How many rounds stand behind it: pairs, or the rounds of the shorter series.
    pub rounds: u32,
    /// The probability that chance alone does as much, for this question alone.
    pub p_value: f64,
    /// The same, adjusted for all questions that were asked with it.
    pub p_adjusted: f64,
    /// What the difference has to exceed, as a share.
    pub floor: f64,
    /// What all this comes to.
    pub verdict: Verdict,
}

/// The times of both sides, in any unit.
#[derive(Clone, Copy, Debug)]
pub enum Series<'a> {
    /// Measured in the same rounds of one run, each with its round. Rounds that only one side has are left out.
    Paired {
        /// Whose time is divided.
        numerator: &'a [(u32, f64)],
        /// By whose time it is divided.
        denominator: &'a [(u32, f64)],
    },
    /// Measured at different times.
    Unpaired {
        /// Whose time is divided.
        numerator: &'a [f64],
        /// By whose time it is divided.
        denominator: &'a [f64],
    },
}

/// One question of a family.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The times. What isn't a positive finite number is left out.
    pub series: Series<'a>,
    /// What the difference has to exceed, as a share: see [`guard_of`](super::noise::guard_of).
    pub floor: f64,
}

/// Answers all questions that a reader sees together, in their order.
///
/// Slower (or faster) is what has an adjusted p-value below [`SIGNIFICANCE`], and a ratio farther from one than the floor on a
/// log scale. Chance draws, where there are too many rounds for exactness, come from `seed`.
///
/// ```
/// use bench_harness::stats::verdict::{Question, Series, Verdict, compare};
///
/// let denominator: Vec<(u32, f64)> = (0..8).map(|round| (round, 100.0)).collect();
/// let numerator: Vec<(u32, f64)> = (0..8).map(|round| (round, 130.0 + f64::from(round))).collect();
/// let series = Series::Paired { numerator: &numerator, denominator: &denominator };
/// let answers = compare(&[Question { series, floor: 0.05 }], 1);
/// assert_eq!(answers[0].verdict, Verdict::Slower);
/// assert_eq!(answers[0].p_value, 2.0 / 256.0);
/// ```
pub fn compare(family: &[Question<'_>], seed: u64) -> Vec<Comparison> {
    let evidence = family.iter().map(|question| match question.series {
        Series::Paired {
            numerator,
            denominator,
        } => Evidence::paired(&ln_ratios(numerator, denominator), question.floor, seed),
        Series::Unpaired {
            numerator,
            denominator,
        } => Evidence::unpaired(&lns(numerator), &lns(denominator), question.floor, seed),
    });
    conclude(&evidence.collect::<Vec<_>>())
}

/// What one question alone has to show.
#[derive(Clone, Copy, Debug)]
pub(super) struct Evidence {
    ln_ratio: Option<f64>,
    ln_interval: Option<Interval>,
    rounds: usize,
    p_value: f64,
    /// The least p-value that so many rounds can have.
    least: f64,
    floor: f64,
}

impl Evidence {
    fn paired(ln_ratios: &[f64], floor: f64, seed: u64) -> Self {
        Self {
            ln_ratio: median(ln_ratios),
            ln_interval: median_interval(ln_ratios, COVERAGE),
            rounds: ln_ratios.len(),
            p_value: sign_flip(ln_ratios, seed),
            least: least_sign_flip(ln_ratios.len()),
            floor,
        }
    }

    pub(super) fn unpaired(numerator: &[f64], denominator: &[f64], floor: f64, seed: u64) -> Self {
        let shift = super::interval::shift(numerator, denominator);
        Self {
            ln_ratio: shift.map(|(shift, _)| shift),
            ln_interval: shift.map(|(_, interval)| interval),
            rounds: numerator.len().min(denominator.len()),
            p_value: rank_sum(numerator, denominator, seed),
            least: least_rank_sum(numerator.len(), denominator.len()),
            floor,
        }
    }

    fn verdict(&self, p_adjusted: f64, least_adjusted: f64) -> Verdict {
        match self.ln_ratio {
            None => Verdict::TooFewRounds,
            Some(_) if least_adjusted >= SIGNIFICANCE => Verdict::TooFewRounds,
            Some(ln_ratio) if p_adjusted < SIGNIFICANCE && ln_ratio.abs() > self.floor.ln_1p() => {
                if ln_ratio > 0.0 {
                    Verdict::Slower
                } else {
                    Verdict::Faster
                }
            }
            Some(_) => Verdict::NoDetectableDifference,
        }
    }
}

/// Adjusts the p-values of a family and gives the verdicts.
pub(super) fn conclude(family: &[Evidence]) -> Vec<Comparison> {
    let all = |of: fn(&Evidence) -> f64| family.iter().map(of).collect::<Vec<_>>();
    let adjusted = holm(&all(|one| one.p_value));
    // An adjusted p-value never falls when another p-value grows, so this is the best that could have come out.
    let least = holm(&all(|one| one.least));
    let answers = family.iter().zip(adjusted).zip(least);
    answers
        .map(|((one, p_adjusted), least_adjusted)| Comparison {
            ratio: one.ln_ratio.map(f64::exp),
            interval: one.ln_interval.map(|interval| interval.map(f64::exp)),
            rounds: one.rounds as u32,
            p_value: one.p_value,
            p_adjusted,
            floor: one.floor,
            verdict: one.verdict(p_adjusted, least_adjusted),
        })
        .collect()
}

/// The logarithms of the ratios in each round in which both times are positive and finite.
pub(super) fn ln_ratios(numerators: &[(u32, f64)], denominators: &[(u32, f64)]) -> Vec<f64> {
    lns(&ratios(numerators, denominators))
}

/// The logarithms of what is positive and finite.
pub(super) fn lns(values: &[f64]) -> Vec<f64> {
    let logarithms = values.iter().map(|value| value.ln());
    logarithms.filter(|ln| ln.is_finite()).collect()
}
