//! Runs the built program with every measuring command: what its rows are, that every message and every wake-up is accounted for, and that an
//! interrupt leaves nothing behind. No speed is asserted.

mod support;

use std::io::Read;
use std::process::Stdio;

use bench_harness::machine::allowed_cores;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use support::{await_marked, count_marked, harness, is_clean, run};

const SHORT: [&str; 8] = [
    "--output",
    "json",
    "--rounds",
    "2",
    "--duration",
    "5ms",
    "--seed",
    "7",
];

fn report(args: &[&str]) -> Value {
    let (command, rest) = args.split_first().unwrap();
    let output = run(&[&[*command], &SHORT[..], rest].concat());
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {complaint}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn rows(report: &Value) -> &[Value] {
    report["results"].as_array().unwrap()
}

fn name(row: &Value) -> String {
    format!(
        "{}/{}",
        row["contender"].as_str().unwrap(),
        row["wait"].as_str().unwrap()
    )
}

/// A busy machine may miss any rate; what may not be is a failure, or a message that nobody knows of.
fn assert_accounted_for(row: &Value) {
    let status = row["status"].as_str().unwrap();
    assert_ne!(status, "failed", "{row:#}");
    assert_eq!(status == "ok", row["reason"].is_null(), "{row:#}");
    assert!(is_clean(row), "{row:#}");
    assert_eq!(row["integrity"]["sent"], row["integrity"]["received"]);
    if status == "ok" {
        assert!(row["integrity"]["sent"].as_u64() > Some(0), "{row:#}");
    }
}

#[test]
fn every_wake_up_after_every_gap_is_counted() {
    let report = report(&["wake", "--gaps", "20us,500us"]);
    for row in rows(&report) {
        assert_accounted_for(row);
    }
    let of_class = |class: &str| {
        rows(&report)
            .iter()
            .filter(|row| row["class"] == class)
            .count()
    };
    assert!(of_class("notify") >= 10 && of_class("message") >= 10);
    let rates: Vec<u64> = rows(&report)
        .iter()
        .map(|row| row["paced_ns"]["rate_per_second"].as_u64().unwrap())
        .collect();
    let of_rate = |rate: u64| rates.iter().filter(|&&of_row| of_row == rate).count();
    assert_eq!(of_rate(50_000), of_rate(2_000));
    assert_eq!(of_rate(50_000) * 2, rates.len());
}

#[test]
fn a_rate_that_nobody_can_keep_is_saturated_and_higher_ones_are_not_tried() {
    let args = [
        "curve",
        "--rates",
        "1k,50M,100M",
        "--contender",
        "unix-dgram",
        "--contender",
        "eventfd",
        "--contender",
        "semaphore-owned",
    ];
    let report = report(&args);
    assert_eq!(rows(&report).len(), 9);
    for row in rows(&report) {
        assert_accounted_for(row);
        let rate = row["paced_ns"]["rate_per_second"].as_u64().unwrap();
        if rate > 1_000 {
            // 20 ns for a message between two processes by way of the kernel: certainly not.
            assert_eq!(row["status"], "saturated", "{row:#}");
            assert!(row["paced_ns"]["p50"].is_null(), "{row:#}");
        }
        if rate == 100_000_000 {
            let reason = row["reason"].as_str().unwrap();
            assert!(
                reason.contains("50000000 messages a second already"),
                "{reason}"
            );
        }
    }
}

#[test]
fn every_pair_of_cores_has_its_rows() {
    // On a machine with a single one there is no pair.
    let cores = allowed_cores().unwrap();
    let &[left, right, ..] = &cores[..] else {
        return;
    };
    let report = report(&["topo", "--cpus", &format!("{left},{right}")]);
    let mut names: Vec<String> = rows(&report).iter().map(name).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["limit-line/spin", "ring-spsc/park", "ring-spsc/spin"]
    );
    for row in rows(&report) {
        assert_accounted_for(row);
        assert_eq!(row["cores"], serde_json::json!([left, right]));
        assert!(row["round_trip_ns"]["max"].as_u64() > Some(0), "{row:#}");
    }
}

#[test]
fn every_size_and_every_fan_has_its_row() {
    let of_sizes = report(&["sweep", "--size", "8,1K", "--contender", "unix-dgram"]);
    let sizes: Vec<_> = rows(&of_sizes)
        .iter()
        .map(|row| row["size_bytes"].as_u64())
        .collect();
    // Once more, to see how far equal things differ.
    assert_eq!(sizes, [Some(8), Some(1_024), Some(8)]);
    let of_fans = report(&[
        "fan",
        "--producers",
        "1,3",
        "--consumers",
        "2",
        "--contender",
        "unix-dgram",
    ]);
    let fans: Vec<_> = rows(&of_fans)
        .iter()
        .filter(|row| row["is_twin"] == false)
        .map(|row| (row["producers"].as_u64(), row["consumers"].as_u64()))
        .collect();
    assert_eq!(fans, [(Some(1), Some(2)), (Some(3), Some(2))]);
    for row in rows(&of_sizes).iter().chain(rows(&of_fans)) {
        assert_accounted_for(row);
        assert!(
            row["stream"]["ns_per_message"].as_f64() > Some(0.0),
            "{row:#}"
        );
    }
}

#[test]
fn windows_that_a_low_rate_makes_longer_are_told_in_every_form() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (saved, page) = (path("saved.json"), path("page.html"));
    let of_pipe = ["--contender", "pipe", "--save", &saved];
    let remark = "lengthened from 5,000 µs to 125 ms: 25 messages are the least in one, and at ";
    for (command, rounds, why) in [
        (
            &["paced", "--rate", "200"][..],
            "2 of 125 ms windows,",
            "200 a second",
        ),
        (
            &["run", "--rate", "200"],
            "2 of 5,000 µs windows, paced ones of 125 ms,",
            "200 a second",
        ),
        (
            &["curve", "--rates", "10k,200"],
            "2 of 5,000 µs to 125 ms windows,",
            "the lowest rate, 200 a second",
        ),
    ] {
        let report = report(&[command, &of_pipe].concat());
        assert_eq!(report["settings"]["paced_window_ns"], 125_000_000);
        assert_eq!(report["settings"]["paced_messages_min"], 25);
        for form in [
            &["--output", "table"][..],
            &["--output", "md"],
            &["--html", &page],
        ] {
            let output = harness(&[&["report", &saved], form].concat())
                .output()
                .unwrap();
            let text = match form {
                ["--html", ..] => std::fs::read(&page).unwrap(),
                _ => output.stdout,
            };
            let text = String::from_utf8(text).unwrap();
            // Tables break their lines, and so does the remark.
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(text.contains(rounds), "{form:?}: {text}");
            assert!(text.contains(&format!("{remark}{why}")), "{form:?}: {text}");
        }
    }
    let at_ease = report(&["paced", "--rate", "10k", "--contender", "pipe"]);
    assert_eq!(at_ease["settings"]["paced_window_ns"], 5_000_000);
}

#[test]
fn every_command_can_be_interrupted_and_tells_what_it_has() {
    for (command, rows) in [
        (&["rtt"][..], 2),
        (&["stream"], 2),
        (&["paced", "--workload", "video"], 2),
        (&["curve", "--rates", "1k,2k"], 2),
        (&["wake", "--gaps", "1ms"], 1),
    ] {
        let mark = format!("interrupted-{}-{}", command[0], std::process::id());
        let endless = [
            "--output",
            "json",
            "--rounds",
            "1000",
            "--duration",
            "300ms",
        ];
        let mut child = harness(&[command, &endless, &["--contender", "unix-dgram"]].concat())
            .env("BENCH_HARNESS_TEST_MARK", &mark)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The coordinator and the measured processes.
        await_marked(&mark, 3);
        kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
        let mut text = String::new();
        let mut out = child.stdout.take().unwrap();
        out.read_to_string(&mut text).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{command:?}");
        assert_eq!(count_marked(&mark), 0, "{command:?}");
        let report: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(report["incomplete"], true, "{command:?}");
        assert_eq!(self::rows(&report).len(), rows, "{command:?}");
    }
}
