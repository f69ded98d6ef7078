//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use parse_size::Config as SizeParser;

use crate::external::ExternalArgs;
use crate::fan::{Fan, SIDE_MAX, Stopped};
use crate::job::Fault;
use crate::payload::Frame;

/// The hidden subcommand of a measured process.
pub const SIDE_COMMAND: &str = "side";

/// The longest message that is measured, in bytes.
pub const SIZE_MAX: usize = 1 << 20;

/// Measures IPC mechanisms between two real processes, and verifies every message.
///
/// Without a subcommand it does what `run` does.
///
/// Exit codes: 0 fine; 2 usage; 4 messages were lost, duplicated, reordered or corrupted; 5 a contender was unavailable
/// under --require-all; 6 input or output, or a contender failed; 130 interrupted.
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
    /// Measure the contenders, side by side
    Run(Box<RunArgs>),
    /// Print the contenders, and why one is unavailable on this machine
    List(ListArgs),
    /// Be one of the measured processes
    #[command(name = SIDE_COMMAND, hide = true)]
    Side,
}

/// How the report looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// One object for programs.
    Json,
}

/// How many processes there are on each side of a link.
#[derive(Debug, Clone, Copy, Args)]
pub struct FanArgs {
    /// Processes that send, all over one link; with more than one on a side there are streams and no round trips
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(SIDE_MAX)))]
    pub producers: u32,

    /// Processes that receive, all over the same link
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(SIDE_MAX)))]
    pub consumers: u32,
}

impl From<FanArgs> for Fan {
    fn from(args: FanArgs) -> Self {
        Self {
            producers: args.producers,
            consumers: args.consumers,
        }
    }
}

/// The options of `run`.
#[derive(Debug, Clone, Args)]
#[allow(clippy::struct_excessive_bools)]
pub struct RunArgs {
    /// Measure less: under 15 seconds for all contenders instead of under 60
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

    /// Sizes of the messages in bytes, as in 64,1K,64K (K = 1024)
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "64", value_parser = parse_message_size)]
    pub size: Vec<usize>,

    /// Several processes on a side.
    #[command(flatten)]
    pub fan: FanArgs,

    /// How long each window lasts, as in 50ms [default: what the time for the whole run allows]
    #[arg(long, value_name = "TIME", value_parser = parse_window)]
    pub duration: Option<Duration>,

    /// How often each contender is measured; a figure is the median [default: 7, with --quick or --payload 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: Option<u32>,

    /// Stop one more process in the middle of a message for the whole run, and tell how much that costs the others
    #[arg(long, value_enum, value_name = "WHO", conflicts_with = "payload")]
    pub stopped: Option<Stopped>,

    /// Makes the same order of contenders again [default: a new one, printed]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..1 << 53))]
    pub seed: Option<u64>,

    /// The two cores to measure on; with more processes, two or more [default: two that share no hardware, then others]
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub cpus: Option<Vec<usize>>,

    /// Check ten times as many messages before the windows, in every round
    #[arg(long)]
    pub verify: bool,

    /// Send the records of this file as the messages; it must not change meanwhile
    #[arg(long, value_name = "FILE", requires = "frame", conflicts_with_all = ["size", "duration", "verify", "plant_fault"])]
    pub payload: Option<PathBuf>,

    /// What a record of the file is: `line` (with its line feed), `fixed=N` or `len32` (little-endian length first)
    #[arg(long, value_name = "FRAME", requires = "payload")]
    pub frame: Option<Frame>,

    /// How the report looks
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub output: Output,

    /// Fail if a contender is unavailable
    #[arg(long)]
    pub require_all: bool,

    /// Commit a fault on purpose in the check before the windows, to see that it is noticed
    #[arg(long, value_enum, value_name = "FAULT")]
    pub plant_fault: Option<Fault>,
}

/// The options of `list`.
#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// Programs of the user's own.
    #[command(flatten)]
    pub external: ExternalArgs,

    /// Several processes on a side.
    #[command(flatten)]
    pub fan: FanArgs,

    /// How the list looks
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

fn parse_message_size(text: &str) -> Result<usize, String> {
    let size = SizeParser::new()
        .with_binary()
        .parse_size(text)
        .map_err(|error| format!("{error}; a size is a number of bytes, as in 64 or 4K"))?;
    if size == 0 || size > SIZE_MAX as u64 {
        return Err(format!(
            "{size} bytes are out of range; a message has 1 to {SIZE_MAX} bytes"
        ));
    }
    Ok(size as usize)
}

fn parse_window(text: &str) -> Result<Duration, String> {
    const SHORTEST: Duration = Duration::from_millis(1);
    const LONGEST: Duration = Duration::from_secs(60);
    let window = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; a window is a time, as in 50ms"))?;
    if window < SHORTEST || window > LONGEST {
        return Err("a window lasts from 1ms to 60s".to_owned());
    }
    Ok(window)
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
            let args = run_args(line).unwrap();
            assert_eq!(args.size, [64, 1024, 65536]);
            assert_eq!(args.cpus, Some(vec![0, 1]));
        }
        assert_eq!(run_args("").unwrap().size, [64]);
        assert_eq!(run_args("--size 1M").unwrap().size, [SIZE_MAX]);
    }

    #[test]
    fn bad_values_are_refused_with_the_limit() {
        for (line, part) in [
            ("--size 0", "1 to 1048576 bytes"),
            ("--size 2M", "1 to 1048576 bytes"),
            ("--size big", "as in 64 or 4K"),
            ("--duration 0ms", "from 1ms to 60s"),
            ("--duration soon", "as in 50ms"),
            ("--rounds 0", "1..=1000"),
            ("--producers 0", "1..=32"),
            ("--stopped nobody", "[possible values: producer, consumer]"),
            ("--stopped producer --payload x --frame line", "--payload"),
            ("--consumers 33", "1..=32"),
            ("--consumers many", "--consumers"),
            ("--consumer 2", "--consumers"),
            ("--payload x", "--frame"),
            ("--frame line", "--payload"),
            ("--payload x --frame lines", "`fixed=N`"),
            ("--cpus 0,x", "--cpus"),
        ] {
            let problem = run_args(line).unwrap_err().to_string();
            assert!(problem.contains(part), "{line}: {problem}");
        }
    }

    #[test]
    fn one_sends_and_one_receives_unless_told() {
        assert_eq!(Fan::from(run_args("").unwrap().fan), Fan::PAIR);
        let fan = Fan::from(run_args("--producers 3 --consumers 2").unwrap().fan);
        assert_eq!((fan.producers, fan.consumers), (3, 2));
    }

    #[test]
    fn a_window_is_a_time() {
        assert_eq!(parse_window("50ms"), Ok(Duration::from_millis(50)));
    }
}
