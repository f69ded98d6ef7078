//! Comparing saved runs: what is told of builds that are equal, of one that is slower, and of files that can't be compared. All times are made up.

#[path = "support/sample.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod sample;
#[path = "support/saved.rs"]
mod saved;
mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use bench_harness::report::document::Report;
use saved::Saved;
use serde_json::Value;
use support::{run, temporary_file};

/// Two hundred nanoseconds more in each send of a ring, where a message takes about fifty.
const SLOWER: Saved = Saved {
    seed: 5,
    slowdown: |_| 1.0,
    disturbed: 0.0,
    planted: Some((200.0, "ring-")),
};

fn same() -> Saved {
    Saved {
        seed: 2,
        ..Saved::default()
    }
}

/// A file for one test.
fn file(name: &str, report: &Report) -> String {
    let text = serde_json::to_vec(report).unwrap();
    let path = temporary_file(&format!("compare-{name}.json"), &text);
    path.to_str().unwrap().to_owned()
}

/// The two files that most tests compare, each with its own names.
fn files(test: &str, before: &Report, after: &Report) -> [String; 2] {
    [
        file(&format!("{test}-before"), before),
        file(&format!("{test}-after"), after),
    ]
}

fn compare(files: &[String], args: &[&str]) -> Output {
    let files = files.iter().map(String::as_str);
    let all: Vec<&str> = ["compare"]
        .into_iter()
        .chain(files)
        .chain(args.iter().copied())
        .collect();
    run(&all)
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The only comparison.
fn json(files: &[String], args: &[&str]) -> Value {
    let output = compare(files, &[&["--output", "json"], args].concat());
    let document: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)));
    assert_eq!(document["schema"], "ipc-bench-harness-comparison/1");
    document["comparisons"][0].clone()
}

fn verdicts(comparison: &Value, verdict: &str) -> Vec<String> {
    let figures = comparison["figures"].as_array().unwrap().iter();
    let of = figures.filter(|figure| figure["verdict"] == verdict);
    of.map(|figure| {
        format!(
            "{}/{} {}",
            figure["contender"], figure["wait"], figure["figure"]
        )
        .replace('"', "")
    })
    .collect()
}

#[test]
fn two_runs_of_one_build_have_no_detectable_difference() {
    let [before, after] = [Saved::default().report(), same().report()];
    let files = files("same", &before, &after);
    let comparison = json(&files, &[]);
    assert_eq!(verdicts(&comparison, "slower"), [""; 0]);
    assert_eq!(verdicts(&comparison, "faster"), [""; 0]);
    let figures = comparison["figures"].as_array().unwrap().len();
    assert!(figures > 50, "{figures}");
    assert_eq!(
        verdicts(&comparison, "no detectable difference").len(),
        figures
    );
    let output = compare(&files, &["--fail-if", "any>+50%"]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let table = text(&output.stdout);
    assert!(
        table.contains("figures: no detectable difference."),
        "{table}"
    );
}

#[test]
fn a_build_with_a_delay_in_its_sends_is_slower_and_only_its_rows_are() {
    let files = files("slower", &Saved::default().report(), &SLOWER.report());
    let comparison = json(&files, &[]);
    let slower = verdicts(&comparison, "slower");
    assert!(
        slower.contains(&"ring-spsc/spin stream".to_owned()),
        "{slower:?}"
    );
    assert!(
        slower.contains(&"ring-mpmc/spin p50".to_owned()),
        "{slower:?}"
    );
    assert!(
        slower.iter().all(|name| name.starts_with("ring-")),
        "{slower:?}"
    );
    assert_eq!(verdicts(&comparison, "faster"), [""; 0]);
    let [before, after] = files;
    let turned = json(&[after, before], &[]);
    let faster = verdicts(&turned, "faster");
    assert!(
        faster.contains(&"ring-spsc/spin stream".to_owned()),
        "{faster:?}"
    );
}

#[test]
fn a_machine_in_another_state_and_disturbed_rounds_hide_nothing_and_make_nothing_up() {
    let changing = |seed: u64, planted| Saved {
        seed,
        slowdown: |round| if round > 6 { 3.5 } else { 1.0 },
        disturbed: 0.1,
        planted,
    };
    let before = Saved {
        slowdown: |round| if round > 8 { 3.5 } else { 1.0 },
        disturbed: 0.1,
        ..Saved::default()
    };
    let before = before.report();
    let equal = files("state-same", &before, &changing(3, None).report());
    let comparison = json(&equal, &[]);
    let all = comparison["figures"].as_array().unwrap().len();
    let equal = verdicts(&comparison, "no detectable difference").len();
    assert!(100 * equal >= 95 * all, "{equal} of {all}");
    let slower_files = files(
        "state-slower",
        &before,
        &changing(4, SLOWER.planted).report(),
    );
    let comparison = json(&slower_files, &[]);
    let slower = verdicts(&comparison, "slower");
    assert!(
        slower.contains(&"ring-spsc/spin stream".to_owned()),
        "{slower:?}"
    );
    let drift = comparison["drift"].as_array().unwrap();
    assert_eq!(drift.len(), 3);
    let table = text(&compare(&slower_files, &[]).stdout);
    assert!(table.contains("states of the machine: "), "{table}");
}

#[test]
fn what_is_forbidden_fails_only_if_it_is_detectable() {
    let slower = files("gate", &Saved::default().report(), &SLOWER.report());
    let output = compare(
        &slower,
        &["--fail-if", "stream > +10 %", "--fail-if", "cpu>+100000%"],
    );
    assert_eq!(code(&output), 1);
    let complaint = text(&output.stderr);
    assert!(
        complaint.contains("ring-spsc/spin 64 B stream took"),
        "{complaint}"
    );
    assert!(
        complaint.contains("which --fail-if 'stream>+10%' forbids"),
        "{complaint}"
    );
    assert!(!complaint.contains("p50"), "{complaint}");
    assert_eq!(code(&compare(&slower, &["--fail-if", "any>+10000%"])), 0);
    assert_eq!(code(&compare(&slower, &[])), 0);
    let [before, after] = slower;
    assert_eq!(
        code(&compare(&[after, before], &["--fail-if", "any>+0%"])),
        0
    );
    let equal = files("gate-same", &Saved::default().report(), &same().report());
    let output = compare(&equal, &["--fail-if", "any>+0%"]);
    assert_eq!(code(&output), 0);
    let note = text(&output.stderr);
    assert!(
        note.contains("that is no failure: no detectable difference"),
        "{note}"
    );
}

#[test]
fn a_threshold_that_could_never_fail_is_refused() {
    let mut alone = Saved::default().report();
    for row in &mut alone.results {
        row.windows.retain(|window| window.times_ns.is_none());
    }
    let files = files("idle", &alone, &alone);
    let output = compare(&files, &["--fail-if", "p99>+10%"]);
    assert_eq!(code(&output), 2);
    assert!(text(&output.stderr).contains("could never fail"));
    let output = compare(&files, &["--controls", "nothing*"]);
    assert_eq!(code(&output), 2);
    assert!(text(&output.stderr).contains("matches no row"));
}

#[test]
fn few_rounds_get_no_verdict_and_are_told_how_many_would_do() {
    let short = |saved: Saved| {
        let mut report = saved.report();
        report.settings.rounds_completed = 3;
        for row in &mut report.results {
            row.windows.retain(|window| window.round <= 3);
        }
        report
    };
    let files = files("short", &short(Saved::default()), &short(SLOWER));
    let output = compare(&files, &["--fail-if", "any>+10%"]);
    let table = text(&output.stdout);
    assert_eq!(code(&output), 0);
    assert!(table.contains("too few rounds"), "{table}");
    assert!(
        table.contains("rounds in both runs, or fewer contenders"),
        "{table}"
    );
    assert!(text(&output.stderr).contains("that is no failure: too few rounds"));
}

#[test]
fn runs_that_are_unlike_each_other_are_told_apart() {
    let mut after = same().report();
    after.environment.kernel = "Linux 6.9.9".to_owned();
    after.environment.is_virtual = false;
    after.settings.sizes = vec![64, 128];
    after.settings.stream_window_ns *= 2;
    after.settings.planted_delay_ns = 200;
    after.incomplete = true;
    let files = files("unlike", &Saved::default().report(), &after);
    let comparison = json(&files, &[]);
    let warnings = comparison["warnings"].to_string();
    for part in [
        "kernel Linux 6.1.0 and Linux 6.9.9",
        "virtual yes and no",
        "sizes 64 and 64,128",
        "the mechanisms of the kernel may have changed as well",
        "windows lasted",
        "a delay of 200 ns was planted",
        "is incomplete",
    ] {
        assert!(warnings.contains(part), "{part}: {warnings}");
    }
    // Another kernel may have made its mechanisms faster.
    let figures = comparison["figures"].as_array().unwrap();
    assert!(figures.iter().all(|figure| figure["role"] == "question"));
    let named = json(&files, &["--controls", "pipe", "--controls", "unix-*"]);
    let figures = named["figures"].as_array().unwrap();
    let is_control = |figure: &&Value| figure["role"] == "control";
    assert!(figures.iter().any(|figure| is_control(&figure)));
}

#[test]
fn rows_that_only_one_run_has_are_named() {
    let mut after = same().report();
    after.results.retain(|row| row.contender != "ring-mpmc");
    let lost = after
        .results
        .iter_mut()
        .find(|row| row.contender == "unix-dgram")
        .unwrap();
    lost.status = bench_harness::results::Status::Failed;
    lost.reason = Some("it hung".to_owned());
    lost.windows.clear();
    let comparison = json(&files("alone", &Saved::default().report(), &after), &[]);
    let alone = comparison["alone"].to_string();
    assert!(
        alone.contains("Measured before only: ring-mpmc/spin 64 B, ring-mpmc/park 64 B."),
        "{alone}"
    );
    assert!(
        alone.contains("Measured before and not after: unix-dgram/park 64 B: it hung."),
        "{alone}"
    );
}

#[test]
fn without_limits_and_controls_drift_is_told_to_be_unknown() {
    let mut report = Saved::default().report();
    report
        .results
        .retain(|row| row.contender.starts_with("ring-"));
    let files = files("no-limits", &report, &report);
    let warnings = json(&files, &[])["warnings"].to_string();
    assert!(
        warnings.contains("measure limit-line and limit-memcpy, or mmap-file, as well"),
        "{warnings}"
    );
    assert!(
        warnings.contains("measure limit-futex, or pipe, as well"),
        "{warnings}"
    );
    assert!(
        warnings.contains("no row is certain to be unchanged"),
        "{warnings}"
    );
}

#[test]
fn files_that_are_not_ours_are_told_in_one_sentence() {
    let good = file("good", &Saved::default().report());
    let whole = fs::read_to_string(&good).unwrap();
    let truncated = temporary_file(
        "compare-truncated.json",
        &whole.as_bytes()[..whole.len() / 2],
    );
    let other = temporary_file(
        "compare-other.json",
        whole
            .replace("ipc-bench-harness/1", "ipc-bench-harness/9")
            .as_bytes(),
    );
    let foreign = temporary_file("compare-foreign.json", b"{\"schema\": 3}");
    for (path, part) in [
        (truncated, "ends in the middle"),
        (other, "has the schema 'ipc-bench-harness/9'"),
        (foreign, "names no schema"),
        (PathBuf::from("/no/such/file.json"), "can't be read"),
    ] {
        let path = path.to_str().unwrap();
        for output in [
            compare(&[good.clone(), path.to_owned()], &[]),
            run(&["rtt", "--baseline", path]),
        ] {
            let complaint = text(&output.stderr);
            assert_eq!(code(&output), 6, "{complaint}");
            assert!(
                complaint.contains(path) && complaint.contains(part),
                "{complaint}"
            );
            assert_eq!(complaint.lines().count(), 1, "{complaint}");
            assert!(output.stdout.is_empty());
        }
    }
}

#[test]
fn one_file_and_bad_thresholds_are_refused_as_usage() {
    let good = file("usage", &Saved::default().report());
    let mut nothing = Saved::default().report();
    nothing.results.clear();
    let nothing = file("nothing", &nothing);
    for (args, part) in [
        (vec!["compare", &good], "2 values required"),
        (
            vec!["compare", &good, &good, "--fail-if", "p98>+1%"],
            "is no figure",
        ),
        (vec!["compare", &good, &nothing], "no figure in common"),
        (vec!["rtt", "--fail-if", "p99>+1%"], "--baseline"),
        (
            vec!["rtt", "--baseline", &good, "--fail-if", "stream>+1%"],
            "could never fail",
        ),
        (
            vec!["rtt", "--baseline", &good, "--contender", "sem-*"],
            "none of the rows",
        ),
        (
            vec!["rtt", "--baseline", &good, "--controls", "x"],
            "matches no row",
        ),
    ] {
        let output = run(&args);
        let complaint = text(&output.stderr);
        assert_eq!(code(&output), 2, "{args:?}: {complaint}");
        assert!(complaint.contains(part), "{args:?}: {complaint}");
    }
}

#[test]
fn every_form_tells_the_same_verdicts() {
    let files = files("forms", &Saved::default().report(), &SLOWER.report());
    let slower = verdicts(&json(&files, &[]), "slower").len();
    let lines = compare(&files, &["--output", "csv"]).stdout;
    let mut lines = csv::Reader::from_reader(lines.as_slice());
    let column = lines
        .headers()
        .unwrap()
        .iter()
        .position(|name| name == "verdict")
        .unwrap();
    let in_lines = lines
        .records()
        .filter(|line| &line.as_ref().unwrap()[column] == "slower");
    assert_eq!(in_lines.count(), slower);
    let page = text(&compare(&files, &["--output", "md"]).stdout);
    let in_page = page
        .lines()
        .filter(|line| line.ends_with("| slower |"))
        .count();
    assert_eq!(in_page, slower, "{page}");
    // A name of the user's breaks no table.
    assert!(page.contains("\\<script\\>\\|"), "{page}");
    let table = text(&compare(&files, &["--wide"]).stdout);
    let in_table = table
        .lines()
        .filter(|line| line.ends_with("  slower"))
        .count();
    assert_eq!(in_table, slower, "{table}");
}

#[test]
fn the_table_looks_as_it_should_at_every_width() {
    let files = files("look", &Saved::default().report(), &SLOWER.report());
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    for width in [80, 120] {
        let output = support::harness(&["compare", &files[0], &files[1]])
            .env("COLUMNS", width.to_string())
            .output()
            .unwrap();
        let shown = text(&output.stdout).replace(target.to_str().unwrap(), "DIR");
        let table = shown.lines().filter(|line| line.contains("  "));
        for line in table {
            assert!(line.chars().count() <= width, "{line}");
        }
        insta::assert_snapshot!(format!("compare_{width}"), shown);
    }
}

#[test]
fn three_files_are_each_compared_with_the_first() {
    let before = file("three-1", &Saved::default().report());
    let after = [
        file("three-2", &same().report()),
        file("three-3", &SLOWER.report()),
    ];
    let [second, third] = after;
    let output = compare(&[before.clone(), second, third], &["--output", "json"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let comparisons = document["comparisons"].as_array().unwrap();
    assert_eq!(comparisons.len(), 2);
    assert!(
        comparisons
            .iter()
            .all(|one| one["before"]["name"] == before.as_str())
    );
    assert!(verdicts(&comparisons[0], "slower").is_empty());
    assert!(!verdicts(&comparisons[1], "slower").is_empty());
}
