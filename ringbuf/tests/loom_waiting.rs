//! A ring and its gates under loom: nobody sleeps through a message, a release or an end. Run with `RUSTFLAGS="--cfg loom"`; `cargo xtask test` does.
//!
//! There is no clock in these models, so a lost wakeup is a deadlock, which loom reports.
#![cfg(loom)]
#![allow(unsafe_code)]

mod loom_support;

use std::convert::Infallible;

use loom::thread;
use loom_support::{recv_slot, send_slot};
use shm_ringbuf::Deadline;
use shm_ringbuf::protocol::ends::{Poll, ReadSide, WriteSide, poll_message};
use shm_ringbuf::protocol::slots::{SlotReader, SlotWriter};
use shm_ringbuf::protocol::storage::Words;
use shm_ringbuf::segment::heap::HeapSlots;
use shm_ringbuf::wait::{Look, Wait, Waited, Waiter};
use shm_semaphore::EventCount;

type Slots = HeapSlots<u64>;

/// Parks until the condition holds.
struct Parked<'a, S, F> {
    side: &'a mut S,
    is_ready: F,
    gate: &'a EventCount,
}

impl<S, F: FnMut(&mut S) -> bool> Look for Parked<'_, S, F> {
    type Stop = Infallible;
    fn gate(&self) -> &EventCount {
        self.gate
    }
    fn is_ready(&mut self) -> Result<bool, Infallible> {
        Ok((self.is_ready)(self.side))
    }
    fn probe(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
    fn shares_processor(&mut self, _now: Deadline) -> bool {
        false
    }
}

fn park_until<S>(side: &mut S, gate: &EventCount, is_ready: impl FnMut(&mut S) -> bool) {
    let mut look = Parked {
        side,
        is_ready,
        gate,
    };
    let waited = Waiter::new(Wait::Park).wait_until(Deadline::NEVER, 0, &mut look);
    assert_eq!(waited, Ok(Waited::Ready));
}

fn ends(slots: &Slots) -> (SlotWriter<Slots>, SlotReader<Slots>) {
    (
        SlotWriter::attach(slots.clone()).unwrap(),
        SlotReader::attach(slots.clone()).unwrap(),
    )
}

#[test]
fn a_sleeping_consumer_is_woken_by_a_message() {
    loom::model(|| {
        let slots = Slots::new(2);
        let (mut writer, mut reader) = ends(&slots);
        let producer = thread::spawn(move || {
            for value in 1..=2 {
                send_slot(&mut writer, &[value]);
                writer.storage().not_empty().notify_all();
            }
        });
        for value in 1..=2 {
            park_until(&mut reader, slots.not_empty(), |reader| {
                reader.has_message().unwrap()
            });
            assert_eq!(recv_slot(&mut reader), value);
        }
        producer.join().unwrap();
    });
}

/// The same where the one who goes to sleep makes the fence for both.
#[test]
fn a_sleeping_consumer_that_paid_for_the_fence_is_woken_by_a_message() {
    loom::model(|| {
        let slots = Slots::new(1);
        slots.not_empty().make_asymmetric();
        let (mut writer, mut reader) = ends(&slots);
        let producer = thread::spawn(move || {
            send_slot(&mut writer, &[1]);
            writer.storage().not_empty().notify_all();
        });
        park_until(&mut reader, slots.not_empty(), |reader| {
            reader.has_message().unwrap()
        });
        assert_eq!(recv_slot(&mut reader), 1);
        producer.join().unwrap();
    });
}

#[test]
fn a_sleeping_producer_is_woken_by_a_release() {
    loom::model(|| {
        let slots = Slots::new(1);
        let (mut writer, mut reader) = ends(&slots);
        send_slot(&mut writer, &[1]);
        let consumer = thread::spawn(move || {
            assert_eq!(recv_slot(&mut reader), 1);
            reader.storage().not_full().notify_all();
        });
        park_until(&mut writer, slots.not_full(), |writer| {
            writer.has_room(1).unwrap()
        });
        send_slot(&mut writer, &[2]);
        consumer.join().unwrap();
    });
}

#[test]
fn a_sleeping_consumer_is_woken_by_a_close() {
    loom::model(|| {
        let slots = Slots::new(1);
        let (writer, mut reader) = ends(&slots);
        slots.producer().attach();
        let producer = thread::spawn(move || {
            writer.storage().producer().close();
            writer.storage().not_empty().notify_all();
        });
        park_until(&mut reader, slots.not_empty(), |reader| {
            matches!(poll_message(reader), Ok(Poll::Ended(_)))
        });
        producer.join().unwrap();
    });
}
