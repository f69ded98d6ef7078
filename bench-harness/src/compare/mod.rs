//! Comparing saved runs: what became faster or slower between two builds, beyond chance, noise and the machine's drift.
//!
//! `docs/comparing.md` tells how to measure for it; [`stats::saves`](crate::stats::saves) has the mathematics.

mod args;
mod baseline;
mod circumstances;
pub mod document;
pub mod gate;
pub mod make;
pub mod rows;
mod saturation;
mod sentences;
mod sheets;
mod show;

pub use args::{BaselineArgs, CompareArgs};
pub use baseline::Baseline;

use std::io::{self, IsTerminal, Write};

use crate::cli::Output;
use crate::notice;
use crate::report::document::Report;
use crate::report::html::comparison_page;
use crate::report::printable::printable;
use crate::report::saved;
use crate::report::terminal::Layout;
use document::{ComparedFigure, ComparedRuns, Document, SCHEMA};
use gate::Gate;
use make::{Controls, Named, compare_runs};

/// Why nothing came of a comparison.
#[derive(Debug, PartialEq, Eq)]
pub enum CompareError {
    /// The user asked for something that can't be.
    Usage(String),
    /// A file can't be read, or the output not written.
    File(String),
}

/// Runs `compare`. Whether a figure is worse than `--fail-if` allows.
///
/// # Errors
/// One sentence with the value and the remedy.
pub fn main(args: &CompareArgs) -> Result<bool, CompareError> {
    let mut reports = Vec::new();
    for file in &args.files {
        let report = saved::load(file).map_err(CompareError::File)?;
        reports.push((printable(&file.display().to_string()), report));
    }
    let document = compare(&reports, &Controls::from(&args.controls), &args.fail_if)
        .map_err(CompareError::Usage)?;
    deliver(&document, &reports, args).map_err(CompareError::File)?;
    let mut is_worse = false;
    for runs in &document.comparisons {
        is_worse |= tell(runs, args.output);
    }
    Ok(is_worse)
}

/// Compares all reports with the first one.
fn compare(
    reports: &[(String, Report)],
    controls: &Controls,
    gates: &[Gate],
) -> Result<Document, String> {
    for (name, report) in reports {
        if let Some(pattern) = controls.idle(report) {
            return Err(idle_controls(&pattern, name));
        }
    }
    let Some(((first, before), others)) = reports.split_first() else {
        return Err("there is nothing to compare; give two files or more".to_owned());
    };
    let before = Named {
        name: first,
        report: before,
    };
    let comparisons = others.iter().map(|(name, report)| {
        let mut runs = compare_runs(before, Named { name, report }, controls)?;
        check_gates(gates, &runs)?;
        gate::apply(gates, &mut runs);
        Ok(runs)
    });
    Ok(Document {
        schema: SCHEMA.to_owned(),
        comparisons: comparisons.collect::<Result<_, String>>()?,
    })
}

fn idle_controls(pattern: &str, name: &str) -> String {
    format!("--controls '{pattern}' matches no row of {name}; name contenders that were measured")
}

/// A gate that is about nothing would let everything pass.
fn check_gates(gates: &[Gate], runs: &ComparedRuns) -> Result<(), String> {
    let figures: Vec<&ComparedFigure> = runs.figures.iter().collect();
    match gate::idle(gates, &figures, &runs.saturated) {
        None => Ok(()),
        Some(gate) => Err(format!(
            "--fail-if '{gate}' is about no figure in question that both {} and {} have, so it could never fail; choose a figure that was measured",
            runs.before.name, runs.after.name
        )),
    }
}

/// Writes the comparisons wherever they are to go. Every place is tried, and standard output first, as with a report.
fn deliver(
    document: &Document,
    reports: &[(String, Report)],
    args: &CompareArgs,
) -> Result<(), String> {
    let mut problems = Vec::new();
    if let Err(error) = print(document, args) {
        problems.push(format!("the comparison can't be written: {error}"));
    }
    if let Some(file) = &args.html {
        let page = comparison_page(document, reports, &crate::arguments());
        problems.extend(saved::write_whole(file, page.as_bytes()).err());
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.join("; "))
    }
}

fn print(document: &Document, args: &CompareArgs) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if matches!(args.output, Output::Json | Output::Csv) {
        for warning in document.comparisons.iter().flat_map(|runs| &runs.warnings) {
            notice::tell(format_args!("warning: {warning}"));
        }
    }
    match args.output {
        Output::Json => return document.write_json(out),
        Output::Csv => return document.write_csv(out),
        Output::Table | Output::Md => {}
    }
    for (index, runs) in document.comparisons.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        if args.output == Output::Md {
            out.write_all(runs.to_markdown(1).as_bytes())?;
        } else {
            runs.write_table(Layout::of_stdout(args.wide), &mut out)?;
        }
    }
    out.flush()
}

/// Tells on standard error what is forbidden, unless it stands on the same terminal already. Whether anything is.
pub(crate) fn tell(runs: &ComparedRuns, output: Output) -> bool {
    let is_forbidden = !runs.forbidden.is_empty();
    if matches!(output, Output::Table | Output::Md) && io::stdout().is_terminal() {
        return is_forbidden;
    }
    for note in &runs.undetectable {
        notice::tell(format_args!("bench-harness: note: {note}"));
    }
    for line in &runs.forbidden {
        notice::tell(format_args!("bench-harness: {line}"));
    }
    is_forbidden
}
