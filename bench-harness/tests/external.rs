//! Programs as contenders: an honest one is measured like any other, and one that lies, hangs or dies is told of and leaves nothing behind.

#[path = "support/program.rs"]
mod program;
mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use serde_json::Value;

use program::{altered, honest, is_refused, measure, python, temporary_folder};
use support::{Running, await_marked, harness, is_clean, run};

#[test]
fn an_honest_program_is_measured_and_what_it_costs_is_its_own() {
    let (code, row, stderr) = measure("honest", honest().to_str().unwrap(), &["--size", "100"]);
    assert_eq!(code, 0, "{stderr}{row:#}");
    assert_eq!(row["status"], "ok", "{row:#}");
    assert_eq!(row["class"], "message");
    assert!(is_clean(&row), "{row:#}");
    // The check before the windows, and the windows.
    assert!(row["integrity"]["received"].as_u64().unwrap() > 1_000);
    assert_eq!(row["integrity"]["sent"], row["integrity"]["received"]);
    assert_eq!(row["capacity"], 65_536 / 104);
    assert!(row["stream"]["ns_per_message"].as_f64().unwrap() > 0.0);
    assert!(row["round_trip_ns"]["max"].as_u64().unwrap() > 0);
    let windows = row["windows"].as_array().unwrap();
    let mut trips = windows.iter().filter(|w| w["kind"] == "round_trip");
    assert!(trips.all(|window| window["beside"] == 8), "{row:#}");
    // Each message takes a system call at least: so much CPU time is not that of a process that only waits for an answer.
    assert!(
        row["cpu_ns_per_message"].as_f64().unwrap() > 50.0,
        "{row:#}"
    );
}

#[test]
fn the_memory_of_a_program_is_its_own_and_that_of_its_children() {
    const HELD: u64 = 64 << 20;
    let memory = |row: &Value| {
        ["sender", "receiver"].map(|side| row["cost"][side]["resident_bytes_max"].as_u64().unwrap())
    };
    let (_, row, stderr) = measure("light", honest().to_str().unwrap(), &["--size", "100"]);
    let of_light = memory(&row);
    assert!(of_light.iter().all(|&bytes| bytes > 0), "{stderr}{row:#}");
    assert!(of_light.iter().all(|&bytes| bytes < HELD / 2), "{row:#}");
    let held = format!("HELD = b'x' * {HELD}\nKEY, STEP, MASK =");
    let Some(path) = python("heavy", &[("KEY, STEP, MASK =", &held)]) else {
        return;
    };
    let command = format!("sh -c 'python3 {}; exit $?'", path.display());
    let (code, row, stderr) = measure("heavy", &command, &["--size", "100"]);
    assert_eq!(code, 0, "{stderr}{row:#}");
    assert!(memory(&row).iter().all(|&bytes| bytes > HELD), "{row:#}");
}

#[test]
fn a_lie_about_the_count_is_told_with_both_numbers() {
    let command = altered(r#"s/\"messages\":/\"messages\":1/"#);
    is_refused("lies-count", &command, &["messages, and", "were ordered"]);
}

#[test]
fn a_lie_about_the_time_is_told() {
    let command = altered(r#"s/\"started_ns\":[0-9]*/\"started_ns\":5/"#);
    is_refused("lies-time", &command, &["began at 5 ns", "CLOCK_MONOTONIC"]);
}

#[test]
fn a_wrong_checksum_is_an_integrity_failure() {
    let command = altered(r#"s/\"crc32\":[0-9]*/\"crc32\":1/"#);
    let (code, row, stderr) = measure("wrong-digest", &command, &[]);
    assert_eq!(code, 4, "{stderr}{row:#}");
    assert_eq!(row["status"], "failed");
    assert!(row["stream"]["ns_per_message"].is_null(), "{row:#}");
}

#[test]
fn a_program_that_hangs_is_ended_after_its_patience() {
    is_refused("hangs", &altered("/done/d"), &["had no answer in time"]);
}

#[test]
fn a_program_that_dies_in_the_middle_is_told_with_its_last_words() {
    let dies = r#"sh -c 'read l; echo "{\"ready\":{\"capacity\":16}}"; read l; case $l in *quit*) exit 0;; esac; echo out of luck >&2; exit 3'"#;
    is_refused(
        "dies",
        dies,
        &["ended with code 3", "last words: out of luck"],
    );
}

#[test]
fn garbage_is_told_and_not_taken() {
    let command = altered("s/.*done.*/garbage/");
    is_refused("garbage", &command, &["not understood", "garbage"]);
}

#[test]
fn a_flood_without_an_end_is_cut_off() {
    is_refused(
        "floods",
        "sh -c 'yes | tr -d \"\\n\"'",
        &["without the end of a line"],
    );
}

#[test]
fn who_speaks_unasked_has_failed() {
    let command = altered("s/.*ready.*/\\&\\\\n\\&/");
    is_refused("chatters", &command, &["spoke before it was asked"]);
}

#[test]
fn who_does_not_quit_has_failed() {
    let stays = format!("sh -c '\"{}\"; sleep 1000'", honest().display());
    is_refused("stays", &stays, &["didn\u{27}t end within"]);
}

#[test]
fn who_leaves_the_group_is_found_by_its_mark() {
    let leaves = format!(
        "sh -c 'setsid sleep 1000 >/dev/null 2>&1 </dev/null & exec \"{}\"'",
        honest().display()
    );
    // `measure` looks for what is left.
    let (code, row, stderr) = measure("leaves", &leaves, &[]);
    assert_eq!(code, 0, "{stderr}{row:#}");
}

/// A run of the example that would last long, in the middle; its mark, and its directory for temporary files.
fn started(name: &str) -> (Running, String, PathBuf) {
    let mark = format!("{name}-program-{}", std::process::id());
    let external = format!("honest={}", honest().display());
    let folder = temporary_folder(name);
    let args = [
        "run",
        "--external",
        &external,
        "--contender",
        "honest",
        "--workload",
        "logs",
    ];
    let child = harness(&[&args[..], &["--rounds", "1000", "--duration", "300ms"]].concat())
        .env("BENCH_HARNESS_TEST_MARK", &mark)
        .env("TMPDIR", &folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let child = Running::of(child);
    // The coordinator, the measured processes, and the program on each side.
    await_marked(&mark, 5);
    (child, mark, folder)
}

#[test]
fn an_interrupted_run_ends_the_programs_and_removes_their_directories() {
    let (mut child, mark, folder) = started("interrupted");
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    await_marked(&mark, 0);
    fs::remove_dir(&folder).unwrap();
}

#[test]
fn what_a_killed_run_leaves_is_in_the_script_of_doctor() {
    let (mut child, mark, folder) = started("killed");
    let coordinator = Pid::from_raw(child.id().cast_signed());
    let has_place = || fs::read_dir(&folder).unwrap().count() > 0;
    // Between two sessions there is nothing to leave. While it is stopped none ends.
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        kill(coordinator, Signal::SIGSTOP).unwrap();
        waitpid(coordinator, Some(WaitPidFlag::WUNTRACED)).unwrap();
        if has_place() {
            break;
        }
        kill(coordinator, Signal::SIGCONT).unwrap();
        assert!(Instant::now() < deadline, "no session has begun");
        thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    await_marked(&mark, 0);
    let doctor = harness(&["doctor", "--fix-script"])
        .env("TMPDIR", &folder)
        .output();
    let script = String::from_utf8(doctor.unwrap().stdout).unwrap();
    let left: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(left.iter().any(|path| path.is_dir()), "{left:?}");
    for path in left {
        let verb = if path.is_dir() {
            "remove_folder"
        } else {
            "remove"
        };
        let line = format!("\n{verb} '{}'\n", path.display());
        assert!(script.contains(&line), "{line}{script}");
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn who_can_not_is_unavailable_for_the_reason_that_it_gives() {
    let no = r#"echo "{\"unavailable\":\"there is no such card\"}""#;
    // One that listens first, one that has spoken before it is asked, and one that has ended by then or not.
    for (name, command) in [
        ("listens", format!("sh -c 'read hello; {no}'")),
        ("says-no", format!("sh -c '{no}; read hello'")),
        ("ends", format!("sh -c '{no}'")),
    ] {
        let (code, row, stderr) = measure(name, &command, &[]);
        assert_eq!(code, 0, "{name}: {stderr}");
        assert_eq!(row["status"], "unavailable", "{name}: {row:#}");
        assert_eq!(row["reason"], "there is no such card", "{name}");
    }
    let (_, row, _) = measure("missing", "/no/such/program", &[]);
    assert_eq!(row["status"], "unavailable", "{row:#}");
    assert!(row["reason"].as_str().unwrap().contains("/no/such/program"));
}

#[test]
fn what_is_wrong_with_the_option_is_told_before_anything_starts() {
    for (external, part) in [
        ("python3 x.py", "as in my-queue="),
        ("pipe=true", "pipe/park already"),
        ("Queue=true", "a-z, 0-9 and -"),
    ] {
        let output = run(&["run", "--external", external]);
        assert_eq!(output.status.code(), Some(2), "{external}");
        let problem = String::from_utf8_lossy(&output.stderr);
        assert!(problem.contains(part), "{external}: {problem}");
    }
}

#[test]
fn the_python_of_the_document_is_measured() {
    let Some(path) = python("external", &[]) else {
        return;
    };
    let command = format!("python3 \"{}\"", path.display());
    for more in [&["--size", "64,3"][..], &["--workload", "logs"]] {
        let (code, row, stderr) = measure("in-python", &command, more);
        assert_eq!(code, 0, "{stderr}{row:#}");
        assert_eq!(row["status"], "ok", "{row:#}");
        assert!(is_clean(&row), "{row:#}");
        assert!(row["paced_ns"]["rate_per_second"].is_number(), "{row:#}");
    }
    fs::remove_file(path).unwrap();
}

#[test]
fn the_list_has_the_program_too() {
    let external = format!("honest={}", honest().display());
    let output = run(&["list", "--output", "json", "--external", &external]);
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    let listed = list
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["name"] == "honest/park")
        .unwrap();
    assert!(listed["unavailable"].is_null(), "{listed:#}");
}
