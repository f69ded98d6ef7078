//! What a comparison comes to, in sentences made of its figures alone.

use super::document::{ComparedFigure, ComparedRuns};
use crate::report::numbers::{counted, ratio};
use crate::stats::Verdict;
use crate::stats::noise::Waiting;
use crate::stats::randomization::least_rank_sum;
use crate::stats::saves::Role;
use crate::stats::verdict::SIGNIFICANCE;

/// So many figures are named; the table has all of them.
const NAMED_MAX: usize = 8;

/// The verdicts, in the order in which they are told.
const VERDICTS: [Verdict; 4] = [
    Verdict::NoDetectableDifference,
    Verdict::Slower,
    Verdict::Faster,
    Verdict::TooFewRounds,
];

/// What it comes to: a sentence about the figures in question, one about the controls, and what is saturated.
pub(super) fn summary(runs: &ComparedRuns) -> Vec<String> {
    let mut sentences = vec![match runs.of_role(Role::Question).count() {
        0 if runs.figures.is_empty() => "The runs have no figure in common.".to_owned(),
        0 => {
            "Every figure that both runs have is a control or a limit, so nothing was in question."
                .to_owned()
        }
        all => counts(runs, Role::Question, &counted(all, "figure")),
    }];
    let controls = runs.of_role(Role::Control).count();
    if controls > 0 {
        let what = format!(
            "{} of controls, which can't have changed",
            counted(controls, "figure")
        );
        sentences.push(counts(runs, Role::Control, &what));
    }
    sentences.extend(runs.saturation());
    sentences
}

/// As in `97 of 100 figures: no detectable difference; 3 slower: …`.
fn counts(runs: &ComparedRuns, role: Role, all: &str) -> String {
    let parts = VERDICTS.into_iter().filter_map(|verdict| {
        let of: Vec<&ComparedFigure> = runs.with(role, verdict).collect();
        if of.is_empty() {
            return None;
        }
        let names = match verdict {
            Verdict::Slower | Verdict::Faster => format!(": {}", named(&of)),
            _ => String::new(),
        };
        Some((of.len(), verdict, names))
    });
    let mut text = String::new();
    for (count, verdict, names) in parts {
        let part = if text.is_empty() {
            let sign = if names.is_empty() { ": " } else { " " };
            format!("{count} of {all}{sign}{verdict}{names}")
        } else {
            format!("; {count} {verdict}{names}")
        };
        text.push_str(&part);
    }
    text + "."
}

/// The names, those that differ most first.
fn named(figures: &[&ComparedFigure]) -> String {
    let mut by_size = figures.to_vec();
    by_size.sort_by(|left, right| right.distance().total_cmp(&left.distance()));
    let farthest = by_size.iter().take(NAMED_MAX);
    let mut names: Vec<String> = farthest
        .map(|one| format!("{} ({})", one.name(), ratio(one.comparison.ratio)))
        .collect();
    if by_size.len() > NAMED_MAX {
        names.push(format!("and {} more", by_size.len() - NAMED_MAX));
    }
    names.join(", ")
}

/// Why the verdicts may be less than they seem.
pub(super) fn doubts(runs: &ComparedRuns) -> Vec<String> {
    let mut doubts = Vec::new();
    for (waiting, what, limit) in [
        (
            Waiting::Spins,
            "spin",
            "limit-line and limit-memcpy, or mmap-file,",
        ),
        (Waiting::Sleeps, "sleep", "limit-futex, or pipe,"),
    ] {
        let is_it = |one: &&ComparedFigure| Waiting::from(one.place.wait) == waiting;
        let mut of_kind = runs.figures.iter().filter(is_it);
        if of_kind.any(|one| one.drift.is_none()) {
            doubts.push(format!(
                "nothing in both runs tells how fast the machine was for rows that {what}, so that its drift can't be told apart from a difference; measure {limit} as well"
            ));
        }
    }
    let controls = runs.of_role(Role::Control).count();
    if controls == 0 && runs.drift.len() < 2 && !runs.figures.is_empty() {
        doubts.push(
            "no row is certain to be unchanged, so that the floors know of the scatter within the runs alone; measure mechanisms of the kernel \
             as well, or name controls with --controls"
                .to_owned(),
        );
    }
    let moved = [Verdict::Slower, Verdict::Faster]
        .map(|verdict| runs.with(Role::Control, verdict).count())
        .iter()
        .sum::<usize>();
    if moved > 0 && 20 * moved > controls {
        doubts.push(format!(
            "{moved} of {} differ, which can't have changed: what differs as little may be the machine as well; measure both runs again",
            counted(controls, "figure") + " of controls"
        ));
    }
    doubts.extend(too_few(runs));
    doubts
}

/// How many rounds would do.
fn too_few(runs: &ComparedRuns) -> Option<String> {
    const ROUNDS_MAX: usize = 40;
    let too_few = runs.with(Role::Question, Verdict::TooFewRounds).count();
    if too_few == 0 {
        return None;
    }
    let asked = runs.of_role(Role::Question).count();
    let enough = (1..=ROUNDS_MAX)
        .find(|&rounds| asked as f64 * least_rank_sum(rounds, rounds) < SIGNIFICANCE);
    let remedy = match enough {
        Some(rounds) => format!("measure {rounds} rounds in both runs, or fewer contenders"),
        None => "measure fewer contenders".to_owned(),
    };
    Some(format!(
        "{} of {} and {} of {} are too few for {} in question: not even the clearest difference could be told from chance in {too_few} of them; {remedy}",
        counted(runs.before.rounds_completed as usize, "round"),
        runs.before.name,
        counted(runs.after.rounds_completed as usize, "round"),
        runs.after.name,
        counted(asked, "figure")
    ))
}
