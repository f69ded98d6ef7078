//! What two runs have to have in common, and what a reader ought to know where they haven't.

use super::make::Named;
use crate::report::UNOPTIMISED;
use crate::report::document::Report;
use crate::report::numbers::time;

/// Windows that differ by more than this factor aren't equally disturbed.
const WINDOW_RATIO_MAX: f64 = 1.25;

/// Whether both ran on one machine, under one kernel, with the same faults planted.
pub(super) fn is_same_system(before: &Report, after: &Report) -> bool {
    let system = |report: &Report| {
        let environment = &report.environment;
        (
            environment.cpu.clone(),
            environment.kernel.clone(),
            environment.architecture.clone(),
        )
    };
    system(before) == system(after) && planted(before) == planted(after)
}

fn planted(report: &Report) -> (u64, u64) {
    let settings = &report.settings;
    (settings.planted_delay_ns, settings.planted_stall_ns)
}

/// What the messages were, in a few words.
fn messages(report: &Report) -> String {
    match (&report.payload, &report.workload) {
        (Some(payload), _) => format!(
            "{} records of {} bytes in all, by {}",
            payload.profile.records, payload.profile.bytes, payload.frame
        ),
        (None, Some(workload)) => {
            format!(
                "the workload {} of seed {}",
                workload.name.name(),
                workload.seed
            )
        }
        (None, None) => "made-up messages".to_owned(),
    }
}

/// Whether the messages of both were the same.
///
/// # Errors
/// One sentence if they weren't.
pub(super) fn check_messages(before: Named<'_>, after: Named<'_>) -> Result<(), String> {
    let [of_before, of_after] = [before, after].map(|named| messages(named.report));
    if of_before == of_after {
        return Ok(());
    }
    Err(format!(
        "{} was measured with {of_before}, and {} with {of_after}; compare runs with the same messages",
        before.name, after.name
    ))
}

/// In what the runs differ beside what is in question, a sentence for each.
pub(super) fn warnings(before: Named<'_>, after: Named<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    let (one, other) = (before.report, after.report);
    let machines = differences(&machine(one), &machine(other));
    if !machines.is_empty() {
        let mut text = format!(
            "the machines differ: {}; what that changes, beyond what the limits show, looks like a change of the build",
            machines.join("; ")
        );
        if !is_same_system(one, other) {
            text.push_str(", and the mechanisms of the kernel may have changed as well");
        }
        warnings.push(text);
    }
    let settings = differences(&settings(one), &settings(other));
    if !settings.is_empty() {
        warnings.push(format!(
            "the runs were measured differently: {}; measure both with the same options",
            settings.join("; ")
        ));
    }
    if window_ratio(one, other) > WINDOW_RATIO_MAX {
        let [one, other] = [one, other].map(|report| time(report.settings.stream_window_ns as f64));
        warnings.push(format!(
            "the windows lasted {one} and {other}, so that disturbances weigh differently; give both runs the same --duration"
        ));
    }
    if is_same_run(one, other) {
        warnings.push(format!(
            "{} and {} hold one and the same run, so nothing can differ; give the results of two runs",
            before.name, after.name
        ));
    }
    for named in [before, after] {
        warnings.extend(of_one(named));
    }
    warnings
}

/// Whether every window is the same in both: that is a file or its copy.
fn is_same_run(before: &Report, after: &Report) -> bool {
    let windows = |report: &Report| {
        let windows = report.results.iter().flat_map(|row| &row.windows);
        let told = windows.map(|window| (window.began_ns, window.elapsed_ns, window.count));
        told.collect::<Vec<_>>()
    };
    let key = |report: &Report| (report.began_unix_s, report.settings.seed);
    key(before) == key(after) && windows(before) == windows(after)
}

/// What is wrong with one of the runs.
fn of_one(named: Named<'_>) -> Vec<String> {
    let (name, settings) = (named.name, &named.report.settings);
    let mut warnings = Vec::new();
    let (done, asked) = (settings.rounds_completed, settings.rounds);
    if named.report.incomplete {
        warnings.push(format!(
            "{name} is incomplete: it was interrupted after {done} of {asked} rounds"
        ));
    } else if done < asked {
        warnings.push(format!(
            "in {name} there was time for {done} of {asked} rounds; measure on a quiet machine, or give --duration"
        ));
    }
    if named.report.warnings.iter().any(|text| text == UNOPTIMISED) {
        warnings.push(format!("in {name}, {UNOPTIMISED}"));
    }
    let (delay_ns, stall_ns) = planted(named.report);
    if delay_ns > 0 {
        warnings.push(format!(
            "in {name} a delay of {} was planted in each send",
            time(delay_ns as f64)
        ));
    }
    if stall_ns > 0 {
        warnings.push(format!(
            "in {name} a stall of {} was planted in each window",
            time(stall_ns as f64)
        ));
    }
    warnings
}

type Facts = Vec<(&'static str, String)>;

fn machine(report: &Report) -> Facts {
    let environment = &report.environment;
    let shown = |cores: &[usize]| {
        let cores: Vec<String> = cores.iter().map(ToString::to_string).collect();
        cores.join(",")
    };
    let clock = environment.clock_source.clone();
    vec![
        ("processor", environment.cpu.clone()),
        ("architecture", environment.architecture.clone()),
        ("kernel", environment.kernel.clone()),
        ("number of cores", environment.cores.to_string()),
        ("measured cores", shown(&environment.measured_cores)),
        (
            "clock source",
            clock.unwrap_or_else(|| "unknown".to_owned()),
        ),
        ("virtual", yes_or_no(environment.is_virtual)),
    ]
}

fn settings(report: &Report) -> Facts {
    let settings = &report.settings;
    let sizes: Vec<String> = settings.sizes.iter().map(ToString::to_string).collect();
    vec![
        ("command", report.command.clone()),
        ("sizes", sizes.join(",")),
        ("rounds", settings.rounds.to_string()),
        ("verify", yes_or_no(settings.verify)),
    ]
}

fn yes_or_no(is_so: bool) -> String {
    if is_so { "yes" } else { "no" }.to_owned()
}

fn differences(before: &Facts, after: &Facts) -> Vec<String> {
    let both = before.iter().zip(after);
    let different = both.filter(|(one, other)| one != other);
    different
        .map(|((name, one), (_, other))| format!("{name} {one} and {other}"))
        .collect()
}

fn window_ratio(before: &Report, after: &Report) -> f64 {
    let [one, other] = [before, after].map(|report| report.settings.stream_window_ns.max(1) as f64);
    (one / other).max(other / one)
}
