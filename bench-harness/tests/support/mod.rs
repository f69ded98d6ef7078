//! What the tests of the built program share.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::fs;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use escargot::CargoBuild;
use serde_json::Value;

/// Windows as short as they go: only the report is looked at.
pub const TINY: [&str; 6] = ["--rounds", "2", "--duration", "1ms", "--seed", "7"];

pub fn harness(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench-harness"));
    command.args(args).stdin(Stdio::null());
    command
}

/// The program of an example. It is built if it is missing or older than its source, as a test program that is run by itself is built without it.
pub fn example(name: &str) -> PathBuf {
    static LOOKING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = LOOKING.lock();
    let here = std::env::current_exe().unwrap();
    let folder = here.parent().unwrap().with_file_name("examples");
    let made_at = |path: &Path| fs::metadata(path).and_then(|found| found.modified()).ok();
    let path = folder.join(name);
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let changed_at = ["src", "examples"].map(|part| newest_below(&package.join(part)));
    if made_at(&path) >= changed_at.into_iter().max() {
        return path;
    }
    let build = CargoBuild::new()
        .manifest_path(package.join("Cargo.toml"))
        .args(["--locked"])
        .example(name)
        .current_release();
    let done = build.run().unwrap_or_else(|error| panic!("{error}"));
    done.path().to_owned()
}

/// When a file below this folder was changed last.
fn newest_below(folder: &Path) -> SystemTime {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let changed_at = entries.map(|entry| {
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() {
            newest_below(&entry.path())
        } else {
            metadata.modified().unwrap()
        }
    });
    changed_at.max().unwrap_or(SystemTime::UNIX_EPOCH)
}

pub fn run(args: &[&str]) -> Output {
    harness(args).output().unwrap()
}

pub fn tiny_report(args: &[&str]) -> (i32, Value) {
    let output = run(&[&["run", "--output", "json"], &TINY[..], args].concat());
    let code = output.status.code().unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "{error}, code {code}: {}",
            String::from_utf8_lossy(&output.stderr)
        )
    });
    (code, report)
}

pub fn row<'a>(report: &'a Value, contender: &str, wait: &str) -> &'a Value {
    let rows = report["results"].as_array().unwrap();
    rows.iter()
        .find(|row| row["contender"] == contender && row["wait"] == wait)
        .unwrap()
}

pub fn is_clean(row: &Value) -> bool {
    ["lost", "duplicated", "reordered", "corrupted"]
        .iter()
        .all(|what| row["integrity"][what] == 0)
}

pub fn temporary_file(name: &str, content: &[u8]) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, content).unwrap();
    path
}

/// The processes that carry this mark in their environment.
pub fn marked(mark: &str) -> Vec<i32> {
    let is_marked = |entry: &fs::DirEntry| {
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        environment
            .windows(mark.len())
            .any(|part| part == mark.as_bytes())
    };
    let processes = fs::read_dir("/proc").unwrap().flatten().filter(is_marked);
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    processes.filter_map(number).collect()
}

/// How many they are.
pub fn count_marked(mark: &str) -> usize {
    marked(mark).len()
}

/// Waits until so many processes carry the mark.
pub fn await_marked(mark: &str, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while count_marked(mark) != count {
        assert!(
            Instant::now() < deadline,
            "{} instead of {count}",
            count_marked(mark)
        );
        thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until so many processes carry the mark, and this one is none of them.
pub fn await_others(mark: &str, gone: i32, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let now = marked(mark);
        if now.len() == count && !now.contains(&gone) {
            return;
        }
        assert!(Instant::now() < deadline, "{now:?} with {gone} gone");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A process that ends with the test, also when the test fails.
pub struct Running(Child);

impl Running {
    pub fn of(child: Child) -> Self {
        Self(child)
    }
}

impl Deref for Running {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it was waited for before.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a run that would last very long, and returns it in the middle of a session of so many processes.
pub fn start_endless(name: &str, more: &[&str], processes: usize) -> (Running, String) {
    let mark = format!("{name}-{}", std::process::id());
    let args = [
        "--output",
        "json",
        "--rounds",
        // If the test itself is killed nobody ends this, so it isn't quite endless.
        "200",
        "--duration",
        "300ms",
    ];
    let child = harness(&[&args[..], more].concat())
        .env("BENCH_HARNESS_TEST_MARK", &mark)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let child = Running(child);
    // The coordinator and the measured processes.
    await_marked(&mark, 1 + processes);
    (child, mark)
}
