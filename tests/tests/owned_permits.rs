//! Permits that are owned come back when their process is gone, however it went, and only then.

use std::time::{Duration, Instant};

use integration_tests::children::Peer;
use integration_tests::names::Name;
use integration_tests::{ring_peer, short_or_long, skip_aloud, watchdog};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shm_semaphore::{AcquireError, NamedSemaphore, Semaphore, SemaphoreOptions};

/// Within what is promised to happen in a fraction of a second: the machine may be busy.
const BOUND: Duration = Duration::from_secs(10);
/// Long enough for what must not happen to show.
const A_WHILE: Duration = Duration::from_millis(400);

fn participant(name: &Name) -> Peer {
    let mut peer = Peer::start(ring_peer!(), &["participant", "--name", name.as_str()]);
    peer.expect("ready");
    peer
}

/// A peer that has obeyed these orders.
fn participant_that(name: &Name, orders: &[&str]) -> Peer {
    let mut peer = participant(name);
    for order in orders {
        assert_eq!(peer.ask(order), "ok", "{order}");
    }
    peer
}

/// Takes all permits and gives them back: there are so many, and no more.
#[track_caller]
fn assert_total(semaphore: &NamedSemaphore, total: u32) {
    let start = Instant::now();
    let all = semaphore.acquire_many_owned_timeout(total, BOUND);
    let all = all.unwrap_or_else(|error| {
        panic!(
            "{error:?}: {} of {total} permits are there",
            semaphore.permits()
        )
    });
    assert_eq!(semaphore.permits(), 0, "some were invented");
    drop(all);
    assert_eq!(semaphore.permits(), total);
    eprintln!("all {total} permits after {:?}", start.elapsed());
}

#[test]
fn permits_of_a_killed_holder_come_back_to_one_who_slept_before() {
    let _watchdog = watchdog!(120);
    let name = Name::new("slept-before");
    let semaphore = Semaphore::create(name.as_str(), 2).unwrap();
    for round in 0..short_or_long(5, 200) {
        let mut holder = participant_that(&name, &["own 1", "own 1"]);
        let mut waiter = participant(&name);
        waiter.say("own 2");
        waiter.wait_until_asleep();
        if round % 2 == 0 {
            holder.kill();
        } else {
            holder.kill_without_reaping();
        }
        waiter.expect("ok");
        assert_eq!(waiter.ask("permits"), "0");
        waiter.kill();
        assert_total(&semaphore, 2);
    }
}

#[test]
fn permits_of_a_killed_holder_come_back_to_one_who_only_tries() {
    let _watchdog = watchdog!(60);
    let name = Name::new("only-tries");
    let semaphore = Semaphore::create(name.as_str(), 1).unwrap();
    for owned in [true, false] {
        let mut holder = participant_that(&name, &["own 1"]);
        assert_eq!(semaphore.try_acquire(), Err(AcquireError::NoPermits));
        holder.kill();
        let end = Instant::now() + BOUND;
        loop {
            let result = if owned {
                semaphore.try_acquire_owned().map(drop)
            } else {
                semaphore
                    .try_acquire()
                    .map(|()| semaphore.release(1).unwrap())
            };
            match result {
                Ok(()) => break,
                Err(error) => assert_eq!(error, AcquireError::NoPermits),
            }
            assert!(Instant::now() < end, "they do not come back");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_total(&semaphore, 1);
    }
}

#[test]
fn permits_of_the_dead_come_back_to_whoever_opens_the_semaphore_next() {
    let _watchdog = watchdog!(60);
    // With a seat for everyone, and with one seat that the newcomer takes over from the dead.
    for participants in [511, 1] {
        let name = Name::new("opens-next");
        let options = SemaphoreOptions::new().participants(participants);
        drop(options.create(name.as_str(), 3).unwrap());
        participant_that(&name, &["own 2", "alone 3000", "own 1"]).kill();
        let semaphore = Semaphore::open(name.as_str()).unwrap();
        assert_total(&semaphore, 3);
    }
}

#[test]
fn permits_that_nobody_owned_are_lost_with_their_holder_and_the_others_come_back() {
    let _watchdog = watchdog!(60);
    let name = Name::new("lost");
    let semaphore = Semaphore::create(name.as_str(), 10).unwrap();
    participant_that(&name, &["own 3", "acquire 2"]).kill();
    assert_total(&semaphore, 8);
    participant_that(&name, &["alone 3000", "acquire 1", "own 2", "acquire 1"]).kill();
    assert_total(&semaphore, 6);
    participant_that(
        &name,
        &["alone-unowned 3000", "own 2", "try 1", "timeout 1 1"],
    )
    .kill();
    assert_total(&semaphore, 4);
    semaphore.release(6).unwrap();
    // Whoever releases what was never acquired has added it, and what was released is not owned any more.
    participant_that(&name, &["own 3", "release 2", "drop"]).kill();
    assert_total(&semaphore, 12);
}

#[test]
fn a_holder_that_had_the_semaphore_to_itself_is_killed_at_any_moment() {
    let _watchdog = watchdog!(120);
    let name = Name::new("to-itself");
    let semaphore = Semaphore::create(name.as_str(), 5).unwrap();
    participant_that(&name, &["alone 5000", "own 3"]).kill();
    assert_total(&semaphore, 5);
    participant_that(&name, &["own 3", "alone 5000", "drop", "own 2"]).kill();
    assert_total(&semaphore, 5);
    for _ in 0..short_or_long(40, 1000) {
        let most = fastrand::u32(1..=5);
        let mut holder = participant(&name);
        holder.say(&format!("loop {most}"));
        holder.expect("looping");
        std::thread::sleep(Duration::from_micros(fastrand::u64(..10_000)));
        holder.kill();
        assert_total(&semaphore, 5);
    }
}

#[test]
fn a_holder_is_killed_while_its_semaphore_is_taken_away() {
    let _watchdog = watchdog!(120);
    let name = Name::new("taken-away");
    let semaphore = Semaphore::create(name.as_str(), 3).unwrap();
    for round in 0..short_or_long(40, 2000) {
        let mut holder = participant_that(&name, &["own 1", "alone 3000"]);
        let mut other = participant(&name);
        holder.say("loop 1");
        holder.expect("looping");
        other.say("own-timeout 2 5000");
        std::thread::sleep(Duration::from_micros(fastrand::u64(..400)));
        // The owner, or the one who takes it away, or both.
        if round % 3 != 1 {
            holder.kill();
        }
        if round % 3 != 0 {
            other.kill();
        } else {
            other.expect("ok");
        }
        drop((holder, other));
        assert_total(&semaphore, 3);
    }
}

#[test]
fn many_holders_are_killed_at_once() {
    let _watchdog = watchdog!(60);
    let name = Name::new("at-once");
    let semaphore = Semaphore::create(name.as_str(), 100).unwrap();
    let mut holders: Vec<Peer> = (0..20)
        .map(|_| participant_that(&name, &["own 2", "own 3"]))
        .collect();
    assert_eq!((semaphore.permits(), semaphore.participants()), (0, 21));
    for holder in &holders {
        holder.signal(Signal::SIGKILL);
    }
    assert_total(&semaphore, 100);
    drop(semaphore.acquire_owned());
    for holder in &mut holders {
        holder.wait();
    }
    assert_eq!(semaphore.participants(), 1);
}

#[test]
fn whoever_brings_permits_back_is_killed_too() {
    let _watchdog = watchdog!(200);
    let name = Name::new("recoverers");
    let semaphore = Semaphore::create(name.as_str(), 12).unwrap();
    for _ in 0..short_or_long(10, 500) {
        let mut holders: Vec<Peer> = (0..4)
            .map(|_| participant_that(&name, &["own 2", "own 1"]))
            .collect();
        let mut recoverers: Vec<Peer> = (0..4)
            .map(|_| {
                let mut peer = participant(&name);
                peer.say("own 3");
                peer
            })
            .collect();
        std::thread::sleep(Duration::from_millis(fastrand::u64(..30)));
        holders.iter_mut().for_each(Peer::kill);
        // They find out within these milliseconds.
        std::thread::sleep(Duration::from_micros(fastrand::u64(..40_000)));
        for recoverer in &mut recoverers {
            recoverer.kill();
            std::thread::sleep(Duration::from_micros(fastrand::u64(..2000)));
        }
        assert_total(&semaphore, 12);
    }
}

#[test]
fn a_stopped_owner_keeps_its_permits_and_is_intact_when_it_goes_on() {
    let _watchdog = watchdog!(60);
    let name = Name::new("stopped-owner");
    let semaphore = Semaphore::create(name.as_str(), 2).unwrap();
    for orders in [&["own 1", "own 1"][..], &["alone 3000", "own 2"]] {
        let mut holder = participant_that(&name, orders);
        holder.signal(Signal::SIGSTOP);
        let waited = semaphore.acquire_owned_timeout(A_WHILE).map(drop);
        assert_eq!(waited, Err(AcquireError::TimedOut), "it is not dead");
        assert_eq!(semaphore.participants(), 2);
        holder.signal(Signal::SIGCONT);
        assert_eq!(holder.ask("drop"), "ok");
        drop(semaphore.acquire_owned_timeout(BOUND).unwrap());
        holder.finish();
        assert_total(&semaphore, 2);
    }
}

#[test]
fn an_owner_that_is_stopped_in_the_midst_of_its_loop_neither_blocks_nor_harms() {
    let _watchdog = watchdog!(120);
    let name = Name::new("stopped-loop");
    let semaphore = Semaphore::create(name.as_str(), 2).unwrap();
    for round in 0..short_or_long(20, 500) {
        let mut looper = participant(&name);
        looper.say("loop 1");
        looper.expect("looping");
        std::thread::sleep(Duration::from_micros(fastrand::u64(..8000)));
        looper.signal(Signal::SIGSTOP);
        // It holds one at most, for as long as it is stopped.
        let one = semaphore.acquire_owned_timeout(BOUND).unwrap();
        drop(one);
        looper.signal(Signal::SIGCONT);
        drop(semaphore.acquire_many_owned_timeout(2, BOUND).unwrap());
        std::thread::sleep(Duration::from_micros(fastrand::u64(..500)));
        assert!(looper.line_if_any().is_none(), "round {round}");
        looper.kill();
        assert_total(&semaphore, 2);
    }
}

#[test]
fn permits_come_back_however_their_process_ends() {
    let _watchdog = watchdog!(60);
    let name = Name::new("ends");
    let semaphore = Semaphore::create(name.as_str(), 3).unwrap();
    for end in ["exit", "leave", "panic", "abort", "exec", "close"] {
        for orders in [&["own 1", "own 2"][..], &["alone 3000", "own 2"]] {
            let mut holder = participant_that(&name, orders);
            if end == "close" {
                holder.close_stdin();
            } else {
                holder.say(end);
            }
            let back = semaphore.acquire_many_owned_timeout(3, BOUND).map(drop);
            assert!(back.is_ok(), "{end}: {back:?}");
            if end == "exec" {
                holder.kill();
            } else {
                assert_eq!(holder.line(), None, "{end}");
                holder.wait();
            }
            assert_total(&semaphore, 3);
        }
    }
}

#[test]
fn a_handle_that_is_dropped_gives_back_what_its_leaked_guards_held() {
    let _watchdog = watchdog!(60);
    let name = Name::new("leaked");
    let semaphore = Semaphore::create(name.as_str(), 7).unwrap();
    let other = semaphore.try_clone().unwrap();
    for alone in [0, 3000] {
        let handle = Semaphore::open(name.as_str()).unwrap();
        (0..alone).for_each(|_| drop(handle.acquire_owned().unwrap()));
        std::mem::forget(handle.acquire_many_owned(4).unwrap());
        std::mem::forget(handle.acquire_owned().unwrap());
        assert_eq!(other.permits(), 2);
        drop(handle);
        assert_eq!(other.permits(), 7, "at once");
        assert_total(&other, 7);
    }
    // A waiter hears of it too.
    let handle = semaphore;
    std::mem::forget(handle.acquire_many_owned(7).unwrap());
    let mut waiter = participant(&name);
    waiter.say("own 7");
    waiter.wait_until_asleep();
    drop(handle);
    waiter.expect("ok");
}

#[test]
fn a_child_that_ends_does_not_give_back_what_its_parent_owns() {
    let _watchdog = watchdog!(60);
    for child in ["leave", "exit", "drop"] {
        for orders in [&["own 1", "own 1"][..], &["alone 3000", "own 2"]] {
            let name = Name::new("child-ends");
            let semaphore = Semaphore::create(name.as_str(), 3).unwrap();
            let mut parent = participant_that(&name, orders);
            let order = format!("fork {child}");
            assert_eq!(parent.ask(&order), "child exited 0", "{orders:?}");
            let waited = semaphore
                .acquire_many_owned_timeout(2, A_WHILE / 2)
                .map(drop);
            assert_eq!(waited, Err(AcquireError::TimedOut), "{child}");
            assert_eq!((semaphore.permits(), semaphore.participants()), (1, 2));
            assert_eq!(parent.ask("own 1"), "ok", "the parent goes on");
            assert_eq!(parent.ask("drop"), "ok");
            parent.kill();
            assert_total(&semaphore, 3);
        }
    }
}

#[test]
fn a_child_that_lives_on_does_not_keep_the_permits_of_its_dead_parent() {
    let _watchdog = watchdog!(60);
    let name = Name::new("child-lingers");
    let semaphore = Semaphore::create(name.as_str(), 2).unwrap();
    let mut parent = participant_that(&name, &["own 2"]);
    parent.say("fork linger");
    let mut lines = [parent.line().unwrap(), parent.line().unwrap()];
    lines.sort();
    assert_eq!(lines[0], "forked");
    let child = lines[1].strip_prefix("lingering ").unwrap();
    let child = Pid::from_raw(child.parse().unwrap());
    parent.kill();
    let back = semaphore.acquire_many_owned_timeout(2, BOUND).map(drop);
    kill(child, Signal::SIGKILL).expect("the child had lived on");
    assert_eq!(back, Ok(()));
}

#[test]
fn life_and_death_of_holders_are_seen_across_pid_namespaces() {
    let _watchdog = watchdog!(60);
    let name = Name::new("pid-namespaces");
    let semaphore = Semaphore::create(name.as_str(), 2).unwrap();
    let start = || {
        let arguments = ["--pid-namespace", "participant", "--name", name.as_str()];
        Peer::start(ring_peer!(), &arguments)
    };
    let (mut victim, mut survivor) = (start(), start());
    for peer in [&mut victim, &mut survivor] {
        match peer.line().as_deref() {
            Some("ready") => {}
            said => {
                let why = said.and_then(|said| said.strip_prefix("skipped "));
                skip_aloud("PID namespaces", why.expect("ready or skipped"));
                return;
            }
        }
    }
    assert_eq!(victim.ask("own 1"), "ok");
    assert_eq!(survivor.ask("own 1"), "ok");
    assert_eq!(survivor.ask("own-timeout 1 300"), "TimedOut", "both live");
    assert_eq!(semaphore.participants(), 3);
    survivor.say("own 1");
    victim.kill();
    survivor.expect("ok");
    assert_eq!(survivor.ask("participants"), "2");
    survivor.kill();
    assert_total(&semaphore, 2);
}

#[test]
fn one_handle_can_own_no_more_than_it_can_account_for() {
    let _watchdog = watchdog!(60);
    let name = Name::new("too-many");
    let semaphore = Semaphore::create(name.as_str(), Semaphore::MAX_PERMITS).unwrap();
    let max = 65_535;
    let most = semaphore.acquire_many_owned(max).unwrap();
    for wanted in [1, 2, max] {
        let refused = semaphore.acquire_many_owned(wanted).map(drop).unwrap_err();
        assert!(
            matches!(refused, AcquireError::TooMany { .. }),
            "{refused:?}"
        );
        let tried = semaphore.try_acquire_many_owned(wanted).map(drop);
        assert_eq!(tried, Err(refused));
    }
    drop(most);
    assert_eq!(semaphore.permits(), Semaphore::MAX_PERMITS);
    // The same for one who has it to itself, which needs fewer permits.
    semaphore
        .acquire_many(Semaphore::MAX_PERMITS - max)
        .unwrap();
    (0..3000).for_each(|_| drop(semaphore.acquire_owned().unwrap()));
    let most = semaphore.acquire_many_owned(max).unwrap();
    (0..3000).for_each(|_| {
        semaphore.release(1).unwrap();
        semaphore.acquire().unwrap();
    });
    semaphore.release(1).unwrap();
    let refused = semaphore.try_acquire_owned().map(drop).unwrap_err();
    assert!(
        matches!(refused, AcquireError::TooMany { .. }),
        "{refused:?}"
    );
    drop(most);
    semaphore.release(Semaphore::MAX_PERMITS - max - 1).unwrap();
    assert_eq!(semaphore.permits(), Semaphore::MAX_PERMITS);
    let refused = semaphore.acquire_many_owned(max + 1).map(drop);
    assert!(
        matches!(refused, Err(AcquireError::TooMany { .. })),
        "{refused:?}"
    );
    assert_eq!(semaphore.permits(), Semaphore::MAX_PERMITS);
    // Another handle owns as many again, and all of them come back.
    let order = format!("own {max}");
    participant_that(&name, &[&order]).kill();
    let held = semaphore.acquire_many(Semaphore::MAX_PERMITS);
    assert_eq!(held, Ok(()));
}

#[test]
fn a_semaphore_without_owners_says_so() {
    let _watchdog = watchdog!(60);
    let name = Name::new("not-owned");
    let options = SemaphoreOptions::new().owned(false);
    let _semaphore = options.create(name.as_str(), 2).unwrap();
    // Whoever opens it has no say in it.
    let semaphore = SemaphoreOptions::new()
        .owned(true)
        .open(name.as_str())
        .unwrap();
    let brief = Duration::from_millis(1);
    let refused = Err(AcquireError::NotOwned);
    assert_eq!(semaphore.try_acquire_owned().map(drop), refused);
    assert_eq!(semaphore.acquire_owned().map(drop), refused);
    assert_eq!(semaphore.acquire_owned_timeout(brief).map(drop), refused);
    assert_eq!(semaphore.try_acquire_many_owned(2).map(drop), refused);
    assert_eq!(semaphore.acquire_many_owned(2).map(drop), refused);
    let many = semaphore.acquire_many_owned_timeout(2, brief).map(drop);
    assert_eq!(many, refused);
    assert_eq!(semaphore.permits(), 2);
    assert_eq!(semaphore.acquire_many(2), Ok(()));
    semaphore.release(2).unwrap();
}

#[test]
fn a_guard_outlives_the_thread_that_took_it_and_moves_with_its_handle() {
    let _watchdog = watchdog!(60);
    let name = Name::new("threads");
    let semaphore = Semaphore::create(name.as_str(), 2).unwrap();
    let moved = semaphore.try_clone().unwrap();
    let moved = std::thread::spawn(move || {
        (0..3000).for_each(|_| drop(moved.acquire_owned().unwrap()));
        std::mem::forget(moved.acquire_owned().unwrap());
        moved
    })
    .join()
    .unwrap();
    assert_eq!(semaphore.permits(), 1, "a thread that ends is no death");
    let waited = semaphore
        .acquire_many_owned_timeout(2, A_WHILE / 2)
        .map(drop);
    assert_eq!(waited, Err(AcquireError::TimedOut));
    drop(moved.acquire_owned().unwrap());
    drop(moved);
    assert_total(&semaphore, 2);
}
