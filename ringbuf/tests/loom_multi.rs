//! The ring for many under loom, as it is shipped, over its cells on the heap. Run with `RUSTFLAGS="--cfg loom"`; `cargo xtask test` does.
//!
//! Each model says its bound on preemptions, which is 2 where nothing else is said: three threads in full are too many. `SHM_RING_LONG=1` raises
//! each by one, for hours. loom tries old values for every load at any bound.
#![cfg(loom)]
#![allow(unsafe_code)]

mod loom_support;

use loom::thread;
use loom_support::multi::{Fate, Patience, check};
use loom_support::story::{Receiver, Sender, Story, spawn_aborter, spawn_both};
use shm_ringbuf::segment::heap_cells::{HeapCells, Shape};

/// Two producers and a consumer.
fn two_producers(capacity: u64, patience: Patience) {
    check(2, move || {
        let cells = HeapCells::new(Shape {
            has_one_consumer: true,
            ..Shape::new(capacity, 3)
        });
        let one = Sender::new(1, &[&[1]]).patience(patience).spawn(&cells);
        let other = Sender::new(2, &[&[2]]).patience(patience).spawn(&cells);
        let consumer = Receiver::new(0, 2).patience(patience).spawn(&cells);
        let sent = [one, other].map(|producer| producer.join().unwrap());
        let got = consumer.join().unwrap();
        Story::new(&[&sent[0], &sent[1]], &[&got]).verify(&cells, 0);
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
fn two_consumers(capacity: u64, patience: Patience, batches: &'static [&'static [u64]]) {
    check(2, move || {
        let cells = HeapCells::new(Shape {
            has_one_producer: true,
            ..Shape::new(capacity, 3)
        });
        let consumers = [1, 2].map(|seat| Receiver::new(seat, 1).patience(patience).spawn(&cells));
        let producer = Sender::new(0, batches).patience(patience);
        let sent = producer.spawn(&cells).join().unwrap();
        let got = consumers.map(|consumer| consumer.join().unwrap());
        Story::new(&[&sent], &[&got[0], &got[1]]).verify(&cells, 0);
    });
}

#[test]
fn two_consumers_share_a_ring_of_one() {
    two_consumers(1, Patience::Endless, &[&[1], &[2], &[3]]);
}

#[test]
fn two_consumers_share_a_ring_of_two() {
    two_consumers(2, Patience::Endless, &[&[1], &[2], &[3]]);
}

#[test]
fn two_impatient_consumers_share_a_ring_of_two() {
    two_consumers(2, Patience::None, &[&[1], &[2]]);
}

/// One receives, and sends in its place what another one must not take for a position that was skipped.
#[test]
fn what_is_sent_meanwhile_is_not_passed() {
    for capacity in [1, 2] {
        check(2, move || {
            let cells = HeapCells::new(Shape::new(capacity, 4));
            let first = Sender::new(3, &[&[1]]).run(&cells);
            let both = spawn_both(&cells, Receiver::new(1, 1), Sender::new(1, &[&[2], &[3]]));
            let consumer = Receiver::new(0, 2).spawn(&cells);
            let ((one, sent), other) = (both.join().unwrap(), consumer.join().unwrap());
            Story::new(&[&first, &sent], &[&one, &other]).verify(&cells, 2);
        });
    }
}

/// Somebody sends and the only consumer receives, several times, while a producer is late: what it sees of the head fits what it sees of the tail.
#[test]
fn a_late_producer_takes_no_progress_for_a_corruption() {
    for has_one_consumer in [true, false] {
        check(2, move || {
            let cells = HeapCells::new(Shape {
                has_one_consumer,
                ..Shape::new(1, 3)
            });
            let late = Sender::new(2, &[&[11]]).spawn(&cells);
            let busy = {
                let cells = cells.clone();
                thread::spawn(move || {
                    let sent = Sender::new(1, &[&[1]]).run(&cells);
                    let got = Receiver::new(0, 1).run(&cells);
                    let then_sent = Sender::new(1, &[&[2]]).run(&cells);
                    let then_got = Receiver::new(0, 1).run(&cells);
                    ([sent, then_sent], [got, then_got])
                })
            };
            let (late, (sent, got)) = (late.join().unwrap(), busy.join().unwrap());
            let story = Story::new(&[&late, &sent[0], &sent[1]], &[&got[0], &got[1]]);
            story.verify(&cells, 0);
        });
    }
}

/// Two producers and two consumers. Nobody is interrupted but in the long form: they still come in every order, and see old values.
#[test]
fn two_and_two_share_a_ring_of_one() {
    check(0, || {
        let cells = HeapCells::new(Shape::new(1, 4));
        let sender = |seat, batches| Sender::new(seat, batches).patience(Patience::None);
        let producers = [sender(0, &[&[1]]), sender(1, &[&[2]])].map(|one| one.spawn(&cells));
        let receiver = |seat| Receiver::new(seat, 1).patience(Patience::None);
        let consumers = [2, 3].map(|seat| receiver(seat).spawn(&cells));
        let sent = producers.map(|producer| producer.join().unwrap());
        let got = consumers.map(|consumer| consumer.join().unwrap());
        Story::new(&[&sent[0], &sent[1]], &[&got[0], &got[1]]).verify(&cells, 0);
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
        let producer = Sender::new(1, &[&[1], &[2], &[3]]).patience(Patience::None);
        let producer = producer.spawn(&cells);
        let consumer = Receiver::new(0, 3).patience(Patience::None).spawn(&cells);
        let (sent, got) = (producer.join().unwrap(), consumer.join().unwrap());
        Story::new(&[&sent], &[&got]).verify(&cells, 0);
    });
}

/// Two cells at once, and a consumer: in order, and with nothing in between.
fn two_cells(capacity: u64, two: Sender) {
    check(2, move || {
        let cells = HeapCells::new(Shape::new(capacity, 2));
        let producer = two.spawn(&cells);
        let consumer = Receiver::new(0, 2).patience(two.patience).spawn(&cells);
        let (sent, got) = (producer.join().unwrap(), consumer.join().unwrap());
        Story::new(&[&sent], &[&got]).batched().verify(&cells, 0);
    });
}

/// The same beside a single message of another producer.
fn two_cells_and_one(preemptions: usize, capacity: u64, two: Sender) {
    check(preemptions, move || {
        let cells = HeapCells::new(Shape::new(capacity, 3));
        let one = Sender::new(2, &[&[3]]).patience(two.patience);
        let producers = [two, one].map(|producer| producer.spawn(&cells));
        let consumer = Receiver::new(0, 1).patience(two.patience).spawn(&cells);
        let sent = producers.map(|producer| producer.join().unwrap());
        let story = Story::new(&[&sent[0], &sent[1]], &[&consumer.join().unwrap()]);
        story.batched().verify(&cells, 0);
    });
}

/// A batch of two.
fn a_batch(patience: Patience) -> Sender {
    Sender::new(1, &[&[1, 2]]).patience(patience)
}

/// Bound: 2, and 1 beside another producer.
#[test]
fn a_batch_arrives_in_order_and_in_one_piece() {
    two_cells(2, a_batch(Patience::Endless));
    two_cells_and_one(1, 2, a_batch(Patience::Endless));
    two_cells_and_one(1, 4, a_batch(Patience::Endless));
}

/// Bound: 2, and beside another producer 0 in a ring of two and 1 in one of four.
#[test]
fn a_batch_that_is_taken_out_of_the_order_arrives_in_one_piece() {
    two_cells(2, a_batch(Patience::None));
    two_cells(4, a_batch(Patience::None));
    two_cells_and_one(0, 2, a_batch(Patience::None));
    two_cells_and_one(1, 4, a_batch(Patience::None));
}

/// A message of two cells. Bounds as above.
#[test]
fn a_message_of_two_cells_arrives_whole() {
    two_cells(2, a_batch(Patience::None).of_one_message());
    two_cells_and_one(0, 2, a_batch(Patience::None).of_one_message());
    two_cells_and_one(1, 4, a_batch(Patience::Endless).of_one_message());
}

/// A claim that is given up leaves nothing behind.
#[test]
fn an_aborted_claim_is_passed() {
    for cells_claimed in [1, 2] {
        check(2, move || {
            let cells = HeapCells::new(Shape::new(2, 3));
            let aborter = spawn_aborter(&cells, 1, cells_claimed, Fate::Lives);
            let sender = Sender::new(2, &[&[7]]).patience(Patience::None);
            let sender = sender.spawn(&cells);
            aborter.join().unwrap();
            let sent = sender.join().unwrap();
            Story::new(&[&sent], &[]).verify(&cells, 0);
        });
        check(2, move || {
            let cells = HeapCells::new(Shape::new(2, 3));
            let aborter = spawn_aborter(&cells, 1, cells_claimed, Fate::Lives);
            let consumer = Receiver::new(2, 1).patience(Patience::None).spawn(&cells);
            aborter.join().unwrap();
            let got = consumer.join().unwrap();
            Story::new(&[], &[&got]).verify(&cells, 0);
        });
    }
}
