//! A whole run: rounds of sessions, shuffled, with everything that went wrong kept.

use std::time::{Duration, Instant};

use super::progress::Progress;
use super::session::{Coordinator, Links, Outcome, PATIENCE, Trouble};
use crate::entry::Entry;
use crate::job::Task;
use crate::measure::crowd_check::LEN_MIN;
use crate::measure::integrity::Tally;
use crate::measure::pattern::Lengths;
use crate::results::{Quietness, Round, Row, Status};
use crate::scenario::{PayloadPlan, Plan};
use crate::transport::{LinkError, LinkShape, WaitMode};

/// Under the limit of the time for the whole run a figure is still the median of so many rounds.
const ROUNDS_MIN: u32 = 3;

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
        };
        let began = Instant::now();
        let mut random = fastrand::Rng::with_seed(plan.seed);
        for round in 1..=plan.rounds {
            if campaign.must_stop_before(round, plan, began) {
                break;
            }
            let mut order: Vec<usize> = (0..campaign.rows.len()).collect();
            random.shuffle(&mut order);
            for (done, &index) in order.iter().enumerate() {
                progress.show(round, done, &campaign.rows[index].entry);
                campaign.take_turn(plan, coordinator, round, index);
                if campaign.is_incomplete {
                    return campaign.concluded(plan);
                }
            }
            campaign.rounds_done = round;
        }
        campaign.concluded(plan)
    }

    /// Whether a further round wouldn't end in time.
    fn must_stop_before(&mut self, round: u32, plan: &Plan, began: Instant) -> bool {
        let (Some(limit), true) = (plan.time_limit, round > ROUNDS_MIN) else {
            return false;
        };
        let elapsed = began.elapsed();
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
        let mut result = measure(plan, coordinator, &entry, round);
        if let Err(Trouble::Failed(reason)) = &result {
            let name = entry.name();
            self.warnings.push(format!(
                "{name} failed in round {round} and was run again: {reason}"
            ));
            result = measure(plan, coordinator, &entry, round);
        }
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

    fn concluded(mut self, plan: &Plan) -> Self {
        let windows = || {
            self.rows.iter().flat_map(|row| {
                row.rounds
                    .iter()
                    .flat_map(Round::windows)
                    .map(|w| (row.entry.contender.wait, w))
            })
        };
        let involuntary_switches = windows().map(|(_, w)| w.usage.involuntary_switches).sum();
        // A sleeper queues for its core whenever it wakes up; only of a spinner does it tell of other work.
        let is_crowded = plan.placement.is_crowded(plan.fan);
        let (mut elapsed_ns, mut queued_ns) = (0, 0);
        for (_, window) in windows().filter(|(wait, _)| *wait == WaitMode::Spin) {
            if let Some(queued) = window.usage.queued_ns {
                elapsed_ns += window.elapsed_ns;
                queued_ns += queued;
            }
        }
        let share = 1.0 - queued_ns as f64 / elapsed_ns as f64;
        self.quietness = Quietness {
            windows_ns: windows().map(|(_, w)| w.elapsed_ns).sum(),
            involuntary_switches,
            // Processes that share a core never run together, whatever else there is.
            ran_together_share: (elapsed_ns > 0 && !is_crowded).then_some(share.max(0.0)),
            stolen_ns: self.stolen_ns,
        };
        self
    }
}

/// One turn of a row: the check, where it is due, and the windows.
fn measure(
    plan: &Plan,
    coordinator: &mut Coordinator,
    entry: &Entry,
    round: u32,
) -> Result<Gain, Trouble> {
    if let Some(payload) = &plan.payload {
        let outcome = send_payload(plan, payload, coordinator, entry)?;
        return Ok(gain(round, Tally::default(), &outcome));
    }
    if entry.stopped.is_some() && !entry.contender.mechanism.can_hold() {
        let reason = "no process can be told to stop in the middle of its messages, as one of a ring for many can";
        return Err(Trouble::Unavailable(reason.to_owned()));
    }
    let is_check_due = entry.contender.has_content() && (round == 1 || plan.verify);
    let checked = if is_check_due {
        check(plan, coordinator, entry)?
    } else {
        Tally::default()
    };
    let outcome = run_windows(plan, coordinator, entry)?;
    Ok(gain(round, checked, &outcome))
}

fn gain(round: u32, checked: Tally, outcome: &Outcome) -> Gain {
    let mut tally = checked;
    tally += outcome.tally;
    Gain {
        round: Round::of(round, &outcome.reports),
        tally,
        capacity: outcome.capacity,
        stolen_ns: outcome.stolen_ns,
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
    let messages = messages_to_wrap(lengths, links.capacity(), plan.verify);
    let task = Task::Integrity {
        lengths,
        messages,
        fault: plan.fault,
    };
    coordinator
        .run(&entry.contender, links, task, TIME_LIMIT, entry.stopped)
        .map(|outcome| outcome.tally)
}

/// So many messages that a link of that capacity wraps around at least two and a half times, in bytes.
fn messages_to_wrap(lengths: Lengths, capacity: usize, more: bool) -> u64 {
    const MESSAGES_MIN: u64 = 1_000;
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
) -> Result<Outcome, Trouble> {
    let figures = entry.figures();
    let links = Links::create(
        &entry.contender,
        &plan.shape(entry),
        figures.has_round_trip(),
    )?;
    let windows = plan.windows;
    let nanoseconds = |window: Duration| window.as_nanos() as u64;
    let task = Task::Measure {
        message_len: entry.size,
        stream_window_ns: figures.has_stream().then(|| nanoseconds(windows.stream)),
        round_trip_window_ns: figures
            .has_round_trip()
            .then(|| nanoseconds(windows.round_trip)),
    };
    let time_limit = 10 * PATIENCE + 20 * (windows.stream + windows.round_trip);
    coordinator.run(&entry.contender, links, task, time_limit, entry.stopped)
}

fn send_payload(
    plan: &Plan,
    payload: &PayloadPlan,
    coordinator: &mut Coordinator,
    entry: &Entry,
) -> Result<Outcome, Trouble> {
    let links = Links::create(&entry.contender, &plan.shape(entry), false)?;
    let task = Task::Payload {
        file: payload.file.clone(),
        frame: payload.frame,
    };
    // At least 1 MB/s and 10,000 messages/s.
    let profile = &payload.profile;
    let time = Duration::from_micros(profile.bytes + 100 * profile.records);
    coordinator.run(&entry.contender, links, task, 10 * PATIENCE + time, None)
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
    fn verify_checks_ten_times_as_much() {
        let lengths = Lengths::Fixed(64);
        let (normal, more) = (
            messages_to_wrap(lengths, 1024, false),
            messages_to_wrap(lengths, 1024, true),
        );
        assert_eq!(more, 10 * normal);
    }
}
