//! A process that writes rubbish over the segment of a ring of several producers and consumers: the others meet typed errors and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use integration_tests::children::Peer;
use integration_tests::forms::{Form, WaitWay};
use integration_tests::names::Name;
use integration_tests::{ring_peer, short_or_long, watchdog};
use memmap2::{MmapOptions, MmapRaw};
use shm_ringbuf::{Config, Error, RecvError, SendError, multi};

/// A ring with two ends of each side.
struct Whole<M: shm_ringbuf::Message + ?Sized> {
    ring: multi::Ring<M>,
    producers: [multi::Producer<M>; 2],
    consumers: [multi::Consumer<M>; 2],
}

const BRIEF: Duration = Duration::from_micros(300);
/// Every call comes to an end, so all of them do, on a machine that may be busy.
const ALL_MAX: Duration = Duration::from_secs(5);

/// The segment as another process sees it.
fn map(name: &Name) -> MmapRaw {
    let file = fs::File::options().read(true).write(true).open(name.file());
    MmapOptions::new().map_raw(&file.unwrap()).unwrap()
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
    let mut values = vec![u64::MAX, 1 << 63, 1, 0];
    values.extend([1, 2, 4096].map(|by| old.wrapping_add(by)));
    values.extend([1, 1 << 20].map(|by| old.wrapping_sub(by)));
    values.extend([old << 32, old ^ 1 << 40, old ^ 1 << 60, u64::MAX - old]);
    values.extend([old | 0xffff_ffff, old ^ 0x8000_0000, old ^ 0xff << 8]);
    values.retain(|value| *value != old);
    values
}

/// A ring in the middle of its work: wrapped, with messages.
fn words(name: &Name) -> Whole<u64> {
    let config = Config::mpmc().capacity(8).participants(6);
    let ring = config.create::<u64>(name.as_str()).unwrap();
    let mut producers = [ring.producer().unwrap(), ring.producer().unwrap()];
    let mut consumers = [ring.consumer().unwrap(), ring.consumer().unwrap()];
    for n in 0..13 {
        producers[n as usize % 2].try_send(n).unwrap();
        consumers[n as usize / 2 % 2].try_recv().unwrap();
    }
    (0..4).for_each(|n| producers[0].try_send(n).unwrap());
    Whole {
        ring,
        producers,
        consumers,
    }
}

fn use_words(whole: &mut Whole<u64>) {
    let Whole {
        ring,
        producers,
        consumers,
    } = whole;
    for tx in producers {
        for n in 0..5 {
            let sent = tx.try_send(n);
            assert!(!matches!(sent, Err(SendError::TimedOut(_))), "{sent:?}");
            let _ = tx.try_claim().map(drop);
        }
        let _ = tx.try_send_exact(&[1, 2, 3]);
        let _ = tx.try_send_up_to(&[1, 2, 3]);
        let _ = tx.send_timeout(1, BRIEF);
        let _ = (tx.len(), tx.is_empty(), ring.participants());
    }
    for rx in consumers {
        for _ in 0..5 {
            let received = rx.try_recv();
            assert!(!matches!(received, Err(RecvError::TimedOut)));
            let _ = rx
                .try_recv_ref()
                .map(|guard| (guard.read(), guard.position()));
        }
        let _ = rx.try_recv_up_to(&mut [0; 5]);
        let _ = rx.recv_timeout(BRIEF);
        let _ = (rx.len(), rx.is_empty(), ring.dropped());
    }
}

fn bytes(name: &Name) -> Whole<[u8]> {
    let config = Config::mpmc().capacity(4096).cell(64).participants(6);
    let ring = config.create::<[u8]>(name.as_str()).unwrap();
    let mut producers = [ring.producer().unwrap(), ring.producer().unwrap()];
    let mut consumers = [ring.consumer().unwrap(), ring.consumer().unwrap()];
    for len in 0..60 {
        producers[len % 2].try_send(&vec![0x11; len * 5]).unwrap();
        consumers[len / 2 % 2].try_recv_ref().unwrap().release();
    }
    (0..4).for_each(|n| producers[1].try_send(&[n; 150]).unwrap());
    Whole {
        ring,
        producers,
        consumers,
    }
}

fn use_bytes(whole: &mut Whole<[u8]>) {
    let Whole {
        ring,
        producers,
        consumers,
    } = whole;
    let max = ring.max_message_len();
    for tx in producers {
        for len in [0, 1, 100, max, max + 1] {
            let sent = tx.try_send(&vec![0x22; len]);
            assert!(!matches!(sent, Err(SendError::TimedOut(()))), "{sent:?}");
            let _ = tx.try_claim(len).map(drop);
        }
        let _ = tx.try_send_exact(&[[0; 20]; 4]);
        let _ = tx.try_send_up_to(&[[0; 90]; 4]);
        let _ = tx.send_timeout(&[1], BRIEF);
        let _ = (tx.len(), tx.is_empty(), ring.participants());
    }
    let mut buffer = vec![0; max];
    for rx in consumers {
        for _ in 0..4 {
            if let Ok(len) = rx.try_recv(&mut buffer) {
                assert!(len <= max, "{len} bytes are more than the longest has");
            }
            if let Ok(guard) = rx.try_recv_ref() {
                assert!(guard.len() <= max && guard.to_vec().len() == guard.len());
            }
        }
        let _ = rx.try_recv_up_to(100, |message| assert!(message.to_vec().len() <= max));
        let _ = rx.recv_timeout(&mut buffer, BRIEF);
        let _ = (rx.len(), rx.is_empty(), ring.dropped());
    }
}

/// Sets words of a segment to nasty values, each time in a fresh ring, and uses the ring, attaches to it again and lets go of it.
fn try_words<T>(
    make: impl Fn(&Name) -> T,
    mut use_it: impl FnMut(&mut T),
    reopen: impl Fn(&Name) -> Option<T>,
) {
    let name = Name::new("nasty-words");
    drop(make(&name));
    let len = map(&name).len();
    shm_ringbuf::unlink(name.as_str()).unwrap();
    // In the short form one value for one word of four, each time others.
    let turn = fastrand::usize(..1 << 20);
    let (first, apart) = short_or_long((turn % 4 * 8, 32), (0, 8));
    for at in (first..len).step_by(apart) {
        let mut turns = nasty(0).len();
        let mut number = 0;
        while number < turns {
            let mut ring = make(&name);
            let map = map(&name);
            let word = word(&map, at);
            let old = word.load(Ordering::SeqCst);
            let values = nasty(old);
            turns = short_or_long(1, values.len());
            let value = values[(number + at / 8 + short_or_long(turn, 0)) % values.len()];
            number += 1;
            word.store(value, Ordering::SeqCst);
            let start = Instant::now();
            let result = catch_unwind(AssertUnwindSafe(|| {
                use_it(&mut ring);
                drop(ring);
                if let Some(mut again) = reopen(&name) {
                    use_it(&mut again);
                }
            }));
            let what = format!("the word at {at} went from {old:#x} to {value:#x}");
            assert!(result.is_ok(), "{what}");
            assert!(start.elapsed() < ALL_MAX, "{what}: {:?}", start.elapsed());
            shm_ringbuf::unlink(name.as_str()).unwrap();
        }
    }
}

fn attach<M: shm_ringbuf::Message + ?Sized>(name: &Name) -> Option<Whole<M>> {
    let ring = multi::Ring::<M>::open(name.as_str()).ok()?;
    let producers = [ring.producer().ok()?, ring.producer().ok()?];
    let consumers = [ring.consumer().ok()?, ring.consumer().ok()?];
    Some(Whole {
        ring,
        producers,
        consumers,
    })
}

#[test]
fn no_value_of_any_word_of_a_typed_ring_leads_to_more_than_an_error() {
    let _watchdog = watchdog!(200);
    try_words(words, use_words, attach);
}

#[test]
fn no_value_of_any_word_of_a_ring_of_bytes_leads_to_more_than_an_error() {
    let _watchdog = watchdog!(200);
    try_words(bytes, use_bytes, attach);
}

/// Lets two producers and two consumers endure a scribbler, and opens the ring meanwhile.
fn endure(form: Form, wait: WaitWay, from: usize, to: usize, pause_us: usize) {
    let name = Name::new("scribble");
    let capacity = if form == Form::Bytes { 8192 } else { 64 };
    let config = Config::mpmc().capacity(capacity).cell(64).wait(wait.into());
    let config = config.participants(16);
    form.create_multi(&config, name.as_str()).unwrap();
    let time = short_or_long("250", "5000");
    let start = |side: &[&str]| {
        let arguments = [
            "endure-multi",
            "--name",
            name.as_str(),
            "--form",
            form.argument(),
        ];
        let arguments = [&arguments[..], &["--for-ms", time], side].concat();
        let mut peer = Peer::start(ring_peer!(), &arguments);
        peer.expect("ready");
        peer
    };
    let peers = [&[][..], &[], &["--consumer"], &["--consumer"]].map(start);
    let seed = fastrand::u64(..);
    let line = format!("--seed {seed} --from {from} --to {to} --pause-us {pause_us}");
    let file = name.file();
    let mut arguments = vec!["scribble", file.to_str().unwrap()];
    arguments.extend(line.split(' '));
    let mut scribbler = Peer::start(ring_peer!(), &arguments);
    scribbler.expect("ready");
    for _ in 0..50 {
        // Any typed answer will do, and a panic or a signal will not.
        if let Ok(ring) = multi::Ring::<u64>::open(name.as_str()) {
            let _ = (ring.participants(), ring.dropped());
            let _ = ring.producer().map(|mut tx| tx.try_send(1));
            let _ = ring.consumer().map(|mut rx| rx.try_recv());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    for mut peer in peers {
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
        endure(form, WaitWay::Park, 4096, 12_288, 500);
    }
}

#[test]
fn rubbish_in_what_lies_behind_is_endured() {
    let _watchdog = watchdog!(200);
    for form in [Form::Word, Form::Line, Form::Bytes] {
        endure(form, WaitWay::SpinPark, 8192, usize::MAX, 20);
    }
}

#[test]
fn a_storm_of_rubbish_is_endured() {
    let _watchdog = watchdog!(200);
    for form in [Form::Word, Form::Bytes] {
        endure(form, WaitWay::SpinPark, 0, usize::MAX, 0);
        endure(form, WaitWay::Spin, 4096, usize::MAX, 50);
    }
}

#[test]
fn every_flipped_byte_of_the_header_is_met_with_an_error_or_does_not_matter() {
    let _watchdog = watchdog!(120);
    let name = Name::new("header");
    drop(
        Config::mpmc()
            .capacity(16)
            .create::<u64>(name.as_str())
            .unwrap(),
    );
    let sound = fs::read(name.file()).unwrap();
    let file = fs::File::options().write(true).open(name.file()).unwrap();
    let mut variants = BTreeSet::new();
    for at in 0..4096 {
        for flip in [0x01, 0x80, 0xff] {
            let mut patched = sound.clone();
            patched[at] ^= flip;
            std::os::unix::fs::FileExt::write_all_at(&file, &patched, 0).unwrap();
            match multi::Ring::<u64>::open(name.as_str()) {
                Ok(ring) => {
                    assert!(sound[at] == 0 || at >= 16, "byte {at} is part of the magic");
                    assert_eq!(ring.capacity(), 16, "byte {at} changed the geometry unseen");
                    let mut tx = ring.producer().unwrap();
                    let mut rx = ring.consumer().unwrap();
                    for n in 0..40 {
                        tx.try_send(n).unwrap();
                        assert_eq!(rx.try_recv(), Ok(n), "byte {at}");
                    }
                }
                Err(error) => {
                    let message = error.to_string();
                    let helps =
                        message.contains(name.as_str()) && message.len() > name.as_str().len() + 20;
                    assert!(helps, "{message}");
                    variants.insert(variant(&error));
                }
            }
        }
    }
    let expected = [
        "NotARing",
        "WrongVersion",
        "WrongKind",
        "WrongType",
        "Corrupt",
    ];
    for expected in expected {
        assert!(
            variants.contains(expected),
            "{expected} is not in {variants:?}"
        );
    }
}

#[test]
fn a_ring_that_was_cut_short_is_refused() {
    let _watchdog = watchdog!(60);
    let name = Name::new("short");
    for form in [Form::Word, Form::Bytes] {
        let config = Config::mpmc().capacity(4096).participants(16);
        form.create_multi(&config, name.as_str()).unwrap();
        let file = fs::File::options().write(true).open(name.file()).unwrap();
        let len = file.metadata().unwrap().len();
        for cut in [len - 1, len - 4096, len / 2, 4096, 100, 0] {
            file.set_len(cut).unwrap();
            let refused = multi::Ring::<u64>::open(name.as_str()).map(|_| ());
            let bytes_refused = multi::Ring::<[u8]>::open(name.as_str()).map(|_| ());
            for refused in [refused, bytes_refused] {
                assert!(refused.is_err(), "{cut} bytes of {len}, {form:?}");
            }
        }
        shm_ringbuf::unlink(name.as_str()).unwrap();
    }
}

/// The name of the variant of an error.
fn variant(error: &Error) -> String {
    let debug = format!("{error:?}");
    let name = debug.split(|c: char| !c.is_alphanumeric()).next();
    name.unwrap_or_default().to_owned()
}
