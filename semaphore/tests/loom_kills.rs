//! Participants of a semaphore that are killed at every step, under loom in every order. Run with `RUSTFLAGS="--cfg loom"`; `cargo xtask test` does.
#![cfg(loom)]

use loom::sync::Arc;
use loom::thread;
use shm_semaphore::semaphore::model::{Model, Side};
use shm_semaphore::sync::fuel::killed_after;

fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

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
                other(&side);
                recoverer.join().unwrap();
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

/// Two know of a death; one of them is late, and meanwhile somebody takes a permit that nobody owns, so that the count is again what the
/// late one saw.
#[test]
fn a_late_recoverer_gives_back_nothing_twice_where_some_permits_are_not_owned() {
    check(2, || {
        let model = Arc::new(Model::new(2, 2));
        assert!(model.participant(0, false).try_take(1, true));
        let other = model.participant(1, false);
        assert!(other.try_take(1, false));
        let late = {
            let model = model.clone();
            thread::spawn(move || {
                model.recover(0, 0);
            })
        };
        model.recover(0, 0);
        let taken = u32::from(other.try_take(1, false));
        late.join().unwrap();
        assert_eq!(model.permits() + taken, 1, "one came back");
    });
}
