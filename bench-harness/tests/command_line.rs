//! What the command line says: help, typical errors, and what becomes of files that can't be written.

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output};

use bench_harness::cli::Cli;
use clap::CommandFactory;
use support::{TINY, harness, run};
use tempfile::TempDir;

fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    // What differs from build to build.
    text.replace(env!("CARGO_PKG_VERSION"), "[version]")
        .replace(&std::process::id().to_string(), "[pid]")
}

#[test]
fn the_help_of_every_command_is_as_it_should_be() {
    let main = run(&["--help"]);
    assert_eq!(main.status.code(), Some(0));
    insta::assert_snapshot!("help", text(&main.stdout));
    let definition = Cli::command();
    let commands = definition
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    for command in commands {
        let name = command.get_name();
        let output = run(&[name, "-h"]);
        assert_eq!(output.status.code(), Some(0), "{name}");
        insta::assert_snapshot!(format!("help_{name}"), text(&output.stdout));
    }
}

#[test]
fn typical_errors_name_the_value_the_limit_and_the_remedy() {
    for (name, args) in [
        ("mistyped_flag", &["--contendr", "pipe"][..]),
        ("mistyped_command", &["swep"]),
        ("bad_size", &["--size", "2M"]),
        ("bad_rate", &["paced", "--rate", "0"]),
        ("negative_size", &["--size", "-1"]),
        ("negative_rate", &["paced", "--rate", "-5"]),
        ("negative_duration", &["--duration", "-5ms"]),
        ("negative_rounds", &["--rounds", "-1"]),
        ("one_core", &["--cpus", "0"]),
        ("bad_output", &["--output", "xml"]),
        ("unknown_contender", &["--contender", "nothing"]),
        ("unknown_reference", &["--reference", "pip"]),
        ("missing_value", &["report"]),
        ("missing_file", &["report", "no-such-file.json"]),
    ] {
        let output = run(args);
        assert!(matches!(output.status.code(), Some(2 | 6)), "{name}");
        assert!(output.stdout.is_empty(), "{name}");
        insta::assert_snapshot!(format!("error_{name}"), text(&output.stderr));
    }
}

#[test]
fn a_file_that_is_not_ours_is_refused_with_a_sentence() {
    let place = TempDir::new().unwrap();
    for (content, part) in [
        ("", "is empty"),
        ("x", "no results of bench-harness"),
        ("{}", "names no schema"),
        ("[1, 2]", "names no schema"),
        (
            "{\"schema\": \"ipc-bench-harness/9\"}",
            "this version reads ipc-bench-harness/1",
        ),
        (
            "{\"schema\": \"ipc-bench-harness/1\", \"results\": []}",
            "isn't whole",
        ),
    ] {
        let file = place.path().join("other.json");
        fs::write(&file, content).unwrap();
        let output = run(&["report", file.to_str().unwrap()]);
        let problem = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(6), "{content}: {problem}");
        assert!(
            problem.contains(part) && problem.lines().count() == 1,
            "{content}: {problem}"
        );
    }
}

/// A run of nothing but pipe, and what else is asked for.
fn tiny(args: &[&str]) -> Output {
    run(&[&["run", "--contender", "pipe"], &TINY[..], args].concat())
}

#[test]
fn what_is_saved_is_what_is_printed_and_can_be_shown_in_every_form() {
    let place = TempDir::new().unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let (saved, page) = (path("saved.json"), path("page.html"));
    let output = tiny(&["--output", "json", "--save", &saved, "--html", &page]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(fs::read(&saved).unwrap(), output.stdout);
    assert!(
        fs::read_to_string(&page)
            .unwrap()
            .starts_with("<!DOCTYPE html>")
    );
    for (form, part) in [
        ("table", "pipe/park"),
        ("json", "\"ipc-bench-harness/1\""),
        ("csv", "command,contender"),
        ("md", "| contender |"),
    ] {
        let again = run(&["report", &saved, "--output", form]);
        assert_eq!(again.status.code(), Some(0), "{form}");
        assert!(text(&again.stdout).contains(part), "{form}");
    }
    let output = run(&[
        &["save", &path("other.json"), "--contender", "pipe"],
        &TINY[..],
    ]
    .concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("[stream]"));
    assert_eq!(
        names_in(place.path()),
        ["other.json", "page.html", "saved.json"]
    );
    // Like any new file it is as open as the user's mask lets it be.
    let mode = |name: &str| fs::metadata(place.path().join(name)).unwrap().mode();
    fs::write(path("plain"), "").unwrap();
    assert_eq!(mode("saved.json"), mode("plain"));
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let name =
        |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

#[test]
fn a_full_disk_for_a_file_takes_nothing_else_with_it() {
    let output = tiny(&["--output", "json", "--save", "/dev/full"]);
    let problem = text(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{problem}");
    assert!(
        problem.contains("/dev/full can't be written: No space left"),
        "{problem}"
    );
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["results"][0]["contender"], "pipe");
}

#[test]
fn a_page_that_is_in_no_directory_is_told_and_the_saved_report_is_printed() {
    let place = TempDir::new().unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let output = tiny(&["--save", &path("saved.json")]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let nowhere = path("nowhere/page.html");
    let output = run(&["report", &path("saved.json"), "--html", &nowhere]);
    let problem = text(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{problem}");
    assert!(
        problem.contains("page.html can't be written: No such file"),
        "{problem}"
    );
    assert!(text(&output.stdout).contains("pipe/park"));
}

#[test]
fn what_does_not_fit_leaves_the_old_file_and_no_half_of_the_new_one() {
    let place = TempDir::new().unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let output = tiny(&["--save", &path("saved.json")]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    fs::write(path("page.html"), "old").unwrap();
    // Files of at most one block of 512 or 1024 bytes.
    let output = Command::new("sh")
        .args(["-c", "ulimit -f 1; exec \"$@\"", "sh"])
        .arg(harness(&[]).get_program())
        .args(["report", &path("saved.json"), "--html", &path("page.html")])
        .output()
        .unwrap();
    let problem = text(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{problem}");
    assert!(
        problem.contains("page.html can't be written: File too large"),
        "{problem}"
    );
    assert!(text(&output.stdout).contains("pipe/park"));
    assert_eq!(fs::read_to_string(path("page.html")).unwrap(), "old");
    assert_eq!(names_in(place.path()), ["page.html", "saved.json"]);
}

#[test]
fn what_the_system_refuses_is_told_with_the_place_or_the_limit_and_the_remedy() {
    let output = harness(&[
        "stream",
        "--contender",
        "fifo",
        "--contender",
        "unix-stream",
    ])
    .args(TINY)
    .env("TMPDIR", "/no/such/folder")
    .output()
    .unwrap();
    let table = text(&output.stdout);
    let table = table.split_whitespace().collect::<Vec<_>>().join(" ");
    for what in ["mkfifo", "bind"] {
        let part = format!("{what} in /no/such/folder: No such file or directory; set TMPDIR to");
        assert!(table.contains(&part), "{table}");
    }
    let script = "ulimit -n 8; exec \"$0\" rtt --contender unix-stream --rounds 1 --duration 1ms";
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_bench-harness")])
        .output()
        .unwrap();
    let told = text(&output.stdout) + &text(&output.stderr);
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    let part = "Too many open files: a process may have 8 descriptors; raise the limit, as with `ulimit -n";
    assert!(told.contains(part), "{told}");
    assert!(!told.contains("os error 24"), "{told}");
}
