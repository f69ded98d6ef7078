//! Other people's rings and channels: each answers all questions, is measured by the program itself, and leaves nothing behind, however a run ends.
#![cfg(feature = "peers")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use support::{Running, await_marked, await_others, count_marked, harness, is_clean, marked, row};

/// No run of the program takes that long, unless it hangs.
const WATCHDOG: Duration = Duration::from_secs(120);

/// How long what was killed may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(30);

mod iceoryx2_spin {
    use bench_harness::transport::WaitMode;
    use bench_harness::transport::peers::iceoryx2::Iceoryx2;

    bench_harness::conformance!(Iceoryx2::new(WaitMode::Spin), Message);
}

mod iceoryx2_park {
    use bench_harness::transport::WaitMode;
    use bench_harness::transport::peers::iceoryx2::Iceoryx2;

    bench_harness::conformance!(Iceoryx2::new(WaitMode::Park), Message);
}

mod shaq_spin {
    use bench_harness::transport::WaitMode;
    use bench_harness::transport::peers::shaq::Queue;

    bench_harness::conformance!(Queue::<8>::new(WaitMode::Spin), Message);
}

mod shaq_spin_park {
    use bench_harness::transport::WaitMode;
    use bench_harness::transport::peers::shaq::Queue;

    bench_harness::conformance!(Queue::<512>::new(WaitMode::SpinPark), Message);
}

mod ipc_channel {
    use bench_harness::transport::peers::ipc_channel::IpcChannel;

    bench_harness::conformance!(IpcChannel, Message);
}

mod shmem_ipc {
    use bench_harness::transport::peers::shmem_ipc::Ring;

    bench_harness::conformance!(Ring::<8>, Message);
}

mod shmem_ipc_of_pages {
    use bench_harness::transport::peers::shmem_ipc::Ring;

    bench_harness::conformance!(Ring::<4096>, Message);
}

/// Runs of the program burn cores: one at a time.
static RUNNING: Mutex<()> = Mutex::new(());

/// A folder for the temporary files of one run, so that what it leaves there is its own. Its path is short: sockets are in it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("peers-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn names(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(&self.0).unwrap().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.collect()
    }

    /// Waits until nothing is left of a coordinator: no file, no shared memory, and no process that was started with one of its paths.
    fn await_nothing(&self, coordinator: u32) {
        let deadline = Instant::now() + GONE_WITHIN;
        loop {
            let left = (self.names(), shared_memory_of(coordinator), self.users());
            if left == Default::default() {
                return;
            }
            assert!(Instant::now() < deadline, "left behind: {left:?}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// The processes whose arguments have this path: those that clean up.
    fn users(&self) -> BTreeSet<String> {
        let path = self.0.to_str().unwrap();
        let arguments = |entry: fs::DirEntry| fs::read(entry.path().join("cmdline")).ok();
        let all = fs::read_dir("/proc").unwrap().flatten();
        let texts = all.filter_map(arguments);
        let texts = texts.map(|text| String::from_utf8_lossy(&text).into_owned());
        texts.filter(|text| text.contains(path)).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a coordinator's links have in shared memory: they begin with its number.
fn shared_memory_of(coordinator: u32) -> BTreeSet<String> {
    let entries = fs::read_dir("/dev/shm").unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let beginnings = ["iox2-", "bench-harness-"].map(|begin| format!("{begin}{coordinator}-"));
    names
        .filter(|name| beginnings.iter().any(|begin| name.starts_with(begin)))
        .collect()
}

/// Starts the program with a folder of its own for temporary files.
fn start(folder: &Folder, mark: &str, args: &[&str]) -> Running {
    let child = harness(args)
        .env("TMPDIR", &folder.0)
        .env("BENCH_HARNESS_TEST_MARK", mark)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    Running::of(child.unwrap())
}

/// Waits until the program has ended by itself.
fn ended(mut child: Running) -> Output {
    fn all_of(mut from: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).unwrap();
            bytes
        })
    }
    let stdout = all_of(child.stdout.take().unwrap());
    let stderr = all_of(child.stderr.take().unwrap());
    let deadline = Instant::now() + WATCHDOG;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "the program hangs");
        thread::sleep(Duration::from_millis(5));
    };
    Output {
        status,
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
    }
}

fn report_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        let said = String::from_utf8_lossy(&output.stderr);
        panic!("{error}, {}: {said}", output.status)
    })
}

const PEERS: [(&str, &str); 6] = [
    ("iceoryx2", "spin"),
    ("iceoryx2", "park"),
    ("shaq", "spin"),
    ("shaq", "spin-park"),
    ("ipc-channel", "park"),
    ("shmem-ipc", "park"),
];

#[test]
fn every_peer_is_measured_between_two_processes_and_leaves_nothing() {
    let _alone = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Folder::new("all");
    let mark = format!("peers-all-{}", std::process::id());
    let mut args: Vec<String> = "run --output json --rounds 1 --duration 2ms --seed 7"
        .split(' ')
        .map(str::to_owned)
        .collect();
    for (name, wait) in PEERS {
        args.extend(["--contender".to_owned(), format!("{name}/{wait}")]);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let child = start(&folder, &mark, &args);
    let coordinator = child.id();
    let output = ended(child);
    let report = report_of(&output);
    assert!(output.status.success(), "{report:#}");
    for (name, wait) in PEERS {
        let row = row(&report, name, wait);
        assert_eq!(row["status"], "ok", "{row:#}");
        assert!(is_clean(row), "{row:#}");
        let sent = row["integrity"]["sent"].as_u64();
        assert!(sent.is_some_and(|count| count > 0), "{row:#}");
        assert_eq!(row["integrity"]["received"].as_u64(), sent, "{row:#}");
        let stream = &row["stream"]["ns_per_message"];
        assert!(stream.as_f64().is_some_and(|ns| ns > 0.0), "{row:#}");
        // A percentile needs more trips than a slow machine makes in so short a window.
        let round_trip = &row["round_trip_ns"]["max"];
        assert!(round_trip.as_f64().is_some_and(|ns| ns > 0.0), "{row:#}");
    }
    assert_eq!(count_marked(&mark), 0);
    folder.await_nothing(coordinator);
}

#[test]
fn sizes_that_a_peer_was_not_compiled_for_are_unavailable_with_the_remedy() {
    let _alone = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Folder::new("sizes");
    let mark = format!("peers-sizes-{}", std::process::id());
    let args = "run --output json --rounds 1 --duration 1ms --size 100 --contender shaq --contender shmem-ipc";
    let args: Vec<&str> = args.split(' ').collect();
    let report = report_of(&ended(start(&folder, &mark, &args)));
    let rows = report["results"].as_array().unwrap();
    assert!(!rows.is_empty(), "{report:#}");
    for row in rows {
        assert_eq!(row["status"], "unavailable", "{row:#}");
        let reason = row["reason"].as_str().unwrap();
        assert!(reason.contains("100 B"), "{reason}");
        assert!(reason.contains("choose one"), "{reason}");
    }
}

/// A run of both rows of iceoryx2 that would last long, in the middle of a session, and with names in its folder.
fn in_the_middle(folder: &Folder, name: &str) -> (Running, String) {
    let mark = format!("peers-{name}-{}", std::process::id());
    let args = "run --output json --rounds 50 --duration 300ms --contender iceoryx2";
    let args: Vec<&str> = args.split(' ').collect();
    let child = start(folder, &mark, &args);
    let deadline = Instant::now() + WATCHDOG;
    // The two measured processes have joined when a link has its memory. A session may end between two looks, so all of it is looked at again.
    let is_measured = || {
        count_marked(&mark) == 3
            && !shared_memory_of(child.id()).is_empty()
            && !folder.names().is_empty()
    };
    while !is_measured() {
        assert!(Instant::now() < deadline, "nobody is measured");
        thread::sleep(Duration::from_millis(2));
    }
    (child, mark)
}

fn signal(child: &Running, signal: Signal) {
    kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
}

#[test]
fn an_interrupted_run_of_iceoryx2_leaves_nothing() {
    let _alone = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Folder::new("int");
    let (child, mark) = in_the_middle(&folder, "int");
    let coordinator = child.id();
    signal(&child, Signal::SIGINT);
    let output = ended(child);
    assert_eq!(output.status.code(), Some(130));
    // It has cleaned up itself: nobody has to be waited for.
    assert_eq!(folder.names(), BTreeSet::new());
    assert_eq!(shared_memory_of(coordinator), BTreeSet::new());
    assert_eq!(folder.users(), BTreeSet::new());
    assert_eq!(count_marked(&mark), 0);
}

#[test]
fn a_killed_coordinator_of_iceoryx2_leaves_nothing() {
    let _alone = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Folder::new("kill");
    let (mut child, mark) = in_the_middle(&folder, "kill");
    let coordinator = child.id();
    child.kill().unwrap();
    child.wait().unwrap();
    await_marked(&mark, 0);
    folder.await_nothing(coordinator);
}

#[test]
fn a_killed_process_of_iceoryx2_leaves_nothing_and_the_run_goes_on() {
    let _alone = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Folder::new("side");
    let (child, mark) = in_the_middle(&folder, "side");
    let coordinator = child.id().cast_signed();
    let deadline = Instant::now() + WATCHDOG;
    let killed = loop {
        assert!(Instant::now() < deadline, "nobody is measured");
        let others = marked(&mark).into_iter().filter(|&pid| pid != coordinator);
        let mut killed = others.filter(|&pid| kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok());
        if let Some(pid) = killed.next() {
            break pid;
        }
    };
    // The next session has begun when there are two others.
    await_others(&mark, killed, 3);
    signal(&child, Signal::SIGINT);
    let output = ended(child);
    assert_eq!(output.status.code(), Some(130));
    let warnings = report_of(&output)["warnings"].to_string();
    assert!(warnings.contains("signal: 9"), "{warnings}");
    folder.await_nothing(coordinator.cast_unsigned());
}

#[test]
fn a_killed_coordinator_of_the_other_peers_leaves_no_process_and_no_memory() {
    let _alone = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    for name in ["shaq", "ipc-channel", "shmem-ipc"] {
        let folder = Folder::new(name);
        let mark = format!("peers-{name}-{}", std::process::id());
        let args = "run --output json --rounds 50 --duration 300ms --contender";
        let args: Vec<&str> = args.split(' ').chain([name]).collect();
        let mut child = start(&folder, &mark, &args);
        let coordinator = child.id();
        await_marked(&mark, 3);
        child.kill().unwrap();
        child.wait().unwrap();
        await_marked(&mark, 0);
        assert_eq!(shared_memory_of(coordinator), BTreeSet::new());
    }
}
