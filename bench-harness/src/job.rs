//! What the coordinator tells a measured process, and what it hears back: both as one line of JSON. A process has one job; only where both ends of a
//! link have to be in one process it has a job for each, and does them on threads of their own.

use std::os::fd::RawFd;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::external::Spec;
use crate::fan::{Fan, Seat, Stopped};
use crate::measure::integrity::{Arrived, Ending, Tally};
use crate::measure::latency::Distribution;
use crate::measure::pattern::Lengths;
use crate::measure::schedule::Pace;
use crate::measure::usage::Usage;
use crate::payload::Origin;
use crate::transport::Ticket;

/// The work of one measured process, or of one thread of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// The contender's full name, as in `ring-spsc/spin`.
    pub contender: String,
    /// The program of the user's behind that name; none if it is in the table.
    #[serde(default)]
    pub external: Option<Spec>,
    /// Where that program finds the records that are sent.
    #[serde(default)]
    pub records: Option<String>,
    /// Which of the processes this is.
    pub seat: Seat,
    /// Whether it is a thread beside the others, in one process with them.
    #[serde(default)]
    pub is_thread: bool,
    /// How many there are on each side.
    pub fan: Fan,
    /// The core to stay on.
    pub cpu: usize,
    /// Whether some of the processes share a core.
    pub is_crowded: bool,
    /// The process whose death ends this one.
    pub coordinator_pid: i32,
    /// The page of [`crate::shared::SharedPage`].
    pub page_fd: RawFd,
    /// Where a receiver that is one of several writes down what it took: see [`crate::measure::ledger`].
    pub ledger_fd: Option<RawFd>,
    /// The link from left to right.
    pub forward: Ticket,
    /// The link from right to left.
    pub back: Option<Ticket>,
    /// How long a call may block beyond what a window needs.
    pub patience_ns: u64,
    /// What goes wrong on purpose.
    pub plants: Plants,
    /// What to do.
    pub task: Task,
}

/// What goes wrong on purpose, to see that the figures show it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plants {
    /// Each send takes so much longer, in nanoseconds.
    pub delay_ns: u64,
    /// Once in each window the receiver does nothing for so long, in nanoseconds.
    pub stall_ns: u64,
    /// So long after the beginning of the window.
    pub stall_after_ns: u64,
}

impl Plants {
    /// Whether everything is as it should be.
    pub fn is_none(&self) -> bool {
        self.delay_ns == 0 && self.stall_ns == 0
    }
}

/// What to do with the links.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Send a given number of messages, and check them.
    Integrity {
        /// How long they are.
        lengths: Lengths,
        /// How many.
        messages: u64,
        /// A fault to plant, to see that it is noticed.
        fault: Option<Fault>,
    },
    /// Measure.
    Measure {
        /// What the messages are.
        source: Source,
        /// What is measured, in this order.
        probes: Vec<Probe>,
    },
    /// Get into the middle of a message and stop there. Whoever does this is no part of the fan.
    Hold {
        /// In the middle of what.
        who: Stopped,
    },
}

impl Task {
    fn probes(&self) -> &[Probe] {
        match self {
            Self::Measure { probes, .. } => probes,
            _ => &[],
        }
    }

    /// The descriptor of the records, if they need one.
    pub fn records_fd(&self) -> Option<RawFd> {
        match self {
            Self::Measure {
                source: Source::Records { origin, .. },
                ..
            } => origin.fd(),
            _ => None,
        }
    }

    /// How long each of the two windows of a stream lasts, if one is measured.
    pub fn stream_window_ns(&self) -> Option<u64> {
        self.probes().iter().find_map(|probe| match probe {
            Probe::Stream { window_ns } => Some(*window_ns),
            _ => None,
        })
    }

    /// How long the window of the round trips lasts, if they are measured.
    pub fn round_trip_window_ns(&self) -> Option<u64> {
        self.probes().iter().find_map(|probe| match probe {
            Probe::RoundTrip { window_ns } => Some(*window_ns),
            _ => None,
        })
    }
}

/// What the messages of a window are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Made up, all of this length.
    Pattern {
        /// In bytes.
        len: usize,
    },
    /// Records, over and over again.
    Records {
        /// Where they come from.
        origin: Origin,
        /// The number of the one that every window begins with.
        first: u64,
    },
}

/// One thing that is measured over the links of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// As fast as it goes, in both regimes.
    Stream {
        /// How long each of the two windows lasts.
        window_ns: u64,
    },
    /// There and back.
    RoundTrip {
        /// How long the window lasts.
        window_ns: u64,
    },
    /// One way, by the clock.
    Paced {
        /// How long the window lasts.
        window_ns: u64,
        /// When the messages are due.
        pace: Pace,
    },
}

/// A fault that the sender commits in the middle of the integrity pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// A message is not sent.
    Lost,
    /// A message is sent twice.
    Duplicated,
    /// Two messages are sent in the wrong order.
    Reordered,
    /// One bit of a message is wrong.
    Corrupted,
}

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// Only to check.
    Integrity,
    /// A stream whose receiver does nothing but verify.
    Drained,
    /// A stream whose receiver works a little for each message, so that the link is nearly full.
    Working,
    /// One message there and back, again and again.
    RoundTrip,
    /// Messages at the moments at which they are due.
    Paced,
}

/// One side's account of one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunReport {
    /// What it was for.
    pub kind: RunKind,
    /// Whether it was the window; the others calibrate. All are checked.
    pub is_final: bool,
    /// How many messages (or round trips) there were, of all producers together: those that were ordered, if it didn't end early.
    pub messages: u64,
    /// How many there were beside these while the cost was counted.
    pub beside: u64,
    /// From the first send to the last verified message.
    pub elapsed_ns: u64,
    /// How many sends returned without an error.
    pub sent: u64,
    /// Whether no send was under way when the run ended.
    pub is_idle: bool,
    /// What came in.
    pub arrived: Option<Arrived>,
    /// How it ended.
    pub ending: Ending,
    /// What it cost this side.
    pub usage: Usage,
    /// The times of the round trips, or of the way there.
    pub times: Option<Distribution>,
    /// Whether it kept the rate: of messages that are due at given moments.
    pub lateness: Option<Lateness>,
}

/// How fast a paced run fell behind: see [`crate::measure::backlog`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lateness {
    /// From the moment at which an early message was due to that of a late one.
    pub planned_ns: u64,
    /// By how much longer the late one took.
    pub late_ns: u64,
}

/// All that a measured process has to say.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SideReport {
    /// Its runs, in order.
    pub runs: Vec<RunReport>,
    /// What went wrong, apart from messages.
    pub failure: Option<String>,
    /// It ended early only because the other side did.
    pub was_aborted: bool,
}

impl SideReport {
    /// A process that never came to its first run.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self {
            failure: Some(reason.into()),
            ..Self::default()
        }
    }
}

/// What became of the messages of both directions, over all runs of a session.
pub fn reconcile(left: &SideReport, right: &SideReport) -> Tally {
    let mut total = Tally::default();
    for (from, to) in [(left, right), (right, left)] {
        for (sender, receiver) in from.runs.iter().zip(&to.runs) {
            if let Some(arrived) = &receiver.arrived {
                total += arrived.against(sender.sent, sender.is_idle, receiver.ending);
            }
        }
    }
    total
}
