//! The protocols over their storage on the heap, between threads: fast enough for Miri (`cargo xtask miri`), which checks
//! every access to memory, and a stress test of its own otherwise.

#![allow(unsafe_code)]

use std::thread;

use integration_tests::pattern::Pattern;
use shm_ringbuf::protocol::ends::{ReadSide as _, WriteSide as _};
use shm_ringbuf::protocol::records::{RecordReader, RecordWriter, record_len};
use shm_ringbuf::protocol::slots::{SlotReader, SlotWriter};
use shm_ringbuf::protocol::storage::Words as _;
use shm_ringbuf::segment::heap::{HeapRecords, HeapSlots};
use shm_semaphore::{Deadline, EventCount};

/// Miri takes a microsecond for an instruction.
const COUNT: u64 = if cfg!(miri) { 150 } else { 200_000 };

fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

/// Sleeps on an event count until the condition holds.
fn sleep_until(event: &EventCount, mut condition: impl FnMut() -> bool) {
    while !condition() {
        let key = event.prepare_wait();
        if condition() {
            return event.cancel_wait(key);
        }
        event.wait(key, Deadline::NEVER);
    }
}

fn send_slots(writer: &mut SlotWriter<HeapSlots<u64>>, values: &[u64]) {
    until(|| writer.has_room(values.len() as u64).unwrap());
    for (ahead, value) in values.iter().enumerate() {
        // SAFETY: there is room.
        unsafe { writer.write(ahead as u64, *value) };
    }
    writer.publish(values.len() as u64);
}

fn recv_slot(reader: &mut SlotReader<HeapSlots<u64>>) -> u64 {
    until(|| reader.has_message().unwrap());
    reader.take();
    // SAFETY: a message is there.
    let value = unsafe { reader.read(0) };
    reader.release(1);
    value
}

fn send_record(writer: &mut RecordWriter<HeapRecords>, message: &[u8]) {
    until(|| writer.has_room(record_len(message.len() as u64)).unwrap());
    // SAFETY: there is room.
    unsafe { writer.write(0, message) };
    writer.push(message.len() as u64);
    writer.publish();
}

fn recv_record(reader: &mut RecordReader<HeapRecords>) -> Vec<u8> {
    until(|| reader.has_message().unwrap());
    let record = reader.peek().unwrap().expect("just seen");
    let mut message = vec![0; record.payload_len as usize];
    // SAFETY: the record was found and is not released.
    unsafe { reader.read(record, 0, &mut message) };
    reader.release_until(record.end());
    message
}

#[test]
fn slots_go_around_in_ones_and_in_batches() {
    let slots = HeapSlots::new(8);
    let mut writer = SlotWriter::attach(slots.clone()).unwrap();
    let mut reader = SlotReader::attach(slots).unwrap();
    let sender = thread::spawn(move || {
        let mut next = 0;
        while next < COUNT {
            let batch: Vec<u64> = (next..COUNT).take(1 + next as usize % 5).collect();
            send_slots(&mut writer, &batch);
            next += batch.len() as u64;
        }
    });
    (0..COUNT).for_each(|n| assert_eq!(recv_slot(&mut reader), n));
    sender.join().unwrap();
    assert!(!reader.has_message().unwrap());
}

#[test]
fn records_of_all_lengths_go_around() {
    let records = HeapRecords::new(128);
    let pattern = Pattern::new(4, 0..=112);
    let mut writer = RecordWriter::attach(records.clone()).unwrap();
    let mut reader = RecordReader::attach(records).unwrap();
    let theirs = pattern.clone();
    let sender = thread::spawn(move || {
        (0..COUNT).for_each(|id| send_record(&mut writer, &theirs.message(id)));
    });
    (0..COUNT).for_each(|id| assert_eq!(pattern.check(id, &recv_record(&mut reader)), Ok(())));
    sender.join().unwrap();
    assert!(!reader.has_message().unwrap());
}

#[test]
fn every_writer_goes_on_where_the_one_before_it_ended() {
    let (slots, records) = (HeapSlots::new(8), HeapRecords::new(64));
    let mut slot_reader = SlotReader::attach(slots.clone()).unwrap();
    let mut record_reader = RecordReader::attach(records.clone()).unwrap();
    let sender = thread::spawn(move || {
        for n in 0..COUNT / 3 {
            let mut writer = SlotWriter::attach(slots.clone()).unwrap();
            writer.recover();
            send_slots(&mut writer, &[n]);
            // Killed with a message written and not committed.
            until(|| writer.has_room(1).unwrap());
            // SAFETY: there is room.
            unsafe { writer.write(0, u64::MAX) };
            let mut writer = RecordWriter::attach(records.clone()).unwrap();
            send_record(&mut writer, &n.to_le_bytes());
            until(|| writer.has_room(record_len(24)).unwrap());
            // SAFETY: there is room.
            unsafe { writer.write(0, &[0xff; 24]) };
        }
    });
    for n in 0..COUNT / 3 {
        assert_eq!(recv_slot(&mut slot_reader), n);
        assert_eq!(recv_record(&mut record_reader), n.to_le_bytes());
    }
    sender.join().unwrap();
    assert!(!slot_reader.has_message().unwrap() && !record_reader.has_message().unwrap());
}

#[test]
fn sides_that_sleep_for_each_other_are_woken() {
    let slots = HeapSlots::new(2);
    let mut writer = SlotWriter::attach(slots.clone()).unwrap();
    let mut reader = SlotReader::attach(slots.clone()).unwrap();
    let theirs = slots.clone();
    let count = COUNT / 10;
    let sender = thread::spawn(move || {
        for n in 0..count {
            sleep_until(theirs.not_full(), || writer.has_room(1).unwrap());
            // SAFETY: there is room.
            unsafe { writer.write(0, n) };
            writer.publish(1);
            theirs.not_empty().notify_all();
        }
    });
    for n in 0..count {
        sleep_until(slots.not_empty(), || reader.has_message().unwrap());
        assert_eq!(recv_slot(&mut reader), n);
        slots.not_full().notify_all();
    }
    sender.join().unwrap();
}
