//! A whole run: rounds of sessions, shuffled, with everything that went wrong kept.

use std::time::{Duration, Instant};

use super::progress::Progress;
use super::session::{Coordinator, Links, Outcome, PATIENCE, Session, Trouble};
use crate::budget::ROUNDS_MIN;
use crate::entry::Entry;
use crate::external::RecordsFile;
use crate::job::{Plants, Task};
use crate::measure::crowd_check::LEN_MIN;
use crate::measure::integrity::Tally;
use crate::measure::pattern::Lengths;
use crate::report::numbers::figure;
use crate::results::{Quietness, Round, Row, Status};
use crate::scenario::Plan;
use crate::transport::{LinkError, LinkShape, WaitMode, limits};

/// Repetitions may take so much of the time of the whole run.
const REPEATED_SHARE_MAX: f64 = 0.15;

/// All that was measured.
#[derive(Debug)]
pub struct Campaign {
    /// Its rows, in the order of the plan.
    pub rows: Vec<Row>,
    /// What the reader ought to know.
    pub warnings: Vec<String>,
    /// How many rounds came to their end.
    pub rounds_done: u32,
    /// Whether the user interrupted it.
    pub is_incomplete: bool,
    /// How quiet the cores were.
    pub quietness: Quietness,
    stolen_ns: u64,
    began: Instant,
    repeating: Duration,
    /// The contenders whose content was checked before their first window.
    checked: Vec<Entry>,
    /// The records, for programs of the user's.
    records: Option<RecordsFile>,
}

/// What a row gained in a round.
struct Gain {
    round: Round,
    tally: Tally,
    capacity: usize,
    stolen_ns: u64,
}

impl Campaign {
    /// Runs the plan.
    pub fn run(plan: &Plan, coordinator: &mut Coordinator, progress: &Progress) -> Self {
        let mut campaign = Self {
            rows: plan.entries.iter().map(|&entry| Row::new(entry)).collect(),
            warnings: Vec::new(),
            rounds_done: 0,
            is_incomplete: false,
            quietness: Quietness::default(),
            stolen_ns: 0,
            began: Instant::now(),
            repeating: Duration::ZERO,
            checked: Vec::new(),
            records: None,
        };
        let mut random = fastrand::Rng::with_seed(plan.seed);
        for round in 1..=plan.rounds {
            if campaign.must_stop_before(round, plan) {
                break;
            }
            let mut order: Vec<usize> = (0..campaign.rows.len()).collect();
            random.shuffle(&mut order);
            if round == 1 {
                // Low rates first: of a contender that can't keep one, higher ones aren't even tried.
                order.sort_by_key(|&index| campaign.rows[index].rate());
            }
            for (done, &index) in order.iter().enumerate() {
                progress.show(round, done, &campaign.rows[index].entry);
                campaign.take_turn(plan, coordinator, round, index);
                if campaign.is_incomplete {
                    return campaign.concluded(plan);
                }
                campaign.give_up_beyond(index);
            }
            campaign.rounds_done = round;
        }
        campaign.concluded(plan)
    }

    /// Whether a further round wouldn't end in time.
    fn must_stop_before(&mut self, round: u32, plan: &Plan) -> bool {
        let (Some(limit), true) = (plan.time_limit, round > ROUNDS_MIN) else {
            return false;
        };
        let elapsed = self.began.elapsed();
        if elapsed + elapsed / (round - 1) <= limit {
            return false;
        }
        self.warnings.push(format!(
            "the machine is slower than planned: {} of {} rounds were measured, to end in time",
            round - 1,
            plan.rounds
        ));
        true
    }

    fn take_turn(&mut self, plan: &Plan, coordinator: &mut Coordinator, round: u32, index: usize) {
        if !self.rows[index].is_alive() {
            return;
        }
        let entry = self.rows[index].entry;
        let mut result = self.measure(plan, coordinator, &entry, round);
        if let Err(Trouble::Failed(reason)) = &result {
            let name = entry.name();
            self.warnings.push(format!(
                "{name} failed in round {round} and was run again: {reason}"
            ));
            result = self.measure(plan, coordinator, &entry, round);
        }
        let is_disturbed = matches!(&result, Ok(gain) if gain.round.disturbance.is_some());
        self.take_in(index, result);
        if is_disturbed {
            self.quietness.disturbed_sessions += 1;
            self.repeat(plan, coordinator, round, index);
        }
    }

    /// A session that was disturbed is run once more, while there is time. Both stay: whoever leaves out what looks bad finds
    /// what he looks for.
    fn repeat(&mut self, plan: &Plan, coordinator: &mut Coordinator, round: u32, index: usize) {
        let limit = plan.time_limit.unwrap_or(Duration::MAX);
        if self.repeating > limit.mul_f64(REPEATED_SHARE_MAX) {
            return;
        }
        let entry = self.rows[index].entry;
        let began = Instant::now();
        let result = self.measure(plan, coordinator, &entry, round);
        self.repeating += began.elapsed();
        if result.is_ok() {
            self.quietness.repeated_sessions += 1;
        }
        self.take_in(index, result);
    }

    fn take_in(&mut self, index: usize, result: Result<Gain, Trouble>) {
        let row = &mut self.rows[index];
        match result {
            Ok(gain) => {
                row.status = Status::Ok;
                row.capacity = Some(gain.capacity);
                row.tally += gain.tally;
                row.rounds.push(gain.round);
                self.stolen_ns += gain.stolen_ns;
            }
            Err(Trouble::Unavailable(reason)) => row.give_up(Status::Unavailable, reason),
            Err(Trouble::Failed(reason)) => row.give_up(Status::Failed, reason),
            Err(Trouble::Integrity(tally)) => {
                row.tally += tally;
                row.give_up(Status::Failed, tally.describe());
            }
            Err(Trouble::Interrupted) => self.is_incomplete = true,
        }
    }

    /// A contender that falls far behind a rate isn't asked to keep a higher one.
    fn give_up_beyond(&mut self, index: usize) {
        let row = &self.rows[index];
        let (true, Some(least), entry) = (row.is_far_behind(), row.rate(), row.entry) else {
            return;
        };
        for row in &mut self.rows {
            let is_same = row.entry.name() == entry.name() && row.entry.has_same_links(&entry);
            if is_same && row.rate() > Some(least) && row.is_alive() {
                let reason = format!("it is saturated at {least} messages a second already");
                row.give_up(Status::Saturated, reason);
            }
        }
    }

    fn concluded(mut self, plan: &Plan) -> Self {
        for row in &mut self.rows {
            // Where more than that was measured, only the latencies at this rate are missing.
            let wanted = row.entry.wanted;
            let is_paced_alone = !wanted.stream && !wanted.round_trip;
            if row.status == Status::Ok && row.is_saturated() && is_paced_alone {
                row.status = Status::Saturated;
                row.reason = Some(told_behind(row.share_behind().unwrap_or_default()));
            }
        }
        let windows = || {
            self.rows.iter().flat_map(|row| {
                row.rounds
                    .iter()
                    .flat_map(Round::windows)
                    .map(|w| (row.entry.contender.wait, w))
            })
        };
        // A sleeper queues for its core whenever it wakes up; only of a spinner does it tell of other work.
        let is_crowded = plan.entries.iter().any(|entry| plan.is_crowded(entry));
        let (mut elapsed_ns, mut queued_ns) = (0, 0);
        for (_, window) in windows().filter(|(wait, _)| *wait == WaitMode::Spin) {
            if let Some(queued) = window.usage().queued_ns {
                elapsed_ns += window.elapsed_ns;
                queued_ns += queued;
            }
        }
        let share = 1.0 - queued_ns as f64 / elapsed_ns as f64;
        self.quietness = Quietness {
            windows_ns: windows().map(|(_, w)| w.elapsed_ns).sum(),
            involuntary_switches: windows().map(|(_, w)| w.usage().involuntary_switches).sum(),
            // Processes that share a core never run together, whatever else there is.
            ran_together_share: (elapsed_ns > 0 && !is_crowded).then_some(share.max(0.0)),
            stolen_ns: self.stolen_ns,
            ..self.quietness
        };
        self
    }

    /// Each contender is checked before its first window, or before all of its sessions if more is to be verified.
    fn is_check_due(&self, plan: &Plan, entry: &Entry, round: u32) -> bool {
        let is_like = |known: &Entry| {
            let circumstances = |entry: &Entry| (entry.cores, entry.stopped);
            known.has_same_links(entry) && circumstances(known) == circumstances(entry)
        };
        let is_known = || self.checked.iter().any(is_like);
        entry.contender.has_content() && (plan.verify || round == 1 && !is_known())
    }

    /// Where a program of the user's finds the records. They are written when the first one needs them.
    fn records_for(&mut self, plan: &Plan, entry: &Entry) -> Result<Option<String>, Trouble> {
        let (Some(payload), Some(_)) = (&plan.payload, entry.contender.mechanism.external()) else {
            return Ok(None);
        };
        let file = if let Some(file) = self.records.take() {
            file
        } else {
            let len = RecordsFile::len_of(&payload.profile);
            limits::file_too_long(len).map_or(Ok(()), Err)?;
            RecordsFile::create(&payload.source()).map_err(Trouble::Failed)?
        };
        let path = self.records.insert(file).path();
        path.map(Some).map_err(Trouble::Failed)
    }

    /// One turn of a row: the check, where it is due, and the windows.
    fn measure(
        &mut self,
        plan: &Plan,
        coordinator: &mut Coordinator,
        entry: &Entry,
        round: u32,
    ) -> Result<Gain, Trouble> {
        if entry.stopped.is_some() && !entry.contender.mechanism.can_hold() {
            let reason = "no process can be told to stop in the middle of its messages, as one of a ring for many can";
            return Err(Trouble::Unavailable(reason.to_owned()));
        }
        let records = self.records_for(plan, entry)?;
        let began_ns = self.began.elapsed().as_nanos() as u64;
        let checked = if self.is_check_due(plan, entry, round) {
            let tally = check(plan, coordinator, entry)?;
            self.checked.push(*entry);
            tally
        } else {
            Tally::default()
        };
        let outcome = run_windows(plan, coordinator, entry, round, records)
            .map_err(|trouble| look_closer(trouble, plan, coordinator, entry))?;
        let mut tally = checked;
        tally += outcome.tally;
        let producers = entry.fan.producers as usize;
        let is_crowded = plan.is_crowded(entry);
        let mut result = Round::of(round, producers, &outcome.reports, is_crowded);
        result.began_ns = began_ns;
        if outcome.stolen_ns > 0 {
            let stolen_ms = outcome.stolen_ns / 1_000_000;
            result.disturbance = Some(format!("the hypervisor took {stolen_ms} ms"));
        }
        Ok(Gain {
            round: result,
            tally,
            capacity: outcome.capacity,
            stolen_ns: outcome.stolen_ns,
        })
    }
}

/// By how much a contender missed the rate.
fn told_behind(share: f64) -> String {
    let behind = if share > 1.0 {
        let times = figure(Some(1.0 + share));
        format!("its messages took {times} times as long as planned")
    } else {
        format!("it fell {:.1} % behind the rate", 100.0 * share)
    };
    format!("{behind}; at most 1 % makes latencies worth telling")
}

/// Of a program's windows only a checksum over all messages is known. If that was wrong, the check is made again, which may tell what goes wrong.
fn look_closer(
    trouble: Trouble,
    plan: &Plan,
    coordinator: &mut Coordinator,
    entry: &Entry,
) -> Trouble {
    let is_vague = entry.contender.mechanism.external().is_some() && plan.payload.is_none();
    match trouble {
        Trouble::Integrity(tally) if is_vague => match check(plan, coordinator, entry) {
            Err(closer @ (Trouble::Integrity(_) | Trouble::Interrupted)) => closer,
            _ => Trouble::Integrity(tally),
        },
        trouble => trouble,
    }
}

/// The full-content pass across the wrap-around, with varied lengths where the contender can.
fn check(plan: &Plan, coordinator: &mut Coordinator, entry: &Entry) -> Result<Tally, Trouble> {
    const TIME_LIMIT: Duration = Duration::from_secs(60);
    let shape = plan.shape(entry);
    let varied = LinkShape {
        variable_len: true,
        ..shape
    };
    let (links, lengths) = match Links::create(&entry.contender, &varied, false) {
        Ok(links) => (
            links,
            Lengths::Varied {
                // Of several producers each message has room for its number.
                min: if entry.fan.is_pair() { 1 } else { LEN_MIN },
                max: entry.size,
                seed: plan.seed,
            },
        ),
        Err(LinkError::Unavailable(_)) => (
            Links::create(&entry.contender, &shape, false)?,
            Lengths::Fixed(entry.size),
        ),
        Err(error) => return Err(error.into()),
    };
    // Records may be so long that many of them take their time.
    let at_least = if plan.payload.is_some() {
        MESSAGES_MIN
    } else {
        4 * MESSAGES_MIN
    };
    let to_wrap = messages_to_wrap(lengths, links.capacity(), plan.verify);
    let messages = to_wrap.max(at_least);
    let task = Task::Integrity {
        lengths,
        messages,
        fault: plan.fault,
    };
    let session = Session {
        contender: entry.contender,
        links,
        task,
        time_limit: TIME_LIMIT,
        stopped: entry.stopped,
        cores: entry.cores,
        plants: Plants::default(),
        records: None,
    };
    coordinator.run(session).map(|outcome| outcome.tally)
}

/// With fewer, lengths that are drawn may fall far short of their mean.
const MESSAGES_MIN: u64 = 250;

/// So many messages that a link of that capacity wraps around at least two and a half times, in bytes.
fn messages_to_wrap(lengths: Lengths, capacity: usize, more: bool) -> u64 {
    let laps_in_halves = if more { 50 } else { 5 };
    let goal = capacity as u64 * lengths.max() as u64 * laps_in_halves / 2;
    let mean = match lengths {
        Lengths::Fixed(len) => len as u64,
        // An eighth are the longest, an eighth the shortest, the rest lie evenly between. Rounded down.
        Lengths::Varied { max, .. } => (max as u64 / 2).max(1),
    };
    // A tenth more, since lengths that are drawn may fall short of their mean.
    (goal.div_ceil(mean.max(1)) * 11 / 10).max(MESSAGES_MIN)
}

fn run_windows(
    plan: &Plan,
    coordinator: &mut Coordinator,
    entry: &Entry,
    round: u32,
    records_path: Option<String>,
) -> Result<Outcome, Trouble> {
    let wanted = entry.wanted;
    let links = Links::create(&entry.contender, &plan.shape(entry), wanted.round_trip)?;
    let probes = plan.probes(entry, round);
    let probes = match links.terms() {
        None => probes,
        Some(terms) => terms
            .fitting(probes, plan.payload.is_some())
            .map_err(Trouble::Unavailable)?,
    };
    let longest = wanted
        .paced
        .map_or(plan.window, |pace| plan.paced_window(pace));
    let records = plan.payload.as_ref().map(|p| p.profile.expected_ns());
    let session = Session {
        contender: entry.contender,
        links,
        task: Task::Measure {
            source: plan.source(entry, round),
            probes,
        },
        time_limit: 10 * PATIENCE + 40 * longest + 4 * Duration::from_nanos(records.unwrap_or(0)),
        stopped: entry.stopped,
        cores: entry.cores,
        plants: plan.plants,
        records: records_path,
    };
    coordinator.run(session)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(lengths: Lengths, capacity: usize) -> u64 {
        (0..messages_to_wrap(lengths, capacity, false))
            .map(|s| lengths.of(s) as u64)
            .sum()
    }

    #[test]
    fn the_check_wraps_around_at_least_twice_and_a_half() {
        for max in [1, 2, 8, 64, 1024] {
            for capacity in [10, 1024] {
                let varied = |min| Lengths::Varied { min, max, seed: 3 };
                for lengths in [Lengths::Fixed(max), varied(1), varied(max.min(8))] {
                    let goal = (capacity * max) as u64 * 5 / 2;
                    assert!(bytes(lengths, capacity) >= goal, "{lengths:?}, {capacity}");
                }
            }
        }
    }

    #[test]
    fn far_behind_is_told_in_times() {
        assert!(told_behind(0.4).starts_with("it fell 40.0 % behind the rate; at most 1 %"));
        let far = told_behind(133.418);
        assert!(
            far.starts_with("its messages took 134 times as long"),
            "{far}"
        );
    }

    #[test]
    fn verify_checks_ten_times_as_much() {
        let lengths = Lengths::Fixed(64);
        let (normal, more) = (
            messages_to_wrap(lengths, 1024, false),
            messages_to_wrap(lengths, 1024, true),
        );
        assert_eq!(more, 10 * normal);
    }
}
