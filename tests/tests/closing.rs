//! A clean end: everything that was sent is delivered first, then both sides know.

use std::sync::mpsc::channel;
use std::time::Duration;

use integration_tests::children;
use integration_tests::forms::{Form, WaitWay};
use integration_tests::names::Name;
use integration_tests::{ring_peer, short_or_long, watchdog};
use shm_ringbuf::{Config, Peer, RecvError, Ring, SendError};

/// Long enough that the other process sleeps by then.
const ASLEEP: Duration = Duration::from_millis(150);

fn peer(role: &str, name: &Name, form: Form) -> children::Peer {
    let mut peer = children::Peer::start(
        ring_peer!(),
        &[role, "--name", name.as_str(), "--form", form.argument()],
    );
    peer.expect("ready");
    peer
}

#[test]
fn all_that_was_sent_before_the_close_is_delivered_first() {
    let _watchdog = watchdog!(60);
    for form in Form::ALL {
        let name = Name::new("close");
        form.create(&Config::spsc().capacity(64), name.as_str())
            .unwrap();
        let mut producer = peer("producer", &name, form);
        assert_eq!(producer.ask("send 5"), "sent 5");
        assert_eq!(producer.ask("close"), "closed");
        producer.finish();
        let mut consumer = peer("consumer", &name, form);
        assert_eq!(
            consumer.ask("drain"),
            "got 0 1 2 3 4, then Disconnected",
            "{form:?}"
        );
        consumer.finish();
    }
}

#[test]
fn the_close_of_the_producer_wakes_a_sleeping_consumer() {
    let _watchdog = watchdog!(60);
    for wait in WaitWay::ALL {
        let name = Name::new("close-wakes");
        let config = Config::spsc().capacity(64).wait(wait.into());
        Form::Word.create(&config, name.as_str()).unwrap();
        let mut producer = peer("producer", &name, Form::Word);
        let mut consumer = peer("consumer", &name, Form::Word);
        consumer.say("recv 2");
        std::thread::sleep(ASLEEP);
        assert_eq!(consumer.line_if_any(), None, "nothing was sent yet");
        assert_eq!(producer.ask("send 1"), "sent 1");
        std::thread::sleep(ASLEEP);
        assert_eq!(producer.ask("close"), "closed");
        consumer.expect("got 0, then Disconnected");
    }
}

#[test]
fn the_close_of_the_consumer_wakes_a_blocked_producer() {
    let _watchdog = watchdog!(60);
    for wait in WaitWay::ALL {
        let name = Name::new("close-wakes-producer");
        let config = Config::spsc().capacity(4).wait(wait.into());
        Form::Word.create(&config, name.as_str()).unwrap();
        let mut producer = peer("producer", &name, Form::Word);
        let mut consumer = peer("consumer", &name, Form::Word);
        assert_eq!(producer.ask("fill"), "sent 4, then TimedOut");
        producer.say("send 3");
        std::thread::sleep(ASLEEP);
        assert_eq!(consumer.ask("recv 1"), "got 0");
        std::thread::sleep(ASLEEP);
        assert_eq!(producer.line_if_any(), None, "one fits, three do not");
        assert_eq!(consumer.ask("close"), "closed");
        producer.expect("sent 1, then Disconnected");
    }
}

#[test]
fn dropping_an_endpoint_closes_it() {
    let _watchdog = watchdog!(60);
    let name = Name::new("drop-closes");
    Form::Bytes
        .create(&Config::spsc().capacity(4096), name.as_str())
        .unwrap();
    let mut producer = peer("producer", &name, Form::Bytes);
    let mut consumer = peer("consumer", &name, Form::Bytes);
    assert_eq!(producer.ask("send 1"), "sent 1");
    // The end of its orders makes it drop the endpoint.
    producer.finish();
    assert_eq!(consumer.ask("drain"), "got 0, then Disconnected");
    let mut producer = peer("producer", &name, Form::Bytes);
    consumer.finish();
    assert_eq!(producer.ask("send 1"), "sent 0, then Disconnected");
}

#[test]
fn a_closed_consumer_refuses_every_way_to_send_and_gives_the_message_back() {
    let _watchdog = watchdog!(60);
    let ring = Config::spsc().capacity(8).anonymous::<u64>().unwrap();
    let (mut tx, rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    tx.try_send(0).unwrap();
    assert!(matches!(tx.peer().unwrap(), Peer::Attached { .. }));
    rx.close();
    assert_eq!(tx.peer().unwrap(), Peer::Closed);
    assert_eq!(ring.consumer_peer().unwrap(), Peer::Closed);
    let timeout = Duration::from_secs(100);
    assert_eq!(tx.try_send(1), Err(SendError::Disconnected(1)));
    assert_eq!(tx.send(2), Err(SendError::Disconnected(2)));
    assert_eq!(tx.send_timeout(3, timeout), Err(SendError::Disconnected(3)));
    assert_eq!(tx.try_send_exact(&[4]), Err(SendError::Disconnected(())));
    assert_eq!(tx.send_exact(&[4, 5]), Err(SendError::Disconnected(())));
    assert_eq!(tx.try_send_up_to(&[4, 5]), Err(SendError::Disconnected(())));
    assert_eq!(tx.try_claim().map(|_| ()), Err(SendError::Disconnected(())));
    assert_eq!(
        tx.claim_timeout(timeout).map(|_| ()),
        Err(SendError::Disconnected(()))
    );
}

#[test]
fn a_closed_producer_ends_every_way_to_receive() {
    let _watchdog = watchdog!(60);
    let ring = Config::spsc().capacity(4096).anonymous::<[u8]>().unwrap();
    let (tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    drop(tx);
    assert_eq!(rx.peer().unwrap(), Peer::Closed);
    assert_eq!(ring.producer_peer().unwrap(), Peer::Closed);
    let (timeout, mut buffer) = (Duration::from_secs(100), [0; 10]);
    assert_eq!(rx.try_recv(&mut buffer), Err(RecvError::Disconnected));
    assert_eq!(rx.recv(&mut buffer), Err(RecvError::Disconnected));
    assert_eq!(
        rx.recv_timeout(&mut buffer, timeout),
        Err(RecvError::Disconnected)
    );
    assert_eq!(rx.try_recv_ref().map(|_| ()), Err(RecvError::Disconnected));
    assert_eq!(rx.recv_ref().map(|_| ()), Err(RecvError::Disconnected));
    assert_eq!(rx.try_recv_up_to(3, |_| ()), Err(RecvError::Disconnected));
    assert_eq!(rx.recv_up_to(3, |_| ()), Err(RecvError::Disconnected));
    assert_eq!(
        rx.recv_up_to_timeout(3, timeout, |_| ()),
        Err(RecvError::Disconnected)
    );
}

#[test]
fn a_successor_of_a_closed_side_goes_on_where_it_ended() {
    let _watchdog = watchdog!(60);
    let name = Name::new("close-successor");
    let ring: Ring<u64> = Config::spsc().capacity(8).create(name.as_str()).unwrap();
    let mut tx = ring.producer().unwrap();
    let mut rx = ring.consumer().unwrap();
    (0..5).for_each(|n| tx.try_send(n).unwrap());
    tx.close();
    assert_eq!(rx.recv(), Ok(0));
    rx.close();
    let mut rx = Ring::<u64>::open(name.as_str())
        .unwrap()
        .consumer()
        .unwrap();
    let guard = rx.recv_ref().unwrap();
    assert_eq!(
        (guard.read(), guard.redelivered()),
        (1, false),
        "nobody had taken it before"
    );
    guard.release();
    assert_eq!((rx.recv(), rx.recv(), rx.recv()), (Ok(2), Ok(3), Ok(4)));
    assert_eq!(rx.try_recv(), Err(RecvError::Disconnected));
    let mut tx = ring.producer().unwrap();
    assert_eq!(
        rx.try_recv(),
        Err(RecvError::Empty),
        "there is a producer again"
    );
    (5..13).for_each(|n| tx.try_send(n).unwrap());
    assert_eq!(tx.try_send(13), Err(SendError::Full(13)));
    (5..13).for_each(|n| assert_eq!(rx.recv(), Ok(n)));
}

#[test]
fn a_message_held_over_the_close_of_the_consumer_comes_again() {
    let _watchdog = watchdog!(60);
    let ring = Config::spsc().capacity(8).anonymous::<u64>().unwrap();
    let mut tx = ring.producer().unwrap();
    (0..3).for_each(|n| tx.try_send(n).unwrap());
    let mut rx = ring.consumer().unwrap();
    // A guard that is forgotten was never released.
    std::mem::forget(rx.recv_ref().unwrap());
    rx.close();
    let mut rx = ring.consumer().unwrap();
    assert_eq!(rx.recv_ref().unwrap().read(), 0);
    assert_eq!(rx.recv(), Ok(1));
}

#[test]
fn the_end_never_overtakes_the_last_message() {
    let _watchdog = watchdog!(60);
    let ring = Config::spsc().capacity(8).anonymous::<u64>().unwrap();
    let mut rx = ring.consumer().unwrap();
    let (attached, wait_until_attached) = channel();
    let (received, wait_until_received) = channel();
    let rounds = short_or_long(20_000, 200_000);
    let sender = std::thread::spawn(move || {
        for round in 0..rounds {
            let mut tx = ring.producer().unwrap();
            attached.send(()).unwrap();
            tx.send(round).unwrap();
            tx.close();
            wait_until_received.recv().unwrap();
        }
    });
    for round in 0..rounds {
        wait_until_attached.recv().unwrap();
        let message = loop {
            match rx.try_recv() {
                Err(RecvError::Empty) => std::hint::spin_loop(),
                result => break result,
            }
        };
        assert_eq!(message, Ok(round), "the close came after it");
        received.send(()).unwrap();
    }
    sender.join().unwrap();
}

#[test]
fn endpoints_live_on_after_their_ring_and_its_name() {
    let _watchdog = watchdog!(60);
    let name = Name::new("outlive");
    let ring: Ring<u64> = Config::spsc().capacity(8).create(name.as_str()).unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    drop(ring);
    shm_ringbuf::unlink(name.as_str()).unwrap();
    assert!(!name.file().exists());
    tx.send(1).unwrap();
    assert_eq!(rx.recv(), Ok(1));
    assert!(matches!(rx.peer().unwrap(), Peer::Attached { pid, .. } if pid == std::process::id()));
    drop(tx);
    assert_eq!(rx.recv(), Err(RecvError::Disconnected));
}

#[test]
fn before_anybody_came_the_receiver_waits_and_the_sender_fills_the_ring() {
    let _watchdog = watchdog!(60);
    let ring = Config::spsc().capacity(2).anonymous::<u64>().unwrap();
    let mut rx = ring.consumer().unwrap();
    assert_eq!(rx.peer().unwrap(), Peer::Absent);
    assert_eq!(rx.try_recv(), Err(RecvError::Empty));
    let short = Duration::from_millis(20);
    assert_eq!(rx.recv_timeout(short), Err(RecvError::TimedOut));
    let ring = Config::spsc().capacity(2).anonymous::<u64>().unwrap();
    let mut tx = ring.producer().unwrap();
    assert_eq!(tx.peer().unwrap(), Peer::Absent);
    tx.send(1).unwrap();
    tx.send(2).unwrap();
    assert_eq!(tx.try_send(3), Err(SendError::Full(3)));
    assert_eq!(tx.send_timeout(3, short), Err(SendError::TimedOut(3)));
    // One that comes later finds it all.
    let mut late = ring.consumer().unwrap();
    assert_eq!((late.recv(), late.recv()), (Ok(1), Ok(2)));
}

#[test]
fn a_consumer_that_came_late_frees_a_producer_that_sleeps_already() {
    let _watchdog = watchdog!(60);
    let name = Name::new("late-consumer");
    Form::Word
        .create(&Config::spsc().capacity(4), name.as_str())
        .unwrap();
    let mut producer = peer("producer", &name, Form::Word);
    producer.say("send 6");
    std::thread::sleep(ASLEEP);
    let mut consumer = peer("consumer", &name, Form::Word);
    assert_eq!(consumer.ask("recv 6"), "got 0 1 2 3 4 5");
    producer.expect("sent 6");
}

#[test]
fn a_producer_that_came_late_wakes_a_consumer_that_sleeps_already() {
    let _watchdog = watchdog!(60);
    let name = Name::new("late-producer");
    Form::Word
        .create(&Config::spsc().capacity(4), name.as_str())
        .unwrap();
    let mut consumer = peer("consumer", &name, Form::Word);
    consumer.say("recv 1");
    std::thread::sleep(ASLEEP);
    let mut producer = peer("producer", &name, Form::Word);
    assert_eq!(producer.ask("send 1"), "sent 1");
    consumer.expect("got 0");
}
