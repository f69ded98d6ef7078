//! The figures: medians over rounds, ratios round by round, and what they say against the noise.

use super::document::{
    Cost, Figures, Noise, Paced, RatioToLimit, RatioToPipe, Regime, SideCost, Stream, Times,
    Versus, WindowFigures, WindowKind,
};
use super::relations::{compare_with, noise_of, relative_to};
use crate::measure::latency::{Latency, Recorder};
use crate::measure::usage::{Usage, Used};
use crate::results::{Round, Row, Status, Window};
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
                times_ns: window.times.as_ref().map(|times| times.summary),
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
        .filter_map(|round| window(round)?.times.as_ref());
    let all: Vec<_> = all.collect();
    if all.is_empty() {
        return Times::default();
    }
    let mut together = Recorder::default();
    // They were written by this very program a moment ago; if one is broken nothing is told of all.
    let is_whole = all.iter().all(|one| together.add(&one.histogram).is_ok());
    let pooled = if is_whole {
        together.summary()
    } else {
        Latency::default()
    };
    let mut times = Times {
        max: all.iter().map(|one| one.summary.max).max(),
        samples: all.iter().map(|one| one.summary.samples).sum(),
        rounds: all.iter().map(|one| one.summary.p50).collect(),
        ..Times::default()
    };
    if is_whole {
        times.curve = together.curve();
        times.histogram = Some(together.distribution().histogram);
    }
    let mut told = |name: &str, of: fn(&Latency) -> Option<u64>| {
        let of_rounds = all.iter().map(|one| of(&one.summary).map(|ns| ns as f64));
        let over_rounds = median_of_all(of_rounds).map(|ns| ns.round() as u64);
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
mod tests {
    use super::*;
    use crate::entry::{Entry, Wanted};
    use crate::fan::Fan;
    use crate::measure::latency::Distribution;
    use crate::stats::Verdict;
    use crate::transport::registry::find;

    fn window(count: u64, elapsed_ns: u64, p50: Option<u64>) -> Window {
        let usage = Usage {
            cpu_ns: 2 * elapsed_ns,
            voluntary_switches: count,
            ..Usage::default()
        };
        let latency = Latency {
            p50,
            max: 9 * elapsed_ns,
            samples: count,
            ..Latency::default()
        };
        let times = Distribution {
            summary: latency,
            histogram: Recorder::default().distribution().histogram,
        };
        Window {
            count,
            elapsed_ns,
            sender: usage,
            times: Some(times),
            ..Window::default()
        }
    }

    /// A row whose rounds have the given times for 10 messages: drained, working, and the median of the round trip.
    fn row(name: &str, rounds: &[(u64, u64, u64)]) -> Row {
        let mut row = Row::new(Entry::new(
            find(name).unwrap(),
            64,
            Fan::PAIR,
            Wanted::default(),
        ));
        row.status = Status::Ok;
        for (index, &(drained, working, p50)) in rounds.iter().enumerate() {
            row.rounds.push(Round {
                number: index as u32 + 1,
                drained: Some(window(10, drained, None)),
                working: Some(window(10, working, None)),
                exchanges: Some(window(30, 1_000, Some(p50))),
                ..Round::default()
            });
        }
        row
    }

    fn alone(rows: &[Row]) -> Vec<Figures> {
        figures(rows, None, "pipe/park", 1).0
    }

    fn assert_close(left: Option<f64>, right: f64) {
        assert!(
            left.is_some_and(|left| (left - right).abs() < 1e-9),
            "{left:?} {right}"
        );
    }

    #[test]
    fn the_slower_regime_is_the_figure_and_both_are_told() {
        let rows = [row(
            "limit-memcpy/spin",
            &[(100, 400, 1), (300, 200, 1), (200, 300, 1)],
        )];
        let stream = &alone(&rows)[0].stream;
        assert_eq!(stream.regime.as_deref(), Some("working"));
        assert_close(stream.ns_per_message, 30.0);
        assert_close(stream.drained.ns_per_message, 20.0);
        assert_eq!(stream.rounds, [40.0, 20.0, 30.0]);
        assert_close(stream.messages_per_second, 1e9 / 30.0);
        assert_close(stream.bytes_per_second, 64e9 / 30.0);
    }

    #[test]
    fn ratios_are_to_the_limits_of_the_same_round() {
        let rows = [
            row("limit-line/spin", &[(10, 10, 100), (10, 10, 300)]),
            row("limit-memcpy/spin", &[(20, 10, 100), (40, 10, 300)]),
            row("limit-futex/park", &[(100, 100, 500), (400, 100, 900)]),
        ];
        let futex = &alone(&rows)[2];
        assert_close(futex.ratio_to_limit.round_trip, 4.0);
        assert_close(futex.ratio_to_limit.stream, 7.5);
        assert!(futex.ratio_to_pipe.stream.is_none());
    }

    #[test]
    fn percentiles_are_medians_and_the_maximum_is_that_of_all_rounds() {
        let rows = [row(
            "limit-line/spin",
            &[(1, 1, 100), (1, 1, 700), (1, 1, 300)],
        )];
        let trip = &alone(&rows)[0].round_trip_ns;
        assert_eq!(
            (trip.p50, trip.p99, trip.max),
            (Some(300), None, Some(9_000))
        );
        assert_eq!(trip.samples, 90);
        assert_eq!(trip.rounds, [Some(100), Some(700), Some(300)]);
    }

    #[test]
    fn costs_are_for_a_message_and_an_exchange_has_two() {
        let mut only_trips = row("limit-line/spin", &[(100, 100, 1)]);
        only_trips.rounds[0].drained = None;
        only_trips.rounds[0].working = None;
        let rows = [row("limit-memcpy/spin", &[(100, 100, 1)]), only_trips];
        let all = alone(&rows);
        assert_close(all[0].cpu_ns_per_message, 20.0);
        assert_close(all[0].context_switches_per_message, 1.0);
        assert_close(all[1].cpu_ns_per_message, 2_000.0 / 60.0);
    }

    #[test]
    fn a_row_that_went_wrong_has_no_figures() {
        let mut wrong = row("limit-line/spin", &[(100, 100, 1)]);
        wrong.give_up(Status::Failed, "lost".to_owned());
        let figures = &alone(&[wrong])[0];
        assert!(figures.stream.ns_per_message.is_none() && figures.round_trip_ns.p50.is_none());
        assert!(figures.cpu_ns_per_message.is_none() && figures.round_trip_ns.max.is_none());
        assert_eq!(figures.reason.as_deref(), Some("lost"));
    }

    #[test]
    fn a_round_that_was_repeated_counts_with_both() {
        let mut repeated = row("limit-memcpy/spin", &[(100, 100, 1), (300, 300, 1)]);
        repeated.rounds[1].number = 1;
        let figures = &alone(&[repeated])[0];
        assert_eq!(figures.stream.rounds, [20.0]);
        let attempts: Vec<u32> = figures.windows.iter().map(|w| w.attempt).collect();
        assert_eq!(attempts, [1, 1, 1, 2, 2, 2]);
    }

    #[test]
    fn what_too_few_samples_of_each_round_tell_all_together_may() {
        let mut rows = row("limit-line/spin", &[(1, 1, 1), (1, 1, 1)]);
        for round in &mut rows.rounds {
            let mut recorder = Recorder::default();
            (1..=600).for_each(|ns| recorder.record(ns));
            round.exchanges.as_mut().unwrap().times = Some(recorder.distribution());
        }
        let trip = &alone(&[rows])[0].round_trip_ns;
        assert_eq!(
            (trip.p50, trip.p99, trip.p99_9),
            (Some(300), Some(594), None)
        );
        assert_eq!(trip.pooled, ["p99"]);
    }

    #[test]
    fn a_difference_beyond_the_noise_is_told_and_one_within_is_not() {
        let series = |base: u64| -> Vec<(u64, u64, u64)> {
            (0..11)
                .map(|round| (base + round % 3, base, base))
                .collect()
        };
        let mut twin = row("ring-spsc/park", &series(500));
        twin.entry.is_twin = true;
        let rows = [
            row("pipe/park", &series(1_000)),
            row("fifo/park", &series(1_001)),
            row("ring-spsc/park", &series(500)),
            twin,
        ];
        let (all, noise) = figures(&rows, None, "pipe/park", 1);
        let verdict = |index: usize| all[index].versus_reference.stream.map(|c| c.verdict);
        assert_eq!(verdict(0), None);
        assert_eq!(verdict(2), Some(Verdict::Faster));
        assert_eq!(verdict(3), None);
        assert_eq!(noise.len(), 2);
        assert!(noise.iter().all(|noise| noise.holds_its_own));
    }
}
