//! Participants of a ring for many that stop at every step, for ever, and count as living. Run with `RUSTFLAGS="--cfg loom"`; `cargo xtask test` does.
//!
//! The others have no patience. They get everything that they send, nothing is received twice, and the ring is short of no more cells than the stopped one
//! covers. Who stops and goes on later is in every other model without patience: loom interrupts everybody everywhere, and the others take what is
//! unfinished out of the order at once. Each model says its bound on preemptions, which is 2 where nothing else is said; `SHM_RING_LONG=1` raises each by one.
#![cfg(loom)]
#![allow(unsafe_code)]

mod loom_support;

use loom::thread;
use loom_support::multi::{Batch, Fate, Party, Patience, check, check_every_step};
use loom_support::story::{Fallen, Receiver, Sender, Story, spawn_aborter};
use shm_ringbuf::segment::heap_cells::{HeapCells, Shape};

const VICTIM: usize = 0;
const OTHER: usize = 1;
const LAST: usize = 2;
const SEATS: usize = 3;

/// One more participant receives the rest, and it adds up. Then the ring goes round several times, with as many cells as are not covered.
fn verify(story: &Story, cells: &HeapCells, capacity: u64, covered: u64) {
    let mut last = Party::new(cells, LAST, Patience::None);
    story.add_up(cells, &last.drain());
    if capacity == covered {
        return;
    }
    for round in 0..2 * capacity {
        assert!(last.try_send(&[1_000 + round], Batch::Messages));
        assert_eq!(last.recv().value, 1_000 + round);
    }
    for value in 0..capacity - covered {
        let is_sent = last.try_send(&[2_000 + value], Batch::Messages);
        assert!(is_sent, "only {value} of {capacity} cells are left");
    }
    for value in 0..capacity - covered {
        assert_eq!(last.recv().value, 2_000 + value);
    }
}

/// A victim that sends, beside one who sends, and beside one who receives.
fn a_sender_stops(preemptions: usize, capacity: u64, covered: u64, victim: Sender) {
    check_every_step(preemptions, move |steps| {
        let cells = HeapCells::new(Shape::new(capacity, SEATS));
        let stopping = victim.fate(Fate::Stopped(steps)).spawn(&cells);
        let other = Sender::new(OTHER, &[&[11]]).patience(Patience::None);
        let other = other.spawn(&cells);
        let (victim, other) = (stopping.join().unwrap(), other.join().unwrap());
        let story = Story::new(&[&victim, &other], &[]).fallen(Fallen::Kept);
        verify(&story, &cells, capacity, covered);
        victim.was_cut
    });
    check_every_step(preemptions, move |steps| {
        let cells = HeapCells::new(Shape::new(capacity, SEATS));
        let stopping = victim.fate(Fate::Stopped(steps)).spawn(&cells);
        let receiver = Receiver::new(OTHER, 2).patience(Patience::None);
        let receiver = receiver.spawn(&cells);
        let (victim, got) = (stopping.join().unwrap(), receiver.join().unwrap());
        let story = Story::new(&[&victim], &[&got]).fallen(Fallen::Kept);
        verify(&story, &cells, capacity, covered);
        victim.was_cut
    });
}

#[test]
fn who_stops_while_sending_takes_one_cell_with_it() {
    for capacity in [1, 2, 4] {
        a_sender_stops(2, capacity, 1, Sender::new(VICTIM, &[&[1], &[2]]));
    }
}

/// Bound: 1.
#[test]
fn who_stops_while_sending_two_cells_takes_two_with_it() {
    for capacity in [2, 4] {
        let batch = Sender::new(VICTIM, &[&[1, 2]]);
        a_sender_stops(1, capacity, 2, batch);
        a_sender_stops(1, capacity, 2, batch.of_one_message());
    }
}

#[test]
fn who_stops_while_giving_a_claim_up_takes_no_more_with_it() {
    for (capacity, claimed) in [(1, 1), (2, 1), (2, 2), (4, 2)] {
        check_every_step(2, move |steps| {
            let cells = HeapCells::new(Shape::new(capacity, SEATS));
            let stopping = spawn_aborter(&cells, VICTIM, claimed, Fate::Stopped(steps));
            let receiver = Receiver::new(OTHER, 1).patience(Patience::None);
            let receiver = receiver.spawn(&cells);
            let was_cut = stopping.join().unwrap();
            let story = Story::new(&[], &[&receiver.join().unwrap()]).fallen(Fallen::Kept);
            verify(&story, &cells, capacity, claimed);
            was_cut
        });
    }
}

/// A victim that receives what is there, beside one who sends, and beside one who receives and looks for what the dead had.
fn a_receiver_stops(capacity: u64, covered: u64, there: Sender, victim: Receiver) {
    check_every_step(2, move |steps| {
        let cells = HeapCells::new(Shape::new(capacity, SEATS));
        let first = there.run(&cells);
        let stopping = victim.fate(Fate::Stopped(steps)).spawn(&cells);
        let sender = Sender::new(OTHER, &[&[11]]).patience(Patience::None);
        let sender = sender.spawn(&cells);
        let (victim, other) = (stopping.join().unwrap(), sender.join().unwrap());
        let story = Story::new(&[&first, &other], &[&victim]).fallen(Fallen::Kept);
        verify(&story, &cells, capacity, covered);
        victim.was_cut
    });
    check_every_step(2, move |steps| {
        let cells = HeapCells::new(Shape::new(capacity, SEATS));
        let first = there.run(&cells);
        let stopping = victim.fate(Fate::Stopped(steps)).spawn(&cells);
        let receiver = Receiver::new(OTHER, 2).patience(Patience::None).recovers();
        let receiver = receiver.spawn(&cells);
        let (victim, other) = (stopping.join().unwrap(), receiver.join().unwrap());
        let story = Story::new(&[&first], &[&victim, &other]).fallen(Fallen::Kept);
        verify(&story, &cells, capacity, covered);
        victim.was_cut
    });
}

#[test]
fn who_stops_while_receiving_takes_one_message_with_it() {
    for capacity in [1, 2, 4] {
        let there = Sender::new(
            LAST,
            if capacity == 1 {
                &[&[1]]
            } else {
                &[&[1], &[2]]
            },
        );
        a_receiver_stops(capacity, 1, there, Receiver::new(VICTIM, 2));
    }
}

#[test]
fn who_stops_while_receiving_two_cells_takes_two_with_it() {
    for capacity in [2, 4] {
        let there = Sender::new(LAST, &[&[1, 2]]).of_one_message();
        a_receiver_stops(capacity, 2, there, Receiver::new(VICTIM, 1));
        let there = Sender::new(LAST, &[&[1], &[2]]);
        a_receiver_stops(capacity, 2, there, Receiver::new(VICTIM, 1).at_once(2));
    }
}

/// Who sends a message anew until it gets through, while others take its claims out of the order and go round the ring.
fn a_sender_is_lapped(capacity: u64, patience: Patience, retries_max: u32) {
    check(2, move || {
        let cells = HeapCells::new(Shape::new(capacity, SEATS));
        let lapped = {
            let cells = cells.clone();
            thread::spawn(move || {
                let mut party = Party::new(&cells, VICTIM, Patience::None);
                party.try_send_counting(&[1], Batch::Messages)
            })
        };
        let other = {
            let cells = cells.clone();
            thread::spawn(move || {
                let sender = Sender::new(OTHER, &[&[11]]).patience(Patience::None);
                let receiver = Receiver::new(OTHER, 1).patience(patience);
                let first = receiver.run(&cells);
                (first, sender.run(&cells), receiver.run(&cells))
            })
        };
        let retries = lapped.join().unwrap();
        let (first, other, then) = other.join().unwrap();
        assert!(
            retries.is_none_or(|retries| retries <= retries_max),
            "{retries:?}"
        );
        let mut lapped = Sender::new(VICTIM, &[]).run(&cells);
        lapped.sent.extend(retries.map(|_| 1));
        let story = Story::new(&[&lapped, &other], &[&first, &then]);
        story.fallen(Fallen::Kept).verify(&cells, LAST);
    });
}

#[test]
fn who_is_lapped_gets_through_in_the_end() {
    for capacity in [1, 2] {
        a_sender_is_lapped(capacity, Patience::None, 3);
    }
}

#[test]
fn who_has_tried_often_is_waited_for() {
    for capacity in [1, 2] {
        a_sender_is_lapped(capacity, Patience::Retries(1), 1);
    }
}

/// Two have announced the same position: one has claimed it, and one came too late for it and stopped. The one that is at work is waited for. Bound: 1.
#[test]
fn a_claim_is_taken_out_of_the_order_only_when_the_patience_with_everybody_is_over() {
    check_every_step(1, |steps| {
        let cells = HeapCells::new(Shape::new(2, 4));
        let loser = Sender::new(VICTIM, &[&[1]]).fate(Fate::Stopped(steps));
        let stopping = loser.spawn(&cells);
        let worker = {
            let cells = cells.clone();
            thread::spawn(move || {
                let mut party = Party::new(&cells, OTHER, Patience::None);
                party.try_send_counting(&[11], Batch::Messages)
            })
        };
        let receiver = Receiver::new(3, 1).patience(Patience::NoneWith(VICTIM));
        let receiver = receiver.spawn(&cells);
        let (loser, retries) = (stopping.join().unwrap(), worker.join().unwrap());
        assert_eq!(retries.unwrap_or(0), 0, "it was waited for");
        let mut worker = Sender::new(OTHER, &[]).run(&cells);
        worker.sent.extend(retries.map(|_| 11));
        let story = Story::new(&[&loser, &worker], &[&receiver.join().unwrap()]);
        verify(&story.fallen(Fallen::Kept), &cells, 2, 1);
        loser.was_cut
    });
}
