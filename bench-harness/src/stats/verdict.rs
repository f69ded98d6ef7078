//! What a report may say about two contenders.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::holm::holm;
use super::randomization::{least_sign_flip, sign_flip};
use super::stickiness::{correlation, inflation, reach, robust_deviation};
use super::strata::{self, Scatter, Stratum};
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
    /// What the difference has to exceed, as a share: no less than the floor that was given for the question, and more where its
    /// own rounds scatter more or resemble their predecessors.
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
    /// Measured at different times, in the order of measuring, with nothing changing over time. Of saved runs, see
    /// [`compare_saves`](super::saves::compare_saves).
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
/// log scale. The floor is the larger of the one given and of what chance does to the median of rounds that scatter like
/// these, with such a number of questions; both are widened by how much successive rounds resemble each other, over all
/// questions. So fewer than one family in twenty without any difference gets a verdict that there is one: in simulations with twelve
/// and twenty rounds and up to twenty questions, as long as successive rounds of a contender are correlated by no more than 0.7.
/// Beyond that a run looks like one whose contenders really differ (at 0.9 one family in eight gets a verdict), and nothing
/// measured within it can tell the two apart.
///
/// Chance draws, where there are too many rounds for exactness, come from `seed`.
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
        } => {
            let stratum = Stratum {
                first: lns(numerator),
                second: lns(denominator),
            };
            Evidence::unpaired(&[stratum], question.floor, seed)
        }
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
    /// The robust standard deviation over rounds, on the log scale.
    deviation: f64,
    /// How much successive rounds resemble each other.
    correlation: Option<f64>,
    /// One divided by the rounds; of two series the sum.
    inverse_rounds: f64,
    /// Whether the floor is of rounds as well, so that it has to grow with their resemblance.
    is_floor_of_rounds: bool,
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
            deviation: robust_deviation(ln_ratios),
            correlation: correlation(ln_ratios),
            inverse_rounds: 1.0 / ln_ratios.len().max(1) as f64,
            is_floor_of_rounds: true,
        }
    }

    pub(super) fn unpaired(strata: &[Stratum], floor: f64, seed: u64) -> Self {
        let shift = strata::shift(strata);
        let lens: Vec<(usize, usize)> = strata.iter().map(Stratum::lens).collect();
        let scatter = Scatter::of(strata);
        Self {
            ln_ratio: shift.map(|(shift, _)| shift),
            ln_interval: shift.map(|(_, interval)| interval),
            rounds: scatter.rounds,
            p_value: strata::rank_sum(strata, seed),
            least: strata::least(&lens),
            floor,
            deviation: scatter.deviation,
            correlation: scatter.correlation,
            inverse_rounds: scatter.inverse_rounds,
            is_floor_of_rounds: true,
        }
    }

    /// With a floor that knows of what sticks already, as it comes from how far equal runs lie apart.
    pub(super) fn with_floor_of_runs(self) -> Self {
        Self {
            is_floor_of_rounds: false,
            ..self
        }
    }

    /// What the difference has to exceed on the log scale.
    fn ln_floor(&self, correlation: f64, questions: usize) -> f64 {
        let widening = inflation(correlation).sqrt();
        let reach = reach(self.deviation, self.inverse_rounds, questions);
        let floor = self.floor.ln_1p();
        if self.is_floor_of_rounds {
            widening * floor.max(reach)
        } else {
            floor.max(widening * reach)
        }
    }

    fn verdict(&self, p_adjusted: f64, least_adjusted: f64, ln_floor: f64) -> Verdict {
        match self.ln_ratio {
            None => Verdict::TooFewRounds,
            Some(_) if least_adjusted >= SIGNIFICANCE => Verdict::TooFewRounds,
            Some(ln_ratio) if p_adjusted < SIGNIFICANCE && ln_ratio.abs() > ln_floor => {
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
    let correlations: Vec<f64> = family.iter().filter_map(|one| one.correlation).collect();
    // Of all questions together: one alone has too few rounds to tell.
    let usual = correlations.iter().sum::<f64>() / correlations.len().max(1) as f64;
    let answers = family.iter().zip(adjusted).zip(least);
    answers
        .map(|((one, p_adjusted), least_adjusted)| {
            let ln_floor = one.ln_floor(usual, family.len());
            Comparison {
                ratio: one.ln_ratio.map(f64::exp),
                interval: one.ln_interval.map(|interval| interval.map(f64::exp)),
                rounds: one.rounds as u32,
                p_value: one.p_value,
                p_adjusted,
                floor: ln_floor.exp_m1().min(f64::MAX),
                verdict: one.verdict(p_adjusted, least_adjusted, ln_floor),
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn series(rounds: u32, time: impl Fn(u32) -> f64) -> Vec<(u32, f64)> {
        (0..rounds).map(|round| (round, time(round))).collect()
    }

    /// As many equal questions about rounds that all show the same ratio.
    fn verdicts(rounds: u32, ratio: f64, floor: f64, questions: usize) -> Vec<Comparison> {
        let (numerator, denominator) = (series(rounds, |_| 10.0 * ratio), series(rounds, |_| 10.0));
        let question = Question {
            series: Series::Paired {
                numerator: &numerator,
                denominator: &denominator,
            },
            floor,
        };
        compare(&vec![question; questions], 1)
    }

    #[test]
    fn a_difference_has_a_direction() {
        assert_eq!(verdicts(8, 1.2, 0.1, 1)[0].verdict, Verdict::Slower);
        assert_eq!(verdicts(8, 1.0 / 1.2, 0.1, 1)[0].verdict, Verdict::Faster);
    }

    #[test]
    fn a_difference_within_the_floor_is_none_in_either_direction() {
        for ratio in [1.19, 1.0 / 1.19] {
            let answer = verdicts(8, ratio, 0.2, 1)[0];
            assert!(answer.p_adjusted < SIGNIFICANCE);
            assert_eq!(answer.verdict, Verdict::NoDetectableDifference);
        }
    }

    #[test]
    fn rounds_that_could_not_have_settled_so_many_questions_are_too_few() {
        // The least p-value of 5 rounds is 2/32, that of 6 is 2/64, and that of 10 is 2/1024.
        assert_eq!(verdicts(5, 9.0, 0.1, 1)[0].verdict, Verdict::TooFewRounds);
        assert_eq!(verdicts(6, 9.0, 0.1, 1)[0].verdict, Verdict::Slower);
        assert_eq!(verdicts(6, 9.0, 0.1, 2)[0].verdict, Verdict::TooFewRounds);
        assert_eq!(verdicts(10, 9.0, 0.1, 25)[24].verdict, Verdict::Slower);
        assert_eq!(
            verdicts(10, 9.0, 0.1, 26)[25].verdict,
            Verdict::TooFewRounds
        );
    }

    #[test]
    fn few_rounds_are_enough_if_the_other_questions_are_settled_first() {
        let (long, short) = (series(12, |_| 20.0), series(6, |_| 20.0));
        let denominator = series(12, |_| 10.0);
        let question = |numerator| Question {
            series: Series::Paired {
                numerator,
                denominator: &denominator,
            },
            floor: 0.1,
        };
        let answers = compare(&[question(&short), question(&long)], 1);
        assert_eq!(answers[0].rounds, 6);
        assert_eq!(answers[0].verdict, Verdict::Slower);
        assert_eq!(answers[1].verdict, Verdict::Slower);
    }

    #[test]
    fn rounds_without_a_usable_time_are_left_out() {
        let unusable = [0.0, -1.0, f64::NAN, f64::INFINITY];
        let numerator = series(12, |round| *unusable.get(round as usize).unwrap_or(&30.0));
        let denominator = series(12, |round| if round == 11 { 0.0 } else { 10.0 });
        let paired = Question {
            series: Series::Paired {
                numerator: &numerator,
                denominator: &denominator,
            },
            floor: 0.1,
        };
        let nothing = Question {
            series: Series::Unpaired {
                numerator: &unusable,
                denominator: &[1.0],
            },
            floor: 0.1,
        };
        let answers = compare(&[paired, nothing], 1);
        assert_eq!(answers[0].rounds, 7);
        assert!(
            answers[0]
                .ratio
                .is_some_and(|ratio| (ratio - 3.0).abs() < 1e-9)
        );
        assert_eq!((answers[1].ratio, answers[1].rounds), (None, 0));
        assert_eq!(answers[1].verdict, Verdict::TooFewRounds);
        assert!(compare(&[], 1).is_empty());
    }

    #[test]
    fn unpaired_series_are_told_apart_by_their_ranks() {
        let numerator: Vec<f64> = (0..8).map(|round| 20.0 + f64::from(round) / 10.0).collect();
        let denominator: Vec<f64> = (0..8).map(|round| 10.0 + f64::from(round) / 10.0).collect();
        let question = Question {
            series: Series::Unpaired {
                numerator: &numerator,
                denominator: &denominator,
            },
            floor: 0.1,
        };
        let answer = compare(&[question], 1)[0];
        assert_eq!(answer.verdict, Verdict::Slower);
        assert!((answer.p_value - 2.0 / 12_870.0).abs() < 1e-12);
        assert!(
            answer
                .interval
                .is_some_and(|interval| interval.contains(2.0))
        );
    }

    #[test]
    fn a_comparison_survives_being_saved_and_speaks_in_words() {
        let answer = verdicts(7, 1.5, 0.1, 3)[0];
        let saved = serde_json::to_string(&answer).expect("a comparison is a plain object");
        assert!(saved.contains("\"verdict\":\"slower\""), "{saved}");
        assert_eq!(
            serde_json::from_str::<Comparison>(&saved).expect("the same"),
            answer
        );
        for verdict in [
            Verdict::Faster,
            Verdict::Slower,
            Verdict::NoDetectableDifference,
            Verdict::TooFewRounds,
        ] {
            let word = serde_json::to_string(&verdict).expect("a word");
            assert_eq!(word, format!("\"{verdict}\""));
        }
    }
}
