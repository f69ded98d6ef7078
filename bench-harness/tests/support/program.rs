//! Programs as contenders of tests: the example, what makes it lie, and how one is measured.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{TINY, count_marked, example, harness, row, temporary_file};

/// The example.
pub fn honest() -> PathBuf {
    example("external_fifo")
}

/// The example with what it says going through `sed`.
pub fn altered(script: &str) -> String {
    format!("sh -c '\"{}\" | sed -u {script}'", honest().display())
}

/// The Python of the document, with other words in the place of some.
pub fn python(name: &str, changes: &[(&str, &str)]) -> Option<PathBuf> {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("NOT TESTED: there is no python3 here");
        return None;
    }
    let document = include_str!("../../../docs/external-contender.md");
    let (_, code) = document.split_once("```python\n").unwrap();
    let (code, _) = code.split_once("```").unwrap();
    assert!(code.lines().count() <= 130);
    let mut code = code.to_owned();
    for (words, others) in changes {
        assert_eq!(code.matches(words).count(), 1, "{words}");
        code = code.replace(words, others);
    }
    let name = format!("{name}-{}.py", std::process::id());
    Some(temporary_file(&name, code.as_bytes()))
}

/// Runs the program alone under this mark; gives the exit code, its row and what was said beside the report.
pub fn measure(name: &str, command: &str, more: &[&str]) -> (i32, Value, String) {
    let (code, report, stderr) = measure_by("run", name, command, more);
    let row = row(&report, name, "park").clone();
    (code, row, stderr)
}

/// The same by another command than `run`, with the whole report.
pub fn measure_by(verb: &str, name: &str, command: &str, more: &[&str]) -> (i32, Value, String) {
    let mark = format!("{name}-{}", std::process::id());
    let external = format!("{name}={command}");
    let args = [
        verb,
        "--output",
        "json",
        "--external",
        &external,
        "--contender",
        name,
    ];
    let times = if more.contains(&"--duration") {
        &TINY[4..]
    } else {
        &TINY[..]
    };
    let folder = temporary_folder(name);
    let mut command = harness(&[&args[..], times, more].concat());
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
    (output.status.code().unwrap(), report, stderr)
}

pub fn temporary_folder(name: &str) -> PathBuf {
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

/// A program that is refused with such a sentence.
pub fn is_refused(name: &str, command: &str, parts: &[&str]) {
    is_refused_with(&[], name, command, parts);
}

/// The same with such options.
pub fn is_refused_with(more: &[&str], name: &str, command: &str, parts: &[&str]) {
    let (code, row, stderr) = measure(name, command, more);
    assert_eq!(code, 6, "{name}: {stderr}{row:#}");
    assert_eq!(row["status"], "failed", "{name}: {row:#}");
    let reason = row["reason"].as_str().unwrap();
    for part in parts {
        assert!(reason.contains(part), "{name}: {reason}");
    }
    assert!(!reason.contains('\n'), "{name}: {reason}");
}
