//! The report as comma-separated values in long form: a line for each figure of each window, for each figure of a row as a whole, and for what
//! a comparison with a baseline says of each figure.

use std::io::{self, Write};

use ::csv::Writer;
use serde::Serialize;

use super::document::{Figures, Report, SideCost, Times, WindowFigures, WindowKind};
use super::rows::status;
use crate::compare::document::{ComparedFigure, ComparedRuns, SaturatedRow};
use crate::compare::rows::row_of;
use crate::fan::Stopped;
use crate::measure::latency::Latency;
use crate::measure::usage::Usage;
use crate::stats::Comparison;
use crate::stats::saves::Role;
use crate::transport::{Class, WaitMode};

/// A line. What doesn't apply is empty.
#[derive(Debug, Clone, Serialize)]
struct Record<'a> {
    command: &'a str,
    contender: &'a str,
    class: Class,
    wait: WaitMode,
    is_twin: bool,
    size_bytes: usize,
    producers: u32,
    consumers: u32,
    stopped: Option<Stopped>,
    rate_per_second: Option<u64>,
    cores: Option<String>,
    status: &'static str,
    reason: Option<&'a str>,
    /// What was measured: `drained`, `working`, `round_trip` or `paced`; of a row as a whole also `link`, `stream`, `cost`, `integrity`, `ratio`
    /// or `versus`; of a comparison with a baseline `baseline`.
    kind: &'static str,
    /// Empty in a figure over all rounds.
    round: Option<u32>,
    attempt: Option<u32>,
    figure: &'a str,
    value: Option<f64>,
    unit: &'static str,
    disturbance: Option<&'a str>,
    /// The run that is compared with. This and what follows is empty in all but the lines of the kind `baseline`.
    baseline: Option<&'a str>,
    /// The figure that is compared, as in `compare`, or `paced` of a row that is saturated; what is told of it is in `figure`.
    compared: Option<&'static str>,
    role: Option<Role>,
    verdict: Option<&'static str>,
}

/// A figure: its name, its value, its unit.
type Value = (&'static str, Option<f64>, &'static str);

impl Report {
    /// Writes the figures. A row without any has one line, with its status and its reason.
    ///
    /// # Errors
    /// What the output says.
    pub fn write_csv(&self, out: impl Write) -> io::Result<()> {
        let mut lines = Writer::from_writer(out);
        for row in &self.results {
            self.write_row(row, &mut lines)?;
        }
        if let Some(runs) = &self.comparison {
            self.write_comparison(runs, &mut lines)?;
        }
        lines.flush()
    }

    /// What is known of a row without any figure.
    fn bare<'a>(&'a self, row: &'a Figures) -> Record<'a> {
        Record {
            command: &self.command,
            contender: &row.contender,
            class: row.class,
            wait: row.wait,
            is_twin: row.is_twin,
            size_bytes: row.size_bytes,
            producers: row.producers,
            consumers: row.consumers,
            stopped: row.stopped,
            rate_per_second: row.paced_ns.rate_per_second,
            cores: row.cores.map(pair),
            status: status_word(row),
            reason: row.reason.as_deref(),
            kind: "",
            round: None,
            attempt: None,
            figure: "",
            value: None,
            unit: "",
            disturbance: None,
            baseline: None,
            compared: None,
            role: None,
            verdict: None,
        }
    }

    fn write_comparison(
        &self,
        runs: &ComparedRuns,
        lines: &mut Writer<impl Write>,
    ) -> io::Result<()> {
        for one in &runs.figures {
            // Only in a file that was changed has a comparison other rows than its report.
            let Some(row) = row_of(&one.place, self) else {
                continue;
            };
            let line = Record {
                compared: Some(one.figure.as_str()),
                role: Some(one.role),
                verdict: Some(one.comparison.verdict.as_str()),
                ..self.bare(row)
            };
            write_compared(&runs.before.name, &line, of_compared(one), lines)?;
        }
        for one in &runs.saturated {
            let Some(row) = row_of(&one.place, self) else {
                continue;
            };
            let line = Record {
                compared: Some("paced"),
                role: Some(one.role),
                verdict: Some(one.saturated_in.as_str()),
                ..self.bare(row)
            };
            write_compared(&runs.before.name, &line, of_saturated(one), lines)?;
        }
        Ok(())
    }

    fn write_row(&self, row: &Figures, lines: &mut Writer<impl Write>) -> io::Result<()> {
        let bare = || self.bare(row);
        let mut written = 0_u32;
        let mut write = |record: Record<'_>| {
            written += 1;
            lines.serialize(record).map_err(io::Error::other)
        };
        for (kind, (figure, value, unit)) in of_row(row) {
            if value.is_some() {
                write(Record {
                    kind,
                    figure,
                    value,
                    unit,
                    ..bare()
                })?;
            }
        }
        for window in &row.windows {
            for (figure, value, unit) in of_window(window) {
                if value.is_some() {
                    write(Record {
                        kind: kind_word(window.kind),
                        round: Some(window.round),
                        attempt: Some(window.attempt),
                        disturbance: window.disturbance.as_deref(),
                        figure,
                        value,
                        unit,
                        ..bare()
                    })?;
                }
            }
        }
        if written == 0 {
            lines.serialize(bare()).map_err(io::Error::other)?;
        }
        Ok(())
    }
}

/// Writes what is told of a row that is compared with a baseline.
fn write_compared(
    baseline: &str,
    line: &Record<'_>,
    values: Vec<Value>,
    lines: &mut Writer<impl Write>,
) -> io::Result<()> {
    for (figure, value, unit) in values {
        if value.is_some() {
            lines.serialize(Record {
                kind: "baseline",
                figure,
                value,
                unit,
                baseline: Some(baseline),
                ..line.clone()
            })?;
        }
    }
    Ok(())
}

fn pair([left, right]: [usize; 2]) -> String {
    format!("{left},{right}")
}

/// As in JSON, where the table has other words.
fn status_word(row: &Figures) -> &'static str {
    match status(row) {
        "n/a" => "unavailable",
        "FAILED" => "failed",
        other => other,
    }
}

fn kind_word(kind: WindowKind) -> &'static str {
    match kind {
        WindowKind::Drained => "drained",
        WindowKind::Working => "working",
        WindowKind::RoundTrip => "round_trip",
        WindowKind::Paced => "paced",
    }
}

/// The figures of a row as a whole, each with its kind.
fn of_row(row: &Figures) -> Vec<(&'static str, Value)> {
    let mut all = Vec::new();
    let mut add =
        |kind, values: Vec<Value>| all.extend(values.into_iter().map(|value| (kind, value)));
    let messages = |capacity: Option<usize>| {
        let capacity = capacity.filter(|_| row.has_link());
        capacity.map(|messages| messages as f64)
    };
    add(
        "link",
        vec![
            ("capacity", messages(row.capacity), "messages"),
            ("capacity_asked", messages(row.capacity_asked), "messages"),
        ],
    );
    add(
        "stream",
        vec![
            ("ns_per_message", row.stream.ns_per_message, "ns"),
            ("messages_per_second", row.stream.messages_per_second, "1/s"),
            ("bytes_per_second", row.stream.bytes_per_second, "B/s"),
        ],
    );
    add("round_trip", of_times(&row.round_trip_ns));
    add("paced", of_times(&row.paced_ns.times));
    add(
        "paced",
        vec![("share_behind", row.paced_ns.share_behind, "1")],
    );
    add("cost", of_cost(row));
    let tally = &row.integrity;
    let count = |value: u64| Some(value as f64);
    add(
        "integrity",
        vec![
            ("sent", count(tally.sent), "messages"),
            ("received", count(tally.received), "messages"),
            ("lost", count(tally.lost), "messages"),
            ("duplicated", count(tally.duplicated), "messages"),
            ("reordered", count(tally.reordered), "messages"),
            ("corrupted", count(tally.corrupted), "messages"),
        ],
    );
    add(
        "ratio",
        vec![
            ("stream_time_to_limit", row.ratio_to_limit.stream, "1"),
            (
                "round_trip_time_to_limit",
                row.ratio_to_limit.round_trip,
                "1",
            ),
            ("stream_speed_to_pipe", row.ratio_to_pipe.stream, "1"),
            (
                "round_trip_speed_to_pipe",
                row.ratio_to_pipe.round_trip,
                "1",
            ),
            ("time_to_undisturbed", row.ratio_to_undisturbed, "1"),
        ],
    );
    let versus = &row.versus_reference;
    let names = |stream: &'static str, low, high, p| [stream, low, high, p];
    for (names, comparison) in [
        (
            names(
                "stream_time",
                "stream_low",
                "stream_high",
                "stream_p_adjusted",
            ),
            &versus.stream,
        ),
        (
            names(
                "round_trip_time",
                "round_trip_low",
                "round_trip_high",
                "round_trip_p_adjusted",
            ),
            &versus.round_trip,
        ),
        (
            names("paced_time", "paced_low", "paced_high", "paced_p_adjusted"),
            &versus.paced,
        ),
    ] {
        add("versus", of_comparison(names, comparison.as_ref()));
    }
    all
}

fn of_comparison([time, low, high, p]: [&'static str; 4], of: Option<&Comparison>) -> Vec<Value> {
    let interval = of.and_then(|comparison| comparison.interval);
    vec![
        (time, of.and_then(|comparison| comparison.ratio), "1"),
        (low, interval.map(|interval| interval.low), "1"),
        (high, interval.map(|interval| interval.high), "1"),
        (p, of.map(|comparison| comparison.p_adjusted), "1"),
    ]
}

/// What a comparison says of a figure, in the words of `compare`.
fn of_compared(one: &ComparedFigure) -> Vec<Value> {
    let comparison = one.comparison;
    let interval = comparison.interval;
    vec![
        ("before_ns", Some(one.before_ns), "ns"),
        ("after_ns", Some(one.after_ns), "ns"),
        ("drift", one.drift, "1"),
        ("states", Some(f64::from(one.states)), "1"),
        ("ratio", comparison.ratio, "1"),
        ("low", interval.map(|interval| interval.low), "1"),
        ("high", interval.map(|interval| interval.high), "1"),
        ("coverage", interval.map(|interval| interval.coverage), "1"),
        ("rounds", Some(f64::from(comparison.rounds)), "1"),
        ("p_value", Some(comparison.p_value), "1"),
        ("p_adjusted", Some(comparison.p_adjusted), "1"),
        ("floor", Some(comparison.floor), "1"),
    ]
}

/// By which shares a row missed its rate that has no latencies to compare.
fn of_saturated(row: &SaturatedRow) -> Vec<Value> {
    vec![
        ("share_behind_before", row.share_behind_before, "1"),
        ("share_behind_after", row.share_behind_after, "1"),
    ]
}

fn of_cost(row: &Figures) -> Vec<Value> {
    let memory = |side: &SideCost| side.resident_bytes_max.map(|bytes| bytes as f64);
    let (sender, receiver) = (&row.cost.sender, &row.cost.receiver);
    vec![
        ("cpu_ns_per_message", row.cpu_ns_per_message, "ns"),
        (
            "context_switches_per_message",
            row.context_switches_per_message,
            "1",
        ),
        (
            "system_calls_per_message",
            row.system_calls_per_message,
            "1",
        ),
        ("sender_cpu_ns_per_message", sender.cpu_ns_per_message, "ns"),
        (
            "receiver_cpu_ns_per_message",
            receiver.cpu_ns_per_message,
            "ns",
        ),
        (
            "sender_context_switches_per_message",
            sender.context_switches_per_message,
            "1",
        ),
        (
            "receiver_context_switches_per_message",
            receiver.context_switches_per_message,
            "1",
        ),
        (
            "sender_system_calls_per_message",
            sender.system_calls_per_message,
            "1",
        ),
        (
            "receiver_system_calls_per_message",
            receiver.system_calls_per_message,
            "1",
        ),
        ("sender_resident_bytes_max", memory(sender), "B"),
        ("receiver_resident_bytes_max", memory(receiver), "B"),
    ]
}

fn of_times(times: &Times) -> Vec<Value> {
    let float = |ns: Option<u64>| ns.map(|ns| ns as f64);
    let samples = (times.samples > 0).then_some(times.samples as f64);
    vec![
        ("p50", float(times.p50), "ns"),
        ("p90", float(times.p90), "ns"),
        ("p99", float(times.p99), "ns"),
        ("p99_9", float(times.p99_9), "ns"),
        ("p99_99", float(times.p99_99), "ns"),
        ("max", float(times.max), "ns"),
        ("samples", samples, "1"),
    ]
}

fn of_window(window: &WindowFigures) -> Vec<Value> {
    let count = |value: u64| Some(value as f64);
    let mut values = vec![
        ("began", count(window.began_ns), "ns"),
        ("count", count(window.count), "1"),
        ("beside", window.beside.and_then(count), "1"),
        ("elapsed", count(window.elapsed_ns), "ns"),
        ("ns_each", Some(window.ns_each), "ns"),
    ];
    values.extend(
        window
            .times_ns
            .as_ref()
            .map(of_latency)
            .into_iter()
            .flatten(),
    );
    values.extend(of_usage(&window.sender, SENDER));
    if let Some(waiting) = window.sender.waiting {
        values.push(("sender_waiting_cpu", count(waiting.cpu_ns), "ns"));
        values.push(("sender_waiting_switches", count(waiting.switches), "1"));
    }
    values.extend(of_usage(&window.receiver, RECEIVER));
    values
}

fn of_latency(times: &Latency) -> Vec<Value> {
    let float = |ns: Option<u64>| ns.map(|ns| ns as f64);
    vec![
        ("p50", float(times.p50), "ns"),
        ("p90", float(times.p90), "ns"),
        ("p99", float(times.p99), "ns"),
        ("p99_9", float(times.p99_9), "ns"),
        ("p99_99", float(times.p99_99), "ns"),
        ("max", Some(times.max as f64), "ns"),
        ("samples", Some(times.samples as f64), "1"),
    ]
}

const SENDER: [&str; 6] = [
    "sender_cpu",
    "sender_voluntary_switches",
    "sender_involuntary_switches",
    "sender_queued",
    "sender_system_calls",
    "sender_resident",
];
const RECEIVER: [&str; 6] = [
    "receiver_cpu",
    "receiver_voluntary_switches",
    "receiver_involuntary_switches",
    "receiver_queued",
    "receiver_system_calls",
    "receiver_resident",
];

fn of_usage(usage: &Usage, names: [&'static str; 6]) -> [Value; 6] {
    let float = |value: Option<u64>| value.map(|value| value as f64);
    let [cpu, voluntary, involuntary, queued, calls, resident] = names;
    [
        (cpu, Some(usage.cpu_ns as f64), "ns"),
        (voluntary, Some(usage.voluntary_switches as f64), "1"),
        (involuntary, Some(usage.involuntary_switches as f64), "1"),
        (queued, float(usage.queued_ns), "ns"),
        (calls, float(usage.system_calls), "1"),
        (resident, float(usage.resident_bytes), "B"),
    ]
}
