//! What only shows from inside: a participant that is stopped between two steps.

use std::time::Duration;

use crate::endpoint::Config;
use crate::endpoint::when::When;
use crate::error::RecvError;
use crate::protocol::position::Position;

/// Nothing takes that long, on a machine that may be busy.
const NEVER_REACHED: Duration = Duration::from_secs(20);

#[test]
fn a_message_of_the_dead_that_lay_in_the_way_of_the_head_comes_in_batches_too() {
    let ring = Config::mpmc().capacity(8).anonymous::<u64>().unwrap();
    let mut tx = ring.producer().unwrap();
    let [mut gone, mut loser, mut rx] = [0; 3].map(|_| ring.consumer().unwrap());
    tx.try_send(0).unwrap();
    gone.receiver.side.take(When::Now).unwrap();
    // Stopped between its announcement and its exchange of the head, which it loses.
    let loser = &mut loser.receiver.side.endpoint.party.member;
    assert!(!loser.take(Position(0), 1));
    drop(gone);
    // The search finds the message covered, and nothing makes it search again.
    assert_eq!(rx.try_recv(), Err(RecvError::Empty));
    loser.retract();
    let side = &mut rx.receiver.side;
    let (mut in_order, mut redelivered) = (0, Vec::new());
    // Three laps, and always something there.
    for n in 0..12 {
        tx.send_timeout(2 * n, NEVER_REACHED).unwrap();
        tx.send_timeout(2 * n + 1, NEVER_REACHED).unwrap();
        let (first, run) = side.take_run(2, When::Now).unwrap();
        if first.is_redelivered() {
            redelivered.push(first.position.0);
        } else {
            in_order += run;
        }
        side.release_run(first, run);
    }
    assert_eq!(redelivered, [0], "beside {in_order} others");
}

#[test]
fn who_has_left_does_not_make_the_ring_crowded() {
    let ring = Config::mpmc().capacity(8).anonymous::<u64>().unwrap();
    let rx = ring.consumer().unwrap();
    let gone = [0; 6].map(|_| ring.producer().unwrap());
    let others = [0; 2].map(|_| ring.consumer().unwrap());
    let party = &rx.receiver.side.endpoint.party;
    assert_eq!(party.outnumber(8), Ok(true));
    assert_eq!(party.outnumber(9), Ok(false));
    drop(gone);
    assert_eq!(party.outnumber(2), Ok(true));
    assert_eq!(party.outnumber(3), Ok(false));
    drop(others);
    assert_eq!(party.outnumber(0), Ok(true));
    assert_eq!(party.outnumber(1), Ok(false));
}

#[test]
fn the_first_lap_of_a_large_ring_holds_nothing_that_was_taken() {
    // The larger the ring, the fewer bits has the number of a lap.
    for bits in 16..=21 {
        let config = Config::mpmc().capacity(1 << bits);
        let ring = config.anonymous::<u64>().unwrap();
        let (mut tx, _another) = (ring.producer().unwrap(), ring.consumer().unwrap());
        for n in 0..3 {
            tx.try_send(n).unwrap();
            tx.try_send(100).unwrap();
            // Begins with a search.
            let mut rx = ring.consumer().unwrap();
            let first = rx.try_recv_ref().unwrap();
            let seen = (first.read(), first.position(), first.redelivered());
            assert_eq!(seen, (n, 2 * n, false), "in a ring of 2^{bits}");
            first.release();
            assert_eq!(rx.try_recv(), Ok(100));
        }
    }
}
