//! The examples run to their end.
#![cfg(not(loom))]

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs an example that was built with this test, and says what it printed.
fn run(example: &str) -> String {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(std::path::Path::parent).unwrap();
    let mut running = Command::new(folder.join("examples").join(example))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // A group of its own, so that its children can be ended with it.
        .process_group(0)
        .spawn()
        .unwrap();
    let patience_ends = Instant::now() + Duration::from_secs(60);
    while running.try_wait().unwrap().is_none() {
        if Instant::now() > patience_ends {
            let group = format!("-{}", running.id());
            Command::new("kill")
                .args(["-KILL", "--", &group])
                .status()
                .unwrap();
            running.wait().unwrap();
            panic!("{example} does not end");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let output = running.wait_with_output().unwrap();
    assert!(output.status.success(), "{example}: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_event_loop_exchanges_messages_with_another_process() {
    let printed = run("tokio_ring");
    assert!(printed.contains("20000 squares"), "{printed}");
}
