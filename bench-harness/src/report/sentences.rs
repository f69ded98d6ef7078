//! What the table says, in three plain sentences that are made of its figures alone.

use super::document::Figures;
use super::numbers::{figure, time};
use crate::results::Status;
use crate::transport::{Class, WaitMode};

/// The three sentences about the rows of one size, and one for each row with a stopped process. Latency at a fixed rate has none of them: see the
/// remarks.
pub fn sentences(rows: &[&Figures], what: &str) -> Vec<String> {
    let (stopped, rows): (Vec<&Figures>, Vec<&Figures>) =
        rows.iter().partition(|row| row.stopped.is_some());
    let is_told = |row: &&Figures| row.stream.ns_per_message.is_some() || trip(row).is_some();
    if !rows.iter().any(is_told)
        && rows
            .iter()
            .any(|row| row.paced_ns.rate_per_second.is_some())
    {
        return Vec::new();
    }
    let mut sentences = vec![
        best_of(&rows, WaitMode::Spin, "that spin", what),
        best_of(&rows, WaitMode::Park, "that sleep while they wait", what),
        ring_beside_the_rest(&rows),
    ];
    sentences.extend(stopped.into_iter().filter_map(cost_of_stopped));
    sentences
}

/// What a stopped process costs the others.
fn cost_of_stopped(row: &Figures) -> Option<String> {
    let (who, times) = (row.stopped?, row.ratio_to_undisturbed?);
    let rounds = &row.ratio_to_undisturbed_rounds;
    let least = rounds.iter().copied().min_by(f64::total_cmp);
    let most = rounds.iter().copied().max_by(f64::total_cmp);
    Some(format!(
        "With one more {who} stopped in the middle of a message, a message of {}/{} took {} times as long ({} to {} in the rounds).",
        row.contender,
        row.wait,
        figure(Some(times)),
        figure(least),
        figure(most)
    ))
}

/// The one with the least of something.
fn least<'a>(
    rows: impl Iterator<Item = &'a Figures>,
    figure: impl Fn(&Figures) -> Option<f64>,
) -> Option<(&'a Figures, f64)> {
    rows.filter_map(|row| Some((row, figure(row)?)))
        .min_by(|(_, a), (_, b)| a.total_cmp(b))
}

fn trip(row: &Figures) -> Option<f64> {
    row.round_trip_ns.p50.map(|ns| ns as f64)
}

fn best_of(rows: &[&Figures], wait: WaitMode, which: &str, what: &str) -> String {
    let among = || {
        rows.iter()
            .copied()
            .filter(|row| row.class == Class::Message && row.wait == wait)
    };
    let streamed = least(among(), |row| row.stream.ns_per_message).map(|(row, ns)| {
        let rate = figure(Some(1e3 / ns));
        (
            row.full_name(),
            format!("streamed the most {what}, {rate} million a second"),
        )
    });
    let answered = least(among(), trip).map(|(row, ns)| {
        (
            row.full_name(),
            format!("had the shortest round trip, {} at the median", time(ns)),
        )
    });
    let of = format!("Of the message mechanisms {which},");
    match (streamed, answered) {
        (Some((first, did)), Some((second, had))) if first == second => {
            format!("{of} {first} {did}, and {had}.")
        }
        (Some((first, did)), Some((second, had))) => {
            format!("{of} {first} {did}, and {second} {had}.")
        }
        (Some((name, did)), None) | (None, Some((name, did))) => format!("{of} {name} {did}."),
        (None, None) => format!("{of} none was measured."),
    }
}

/// The ring against pipe, sleeping against sleeping first, and against the hardware.
fn ring_beside_the_rest(rows: &[&Figures]) -> String {
    // The typed ring; where it can't be had, the one of bytes; of several processes, the one for many.
    let ring = |wait| {
        let of = |name: &str| {
            let found = rows
                .iter()
                .find(|row| row.contender == name && row.wait == wait);
            found.copied().filter(|row| row.status == Status::Ok)
        };
        let names = [
            "ring-spsc",
            "ring-spsc-bytes",
            "ring-mpmc",
            "ring-mpmc-bytes",
        ];
        names.into_iter().find_map(of)
    };
    let times_pipe = |row: &Figures| {
        let times = row.ratio_to_pipe.stream?;
        Some(format!(
            "{} times the messages of pipe",
            figure(Some(times))
        ))
    };
    let mut parts = Vec::new();
    if let Some((row, times)) = ring(WaitMode::Park).and_then(|row| Some((row, times_pipe(row)?))) {
        let name = row.full_name();
        parts.push(format!(
            "{name}, which sleeps as pipe does, streamed {times}"
        ));
    }
    if let Some(row) = ring(WaitMode::Spin) {
        let name = row.full_name();
        if let Some(times) = times_pipe(row) {
            parts.push(format!(
                "{name}, which burns its core where pipe sleeps, streamed {times}"
            ));
        }
        if let Some(ratio) = row.ratio_to_limit.round_trip {
            let ratio = figure(Some(ratio));
            parts.push(format!(
                "the round trip of {name} took {ratio} times that of limit-line"
            ));
        }
    }
    if parts.is_empty() {
        return "The ring wasn't measured together with pipe or the limits.".to_owned();
    }
    let mut text = parts.join("; ");
    if text.starts_with("the") {
        text.replace_range(..1, "T");
    }
    text + "."
}
