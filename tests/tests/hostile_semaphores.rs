//! What is found under the name of a semaphore and is none, is one no longer, or is written over while others use it: typed errors, and nothing worse.

#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions as Files};
use std::os::unix::fs::{FileExt as _, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use integration_tests::children::Peer;
use integration_tests::names::{Folder, Name};
use integration_tests::{ring_peer, short_or_long, watchdog};
use memmap2::{MmapOptions, MmapRaw};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use shm_semaphore::{Error, NamedSemaphore, Semaphore, SemaphoreOptions};

/// Every wait has an end.
const BRIEF: Duration = Duration::from_millis(1);

fn options() -> SemaphoreOptions {
    SemaphoreOptions::new().participants(4)
}

fn made(name: &Name) -> NamedSemaphore {
    options().create(name.as_str(), 3).unwrap()
}

fn refusal(result: Result<NamedSemaphore, Error>) -> Error {
    match result {
        Ok(semaphore) => panic!("{semaphore:?} was not refused"),
        Err(error) => error,
    }
}

/// The name of the variant of an error.
fn variant(error: &Error) -> String {
    let debug = format!("{error:?}");
    let end = debug.find(|c: char| !c.is_alphanumeric());
    debug[..end.unwrap_or(debug.len())].to_owned()
}

/// Fails unless the message says what it is about, and enough.
fn assert_helpful(error: &Error, name: &str) {
    let message = error.to_string();
    assert!(message.contains(name), "names the semaphore: {message}");
    assert!(
        message.len() > name.len() + 20,
        "says why and what to do: {message}"
    );
}

/// Whether another creator would have written the same header but for this word: other flags, or as many seats as lie in as many pages.
fn is_another_header(at: usize, value: u64) -> bool {
    at == 24 && value < 4 || at == 16 && (1..=(8192 - 4224) / 128).contains(&value)
}

#[test]
fn every_flipped_byte_of_the_header_is_met_with_an_error_or_does_not_matter() {
    let _watchdog = watchdog!(120);
    let name = Name::new("header");
    drop(made(&name));
    let sound = fs::read(name.file()).unwrap();
    let mut variants = BTreeSet::new();
    for at in (0..80).chain([1000, 4095]) {
        for flip in [0x01, 0x02, 0x04, 0x80, 0xff] {
            let mut patched = sound.clone();
            patched[at] ^= flip;
            fs::write(name.file(), &patched).unwrap();
            match Semaphore::open(name.as_str()) {
                Ok(semaphore) => {
                    assert!(
                        at >= 40 || is_another_header(at & !7, patched[at].into()),
                        "byte {at} ^ {flip:#x}"
                    );
                    let seats = if at == 16 { patched[at] } else { sound[16] };
                    semaphore.acquire_many(3).unwrap();
                    semaphore.release(3).unwrap();
                    let clones: Vec<_> =
                        (1..seats).map(|_| semaphore.try_clone().unwrap()).collect();
                    assert!(semaphore.try_clone().is_err(), "byte {at}");
                    drop(clones);
                }
                Err(error) => {
                    assert_helpful(&error, name.as_str());
                    variants.insert(variant(&error));
                }
            }
        }
    }
    for expected in ["NotASemaphore", "WrongVersion", "Corrupt"] {
        assert!(
            variants.contains(expected),
            "{expected} is not among {variants:?}"
        );
    }
}

#[test]
fn a_header_with_nasty_words_is_refused() {
    let _watchdog = watchdog!(60);
    let name = Name::new("nasty-header");
    drop(made(&name));
    let sound = fs::read(name.file()).unwrap();
    for at in (0..40).step_by(8) {
        let old = u64::from_ne_bytes(sound[at..at + 8].try_into().unwrap());
        for value in nasty(old) {
            let mut patched = sound.clone();
            patched[at..at + 8].copy_from_slice(&value.to_ne_bytes());
            fs::write(name.file(), &patched).unwrap();
            let is_sound = value == old || is_another_header(at, value);
            match Semaphore::open(name.as_str()) {
                Ok(_) => assert!(is_sound, "the word at {at}: {value:#x}"),
                Err(error) => assert_helpful(&error, name.as_str()),
            }
        }
    }
}

#[test]
fn a_truncated_segment_is_refused_at_any_length() {
    let _watchdog = watchdog!(60);
    for participants in [4, 1023] {
        let name = Name::new("truncated");
        let options = SemaphoreOptions::new().participants(participants);
        drop(options.create(name.as_str(), 1).unwrap());
        let sound = fs::read(name.file()).unwrap();
        let len = sound.len();
        let lengths = (0..300).chain([1000, 4095, 4096, 4097, 4128, 4224, 4352, 8191, len / 2]);
        for short in lengths
            .chain([len - 4096, len - 8, len - 1])
            .filter(|short| *short < len)
        {
            fs::write(name.file(), &sound[..short]).unwrap();
            let refused = refusal(Semaphore::open(name.as_str()));
            let fits = matches!(refused, Error::Truncated { .. })
                || short < 8 && matches!(refused, Error::NotASemaphore { .. });
            assert!(fits, "{short} of {len} bytes: {refused:?}");
            assert_helpful(&refused, name.as_str());
            let either = refusal(Semaphore::open_or_create(name.as_str(), 1));
            assert_eq!(variant(&either), variant(&refused));
            assert_eq!(fs::read(name.file()).unwrap(), &sound[..short]);
        }
    }
}

#[test]
fn a_file_that_is_no_semaphore_is_refused_and_left_as_it_is() {
    let _watchdog = watchdog!(60);
    let (name, ring) = (Name::new("foreign"), Name::new("ring"));
    let mut noise = vec![0; 1 << 16];
    fastrand::Rng::with_seed(1).fill(&mut noise);
    let _ring = shm_ringbuf::Config::spsc()
        .capacity(16)
        .create::<u64>(ring.as_str())
        .unwrap();
    let ring_bytes = fs::read(ring.file()).unwrap();
    let contents: [&[u8]; 6] = [
        b"",
        b"hello\n",
        &[0; 8192],
        &[0xff; 8192],
        &noise,
        &ring_bytes,
    ];
    for content in contents {
        fs::write(name.file(), content).unwrap();
        let opened = refusal(Semaphore::open(name.as_str()));
        assert!(
            matches!(opened, Error::NotASemaphore { .. }),
            "{} bytes: {opened:?}",
            content.len()
        );
        assert_helpful(&opened, name.as_str());
        let created = refusal(Semaphore::create(name.as_str(), 1));
        assert!(
            matches!(created, Error::AlreadyExists { .. }),
            "{created:?}"
        );
        let either = refusal(Semaphore::open_or_create(name.as_str(), 1));
        assert_eq!(variant(&either), variant(&opened));
        assert_eq!(fs::read(name.file()).unwrap(), content);
    }
    // Nor is a semaphore a ring.
    fs::remove_file(name.file()).unwrap();
    let _semaphore = made(&name);
    let opened = shm_ringbuf::Ring::<u64>::open(name.as_str()).map(|_| ());
    assert!(
        matches!(opened, Err(shm_ringbuf::Error::NotARing { .. })),
        "{opened:?}"
    );
    assert_eq!(name.leftovers(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn what_is_no_file_is_refused_without_waiting() {
    let _watchdog = watchdog!(60);
    for kind in ["folder", "fifo", "socket"] {
        let name = Name::new(kind);
        let _listener = match kind {
            "folder" => {
                fs::create_dir(name.file()).unwrap();
                None
            }
            "fifo" => {
                mkfifo(&name.file(), Mode::S_IRWXU).unwrap();
                None
            }
            _ => Some(std::os::unix::net::UnixListener::bind(name.file()).unwrap()),
        };
        let opened = refusal(Semaphore::open(name.as_str()));
        assert!(
            matches!(opened, Error::NotASemaphore { .. }),
            "{kind}: {opened:?}"
        );
        assert_helpful(&opened, name.as_str());
        let created = refusal(Semaphore::create(name.as_str(), 1));
        assert!(
            matches!(created, Error::AlreadyExists { .. }),
            "{kind}: {created:?}"
        );
        refusal(Semaphore::open_or_create(name.as_str(), 1));
        assert!(
            fs::symlink_metadata(name.file()).is_ok(),
            "it is still there"
        );
    }
}

#[test]
fn a_link_is_refused_even_to_a_sound_semaphore_and_its_target_unchanged() {
    let _watchdog = watchdog!(60);
    let (sound, link) = (Name::new("sound"), Name::new("link"));
    let _semaphore = made(&sound);
    let folder = Folder::new("link");
    let target = folder.path().join("target");
    fs::write(&target, "precious").unwrap();
    for target in [&target, &folder.path().join("nowhere"), &sound.file()] {
        symlink(target, link.file()).unwrap();
        let opened = refusal(Semaphore::open(link.as_str()));
        assert!(matches!(opened, Error::SymbolicLink { .. }), "{opened:?}");
        assert_helpful(&opened, link.as_str());
        let created = refusal(Semaphore::create(link.as_str(), 1));
        let fits = matches!(
            created,
            Error::AlreadyExists { .. } | Error::SymbolicLink { .. }
        );
        assert!(fits, "{created:?}");
        let either = refusal(Semaphore::open_or_create(link.as_str(), 1));
        assert!(matches!(either, Error::SymbolicLink { .. }), "{either:?}");
        Semaphore::unlink(link.as_str()).expect("a link is unlinked, not its target");
    }
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    assert_eq!(folder.list(), ["target"]);
    assert_eq!(Semaphore::open(sound.as_str()).unwrap().permits(), 3);
}

#[test]
fn a_segment_that_grew_is_opened_as_it_was_or_refused() {
    let _watchdog = watchdog!(60);
    let name = Name::new("grown");
    drop(made(&name));
    let file = Files::new().write(true).open(name.file()).unwrap();
    let len = file.metadata().unwrap().len();
    file.write_all_at(&[0xaa; 5000], len).unwrap();
    match Semaphore::open(name.as_str()) {
        Ok(semaphore) => {
            assert_eq!((semaphore.permits(), semaphore.participants()), (3, 1));
            drop(semaphore.acquire_many_owned(3).unwrap());
        }
        Err(error) => assert_helpful(&error, name.as_str()),
    }
}

/// So many of the nasty values are no single bits.
const EXTREMES: usize = 10;

/// Values made to hurt: extremes, near misses and single bits.
fn nasty(old: u64) -> Vec<u64> {
    let mut values = vec![
        0,
        1,
        u64::MAX,
        u64::MAX - 1,
        i64::MAX as u64,
        old.wrapping_add(1),
        old.wrapping_sub(1),
        !old,
        old ^ 0xffff_ffff,
        old ^ 0xffff_ffff << 32,
    ];
    values.extend((0..64).map(|bit| old ^ 1 << bit));
    values
}

fn map(name: &Name) -> MmapRaw {
    let file = Files::new().read(true).write(true).open(name.file());
    MmapOptions::new().map_raw(&file.unwrap()).unwrap()
}

fn word(map: &MmapRaw, at: usize) -> &AtomicU64 {
    assert!(at + 8 <= map.len() && at.is_multiple_of(8));
    let word: *mut u64 = map.as_mut_ptr().wrapping_add(at).cast();
    // SAFETY: aligned and inside the mapping, which lives as long as the reference.
    unsafe { AtomicU64::from_ptr(word) }
}

/// All operations, whatever they answer.
fn use_all(semaphore: &NamedSemaphore) {
    let _ = (semaphore.permits(), semaphore.participants());
    let _ = semaphore.try_acquire();
    let _ = semaphore.release(1);
    let _ = semaphore.try_acquire_many(Semaphore::MAX_PERMITS);
    let owned = semaphore.try_acquire_many_owned(2);
    let more = semaphore.acquire_owned_timeout(BRIEF);
    let _ = semaphore.prepare_wait();
    drop((owned, more));
    let _ = semaphore.acquire_many_timeout(2, BRIEF);
    let _ = semaphore.release(Semaphore::MAX_PERMITS);
    let _ = semaphore.try_acquire_owned().map(std::mem::forget);
    let _ = semaphore.try_clone().map(|other| {
        let _ = other.acquire_owned_timeout(BRIEF);
    });
}

#[test]
fn no_value_of_any_shared_word_leads_to_more_than_an_error() {
    let _watchdog = watchdog!(200);
    // The words of all; our seat, that of another handle, that of a dead one and a free one.
    let words =
        (4096..4128).chain((0..4).flat_map(|seat| 4224 + 128 * seat..4224 + 128 * seat + 48));
    for alone in [false, true] {
        for at in words.clone().step_by(8) {
            for turn in 0.. {
                let name = Name::new("every-word");
                let ours = made(&name);
                let other = ours.try_clone().unwrap();
                std::mem::forget(other.acquire_owned().unwrap());
                if alone {
                    // So that it has it to itself.
                    (0..1200).for_each(|_| drop(ours.acquire_owned().unwrap()));
                }
                let map = map(&name);
                let word = word(&map, at);
                let old = word.load(Ordering::SeqCst);
                let nasty = nasty(old);
                if turn >= nasty.len() {
                    break;
                }
                // The short form takes some of the single bits, others each time.
                if turn >= EXTREMES && short_or_long(fastrand::u8(..4) != 0, false) {
                    continue;
                }
                let value = nasty[turn];
                word.store(value, Ordering::SeqCst);
                let result = catch_unwind(AssertUnwindSafe(|| {
                    use_all(&ours);
                    use_all(&other);
                    drop(ours);
                    use_all(&other);
                    drop(other);
                    let _ = Semaphore::open(name.as_str()).map(|late| use_all(&late));
                }));
                assert!(
                    result.is_ok(),
                    "the word at {at} went from {old:#x} to {value:#x}, alone: {alone}"
                );
            }
        }
    }
}

/// Lets peers endure a scribbler, and opens the semaphore meanwhile.
fn endure(from: usize, to: usize, pause_us: usize, asymmetric: bool) {
    let name = Name::new("scribble");
    let made = SemaphoreOptions::new()
        .participants(16)
        .asymmetric(asymmetric)
        .create(name.as_str(), 3);
    drop(made.unwrap());
    let time = short_or_long("400", "5000");
    let mut peers: Vec<Peer> = (0..3)
        .map(|_| {
            let arguments = [
                "endure-semaphore",
                "--name",
                name.as_str(),
                "--for-ms",
                time,
            ];
            Peer::start(ring_peer!(), &arguments)
        })
        .collect();
    for peer in &mut peers {
        peer.expect("ready");
    }
    let seed = fastrand::u64(..).to_string();
    let file = name.file();
    let numbers = [from, to, pause_us].map(|number| number.to_string());
    let mut arguments = vec!["scribble", file.to_str().unwrap(), "--seed", &seed];
    arguments.extend(["--from", &numbers[0], "--to", &numbers[1]]);
    arguments.extend(["--pause-us", &numbers[2]]);
    let mut scribbler = Peer::start(ring_peer!(), &arguments);
    scribbler.expect("ready");
    for _ in 0..50 {
        // Any typed answer will do, and a panic or a signal will not.
        if let Ok(semaphore) = Semaphore::open(name.as_str()) {
            use_all(&semaphore);
        }
        std::thread::sleep(2 * BRIEF);
    }
    for mut peer in peers {
        let said = peer.line();
        let status = peer.wait();
        let endured = said
            .as_ref()
            .is_some_and(|said| said.starts_with("endured "));
        assert!(
            endured && status.success(),
            "{from}..{to}, seed {seed}: {said:?}, {status}"
        );
        eprintln!("{said:?}");
    }
}

/// The words of all, and of all of the seats.
const SHARED: (usize, usize) = (4096, 4224 + 16 * 128);

#[test]
fn rubbish_anywhere_in_the_segment_is_endured() {
    let _watchdog = watchdog!(200);
    for asymmetric in [true, false] {
        endure(0, usize::MAX, 100, asymmetric);
        endure(SHARED.0, SHARED.1, 50, asymmetric);
    }
}

#[test]
fn rubbish_in_the_words_of_all_is_endured() {
    let _watchdog = watchdog!(200);
    for asymmetric in [true, false] {
        endure(4096, 4128, 500, asymmetric);
        endure(4096, 4128, 20, asymmetric);
    }
}

#[test]
fn rubbish_in_the_seats_is_endured() {
    let _watchdog = watchdog!(200);
    for asymmetric in [true, false] {
        endure(4224, 4224 + 4 * 128, 200, asymmetric);
        endure(4224, 4224 + 4 * 128, 5, asymmetric);
    }
}

#[test]
fn a_storm_of_rubbish_is_endured() {
    let _watchdog = watchdog!(200);
    endure(4096, 4128, 0, true);
    endure(SHARED.0, SHARED.1, 0, true);
}
