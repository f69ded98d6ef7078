//! Runs the built program where something is missing: a reader of what it tells, room in files, a terminal.

mod support;

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use serde_json::Value;
use tempfile::TempDir;

use support::{Running, await_marked, harness, run};

/// Rounds that tell of themselves, one after the other.
const ROUNDS: [&str; 6] = ["--rounds", "3", "--duration", "1ms", "--seed", "7"];

fn saved(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

/// Runs it with a standard error that can't be written: nobody reads the pipe, or the disk is full.
fn unheard(args: &[&str]) -> impl Iterator<Item = Output> {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let full = File::options().write(true).open("/dev/full").unwrap();
    [Stdio::from(writer), Stdio::from(full)]
        .into_iter()
        .map(|stderr| harness(args).stderr(stderr).output().unwrap())
}

#[test]
fn what_nobody_can_hear_is_not_told_and_everything_else_is_delivered() {
    let place = TempDir::new().unwrap();
    let file = place.path().join("saved.json");
    let args = ["rtt", "--contender", "pipe", "--output", "json", "--save"];
    for output in unheard(&[&args[..], &[file.to_str().unwrap()], &ROUNDS].concat()) {
        assert_eq!(output.status.code(), Some(0));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["settings"]["rounds_completed"], 3);
        assert!(saved(&file)["results"] == report["results"]);
        fs::remove_file(&file).unwrap();
    }
}

#[test]
fn an_error_that_nobody_can_hear_keeps_its_exit_code() {
    let nowhere = ["report", "/no/such/file"];
    let short = ["run", "--contender", "ring-spsc/spin", "--size", "7"];
    let lacking = [&short[..], &["--require-all", "--output", "csv"], &ROUNDS].concat();
    let fault = ["--contender", "pipe", "--plant-fault", "corrupted"];
    let faulty = [&fault[..], &["--output", "json"], &ROUNDS].concat();
    let cases: [(&[&str], i32); 4] = [
        (&nowhere, 6),
        (&["--contender", "nothing*"], 2),
        (&lacking, 5),
        (&faulty, 4),
    ];
    for (args, code) in cases {
        for output in unheard(args) {
            assert_eq!(output.status.code(), Some(code), "{args:?}");
        }
    }
}

/// Runs it with a limit of the length of files, in blocks of 512 or 1024 bytes.
fn within(blocks: u32, args: &[&str]) -> Output {
    let program = harness(&[]);
    Command::new("sh")
        .args(["-c", &format!("ulimit -f {blocks}; exec \"$@\""), "sh"])
        .arg(program.get_program())
        .args(args)
        .output()
        .unwrap()
}

/// The rows that a run within such a limit has.
fn rows_within(blocks: u32, contenders: &[&str]) -> (Option<i32>, Vec<Value>) {
    let options = contenders.iter().flat_map(|name| ["--contender", *name]);
    let options: Vec<&str> = options.chain(["--output", "json"]).collect();
    let output = within(blocks, &[&["run"], &options[..], &ROUNDS].concat());
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}, {:?}", output.status));
    let rows = report["results"].as_array().unwrap().clone();
    (output.status.code(), rows)
}

fn is_over_the_limit(row: &Value) -> bool {
    let reason = row["reason"].as_str().unwrap_or_default();
    let parts = [" B that this process may make", "raise `ulimit -f`"];
    row["status"] == "unavailable" && parts.iter().all(|part| reason.contains(part))
}

#[test]
fn what_needs_more_than_a_file_may_have_is_unavailable_and_the_others_are_measured() {
    let large = ["ring-spsc", "ring-mpmc-bytes", "mmap-file", "posix-shm-sem"];
    let (code, rows) = rows_within(40, &[&large[..], &["pipe", "eventfd"]].concat());
    assert_eq!(code, Some(0));
    for row in &rows {
        let is_large = large.contains(&row["contender"].as_str().unwrap());
        assert_eq!(is_over_the_limit(row), is_large, "{row:#}");
        assert_eq!(row["status"] == "ok", !is_large, "{row:#}");
    }
    assert!(rows.len() >= 6);
}

#[test]
fn an_account_of_messages_over_the_limit_is_told_with_the_remedy() {
    let fan = [
        "--producers",
        "2",
        "--consumers",
        "2",
        "--duration",
        "300ms",
    ];
    let args = ["stream", "--contender", "unix-dgram", "--output", "json"];
    let output = within(40, &[&args[..], &fan, &["--rounds", "1"]].concat());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let reason = report["results"][0]["reason"].as_str().unwrap();
    for part in ["the account of its messages", "raise `ulimit -f`"] {
        assert!(reason.contains(part), "{reason}");
    }
}

#[test]
fn without_room_for_the_page_of_a_session_every_row_is_unavailable() {
    let (code, rows) = rows_within(1, &["pipe", "semaphore-named", "semaphore"]);
    assert_eq!(code, Some(0));
    assert!(rows.iter().all(is_over_the_limit), "{rows:#?}");
}

#[test]
fn doctor_tells_of_a_limit_of_the_length_of_files() {
    let output = within(40, &["doctor", "--output", "json"]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut findings = found["findings"].as_array().unwrap().iter();
    let finding = findings.find(|it| it["name"] == "file size").unwrap();
    assert_eq!(finding["verdict"], "warn", "{finding:#}");
}

#[test]
fn a_program_of_the_users_has_the_signals_that_every_program_has() {
    let place = TempDir::new().unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let script = "grep SigIgn /proc/self/status >\"$1\"\necho '{\"unavailable\":\"not today\"}'\n";
    fs::write(path("script"), script).unwrap();
    let external = format!("asked=sh {} {}", path("script"), path("signals"));
    let options = ["run", "--contender", "asked", "--external", &external];
    let output = harness(&[&options[..], &ROUNDS].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let told = fs::read_to_string(path("signals")).unwrap();
    let ignored = u64::from_str_radix(told.split_whitespace().nth(1).unwrap(), 16).unwrap();
    for signal in [Signal::SIGPIPE, Signal::SIGXFSZ] {
        assert_eq!(ignored & 1 << (signal as u32 - 1), 0, "{signal}");
    }
}

#[test]
fn a_hang_up_that_is_ignored_at_the_start_stays_ignored() {
    let mark = format!("hang-up-{}", std::process::id());
    let args = ["rtt", "--contender", "pipe", "--output", "json"];
    let child = Command::new("sh")
        .args(["-c", "trap '' HUP; exec \"$@\"", "sh"])
        .arg(harness(&[]).get_program())
        .args(args)
        .args(["--rounds", "3", "--duration", "300ms"])
        .env("BENCH_HARNESS_TEST_MARK", &mark)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = Running::of(child);
    // The coordinator and the measured processes: it holds its signals by now.
    await_marked(&mark, 3);
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGHUP).unwrap();
    let report: Value = serde_json::from_reader(child.stdout.take().unwrap()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(report["incomplete"], false);
}

/// Runs it, and kills it if it waits for somebody or reads without an end.
fn refusal(args: &[&str]) -> String {
    let mut command = Command::new("timeout");
    command.args(["--signal", "KILL", "20"]);
    let program = harness(&[]);
    let output = command.arg(program.get_program()).args(args).output();
    let output = output.unwrap();
    let problem = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(6), "{args:?}: {problem}");
    assert_eq!(problem.lines().count(), 1, "{args:?}: {problem}");
    problem
}

#[test]
fn what_has_no_end_or_no_writer_is_refused_and_never_read() {
    let place = TempDir::new().unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let good = path("good.json");
    let save = ["rtt", "--contender", "pipe", "--save", &good];
    assert!(run(&[&save[..], &ROUNDS].concat()).status.success());
    mkfifo(path("fifo").as_str(), Mode::S_IRWXU).unwrap();
    for endless in ["/dev/zero", &path("fifo"), "/dev"] {
        let baseline = [&save[..3], &["--baseline", endless]].concat();
        for args in [
            &["report", endless][..],
            &["compare", &good, endless],
            &["compare", endless, &good],
            &baseline,
            &["rtt", "--payload", endless, "--frame", "line"],
        ] {
            let problem = refusal(args);
            assert!(problem.contains("is no regular file; give"), "{problem}");
        }
    }
}

#[test]
fn files_that_would_take_far_more_memory_than_they_have_bytes_are_refused() {
    let place = TempDir::new().unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let sparse = |name: &str, len: u64| {
        File::create(path(name)).unwrap().set_len(len).unwrap();
        path(name)
    };
    let long = sparse("long.json", (256 << 20) + 1);
    for args in [&["report", &long][..], &["compare", &long, &long]] {
        let problem = refusal(args);
        assert!(problem.contains("268435457 bytes"), "{problem}");
        assert!(problem.contains("up to 268435456"), "{problem}");
    }
    let records = sparse("records", 200_000_000);
    let problem = refusal(&["rtt", "--payload", &records, "--frame", "fixed=1"]);
    assert!(problem.contains("200000000 records"), "{problem}");
    assert!(problem.contains("16777216 at most"), "{problem}");
}
