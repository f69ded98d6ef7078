//! Who is there, under loom. Run with `RUSTFLAGS="--cfg loom"`; `cargo xtask test` does.
#![cfg(loom)]
#![allow(unsafe_code)]

mod loom_support;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use loom_support::{recv_slot, send_slot};
use shm_ringbuf::protocol::ends::{End, Poll, WriteSide, poll_message};
use shm_ringbuf::protocol::presence::{Presence, Status};
use shm_ringbuf::protocol::slots::{SlotReader, SlotWriter};
use shm_ringbuf::protocol::storage::Words;
use shm_ringbuf::segment::heap::HeapSlots;

/// A peer has looked, found the producer alive, and asks the kernel; meanwhile a successor has taken the dead one's place.
#[test]
fn a_successor_is_never_marked_dead_for_its_predecessor() {
    loom::model(|| {
        let presence = Arc::new(Presence::new());
        presence.attach();
        let seen = presence.seen().unwrap();
        let successor = {
            let presence = presence.clone();
            thread::spawn(move || presence.attach())
        };
        presence.mark_died(seen);
        successor.join().unwrap();
        assert_eq!(presence.seen().unwrap().status, Status::Attached);
    });
}

struct Record {
    presence: Presence,
    pid: UnsafeCell<u32>,
}

// SAFETY: the model reads `pid` only when it has seen the side attached; loom checks that.
unsafe impl Sync for Record {}

#[test]
fn who_is_seen_attached_has_left_its_name() {
    loom::model(|| {
        let record = Arc::new(Record {
            presence: Presence::new(),
            pid: UnsafeCell::new(0),
        });
        let joiner = {
            let record = record.clone();
            thread::spawn(move || {
                // SAFETY: nobody reads it before the side is attached.
                record.pid.with_mut(|pid| unsafe { *pid = 42 });
                record.presence.attach();
            })
        };
        // Waited for: loom does not come to see the side attached by a single look.
        while record.presence.seen().unwrap().status != Status::Attached {
            thread::yield_now();
        }
        // SAFETY: written before the side was attached.
        assert_eq!(record.pid.with(|pid| unsafe { *pid }), 42);
        joiner.join().unwrap();
    });
}

/// The one who marks a death has the kernel's word that the dead one's stores are all done (here: the join). Whoever sees the mark
/// without having asked the kernel sees them too.
#[test]
fn what_the_dead_one_committed_is_received_before_its_death_is_told() {
    loom::model(|| {
        let slots = HeapSlots::<u64>::new(2);
        let mut writer = SlotWriter::attach(slots.clone()).unwrap();
        let mut reader = SlotReader::attach(slots.clone()).unwrap();
        slots.producer().attach();
        let observer = thread::spawn(move || {
            let victim = thread::spawn(move || {
                send_slot(&mut writer, &[1]);
                writer.storage().producer().seen().unwrap()
            });
            let seen = victim.join().unwrap();
            slots.producer().mark_died(seen);
        });
        let mut received = 0;
        loop {
            match poll_message(&reader).unwrap() {
                Poll::Ready => received += recv_slot(&mut reader),
                Poll::NotYet => thread::yield_now(),
                Poll::Ended(end) => break assert_eq!(end, End::Died),
            }
        }
        assert_eq!(received, 1);
        observer.join().unwrap();
    });
}
