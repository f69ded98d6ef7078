//! Runs the built program with several producers and consumers: the account of messages, and that nothing stays behind.

mod support;

use std::io::Read;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use support::{TINY, await_marked, count_marked, is_clean, row, run, start_endless, tiny_report};

/// What can be shared by several processes, with its way of waiting.
const SHARED: [(&str, &str); 13] = [
    ("ring-mpmc", "spin"),
    ("ring-mpmc", "spin-park"),
    ("ring-mpmc", "park"),
    ("ring-mpmc-bytes", "spin"),
    ("ring-mpmc-bytes", "spin-park"),
    ("ring-mpmc-bytes", "park"),
    ("pipe", "park"),
    ("fifo", "park"),
    ("unix-dgram", "park"),
    ("unix-seqpacket", "park"),
    ("sysv-mq", "park"),
    ("posix-mq", "park"),
    ("udp-loopback", "park"),
];

fn rows(report: &Value) -> &Vec<Value> {
    report["results"].as_array().unwrap()
}

#[test]
fn what_can_be_shared_delivers_everything_once() {
    for (producers, consumers) in [("3", "2"), ("4", "1"), ("1", "3")] {
        let (code, report) = tiny_report(&["--producers", producers, "--consumers", consumers]);
        assert_eq!(code, 0, "{report:#}");
        assert_eq!(report["settings"]["producers"].to_string(), producers);
        for (name, wait) in SHARED {
            let row = row(&report, name, wait);
            // A machine may lack a mechanism, but not for being asked to share it.
            if row["status"] == "unavailable" {
                let reason = row["reason"].as_str().unwrap();
                assert!(!reason.contains("by its nature"), "{name}: {reason}");
                continue;
            }
            assert_eq!(row["status"], "ok", "{name}: {row:#}");
            assert!(is_clean(row), "{name}: {row:#}");
            assert_eq!(row["producers"].to_string(), producers, "{name}");
            assert_eq!(row["consumers"].to_string(), consumers, "{name}");
            assert_eq!(row["integrity"]["sent"], row["integrity"]["received"]);
            assert!(row["integrity"]["sent"].as_u64().unwrap() > 1_000, "{name}");
            // Each consumer is told the end by a message that isn't counted.
            let told: u64 = consumers.parse().unwrap();
            let windows = row["windows"].as_array().unwrap();
            assert!(windows.iter().all(|window| window["beside"] == told));
            assert_eq!(row["stream"]["rounds"].as_array().unwrap().len(), 2);
            assert!(row["round_trip_ns"]["max"].is_null(), "{name}");
        }
    }
}

#[test]
fn what_cannot_be_shared_says_why() {
    let (code, report) = tiny_report(&["--producers", "2", "--exclude", "pipe"]);
    assert_eq!(code, 0);
    let names = SHARED.map(|(name, _)| name);
    for row in rows(&report) {
        let name = row["contender"].as_str().unwrap();
        if names.contains(&name) || name == "limit-memcpy" {
            continue;
        }
        assert_eq!(row["status"], "unavailable", "{name}");
        let reason = row["reason"].as_str().unwrap();
        assert!(
            reason.contains("one producer and one consumer"),
            "{name}: {reason}"
        );
    }
    let memcpy = row(&report, "limit-memcpy", "spin");
    assert_eq!(
        (&memcpy["status"], &memcpy["producers"]),
        (&"ok".into(), &1.into())
    );
}

#[test]
fn frames_too_long_for_a_shared_pipe_are_not_sent() {
    let args = [
        "--contender",
        "pipe",
        "--producers",
        "2",
        "--size",
        "4092,4093",
    ];
    let (code, report) = tiny_report(&args);
    assert_eq!(code, 0);
    let own_rows = rows(&report).iter().filter(|row| row["is_twin"] == false);
    let statuses: Vec<_> = own_rows.map(|row| &row["status"]).collect();
    assert_eq!(statuses, ["ok", "unavailable"], "{report:#}");
}

#[test]
fn planted_faults_are_counted_over_all_receivers() {
    for fault in ["duplicated", "reordered", "corrupted", "lost"] {
        let (code, report) = tiny_report(&[
            "--contender",
            "unix-dgram",
            "--producers",
            "3",
            "--consumers",
            "2",
            "--plant-fault",
            fault,
        ]);
        assert_eq!(code, 4, "{fault}");
        let row = row(&report, "unix-dgram", "park");
        assert_eq!(row["status"], "failed", "{fault}");
        for what in ["lost", "duplicated", "reordered", "corrupted"] {
            let expected = u64::from(what == fault);
            assert_eq!(row["integrity"][what], expected, "{fault}: {row:#}");
        }
        assert!(row["stream"]["ns_per_message"].is_null(), "{fault}");
    }
}

#[test]
fn one_stopped_in_the_middle_of_a_message_is_measured_against_none() {
    for who in ["producer", "consumer"] {
        let (code, report) = tiny_report(&[
            "--contender",
            "ring-mpmc*",
            "--contender",
            "pipe",
            "--producers",
            "2",
            "--consumers",
            "2",
            "--stopped",
            who,
        ]);
        assert_eq!(code, 0, "{report:#}");
        assert_eq!(report["settings"]["stopped"], who);
        let (with, without): (Vec<_>, Vec<_>) = rows(&report)
            .iter()
            .filter(|row| row["is_twin"] == false)
            .partition(|row| row["stopped"] == who);
        assert_eq!((with.len(), without.len()), (7, 6));
        for row in with {
            if row["contender"] == "pipe" {
                assert_eq!(row["status"], "unavailable");
                continue;
            }
            assert_eq!(row["status"], "ok", "{row:#}");
            assert!(is_clean(row), "{row:#}");
            assert!(row["ratio_to_undisturbed"].as_f64().unwrap() > 0.0);
        }
        for row in without {
            assert!(row["stopped"].is_null() && row["ratio_to_undisturbed"].is_null());
        }
    }
}

#[test]
fn a_stopped_process_does_not_outlive_the_run() {
    let more = [
        "--contender",
        "ring-mpmc/park",
        "--producers",
        "2",
        "--stopped",
        "producer",
    ];
    // Two that send, one that receives; in half of the sessions also the one that is stopped.
    let (mut child, mark) = start_endless("fan-stopped", &more, 4);
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(count_marked(&mark), 0);
    let (mut child, mark) = start_endless("fan-stopped-killed", &more, 4);
    child.kill().unwrap();
    child.wait().unwrap();
    await_marked(&mark, 0);
}

#[test]
fn bad_input_is_told_before_anything_starts() {
    for (args, part) in [
        (&["--producers", "0"][..], "1..=32"),
        (&["--consumers", "33"], "1..=32"),
        (
            &["--producers", "2", "--size", "64,7"],
            "--size 7 has no room",
        ),
        (&["--producers", "2", "--cpus", "0"], "from two"),
        (&["--producers", "2", "--cpus", "0,4095"], "core 4095"),
    ] {
        let output = run(args);
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {complaint}");
        assert!(complaint.contains(part), "{args:?}: {complaint}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn an_interrupted_run_leaves_nobody_behind() {
    let more = [
        "--contender",
        "posix-mq",
        "--producers",
        "3",
        "--consumers",
        "2",
    ];
    let (mut child, mark) = start_endless("fan-interrupted", &more, 5);
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    let mut text = String::new();
    let mut out = child.stdout.take().unwrap();
    out.read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(count_marked(&mark), 0);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["incomplete"], true);
}

#[test]
fn the_measured_processes_do_not_outlive_a_coordinator_that_is_killed() {
    let more = [
        "--contender",
        "pipe",
        "--producers",
        "2",
        "--consumers",
        "3",
    ];
    let (mut child, mark) = start_endless("fan-killed", &more, 5);
    child.kill().unwrap();
    child.wait().unwrap();
    await_marked(&mark, 0);
}

#[test]
fn the_table_and_the_list_tell_of_several_processes() {
    let output = run(&[&TINY[..], &["--producers", "3", "--consumers", "2"]].concat());
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "3 producers to 2 consumers over one link; round trips: n/a",
        "ring-spsc/spin",
        "one producer and one consumer by its nature",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let listed = run(&["list", "--producers", "2", "--output", "json"]);
    let listed: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
    let of = |name: &str| listed.iter().find(|row| row["name"] == name).unwrap();
    assert!(of("pipe/park")["unavailable"].is_null());
    assert!(of("tcp-loopback/park")["unavailable"].is_string());
}
