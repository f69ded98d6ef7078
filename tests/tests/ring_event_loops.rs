//! Event loops that wait for a ring.

use std::os::fd::AsFd;

use integration_tests::children::Peer;
use integration_tests::names::Name;
use integration_tests::{ring_peer, short_or_long, watchdog};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use shm_ringbuf::{
    Config, Consumer, Error, Peer as State, Pollable, Producer, RecvError, Ring, SendError, Wait,
};

fn ring(name: &Name, capacity: usize) -> Ring<u64> {
    Config::spsc()
        .capacity(capacity)
        .create(name.as_str())
        .unwrap()
}

fn peer(role: &str, name: &Name) -> Peer {
    let arguments = [role, "--name", name.as_str(), "--form", "word"];
    let mut peer = Peer::start(ring_peer!(), &arguments);
    peer.expect("ready");
    peer
}

fn wait_readable(pollable: &Pollable, timeout: PollTimeout) -> bool {
    let mut fds = [PollFd::new(pollable.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, timeout).unwrap() == 1
}

/// Receives as an event loop does. Says how often it had to wait, too.
fn receive(consumer: &mut Consumer<u64>, pollable: &Pollable) -> (Result<u64, RecvError>, usize) {
    let mut waits = 0;
    loop {
        match consumer.try_recv() {
            Err(RecvError::Empty) => {
                if consumer.arm_if_empty(pollable) {
                    waits += 1;
                    assert!(wait_readable(pollable, PollTimeout::NONE));
                }
            }
            result => return (result, waits),
        }
    }
}

/// Sends as an event loop does.
fn send(
    producer: &mut Producer<u64>,
    pollable: &Pollable,
    message: u64,
) -> Result<(), SendError<u64>> {
    loop {
        match producer.try_send(message) {
            Err(SendError::Full(_)) => {
                if producer.arm_if_full(pollable, 1) {
                    assert!(wait_readable(pollable, PollTimeout::NONE));
                }
            }
            result => return result,
        }
    }
}

#[test]
fn all_messages_arrive_between_two_event_loops() {
    let _watchdog = watchdog!(120);
    let name = Name::new("loops");
    let ring = ring(&name, 4);
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let (room, messages) = (tx.pollable().unwrap(), rx.pollable().unwrap());
    let count = short_or_long(20_000, 1_000_000);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for message in 0..count {
                send(&mut tx, &room, message).unwrap();
            }
        });
        for message in 0..count {
            assert_eq!(receive(&mut rx, &messages).0, Ok(message));
        }
        assert_eq!(receive(&mut rx, &messages).0, Err(RecvError::Disconnected));
    });
}

#[test]
fn a_producer_that_is_killed_is_told_to_the_event_loop_of_the_consumer() {
    let _watchdog = watchdog!(60);
    let name = Name::new("loop-killed");
    let mut rx = ring(&name, 8).consumer().unwrap();
    let pollable = rx.pollable().unwrap();
    let mut producer = peer("producer", &name);
    assert_eq!(producer.ask("send 2"), "sent 2");
    producer.kill();
    assert!(receive(&mut rx, &pollable).0.is_ok());
    assert!(receive(&mut rx, &pollable).0.is_ok());
    let (end, waits) = receive(&mut rx, &pollable);
    assert_eq!(end, Err(RecvError::OwnerDied));
    assert!(waits <= 3, "{waits} slices, each with a look");
    assert!(!rx.arm_if_empty(&pollable), "the end can be told at once");
    // A successor ends that state.
    let mut producer = peer("producer", &name);
    assert_eq!(producer.ask("send 1"), "sent 1");
    assert!(receive(&mut rx, &pollable).0.is_ok());
}

#[test]
fn a_producer_that_closes_is_told_to_the_event_loop_of_the_consumer() {
    let _watchdog = watchdog!(60);
    let name = Name::new("loop-closed");
    let mut rx = ring(&name, 8).consumer().unwrap();
    let pollable = rx.pollable().unwrap();
    let mut producer = peer("producer", &name);
    assert!(matches!(rx.try_recv(), Err(RecvError::Empty)));
    assert!(rx.arm_if_empty(&pollable));
    assert_eq!(producer.ask("close"), "closed");
    assert!(wait_readable(&pollable, PollTimeout::NONE));
    assert_eq!(receive(&mut rx, &pollable).0, Err(RecvError::Disconnected));
}

#[test]
fn a_producer_that_is_stopped_is_waited_for() {
    let _watchdog = watchdog!(60);
    let name = Name::new("loop-stopped");
    let mut rx = ring(&name, 8).consumer().unwrap();
    let pollable = rx.pollable().unwrap();
    let mut producer = peer("producer", &name);
    producer.signal(Signal::SIGSTOP);
    producer.say("send 1");
    for _ in 0..3 {
        assert!(rx.arm_if_empty(&pollable), "stopped is not dead");
        assert!(wait_readable(&pollable, PollTimeout::NONE));
    }
    producer.signal(Signal::SIGCONT);
    assert!(receive(&mut rx, &pollable).0.is_ok());
}

#[test]
fn a_consumer_that_dies_or_closes_is_told_to_the_event_loop_of_the_producer() {
    let _watchdog = watchdog!(60);
    let name = Name::new("loop-full");
    let ring = ring(&name, 2);
    let mut tx = ring.producer().unwrap();
    let pollable = tx.pollable().unwrap();
    let mut consumer = peer("consumer", &name);
    (0..2).for_each(|message| tx.try_send(message).unwrap());
    assert!(tx.arm_if_full(&pollable, 1));
    assert!(!tx.arm_if_full(&pollable, 3), "never; a try says so");
    consumer.kill();
    assert!(matches!(
        send(&mut tx, &pollable, 2),
        Err(SendError::OwnerDied(2))
    ));
    let mut rx = ring.consumer().unwrap();
    assert!(tx.arm_if_full(&pollable, 1));
    rx.recv().unwrap();
    assert!(wait_readable(&pollable, PollTimeout::NONE));
    send(&mut tx, &pollable, 2).unwrap();
    drop(rx);
    assert!(matches!(
        send(&mut tx, &pollable, 3),
        Err(SendError::Disconnected(3))
    ));
}

#[test]
fn room_for_bytes_is_waited_for_by_the_length_of_the_message() {
    let _watchdog = watchdog!(60);
    let name = Name::new("loop-bytes");
    let ring = Config::spsc()
        .capacity(4096)
        .create::<[u8]>(name.as_str())
        .unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let pollable = tx.pollable().unwrap();
    tx.send(&[1; 2000]).unwrap();
    tx.send(&[2; 1000]).unwrap();
    assert!(!tx.arm_if_full(&pollable, 500), "there is room for so few");
    assert!(tx.arm_if_full(&pollable, 2000));
    assert!(!tx.arm_if_full(&pollable, 10_000), "never; a try says so");
    assert!(tx.arm_if_full(&pollable, 2000));
    rx.recv_ref().unwrap().release();
    assert!(wait_readable(&pollable, PollTimeout::NONE));
    tx.try_send(&[3; 2000]).unwrap();
}

#[test]
fn a_descriptor_that_outlives_its_endpoint_does_not_keep_the_role() {
    let _watchdog = watchdog!(60);
    let name = Name::new("loop-outlives");
    let ring = ring(&name, 8);
    let rx = ring.consumer().unwrap();
    let pollable = rx.pollable().unwrap();
    let mut producer = peer("producer", &name);
    drop(rx);
    assert_eq!(ring.consumer_peer().unwrap(), State::Closed);
    let mut rx = ring.consumer().expect("the side is free");
    assert!(rx.arm_if_empty(&pollable), "the successor may use it");
    assert_eq!(producer.ask("send 1"), "sent 1");
    assert!(wait_readable(&pollable, PollTimeout::NONE));
    assert!(receive(&mut rx, &pollable).0.is_ok());
}

#[test]
fn a_ring_without_wakeups_has_no_descriptor() {
    let _watchdog = watchdog!(60);
    let ring = Config::spsc().wait(Wait::Spin).anonymous::<u64>().unwrap();
    let refused = ring.consumer().unwrap().pollable().unwrap_err();
    assert!(
        matches!(refused, Error::WaitNotSupported { .. }),
        "{refused}"
    );
    assert!(ring.producer().unwrap().pollable().is_err());
}

#[test]
fn the_descriptor_of_another_ring_makes_a_wait_longer_and_no_worse() {
    let _watchdog = watchdog!(60);
    let rings = [(); 2].map(|()| Config::spsc().anonymous::<u64>().unwrap());
    let mut rx = rings[0].consumer().unwrap();
    let foreign = rings[1].consumer().unwrap().pollable().unwrap();
    let mut tx = rings[0].producer().unwrap();
    std::thread::spawn(move || tx.send(1).unwrap());
    assert_eq!(receive(&mut rx, &foreign).0, Ok(1));
}
