//! The seats of a ring of several producers and consumers: taken, refused, left, taken again after a death, and told of.

use std::time::{Duration, Instant};

use integration_tests::children::{self, Peer};
use integration_tests::forms::Form;
use integration_tests::names::Name;
use integration_tests::{ring_peer, short_or_long, watchdog};
use shm_ringbuf::{Config, Error, Multi, RecvError, Role, SendError, multi};

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
