//! The semaphore under loom, as it is shipped. Run with `RUSTFLAGS="--cfg loom"`; `cargo xtask test` does.
//!
//! There is no clock: nobody's slice ends, so a lost wakeup is a deadlock, which loom reports.
#![cfg(loom)]
#![allow(unsafe_code)]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use shm_semaphore::Semaphore;
use shm_semaphore::semaphore::model::{Model, Side};

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

/// One wants both permits at once, the other one takes and gives a single one: whoever reserves and whoever sleeps, both end.
#[test]
fn one_who_wants_many_and_one_who_wants_one_both_get_them() {
    check(2, || {
        let semaphore = Arc::new(Semaphore::new(0).unwrap());
        let many = {
            let semaphore = semaphore.clone();
            thread::spawn(move || {
                semaphore.acquire_many(2).unwrap();
                semaphore.release(2).unwrap();
            })
        };
        let one = {
            let semaphore = semaphore.clone();
            thread::spawn(move || {
                semaphore.acquire().unwrap();
                semaphore.release(1).unwrap();
            })
        };
        semaphore.release(1).unwrap();
        semaphore.release(1).unwrap();
        many.join().unwrap();
        one.join().unwrap();
        assert_eq!(semaphore.permits(), 2);
    });
}

#[cfg(loom)]
mod killed {
    //! Kills at every step, in loom's every order.

    use super::{Arc, Model, Side, check, thread};
    use shm_semaphore::sync::fuel::killed_after;

    /// More steps than any of the operations below makes.
    const STEPS_MAX: usize = 24;

    /// The victim's work, killed at each of its steps in turn, beside somebody else's. Then it is dead, and two bring back what it owned at once;
    /// one of them may be killed at each of its steps as well.
    fn all_permits_come_back(
        victim: impl Fn(&Side<'_>) + Copy + Send + Sync + 'static,
        is_victim_biased: bool,
        other: impl Fn(&Side<'_>) + Copy + Send + Sync + 'static,
        recoverers_steps: &[usize],
    ) {
        let mut was_ever_unharmed = false;
        for &recoverer_steps in recoverers_steps {
            for steps in 0..STEPS_MAX {
                let unharmed = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
                let told = unharmed.clone();
                check(2, move || {
                    let model = Arc::new(Model::new(2, 3));
                    let dying = {
                        let (model, told) = (model.clone(), told.clone());
                        thread::spawn(move || {
                            let side = model.participant(0, is_victim_biased);
                            if !killed_after(steps, || victim(&side)) {
                                told.store(true, std::sync::atomic::Ordering::SeqCst);
                            }
                        })
                    };
                    let side = model.participant(1, false);
                    other(&side);
                    dying.join().unwrap();
                    let recoverer = {
                        let model = model.clone();
                        thread::spawn(move || {
                            killed_after(recoverer_steps, || {
                                model.recover(0, 0);
                            });
                        })
                    };
                    model.recover(0, 0);
                    recoverer.join().unwrap();
                    other(&side);
                    assert_eq!(model.permits(), 2, "killed after {steps} steps");
                });
                if unharmed.load(std::sync::atomic::Ordering::SeqCst) {
                    was_ever_unharmed = true;
                    break;
                }
            }
        }
        assert!(was_ever_unharmed, "STEPS_MAX covers the whole work");
    }

    fn take_and_give(side: &Side<'_>) {
        if side.try_take(1, true) {
            side.give(1, true);
        }
    }

    fn take_two(side: &Side<'_>) {
        side.try_take(1, true);
        side.try_take(1, true);
    }

    #[test]
    fn what_a_killed_participant_owned_comes_back_once() {
        all_permits_come_back(take_and_give, false, take_and_give, &[usize::MAX]);
        all_permits_come_back(take_two, false, take_and_give, &[usize::MAX]);
    }

    #[test]
    fn a_recoverer_may_be_killed_at_every_step() {
        all_permits_come_back(
            take_two,
            false,
            |_| (),
            &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
        );
    }

    #[test]
    fn what_a_killed_participant_had_to_itself_comes_back_once() {
        all_permits_come_back(take_and_give, true, take_and_give, &[usize::MAX]);
        all_permits_come_back(take_two, true, |_| (), &[usize::MAX]);
    }

    /// One takes the semaphore from its owner and is killed at every step of that; the owner goes on, and both have kept count.
    #[test]
    fn who_takes_a_bias_away_may_be_killed_at_every_step() {
        for steps in 0..STEPS_MAX {
            check(2, move || {
                let model = Arc::new(Model::new(2, 3));
                let owner = {
                    let model = model.clone();
                    thread::spawn(move || {
                        let side = model.participant(0, true);
                        take_and_give(&side);
                        assert!(side.try_take(1, true) || steps > 0);
                    })
                };
                let dying = {
                    let model = model.clone();
                    thread::spawn(move || {
                        let side = model.participant(1, false);
                        killed_after(steps, || {
                            side.try_take(1, true);
                        });
                    })
                };
                owner.join().unwrap();
                dying.join().unwrap();
                model.recover(1, 0);
                model.recover(0, 0);
                assert_eq!(model.permits(), 2, "killed after {steps} steps");
            });
        }
    }
}

/// Two know of a death. One of them takes the dead one's seat and goes on there; the other one is late, and must not take from the living.
#[test]
fn a_late_recoverer_takes_nothing_from_a_successor() {
    check(3, || {
        let model = Arc::new(Model::new(2, 2));
        model.participant(0, false).try_take(1, true);
        let late = {
            let model = model.clone();
            thread::spawn(move || {
                model.recover(0, 0);
            })
        };
        let successor = model.successor(0);
        // What was owned has come back: this would wait for ever otherwise.
        successor.take(2, true);
        late.join().unwrap();
        assert_eq!(model.permits(), 0, "and the successor's is its own");
        successor.give(2, true);
        assert_eq!(model.permits(), 2);
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
