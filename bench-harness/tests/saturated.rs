//! Comparisons of rows that can't keep their rate in one of the runs, or in both. All times are made up, but those of one run.

#[path = "support/sample.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod sample;
#[path = "support/saved.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod saved;
mod support;

use std::fs;
use std::path::Path;
use std::process::Output;

use bench_harness::measure::latency::Latency;
use bench_harness::report::document::{Figures, Report, Times, WindowKind};
use bench_harness::results::Status;
use saved::Saved;
use serde_json::Value;
use support::{TINY, run};
use tempfile::TempDir;

const RING: &str = "ring-spsc/park";

/// Two runs in which all rows keep their rate.
fn kept() -> [Report; 2] {
    [1, 2].map(|seed| {
        let saved = Saved {
            seed,
            ..Saved::default()
        };
        saved.report()
    })
}

/// Two runs with nothing but paced windows of those contenders.
fn kept_alone(names: &[&str]) -> [Report; 2] {
    kept().map(|mut report| {
        let is_named = |row: &Figures| names.contains(&row.full_name().as_str());
        report.results.retain(|row| is_named(row) && !row.is_twin);
        for row in &mut report.results {
            let windows = &mut row.windows;
            windows.retain(|window| window.kind == WindowKind::Paced);
        }
        report
    })
}

fn rows<'a>(report: &'a mut Report, name: &str) -> impl Iterator<Item = &'a mut Figures> {
    let results = report.results.iter_mut();
    results.filter(move |row| row.full_name() == name)
}

/// As if the contender had missed its rate by four tenths.
fn saturate(report: &mut Report, name: &str) {
    for row in rows(report, name) {
        row.paced_ns.saturated = true;
        row.paced_ns.share_behind = Some(0.4);
        row.paced_ns.times = Times::default();
    }
}

/// As if the contender had been saturated at a lower rate already.
fn give_up(report: &mut Report, name: &str) {
    for row in rows(report, name) {
        row.status = Status::Saturated;
        row.reason = Some("it is saturated at 1000 messages a second already".to_owned());
        row.windows.clear();
        row.paced_ns.share_behind = None;
        row.paced_ns.times = Times::default();
    }
}

fn store(place: &Path, name: &str, report: &Report) -> String {
    let file = place.join(name);
    fs::write(&file, serde_json::to_vec(report).unwrap()).unwrap();
    file.to_str().unwrap().to_owned()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What `compare` comes to: its exit code, and all that it prints in the files' bare names.
fn compare([before, after]: &[Report; 2], args: &[&str]) -> (i32, String, String) {
    let place = TempDir::new().unwrap();
    let files = [
        store(place.path(), "before.json", before),
        store(place.path(), "after.json", after),
    ];
    let [before, after] = files.each_ref().map(String::as_str);
    let output = run(&[&["compare", before, after], args].concat());
    let folder = format!("{}/", place.path().display());
    let shown = |bytes: &[u8]| text(bytes).replace(&folder, "");
    let code = output.status.code().unwrap();
    (code, shown(&output.stdout), shown(&output.stderr))
}

fn json(reports: &[Report; 2]) -> Value {
    let (code, printed, problem) = compare(reports, &["--output", "json"]);
    assert_eq!(code, 0, "{problem}");
    let document: Value = serde_json::from_str(&printed).unwrap();
    document["comparisons"][0].clone()
}

fn of_ring<'a>(comparison: &'a Value, list: &str) -> Vec<&'a Value> {
    let all = comparison[list].as_array().unwrap().iter();
    let of_ring = all.filter(|one| one["contender"] == "ring-spsc" && one["wait"] == "park");
    of_ring.collect()
}

fn regression() -> [Report; 2] {
    let [before, mut after] = kept();
    saturate(&mut after, RING);
    [before, after]
}

#[test]
fn a_row_that_became_saturated_fails_every_gate_about_paced_figures() {
    let reports = regression();
    for gate in [
        "paced.p99>+10%",
        "paced.p50>+100000%",
        "any>+100000%",
        "any>+0%",
    ] {
        let (code, _, complaint) = compare(&reports, &["--fail-if", gate]);
        assert_eq!(code, 1, "{gate}: {complaint}");
        let told = format!(
            "bench-harness: {RING} 64 B kept 10000 messages a second in before.json and fell 40% behind them in after.json, which --fail-if '{gate}' forbids"
        );
        assert!(complaint.lines().any(|line| line == told), "{complaint}");
        assert_eq!(complaint.matches(" behind ").count(), 1, "{complaint}");
    }
    let (code, _, complaint) = compare(
        &reports,
        &["--fail-if", "paced.p99>+10%", "--fail-if", "any>+90000%"],
    );
    assert_eq!(code, 1);
    let both = "which --fail-if 'paced.p99>+10%' and --fail-if 'any>+90000%' forbid";
    assert!(complaint.contains(both), "{complaint}");
    for gate in ["stream>+90000%", "p99>+90000%", "cpu>+90000%"] {
        let (code, _, complaint) = compare(&reports, &["--fail-if", gate]);
        assert_eq!((code, complaint.as_str()), (0, ""), "{gate}");
    }
}

#[test]
fn every_form_tells_of_a_row_that_became_saturated() {
    let reports = regression();
    let sentence = "Saturated in after.json and not in before.json: ring-spsc/park 64 B at 10000/s (40% behind).";
    let comparison = json(&reports);
    let summary = comparison["summary"].as_array().unwrap();
    assert!(summary.iter().any(|one| one == sentence), "{summary:?}");
    let [row] = of_ring(&comparison, "saturated")[..] else {
        panic!("{comparison}");
    };
    assert_eq!(
        (&row["saturated_in"], &row["role"]),
        (&"after".into(), &"question".into())
    );
    assert_eq!(row["share_behind_after"], 0.4);
    assert_eq!(row["rate_per_second"], 10_000);
    let mut figures = of_ring(&comparison, "figures").into_iter();
    assert!(figures.all(|one| !one["figure"].as_str().unwrap().starts_with("paced")));

    let folded = |shown: &str| shown.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, table, _) = compare(&reports, &[]);
    assert!(folded(&table).contains(sentence), "{table}");
    let (_, page, _) = compare(&reports, &["--output", "md"]);
    assert!(page.contains(sentence), "{page}");

    let (_, lines, _) = compare(&reports, &["--output", "csv"]);
    let mut reader = csv::Reader::from_reader(lines.as_bytes());
    let lines: Vec<std::collections::HashMap<String, String>> =
        reader.deserialize().map(Result::unwrap).collect();
    let saturated: Vec<_> = lines
        .iter()
        .filter(|line| line["verdict"] == "saturated after")
        .collect();
    assert_eq!(saturated.len(), 1);
    assert_eq!(saturated[0]["figure"], "paced");
    assert_eq!(saturated[0]["share_behind_after"], "0.4");
    assert!(saturated[0]["ratio"].is_empty());

    let place = TempDir::new().unwrap();
    let html = place.path().join("page.html");
    compare(&reports, &["--html", html.to_str().unwrap()]);
    let page = fs::read_to_string(html).unwrap();
    assert!(page.contains("ring-spsc/park 64 B at 10000/s (40% behind)."));
}

#[test]
fn a_row_that_keeps_its_rate_again_is_better_and_fails_nothing() {
    let [kept, saturated] = regression();
    let reports = [saturated, kept];
    let gates = ["--fail-if", "any>+100000%", "--fail-if", "paced.p99>+10%"];
    let (code, table, complaint) = compare(&reports, &gates);
    assert_eq!((code, complaint.as_str()), (0, ""));
    let sentence = "Better: saturated in before.json and no longer in after.json: ring-spsc/park 64 B at 10000/s (40% behind).";
    let told = table.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains(sentence), "{table}");
    assert_eq!(
        of_ring(&json(&reports), "saturated")[0]["saturated_in"],
        "before"
    );
}

#[test]
fn what_is_saturated_in_both_is_told_once_and_is_no_figure() {
    let [mut before, mut after] = kept();
    saturate(&mut before, RING);
    saturate(&mut after, RING);
    let reports = [before, after];
    let gates = ["--fail-if", "paced.p99>+90000%"];
    let (code, table, _) = compare(&reports, &gates);
    assert_eq!(code, 0);
    let told = table.split_whitespace().collect::<Vec<_>>().join(" ");
    let sentence =
        "Saturated in both, so that no latencies are compared: ring-spsc/park 64 B at 10000/s.";
    assert_eq!(told.matches(sentence).count(), 1, "{table}");

    // Without another row the gate could never fail, whatever else was measured.
    let [mut before, mut after] = kept();
    for report in [&mut before, &mut after] {
        report.results.retain(|row| row.full_name() == RING);
        saturate(report, RING);
    }
    let reports = [before, after];
    let (code, _, problem) = compare(&reports, &gates);
    assert_eq!(code, 2, "{problem}");
    assert!(problem.contains("could never fail"), "{problem}");
    assert_eq!(compare(&reports, &["--fail-if", "stream>+90000%"]).0, 0);
}

#[test]
fn a_rate_that_was_given_up_counts_as_saturated() {
    let [before, mut after] = kept();
    give_up(&mut after, RING);
    let lost = [before.clone(), after.clone()];
    let (code, table, complaint) = compare(&lost, &["--fail-if", "paced.p99>+10%"]);
    assert_eq!(code, 1, "{complaint}");
    let told = "ring-spsc/park 64 B kept 10000 messages a second in before.json and was given up in after.json (it is saturated at 1000 messages a second already), which";
    assert!(complaint.contains(told), "{complaint}");
    assert!(!table.contains("Measured before"), "{table}");

    let won = [after.clone(), before];
    let (code, table, _) = compare(&won, &["--fail-if", "paced.p99>+90000%"]);
    assert_eq!(code, 0);
    assert!(
        table.contains("Better: saturated in before.json"),
        "{table}"
    );
    assert!(!table.contains("Measured after only"), "{table}");

    let mut later = after.clone();
    later.settings.seed += 1;
    let (_, table, _) = compare(&[after, later], &[]);
    assert!(table.contains("Saturated in both"), "{table}");
}

#[test]
fn controls_that_became_saturated_are_told_and_fail_nothing() {
    let [before, mut after] = kept();
    for name in ["unix-dgram/park", "eventfd/park"] {
        saturate(&mut after, name);
    }
    let reports = [before, after];
    let gates = ["--fail-if", "any>+90000%", "--fail-if", "paced.p99>+90000%"];
    let (code, table, complaint) = compare(&reports, &gates);
    assert_eq!((code, complaint.as_str()), (0, ""));
    let told = table.split_whitespace().collect::<Vec<_>>().join(" ");
    let sentence = "Saturated in after.json and not in before.json, though these can't have changed: unix-dgram/park 64 B at 10000/s (40% behind)";
    assert!(told.contains(sentence), "{table}");
    // Where something else is the control, they are in question.
    let named = [&gates[..], &["--controls", "pipe"]].concat();
    let (code, _, complaint) = compare(&reports, &named);
    assert_eq!(code, 1);
    assert!(
        complaint.contains("unix-dgram/park 64 B kept"),
        "{complaint}"
    );
}

#[test]
fn a_row_without_any_other_figure_fails_as_well() {
    let [before, mut after] = kept_alone(&[RING]);
    saturate(&mut after, RING);
    let reports = [before, after];
    for form in ["table", "md", "csv", "json"] {
        let args = ["--fail-if", "paced.p99>+10%", "--output", form];
        let (code, printed, complaint) = compare(&reports, &args);
        assert_eq!(code, 1, "{form}: {complaint}");
        assert!(complaint.contains("fell 40% behind"), "{complaint}");
        assert!(printed.contains("aturated"), "{form}: {printed}");
    }
    // Another row doesn't hide it.
    let [before, mut after] = kept_alone(&[RING, "ring-mpmc/park", "pipe/park"]);
    saturate(&mut after, RING);
    let args = ["--fail-if", "paced.p99>+10%"];
    assert_eq!(compare(&[before, after], &args).0, 1);
}

#[test]
fn another_pace_is_no_regression() {
    let [before, mut after] = regression();
    for row in rows(&mut after, RING) {
        row.paced_ns.rate_per_second = Some(20_000);
    }
    let reports = [before, after];
    assert_eq!(compare(&reports, &["--fail-if", "any>+90000%"]).0, 0);
    assert!(of_ring(&json(&reports), "saturated").is_empty());
}

#[test]
fn a_run_that_cannot_keep_the_rate_of_its_baseline_fails() {
    let place = TempDir::new().unwrap();
    let first = place.path().join("first.json");
    let first = first.to_str().unwrap();
    // Nothing that sleeps keeps that rate.
    let measure = |args: &[&str]| -> Output {
        let row = ["paced", "--contender", RING, "--rate", "100M"];
        run(&[&row, &TINY[..], args].concat())
    };
    let output = measure(&["--save", first]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let mut report: Report = serde_json::from_slice(&fs::read(first).unwrap()).unwrap();
    let failing = |baseline: &str| {
        let gate = ["--baseline", baseline, "--fail-if", "paced.p50>+10%"];
        measure(&[&gate[..], &["--output", "csv"]].concat())
    };
    let refused = failing(first);
    let problem = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{problem}");
    assert!(problem.contains("could never fail"), "{problem}");
    for row in &mut report.results {
        assert_eq!(row.status, Status::Saturated);
        row.status = Status::Ok;
        row.paced_ns.saturated = false;
        row.paced_ns.share_behind = Some(0.0);
        for window in &mut row.windows {
            window.times_ns = Some(Latency {
                p50: Some(1_000),
                samples: 25,
                ..Latency::default()
            });
        }
    }
    let output = failing(&store(place.path(), "kept.json", &report));
    let complaint = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(
        complaint.contains("ring-spsc/park 64 B kept 100000000 messages a second in"),
        "{complaint}"
    );
    let lines = text(&output.stdout);
    assert!(lines.contains("share_behind_after"), "{lines}");
    assert!(lines.contains(",paced,question,saturated after"), "{lines}");
}
