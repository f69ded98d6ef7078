//! Semaphores on a tmpfs that is almost too small for them.

use std::fs;

use integration_tests::names::SHM_FOLDER;
use shm_semaphore::{Error, Semaphore, SemaphoreOptions};

use crate::small_tmpfs::{eat_the_rest, mount_small_tmpfs};

/// Says `skipped WHY`, or `done` after each step went as it should; else it panics.
pub(crate) fn play() {
    if let Err(why) = mount_small_tmpfs() {
        println!("skipped {why}");
        return;
    }
    let semaphore = Semaphore::create("/fits", 3).expect("there is room");
    eat_the_rest();
    for participants in [1, 511, 1023] {
        let options = SemaphoreOptions::new().participants(participants);
        for result in [
            options.create("/late", 1),
            options.open_or_create("/late", 1),
        ] {
            assert!(
                matches!(result, Err(Error::NoSpace { .. })),
                "{participants}: {result:?}"
            );
        }
    }
    let mut left: Vec<_> = fs::read_dir(SHM_FOLDER)
        .expect("mounted")
        .map(|entry| entry.expect("readable").file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["eater", "fits"]);
    // All of it can be used although there is no room for a byte more.
    let clones: Vec<_> = (0..510)
        .map(|_| semaphore.try_clone().expect("a seat"))
        .collect();
    for clone in &clones {
        drop(clone.acquire_many_owned(3).expect("permits"));
    }
    println!("done");
}
