//! Semaphores where the system gives less than usual, or does not even get asked.

#![allow(unsafe_code)]

use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use integration_tests::children::Peer;
use integration_tests::names::Name;
use integration_tests::{ring_peer, short_or_long, skip_aloud, watchdog};
use nix::sys::signal::Signal;
use shm_semaphore::{NamedSemaphore, Semaphore, SemaphoreOptions};

/// Within what is promised to happen in a fraction of a second: the machine may be busy.
const BOUND: Duration = Duration::from_secs(10);

fn start(name: &Name, before: &[&str], after: &[&str]) -> Peer {
    let role = ["participant", "--name", name.as_str()];
    Peer::start(ring_peer!(), &[before, &role, after].concat())
}

fn started(name: &Name, before: &[&str]) -> Peer {
    let mut peer = start(name, before, &[]);
    peer.expect("ready");
    peer
}

#[track_caller]
fn assert_total(semaphore: &NamedSemaphore, total: u32) {
    let all = semaphore.acquire_many_owned_timeout(total, BOUND);
    let all = all.unwrap_or_else(|error| panic!("{error:?}: {} left", semaphore.permits()));
    assert_eq!(semaphore.permits(), 0, "some were invented");
    drop(all);
}

#[test]
fn an_uncontended_acquire_or_release_makes_no_system_call() {
    let _watchdog = watchdog!(60);
    for asymmetric in [true, false] {
        for owned in [true, false] {
            let name = Name::new("silent");
            let options = SemaphoreOptions::new().asymmetric(asymmetric);
            let semaphore = options.owned(true).create(name.as_str(), 3).unwrap();
            if !owned {
                // There are others, who do nothing.
                drop(semaphore.acquire_owned().unwrap());
            }
            let mut peer = Peer::start(ring_peer!(), &["silent", "--name", name.as_str()]);
            let said = peer.line();
            let status = peer.wait();
            assert_eq!(said.as_deref(), Some("done"), "{asymmetric}: {status}");
            assert_total(&semaphore, 3);
        }
    }
}

#[test]
fn participants_without_membarrier_share_with_those_who_have_it() {
    let _watchdog = watchdog!(120);
    let name = Name::new("no-membarrier");
    for round in 0..short_or_long(10, 300) {
        let semaphore = Semaphore::create(name.as_str(), 3).unwrap();
        let mut looper = started(&name, &[]);
        looper.say("loop 1");
        looper.expect("looping");
        std::thread::sleep(Duration::from_micros(fastrand::u64(..10_000)));
        let mut plain = started(&name, &["--no-membarrier"]);
        assert_eq!(plain.ask("own 2"), "ok");
        assert_eq!(plain.ask("drop"), "ok");
        // Both are killed in any order, and what each of them held comes back.
        plain.say("loop 2");
        plain.expect("looping");
        std::thread::sleep(Duration::from_micros(fastrand::u64(..3000)));
        if round % 2 == 0 {
            looper.kill();
            plain.kill();
        } else {
            plain.kill();
            looper.kill();
        }
        assert_total(&semaphore, 3);
        Semaphore::unlink(name.as_str()).unwrap();
    }
}

#[test]
fn one_without_membarrier_joins_when_the_one_that_had_the_semaphore_to_itself_is_dead_or_gone() {
    let _watchdog = watchdog!(60);
    for end in ["kill", "close"] {
        let name = Name::new("dead-owner");
        let semaphore = Semaphore::create(name.as_str(), 3).unwrap();
        let mut owner = started(&name, &[]);
        assert_eq!(owner.ask("alone 5000"), "ok");
        assert_eq!(owner.ask("own 2"), "ok");
        if end == "kill" {
            owner.kill();
        } else {
            owner.finish();
        }
        let mut plain = started(&name, &["--no-membarrier"]);
        assert_eq!(plain.ask("own-timeout 3 10000"), "ok");
        plain.kill();
        assert_total(&semaphore, 3);
    }
}

#[test]
fn one_without_membarrier_is_refused_or_served_while_an_idle_owner_has_the_semaphore_to_itself() {
    let _watchdog = watchdog!(60);
    let name = Name::new("idle-owner");
    let semaphore = Semaphore::create(name.as_str(), 3).unwrap();
    let mut owner = started(&name, &[]);
    assert_eq!(owner.ask("alone 5000"), "ok");
    assert_eq!(owner.ask("own 2"), "ok");
    let began = Instant::now();
    let said = start(&name, &["--no-membarrier"], &[]).line().unwrap();
    eprintln!("{said} after {:?}", began.elapsed());
    assert!(
        said == "ready" || said.starts_with("refused Unsupported: "),
        "{said}"
    );
    // Its owner has lost nothing by it.
    assert_eq!(owner.ask("drop"), "ok");
    assert_eq!(owner.ask("own 3"), "ok");
    assert_eq!(owner.ask("drop"), "ok");
    let mut plain = started(&name, &["--no-membarrier"]);
    assert_eq!(plain.ask("own 3"), "ok");
    plain.kill();
    assert_total(&semaphore, 3);
}

#[test]
fn a_clock_that_is_a_day_ahead_keeps_nobody_waiting() {
    let _watchdog = watchdog!(120);
    let name = Name::new("time-namespace");
    let semaphore = Semaphore::create(name.as_str(), 0).unwrap();
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let mut ahead = start(&name, &["--time-namespace"], &[]);
        match ahead.line().as_deref() {
            Some("ready") => {}
            said => {
                let why = said.and_then(|said| said.strip_prefix("skipped "));
                skip_aloud("time namespaces", why.expect("ready or skipped"));
                return;
            }
        }
        let start = Instant::now();
        assert_eq!(ahead.ask("own-timeout 1 200"), "TimedOut");
        assert!(start.elapsed() >= Duration::from_millis(200));
        ahead.say("own 1");
        // Until it has the reservation.
        std::thread::sleep(Duration::from_millis(200));
        if signal == Signal::SIGKILL {
            ahead.kill();
        } else {
            // One that lives is served too, with a waiter of our time beside it.
            let mut ours = started(&name, &[]);
            ours.say("own 1");
            std::thread::sleep(Duration::from_millis(200));
            semaphore.release(2).unwrap();
            ahead.expect("ok");
            ours.expect("ok");
            ahead.kill();
            ours.kill();
            assert_total(&semaphore, 2);
            continue;
        }
        semaphore.release(1).unwrap();
        // One who only tries has no age to show.
        let end = Instant::now() + BOUND;
        while semaphore.try_acquire().is_err() {
            assert!(Instant::now() < end, "a dead one holds it up");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn a_reservation_that_no_participant_ever_makes_holds_up_nobody() {
    let _watchdog = watchdog!(60);
    let name = Name::new("reservation");
    let semaphore = Semaphore::create(name.as_str(), 2).unwrap();
    let file = std::fs::File::options().write(true).open(name.file());
    let file = file.unwrap();
    for until in [1 << 10, 1 << 20, 1 << 30, 1 << 31, u32::MAX] {
        // Two permits, and the mark that says that they are reserved; `word` says where.
        let state: u64 = 2 << 4 | 1 << 2;
        let reservation = u64::from(until) << 32 | u64::from(until.wrapping_sub(1 << 30));
        file.write_all_at(&reservation.to_ne_bytes(), 4104).unwrap();
        file.write_all_at(&state.to_ne_bytes(), 4096).unwrap();
        let waited = semaphore.acquire_owned_timeout(BOUND).map(drop);
        assert_eq!(waited, Ok(()), "until {until:#x}");
        assert_total(&semaphore, 2);
    }
}

#[test]
fn a_storm_of_signals_keeps_nobody_from_making_and_opening_semaphores() {
    let _watchdog = watchdog!(120);
    let name = Name::new("storm");
    let _semaphore = Semaphore::create(name.as_str(), 1).unwrap();
    let mut peer = started(&name, &[]);
    assert_eq!(peer.ask("storm"), "ok");
    let times = short_or_long(100, 5000);
    let order = format!("remake {name}-remade {times}");
    assert_eq!(peer.ask(&order), "ok");
    assert_eq!(name.leftovers(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn too_few_descriptors_are_an_error_and_leave_nothing() {
    let _watchdog = watchdog!(60);
    let mut heard = Vec::new();
    for limit in 3..16 {
        let name = Name::new("descriptors");
        let script = format!(
            "ulimit -n {limit}; exec {} participant --name {name} --create 1",
            ring_peer!()
        );
        let mut peer = Peer::start("sh", &["-c", &script]);
        match peer.line() {
            Some(said) if said == "ready" => {
                assert_eq!(peer.ask("own 1"), "ok");
                peer.kill();
                assert_eq!(Semaphore::open(name.as_str()).unwrap().participants(), 1);
            }
            // With none at all it can't even begin.
            said => {
                peer.wait();
                heard.extend(said);
                // One that had its name already is whole.
                if name.file().exists() {
                    assert_total(&Semaphore::open(name.as_str()).unwrap(), 1);
                }
            }
        }
        assert_eq!(name.leftovers(), Vec::<std::path::PathBuf>::new());
    }
    eprintln!("{heard:?}");
    assert!(
        heard.iter().all(|said| said.starts_with("refused Os: ")),
        "{heard:?}"
    );
}

#[test]
fn operations_are_counted_across_every_power_of_two_that_their_number_wraps_at() {
    let _watchdog = watchdog!(120);
    for wrap in [1_u64 << 26, 1 << 31, 1 << 32] {
        for short in 0..short_or_long(6, 200) {
            let name = Name::new("wraps");
            let options = SemaphoreOptions::new().participants(4);
            let semaphore = options.create(name.as_str(), 3).unwrap();
            // The seat of the next one to come, as if many had sat there; `layout` says where its record is.
            let file = std::fs::File::options().write(true).open(name.file());
            let op = (wrap - short) << 32;
            let record = 4224 + 128 + 16;
            file.unwrap()
                .write_all_at(&op.to_ne_bytes(), record)
                .unwrap();
            let mut peer = started(&name, &[]);
            assert_eq!(peer.ask("own 2"), "ok");
            for _ in 0..short / 2 {
                assert_eq!(peer.ask("own 1"), "ok");
                assert_eq!(peer.ask("drop"), "ok");
                drop(semaphore.acquire_owned().unwrap());
            }
            if short % 3 == 0 {
                assert_eq!(peer.ask("alone 1300"), "ok");
            }
            peer.kill();
            assert_total(&semaphore, 3);
            // Its successor goes on from there.
            let mut peer = started(&name, &[]);
            assert_eq!(peer.ask("alone 1300"), "ok");
            assert_eq!(peer.ask("own 3"), "ok");
            peer.kill();
            assert_total(&semaphore, 3);
        }
    }
}

#[test]
fn a_child_that_opens_the_semaphore_for_itself_is_a_participant_of_its_own() {
    let _watchdog = watchdog!(60);
    let name = Name::new("child-opens");
    let semaphore = Semaphore::create(name.as_str(), 3).unwrap();
    for before in ["alone 1", "alone 3000"] {
        let mut parent = started(&name, &[]);
        assert_eq!(parent.ask(before), "ok");
        assert_eq!(parent.ask("own 2"), "ok");
        assert_eq!(parent.ask("fork open"), "child exited 0");
        // The child's permit comes back, and those of its parent stay.
        drop(semaphore.acquire_owned_timeout(BOUND).unwrap());
        let brief = Duration::from_millis(200);
        assert!(semaphore.acquire_many_owned_timeout(2, brief).is_err());
        assert_eq!(parent.ask("drop"), "ok");
        parent.finish();
        assert_total(&semaphore, 3);
    }
}

#[test]
fn a_semaphore_is_never_again_in_a_state_that_it_was_in() {
    let _watchdog = watchdog!(60);
    let name = Name::new("states");
    let semaphore = Semaphore::create(name.as_str(), 3).unwrap();
    // One that came again would let somebody who has slept since then repeat a step that was done meanwhile.
    let state = || {
        let file = std::fs::File::open(name.file()).unwrap();
        let mut word = [0; 8];
        file.read_exact_at(&mut word, 4096).unwrap();
        u64::from_ne_bytes(word)
    };
    let mut states = vec![state()];
    for round in 0..20 {
        let handle = semaphore.try_clone().unwrap();
        for _ in 0..if round % 2 == 0 { 3000 } else { 3 } {
            if round % 4 < 2 {
                drop(handle.acquire_owned().unwrap());
            } else {
                handle.acquire().unwrap();
                handle.release(1).unwrap();
            }
        }
        if round % 5 == 0 {
            // Taken away by another one.
            semaphore.acquire().unwrap();
            states.push(state());
            semaphore.release(1).unwrap();
            states.push(state());
        }
        drop(handle);
        if states.last() != Some(&state()) {
            states.push(state());
        }
    }
    let len = states.len();
    assert!(len > 10);
    states.sort_unstable();
    states.dedup();
    assert_eq!(states.len(), len, "{states:x?}");
}

#[test]
fn permits_that_come_back_to_a_full_semaphore_do_not_spoil_it() {
    let _watchdog = watchdog!(60);
    let name = Name::new("full");
    let max = Semaphore::MAX_PERMITS;
    let semaphore = Semaphore::create(name.as_str(), max).unwrap();
    let mut holder = started(&name, &[]);
    assert_eq!(holder.ask("own 5"), "ok");
    semaphore.release(3).unwrap();
    holder.kill();
    // There is room for two of the five.
    semaphore.acquire_many_timeout(max, BOUND).unwrap();
    assert_eq!(semaphore.permits(), 0);
    semaphore.release(max).unwrap();
    let held = semaphore.acquire_many_owned(5).unwrap();
    semaphore.release(4).unwrap();
    drop(held);
    assert_eq!(semaphore.permits(), max);
    assert!(semaphore.release(1).is_err());
}
