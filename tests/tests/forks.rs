//! Processes that fork with an endpoint or a ring in hand.

use std::time::Duration;

use integration_tests::children::Peer;
use integration_tests::names::Name;
use integration_tests::{ring_peer, watchdog};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shm_ringbuf::{self as ring, Config, RecvError, Ring};

fn fork(name: &Name, child: &str) -> Peer {
    Peer::start(ring_peer!(), &["fork", name.as_str(), "--child", child])
}

fn words(name: &Name) -> Ring<u64> {
    Config::spsc().capacity(8).create(name.as_str()).unwrap()
}

#[test]
fn a_child_that_ends_does_not_harm_the_endpoint_of_its_parent() {
    let _watchdog = watchdog!(60);
    for child in ["leave", "exit", "drop"] {
        let name = Name::new("fork-ends");
        let ring = words(&name);
        let mut rx = ring.consumer().unwrap();
        let mut parent = fork(&name, child);
        parent.expect("child exited 0");
        parent.expect("sent: Ok(())");
        let alive = ring.producer_peer().unwrap();
        assert!(
            matches!(alive, ring::Peer::Attached { pid, .. } if pid == parent.pid()),
            "{child}: {alive:?}"
        );
        assert!(
            ring.producer().is_err(),
            "{child}: the role is still the parent's"
        );
        (1..=4).for_each(|n| assert_eq!(rx.recv(), Ok(n), "{child}"));
        assert_eq!(
            rx.try_recv(),
            Err(RecvError::Empty),
            "{child}: not closed, not dead"
        );
        parent.kill();
        assert_eq!(rx.recv(), Err(RecvError::OwnerDied), "{child}");
    }
}

#[test]
fn a_child_that_lives_on_does_not_keep_its_dead_parent_alive() {
    let _watchdog = watchdog!(60);
    let name = Name::new("fork-lingers");
    let ring = words(&name);
    let mut rx = ring.consumer().unwrap();
    let mut parent = fork(&name, "linger");
    let said = parent.line().unwrap();
    let child: i32 = said.strip_prefix("lingering ").unwrap().parse().unwrap();
    (1..=3).for_each(|n| assert_eq!(rx.recv(), Ok(n)));
    parent.kill();
    let before_the_child_ends = Duration::from_secs(10);
    assert_eq!(
        rx.recv_timeout(before_the_child_ends),
        Err(RecvError::OwnerDied)
    );
    drop(ring.producer().expect("its owner is dead"));
    kill(Pid::from_raw(child), Signal::SIGKILL).expect("the child had lived on");
}

#[test]
fn a_ring_that_was_inherited_by_fork_can_be_used_by_the_child() {
    let _watchdog = watchdog!(60);
    let name = Name::new("fork-receives");
    let ring = words(&name);
    let mut parent = fork(&name, "receive");
    parent.expect("child received 6");
    parent.expect("child exited 0");
    parent.expect("sent: Err(Disconnected)");
    assert_eq!(ring.consumer_peer().unwrap(), ring::Peer::Closed);
    let mut rx = ring.consumer().unwrap();
    assert_eq!(
        rx.try_recv(),
        Err(RecvError::Empty),
        "the child had received all"
    );
}
