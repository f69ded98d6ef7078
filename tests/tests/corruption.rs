//! A word that no correct peer writes is named, with what it held, and the endpoint that found it stays away from the rest.

use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use integration_tests::names::Name;
use integration_tests::watchdog;
use shm_ringbuf::{Config, Corruption, Error, RecvError, Ring, SendError};

/// Where the words are, by `docs/layout.md`.
const READ_POSITION: u64 = 4096 + 128;
const TAKEN_POSITION: u64 = READ_POSITION + 8;
const PRODUCER_STATE: u64 = 4096 + 512;
const CONSUMER_STATE: u64 = 4096 + 768;
const DATA: u64 = 8192;

const SHORT: Duration = Duration::from_millis(20);

fn put(name: &Name, offset: u64, word: u64) {
    let file = std::fs::File::options()
        .write(true)
        .open(name.file())
        .unwrap();
    file.write_all_at(&word.to_ne_bytes(), offset).unwrap();
}

fn get(name: &Name, offset: u64) -> u64 {
    let mut word = [0; 8];
    std::fs::File::open(name.file())
        .unwrap()
        .read_exact_at(&mut word, offset)
        .unwrap();
    u64::from_ne_bytes(word)
}

fn words(name: &Name) -> Ring<u64> {
    Config::spsc().capacity(4).create(name.as_str()).unwrap()
}

fn bytes(name: &Name) -> Ring<[u8]> {
    Config::spsc().capacity(4096).create(name.as_str()).unwrap()
}

#[test]
fn a_sequence_that_can_not_be_is_named_by_every_way_to_receive_and_for_good() {
    let _watchdog = watchdog!(60);
    let name = Name::new("sequence");
    let ring = words(&name);
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    tx.send(1).unwrap();
    let sound = get(&name, DATA);
    put(&name, DATA, 77);
    let corrupt = Corruption {
        field: "slot.sequence",
        found: 77,
    };
    assert_eq!(rx.try_recv(), Err(RecvError::Corrupt(corrupt)));
    put(&name, DATA, sound);
    assert_eq!(
        rx.recv(),
        Err(RecvError::Corrupt(corrupt)),
        "once found it stays"
    );
    assert_eq!(rx.recv_timeout(SHORT), Err(RecvError::Corrupt(corrupt)));
    assert_eq!(
        rx.try_recv_ref().map(|_| ()),
        Err(RecvError::Corrupt(corrupt))
    );
    assert_eq!(
        rx.try_recv_up_to(&mut [0; 4]),
        Err(RecvError::Corrupt(corrupt))
    );
    let message = RecvError::Corrupt(corrupt).to_string();
    assert!(
        message.contains("slot.sequence") && message.contains("0x4d"),
        "{message}"
    );
    drop(rx);
    assert_eq!(
        ring.consumer().unwrap().recv(),
        Ok(1),
        "another endpoint looks for itself"
    );
}

#[test]
fn a_header_that_was_changed_in_one_bit_is_named() {
    let _watchdog = watchdog!(60);
    for bit in 0..64 {
        let name = Name::new("header-bit");
        let ring = bytes(&name);
        let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
        tx.send(&[5; 100]).unwrap();
        let found = get(&name, DATA) ^ (1 << bit);
        put(&name, DATA, found);
        let corrupt = RecvError::Corrupt(Corruption {
            field: "record.header",
            found,
        });
        assert_eq!(rx.try_recv(&mut [0; 4096]), Err(corrupt), "bit {bit}");
        assert_eq!(rx.try_recv_ref().map(|_| ()), Err(corrupt));
        assert_eq!(rx.recv_up_to(3, |_| ()), Err(corrupt));
    }
}

#[test]
fn a_read_position_that_can_not_be_is_named_by_the_producer() {
    let _watchdog = watchdog!(60);
    for found in [u64::MAX, 1 << 40, 5] {
        let name = Name::new("read-position");
        let ring = words(&name);
        let mut tx = ring.producer().unwrap();
        (0..4).for_each(|n| tx.send(n).unwrap());
        put(&name, READ_POSITION, found);
        let field = "read_position";
        let Err(SendError::Corrupt(corruption)) = tx.try_send(4) else {
            panic!("{found:#x}")
        };
        assert_eq!(corruption, Corruption { field, found });
        put(&name, READ_POSITION, 0);
        assert!(
            matches!(tx.send(4), Err(SendError::Corrupt(_))),
            "once found it stays"
        );
        assert!(matches!(tx.try_claim(), Err(SendError::Corrupt(_))));
        assert!(matches!(
            tx.try_send_exact(&[1]),
            Err(SendError::Corrupt(_))
        ));
        assert!(matches!(
            tx.try_send_up_to(&[1]),
            Err(SendError::Corrupt(_))
        ));
    }
}

#[test]
fn a_state_of_a_peer_that_can_not_be_is_named() {
    let _watchdog = watchdog!(60);
    let name = Name::new("state");
    let ring = words(&name);
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    put(&name, PRODUCER_STATE, 0x1ff);
    put(&name, CONSUMER_STATE, 0x2fe);
    let producer = Corruption {
        field: "participant.state",
        found: 0x1ff,
    };
    let consumer = Corruption {
        found: 0x2fe,
        ..producer
    };
    assert_eq!(rx.peer(), Err(producer));
    assert_eq!(tx.peer(), Err(consumer));
    assert_eq!(rx.recv(), Err(RecvError::Corrupt(producer)));
    assert!(matches!(tx.send(1), Err(SendError::Corrupt(found)) if found == consumer));
    let asked = ring.producer_peer().unwrap_err();
    assert!(matches!(
        asked,
        Error::Corrupt {
            field: "participant.state",
            found: 0x1ff,
            ..
        }
    ));
    assert!(asked.to_string().contains(name.as_str()), "{asked}");
}

#[test]
fn who_attaches_to_positions_that_can_not_be_is_told() {
    let _watchdog = watchdog!(60);
    for (offset, field) in [
        (READ_POSITION, "read_position"),
        (TAKEN_POSITION, "taken_position"),
    ] {
        let name = Name::new("attach");
        let (ring, byte_name) = (words(&name), Name::new("attach-bytes"));
        let byte_ring = bytes(&byte_name);
        put(&name, offset, u64::MAX - 1);
        put(&byte_name, offset, u64::MAX - 1);
        let errors = [
            ring.consumer().unwrap_err(),
            byte_ring.consumer().unwrap_err(),
        ];
        for error in errors {
            let Error::Corrupt {
                field: named,
                found,
                ..
            } = error
            else {
                panic!("{error:?}")
            };
            assert_eq!((named, found), (field, u64::MAX - 1));
        }
        // A refusal takes no role.
        put(&name, offset, 0);
        put(&byte_name, offset, 0);
        ring.consumer().unwrap();
        byte_ring.consumer().unwrap();
    }
}
