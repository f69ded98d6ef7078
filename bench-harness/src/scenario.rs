//! The plan of a run, with everything resolved and checked before anything starts.

use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use globset::{Glob, GlobMatcher};

use crate::budget::Budget;
use crate::cli::CommonArgs;
use crate::design::{Design, Material};
use crate::entry::Entry;
use crate::fan::Fan;
use crate::job::{Fault, Plants, Probe, Source};
use crate::machine::{allowed_cores, siblings};
use crate::measure::crowd_check::LEN_MIN;
use crate::measure::ledger::messages_max;
use crate::measure::schedule::{Arrivals, Pace};
use crate::payload::{FileCopy, Origin, Profile, Records};
use crate::placement::Placement;
use crate::transport::registry::{ABSENT, Contender, contenders};
use crate::transport::{LinkShape, WaitMode};
use crate::workload::{Rhythm, Table};

/// The messages that a link holds where the mechanism lets one choose.
const CAPACITY: usize = 1024;
/// The bytes that a link holds at most, whatever the messages are.
const CAPACITY_BYTES_MAX: usize = 16 << 20;
/// The fewest messages that a link holds.
const CAPACITY_MIN: usize = 16;

/// Records that are the messages.
#[derive(Debug, Clone)]
pub struct PayloadPlan {
    /// Where they come from.
    pub origin: Origin,
    /// The copy of the file, if they come from one.
    pub copy: Option<Arc<FileCopy>>,
    /// What they are like.
    pub profile: Profile,
    /// How often one of a workload is due at its own pace.
    pub rhythm: Option<Rhythm>,
    /// The checksum of a workload: see [`crate::workload::Table::checksum`].
    pub checksum: Option<u32>,
}

impl PayloadPlan {
    /// Where all processes find the very records that are described here, whatever becomes of the file.
    pub fn source(&self) -> Origin {
        match (&self.origin, &self.copy) {
            (Origin::File { frame, .. }, Some(copy)) => Origin::Copy {
                fd: copy.as_raw_fd(),
                frame: *frame,
            },
            _ => self.origin.clone(),
        }
    }
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
    /// How its time is shared out.
    pub budget: Budget,
    /// After so long no further round is begun, where the user left the times to us; and nothing is repeated.
    pub time_limit: Option<Duration>,
    /// Whether to check more, in every round.
    pub verify: bool,
    /// A fault to commit.
    pub fault: Option<Fault>,
    /// What else goes wrong on purpose.
    pub plants: Plants,
    /// Records instead of made-up messages.
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
        let payload = origin(args).map(plan_payload).transpose()?;
        check_records(&design, args).map_err(PlanError::Usage)?;
        let sizes = match &payload {
            None if args.size.is_empty() => design.default_sizes().to_vec(),
            None => distinct(&args.size),
            Some(payload) => vec![payload.profile.len_max],
        };
        for fan in design.fans() {
            check_fan(fan, &sizes, payload.as_ref()).map_err(PlanError::Usage)?;
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
        let rounds = args.rounds.unwrap_or_else(|| budget.rounds(&entries));
        let window = args
            .duration
            .unwrap_or_else(|| budget.window(&entries, rounds));
        let is_ours = args.duration.is_none() && args.rounds.is_none();
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
            budget,
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

    /// What the messages of that entry are. Of records each round begins with others, the same for all contenders.
    pub fn source(&self, entry: &Entry, round: u32) -> Source {
        match &self.payload {
            None => Source::Pattern { len: entry.size },
            Some(payload) => Source::Records {
                origin: payload.source(),
                first: fastrand::Rng::with_seed(self.seed.wrapping_add(u64::from(round)))
                    .u64(..payload.profile.records),
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
        self.budget.paced_window(self.window, pace)
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
fn check_fan(fan: Fan, sizes: &[usize], payload: Option<&PayloadPlan>) -> Result<(), String> {
    if fan.is_pair() {
        return Ok(());
    }
    if let Some(payload) = payload {
        let (records, most) = (payload.profile.records, messages_max(fan));
        if records <= most {
            return Ok(());
        }
        return Err(format!(
            "the payload has {records} records, and with {} consumers each message of at most {most} is accounted for; choose a longer \
             --frame, or one producer and one consumer",
            fan.consumers
        ));
    }
    match sizes.iter().find(|&&size| size < LEN_MIN) {
        Some(size) => Err(format!(
            "--size {size} has no room for the number of the producer, which takes {LEN_MIN} bytes; choose a larger size, or one \
             producer and one consumer"
        )),
        None => Ok(()),
    }
}

/// What can't be with records, or without them.
fn check_records(design: &Design, args: &CommonArgs) -> Result<(), String> {
    let has_records = args.payload.is_some() || args.workload.is_some();
    if has_records && matches!(design, Design::Sweep) {
        return Err(
            "`sweep` makes up messages of several sizes, and records have lengths of their own; measure them with `run` or `stream`"
                .to_owned(),
        );
    }
    let are_recorded = |pace: &Pace| pace.arrivals == Arrivals::Recorded;
    if args.workload.is_none() && design.paces().iter().any(are_recorded) {
        return Err(
            "--arrivals recorded takes the moments of a workload, and there is none; name one with --workload, or choose constant or poisson"
                .to_owned(),
        );
    }
    Ok(())
}

/// Where records come from, if the messages are some.
fn origin(args: &CommonArgs) -> Option<Origin> {
    let file = args.payload.clone().zip(args.frame);
    let file = file.map(|(file, frame)| Origin::File { file, frame });
    file.or_else(|| args.workload.map(Origin::Workload))
}

fn plan_payload(origin: Origin) -> Result<PayloadPlan, PlanError> {
    let (mut copy, mut table) = (None, None);
    let records = match &origin {
        Origin::File { file, frame } => FileCopy::create(file).and_then(|made| {
            let records = Records::of_copy(&made, file, *frame);
            copy = Some(Arc::new(made));
            records
        }),
        Origin::Workload(workload) => Records::of_table(table.insert(workload.table())),
        Origin::Copy { .. } => Records::load(&origin),
    };
    let records = records.map_err(PlanError::Input)?;
    Ok(PayloadPlan {
        profile: records.profile().clone(),
        rhythm: table.as_ref().map(|table| table.timetable.rhythm()),
        checksum: table.as_ref().map(Table::checksum),
        origin,
        copy,
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
        if let Some(name) = ABSENT.iter().find(|name| pattern.means(name)) {
            return Err(PlanError::Usage(format!(
                "{option} '{}' asks for {name}, which only a build with more in it has: cargo run --release -p bench-harness --features peers",
                pattern.text
            )));
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

    /// Whether a contender of that name, in whichever way it waits, is what the user has in mind.
    fn means(&self, name: &str) -> bool {
        let waits = [WaitMode::Spin, WaitMode::SpinPark, WaitMode::Park];
        let mut full_names = waits.iter().map(|wait| format!("{name}/{wait}"));
        self.matcher.is_match(name) || full_names.any(|name| self.matcher.is_match(name))
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
        .map(|entry| Entry {
            // Of several processes each record stands behind the number of its message.
            size: entry.size + if entry.fan.is_pair() { 0 } else { LEN_MIN },
            ..entry
        })
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
