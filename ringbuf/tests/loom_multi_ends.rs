//! How participants of a ring for many learn that others have left, under loom. Run with `RUSTFLAGS="--cfg loom"`; `cargo xtask test` does.
//!
//! Each model has two threads, with two preemptions at most.
#![cfg(loom)]
#![allow(unsafe_code)]

mod loom_support;

use loom::sync::Arc;
use loom::thread;
use loom_support::multi::{Batch, Party, Patience, check};
use loom_support::story::Got;
use shm_ringbuf::Role;
use shm_ringbuf::protocol::multi::consumer::{Taken, TakenOver};
use shm_ringbuf::protocol::multi::front::Front;
use shm_ringbuf::protocol::multi::life::{self, Attendance, Life};
use shm_ringbuf::segment::heap_cells::{HeapCells, Shape};
use shm_semaphore::sync::AtomicU64;

/// A ring with the words that tell of a seat.
struct Table {
    cells: HeapCells,
    life: AtomicU64,
    told: AtomicU64,
}

impl Table {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            cells: HeapCells::new(Shape::new(2, 2)),
            life: AtomicU64::new(0),
            told: AtomicU64::new(0),
        })
    }

    fn life_of(&self, role: Role, attendance: Attendance) -> Life {
        Life(0).next(role).unwrap().with(attendance)
    }
}

/// A producer sends and leaves; `has_left` finds that out in one way or the other. Then its message is there.
fn leaves_after_sending(has_left: fn(&Table) -> bool) {
    check(2, move || {
        let table = Table::new();
        let producer = {
            let table = table.clone();
            thread::spawn(move || {
                assert!(
                    Party::new(&table.cells, 1, Patience::None).try_send(&[7], Batch::Messages)
                );
                life::write(
                    &table.life,
                    table.life_of(Role::Producer, Attendance::Closed),
                );
                life::tell(&table.told);
            })
        };
        let consumer = {
            let table = table.clone();
            thread::spawn(move || {
                let mut consumer = Party::new(&table.cells, 0, Patience::None);
                let has_left = has_left(&table);
                let is_there = consumer.try_recv(&mut Got::default());
                assert!(is_there || !has_left, "the end was told before the message");
            })
        };
        producer.join().unwrap();
        consumer.join().unwrap();
    });
}

#[test]
fn everything_sent_before_a_close_is_there_when_the_close_is_seen() {
    leaves_after_sending(|table| {
        let holder = life::seen(&table.life).holder().unwrap();
        holder == Some((Role::Producer, Attendance::Closed))
    });
}

#[test]
fn whoever_is_told_of_a_change_sees_it() {
    check(2, || {
        let table = Table::new();
        let leaver = {
            let table = table.clone();
            thread::spawn(move || {
                life::write(
                    &table.life,
                    table.life_of(Role::Producer, Attendance::Closed),
                );
                life::tell(&table.told);
            })
        };
        let other = {
            let table = table.clone();
            thread::spawn(move || {
                if life::told(&table.told) == 1 {
                    let holder = life::seen(&table.life).holder().unwrap();
                    assert_eq!(holder, Some((Role::Producer, Attendance::Closed)));
                }
            })
        };
        leaver.join().unwrap();
        other.join().unwrap();
    });
}

/// A consumer takes a message, forgets it and says so: another one that hears of it can take it over.
#[test]
fn what_was_left_behind_can_be_taken_over_by_who_hears_of_it() {
    check(2, || {
        let table = Table::new();
        assert!(Party::new(&table.cells, 1, Patience::None).try_send(&[7], Batch::Messages));
        let forgetful = {
            let table = table.clone();
            thread::spawn(move || {
                let mut party = Party::new(&table.cells, 1, Patience::None);
                if let Front::Ready(at, _) = party.member.front(|_, _| ()).unwrap() {
                    party.member.take(at, 1);
                }
                party.member.retract();
                life::tell(&table.told);
            })
        };
        let other = {
            let table = table.clone();
            thread::spawn(move || {
                let mut party = Party::new(&table.cells, 0, Patience::None);
                if life::told(&table.told) == 1 {
                    let mut found: Vec<Taken> = Vec::new();
                    party.each_taken(|party, taken| {
                        if let TakenOver::Ours(taken) = party.member.take_over(taken, false) {
                            found.push(taken);
                        }
                    });
                    assert_eq!(found.len(), 1, "it heard of a message and did not find it");
                }
            })
        };
        forgetful.join().unwrap();
        other.join().unwrap();
    });
}
