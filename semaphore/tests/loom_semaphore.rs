//! The semaphore under loom, as it is shipped. Run with `RUSTFLAGS="--cfg loom"`; `cargo xtask test` does.
#![cfg(loom)]
#![allow(unsafe_code)]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use shm_semaphore::Semaphore;

struct Guarded {
    semaphore: Semaphore,
    value: UnsafeCell<usize>,
}

// SAFETY: the models reach `value` only while they hold the one permit; loom checks that.
unsafe impl Sync for Guarded {}

/// Used as a lock: loom's cell reports any pair of accesses that the permit does not order.
#[test]
fn a_permit_orders_what_its_holders_do() {
    loom::model(|| {
        let guarded = Arc::new(Guarded {
            semaphore: Semaphore::new(1).unwrap(),
            value: UnsafeCell::new(0),
        });
        let holders: Vec<_> = (0..2)
            .map(|_| {
                let guarded = guarded.clone();
                thread::spawn(move || {
                    guarded.semaphore.acquire();
                    // SAFETY: we hold the only permit.
                    guarded.value.with_mut(|value| unsafe { *value += 1 });
                    guarded.semaphore.release(1).unwrap();
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
            thread::spawn(move || semaphore.acquire())
        };
        semaphore.release(1).unwrap();
        sleeper.join().unwrap();
        assert_eq!(semaphore.permits(), 0);
    });
}

#[test]
fn two_sleepers_share_a_release_of_two() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let semaphore = Arc::new(Semaphore::new(0).unwrap());
        let sleepers: Vec<_> = (0..2)
            .map(|_| {
                let semaphore = semaphore.clone();
                thread::spawn(move || semaphore.acquire())
            })
            .collect();
        semaphore.release(2).unwrap();
        for sleeper in sleepers {
            sleeper.join().unwrap();
        }
        assert_eq!(semaphore.permits(), 0);
    });
}
