//! The figures: medians over rounds, ratios round by round, and what they say against the noise.

use super::document::{
    Cost, Figures, Noise, Paced, RatioToLimit, RatioToPipe, Regime, SideCost, Stream, Times, Versus,
    WindowFigures, WindowKind,
};
use crate::measure::latency::{Latency, Recorder};
use crate::measure::usage::Usage;
use crate::results::{Round, Row, Status, Window};
use crate::stats::noise::{Figure, Kind, KindFloor, NoiseFloor, Waiting, guard_of};
use crate::stats::verdict::{Question, Series as Compared, compare};
use crate::stats::{Comparison, median, median_of_all, median_ratio, ratios};
use crate::transport::Class;

/// A figure of each round.
type Series = Vec<(u32, f64)>;

fn values(series: &[(u32, f64)]) -> Vec<f64> {
    series.iter().map(|&(_, value)| value).collect()
}

fn time_each(row: &Figures, kind: WindowKind) -> Series {
    row.series(kind, |window| Some(window.ns_each))
}

fn p50(row: &Figures, kind: WindowKind) -> Series {
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

fn slower_stream(row: &Figures) -> Series {
    time_each(row, slower_regime(row))
}

/// What is compared of a row.
fn series_of(row: &Figures, figure: Figure) -> Series {
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
        status: if is_unmeasured { Status::Failed } else { row.status },
        reason: row.reason.clone().or(is_unmeasured.then(|| interrupted.to_owned())),
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
    let all = row.rounds.iter().filter_map(|round| window(round)?.times.as_ref());
    let all: Vec<_> = all.collect();
    if all.is_empty() {
        return Times::default();
    }
    let mut together = Recorder::default();
    // They were written by this very program a moment ago; if one is broken nothing is told of all.
    let is_whole = all.iter().all(|one| together.add(&one.histogram).is_ok());
    let pooled = if is_whole { together.summary() } else { Latency::default() };
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
        times: measured,
    }
}

/// The costs for a message: medians over rounds. An exchange is two messages.
fn set_costs(row: &mut Figures) {
    let has = |kind| row.windows.iter().any(|window| window.kind == kind);
    let stream = slower_regime(row);
    let kinds = [stream, WindowKind::RoundTrip, WindowKind::Paced];
    let Some(kind) = kinds.into_iter().find(|&kind| has(kind)) else {
        return;
    };
    let each = |of: &dyn Fn(&WindowFigures) -> Option<u64>| {
        let per_window = if kind == WindowKind::RoundTrip { 2 } else { 1 };
        median(&values(&row.series(kind, |window| {
            Some(of(window)? as f64 / (per_window * window.count).max(1) as f64)
        })))
    };
    let side = |of: fn(&WindowFigures) -> &Usage| SideCost {
        cpu_ns_per_message: each(&|window| Some(of(window).cpu_ns)),
        context_switches_per_message: each(&|window| Some(of(window).switches())),
        system_calls_per_message: each(&|window| of(window).system_calls),
        resident_bytes_max: row.windows.iter().filter_map(|window| of(window).resident_bytes).max(),
    };
    let cost = Cost {
        sender: side(|window| &window.sender),
        receiver: side(|window| &window.receiver),
    };
    let both = |of: fn(&Usage) -> Option<u64>| {
        each(&|window| Some(of(&window.sender)? + of(&window.receiver)?))
    };
    let cpu = both(|usage| Some(usage.cpu_ns));
    let switches = both(|usage| Some(usage.switches()));
    let calls = both(|usage| usage.system_calls);
    row.cost = cost;
    row.cpu_ns_per_message = cpu;
    row.context_switches_per_message = switches;
    row.system_calls_per_message = calls;
}

fn kind_of(row: &Figures, figure: Figure) -> Kind {
    Kind {
        waiting: Waiting::from(row.wait),
        figure,
    }
}

/// How far those that were entered twice differ from themselves.
fn noise_of(rows: &[Figures]) -> Vec<Noise> {
    let mut noise = Vec::new();
    for twin in rows.iter().filter(|row| row.is_twin) {
        let is_it = |row: &&Figures| !row.is_twin && has_same_place(row, twin) && row.full_name() == twin.full_name();
        let Some(first) = rows.iter().find(is_it) else {
            continue;
        };
        for figure in [Figure::Stream, Figure::RoundTrip, Figure::Paced] {
            let floor = NoiseFloor::of_pair(&series_of(twin, figure), &series_of(first, figure));
            noise.extend(floor.map(|floor| Noise {
                kind: kind_of(twin, figure),
                contender: twin.full_name(),
                size_bytes: twin.size_bytes,
                holds_its_own: floor.holds_its_own(),
                floor,
            }));
        }
    }
    noise
}

/// Whether both were measured with the same messages, by as many processes, on the same cores and at the same pace.
pub fn has_same_place(one: &Figures, other: &Figures) -> bool {
    let key = |row: &Figures| {
        let paced = &row.paced_ns;
        let place = (row.size_bytes, row.producers, row.consumers, row.cores);
        (place, paced.rate_per_second, paced.arrivals)
    };
    key(one) == key(other)
}

/// The comparisons of all rows that carry messages with the reference, by the row's index.
fn compare_with(
    reference: &str,
    figure: Figure,
    rows: &[Figures],
    noise: &[Noise],
    seed: u64,
) -> Vec<(usize, Comparison)> {
    let floors: Vec<KindFloor> = noise
        .iter()
        .map(|noise| KindFloor {
            kind: noise.kind,
            floor: noise.floor,
        })
        .collect();
    let carries = |row: &Figures| !matches!(row.class, Class::Limit | Class::Notify);
    let asked = rows.iter().enumerate().filter_map(|(index, row)| {
        let is_reference = |other: &&Figures| {
            other.full_name() == reference && !other.is_twin && has_same_place(other, row)
        };
        let reference = rows.iter().find(is_reference)?;
        if !carries(row) || row.is_twin || std::ptr::eq(row, reference) {
            return None;
        }
        let (own, of_reference) = (series_of(row, figure), series_of(reference, figure));
        let is_measured = !own.is_empty() && !of_reference.is_empty();
        is_measured.then_some((index, own, of_reference))
    });
    let asked: Vec<_> = asked.collect();
    let family: Vec<Question<'_>> = asked
        .iter()
        .map(|(index, own, of_reference)| Question {
            series: Compared::Paired {
                numerator: own,
                denominator: of_reference,
            },
            floor: guard_of(kind_of(&rows[*index], figure), &floors).unwrap_or(0.0),
        })
        .collect();
    let answers = compare(&family, seed);
    asked.iter().map(|(index, ..)| *index).zip(answers).collect()
}

/// The ratios of a row to the limits, to pipe, and to itself without a stopped process (in each round).
fn relative_to(row: &Figures, rows: &[Figures]) -> (RatioToLimit, RatioToPipe, Vec<f64>) {
    let find = |name: &str, is_place: &dyn Fn(&Figures) -> bool| {
        rows.iter().find(|other| other.contender == name && !other.is_twin && is_place(other))
    };
    let has_size = |other: &Figures| other.size_bytes == row.size_bytes;
    let on_cores = |other: &Figures| other.cores == row.cores;
    let (own_stream, own_trip) = (slower_stream(row), p50(row, WindowKind::RoundTrip));
    let limit = RatioToLimit {
        round_trip: find("limit-line", &on_cores)
            .and_then(|line| median_ratio(&own_trip, &p50(line, WindowKind::RoundTrip))),
        stream: find("limit-memcpy", &has_size)
            .and_then(|memcpy| median_ratio(&own_stream, &slower_stream(memcpy))),
    };
    // Only of what carries messages is it told how many times those of pipe.
    let carries = !matches!(row.class, Class::Limit | Class::Notify);
    let pipe = find("pipe", &|other| has_same_place(other, row)).filter(|_| carries);
    let to_pipe = pipe.map_or_else(RatioToPipe::default, |pipe| RatioToPipe {
        stream: median_ratio(&slower_stream(pipe), &own_stream),
        round_trip: median_ratio(&p50(pipe, WindowKind::RoundTrip), &own_trip),
    });
    (limit, to_pipe, to_undisturbed(row, rows))
}

/// The ratios of the rounds to those without the stopped process, in the regime where their median is worse.
fn to_undisturbed(row: &Figures, rows: &[Figures]) -> Vec<f64> {
    let name = format!("{}/{}", row.contender, row.wait);
    let is_it = |other: &&Figures| !other.is_twin && other.full_name() == name && has_same_place(other, row);
    let Some(other) = rows.iter().find(is_it).filter(|_| row.stopped.is_some()) else {
        return Vec::new();
    };
    let of = |kind| ratios(&time_each(row, kind), &time_each(other, kind));
    let [drained, working] = [WindowKind::Drained, WindowKind::Working].map(of);
    if median(&working) > median(&drained) {
        working
    } else {
        drained
    }
}
