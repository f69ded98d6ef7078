//! One producer and one consumer at a time; who comes second learns who was first.

use std::time::{Duration, SystemTime};

use integration_tests::children;
use integration_tests::names::Name;
use integration_tests::{ring_peer, short_or_long, watchdog};
use nix::time::{ClockId, clock_gettime};
use shm_ringbuf::{Config, Consumer, Error, Producer, Ring, Wait};

fn words(name: &Name) -> Ring<u64> {
    Config::spsc().capacity(16).create(name.as_str()).unwrap()
}

fn peer(role: &str, name: &Name) -> children::Peer {
    let mut peer = children::Peer::start(
        ring_peer!(),
        &[role, "--name", name.as_str(), "--form", "word"],
    );
    peer.expect("ready");
    peer
}

/// Checks an error that should name the holder of a role.
fn assert_names(error: &Error, role: &str, holder: u32) {
    let Error::RoleTaken {
        pid: Some(pid),
        since: Some(since),
        ..
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!(*pid, holder);
    let age = SystemTime::now().duration_since(*since).unwrap_or_default();
    assert!(age < Duration::from_secs(60), "since {since:?}");
    assert!(SystemTime::UNIX_EPOCH < *since);
    let message = error.to_string();
    assert!(
        message.contains(&holder.to_string()),
        "the message names the pid: {message}"
    );
    assert!(
        message.contains(role),
        "the message names the role: {message}"
    );
}

#[test]
fn a_second_producer_is_refused_while_the_first_lives() {
    let _watchdog = watchdog!(60);
    let name = Name::new("second-producer");
    let ring = words(&name);
    let mut first = peer("producer", &name);
    assert_names(&ring.producer().unwrap_err(), "producer", first.pid());
    assert_names(
        &ring.producer_with(Wait::Spin).unwrap_err(),
        "producer",
        first.pid(),
    );
    assert_eq!(first.ask("send 1"), "sent 1");
    first.kill();
    let mut tx = ring.producer().expect("the first is dead");
    tx.send(1).unwrap();
}

#[test]
fn a_second_consumer_is_refused_while_the_first_lives() {
    let _watchdog = watchdog!(60);
    let name = Name::new("second-consumer");
    let ring = words(&name);
    let first = peer("consumer", &name);
    assert_names(&ring.consumer().unwrap_err(), "consumer", first.pid());
    first.finish();
    ring.consumer().expect("the first closed");
}

#[test]
fn a_refused_attempt_leaves_the_first_and_its_messages_alone() {
    let _watchdog = watchdog!(60);
    let name = Name::new("refused-harmless");
    let ring = words(&name);
    let mut producer = peer("producer", &name);
    let mut consumer = peer("consumer", &name);
    for _ in 0..50 {
        assert_eq!(producer.ask("send 2"), "sent 2");
        assert!(matches!(ring.producer(), Err(Error::RoleTaken { .. })));
        assert!(matches!(ring.consumer(), Err(Error::RoleTaken { .. })));
        assert_eq!(producer.ask("send 1"), "sent 1");
        assert!(consumer.ask("recv 3").starts_with("got "));
    }
}

#[test]
fn in_one_process_a_role_is_taken_until_its_endpoint_is_gone() {
    let _watchdog = watchdog!(60);
    let name = Name::new("one-process");
    let ring = words(&name);
    let again = Ring::<u64>::open(name.as_str()).unwrap();
    let tx = ring.producer().unwrap();
    assert_names(
        &ring.producer().unwrap_err(),
        "producer",
        std::process::id(),
    );
    assert_names(
        &again.producer().unwrap_err(),
        "producer",
        std::process::id(),
    );
    drop(tx);
    let tx = again.producer().unwrap();
    assert_names(
        &ring.producer().unwrap_err(),
        "producer",
        std::process::id(),
    );
    tx.close();
    let forgotten = ring.producer().unwrap();
    std::mem::forget(forgotten);
    assert_names(
        &ring.producer().unwrap_err(),
        "producer",
        std::process::id(),
    );
}

#[test]
fn both_sides_in_one_process_work_over_two_mappings() {
    let _watchdog = watchdog!(60);
    let name = Name::new("two-mappings");
    let mut tx: Producer<u64> = words(&name).producer().unwrap();
    let mut rx: Consumer<u64> = Ring::open(name.as_str()).unwrap().consumer().unwrap();
    let sender = std::thread::spawn(move || (0..100_000).for_each(|n| tx.send(n).unwrap()));
    (0..100_000).for_each(|n| assert_eq!(rx.recv(), Ok(n)));
    sender.join().unwrap();
}

#[test]
fn of_many_that_race_for_a_role_one_gets_it_and_the_others_learn_which() {
    let _watchdog = watchdog!(120);
    let name = Name::new("role-race");
    drop(
        Config::spsc()
            .capacity(4096)
            .create::<[u8]>(name.as_str())
            .unwrap(),
    );
    let mut racers: Vec<children::Peer> = (0..8)
        .map(|_| children::Peer::start(ring_peer!(), &["racer", name.as_str()]))
        .collect();
    for racer in &mut racers {
        racer.expect("ready");
        assert!(racer.ask("open").starts_with("ok "));
    }
    for round in 0..short_or_long(30, 1000) {
        let start = in_5_ms();
        for racer in &mut racers {
            racer.say(&format!("produce {start}"));
        }
        let answers: Vec<String> = racers
            .iter_mut()
            .map(|racer| racer.line().unwrap())
            .collect();
        let winners: Vec<usize> = (0..8).filter(|n| answers[*n] == "ok").collect();
        assert_eq!(winners.len(), 1, "round {round}: {answers:?}");
        let winner = racers[winners[0]].pid();
        let told = format!("RoleTaken {winner}");
        for (n, answer) in answers.iter().enumerate() {
            // One that came while the winner was joining may not know its name yet, but no other.
            let fine = n == winners[0] || *answer == told || answer == "RoleTaken just now";
            assert!(fine, "round {round}: {told} and {answers:?}");
        }
        let loser = (winners[0] + 1) % racers.len();
        assert_eq!(
            racers[loser].ask("produce 0"),
            told,
            "round {round}: it has joined"
        );
        if round % 3 == 2 {
            // The winner dies, and another takes its place in the race.
            racers[winners[0]].kill();
            racers[winners[0]] = children::Peer::start(ring_peer!(), &["racer", name.as_str()]);
            racers[winners[0]].expect("ready");
            assert!(racers[winners[0]].ask("open").starts_with("ok "));
        } else {
            assert_eq!(racers[winners[0]].ask("drop-producer"), "dropped");
        }
    }
}

fn in_5_ms() -> i64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap();
    now.tv_sec() * 1_000_000_000 + now.tv_nsec() + 5_000_000
}

#[test]
fn a_role_is_free_at_once_after_its_endpoint_is_dropped_even_while_others_fork() {
    let _watchdog = watchdog!(120);
    let name = Name::new("fork-storm");
    let ring = words(&name);
    let done = std::sync::atomic::AtomicBool::new(false);
    let relaxed = std::sync::atomic::Ordering::Relaxed; // a plain flag
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(relaxed) {
                // A child of a moment: it holds what its parent held open when it forked.
                drop(children::Peer::start(
                    ring_peer!(),
                    &["open", "--name", name.as_str()],
                ));
            }
        });
        for turn in 0..short_or_long(300, 10_000) {
            let tx = ring.producer();
            done.store(tx.is_err(), relaxed);
            drop(tx.unwrap_or_else(|error| panic!("turn {turn}: {error}")));
        }
        done.store(true, relaxed);
    });
}

#[test]
fn a_ring_that_spins_takes_endpoints_that_spin_and_no_others() {
    let _watchdog = watchdog!(60);
    let ring = Config::spsc()
        .capacity(4)
        .wait(Wait::Spin)
        .anonymous::<u64>()
        .unwrap();
    for wait in [Wait::Park, Wait::SpinThenPark] {
        let refused = ring.producer_with(wait).unwrap_err();
        assert!(
            matches!(refused, Error::WaitNotSupported { .. }),
            "{refused:?}"
        );
        let refused = ring.consumer_with(wait).unwrap_err();
        assert!(
            matches!(refused, Error::WaitNotSupported { .. }),
            "{refused:?}"
        );
    }
    let mut tx = ring
        .producer_with(Wait::Spin)
        .expect("a refusal takes no role");
    let mut rx = ring.consumer().unwrap();
    tx.send(1).unwrap();
    assert_eq!(rx.recv(), Ok(1));
}

#[test]
fn the_two_sides_may_wait_in_different_ways() {
    let _watchdog = watchdog!(60);
    let ways = [Wait::Spin, Wait::SpinThenPark, Wait::Park];
    for (ours, theirs) in ways.iter().flat_map(|a| ways.iter().map(move |b| (*a, *b))) {
        let ring = Config::spsc()
            .capacity(2)
            .wait(Wait::Park)
            .anonymous::<u64>()
            .unwrap();
        let mut tx = ring.producer_with(ours).unwrap();
        let mut rx = ring.consumer_with(theirs).unwrap();
        let sender = std::thread::spawn(move || (0..500).for_each(|n| tx.send(n).unwrap()));
        (0..500).for_each(|n| assert_eq!(rx.recv(), Ok(n), "{ours:?} {theirs:?}"));
        sender.join().unwrap();
    }
}
