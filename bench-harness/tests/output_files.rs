//! The files that are written: none overwrites another, places that can't be written are told before anything is measured, and what is
//! replaced keeps its mode and its links.

mod support;

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Output;
use std::thread;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use support::{TINY, harness, run};
use tempfile::TempDir;

/// A run in this folder of nothing but pipe, and what else is asked for.
fn rtt_in(place: &Path, args: &[&str]) -> Output {
    let mut command = harness(&[&["rtt", "--contender", "pipe"], &TINY[..], args].concat());
    command.current_dir(place).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// That it was refused with this code and one sentence with these parts, before anything was measured.
fn is_refused(output: &Output, code: i32, parts: &[&str]) {
    let problem = said(output);
    assert_eq!(output.status.code(), Some(code), "{parts:?}: {problem}");
    assert_eq!(problem.lines().count(), 1, "{problem}");
    assert!(output.stdout.is_empty(), "{problem}");
    for part in parts {
        assert!(problem.contains(part), "{part}: {problem}");
    }
}

fn names_in(place: &Path) -> Vec<String> {
    let entries = fs::read_dir(place).unwrap().map(Result::unwrap);
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn no_output_overwrites_another_one_or_an_input() {
    let place = TempDir::new().unwrap();
    let path = |name: &str| place.path().join(name);
    for name in ["a.json", "b.json", "records"] {
        fs::write(path(name), "old\n").unwrap();
    }
    symlink("a.json", path("link")).unwrap();
    symlink("nothing", path("dangling")).unwrap();
    fs::hard_link(path("b.json"), path("second")).unwrap();
    let before = names_in(place.path());
    for (args, parts) in [
        (
            "rtt --save same --html same",
            ["--save same", "--html same"],
        ),
        (
            "rtt --save nothing --html ./dangling",
            ["--save nothing", "--html ./dangling"],
        ),
        ("save same --html same", ["FILE same", "--html same"]),
        ("report a.json --html link", ["FILE a.json", "--html link"]),
        (
            "compare a.json b.json --html second",
            ["FILE b.json", "--html second"],
        ),
        (
            "rtt --baseline a.json --html a.json",
            ["--baseline a.json", "--html a.json"],
        ),
        (
            "rtt --payload records --frame line --save records",
            ["--payload records", "--save records"],
        ),
        (
            "rtt --payload records --frame line --html records",
            ["--payload records", "--html records"],
        ),
    ] {
        let words: Vec<&str> = args.split(' ').collect();
        let mut command = harness(&words);
        let output = command.current_dir(place.path()).output().unwrap();
        is_refused(&output, 2, &parts);
        assert_eq!(names_in(place.path()), before, "{args}");
    }
    for name in ["a.json", "b.json", "records"] {
        assert_eq!(fs::read_to_string(path(name)).unwrap(), "old\n");
    }
}

#[test]
fn results_may_replace_their_baseline_and_two_outputs_may_go_to_no_file() {
    let place = TempDir::new().unwrap();
    let output = rtt_in(place.path(), &["--save", "x"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let before = fs::read(place.path().join("x")).unwrap();
    let output = rtt_in(place.path(), &["--save", "x", "--baseline", "x"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_ne!(fs::read(place.path().join("x")).unwrap(), before);
    let file = place.path().join("x");
    let output = rtt_in(
        place.path(),
        &["--save", "/dev/null", "--html", "/dev/null"],
    );
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(
        run(&["report", file.to_str().unwrap()]).status.code(),
        Some(0)
    );
}

#[test]
fn names_that_are_no_utf_8_can_be_read_and_written() {
    let place = TempDir::new().unwrap();
    let [saved, page, records] =
        [&b"n\xff.json"[..], b"n\xff.html", b"n\xff"].map(OsStr::from_bytes);
    fs::write(place.path().join(records), "one\ntwo\n").unwrap();
    let mut command = harness(&[&["rtt", "--contender", "pipe"], &TINY[..]].concat());
    command.current_dir(place.path());
    command.arg0(OsStr::from_bytes(b"program\xff"));
    command.arg("--save").arg(saved).arg("--html").arg(page);
    command
        .args(["--frame", "line"])
        .arg("--payload")
        .arg(records);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(place.path().join(page).is_file());
    for verb in ["report", "compare"] {
        let mut command = harness(&[verb]);
        command.current_dir(place.path()).arg(saved);
        if verb == "compare" {
            command.arg(saved);
        }
        let output = command.arg("--html").arg(page).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains('\u{fffd}'), "{verb}: {text}");
    }
}

#[test]
fn a_place_that_cannot_be_written_is_told_before_anything_is_measured() {
    let place = TempDir::new().unwrap();
    fs::create_dir(place.path().join("folder")).unwrap();
    fs::write(place.path().join("file"), "old").unwrap();
    symlink("circle", place.path().join("circle")).unwrap();
    let before = names_in(place.path());
    for (file, reason) in [
        ("nowhere/x", "No such file"),
        ("folder", "Is a directory"),
        ("missing/", "Is a directory"),
        ("file/x", "Not a directory"),
        ("circle", "Too many levels"),
        // Nobody may make a file there, and the system's reason depends on who asks.
        ("/proc/x", ""),
    ] {
        let parts = [&format!("{file} can't be written: {reason}"), "; choose"];
        for option in ["--save", "--html"] {
            let output = rtt_in(place.path(), &[option, file]);
            is_refused(&output, 6, &parts);
            assert!(!said(&output).contains(".tmp"), "{}", said(&output));
        }
        let mut save = harness(&["save", file, "--contender", "pipe"]);
        is_refused(&save.current_dir(place.path()).output().unwrap(), 6, &parts);
    }
    let output = rtt_in(place.path(), &["--save", "folder", "--html", "nowhere/x"]);
    is_refused(&output, 6, &["folder can't", "nowhere/x can't"]);
    assert_eq!(names_in(place.path()), before);
    assert_eq!(
        fs::read_to_string(place.path().join("file")).unwrap(),
        "old"
    );
}

#[test]
fn a_folder_that_cannot_be_written_is_told_before_anything_is_measured() {
    let place = TempDir::new().unwrap();
    let folder = place.path().join("folder");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("x"), "old").unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o555)).unwrap();
    if fs::write(folder.join("probe"), "").is_ok() {
        eprintln!("NOT TESTED: this user may write where others may not");
        return;
    }
    for file in ["folder/x", "folder/y"] {
        let output = rtt_in(place.path(), &["--save", file]);
        let part = format!("{file} can't be written: Permission denied");
        is_refused(&output, 6, &[&part]);
        assert!(!said(&output).contains(".tmp"), "{}", said(&output));
    }
    assert_eq!(names_in(&folder), ["x"]);
    assert_eq!(fs::read_to_string(folder.join("x")).unwrap(), "old");
    // So that it can be removed.
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn what_cannot_be_written_does_not_hide_that_messages_were_lost() {
    let pipe = [&["rtt", "--contender", "pipe"], &TINY[..]].concat();
    let place = TempDir::new().unwrap();
    let page = place.path().join("page.html");
    for (more, out, part) in [
        (
            &["--plant-fault", "lost"][..],
            "/dev/full",
            "the report can't be written",
        ),
        (
            &["--plant-fault", "corrupted", "--save", "/dev/full"],
            "/dev/null",
            "/dev/full can't be written",
        ),
    ] {
        let mut command = harness(&[&pipe[..], more].concat());
        command.arg("--html").arg(&page);
        let full = File::options().write(true).open(out).unwrap();
        let output = command.stdout(full).output().unwrap();
        let problem = said(&output);
        assert_eq!(output.status.code(), Some(4), "{problem}");
        assert!(problem.contains(part), "{problem}");
        assert!(problem.contains("went wrong"), "{problem}");
        // What else was asked for is written.
        fs::remove_file(&page).unwrap();
    }
    let mut sound = harness(&pipe);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = sound.stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(6), "{}", said(&output));
}

#[test]
fn what_is_replaced_keeps_its_mode_and_links_stay_links() {
    let place = TempDir::new().unwrap();
    let path = |name: &str| place.path().join(name);
    fs::create_dir(path("below")).unwrap();
    symlink("below/saved.json", path("first")).unwrap();
    symlink("first", path("link")).unwrap();
    let mode = |name: &str| fs::metadata(path(name)).unwrap().permissions().mode() & 0o7777;
    // At first the links lead to nothing.
    let output = rtt_in(place.path(), &["--save", "link"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    fs::write(path("plain"), "").unwrap();
    assert_eq!(mode("below/saved.json"), mode("plain"));
    for wanted in [0o600, 0o666, 0o440] {
        fs::write(path("page.html"), "old").unwrap();
        for name in ["below/saved.json", "page.html"] {
            fs::set_permissions(path(name), Permissions::from_mode(wanted)).unwrap();
        }
        let number = |name: &str| fs::metadata(path(name)).unwrap().ino();
        let before = number("link");
        let output = rtt_in(place.path(), &["--save", "link", "--html", "page.html"]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert_eq!(
            (mode("below/saved.json"), mode("page.html")),
            (wanted, wanted)
        );
        assert_ne!(number("link"), before, "it wasn't replaced as a whole");
        assert_eq!(fs::read_link(path("link")).unwrap(), Path::new("first"));
        assert_eq!(
            fs::read_link(path("first")).unwrap(),
            Path::new("below/saved.json")
        );
        let page = fs::read_to_string(path("page.html")).unwrap();
        assert!(page.starts_with("<!DOCTYPE html>"));
        fs::remove_file(path("page.html")).unwrap();
    }
    assert_eq!(names_in(&path("below")), ["saved.json"]);
    assert_eq!(names_in(place.path()), ["below", "first", "link", "plain"]);
}

#[test]
fn what_is_no_regular_file_is_written_to() {
    let place = TempDir::new().unwrap();
    let saved = ["--output", "csv", "--save", "/dev/stdout"];
    let output = rtt_in(place.path(), &saved);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("command,contender"), "{text}");
    assert!(text.ends_with("}\n"), "{text}");
    let fifo = place.path().join("fifo");
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let reader = thread::spawn({
        let fifo = fifo.clone();
        move || fs::read(fifo).unwrap()
    });
    let output = rtt_in(place.path(), &["--output", "json", "--save", "fifo"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(reader.join().unwrap(), output.stdout);
    assert!(fs::metadata(&fifo).unwrap().file_type().is_fifo());
}
