//! The rows that two reports have in common, and their figures in each window.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::saturation::saturated_in;
use crate::entry::Entry;
use crate::fan::Stopped;
use crate::measure::schedule::Arrivals;
use crate::report::document::{Figures, Report, WindowFigures, WindowKind};
use crate::report::numbers::bytes;
use crate::results::Status;
use crate::stats::median;
use crate::stats::saves::Figure;
use crate::transport::WaitMode;

/// A figure of each window, with the number of its round.
pub(super) type Series = Vec<(u32, f64)>;

/// All figures, in the order in which they are shown.
pub const FIGURES: [Figure; 6] = [
    Figure::Stream,
    Figure::RoundTripP50,
    Figure::RoundTripP99,
    Figure::PacedP50,
    Figure::PacedP99,
    Figure::Cpu,
];

/// What makes a row the same in two reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// The contender's name without the way of waiting.
    pub contender: String,
    /// How it waits.
    pub wait: WaitMode,
    /// The length of its messages.
    pub size_bytes: usize,
    /// Processes that send.
    pub producers: u32,
    /// Processes that receive.
    pub consumers: u32,
    /// One more process, that was stopped in the middle of a message.
    pub stopped: Option<Stopped>,
    /// The two cores, if they aren't those of the whole run.
    pub cores: Option<[usize; 2]>,
    /// Paced messages a second, if there are any.
    pub rate_per_second: Option<u64>,
    /// How their moments lay.
    pub arrivals: Option<Arrivals>,
}

impl Place {
    pub(super) fn of(row: &Figures) -> Self {
        Self {
            contender: row.contender.clone(),
            wait: row.wait,
            size_bytes: row.size_bytes,
            producers: row.producers,
            consumers: row.consumers,
            stopped: row.stopped,
            cores: row.cores,
            rate_per_second: row.paced_ns.rate_per_second,
            arrivals: row.paced_ns.arrivals,
        }
    }

    fn without_pace(self) -> Self {
        Self {
            rate_per_second: None,
            arrivals: None,
            ..self
        }
    }

    /// The contender's name with the way of waiting.
    pub fn full_name(&self) -> String {
        Stopped::named(format!("{}/{}", self.contender, self.wait), self.stopped)
    }

    /// What tells it from other rows of the same contender, as in `64 B` or `64 B, 2 to 1`.
    pub fn circumstances(&self, has_rates: bool) -> String {
        let mut parts = Vec::new();
        if self.size_bytes > 0 {
            parts.push(bytes(self.size_bytes));
        }
        if (self.producers, self.consumers) != (1, 1) {
            parts.push(format!("{} to {}", self.producers, self.consumers));
        }
        if let Some([left, right]) = self.cores {
            parts.push(format!("cores {left} and {right}"));
        }
        if let Some(rate) = self.rate_per_second.filter(|_| has_rates) {
            parts.push(format!("{rate}/s"));
        }
        parts.join(", ")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.full_name();
        match self.circumstances(false) {
            more if more.is_empty() => f.write_str(&name),
            more => write!(f, "{name} {more}"),
        }
    }
}

/// A row that both reports have.
#[derive(Debug, Clone)]
pub(super) struct Pair<'a> {
    pub(super) place: Place,
    pub(super) before: &'a Figures,
    pub(super) after: &'a Figures,
    /// Whether paced messages were due at the same rate in both.
    has_same_pace: bool,
}

/// The rows of two reports: those of both, and what is told of those of one.
#[derive(Debug)]
pub(super) struct Pairs<'a> {
    pub(super) pairs: Vec<Pair<'a>>,
    pub(super) alone: Vec<String>,
}

/// Whether any figure of a row can be used.
pub(super) fn is_measured(row: &Figures) -> bool {
    matches!(row.status, Status::Ok | Status::Saturated) && !row.windows.is_empty()
}

/// All rows but those that were entered again.
pub(super) fn rows(report: &Report) -> impl Iterator<Item = &Figures> {
    report.results.iter().filter(|row| !row.is_twin)
}

impl<'a> Pairs<'a> {
    pub(super) fn of(before: &'a Report, after: &'a Report) -> Self {
        let mut pairs = Vec::new();
        let (mut added, mut gone, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows(before) {
            let place = Place::of(row);
            let counterpart = counterpart(&place, after);
            let is_after = counterpart.is_some_and(|(row, _)| is_measured(row));
            let is_saturated = counterpart.is_some_and(|(after, has_same_pace)| {
                has_same_pace && saturated_in(row, after).is_some()
            });
            match (is_measured(row), counterpart) {
                (true, Some((after, has_same_pace))) if is_after => pairs.push(Pair {
                    place,
                    before: row,
                    after,
                    has_same_pace,
                }),
                // That has sentences of its own.
                _ if is_saturated => {}
                (true, Some((after, _))) => {
                    failed.push(format!(
                        "Measured before and not after: {place}: {}.",
                        why(after)
                    ));
                }
                (true, None) => gone.push(place.to_string()),
                (false, Some(_)) if is_after => added.push(place.to_string()),
                (false, _) => {}
            }
        }
        let is_new = |row: &&Figures| counterpart(&Place::of(row), before).is_none();
        let new = rows(after).filter(|row| is_measured(row)).filter(is_new);
        added.extend(new.map(|row| Place::of(row).to_string()));
        let listed = |what: &str, names: &[String]| {
            (!names.is_empty()).then(|| format!("{what}: {}.", names.join(", ")))
        };
        let mut alone = failed;
        alone.extend(listed("Measured before only", &gone));
        alone.extend(listed("Measured after only", &added));
        Self { pairs, alone }
    }
}

/// The row of the same place, and whether its pace is the same: what has other figures as well is compared by these at least.
pub(super) fn counterpart<'a>(place: &Place, report: &'a Report) -> Option<(&'a Figures, bool)> {
    if let Some(row) = rows(report).find(|row| Place::of(row) == *place) {
        return Some((row, true));
    }
    let bare = place.clone().without_pace();
    let mut others = rows(report).filter(|row| Place::of(row).without_pace() == bare);
    // Several of them are points of a curve, which have nothing but their pace.
    let other = others.next().filter(|_| others.next().is_none())?;
    Some((other, false))
}

/// The row of that place in a report.
pub(crate) fn row_of<'a>(place: &Place, report: &'a Report) -> Option<&'a Figures> {
    counterpart(place, report).map(|(row, _)| row)
}

fn why(row: &Figures) -> String {
    row.reason.clone().unwrap_or_else(|| {
        match row.status {
            Status::Unavailable => "it couldn't be had",
            Status::Saturated => "it couldn't keep its rate",
            _ => "it has no windows",
        }
        .to_owned()
    })
}

impl Pair<'_> {
    /// The times of a figure in both runs; nothing if one of them lacks it.
    pub(super) fn series(&self, figure: Figure) -> Option<(Series, Series)> {
        let windows = self.windows_of(figure)?;
        let (before, after) = (
            series(self.before, figure, windows)?,
            series(self.after, figure, windows)?,
        );
        Some((before, after))
    }

    /// The windows that a figure is taken from.
    pub(super) fn windows_of(&self, figure: Figure) -> Option<WindowKind> {
        let both_have =
            |kind: WindowKind| [self.before, self.after].iter().all(|row| has(row, kind));
        let stream = Some(self.slower_regime()).filter(|&kind| both_have(kind));
        let trip = Some(WindowKind::RoundTrip).filter(|&kind| both_have(kind));
        let paced = Some(WindowKind::Paced).filter(|&kind| {
            let is_kept = !self.before.paced_ns.saturated && !self.after.paced_ns.saturated;
            is_kept && self.has_same_pace && both_have(kind)
        });
        match figure {
            Figure::Stream => stream,
            Figure::RoundTripP50 | Figure::RoundTripP99 => trip,
            Figure::PacedP50 | Figure::PacedP99 => paced,
            Figure::Cpu => stream.or(trip).or(paced),
        }
    }

    /// The regime of the stream that is slower in both runs together: one regime for both, so that like is compared with like.
    fn slower_regime(&self) -> WindowKind {
        let time = |kind| {
            let medians = [self.before, self.after].map(|row| {
                let times = windows(row, kind).map(|window| window.ns_each.ln());
                median(&times.collect::<Vec<_>>())
            });
            medians.into_iter().flatten().sum::<f64>()
        };
        let is_working_slower = time(WindowKind::Working) > time(WindowKind::Drained);
        let has_drained = has(self.before, WindowKind::Drained);
        if has(self.before, WindowKind::Working) && (is_working_slower || !has_drained) {
            WindowKind::Working
        } else {
            WindowKind::Drained
        }
    }
}

fn windows(row: &Figures, kind: WindowKind) -> impl Iterator<Item = &WindowFigures> {
    row.windows.iter().filter(move |window| window.kind == kind)
}

pub(super) fn has(row: &Figures, kind: WindowKind) -> bool {
    windows(row, kind).next().is_some()
}

/// A figure in each window of a kind, those of repeated sessions each for itself. A percentile that some window has too few samples for
/// is none at all: the windows that have it are other ones than those that haven't.
pub(super) fn series(row: &Figures, figure: Figure, kind: WindowKind) -> Option<Series> {
    let value = |window: &WindowFigures| match figure {
        Figure::Stream => Some(window.ns_each),
        Figure::RoundTripP50 | Figure::PacedP50 => Some(window.times_ns?.p50? as f64),
        Figure::RoundTripP99 | Figure::PacedP99 => Some(window.times_ns?.p99? as f64),
        Figure::Cpu => Some(window.paid()?.cpu_ns as f64 / row.messages_paid(window) as f64),
    };
    let all: Option<Series> = windows(row, kind)
        .map(|window| Some((window.round, value(window)?)))
        .collect();
    all.filter(|series| !series.is_empty())
}

/// The pairs of rows of one report that are the same contender, entered twice.
pub(super) fn twins(report: &Report) -> impl Iterator<Item = (&Figures, &Figures)> {
    let again = report.results.iter().filter(|row| row.is_twin);
    again.filter_map(|again| {
        let place = Place::of(again);
        let first = rows(report).find(|row| Place::of(row) == place)?;
        (is_measured(first) && is_measured(again)).then_some((first, again))
    })
}

/// Whether a planned row is of the same place as a measured one, and can have that figure.
pub(super) fn is_planned(place: &Place, figure: Figure, entry: &Entry) -> bool {
    let Entry {
        contender,
        size,
        fan,
        stopped,
        cores,
        wanted,
        ..
    } = *entry;
    let is_same = place.contender == contender.name
        && place.wait == contender.wait
        && place.size_bytes == size
        && (place.producers, place.consumers) == (fan.producers, fan.consumers)
        && place.stopped == stopped
        && place.cores == cores;
    let has_pace = wanted.paced.is_some_and(|pace| {
        place.rate_per_second == Some(pace.rate_per_second) && place.arrivals == Some(pace.arrivals)
    });
    is_same
        && match figure {
            Figure::Stream => wanted.stream,
            Figure::RoundTripP50 | Figure::RoundTripP99 => wanted.round_trip,
            Figure::PacedP50 | Figure::PacedP99 => has_pace,
            Figure::Cpu => wanted.windows() > 0,
        }
}

/// The windows that a figure of a row is taken from where it is compared with itself.
pub(super) fn own_windows(first: &Figures, again: &Figures, figure: Figure) -> Option<WindowKind> {
    let pair = Pair {
        place: Place::of(first),
        before: first,
        after: again,
        has_same_pace: true,
    };
    pair.windows_of(figure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Wanted;
    use crate::fan::Fan;
    use crate::measure::usage::Usage;
    use crate::report::figures::figures;
    use crate::results::{Round, Row, Window};
    use crate::transport::registry::find;

    fn cpu_of(count: u64, beside: Option<u64>) -> Option<Series> {
        let usage = Usage {
            cpu_ns: 1_000,
            ..Usage::default()
        };
        let mut row = Row::new(Entry::new(
            find("pipe/park").unwrap(),
            64,
            Fan::PAIR,
            Wanted::default(),
        ));
        row.status = Status::Ok;
        row.rounds.push(Round {
            exchanges: Some(Window {
                count,
                sender: usage,
                receiver: usage,
                ..Window::default()
            }),
            ..Round::default()
        });
        let mut row = figures(&[row], None, "pipe/park", 1).0.remove(0);
        row.windows[0].beside = beside;
        series(&row, Figure::Cpu, WindowKind::RoundTrip)
    }

    #[test]
    fn the_cpu_time_of_few_exchanges_is_that_of_their_warm_up_as_well() {
        assert_eq!(cpu_of(2, Some(8)), Some(vec![(0, 100.0)]));
        assert_eq!(cpu_of(2, Some(0)), Some(vec![(0, 500.0)]));
        // Of a report that doesn't tell.
        assert_eq!(cpu_of(2, None), Some(vec![(0, 100.0)]));
    }
}
