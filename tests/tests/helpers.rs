//! The helpers of these tests, where they need another process to be tested.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::time::Duration;

use integration_tests::children::Peer;
use integration_tests::names::Name;
use integration_tests::{ring_peer, watchdog};
use nix::sys::signal::Signal;

#[test]
fn the_watchdog_names_a_hung_test_and_shows_where_it_hangs() {
    let output = Command::new(ring_peer!()).arg("hang").output().unwrap();
    assert_eq!(output.status.signal(), Some(Signal::SIGABRT as i32));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("ring_peer::hang is still running after"),
        "{said}"
    );
    assert!(
        said.matches("ring_peer::hang").count() >= 2 && said.contains("park"),
        "the backtrace is of the hung thread: {said}"
    );
}

#[test]
fn a_watchdog_that_is_dropped_in_time_does_nothing() {
    let watchdog = watchdog!(1);
    drop(watchdog);
    std::thread::sleep(Duration::from_millis(1300));
}

#[test]
fn a_peer_dies_when_it_is_dropped() {
    let _watchdog = watchdog!(60);
    let name = Name::new("dropped-peer");
    let mut peer = Peer::start(ring_peer!(), &["creator", name.as_str()]);
    peer.expect("ready");
    let process = format!("/proc/{}", peer.pid());
    assert!(std::fs::exists(&process).unwrap());
    drop(peer);
    assert!(!std::fs::exists(&process).unwrap());
}

#[test]
#[should_panic(expected = "`send 1`")]
fn a_peer_that_has_ended_fails_the_test_that_asks_it() {
    let mut peer = Peer::start(ring_peer!(), &["open", "--name", "/shm-ring-test-none"]);
    let refused = peer.line().unwrap();
    assert!(refused.starts_with("refused NotFound: "), "{refused}");
    peer.wait();
    peer.ask("send 1");
}
