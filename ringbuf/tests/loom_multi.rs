//! The ring for many under loom, as it is shipped, over its cells on the heap. Run with `RUSTFLAGS="--cfg loom"`; `cargo xtask test` does.
//!
//! Each model says its bound on preemptions: three threads in full are too many.
#![cfg(loom)]
#![allow(unsafe_code)]

mod loom_support;

use loom::thread;
use loom_support::multi::{Arrived, Batch, Party, Patience, check};
use shm_ringbuf::segment::heap_cells::{HeapCells, Shape};

use loom::thread::JoinHandle;
use shm_ringbuf::protocol::multi::producer::Claimed;

/// Makes one attempt for each of these batches, and says what was sent.
fn sends(
    cells: &HeapCells,
    seat: usize,
    patience: Patience,
    batches: &'static [&'static [u64]],
) -> JoinHandle<Vec<u64>> {
    let cells = cells.clone();
    thread::spawn(move || {
        let mut party = Party::new(&cells, seat, patience);
        let mut sent = Vec::new();
        for batch in batches {
            if party.try_send(batch, Batch::Messages) {
                sent.extend_from_slice(batch);
            }
        }
        sent
    })
}

/// Makes so many attempts, and says what has arrived.
fn receives(
    cells: &HeapCells,
    seat: usize,
    patience: Patience,
    attempts: usize,
) -> JoinHandle<Vec<Arrived>> {
    let cells = cells.clone();
    thread::spawn(move || {
        let mut party = Party::new(&cells, seat, patience);
        let mut arrived = Vec::new();
        for _ in 0..attempts {
            party.try_recv(&mut |message| arrived.push(message));
        }
        arrived
    })
}

/// Everything that was sent has arrived once, each consumer has followed the order, and so has each producer's share of it; and
/// the whole ring is there for the one who is left.
fn verify(cells: &HeapCells, seat: usize, sent: &[Vec<u64>], arrived: &[Vec<Arrived>]) {
    verify_all(cells, seat, sent, arrived, false);
}

fn verify_all(
    cells: &HeapCells,
    seat: usize,
    sent: &[Vec<u64>],
    arrived: &[Vec<Arrived>],
    batched: bool,
) {
    // Everybody is idle, so nobody has to be waited for.
    let mut last = Party::new(cells, seat, Patience::Endless);
    let rest = last.drain();
    let all: Vec<Vec<Arrived>> = arrived.iter().cloned().chain([rest]).collect();
    for one in &all {
        assert!(one.is_sorted_by_key(|message| message.position), "{one:?}");
    }
    let mut order: Vec<Arrived> = all.concat();
    order.sort_unstable_by_key(|message| message.position);
    assert!(order.iter().all(|message| !message.redelivered));
    for one in sent {
        let all_values = order.iter().map(|message| message.value);
        let of_this_one: Vec<u64> = all_values.filter(|value| one.contains(value)).collect();
        assert_eq!(&of_this_one, one, "of {order:?}");
        let places = order.iter().filter(|message| one.contains(&message.value));
        let places: Vec<u64> = places.map(|message| message.position).collect();
        let is_together = places.windows(2).all(|pair| pair[1] == pair[0] + 1);
        assert!(!batched || is_together, "{order:?}");
    }
    assert_eq!(order.len(), sent.concat().len(), "{order:?} of {sent:?}");
    last.assert_capacity_is_whole();
}

/// Two producers and a consumer.
fn two_producers(capacity: u64, patience: Patience) {
    check(2, move || {
        let cells = HeapCells::new(Shape {
            has_one_consumer: true,
            ..Shape::new(capacity, 3)
        });
        let producers = [
            sends(&cells, 1, patience, &[&[1]]),
            sends(&cells, 2, patience, &[&[2]]),
        ];
        let consumer = receives(&cells, 0, patience, 2);
        let sent = producers.map(|producer| producer.join().unwrap());
        verify(&cells, 0, &sent, &[consumer.join().unwrap()]);
    });
}

#[test]
fn two_producers_lose_nothing_in_a_ring_of_one() {
    two_producers(1, Patience::Endless);
}

#[test]
fn two_producers_lose_nothing_in_a_ring_of_two() {
    two_producers(2, Patience::Endless);
}

#[test]
fn an_impatient_consumer_loses_nothing_in_a_ring_of_one() {
    two_producers(1, Patience::None);
}

#[test]
fn an_impatient_consumer_loses_nothing_in_a_ring_of_two() {
    two_producers(2, Patience::None);
}

/// A producer and two consumers.
fn two_consumers(capacity: u64, patience: Patience) {
    check(2, move || {
        let cells = HeapCells::new(Shape {
            has_one_producer: true,
            ..Shape::new(capacity, 3)
        });
        let consumers = [1, 2].map(|seat| receives(&cells, seat, patience, 1));
        let producer = sends(&cells, 0, patience, &[&[1], &[2], &[3]]);
        let arrived = consumers.map(|consumer| consumer.join().unwrap());
        verify(&cells, 0, &[producer.join().unwrap()], &arrived);
    });
}

#[test]
fn two_consumers_share_a_ring_of_one() {
    two_consumers(1, Patience::Endless);
}

#[test]
fn two_consumers_share_a_ring_of_two() {
    two_consumers(2, Patience::Endless);
}

#[test]
fn two_impatient_consumers_share_a_ring_of_two() {
    two_consumers(2, Patience::None);
}

/// Two producers and two consumers.
#[test]
fn two_and_two_share_a_ring_of_one() {
    check(2, || {
        let cells = HeapCells::new(Shape::new(1, 4));
        let producers = [
            sends(&cells, 0, Patience::None, &[&[1]]),
            sends(&cells, 1, Patience::None, &[&[2]]),
        ];
        let consumers = [2, 3].map(|seat| receives(&cells, seat, Patience::None, 1));
        let sent = producers.map(|producer| producer.join().unwrap());
        let arrived = consumers.map(|consumer| consumer.join().unwrap());
        verify(&cells, 0, &sent, &arrived);
    });
}

/// The laps wrap in their 46 bits while the ring runs full and empty.
#[test]
fn laps_may_wrap() {
    check(2, || {
        let cells = HeapCells::new(Shape {
            start: (1 << 46) - 1,
            ..Shape::new(1, 2)
        });
        let producer = sends(&cells, 1, Patience::None, &[&[1], &[2], &[3]]);
        let consumer = receives(&cells, 0, Patience::None, 3);
        let sent = producer.join().unwrap();
        verify(&cells, 0, &[sent], &[consumer.join().unwrap()]);
    });
}

/// A batch of two beside a single message: in order, and nothing between its messages.
fn a_batch(capacity: u64, patience: Patience) {
    check(2, move || {
        let cells = HeapCells::new(Shape::new(capacity, 3));
        let batcher = sends(&cells, 1, patience, &[&[1, 2]]);
        let single = sends(&cells, 2, patience, &[&[3]]);
        let consumer = receives(&cells, 0, patience, 2);
        let sent = [batcher.join().unwrap(), single.join().unwrap()];
        verify_all(&cells, 0, &sent, &[consumer.join().unwrap()], true);
    });
}

#[test]
fn a_batch_arrives_in_order_and_in_one_piece() {
    a_batch(2, Patience::Endless);
    a_batch(4, Patience::Endless);
}

#[test]
fn a_batch_that_is_taken_out_of_the_order_arrives_in_one_piece() {
    a_batch(2, Patience::None);
    a_batch(4, Patience::None);
}

/// A message of two cells, beside a single one.
#[test]
fn a_message_of_two_cells_arrives_whole() {
    check(2, || {
        let cells = HeapCells::new(Shape::new(2, 3));
        let long = {
            let cells = cells.clone();
            thread::spawn(move || {
                let mut party = Party::new(&cells, 1, Patience::None);
                let is_sent = party.try_send(&[1, 2], Batch::OneMessage);
                [1, 2][..2 * usize::from(is_sent)].to_vec()
            })
        };
        let single = sends(&cells, 2, Patience::None, &[&[3]]);
        let consumer = receives(&cells, 0, Patience::None, 2);
        let sent = [long.join().unwrap(), single.join().unwrap()];
        verify_all(&cells, 0, &sent, &[consumer.join().unwrap()], true);
    });
}

/// A claim that is given up leaves nothing behind.
#[test]
fn an_aborted_claim_is_passed() {
    check(2, || {
        let cells = HeapCells::new(Shape::new(2, 3));
        let aborter = {
            let cells = cells.clone();
            thread::spawn(move || {
                let mut party = Party::new(&cells, 1, Patience::None);
                if let Claimed::At(at) = party.member.claim(2, 0, true).unwrap() {
                    party.member.abort(at, 2);
                }
            })
        };
        let sender = sends(&cells, 2, Patience::None, &[&[7]]);
        let consumer = receives(&cells, 0, Patience::None, 1);
        aborter.join().unwrap();
        let sent = [sender.join().unwrap()];
        verify(&cells, 0, &sent, &[consumer.join().unwrap()]);
    });
}
