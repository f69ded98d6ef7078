//! The figures: medians over rounds, and ratios round by round. These are the fields of the JSON report.

use serde::Serialize;

use crate::entry::Entry;
use crate::fan::Stopped;
use crate::measure::integrity::Tally;
use crate::measure::latency::Latency;
use crate::results::{Round, Row, Status, Window};
use crate::stats::{median, median_of_all, median_ratio, ratios};
use crate::transport::{Class, WaitMode};

/// A row of the report. A missing figure is `null`.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// The contender's name without the way of waiting.
    pub contender: &'static str,
    /// What it is compared with.
    pub class: Class,
    /// How it waits.
    pub wait: WaitMode,
    /// The length of its messages; with a payload, of the longest one.
    pub size_bytes: usize,
    /// Processes that send.
    pub producers: u32,
    /// Processes that receive.
    pub consumers: u32,
    /// One more process, that was stopped in the middle of a message.
    pub stopped: Option<Stopped>,
    /// Messages that a link really holds.
    pub capacity: Option<usize>,
    /// What became of it.
    pub status: Status,
    /// Why, if not `ok`.
    pub reason: Option<String>,
    /// What became of all its messages.
    pub integrity: Tally,
    /// The stream.
    pub stream: Stream,
    /// The whole round trip.
    pub round_trip_ns: RoundTrip,
    /// One-way latency at a fixed rate: not measured yet.
    pub paced_ns: Paced,
    /// CPU time of both sides for a message: in the window of the stream's figure, else in the round trips.
    pub cpu_ns_per_message: Option<f64>,
    /// Context switches of both sides for a message, likewise.
    pub context_switches_per_message: Option<f64>,
    /// Not counted yet.
    pub system_calls_per_message: Option<f64>,
    /// Time relative to the limits: how many times as long.
    pub ratio_to_limit: RatioToLimit,
    /// Speed relative to `pipe`.
    pub ratio_to_pipe: RatioToPipe,
    /// Of a row with a stopped process: how many times as long a message takes as without it, in the regime where that is worse.
    pub ratio_to_undisturbed: Option<f64>,
    /// The same in each round.
    pub ratio_to_undisturbed_rounds: Vec<f64>,
}

/// A stream, by the slower of its two regimes.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Stream {
    /// Time for a message: the median over rounds.
    pub ns_per_message: Option<f64>,
    /// Its inverse.
    pub messages_per_second: Option<f64>,
    /// The same in bytes of payload.
    pub bytes_per_second: Option<f64>,
    /// Time for a message in each round.
    pub rounds: Vec<f64>,
    /// Which regime this is: `drained` or `working`.
    pub regime: Option<&'static str>,
    /// With a receiver that does nothing but verify.
    pub drained: Regime,
    /// With a receiver that works a little for each message.
    pub working: Regime,
}

/// A stream in one regime.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Regime {
    /// Time for a message: the median over rounds.
    pub ns_per_message: Option<f64>,
    /// Time for a message in each round.
    pub rounds: Vec<f64>,
}

/// Round trips: each percentile is the median of the rounds' percentiles.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RoundTrip {
    /// The median.
    pub p50: Option<u64>,
    /// Nine tenths are shorter.
    pub p90: Option<u64>,
    /// All but one in a hundred are shorter.
    pub p99: Option<u64>,
    /// All but one in a thousand are shorter.
    pub p99_9: Option<u64>,
    /// All but one in ten thousand are shorter.
    pub p99_99: Option<u64>,
    /// The longest of all rounds.
    pub max: Option<u64>,
    /// How many there were in all rounds.
    pub samples: u64,
    /// The median of each round.
    pub rounds: Vec<Option<u64>>,
    /// The whole distribution of each round.
    pub distributions: Vec<Latency>,
}

/// One-way latency at a fixed rate.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Paced {
    rate_per_second: Option<u64>,
    p50: Option<u64>,
    p90: Option<u64>,
    p99: Option<u64>,
    p99_9: Option<u64>,
    p99_99: Option<u64>,
    max: Option<u64>,
    samples: u64,
}

/// Time relative to the hardware's limits: the median of the ratios round by round.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RatioToLimit {
    /// Of the median round trip to that of `limit-line`.
    pub round_trip: Option<f64>,
    /// Of the time for a message to that of `limit-memcpy`.
    pub stream: Option<f64>,
}

/// Speed relative to `pipe`: the median of the ratios round by round.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RatioToPipe {
    /// How many times the messages.
    pub stream: Option<f64>,
    /// How many times as long a round trip of `pipe` takes.
    pub round_trip: Option<f64>,
}

/// A figure of each round.
type Series = Vec<(u32, f64)>;

fn series(row: &Row, figure: impl Fn(&Round) -> Option<f64>) -> Series {
    row.rounds
        .iter()
        .filter_map(|round| Some((round.number, figure(round)?)))
        .collect()
}

fn values(series: &Series) -> Vec<f64> {
    series.iter().map(|&(_, value)| value).collect()
}

fn trip_p50(round: &Round) -> Option<f64> {
    round.exchanges?.latency?.p50.map(|p50| p50 as f64)
}

/// The slower regime of a row: its name, its series, and where its windows are.
struct Slower {
    name: &'static str,
    series: Series,
    window: fn(&Round) -> Option<Window>,
}

fn slower_regime(row: &Row) -> Slower {
    let of = |name, window: fn(&Round) -> Option<Window>| Slower {
        name,
        series: series(row, |round| window(round).map(|w| w.ns_each())),
        window,
    };
    let drained = of("drained", |round| round.drained);
    let working = of("working", |round| round.working);
    if median(&values(&working.series)) > median(&values(&drained.series)) {
        working
    } else {
        drained
    }
}

fn regime(row: &Row, window: impl Fn(&Round) -> Option<Window>) -> Regime {
    let rounds = values(&series(row, |round| window(round).map(|w| w.ns_each())));
    Regime {
        ns_per_message: median(&rounds),
        rounds,
    }
}

fn stream_figures(row: &Row, slower: &Slower, mean_len: f64) -> Stream {
    let rounds = values(&slower.series);
    let ns_per_message = median(&rounds);
    let messages_per_second = ns_per_message.map(|ns| 1e9 / ns);
    Stream {
        ns_per_message,
        messages_per_second,
        bytes_per_second: messages_per_second.map(|rate| rate * mean_len),
        regime: ns_per_message.map(|_| slower.name),
        rounds,
        drained: regime(row, |round| round.drained),
        working: regime(row, |round| round.working),
    }
}

fn round_trip_figures(row: &Row) -> RoundTrip {
    let distributions: Vec<Latency> = row
        .rounds
        .iter()
        .filter_map(|round| round.exchanges?.latency)
        .collect();
    let over_rounds = |percentile: fn(&Latency) -> Option<u64>| {
        let values = distributions
            .iter()
            .map(|d| percentile(d).map(|ns| ns as f64));
        median_of_all(values).map(|ns| ns.round() as u64)
    };
    RoundTrip {
        p50: over_rounds(|d| d.p50),
        p90: over_rounds(|d| d.p90),
        p99: over_rounds(|d| d.p99),
        p99_9: over_rounds(|d| d.p99_9),
        p99_99: over_rounds(|d| d.p99_99),
        max: distributions.iter().map(|d| d.max).max(),
        samples: distributions.iter().map(|d| d.samples).sum(),
        rounds: distributions.iter().map(|d| d.p50).collect(),
        distributions,
    }
}

/// A cost for a message: the median over rounds. An exchange is two messages.
fn cost(row: &Row, slower: &Slower, of: impl Fn(&Window) -> u64) -> Option<f64> {
    let each = |window: &Window, messages: u64| of(window) as f64 / messages.max(1) as f64;
    let streams = series(row, |round| {
        (slower.window)(round).map(|w| each(&w, w.count))
    });
    if !streams.is_empty() {
        return median(&values(&streams));
    }
    median(&values(&series(row, |round| {
        round.exchanges.map(|w| each(&w, 2 * w.count))
    })))
}

/// The rows that others are compared with.
struct References<'a> {
    rows: &'a [Row],
}

impl References<'_> {
    fn find(&self, name: &str, size: Option<usize>) -> Option<&Row> {
        self.rows.iter().find(|row| {
            let Entry {
                contender,
                size: of,
                ..
            } = row.entry;
            contender.name == name && size.is_none_or(|size| size == of)
        })
    }

    fn to_limit(&self, row: &Row, slower: &Slower) -> RatioToLimit {
        let line = self.find("limit-line", None);
        let memcpy = self.find("limit-memcpy", Some(row.entry.size));
        RatioToLimit {
            round_trip: line
                .and_then(|line| median_ratio(&series(row, trip_p50), &series(line, trip_p50))),
            stream: memcpy
                .and_then(|memcpy| median_ratio(&slower.series, &slower_regime(memcpy).series)),
        }
    }

    /// The ratios of the rounds to those without the stopped process, in the regime where their median is worse.
    fn to_undisturbed(&self, row: &Row) -> Vec<f64> {
        let of = |window: fn(&Round) -> Option<Window>, row| {
            series(row, |round| window(round).map(|w| w.ns_each()))
        };
        let is_undisturbed = |other: &&Row| {
            let entry = Entry {
                stopped: row.entry.stopped,
                ..other.entry
            };
            other.entry.stopped.is_none() && entry.is_same(&row.entry)
        };
        let undisturbed = row
            .entry
            .stopped
            .and_then(|_| self.rows.iter().find(is_undisturbed));
        let Some(other) = undisturbed else {
            return Vec::new();
        };
        let regimes: [fn(&Round) -> Option<Window>; 2] =
            [|round| round.drained, |round| round.working];
        let of_regime = regimes.map(|window| ratios(&of(window, row), &of(window, other)));
        let [drained, working] = of_regime;
        if median(&working) > median(&drained) {
            working
        } else {
            drained
        }
    }

    fn to_pipe(&self, row: &Row, slower: &Slower) -> RatioToPipe {
        // Only of what carries messages is it told how many times those of pipe.
        let pipe = self.find("pipe", Some(row.entry.size));
        let Some(pipe) = pipe.filter(|_| row.entry.contender.has_content()) else {
            return RatioToPipe::default();
        };
        RatioToPipe {
            stream: median_ratio(&slower_regime(pipe).series, &slower.series),
            round_trip: median_ratio(&series(pipe, trip_p50), &series(row, trip_p50)),
        }
    }
}

/// The figures of all rows. With a payload `mean_len` is the mean length of its records.
pub fn figures(rows: &[Row], mean_len: Option<f64>) -> Vec<Figures> {
    let references = References { rows };
    rows.iter()
        .map(|row| row_figures(row, &references, mean_len))
        .collect()
}

fn row_figures(row: &Row, references: &References<'_>, mean_len: Option<f64>) -> Figures {
    let Entry {
        contender,
        size,
        fan,
        stopped,
    } = row.entry;
    let slower = slower_regime(row);
    let to_undisturbed = references.to_undisturbed(row);
    let interrupted = "the run was interrupted before this was measured";
    let unmeasured = (row.status == Status::Unmeasured).then(|| interrupted.to_owned());
    Figures {
        contender: contender.name,
        class: contender.class,
        wait: contender.wait,
        size_bytes: size,
        producers: fan.producers,
        consumers: fan.consumers,
        stopped,
        capacity: row.capacity,
        status: row.status,
        reason: row.reason.clone().or(unmeasured),
        integrity: row.tally,
        stream: stream_figures(row, &slower, mean_len.unwrap_or(size as f64)),
        round_trip_ns: round_trip_figures(row),
        paced_ns: Paced::default(),
        cpu_ns_per_message: cost(row, &slower, |window| window.usage.cpu_ns),
        context_switches_per_message: cost(row, &slower, |window| {
            window.usage.voluntary_switches + window.usage.involuntary_switches
        }),
        system_calls_per_message: None,
        ratio_to_limit: references.to_limit(row, &slower),
        ratio_to_pipe: references.to_pipe(row, &slower),
        ratio_to_undisturbed: median(&to_undisturbed),
        ratio_to_undisturbed_rounds: to_undisturbed,
    }
}

impl Figures {
    /// The contender's name with the way of waiting, and with what was done to it.
    pub fn full_name(&self) -> String {
        let name = format!("{}/{}", self.contender, self.wait);
        Stopped::named(name, self.stopped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fan::Fan;
    use crate::measure::usage::Usage;
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
        Window {
            count,
            elapsed_ns,
            usage,
            latency: Some(latency),
        }
    }

    /// A row whose rounds have the given times for 10 messages: drained, working, and the median of the round trip.
    fn row(name: &str, rounds: &[(u64, u64, u64)]) -> Row {
        let mut row = Row::new(Entry::new(find(name).unwrap(), 64, Fan::PAIR));
        row.status = Status::Ok;
        for (index, &(drained, working, p50)) in rounds.iter().enumerate() {
            row.rounds.push(Round {
                number: index as u32 + 1,
                drained: Some(window(10, drained, None)),
                working: Some(window(10, working, None)),
                exchanges: Some(window(30, 1_000, Some(p50))),
            });
        }
        row
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
        let stream = &figures(&rows, None)[0].stream;
        assert_eq!(stream.regime, Some("working"));
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
        let futex = &figures(&rows, None)[2];
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
        let trip = &figures(&rows, None)[0].round_trip_ns;
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
        let all = figures(&rows, None);
        assert_close(all[0].cpu_ns_per_message, 20.0);
        assert_close(all[0].context_switches_per_message, 1.0);
        assert_close(all[1].cpu_ns_per_message, 2_000.0 / 60.0);
    }

    #[test]
    fn a_row_that_went_wrong_has_no_figures() {
        let mut wrong = row("limit-line/spin", &[(100, 100, 1)]);
        wrong.give_up(Status::Failed, "lost".to_owned());
        let figures = &figures(&[wrong], None)[0];
        assert!(figures.stream.ns_per_message.is_none() && figures.round_trip_ns.p50.is_none());
        assert!(figures.cpu_ns_per_message.is_none() && figures.round_trip_ns.max.is_none());
        assert_eq!(figures.reason.as_deref(), Some("lost"));
    }
}
