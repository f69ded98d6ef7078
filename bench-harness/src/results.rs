//! What was measured, round by round, before any figure is made of it.

use serde::Serialize;

use crate::entry::Entry;
use crate::job::{RunKind, RunReport, SideReport};
use crate::measure::integrity::Tally;
use crate::measure::latency::Latency;
use crate::measure::usage::Usage;

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It was measured.
    Ok,
    /// It can't be had on this machine.
    Unavailable,
    /// It went wrong.
    Failed,
    /// It was interrupted before its first round ended.
    #[serde(rename = "failed")]
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

    /// Whether a further round makes sense.
    pub fn is_alive(&self) -> bool {
        matches!(self.status, Status::Ok | Status::Unmeasured)
    }
}

/// One round of a row.
#[derive(Debug, Clone, Copy, Default)]
pub struct Round {
    /// Its number, from 1.
    pub number: u32,
    /// The stream with the receiver drained at full speed; of a payload, the only one.
    pub drained: Option<Window>,
    /// The stream with a receiver that works a little.
    pub working: Option<Window>,
    /// The round trip.
    pub exchanges: Option<Window>,
}

/// One window of all processes.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Messages; in a round trip, exchanges.
    pub count: u64,
    /// From the first send to the last verified message.
    pub elapsed_ns: u64,
    /// What it cost all of them together.
    pub usage: Usage,
    /// The times of the exchanges.
    pub latency: Option<Latency>,
}

impl Window {
    /// Time for one message or one exchange.
    pub fn ns_each(&self) -> f64 {
        self.elapsed_ns as f64 / self.count.max(1) as f64
    }

    /// The window of the leader, with what it cost the others as well.
    fn of<'a>(leader: &RunReport, others: impl Iterator<Item = &'a RunReport>) -> Self {
        let mut usage = leader.usage;
        others.for_each(|other| usage += other.usage);
        Self {
            count: leader.messages,
            elapsed_ns: leader.elapsed_ns,
            usage,
            latency: leader.latency,
        }
    }
}

impl Round {
    /// The windows of a session, given what its processes say, the leader first.
    pub fn of(number: u32, reports: &[SideReport]) -> Self {
        let mut round = Self {
            number,
            ..Self::default()
        };
        let Some((leader, others)) = reports.split_first() else {
            return round;
        };
        for (index, run) in leader.runs.iter().enumerate() {
            if !run.is_final {
                continue;
            }
            let of_others = others.iter().filter_map(|other| other.runs.get(index));
            let window = Some(Window::of(run, of_others));
            match run.kind {
                RunKind::Drained | RunKind::Payload => round.drained = window,
                RunKind::Working => round.working = window,
                RunKind::RoundTrip => round.exchanges = window,
                RunKind::Integrity => {}
            }
        }
        round
    }

    /// All its windows.
    pub fn windows(&self) -> impl Iterator<Item = &Window> {
        [&self.drained, &self.working, &self.exchanges]
            .into_iter()
            .flatten()
    }
}

/// How quiet the measured cores were.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Quietness {
    /// How long all windows together lasted.
    pub windows_ns: u64,
    /// How often a side was taken off its core inside a window.
    pub involuntary_switches: u64,
    /// The share of the spinning windows during which both sides ran at least: none if there was no such window.
    pub ran_together_share: Option<f64>,
    /// Time that a hypervisor took from the two cores during the sessions, to the hundredth of a second.
    pub stolen_ns: u64,
}
