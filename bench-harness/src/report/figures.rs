//! The figures: medians over rounds, ratios round by round, and what they say against the noise.

use super::document::{
    Cost, Figures, Noise, Paced, RatioToLimit, RatioToPipe, Regime, SideCost, Stream, Times,
    Versus, WindowFigures, WindowKind,
};
use super::relations::{compare_with, noise_of, relative_to};
use crate::measure::latency::{Distribution, Latency, Recorder};
use crate::measure::usage::{Usage, Used};
use crate::results::{Round, Row, Status, Window};
use crate::scenario::capacity_for;
use crate::stats::noise::Figure;
use crate::stats::{median, median_of_all};

/// A figure of each round.
pub type Series = Vec<(u32, f64)>;

fn values(series: &[(u32, f64)]) -> Vec<f64> {
    series.iter().map(|&(_, value)| value).collect()
}

/// Time for a message or an exchange, in each round.
pub fn time_each(row: &Figures, kind: WindowKind) -> Series {
    row.series(kind, |window| Some(window.ns_each))
}

/// The median time, in each round.
pub fn p50(row: &Figures, kind: WindowKind) -> Series {
    row.series(kind, |window| Some(window.times_ns?.p50? as f64))
}

/// The regime in which the stream of a row is slower.
fn slower_regime(row: &Figures) -> WindowKind {
    let of = |kind| median(&values(&time_each(row, kind)));
    if of(WindowKind::Working) > of(WindowKind::Drained) {
        WindowKind::Working
    } else {
        WindowKind::Drained
    }
}

/// Time for a message in the slower regime, in each round.
pub fn slower_stream(row: &Figures) -> Series {
    time_each(row, slower_regime(row))
}

/// What is compared of a row.
pub fn series_of(row: &Figures, figure: Figure) -> Series {
    match figure {
        Figure::Stream => slower_stream(row),
        Figure::RoundTrip => p50(row, WindowKind::RoundTrip),
        Figure::Paced => p50(row, WindowKind::Paced),
    }
}

/// The figures of all rows, and how far equal ones differ. With a payload `mean_len` is the mean length of its records. Rows are compared with
/// those of the reference, a contender's full name.
pub fn figures(
    rows: &[Row],
    mean_len: Option<f64>,
    reference: &str,
    seed: u64,
) -> (Vec<Figures>, Vec<Noise>) {
    let mut all: Vec<Figures> = rows.iter().map(|row| figures_of(row, mean_len)).collect();
    let noise = noise_of(&all);
    let relative: Vec<_> = all.iter().map(|row| relative_to(row, &all)).collect();
    for (row, (limit, pipe, undisturbed)) in all.iter_mut().zip(relative) {
        row.ratio_to_limit = limit;
        row.ratio_to_pipe = pipe;
        row.ratio_to_undisturbed = median(&undisturbed);
        row.ratio_to_undisturbed_rounds = undisturbed;
    }
    for figure in [Figure::Stream, Figure::RoundTrip, Figure::Paced] {
        for (index, comparison) in compare_with(reference, figure, &all, &noise, seed) {
            let versus = &mut all[index].versus_reference;
            match figure {
                Figure::Stream => versus.stream = Some(comparison),
                Figure::RoundTrip => versus.round_trip = Some(comparison),
                Figure::Paced => versus.paced = Some(comparison),
            }
        }
    }
    (all, noise)
}

/// What a row tells by itself.
fn figures_of(row: &Row, mean_len: Option<f64>) -> Figures {
    let entry = row.entry;
    let interrupted = "the run was interrupted before this was measured";
    let is_unmeasured = row.status == Status::Unmeasured;
    let mut figures = Figures {
        contender: entry.contender.name.to_owned(),
        class: entry.contender.class,
        wait: entry.contender.wait,
        size_bytes: entry.size,
        producers: entry.fan.producers,
        consumers: entry.fan.consumers,
        stopped: entry.stopped,
        is_twin: entry.is_twin,
        cores: entry.cores,
        capacity: row.capacity,
        capacity_asked: Some(capacity_for(entry.size)),
        status: if is_unmeasured {
            Status::Failed
        } else {
            row.status
        },
        reason: row
            .reason
            .clone()
            .or(is_unmeasured.then(|| interrupted.to_owned())),
        integrity: row.tally,
        stream: Stream::default(),
        round_trip_ns: times(row, |round| round.exchanges.as_ref()),
        paced_ns: paced(row),
        cpu_ns_per_message: None,
        context_switches_per_message: None,
        system_calls_per_message: None,
        cost: Cost::default(),
        ratio_to_limit: RatioToLimit::default(),
        ratio_to_pipe: RatioToPipe::default(),
        versus_reference: Versus::default(),
        ratio_to_undisturbed: None,
        ratio_to_undisturbed_rounds: Vec::new(),
        windows: windows(row),
    };
    figures.stream = stream(&figures, mean_len.unwrap_or(entry.size as f64));
    set_costs(&mut figures);
    figures
}

fn windows(row: &Row) -> Vec<WindowFigures> {
    let mut windows = Vec::new();
    let mut previous = None;
    for round in &row.rounds {
        let attempt = if previous == Some(round.number) { 2 } else { 1 };
        previous = Some(round.number);
        let mut add = |kind, window: &Option<Window>| {
            // Of a rate that was not kept they would tell how long the window was.
            let is_told = kind != WindowKind::Paced || !row.is_saturated();
            let times = window.as_ref().and_then(|window| window.times.as_ref());
            let times = times.filter(|_| is_told);
            windows.extend(window.as_ref().map(|window| WindowFigures {
                kind,
                round: round.number,
                attempt,
                began_ns: round.began_ns,
                disturbance: round.disturbance.clone(),
                count: window.count,
                beside: Some(window.beside),
                elapsed_ns: window.elapsed_ns,
                ns_each: window.ns_each(),
                times_ns: times.map(|times| times.summary),
                sender: window.sender,
                receiver: window.receiver,
            }));
        };
        add(WindowKind::Drained, &round.drained);
        add(WindowKind::Working, &round.working);
        add(WindowKind::RoundTrip, &round.exchanges);
        add(WindowKind::Paced, &round.paced);
    }
    windows
}

fn stream(row: &Figures, mean_len: f64) -> Stream {
    let regime = |kind| {
        let rounds = values(&time_each(row, kind));
        Regime {
            ns_per_message: median(&rounds),
            rounds,
        }
    };
    let (drained, working) = (regime(WindowKind::Drained), regime(WindowKind::Working));
    let (name, slower) = match slower_regime(row) {
        WindowKind::Working => ("working", &working),
        _ => ("drained", &drained),
    };
    let ns_per_message = slower.ns_per_message;
    let messages_per_second = ns_per_message.map(|ns| 1e9 / ns);
    Stream {
        ns_per_message,
        messages_per_second,
        bytes_per_second: messages_per_second.map(|rate| rate * mean_len),
        rounds: slower.rounds.clone(),
        regime: ns_per_message.map(|_| name.to_owned()),
        drained,
        working,
    }
}

/// The percentiles over the windows of a row; see [`Times`].
fn times(row: &Row, window: impl Fn(&Round) -> Option<&Window>) -> Times {
    let all = row
        .rounds
        .iter()
        .filter_map(|round| Some((round.number, window(round)?.times.as_ref()?)));
    let all: Vec<(u32, &Distribution)> = all.collect();
    if all.is_empty() {
        return Times::default();
    }
    // The attempts at a round follow each other, and count together as much as another round.
    let rounds: Vec<_> = all.chunk_by(|one, next| one.0 == next.0).collect();
    let in_each_round = |of: fn(&Latency) -> Option<u64>| -> Vec<Option<f64>> {
        let mean = |attempts: &&[(u32, &Distribution)]| {
            let values = attempts.iter().map(|(_, one)| of(&one.summary));
            let sum: Option<u64> = values.sum();
            Some(sum? as f64 / attempts.len() as f64)
        };
        rounds.iter().map(mean).collect()
    };
    let whole = |ns: f64| ns.round() as u64;
    let mut together = Recorder::default();
    // They were written by this very program a moment ago; if one is broken nothing is told of all.
    let is_whole = all
        .iter()
        .all(|(_, one)| together.add(&one.histogram).is_ok());
    let pooled = if is_whole {
        together.summary()
    } else {
        Latency::default()
    };
    let medians = in_each_round(|one| one.p50).into_iter();
    let mut times = Times {
        max: all.iter().map(|(_, one)| one.summary.max).max(),
        samples: all.iter().map(|(_, one)| one.summary.samples).sum(),
        rounds: medians.map(|median| median.map(whole)).collect(),
        ..Times::default()
    };
    if is_whole {
        times.curve = together.curve();
        times.histogram = Some(together.distribution().histogram);
    }
    let mut told = |name: &str, of: fn(&Latency) -> Option<u64>| {
        let over_rounds = median_of_all(in_each_round(of)).map(whole);
        over_rounds.or_else(|| {
            let pooled = of(&pooled)?;
            times.pooled.push(name.to_owned());
            Some(pooled)
        })
    };
    times.p50 = told("p50", |one| one.p50);
    times.p90 = told("p90", |one| one.p90);
    times.p99 = told("p99", |one| one.p99);
    times.p99_9 = told("p99_9", |one| one.p99_9);
    times.p99_99 = told("p99_99", |one| one.p99_99);
    times
}

/// Where the rate wasn't kept, latencies would tell how long the window was and nothing else.
fn paced(row: &Row) -> Paced {
    let pace = row.entry.wanted.paced;
    let measured = if row.is_saturated() {
        Times::default()
    } else {
        times(row, |round| round.paced.as_ref())
    };
    Paced {
        rate_per_second: pace.map(|pace| pace.rate_per_second),
        arrivals: pace.map(|pace| pace.arrivals),
        share_behind: row.share_behind(),
        saturated: row.is_saturated(),
        times: measured,
    }
}

/// The costs for a message: medians over rounds.
pub(super) fn set_costs(row: &mut Figures) {
    let has = |kind| row.windows.iter().any(|window| window.kind == kind);
    let stream = slower_regime(row);
    let kinds = [stream, WindowKind::RoundTrip, WindowKind::Paced];
    let Some(kind) = kinds.into_iter().find(|&kind| has(kind)) else {
        return;
    };
    let each = |of: &dyn Fn(&WindowFigures) -> Option<u64>| {
        median(&values(&row.series(kind, |window| {
            Some(of(window)? as f64 / row.messages_paid(window) as f64)
        })))
    };
    let side =
        |of: fn(&WindowFigures) -> &Usage, paid: fn(&WindowFigures) -> Option<Used>| SideCost {
            cpu_ns_per_message: each(&|window| Some(paid(window)?.cpu_ns)),
            context_switches_per_message: each(&|window| Some(paid(window)?.switches)),
            system_calls_per_message: each(&|window| of(window).system_calls),
            resident_bytes_max: row
                .windows
                .iter()
                .filter_map(|window| of(window).resident_bytes)
                .max(),
        };
    let cost = Cost {
        sender: side(|window| &window.sender, WindowFigures::sender_paid),
        receiver: side(
            |window| &window.receiver,
            |window| Some(window.receiver_paid()),
        ),
    };
    let cpu = each(&|window| Some(window.paid()?.cpu_ns));
    let switches = each(&|window| Some(window.paid()?.switches));
    let calls = each(&|window| Some(window.sender.system_calls? + window.receiver.system_calls?));
    row.cost = cost;
    row.cpu_ns_per_message = cpu;
    row.context_switches_per_message = switches;
    row.system_calls_per_message = calls;
}

#[cfg(test)]
#[path = "figures_tests.rs"]
mod tests;
