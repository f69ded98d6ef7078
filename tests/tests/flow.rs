//! One producer and one consumer in one thread: what every operation promises by itself.

use std::io::Write as _;
use std::time::{Duration, Instant};

use integration_tests::watchdog;
use shm_ringbuf::{Config, Consumer, Deadline, Producer, RecvError, SendError, Wait};

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

/// Fills a ring of bytes with messages of this length and says how many went in.
fn fill(producer: &mut Producer<[u8]>, len: usize) -> usize {
    let mut count = 0;
    while producer.try_send(&vec![count as u8; len]) != Err(SendError::Full(())) {
        count += 1;
    }
    count
}

/// Runs something that must not return before [`SHORT`] has passed.
fn takes_its_time<R>(action: impl FnOnce() -> R) -> R {
    let start = Instant::now();
    let result = action();
    assert!(
        start.elapsed() >= SHORT,
        "came back after {:?}",
        start.elapsed()
    );
    result
}

#[test]
fn a_full_typed_ring_gives_the_message_back() {
    let _watchdog = watchdog!(30);
    let (mut tx, mut rx) = words(8);
    assert_eq!(tx.capacity(), 8);
    for n in 0..8 {
        assert_eq!(tx.len(), n as usize);
        tx.try_send(n).unwrap();
    }
    assert_eq!(tx.try_send(77), Err(SendError::Full(77)));
    assert_eq!(
        takes_its_time(|| tx.send_timeout(78, SHORT)),
        Err(SendError::TimedOut(78))
    );
    assert_eq!(tx.len(), 8);
    assert_eq!(rx.try_recv(), Ok(0));
    tx.try_send(79).expect("one was released, so one fits");
    let rest: Vec<u64> = (0..8).map(|_| rx.try_recv().unwrap()).collect();
    assert_eq!(rest, [1, 2, 3, 4, 5, 6, 7, 79]);
    assert_eq!(rx.try_recv(), Err(RecvError::Empty));
}

#[test]
fn every_released_message_makes_room_for_one() {
    let _watchdog = watchdog!(30);
    for capacity in [1, 2, 4, 64] {
        let (mut tx, mut rx) = words(capacity);
        let capacity = tx.capacity() as u64;
        (0..capacity).for_each(|n| tx.try_send(n).unwrap());
        for n in 0..5 * capacity {
            assert_eq!(rx.try_recv(), Ok(n));
            tx.try_send(n + capacity)
                .expect("one was released, so one fits");
            assert_eq!(tx.try_send(0), Err(SendError::Full(0)));
        }
    }
}

#[test]
fn an_empty_ring_says_so_at_once_or_when_the_time_is_up() {
    let _watchdog = watchdog!(30);
    let (_tx, mut rx) = words(8);
    assert!(rx.is_empty());
    assert_eq!(rx.try_recv(), Err(RecvError::Empty));
    assert_eq!(
        takes_its_time(|| rx.recv_timeout(SHORT)),
        Err(RecvError::TimedOut)
    );
    let deadline = Instant::now() + SHORT;
    assert_eq!(
        takes_its_time(|| rx.recv_deadline(deadline)),
        Err(RecvError::TimedOut)
    );
    assert_eq!(
        takes_its_time(|| rx.recv_ref_timeout(SHORT).map(|_| ())),
        Err(RecvError::TimedOut)
    );
    assert_eq!(
        takes_its_time(|| rx.recv_up_to_timeout(&mut [0; 4], SHORT)),
        Err(RecvError::TimedOut)
    );
    assert_eq!(rx.try_recv_ref().map(|_| ()), Err(RecvError::Empty));
    assert_eq!(rx.try_recv_up_to(&mut [0; 4]), Err(RecvError::Empty));
}

#[test]
fn every_wait_on_a_full_ring_ends_at_its_deadline() {
    let _watchdog = watchdog!(30);
    for wait in [Wait::Spin, Wait::SpinThenPark, Wait::Park] {
        let ring = Config::spsc()
            .capacity(1)
            .wait(wait)
            .anonymous::<u64>()
            .unwrap();
        let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
        while tx.try_send(1).is_ok() {}
        let deadline = Deadline::after(SHORT);
        assert_eq!(
            takes_its_time(|| tx.send_deadline(5, deadline)),
            Err(SendError::TimedOut(5))
        );
        assert!(deadline.has_passed());
        let claim = takes_its_time(|| tx.claim_timeout(SHORT).map(|_| ()));
        assert_eq!(claim, Err(SendError::TimedOut(())));
        let batch = takes_its_time(|| tx.send_exact_timeout(&[1], SHORT));
        assert_eq!(batch, Err(SendError::TimedOut(())));
        while rx.try_recv().is_ok() {}
        let empty = takes_its_time(|| rx.recv_deadline(Deadline::after(SHORT)));
        assert_eq!(empty, Err(RecvError::TimedOut), "{wait:?}");
    }
}

#[test]
fn a_deadline_in_the_past_still_tries_once() {
    let _watchdog = watchdog!(30);
    let (mut tx, mut rx) = words(2);
    let past = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
    tx.send_deadline(1, past).expect("there was room");
    tx.send_timeout(2, Duration::ZERO).expect("there was room");
    assert_eq!(tx.send_deadline(3, past), Err(SendError::TimedOut(3)));
    assert_eq!(rx.recv_deadline(past), Ok(1));
    assert_eq!(rx.recv_timeout(Duration::ZERO), Ok(2));
    assert_eq!(rx.recv_deadline(past), Err(RecvError::TimedOut));
    assert_eq!(rx.recv_timeout(Duration::ZERO), Err(RecvError::TimedOut));
}

#[test]
fn the_longest_timeout_there_is_does_not_overflow() {
    let _watchdog = watchdog!(30);
    let (mut tx, mut rx) = words(2);
    tx.send_timeout(1, Duration::MAX).unwrap();
    assert_eq!(rx.recv_timeout(Duration::MAX), Ok(1));
    tx.send_deadline(2, Deadline::NEVER).unwrap();
    assert_eq!(rx.recv_deadline(Deadline::NEVER), Ok(2));
}

#[test]
fn an_aborted_claim_leaves_nothing() {
    let _watchdog = watchdog!(30);
    let (mut tx, mut rx) = words(4);
    for n in 0..50 {
        let mut claim = tx.try_claim().unwrap();
        claim.write(666);
        drop(claim);
        drop(tx.claim().unwrap());
        assert_eq!(rx.try_recv(), Err(RecvError::Empty));
        assert_eq!((tx.len(), rx.len()), (0, 0));
        let mut claim = tx.claim_timeout(SHORT).unwrap();
        claim.write(666);
        claim.write(n);
        claim.commit();
        assert_eq!(rx.try_recv(), Ok(n));
    }
}

#[test]
fn an_aborted_claim_of_bytes_leaves_nothing_wherever_it_is() {
    let _watchdog = watchdog!(30);
    let (mut tx, mut rx) = bytes(4096);
    let mut buffer = [0; 4096];
    for n in 0..500 {
        let len = n * 7 % 900;
        let mut claim = tx.try_claim(len).unwrap();
        claim.write_at(0, &vec![0xee; len]);
        drop(claim);
        assert_eq!(rx.try_recv(&mut buffer), Err(RecvError::Empty));
        assert_eq!((tx.len(), rx.len()), (0, 0));
        let message = vec![n as u8; len / 2];
        let mut claim = tx.try_claim(len).unwrap();
        claim.write_all(&message).unwrap();
        claim.commit(message.len());
        assert_eq!(rx.try_recv_ref().unwrap().to_vec(), message);
    }
}

#[test]
fn a_claim_writes_no_further_than_it_reaches() {
    let _watchdog = watchdog!(30);
    let (mut tx, mut rx) = bytes(4096);
    let mut claim = tx.try_claim(10).unwrap();
    assert!(claim.write_all(&[1; 11]).is_err(), "one byte too many");
    drop(claim);
    let outside = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        tx.try_claim(10).unwrap().write_at(8, &[1; 3]);
    }));
    assert!(outside.is_err(), "write_at past the end of the claim");
    let wraps = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        tx.try_claim(10).unwrap().write_at(usize::MAX, &[1; 3]);
    }));
    assert!(wraps.is_err(), "write_at with an offset that overflows");
    let too_much = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        tx.try_claim(10).unwrap().commit(11);
    }));
    assert!(too_much.is_err(), "commit of more than was claimed");
    assert!(rx.try_recv_ref().is_err(), "nothing of it was sent");
    tx.try_send(b"fine").unwrap();
    assert_eq!(rx.try_recv_ref().unwrap().to_vec(), b"fine");
}

#[test]
fn messages_of_no_bytes_are_messages() {
    let _watchdog = watchdog!(30);
    let (mut tx, mut rx) = bytes(4096);
    for _ in 0..3000 {
        tx.try_send(b"").unwrap();
        tx.try_send(b"x").unwrap();
        assert_eq!(rx.try_recv(&mut []), Ok(0));
        assert_eq!(rx.try_recv(&mut [0; 8]), Ok(1));
        tx.try_claim(0).unwrap().commit(0);
        assert!(rx.try_recv_ref().unwrap().is_empty());
    }
    let count = fill(&mut tx, 0);
    assert_eq!(
        rx.try_recv_up_to(usize::MAX, |message| assert_eq!(message.len(), 0)),
        Ok(count)
    );
}

#[test]
fn the_longest_message_fits_everywhere_and_one_byte_more_never_does() {
    let _watchdog = watchdog!(30);
    for capacity in [1, 4096, 5000, 1 << 16] {
        let (mut tx, mut rx) = bytes(capacity);
        assert!(tx.capacity() >= capacity.max(4096) && tx.capacity().is_power_of_two());
        let max = tx.max_message_len();
        let too_long = SendError::TooLong { len: max + 1, max };
        assert_eq!(tx.try_send(&vec![1; max + 1]), Err(too_long));
        assert!(matches!(
            tx.send(&vec![1; max + 1]),
            Err(SendError::TooLong { .. })
        ));
        assert!(matches!(
            tx.try_claim(max + 1),
            Err(SendError::TooLong { .. })
        ));
        assert!(matches!(
            tx.claim(usize::MAX),
            Err(SendError::TooLong { .. })
        ));
        // At every offset of the ring: short messages shift it.
        for n in 0..1000_usize {
            let long = vec![n as u8; max];
            tx.try_send(&long)
                .unwrap_or_else(|error| panic!("{n}: {error}"));
            assert_eq!(rx.try_recv_ref().unwrap().to_vec(), long);
            tx.try_send(&long[..n % 9]).unwrap();
            assert_eq!(rx.try_recv_ref().unwrap().to_vec(), long[..n % 9]);
        }
    }
}

#[test]
fn a_buffer_that_is_too_small_leaves_the_message() {
    let _watchdog = watchdog!(30);
    let (mut tx, mut rx) = bytes(4096);
    tx.try_send(&[7; 100]).unwrap();
    let expected = RecvError::BufferTooSmall {
        len: 100,
        buffer_len: 99,
    };
    assert_eq!(rx.try_recv(&mut [0; 99]), Err(expected));
    assert!(matches!(
        rx.recv(&mut []),
        Err(RecvError::BufferTooSmall { len: 100, .. })
    ));
    let mut buffer = [0; 200];
    assert_eq!(rx.recv_timeout(&mut buffer, SHORT), Ok(100));
    assert_eq!(
        (&buffer[..100], &buffer[100..]),
        (&[7; 100][..], &[0; 100][..])
    );
    assert_eq!(rx.try_recv(&mut buffer), Err(RecvError::Empty));
}

#[test]
fn a_short_copy_out_of_a_guard_takes_what_fits() {
    let _watchdog = watchdog!(30);
    let (mut tx, mut rx) = bytes(4096);
    tx.try_send(&[1, 2, 3, 4, 5]).unwrap();
    let guard = rx.try_recv_ref().unwrap();
    let mut buffer = [9; 8];
    assert_eq!(guard.copy_to(&mut buffer[..3]), 3);
    assert_eq!(buffer, [1, 2, 3, 9, 9, 9, 9, 9]);
    assert_eq!(guard.copy_to(&mut buffer), 5);
    assert_eq!(buffer, [1, 2, 3, 4, 5, 9, 9, 9]);
}

#[test]
fn a_held_message_keeps_its_place_until_it_is_released() {
    let _watchdog = watchdog!(30);
    let (mut tx, mut rx) = words(4);
    (0..4).for_each(|n| tx.try_send(n).unwrap());
    let guard = rx.try_recv_ref().unwrap();
    assert_eq!((guard.read(), guard.redelivered()), (0, false));
    assert_eq!(tx.try_send(4), Err(SendError::Full(4)));
    let first = guard.position();
    guard.release();
    tx.try_send(4).unwrap();
    let guard = rx.try_recv_ref().unwrap();
    assert!(guard.position() > first, "positions grow");
    drop(guard);
    assert_eq!(
        rx.try_recv(),
        Ok(2),
        "a guard that was dropped released its message"
    );
}

#[test]
fn positions_of_bytes_grow() {
    let _watchdog = watchdog!(30);
    let (mut tx, mut rx) = bytes(4096);
    let mut last = None;
    for n in 0..2000 {
        tx.try_send(&vec![0; n % 200]).unwrap();
        let position = Some(rx.try_recv_ref().unwrap().position());
        assert!(position > last, "{position:?} after {last:?}");
        last = position;
    }
}
