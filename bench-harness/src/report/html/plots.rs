//! Which charts a report has. Each shows one class and one way of waiting: others aren't ranked beside them.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::super::document::{Figures, Report, Times};
use super::super::numbers::{bytes, figure, short_count, short_time, time};
use super::super::rows::{section_name, sections};
use super::axis::Axis;
use super::chart::{Bar, Series, Style, bars, lines};
use crate::results::Status;
use crate::stats::median_interval;
use crate::stats::verdict::COVERAGE;
use crate::transport::{Class, WaitMode};

/// Rows that may stand beside each other.
struct Panel<'a> {
    name: String,
    wait: WaitMode,
    rows: Vec<&'a Figures>,
    /// The contenders among them, which give the colours.
    contenders: Vec<String>,
}

impl Panel<'_> {
    fn style(&self, row: &Figures) -> Style {
        let name = row.full_name();
        let index = self.contenders.iter().position(|other| *other == name);
        index.map_or(Style::Crowd, Style::Numbered)
    }
}

/// A group of charts with its heading and what it shows.
pub(super) struct Group {
    pub(super) title: &'static str,
    pub(super) note: &'static str,
    pub(super) charts: Vec<Markup>,
}

impl Report {
    /// All charts.
    pub fn plots(&self) -> Markup {
        let groups = match self.command.as_str() {
            "sweep" => vec![self.streams_by_size(), self.trips_by_size()],
            "fan" => vec![self.streams_by_fan()],
            "curve" => vec![self.latency_by_rate(false)],
            "wake" => vec![self.latency_by_rate(true)],
            "topo" => Vec::new(),
            _ => vec![
                self.stream_bars(),
                self.trip_bars(),
                self.trip_curves(),
                self.paced_curves(),
            ],
        };
        let groups = groups.into_iter().chain([self.rounds_over_time()]);
        html! {
            @for group in groups.filter(|group| !group.charts.is_empty()) {
                h3 { (group.title) }
                p class="note" { (group.note) }
                div class="plots" { @for chart in &group.charts { (chart) } }
            }
        }
    }

    /// The panels, with the rows for which there is something to draw.
    fn panels<'a>(&'a self, is_shown: impl Fn(&&'a Figures) -> bool) -> Vec<Panel<'a>> {
        let panel = |section: (Class, WaitMode)| {
            let rows = self
                .results
                .iter()
                .filter(|row| (row.class, row.wait) == section);
            let rows: Vec<&Figures> = rows.filter(&is_shown).collect();
            let mut contenders: Vec<String> = Vec::new();
            for row in &rows {
                if !contenders.contains(&row.full_name()) {
                    contenders.push(row.full_name());
                }
            }
            (!rows.is_empty()).then_some(Panel {
                name: section_name(section),
                wait: section.1,
                rows,
                contenders,
            })
        };
        sections().filter_map(panel).collect()
    }

    /// The same, with a panel for each size: a line that joins messages of several lengths would compare unequal work.
    fn panels_by_size<'a>(&'a self, is_shown: impl Fn(&&'a Figures) -> bool) -> Vec<Panel<'a>> {
        let mut panels = Vec::new();
        for whole in self.panels(is_shown) {
            let sizes: BTreeSet<usize> = whole.rows.iter().map(|row| row.size_bytes).collect();
            for size in sizes {
                let has_size = |row: &&Figures| row.size_bytes == size;
                panels.push(Panel {
                    name: match whole.rows[0].class {
                        Class::Notify => whole.name.clone(),
                        _ => self.titled(&whole.name, size),
                    },
                    wait: whole.wait,
                    rows: whole.rows.iter().copied().filter(has_size).collect(),
                    contenders: whole.contenders.clone(),
                });
            }
        }
        panels
    }

    /// The name of a row, with its size where there are several.
    fn label(&self, row: &Figures) -> String {
        match self.settings.sizes.len() {
            0 | 1 => row.shown_name(),
            _ => format!("{}, {}", row.shown_name(), bytes(row.size_bytes)),
        }
    }

    fn stream_bars(&self) -> Group {
        let bar = |panel: &Panel<'_>, row: &Figures| {
            let ns = row.stream.ns_per_message?;
            let per_us = |ns: f64| 1e3 / ns;
            let interval = median_interval(&row.stream.rounds, COVERAGE)?;
            Some(Bar {
                name: self.label(row),
                style: panel.style(row),
                value: per_us(ns),
                interval: (per_us(interval.high), per_us(interval.low)),
                shown: figure(Some(per_us(ns))),
            })
        };
        let panels = self.panels(|row| row.stream.ns_per_message.is_some());
        Group {
            title: "Streams: messages a second",
            note: "Longer is better. By the slower of two regimes; the line across the end of a bar is the interval of its median over rounds.",
            charts: panels_of_bars(&panels, "million messages a second", bar),
        }
    }

    fn trip_bars(&self) -> Group {
        let bar = |panel: &Panel<'_>, row: &Figures| {
            let rounds: Vec<f64> = row
                .round_trip_ns
                .rounds
                .iter()
                .flatten()
                .map(|&ns| ns as f64)
                .collect();
            let value = row.round_trip_ns.p50? as f64;
            let interval = median_interval(&rounds, COVERAGE)?;
            Some(Bar {
                name: self.label(row),
                style: panel.style(row),
                value,
                interval: (interval.low, interval.high),
                shown: time(value),
            })
        };
        let panels = self.panels(|row| row.round_trip_ns.p50.is_some());
        Group {
            title: "Round trips: the median",
            note: "Shorter is better. There and back; the line across the end of a bar is the interval of the median over rounds.",
            charts: panels_of_bars(&panels, "median round trip", bar),
        }
    }

    fn trip_curves(&self) -> Group {
        Group {
            title: "Round trips: every percentile (closed loop)",
            note: "All rounds together. Each step to the right leaves a tenth as many samples beyond it. A closed loop: a stall delays one sample.",
            charts: self.curves("round trip", |row| &row.round_trip_ns),
        }
    }

    fn paced_curves(&self) -> Group {
        Group {
            title: "One way at a fixed rate: every percentile (open loop)",
            note: "From the moment a message was due, however late it was sent: a stall delays every message that was due meanwhile.",
            charts: self.curves("one way", |row| &row.paced_ns.times),
        }
    }

    fn curves(&self, what: &str, times: impl Fn(&Figures) -> &Times) -> Vec<Markup> {
        let has_curve = |row: &&Figures| !times(row).curve.is_empty();
        let points = |row: &Figures| {
            times(row)
                .curve
                .iter()
                .map(|&(q, ns)| (q, ns as f64))
                .collect()
        };
        let chart = |panel: Panel<'_>| {
            let mut series: Vec<Series> = Vec::new();
            // The limit that belongs to the way of waiting.
            let limit = if panel.wait == WaitMode::Park {
                "limit-futex"
            } else {
                "limit-line"
            };
            let is_limit = |row: &&Figures| row.contender == limit && !row.is_twin;
            let limits = self.results.iter().filter(is_limit).filter(has_curve);
            let limits: Vec<&Figures> = limits.collect();
            for row in panel.rows.iter().filter(|row| row.class != Class::Limit) {
                series.push(Series {
                    name: self.label(row),
                    style: panel.style(row),
                    has_line: true,
                    has_marks: false,
                    points: points(row),
                });
            }
            series.extend(limits.into_iter().map(|row| Series {
                name: row.full_name(),
                style: Style::Limit,
                has_line: true,
                has_marks: false,
                points: points(row),
            }));
            let all = || series.iter().flat_map(|one| one.points.iter().copied());
            let x = Axis::tail(
                "share of the samples",
                all().map(|(q, _)| q).fold(0.9, f64::max),
            );
            let y = Axis::log(what, all().map(|(_, ns)| ns), short_time);
            lines(&panel.name, &x, &y, &series)
        };
        let shown = self.panels(|row| has_curve(row) && row.class != Class::Limit && !row.is_twin);
        shown.into_iter().map(chart).collect()
    }

    fn streams_by_size(&self) -> Group {
        let value = |row: &Figures| row.stream.ns_per_message;
        Group {
            title: "Streams by size",
            note: "Time for a message; both axes are logarithmic. limit-memcpy copies the same bytes and does nothing else.",
            charts: self.by_size("time for a message", "limit-memcpy", value),
        }
    }

    fn trips_by_size(&self) -> Group {
        let value = |row: &Figures| row.round_trip_ns.p50.map(|ns| ns as f64);
        Group {
            title: "Round trips by size",
            note: "The median, there and back; both axes are logarithmic.",
            charts: self.by_size("median round trip", "limit-line", value),
        }
    }

    fn by_size(
        &self,
        what: &str,
        limit: &str,
        value: impl Fn(&Figures) -> Option<f64>,
    ) -> Vec<Markup> {
        let points = |name: &str| {
            let rows = self
                .results
                .iter()
                .filter(|row| row.full_name() == name && !row.is_twin);
            let of = |row: &Figures| Some((row.size_bytes as f64, value(row)?));
            rows.filter_map(of).collect::<Vec<_>>()
        };
        let limits = self
            .results
            .iter()
            .filter(|row| row.contender == limit && value(row).is_some());
        let limits: Vec<String> = limits.map(Figures::full_name).take(1).collect();
        let sizes = || self.settings.sizes.iter().map(|&size| size as f64);
        let mut x = Axis::log("bytes in a message (K = 1024)", sizes(), short_count);
        x.ticks = sizes().map(|size| (size, short_size(size))).collect();
        let chart = |panel: Panel<'_>| {
            let mut series: Vec<Series> = Vec::new();
            for (index, name) in panel.contenders.iter().enumerate() {
                series.push(line_with_marks(
                    name.clone(),
                    Style::Numbered(index),
                    points(name),
                ));
            }
            for name in &limits {
                let points = points(name);
                let far = |points: &[(f64, f64)]| {
                    // What has one size of its own is the limit at all sizes.
                    match points {
                        [(_, only)] => sizes().map(|size| (size, *only)).collect(),
                        _ => points.to_vec(),
                    }
                };
                series.push(Series {
                    name: name.clone(),
                    style: Style::Limit,
                    has_line: true,
                    has_marks: false,
                    points: far(&points),
                });
            }
            let all = series.iter().flat_map(|one| one.points.iter());
            let y = Axis::log(what, all.map(|&(_, ns)| ns), short_time);
            lines(&panel.name, &x, &y, &series)
        };
        let shown = self.panels(|row| {
            value(row).is_some() && row.size_bytes > 0 && row.class != Class::Limit && !row.is_twin
        });
        shown.into_iter().map(chart).collect()
    }

    fn streams_by_fan(&self) -> Group {
        let mut fans: Vec<(u32, u32)> = self
            .results
            .iter()
            .map(|row| (row.producers, row.consumers))
            .collect();
        fans.sort_unstable();
        fans.dedup();
        let names: Vec<String> = fans.iter().map(|(p, c)| format!("{p} to {c}")).collect();
        let rate = |row: &Figures| row.stream.messages_per_second.map(|rate| rate / 1e6);
        let chart = |panel: Panel<'_>| {
            let of = |name: &String| {
                let rows = panel.rows.iter().filter(|row| row.full_name() == *name);
                let place = |row: &&&Figures| {
                    let index = fans
                        .iter()
                        .position(|&fan| fan == (row.producers, row.consumers))?;
                    Some((index as f64, rate(row)?))
                };
                rows.filter_map(|row| place(&row)).collect::<Vec<_>>()
            };
            let each = panel.contenders.iter().enumerate();
            let series: Vec<Series> = each
                .map(|(index, name)| {
                    line_with_marks(name.clone(), Style::Numbered(index), of(name))
                })
                .collect();
            let highest = series
                .iter()
                .flat_map(|one| &one.points)
                .map(|&(_, y)| y)
                .fold(0.0, f64::max);
            let x = Axis::of_names("producers to consumers", &names);
            lines(
                &panel.name,
                &x,
                &Axis::from_zero("million messages a second", highest),
                &series,
            )
        };
        let shown = self
            .panels_by_size(|row| rate(row).is_some() && row.class != Class::Limit && !row.is_twin);
        Group {
            title: "Streams by the number of processes",
            note: "Messages of all together; higher is better. The lines between the marks only lead the eye.",
            charts: shown.into_iter().map(chart).collect(),
        }
    }

    /// Of `curve`, and with gaps instead of rates of `wake`.
    fn latency_by_rate(&self, is_gap: bool) -> Group {
        let across = |rate: u64| {
            if is_gap {
                1e9 / rate as f64
            } else {
                rate as f64
            }
        };
        let all_rates = || {
            self.results
                .iter()
                .filter_map(|row| row.paced_ns.rate_per_second)
        };
        let x = if is_gap {
            Axis::log(
                "idle before the message",
                all_rates().map(across),
                short_time,
            )
        } else {
            Axis::log("messages a second", all_rates().map(across), short_count)
        };
        let points = |panel: &Panel<'_>, name: &str, of: fn(&Times) -> Option<u64>| {
            let rows = panel.rows.iter().filter(|row| row.full_name() == name);
            let mut points: Vec<(f64, f64)> = rows
                .filter_map(|row| {
                    let rate = row.paced_ns.rate_per_second?;
                    Some((across(rate), of(&row.paced_ns.times)? as f64))
                })
                .collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            points
        };
        let chart = |panel: Panel<'_>| {
            let (mut series, mut saturated): (Vec<Series>, Vec<_>) = (Vec::new(), Vec::new());
            for (index, name) in panel.contenders.iter().enumerate() {
                // What saturates leaves the chart there.
                let is_saturated =
                    |row: &&&Figures| row.full_name() == *name && row.status == Status::Saturated;
                let rates = panel.rows.iter().filter(is_saturated);
                let first = rates.filter_map(|row| row.paced_ns.rate_per_second).min();
                let end = first
                    .filter(|_| !is_gap)
                    .map(|rate| (across(rate), f64::MAX));
                let mut middle = points(&panel, name, |times| times.p50);
                middle.extend(end);
                saturated.extend(end);
                series.push(line_with_marks(
                    format!("{name} p50"),
                    Style::Numbered(index),
                    middle,
                ));
                series.push(line_with_marks(
                    format!("{name} p99"),
                    Style::Faint(index),
                    points(&panel, name, |times| times.p99),
                ));
            }
            series.push(Series {
                name: "saturated".to_owned(),
                style: Style::Alert,
                has_line: false,
                has_marks: true,
                points: saturated,
            });
            let all = series.iter().flat_map(|one| one.points.iter());
            let y = Axis::log(
                "one-way latency",
                all.map(|&(_, ns)| ns).filter(|&ns| ns < f64::MAX),
                short_time,
            );
            lines(&panel.name, &x, &y, &series)
        };
        let shown = self.panels_by_size(|row| {
            row.paced_ns.rate_per_second.is_some() && row.class != Class::Limit && !row.is_twin
        });
        Group {
            title: if is_gap {
                "Latency after a gap"
            } else {
                "Latency by rate"
            },
            note: "One way, from the moment a message was due; both axes are logarithmic. The thin dotted line is p99.",
            charts: shown.into_iter().map(chart).collect(),
        }
    }
}

/// A size as it can be given to `--size`.
fn short_size(size: f64) -> String {
    let shown = bytes(size as usize);
    shown
        .replace(" KiB", "K")
        .replace(" MiB", "M")
        .replace(" B", "")
}

/// Points that are connected and marked.
fn line_with_marks(name: String, style: Style, points: Vec<(f64, f64)>) -> Series {
    Series {
        name,
        style,
        has_line: true,
        has_marks: true,
        points,
    }
}

/// A chart of bars for each panel.
fn panels_of_bars(
    panels: &[Panel<'_>],
    unit: &str,
    bar: impl Fn(&Panel<'_>, &Figures) -> Option<Bar>,
) -> Vec<Markup> {
    let chart = |panel: &Panel<'_>| {
        let of_panel = panel.rows.iter().filter_map(|row| bar(panel, row));
        bars(&panel.name, unit, &of_panel.collect::<Vec<_>>())
    };
    panels.iter().map(chart).collect()
}
