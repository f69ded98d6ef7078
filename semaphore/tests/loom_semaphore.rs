//! The semaphore under loom, as it is shipped. Run with `RUSTFLAGS="--cfg loom"`; `cargo xtask test` does.
//!
//! There is no clock: nobody's slice ends, so a lost wakeup is a deadlock, which loom reports.
#![cfg(loom)]
#![allow(unsafe_code)]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use shm_semaphore::Semaphore;
use shm_semaphore::semaphore::model::Model;

fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

struct Guarded {
    semaphore: Model,
    value: UnsafeCell<usize>,
}

// SAFETY: the models reach `value` only while they hold the one permit; loom checks that.
unsafe impl Sync for Guarded {}

impl Guarded {
    fn new(participants: usize) -> Arc<Self> {
        Arc::new(Self {
            semaphore: Model::new(1, participants),
            value: UnsafeCell::new(0),
        })
    }

    fn touch(&self) {
        // SAFETY: called by who holds the only permit.
        self.value.with_mut(|value| unsafe { *value += 1 });
    }
}

/// Used as a lock: loom's cell reports any pair of accesses that the permit does not order.
#[test]
fn a_permit_orders_what_its_holders_do() {
    check(3, || {
        let guarded = Guarded::new(0);
        let holders: Vec<_> = (0..2)
            .map(|_| {
                let guarded = guarded.clone();
                thread::spawn(move || {
                    let side = guarded.semaphore.stranger();
                    side.take(1, false);
                    guarded.touch();
                    side.give(1, false);
                })
            })
            .collect();
        for holder in holders {
            holder.join().unwrap();
        }
        assert_eq!(guarded.semaphore.permits(), 1);
    });
}

#[test]
fn a_sleeper_gets_the_permit_that_is_released() {
    loom::model(|| {
        let semaphore = Arc::new(Semaphore::new(0).unwrap());
        let sleeper = {
            let semaphore = semaphore.clone();
            thread::spawn(move || semaphore.acquire().unwrap())
        };
        semaphore.release(1).unwrap();
        sleeper.join().unwrap();
        assert_eq!(semaphore.permits(), 0);
    });
}

/// From its second sleep on, the state bears its mark already, and it is the news alone that show it the permits.
#[test]
fn a_sleeper_who_wants_many_hears_of_each() {
    check(3, || {
        let semaphore = Arc::new(Semaphore::new(0).unwrap());
        let sleeper = {
            let semaphore = semaphore.clone();
            thread::spawn(move || semaphore.acquire_many(3).unwrap())
        };
        for _ in 0..3 {
            semaphore.release(1).unwrap();
        }
        sleeper.join().unwrap();
        assert_eq!(semaphore.permits(), 0);
    });
}

#[test]
fn two_sleepers_share_what_is_released_one_by_one() {
    check(2, || {
        let semaphore = Arc::new(Semaphore::new(0).unwrap());
        let sleepers: Vec<_> = (0..2)
            .map(|_| {
                let semaphore = semaphore.clone();
                thread::spawn(move || semaphore.acquire().unwrap())
            })
            .collect();
        semaphore.release(1).unwrap();
        semaphore.release(1).unwrap();
        for sleeper in sleepers {
            sleeper.join().unwrap();
        }
        assert_eq!(semaphore.permits(), 0);
    });
}

/// One wants two permits at once, the other one a single one, and they come one by one: whoever reserves and whoever sleeps, nobody is forgotten.
#[test]
fn one_who_wants_many_and_one_who_wants_one_both_get_them() {
    check(2, || {
        let semaphore = Arc::new(Semaphore::new(0).unwrap());
        let many = {
            let semaphore = semaphore.clone();
            thread::spawn(move || semaphore.acquire_many(2).unwrap())
        };
        let one = {
            let semaphore = semaphore.clone();
            thread::spawn(move || semaphore.acquire().unwrap())
        };
        for _ in 0..3 {
            semaphore.release(1).unwrap();
        }
        many.join().unwrap();
        one.join().unwrap();
        assert_eq!(semaphore.permits(), 0);
    });
}

/// One has the semaphore to itself and uses it as a lock; another one takes it away in the middle.
#[test]
fn a_bias_that_is_taken_away_keeps_the_permit_exclusive() {
    check(3, || {
        let guarded = Guarded::new(2);
        let other = {
            let guarded = guarded.clone();
            thread::spawn(move || {
                let side = guarded.semaphore.participant(1, false);
                if side.try_take(1, false) {
                    guarded.touch();
                    side.give(1, false);
                }
            })
        };
        let owner = guarded.semaphore.participant(0, true);
        for _ in 0..2 {
            if owner.try_take(1, false) {
                guarded.touch();
                owner.give(1, false);
            }
        }
        other.join().unwrap();
        assert_eq!(guarded.semaphore.permits(), 1);
    });
}

/// Both want it for themselves, and each takes it from the other.
#[test]
fn two_who_want_it_for_themselves_keep_the_permit_exclusive() {
    check(2, || {
        let guarded = Guarded::new(2);
        let use_it = |guarded: &Guarded, index| {
            let side = guarded.semaphore.participant(index, true);
            if side.try_take(1, index == 0) {
                guarded.touch();
                side.give(1, index == 0);
            }
            side.lose_bias();
        };
        let other = {
            let guarded = guarded.clone();
            thread::spawn(move || use_it(&guarded, 1))
        };
        use_it(&guarded, 0);
        other.join().unwrap();
        assert_eq!(guarded.semaphore.permits(), 1);
    });
}

/// A sleeper takes the semaphore from one who has it to itself, and gets the permit which that one gives.
#[test]
fn a_sleeper_gets_a_permit_from_one_who_has_it_to_itself() {
    check(2, || {
        let model = Arc::new(Model::new(1, 2));
        let owner = {
            let model = model.clone();
            thread::spawn(move || {
                let side = model.participant(0, true);
                side.take(1, true);
                side.give(1, true);
            })
        };
        let side = model.participant(1, false);
        side.take(1, true);
        side.give(1, true);
        owner.join().unwrap();
        assert_eq!(model.permits(), 1);
    });
}

#[test]
fn who_asks_never_sees_more_permits_than_there_are() {
    check(3, || {
        let model = Arc::new(Model::new(1, 1));
        let owner = model.participant(0, true);
        assert!(owner.try_take(1, false) && model.is_biased());
        let asking = {
            let model = model.clone();
            thread::spawn(move || assert!(model.permits() <= 1))
        };
        owner.give(1, false);
        assert!(owner.try_take(1, false), "it is the only one");
        owner.give(1, false);
        asking.join().unwrap();
        assert_eq!(model.permits(), 1);
    });
}
