//! Charts as inline SVG: lines over two axes, and bars with intervals.
//!
//! They are drawn here and not by a plotting crate because the page has to follow the reader's light or dark preference by style sheet alone, and
//! to show names and values on hovering without scripts: that takes classes and `title` elements, which the plotting crates don't write.

use std::fmt::Write;

use maud::{Markup, html};

use super::axis::Axis;

const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 86.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 50.0;

/// How many colours there are; further series have the same ones with dashes.
const COLOURS: usize = 8;

/// Points that belong together.
#[derive(Debug, Clone)]
pub struct Series {
    /// What the legend says; two of the same name share a place in it.
    pub name: String,
    /// Which of the colours and dashes it has.
    pub style: Style,
    /// Whether its points are connected.
    pub has_line: bool,
    /// Whether its points are marked.
    pub has_marks: bool,
    /// Where.
    pub points: Vec<(f64, f64)>,
}

/// How a series looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// One of many.
    Numbered(usize),
    /// The same, thinner: of two figures of one contender the less important.
    Faint(usize),
    /// What others are compared with.
    Limit,
    /// Many points of which none matters by itself.
    Crowd,
    /// What is to be noticed.
    Alert,
}

impl Style {
    fn classes(self) -> String {
        match self {
            Self::Numbered(index) => numbered(index),
            Self::Faint(index) => format!("{} faint", numbered(index)),
            Self::Limit => "limit".to_owned(),
            Self::Crowd => "crowd".to_owned(),
            Self::Alert => "alert".to_owned(),
        }
    }
}

fn numbered(index: usize) -> String {
    let dashes = if (index / COLOURS).is_multiple_of(2) {
        ""
    } else {
        " dashed"
    };
    format!("c{}{dashes}", index % COLOURS)
}

/// A chart with its title above and its legend below.
pub fn lines(title: &str, x: &Axis, y: &Axis, series: &[Series]) -> Markup {
    let has_points = |one: &&Series| !one.points.is_empty();
    let series: Vec<&Series> = series.iter().filter(has_points).collect();
    let at = |&(a, b): &(f64, f64)| {
        let across = LEFT + x.place(a) * (WIDTH - LEFT - RIGHT);
        let down = HEIGHT - BOTTOM - y.place(b) * (HEIGHT - TOP - BOTTOM);
        (across, down)
    };
    html! {
        figure {
            figcaption { (title) }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(title) {
                (grid(x, y))
                @for one in &series {
                    g class=(one.style.classes()) {
                        title { (one.name) }
                        @if one.has_line && one.points.len() > 1 {
                            path class="line" d=(path(one.points.iter().map(at))) {}
                        }
                        @if one.has_marks || one.points.len() == 1 {
                            path class="marks" d=(dots(one.points.iter().map(at))) {}
                        }
                    }
                }
            }
            (legend(&series))
        }
    }
}

fn grid(x: &Axis, y: &Axis) -> Markup {
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let across = |value: f64| LEFT + x.place(value) * (right - LEFT);
    let down = |value: f64| bottom - y.place(value) * (bottom - TOP);
    html! {
        g class="grid" {
            @for (value, text) in &y.ticks {
                path d=(format!("M{LEFT} {:.1}H{right}", down(*value))) {}
                text x=(LEFT - 6.0) y=(format!("{:.1}", down(*value) + 4.0)) text-anchor="end" { (text) }
            }
            @for (value, text) in ticks_apart(x) {
                path d=(format!("M{:.1} {TOP}V{bottom}", across(*value))) {}
                text x=(format!("{:.1}", across(*value))) y=(bottom + 16.0) text-anchor=(anchor(x.place(*value))) { (text) }
            }
            text class="axis" x=(f64::midpoint(LEFT, right)) y=(HEIGHT - 8.0) text-anchor="middle" { (x.title) }
            text class="axis" transform=(format!("translate(14 {}) rotate(-90)", f64::midpoint(TOP, bottom))) text-anchor="middle" { (y.title) }
        }
    }
}

/// Those ticks of the horizontal axis that don't run into the one before.
fn ticks_apart(x: &Axis) -> Vec<&(f64, String)> {
    // Of a digit, in the size that small screens get; and between two ticks.
    const DIGIT: f64 = 8.6;
    const SPACE: f64 = 8.0;
    let mut end = f64::MIN;
    let mut apart = Vec::new();
    for tick in &x.ticks {
        let (place, len) = (x.place(tick.0), tick.1.chars().count() as f64 * DIGIT);
        let behind = if anchor(place) == "end" {
            len
        } else {
            len / 2.0
        };
        let start = place * (WIDTH - LEFT - RIGHT) - behind;
        if start >= end {
            end = start + len + SPACE;
            apart.push(tick);
        }
    }
    apart
}

/// What is written at the right end ends there.
fn anchor(place: f64) -> &'static str {
    if place > 0.97 { "end" } else { "middle" }
}

fn legend(series: &[&Series]) -> Markup {
    let mut entries: Vec<&Series> = Vec::new();
    for one in series {
        if !entries.iter().any(|other| other.name == one.name) {
            entries.push(one);
        }
    }
    html! {
        ul class="legend" {
            @for one in entries {
                li class=(one.style.classes()) {
                    svg viewBox="0 0 22 10" aria-hidden="true" {
                        @if one.has_line { path class="line" d="M1 5H21" {} }
                        @if one.has_marks { path class="marks" d="M11 5h0" {} }
                    }
                    (one.name)
                }
            }
        }
    }
}

fn path(points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut text = String::new();
    let mut previous = None;
    for (x, y) in points {
        let here = format!("{x:.1} {y:.1}");
        if previous.as_ref() != Some(&here) {
            text.push(if previous.is_none() { 'M' } else { 'L' });
            text.push_str(&here);
        }
        previous = Some(here);
    }
    text
}

/// Lines of no length: their round ends are dots.
fn dots(points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut text = String::new();
    for (x, y) in points {
        let result = write!(text, "M{x:.1} {y:.1}h0");
        debug_assert!(result.is_ok(), "memory takes whatever is written to it");
    }
    text
}

/// A bar.
#[derive(Debug, Clone)]
pub struct Bar {
    /// What it is of.
    pub name: String,
    /// Which of the colours it has.
    pub style: Style,
    /// How long it is.
    pub value: f64,
    /// Between what the true value lies.
    pub interval: (f64, f64),
    /// The value in words.
    pub shown: String,
}

/// Bars below each other, all from zero, with intervals.
pub fn bars(title: &str, unit: &str, all: &[Bar]) -> Markup {
    const ROW: f64 = 46.0;
    const ROOM_FOR_VALUE: f64 = 96.0;
    let highest = all
        .iter()
        .map(|bar| bar.value.max(bar.interval.1))
        .fold(0.0, f64::max);
    let scale = (WIDTH - ROOM_FOR_VALUE) / if highest > 0.0 { highest } else { 1.0 };
    let height = ROW * all.len() as f64 + 4.0;
    html! {
        figure {
            figcaption { (title) " " span class="unit" { (unit) } }
            svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label=(title) {
                @for (index, bar) in all.iter().enumerate() {
                    @let top = ROW * index as f64;
                    @let (low, high) = (bar.interval.0.max(0.0) * scale, bar.interval.1 * scale);
                    @let end = (bar.value * scale).max(high);
                    g class=(bar.style.classes()) {
                        text x="0" y=(format!("{:.1}", top + 17.0)) { (bar.name) }
                        rect class="bar" x="0" y=(format!("{:.1}", top + 23.0)) height="12" width=(format!("{:.1}", (bar.value * scale).max(1.0))) {}
                        @if high > low {
                            path class="whisker" d=(format!("M{low:.1} {0:.1}v6m0 -3H{high:.1}m0 -3v6", top + 26.0)) {}
                        }
                        text class="value" x=(format!("{:.1}", end + 6.0)) y=(format!("{:.1}", top + 34.0)) { (bar.shown) }
                    }
                }
            }
        }
    }
}
