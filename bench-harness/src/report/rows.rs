//! Sheets with a line for each row of the report, and the noise floor among them.
//!
//! The columns, and the order in which they are dropped where there is no room, stand in `COLUMNS`.

use super::document::{Figures, Report};
use super::numbers::{NONE, figure, ns, percent, ratio, signed_percent, whole};
use super::sheet::{Column, Line, Sheet};
use crate::results::Status;
use crate::stats::noise::Figure;
use crate::stats::verdict::COVERAGE;
use crate::stats::{Comparison, Verdict, median_interval};
use crate::transport::{Class, WaitMode};

/// What of a row stands in a column.
#[derive(Clone, Copy)]
struct Spec {
    group: Group,
    name: &'static str,
    /// The order in which columns are dropped: the highest number first, those with 0 never.
    rank: u32,
    cell: fn(&Figures) -> String,
    /// The figure whose noise floor stands in this column.
    floor: Option<Figure>,
}

/// What columns have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Stream,
    RoundTrip,
    Paced,
    Cost,
    Link,
}

impl Group {
    fn name(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::RoundTrip => "round trip",
            Self::Paced => "one way",
            Self::Cost => "cost/msg",
            Self::Link => "link",
        }
    }
}

const fn spec(group: Group, name: &'static str, rank: u32, cell: fn(&Figures) -> String) -> Spec {
    Spec {
        group,
        name,
        rank,
        cell,
        floor: None,
    }
}

const fn with_floor(floor: Figure, spec: Spec) -> Spec {
    Spec {
        floor: Some(floor),
        ..spec
    }
}

/// The columns between the contender's name and its status. Where there isn't room for all they are dropped from the highest rank downwards:
/// first intervals, the capacity and other comparisons, then the costs, then what can be computed from the rest.
static COLUMNS: [Spec; 27] = {
    use Group::{Cost, Link, Paced, RoundTrip, Stream};
    [
        with_floor(
            Figure::Stream,
            spec(Stream, "ns/msg", 0, |row| figure(row.stream.ns_per_message)),
        ),
        spec(Stream, "±", 10, |row| spread(&row.stream.rounds)),
        spec(Stream, "M msg/s", 4, |row| {
            figure(row.stream.messages_per_second.map(|rate| rate / 1e6))
        }),
        spec(Stream, "GB/s", 14, |row| {
            figure(row.stream.bytes_per_second.map(|rate| rate / 1e9))
        }),
        spec(Stream, "x pipe", 2, |row| ratio(row.ratio_to_pipe.stream)),
        spec(Stream, "vs ref", 3, |row| {
            verdict(row.versus_reference.stream.as_ref())
        }),
        spec(Stream, "time/ref", 26, |row| {
            interval(row.versus_reference.stream.as_ref())
        }),
        spec(Stream, "x limit", 9, |row| ratio(row.ratio_to_limit.stream)),
        with_floor(
            Figure::RoundTrip,
            spec(RoundTrip, "p50", 0, |row| ns(row.round_trip_ns.p50)),
        ),
        spec(RoundTrip, "p99", 1, |row| ns(row.round_trip_ns.p99)),
        spec(RoundTrip, "p99.9", 8, |row| ns(row.round_trip_ns.p99_9)),
        spec(RoundTrip, "p99.99", 18, |row| ns(row.round_trip_ns.p99_99)),
        spec(RoundTrip, "max", 7, |row| ns(row.round_trip_ns.max)),
        spec(RoundTrip, "vs ref", 15, |row| {
            verdict(row.versus_reference.round_trip.as_ref())
        }),
        spec(RoundTrip, "time/ref", 25, |row| {
            interval(row.versus_reference.round_trip.as_ref())
        }),
        spec(RoundTrip, "x limit", 11, |row| {
            ratio(row.ratio_to_limit.round_trip)
        }),
        with_floor(
            Figure::Paced,
            spec(Paced, "p50", 5, |row| ns(row.paced_ns.times.p50)),
        ),
        spec(Paced, "p99", 0, |row| {
            let p99 = ns(row.paced_ns.times.p99);
            if row.paced_ns.saturated {
                "saturated".to_owned()
            } else {
                p99
            }
        }),
        spec(Paced, "p99.9", 12, |row| ns(row.paced_ns.times.p99_9)),
        spec(Paced, "max", 13, |row| ns(row.paced_ns.times.max)),
        spec(Paced, "vs ref", 19, |row| {
            verdict(row.versus_reference.paced.as_ref())
        }),
        spec(Paced, "time/ref", 24, |row| {
            interval(row.versus_reference.paced.as_ref())
        }),
        spec(Cost, "cpu ns", 6, |row| figure(row.cpu_ns_per_message)),
        spec(Cost, "switches", 16, |row| {
            figure(row.context_switches_per_message)
        }),
        spec(Cost, "calls", 17, |row| {
            figure(row.system_calls_per_message)
        }),
        spec(Cost, "MiB", 20, |row| figure(memory_mib(row))),
        spec(Link, "capacity", 23, |row| {
            let capacity = row.capacity.filter(|_| row.has_link());
            whole(capacity.map(|messages| messages as u64))
        }),
    ]
};

/// How far the interval of the median reaches, as a share of it.
fn spread(rounds: &[f64]) -> String {
    let shown = || {
        let middle = crate::stats::median(rounds).filter(|&middle| middle > 0.0)?;
        let interval = median_interval(rounds, COVERAGE).filter(|_| rounds.len() > 1)?;
        let reach = (interval.high - middle).max(middle - interval.low);
        Some(percent(reach / middle))
    };
    shown().unwrap_or_else(|| NONE.to_owned())
}

/// The words of a verdict, short.
fn verdict(comparison: Option<&Comparison>) -> String {
    let shown = comparison.map_or(NONE, |comparison| match comparison.verdict {
        Verdict::Faster => "faster",
        Verdict::Slower => "slower",
        Verdict::NoDetectableDifference => "~",
        Verdict::TooFewRounds => "few",
    });
    shown.to_owned()
}

fn interval(comparison: Option<&Comparison>) -> String {
    let shown = comparison.and_then(|comparison| {
        let (ratio, interval) = (comparison.ratio?, comparison.interval?);
        let [ratio, low, high] = [ratio, interval.low, interval.high].map(|x| figure(Some(x)));
        Some(format!("{ratio} ({low} to {high})"))
    });
    shown.unwrap_or_else(|| NONE.to_owned())
}

/// What both sides had in memory at most; threads have theirs in common.
fn memory_mib(row: &Figures) -> Option<f64> {
    let [sender, receiver] = [&row.cost.sender, &row.cost.receiver].map(|c| c.resident_bytes_max);
    let bytes = match row.class {
        Class::Thread => sender?.max(receiver?),
        _ => sender? + receiver?,
    };
    Some(bytes as f64 / f64::from(1 << 20))
}

/// What became of a row, in one word.
pub fn status(row: &Figures) -> &'static str {
    match row.status {
        Status::Ok => "ok",
        Status::Unavailable => "n/a",
        Status::Failed | Status::Unmeasured => "FAILED",
        Status::Saturated => "saturated",
    }
}

/// What rows that may stand together have in common, in the order in which they are shown.
pub fn sections() -> impl Iterator<Item = (Class, WaitMode)> {
    let classes = [
        Class::Limit,
        Class::Message,
        Class::Stream,
        Class::Notify,
        Class::Thread,
    ];
    let waits = [WaitMode::Spin, WaitMode::SpinPark, WaitMode::Park];
    classes
        .into_iter()
        .flat_map(move |class| waits.map(|wait| (class, wait)))
}

/// The heading of a section.
pub fn section_name((class, wait): (Class, WaitMode)) -> String {
    let how = match wait {
        WaitMode::Spin => "spinning",
        WaitMode::SpinPark => "spinning, then sleeping",
        WaitMode::Park => "sleeping",
    };
    format!("[{class}] {how}")
}

/// The lines of all rows by section; the rows that were entered again are left to [`Report::noise_lines`].
pub fn lines_by_section<'a>(
    rows: &[&'a Figures],
    cells: impl Fn(&'a Figures) -> Vec<String>,
) -> Vec<Line> {
    let mut lines = Vec::new();
    for section in sections() {
        let is_in = |row: &&&Figures| (row.class, row.wait) == section && !row.is_twin;
        let mut of_section = rows.iter().filter(is_in).peekable();
        if of_section.peek().is_some() {
            lines.push(Line::Section(section_name(section)));
        }
        lines.extend(of_section.map(|row| Line::Cells(cells(row))));
    }
    lines
}

impl Report {
    /// A sheet of those rows.
    pub fn sheet_of_rows(&self, title: String, rows: &[&Figures]) -> Sheet {
        let mut columns = vec![Column::text("contender")];
        columns.extend(
            COLUMNS
                .iter()
                .map(|spec| Column::number(spec.group.name(), spec.name).ranked(spec.rank)),
        );
        columns.push(Column::text("status"));
        let cells = |row: &Figures| {
            let mut cells = vec![row.full_name()];
            cells.extend(COLUMNS.iter().map(|spec| (spec.cell)(row)));
            cells.push(status(row).to_owned());
            cells
        };
        let mut lines = lines_by_section(rows, cells);
        let twins: Vec<&&Figures> = rows.iter().filter(|row| row.is_twin).collect();
        if !twins.is_empty() {
            lines.push(Line::Section(NOISE_SECTION.to_owned()));
        }
        for twin in twins {
            let mut own = cells(twin);
            own[0] = twin.shown_name();
            lines.push(Line::Cells(own));
            lines.extend(self.noise_lines(
                twin,
                |figure| {
                    let is_it = |spec: &Spec| spec.floor == Some(figure);
                    COLUMNS.iter().position(is_it).map(|column| column + 1)
                },
                columns.len(),
            ));
        }
        let sheet = Sheet {
            title,
            columns,
            lines,
        };
        sheet.without_empty_columns()
    }

    /// By how much a row that was entered again differed, and how far equal things may differ: two lines of so many cells. `column` says
    /// where a figure stands.
    pub fn noise_lines(
        &self,
        twin: &Figures,
        column: impl Fn(Figure) -> Option<usize>,
        len: usize,
    ) -> Vec<Line> {
        let name = twin.full_name();
        let is_its = |noise: &&super::document::Noise| {
            noise.contender == name && noise.size_bytes == twin.size_bytes
        };
        let noises: Vec<_> = self.noise.iter().filter(is_its).collect();
        if noises.is_empty() {
            return Vec::new();
        }
        let line = |name: &str, cell: &dyn Fn(&super::document::Noise) -> String| {
            let mut cells = vec![String::new(); len];
            name.clone_into(&mut cells[0]);
            for noise in &noises {
                if let Some(cell_of) = column(noise.kind.figure) {
                    cells[cell_of] = cell(noise);
                }
            }
            cells
        };
        let differs = line("  differed by", &|noise| {
            signed_percent(noise.floor.ratio - 1.0)
        });
        let mut floor = line("  noise floor", &|noise| {
            format!("±{}", percent(noise.floor.half_width))
        });
        let is_inside = noises.iter().all(|noise| noise.holds_its_own);
        let verdict = if noises.iter().any(|noise| !noise.floor.is_settled()) {
            "few"
        } else if is_inside {
            "inside"
        } else {
            "OUTSIDE"
        };
        if let Some(last) = floor.last_mut().filter(|last| last.is_empty()) {
            verdict.clone_into(last);
        }
        vec![Line::Cells(differs), Line::Cells(floor)]
    }
}

/// The heading of what was entered again.
pub const NOISE_SECTION: &str = "[A/A] the same entered again: how far equal things differ";

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_order_of_dropping_is_one() {
        let ranks = || {
            COLUMNS
                .iter()
                .map(|spec| spec.rank)
                .filter(|&rank| rank > 0)
        };
        assert_eq!(ranks().collect::<HashSet<_>>().len(), ranks().count());
        assert!(COLUMNS.iter().any(|spec| spec.rank == 0));
    }

    #[test]
    fn the_spread_is_that_of_the_farther_end() {
        assert_eq!(spread(&[100.0, 90.0, 105.0]), "10%");
        assert_eq!(spread(&[100.0]), "-");
        assert_eq!(spread(&[]), "-");
    }
}
