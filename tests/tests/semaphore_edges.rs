//! What a semaphore says and does at its edges: to who only looks, who asks for too much, and who never waits for long.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use integration_tests::children::Peer;
use integration_tests::names::Name;
use integration_tests::{ring_peer, short_or_long, watchdog};
use shm_semaphore::{AcquireError, Semaphore, SemaphoreOptions};

const SHORT: Duration = Duration::from_millis(10);

#[test]
fn nobody_ever_sees_more_permits_than_there_are() {
    let _watchdog = watchdog!(60);
    let user = SemaphoreOptions::new().anonymous(1).unwrap();
    let reader = user.try_clone().unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let is_over = &is_over;
        scope.spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                user.acquire().unwrap();
                user.release(1).unwrap();
            }
        });
        let looks = short_or_long(1_000_000, 50_000_000);
        let most = (0..looks).map(|_| reader.permits()).max();
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(most, Some(1));
    });
}

#[test]
fn more_than_anybody_can_own_is_refused_at_once_and_holds_up_nobody() {
    let _watchdog = watchdog!(60);
    let semaphore = SemaphoreOptions::new().anonymous(10).unwrap();
    let too_many = |wanted, max| AcquireError::TooMany { wanted, max };
    assert_eq!(
        semaphore.acquire_many_owned(70_000).unwrap_err(),
        too_many(70_000, 65_535)
    );
    let one = semaphore.acquire_owned().unwrap();
    assert_eq!(
        semaphore.try_acquire_many_owned(65_535).unwrap_err(),
        too_many(65_535, 65_534)
    );
    assert_eq!(one.permits(), 1);
    semaphore.try_acquire_many(9).unwrap();
}

#[test]
fn one_who_never_waits_for_long_finds_out_about_the_dead() {
    let _watchdog = watchdog!(60);
    let name = Name::new("short-deadlines");
    let semaphore = Semaphore::create(name.as_str(), 1).unwrap();
    let mut holder = Peer::start(ring_peer!(), &["step", name.as_str(), "take"]);
    holder.expect("ready");
    assert_eq!(holder.ask("go"), "done");
    holder.kill();
    let start = Instant::now();
    while semaphore
        .acquire_owned_deadline(Instant::now() + SHORT)
        .is_err()
    {
        assert!(start.elapsed() < 500 * SHORT, "it is not told");
    }
}
