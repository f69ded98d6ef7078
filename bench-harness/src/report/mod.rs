//! The report: one set of figures, told as a table or as JSON.

pub mod figures;
pub mod list;
pub mod numbers;
pub mod sentences;
pub mod table;

use std::io::{self, Write};

use serde::Serialize;

use crate::fan::Stopped;
use crate::machine::Environment;
use crate::payload::Profile;
use crate::results::{Quietness, Status};
use crate::runner::campaign::Campaign;
use crate::scenario::{Plan, capacity_for};
use figures::Figures;

/// The name of the format.
const SCHEMA: &str = "ipc-bench-harness/1";

/// Everything that is told.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The name of the format.
    pub schema: &'static str,
    /// The machine.
    pub environment: Environment,
    /// What was asked for.
    pub settings: Settings,
    /// The file that was sent, if one was.
    pub payload: Option<Payload>,
    /// Whether the run was interrupted.
    pub incomplete: bool,
    /// How quiet the measured cores were.
    pub quietness: Quietness,
    /// What the reader ought to know.
    pub warnings: Vec<String>,
    /// The rows.
    pub results: Vec<Figures>,
}

/// What was asked for, or chosen.
#[derive(Debug, Serialize)]
pub struct Settings {
    /// How often each contender was to be measured.
    pub rounds: u32,
    /// How often it was.
    pub rounds_completed: u32,
    /// Makes the order in each round.
    pub seed: u64,
    /// The sizes that were asked for.
    pub sizes: Vec<usize>,
    /// Each of the two windows of a stream.
    pub stream_window_ns: u64,
    /// The window of the round trip.
    pub round_trip_window_ns: u64,
    /// Whether more was checked.
    pub verify: bool,
    /// Processes that send over one link.
    pub producers: u32,
    /// Processes that receive over it.
    pub consumers: u32,
    /// One more, that is stopped in the middle of a message.
    pub stopped: Option<Stopped>,
}

impl Settings {
    /// Whether more than one process was on a side.
    pub fn has_several(&self) -> bool {
        self.producers > 1 || self.consumers > 1
    }

    /// Whether every contender could be expected to have it.
    pub fn is_plain(&self) -> bool {
        !self.has_several() && self.stopped.is_none()
    }
}

/// A file whose records were the messages.
#[derive(Debug, Serialize)]
pub struct Payload {
    /// The file, as it was given.
    pub file: String,
    /// What a record is.
    pub frame: String,
    /// What the records are like.
    #[serde(flatten)]
    pub profile: Profile,
}

impl Report {
    /// Makes the figures.
    pub fn new(plan: &Plan, environment: Environment, campaign: &Campaign) -> Self {
        let warnings = warnings(plan, &environment, campaign);
        let payload = plan.payload.as_ref().map(|payload| Payload {
            file: payload.file.display().to_string(),
            frame: payload.frame.to_string(),
            profile: payload.profile.clone(),
        });
        let mean_len = payload
            .as_ref()
            .map(|p| p.profile.bytes as f64 / p.profile.records as f64);
        Self {
            schema: SCHEMA,
            environment,
            settings: Settings {
                rounds: plan.rounds,
                rounds_completed: campaign.rounds_done,
                seed: plan.seed,
                sizes: plan.sizes.clone(),
                stream_window_ns: plan.windows.stream.as_nanos() as u64,
                round_trip_window_ns: plan.windows.round_trip.as_nanos() as u64,
                verify: plan.verify,
                producers: plan.fan.producers,
                consumers: plan.fan.consumers,
                stopped: plan.stopped,
            },
            payload,
            incomplete: campaign.is_incomplete,
            quietness: campaign.quietness,
            warnings,
            results: figures::figures(&campaign.rows, mean_len),
        }
    }

    /// Whether messages of some contender went wrong.
    pub fn has_integrity_failure(&self) -> bool {
        self.results.iter().any(|row| !row.integrity.is_clean())
    }

    /// Whether some contender has that status.
    pub fn has(&self, status: Status) -> bool {
        self.results.iter().any(|row| row.status == status)
    }

    /// Writes one JSON object.
    ///
    /// # Errors
    /// What the output says.
    pub fn write_json(&self, mut out: impl Write) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        out.write_all(&text)?;
        out.flush()
    }
}

/// What the reader ought to know before believing a figure.
fn warnings(plan: &Plan, environment: &Environment, campaign: &Campaign) -> Vec<String> {
    const SHARE_MIN: f64 = 0.99;
    const STOLEN_SHARE_MAX: f64 = 0.005;
    let mut warnings = campaign.warnings.clone();
    if cfg!(debug_assertions) {
        warnings.push(
            "this harness was built without optimisation; build it with --release".to_owned(),
        );
    }
    let [left, right] = plan.placement.first_two();
    if left == right {
        warnings.push(
            "both sides ran on one core: spinning only delays the other side, and no figure tells of two cores"
                .to_owned(),
        );
    } else if plan.placement.is_crowded(plan.fan) {
        warnings.push(format!(
            "{} processes shared {} cores: those on the same core run in turns, and one that spins uses up its turn",
            plan.fan.processes(),
            plan.placement.cores().len()
        ));
    }
    if environment.measured_cores_are_siblings {
        warnings.push(
            "the measured cores are hardware threads of one core: figures are those of shared caches"
                .to_owned(),
        );
    }
    let quietness = &campaign.quietness;
    if let Some(share) = quietness
        .ran_together_share
        .filter(|&share| share < SHARE_MIN)
    {
        warnings.push(format!(
            "the cores were shared with other work: in the spinning windows both sides ran together for at least {:.1} % of the time, and maybe no more",
            100.0 * share
        ));
    }
    if quietness.stolen_ns as f64 > STOLEN_SHARE_MAX * quietness.windows_ns as f64 {
        warnings.push(format!(
            "the hypervisor took {} ms from the measured cores",
            quietness.stolen_ns / 1_000_000
        ));
    }
    for &size in &plan.sizes {
        let capacity = capacity_for(size);
        if capacity < capacity_for(1) {
            let size = numbers::bytes(size);
            warnings.push(format!(
                "links for messages of {size} hold {capacity} of them"
            ));
        }
    }
    warnings
}
