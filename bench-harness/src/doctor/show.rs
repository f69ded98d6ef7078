//! The findings for people and for programs.

use std::io::{self, Write};

use comfy_table::ColumnConstraint::UpperBoundary;
use comfy_table::Width::Fixed;
use serde::Serialize;

use super::finding::{Finding, Verdict};
use crate::report::table::plain_table;

/// Where there is no terminal, and at most.
const WIDTH: u16 = 80;
const WIDTH_MAX: u16 = 110;
/// Enough for the longest name and verdict.
const NARROW: u16 = 20;

/// What programs read.
#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    findings: &'a [Finding],
}

/// Writes one object.
///
/// # Errors
/// What the output says.
pub(super) fn write_json(findings: &[Finding], mut out: impl Write) -> io::Result<()> {
    let document = Document {
        schema: "ipc-bench-harness-doctor/1",
        findings,
    };
    serde_json::to_writer_pretty(&mut out, &document)?;
    writeln!(out)?;
    out.flush()
}

/// Writes a table, as wide as the terminal or 80 columns, and a sentence.
///
/// # Errors
/// What the output says.
pub(super) fn write_table(findings: &[Finding], mut out: impl Write) -> io::Result<()> {
    let mut table = plain_table();
    let width = table.width().unwrap_or(WIDTH).min(WIDTH_MAX);
    table.set_width(width);
    table.set_header(["check", "verdict", "found"]);
    for finding in findings {
        let verdict = finding.verdict.to_string();
        table.add_row([finding.name.to_owned(), verdict, told(finding)]);
    }
    for column in table.column_iter_mut().take(2) {
        column.set_constraint(UpperBoundary(Fixed(NARROW)));
    }
    // The table fills its last column with blanks.
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    writeln!(out)?;
    writeln!(out, "{}", summary(findings))?;
    out.flush()
}

/// What was found; when something is wrong, also what it does and what to do.
fn told(finding: &Finding) -> String {
    let mut text = finding.value.clone();
    for object in &finding.objects {
        // Leftovers are in the value already, the first of them.
        if !finding.value.contains(object) && finding.steps.is_empty() {
            text = format!("{text}\n{object}");
        }
    }
    if let Some(effect) = &finding.effect {
        text = format!("{text}\neffect: {effect}");
    }
    if let Some(remedy) = &finding.remedy {
        text = format!("{text}\nremedy: {remedy}");
    }
    text
}

fn summary(findings: &[Finding]) -> String {
    let count = |verdict| {
        findings
            .iter()
            .filter(|found| found.verdict == verdict)
            .count()
    };
    let [ok, warn, fail, unknown] = [
        Verdict::Ok,
        Verdict::Warn,
        Verdict::Fail,
        Verdict::CannotTell,
    ]
    .map(count);
    let advice = if fail > 0 {
        "Mend what says FAIL first: figures mean little, or contenders can't run."
    } else if warn > 0 {
        "Figures can be had; what says WARN makes them noisier or slower."
    } else {
        "Nothing disturbs figures here, as far as can be told."
    };
    format!(
        "{ok} OK, {warn} WARN, {fail} FAIL, {unknown} can't be told.\n{advice}\nNothing was changed; --fix-script prints what an administrator might run."
    )
}

#[cfg(test)]
mod tests {
    use super::super::facts::Unknown;
    use super::*;

    fn findings() -> [Finding; 3] {
        let long = "a word and another one and so on, ".repeat(20);
        [
            Finding::ok("fine", "17"),
            Finding::warn("long", long, "it is slow", "make it quick"),
            Finding::of("unknown", Err(Unknown::because("/x is not there"))),
        ]
    }

    #[test]
    fn the_table_fits_into_80_columns() {
        let mut out = Vec::new();
        write_table(&findings(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let (table, _) = text.split_once("\n\n").unwrap();
        assert!(
            table.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        for part in [
            "effect: it is slow",
            "remedy: make it quick",
            "cannot tell",
            "/x is not there",
        ] {
            assert!(table.contains(part), "{part}: {text}");
        }
        assert!(
            text.contains("1 OK, 1 WARN, 0 FAIL, 1 can't be told"),
            "{text}"
        );
    }

    #[test]
    fn programs_read_every_field() {
        let mut out = Vec::new();
        write_json(&findings(), &mut out).unwrap();
        let document: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(document["schema"], "ipc-bench-harness-doctor/1");
        assert_eq!(document["findings"][0]["effect"], serde_json::Value::Null);
        assert_eq!(document["findings"][1]["verdict"], "warn");
        assert_eq!(document["findings"][1]["remedy"], "make it quick");
        assert_eq!(document["findings"][2]["verdict"], "cannot_tell");
        assert_eq!(document["findings"][2]["value"], "/x is not there");
    }
}
