//! Several messages at once: all or nothing, or as many as go.

use std::time::{Duration, Instant};

use integration_tests::{short_or_long, watchdog};
use shm_ringbuf::{Config, Consumer, Producer, RecvError, SendError};

const SHORT: Duration = Duration::from_millis(30);

fn words(capacity: usize) -> (Producer<u64>, Consumer<u64>) {
    let ring = Config::spsc()
        .capacity(capacity)
        .anonymous::<u64>()
        .unwrap();
    (ring.producer().unwrap(), ring.consumer().unwrap())
}

fn bytes(capacity: usize) -> (Producer<[u8]>, Consumer<[u8]>) {
    let ring = Config::spsc()
        .capacity(capacity)
        .anonymous::<[u8]>()
        .unwrap();
    (ring.producer().unwrap(), ring.consumer().unwrap())
}

#[test]
fn a_batch_goes_whole_or_not_at_all() {
    let _watchdog = watchdog!(30);
    let (mut tx, mut rx) = words(8);
    tx.try_send_exact(&[0, 1, 2, 3, 4]).unwrap();
    assert_eq!(tx.try_send_exact(&[5, 6, 7, 8]), Err(SendError::Full(())));
    assert_eq!(
        (tx.len(), rx.len()),
        (5, 5),
        "nothing of the batch was sent"
    );
    tx.try_send_exact(&[5, 6, 7]).unwrap();
    assert_eq!(tx.try_send_exact(&[8]), Err(SendError::Full(())));
    let mut buffer = [0; 20];
    assert_eq!(rx.try_recv_up_to(&mut buffer), Ok(8));
    assert_eq!(buffer[..8], [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn as_many_go_as_there_is_room_for() {
    let _watchdog = watchdog!(30);
    let (mut tx, mut rx) = words(8);
    assert_eq!(tx.try_send_up_to(&[0, 1, 2, 3, 4]), Ok(5));
    assert_eq!(tx.try_send_up_to(&[5, 6, 7, 8, 9]), Ok(3));
    assert_eq!(tx.try_send_up_to(&[8]), Err(SendError::Full(())));
    let mut buffer = [0; 3];
    assert_eq!(rx.try_recv_up_to(&mut buffer), Ok(3));
    assert_eq!(tx.try_send_up_to(&[8, 9, 10, 11]), Ok(3));
    let mut buffer = [0; 20];
    assert_eq!(rx.recv_up_to(&mut buffer), Ok(8));
    assert_eq!(buffer[..8], [3, 4, 5, 6, 7, 8, 9, 10]);
}

#[test]
fn a_batch_that_can_never_fit_is_refused_at_once() {
    let _watchdog = watchdog!(30);
    let (mut tx, rx) = words(4);
    let refused = tx.send_exact(&[1; 5]).unwrap_err();
    assert!(matches!(refused, SendError::TooLong { .. }), "{refused:?}");
    assert!(rx.is_empty());
    let (mut tx, rx) = bytes(4096);
    let half = vec![1; 1500];
    let refused = tx.send_exact(&[&half; 4]).unwrap_err();
    assert!(matches!(refused, SendError::TooLong { .. }), "{refused:?}");
    assert!(rx.is_empty());
}

#[test]
fn an_empty_batch_changes_nothing() {
    let _watchdog = watchdog!(30);
    let (mut tx, mut rx) = words(4);
    tx.try_send_exact(&[]).unwrap();
    tx.send_exact_timeout(&[], SHORT).unwrap();
    assert!(rx.is_empty());
    let none: [&[u8]; 0] = [];
    let (mut byte_tx, byte_rx) = bytes(4096);
    byte_tx.try_send_exact(&none).unwrap();
    assert!(byte_rx.is_empty());
    tx.try_send(1).unwrap();
    assert_eq!(rx.try_recv(), Ok(1));
}

#[test]
fn a_batch_waits_until_all_of_it_fits() {
    let _watchdog = watchdog!(30);
    let (mut tx, mut rx) = words(8);
    tx.try_send_exact(&[0, 1, 2, 3, 4]).unwrap();
    let start = Instant::now();
    assert_eq!(
        tx.send_exact_timeout(&[5; 4], SHORT),
        Err(SendError::TimedOut(()))
    );
    assert!(start.elapsed() >= SHORT);
    let receiver = std::thread::spawn(move || {
        std::thread::sleep(SHORT);
        (0..9).map(|_| rx.recv().unwrap()).collect::<Vec<_>>()
    });
    tx.send_exact(&[5, 6, 7, 8]).unwrap();
    assert_eq!(receiver.join().unwrap(), (0..9).collect::<Vec<_>>());
}

#[test]
fn a_batch_appears_on_the_other_side_all_at_once() {
    const BATCH: usize = 8;
    let _watchdog = watchdog!(60);
    let rounds = short_or_long(50_000, 2_000_000);
    let (mut tx, mut rx) = words(8 * BATCH);
    let sender = std::thread::spawn(move || {
        for round in 0..rounds {
            tx.send_exact(&[round; BATCH]).unwrap();
        }
    });
    let mut buffer = [0; 8 * BATCH];
    let mut received = 0;
    while received < rounds as usize * BATCH {
        let count = match rx.try_recv_up_to(&mut buffer) {
            Err(RecvError::Empty) => continue,
            result => result.unwrap(),
        };
        assert_eq!(count % BATCH, 0, "a part of a batch was to be seen");
        received += count;
    }
    sender.join().unwrap();
}

#[test]
fn a_batch_of_bytes_appears_on_the_other_side_all_at_once() {
    let _watchdog = watchdog!(60);
    let rounds = short_or_long(20_000, 1_000_000);
    let (mut tx, mut rx) = bytes(1 << 14);
    let sender = std::thread::spawn(move || {
        for _ in 0..rounds {
            tx.send_exact(&[&[1; 9][..], &[2; 40], &[3; 0], &[4; 100]])
                .unwrap();
        }
    });
    let mut received = 0;
    while received < 4 * rounds {
        let count = match rx.try_recv_up_to(usize::MAX, |_| ()) {
            Err(RecvError::Empty) => continue,
            result => result.unwrap(),
        };
        assert_eq!(count % 4, 0, "a part of a batch was to be seen");
        received += count;
    }
    sender.join().unwrap();
}

#[test]
fn batches_of_bytes_go_around_the_ring_whole() {
    let _watchdog = watchdog!(60);
    let (mut tx, mut rx) = bytes(4096);
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..3000 {
        let batch: Vec<Vec<u8>> = (0..random.usize(1..6))
            .map(|_| {
                let byte = random.u8(..);
                vec![byte; random.usize(..200)]
            })
            .collect();
        let sent = if random.bool() {
            tx.try_send_exact(&batch).unwrap();
            batch.len()
        } else {
            tx.try_send_up_to(&batch).unwrap()
        };
        let mut got = Vec::new();
        while got.len() < sent {
            let most = random.usize(1..8);
            rx.try_recv_up_to(most, |message| got.push(message.to_vec()))
                .unwrap();
        }
        assert_eq!(got, batch[..sent]);
        assert_eq!(rx.try_recv_up_to(9, |_| ()), Err(RecvError::Empty));
    }
}

#[test]
fn a_batch_of_bytes_is_all_or_nothing_when_the_ring_is_nearly_full() {
    let _watchdog = watchdog!(30);
    let (mut tx, mut rx) = bytes(4096);
    let message = [3; 100];
    let mut singles = 0;
    while tx.try_send(&message).is_ok() {
        singles += 1;
    }
    let mut count = 0;
    rx.try_recv_up_to(3, |_| count += 1).unwrap();
    assert_eq!(count, 3);
    assert_eq!(tx.try_send_exact(&[message; 4]), Err(SendError::Full(())));
    tx.try_send_exact(&[message; 3])
        .expect("three were released, so three fit");
    assert_eq!(rx.try_recv_up_to(usize::MAX, |_| ()), Ok(singles));
}

#[test]
fn messages_of_a_batch_are_released_together_at_its_end() {
    let _watchdog = watchdog!(30);
    let (mut tx, mut rx) = bytes(4096);
    while tx.try_send(&[1; 100]).is_ok() {}
    let mut during = Vec::new();
    rx.try_recv_up_to(5, |_| during.push(tx.try_send(&[2; 100])))
        .unwrap();
    assert_eq!(during.len(), 5);
    assert!(
        during.iter().all(|sent| *sent == Err(SendError::Full(()))),
        "{during:?}"
    );
    tx.try_send(&[2; 100]).expect("five were released");
}

#[test]
fn asking_for_no_messages_at_all_takes_none() {
    let _watchdog = watchdog!(30);
    let (mut tx, mut rx) = words(4);
    tx.try_send(1).unwrap();
    assert!(matches!(
        rx.try_recv_up_to(&mut []),
        Ok(0) | Err(RecvError::Empty)
    ));
    let (mut byte_tx, mut byte_rx) = bytes(4096);
    byte_tx.try_send(b"x").unwrap();
    let result = byte_rx.try_recv_up_to(0, |_| panic!("none was asked for"));
    assert!(matches!(result, Ok(0) | Err(RecvError::Empty)));
    assert_eq!(
        (rx.try_recv(), byte_rx.try_recv(&mut [0; 4])),
        (Ok(1), Ok(1))
    );
}

#[test]
fn a_panic_while_a_batch_is_shown_does_not_harm_the_ring() {
    let _watchdog = watchdog!(30);
    let (mut tx, mut rx) = bytes(4096);
    (0..5).for_each(|n| tx.try_send(&[n]).unwrap());
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        rx.try_recv_up_to(5, |message| assert_ne!(message.to_vec(), [2], "planted"))
    }));
    assert!(result.is_err());
    tx.try_send(&[5]).unwrap();
    // Whether the panic released what it had seen is not promised; the order is.
    let mut rest = Vec::new();
    rx.try_recv_up_to(9, |message| rest.push(message.to_vec()[0]))
        .unwrap();
    assert_eq!(rest, (rest[0]..=5).collect::<Vec<u8>>());
}

/// Gives its bytes away, or panics as a user's own type may.
struct Fragile(Option<Vec<u8>>);

impl AsRef<[u8]> for Fragile {
    fn as_ref(&self) -> &[u8] {
        self.0.as_deref().expect("a panic in the caller's code")
    }
}

#[test]
fn a_batch_whose_caller_panics_is_forgotten() {
    let _watchdog = watchdog!(60);
    let ring = Config::spsc().capacity(4096).anonymous::<[u8]>().unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    tx.send(&[1; 1000]).unwrap();
    tx.send(&[2; 992]).unwrap();
    let batch = [Fragile(Some(vec![3; 1500])), Fragile(None)];
    let attempt = std::panic::AssertUnwindSafe(|| tx.try_send_up_to(&batch));
    std::panic::catch_unwind(attempt).expect_err("the panic comes through");
    tx.try_send(&[4; 1500]).expect("there is room for it");
    let mut buffer = [0; 4096];
    for (content, len) in [(1, 1000), (2, 992), (4, 1500)] {
        assert_eq!(rx.try_recv(&mut buffer), Ok(len));
        assert!(
            buffer[..len].iter().all(|byte| *byte == content),
            "{content}"
        );
    }
    assert_eq!(rx.try_recv(&mut buffer), Err(shm_ringbuf::RecvError::Empty));
}

#[test]
fn a_message_whose_guard_was_forgotten_comes_again_and_is_marked() {
    let _watchdog = watchdog!(60);
    let ring = Config::spsc().anonymous::<u64>().unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    tx.send_exact(&[7, 8]).unwrap();
    std::mem::forget(rx.recv_ref().unwrap());
    let again = rx.recv_ref().unwrap();
    assert_eq!((again.read(), again.redelivered()), (7, true));
    again.release();
    let next = rx.recv_ref().unwrap();
    assert_eq!((next.read(), next.redelivered()), (8, false));
}
