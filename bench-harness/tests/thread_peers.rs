//! What works between threads alone: both sides are in one process, and are measured and judged like any other.
#![cfg(feature = "peers")]

mod support;

use std::time::{Duration, Instant};
use std::{fs, thread};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use support::{await_marked, is_clean, marked, row, start_endless, tiny_report};

const FOR_MANY: [(&str, &str); 3] = [
    ("crossbeam-channel", "spin"),
    ("crossbeam-channel", "spin-park"),
    ("crossbeam-array-queue", "spin"),
];
const FOR_TWO: (&str, &str) = ("rtrb", "spin");

fn measured(args: &[&str]) -> (i32, serde_json::Value) {
    let contenders = ["crossbeam-*", "rtrb"];
    let chosen: Vec<&str> = contenders
        .iter()
        .flat_map(|name| ["--contender", name])
        .collect();
    tiny_report(&[&chosen, args].concat())
}

#[test]
fn threads_are_measured_like_processes() {
    let (code, report) = measured(&[]);
    assert_eq!(code, 0, "{report:#}");
    for (name, wait) in [&FOR_MANY[..], &[FOR_TWO]].concat() {
        let row = row(&report, name, wait);
        assert_eq!(row["status"], "ok", "{row:#}");
        assert_eq!(row["class"], "thread", "{row:#}");
        assert!(is_clean(row), "{row:#}");
        assert_eq!(row["integrity"]["sent"], row["integrity"]["received"]);
        assert!(row["stream"]["ns_per_message"].as_f64().unwrap() > 0.0);
        assert!(row["round_trip_ns"]["max"].as_u64().unwrap() > 0);
        // One that sleeps inside its library can't say how often.
        let is_counted = row["system_calls_per_message"].is_number();
        assert_eq!(is_counted, wait == "spin", "{row:#}");
    }
}

#[test]
fn several_threads_share_a_queue_where_it_can_be_shared() {
    let (code, report) = measured(&["--producers", "2", "--consumers", "3"]);
    assert_eq!(code, 0, "{report:#}");
    for (name, wait) in FOR_MANY {
        let row = row(&report, name, wait);
        assert_eq!(row["status"], "ok", "{row:#}");
        assert!(is_clean(row), "{row:#}");
    }
    let (name, wait) = FOR_TWO;
    assert_eq!(row(&report, name, wait)["status"], "unavailable");
}

#[test]
fn a_fault_between_threads_is_noticed() {
    for fault in ["lost", "duplicated", "reordered", "corrupted"] {
        let args = ["--plant-fault", fault];
        let (code, report) = measured(&args);
        assert_eq!(code, 4, "{fault}: {report:#}");
        for row in report["results"].as_array().unwrap() {
            assert_eq!(row["status"], "failed", "{fault}: {row:#}");
            assert!(!is_clean(row), "{fault}: {row:#}");
        }
    }
}

#[test]
fn both_sides_are_threads_of_one_process_and_end_with_the_coordinator() {
    let (mut child, mark) = start_endless("thread-peers", &["--contender", "rtrb"], 1);
    let coordinator = Pid::from_raw(child.id().cast_signed());
    let threads = || {
        let others = marked(&mark)
            .into_iter()
            .filter(|&pid| pid != coordinator.as_raw());
        let count = |pid: i32| fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
        others.map(count).max()
    };
    // The one that waits for the two, and the two.
    let deadline = Instant::now() + Duration::from_secs(20);
    while threads() != Some(3) {
        assert!(Instant::now() < deadline, "{:?} threads", threads());
        thread::sleep(Duration::from_millis(1));
    }
    assert!(marked(&mark).len() <= 2);
    kill(coordinator, Signal::SIGKILL).unwrap();
    child.wait().unwrap();
    await_marked(&mark, 0);
}
