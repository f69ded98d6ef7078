//! Comparing two runs that were saved.
//!
//! Between two runs lies what interleaving takes care of within one: the machine may have been in another state, such as a
//! neighbour's load or a clock frequency that slows everything by a factor. So three things differ from a comparison within a run.
//!
//! **Drift is divided out.** Rows that can't have changed (the limits, and the [controls](Role::Control)) tell how fast the machine
//! was in each round of either run; each time is divided by what they have in common, those that spin for rows that spin and
//! those that sleep for rows that sleep. A state that slows all of them by one factor cancels, whichever rounds it covered.
//! Rounds in which the state changed between two rows stay, as outliers.
//!
//! **States are kept apart.** Some machines switch between states that slow a row by a factor of its own: cores that are sometimes
//! far apart slow what crosses between them, and not what copies. Where the times of a limit fall into clearly different
//! levels, only rounds of the same level are compared, so that no factor needs to be known. If the runs have too few rounds in the same
//! states for that, all rounds are compared, and the answer has to hold by the drift of each single limit.
//!
//! **The rounds aren't paired.** Round 3 of one run has nothing in common with round 3 of the other. So the test is one of ranks,
//! with the shift between the runs as its estimate: a few outliers move neither. A session that was repeated because it was
//! disturbed counts beside its repetition, each for itself: their mean would be an outlier as well.
//!
//! **The floor has to come from more than the rounds.** All rounds of a run share what the run has: where memory was placed, how the
//! state slows this row other than the anchors. Rounds can't show that by differing, so the test would take it for a difference
//! between the builds. The floor is the largest of figures from the data, each of which a few outliers can't move:
//!
//! 1. by how much the rows that were entered twice (A/A) differ from themselves within a run: the median of their ratio and what
//!    chance does to it, of the run where it is larger ([`pair_floor`]);
//! 2. the robust standard deviation of the row's own times over rounds (1.4826 times their median distance from their median, which
//!    is the standard deviation of a normal distribution), of the run where it is larger. Unlike an interval it doesn't shrink
//!    with the number of rounds, as what a run shares doesn't average out either;
//! 3. how far rows that can't have changed did move between the runs: three standard deviations of their shifts, less what the
//!    scatter of their rounds explains. It is the only figure that sees between the runs. A fifth of the controls may have
//!    changed after all before it grows;
//! 4. what chance does to the shift of rounds that scatter like these, with so many questions.
//!
//! A row that may sleep often doesn't, and then the machine slows it like one that spins; nothing tells which. So it has to exceed its
//! floor by the anchors of either kind: what lies between the two answers is added to the floor.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::beyond::deviation_beyond;
use super::corrected::{Corrected, correct};
use super::median;
use super::noise::Waiting;
use super::stickiness::{deviation_of_median, robust_deviation};
use super::verdict::{Comparison, Evidence, conclude, ln_ratios};

/// So many controls are enough for a figure of their own.
pub const CONTROLS_MIN: usize = 8;

/// So many standard deviations hold all but three in a thousand of a normal distribution. Two would hold 95 of 100 rows in the mean,
/// and fewer in every other pair of runs.
const REACH: f64 = 3.0;

/// So many standard deviations hold 95 of a hundred.
const CHANCE: f64 = 1.96;

/// What is compared of a row.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Figure {
    /// Time for a message of a stream.
    #[serde(rename = "stream")]
    Stream,
    /// The median round trip.
    #[serde(rename = "p50")]
    RoundTripP50,
    /// The round trip that one in a hundred exceeds.
    #[serde(rename = "p99")]
    RoundTripP99,
    /// The median latency at a fixed rate.
    #[serde(rename = "paced.p50")]
    PacedP50,
    /// The latency at a fixed rate that one in a hundred exceeds.
    #[serde(rename = "paced.p99")]
    PacedP99,
    /// CPU time for a message, of both sides.
    #[serde(rename = "cpu")]
    Cpu,
}

impl Figure {
    /// Its name, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::RoundTripP50 => "p50",
            Self::RoundTripP99 => "p99",
            Self::PacedP50 => "paced.p50",
            Self::PacedP99 => "paced.p99",
            Self::Cpu => "cpu",
        }
    }
}

impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Figures that are equally noisy for the same reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SavedKind {
    /// How the row waits.
    pub waiting: Waiting,
    /// What is compared.
    pub figure: Figure,
}

/// What a row is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It may have changed.
    Question,
    /// It is certain that it didn't change: between builds of a ring, one of the kernel's mechanisms.
    Control,
    /// A limit of the hardware. Its one figure tells how fast the machine was, whatever figure is in question.
    Limit,
}

/// A figure that both runs have.
#[derive(Clone, Copy, Debug)]
pub struct SavedRow<'a> {
    /// What it is noisy like.
    pub kind: SavedKind,
    /// What it is there for.
    pub role: Role,
    /// The times of the run that is compared with, each with its round, in the order of measuring.
    pub before: &'a [(u32, f64)],
    /// The times of the run in question: if they are longer, the ratio is above one.
    pub after: &'a [(u32, f64)],
}

/// A row that was entered twice in one of the runs.
#[derive(Clone, Copy, Debug)]
pub struct SavedTwins<'a> {
    /// What it is noisy like.
    pub kind: SavedKind,
    /// The times of the one, each with its round.
    pub first: &'a [(u32, f64)],
    /// The times of the other.
    pub again: &'a [(u32, f64)],
}

/// What comes of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SavedAnswer {
    /// How it differs.
    pub comparison: Comparison,
    /// How much slower the machine was, by the rows that can't have changed: that is divided out. Nothing if there is no such row.
    pub drift: Option<f64>,
    /// In how many states of the machine its rounds were compared, each state for itself.
    pub states: u32,
}

/// Answers for all rows that a reader sees together, in their order; nothing for the limits. Those that may have changed are one family, and
/// the controls are another, so that rows about which there is no question don't cost the others their significance.
///
/// Chance draws, where there are too many rounds for exactness, come from `seed`.
pub fn compare_saves(
    rows: &[SavedRow<'_>],
    twins: &[SavedTwins<'_>],
    seed: u64,
) -> Vec<Option<SavedAnswer>> {
    let corrected = correct(rows);
    let mut answers = vec![None; rows.len()];
    for role in [Role::Question, Role::Control] {
        let family: Vec<usize> = (0..rows.len())
            .filter(|&index| rows[index].role == role)
            .collect();
        let evidence = family.iter().map(|&index| {
            let (row, without_drift) = (&rows[index], &corrected[index]);
            let ln_floor = without_drift
                .spread()
                .max(between_twins(row.kind, twins))
                .max(REACH * without_drift.widened(between_runs(row.kind, rows, &corrected)));
            let floor = (ln_floor + without_drift.disagreement).exp_m1();
            Evidence::unpaired(&without_drift.strata, floor, seed).with_floor_of_runs()
        });
        let comparisons = conclude(&evidence.collect::<Vec<_>>());
        for (index, comparison) in family.into_iter().zip(comparisons) {
            answers[index] = Some(SavedAnswer {
                comparison,
                drift: corrected[index].drift,
                states: corrected[index].states(),
            });
        }
    }
    answers
}

/// How far equal entries of one run differ, on the log scale: their median ratio, and what chance does to it.
pub fn pair_floor(first: &[(u32, f64)], again: &[(u32, f64)]) -> f64 {
    let ratios = ln_ratios(first, again);
    let deviation =
        deviation_of_median(robust_deviation(&ratios), 1.0 / ratios.len().max(1) as f64);
    median(&ratios).unwrap_or(0.0).abs() + CHANCE * deviation
}

/// By how much rows of this kind that were entered twice differ from themselves, on the log scale: the largest such figure of either run. Where
/// none of the kind was, that of the same figure of all.
fn between_twins(kind: SavedKind, twins: &[SavedTwins<'_>]) -> f64 {
    let largest = |of: &dyn Fn(SavedKind) -> bool| {
        let chosen = twins.iter().filter(|twins| of(twins.kind));
        let floors = chosen.map(|twins| pair_floor(twins.first, twins.again));
        floors.max_by(f64::total_cmp)
    };
    largest(&|of| of == kind)
        .or_else(|| largest(&|of| of.figure == kind.figure))
        .unwrap_or(0.0)
}

/// The standard deviation between two runs of rows that didn't change, beyond what the scatter of their rounds explains, on the log scale:
/// of controls of the same kind if there are at least [`CONTROLS_MIN`], or of the same figure, or of all; zero without any.
fn between_runs(kind: SavedKind, rows: &[SavedRow<'_>], corrected: &[Corrected]) -> f64 {
    let controls = |of: &dyn Fn(SavedKind) -> bool| -> Vec<(f64, f64)> {
        let chosen = rows.iter().zip(corrected).filter(|(row, corrected)| {
            let tells = match row.role {
                Role::Question => false,
                Role::Control => true,
                // What limits make of each other across states is in the disagreement already.
                Role::Limit => !corrected.is_across_states,
            };
            tells && of(row.kind) && corrected.drift.is_some()
        });
        chosen
            .filter_map(|(_, corrected)| corrected.shift())
            .collect()
    };
    let own = controls(&|of| of == kind);
    if own.len() >= CONTROLS_MIN {
        return deviation_beyond(&own);
    }
    let of_figure = controls(&|of| of.figure == kind.figure);
    if of_figure.len() >= CONTROLS_MIN {
        return deviation_beyond(&of_figure);
    }
    deviation_beyond(&controls(&|_| true))
}

#[cfg(test)]
mod tests;
