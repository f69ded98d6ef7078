//! Compares two reports.

use globset::GlobMatcher;

use super::document::{ComparedFigure, ComparedRuns, LimitDrift, Run};
use super::rows::{FIGURES, Pair, Pairs, Series, own_windows, series, twins};
use super::{circumstances, saturation, sentences};
use crate::report::document::{Figures, Report};
use crate::stats::median;
use crate::stats::noise::Waiting;
use crate::stats::saves::{
    Figure, Role, SavedAnswer, SavedKind, SavedRow, SavedTwins, compare_saves,
};
use crate::transport::registry::is_of_kernel;
use crate::transport::{Class, WaitMode};

/// A report and where it came from.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// A file, or `this run`.
    pub name: &'a str,
    /// What it holds.
    pub report: &'a Report,
}

/// Which rows can't have changed between two runs.
#[derive(Debug, Clone, Default)]
pub struct Controls(pub(super) Vec<GlobMatcher>);

impl Controls {
    /// What a row is there for. Where the user names no controls they are the kernel's mechanisms, between runs on one machine under one kernel with
    /// the same faults planted: these are in the sends of all but the limits.
    fn role(&self, row: &Figures, is_same_system: bool) -> Role {
        let name = format!("{}/{}", row.contender, row.wait);
        let is_control = match self.0.as_slice() {
            [] => is_same_system && is_of_kernel(&name),
            patterns => patterns.iter().any(|pattern| names(pattern, row)),
        };
        match row.class {
            Class::Limit => Role::Limit,
            _ if is_control => Role::Control,
            _ => Role::Question,
        }
    }

    /// The first pattern that names no row of the report.
    pub(super) fn idle(&self, report: &Report) -> Option<String> {
        let is_idle =
            |pattern: &&GlobMatcher| !report.results.iter().any(|row| names(pattern, row));
        let idle = self.0.iter().find(is_idle)?;
        Some(idle.glob().glob().to_owned())
    }
}

/// Whether a pattern matches the bare or the full name of a row.
fn names(pattern: &GlobMatcher, row: &Figures) -> bool {
    let full = format!("{}/{}", row.contender, row.wait);
    pattern.is_match(&row.contender) || pattern.is_match(full)
}

/// A figure of a row, before anything is said of it.
struct Asked<'a> {
    pair: &'a Pair<'a>,
    figure: Figure,
    role: Role,
    before: Series,
    after: Series,
}

impl Asked<'_> {
    fn kind(&self) -> SavedKind {
        kind(self.pair.before.wait, self.figure)
    }

    fn medians(&self) -> Option<(f64, f64)> {
        Some((middle(&self.before)?, middle(&self.after)?))
    }
}

fn kind(wait: WaitMode, figure: Figure) -> SavedKind {
    SavedKind {
        waiting: Waiting::from(wait),
        figure,
    }
}

fn middle(series: &Series) -> Option<f64> {
    median(&series.iter().map(|&(_, time)| time).collect::<Vec<_>>())
}

/// Compares the second run with the first.
///
/// # Errors
/// One sentence when there is nothing to compare.
pub fn compare_runs(
    before: Named<'_>,
    after: Named<'_>,
    controls: &Controls,
) -> Result<ComparedRuns, String> {
    circumstances::check_messages(before, after)?;
    let pairs = Pairs::of(before.report, after.report);
    let is_same_system = circumstances::is_same_system(before.report, after.report);
    let asked: Vec<Asked<'_>> = pairs
        .pairs
        .iter()
        .flat_map(|pair| {
            let role = controls.role(pair.before, is_same_system);
            figures_of(pair, role)
        })
        .collect();
    let saturated = saturation::saturated_rows(before.report, after.report, |row| {
        controls.role(row, is_same_system)
    });
    if asked.is_empty() && saturated.is_empty() {
        return Err(format!(
            "{} and {} have no figure in common; compare runs of the same contenders, sizes and commands",
            before.name, after.name
        ));
    }
    let answers = answer(&asked, &[before.report, after.report]);
    let figures = asked.iter().zip(&answers).filter_map(|(asked, answer)| {
        let (before_ns, after_ns) = asked.medians()?;
        let answer = answer.as_ref()?;
        Some(ComparedFigure {
            place: asked.pair.place.clone(),
            figure: asked.figure,
            role: asked.role,
            before_ns,
            after_ns,
            drift: answer.drift,
            states: answer.states,
            comparison: answer.comparison,
        })
    });
    let mut runs = ComparedRuns {
        before: run(before),
        after: run(after),
        summary: Vec::new(),
        warnings: circumstances::warnings(before, after),
        drift: asked.iter().filter_map(drift_of).collect(),
        alone: pairs.alone,
        forbidden: Vec::new(),
        undetectable: Vec::new(),
        saturated,
        figures: figures.collect(),
    };
    runs.warnings.extend(sentences::doubts(&runs));
    runs.summary = sentences::summary(&runs);
    Ok(runs)
}

/// What is asked of a row. Of a limit it is the one figure that it is there for.
fn figures_of<'a>(pair: &'a Pair<'a>, role: Role) -> impl Iterator<Item = Asked<'a>> {
    let asked = FIGURES.into_iter().filter_map(move |figure| {
        let (before, after) = pair.series(figure)?;
        Some(Asked {
            pair,
            figure,
            role,
            before,
            after,
        })
    });
    asked.take(if role == Role::Limit {
        1
    } else {
        FIGURES.len()
    })
}

fn answer(asked: &[Asked<'_>], reports: &[&Report; 2]) -> Vec<Option<SavedAnswer>> {
    let rows: Vec<SavedRow<'_>> = asked
        .iter()
        .map(|asked| SavedRow {
            kind: asked.kind(),
            role: asked.role,
            before: &asked.before,
            after: &asked.after,
        })
        .collect();
    let twins: Vec<(SavedKind, Series, Series)> = reports
        .iter()
        .flat_map(|report| twins(report))
        .flat_map(|(first, again)| {
            FIGURES.into_iter().filter_map(move |figure| {
                let windows = own_windows(first, again, figure)?;
                let of = |row| series(row, figure, windows);
                Some((kind(first.wait, figure), of(first)?, of(again)?))
            })
        })
        .collect();
    let twins: Vec<SavedTwins<'_>> = twins
        .iter()
        .map(|(kind, first, again)| SavedTwins {
            kind: *kind,
            first,
            again,
        })
        .collect();
    // The same files give the same answers.
    let seed = reports[0].settings.seed ^ reports[1].settings.seed;
    compare_saves(&rows, &twins, seed)
}

fn drift_of(asked: &Asked<'_>) -> Option<LimitDrift> {
    let (before_ns, after_ns) = asked.medians()?;
    (asked.role == Role::Limit && before_ns > 0.0).then(|| LimitDrift {
        place: asked.pair.place.clone(),
        figure: asked.figure,
        before_ns,
        after_ns,
        ratio: after_ns / before_ns,
    })
}

fn run(of: Named<'_>) -> Run {
    let report = of.report;
    Run {
        name: of.name.to_owned(),
        command: report.command.clone(),
        began_unix_s: report.began_unix_s,
        harness_version: report.environment.harness_version.clone(),
        kernel: report.environment.kernel.clone(),
        rounds_completed: report.settings.rounds_completed,
        incomplete: report.incomplete,
    }
}
