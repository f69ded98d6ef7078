//! What the models of both forms share.
#![allow(dead_code, reason = "each model uses a part")]

pub mod multi;
pub mod story;

use loom::thread;
use shm_ringbuf::protocol::ends::{ReadSide, WriteSide};
use shm_ringbuf::protocol::records::{RecordReader, RecordWriter, record_len};
use shm_ringbuf::protocol::slots::{SlotReader, SlotWriter};
use shm_ringbuf::segment::heap::{HeapRecords, HeapSlots};

/// Sends a batch, spinning while the ring is full.
pub fn send_slot(writer: &mut SlotWriter<HeapSlots<u64>>, values: &[u64]) {
    while !writer.has_room(values.len() as u64).unwrap() {
        thread::yield_now();
    }
    for (ahead, value) in values.iter().enumerate() {
        // SAFETY: there is room.
        unsafe { writer.write(ahead as u64, *value) };
    }
    writer.publish(values.len() as u64);
}

/// Receives one message, spinning while the ring is empty.
pub fn recv_slot(reader: &mut SlotReader<HeapSlots<u64>>) -> u64 {
    while !reader.has_message().unwrap() {
        thread::yield_now();
    }
    // SAFETY: a message is there.
    let value = unsafe { reader.read(0) };
    reader.release(1);
    value
}

/// Sends a batch, spinning while the ring is full.
pub fn send_records(writer: &mut RecordWriter<HeapRecords>, messages: &[&[u8]]) {
    let units = messages
        .iter()
        .map(|message| record_len(message.len() as u64))
        .sum();
    while !writer.has_room(units).unwrap() {
        thread::yield_now();
    }
    for message in messages {
        // SAFETY: there is room for all.
        unsafe { writer.write(0, message) };
        writer.push(message.len() as u64);
    }
    writer.publish();
}

/// Receives one message, spinning while the ring is empty.
pub fn recv_record(reader: &mut RecordReader<HeapRecords>) -> Vec<u8> {
    let record = loop {
        match reader.peek().unwrap() {
            Some(record) => break record,
            None => thread::yield_now(),
        }
    };
    let mut message = vec![0; record.payload_len as usize];
    // SAFETY: the record was found and is not released.
    unsafe { reader.read(record, 0, &mut message) };
    reader.release_until(record.end());
    message
}
