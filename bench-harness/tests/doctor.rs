//! Runs `doctor` of the built program: what it prints, its exit codes, and that it finds what the dead left and nothing that is in use.
#![allow(unsafe_code, reason = "System V objects are removed by their numbers")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use bench_harness::fan::Fan;
use bench_harness::machine::{allowed_cores, pin_to};
use bench_harness::transport::sysv::OwnedSemaphores;
use bench_harness::transport::sysv_mq::SysvMq;
use bench_harness::transport::{LinkShape, Sender, Transport, names};
use nix::mqueue::{MQ_OFlag, MqAttr, mq_open, mq_unlink};
use nix::sys::stat::Mode;
use serde_json::Value;

use support::{harness, run};

/// How the planting process tells what it made.
const PLANTED: &str = "planted:";
/// Set for the process that plants; without it, it leaves nothing behind even if somebody runs ignored tests.
const MAY_PLANT: &str = "BENCH_HARNESS_TEST_MAY_PLANT";
const SHARED_MEMORY: &str = "/dev/shm";
const QUEUES: &str = "/dev/mqueue";

fn findings(args: &[&str]) -> (i32, Value) {
    let output = run(&[&["doctor", "--output", "json"], args].concat());
    let document = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code().unwrap(), document)
}

fn finding<'a>(document: &'a Value, name: &str) -> &'a Value {
    let all = document["findings"].as_array().unwrap();
    all.iter().find(|finding| finding["name"] == name).unwrap()
}

fn has_failed(document: &Value) -> bool {
    let all = document["findings"].as_array().unwrap();
    all.iter().any(|finding| finding["verdict"] == "fail")
}

#[test]
fn programs_get_one_object_and_the_exit_code_tells_whether_a_check_failed() {
    let (code, document) = findings(&[]);
    assert_eq!(document["schema"], "ipc-bench-harness-doctor/1");
    assert_eq!(code, if has_failed(&document) { 3 } else { 0 });
    for finding in document["findings"].as_array().unwrap() {
        let verdict = finding["verdict"].as_str().unwrap();
        assert!(
            ["ok", "warn", "fail", "cannot_tell"].contains(&verdict),
            "{finding}"
        );
        let is_wrong = verdict == "warn" || verdict == "fail";
        assert_eq!(finding["remedy"].is_string(), is_wrong, "{finding}");
        assert_eq!(finding["effect"].is_string(), is_wrong, "{finding}");
    }
}

#[test]
fn people_get_a_table_of_80_columns_with_a_summary() {
    let output = run(&["doctor"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    for part in [
        "clock source",
        "cgroup quota",
        "stale System V",
        "FAIL, ",
        "--fix-script",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(output.stderr.is_empty());
}

#[test]
fn one_core_fails_and_the_exit_code_says_so() {
    let first = allowed_cores().unwrap()[0];
    let confined = thread::spawn(move || {
        // What a thread starts inherits its cores.
        pin_to(first).unwrap();
        findings(&[])
    });
    let (code, document) = confined.join().unwrap();
    assert_eq!(code, 3);
    assert_eq!(finding(&document, "cores")["verdict"], "fail");
    assert_eq!(finding(&document, "idle wake")["verdict"], "cannot_tell");
}

#[test]
fn cores_that_cannot_be_had_and_two_forms_at_once_are_refused() {
    for (args, part) in [
        (["doctor", "--cpus", "0,9999"], "core 9999"),
        (["doctor", "--fix-script", "--output=json"], "--fix-script"),
    ] {
        let output = run(&args);
        assert_eq!(output.status.code(), Some(2));
        let problem = String::from_utf8(output.stderr).unwrap();
        assert!(problem.contains(part), "{problem}");
    }
}

/// What a process left behind by dying; removed when this is dropped.
#[derive(Debug)]
struct Planted {
    queue: Option<i32>,
    semaphores: Option<i32>,
    /// Also the POSIX queue has such a name.
    names: Vec<String>,
    folder: PathBuf,
}

impl Planted {
    /// Starts this very program as a process that plants things and dies.
    fn by_a_process_that_died() -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(names::unique());
        fs::create_dir(&folder).unwrap();
        let mut planted = Self {
            queue: None,
            semaphores: None,
            names: Vec::new(),
            folder,
        };
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "plant", "--ignored", "--nocapture"])
            .env("TMPDIR", &planted.folder)
            .env(MAY_PLANT, "yes")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        for line in text.lines().filter_map(|line| line.split_once(PLANTED)) {
            match line.1.split_once(' ').unwrap() {
                ("queue", id) => planted.queue = Some(id.parse().unwrap()),
                ("semaphores", id) => planted.semaphores = Some(id.parse().unwrap()),
                (_, name) => planted.names.push(name.to_owned()),
            }
        }
        assert!(output.status.success(), "{text}");
        planted
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        if let Some(id) = self.queue {
            // SAFETY: IPC_RMID takes no argument.
            unsafe { libc::msgctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
        }
        if let Some(id) = self.semaphores {
            // SAFETY: IPC_RMID takes no argument.
            unsafe { libc::semctl(id, 0, libc::IPC_RMID) };
        }
        for name in &self.names {
            let _ = fs::remove_file(Path::new(SHARED_MEMORY).join(name));
            let _ = mq_unlink(format!("/{name}").as_str());
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn has_system_v() -> bool {
    Path::new("/proc/sysvipc/msg").exists()
}

/// Tells what was made at once, so that it is removed even if the next thing can't be made.
fn tell(kind: &str, what: impl std::fmt::Display) {
    println!("\n{PLANTED}{kind} {what}");
}

#[test]
#[ignore = "run by another test, as the process that dies"]
fn plant() {
    if std::env::var_os(MAY_PLANT).is_none() {
        return;
    }
    let name = names::unique();
    fs::write(Path::new(SHARED_MEMORY).join(&name), "").unwrap();
    tell("segment", &name);
    let flags = MQ_OFlag::O_CREAT | MQ_OFlag::O_EXCL | MQ_OFlag::O_RDWR;
    let attributes = MqAttr::new(0, 1, 8, 0);
    let name = names::unique();
    match mq_open(
        format!("/{name}").as_str(),
        flags,
        Mode::S_IRWXU,
        Some(&attributes),
    ) {
        Ok(_) => tell("posix-queue", &name),
        Err(errno) => println!("no POSIX queue here: {errno}"),
    }
    nix::unistd::mkfifo(&names::temporary_path(), Mode::S_IRWXU).unwrap();
    if !has_system_v() {
        return;
    }
    let shape = LinkShape {
        message_len_max: 8,
        variable_len: false,
        capacity: 4,
        fan: Fan::PAIR,
    };
    let link = SysvMq.create(&shape).unwrap();
    tell("queue", &link.ticket.text);
    SysvMq.sender(&link.ticket).unwrap().send(&[7; 8]).unwrap();
    let semaphores = OwnedSemaphores::create([1, 2]).unwrap();
    tell("semaphores", semaphores.id());
    // As if this process were killed.
    std::mem::forget((link, semaphores));
}

fn objects(document: &Value, name: &str) -> Vec<String> {
    let objects = finding(document, name)["objects"].as_array().unwrap();
    let texts = objects
        .iter()
        .map(|object| object.as_str().unwrap().to_owned());
    texts.collect()
}

fn mentions(objects: &[String], what: &str) -> usize {
    objects
        .iter()
        .filter(|object| object.contains(what))
        .count()
}

/// A name in `/dev/shm` of a process that lives: this one.
struct InUse(PathBuf);

impl Drop for InUse {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What `doctor` says with this directory for temporary files: the findings and the script.
fn examined(temporary: &Path) -> (Value, String) {
    let printed = |args: &[&str]| {
        let output = harness(args).env("TMPDIR", temporary).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let document = printed(&["doctor", "--output", "json"]);
    let document = serde_json::from_str(&document).unwrap();
    (document, printed(&["doctor", "--fix-script"]))
}

#[test]
fn names_that_the_dead_left_are_found_and_in_the_script_and_those_in_use_are_not() {
    let planted = Planted::by_a_process_that_died();
    let used_name = names::unique();
    let used = InUse(Path::new(SHARED_MEMORY).join(&used_name));
    fs::write(&used.0, "").unwrap();
    let (document, script) = examined(&planted.folder);

    let segments = objects(&document, "stale segments");
    assert_eq!(mentions(&segments, &planted.names[0]), 1, "{segments:?}");
    assert_eq!(mentions(&segments, &used_name), 0, "{segments:?}");
    let line = format!("\nremove '{SHARED_MEMORY}/{}'\n", planted.names[0]);
    assert!(script.contains(&line), "{script}");
    assert!(!script.contains(&used_name), "{script}");

    if let (true, Some(name)) = (Path::new(QUEUES).exists(), planted.names.get(1)) {
        let queues = objects(&document, "stale POSIX queues");
        assert_eq!(mentions(&queues, name), 1, "{queues:?}");
        let line = format!("\nremove '{QUEUES}/{name}'\n");
        assert!(script.contains(&line), "{script}");
    } else {
        eprintln!("POSIX queues are not tested here: none can be made, or {QUEUES} is not mounted");
    }

    let files = objects(&document, "stale files");
    assert_eq!(files.len(), 1, "{files:?}");
    let folder = planted.folder.to_str().unwrap();
    assert!(files[0].contains(folder), "{files:?}");
    let read = Command::new("sh").args(["-nc", &script]).status().unwrap();
    assert!(read.success(), "{script}");
}

#[test]
fn system_v_objects_of_the_dead_are_found_and_in_the_script_and_those_in_use_are_not() {
    if !has_system_v() {
        eprintln!("not tested here: no System V objects");
        return;
    }
    let planted = Planted::by_a_process_that_died();
    let used = OwnedSemaphores::create([1]).unwrap();
    let (document, script) = examined(&planted.folder);
    let objects = objects(&document, "stale System V");
    for (kind, option, id) in [
        ("queue", 'q', planted.queue.unwrap()),
        ("semaphore set", 's', planted.semaphores.unwrap()),
    ] {
        let start = format!("{kind} {id} (");
        assert_eq!(mentions(&objects, &start), 1, "{objects:?}");
        let line = format!("\nperhaps remove_ipc -{option} {id}\n");
        assert!(script.contains(&line), "{script}");
    }
    let used = format!("semaphore set {} (", used.id());
    assert_eq!(mentions(&objects, &used), 0, "{objects:?}");
}
