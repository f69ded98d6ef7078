//! The model of the multi ring under SPIN: every configuration must pass, and every planted fault must make one of them fail.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Failure, workspace};

/// The model, from the top of the workspace.
const MODEL: &str = "docs/models/multi.pml";
/// Where the verifiers are built, from the top of the workspace.
const BUILT: &str = "target/models";
/// What one verifier may use, in MB; with more states than fit it is incomplete, and that is no pass.
const MEMORY_MB_MAX: u32 = 7_000;
/// A verifier that takes longer is incomplete.
const TIME_MAX: Duration = Duration::from_secs(3_600);

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The large configurations too (minutes each, gigabytes).
    pub full: bool,
    /// Only this fault, and the configurations that must show it.
    pub mutant: Option<String>,
    /// Where a tool is missing: say so, and succeed.
    pub if_installed: bool,
}

/// Participants, cells, messages and misfortunes of one verifier.
#[derive(Debug)]
struct Configuration {
    name: &'static str,
    /// What the model is told, without `-D`.
    settings: &'static str,
    full: bool,
    /// The faults that it must fail with.
    mutants: &'static [&'static str],
}

const fn small(
    name: &'static str,
    settings: &'static str,
    mutants: &'static [&'static str],
) -> Configuration {
    Configuration {
        name,
        settings,
        full: false,
        mutants,
    }
}

const fn large(name: &'static str, settings: &'static str) -> Configuration {
    Configuration {
        name,
        settings,
        full: true,
        mutants: &[],
    }
}

const CONFIGURATIONS: &[Configuration] = &[
    small(
        "one producer, one consumer, one cell",
        "NP=1 NC=1 N=1 MSGS=2 CRASHES=2 FREEZES=1",
        &[
            "INTENT_AFTER_TAIL",
            "COMMIT_BY_STORE",
            "SLOT_BEFORE_TAIL",
            "HEAD_WITHOUT_SLOT",
            "NEWER_NOT_HELPED",
        ],
    ),
    small(
        "two producers on one cell",
        "NP=2 NC=1 N=1 MSGS=1 CRASHES=0 FREEZES=0",
        &[
            "VOID_REUSED_UNSCANNED",
            "FREED_ON_PATIENCE",
            "INTENT_CLEARED_EARLY",
            "REUSED_WITHOUT_FULL",
            "LOSER_KEEPS_PUT",
        ],
    ),
    small(
        "two producers and two cells",
        "NP=2 NC=1 N=2 MSGS=1 CRASHES=2 FREEZES=1",
        &[],
    ),
    small(
        "three consumers after one message",
        "NP=0 NC=3 N=1 PREFILL=1 CRASHES=2 FREEZES=1",
        &[
            "ADOPT_UNSCANNED",
            "TAKE_CLEARED_EARLY",
            "LOSER_KEEPS_TAKE",
            "ADOPT_SAME_WORD",
            "SCAN_BEFORE_STATE",
            "NOTICED_UNCOUNTED",
            "NO_RETRY_BEHIND_LIVING",
        ],
    ),
    small(
        "seats of consumers that are taken again",
        "NP=0 NC=2 N=1 PREFILL=1 CRASHES=2 FREEZES=1 JOINS=2",
        &["JOIN_CLEARS_FIRST"],
    ),
    small(
        "a seat of a producer that is taken again",
        "NP=1 NC=1 N=1 MSGS=2 CRASHES=2 FREEZES=1 JOINS=1",
        &[],
    ),
    small(
        "messages of two cells",
        "NP=1 NC=1 N=2 LEN=2 MSGS=2 CRASHES=1 FREEZES=1",
        &["FOLLOWERS_NOT_CLEANED", "NO_STAMP", "FREED_WITH_FOLLOWERS"],
    ),
    small(
        "batches of two messages",
        "NP=1 NC=1 N=2 LEN=2 BATCH MSGS=2 CRASHES=1 FREEZES=1 ABORTS=1",
        &["FOLLOWERS_NOT_CLEANED", "NO_STAMP", "COMMIT_FORWARDS"],
    ),
    small(
        "messages of two cells and of one, two consumers",
        "NP=1 NC=2 N=2 LEN=2 MIXED MSGS=2 CRASHES=1 FREEZES=0 PATIENCE=0",
        &["NO_DRAINED", "DRAINED_LEFT"],
    ),
    small(
        "two producers of messages of two cells, alone",
        "NP=2 NC=0 N=2 LEN=2 MSGS=1 CRASHES=0 FREEZES=0 ABORTS=1",
        &["PREFIX_CLAIMED"],
    ),
    small(
        "drop and count",
        "NP=0 NC=3 N=2 PREFILL=2 TAKE_MAX=2 DROP CRASHES=1 FREEZES=0",
        &["COUNT_WITHOUT_HELP", "NO_SECOND_LOOK"],
    ),
    large(
        "batches taken by two consumers",
        "NP=1 NC=2 N=2 MSGS=2 TAKE_MAX=2 CRASHES=1 FREEZES=1",
    ),
    large(
        "batches taken by two consumers, drop and count",
        "NP=1 NC=2 N=2 MSGS=2 TAKE_MAX=2 DROP CRASHES=2 FREEZES=0",
    ),
    large("two consumers", "NP=1 NC=2 N=2 MSGS=2 CRASHES=2 FREEZES=1"),
    large(
        "two producers of messages of two cells",
        "NP=2 NC=1 N=2 LEN=2 MSGS=1 CRASHES=1 FREEZES=1 PATIENCE=0",
    ),
    large(
        "two producers of messages of two cells, four cells",
        "NP=2 NC=1 N=4 LEN=2 MSGS=1 CRASHES=1 FREEZES=1",
    ),
    large(
        "two producers of batches",
        "NP=2 NC=1 N=2 LEN=2 BATCH MSGS=1 CRASHES=1 FREEZES=1 PATIENCE=0",
    ),
    large(
        "messages of two cells and of one, two consumers, patience",
        "NP=1 NC=2 N=2 LEN=2 MIXED MSGS=2 CRASHES=1 FREEZES=0",
    ),
    large(
        "messages of two cells, two consumers, four cells",
        "NP=1 NC=2 N=4 LEN=2 MSGS=2 CRASHES=1 FREEZES=0",
    ),
    large(
        "two producers on one cell, patience and misfortune",
        "NP=2 NC=1 N=1 MSGS=1 CRASHES=1 FREEZES=1",
    ),
    large(
        "two consumers and seats taken again",
        "NP=1 NC=2 N=1 MSGS=1 CRASHES=2 FREEZES=0 JOINS=1",
    ),
    large(
        "two producers, two consumers, one cell",
        "NP=2 NC=2 N=1 MSGS=1 CRASHES=1 FREEZES=1 PATIENCE=0",
    ),
    large(
        "two producers, two consumers, two cells",
        "NP=2 NC=2 N=2 MSGS=1 CRASHES=1 FREEZES=1",
    ),
];

/// How the run of a verifier ended.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Passed,
    /// With what it found.
    Failed(String),
    /// Why it did not see everything.
    Incomplete(&'static str),
}

struct Outcome {
    verdict: Verdict,
    states: String,
    time: Duration,
}

/// Runs the configurations and the faults of the selection, a line for each.
///
/// # Errors
/// When a tool is missing, a configuration does not pass, or a fault is not caught.
pub fn run(selection: &Selection) -> Result<(), Failure> {
    for (tool, version) in [("spin", "-V"), ("cc", "--version")] {
        if !is_installed(tool, version) {
            let message = format!("models: {tool} is not installed: NOT CHECKED");
            if selection.if_installed {
                eprintln!("{message}");
                return Ok(());
            }
            return Err(Failure::new(message));
        }
    }
    let source = fs::read_to_string(workspace().join(MODEL))
        .map_err(|error| Failure::new(format!("{MODEL}: {error}")))?;
    let faults = faults(&source);
    if let Some(name) = &selection.mutant
        && !faults.iter().any(|(fault, _)| fault == name)
    {
        let names: Vec<&str> = faults.iter().map(|(fault, _)| fault.as_str()).collect();
        let message = format!("{MODEL} has no fault {name}; it has {}", names.join(", "));
        return Err(Failure::new(message));
    }
    let start = Instant::now();
    let mut surprises = Vec::new();
    for (at, configuration) in CONFIGURATIONS.iter().enumerate() {
        let mutants = selected(configuration, selection);
        if let Some(mutants) = mutants {
            surprises.extend(check(at, configuration, &mutants, &faults)?);
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    if surprises.is_empty() {
        eprintln!("models: all as expected, in {seconds:.1} s");
        return Ok(());
    }
    let list = surprises.join("\n  ");
    Err(Failure::new(format!(
        "the models surprise, after {seconds:.1} s:\n  {list}"
    )))
}

/// The faults to plant in a configuration; `None` if it is not to be run at all.
fn selected(configuration: &Configuration, selection: &Selection) -> Option<Vec<&'static str>> {
    let mutants = configuration.mutants.iter().copied();
    match &selection.mutant {
        None => (selection.full || !configuration.full).then(|| mutants.collect()),
        Some(name) => {
            let mutants: Vec<&str> = mutants.filter(|mutant| mutant == name).collect();
            (!mutants.is_empty()).then_some(mutants)
        }
    }
}

/// Runs one configuration as it is and with its faults, and says what was not as it should be.
fn check(
    at: usize,
    configuration: &Configuration,
    mutants: &[&str],
    faults: &[(String, u32)],
) -> Result<Vec<String>, Failure> {
    let Configuration { name, settings, .. } = configuration;
    eprintln!("\n==> {name} ({settings})");
    let folder = build(at, configuration)?;
    let mut surprises = Vec::new();
    for mutant in std::iter::once(&"").chain(mutants) {
        let number = faults.iter().find(|(fault, _)| fault == mutant);
        let number = number.map_or(0, |(_, number)| *number);
        let outcome = verify(&folder, number)?;
        let Outcome {
            verdict,
            states,
            time,
        } = &outcome;
        let (verdict, expected) = match (verdict, mutant.is_empty()) {
            (Verdict::Passed, true) => ("passes".into(), true),
            (Verdict::Passed, false) => ("NOT CAUGHT".into(), false),
            (Verdict::Failed(found), true) => (format!("FAILS: {found}"), false),
            (Verdict::Failed(found), false) => (format!("caught: {found}"), true),
            (Verdict::Incomplete(why), _) => (format!("INCOMPLETE: {why}"), false),
        };
        let seconds = time.as_secs_f64();
        let what = if mutant.is_empty() {
            "as it is"
        } else {
            mutant
        };
        eprintln!("    {what:24} {states:>10} states {seconds:6.1} s  {verdict}");
        if !expected {
            surprises.push(format!("{name}, {what}: {verdict}"));
        }
    }
    Ok(surprises)
}

/// Builds the verifier of a configuration; returns its folder.
fn build(at: usize, configuration: &Configuration) -> Result<PathBuf, Failure> {
    let folder = workspace().join(BUILT).join(at.to_string());
    fs::create_dir_all(&folder)
        .map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
    let mut spin = Command::new("spin");
    let settings = configuration.settings.split(' ');
    spin.args(settings.map(|setting| format!("-D{setting}")));
    finish(spin.arg("-a").arg(workspace().join(MODEL)), &folder)?;
    let mut cc = Command::new("cc");
    // Optimising this code takes longer than a small search does.
    let how: &[&str] = if configuration.full {
        &["-O1", "-DCOLLAPSE"]
    } else {
        &["-O0"]
    };
    cc.args(["-w", "-DSAFETY", "-DNOFAIR"])
        .args(how)
        .arg(format!("-DMEMLIM={MEMORY_MB_MAX}"))
        .args(["-o", "pan", "pan.c"]);
    finish(&mut cc, &folder)?;
    Ok(folder)
}

/// Runs a tool to its end, which must be a good one.
fn finish(command: &mut Command, folder: &Path) -> Result<(), Failure> {
    let tool = command.get_program().to_string_lossy().into_owned();
    let output = command.current_dir(folder).stdin(Stdio::null()).output();
    let output = output.map_err(|error| Failure::new(format!("can't start {tool}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(format!(
        "{tool} fails ({}):\n{said}",
        output.status
    )))
}

/// Runs the verifier with a fault planted (0: none).
fn verify(folder: &Path, fault: u32) -> Result<Outcome, Failure> {
    let log = folder.join("pan.log");
    let failure = |error: std::io::Error| Failure::new(format!("{}: {error}", folder.display()));
    let file = fs::File::create(&log).map_err(failure)?;
    let start = Instant::now();
    let mut pan = Command::new(folder.join("pan"))
        .arg("-m200000")
        .env("MUTANT", fault.to_string())
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(file.try_clone().map_err(failure)?)
        .stdout(file)
        .spawn()
        .map_err(failure)?;
    let ended = loop {
        if pan.try_wait().map_err(failure)?.is_some() {
            break true;
        }
        if start.elapsed() > TIME_MAX {
            // It may end at this very moment.
            let _ = pan.kill();
            let _ = pan.wait();
            break false;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let time = start.elapsed();
    let said = fs::read(&log).map_err(failure)?;
    let said = String::from_utf8_lossy(&said);
    let verdict = if ended {
        verdict(&said)
    } else {
        Verdict::Incomplete("it took too long")
    };
    let states = said
        .lines()
        .find_map(|line| line.trim().strip_suffix(" states, stored"));
    Ok(Outcome {
        verdict,
        states: states.unwrap_or("?").to_owned(),
        time,
    })
}

/// What the verifier said. Only a search that says that it found nothing and left nothing out is a pass.
fn verdict(said: &str) -> Verdict {
    if let Some(found) = said.lines().find_map(|line| line.strip_prefix("pan:1: ")) {
        // Only the first words: an assertion with its macros expanded fills lines.
        return Verdict::Failed(found.chars().take(60).collect());
    }
    if said.contains("max search depth too small") {
        return Verdict::Incomplete("the search was truncated: too deep");
    }
    if said.contains("out of memory") || said.contains("Search not completed") {
        return Verdict::Incomplete("the search was truncated: out of memory");
    }
    if said.contains("errors: 0") {
        return Verdict::Passed;
    }
    Verdict::Incomplete("it did not say how it ended")
}

/// The faults that the model can plant, with their numbers.
fn faults(source: &str) -> Vec<(String, u32)> {
    let section = source
        .split_once("the faults to plant")
        .and_then(|(_, rest)| rest.split_once("#define M("))
        .map_or("", |(section, _)| section);
    let fault = |line: &str| {
        let mut words = line.strip_prefix("#define ")?.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
    };
    section.lines().filter_map(fault).collect()
}

fn is_installed(tool: &str, version: &str) -> bool {
    let mut probe = Command::new(tool);
    probe.arg(version).stdin(Stdio::null());
    probe.stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_the_model_has_a_configuration_that_must_show_it() {
        let source = fs::read_to_string(workspace().join(MODEL)).unwrap();
        let faults = faults(&source);
        assert!(!faults.is_empty());
        for (at, (fault, number)) in faults.iter().enumerate() {
            assert_eq!(*number as usize, at + 1, "{fault}");
            let shown = |c: &Configuration| c.mutants.contains(&fault.as_str());
            assert!(CONFIGURATIONS.iter().any(shown), "{fault}");
        }
        for mutant in CONFIGURATIONS.iter().flat_map(|c| c.mutants) {
            assert!(faults.iter().any(|(fault, _)| fault == mutant), "{mutant}");
        }
    }

    #[test]
    fn only_a_complete_search_without_errors_passes() {
        let passed = "State-vector 92 byte, depth reached 286, errors: 0\n    16 states, stored";
        assert_eq!(verdict(passed), Verdict::Passed);
        let failed = "pan:1: assertion violated (a) (at depth 9)\nerrors: 1";
        let found = "assertion violated (a) (at depth 9)".to_owned();
        assert_eq!(verdict(failed), Verdict::Failed(found));
        for incomplete in [
            "error: max search depth too small\nerrors: 0",
            "pan: out of memory\nWarning: Search not completed\nerrors: 0",
            "",
        ] {
            assert!(matches!(verdict(incomplete), Verdict::Incomplete(_)));
        }
    }
}
