//! What each measuring command measures: its figures, its rows, and how its time is shared out.

use std::time::Duration;

use crate::cli::{CommonArgs, CurveArgs, FanCommandArgs, PacedArgs, RunArgs, StreamArgs, WakeArgs};
use crate::entry::{Entry, Wanted, at_paces, entries, on_cores, with_stopped, with_twins};
use crate::fan::{Fan, Stopped};
use crate::measure::schedule::{Arrivals, Pace};
use crate::transport::registry::Contender;

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

/// The seed of the moments is made from that of the run, and differs from round to round.
fn pace(rate_per_second: u64, arrivals: Arrivals) -> Pace {
    Pace {
        rate_per_second,
        arrivals,
        seed: 0,
    }
}

impl From<&RunArgs> for Design {
    fn from(args: &RunArgs) -> Self {
        Self::Run {
            fan: Fan::from(&args.fan),
            stopped: args.fan.stopped,
            pace: pace(args.pace.rate, args.pace.arrivals),
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
        Self::Paced(pace(args.pace.rate, args.pace.arrivals))
    }
}

impl From<&CurveArgs> for Design {
    fn from(args: &CurveArgs) -> Self {
        let mut rates = args.rates.clone();
        rates.sort_unstable();
        rates.dedup();
        let at = |rate| pace(rate, args.arrivals);
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
        let seconds = Duration::from_secs;
        let (sessions, limit, rounds) = match (self, args.quick) {
            (Self::Run { .. }, false) => (seconds(44), seconds(54), 11),
            (Self::Run { .. }, true) => (seconds(9), seconds(13), 3),
            (_, false) => (seconds(30), seconds(45), 11),
            (_, true) => (seconds(7), seconds(11), 3),
        };
        let (points, rounds) = match self {
            // The windows at low rates can't be shortened.
            Self::Curve(paces) | Self::Wake(paces) => (paces.len().div_ceil(2), rounds.min(5)),
            Self::Fan(fans) => (fans.len().div_ceil(2), rounds),
            Self::Topology => (2, rounds.min(7)),
            _ => (1, rounds),
        };
        let factor = (points * sizes).max(1) as u32;
        Budget {
            sessions: sessions * factor,
            limit: limit * factor,
            rounds,
        }
    }
}

/// How the time of a run is shared out.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// What the sessions together may take.
    pub sessions: Duration,
    /// After so long no further round is begun, and nothing is repeated.
    pub limit: Duration,
    /// How often each row is measured.
    pub rounds: u32,
}

impl Budget {
    /// Starting and ending a process, and its part of their links.
    const OVERHEAD: Duration = Duration::from_micros(7_500);
    /// A window needs trials before it, which take about a third as long again.
    const WITH_TRIALS: f64 = 1.3;
    const SHORTEST: Duration = Duration::from_millis(5);
    const LONGEST: Duration = Duration::from_millis(200);

    /// The length of a window such that all rounds fit.
    pub fn window(&self, entries: &[Entry], rounds: u32) -> Duration {
        let windows: u32 = entries.iter().map(|entry| entry.wanted.windows()).sum();
        let processes: usize = entries.iter().map(|entry| entry.fan.processes()).sum();
        let overhead = Self::OVERHEAD * processes as u32 * rounds;
        let available = self.sessions.saturating_sub(overhead);
        let share = available.div_f64(f64::from((windows * rounds).max(1)) * Self::WITH_TRIALS);
        share.clamp(Self::SHORTEST, Self::LONGEST)
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
                let windows: u32 = rows.iter().map(|row| row.wanted.windows()).sum();
                let total = (window * windows).mul_f64(Budget::WITH_TRIALS) * budget.rounds
                    + Budget::OVERHEAD * 2 * rows.len() as u32 * budget.rounds;
                assert!(
                    total <= budget.sessions + Duration::from_millis(2),
                    "{total:?}"
                );
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
