//! Participants of a ring for many that are killed at every step, under loom in every order. Run with `RUSTFLAGS="--cfg loom"`; `cargo xtask test` does.
//!
//! The victim is killed before its first step, before its second, and so on, beside somebody who goes on. At the end one more participant receives what
//! is left, and everything must add up (see `loom_support::story`). Each model says its bound on preemptions, which is 2 where nothing else is said;
//! `SHM_RING_LONG=1` raises each by one.
#![cfg(loom)]
#![allow(unsafe_code)]

mod loom_support;

use loom::thread;
use loom_support::multi::{Fate, Patience, check_every_step};
use loom_support::story::{
    Fallen, Got, Receiver, Sender, Sent, Story, die_holding, spawn_aborter, spawn_both,
};
use shm_ringbuf::segment::heap_cells::{HeapCells, Shape};

/// The victim's seat, that of the one beside it, those of others, and that of the one who looks at the end.
const VICTIM: usize = 0;
const OTHER: usize = 1;
const THIRD: usize = 2;
const LAST: usize = 3;
const SEATS: usize = 4;

/// A victim that sends, beside one who sends, and beside one who receives. Bound: 2, and 1 if that one has no patience.
fn a_sender_dies(capacity: u64, victim: Sender) {
    check_every_step(2, move |steps| {
        let cells = HeapCells::new(Shape::new(capacity, SEATS));
        let dying = victim.fate(Fate::Killed(steps)).spawn(&cells);
        let other = Sender::new(OTHER, &[&[11], &[12]]).spawn(&cells);
        let (victim, other) = (dying.join().unwrap(), other.join().unwrap());
        Story::new(&[&victim, &other], &[]).verify(&cells, LAST);
        victim.was_cut
    });
    for (patience, preemptions) in [(Patience::Endless, 2), (Patience::None, 1)] {
        check_every_step(preemptions, move |steps| {
            let cells = HeapCells::new(Shape::new(capacity, SEATS));
            let dying = victim.fate(Fate::Killed(steps)).spawn(&cells);
            let receiver = Receiver::new(OTHER, 2).patience(patience).spawn(&cells);
            let (victim, got) = (dying.join().unwrap(), receiver.join().unwrap());
            Story::new(&[&victim], &[&got]).verify(&cells, LAST);
            victim.was_cut
        });
    }
}

#[test]
fn who_is_killed_while_sending_loses_nothing_that_was_sent() {
    for capacity in [1, 2] {
        a_sender_dies(capacity, Sender::new(VICTIM, &[&[1], &[2]]));
    }
}

#[test]
fn a_batch_whose_sender_is_killed_arrives_whole_or_not_at_all() {
    a_sender_dies(2, Sender::new(VICTIM, &[&[1, 2]]));
    a_sender_dies(4, Sender::new(VICTIM, &[&[1, 2], &[3]]));
}

#[test]
fn a_message_of_two_cells_whose_sender_is_killed_arrives_whole_or_not_at_all() {
    for capacity in [2, 4] {
        let victim = Sender::new(VICTIM, &[&[1, 2]]).of_one_message();
        a_sender_dies(capacity, victim);
    }
}

/// With one consumer only, which alone moves the head. Who came too late for a position is idle then, and in nobody's way.
#[test]
fn who_is_killed_while_sending_to_the_only_consumer_loses_nothing() {
    for capacity in [1, 2] {
        check_every_step(2, move |steps| {
            let cells = HeapCells::new(Shape {
                has_one_consumer: true,
                ..Shape::new(capacity, SEATS)
            });
            let victim = Sender::new(VICTIM, &[&[1]]).fate(Fate::Killed(steps));
            let dying = victim.spawn(&cells);
            let other = Sender::new(OTHER, &[&[11], &[12]]).spawn(&cells);
            let (victim, other) = (dying.join().unwrap(), other.join().unwrap());
            Story::new(&[&victim, &other], &[]).verify(&cells, LAST);
            victim.was_cut
        });
    }
}

/// Bound: 2, and 1 for two cells beside one who sends.
#[test]
fn who_is_killed_while_giving_a_claim_up_leaves_nothing_behind() {
    for (capacity, claimed) in [(1, 1), (2, 1), (2, 2), (4, 2)] {
        check_every_step(if claimed == 1 { 2 } else { 1 }, move |steps| {
            let cells = HeapCells::new(Shape::new(capacity, SEATS));
            let dying = spawn_aborter(&cells, VICTIM, claimed, Fate::Killed(steps));
            let other = Sender::new(OTHER, &[&[11], &[12]]).spawn(&cells);
            let was_cut = dying.join().unwrap();
            Story::new(&[&other.join().unwrap()], &[]).verify(&cells, LAST);
            was_cut
        });
        check_every_step(2, move |steps| {
            let cells = HeapCells::new(Shape::new(capacity, SEATS));
            let dying = spawn_aborter(&cells, VICTIM, claimed, Fate::Killed(steps));
            let receiver = Receiver::new(OTHER, 2).spawn(&cells);
            let was_cut = dying.join().unwrap();
            Story::new(&[], &[&receiver.join().unwrap()]).verify(&cells, LAST);
            was_cut
        });
    }
}

/// Bound: 1, with a producer and the only consumer beside the victim. They join while others are at work.
#[test]
fn who_is_killed_while_sending_is_in_nobodys_way() {
    check_every_step(1, |steps| {
        let cells = HeapCells::new(Shape {
            has_one_consumer: true,
            joins: true,
            ..Shape::new(1, SEATS)
        });
        let victim = Sender::new(VICTIM, &[&[1]]).fate(Fate::Killed(steps));
        let dying = victim.spawn(&cells);
        let other = Sender::new(OTHER, &[&[11]]).spawn(&cells);
        let receiver = Receiver::new(THIRD, 1).spawn(&cells);
        let (victim, other) = (dying.join().unwrap(), other.join().unwrap());
        Story::new(&[&victim, &other], &[&receiver.join().unwrap()]).verify(&cells, LAST);
        victim.was_cut
    });
}

/// A victim that receives what is there, beside one who sends, and beside one who receives.
fn a_receiver_dies(capacity: u64, there: Sender, victim: Receiver) {
    check_every_step(2, move |steps| {
        let cells = HeapCells::new(Shape::new(capacity, SEATS));
        let first = there.run(&cells);
        let dying = victim.fate(Fate::Killed(steps)).spawn(&cells);
        let sender = Sender::new(OTHER, &[&[11]]).spawn(&cells);
        let (victim, other) = (dying.join().unwrap(), sender.join().unwrap());
        let story = Story::new(&[&first, &other], &[&victim]);
        story.verify(&cells, LAST);
        victim.was_cut
    });
    check_every_step(2, move |steps| {
        let cells = HeapCells::new(Shape::new(capacity, SEATS));
        let first = there.run(&cells);
        let dying = victim.fate(Fate::Killed(steps)).spawn(&cells);
        let receiver = Receiver::new(OTHER, 2).recovers().spawn(&cells);
        let (victim, other) = (dying.join().unwrap(), receiver.join().unwrap());
        Story::new(&[&first], &[&victim, &other]).verify(&cells, LAST);
        victim.was_cut
    });
}

#[test]
fn what_a_killed_receiver_had_comes_back_marked() {
    a_receiver_dies(1, Sender::new(LAST, &[&[1]]), Receiver::new(VICTIM, 2));
    a_receiver_dies(
        2,
        Sender::new(LAST, &[&[1], &[2]]),
        Receiver::new(VICTIM, 2),
    );
}

#[test]
fn two_messages_that_a_killed_receiver_had_at_once_come_back_marked() {
    let there = Sender::new(LAST, &[&[1], &[2]]);
    a_receiver_dies(2, there, Receiver::new(VICTIM, 1).at_once(2));
    a_receiver_dies(4, there, Receiver::new(VICTIM, 1).at_once(2));
}

#[test]
fn a_message_of_two_cells_that_a_killed_receiver_had_comes_back_marked() {
    let there = Sender::new(LAST, &[&[1, 2]]).of_one_message();
    a_receiver_dies(2, there, Receiver::new(VICTIM, 1));
    let there = Sender::new(LAST, &[&[1], &[2, 3]]).of_one_message();
    a_receiver_dies(4, there, Receiver::new(VICTIM, 2));
}

/// A ring in which a dead one holds all these messages, and what was sent and held.
fn orphans(capacity: u64, sender: Sender) -> (HeapCells, Sent, Got) {
    let cells = HeapCells::new(Shape::new(capacity, SEATS));
    let sent = sender.run(&cells);
    let held = die_holding(&cells, THIRD, sent.sent.len() as u64);
    (cells, sent, held)
}

fn one_orphan() -> Sender {
    Sender::new(LAST, &[&[1]])
}

fn two_orphans() -> Sender {
    Sender::new(LAST, &[&[1], &[2]])
}

fn an_orphan_of_two_cells() -> Sender {
    Sender::new(LAST, &[&[1, 2]]).of_one_message()
}

/// A victim that takes over what a dead one held, beside another one who does, and beside one who sends. Bound: 2, and 1 beside one who sends.
fn a_recoverer_dies(capacity: u64, orphans_of: Sender, fallen: Fallen) {
    let recoverer = move |seat| {
        let drops = fallen == Fallen::Dropped;
        Receiver::new(seat, 0).recovers().drops(drops)
    };
    check_every_step(2, move |steps| {
        let (cells, first, held) = orphans(capacity, orphans_of);
        let dying = recoverer(VICTIM).fate(Fate::Killed(steps)).spawn(&cells);
        let other = recoverer(OTHER).spawn(&cells);
        let (victim, other) = (dying.join().unwrap(), other.join().unwrap());
        let story = Story::new(&[&first], &[&held, &victim, &other]).fallen(fallen);
        story.verify(&cells, LAST);
        victim.was_cut
    });
    check_every_step(1, move |steps| {
        let (cells, first, held) = orphans(capacity, orphans_of);
        let dying = recoverer(VICTIM).fate(Fate::Killed(steps)).spawn(&cells);
        let sender = Sender::new(OTHER, &[&[11]]).spawn(&cells);
        let (victim, sent) = (dying.join().unwrap(), sender.join().unwrap());
        let story = Story::new(&[&first, &sent], &[&held, &victim]).fallen(fallen);
        story.verify(&cells, LAST);
        victim.was_cut
    });
}

#[test]
fn who_is_killed_while_taking_over_leaves_it_to_others() {
    a_recoverer_dies(1, one_orphan(), Fallen::Marked);
    a_recoverer_dies(2, two_orphans(), Fallen::Marked);
}

#[test]
fn who_is_killed_while_taking_over_two_cells_leaves_them_to_others() {
    a_recoverer_dies(2, an_orphan_of_two_cells(), Fallen::Marked);
}

#[test]
fn what_is_dropped_is_counted_once_whoever_is_killed_over_it() {
    a_recoverer_dies(1, one_orphan(), Fallen::Dropped);
    a_recoverer_dies(2, two_orphans(), Fallen::Dropped);
}

#[test]
fn two_cells_that_are_dropped_are_counted_once_whoever_is_killed_over_them() {
    a_recoverer_dies(2, an_orphan_of_two_cells(), Fallen::Dropped);
}

/// Each of two takes care of one of two orphans, and is at the other one's only to help.
#[test]
fn two_that_are_dropped_at_once_are_counted_once_each() {
    check_every_step(2, |steps| {
        let (cells, first, held) = orphans(2, two_orphans());
        let dropper = |seat, from| Receiver::new(seat, 0).recovers_from(from).drops(true);
        let dying = dropper(VICTIM, 0).fate(Fate::Killed(steps)).spawn(&cells);
        let other = dropper(OTHER, 1).spawn(&cells);
        let (victim, other) = (dying.join().unwrap(), other.join().unwrap());
        let story = Story::new(&[&first], &[&held, &victim, &other]);
        story.fallen(Fallen::Dropped).verify(&cells, LAST);
        victim.was_cut
    });
}

/// Somebody died in the midst of a claim that lies at the head. The victim helps the head on, beside another one who does.
fn a_helper_dies(
    preemptions: usize,
    capacity: u64,
    claimer: Sender,
    claimers_steps: std::ops::RangeInclusive<usize>,
) {
    for claimer_steps in claimers_steps {
        let dead = claimer.fate(Fate::Killed(claimer_steps));
        check_every_step(preemptions, move |steps| {
            let cells = HeapCells::new(Shape::new(capacity, SEATS));
            let dead = dead.run(&cells);
            let dying = Receiver::new(VICTIM, 1)
                .fate(Fate::Killed(steps))
                .spawn(&cells);
            let other = Receiver::new(OTHER, 1).spawn(&cells);
            let (victim, other) = (dying.join().unwrap(), other.join().unwrap());
            Story::new(&[&dead], &[&victim, &other]).verify(&cells, LAST);
            victim.was_cut
        });
        check_every_step(preemptions, move |steps| {
            let cells = HeapCells::new(Shape::new(capacity, SEATS));
            let dead = dead.run(&cells);
            let dying = Receiver::new(VICTIM, 1)
                .fate(Fate::Killed(steps))
                .spawn(&cells);
            let other = Sender::new(OTHER, &[&[11]]).spawn(&cells);
            let (victim, other) = (dying.join().unwrap(), other.join().unwrap());
            Story::new(&[&dead, &other], &[&victim]).verify(&cells, LAST);
            victim.was_cut
        });
    }
}

/// Its steps: it takes its seat, looks at the tail and at the cell, announces, moves the tail, commits.
#[test]
fn who_is_killed_while_helping_the_head_on_holds_nobody_up() {
    a_helper_dies(2, 1, Sender::new(THIRD, &[&[1]]), 5..=6);
    a_helper_dies(2, 2, Sender::new(THIRD, &[&[1]]), 5..=6);
}

/// Bound: 1. It looks at two cells, says in the first that there are two, and commits the second one first.
#[test]
fn who_is_killed_while_helping_past_two_cells_holds_nobody_up() {
    a_helper_dies(1, 2, Sender::new(THIRD, &[&[1, 2]]), 6..=9);
    a_helper_dies(1, 4, Sender::new(THIRD, &[&[1, 2]]).of_one_message(), 6..=9);
}

/// Who uses a cell next has seen the last that a dead one did to it.
#[test]
fn a_cell_of_a_dead_one_is_used_again_after_it() {
    check_every_step(2, |steps| {
        let cells = HeapCells::new(Shape::new(1, SEATS));
        let victim = Sender::new(VICTIM, &[&[1]]).fate(Fate::Killed(steps));
        let dying = victim.spawn(&cells);
        let receiver = Receiver::new(OTHER, 1).patience(Patience::None);
        let other = spawn_both(&cells, receiver, Sender::new(OTHER, &[&[11]]));
        let (victim, (got, sent)) = (dying.join().unwrap(), other.join().unwrap());
        Story::new(&[&victim, &sent], &[&got]).verify(&cells, LAST);
        victim.was_cut
    });
    check_every_step(2, |steps| {
        let cells = HeapCells::new(Shape::new(1, SEATS));
        let first = one_orphan().run(&cells);
        let dying = Receiver::new(VICTIM, 1)
            .fate(Fate::Killed(steps))
            .spawn(&cells);
        let receiver = Receiver::new(OTHER, 0).recovers();
        let other = spawn_both(&cells, receiver, Sender::new(OTHER, &[&[11]]));
        let (victim, (got, sent)) = (dying.join().unwrap(), other.join().unwrap());
        Story::new(&[&first, &sent], &[&victim, &got]).verify(&cells, LAST);
        victim.was_cut
    });
}

/// They join while others are at work. The victim's seat is taken again while others deal with what it left.
#[test]
fn a_successor_takes_the_seat_while_others_recover() {
    check_every_step(2, |steps| {
        let cells = HeapCells::new(Shape {
            joins: true,
            ..Shape::new(1, SEATS)
        });
        let first = one_orphan().run(&cells);
        let seat = {
            let cells = cells.clone();
            thread::spawn(move || {
                let victim = Receiver::new(VICTIM, 1)
                    .fate(Fate::Killed(steps))
                    .run(&cells);
                cells.revive(VICTIM);
                let successor = Receiver::new(VICTIM, 0).recovers();
                (victim, successor.run(&cells))
            })
        };
        let receiver = Receiver::new(OTHER, 0).recovers();
        let other = spawn_both(&cells, receiver, Sender::new(OTHER, &[&[11]]));
        let ((victim, successor), other) = (seat.join().unwrap(), other.join().unwrap());
        let story = Story::new(&[&first, &other.1], &[&victim, &successor, &other.0]);
        story.verify(&cells, LAST);
        victim.was_cut
    });
}

/// Bound: 1.
#[test]
fn a_successor_takes_the_seat_while_others_pass_a_claim() {
    for capacity in [1, 2] {
        check_every_step(1, move |steps| {
            let cells = HeapCells::new(Shape::new(capacity, SEATS));
            let seat = {
                let cells = cells.clone();
                thread::spawn(move || {
                    let victim = Sender::new(VICTIM, &[&[1]]).fate(Fate::Killed(steps));
                    let victim = victim.run(&cells);
                    cells.revive(VICTIM);
                    (victim, Sender::new(VICTIM, &[&[2]]).run(&cells))
                })
            };
            let receiver = Receiver::new(OTHER, 1).patience(Patience::None);
            let other = spawn_both(&cells, receiver, Sender::new(OTHER, &[&[11]]));
            let ((victim, successor), other) = (seat.join().unwrap(), other.join().unwrap());
            let story = Story::new(&[&victim, &successor, &other.1], &[&other.0]);
            story.verify(&cells, LAST);
            victim.was_cut
        });
    }
}
