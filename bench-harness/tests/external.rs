//! Programs as contenders: an honest one is measured like any other, and one that lies, hangs or dies is told of and leaves nothing behind.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use support::{TINY, await_marked, count_marked, harness, is_clean, row, run, temporary_file};

/// The example, which is built together with the tests.
fn honest() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let path = here
        .parent()
        .unwrap()
        .with_file_name("examples/external_fifo");
    assert!(
        path.exists(),
        "{} is missing; `cargo build --examples` makes it",
        path.display()
    );
    path
}

/// The example with what it says going through `sed`.
fn altered(script: &str) -> String {
    format!("sh -c '\"{}\" | sed -u {script}'", honest().display())
}

/// Runs the program alone under this mark; gives the exit code, its row and what was said beside the report.
fn measure(name: &str, command: &str, more: &[&str]) -> (i32, Value, String) {
    let mark = format!("{name}-{}", std::process::id());
    let external = format!("{name}={command}");
    let args = [
        "run",
        "--output",
        "json",
        "--external",
        &external,
        "--contender",
        name,
    ];
    let folder = temporary_folder(name);
    let mut command = harness(&[&args[..], &TINY, more].concat());
    command
        .env("BENCH_HARNESS_TEST_MARK", &mark)
        .env("TMPDIR", &folder);
    let output = output_within(command, Duration::from_secs(100));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}, {}: {stderr}", output.status));
    assert_eq!(count_marked(&mark), 0, "{name}: a process is left");
    let left: Vec<_> = fs::read_dir(&folder).unwrap().flatten().collect();
    assert!(left.is_empty(), "{name}: {left:?} is left");
    fs::remove_dir(&folder).unwrap();
    let row = row(&report, name, "park").clone();
    (output.status.code().unwrap(), row, stderr)
}

fn temporary_folder(name: &str) -> PathBuf {
    let path =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    fs::create_dir(&path).unwrap();
    path
}

/// The output of a command that is killed when it takes too long.
fn output_within(mut command: Command, limit: Duration) -> std::process::Output {
    let (out, err) = (tempfile(), tempfile());
    command.stdout(out.1).stderr(err.1);
    let mut child = command.spawn().unwrap();
    let deadline = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("it took longer than {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        bytes
    };
    std::process::Output {
        status,
        stdout: read(out.0),
        stderr: read(err.0),
    }
}

fn tempfile() -> (PathBuf, fs::File) {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    // Relaxed: only the number itself matters.
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("external-output-{}-{count}", std::process::id());
    let path = temporary_file(&name, b"");
    let file = fs::File::create(&path).unwrap();
    (path, file)
}

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
    // Each message takes a system call at least: so much CPU time is not that of a process that only waits for an answer.
    assert!(
        row["cpu_ns_per_message"].as_f64().unwrap() > 50.0,
        "{row:#}"
    );
}

#[test]
fn a_fault_that_a_program_is_told_to_commit_is_noticed() {
    for fault in ["lost", "duplicated", "reordered", "corrupted"] {
        let name = format!("faulty-{fault}");
        let more = ["--plant-fault", fault];
        let (code, row, stderr) = measure(&name, honest().to_str().unwrap(), &more);
        assert_eq!(code, 4, "{fault}: {stderr}{row:#}");
        assert_eq!(row["status"], "failed", "{fault}: {row:#}");
        assert_eq!(row["integrity"]["corrupted"], 1, "{fault}: {row:#}");
    }
}

/// A program that is refused with such a sentence.
fn is_refused(name: &str, command: &str, parts: &[&str]) {
    let (code, row, stderr) = measure(name, command, &[]);
    assert_eq!(code, 6, "{name}: {stderr}{row:#}");
    assert_eq!(row["status"], "failed", "{name}: {row:#}");
    let reason = row["reason"].as_str().unwrap();
    for part in parts {
        assert!(reason.contains(part), "{name}: {reason}");
    }
    assert!(!reason.contains('\n'), "{name}: {reason}");
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

#[test]
fn an_interrupted_run_ends_the_programs_and_removes_their_directories() {
    let mark = format!("interrupted-program-{}", std::process::id());
    let external = format!("honest={}", honest().display());
    let folder = temporary_folder("interrupted");
    let args = ["run", "--external", &external, "--contender", "honest"];
    let mut child = harness(&[&args[..], &["--rounds", "1000", "--duration", "300ms"]].concat())
        .env("BENCH_HARNESS_TEST_MARK", &mark)
        .env("TMPDIR", &folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The coordinator, the measured processes, and the program on each side.
    await_marked(&mark, 5);
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    await_marked(&mark, 0);
    fs::remove_dir(&folder).unwrap();
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
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("NOT TESTED: there is no python3 here");
        return;
    }
    let document = include_str!("../../docs/external-contender.md");
    let (_, code) = document.split_once("```python\n").unwrap();
    let (code, _) = code.split_once("```").unwrap();
    assert!(code.lines().count() < 100);
    let name = format!("external-{}.py", std::process::id());
    let path = temporary_file(&name, code.as_bytes());
    let command = format!("python3 \"{}\"", path.display());
    let (code, row, stderr) = measure("in-python", &command, &["--size", "64,3"]);
    fs::remove_file(path).unwrap();
    assert_eq!(code, 0, "{stderr}{row:#}");
    assert_eq!(row["status"], "ok", "{row:#}");
    assert!(is_clean(&row), "{row:#}");
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
