//! What each measuring command measures: its figures, its rows, and how its time is shared out.

use std::time::Duration;

use crate::budget::{Budget, PACED_MIN, PACED_MIN_QUICK, ROUNDS_MIN};
use crate::cli::{
    CommonArgs, CurveArgs, FanCommandArgs, PaceArgs, PacedArgs, RunArgs, StreamArgs, WakeArgs,
};
use crate::entry::{Entry, Wanted, at_paces, entries, on_cores, with_stopped, with_twins};
use crate::fan::{Fan, Stopped};
use crate::measure::schedule::{Arrivals, Pace};
use crate::transport::registry::Contender;
use crate::workload::Workload;

/// The design of a campaign.
#[derive(Debug, Clone)]
pub enum Design {
    /// Everything, side by side.
    Run {
        /// Processes on each side.
        fan: Fan,
        /// One more, stopped.
        stopped: Option<Stopped>,
        /// When paced messages are due.
        pace: Pace,
    },
    /// Round trips alone.
    RoundTrips,
    /// Streams alone.
    Streams {
        /// Processes on each side.
        fan: Fan,
        /// One more, stopped.
        stopped: Option<Stopped>,
    },
    /// Paced messages alone.
    Paced(Pace),
    /// Paced messages at several rates.
    Curve(Vec<Pace>),
    /// Streams and round trips at several sizes.
    Sweep,
    /// Streams with several numbers of processes.
    Fan(Vec<Fan>),
    /// Single messages after gaps.
    Wake(Vec<Pace>),
    /// Round trips between all pairs of cores.
    Topology,
}

/// The rate where the user names none.
const DEFAULT_RATE: u64 = 10_000;
/// The rates of a curve where the user names none.
const DEFAULT_RATES: [u64; 8] = [
    1_000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000,
];
/// Those of a workload, as multiples of its own.
const DEFAULT_MULTIPLES: [u64; 8] = [1, 2, 5, 10, 20, 50, 100, 200];

/// The seed of the moments is made from that of the run, and differs from round to round.
fn pace(rate_per_second: u64, arrivals: Arrivals) -> Pace {
    Pace {
        rate_per_second,
        arrivals,
        seed: 0,
    }
}

/// The pace that was asked for. What has moments of its own comes at them unless it is told otherwise.
fn pace_of(args: &PaceArgs, common: &CommonArgs) -> Pace {
    let own = common.workload.map(Workload::rate_per_second);
    let rate = args.rate.or(own).unwrap_or(DEFAULT_RATE);
    pace(rate, arrivals_of(args.arrivals, common))
}

fn arrivals_of(asked: Option<Arrivals>, common: &CommonArgs) -> Arrivals {
    let default = match common.workload {
        Some(_) => Arrivals::Recorded,
        None => Arrivals::Poisson,
    };
    asked.unwrap_or(default)
}

impl From<&RunArgs> for Design {
    fn from(args: &RunArgs) -> Self {
        Self::Run {
            fan: Fan::from(&args.fan),
            stopped: args.fan.stopped,
            pace: pace_of(&args.pace, &args.common),
        }
    }
}

impl From<&StreamArgs> for Design {
    fn from(args: &StreamArgs) -> Self {
        Self::Streams {
            fan: Fan::from(&args.fan),
            stopped: args.fan.stopped,
        }
    }
}

impl From<&PacedArgs> for Design {
    fn from(args: &PacedArgs) -> Self {
        Self::Paced(pace_of(&args.pace, &args.common))
    }
}

impl From<&CurveArgs> for Design {
    fn from(args: &CurveArgs) -> Self {
        let mut rates = match args.common.workload {
            _ if !args.rates.is_empty() => args.rates.clone(),
            Some(workload) => DEFAULT_MULTIPLES
                .map(|times| times * workload.rate_per_second())
                .to_vec(),
            None => DEFAULT_RATES.to_vec(),
        };
        rates.sort_unstable();
        rates.dedup();
        let at = |rate| pace(rate, arrivals_of(args.arrivals, &args.common));
        Self::Curve(rates.into_iter().map(at).collect())
    }
}

impl From<&FanCommandArgs> for Design {
    fn from(args: &FanCommandArgs) -> Self {
        let with = |producers: &u32| {
            let of = |&consumers| Fan {
                producers: *producers,
                consumers,
            };
            args.consumers.iter().map(of).collect::<Vec<_>>()
        };
        Self::Fan(args.producers.iter().flat_map(with).collect())
    }
}

impl From<&WakeArgs> for Design {
    fn from(args: &WakeArgs) -> Self {
        let rate = |gap: &Duration| (1.0 / gap.as_secs_f64()).round() as u64;
        let at = |gap| pace(rate(gap), Arrivals::Constant);
        Self::Wake(args.gaps.iter().map(at).collect())
    }
}

/// What the rows are made of.
#[derive(Debug)]
pub struct Material<'a> {
    /// The contenders that were chosen.
    pub contenders: &'a [Contender],
    /// Sizes of their messages.
    pub sizes: &'a [usize],
    /// The cores that may be used.
    pub cores: &'a [usize],
}

impl Design {
    /// The command's name.
    pub fn command(&self) -> &'static str {
        match self {
            Self::Run { .. } => "run",
            Self::RoundTrips => "rtt",
            Self::Streams { .. } => "stream",
            Self::Paced(_) => "paced",
            Self::Curve(_) => "curve",
            Self::Sweep => "sweep",
            Self::Fan(_) => "fan",
            Self::Wake(_) => "wake",
            Self::Topology => "topo",
        }
    }

    /// The sizes of messages where the user names none, in bytes.
    pub fn default_sizes(&self) -> &'static [usize] {
        match self {
            Self::Sweep => &[8, 64, 512, 4 << 10, 32 << 10, 256 << 10],
            _ => &[64],
        }
    }

    /// The contenders where the user names none: all, but for the pairs of cores what tells most about cores.
    pub fn default_contenders(&self) -> &'static [&'static str] {
        match self {
            Self::Topology => &["limit-line", "ring-spsc/spin", "ring-spsc/park"],
            _ => &[],
        }
    }

    /// The most processes that ever are at one link.
    pub fn fans(&self) -> Vec<Fan> {
        match self {
            Self::Run { fan, .. } | Self::Streams { fan, .. } => vec![*fan],
            Self::Fan(fans) => fans.clone(),
            _ => vec![Fan::PAIR],
        }
    }

    /// One more process, that is stopped in the middle of a message.
    pub fn stopped(&self) -> Option<Stopped> {
        match self {
            Self::Run { stopped, .. } | Self::Streams { stopped, .. } => *stopped,
            _ => None,
        }
    }

    /// The paces of its rows, in growing order of their rates.
    pub fn paces(&self) -> &[Pace] {
        match self {
            Self::Run { pace, .. } | Self::Paced(pace) => std::slice::from_ref(pace),
            Self::Curve(paces) | Self::Wake(paces) => paces,
            _ => &[],
        }
    }

    fn wanted(&self) -> Wanted {
        let (stream, round_trip) = match self {
            Self::Run { .. } | Self::Sweep => (true, true),
            Self::RoundTrips | Self::Topology => (false, true),
            Self::Streams { .. } | Self::Fan(_) => (true, false),
            Self::Paced(_) | Self::Curve(_) | Self::Wake(_) => (false, false),
        };
        Wanted {
            stream,
            round_trip,
            paced: self.paces().first().copied(),
        }
    }

    /// The rows. Those that would be measured for nothing are left out.
    pub fn rows(&self, of: &Material<'_>) -> Vec<Entry> {
        let wanted = self.wanted();
        let rows_of = |fan| entries(of.contenders, of.sizes, fan, wanted);
        let plain: Vec<Entry> = match self {
            Self::Fan(fans) => fans.iter().flat_map(|&fan| rows_of(fan)).collect(),
            Self::Curve(paces) | Self::Wake(paces) => at_paces(&rows_of(Fan::PAIR), paces),
            Self::Topology => on_cores(&rows_of(Fan::PAIR), of.cores),
            _ => self.fans().into_iter().flat_map(rows_of).collect(),
        };
        let has_figures = |entry: &Entry| entry.wanted.windows() > 0;
        let mut seen: Vec<Entry> = Vec::new();
        for entry in plain.into_iter().filter(has_figures) {
            // What is measured in one process has one row, whatever the others have.
            if !seen.iter().any(|other| other.is_same(&entry)) {
                seen.push(entry);
            }
        }
        match self {
            Self::Topology | Self::Curve(_) | Self::Wake(_) => seen,
            _ => with_twins(with_stopped(seen, self.stopped())),
        }
    }

    /// How the time of such a campaign is shared out.
    pub fn budget(&self, args: &CommonArgs, sizes: usize) -> Budget {
        // In seconds: what the sessions may take, and when no further round is begun.
        let (times, rounds) = match self {
            Self::Run { .. } => ([35, 54], 11),
            Self::RoundTrips | Self::Streams { .. } | Self::Paced(_) => ([30, 45], 11),
            // Most of their windows are long by their nature: of a few messages with long gaps.
            Self::Curve(_) | Self::Wake(_) => ([110, 145], 5),
            // The check before the windows takes its time with long messages.
            Self::Sweep => ([17, 25], 11),
            Self::Fan(_) => ([24, 34], 11),
            Self::Topology => ([60, 90], 7),
        };
        let parts = match self {
            Self::Fan(fans) => fans.len() * sizes,
            _ => sizes,
        };
        let [sessions, limit] = times.map(|time| {
            let all = Duration::from_secs(time) * parts.max(1) as u32;
            if args.quick { all / 4 } else { all }
        });
        Budget {
            sessions,
            limit,
            rounds: if args.quick { ROUNDS_MIN } else { rounds },
            paced_min: if args.quick {
                PACED_MIN_QUICK
            } else {
                PACED_MIN
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;
    use crate::transport::registry::contenders;

    fn run(line: &str) -> (Design, CommonArgs) {
        let words = std::iter::once("bench-harness").chain(line.split_whitespace());
        let args = Cli::try_parse_from(words).unwrap().run;
        (Design::from(&args), args.common)
    }

    #[test]
    fn the_windows_fit_the_budget() {
        let contenders = contenders();
        for line in ["", "--quick"] {
            let (design, args) = run(line);
            let budget = design.budget(&args, 1);
            for of in [&contenders[..], &contenders[..1]] {
                let rows = design.rows(&Material {
                    contenders: of,
                    sizes: &[64],
                    cores: &[0, 1],
                });
                let window = budget.window(&rows, budget.rounds);
                assert!(window >= Budget::SHORTEST && window <= Budget::LONGEST);
                let rounds = budget.rounds(&rows);
                assert_eq!(rounds, budget.rounds);
                let total = budget.round(&rows, window) * rounds;
                assert!(total <= budget.sessions, "{total:?}");
            }
        }
    }

    #[test]
    fn every_number_of_senders_meets_every_number_of_receivers() {
        let fans = Design::Fan(
            [(1, 1), (1, 2), (2, 1), (2, 2)]
                .map(|(producers, consumers)| Fan {
                    producers,
                    consumers,
                })
                .to_vec(),
        );
        let rows = fans.rows(&Material {
            contenders: &contenders(),
            sizes: &[64],
            cores: &[0, 1],
        });
        let of = |name: &str| rows.iter().filter(|row| row.contender.name == name).count();
        assert_eq!(of("pipe"), 4);
        assert_eq!(of("limit-memcpy"), 1);
        assert_eq!(of("eventfd"), 0);
    }

    fn common(line: &str) -> CommonArgs {
        run(line).1
    }

    #[test]
    fn every_command_ends_in_time() {
        let contenders = contenders();
        let paces = |rates: &[u64]| {
            let at = |&rate| pace(rate, Arrivals::Constant);
            rates.iter().map(at).collect::<Vec<_>>()
        };
        let fans = [(1, 1), (1, 2), (2, 1), (2, 2)].map(|(producers, consumers)| Fan {
            producers,
            consumers,
        });
        let streams = Design::Streams {
            fan: Fan::PAIR,
            stopped: None,
        };
        let designs = [
            (run("").0, 60),
            (Design::RoundTrips, 60),
            (streams, 60),
            (Design::Paced(pace(DEFAULT_RATE, Arrivals::Poisson)), 60),
            (Design::Curve(paces(&DEFAULT_RATES)), 180),
            (Design::Sweep, 180),
            (Design::Fan(fans.to_vec()), 180),
            (Design::Wake(paces(&[100_000, 10_000, 1_000, 100])), 180),
        ];
        for (design, limit_s) in designs {
            for (line, limit_s) in [("", limit_s), ("--quick", limit_s / 4)] {
                let sizes = design.default_sizes();
                let rows = design.rows(&Material {
                    contenders: &contenders,
                    sizes,
                    cores: &[0, 1],
                });
                let budget = design.budget(&common(line), sizes.len());
                let rounds = budget.rounds(&rows);
                let window = budget.window(&rows, rounds);
                let total = budget.round(&rows, window) * rounds;
                let name = design.command();
                assert!(budget.limit.as_secs() < limit_s, "{name} {line}");
                assert!(total.as_secs() < limit_s, "{name} {line}: {total:?}");
                assert!(rounds >= ROUNDS_MIN, "{name} {line}");
            }
        }
    }

    #[test]
    fn windows_that_are_long_by_their_nature_leave_fewer_rounds() {
        let contenders = contenders();
        let rows = |rate| {
            Design::Paced(pace(rate, Arrivals::Constant)).rows(&Material {
                contenders: &contenders,
                sizes: &[64],
                cores: &[0, 1],
            })
        };
        let budget = Design::Paced(pace(1, Arrivals::Constant)).budget(&common(""), 1);
        assert_eq!(budget.rounds(&rows(10_000)), 11);
        assert!(budget.rounds(&rows(60)) < 11);
        assert_eq!(budget.rounds(&rows(1)), ROUNDS_MIN);
    }

    #[test]
    fn a_workload_comes_at_its_own_moments_unless_told_otherwise() {
        let of = |line: &str| {
            let pace = run(line).0.paces()[0];
            (pace.rate_per_second, pace.arrivals)
        };
        assert_eq!(of(""), (10_000, Arrivals::Poisson));
        assert_eq!(of("--rate 5k"), (5_000, Arrivals::Poisson));
        assert_eq!(of("--workload video"), (60, Arrivals::Recorded));
        assert_eq!(
            of("--workload ticks --rate 1M"),
            (1_000_000, Arrivals::Recorded)
        );
        assert_eq!(
            of("--workload logs --arrivals constant"),
            (5_000, Arrivals::Constant)
        );
    }

    #[test]
    fn a_gap_is_a_rate() {
        let words = ["bench-harness", "wake", "--gaps", "10us,1ms"];
        let Some(crate::cli::Command::Wake(args)) = Cli::try_parse_from(words).unwrap().command
        else {
            panic!("another command");
        };
        let design = Design::from(&*args);
        let rates: Vec<u64> = design.paces().iter().map(|p| p.rate_per_second).collect();
        assert_eq!(rates, [100_000, 1_000]);
    }
}
