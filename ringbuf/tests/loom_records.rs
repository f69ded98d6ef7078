//! The byte ring under loom, as it is shipped, over its storage on the heap. Run with `RUSTFLAGS="--cfg loom"`; `cargo xtask test` does.
//!
//! Two threads and at most a handful of messages are explored in full: no bound on preemptions, unless `LOOM_MAX_PREEMPTIONS` sets one.
#![cfg(loom)]
#![allow(unsafe_code)]

mod loom_support;

use loom::thread;
use loom_support::{recv_record, send_records};
use shm_ringbuf::protocol::ends::{End, Poll, ReadSide, WriteSide, poll_message};
use shm_ringbuf::protocol::records::{RecordReader, RecordWriter, record_len};
use shm_ringbuf::protocol::storage::Words;
use shm_ringbuf::segment::heap::HeapRecords;

/// 32 bytes hold one record of up to 16 bytes of payload and the free header behind it, so every message waits for the one before,
/// and bytes that were payload become headers.
#[test]
fn records_arrive_in_order_and_whole_across_the_wrap() {
    loom::model(|| {
        let records = HeapRecords::new(32);
        let mut writer = RecordWriter::attach(records.clone()).unwrap();
        let mut reader = RecordReader::attach(records).unwrap();
        let messages: [&[u8]; 3] = [&[0xFF; 9], &[2], &[0xEE; 8]];
        let producer = thread::spawn(move || {
            for message in messages {
                send_records(&mut writer, &[message]);
            }
        });
        for message in messages {
            assert_eq!(recv_record(&mut reader), message);
        }
        assert!(!reader.has_message().unwrap());
        producer.join().unwrap();
    });
}

#[test]
fn an_empty_message_is_a_message() {
    loom::model(|| {
        let records = HeapRecords::new(32);
        let mut writer = RecordWriter::attach(records.clone()).unwrap();
        let mut reader = RecordReader::attach(records).unwrap();
        let producer = thread::spawn(move || {
            send_records(&mut writer, &[&[]]);
            send_records(&mut writer, &[&[7]]);
        });
        assert_eq!(recv_record(&mut reader), []);
        assert_eq!(recv_record(&mut reader), [7]);
        producer.join().unwrap();
    });
}

#[test]
fn a_batch_appears_all_at_once() {
    loom::model(|| {
        let records = HeapRecords::new(64);
        let mut writer = RecordWriter::attach(records.clone()).unwrap();
        let mut reader = RecordReader::attach(records).unwrap();
        let producer = thread::spawn(move || {
            send_records(&mut writer, &[&[1], &[2; 9]]);
            send_records(&mut writer, &[&[3]]);
        });
        let first = loop {
            match reader.peek().unwrap() {
                Some(record) => break record,
                None => thread::yield_now(),
            }
        };
        let second = reader
            .peek_at(first.end())
            .unwrap()
            .expect("the first without the second");
        assert_eq!((first.payload_len, second.payload_len), (1, 9));
        assert_eq!(recv_record(&mut reader), [1]);
        assert_eq!(recv_record(&mut reader), [2; 9]);
        assert_eq!(recv_record(&mut reader), [3]);
        producer.join().unwrap();
    });
}

/// The aborted claim has written where later headers will be.
#[test]
fn an_aborted_claim_is_never_seen() {
    loom::model(|| {
        let records = HeapRecords::new(64);
        let mut writer = RecordWriter::attach(records.clone()).unwrap();
        let mut reader = RecordReader::attach(records).unwrap();
        let producer = thread::spawn(move || {
            assert!(writer.has_room(record_len(24)).unwrap());
            // SAFETY: there is room; and nothing is published.
            unsafe { writer.write(0, &[0xAA; 24]) };
            send_records(&mut writer, &[&[1]]);
        });
        assert_eq!(recv_record(&mut reader), [1]);
        assert!(!reader.has_message().unwrap());
        producer.join().unwrap();
    });
}

#[test]
fn everything_sent_before_a_close_is_received_before_the_end_is_told() {
    loom::model(|| {
        let records = HeapRecords::new(32);
        let mut writer = RecordWriter::attach(records.clone()).unwrap();
        let mut reader = RecordReader::attach(records.clone()).unwrap();
        records.producer().attach();
        let producer = thread::spawn(move || {
            send_records(&mut writer, &[&[1]]);
            writer.storage().producer().close();
        });
        let mut received = 0;
        loop {
            match poll_message(&reader).unwrap() {
                Poll::Ready => received += recv_record(&mut reader).len(),
                Poll::NotYet => thread::yield_now(),
                Poll::Ended(end) => break assert_eq!(end, End::Closed),
            }
        }
        assert_eq!(received, 1);
        producer.join().unwrap();
    });
}

/// A producer that died in the middle of a batch: payload and later headers are written, the first header is not.
#[test]
fn a_successor_goes_on_behind_the_committed_records() {
    loom::model(|| {
        let records = HeapRecords::new(128);
        let mut first = RecordWriter::attach(records.clone()).unwrap();
        let mut reader = RecordReader::attach(records.clone()).unwrap();
        send_records(&mut first, &[&[1]]);
        for message in [[0xAA; 8], [0xBB; 8]] {
            assert!(first.fits(8).unwrap());
            // SAFETY: there is room behind what is pending.
            unsafe { first.write(0, &message) };
            first.push(8);
        }
        drop(first);
        let successor = thread::spawn(move || {
            let mut writer = RecordWriter::attach(records).unwrap();
            send_records(&mut writer, &[&[2; 8]]);
        });
        assert_eq!(recv_record(&mut reader), [1]);
        assert_eq!(recv_record(&mut reader), [2; 8]);
        successor.join().unwrap();
        assert!(
            !reader.has_message().unwrap(),
            "a record of the dead producer"
        );
    });
}
