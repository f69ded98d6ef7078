//! Several messages at once, and messages written or read in place, in a ring of several producers and consumers: whole or not at all, held, given up, forgotten.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use integration_tests::children::Peer;
use integration_tests::crowd::ledger::Ledger;
use integration_tests::crowd::verdict::{Notes, Policy};
use integration_tests::forms::Form;
use integration_tests::names::{Folder, Name};
use integration_tests::{ring_peer, short_or_long, watchdog};
use shm_ringbuf::{Config, RecvError, SendError, multi};

const SHORT: Duration = Duration::from_millis(30);
/// Bytes that a message takes at least.
const CELL: usize = 64;
/// Cells of the largest batch, and of the longest message.
const CELLS_MAX: usize = 1024;

fn words(capacity: usize) -> multi::Ring<u64> {
    Config::mpmc().capacity(capacity).anonymous().unwrap()
}

fn bytes(cells: usize) -> multi::Ring<[u8]> {
    let config = Config::mpmc().capacity(cells * CELL).cell(CELL);
    config.anonymous().unwrap()
}

/// The ring is empty and takes as much as it should.
fn assert_whole(ring: &multi::Ring<u64>) {
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let capacity = ring.capacity() as u64;
    for _ in 0..2 {
        assert_eq!(rx.try_recv(), Err(RecvError::Empty));
        for n in 0..capacity {
            assert_eq!(tx.try_send(n), Ok(()), "message {n} of {capacity}");
        }
        assert_eq!(tx.try_send(0), Err(SendError::Full(0)));
        for n in 0..capacity {
            let guard = rx.try_recv_ref().unwrap();
            assert_eq!((guard.read(), guard.redelivered()), (n, false));
        }
    }
}

#[test]
fn a_batch_goes_whole_or_not_at_all() {
    let _watchdog = watchdog!(60);
    let ring = words(8);
    let (mut tx, mut another) = (ring.producer().unwrap(), ring.producer().unwrap());
    let mut rx = ring.consumer().unwrap();
    tx.try_send_exact(&[0, 1, 2, 3, 4]).unwrap();
    let full = Err(SendError::Full(()));
    assert_eq!(another.try_send_exact(&[5, 6, 7, 8]), full);
    assert_eq!((tx.len(), rx.len()), (5, 5), "nothing of it was sent");
    another.try_send_exact(&[5, 6, 7]).unwrap();
    assert_eq!(tx.try_send_exact(&[8]), full);
    (0..8).for_each(|n| assert_eq!(rx.try_recv(), Ok(n)));
    drop((tx, another, rx));
    assert_whole(&ring);
}

#[test]
fn as_many_go_as_there_is_room_for() {
    let _watchdog = watchdog!(60);
    let ring = words(8);
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    assert_eq!(tx.try_send_up_to(&[0, 1, 2, 3, 4]), Ok(5));
    assert_eq!(tx.try_send_up_to(&[5, 6, 7, 8, 9]), Ok(3));
    assert_eq!(tx.try_send_up_to(&[8]), Err(SendError::Full(())));
    (0..3).for_each(|n| assert_eq!(rx.try_recv(), Ok(n)));
    assert_eq!(tx.try_send_up_to(&[8, 9, 10, 11]), Ok(3));
    (3..11).for_each(|n| assert_eq!(rx.try_recv(), Ok(n)));
}

#[test]
fn as_many_come_as_are_there() {
    let _watchdog = watchdog!(60);
    let ring = words(8);
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    tx.try_send_exact(&[0, 1, 2, 3, 4, 5, 6, 7]).unwrap();
    let mut buffer = [0; 3];
    assert_eq!(rx.try_recv_up_to(&mut buffer), Ok(3));
    assert_eq!(buffer, [0, 1, 2]);
    tx.try_send_exact(&[8, 9, 10]).unwrap();
    let mut buffer = [0; 20];
    assert_eq!(rx.recv_up_to(&mut buffer), Ok(8));
    assert_eq!(buffer[..8], [3, 4, 5, 6, 7, 8, 9, 10]);
    assert_eq!(rx.try_recv_up_to(&mut buffer), Err(RecvError::Empty));
    let late = rx.recv_up_to_timeout(&mut buffer, SHORT);
    assert_eq!(late, Err(RecvError::TimedOut));
}

#[test]
fn what_can_never_fit_is_refused_at_once() {
    let _watchdog = watchdog!(60);
    let too_long = |answer: Result<(), SendError>| {
        assert!(
            matches!(answer, Err(SendError::TooLong { .. })),
            "{answer:?}"
        );
    };
    let ring = words(4);
    let (mut tx, rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    too_long(tx.send_exact(&[1; 5]));
    too_long(tx.try_send_exact(&[1; 5]));
    assert!(rx.is_empty());
    let ring = words(4 * CELLS_MAX);
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    too_long(tx.send_exact(&vec![1; CELLS_MAX + 1]));
    assert!(rx.is_empty());
    let largest: Vec<u64> = (0..CELLS_MAX as u64).collect();
    tx.try_send_exact(&largest).unwrap();
    for n in largest {
        assert_eq!(rx.recv(), Ok(n));
    }
    let ring = bytes(64);
    let (mut tx, rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let half = vec![1; ring.max_message_len() / 2];
    too_long(tx.send_exact(&[&half; 4]));
    too_long(tx.send(&vec![1; ring.max_message_len() + 1]));
    too_long(tx.try_claim(ring.max_message_len() + 1).map(drop));
    assert!(rx.is_empty());
}

#[test]
fn the_longest_message_is_what_the_ring_says() {
    let _watchdog = watchdog!(60);
    // Of as many cells as the ring has, or of 1,024.
    for cells in [64, CELLS_MAX, 4 * CELLS_MAX] {
        let ring = bytes(cells);
        let longest = ring.max_message_len();
        let most = cells.min(CELLS_MAX) * CELL;
        assert!(
            (most - CELL..=most).contains(&longest),
            "{longest} of {most}"
        );
        let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
        for round in 0..5 {
            let message = vec![round; longest];
            tx.try_send(&message).unwrap();
            assert_eq!(rx.try_recv_ref().unwrap().to_vec(), message);
            tx.try_send(&[]).unwrap();
            assert_eq!(rx.try_recv_ref().unwrap().len(), 0);
        }
    }
}

#[test]
fn an_empty_batch_changes_nothing() {
    let _watchdog = watchdog!(60);
    let ring = words(4);
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    tx.try_send_exact(&[]).unwrap();
    tx.send_exact_timeout(&[], SHORT).unwrap();
    assert!(rx.is_empty());
    tx.try_send(1).unwrap();
    let none = rx.try_recv_up_to(&mut []);
    assert!(matches!(none, Ok(0) | Err(RecvError::Empty)), "{none:?}");
    assert_eq!(rx.try_recv(), Ok(1));
    let ring = bytes(64);
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let none: [&[u8]; 0] = [];
    tx.try_send_exact(&none).unwrap();
    tx.try_send(b"x").unwrap();
    let none = rx.try_recv_up_to(0, |_| panic!("none was asked for"));
    assert!(matches!(none, Ok(0) | Err(RecvError::Empty)), "{none:?}");
    assert_eq!(rx.try_recv(&mut [0; 4]), Ok(1));
}

#[test]
fn a_batch_waits_until_all_of_it_fits() {
    let _watchdog = watchdog!(60);
    let ring = words(8);
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    tx.try_send_exact(&[0, 1, 2, 3, 4]).unwrap();
    let start = Instant::now();
    let late = tx.send_exact_timeout(&[5; 4], SHORT);
    assert_eq!(late, Err(SendError::TimedOut(())));
    assert!(start.elapsed() >= SHORT);
    let receiver = std::thread::spawn(move || {
        std::thread::sleep(SHORT);
        (0..9).map(|_| rx.recv().unwrap()).collect::<Vec<_>>()
    });
    tx.send_exact(&[5, 6, 7, 8]).unwrap();
    assert_eq!(receiver.join().unwrap(), (0..9).collect::<Vec<_>>());
}

#[test]
fn messages_longer_than_the_buffer_stay_in_the_ring() {
    let _watchdog = watchdog!(60);
    let ring = bytes(64);
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    tx.send(&[7; 100]).unwrap();
    let small = rx.try_recv(&mut [0; 99]);
    let (len, buffer_len) = (100, 99);
    assert_eq!(small, Err(RecvError::BufferTooSmall { len, buffer_len }));
    let small = rx.recv(&mut [0; 99]);
    assert_eq!(small, Err(RecvError::BufferTooSmall { len, buffer_len }));
    // Another consumer may have it as well.
    let mut another = ring.consumer().unwrap();
    let guard = another.try_recv_ref().unwrap();
    assert_eq!((guard.to_vec(), guard.redelivered()), (vec![7; 100], false));
    guard.release();
    assert_eq!(rx.try_recv(&mut [0; 100]), Err(RecvError::Empty));
}

#[test]
fn a_panic_while_a_batch_is_shown_loses_nothing_that_was_not_shown() {
    let _watchdog = watchdog!(60);
    let ring = bytes(64);
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    for _ in 0..10 {
        (0..5).for_each(|n| tx.try_send(&[n]).unwrap());
        let result = catch_unwind(AssertUnwindSafe(|| {
            rx.try_recv_up_to(5, |message| assert_ne!(message.to_vec(), [2], "planted"))
        }));
        assert!(result.is_err());
        tx.try_send(&[5]).unwrap();
        // Whether the panic released what it had seen is not promised.
        let mut rest = Vec::new();
        while rx
            .try_recv_up_to(9, |message| rest.push(message.to_vec()[0]))
            .is_ok()
        {}
        rest.retain(|n| *n > 2);
        assert_eq!(rest, [3, 4, 5]);
    }
    let mut count = 0;
    while tx.try_send(&[1]).is_ok() {
        count += 1;
    }
    assert_eq!(count, 64, "as many as there are cells");
}

/// Gives its bytes away, or panics as a user's own type may.
struct Fragile(Option<Vec<u8>>);

impl AsRef<[u8]> for Fragile {
    fn as_ref(&self) -> &[u8] {
        self.0.as_deref().expect("a panic in the caller's code")
    }
}

#[test]
fn a_batch_whose_caller_panics_is_forgotten_or_cut_short() {
    let _watchdog = watchdog!(60);
    let ring = bytes(64);
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    for _ in 0..10 {
        let batch = [Fragile(Some(vec![3; 500])), Fragile(None)];
        let attempt = AssertUnwindSafe(|| tx.try_send_exact(&batch));
        catch_unwind(attempt).expect_err("the panic comes through");
        assert_eq!(rx.try_recv_ref().map(|_| ()), Err(RecvError::Empty));
        let attempt = AssertUnwindSafe(|| tx.try_send_up_to(&batch));
        catch_unwind(attempt).expect_err("the panic comes through");
        tx.try_send(&[4; 1500]).expect("there is room for it");
        let mut got = Vec::new();
        while let Ok(guard) = rx.try_recv_ref() {
            got.push(guard.to_vec());
        }
        assert_eq!(got.pop(), Some(vec![4; 1500]));
        assert!(got.is_empty() || got == [vec![3; 500]]);
    }
}

/// A batch of 16 by a process that is killed at any moment is there whole, or not at all.
fn kill_senders_of_batches(form: Form) {
    let (name, folder) = (Name::new("killed-batches"), Folder::new("killed-batches"));
    let config = Config::mpmc().capacity(4096).cell(CELL).participants(6);
    let len_max = form.create_multi(&config, name.as_str()).unwrap();
    let file = folder.entry("ledger");
    let ledger = Ledger::create(file.as_ref(), 1 << 20);
    let start = |role: &str, actor: u32, more: &str| {
        let line = format!(
            "{role} --name {name} --form {} --ledger {file} --actor {actor} --seed 9 --len-max {} --batch 16 --pauses 0 --stay{more}",
            form.argument(),
            len_max.clamp(8, 100),
        );
        let mut peer = Peer::start(ring_peer!(), &line.split(' ').collect::<Vec<_>>());
        peer.say("go");
        peer
    };
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut consumers = [0, 1].map(|actor| start("crowd-consumer", actor, " --shown-before"));
    for actor in 2..2 + short_or_long(40, 4000) {
        let mut peer = start("crowd-producer", actor, " --only-whole");
        peer.expect("ready");
        std::thread::sleep(Duration::from_micros(random.u64(..2000)));
        peer.kill();
        ledger.actor(actor).was_killed();
        if ledger.room() < 100_000 {
            break;
        }
    }
    for consumer in &mut consumers {
        consumer.expect("ready");
        consumer.close_stdin();
        let said = consumer.line().unwrap_or_default();
        assert!(said.ends_with(", then OwnerDied"), "{said}, seed {seed}");
    }
    match Notes::from(&ledger).judge(Policy::Mark) {
        Ok(summary) => eprintln!("{summary:?}"),
        Err(faults) => panic!("seed {seed}: {:?}", &faults[..faults.len().min(20)]),
    }
}

#[test]
fn a_batch_of_words_whose_sender_is_killed_goes_whole_or_not_at_all() {
    let _watchdog = watchdog!(120);
    kill_senders_of_batches(Form::Word);
}

#[test]
fn a_batch_of_bytes_whose_sender_is_killed_goes_whole_or_not_at_all() {
    let _watchdog = watchdog!(120);
    kill_senders_of_batches(Form::Bytes);
}
