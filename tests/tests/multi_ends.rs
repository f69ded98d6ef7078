//! How a ring of several producers and consumers begins and ends: who is told what, and when; seats that are taken, left and taken again.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use integration_tests::children::{self, Peer};
use integration_tests::forms::{Form, WaitWay};
use integration_tests::names::Name;
use integration_tests::{ring_peer, short_or_long, watchdog};
use shm_ringbuf::{Config, Error, Multi, RecvError, Role, SendError, multi};

/// Long enough that the other process sleeps by then.
const ASLEEP: Duration = Duration::from_millis(100);

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
fn the_forms_that_do_not_wait_tell_of_a_death_at_once() {
    let _watchdog = watchdog!(60);
    let (name, ring) = ring("at-once", &Config::mpmc().capacity(4));
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let mut victim = start(&name, 0, &["producers 1"]);
    assert_eq!(victim.ask("claim 0"), "holding");
    victim.kill();
    (0..4).for_each(|n| assert_eq!(tx.try_send(n), Ok(()), "the claim is nobody's"));
    (0..4).for_each(|n| assert_eq!(rx.try_recv(), Ok(n)));
    rx.close();
    let mut victim = start(&name, 0, &["consumers 1"]);
    (0..4).for_each(|n| tx.try_send(n).unwrap());
    victim.kill();
    assert_eq!(tx.try_send(4), Err(SendError::OwnerDied(4)));
    tx.close();
    let mut rx = ring.consumer().unwrap();
    let mut victim = start(&name, 0, &["producers 1"]);
    (0..4).for_each(|n| assert_eq!(rx.try_recv(), Ok(n)));
    victim.kill();
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

#[track_caller]
fn assert_role_taken<E>(answer: Result<E, Error>, expected: Role) {
    match answer {
        Err(Error::RoleTaken { role, .. }) => assert_eq!(role, expected),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("a second {expected}"),
    }
}

#[test]
fn a_ring_with_a_single_consumer_refuses_another_one_while_it_lives() {
    let _watchdog = watchdog!(60);
    let (name, ring) = ring("mpsc", &Config::mpsc().capacity(8));
    let _producers = [0; 3].map(|_| ring.producer().unwrap());
    let consumer = ring.consumer().unwrap();
    assert_role_taken(ring.consumer(), Role::Consumer);
    consumer.close();
    let mut peer = start(&name, 0, &["consumers 1"]);
    assert_role_taken(ring.consumer(), Role::Consumer);
    peer.kill();
    let _consumer = ring.consumer().expect("it is dead");
    assert_role_taken(ring.consumer(), Role::Consumer);
}

#[test]
fn a_ring_with_a_single_producer_refuses_another_one_while_it_lives() {
    let _watchdog = watchdog!(60);
    let (name, ring) = ring("spmc", &Config::spmc().capacity(8));
    let mut consumers = [0; 3].map(|_| ring.consumer().unwrap());
    let producer = ring.producer().unwrap();
    assert_role_taken(ring.producer(), Role::Producer);
    producer.close();
    let mut peer = start(&name, 0, &["producers 1"]);
    assert_role_taken(ring.producer(), Role::Producer);
    assert_eq!(peer.ask("send 0 3"), "sent 3");
    peer.kill();
    let mut producer = ring.producer().expect("it is dead");
    producer.try_send(3).unwrap();
    for n in 0..4 {
        assert_eq!(consumers[n as usize % 3].try_recv(), Ok(n));
    }
}

#[test]
fn only_so_many_take_part_and_a_seat_that_was_left_is_free_again() {
    let _watchdog = watchdog!(60);
    let (name, ring) = ring("seats", &Config::mpmc().capacity(8).participants(4));
    let (tx, rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let mut peer = start(&name, 0, &["producers 1", "consumers 1"]);
    let refused = ring.producer().map(|_| ()).unwrap_err();
    assert!(
        matches!(refused, Error::NoSeat { max: 4, .. }),
        "{refused:?}"
    );
    let message = refused.to_string();
    assert!(
        message.contains(name.as_str()) && message.contains('4'),
        "{message}"
    );
    let refused = peer.ask("consumers 1");
    assert!(refused.starts_with("attached 0, then NoSeat"), "{refused}");
    tx.close();
    let tx = ring.consumer().expect("one has left");
    assert!(matches!(ring.producer(), Err(Error::NoSeat { .. })));
    peer.kill();
    let both = (ring.producer(), ring.consumer());
    assert!(both.0.is_ok() && both.1.is_ok(), "two have died");
    assert!(matches!(ring.consumer(), Err(Error::NoSeat { .. })));
    drop((tx, rx));
}

#[test]
fn a_number_of_seats_that_can_not_be_is_refused() {
    let _watchdog = watchdog!(60);
    for wrong in [0, 1024, usize::MAX] {
        let answer = Config::mpmc().participants(wrong).anonymous::<u64>();
        let refused = matches!(answer, Err(Error::InvalidConfig { .. }));
        assert!(refused, "{wrong}: {answer:?}");
    }
    for right in [1, 1023] {
        let ring = Config::mpmc().participants(right).anonymous::<u64>();
        ring.unwrap().producer().unwrap();
    }
}

#[test]
fn five_hundred_take_part_at_once_and_get_all_messages_through() {
    const PROCESSES: usize = 5;
    const EACH: u64 = 50;
    let _watchdog = watchdog!(120);
    let (name, ring) = ring("five-hundred", &Config::mpmc().capacity(512));
    let producers = format!("producers {EACH}");
    let consumers = format!("consumers {EACH}");
    let mut peers: Vec<Peer> = (0..PROCESSES)
        .map(|number| {
            let first = number as u64 * 1_000_000_000;
            start(&name, first, &[&producers, &consumers])
        })
        .collect();
    let list = ring.participants().unwrap();
    assert_eq!(list.len(), 2 * PROCESSES * EACH as usize);
    for role in [Role::Producer, Role::Consumer] {
        for peer in &peers {
            let of_one = list
                .iter()
                .filter(|one| one.role == role && one.pid == peer.pid());
            assert_eq!(of_one.count(), EACH as usize, "{role}");
        }
    }
    let mut seats: Vec<_> = list.iter().map(|one| one.seat).collect();
    seats.sort_unstable();
    seats.dedup();
    assert_eq!(seats.len(), list.len(), "everybody has a seat of his own");
    for _ in 0..short_or_long(3, 100) {
        // Two rounds fit in the ring: 500 messages.
        for peer in &mut peers {
            peer.say("each-send 2");
        }
        for peer in &mut peers {
            peer.expect("all sent 2");
        }
        for peer in &mut peers {
            peer.say(&format!("take {}", 2 * EACH));
        }
        for peer in &mut peers {
            peer.expect(&format!("took {}", 2 * EACH));
        }
    }
    for peer in peers.drain(..2) {
        peer.finish();
    }
    for mut peer in peers {
        peer.kill();
    }
    let mut rx = ring.consumer().expect("there are seats");
    assert_eq!(rx.recv(), Err(RecvError::OwnerDied));
    let states = ring.participants().unwrap();
    let count = |state: &str| {
        let states = states.iter().map(|one| format!("{:?}", one.attendance));
        states.filter(|found| found == state).count()
    };
    assert_eq!(count("Attached"), 1, "we alone");
    assert!(
        count("Died") >= 3 * 2 * EACH as usize - 1,
        "{} died",
        count("Died")
    );
}

#[test]
fn ten_thousand_come_and_go() {
    const ROUNDS: u64 = 5_000;
    let _watchdog = watchdog!(120);
    let (_name, ring) = ring("come-and-go", &Config::mpmc().capacity(16).participants(6));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for number in 0..2 {
            let ring = &ring;
            scope.spawn(move || {
                for round in 0..ROUNDS / 2 {
                    let mut rx = ring.consumer().unwrap();
                    let mut tx = ring.producer().unwrap();
                    tx.send(round * 2 + number).unwrap();
                    // Its own or the other one's.
                    rx.recv().unwrap();
                }
            });
        }
    });
    eprintln!("{} joined and left in {:?}", 2 * ROUNDS, start.elapsed());
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    assert_eq!(rx.try_recv(), Err(RecvError::Empty), "as many came as went");
    (0..16).for_each(|n| tx.try_send(n).unwrap());
    assert_eq!(tx.try_send(16), Err(SendError::Full(16)));
    (0..16).for_each(|n| assert_eq!(rx.try_recv(), Ok(n)));
}

#[test]
fn seats_come_back_after_kills() {
    let _watchdog = watchdog!(120);
    let config = Config::mpmc().capacity(16).participants(4);
    let (name, ring) = ring("kills", &config);
    let mut rx = ring.consumer().unwrap();
    for round in 0..short_or_long(40, 2000) {
        let first = round * 100;
        // All seats but ours.
        let mut peer = start(&name, first, &["producers 2", "consumers 1"]);
        assert_eq!(peer.ask("send 0 2"), "sent 2");
        assert_eq!(rx.recv(), Ok(first));
        match round % 3 {
            0 => {}
            1 => assert_eq!(peer.ask("claim 1"), "holding"),
            _ => assert_eq!(peer.ask("hold 0"), format!("holding {}", first + 1)),
        }
        peer.kill();
        let guard = rx.recv_ref().unwrap();
        let was_held = round % 3 == 2;
        assert_eq!((guard.read(), guard.redelivered()), (first + 1, was_held));
        guard.release();
        assert_eq!(rx.recv(), Err(RecvError::OwnerDied));
    }
}

#[test]
fn who_takes_part_is_told_with_role_process_and_fate() {
    let _watchdog = watchdog!(60);
    let (name, ring) = ring("participants", &Config::mpmc().capacity(8).participants(8));
    assert!(ring.participants().unwrap().is_empty(), "nobody yet");
    let _tx = ring.producer().unwrap();
    let mut closed = start(&name, 0, &["consumers 1"]);
    let mut killed = start(&name, 0, &["producers 1"]);
    let living = start(&name, 0, &["consumers 1"]);
    assert_eq!(closed.ask("close-consumer 0"), "closed");
    killed.kill();
    let end = Instant::now() + children::patience();
    loop {
        let list = ring.participants().unwrap();
        let state_of = |pid: u32, role: Role| {
            let found = list.iter().find(|one| one.pid == pid && one.role == role);
            found.map(|one| format!("{:?}", one.attendance))
        };
        let states = [
            state_of(std::process::id(), Role::Producer),
            state_of(closed.pid(), Role::Consumer),
            state_of(killed.pid(), Role::Producer),
            state_of(living.pid(), Role::Consumer),
        ];
        let states = states.map(|state| state.unwrap_or_else(|| "Closed".to_owned()));
        if states == ["Attached", "Closed", "Died", "Attached"] {
            break;
        }
        assert!(Instant::now() < end, "{list:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_ring_of_one_side_is_not_opened_as_another_kind() {
    let _watchdog = watchdog!(60);
    let (name, _ring) = ring("kind", &Config::mpmc().capacity(8));
    let refused = shm_ringbuf::Ring::<u64>::open(name.as_str()).map(|_| ());
    assert!(
        matches!(refused, Err(Error::WrongKind { .. })),
        "{refused:?}"
    );
    let single = Name::new("kind");
    let config = Config::spsc().capacity(8);
    Form::Word.create(&config, single.as_str()).unwrap();
    let refused = multi::Ring::<u64>::open(single.as_str()).map(|_| ());
    assert!(
        matches!(refused, Err(Error::WrongKind { .. })),
        "{refused:?}"
    );
}
