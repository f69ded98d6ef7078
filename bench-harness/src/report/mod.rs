//! The report: one set of figures, told as a table or as JSON.

pub(crate) mod costs;
pub mod csv;
pub mod document;
pub mod figures;
pub mod html;
pub mod list;
pub mod markdown;
pub mod matrix;
pub mod numbers;
pub mod parts;
pub(crate) mod printable;
pub mod relations;
pub mod remarks;
pub mod rows;
pub mod saved;
pub mod schema;
pub mod sent;
pub mod sentences;
pub mod sheet;
pub mod table;
pub mod target;
pub mod terminal;
pub(crate) mod windows;

use std::io::{self, Write};

use crate::fan::Fan;
use crate::machine::Environment;
use crate::runner::campaign::Campaign;
use crate::scenario::{Plan, capacity_for};
use document::{Report, SCHEMA, Settings};

/// The warning of a run whose figures no other build should be compared with.
pub(crate) const UNOPTIMISED: &str =
    "this harness was built without optimisation; build it with --release";

/// When, where and with what arguments was measured.
#[derive(Debug)]
pub struct Occasion {
    /// The arguments of the program.
    pub arguments: Vec<String>,
    /// When it began, in seconds since 1970 (UTC).
    pub began_unix_s: u64,
    /// The machine.
    pub environment: Environment,
}

/// Makes the report of a campaign.
pub fn make(plan: &Plan, occasion: Occasion, campaign: &Campaign) -> Report {
    let payload = plan.payload.as_ref();
    let mean_len = payload.map(|payload| payload.profile.len_mean());
    let (results, noise) = figures::figures(&campaign.rows, mean_len, &plan.reference, plan.seed);
    Report {
        schema: SCHEMA.to_owned(),
        command: plan.design.command().to_owned(),
        arguments: occasion.arguments,
        began_unix_s: occasion.began_unix_s,
        warnings: warnings(plan, &occasion.environment, campaign),
        environment: occasion.environment,
        settings: settings(plan, campaign),
        payload: payload.and_then(sent::file),
        workload: payload.and_then(sent::workload),
        incomplete: campaign.is_incomplete,
        quietness: campaign.quietness,
        noise,
        results,
        comparison: None,
    }
}

fn settings(plan: &Plan, campaign: &Campaign) -> Settings {
    let fans = plan.design.fans();
    let window_ns = plan.window.as_nanos() as u64;
    let paces = plan.entries.iter().filter_map(|entry| entry.wanted.paced);
    let paced_windows = paces.map(|pace| plan.paced_window(pace));
    Settings {
        rounds: plan.rounds,
        rounds_completed: campaign.rounds_done,
        seed: plan.seed,
        sizes: plan.sizes.clone(),
        stream_window_ns: window_ns,
        round_trip_window_ns: window_ns,
        paced_window_ns: paced_windows
            .max()
            .map_or(window_ns, |window| window.as_nanos() as u64),
        paced_messages_min: Some(plan.budget.paced_min),
        verify: plan.verify,
        producers: fans.iter().map(|fan| fan.producers).max().unwrap_or(1),
        consumers: fans.iter().map(|fan| fan.consumers).max().unwrap_or(1),
        stopped: plan.design.stopped(),
        reference: plan.reference.clone(),
        planted_delay_ns: plan.plants.delay_ns,
        planted_stall_ns: plan.plants.stall_ns,
    }
}

impl Report {
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
        warnings.push(UNOPTIMISED.to_owned());
    }
    let [left, right] = plan.placement.first_two();
    if left == right {
        warnings.push(
            "both sides ran on one core: spinning only delays the other side, and no figure tells of two cores"
                .to_owned(),
        );
    } else if let Some(fan) = crowded_fan(plan) {
        warnings.push(format!(
            "{} processes shared {} cores: those on the same core run in turns, and one that spins uses up its turn",
            fan.processes(),
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

/// The most processes that had to share cores.
fn crowded_fan(plan: &Plan) -> Option<Fan> {
    let crowded = plan.entries.iter().filter(|entry| plan.is_crowded(entry));
    crowded
        .map(|entry| entry.fan)
        .max_by_key(|fan| fan.processes())
}
