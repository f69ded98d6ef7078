//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use parse_size::Config as SizeParser;

use crate::compare::{BaselineArgs, CompareArgs};
use crate::doctor::DoctorArgs;
use crate::external::ExternalArgs;
use crate::fan::{Fan, SIDE_MAX, Stopped};
use crate::job::Fault;
use crate::measure::schedule::Arrivals;
use crate::payload::Frame;
use crate::workload::Workload;

mod view;

pub use view::{ListOutput, Output, ReportArgs, SaveArgs, ViewArgs};

/// The hidden subcommand of a measured process.
pub const SIDE_COMMAND: &str = "side";

/// The longest message that is measured, in bytes.
pub const SIZE_MAX: usize = 1 << 20;

/// The highest rate of paced messages, a second.
pub const RATE_MAX: u64 = 100_000_000;

/// Measures IPC mechanisms between two real processes, and verifies every message.
///
/// Without a subcommand it does what `run` does.
///
/// Exit codes: 0 fine; 1 worse than the baseline; 2 usage; 3 the machine was refused under --strict; 4 messages were lost, duplicated,
/// reordered or corrupted; 5 a contender was unavailable under --require-all; 6 input or output, or a contender failed;
/// 130 interrupted.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The options of `run`.
    #[command(flatten)]
    pub run: RunArgs,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure the contenders side by side: streams, round trips, and one-way latency at a fixed rate
    Run(Box<RunArgs>),
    /// Measure round trips only: one message there and back, again and again (closed loop)
    Rtt(Box<CommonArgs>),
    /// Measure streams only: messages as fast as they go
    Stream(Box<StreamArgs>),
    /// Measure one-way latency at a fixed rate, from the moment a message was due (open loop)
    Paced(Box<PacedArgs>),
    /// Measure one-way latency at growing rates, up to saturation
    Curve(Box<CurveArgs>),
    /// Measure streams and round trips at several sizes
    Sweep(Box<CommonArgs>),
    /// Measure streams with several producers and consumers
    Fan(Box<FanCommandArgs>),
    /// Measure the latency of a message after the link was idle for a while
    Wake(Box<WakeArgs>),
    /// Measure the round trip between each pair of cores
    Topo(Box<CommonArgs>),
    /// Do what `run` does, and save the results
    Save(Box<SaveArgs>),
    /// Show saved results again
    Report(ReportArgs),
    /// Compare saved results: what became faster or slower beyond chance, noise and the machine's drift
    ///
    /// Exit codes: 0 fine; 1 a figure is slower than --fail-if allows; 2 usage; 6 input or output.
    Compare(CompareArgs),
    /// Print the contenders, and why one is unavailable on this machine
    List(ListArgs),
    /// Look for what disturbs figures on this machine or keeps contenders from running; changes nothing
    ///
    /// Exit codes: 0 no check says FAIL; 2 usage; 3 a check says FAIL; 6 input or output.
    Doctor(DoctorArgs),
    /// Print a script that completes the command line in a shell
    Completions(CompletionsArgs),
    /// Print the manual page
    Man,
    /// Be one of the measured processes
    #[command(name = SIDE_COMMAND, hide = true)]
    Side,
}

/// How many processes there are on each side of a link.
#[derive(Debug, Clone, Copy, Args)]
pub struct FanArgs {
    /// Processes that send, all over one link; with more than one on a side there are streams only
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(SIDE_MAX)))]
    pub producers: u32,

    /// Processes that receive, all over the same link
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(SIDE_MAX)))]
    pub consumers: u32,

    /// Stop one more process in the middle of a message for the whole run, and tell how much that costs the others
    #[arg(long, value_enum, value_name = "WHO", conflicts_with_all = ["payload", "workload"])]
    pub stopped: Option<Stopped>,
}

impl From<&FanArgs> for Fan {
    fn from(args: &FanArgs) -> Self {
        Self {
            producers: args.producers,
            consumers: args.consumers,
        }
    }
}

/// When paced messages are due.
#[derive(Debug, Clone, Copy, Args)]
pub struct PaceArgs {
    /// Paced messages a second, as in 10k or 1M [default: 10k; of a workload its own, and another one makes its time run faster or slower]
    #[arg(long, value_name = "RATE", allow_hyphen_values = true, value_parser = parse_rate)]
    pub rate: Option<u64>,

    /// How the moments lie at which paced messages are due [default: poisson; of a workload recorded]
    #[arg(long, value_enum, value_name = "HOW")]
    pub arrivals: Option<Arrivals>,
}

/// The options of `run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// What all measuring commands have.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Several processes on a side.
    #[command(flatten)]
    pub fan: FanArgs,
    /// When paced messages are due.
    #[command(flatten)]
    pub pace: PaceArgs,
}

/// The options of `stream`.
#[derive(Debug, Clone, Args)]
pub struct StreamArgs {
    /// What all measuring commands have.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Several processes on a side.
    #[command(flatten)]
    pub fan: FanArgs,
}

/// The options of `paced`.
#[derive(Debug, Clone, Args)]
pub struct PacedArgs {
    /// What all measuring commands have.
    #[command(flatten)]
    pub common: CommonArgs,
    /// When the messages are due.
    #[command(flatten)]
    pub pace: PaceArgs,
}

/// The options of `curve`.
#[derive(Debug, Clone, Args)]
pub struct CurveArgs {
    /// What all measuring commands have.
    #[command(flatten)]
    pub common: CommonArgs,

    /// Messages a second, as in 1k,10k,100k; rates above one that saturates a contender are left out for it
    /// [default: 1k,10k,30k,100k,300k,1M,3M,10M; of a workload its own and up to 200 times as many]
    #[arg(long, value_name = "LIST", value_delimiter = ',', allow_hyphen_values = true, value_parser = parse_rate)]
    pub rates: Vec<u64>,

    /// How the moments lie at which messages are due [default: poisson; of a workload recorded]
    #[arg(long, value_enum, value_name = "HOW")]
    pub arrivals: Option<Arrivals>,
}

/// The options of `fan`.
#[derive(Debug, Clone, Args)]
pub struct FanCommandArgs {
    /// What all measuring commands have.
    #[command(flatten)]
    pub common: CommonArgs,

    /// Numbers of processes that send; each is measured with each number of those that receive
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "1,2", value_parser = clap::value_parser!(u32).range(1..=i64::from(SIDE_MAX)))]
    pub producers: Vec<u32>,

    /// Numbers of processes that receive
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "1,2", value_parser = clap::value_parser!(u32).range(1..=i64::from(SIDE_MAX)))]
    pub consumers: Vec<u32>,
}

/// The options of `wake`.
#[derive(Debug, Clone, Args)]
pub struct WakeArgs {
    /// What all measuring commands have.
    #[command(flatten)]
    pub common: CommonArgs,

    /// How long the link is idle before each message, as in 10us,1ms
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "10us,100us,1ms,10ms", allow_hyphen_values = true, value_parser = parse_gap)]
    pub gaps: Vec<Duration>,
}

/// What all measuring commands have.
#[derive(Debug, Clone, Args)]
#[allow(clippy::struct_excessive_bools)]
pub struct CommonArgs {
    /// Measure less, in about a quarter of the time
    #[arg(long)]
    pub quick: bool,

    /// Only contenders that match, as in 'ring-*' or 'pipe' or '*/park' (repeatable)
    #[arg(long, value_name = "GLOB")]
    pub contender: Vec<String>,

    /// No contenders that match (repeatable)
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,

    /// Programs of the user's own.
    #[command(flatten)]
    pub external: ExternalArgs,

    /// Sizes of the messages in bytes, as in 64,1K,64K (K = 1024) [default: 64; of sweep 8,64,512,4K,32K,256K]
    #[arg(long, value_name = "LIST", value_delimiter = ',', allow_hyphen_values = true, value_parser = parse_message_size)]
    pub size: Vec<usize>,

    /// How long each window lasts, as in 50ms; at low rates longer, for 25 paced messages, with --quick 10 [default: what the time for the whole run allows]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = parse_window)]
    pub duration: Option<Duration>,

    /// How often each contender is measured; a figure is the median [default: 11, with --quick 3; else as the command needs]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: Option<u32>,

    /// Makes the same order of contenders and the same moments again [default: a new one, printed]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(..1 << 53))]
    pub seed: Option<u64>,

    /// The two cores to measure on; with more processes, two or more [default: two that share no hardware, then others]
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub cpus: Option<Vec<usize>>,

    /// The contender that the others are compared with, by its full name
    #[arg(long, value_name = "NAME", default_value = "pipe/park")]
    pub reference: String,

    /// Check ten times as many messages before the windows, in every round
    #[arg(long)]
    pub verify: bool,

    /// Send the records of this file as the messages; it is copied into memory before the run
    #[arg(long, value_name = "FILE", requires = "frame", conflicts_with_all = ["size", "plant_fault"])]
    pub payload: Option<PathBuf>,

    /// What a record of the file is: `line` (with its line feed), `fixed=N` or `len32` (little-endian length first)
    #[arg(long, value_name = "FRAME", requires = "payload")]
    pub frame: Option<Frame>,

    /// Send records in the shape of real ones: `ticks`, `logs` or `video`; a seed may follow, as in ticks:7
    #[arg(long, value_name = "NAME", conflicts_with_all = ["payload", "size", "plant_fault"])]
    pub workload: Option<Workload>,

    /// How the report looks.
    #[command(flatten)]
    pub view: ViewArgs,

    /// Save the results to this file as well, for `report` and `compare`; what is there is replaced only by complete results
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,

    /// Comparing with a saved run.
    #[command(flatten)]
    pub baseline: BaselineArgs,

    /// Refuse to measure where the machine makes the figures meaningless (what `doctor` calls FAIL)
    #[arg(long)]
    pub strict: bool,

    /// Fail if a contender is unavailable
    #[arg(long)]
    pub require_all: bool,

    /// What goes wrong on purpose.
    #[command(flatten)]
    pub plants: PlantArgs,
}

/// What goes wrong on purpose, to see that it is noticed.
#[derive(Debug, Clone, Args)]
pub struct PlantArgs {
    /// Commit a fault on purpose in the check before the windows, to see that it is noticed
    #[arg(long, value_enum, value_name = "FAULT")]
    pub plant_fault: Option<Fault>,

    /// Let each receiver do nothing for so long, once in each window, to see which figures show it; as in 50ms
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = parse_window)]
    pub plant_stall: Option<Duration>,

    /// Let each send take so much longer, to see that the figures show it; as in 200ns
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = parse_delay)]
    pub plant_delay: Option<Duration>,
}

/// The options of `list`.
#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// Programs of the user's own.
    #[command(flatten)]
    pub external: ExternalArgs,

    /// Processes that send, all over one link
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(SIDE_MAX)))]
    pub producers: u32,

    /// Processes that receive, all over the same link
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(SIDE_MAX)))]
    pub consumers: u32,

    /// How the list looks
    #[arg(long, value_enum, default_value_t = ListOutput::Table)]
    pub output: ListOutput,
}

/// The options of `completions`.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

fn parse_message_size(text: &str) -> Result<usize, String> {
    let size = SizeParser::new()
        .with_binary()
        .parse_size(text)
        .map_err(|error| {
            format!("{error}; a size is a number of bytes from 1 to {SIZE_MAX}, as in 64 or 4K")
        })?;
    if size == 0 || size > SIZE_MAX as u64 {
        return Err(format!(
            "{size} bytes are out of range; a message has 1 to {SIZE_MAX} bytes"
        ));
    }
    Ok(size as usize)
}

fn parse_rate(text: &str) -> Result<u64, String> {
    let rate = SizeParser::new()
        .with_decimal()
        .parse_size(text)
        .map_err(|error| {
            format!(
                "{error}; a rate is a number of messages a second from 1 to {RATE_MAX}, as in 10k"
            )
        })?;
    if rate == 0 || rate > RATE_MAX {
        return Err(format!(
            "{rate} messages a second are out of range; a rate is from 1 to {RATE_MAX}"
        ));
    }
    Ok(rate)
}

fn parse_time(text: &str, range: (Duration, Duration), what: &str) -> Result<Duration, String> {
    let shown = || {
        let [shortest, longest] = [range.0, range.1].map(humantime::format_duration);
        format!("{what} lasts from {shortest} to {longest}")
    };
    let time = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; {}, as in 5ms", shown()))?;
    if time < range.0 || time > range.1 {
        return Err(shown());
    }
    Ok(time)
}

fn parse_window(text: &str) -> Result<Duration, String> {
    let range = (Duration::from_millis(1), Duration::from_secs(60));
    parse_time(text, range, "a window")
}

fn parse_delay(text: &str) -> Result<Duration, String> {
    let range = (Duration::from_nanos(1), Duration::from_millis(10));
    parse_time(text, range, "a delay")
}

fn parse_gap(text: &str) -> Result<Duration, String> {
    let range = (Duration::from_micros(1), Duration::from_secs(1));
    parse_time(text, range, "a gap")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn run_args(line: &str) -> Result<RunArgs, clap::Error> {
        let words = std::iter::once("bench-harness").chain(line.split_whitespace());
        Cli::try_parse_from(words).map(|cli| match cli.command {
            Some(Command::Run(args)) => *args,
            _ => cli.run,
        })
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_are_those_of_run_with_and_without_its_name() {
        for line in [
            "--size 64,1K,64K --cpus 0,1",
            "run --size 64,1K,64K --cpus 0,1",
        ] {
            let args = run_args(line).unwrap().common;
            assert_eq!(args.size, [64, 1024, 65536]);
            assert_eq!(args.cpus, Some(vec![0, 1]));
        }
        assert!(run_args("").unwrap().common.size.is_empty());
        assert_eq!(run_args("--size 1M").unwrap().common.size, [SIZE_MAX]);
        assert_eq!(run_args("--rate 20k").unwrap().pace.rate, Some(20_000));
    }

    #[test]
    fn bad_values_are_refused_with_the_limit() {
        for (line, part) in [
            ("--size 0", "1 to 1048576 bytes"),
            ("--size 2M", "1 to 1048576 bytes"),
            ("--size big", "from 1 to 1048576, as in 64 or 4K"),
            ("--size -1", "'--size <LIST>': "),
            ("--rate -5", "from 1 to 100000000, as in 10k"),
            ("--duration -5ms", "from 1ms to 1m"),
            ("wake --gaps -1ms", "from 1us to 1s"),
            ("--seed -1", "--seed <N>"),
            ("--duration 0ms", "from 1ms to 1m"),
            ("--duration soon", "from 1ms to 1m, as in 5ms"),
            ("--rounds 0", "1..=1000"),
            ("--rate 0", "from 1 to 100000000"),
            ("--rate often", "as in 10k"),
            ("wake --gaps 1ns", "from 1us to 1s"),
            ("curve --rates 1k,x", "as in 10k"),
            ("fan --producers 1,40", "1..=32"),
            ("--plant-delay 1s", "from 1ns to 10ms"),
            ("--producers 0", "1..=32"),
            ("--stopped nobody", "[possible values: producer, consumer]"),
            ("--stopped producer --payload x --frame line", "--payload"),
            ("--consumers 33", "1..=32"),
            ("--consumers many", "--consumers"),
            ("--consumer 2", "--consumers"),
            ("--payload x", "--frame"),
            ("--frame line", "--payload"),
            ("--payload x --frame lines", "`fixed=N`"),
            ("--workload tick", "none of ticks, logs, video"),
            ("--workload ticks:x", "no whole number"),
            ("--workload ticks --size 64", "--size"),
            ("--workload ticks --payload x --frame line", "--payload"),
            ("--workload ticks --stopped producer", "--stopped"),
            ("--cpus 0,x", "--cpus"),
        ] {
            let problem = run_args(line).unwrap_err().to_string();
            assert!(problem.contains(part), "{line}: {problem}");
        }
    }

    #[test]
    fn one_sends_and_one_receives_unless_told() {
        assert_eq!(Fan::from(&run_args("").unwrap().fan), Fan::PAIR);
        let fan = Fan::from(&run_args("--producers 3 --consumers 2").unwrap().fan);
        assert_eq!((fan.producers, fan.consumers), (3, 2));
    }

    #[test]
    fn a_window_is_a_time() {
        assert_eq!(parse_window("50ms"), Ok(Duration::from_millis(50)));
        assert_eq!(parse_gap("10us"), Ok(Duration::from_micros(10)));
    }
}
