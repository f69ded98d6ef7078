//! How a ring of several producers and consumers begins and ends: who is told what, and when.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use integration_tests::children::Peer;
use integration_tests::forms::WaitWay;
use integration_tests::names::Name;
use integration_tests::{ring_peer, short_or_long, watchdog};
use shm_ringbuf::{Config, Multi, RecvError, SendError, multi};

/// Long enough that the other process sleeps by then.
const ASLEEP: Duration = Duration::from_millis(100);
/// The living are asked after each other every millisecond or so.
const A_MOMENT: Duration = Duration::from_millis(20);

fn start(name: &Name, first: u64, orders: &[&str]) -> Peer {
    let first = first.to_string();
    let arguments = [
        "puppet",
        "--name",
        name.as_str(),
        "--form",
        "word",
        "--first",
        &first,
    ];
    let mut peer = Peer::start(ring_peer!(), &arguments);
    peer.expect("ready");
    for order in orders {
        let answer = peer.ask(order);
        assert!(
            answer.starts_with("attached ") && !answer.contains("then"),
            "{answer}"
        );
    }
    peer
}

fn ring(label: &str, config: &Config<Multi>) -> (Name, multi::Ring<u64>) {
    let name = Name::new(label);
    let ring = config.create(name.as_str()).unwrap();
    (name, ring)
}

/// How an end is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    Closed,
    Killed,
}

impl Leaving {
    fn of(self, peer: &mut Peer, order: &str) {
        match self {
            Self::Closed => assert_eq!(peer.ask(order), "closed"),
            Self::Killed => peer.kill(),
        }
    }
}

const BOTH: [Leaving; 2] = [Leaving::Closed, Leaving::Killed];

#[test]
fn sleeping_consumers_learn_how_the_last_producer_went_and_get_everything_first() {
    let _watchdog = watchdog!(120);
    for wait in WaitWay::ALL {
        for (first, last) in BOTH.into_iter().flat_map(|a| BOTH.map(|b| (a, b))) {
            let (name, _ring) = ring("end", &Config::mpmc().capacity(64).wait(wait.into()));
            let mut producers = [0, 10_000_000].map(|n| start(&name, n, &["producers 1"]));
            let mut consumers = [0; 3].map(|_| start(&name, 0, &["consumers 1"]));
            for consumer in &mut consumers {
                consumer.say("drain 0");
            }
            assert_eq!(producers[0].ask("send 0 5"), "sent 5");
            first.of(&mut producers[0], "close-producer 0");
            std::thread::sleep(ASLEEP);
            for consumer in &mut consumers {
                assert_eq!(consumer.line_if_any(), None, "one producer is there");
            }
            assert_eq!(producers[1].ask("send 0 5"), "sent 5");
            last.of(&mut producers[1], "close-producer 0");
            let told = if first == Leaving::Killed || last == Leaving::Killed {
                "OwnerDied"
            } else {
                "Disconnected"
            };
            let mut got = Vec::new();
            for consumer in &mut consumers {
                let answer = consumer.line().unwrap();
                let list = answer
                    .strip_suffix(&format!(", then {told}"))
                    .and_then(|answer| answer.strip_prefix("got"))
                    .unwrap_or_else(|| panic!("{answer}, after {first:?} and {last:?}"));
                got.extend(list.split_whitespace().map(|n| n.parse::<u64>().unwrap()));
            }
            got.sort_unstable();
            let expected: Vec<u64> = (0..5).chain(10_000_000..10_000_005).collect();
            assert_eq!(got, expected);
        }
    }
}

#[test]
fn sleeping_producers_learn_how_the_last_consumer_went() {
    let _watchdog = watchdog!(120);
    for wait in WaitWay::ALL {
        for (first, last) in BOTH.into_iter().flat_map(|a| BOTH.map(|b| (a, b))) {
            let (name, ring) = ring("end", &Config::mpmc().capacity(4).wait(wait.into()));
            let mut consumers = [0; 2].map(|_| start(&name, 0, &["consumers 1"]));
            let mut producers = [0, 1, 2].map(|n| start(&name, n * 10_000_000, &["producers 1"]));
            assert_eq!(producers[0].ask("fill 0"), "sent 4, then Full");
            for producer in &mut producers {
                producer.say("send 0 1");
            }
            first.of(&mut consumers[0], "close-consumer 0");
            std::thread::sleep(ASLEEP);
            for producer in &mut producers {
                assert_eq!(producer.line_if_any(), None, "one consumer is there");
            }
            last.of(&mut consumers[1], "close-consumer 0");
            let told = if first == Leaving::Killed || last == Leaving::Killed {
                "sent 0, then OwnerDied"
            } else {
                "sent 0, then Disconnected"
            };
            for producer in &mut producers {
                producer.expect(told);
            }
            // A new consumer ends that state, and gets what is there.
            let mut consumer = ring.consumer().unwrap();
            for n in 0..4 {
                assert_eq!(consumer.try_recv(), Ok(n), "after {first:?} and {last:?}");
            }
            assert_eq!(consumer.try_recv(), Err(RecvError::Empty));
            assert_eq!(producers[2].ask("send 0 4"), "sent 4");
        }
    }
}

#[test]
fn producers_fill_the_ring_after_the_death_of_the_last_consumer_and_not_after_its_close() {
    let _watchdog = watchdog!(60);
    let (name, ring) = ring("room", &Config::mpmc().capacity(4));
    let mut tx = ring.producer().unwrap();
    tx.try_send(0).expect("nobody has been there yet");
    let mut consumer = start(&name, 0, &["consumers 2"]);
    assert_eq!(consumer.ask("close-consumer 0"), "closed");
    tx.try_send(1).expect("the other one is there");
    consumer.kill();
    tx.try_send(2).expect("room");
    tx.send(3).expect("room");
    assert_eq!(tx.send(4), Err(SendError::OwnerDied(4)));
    assert_eq!(tx.try_send(4), Err(SendError::OwnerDied(4)));
    assert_eq!(tx.try_send_exact(&[4]), Err(SendError::OwnerDied(())));
    let mut rx = ring.consumer().unwrap();
    let mut again = ring.consumer().unwrap();
    assert_eq!((rx.recv(), again.recv()), (Ok(0), Ok(1)));
    assert_eq!(tx.try_send(4), Ok(()));
    drop((rx, again));
    // The seat of the dead one may have been taken by one of the two, or not.
    let refused = tx.send_exact(&[5, 6, 7]);
    let refused = matches!(
        refused,
        Err(SendError::Disconnected(()) | SendError::OwnerDied(()))
    );
    assert!(refused);
}

#[test]
fn who_looks_now_and_then_has_the_room_of_a_dead_producer_at_the_first_look() {
    let _watchdog = watchdog!(60);
    let (name, ring) = ring("room-at-once", &Config::mpmc().capacity(4));
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let mut victim = start(&name, 0, &["producers 1"]);
    assert_eq!(victim.ask("claim 0"), "holding");
    victim.kill();
    std::thread::sleep(A_MOMENT);
    for n in 0..4 {
        assert_eq!(tx.try_send(n), Ok(()), "the claim is nobody's");
    }
    for n in 0..4 {
        assert_eq!(rx.try_recv(), Ok(n));
    }
}

#[test]
fn who_looks_now_and_then_is_told_of_a_death_at_the_first_look() {
    let _watchdog = watchdog!(60);
    let (name, ring) = ring("at-once", &Config::mpmc().capacity(4));
    let mut tx = ring.producer().unwrap();
    let mut victim = start(&name, 0, &["consumers 1"]);
    (0..4).for_each(|n| tx.try_send(n).unwrap());
    victim.kill();
    std::thread::sleep(A_MOMENT);
    assert_eq!(tx.try_send(4), Err(SendError::OwnerDied(4)));
    tx.close();
    let mut rx = ring.consumer().unwrap();
    let mut victim = start(&name, 0, &["producers 1"]);
    for n in 0..4 {
        assert_eq!(rx.try_recv(), Ok(n));
    }
    victim.kill();
    std::thread::sleep(A_MOMENT);
    assert_eq!(rx.try_recv(), Err(RecvError::OwnerDied));
}

#[test]
fn every_way_to_send_is_refused_when_all_consumers_have_closed() {
    let _watchdog = watchdog!(60);
    let (_name, ring) = ring("closed", &Config::mpmc().capacity(8));
    let mut tx = ring.producer().unwrap();
    let (first, second) = (ring.consumer().unwrap(), ring.consumer().unwrap());
    tx.try_send(0).unwrap();
    first.close();
    tx.try_send(1).unwrap();
    second.close();
    let timeout = Duration::from_secs(100);
    assert_eq!(tx.try_send(1), Err(SendError::Disconnected(1)));
    assert_eq!(tx.send(2), Err(SendError::Disconnected(2)));
    assert_eq!(tx.send_timeout(3, timeout), Err(SendError::Disconnected(3)));
    assert_eq!(tx.try_send_exact(&[4]), Err(SendError::Disconnected(())));
    assert_eq!(tx.send_exact(&[4, 5]), Err(SendError::Disconnected(())));
    assert_eq!(tx.try_send_up_to(&[4, 5]), Err(SendError::Disconnected(())));
    assert_eq!(tx.try_claim().map(|_| ()), Err(SendError::Disconnected(())));
    let claim = tx.claim_timeout(timeout).map(|_| ());
    assert_eq!(claim, Err(SendError::Disconnected(())));
    let mut rx = ring.consumer().unwrap();
    assert_eq!((rx.recv(), rx.recv()), (Ok(0), Ok(1)));
    tx.try_send(7).expect("there is a consumer again");
    assert_eq!(rx.recv(), Ok(7));
}

#[test]
fn every_way_to_receive_ends_when_all_producers_have_closed() {
    let _watchdog = watchdog!(60);
    let ring: multi::Ring<[u8]> = Config::mpmc().capacity(4096).anonymous().unwrap();
    let (mut first, second) = (ring.producer().unwrap(), ring.producer().unwrap());
    let mut rx = ring.consumer().unwrap();
    let (timeout, mut buffer) = (Duration::from_secs(100), [0; 10]);
    assert_eq!(rx.try_recv(&mut buffer), Err(RecvError::Empty));
    second.close();
    assert_eq!(rx.try_recv(&mut buffer), Err(RecvError::Empty));
    first.send(b"last").unwrap();
    first.close();
    assert_eq!(rx.recv(&mut buffer), Ok(4));
    let ended = RecvError::Disconnected;
    assert_eq!(rx.try_recv(&mut buffer), Err(ended));
    assert_eq!(rx.recv(&mut buffer), Err(ended));
    assert_eq!(rx.recv_timeout(&mut buffer, timeout), Err(ended));
    assert_eq!(rx.try_recv_ref().map(|_| ()), Err(ended));
    assert_eq!(rx.recv_ref().map(|_| ()), Err(ended));
    assert_eq!(rx.try_recv_up_to(3, |_| ()), Err(ended));
    assert_eq!(rx.recv_up_to(3, |_| ()), Err(ended));
    assert_eq!(rx.recv_up_to_timeout(3, timeout, |_| ()), Err(ended));
    let mut tx = ring.producer().unwrap();
    assert_eq!(rx.try_recv(&mut buffer), Err(RecvError::Empty));
    tx.send(b"anew").unwrap();
    assert_eq!(rx.recv(&mut buffer), Ok(4));
}

#[test]
fn a_successor_on_the_seat_of_a_dead_producer_makes_good_for_its_death() {
    let _watchdog = watchdog!(60);
    let (name, ring) = ring("successor", &Config::mpmc().capacity(16).participants(2));
    let mut rx = ring.consumer().unwrap();
    for round in 0..5 {
        let mut producer = start(&name, round * 10, &["producers 1"]);
        assert_eq!(producer.ask("send 0 2"), "sent 2");
        producer.kill();
        assert_eq!((rx.recv(), rx.recv()), (Ok(round * 10), Ok(round * 10 + 1)));
        assert_eq!(rx.recv(), Err(RecvError::OwnerDied));
        // There is only the one seat for it.
        let tx = ring.producer().expect("the seat is free");
        assert_eq!(rx.try_recv(), Err(RecvError::Empty));
        tx.close();
        assert_eq!(rx.recv(), Err(RecvError::Disconnected));
    }
}

#[test]
fn before_anybody_came_receivers_wait_and_senders_fill_the_ring() {
    let _watchdog = watchdog!(60);
    let (_name, ring) = ring("absent", &Config::mpmc().capacity(2));
    let (mut rx, mut another) = (ring.consumer().unwrap(), ring.consumer().unwrap());
    assert_eq!(rx.try_recv(), Err(RecvError::Empty));
    assert_eq!(another.recv_timeout(ASLEEP / 5), Err(RecvError::TimedOut));
    let ring: multi::Ring<u64> = Config::mpmc().capacity(2).anonymous().unwrap();
    let (mut tx, mut another) = (ring.producer().unwrap(), ring.producer().unwrap());
    tx.send(1).unwrap();
    another.send(2).unwrap();
    assert_eq!(tx.try_send(3), Err(SendError::Full(3)));
    assert_eq!(
        another.send_timeout(3, ASLEEP / 5),
        Err(SendError::TimedOut(3))
    );
    let mut late = ring.consumer().unwrap();
    assert_eq!((late.recv(), late.recv()), (Ok(1), Ok(2)));
}

#[test]
fn the_end_never_overtakes_the_last_message() {
    const PRODUCERS: u64 = 2;
    let _watchdog = watchdog!(120);
    let (_name, ring) = ring("overtake", &Config::mpmc().capacity(8));
    let rounds = short_or_long(3_000, 100_000);
    let (attached, over) = (Barrier::new(4), Barrier::new(4));
    let failed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for number in 0..PRODUCERS {
            let (ring, attached, over) = (&ring, &attached, &over);
            scope.spawn(move || {
                for round in 0..rounds {
                    let mut tx = ring.producer().unwrap();
                    attached.wait();
                    tx.send(round * PRODUCERS + number).unwrap();
                    tx.close();
                    over.wait();
                }
            });
        }
        let consumers = [0; 2].map(|_| {
            let (mut rx, attached, over) = (ring.consumer().unwrap(), &attached, &over);
            let failed = &failed;
            scope.spawn(move || {
                let mut got = Vec::new();
                for _ in 0..rounds {
                    attached.wait();
                    let end = loop {
                        match rx.try_recv() {
                            Ok(number) => got.push(number),
                            Err(RecvError::Empty) => std::thread::yield_now(),
                            Err(end) => break end,
                        }
                    };
                    if end != RecvError::Disconnected {
                        failed.store(true, Ordering::Relaxed);
                    }
                    over.wait();
                }
                got
            })
        });
        let got = consumers.map(|consumer| consumer.join().unwrap());
        let mut got: Vec<u64> = got.into_iter().flatten().collect();
        got.sort_unstable();
        assert_eq!(
            got.len() as u64,
            PRODUCERS * rounds,
            "an end came too early"
        );
        assert!(
            got.iter()
                .enumerate()
                .all(|(at, number)| at as u64 == *number)
        );
    });
    assert!(!failed.into_inner(), "an end was not the close");
}
