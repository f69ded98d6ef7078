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
//! 3. how far rows that can't have changed did move ([`SavedRow::control`]): three times the robust standard deviation of
//!    their shifts, around none, so that nearly all such rows lie inside. It is the only figure that sees between the runs. Up to
//!    half of the controls may have changed after all before it grows. Controls of the row's own [`Kind`] count if there are
//!    at least [`CONTROLS_MIN`], or else all of them.

use super::noise::Kind;
use super::rounds::values;
use super::stickiness::{deviation_around, robust_deviation};
use super::verdict::{Comparison, Evidence, conclude, ln_ratios, lns};

/// So many controls are enough for a figure of their own.
pub const CONTROLS_MIN: usize = 3;

/// So many standard deviations hold all but three in a thousand of a normal distribution. Two would hold 95 of 100 rows in the mean,
/// and fewer in every other pair of runs.
const REACH: f64 = 3.0;

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

/// How far a row of this kind can move between the two runs without having changed, on the log scale; zero without any control.
fn between_runs(kind: Kind, rows: &[Corrected]) -> f64 {
    let shifts = |of_kind: bool| -> Vec<f64> {
        let chosen = rows.iter().filter(|row| !of_kind || row.kind == kind);
        chosen.filter_map(|row| row.control_shift).collect()
    };
    let own = shifts(true);
    if own.len() >= CONTROLS_MIN {
        return REACH * deviation_around(&own, 0.0);
    }
    REACH * deviation_around(&shifts(false), 0.0)
}

#[cfg(test)]
mod tests {
    use super::super::noise::{Figure, Waiting};
    use super::super::simulated::{Draw, heavy, is_difference, normal};
    use super::super::verdict::Verdict;
    use super::*;

    const ROUNDS: u32 = 10;

    /// So many rows of the hundred are the kernel's mechanisms.
    const CONTROLS: usize = 30;

    type Times = Vec<(u32, f64)>;

    /// What a row has in every run.
    #[derive(Clone, Copy)]
    struct Truth {
        time_ns: f64,
        /// How much slower the machine's slow state makes it.
        slowdown: f64,
        noise: Draw,
    }

    /// The rows, and after them the limit.
    fn truths(random: &mut fastrand::Rng) -> Vec<Truth> {
        let mut truth = |index| Truth {
            time_ns: (3.0 + 7.0 * random.f64()).exp(),
            slowdown: 3.5 * (0.05 * normal(random)).exp(),
            noise: if index % 3 == 0 { heavy } else { normal },
        };
        (0..=100).map(&mut truth).collect()
    }

    /// The machine during one round.
    struct State {
        slow_at_first: bool,
        /// From which row on it is in the other state.
        turn: usize,
    }

    impl State {
        fn is_slow(&self, row: usize) -> bool {
            (row >= self.turn) != self.slow_at_first
        }
    }

    fn states(random: &mut fastrand::Rng) -> Vec<State> {
        let mut slow = random.bool();
        let round = |_| {
            let slow_at_first = slow;
            let turns = random.f64() < 0.15;
            slow ^= turns;
            State {
                slow_at_first,
                turn: if turns {
                    random.usize(0..=100)
                } else {
                    usize::MAX
                },
            }
        };
        (0..ROUNDS).map(round).collect()
    }

    /// All rows of one run, each with 4 % of scatter over rounds and 6 % that the whole run shares.
    fn run(
        truths: &[Truth],
        added_ns: impl Fn(usize) -> f64,
        random: &mut fastrand::Rng,
    ) -> Vec<Times> {
        let states = states(random);
        let row = |(index, truth): (usize, &Truth)| {
            let shared = 0.06 * normal(random);
            let time = |(round, state): (usize, &State)| {
                let slowdown = if state.is_slow(index) {
                    truth.slowdown
                } else {
                    1.0
                };
                let scatter = (shared + 0.04 * (truth.noise)(random)).exp();
                let even = truth.time_ns + added_ns(index);
                (round as u32, even * slowdown * scatter)
            };
            states.iter().enumerate().map(time).collect()
        };
        truths.iter().enumerate().map(row).collect()
    }

    fn answers(before: &[Times], after: &[Times]) -> Vec<Comparison> {
        let kind = Kind {
            waiting: Waiting::Spins,
            figure: Figure::Stream,
        };
        let series = |run: &'_ [Times], index: usize| (run[index].clone(), run[100].clone());
        let rows: Vec<_> = (0..100)
            .map(|index| (series(before, index), series(after, index)))
            .collect();
        let rows: Vec<SavedRow<'_>> = rows
            .iter()
            .enumerate()
            .map(|(index, (before, after))| SavedRow {
                kind,
                before: SavedSeries {
                    times: &before.0,
                    limits: Some(&before.1),
                },
                after: SavedSeries {
                    times: &after.0,
                    limits: Some(&after.1),
                },
                floor: 0.03,
                control: index < CONTROLS,
            })
            .collect();
        compare_saves(&rows, 1)
    }

    #[test]
    fn two_saves_of_one_build_show_no_difference_in_95_of_100_rows_though_the_machine_changes() {
        let mut random = fastrand::Rng::with_seed(41);
        for repeat in 0..10 {
            let truths = truths(&mut random);
            let before = run(&truths, |_| 0.0, &mut random);
            let after = run(&truths, |_| 0.0, &mut random);
            let answers = answers(&before, &after);
            let quiet = |answer: &&Comparison| answer.verdict == Verdict::NoDetectableDifference;
            let quiet = answers.iter().filter(quiet).count();
            assert!(quiet >= 95, "{repeat}: {quiet}");
        }
    }

    #[test]
    fn two_hundred_nanoseconds_in_a_send_of_thirty_are_slower_though_the_machine_changes() {
        let mut random = fastrand::Rng::with_seed(42);
        for repeat in 0..10 {
            let mut truths = truths(&mut random);
            truths[CONTROLS..60]
                .iter_mut()
                .for_each(|truth| truth.time_ns = 30.0);
            let before = run(&truths, |_| 0.0, &mut random);
            let planted = |row: usize| {
                if (CONTROLS..60).contains(&row) {
                    200.0
                } else {
                    0.0
                }
            };
            let after = run(&truths, planted, &mut random);
            let answers = answers(&before, &after);
            let slower = |answer: &Comparison| answer.verdict == Verdict::Slower;
            assert!(
                answers[CONTROLS..60].iter().all(slower),
                "{repeat}: {:?}",
                &answers[CONTROLS..60]
            );
            let others = answers[..CONTROLS].iter().chain(&answers[60..]);
            let wrong = others.filter(|answer| is_difference(answer)).count();
            assert!(wrong <= 3, "{repeat}: {wrong}");
        }
    }

    #[test]
    fn drift_cancels_and_what_is_left_is_the_ratio() {
        let limit = |slow: f64| (0..8).map(|round| (round, slow * 5.0)).collect::<Times>();
        let times = |slow: f64| {
            (0..8)
                .map(|round| (round, slow * (10.0 + f64::from(round))))
                .collect::<Times>()
        };
        let kind = Kind {
            waiting: Waiting::Sleeps,
            figure: Figure::RoundTrip,
        };
        let (fast, slow) = ((times(1.0), limit(1.0)), (times(3.5), limit(3.5)));
        let row = |limits: bool| SavedRow {
            kind,
            before: SavedSeries {
                times: &fast.0,
                limits: limits.then_some(&fast.1),
            },
            after: SavedSeries {
                times: &slow.0,
                limits: limits.then_some(&slow.1),
            },
            floor: 0.05,
            control: false,
        };
        let ratio = |limits| compare_saves(&[row(limits)], 1)[0].ratio.expect("rounds");
        assert!((ratio(true) - 1.0).abs() < 1e-9);
        assert!((ratio(false) - 3.5).abs() < 0.3);
    }

    #[test]
    fn controls_that_moved_raise_the_floor_of_their_kind() {
        let kind = |waiting| Kind {
            waiting,
            figure: Figure::Stream,
        };
        let series: Vec<Times> = [100.0, 130.0]
            .map(|time| (0..10).map(|round| (round, time)).collect())
            .into();
        let saved = |index: usize| SavedSeries {
            times: &series[index],
            limits: None,
        };
        let row = |waiting, control: bool| SavedRow {
            kind: kind(waiting),
            before: saved(0),
            after: saved(1),
            floor: 0.05,
            control,
        };
        let spins = row(Waiting::Spins, false);
        let alone = compare_saves(&[spins], 1);
        assert_eq!(alone[0].verdict, Verdict::Slower);
        let mut still = row(Waiting::Spins, true);
        still.after = saved(0);
        let moved = row(Waiting::Sleeps, true);
        // Its own kind's controls stood still.
        let answers = compare_saves(&[spins, still, still, still, moved, moved, moved, moved], 1);
        assert_eq!(answers[0].verdict, Verdict::Slower);
        // Its own kind has too few, and the others moved.
        let answers = compare_saves(&[spins, still, moved, moved, moved, moved], 1);
        assert_eq!(answers[0].verdict, Verdict::NoDetectableDifference);
    }

    #[test]
    fn many_rounds_do_not_make_a_shift_within_the_scatter_of_one_run_a_difference() {
        let mut random = fastrand::Rng::with_seed(43);
        let mut times = |shift: f64| -> Times {
            let noise =
                (0..40).map(|round| (round, 100.0 * (shift + 0.1 * normal(&mut random)).exp()));
            noise.collect()
        };
        let (before, after, far) = (times(0.0), times(0.07), times(0.3));
        let saved = |times| SavedSeries {
            times,
            limits: None,
        };
        let answer = |after| {
            let row = SavedRow {
                kind: Kind {
                    waiting: Waiting::Spins,
                    figure: Figure::Stream,
                },
                before: saved(&before),
                after: saved(after),
                floor: 0.01,
                control: false,
            };
            compare_saves(&[row], 1)[0]
        };
        assert!(answer(&after).p_adjusted < 0.05);
        assert_eq!(answer(&after).verdict, Verdict::NoDetectableDifference);
        assert_eq!(answer(&far).verdict, Verdict::Slower);
    }
}
