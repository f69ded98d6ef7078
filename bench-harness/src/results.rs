//! What was measured, round by round, before any figure is made of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::entry::Entry;
use crate::job::{Lateness, RunKind, RunReport, SideReport};
use crate::measure::integrity::Tally;
use crate::measure::latency::Distribution;
use crate::measure::usage::Usage;

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It was measured.
    Ok,
    /// It can't be had on this machine.
    Unavailable,
    /// It went wrong.
    Failed,
    /// It can't keep the rate that was asked for.
    Saturated,
    /// It was interrupted before its first round ended. In the report this has failed.
    #[serde(skip)]
    Unmeasured,
}

/// A contender at a size, over all rounds.
#[derive(Debug, Clone)]
pub struct Row {
    /// Which.
    pub entry: Entry,
    /// What became of it.
    pub status: Status,
    /// Why, if it isn't `Ok`.
    pub reason: Option<String>,
    /// How many messages a link really held.
    pub capacity: Option<usize>,
    /// What became of all its messages, in and out of the windows.
    pub tally: Tally,
    /// Its rounds.
    pub rounds: Vec<Round>,
}

impl Row {
    /// Before the first round.
    pub fn new(entry: Entry) -> Self {
        Self {
            entry,
            status: Status::Unmeasured,
            reason: None,
            capacity: None,
            tally: Tally::default(),
            rounds: Vec::new(),
        }
    }

    /// No figure is told of a row that went wrong, whatever it had before.
    pub fn give_up(&mut self, status: Status, reason: String) {
        self.status = status;
        self.reason = Some(reason);
        self.rounds.clear();
    }

    /// By how much of the planned time its paced windows fell behind, all together: none if it has none.
    pub fn share_behind(&self) -> Option<f64> {
        let all = || {
            let windows = self.rounds.iter().filter_map(|round| round.paced.as_ref());
            windows.filter_map(|window| window.lateness)
        };
        let planned_ns: u64 = all().map(|lateness| lateness.planned_ns).sum();
        let late_ns: u64 = all().map(|lateness| lateness.late_ns).sum();
        (planned_ns > 0).then(|| late_ns as f64 / planned_ns as f64)
    }

    /// Whether it missed the rate that was asked for by more than a hundredth.
    pub fn is_saturated(&self) -> bool {
        const SHARE_MAX: f64 = 0.01;
        self.share_behind().is_some_and(|share| share > SHARE_MAX)
    }

    /// Whether a further round makes sense.
    pub fn is_alive(&self) -> bool {
        matches!(self.status, Status::Ok | Status::Unmeasured)
    }
}

/// One session of a row: a round, or its repetition.
#[derive(Debug, Clone, Default)]
pub struct Round {
    /// The number of the round, from 1.
    pub number: u32,
    /// When it began, from the beginning of the campaign.
    pub began_ns: u64,
    /// The stream with the receiver drained at full speed.
    pub drained: Option<Window>,
    /// The stream with a receiver that works a little.
    pub working: Option<Window>,
    /// The round trip.
    pub exchanges: Option<Window>,
    /// The way there, by the clock.
    pub paced: Option<Window>,
    /// What disturbed it, in a few words.
    pub disturbance: Option<String>,
}

/// One window of all processes.
#[derive(Debug, Clone, Default)]
pub struct Window {
    /// Messages; in a round trip, exchanges.
    pub count: u64,
    /// From the first send to the last verified message.
    pub elapsed_ns: u64,
    /// What it cost those who sent, or who began the exchanges.
    pub sender: Usage,
    /// What it cost those who received, or who answered.
    pub receiver: Usage,
    /// The times of the exchanges, or of the way there.
    pub times: Option<Distribution>,
    /// How far it fell behind, if it had a rate to keep.
    pub lateness: Option<Lateness>,
}

impl Window {
    /// Time for one message or one exchange.
    pub fn ns_each(&self) -> f64 {
        self.elapsed_ns as f64 / self.count.max(1) as f64
    }

    /// What it cost all processes together.
    pub fn usage(&self) -> Usage {
        let mut usage = self.sender;
        usage += self.receiver;
        usage
    }

    /// The window of the leader, with what it cost the others as well. The first ones send.
    fn of(producers: usize, runs: &[&RunReport]) -> Self {
        let sum = |runs: &[&RunReport]| {
            let mut parts = runs.iter().map(|run| run.usage);
            let mut sum = parts.next().unwrap_or_default();
            parts.for_each(|part| sum += part);
            sum
        };
        let (senders, receivers) = runs.split_at(producers.min(runs.len()));
        Self {
            count: runs.first().map_or(0, |leader| leader.messages),
            elapsed_ns: runs.first().map_or(0, |leader| leader.elapsed_ns),
            sender: sum(senders),
            receiver: sum(receivers),
            times: runs.iter().find_map(|run| run.times.clone()),
            lateness: runs.iter().find_map(|run| run.lateness),
        }
    }

    /// What took the cores away from it meanwhile, if it was more than a hundredth of its time.
    fn disturbance(&self) -> Option<String> {
        const SHARE_MAX: f64 = 0.01;
        let of_side = |who: &str, usage: &Usage| {
            let switches = usage.involuntary_switches;
            let share = usage
                .queued_ns
                .map(|ns| ns as f64 / self.elapsed_ns.max(1) as f64);
            // A process that was never taken off its core may still have waited for it: after each sleep.
            let is_disturbed = switches > 0 && share.is_none_or(|share| share > SHARE_MAX);
            is_disturbed.then(|| {
                let share = share.map_or_else(String::new, |share| {
                    format!(" and waited {:.1} % of the time", 100.0 * share)
                });
                format!("the {who} was taken off its core {switches} times{share}")
            })
        };
        of_side("sender", &self.sender).or_else(|| of_side("receiver", &self.receiver))
    }
}

impl Round {
    /// The windows of a session, given what its processes say, those who send first. Processes that share cores take them from each other:
    /// that is no disturbance.
    pub fn of(number: u32, producers: usize, reports: &[SideReport], is_crowded: bool) -> Self {
        let mut round = Self {
            number,
            ..Self::default()
        };
        let Some(leader) = reports.first() else {
            return round;
        };
        for (index, run) in leader.runs.iter().enumerate() {
            if !run.is_final {
                continue;
            }
            let runs: Vec<&RunReport> = reports
                .iter()
                .filter_map(|report| report.runs.get(index))
                .collect();
            let window = Some(Window::of(producers, &runs));
            match run.kind {
                RunKind::Drained => round.drained = window,
                RunKind::Working => round.working = window,
                RunKind::RoundTrip => round.exchanges = window,
                RunKind::Paced => round.paced = window,
                RunKind::Integrity => {}
            }
        }
        if !is_crowded {
            let disturbance = round.windows().find_map(Window::disturbance);
            round.disturbance = disturbance;
        }
        round
    }

    /// All its windows.
    pub fn windows(&self) -> impl Iterator<Item = &Window> {
        [&self.drained, &self.working, &self.exchanges, &self.paced]
            .into_iter()
            .flatten()
    }
}

/// How quiet the measured cores were.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
pub struct Quietness {
    /// How long all windows together lasted.
    pub windows_ns: u64,
    /// How often a side was taken off its core inside a window.
    pub involuntary_switches: u64,
    /// The share of the spinning windows during which both sides ran at least: none if there was no such window.
    pub ran_together_share: Option<f64>,
    /// Time that a hypervisor took from the two cores during the sessions, to the hundredth of a second.
    pub stolen_ns: u64,
    /// Sessions in which the measured processes lost their cores to somebody else.
    pub disturbed_sessions: u32,
    /// Those of them that were run once more. Both count.
    pub repeated_sessions: u32,
}
