//! Comparing two runs that were saved.
//!
//! Between two runs lies what interleaving takes care of within one: the machine may have been in another state, such as a
//! neighbour's load or a clock frequency that slows everything by a factor. So three things differ from a comparison within a run.
//!
//! **Drift is divided out.** Each time is divided by that of a limit of the hardware (`limit-memcpy` or `limit-line` for what
//! spins, `limit-futex` for what sleeps) from the same round of the same run. A state that slows both by one factor cancels,
//! and it doesn't matter which rounds it covered. Rounds in which the state changed between the two stay, as outliers.
//!
//! **The rounds aren't paired.** Round 3 of one run has nothing in common with round 3 of the other. So the test is one of ranks,
//! with the shift between the runs as its estimate: a few outliers move neither.
//!
//! **The floor has to come from more than the A/A pairs.** All rounds of a run share what the run has: where memory was placed, how
//! the state slows this row other than its limit. Rounds can't show that by differing, so the test would take it for a
//! difference between the builds. The floor is the largest of three figures from the data:
//!
//! 1. the guards of the A/A pairs of both runs, the larger one ([`SavedRow::floor`]);
//! 2. the robust standard deviation of the row's corrected times over rounds (1.4826 times their median distance from their
//!    median, which is the standard deviation of a normal distribution), of the run where it is larger. Unlike an
//!    interval it doesn't shrink with the number of rounds, as what a run shares doesn't average out either;
//! 3. how far rows that can't have changed did move ([`SavedRow::control`]): twice the robust standard deviation of their
//!    shifts, around none, so that about 95 of 100 such rows lie inside. It is the only figure that sees between the runs. Up to
//!    half of the controls may have changed after all before it grows. Controls of the row's own [`Kind`] count if there are
//!    at least [`CONTROLS_MIN`], or else all of them.

use super::noise::Kind;
use super::verdict::{Comparison, Evidence, conclude, ln_ratios, lns};
use super::{median, rounds::values};

/// So many controls are enough for a figure of their own.
pub const CONTROLS_MIN: usize = 3;

/// What makes the median distance from the median the standard deviation of a normal distribution.
const NORMAL_CONSISTENCY: f64 = 1.4826;

/// So many standard deviations hold 95 % of a normal distribution.
const REACH: f64 = 2.0;

/// One row of one run.
#[derive(Clone, Copy, Debug)]
pub struct SavedSeries<'a> {
    /// The times, each with its round.
    pub times: &'a [(u32, f64)],
    /// The times of the limit that drifts like the row, in the same run. Rounds without it are left out. None takes the
    /// times as they are, and any drift with them.
    pub limits: Option<&'a [(u32, f64)]>,
}

impl SavedSeries<'_> {
    fn corrected_lns(&self) -> Vec<f64> {
        match self.limits {
            Some(limits) => ln_ratios(self.times, limits),
            None => lns(&values(self.times)),
        }
    }
}

/// A row that both runs have.
#[derive(Clone, Copy, Debug)]
pub struct SavedRow<'a> {
    /// What it is noisy like.
    pub kind: Kind,
    /// The row of the run that is compared with.
    pub before: SavedSeries<'a>,
    /// The row of the run in question: if its times are longer, the ratio is above one.
    pub after: SavedSeries<'a>,
    /// The larger guard of both runs' A/A pairs, as a share: see [`guard_of`](super::noise::guard_of).
    pub floor: f64,
    /// Whether it is certain that nothing changed: for builds of a ring, the kernel's mechanisms, or one limit by another.
    pub control: bool,
}

/// Answers for all rows that a reader sees together, in their order. Chance draws, where there are too many rounds for exactness,
/// come from `seed`.
pub fn compare_saves(rows: &[SavedRow<'_>], seed: u64) -> Vec<Comparison> {
    let corrected: Vec<Corrected> = rows.iter().map(Corrected::of).collect();
    let evidence = corrected.iter().map(|row| {
        let moved = between_runs(row.kind, &corrected);
        let ln_floor = row.floor.ln_1p().max(row.spread).max(moved);
        Evidence::unpaired(&row.after, &row.before, ln_floor.exp_m1(), seed)
    });
    conclude(&evidence.collect::<Vec<_>>())
}

/// A row without the drift, as logarithms.
struct Corrected {
    kind: Kind,
    before: Vec<f64>,
    after: Vec<f64>,
    floor: f64,
    spread: f64,
    /// How far the row moved, if it shouldn't have.
    control_shift: Option<f64>,
}

impl Corrected {
    fn of(row: &SavedRow<'_>) -> Self {
        let (before, after) = (row.before.corrected_lns(), row.after.corrected_lns());
        let shift = super::interval::shift(&after, &before).map(|(shift, _)| shift);
        Self {
            kind: row.kind,
            floor: row.floor,
            spread: robust_deviation(&before).max(robust_deviation(&after)),
            control_shift: shift.filter(|_| row.control),
            before,
            after,
        }
    }
}

/// The robust standard deviation; zero of nothing.
fn robust_deviation(values: &[f64]) -> f64 {
    let center = median(values).unwrap_or(0.0);
    around(values, center)
}

fn around(values: &[f64], center: f64) -> f64 {
    let distances: Vec<f64> = values.iter().map(|value| (value - center).abs()).collect();
    NORMAL_CONSISTENCY * median(&distances).unwrap_or(0.0)
}

/// How far a row of this kind can move between the two runs without having changed, on the log scale; zero without any control.
fn between_runs(kind: Kind, rows: &[Corrected]) -> f64 {
    let shifts = |of_kind: bool| -> Vec<f64> {
        let chosen = rows.iter().filter(|row| !of_kind || row.kind == kind);
        chosen.filter_map(|row| row.control_shift).collect()
    };
    let own = shifts(true);
    if own.len() >= CONTROLS_MIN {
        return REACH * around(&own, 0.0);
    }
    REACH * around(&shifts(false), 0.0)
}
