//! The results as they are saved and read again: the fields of the JSON format. A missing figure is `null`.
//!
//! All other forms of the report (tables, pages, comparisons) are made from this alone, so that a saved file can be shown and compared
//! as if it had just been measured.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::compare::document::ComparedRuns;
use crate::fan::Stopped;
use crate::machine::Environment;
use crate::measure::integrity::Tally;
use crate::measure::latency::Latency;
use crate::measure::schedule::Arrivals;
use crate::measure::usage::Usage;
use crate::payload::Profile;
use crate::results::{Quietness, Status};
use crate::stats::Comparison;
use crate::stats::noise::{Kind, NoiseFloor};
use crate::transport::{Class, WaitMode};
use crate::workload::{self, Rhythm};

/// The name of the format.
pub const SCHEMA: &str = "ipc-bench-harness/1";

/// Everything that is told.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// The name of the format.
    pub schema: String,
    /// The command that measured, as in `run`.
    pub command: String,
    /// The arguments that it was given, so that it can be repeated. What isn't UTF-8 is shown as replacement characters.
    pub arguments: Vec<String>,
    /// When it began, in seconds since 1970 (UTC).
    pub began_unix_s: u64,
    /// The machine.
    pub environment: Environment,
    /// What was asked for.
    pub settings: Settings,
    /// The file that was sent, if one was.
    pub payload: Option<Payload>,
    /// The workload that was sent, if one was.
    pub workload: Option<WorkloadSent>,
    /// Whether the run was interrupted.
    pub incomplete: bool,
    /// How quiet the measured cores were.
    pub quietness: Quietness,
    /// How far equal contenders differed (A/A).
    pub noise: Vec<Noise>,
    /// What the reader ought to know.
    pub warnings: Vec<String>,
    /// The rows.
    pub results: Vec<Figures>,
    /// How it differs from the baseline, if there was one. Saved files are without.
    pub comparison: Option<ComparedRuns>,
}

/// What was asked for, or chosen.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// How often each contender was to be measured.
    pub rounds: u32,
    /// How often it was.
    pub rounds_completed: u32,
    /// Makes the order in each round, and the moments of paced messages.
    pub seed: u64,
    /// The sizes that were asked for, in bytes.
    pub sizes: Vec<usize>,
    /// Each of the two windows of a stream.
    pub stream_window_ns: u64,
    /// The window of the round trip.
    pub round_trip_window_ns: u64,
    /// The window of paced messages, the longest where rates differ: of a low rate it is longer than that of streams.
    pub paced_window_ns: u64,
    /// So many messages are the least in a window of paced messages, however long it then is. Missing in older results.
    #[serde(default)]
    pub paced_messages_min: Option<u32>,
    /// Whether more was checked.
    pub verify: bool,
    /// The most processes that sent over one link.
    pub producers: u32,
    /// The most processes that received over one link.
    pub consumers: u32,
    /// One more, that is stopped in the middle of a message.
    pub stopped: Option<Stopped>,
    /// The contender that the others are compared with, by its full name.
    pub reference: String,
    /// A delay that was planted in each send.
    pub planted_delay_ns: u64,
    /// A stall that was planted in each window.
    pub planted_stall_ns: u64,
}

/// A file whose records were the messages.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Payload {
    /// The file, as it was given.
    pub file: String,
    /// What a record is.
    pub frame: String,
    /// What the records are like.
    #[serde(flatten)]
    pub profile: Profile,
}

/// A workload whose records were the messages.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadSent {
    /// Its name.
    pub name: workload::Kind,
    /// What its records were made from.
    pub seed: u64,
    /// The checksum of its table, in hexadecimal: see `docs/workloads.md`.
    pub crc32: String,
    /// What the records are like.
    #[serde(flatten)]
    pub profile: Profile,
    /// How often they are due at their own pace.
    #[serde(flatten)]
    pub rhythm: Rhythm,
}

/// How far a contender differs from itself when it is entered twice.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Noise {
    /// The rows that it stands for.
    #[serde(flatten)]
    pub kind: Kind,
    /// The contender, by its full name.
    pub contender: String,
    /// The length of its messages.
    pub size_bytes: usize,
    /// The floor.
    #[serde(flatten)]
    pub floor: NoiseFloor,
    /// Whether the pair's median ratio is no farther from one than half the width of its interval.
    pub holds_its_own: bool,
}

/// A row of the report.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Figures {
    /// The contender's name without the way of waiting.
    pub contender: String,
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
    /// Whether this is a contender that was entered again, to see how far equal things differ.
    pub is_twin: bool,
    /// The two cores, if they aren't those of the whole run.
    pub cores: Option<[usize; 2]>,
    /// Messages that a link really holds.
    pub capacity: Option<usize>,
    /// Messages that it was asked to hold; none in files that were written before this was told.
    pub capacity_asked: Option<usize>,
    /// What became of it.
    pub status: Status,
    /// Why, if not `ok`.
    pub reason: Option<String>,
    /// What became of all its messages.
    pub integrity: Tally,
    /// The stream.
    pub stream: Stream,
    /// The whole round trip.
    pub round_trip_ns: Times,
    /// One-way latency at a fixed rate, from the moment each message was due.
    pub paced_ns: Paced,
    /// CPU time of both sides for a message: in the window of the stream's figure, else in the round trips, else in the paced window. There it
    /// is without the harness's own wait for the moments at which messages are due, and none where nobody knows what that takes.
    pub cpu_ns_per_message: Option<f64>,
    /// Context switches of both sides for a message, likewise.
    pub context_switches_per_message: Option<f64>,
    /// System calls of both sides for a message that move or await it, likewise.
    pub system_calls_per_message: Option<f64>,
    /// The same for each side.
    pub cost: Cost,
    /// Time relative to the limits: how many times as long.
    pub ratio_to_limit: RatioToLimit,
    /// Speed relative to `pipe`.
    pub ratio_to_pipe: RatioToPipe,
    /// Time relative to the reference: above one is slower.
    pub versus_reference: Versus,
    /// Of a row with a stopped process: how many times as long a message takes as without it, in the regime where that is worse.
    pub ratio_to_undisturbed: Option<f64>,
    /// The same in each round.
    pub ratio_to_undisturbed_rounds: Vec<f64>,
    /// Every window that was measured, in its order.
    pub windows: Vec<WindowFigures>,
}

/// A stream, by the slower of its two regimes.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
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
    pub regime: Option<String>,
    /// With a receiver that does nothing but verify.
    pub drained: Regime,
    /// With a receiver that works a little for each message.
    pub working: Regime,
}

/// A stream in one regime.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Regime {
    /// Time for a message: the median over rounds.
    pub ns_per_message: Option<f64>,
    /// Time for a message in each round.
    pub rounds: Vec<f64>,
}

/// Times in nanoseconds. Each percentile is the median of the rounds' percentiles, where every round has ten samples beyond it; else that of all
/// rounds' samples together, where they have ten beyond it (and then it stands in `pooled`); else there is none.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Times {
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
    /// The percentiles that are those of all rounds' samples together, as in `p99_9`.
    pub pooled: Vec<String>,
    /// The median of each round.
    pub rounds: Vec<Option<u64>>,
    /// Shares of all samples, and the time in nanoseconds within which they lie.
    pub curve: Vec<(f64, u64)>,
    /// All samples of all rounds as a histogram: `HdrHistogram`'s format, version 2, deflated, in base 64.
    pub histogram: Option<String>,
}

/// One-way latency at a fixed rate. Where the rate wasn't kept there are no percentiles.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Paced {
    /// Messages a second that were due, in the mean.
    pub rate_per_second: Option<u64>,
    /// How the moments lay at which they were due.
    pub arrivals: Option<Arrivals>,
    /// The share by which the rate was missed: the median of the windows.
    pub share_behind: Option<f64>,
    /// Whether that is over 0.01: the rate wasn't kept.
    pub saturated: bool,
    /// The latencies.
    #[serde(flatten)]
    pub times: Times,
}

/// What a message costs each side.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Cost {
    /// Those who send, or who begin the round trips.
    pub sender: SideCost,
    /// Those who receive, or who answer.
    pub receiver: SideCost,
}

/// What a message costs one side: medians over rounds.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct SideCost {
    /// CPU time of the user and of the system.
    pub cpu_ns_per_message: Option<f64>,
    /// How often it slept, or was taken off its core.
    pub context_switches_per_message: Option<f64>,
    /// System calls that move or await messages.
    pub system_calls_per_message: Option<f64>,
    /// The most memory that its processes had in use, each for itself: shared pages count in each. Of a program of the user's it is that
    /// of the program and its children together.
    pub resident_bytes_max: Option<u64>,
}

/// Time relative to the hardware's limits: the median of the ratios round by round.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct RatioToLimit {
    /// Of the median round trip to that of `limit-line`.
    pub round_trip: Option<f64>,
    /// Of the time for a message to that of `limit-memcpy`.
    pub stream: Option<f64>,
}

/// Speed relative to `pipe`: the median of the ratios round by round.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct RatioToPipe {
    /// How many times the messages.
    pub stream: Option<f64>,
    /// How many times as long a round trip of `pipe` takes.
    pub round_trip: Option<f64>,
}

/// Comparisons with the reference; none of the reference itself, and where one of both wasn't measured.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Versus {
    /// Of the time for a message.
    pub stream: Option<Comparison>,
    /// Of the median round trip.
    pub round_trip: Option<Comparison>,
    /// Of the median latency at a fixed rate.
    pub paced: Option<Comparison>,
}

/// What a window was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WindowKind {
    /// A stream whose receiver does nothing but verify.
    Drained,
    /// A stream whose receiver works a little for each message.
    Working,
    /// Round trips.
    RoundTrip,
    /// Messages by the clock.
    Paced,
}

/// One window.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WindowFigures {
    /// What it was for.
    pub kind: WindowKind,
    /// The number of its round, from 1.
    pub round: u32,
    /// 1; 2 of a session that was run once more because it was disturbed.
    pub attempt: u32,
    /// When its session began, from the beginning of the campaign.
    pub began_ns: u64,
    /// What disturbed its session. It counts nevertheless.
    pub disturbance: Option<String>,
    /// Messages; in round trips, exchanges.
    pub count: u64,
    /// How many there were beside these while the cost was counted: to warm up, or to tell the end. The cost of one is that of all of them,
    /// divided by both numbers together. Missing in older results.
    #[serde(default)]
    pub beside: Option<u64>,
    /// From the first send to the last verified message.
    pub elapsed_ns: u64,
    /// Time for one message or exchange.
    pub ns_each: f64,
    /// Times of the exchanges, or of the way there.
    pub times_ns: Option<Latency>,
    /// What it cost those who sent, or who began the exchanges.
    pub sender: Usage,
    /// What it cost those who received, or who answered.
    pub receiver: Usage,
}

impl Versus {
    /// Whether anything was compared.
    pub fn is_some(&self) -> bool {
        self.stream.is_some() || self.round_trip.is_some() || self.paced.is_some()
    }
}

impl Settings {
    /// Whether more than one process was on a side.
    pub fn has_several(&self) -> bool {
        self.producers > 1 || self.consumers > 1
    }

    /// Whether every contender could be expected to have it.
    pub fn is_plain(&self) -> bool {
        !self.has_several() && self.stopped.is_none()
    }
}

impl Figures {
    /// Whether it has a link. The limits are without; `limit-memcpy` fills as much memory as one has.
    pub fn has_link(&self) -> bool {
        self.class != Class::Limit || self.contender == "limit-memcpy"
    }

    /// The contender's name with the way of waiting, and with what was done to it.
    pub fn full_name(&self) -> String {
        let name = format!("{}/{}", self.contender, self.wait);
        Stopped::named(name, self.stopped)
    }

    /// The same, with a mark on the second one of two that are equal.
    pub fn shown_name(&self) -> String {
        let name = self.full_name();
        if self.is_twin {
            format!("{name} (again)")
        } else {
            name
        }
    }

    /// Its windows of a kind, each round's mean: of a round that was repeated, both count. Nothing if any of them lacks the figure: those that have it are other
    /// ones than those that haven't, as the slow ones have fewer samples.
    pub fn series(
        &self,
        kind: WindowKind,
        figure: impl Fn(&WindowFigures) -> Option<f64>,
    ) -> Vec<(u32, f64)> {
        let mut series: Vec<(u32, f64, u32)> = Vec::new();
        for window in self.windows.iter().filter(|window| window.kind == kind) {
            let Some(value) = figure(window) else {
                return Vec::new();
            };
            match series.iter_mut().find(|(round, ..)| *round == window.round) {
                Some((_, sum, count)) => {
                    *sum += value;
                    *count += 1;
                }
                None => series.push((window.round, value, 1)),
            }
        }
        let mean = |(round, sum, count)| (round, sum / f64::from(count));
        series.into_iter().map(mean).collect()
    }
}

impl Report {
    /// Whether messages of some contender went wrong.
    pub fn has_integrity_failure(&self) -> bool {
        self.results.iter().any(|row| !row.integrity.is_clean())
    }

    /// Whether some contender has that status.
    pub fn has(&self, status: Status) -> bool {
        self.results.iter().any(|row| row.status == status)
    }
}
