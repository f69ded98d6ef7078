//! Runs the built program with records: of files and of workloads, with every command; and with stalls that were planted. No speed is asserted
//! but that what was planted takes as long as it must.

mod support;

use std::fs;
use std::process::{Output, Stdio};

use serde_json::Value;

use support::{await_marked, harness, is_clean, row, run, temporary_file};

const SHORT: [&str; 8] = [
    "--output",
    "json",
    "--rounds",
    "1",
    "--duration",
    "5ms",
    "--seed",
    "7",
];

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn report(args: &[&str]) -> Value {
    let (command, rest) = args.split_first().unwrap();
    let output = run(&[&[*command], &SHORT[..], rest].concat());
    assert_eq!(
        output.status.code(),
        Some(0),
        "{args:?}: {}",
        stderr(&output)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn rows(report: &Value) -> &[Value] {
    report["results"].as_array().unwrap()
}

/// One of bytes that spins, one that sleeps, one of byte streams.
const THREE: [&str; 6] = [
    "--contender",
    "ring-spsc-bytes/spin",
    "--contender",
    "unix-seqpacket",
    "--contender",
    "pipe",
];

fn assert_delivered(report: &Value) {
    for row in rows(report) {
        // A short window on a busy machine may well miss a rate.
        let status = row["status"].as_str().unwrap();
        assert!(["ok", "saturated"].contains(&status), "{row:#}");
        assert!(is_clean(row), "{row:#}");
        assert!(row["integrity"]["sent"].as_u64() > Some(0), "{row:#}");
        assert_eq!(row["integrity"]["sent"], row["integrity"]["received"]);
    }
}

#[test]
fn every_command_sends_the_records_of_a_file() {
    let lines: Vec<String> = (0..500)
        .map(|n| format!("{n} {}\n", "x".repeat(n % 90)))
        .collect();
    let file = temporary_file("every-command", lines.concat().as_bytes());
    let payload = ["--payload", file.to_str().unwrap(), "--frame", "line"];
    for command in [
        &["run"][..],
        &["rtt"],
        &["stream"],
        &["paced"],
        &["curve", "--rates", "1k,20k"],
        &["wake", "--gaps", "50us,500us"],
        &["topo"],
        &["fan", "--producers", "1,2", "--consumers", "1,2"],
    ] {
        // What is framed and shared by several that read must be of one length: of pipes the sockets are enough here.
        let of = if command[0] == "fan" {
            &THREE[2..4]
        } else {
            &THREE[..]
        };
        let report = report(&[command, of, &payload].concat());
        assert_eq!(report["payload"]["records"], 500, "{command:?}");
        assert!(report["workload"].is_null());
        assert_delivered(&report);
    }
}

#[test]
fn a_file_that_changes_during_the_run_is_sent_as_it_was_described() {
    type Change = fn(&std::path::Path);
    let replace: Change = |path| {
        let other = path.with_extension("new");
        fs::write(&other, "1\n2\n3\n").unwrap();
        fs::rename(other, path).unwrap();
    };
    let truncate: Change = |path| fs::write(path, "").unwrap();
    for (name, change) in [("replaced", replace), ("truncated", truncate)] {
        let file = temporary_file(&format!("{name}-meanwhile"), &b"a line\n".repeat(7));
        let path = file.to_str().unwrap();
        let mark = format!("BENCH_TEST_CHANGED={name}-{}", std::process::id());
        let (key, value) = mark.split_once('=').unwrap();
        let windows = ["--rounds", "3", "--duration", "200ms", "--output", "json"];
        let sent = ["--contender", "pipe", "--payload", path, "--frame", "line"];
        let child = harness(&[&["stream"], &windows[..], &sent].concat())
            .env(key, value)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The coordinator and both measured processes: the file is described by now, and most sessions are still to come.
        await_marked(&mark, 3);
        change(&file);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{name}: {}", stderr(&output));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["payload"]["records"], 7);
        assert_delivered(&report);
        for window in rows(&report)[0]["windows"].as_array().unwrap() {
            let (count, ns) = (&window["count"], &window["elapsed_ns"]);
            assert_eq!(count.as_u64().unwrap() % 7, 0, "{name}: {count}, {ns} ns");
        }
    }
}

#[test]
fn every_command_sends_the_records_of_a_workload() {
    for (workload, least, most) in [("ticks", 48, 48), ("logs:3", 40, 4_095)] {
        for command in [
            &["run"][..],
            &["rtt"],
            &["stream"],
            &["paced"],
            &["curve", "--rates", "1k,20k"],
            &["wake", "--gaps", "50us,500us"],
            &["topo"],
        ] {
            let report = report(&[command, &THREE, &["--workload", workload]].concat());
            let sent = &report["workload"];
            assert_eq!(sent["name"], workload.split(':').next().unwrap());
            assert_eq!(sent["len_min"], least);
            assert!(sent["len_max"].as_u64() <= Some(most), "{sent}");
            assert!(sent["peak_rate_per_second"].as_f64() > sent["mean_rate_per_second"].as_f64());
            assert!(report["payload"].is_null());
            assert_delivered(&report);
        }
    }
}

#[test]
fn a_stream_sends_whole_passes_and_several_send_each_record_as_often() {
    let several = ["--producers", "2", "--consumers", "2"];
    for (fan, more) in [(&[][..], 0), (&several[..], 8)] {
        let args = [&["stream", "--workload", "logs"], &THREE[2..4], fan].concat();
        let report = report(&args);
        assert_delivered(&report);
        let row = row(&report, "unix-seqpacket", "park");
        let longest = report["workload"]["len_max"].as_u64().unwrap();
        assert_eq!(row["size_bytes"].as_u64(), Some(longest + more));
        for window in row["windows"].as_array().unwrap() {
            let count = window["count"].as_u64().unwrap();
            assert!(count > 0 && count % 10_000 == 0, "{window}");
        }
    }
}

#[test]
fn what_needs_one_length_carries_ticks_and_refuses_lines() {
    for (workload, status) in [("ticks", "ok"), ("logs", "unavailable")] {
        let report = report(&[
            "rtt",
            "--workload",
            workload,
            "--contender",
            "ring-spsc/park",
        ]);
        assert_eq!(rows(&report)[0]["status"], status, "{workload}");
    }
}

#[test]
fn paced_records_come_at_their_own_moments_or_as_told() {
    let of = |more: &[&str]| {
        let args = [&["paced", "--contender", "unix-seqpacket"], more].concat();
        let report = report(&args);
        let paced = rows(&report)[0]["paced_ns"].clone();
        (paced["rate_per_second"].clone(), paced["arrivals"].clone())
    };
    let pace = |rate: u64, arrivals: &str| (Value::from(rate), Value::from(arrivals));
    assert_eq!(of(&["--workload", "video"]), pace(60, "recorded"));
    assert_eq!(
        of(&["--workload", "ticks", "--rate", "1k"]),
        pace(1_000, "recorded")
    );
    assert_eq!(
        of(&["--workload", "logs", "--arrivals", "poisson"]),
        pace(5_000, "poisson")
    );
}

#[test]
fn video_frames_last_as_long_as_they_were_recorded() {
    let args = [
        "paced",
        "--workload",
        "video",
        "--contender",
        "unix-seqpacket",
    ];
    let report = report(&args);
    let row = &rows(&report)[0];
    let window = &row["windows"][0];
    // The window is too short for 25 frames, and is made longer: 24 distances of a sixtieth of a second.
    assert_eq!(window["count"], 25);
    assert!(
        window["elapsed_ns"].as_u64() >= Some(399_000_000),
        "{window}"
    );
    // So few would not come to the end of the link: made-up messages did before them.
    assert!(row["integrity"]["sent"].as_u64() >= Some(300), "{row:#}");
}

#[test]
fn what_cannot_be_with_records_is_told_before_anything_starts() {
    for (args, part) in [
        (&["sweep", "--workload", "ticks"][..], "`sweep` makes up"),
        (&["paced", "--arrivals", "recorded"], "--workload"),
        (
            &["--workload", "ticks", "--contender", "eventfd"],
            "carries",
        ),
        (&["--workload", "tick"], "none of ticks, logs, video"),
        (
            &["--workload", "ticks", "--plant-fault", "lost"],
            "--plant-fault",
        ),
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let complaint = stderr(&output);
        assert!(complaint.contains(part), "{args:?}: {complaint}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn the_table_says_what_was_sent() {
    let args = ["rtt", "--workload", "logs", "--contender", "pipe"];
    let output = run(&[&args[..], &SHORT[2..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let part = "logs:1 (crc32 6b3a6808): 10,000 records";
    assert!(text.contains(part), "{text}");
}

/// The windows of a kind, with their times.
fn times(report: &Value, kind: &str) -> Vec<Value> {
    let windows = rows(report)[0]["windows"].as_array().unwrap();
    let of_kind = windows.iter().filter(|window| window["kind"] == kind);
    of_kind.map(|window| window["times_ns"].clone()).collect()
}

#[test]
fn a_planted_stall_shows_in_the_percentiles_of_the_open_loop_alone() {
    const MS: u64 = 1_000_000;
    let stalled = ["--plant-stall", "50ms", "--contender", "ring-spsc/park"];
    let of = |command: &[&str]| {
        let args = ["--output", "json", "--rounds", "3"];
        let output = run(&[command, &args, &stalled].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let report = of(&["paced", "--arrivals", "constant", "--duration", "500ms"]);
    let paced = times(&report, "paced");
    assert!(paced.len() >= 3, "{report:#}");
    for times in &paced {
        // One message in a hundred waited for what was left of the stall when a hundredth of the window had passed: 45 ms, less the
        // distance of some messages. A slow machine makes it more.
        assert!(times["p99"].as_u64() >= Some(44 * MS), "{times}");
        assert!(times["max"].as_u64() >= Some(50 * MS), "{times}");
    }
    // Long enough for the thousand exchanges of that percentile, also where each takes a millisecond.
    let report = of(&["rtt", "--duration", "1500ms"]);
    let trips = times(&report, "round_trip");
    assert!(trips.len() >= 3, "{report:#}");
    for times in &trips {
        assert!(times["max"].as_u64() >= Some(50 * MS), "{times}");
    }
    // Whoever waits for an answer sends nothing: a single exchange saw it. Machines have stalls of their own; that one window of three was
    // without is enough.
    let hides = |times: &Value| times["p99"].as_u64().is_some_and(|p99| p99 < 25 * MS);
    assert!(trips.iter().any(hides), "{trips:#?}");
}
