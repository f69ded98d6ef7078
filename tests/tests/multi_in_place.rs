//! Messages that are written or read in place in a ring of several producers and consumers: held for long, given up, forgotten, or lost to a panic.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use integration_tests::watchdog;
use shm_ringbuf::{Config, RecvError, SendError, multi};

/// Far longer than the patience of a ring.
const HELD: Duration = Duration::from_millis(5);
/// What is promised to happen in less than a millisecond, on a machine that may be busy.
const PROMISED: Duration = Duration::from_secs(5);

fn words(capacity: usize) -> multi::Ring<u64> {
    Config::mpmc().capacity(capacity).anonymous().unwrap()
}

/// The ring is empty and takes as much as it should.
fn assert_whole(ring: &multi::Ring<u64>) {
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let capacity = ring.capacity() as u64;
    for _ in 0..2 {
        assert_eq!(rx.try_recv(), Err(RecvError::Empty));
        for n in 0..capacity {
            assert_eq!(tx.try_send(n), Ok(()), "message {n} of {capacity}");
        }
        assert_eq!(tx.try_send(0), Err(SendError::Full(0)));
        for n in 0..capacity {
            let guard = rx.try_recv_ref().unwrap();
            assert_eq!((guard.read(), guard.redelivered()), (n, false));
        }
    }
}

/// With others beside it.
fn commit_late(capacity: usize) {
    let ring = words(capacity);
    let (mut tx, mut another) = (ring.producer().unwrap(), ring.producer().unwrap());
    let mut rx = ring.consumer().unwrap();
    let mut expected = Vec::new();
    let mut got = Vec::new();
    for round in 0..20 {
        let mut claim = tx.claim().unwrap();
        claim.write(1000 + round);
        expected.push(1000 + round);
        for n in 0..round % 3 {
            another.send_timeout(round * 10 + n, PROMISED).unwrap();
            expected.push(round * 10 + n);
            got.push(rx.recv().unwrap());
        }
        if round % 2 == 0 {
            std::thread::sleep(HELD);
            // By now it counts for nothing.
            assert_eq!(rx.try_recv(), Err(RecvError::Empty));
        }
        claim.commit().unwrap();
        got.push(rx.recv().unwrap());
    }
    expected.sort_unstable();
    got.sort_unstable();
    assert_eq!(got, expected);
    drop((tx, another, rx));
    assert_whole(&ring);
}

/// With others beside it.
fn give_up(capacity: usize) {
    let ring = words(capacity);
    let (mut tx, mut another) = (ring.producer().unwrap(), ring.producer().unwrap());
    let mut rx = ring.consumer().unwrap();
    for round in 0..20 {
        let mut claim = tx.try_claim().unwrap();
        claim.write(666);
        if round % 2 == 0 {
            std::thread::sleep(HELD / 5);
        }
        if round % 3 == 0 {
            another.send_timeout(round, PROMISED).unwrap();
        }
        drop(claim);
        if round % 3 == 0 {
            assert_eq!(rx.recv(), Ok(round));
        }
        assert_eq!(rx.try_recv(), Err(RecvError::Empty));
    }
    drop((tx, another, rx));
    assert_whole(&ring);
}

macro_rules! at_capacity {
    ($($held:ident, $given_up:ident: $capacity:expr;)*) => {
        $(
            #[test]
            fn $held() {
                let _watchdog = watchdog!(60);
                commit_late($capacity);
            }

            #[test]
            fn $given_up() {
                let _watchdog = watchdog!(60);
                give_up($capacity);
            }
        )*
    };
}

// A ring of one stands still while somebody keeps its cell; what it does then has a test of its own.
at_capacity! {
    a_claim_that_is_held_for_long_is_committed_in_a_ring_of_two, a_claim_that_is_given_up_leaves_nothing_in_a_ring_of_two: 2;
    a_claim_that_is_held_for_long_is_committed_all_the_same, a_claim_that_is_given_up_leaves_nothing: 8;
}

#[test]
fn a_claim_that_is_forgotten_counts_for_nothing_and_takes_no_room_for_good() {
    let _watchdog = watchdog!(60);
    let ring = words(4);
    let mut rx = ring.consumer().unwrap();
    let mut tx = ring.producer().unwrap();
    let mut another = ring.producer().unwrap();
    for n in 0..20 {
        std::mem::forget(tx.claim().unwrap());
        another.send(n).unwrap();
        assert_eq!(rx.recv(), Ok(n));
        tx.send(100 + n).unwrap();
        assert_eq!(rx.recv(), Ok(100 + n));
    }
    std::mem::forget(tx.claim().unwrap());
    drop((tx, another, rx));
    assert_whole(&ring);
}

#[test]
fn a_message_whose_guard_was_forgotten_comes_again_and_is_marked() {
    let _watchdog = watchdog!(60);
    for another_gets_on in [false, true] {
        let ring = words(8);
        let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
        let mut another = ring.consumer().unwrap();
        tx.send_exact(&[7, 8, 9]).unwrap();
        std::mem::forget(rx.recv_ref().unwrap());
        let mut got = Vec::new();
        let mut receive_all = |rx: &mut multi::Consumer<u64>| {
            while let Ok(guard) = rx.try_recv_ref() {
                got.push((guard.read(), guard.redelivered()));
            }
        };
        if another_gets_on {
            receive_all(&mut another);
        }
        receive_all(&mut rx);
        rx.close();
        receive_all(&mut another);
        got.sort_unstable();
        assert_eq!(got, [(7, true), (8, false), (9, false)]);
        drop((tx, another));
        assert_whole(&ring);
    }
}

#[test]
fn many_forgotten_guards_come_again_one_by_one() {
    let _watchdog = watchdog!(60);
    let ring = words(8);
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let mut seen = Vec::new();
    for n in 0..50 {
        tx.send(n).unwrap();
        let guard = rx.recv_ref().unwrap();
        seen.push(guard.read());
        std::mem::forget(guard);
        // It, or one that was sent before, is here again.
        while let Ok(guard) = rx.try_recv_ref() {
            assert!(guard.redelivered());
            seen.push(guard.read());
        }
    }
    rx.close();
    let mut rest = ring.consumer().unwrap();
    while let Ok(guard) = rest.try_recv_ref() {
        seen.push(guard.read());
    }
    for n in 0..50 {
        let times = seen.iter().filter(|seen| **seen == n).count();
        assert!(times >= 2, "{n} came {times} times");
    }
    drop((tx, rest));
    assert_whole(&ring);
}

#[test]
fn a_panic_with_a_claim_or_a_guard_in_hand_harms_nothing() {
    let _watchdog = watchdog!(60);
    let ring = words(4);
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    for n in 0..10 {
        let result = catch_unwind(AssertUnwindSafe(|| {
            let mut claim = tx.claim().unwrap();
            claim.write(666);
            assert!(n > 100, "planted");
            claim.commit().unwrap();
        }));
        assert!(result.is_err());
        tx.send(n).unwrap();
        let result = catch_unwind(AssertUnwindSafe(|| {
            let guard = rx.recv_ref().unwrap();
            assert!(guard.read() > 100, "planted");
        }));
        assert!(result.is_err());
        // It was released like any other guard that is dropped.
        assert_eq!(rx.try_recv(), Err(RecvError::Empty));
    }
    drop((tx, rx));
    assert_whole(&ring);
}
