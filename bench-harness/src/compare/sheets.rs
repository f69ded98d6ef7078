//! The tables of a comparison.

use super::document::{ComparedFigure, ComparedRuns};
use super::rows::{FIGURES, Place};
use crate::report::numbers::{NONE, figure, percent, ratio, signed_percent, time};
use crate::report::sheet::{Column, Line, Sheet};
use crate::stats::saves::{Figure, Role};
use crate::stats::{Comparison, Verdict};

/// The order in which columns are dropped where there is no room, the highest number first.
fn rank(figure: Figure) -> u32 {
    match figure {
        Figure::Stream | Figure::RoundTripP50 => 0,
        Figure::RoundTripP99 => 1,
        Figure::PacedP99 => 2,
        Figure::Cpu => 3,
        Figure::PacedP50 => 4,
    }
}

fn group(figure: Figure) -> (&'static str, &'static str) {
    match figure {
        Figure::Stream => ("stream", "ns/msg"),
        Figure::RoundTripP50 => ("round trip", "p50"),
        Figure::RoundTripP99 => ("round trip", "p99"),
        Figure::PacedP50 => ("one way", "p50"),
        Figure::PacedP99 => ("one way", "p99"),
        Figure::Cpu => ("cost/msg", "cpu ns"),
    }
}

/// The groups of lines.
const ROLES: [(Role, &str); 2] = [
    (Role::Question, "[in question]"),
    (Role::Control, "[controls]"),
];

/// What is worse comes first.
fn order(verdict: Verdict) -> u32 {
    match verdict {
        Verdict::Slower => 0,
        Verdict::Faster => 1,
        Verdict::NoDetectableDifference => 2,
        Verdict::TooFewRounds => 3,
    }
}

/// By how much a figure changed, and the verdict if it is that it did.
fn change(of: &ComparedFigure) -> String {
    let change = of.change().map_or(NONE.to_owned(), signed_percent);
    match of.comparison.verdict {
        Verdict::Slower | Verdict::Faster => format!("{} {change}", of.comparison.verdict),
        Verdict::NoDetectableDifference => change,
        Verdict::TooFewRounds => format!("({change})"),
    }
}

fn probability(p: f64) -> String {
    if p < 0.000_1 {
        "<0.0001".to_owned()
    } else {
        format!("{p:.4}")
    }
}

impl ComparedRuns {
    /// A line for each row, a column for each figure.
    pub fn overview(&self) -> Sheet {
        let has_rates = self.has_several_rates();
        let mut lines = Vec::new();
        for (role, title) in ROLES {
            let places = self.places(role);
            if !places.is_empty() {
                lines.push(Line::Section(title.to_owned()));
            }
            lines.extend(places.into_iter().map(|place| {
                let of = |figure| {
                    let mut figures = self.of_role(role);
                    figures.find(|one| one.place == *place && one.figure == figure)
                };
                let mut cells = vec![place.full_name(), place.circumstances(has_rates)];
                cells.extend(FIGURES.map(|figure| of(figure).map_or(NONE.to_owned(), change)));
                Line::Cells(cells)
            }));
        }
        let mut columns = vec![Column::text("contender"), Column::text("messages")];
        columns.extend(FIGURES.map(|figure| {
            let (group, name) = group(figure);
            Column::number(group, name).ranked(rank(figure))
        }));
        Sheet {
            title: "Time compared with before, without the machine's drift".to_owned(),
            columns,
            lines,
        }
        .without_empty_columns()
    }

    /// The figures that differ detectably, with what the verdict rests on: those that are slower first.
    pub fn details(&self) -> Sheet {
        self.sheet_of("What differs", ComparedFigure::differs)
    }

    /// The other figures.
    pub fn rest(&self) -> Sheet {
        self.sheet_of("What doesn't differ detectably", |one| !one.differs())
    }

    /// Figures in question and controls, those that differ most first.
    fn sheet_of(&self, title: &str, is_shown: impl Fn(&ComparedFigure) -> bool) -> Sheet {
        let mut lines = Vec::new();
        for (role, title) in ROLES {
            let mut shown: Vec<&ComparedFigure> =
                self.of_role(role).filter(|one| is_shown(one)).collect();
            shown.sort_by(|left, right| {
                let key = |one: &ComparedFigure| (order(one.comparison.verdict), -one.distance());
                let (left, right) = (key(left), key(right));
                left.0.cmp(&right.0).then(left.1.total_cmp(&right.1))
            });
            if !shown.is_empty() {
                lines.push(Line::Section(title.to_owned()));
            }
            lines.extend(shown.into_iter().map(|one| Line::Cells(self.detail(one))));
        }
        let number = |name, rank| Column::number("", name).ranked(rank);
        Sheet {
            title: title.to_owned(),
            columns: vec![
                Column::text("contender"),
                Column::text("messages"),
                Column::text("figure"),
                number("before", 3),
                number("after", 3),
                number("ratio", 0),
                number("interval", 1),
                number("floor", 2),
                number("p", 4),
                Column::text("verdict"),
            ],
            lines,
        }
    }

    fn detail(&self, one: &ComparedFigure) -> Vec<String> {
        let Comparison {
            ratio: times,
            interval,
            p_adjusted,
            floor,
            verdict,
            ..
        } = one.comparison;
        let interval = interval.map_or(NONE.to_owned(), |interval| {
            format!(
                "{} to {}",
                figure(Some(interval.low)),
                figure(Some(interval.high))
            )
        });
        vec![
            one.place.full_name(),
            one.place.circumstances(self.has_several_rates()),
            one.figure.to_string(),
            time(one.before_ns),
            time(one.after_ns),
            ratio(times),
            interval,
            percent(floor),
            probability(p_adjusted),
            verdict.to_string(),
        ]
    }

    /// A row's name, with what tells it from other rows of the same contender.
    pub(crate) fn label(&self, one: &ComparedFigure) -> String {
        let name = one.place.full_name();
        match one.place.circumstances(self.has_several_rates()) {
            more if more.is_empty() => name,
            more => format!("{name}, {more}"),
        }
    }

    /// The rows of a role, in the order of the report.
    fn places(&self, role: Role) -> Vec<&Place> {
        let mut places: Vec<&Place> = Vec::new();
        for figure in self.of_role(role) {
            if !places.contains(&&figure.place) {
                places.push(&figure.place);
            }
        }
        places
    }

    fn has_several_rates(&self) -> bool {
        let mut rates = self
            .figures
            .iter()
            .filter_map(|one| one.place.rate_per_second);
        rates
            .next()
            .is_some_and(|first| rates.any(|rate| rate != first))
    }

    /// How much slower the machine was, if that can be told.
    pub(super) fn machine(&self) -> Option<String> {
        let told: Vec<String> = self
            .drift
            .iter()
            .map(|limit| {
                let name = limit.place.full_name();
                let mut named = self
                    .drift
                    .iter()
                    .filter(|other| other.place.full_name() == name);
                // The size is of interest only where there are several.
                let is_only = named.nth(1).is_none();
                let name = if is_only {
                    name
                } else {
                    limit.place.to_string()
                };
                format!("{name} {}", ratio(Some(limit.ratio)))
            })
            .collect();
        let told = (!told.is_empty()).then(|| told.join(", "))?;
        Some(format!("{told}; the ratios below are without that"))
    }

    /// The two runs and the machine: names, and what there is to say of each.
    pub(crate) fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![
            ("before", self.before.to_string()),
            ("after", self.after.to_string()),
        ];
        facts.extend(self.machine().map(|told| ("limits, after to before", told)));
        let states = self.figures.iter().map(|one| one.states);
        let states = states.max().unwrap_or(1);
        if states > 1 {
            let told = format!(
                "{states}, by the limits; rounds are compared with rounds of the same state alone"
            );
            facts.push(("states of the machine", told));
        }
        facts
    }
}
