//! Runs the built program where something is missing: a reader of what it tells, room in files, a terminal.

mod support;

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use support::harness;

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
    let fault = ["--contender", "pipe", "--plant-fault", "lost"];
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
