//! Runs of one build, of builds that differ, and of machines that change their speed.

use super::super::simulated::normal;
use super::super::verdict::Verdict;
use super::*;

type Times = Vec<(u32, f64)>;

fn kind(waiting: Waiting) -> SavedKind {
    SavedKind {
        waiting,
        figure: Figure::Stream,
    }
}

fn times(rounds: u32, time: impl Fn(u32) -> f64) -> Times {
    (1..=rounds).map(|round| (round, time(round))).collect()
}

fn row<'a>(role: Role, before: &'a Times, after: &'a Times) -> SavedRow<'a> {
    SavedRow {
        kind: kind(Waiting::Spins),
        role,
        before,
        after,
    }
}

fn verdict(answer: Option<SavedAnswer>) -> Verdict {
    answer.expect("no limit").comparison.verdict
}

fn assert_close(left: f64, right: f64) {
    assert!((left - right).abs() < 1e-6, "{left} {right}");
}

#[test]
fn drift_cancels_and_what_is_left_is_the_ratio() {
    let limit = |slow: f64| times(8, |_| slow * 5.0);
    let own = |slow: f64| times(8, |round| slow * (10.0 + f64::from(round)));
    let (fast, slow) = ((own(1.0), limit(1.0)), (own(3.5), limit(3.5)));
    let question = row(Role::Question, &fast.0, &slow.0);
    let limit = row(Role::Limit, &fast.1, &slow.1);
    let with = compare_saves(&[question, limit], &[], 1);
    let answer = with[0].expect("a question");
    assert_close(answer.comparison.ratio.expect("rounds"), 1.0);
    assert_close(answer.drift.expect("a limit"), 3.5);
    assert_eq!(with[1], None);
    let without = compare_saves(&[question], &[], 1)[0].expect("a question");
    assert!(without.comparison.ratio.is_some_and(|ratio| ratio > 3.0));
    assert_eq!(without.drift, None);
}

#[test]
fn what_sleeps_has_no_drift_from_what_spins() {
    let (before, after) = (times(8, |_| 10.0), times(8, |_| 20.0));
    let sleeping = SavedRow {
        kind: kind(Waiting::Sleeps),
        ..row(Role::Question, &before, &after)
    };
    let limit = row(Role::Limit, &before, &after);
    assert_eq!(
        compare_saves(&[sleeping, limit], &[], 1)[0].and_then(|a| a.drift),
        None
    );
}

#[test]
fn what_may_spin_or_sleep_has_to_differ_by_the_anchors_of_either() {
    let (before, after) = (times(11, |_| 10.0), times(11, |_| 35.0));
    let [fast, slow] = [times(11, |_| 5.0), times(11, |_| 17.5)];
    let sleeps = kind(Waiting::Sleeps);
    let question = SavedRow {
        kind: sleeps,
        ..row(Role::Question, &before, &after)
    };
    let futex = SavedRow {
        kind: sleeps,
        ..row(Role::Limit, &fast, &fast)
    };
    let alone = compare_saves(&[question, futex], &[], 1)[0];
    assert_eq!(verdict(alone), Verdict::Slower);
    let line = row(Role::Limit, &fast, &slow);
    let answer = compare_saves(&[question, futex, line], &[], 1)[0];
    assert_eq!(verdict(answer), Verdict::NoDetectableDifference);
}

#[test]
fn controls_that_moved_apart_raise_the_floor_and_those_that_stood_still_do_not() {
    let before = times(11, |_| 100.0);
    let after = times(11, |_| 160.0);
    let control = |index: usize, apart: f64| {
        let to = if index.is_multiple_of(2) {
            apart
        } else {
            1.0 / apart
        };
        times(11, |_| 100.0 * to)
    };
    let answer = |apart: f64| {
        let controls: Vec<Times> = (0..12).map(|index| control(index, apart)).collect();
        let mut rows = vec![row(Role::Question, &before, &after)];
        rows.extend(
            controls
                .iter()
                .map(|after| row(Role::Control, &before, after)),
        );
        compare_saves(&rows, &[], 1)[0]
    };
    assert_eq!(verdict(answer(1.01)), Verdict::Slower);
    assert_eq!(verdict(answer(1.3)), Verdict::NoDetectableDifference);
}

#[test]
fn equal_entries_that_differ_raise_the_floor_and_a_disturbed_round_of_them_does_not() {
    let before = times(11, |_| 100.0);
    let after = times(11, |_| 150.0);
    let answer = |again: &Times| {
        let twins = SavedTwins {
            kind: kind(Waiting::Spins),
            first: &before,
            again,
        };
        compare_saves(&[row(Role::Question, &before, &after)], &[twins], 1)[0]
    };
    let disturbed = times(11, |round| if round % 4 == 0 { 900.0 } else { 101.0 });
    assert_eq!(verdict(answer(&disturbed)), Verdict::Slower);
    let different = times(11, |_| 155.0);
    assert_eq!(verdict(answer(&different)), Verdict::NoDetectableDifference);
}

#[test]
fn many_rounds_do_not_make_a_shift_within_the_scatter_of_one_run_a_difference() {
    let mut random = fastrand::Rng::with_seed(43);
    let mut noisy = |shift: f64| -> Times {
        let noise = (0..40).map(|_| 100.0 * (shift + 0.1 * normal(&mut random)).exp());
        (1..).zip(noise).collect()
    };
    let (before, after, far) = (noisy(0.0), noisy(0.07), noisy(0.3));
    let answer = |after| compare_saves(&[row(Role::Question, &before, after)], &[], 1)[0];
    assert!(answer(&after).is_some_and(|a| a.comparison.p_adjusted < 0.05));
    assert_eq!(verdict(answer(&after)), Verdict::NoDetectableDifference);
    assert_eq!(verdict(answer(&far)), Verdict::Slower);
}

#[test]
fn a_round_that_was_measured_twice_counts_twice() {
    let mut before = times(10, |_| 10.0);
    before.push((10, 10.0));
    let after = times(12, |_| 20.0);
    let answer = compare_saves(&[row(Role::Question, &before, &after)], &[], 1)[0];
    assert_eq!(answer.map(|answer| answer.comparison.rounds), Some(11));
}
