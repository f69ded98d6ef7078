//! Those who wait for permits: killed, stopped, interrupted, in crowds, and in vain.

#![allow(unsafe_code)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use integration_tests::board::Board;
use integration_tests::children::Peer;
use integration_tests::names::{Folder, Name};
use integration_tests::{ring_peer, short_or_long, watchdog};
use memmap2::{MmapOptions, MmapRaw};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use shm_semaphore::{AcquireError, Deadline, NamedSemaphore, Semaphore, SemaphoreOptions};

/// Within what is promised to happen in a fraction of a second: the machine may be busy.
const BOUND: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(30);
/// After so long a sleep a waiter has the reservation.
const UNTIL_RESERVED: Duration = Duration::from_millis(200);

/// What the peers wait at: a semaphore with a name, or one in a page that they map. It has no permits.
enum Place {
    Named(Name, NamedSemaphore),
    Placed(Folder, MmapRaw),
}

impl Place {
    fn both() -> [Self; 2] {
        let name = Name::new("waiters");
        let named = Semaphore::create(name.as_str(), 0).unwrap();
        let folder = Folder::new("waiters");
        let page = folder.entry("page");
        std::fs::write(&page, [0; 4096]).unwrap();
        let file = std::fs::File::options().read(true).write(true).open(page);
        let map = MmapOptions::new().map_raw(&file.unwrap()).unwrap();
        [Self::Named(name, named), Self::Placed(folder, map)]
    }

    fn placed(map: &MmapRaw) -> &Semaphore {
        // SAFETY: the first 32 bytes of a mapping that lives as long as the reference.
        unsafe { Semaphore::from_ptr(map.as_mut_ptr().cast()) }
    }

    fn release(&self, permits: u32) {
        match self {
            Self::Named(_, semaphore) => semaphore.release(permits),
            Self::Placed(_, map) => Self::placed(map).release(permits),
        }
        .unwrap();
    }

    fn take(&self, permits: u32) {
        match self {
            Self::Named(_, semaphore) => semaphore.acquire_many_timeout(permits, BOUND),
            Self::Placed(_, map) => Self::placed(map).acquire_many_timeout(permits, BOUND),
        }
        .unwrap();
    }

    fn permits(&self) -> u32 {
        match self {
            Self::Named(_, semaphore) => semaphore.permits(),
            Self::Placed(_, map) => Self::placed(map).permits(),
        }
    }

    /// A peer that sleeps until it gets a permit.
    fn sleeper(&self) -> Peer {
        let peer = match self {
            Self::Named(name, _) => {
                let arguments = ["participant", "--name", name.as_str()];
                let mut peer = Peer::start(ring_peer!(), &arguments);
                peer.expect("ready");
                peer.say("acquire 1");
                peer
            }
            Self::Placed(folder, _) => {
                let page = folder.entry("page");
                Peer::start(ring_peer!(), &["synchronize", &page, "hold"])
            }
        };
        peer.wait_until_asleep();
        peer
    }

    fn expect_a_permit(&self, peer: &mut Peer) {
        peer.expect(match self {
            Self::Named(..) => "ok",
            Self::Placed(..) => "acquired",
        });
    }
}

/// Says how long it took.
fn timed(what: &str, act: impl FnOnce()) {
    let start = Instant::now();
    act();
    let took = start.elapsed();
    eprintln!("{what}: {took:?}");
    assert!(took < BOUND, "{what} took {took:?}");
}

/// Puts this thread and the peers on one processor, and the peers behind it: one that is woken does not run before this thread sleeps.
fn share_a_processor(peers: &[&Peer]) {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this).unwrap();
    let one = (0..CpuSet::count())
        .find(|&cpu| allowed.is_set(cpu).unwrap_or(false))
        .unwrap();
    let mut set = CpuSet::new();
    set.set(one).unwrap();
    sched_setaffinity(this, &set).unwrap();
    for peer in peers {
        let pid = peer.pid().cast_signed();
        sched_setaffinity(Pid::from_raw(pid), &set).unwrap();
        // SAFETY: all-zero bytes are valid parameters.
        let parameters: libc::sched_param = unsafe { std::mem::zeroed() };
        // SAFETY: parameters that outlive the call. A refusal makes the moment less likely to be hit, no more.
        let _ = unsafe { libc::sched_setscheduler(pid, libc::SCHED_BATCH, &raw const parameters) };
    }
}

#[test]
fn a_waiter_that_is_killed_in_its_sleep_or_just_woken_takes_no_permit_with_it() {
    let _watchdog = watchdog!(200);
    for place in Place::both() {
        for round in 0..short_or_long(20, 1000) {
            let mut victim = place.sleeper();
            let mut other = place.sleeper();
            share_a_processor(&[&victim, &other]);
            match round % 4 {
                // Not woken yet.
                0 => {
                    victim.kill();
                    place.release(1);
                }
                1 => {
                    victim.signal(Signal::SIGKILL);
                    place.release(1);
                }
                // Woken, and dead before it runs.
                _ => {
                    place.release(1);
                    victim.signal(Signal::SIGKILL);
                }
            }
            timed("after the kill", || {
                place.expect_a_permit_of_two(&mut victim, &mut other)
            });
            assert_eq!(place.permits(), 0, "round {round}");
        }
    }
}

impl Place {
    /// One of two has got the one permit: the survivor, unless the victim was faster than its death.
    fn expect_a_permit_of_two(&self, victim: &mut Peer, other: &mut Peer) {
        victim.wait();
        if victim.line().is_some() {
            // It had it, and did not own it.
            self.release(1);
        }
        self.expect_a_permit(other);
    }
}

#[test]
fn a_waiter_that_is_stopped_just_after_it_was_woken_holds_up_nobody() {
    let _watchdog = watchdog!(200);
    for place in Place::both() {
        for round in 0..short_or_long(20, 500) {
            let mut victim = place.sleeper();
            let mut other = place.sleeper();
            share_a_processor(&[&victim, &other]);
            place.release(1);
            victim.signal(Signal::SIGSTOP);
            // It may have been faster.
            std::thread::sleep(Duration::from_millis(5));
            if place.permits() == 0 && victim.line_if_any().is_some() {
                continue;
            }
            timed("after the stop", || place.expect_a_permit(&mut other));
            victim.signal(Signal::SIGCONT);
            place.release(1);
            place.expect_a_permit(&mut victim);
            assert_eq!(place.permits(), 0, "round {round}");
        }
    }
}

#[test]
fn a_waiter_that_is_killed_or_stopped_with_a_reservation_holds_up_the_others_for_a_moment_only() {
    let _watchdog = watchdog!(200);
    for place in Place::both() {
        for round in 0..short_or_long(6, 200) {
            let mut victim = place.sleeper();
            std::thread::sleep(UNTIL_RESERVED);
            let mut other = place.sleeper();
            let stops = round % 2 == 0;
            victim.signal(if stops {
                Signal::SIGSTOP
            } else {
                Signal::SIGKILL
            });
            place.release(1);
            timed("the other one", || place.expect_a_permit(&mut other));
            // Nor is anybody held up who comes later, or only tries.
            place.release(1);
            timed("a newcomer", || place.take(1));
            if stops {
                victim.signal(Signal::SIGCONT);
                place.release(1);
                place.expect_a_permit(&mut victim);
            }
            assert_eq!(place.permits(), 0, "round {round}");
        }
    }
}

#[test]
fn one_who_only_tries_is_not_kept_off_by_a_dead_reservation() {
    let _watchdog = watchdog!(60);
    for place in Place::both() {
        let mut victim = place.sleeper();
        std::thread::sleep(UNTIL_RESERVED);
        victim.kill();
        place.release(1);
        timed("one who tries", || {
            let tries = || match &place {
                Place::Named(_, semaphore) => semaphore.try_acquire(),
                Place::Placed(_, map) => Place::placed(map).try_acquire(),
            };
            let end = Instant::now() + BOUND;
            while let Err(error) = tries() {
                assert_eq!(error, AcquireError::NoPermits);
                assert!(Instant::now() < end, "it never gets a permit");
                std::thread::sleep(Duration::from_millis(1));
            }
        });
    }
}

#[test]
fn a_waiter_for_many_that_is_killed_gives_way_to_those_who_want_few() {
    let _watchdog = watchdog!(60);
    let name = Name::new("wants-many");
    let semaphore = Semaphore::create(name.as_str(), 2).unwrap();
    let arguments = ["participant", "--name", name.as_str()];
    let mut greedy = Peer::start(ring_peer!(), &arguments);
    greedy.expect("ready");
    greedy.say("own 3");
    greedy.wait_until_asleep();
    std::thread::sleep(UNTIL_RESERVED);
    assert_eq!(semaphore.try_acquire(), Err(AcquireError::NoPermits));
    assert_eq!(semaphore.permits(), 2, "they are reserved");
    greedy.kill();
    timed("one who wants few", || {
        drop(semaphore.acquire_owned_timeout(BOUND).unwrap());
    });
    // One that gives up by itself gives way at once.
    let refused = semaphore.acquire_many_timeout(3, UNTIL_RESERVED);
    assert_eq!(refused, Err(AcquireError::TimedOut));
    assert_eq!(semaphore.try_acquire_many(2), Ok(()));
}

#[test]
fn a_wait_lasts_its_time_and_a_deadline_that_has_passed_is_none() {
    let _watchdog = watchdog!(60);
    let name = Name::new("timeouts");
    let semaphore = Semaphore::create(name.as_str(), 0).unwrap();
    let placed = Semaphore::new(0).unwrap();
    let waits: [&dyn Fn(Duration) -> Result<(), AcquireError>; 10] = [
        &|time| semaphore.acquire_timeout(time),
        &|time| semaphore.acquire_many_timeout(2, time),
        &|time| semaphore.acquire_deadline(Deadline::after(time)),
        &|time| semaphore.acquire_many_deadline(2, Instant::now() + time),
        &|time| semaphore.acquire_owned_timeout(time).map(drop),
        &|time| semaphore.acquire_many_owned_timeout(2, time).map(drop),
        &|time| {
            semaphore
                .acquire_owned_deadline(Instant::now() + time)
                .map(drop)
        },
        &|time| {
            let deadline = Deadline::after(time);
            semaphore.acquire_many_owned_deadline(2, deadline).map(drop)
        },
        &|time| placed.acquire_timeout(time),
        &|time| placed.acquire_many_deadline(2, Deadline::after(time)),
    ];
    for (at, wait) in waits.iter().enumerate() {
        for time in [Duration::ZERO, Duration::from_micros(10), SHORT, 4 * SHORT] {
            let start = Instant::now();
            assert_eq!(
                wait(time),
                Err(AcquireError::TimedOut),
                "way {at}, {time:?}"
            );
            let took = start.elapsed();
            assert!(took >= time, "way {at}: {took:?} instead of {time:?}");
            assert!(
                took < time + BOUND,
                "way {at}: {took:?} instead of {time:?}"
            );
        }
    }
    let past = Instant::now();
    std::thread::sleep(Duration::from_millis(1));
    assert_eq!(
        semaphore.acquire_deadline(past),
        Err(AcquireError::TimedOut)
    );
    semaphore.release(3).unwrap();
    placed.release(2).unwrap();
    // What is there is taken, even when it is late.
    assert_eq!(semaphore.acquire_deadline(past), Ok(()));
    assert_eq!(semaphore.acquire_many_timeout(2, Duration::ZERO), Ok(()));
    assert_eq!(placed.acquire_many_deadline(2, past), Ok(()));
    assert_eq!((semaphore.permits(), placed.permits()), (0, 0));
}

#[test]
fn a_storm_of_signals_loses_no_permit_and_wakes_nobody_early() {
    let _watchdog = watchdog!(120);
    let name = Name::new("storm");
    let folder = Folder::new("storm");
    let semaphore = Semaphore::create(name.as_str(), 2).unwrap();
    let board = Board::create(&folder.path().join("board"), 4);
    let arguments = ["participant", "--name", name.as_str()];
    let mut waiter = Peer::start(ring_peer!(), &arguments);
    waiter.expect("ready");
    assert_eq!(waiter.ask("storm"), "ok");
    let start = Instant::now();
    assert_eq!(waiter.ask("own-timeout 3 300"), "TimedOut");
    assert!(start.elapsed() >= Duration::from_millis(300), "too early");
    let turns = short_or_long("300", "20000");
    let file = folder.entry("board");
    let mut users: Vec<Peer> = (0..4)
        .map(|line: usize| {
            let line = line.to_string();
            let mut arguments = vec!["permit-user", "--name", name.as_str(), "--storm"];
            arguments.extend(["--board", &file, "--line", &line, "--total", "2"]);
            arguments.extend(["--most", "2", "--turns", turns]);
            Peer::start(ring_peer!(), &arguments)
        })
        .collect();
    for user in &mut users {
        user.expect("ready");
    }
    for user in &mut users {
        user.expect("done");
    }
    let counted: u64 = (0..4).map(|line| board.turns(line)).sum();
    assert_eq!(counted, 4 * turns.parse::<u64>().unwrap());
    let all = semaphore.acquire_many_timeout(2, BOUND);
    assert_eq!((all, semaphore.permits()), (Ok(()), 0));
}

/// Lets threads and processes wait at a semaphore without permits, gives the permits in such portions, and sees that each gets one.
fn crowd(threads: usize, portions: &[u32]) {
    let name = Name::new("crowd");
    let semaphore = Semaphore::create(name.as_str(), 0).unwrap();
    let got = AtomicUsize::new(0);
    let mut peers: Vec<Peer> = (0..5)
        .map(|_| {
            let mut peer = Peer::start(ring_peer!(), &["participant", "--name", name.as_str()]);
            peer.expect("ready");
            peer.say("acquire 1");
            peer
        })
        .collect();
    std::thread::scope(|scope| {
        for _ in 0..threads - peers.len() {
            let handle = semaphore.try_clone().unwrap();
            let got = &got;
            let wait = move || {
                handle.acquire().unwrap();
                got.fetch_add(1, Ordering::Relaxed); // a plain count
            };
            let builder = std::thread::Builder::new().stack_size(64 << 10);
            builder.spawn_scoped(scope, wait).unwrap();
        }
        peers.iter().for_each(Peer::wait_until_asleep);
        for (at, &portion) in portions.iter().enumerate() {
            semaphore.release(portion).unwrap();
            if at % 100 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    for peer in &mut peers {
        peer.expect("ok");
    }
    assert_eq!(got.load(Ordering::Relaxed), threads - peers.len());
    assert_eq!(semaphore.permits(), 0);
}

/// As many handles as there are seats beside ours, and that is the most that there can be.
const CROWD: usize = 505;

#[test]
fn a_crowd_of_handles_gets_its_permits_at_once_one_by_one_and_in_portions() {
    let _watchdog = watchdog!(200);
    crowd(CROWD, &[CROWD as u32]);
    crowd(CROWD, &vec![1; CROWD]);
    let portions: Vec<u32> = (0..10).map(|_| 50).chain([5]).collect();
    crowd(CROWD, &portions);
}

#[test]
fn a_thousand_waiters_get_a_thousand_permits() {
    let _watchdog = watchdog!(200);
    let [_, place] = Place::both();
    let Place::Placed(_, map) = &place else {
        unreachable!("the second one is placed");
    };
    let semaphore = Place::placed(map);
    for portions in [vec![1000], vec![1; 1000], vec![10; 100]] {
        let mut peers: Vec<Peer> = (0..8).map(|_| place.sleeper()).collect();
        timed("a thousand", || {
            std::thread::scope(|scope| {
                for _ in 0..1000 - peers.len() {
                    let builder = std::thread::Builder::new().stack_size(64 << 10);
                    builder
                        .spawn_scoped(scope, || semaphore.acquire().unwrap())
                        .unwrap();
                }
                std::thread::sleep(SHORT);
                for portion in portions {
                    semaphore.release(portion).unwrap();
                }
            });
            for peer in &mut peers {
                place.expect_a_permit(peer);
            }
        });
        assert_eq!(semaphore.permits(), 0);
    }
}

#[test]
fn a_thousand_waiters_with_a_seat_each_get_their_permits() {
    let _watchdog = watchdog!(200);
    let options = SemaphoreOptions::new().participants(1023);
    let semaphore = options.anonymous(0).unwrap();
    let start = || {
        let handle = semaphore.try_clone().unwrap();
        move || handle.acquire_owned().map(std::mem::forget)
    };
    let waiters: Vec<_> = (0..1000).map(|_| start()).collect();
    assert_eq!(semaphore.participants(), 1001);
    std::thread::scope(|scope| {
        for waiter in waiters {
            let builder = std::thread::Builder::new().stack_size(64 << 10);
            builder
                .spawn_scoped(scope, move || waiter().unwrap())
                .unwrap();
        }
        std::thread::sleep(SHORT);
        semaphore.release(1000).unwrap();
    });
    // Each thread has taken its handle with it, and the handle gave back what was leaked.
    assert_eq!((semaphore.permits(), semaphore.participants()), (1000, 1));
}
