//! Rows that couldn't keep their rate in one of the runs, or in both: these have no latencies that could be compared.

use super::document::{ComparedRuns, SaturatedIn, SaturatedRow};
use super::rows::{Place, counterpart, has, is_measured, rows};
use crate::report::document::{Figures, Report, WindowKind};
use crate::report::numbers::percent;
use crate::results::Status;
use crate::stats::saves::Role;

/// So many rows are named that are saturated in both; JSON and comma-separated values have all of them.
const NAMED_MAX: usize = 8;

/// In which of the runs two rows of the same pace are saturated; nothing if both kept it, or if one of them wasn't measured at all.
pub(super) fn saturated_in(before: &Figures, after: &Figures) -> Option<SaturatedIn> {
    match (has_kept_rate(before)?, has_kept_rate(after)?) {
        (true, true) => None,
        (true, false) => Some(SaturatedIn::After),
        (false, true) => Some(SaturatedIn::Before),
        (false, false) => Some(SaturatedIn::Both),
    }
}

/// Whether a row kept its rate. What was given up beyond the rate at which it was saturated didn't, and has no windows.
fn has_kept_rate(row: &Figures) -> Option<bool> {
    let is_paced = row.paced_ns.rate_per_second.is_some();
    match row.status {
        Status::Saturated if is_paced => Some(false),
        Status::Ok if is_paced && row.paced_ns.saturated => Some(false),
        Status::Ok if is_measured(row) && has(row, WindowKind::Paced) => Some(true),
        _ => None,
    }
}

/// The rows of two reports that are saturated in one of them or in both.
pub(super) fn saturated_rows(
    before: &Report,
    after: &Report,
    role: impl Fn(&Figures) -> Role,
) -> Vec<SaturatedRow> {
    let told = rows(before).filter_map(|row| {
        let place = Place::of(row);
        let (other, _) = counterpart(&place, after).filter(|&(_, has_same_pace)| has_same_pace)?;
        let saturated_in = saturated_in(row, other)?;
        let blamed = match saturated_in {
            SaturatedIn::Before => row,
            SaturatedIn::After | SaturatedIn::Both => other,
        };
        let is_given_up = blamed.paced_ns.share_behind.is_none();
        Some(SaturatedRow {
            role: role(row),
            saturated_in,
            share_behind_before: row.paced_ns.share_behind,
            share_behind_after: other.paced_ns.share_behind,
            given_up: blamed.reason.clone().filter(|_| is_given_up),
            place,
        })
    });
    told.collect()
}

impl SaturatedRow {
    /// The row and its rate, as in `pipe/park 64 B at 100000/s`.
    fn name(&self) -> String {
        let rate = self.place.rate_per_second.unwrap_or_default();
        format!("{} at {rate}/s", self.place)
    }

    /// The share by which it missed the rate in the run in which it did; in the later one, if in both.
    fn share_behind(&self) -> Option<f64> {
        match self.saturated_in {
            SaturatedIn::Before => self.share_behind_before,
            SaturatedIn::After | SaturatedIn::Both => self.share_behind_after,
        }
    }

    /// The same in words, with its name.
    fn told(&self) -> String {
        let how = match (self.share_behind(), &self.given_up) {
            (Some(share), _) => format!("{} behind", percent(share)),
            (None, Some(reason)) => format!("given up: {reason}"),
            (None, None) => return self.name(),
        };
        format!("{} ({how})", self.name())
    }

    /// What a row did that kept its rate before.
    pub(super) fn regression(&self, before: &str, after: &str) -> String {
        let rate = self.place.rate_per_second.unwrap_or_default();
        let what = match (self.share_behind(), &self.given_up) {
            (Some(share), _) => format!("fell {} behind them in {after}", percent(share)),
            (None, Some(reason)) => format!("was given up in {after} ({reason})"),
            (None, None) => format!("was given up in {after}"),
        };
        format!(
            "{} kept {rate} messages a second in {before} and {what}",
            self.place
        )
    }
}

impl ComparedRuns {
    fn saturated_in(&self, run: SaturatedIn) -> impl Iterator<Item = &SaturatedRow> {
        let rows = self.saturated.iter();
        rows.filter(move |row| row.saturated_in == run)
    }

    /// What became saturated or ceased to be, a sentence for each kind; what is saturated in both is told briefly.
    pub(super) fn saturation(&self) -> Vec<String> {
        let [before, after] = [&self.before.name, &self.after.name];
        let mut sentences = Vec::new();
        for (run, what) in [
            (
                SaturatedIn::After,
                format!("Saturated in {after} and not in {before}"),
            ),
            (
                SaturatedIn::Before,
                format!("Better: saturated in {before} and no longer in {after}"),
            ),
        ] {
            let (in_question, certain): (Vec<_>, Vec<_>) = self
                .saturated_in(run)
                .partition(|row| row.role == Role::Question);
            sentences.extend(sentence(&what, &in_question));
            let what = format!("{what}, though these can't have changed");
            sentences.extend(sentence(&what, &certain));
        }
        let names: Vec<String> = self
            .saturated_in(SaturatedIn::Both)
            .map(SaturatedRow::name)
            .collect();
        sentences.extend(briefly(
            "Saturated in both, so that no latencies are compared",
            &names,
        ));
        sentences
    }
}

fn sentence(what: &str, rows: &[&SaturatedRow]) -> Option<String> {
    let told: Vec<String> = rows.iter().map(|row| row.told()).collect();
    (!told.is_empty()).then(|| format!("{what}: {}.", told.join(", ")))
}

fn briefly(what: &str, names: &[String]) -> Option<String> {
    let more = names.len().saturating_sub(NAMED_MAX);
    let first = names[..names.len() - more].join(", ");
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    (!names.is_empty()).then(|| format!("{what}: {first}{more}."))
}
