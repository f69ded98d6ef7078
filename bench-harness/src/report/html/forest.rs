//! Ratios with their intervals around 1, on a logarithmic axis: a forest plot.

use maud::{Markup, html};

use super::axis::Axis;
use crate::compare::document::ComparedFigure;
use crate::report::numbers::{figure, percent, ratio};
use crate::stats::Verdict;

const WIDTH: f64 = 480.0;
/// Room at both ends, for the caps of intervals.
const SIDE: f64 = 8.0;
/// A line of a name.
const TEXT: f64 = 19.0;
/// What is drawn below the name, and the room to the next one.
const LANE: f64 = 16.0;
const GAP: f64 = 9.0;
/// For the numbers of an axis.
const TICKS: f64 = 22.0;
/// For what an axis measures.
const TITLE: f64 = 22.0;
/// So many characters of a name stand beside its value, in the size that small screens get.
const NAME_LEN: usize = 36;
/// With so many rows the numbers of the axis stand above them as well.
const TALL: usize = 14;

/// What a row says.
pub(super) struct Row<'a> {
    /// Its name: the contender, and what its messages were.
    pub(super) name: String,
    /// The figure.
    pub(super) one: &'a ComparedFigure,
}

/// The axis of those rows.
fn axis(rows: &[Row<'_>]) -> Axis {
    // A floor above that makes its band as wide as the chart, and nothing else narrower.
    const FLOOR_MAX: f64 = 1.0;
    let values = rows.iter().flat_map(|row| {
        let comparison = row.one.comparison;
        let ends = comparison
            .interval
            .map(|interval| [interval.low, interval.high]);
        let floor = Some(comparison.floor).filter(|&floor| floor <= FLOOR_MAX);
        let band = floor.map(band);
        let all = [comparison.ratio.map(|ratio| [ratio; 2]), ends, band];
        all.into_iter().flatten().flatten()
    });
    Axis::ratios("times as long as before", values)
}

/// Where the floor explains a ratio.
fn band(floor: f64) -> [f64; 2] {
    let factor = 1.0 + floor.max(0.0);
    [1.0 / factor, factor]
}

/// A chart of those rows.
pub(super) fn forest(title: &str, rows: &[Row<'_>]) -> Markup {
    let axis = &axis(rows);
    let is_tall = rows.len() >= TALL;
    let top = if is_tall { TICKS } else { 0.0 };
    let names: Vec<Vec<String>> = rows.iter().map(|row| lines(&row.name)).collect();
    let tops: Vec<f64> = names
        .iter()
        .scan(top, |next, name| {
            let here = *next;
            *next += height(name);
            Some(here)
        })
        .collect();
    let bottom = top + names.iter().map(|name| height(name)).sum::<f64>();
    let across = |value: f64| SIDE + axis.place(value) * (WIDTH - 2.0 * SIDE);
    html! {
        figure {
            figcaption { (title) }
            svg class="forest" viewBox=(format!("0 0 {WIDTH} {}", bottom + TICKS + TITLE)) role="img" aria-label=(title) {
                g class="grid" {
                    @for (value, text) in ticks_apart(axis) {
                        @let x = format!("{:.1}", across(*value));
                        path d=(format!("M{x} {top}V{bottom}")) {}
                        @if is_tall { text x=(x) y=(TICKS - 7.0) text-anchor=(anchor(axis.place(*value))) { (text) } }
                        text x=(x) y=(bottom + TICKS - 5.0) text-anchor=(anchor(axis.place(*value))) { (text) }
                    }
                    text class="axis" x=(WIDTH / 2.0) y=(bottom + TICKS + TITLE - 6.0) text-anchor="middle" { (axis.title) }
                }
                @for ((row, name), top) in rows.iter().zip(&names).zip(&tops) {
                    @let lane = top + TEXT * name.len() as f64;
                    @let [low, high] = band(row.one.comparison.floor).map(across);
                    rect class="floor" x=(format!("{low:.1}")) y=(format!("{lane:.1}")) width=(format!("{:.1}", high - low)) height=(LANE) {}
                }
                path class="one" d=(format!("M{:.1} {top}V{bottom}", across(1.0))) {}
                @for ((row, name), top) in rows.iter().zip(&names).zip(&tops) {
                    (drawn(row, name, *top, across))
                }
            }
        }
    }
}

fn height(name: &[String]) -> f64 {
    TEXT * name.len() as f64 + LANE + GAP
}

/// The name in lines, none of which runs into the value.
fn lines(name: &str) -> Vec<String> {
    let lines = textwrap::wrap(name, NAME_LEN);
    lines.into_iter().map(String::from).collect()
}

fn drawn(row: &Row<'_>, name: &[String], top: f64, across: impl Fn(f64) -> f64) -> Markup {
    let comparison = row.one.comparison;
    let middle = top + TEXT * name.len() as f64 + LANE / 2.0;
    let class = match comparison.verdict {
        Verdict::Slower => "alert",
        Verdict::Faster => "gain",
        Verdict::NoDetectableDifference | Verdict::TooFewRounds => "even",
    };
    html! {
        g class=(class) {
            title { (told(row)) }
            @for (index, line) in name.iter().enumerate() {
                text x="0" y=(format!("{:.1}", top + TEXT * index as f64 + 14.0)) { (line) }
            }
            text class="value" x=(WIDTH) y=(format!("{:.1}", top + 14.0)) text-anchor="end" { (value(row.one)) }
            @if let Some(interval) = comparison.interval {
                @let (low, high) = (across(interval.low), across(interval.high));
                path class="line" d=(format!("M{low:.1} {:.1}v8m0 -4H{high:.1}m0 -4v8", middle - 4.0)) {}
            }
            @if let Some(ratio) = comparison.ratio {
                path class="marks" d=(format!("M{:.1} {middle:.1}h0", across(ratio))) {}
            }
        }
    }
}

/// The ratio, and the verdict where it isn't that nothing can be told.
fn value(of: &ComparedFigure) -> String {
    let shown = ratio(of.comparison.ratio);
    match of.comparison.verdict {
        Verdict::Slower | Verdict::Faster => format!("{shown} {}", of.comparison.verdict),
        Verdict::NoDetectableDifference => shown,
        Verdict::TooFewRounds => format!("({shown})"),
    }
}

/// Everything about a row, for who points at it.
fn told(row: &Row<'_>) -> String {
    let comparison = row.one.comparison;
    let interval = comparison.interval.map_or_else(String::new, |interval| {
        let [low, high] = [interval.low, interval.high].map(|end| figure(Some(end)));
        format!(" ({low} to {high})")
    });
    format!(
        "{}: {}{interval}, floor {}: {}",
        row.name,
        ratio(comparison.ratio),
        percent(comparison.floor),
        comparison.verdict
    )
}

/// Ticks that don't run into each other: 1 is always one of them.
fn ticks_apart(axis: &Axis) -> Vec<&(f64, String)> {
    // Of a digit, in the size that small screens get; and between two ticks.
    const DIGIT: f64 = 8.8;
    const SPACE: f64 = 8.0;
    let extent = |tick: &(f64, String)| {
        let (place, len) = (axis.place(tick.0), tick.1.chars().count() as f64 * DIGIT);
        let start = place * (WIDTH - 2.0 * SIDE)
            - match anchor(place) {
                "start" => 0.0,
                "end" => len,
                _ => len / 2.0,
            };
        (start, start + len + SPACE)
    };
    let mut by_distance: Vec<&(f64, String)> = axis.ticks.iter().collect();
    by_distance.sort_by(|left, right| left.0.ln().abs().total_cmp(&right.0.ln().abs()));
    let mut apart: Vec<&(f64, String)> = Vec::new();
    for tick in by_distance {
        let (start, end) = extent(tick);
        let is_free = apart.iter().all(|other| {
            let (other_start, other_end) = extent(other);
            end <= other_start || start >= other_end
        });
        if is_free {
            apart.push(tick);
        }
    }
    apart
}

/// What is written at an end stays within the chart.
fn anchor(place: f64) -> &'static str {
    match place {
        place if place < 0.04 => "start",
        place if place > 0.96 => "end",
        _ => "middle",
    }
}
