//! The plan of a run, with everything resolved and checked before anything starts.

use std::path::PathBuf;
use std::time::Duration;

use globset::{Glob, GlobMatcher};

use crate::cli::RunArgs;
use crate::entry::{Entry, entries, with_stopped};
use crate::fan::{Fan, Stopped};
use crate::job::Fault;
use crate::machine::{allowed_cores, siblings};
use crate::measure::crowd_check::LEN_MIN;
use crate::payload::{Frame, Profile, Records};
use crate::placement::Placement;
use crate::transport::LinkShape;
use crate::transport::registry::{Contender, contenders};

/// The messages that a link holds where the mechanism lets one choose.
const CAPACITY: usize = 1024;
/// The bytes that a link holds at most, whatever the messages are.
const CAPACITY_BYTES_MAX: usize = 16 << 20;
/// The fewest messages that a link holds.
const CAPACITY_MIN: usize = 16;

/// How long the windows last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Each of the two of the stream.
    pub stream: Duration,
    /// The one of the round trip.
    pub round_trip: Duration,
}

/// A file whose records are the messages.
#[derive(Debug, Clone)]
pub struct PayloadPlan {
    /// The file.
    pub file: PathBuf,
    /// What a record is.
    pub frame: Frame,
    /// What the records are like.
    pub profile: Profile,
}

/// The plan.
#[derive(Debug)]
pub struct Plan {
    /// The rows of the report.
    pub entries: Vec<Entry>,
    /// The sizes that were asked for, or with a payload the length of its longest record.
    pub sizes: Vec<usize>,
    /// How often each is measured.
    pub rounds: u32,
    /// Makes the order in each round.
    pub seed: u64,
    /// How many processes send and receive.
    pub fan: Fan,
    /// One more, that is stopped in the middle of a message.
    pub stopped: Option<Stopped>,
    /// The measured cores.
    pub placement: Placement,
    /// All cores that this process may use.
    pub allowed_cores: Vec<usize>,
    /// How long the windows last.
    pub windows: Windows,
    /// After so long no further round is begun; only where the user left the times to us.
    pub time_limit: Option<Duration>,
    /// Whether to check more, in every round.
    pub verify: bool,
    /// A fault to commit.
    pub fault: Option<Fault>,
    /// A file instead of made-up messages.
    pub payload: Option<PayloadPlan>,
}

/// Why there is no plan.
#[derive(Debug, PartialEq, Eq)]
pub enum PlanError {
    /// The user asked for something that can't be.
    Usage(String),
    /// A file can't be used.
    Input(String),
}

impl Plan {
    /// Resolves the options.
    ///
    /// # Errors
    /// One sentence with the value, the limit and the remedy.
    pub fn resolve(args: &RunArgs) -> Result<Self, PlanError> {
        let payload = args
            .payload
            .as_ref()
            .zip(args.frame)
            .map(plan_payload)
            .transpose()?;
        let fan = Fan::from(args.fan);
        check_fan(fan, args, payload.is_some()).map_err(PlanError::Usage)?;
        let chosen = select(contenders(), &args.contender, &args.exclude)?;
        let sizes = match &payload {
            None => distinct(&args.size),
            Some(payload) => vec![payload.profile.len_max],
        };
        let entries = match &payload {
            None => with_stopped(entries(&chosen, &sizes, fan), args.stopped),
            Some(payload) => payload_entries(&chosen, payload)?,
        };
        let allowed = allowed_cores()
            .map_err(|error| PlanError::Input(format!("the cores can't be told: {error}")))?;
        let placement = Placement::choose(args.cpus.as_deref(), &allowed, fan, siblings)
            .map_err(PlanError::Usage)?;
        let budget = if args.quick {
            Budget::QUICK
        } else {
            Budget::FULL
        };
        let default_rounds = if payload.is_some() { 3 } else { budget.rounds };
        let rounds = args.rounds.unwrap_or(default_rounds);
        let size_count = sizes.len() as u32;
        let windows = match args.duration {
            Some(window) => Windows {
                stream: window,
                round_trip: window,
            },
            None => budget.windows(&entries, rounds, size_count),
        };
        let is_ours = args.duration.is_none() && args.rounds.is_none() && payload.is_none();
        Ok(Self {
            entries,
            sizes,
            rounds,
            seed: args.seed.unwrap_or_else(|| fastrand::u64(..1 << 32)),
            fan,
            stopped: args.stopped,
            placement,
            allowed_cores: allowed,
            windows,
            time_limit: (is_ours && !args.verify).then(|| budget.limit * size_count),
            verify: args.verify,
            fault: args.plant_fault,
            payload,
        })
    }

    /// What a link of that entry must carry.
    pub fn shape(&self, entry: &Entry) -> LinkShape {
        let variable_len = self
            .payload
            .as_ref()
            .is_some_and(|p| p.profile.len_min != p.profile.len_max);
        LinkShape {
            message_len_max: entry.size,
            variable_len,
            capacity: capacity_for(entry.size),
            fan: entry.fan,
        }
    }
}

/// How many messages of a size a link is to hold: as equal for all as can be, within bounds for the memory.
pub fn capacity_for(size: usize) -> usize {
    (CAPACITY_BYTES_MAX / size.max(1)).clamp(CAPACITY_MIN, CAPACITY)
}

/// How the time of a run is shared out.
struct Budget {
    /// What the sessions together may take.
    sessions: Duration,
    /// After so long no further round is begun.
    limit: Duration,
    rounds: u32,
}

impl Budget {
    const FULL: Self = Self {
        sessions: Duration::from_secs(42),
        limit: Duration::from_secs(54),
        rounds: 7,
    };
    const QUICK: Self = Self {
        sessions: Duration::from_secs(9),
        limit: Duration::from_secs(13),
        rounds: 3,
    };
    /// Starting and ending a process, and its part of their links.
    const OVERHEAD: Duration = Duration::from_micros(7_500);
    /// A window needs trials before it, which take about a third as long again.
    const WITH_TRIALS: f64 = 1.3;
    const SHORTEST: Duration = Duration::from_millis(5);
    const LONGEST: Duration = Duration::from_millis(200);

    /// Windows such that all rounds fit. Each further size gets as much time again.
    fn windows(&self, entries: &[Entry], rounds: u32, sizes: u32) -> Windows {
        let windows: u32 = entries
            .iter()
            .map(|entry| {
                let figures = entry.figures();
                2 * u32::from(figures.has_stream()) + u32::from(figures.has_round_trip())
            })
            .sum();
        let processes: usize = entries.iter().map(|entry| entry.fan.processes()).sum();
        let overhead = Self::OVERHEAD * processes as u32 * rounds;
        let available = (self.sessions * sizes).saturating_sub(overhead);
        let share = available.div_f64(f64::from((windows * rounds).max(1)) * Self::WITH_TRIALS);
        let window = share.clamp(Self::SHORTEST, Self::LONGEST);
        Windows {
            stream: window,
            round_trip: window,
        }
    }
}

/// What can't be with several processes on a side.
fn check_fan(fan: Fan, args: &RunArgs, has_payload: bool) -> Result<(), String> {
    if fan.is_pair() {
        return Ok(());
    }
    if has_payload {
        return Err(
            "--payload sends the records of a file in their order, from one process to one; leave out --producers and --consumers"
                .to_owned(),
        );
    }
    match args.size.iter().find(|&&size| size < LEN_MIN) {
        Some(size) => Err(format!(
            "--size {size} has no room for the number of the producer, which takes {LEN_MIN} bytes; choose a larger size, or one \
             producer and one consumer"
        )),
        None => Ok(()),
    }
}

fn plan_payload((file, frame): (&PathBuf, Frame)) -> Result<PayloadPlan, PlanError> {
    let records = Records::open(file, frame).map_err(PlanError::Input)?;
    Ok(PayloadPlan {
        file: file.clone(),
        frame,
        profile: records.profile(),
    })
}

/// Matches either the bare or the full name.
struct Pattern {
    text: String,
    matcher: GlobMatcher,
}

impl Pattern {
    fn parse(option: &str, text: &str, all: &[Contender]) -> Result<Self, PlanError> {
        let glob = Glob::new(text).map_err(|error| {
            PlanError::Usage(format!("{option} '{text}' is no pattern: {}", error.kind()))
        })?;
        let pattern = Self {
            text: text.to_owned(),
            matcher: glob.compile_matcher(),
        };
        if all.iter().any(|contender| pattern.matches(contender)) {
            return Ok(pattern);
        }
        Err(PlanError::Usage(format!(
            "{option} '{}' matches none of the {} contenders; `bench-harness list` shows their names",
            pattern.text,
            all.len()
        )))
    }

    fn matches(&self, contender: &Contender) -> bool {
        self.matcher.is_match(contender.name) || self.matcher.is_match(contender.full_name())
    }
}

/// The contenders that are asked for.
fn select(
    all: Vec<Contender>,
    only: &[String],
    without: &[String],
) -> Result<Vec<Contender>, PlanError> {
    let parse = |option: &'static str, texts: &[String]| {
        texts
            .iter()
            .map(|text| Pattern::parse(option, text, &all))
            .collect::<Result<Vec<_>, _>>()
    };
    let only = parse("--contender", only)?;
    let without = parse("--exclude", without)?;
    let chosen: Vec<Contender> = all
        .into_iter()
        .filter(|contender| only.is_empty() || only.iter().any(|p| p.matches(contender)))
        .filter(|contender| !without.iter().any(|p| p.matches(contender)))
        .collect();
    if chosen.is_empty() {
        return Err(PlanError::Usage(
            "--exclude leaves no contender; exclude fewer of those that --contender names"
                .to_owned(),
        ));
    }
    Ok(chosen)
}

/// Each size once, in the order given.
fn distinct(sizes: &[usize]) -> Vec<usize> {
    let mut distinct = Vec::new();
    for &size in sizes {
        if !distinct.contains(&size) {
            distinct.push(size);
        }
    }
    distinct
}

fn payload_entries(chosen: &[Contender], payload: &PayloadPlan) -> Result<Vec<Entry>, PlanError> {
    let entries: Vec<Entry> = chosen
        .iter()
        .filter(|contender| contender.has_content())
        .map(|&contender| Entry::new(contender, payload.profile.len_max, Fan::PAIR))
        .collect();
    if entries.is_empty() {
        return Err(PlanError::Usage(
            "--contender names none that carries a payload; choose some of class message or stream"
                .to_owned(),
        ));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(only: &[&str], without: &[&str]) -> Result<Vec<String>, PlanError> {
        let own = |texts: &[&str]| {
            texts
                .iter()
                .map(|&text| text.to_owned())
                .collect::<Vec<_>>()
        };
        select(contenders(), &own(only), &own(without))
            .map(|chosen| chosen.iter().map(Contender::full_name).collect())
    }

    #[test]
    fn patterns_match_bare_and_full_names() {
        assert_eq!(names(&["limit-line"], &[]).unwrap(), ["limit-line/spin"]);
        assert_eq!(
            names(&["limit-line/spin"], &[]).unwrap(),
            ["limit-line/spin"]
        );
        assert_eq!(names(&["limit-*"], &["*/park"]).unwrap().len(), 2);
        assert_eq!(names(&[], &[]).unwrap().len(), contenders().len());
    }

    #[test]
    fn a_pattern_that_matches_nothing_is_told() {
        for (only, without) in [
            (&["nothing"][..], &[][..]),
            (&[], &["nothing"]),
            (&["[z"], &[]),
        ] {
            let Err(PlanError::Usage(problem)) = names(only, without) else {
                panic!("accepted")
            };
            assert!(
                problem.contains(only.first().unwrap_or(&"nothing")),
                "{problem}"
            );
        }
        assert!(names(&["limit-line"], &["limit-*"]).is_err());
    }

    #[test]
    fn the_windows_fit_the_budget() {
        let row = entries(
            &select(contenders(), &["limit-memcpy".to_owned()], &[]).unwrap(),
            &[64],
            Fan::PAIR,
        );
        for (count, budget) in [(35, Budget::FULL), (35, Budget::QUICK), (1, Budget::FULL)] {
            let rows = vec![row[0]; count];
            let windows = budget.windows(&rows, budget.rounds, 1);
            assert!(windows.stream >= Budget::SHORTEST && windows.stream <= Budget::LONGEST);
            let sessions = count as u32 * budget.rounds;
            let total = (windows.stream * 2).mul_f64(Budget::WITH_TRIALS) * sessions
                + Budget::OVERHEAD * 2 * sessions;
            assert!(
                total <= budget.sessions + Duration::from_millis(1),
                "{total:?}"
            );
        }
    }

    #[test]
    fn a_link_holds_a_thousand_messages_within_sixteen_megabytes() {
        assert_eq!(capacity_for(0), 1024);
        assert_eq!(capacity_for(64), 1024);
        assert_eq!(capacity_for(64 << 10), 256);
        assert_eq!(capacity_for(16 << 20), 16);
    }
}
