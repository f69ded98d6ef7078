//! Runs the built program with tiny windows: its report, its exit codes, and that nothing stays behind. No speed is asserted.

mod support;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use support::{
    TINY, await_marked, await_others, count_marked, is_clean, marked, row, run, start_endless,
    temporary_file, tiny_report,
};

#[test]
fn every_contender_reports_in_the_format() {
    let (code, report) = tiny_report(&[]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["schema"], "ipc-bench-harness/1");
    assert_eq!(report["settings"]["rounds"], 2);
    assert_eq!(report["settings"]["seed"], 7);
    assert_eq!(report["incomplete"], false);
    assert!(report["environment"]["cores"].as_u64().unwrap() > 0);
    let rows = report["results"].as_array().unwrap();
    for row in rows {
        let name = format!("{}/{}", row["contender"], row["wait"]);
        assert!(
            row["status"] == "ok" || row["status"] == "unavailable",
            "{name}: {row:#}"
        );
        assert_eq!(row["status"] == "ok", row["reason"].is_null(), "{name}");
        assert!(is_clean(row), "{name}");
        for window in row["windows"].as_array().unwrap() {
            let is_trip = window["kind"] == "round_trip";
            assert_eq!(window["beside"], if is_trip { 8 } else { 0 }, "{name}");
        }
        let carries = row["class"] == "message" || row["class"] == "stream";
        if carries && row["status"] == "ok" {
            assert_eq!(row["size_bytes"], 64, "{name}");
            assert!(row["integrity"]["sent"].as_u64().unwrap() > 1_000, "{name}");
            assert_eq!(
                row["integrity"]["sent"], row["integrity"]["received"],
                "{name}"
            );
            let stream = &row["stream"];
            let slower = stream["drained"]["ns_per_message"]
                .as_f64()
                .unwrap()
                .max(stream["working"]["ns_per_message"].as_f64().unwrap());
            assert_eq!(stream["ns_per_message"].as_f64(), Some(slower), "{name}");
            assert_eq!(stream["rounds"].as_array().unwrap().len(), 2, "{name}");
            assert!(row["capacity"].as_u64().unwrap() > 0, "{name}");
        }
        for key in ["paced_ns", "round_trip_ns", "stream", "ratio_to_limit"] {
            assert!(row[key].is_object(), "{name}: {key}");
        }
        for key in [
            "cpu_ns_per_message",
            "context_switches_per_message",
            "system_calls_per_message",
        ] {
            assert!(row.get(key).is_some(), "{name}: {key}");
        }
    }
    for wait in ["spin", "spin-park", "park"] {
        for ring in [
            "ring-spsc",
            "ring-spsc-bytes",
            "ring-mpmc",
            "ring-mpmc-bytes",
        ] {
            assert_eq!(row(&report, ring, wait)["status"], "ok");
        }
    }
    for limit in ["limit-line", "limit-memcpy", "limit-futex"] {
        assert!(
            rows.iter()
                .any(|row| row["contender"] == limit && row["class"] == "limit")
        );
    }
}

#[test]
fn percentiles_have_ten_samples_beyond_them() {
    let (_, report) = tiny_report(&["--contender", "limit-*", "--contender", "pipe"]);
    for row in report["results"].as_array().unwrap() {
        let windows = row["windows"].as_array().unwrap();
        for window in windows.iter().filter(|w| w["kind"] == "round_trip") {
            let distribution = &window["times_ns"];
            let samples = distribution["samples"].as_f64().unwrap();
            for (percentile, beyond) in [
                ("p50", 0.5),
                ("p90", 0.1),
                ("p99", 0.01),
                ("p99_9", 0.001),
                ("p99_99", 0.0001),
            ] {
                let is_told = !distribution[percentile].is_null();
                assert_eq!(
                    is_told,
                    samples * beyond >= 9.999,
                    "{percentile}: {distribution}"
                );
            }
            assert!(distribution["max"].as_u64().unwrap() > 0);
        }
    }
}

#[test]
fn what_was_left_out_is_missing_and_the_ratio_to_it_is_null() {
    let (code, report) = tiny_report(&["--contender", "ring-spsc*", "--exclude", "*/spin"]);
    assert_eq!(code, 0);
    assert_eq!(report["results"].as_array().unwrap().len(), 5);
    let ring = row(&report, "ring-spsc", "park");
    assert!(ring["ratio_to_limit"]["stream"].is_null());
    assert!(ring["ratio_to_pipe"]["stream"].is_null());
}

#[test]
fn the_wait_until_a_message_is_due_is_no_cost_of_it() {
    const GAP_NS: f64 = 2_000_000.0;
    let args = ["paced", "--output", "json", "--rate", "500", "--duration"];
    let more = ["100ms", "--rounds", "2", "--contender", "pipe"];
    let output = run(&[&args[..], &more].concat());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = row(&report, "pipe", "park");
    assert!(row["windows"].as_array().is_some_and(|all| !all.is_empty()));
    for window in row["windows"].as_array().unwrap() {
        let sender = &window["sender"];
        let waiting_ns = &sender["waiting"]["cpu_ns"];
        if waiting_ns.is_null() {
            // With a single core both sides share it.
            assert!(row["cpu_ns_per_message"].is_null(), "{row:#}");
            return;
        }
        // It waits on its core, as far as that is its own, and does nearly nothing else.
        let all_ns = sender["cpu_ns"].as_f64().unwrap();
        let paid_ns = all_ns - waiting_ns.as_f64().unwrap();
        assert!(paid_ns > 0.0 && paid_ns < all_ns / 2.0, "{window:#}");
    }
    let cpu_ns = row["cpu_ns_per_message"].as_f64().unwrap();
    assert!(cpu_ns > 0.0 && cpu_ns < GAP_NS / 4.0, "{row:#}");
}

#[test]
fn sizes_that_a_contender_cannot_carry_are_unavailable_with_the_reason() {
    let args = [
        "--contender",
        "ring-spsc/spin",
        "--contender",
        "ring-spsc-bytes/park",
    ];
    let (code, report) = tiny_report(&[&args[..], &["--size", "7,100,1K"]].concat());
    assert_eq!(code, 0);
    let of_ring: Vec<_> = report["results"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["contender"] == "ring-spsc" && row["is_twin"] == false)
        .map(|row| {
            (
                row["size_bytes"].as_u64().unwrap(),
                row["status"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        of_ring,
        [(7, "unavailable"), (100, "unavailable"), (1024, "ok")]
    );
    let (code, _) = tiny_report(&[&args[..], &["--size", "7", "--require-all"]].concat());
    assert_eq!(code, 5);
}

#[test]
fn planted_faults_are_noticed_named_and_leave_no_speed() {
    for fault in ["duplicated", "reordered", "corrupted", "lost"] {
        let (code, report) = tiny_report(&[
            "--contender",
            "ring-spsc-bytes/park",
            "--plant-fault",
            fault,
        ]);
        assert_eq!(code, 4, "{fault}");
        let row = row(&report, "ring-spsc-bytes", "park");
        assert_eq!(row["status"], "failed", "{fault}");
        assert_eq!(row["integrity"][fault], 1, "{fault}: {row:#}");
        assert!(
            row["reason"].as_str().unwrap().contains(fault),
            "{fault}: {row:#}"
        );
        assert!(row["stream"]["ns_per_message"].is_null(), "{fault}");
        assert!(row["round_trip_ns"]["max"].is_null(), "{fault}");
    }
}

#[test]
fn bad_input_is_told_before_anything_starts() {
    let empty = temporary_file("empty", b"");
    let truncated = temporary_file("truncated", b"\x09\0\0\0only");
    let (empty, truncated) = (empty.to_str().unwrap(), truncated.to_str().unwrap());
    for (args, code, part) in [
        (&["--contender", "nothing*"][..], 2, "matches none"),
        (&["--exclude", "*"], 2, "leaves no contender"),
        #[cfg(not(feature = "peers"))]
        (&["--contender", "rtrb/*"], 2, "--features peers"),
        (&["--size", "0"], 2, "1 to 1048576 bytes"),
        (&["--cpus", "0,4095"], 2, "core 4095"),
        (&["--duration", "1h"], 2, "from 1ms to 1m"),
        (&["--payload", empty, "--frame", "line"], 6, "is empty"),
        (
            &["--payload", truncated, "--frame", "len32"],
            6,
            "is truncated",
        ),
        (
            &["--payload", "/no/such/file", "--frame", "line"],
            6,
            "can't be read",
        ),
        (
            &[
                "--payload",
                truncated,
                "--frame",
                "line",
                "--contender",
                "eventfd",
            ],
            2,
            "carries",
        ),
    ] {
        let output = run(args);
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {complaint}");
        assert!(complaint.contains(part), "{args:?}: {complaint}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn the_records_of_a_file_arrive_as_they_are() {
    let mut content = Vec::new();
    for number in 0..600 {
        let line = "x".repeat(number % 200);
        writeln!(content, "{number} {line}").unwrap();
    }
    let file = temporary_file("lines", &content);
    let args = [
        "--output",
        "json",
        "--rounds",
        "1",
        "--duration",
        "5ms",
        "--payload",
        file.to_str().unwrap(),
    ];
    for (frame, records, unavailable) in [("line", 600, 3), ("fixed=64", 0, 3), ("fixed=1", 0, 3)] {
        let output = run(&[&args[..], &["--frame", frame]].concat());
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["payload"]["bytes"], content.len());
        if records > 0 {
            assert_eq!(report["payload"]["records"], records);
        }
        let rows = report["results"].as_array().unwrap();
        let missing = rows.iter().filter(|row| row["status"] != "ok");
        for row in missing.clone() {
            assert_eq!(row["status"], "unavailable", "{row:#}");
        }
        assert!(missing.count() >= unavailable);
        let bytes = row(&report, "ring-spsc-bytes", "park");
        assert_eq!(bytes["status"], "ok", "{bytes:#}");
        let count = |of: &Value| of.as_u64().unwrap();
        let received = count(&bytes["integrity"]["received"]);
        assert!(received >= count(&report["payload"]["records"]));
        assert_eq!(received, count(&bytes["integrity"]["sent"]));
        assert!(is_clean(bytes));
    }
}

#[test]
fn an_interrupted_run_writes_what_it_has_and_leaves_nobody_behind() {
    let (mut child, mark) = start_endless("interrupted", &["--contender", "pipe"], 2);
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    let mut text = String::new();
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(count_marked(&mark), 0);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["incomplete"], true);
    assert_eq!(report["results"].as_array().unwrap().len(), 2);
}

#[test]
fn a_run_goes_on_when_a_measured_process_is_killed_and_says_so() {
    let args = ["--contender", "pipe"];
    let (mut child, mark) = start_endless("one-killed", &args, 2);
    let coordinator = child.id().cast_signed();
    // A session may just have ended, and the next one not yet begun.
    let deadline = Instant::now() + Duration::from_secs(20);
    let measured = loop {
        assert!(Instant::now() < deadline, "nobody is measured");
        let others = marked(&mark).into_iter().filter(|&pid| pid != coordinator);
        let mut killed = others.filter(|&pid| kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok());
        if let Some(pid) = killed.next() {
            break pid;
        }
    };
    // The next session has begun when there are two others.
    await_others(&mark, measured, 3);
    kill(Pid::from_raw(coordinator), Signal::SIGINT).unwrap();
    let mut text = String::new();
    let stdout = child.stdout.as_mut().unwrap();
    stdout.read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(count_marked(&mark), 0);
    let report: Value = serde_json::from_str(&text).unwrap();
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("was run again"), "{warnings}");
    assert!(warnings.contains("signal: 9"), "{warnings}");
}

#[test]
fn the_measured_processes_do_not_outlive_a_coordinator_that_is_killed() {
    let (mut child, mark) = start_endless("killed", &["--contender", "pipe"], 2);
    child.kill().unwrap();
    child.wait().unwrap();
    await_marked(&mark, 0);
}

#[test]
fn the_table_ends_with_plain_sentences() {
    let args = [
        "--contender",
        "ring-spsc*",
        "--contender",
        "pipe",
        "--contender",
        "limit-*",
    ];
    let output = run(&[&TINY[..], &args].concat());
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "Of the message mechanisms that spin, ring-spsc",
        "Of the message mechanisms that sleep while they wait, ring-spsc",
        "which sleeps as pipe does",
        "seed 7",
        "[message]",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn the_list_names_every_contender_with_class_and_wait() {
    let output = run(&["list"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    for name in [
        "limit-line/spin",
        "ring-spsc/spin-park",
        "ring-spsc-bytes/park",
        "pipe/park",
    ] {
        assert!(text.contains(name), "{name}: {text}");
    }
    let listed: Vec<Value> =
        serde_json::from_slice(&run(&["list", "--output", "json"]).stdout).unwrap();
    assert!(
        listed
            .iter()
            .any(|row| row["name"] == "pipe/park" && row["class"] == "stream")
    );
}
