//! The death of a peer is noticed however the other side waits, and only a place where it can be noticed is taken.

#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use integration_tests::children::Peer;
use integration_tests::names::Name;
use integration_tests::{ring_peer, skip_aloud, watchdog};
use nix::sys::pthread::{pthread_kill, pthread_self};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use shm_ringbuf::{Config, Consumer, RecvError, Ring, Wait};

/// A consumer whose producer was killed a moment ago.
fn orphan(label: &str, wait: Wait) -> (Name, Consumer<u64>) {
    let name = Name::new(label);
    let ring: Ring<u64> = Config::spsc().wait(wait).create(name.as_str()).unwrap();
    let consumer = ring.consumer().unwrap();
    let arguments = ["producer", "--name", name.as_str(), "--form", "word"];
    let mut producer = Peer::start(ring_peer!(), &arguments);
    producer.expect("ready");
    producer.kill();
    (name, consumer)
}

/// Each wait is much shorter than the time between two questions to the kernel.
#[test]
fn waits_that_are_short_find_out_as_well() {
    let _watchdog = watchdog!(60);
    for wait in [Wait::Spin, Wait::SpinThenPark, Wait::Park] {
        for timeout in [
            Duration::ZERO,
            Duration::from_micros(300),
            Duration::from_millis(5),
        ] {
            let (_name, mut consumer) = orphan("short-waits", wait);
            let end = loop {
                match consumer.recv_timeout(timeout) {
                    Err(RecvError::TimedOut) => {}
                    end => break end,
                }
            };
            assert_eq!(end, Err(RecvError::OwnerDied), "{wait:?}, {timeout:?}");
        }
    }
}

#[test]
fn tries_that_come_seldom_find_out_as_well() {
    let _watchdog = watchdog!(60);
    let (_name, mut consumer) = orphan("tries", Wait::SpinThenPark);
    let mut tries = 0;
    let end = loop {
        match consumer.try_recv() {
            Err(RecvError::Empty) => tries += 1,
            end => break end,
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    assert_eq!(end, Err(RecvError::OwnerDied));
    assert!(tries < 1_000, "only the {tries}th try told");
}

extern "C" fn do_nothing(_signal: std::ffi::c_int) {}

/// Every sleep ends early, so no sleep ever times out.
#[test]
fn a_sleeper_under_a_storm_of_signals_finds_out_as_well() {
    let _watchdog = watchdog!(60);
    let action = SigAction::new(
        SigHandler::Handler(do_nothing),
        SaFlags::empty(),
        SigSet::empty(),
    );
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
    let (_name, mut consumer) = orphan("storm", Wait::Park);
    let (waiter, is_done) = (pthread_self(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Relaxed, both: a plain flag.
            while !is_done.load(Ordering::Relaxed) {
                pthread_kill(waiter, Signal::SIGUSR1).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        assert_eq!(consumer.recv(), Err(RecvError::OwnerDied));
        is_done.store(true, Ordering::Relaxed);
    });
}

/// On an overlay a lock ends with its descriptor: two producers would both believe to be alone.
#[test]
fn a_place_that_can_tell_no_death_is_refused() {
    let _watchdog = watchdog!(60);
    let mut peer = Peer::start(ring_peer!(), &["overlay"]);
    let said = peer.line();
    let status = peer.wait();
    assert!(status.success(), "it said {said:?} and ended with {status}");
    match said.as_deref() {
        Some("refused" | "works") => {}
        Some(other) => {
            let why = other
                .strip_prefix("skipped ")
                .expect("refused, works or skipped");
            skip_aloud("a ring on an overlay", why);
        }
        None => panic!("it said nothing"),
    }
}
