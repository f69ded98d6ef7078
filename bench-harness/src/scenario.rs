//! The plan of a run, with everything resolved and checked before anything starts.

use std::path::PathBuf;
use std::time::Duration;

use globset::{Glob, GlobMatcher};

use crate::cli::CommonArgs;
use crate::design::{Design, Material};
use crate::entry::Entry;
use crate::fan::Fan;
use crate::job::{Fault, Plants, Probe, Source};
use crate::machine::{allowed_cores, siblings};
use crate::measure::crowd_check::LEN_MIN;
use crate::measure::schedule::Pace;
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
/// The fewest messages of a paced window, however long it then is.
const PACED_MIN: u32 = 25;

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
    /// What is measured.
    pub design: Design,
    /// The rows of the report.
    pub entries: Vec<Entry>,
    /// The sizes that were asked for, or with a payload the length of its longest record.
    pub sizes: Vec<usize>,
    /// How often each is measured.
    pub rounds: u32,
    /// Makes the order in each round.
    pub seed: u64,
    /// The row that others are compared with, by its full name.
    pub reference: String,
    /// The measured cores.
    pub placement: Placement,
    /// All cores that this process may use.
    pub allowed_cores: Vec<usize>,
    /// How long a window lasts.
    pub window: Duration,
    /// After so long no further round is begun, where the user left the times to us; and nothing is repeated.
    pub time_limit: Option<Duration>,
    /// Whether to check more, in every round.
    pub verify: bool,
    /// A fault to commit.
    pub fault: Option<Fault>,
    /// What else goes wrong on purpose.
    pub plants: Plants,
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
    pub fn resolve(design: Design, args: &CommonArgs) -> Result<Self, PlanError> {
        let payload = args
            .payload
            .as_ref()
            .zip(args.frame)
            .map(plan_payload)
            .transpose()?;
        let sizes = match &payload {
            None if args.size.is_empty() => design.default_sizes().to_vec(),
            None => distinct(&args.size),
            Some(payload) => vec![payload.profile.len_max],
        };
        for fan in design.fans() {
            check_fan(fan, &sizes, payload.is_some()).map_err(PlanError::Usage)?;
        }
        let all = contenders();
        check_reference(&args.reference, &all)?;
        let chosen = choose(&design, args, all)?;
        let allowed = allowed_cores()
            .map_err(|error| PlanError::Input(format!("the cores can't be told: {error}")))?;
        let entries = design.rows(&Material {
            contenders: &chosen,
            sizes: &sizes,
            cores: args.cpus.as_ref().unwrap_or(&allowed),
        });
        let entries = match &payload {
            None => entries,
            Some(_) => carrying(entries)?,
        };
        if entries.is_empty() {
            let command = design.command();
            return Err(PlanError::Usage(format!(
                "nothing of what was chosen can be measured by `{command}`; choose other contenders, or other cores"
            )));
        }
        let placement = place(&design, args, &allowed).map_err(PlanError::Usage)?;
        let budget = design.budget(args, sizes.len());
        let rounds = args.rounds.unwrap_or(budget.rounds);
        let window = args
            .duration
            .unwrap_or_else(|| budget.window(&entries, rounds));
        let is_ours = args.duration.is_none() && args.rounds.is_none() && payload.is_none();
        Ok(Self {
            design,
            entries,
            sizes,
            rounds,
            seed: args.seed.unwrap_or_else(|| fastrand::u64(..1 << 32)),
            reference: args.reference.clone(),
            placement,
            allowed_cores: allowed,
            window,
            time_limit: (is_ours && !args.verify).then_some(budget.limit),
            verify: args.verify,
            fault: args.plants.plant_fault,
            plants: plants(args, window),
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

    /// Whether some of its processes share a core.
    pub fn is_crowded(&self, entry: &Entry) -> bool {
        let placement = entry.cores.map(Placement::pair);
        let placement = placement.as_ref().unwrap_or(&self.placement);
        placement.is_crowded(entry.fan)
    }

    /// What the messages of that entry are.
    pub fn source(&self, entry: &Entry) -> Source {
        match &self.payload {
            None => Source::Pattern { len: entry.size },
            Some(payload) => Source::File {
                file: payload.file.clone(),
                frame: payload.frame,
            },
        }
    }

    /// What is measured of that entry in a round.
    pub fn probes(&self, entry: &Entry, round: u32) -> Vec<Probe> {
        let window_ns = self.window.as_nanos() as u64;
        let wanted = entry.wanted;
        let stream = wanted.stream.then_some(Probe::Stream { window_ns });
        let round_trip = wanted.round_trip.then_some(Probe::RoundTrip { window_ns });
        let paced = wanted.paced.map(|pace| Probe::Paced {
            window_ns: self.paced_window(pace).as_nanos() as u64,
            pace: Pace {
                // The same for all contenders of a round.
                seed: self.seed.wrapping_add(u64::from(round)),
                ..pace
            },
        });
        [stream, round_trip, paced].into_iter().flatten().collect()
    }

    /// How long a paced window lasts: long enough for some messages.
    pub fn paced_window(&self, pace: Pace) -> Duration {
        let gap = Duration::from_secs_f64(1.0 / pace.rate_per_second.max(1) as f64);
        self.window.max(gap * PACED_MIN)
    }
}

fn place(design: &Design, args: &CommonArgs, allowed: &[usize]) -> Result<Placement, String> {
    let widest = design
        .fans()
        .into_iter()
        .max_by_key(|fan| fan.processes())
        .unwrap_or_default();
    match design {
        // Its rows name their cores.
        Design::Topology => Placement::all(args.cpus.as_deref(), allowed),
        _ => Placement::choose(args.cpus.as_deref(), allowed, widest, siblings),
    }
}

fn plants(args: &CommonArgs, window: Duration) -> Plants {
    let nanoseconds = |time: Option<Duration>| time.unwrap_or_default().as_nanos() as u64;
    Plants {
        delay_ns: nanoseconds(args.plants.plant_delay),
        stall_ns: nanoseconds(args.plants.plant_stall),
        stall_after_ns: nanoseconds(Some(window / 4)),
    }
}

fn check_reference(name: &str, all: &[Contender]) -> Result<(), PlanError> {
    if all.iter().any(|contender| contender.full_name() == name) {
        return Ok(());
    }
    Err(PlanError::Usage(format!(
        "--reference '{name}' is none of the {} contenders; give a full name as `bench-harness list` shows it",
        all.len()
    )))
}

fn choose(
    design: &Design,
    args: &CommonArgs,
    all: Vec<Contender>,
) -> Result<Vec<Contender>, PlanError> {
    if !args.contender.is_empty() {
        return select(all, &args.contender, &args.exclude);
    }
    let own = |&name: &&str| name.to_owned();
    let only: Vec<String> = design.default_contenders().iter().map(own).collect();
    select(all, &only, &args.exclude)
}

/// How many messages of a size a link is to hold: as equal for all as can be, within bounds for the memory.
pub fn capacity_for(size: usize) -> usize {
    (CAPACITY_BYTES_MAX / size.max(1)).clamp(CAPACITY_MIN, CAPACITY)
}

/// What can't be with several processes on a side.
fn check_fan(fan: Fan, sizes: &[usize], has_payload: bool) -> Result<(), String> {
    if fan.is_pair() {
        return Ok(());
    }
    if has_payload {
        return Err(
            "--payload sends the records of a file in their order, from one process to one; leave out --producers and --consumers"
                .to_owned(),
        );
    }
    match sizes.iter().find(|&&size| size < LEN_MIN) {
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
        profile: records.profile().clone(),
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

/// Those rows that carry a payload.
fn carrying(entries: Vec<Entry>) -> Result<Vec<Entry>, PlanError> {
    let entries: Vec<Entry> = entries
        .into_iter()
        .filter(|entry| entry.contender.has_content())
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
    fn a_link_holds_a_thousand_messages_within_sixteen_megabytes() {
        assert_eq!(capacity_for(0), 1024);
        assert_eq!(capacity_for(64), 1024);
        assert_eq!(capacity_for(64 << 10), 256);
        assert_eq!(capacity_for(16 << 20), 16);
    }
}
