//! The typed ring under loom, as it is shipped, over its storage on the heap. Run with `RUSTFLAGS="--cfg loom"`; `cargo xtask test` does.
//!
//! Two threads and at most a handful of messages are explored in full: no bound on preemptions, unless `LOOM_MAX_PREEMPTIONS` sets one.
#![cfg(loom)]
#![allow(unsafe_code)]

mod loom_support;

use loom::thread;
use loom_support::{recv_slot, send_slot};
use shm_ringbuf::protocol::ends::{End, Poll, ReadSide, WriteSide, poll_message, poll_room};
use shm_ringbuf::protocol::presence::Status;
use shm_ringbuf::protocol::slots::{SlotReader, SlotWriter};
use shm_ringbuf::protocol::storage::Words;
use shm_ringbuf::segment::heap::HeapSlots;

type Slots = HeapSlots<u64>;

fn ring(capacity: u64) -> (Slots, SlotWriter<Slots>, SlotReader<Slots>) {
    let slots = Slots::new(capacity);
    let writer = SlotWriter::attach(slots.clone()).unwrap();
    let reader = SlotReader::attach(slots.clone()).unwrap();
    (slots, writer, reader)
}

/// Capacity 2 and three messages: the ring wraps, runs full and runs empty.
#[test]
fn messages_arrive_in_order_and_whole_across_the_wrap() {
    loom::model(|| {
        let (_, mut writer, mut reader) = ring(2);
        let producer = thread::spawn(move || {
            for value in 1..=3 {
                send_slot(&mut writer, &[value]);
            }
        });
        for value in 1..=3 {
            assert_eq!(recv_slot(&mut reader), value);
        }
        assert!(!reader.has_message().unwrap());
        producer.join().unwrap();
    });
}

#[test]
fn a_ring_of_one_slot_alternates() {
    loom::model(|| {
        let (_, mut writer, mut reader) = ring(1);
        let producer = thread::spawn(move || {
            send_slot(&mut writer, &[1]);
            send_slot(&mut writer, &[2]);
        });
        assert_eq!(recv_slot(&mut reader), 1);
        assert_eq!(recv_slot(&mut reader), 2);
        producer.join().unwrap();
    });
}

#[test]
fn a_batch_appears_all_at_once() {
    loom::model(|| {
        let (_, mut writer, mut reader) = ring(2);
        let producer = thread::spawn(move || {
            send_slot(&mut writer, &[1, 2]);
            send_slot(&mut writer, &[3]);
        });
        while !reader.ready_at(0).unwrap() {
            thread::yield_now();
        }
        assert!(
            reader.ready_at(1).unwrap(),
            "the first of a batch without the second"
        );
        // SAFETY: the first is ready.
        let first = unsafe { reader.read(0) };
        // SAFETY: so is the second.
        let second = unsafe { reader.read(1) };
        assert_eq!((first, second), (1, 2));
        reader.release(2);
        assert_eq!(recv_slot(&mut reader), 3);
        producer.join().unwrap();
    });
}

#[test]
fn an_aborted_claim_is_never_seen() {
    loom::model(|| {
        let (_, mut writer, mut reader) = ring(2);
        let producer = thread::spawn(move || {
            assert!(writer.has_room(1).unwrap());
            // SAFETY: there is room; and nothing is published.
            unsafe { writer.write(0, 99) };
            send_slot(&mut writer, &[1]);
        });
        assert_eq!(recv_slot(&mut reader), 1);
        producer.join().unwrap();
    });
}

#[test]
fn everything_sent_before_a_close_is_received_before_the_end_is_told() {
    loom::model(|| {
        let (slots, mut writer, mut reader) = ring(2);
        slots.producer().attach();
        let producer = thread::spawn(move || {
            send_slot(&mut writer, &[1]);
            writer.storage().producer().close();
        });
        let mut received = 0;
        loop {
            match poll_message(&reader).unwrap() {
                Poll::Ready => received += recv_slot(&mut reader),
                Poll::NotYet => thread::yield_now(),
                Poll::Ended(end) => break assert_eq!(end, End::Closed),
            }
        }
        assert_eq!(received, 1);
        producer.join().unwrap();
    });
}

#[test]
fn a_consumer_that_closes_ends_a_full_producer() {
    loom::model(|| {
        let (slots, mut writer, _) = ring(1);
        slots.consumer().attach();
        send_slot(&mut writer, &[1]);
        let consumer = thread::spawn(move || slots.consumer().close());
        loop {
            match poll_room(&mut writer, 1).unwrap() {
                Poll::Ready => panic!("nobody released"),
                Poll::NotYet => thread::yield_now(),
                Poll::Ended(end) => break assert_eq!(end, End::Closed),
            }
        }
        consumer.join().unwrap();
    });
}

/// A peer has looked, found the producer alive, and asks the kernel; meanwhile a successor has taken the dead one's place.
#[test]
fn a_successor_is_never_marked_dead_for_its_predecessor() {
    loom::model(|| {
        let (slots, _, _) = ring(1);
        slots.producer().attach();
        let seen = slots.producer().seen().unwrap();
        let successor = {
            let slots = slots.clone();
            thread::spawn(move || slots.producer().attach())
        };
        slots.producer().mark_died(seen);
        successor.join().unwrap();
        assert_eq!(slots.producer().seen().unwrap().status, Status::Attached);
    });
}

/// What a dead producer had committed is received; what it had published of a batch without its first slot is not, and the
/// successor's messages come instead.
#[test]
fn a_successor_goes_on_behind_the_committed_messages() {
    loom::model(|| {
        let (slots, mut first, mut reader) = ring(4);
        send_slot(&mut first, &[1]);
        slots.publish_stray(2);
        drop(first);
        let successor = thread::spawn(move || {
            let mut writer = SlotWriter::attach(slots).unwrap();
            writer.recover();
            assert_eq!(writer.write_position().0, 1);
            send_slot(&mut writer, &[2]);
        });
        assert_eq!(recv_slot(&mut reader), 1);
        assert_eq!(recv_slot(&mut reader), 2);
        successor.join().unwrap();
        assert!(
            !reader.has_message().unwrap(),
            "a stray of the dead producer"
        );
    });
}
