//! A process that writes rubbish over the segment: the others meet typed errors and nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use integration_tests::children::Peer;
use integration_tests::forms::{Form, WaitWay};
use integration_tests::names::Name;
use integration_tests::{ring_peer, short_or_long, watchdog};
use memmap2::{MmapOptions, MmapRaw};
use shm_ringbuf::{Config, Consumer, Producer, RecvError, Ring, SendError};

/// A ring with both its ends.
type Whole<M> = (Ring<M>, Producer<M>, Consumer<M>);

const BRIEF: Duration = Duration::from_micros(300);

/// The segment as another process sees it.
fn map(name: &Name) -> MmapRaw {
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .open(name.file())
        .unwrap();
    MmapOptions::new().map_raw(&file).unwrap()
}

/// A word of the segment.
#[expect(
    unsafe_code,
    reason = "memory that others write too is reached through raw pointers"
)]
fn word(map: &MmapRaw, at: usize) -> &AtomicU64 {
    assert!(at.is_multiple_of(8) && at + 8 <= map.len());
    let word: *mut u64 = map.as_mut_ptr().wrapping_add(at).cast();
    // SAFETY: aligned and inside the mapping, by the assertion, and mapped as long as `map` lives.
    unsafe { AtomicU64::from_ptr(word) }
}

/// Values made to hurt, around what is there.
fn nasty(old: u64) -> Vec<u64> {
    let mut values = vec![u64::MAX, 1 << 63];
    if old == 0 {
        values.push(1);
    } else {
        values.extend([
            0,
            old + 1,
            old - 1,
            old + 4096,
            old << 32,
            old ^ 1 << 40,
            u64::MAX - old,
        ]);
        values.extend([old | 0xffff_ffff, old ^ 0x8000_0000]);
    }
    values
}

/// A ring in the middle of its work: wrapped, with messages, a claim behind it and one taken.
fn words(name: &Name) -> Whole<u64> {
    let ring: Ring<u64> = Config::spsc().capacity(8).create(name.as_str()).unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    for n in 0..13 {
        tx.try_send(n).unwrap();
        rx.try_recv().unwrap();
    }
    (0..4).for_each(|n| tx.try_send(n).unwrap());
    rx.try_recv_ref().unwrap().release();
    (ring, tx, rx)
}

fn use_words(ring: &Ring<u64>, tx: &mut Producer<u64>, rx: &mut Consumer<u64>) {
    for n in 0..12 {
        let sent = tx.try_send(n);
        assert!(
            !matches!(sent, Err(SendError::TimedOut(_))),
            "try_send does not wait: {sent:?}"
        );
        let _ = tx.try_claim().map(drop);
    }
    let _ = tx.try_send_exact(&[1, 2, 3]);
    let _ = tx.try_send_up_to(&[1, 2, 3]);
    let _ = tx.send_timeout(1, BRIEF);
    let _ = (tx.len(), tx.is_empty(), tx.peer(), ring.producer_peer());
    for _ in 0..12 {
        let received = rx.try_recv();
        assert!(
            !matches!(received, Err(RecvError::TimedOut)),
            "try_recv does not wait"
        );
        let _ = rx
            .try_recv_ref()
            .map(|guard| (guard.read(), guard.position()));
    }
    let _ = rx.try_recv_up_to(&mut [0; 5]);
    let _ = rx.recv_timeout(BRIEF);
    let _ = (rx.len(), rx.is_empty(), rx.peer(), ring.consumer_peer());
}

fn bytes(name: &Name) -> Whole<[u8]> {
    let ring: Ring<[u8]> = Config::spsc().capacity(4096).create(name.as_str()).unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    for len in 0..60 {
        tx.try_send(&vec![0x11; len * 3]).unwrap();
        rx.try_recv_ref().unwrap().release();
    }
    (0..4).for_each(|n| tx.try_send(&[n; 40]).unwrap());
    rx.try_recv_ref().unwrap().release();
    (ring, tx, rx)
}

fn use_bytes(ring: &Ring<[u8]>, tx: &mut Producer<[u8]>, rx: &mut Consumer<[u8]>) {
    let max = tx.max_message_len();
    for len in [0, 1, 100, max, max + 1] {
        let sent = tx.try_send(&vec![0x22; len]);
        assert!(
            !matches!(sent, Err(SendError::TimedOut(()))),
            "try_send does not wait: {sent:?}"
        );
        let _ = tx.try_claim(len).map(drop);
    }
    let _ = tx.try_send_exact(&[[0; 20]; 4]);
    let _ = tx.try_send_up_to(&[[0; 20]; 4]);
    let _ = tx.send_timeout(&[1], BRIEF);
    let _ = (tx.len(), tx.is_empty(), tx.peer(), ring.producer_peer());
    let mut buffer = vec![0; max];
    for _ in 0..6 {
        if let Ok(len) = rx.try_recv(&mut buffer) {
            assert!(
                len <= max,
                "a message of {len} bytes is longer than the longest"
            );
        }
        if let Ok(guard) = rx.try_recv_ref() {
            assert!(guard.len() <= max && guard.to_vec().len() == guard.len());
        }
    }
    let _ = rx.try_recv_up_to(100, |message| assert!(message.to_vec().len() <= max));
    let _ = rx.recv_timeout(&mut buffer, BRIEF);
    let _ = (rx.len(), rx.is_empty(), rx.peer(), ring.consumer_peer());
}

/// Sets every word of a segment to every nasty value in turn, each time in a fresh ring, and uses
/// the ring, attaches to it again and lets go of it.
fn try_every_word<T>(
    make: impl Fn(&Name) -> T,
    mut use_it: impl FnMut(&mut T),
    reopen: impl Fn(&Name),
) {
    let name = Name::new("every-word");
    drop(make(&name));
    let len = map(&name).len();
    shm_ringbuf::unlink(name.as_str()).unwrap();
    // The data goes on as it begins.
    for at in (0..len.min(short_or_long(12 << 10, usize::MAX))).step_by(8) {
        for turn in 0.. {
            let mut ring = make(&name);
            let map = map(&name);
            let word = word(&map, at);
            let old = word.load(Ordering::SeqCst);
            let Some(value) = nasty(old).get(turn).copied() else {
                shm_ringbuf::unlink(name.as_str()).unwrap();
                break;
            };
            word.store(value, Ordering::SeqCst);
            let result = catch_unwind(AssertUnwindSafe(|| {
                use_it(&mut ring);
                drop(ring);
                reopen(&name);
            }));
            assert!(
                result.is_ok(),
                "the word at {at} went from {old:#x} to {value:#x}"
            );
            shm_ringbuf::unlink(name.as_str()).unwrap();
        }
    }
}

#[test]
fn no_value_of_any_word_of_a_typed_ring_leads_to_more_than_an_error() {
    let _watchdog = watchdog!(200);
    try_every_word(
        words,
        |(ring, tx, rx)| use_words(ring, tx, rx),
        |name| {
            if let Ok(ring) = Ring::<u64>::open(name.as_str())
                && let (Ok(mut tx), Ok(mut rx)) = (ring.producer(), ring.consumer())
            {
                use_words(&ring, &mut tx, &mut rx);
            }
        },
    );
}

#[test]
fn no_value_of_any_word_of_a_ring_of_bytes_leads_to_more_than_an_error() {
    let _watchdog = watchdog!(200);
    try_every_word(
        bytes,
        |(ring, tx, rx)| use_bytes(ring, tx, rx),
        |name| {
            if let Ok(ring) = Ring::<[u8]>::open(name.as_str())
                && let (Ok(mut tx), Ok(mut rx)) = (ring.producer(), ring.consumer())
            {
                use_bytes(&ring, &mut tx, &mut rx);
            }
        },
    );
}

/// Lets a producer and a consumer endure a scribbler, and opens the ring meanwhile.
fn endure(form: Form, wait: WaitWay, from: usize, to: usize, pause_us: usize) {
    let name = Name::new("scribble");
    let capacity = if form == Form::Bytes { 8192 } else { 64 };
    let config = Config::spsc().capacity(capacity).wait(wait.into());
    form.create(&config, name.as_str()).unwrap();
    let time = short_or_long("250", "5000");
    let start = |side: &str| {
        let mut arguments = vec!["endure", "--name", name.as_str(), "--form", form.argument()];
        arguments.extend(["--side", side, "--for-ms", time]);
        Peer::start(ring_peer!(), &arguments)
    };
    let (mut producer, mut consumer) = (start("producer"), start("consumer"));
    producer.expect("ready");
    consumer.expect("ready");
    let seed = fastrand::u64(..).to_string();
    let file = name.file();
    let numbers = [from, to, pause_us].map(|number| number.to_string());
    let mut scribbler = Peer::start(
        ring_peer!(),
        &[
            "scribble",
            file.to_str().unwrap(),
            "--seed",
            &seed,
            "--from",
            &numbers[0],
            "--to",
            &numbers[1],
            "--pause-us",
            &numbers[2],
        ],
    );
    scribbler.expect("ready");
    for _ in 0..50 {
        // Any typed answer will do, and a panic or a signal will not.
        if let Ok(ring) = Ring::<u64>::open(name.as_str()) {
            let _ = (ring.producer_peer(), ring.consumer_peer());
            let _ = ring.producer().map(|mut tx| tx.try_send(1));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    for mut peer in [producer, consumer] {
        let said = peer.line();
        let status = peer.wait();
        let endured = said
            .as_ref()
            .is_some_and(|said| said.starts_with("endured "));
        assert!(
            endured && status.success(),
            "{form:?} {from}..{to}, seed {seed}: {said:?}, {status}"
        );
    }
}

#[test]
fn rubbish_anywhere_in_the_segment_is_endured() {
    let _watchdog = watchdog!(200);
    for form in Form::ALL {
        endure(form, WaitWay::SpinPark, 0, usize::MAX, 100);
    }
}

#[test]
fn rubbish_behind_the_header_is_endured() {
    let _watchdog = watchdog!(200);
    for form in [Form::Word, Form::Bytes] {
        endure(form, WaitWay::SpinPark, 4096, 8192, 20);
        endure(form, WaitWay::Park, 4096, 8192, 500);
    }
}

#[test]
fn rubbish_in_the_data_is_endured() {
    let _watchdog = watchdog!(200);
    for form in [Form::Word, Form::Line, Form::Bytes] {
        endure(form, WaitWay::SpinPark, 8192, usize::MAX, 20);
    }
}

#[test]
fn rubbish_under_spinning_endpoints_is_endured() {
    let _watchdog = watchdog!(200);
    for form in [Form::Word, Form::Bytes] {
        endure(form, WaitWay::Spin, 4096, usize::MAX, 50);
    }
}

#[test]
fn a_storm_of_rubbish_is_endured() {
    let _watchdog = watchdog!(200);
    for form in [Form::Word, Form::Bytes] {
        endure(form, WaitWay::SpinPark, 0, usize::MAX, 0);
    }
}
