//! Pairs of runs on a machine that changes its speed by itself and is disturbed by others, and what is said of their differences.

use super::noise::Waiting;
use super::saves::{Figure, Role, SavedAnswer, SavedKind, SavedRow, SavedTwins, compare_saves};
use super::simulated::{Draw, heavy, is_difference, normal};
use super::verdict::Verdict;

type Times = Vec<(u32, f64)>;

/// What is measured in a run, in this order: the limits, the kernel's mechanisms, and the rows in question; the last two of them
/// are the first two entered again.
const LIMITS: usize = 3;
const CONTROLS: usize = 20;
const QUESTIONS: usize = 77;
const ROWS: usize = LIMITS + CONTROLS + QUESTIONS;
const TWINS: usize = 2;

/// How a machine is.
#[derive(Clone, Copy)]
struct Machine {
    rounds: u32,
    /// In which share of the rounds the speed changes.
    turns: f64,
    /// How much slower the slow state is, for those that spin and those that sleep.
    slowdown: [f64; 2],
    /// In which share of a row's rounds another process is in the way.
    disturbed: f64,
    /// How far rounds scatter.
    scatter: f64,
    /// How far runs of the same row scatter.
    between: f64,
    /// Whether the slow state slows each row by a factor of its own, from none to the one above, and one limit not at all.
    is_ragged: bool,
}

const QUIET: Machine = Machine {
    rounds: 11,
    turns: 0.0,
    slowdown: [1.0; 2],
    disturbed: 0.02,
    scatter: 0.02,
    between: 0.03,
    is_ragged: false,
};
const CHANGING: Machine = Machine {
    turns: 0.15,
    slowdown: [3.5, 3.5],
    disturbed: 0.02,
    scatter: 0.04,
    between: 0.05,
    ..QUIET
};
const UNEVEN: Machine = Machine {
    slowdown: [3.5, 1.3],
    ..CHANGING
};
/// Cores are sometimes far apart: what crosses between them is slowed, and what copies isn't.
const RAGGED: Machine = Machine {
    turns: 0.3,
    is_ragged: true,
    ..CHANGING
};
/// The same, and no state is left during a run.
const APART: Machine = Machine {
    turns: 0.0,
    ..RAGGED
};
const DISTURBED: Machine = Machine {
    disturbed: 0.1,
    ..CHANGING
};

/// What a row has in every run.
#[derive(Clone, Copy)]
struct Truth {
    waiting: Waiting,
    role: Role,
    time_ns: f64,
    slowdown: f64,
    noise: Draw,
}

fn truths(machine: Machine, random: &mut fastrand::Rng) -> Vec<Truth> {
    let truth = |index: usize, random: &mut fastrand::Rng| {
        let role = match index {
            0..LIMITS => Role::Limit,
            _ if index < LIMITS + CONTROLS => Role::Control,
            _ => Role::Question,
        };
        // Few of the kernel's mechanisms spin, and one of three limits sleeps.
        let spins = match role {
            Role::Limit => index > 0,
            Role::Control => index == LIMITS,
            Role::Question => index.is_multiple_of(3),
        };
        // What may sleep, and hardly does, is slowed like what spins.
        let follows_spinning = spins || (role == Role::Question && index % 3 == 1);
        let slowdown = machine.slowdown[usize::from(!follows_spinning)];
        Truth {
            waiting: if spins {
                Waiting::Spins
            } else {
                Waiting::Sleeps
            },
            role,
            time_ns: (3.0 + 7.0 * random.f64()).exp(),
            slowdown: match (machine.is_ragged, role) {
                (false, _) => slowdown.powf(1.0 + 0.03 * normal(random)),
                (true, Role::Limit) if index < LIMITS - 1 => 1.0,
                (true, Role::Limit) => slowdown,
                (true, _) => slowdown.powf(random.f64()),
            },
            noise: if index.is_multiple_of(3) {
                heavy
            } else {
                normal
            },
        }
    };
    (0..ROWS).map(|index| truth(index, random)).collect()
}

/// All rows of one run, and the twins.
fn run(
    machine: Machine,
    truths: &[Truth],
    added_ns: impl Fn(usize) -> f64,
    random: &mut fastrand::Rng,
) -> Vec<Times> {
    let mut is_slow = random.bool();
    let shared: Vec<f64> = truths
        .iter()
        .map(|_| machine.between * normal(random))
        .collect();
    let mut times = vec![Times::new(); ROWS + TWINS];
    for round in 1..=machine.rounds {
        let turn = if random.f64() < machine.turns {
            random.usize(0..ROWS)
        } else {
            usize::MAX
        };
        let mut order: Vec<usize> = (0..ROWS + TWINS).collect();
        random.shuffle(&mut order);
        for (place, index) in order.into_iter().enumerate() {
            if place == turn {
                is_slow = !is_slow;
            }
            let truth_index = if index < ROWS {
                index
            } else {
                ROWS - 1 - (index - ROWS)
            };
            let truth = &truths[truth_index];
            let slowdown = if is_slow { truth.slowdown } else { 1.0 };
            let scatter = shared[truth_index] + machine.scatter * (truth.noise)(random);
            let disturbed = if random.f64() < machine.disturbed {
                1.0 + 7.0 * random.f64()
            } else {
                1.0
            };
            let even = truth.time_ns + added_ns(truth_index);
            times[index].push((round, even * slowdown * scatter.exp() * disturbed));
        }
    }
    times
}

fn answers(truths: &[Truth], before: &[Times], after: &[Times]) -> Vec<Option<SavedAnswer>> {
    let kind = |truth: &Truth| SavedKind {
        waiting: truth.waiting,
        figure: Figure::Stream,
    };
    let rows: Vec<SavedRow<'_>> = (0..ROWS)
        .map(|index| SavedRow {
            kind: kind(&truths[index]),
            role: truths[index].role,
            before: &before[index],
            after: &after[index],
        })
        .collect();
    let twins: Vec<SavedTwins<'_>> = [before, after]
        .into_iter()
        .flat_map(|run| (0..TWINS).map(move |twin| (run, twin)))
        .map(|(run, twin)| SavedTwins {
            kind: kind(&truths[ROWS - 1 - twin]),
            first: &run[ROWS - 1 - twin],
            again: &run[ROWS + twin],
        })
        .collect();
    compare_saves(&rows, &twins, 1)
}

fn is_wrong(answer: Option<SavedAnswer>) -> bool {
    answer.is_some_and(|answer| is_difference(&answer.comparison))
}

#[test]
fn two_saves_of_one_build_show_no_difference_in_95_of_100_rows_whatever_the_machine_does() {
    let mut random = fastrand::Rng::with_seed(41);
    for (name, machine) in [
        ("quiet", QUIET),
        ("changing", CHANGING),
        ("uneven", UNEVEN),
        ("disturbed", DISTURBED),
        ("ragged", RAGGED),
        ("apart", APART),
    ] {
        for repeat in 0..3 {
            let truths = truths(machine, &mut random);
            let before = run(machine, &truths, |_| 0.0, &mut random);
            let after = run(machine, &truths, |_| 0.0, &mut random);
            let answers = answers(&truths, &before, &after);
            let wrong = answers.iter().filter(|answer| is_wrong(**answer)).count();
            assert!(wrong <= 5, "{name} {repeat}: {wrong}");
        }
    }
}

/// In which share of the rows, over some pairs of runs, two hundred nanoseconds more than thirty are called slower; and how many of the rows that
/// stayed as they were are called different, at most.
fn seen(machine: Machine, slowed: usize, random: &mut fastrand::Rng) -> (f64, usize) {
    const PAIRS: usize = 2;
    let planted = ROWS - TWINS - slowed..ROWS - TWINS;
    let (mut found, mut wrong_max) = (0, 0);
    for _ in 0..PAIRS {
        let mut truths = truths(machine, random);
        for truth in &mut truths[planted.clone()] {
            truth.time_ns = 30.0;
        }
        let before = run(machine, &truths, |_| 0.0, random);
        let added = |row: usize| if planted.contains(&row) { 200.0 } else { 0.0 };
        let after = run(machine, &truths, added, random);
        let answers = answers(&truths, &before, &after);
        let is_slower = |answer: &&Option<SavedAnswer>| {
            answer.is_some_and(|answer| answer.comparison.verdict == Verdict::Slower)
        };
        found += answers[planted.clone()].iter().filter(is_slower).count();
        let others = answers[..planted.start]
            .iter()
            .chain(&answers[planted.end..]);
        wrong_max = wrong_max.max(others.filter(|answer| is_wrong(**answer)).count());
    }
    (found as f64 / (slowed * PAIRS) as f64, wrong_max)
}

#[test]
fn two_hundred_nanoseconds_in_a_send_of_thirty_are_slower() {
    let mut random = fastrand::Rng::with_seed(42);
    for (name, machine, slowed, least) in [
        ("quiet, one row", QUIET, 1, 1.0),
        ("quiet", QUIET, 60, 0.99),
        ("changing", CHANGING, 60, 0.95),
        ("uneven", UNEVEN, 60, 0.9),
        ("disturbed", DISTURBED, 60, 0.9),
        ("ragged", RAGGED, 60, 0.9),
    ] {
        let (share, wrong) = seen(machine, slowed, &mut random);
        assert!(share >= least && wrong <= 3, "{name}: {share} {wrong}");
    }
}
