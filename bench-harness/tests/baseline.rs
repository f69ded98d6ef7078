//! Runs that are compared with a baseline, and what is forbidden of them. The baselines are made up.

#[path = "support/sample.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod sample;
#[path = "support/saved.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod saved;
mod support;

use std::fs;
use std::path::PathBuf;

use bench_harness::report::document::Report;
use saved::Saved;
use serde_json::Value;
use support::{TINY, run, temporary_file};

/// A file for one test.
fn file(name: &str, report: &Report) -> String {
    let text = serde_json::to_vec(report).unwrap();
    let path = temporary_file(&format!("baseline-{name}.json"), &text);
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_run_is_compared_with_its_baseline_and_saved_though_it_is_worse() {
    // No machine is so fast: whatever is measured is slower, and with that many rounds detectably.
    let mut impossible = Saved::default().report();
    impossible
        .results
        .retain(|row| row.contender == "ring-spsc");
    for row in &mut impossible.results {
        for window in &mut row.windows {
            window.ns_each = 1e-6;
            if let Some(times) = &mut window.times_ns {
                times.p50 = Some(1);
            }
        }
    }
    let baseline = file("impossible", &impossible);
    let saved = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("compare-saved.json");
    // Left by an earlier run of this test, if at all.
    let _ = fs::remove_file(&saved);
    let args = [
        "stream",
        "--contender",
        "ring-spsc/spin",
        "--rounds",
        "8",
        "--duration",
        "1ms",
        "--output",
        "json",
        "--baseline",
        &baseline,
        "--fail-if",
        "stream>+10%",
        "--save",
        saved.to_str().unwrap(),
    ];
    let output = run(&args);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code().unwrap(), 1, "{complaint}");
    assert!(
        complaint.contains("which --fail-if 'stream>+10%' forbids"),
        "{complaint}"
    );
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["comparison"]["after"]["name"], "this run");
    assert!(
        !report["comparison"]["forbidden"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    let kept: Value = serde_json::from_slice(&fs::read(&saved).unwrap()).unwrap();
    assert!(kept["comparison"].is_null());
    fs::remove_file(&saved).unwrap();
}

#[test]
fn a_table_of_a_run_ends_with_the_comparison() {
    let report = Saved::default().report();
    let baseline = file("below", &report);
    let page = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("baseline-page.html");
    let html = ["--html", page.to_str().unwrap()];
    let args = ["--contender", "pipe", "--baseline", &baseline];
    let output = run(&[&["rtt"], &TINY[..], &args, &html].concat());
    let table = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        output.status.code().unwrap(),
        0,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        table.contains(&format!("Compared with {baseline}")),
        "{table}"
    );
    // Made-up times are those of no machine, so there are no controls.
    assert!(table.contains("the machines differ"), "{table}");
    assert!(table.contains("[in question]"), "{table}");
    let written = fs::read_to_string(&page).unwrap();
    fs::remove_file(&page).unwrap();
    assert!(written.contains("<section id=\"compared\">"));
    assert!(written.contains(&format!("<h2>Compared with {baseline}</h2>")));
}
