//! A comparison as a table, as Markdown, as comma-separated values.

use std::fmt;
use std::io::{self, Write};

use serde::Serialize;

use super::document::{ComparedFigure, ComparedRuns, Document, Run, SaturatedRow};
use super::rows::Place;
use crate::fan::Stopped;
use crate::report::markdown;
use crate::report::numbers::{counted, moment};
use crate::report::terminal::{Layout, draw};
use crate::stats::saves::Role;
use crate::transport::WaitMode;

/// How to read the tables.
const OVERVIEW: &str = "A change without a word: no detectable difference. In brackets: too few rounds for any verdict.";
const DRIFT: &str = "Ratios and changes are without what the machine did: times are divided by how fast it was in each round, by the rows that can't have changed \
     (limits and controls).";
const VERDICTS: &str = "slower, faster: beyond what chance explains (p below 0.05, adjusted for all figures in question), and beyond the floor, which is by how \
     much rows differ without having changed.";

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({}, {}, {}, bench-harness {}, {})",
            self.name,
            self.command,
            counted(self.rounds_completed as usize, "round"),
            moment(self.began_unix_s),
            self.harness_version,
            self.kernel
        )
    }
}

impl ComparedRuns {
    /// Writes the tables, and what they say.
    ///
    /// # Errors
    /// What the output says.
    pub fn write_table(&self, layout: Layout, mut out: impl Write) -> io::Result<()> {
        for (name, fact) in self.facts() {
            writeln!(out, "{}", layout.paragraph(&format!("{name}: {fact}")))?;
        }
        let sheets = [self.overview(), self.details()];
        for sheet in sheets.iter().filter(|sheet| !sheet.lines.is_empty()) {
            let drawn = draw(sheet, layout.table);
            write!(out, "\n{}\n{}", sheet.title, drawn.text)?;
            if !drawn.left_out.is_empty() {
                let note = format!("No room for: {}. --wide shows all.", drawn.left_out);
                writeln!(out, "\n{}", layout.paragraph(&note))?;
            }
        }
        for group in self.notes() {
            for (index, text) in group.iter().enumerate() {
                let gap = if index == 0 { "\n" } else { "" };
                writeln!(out, "{gap}{}", layout.paragraph(text))?;
            }
        }
        out.flush()
    }

    /// The same in Markdown, below a heading of that level.
    pub fn to_markdown(&self, level: usize) -> String {
        let mut text = format!("{} Comparison\n\n", "#".repeat(level));
        let mut add = |lines: &[String]| {
            for line in lines {
                text.push_str(line);
                text.push('\n');
            }
            text.push('\n');
        };
        let facts: Vec<String> = self
            .facts()
            .into_iter()
            .map(|(name, fact)| format!("{name}: {fact}"))
            .collect();
        add(&markdown::items(&facts));
        for sheet in [self.overview(), self.details()] {
            if !sheet.lines.is_empty() {
                add(&[format!("{} {}", "#".repeat(level + 1), sheet.title)]);
                add(&markdown::table(&sheet));
            }
        }
        for group in self.notes() {
            if !group.is_empty() {
                add(&markdown::items(&group));
            }
        }
        text.truncate(text.trim_end().len());
        text + "\n"
    }

    /// What the words and ratios mean.
    pub(crate) fn legend(&self) -> Vec<String> {
        let has_drift = self.figures.iter().any(|one| one.drift.is_some());
        let told = [has_drift.then_some(DRIFT), Some(VERDICTS)];
        told.into_iter().flatten().map(str::to_owned).collect()
    }

    /// What there is to say beside the tables, in groups.
    fn notes(&self) -> [Vec<String>; 5] {
        let warnings = self.warnings.iter();
        let warnings = warnings.map(|warning| format!("warning: {warning}"));
        let undetectable = self.undetectable.iter().map(|note| format!("note: {note}"));
        [
            self.alone.clone(),
            [OVERVIEW.to_owned()]
                .into_iter()
                .chain(self.legend())
                .collect(),
            warnings.collect(),
            self.forbidden.iter().cloned().chain(undetectable).collect(),
            self.summary.clone(),
        ]
    }
}

/// A line of the comma-separated values. What doesn't apply is empty.
#[derive(Debug, Serialize)]
struct Record<'a> {
    before: &'a str,
    after: &'a str,
    contender: &'a str,
    wait: WaitMode,
    size_bytes: usize,
    producers: u32,
    consumers: u32,
    stopped: Option<Stopped>,
    cores: Option<String>,
    rate_per_second: Option<u64>,
    figure: &'static str,
    role: Role,
    before_ns: Option<f64>,
    after_ns: Option<f64>,
    drift: Option<f64>,
    states: Option<u32>,
    ratio: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    coverage: Option<f64>,
    rounds: Option<u32>,
    p_value: Option<f64>,
    p_adjusted: Option<f64>,
    floor: Option<f64>,
    verdict: &'static str,
    share_behind_before: Option<f64>,
    share_behind_after: Option<f64>,
}

impl Document {
    /// Writes one JSON object.
    ///
    /// # Errors
    /// What the output says.
    pub fn write_json(&self, mut out: impl Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut out, self)?;
        writeln!(out)?;
        out.flush()
    }

    /// Writes a line for each figure, and for each row that is saturated.
    ///
    /// # Errors
    /// What the output says.
    pub fn write_csv(&self, out: impl Write) -> io::Result<()> {
        let mut lines = csv::Writer::from_writer(out);
        for runs in &self.comparisons {
            for record in records(runs) {
                lines.serialize(record).map_err(io::Error::other)?;
            }
        }
        lines.flush()
    }
}

fn records(runs: &ComparedRuns) -> impl Iterator<Item = Record<'_>> {
    let figures = runs.figures.iter().map(|one| of_figure(runs, one));
    let saturated = runs.saturated.iter().map(|row| of_saturated(runs, row));
    figures.chain(saturated)
}

/// What is known of a row without any figure.
fn bare<'a>(runs: &'a ComparedRuns, place: &'a Place, role: Role) -> Record<'a> {
    Record {
        before: &runs.before.name,
        after: &runs.after.name,
        contender: &place.contender,
        wait: place.wait,
        size_bytes: place.size_bytes,
        producers: place.producers,
        consumers: place.consumers,
        stopped: place.stopped,
        cores: place.cores.map(|[left, right]| format!("{left},{right}")),
        rate_per_second: place.rate_per_second,
        figure: "",
        role,
        before_ns: None,
        after_ns: None,
        drift: None,
        states: None,
        ratio: None,
        low: None,
        high: None,
        coverage: None,
        rounds: None,
        p_value: None,
        p_adjusted: None,
        floor: None,
        verdict: "",
        share_behind_before: None,
        share_behind_after: None,
    }
}

fn of_figure<'a>(runs: &'a ComparedRuns, one: &'a ComparedFigure) -> Record<'a> {
    let comparison = one.comparison;
    Record {
        figure: one.figure.as_str(),
        before_ns: Some(one.before_ns),
        after_ns: Some(one.after_ns),
        drift: one.drift,
        states: Some(one.states),
        ratio: comparison.ratio,
        low: comparison.interval.map(|interval| interval.low),
        high: comparison.interval.map(|interval| interval.high),
        coverage: comparison.interval.map(|interval| interval.coverage),
        rounds: Some(comparison.rounds),
        p_value: Some(comparison.p_value),
        p_adjusted: Some(comparison.p_adjusted),
        floor: Some(comparison.floor),
        verdict: comparison.verdict.as_str(),
        ..bare(runs, &one.place, one.role)
    }
}

fn of_saturated<'a>(runs: &'a ComparedRuns, row: &'a SaturatedRow) -> Record<'a> {
    Record {
        figure: "paced",
        verdict: row.saturated_in.as_str(),
        share_behind_before: row.share_behind_before,
        share_behind_after: row.share_behind_after,
        ..bare(runs, &row.place, row.role)
    }
}
