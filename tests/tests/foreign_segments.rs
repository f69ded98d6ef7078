//! What is found under a name and is not the ring that was asked for: told apart, never touched.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions as Files};
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::Path;

use integration_tests::names::{Folder, Name};
use integration_tests::watchdog;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use shm_ringbuf::{Config, Error, OpenOptions, Ring};

fn config() -> Config {
    Config::spsc().capacity(16)
}

/// The name of the variant of an error.
fn variant(error: &Error) -> String {
    let debug = format!("{error:?}");
    debug
        .split(|c: char| !c.is_alphanumeric())
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// Fails unless the message says what it is about, and enough.
fn assert_helpful(error: &Error, name: &str) {
    let message = error.to_string();
    assert!(message.contains(name), "names the ring: {message}");
    assert!(
        message.len() > name.len() + 20,
        "says why and what to do: {message}"
    );
}

#[test]
fn a_ring_of_another_type_is_refused() {
    let _watchdog = watchdog!(60);
    let name = Name::new("type");
    let _ring = config().create::<u64>(name.as_str()).unwrap();
    let errors = [
        Ring::<[u64; 8]>::open(name.as_str()).unwrap_err(),
        Ring::<u32>::open(name.as_str()).unwrap_err(),
        // As large, but less aligned.
        Ring::<[u8; 8]>::open(name.as_str()).unwrap_err(),
        config()
            .open_or_create::<[u32; 2]>(name.as_str())
            .unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, Error::WrongType { .. }), "{error:?}");
        assert_helpful(&error, name.as_str());
    }
    Ring::<i64>::open(name.as_str()).expect("as large and as aligned");
}

#[test]
fn a_ring_of_the_other_kind_is_refused() {
    let _watchdog = watchdog!(60);
    let (typed, bytes) = (Name::new("typed"), Name::new("bytes"));
    let _typed = config().create::<u64>(typed.as_str()).unwrap();
    let _bytes = config().create::<[u8]>(bytes.as_str()).unwrap();
    let errors = [
        (Ring::<[u8]>::open(typed.as_str()).unwrap_err(), &typed),
        (Ring::<u64>::open(bytes.as_str()).unwrap_err(), &bytes),
        (Ring::<u8>::open(bytes.as_str()).unwrap_err(), &bytes),
        (
            config().open_or_create::<[u8]>(typed.as_str()).unwrap_err(),
            &typed,
        ),
    ];
    for (error, name) in errors {
        assert!(matches!(error, Error::WrongKind { .. }), "{error:?}");
        assert_helpful(&error, name.as_str());
    }
}

#[test]
fn a_ring_with_another_tag_is_refused() {
    let _watchdog = watchdog!(60);
    let name = Name::new("tag");
    let _ring = config().tag(0xfeed).create::<u64>(name.as_str()).unwrap();
    let errors = [
        OpenOptions::new()
            .tag(0xbeef)
            .open::<u64>(name.as_str())
            .unwrap_err(),
        Ring::<u64>::open(name.as_str()).unwrap_err(),
        config()
            .tag(1)
            .open_or_create::<u64>(name.as_str())
            .unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, Error::WrongType { .. }), "{error:?}");
        assert_helpful(&error, name.as_str());
    }
    OpenOptions::new()
        .tag(0xfeed)
        .open::<u64>(name.as_str())
        .unwrap();
    config()
        .tag(0xfeed)
        .open_or_create::<u64>(name.as_str())
        .unwrap();
}

#[test]
fn every_flipped_byte_of_the_header_is_met_with_an_error_or_does_not_matter() {
    let _watchdog = watchdog!(120);
    let name = Name::new("header");
    drop(config().create::<u64>(name.as_str()).unwrap());
    let sound = fs::read(name.file()).unwrap();
    let mut variants = BTreeSet::new();
    for at in 0..4096 {
        for flip in [0x01, 0x80, 0xff] {
            let mut patched = sound.clone();
            patched[at] ^= flip;
            fs::write(name.file(), &patched).unwrap();
            match Ring::<u64>::open(name.as_str()) {
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
                    assert_helpful(&error, name.as_str());
                    variants.insert(variant(&error));
                }
            }
        }
    }
    for expected in [
        "NotARing",
        "WrongVersion",
        "WrongKind",
        "WrongType",
        "Corrupt",
    ] {
        assert!(
            variants.contains(expected),
            "{expected} is not among {variants:?}"
        );
    }
}

#[test]
fn a_truncated_segment_is_refused_at_any_length() {
    let _watchdog = watchdog!(60);
    for capacity in [16, 1 << 14] {
        let name = Name::new("truncated");
        drop(
            Config::spsc()
                .capacity(capacity)
                .create::<u64>(name.as_str())
                .unwrap(),
        );
        let sound = fs::read(name.file()).unwrap();
        let len = sound.len();
        let lengths = (0..300).chain([1000, 4095, 4096, 4097, 8191, 8192, len / 2]);
        for short in lengths
            .chain([len - 4096, len - 8, len - 1])
            .filter(|short| *short < len)
        {
            fs::write(name.file(), &sound[..short]).unwrap();
            let refused = Ring::<u64>::open(name.as_str()).map(|_| ()).unwrap_err();
            let fits = matches!(refused, Error::Truncated { .. })
                || short < 4096 && matches!(refused, Error::NotARing { .. });
            assert!(fits, "{short} of {len} bytes: {refused:?}");
            assert_helpful(&refused, name.as_str());
        }
    }
}

#[test]
fn a_file_that_is_no_ring_is_refused_and_left_as_it_is() {
    let _watchdog = watchdog!(60);
    let name = Name::new("foreign");
    let mut noise = vec![0; 1 << 16];
    fastrand::Rng::with_seed(1).fill(&mut noise);
    let zeros = vec![0; 1 << 16];
    let contents: [&[u8]; 5] = [b"", b"hello\n", &zeros, &noise, &[0xff; 8192]];
    for content in contents {
        fs::write(name.file(), content).unwrap();
        let opened = Ring::<u64>::open(name.as_str()).map(|_| ()).unwrap_err();
        let fits = matches!(opened, Error::NotARing { .. })
            || content.len() < 4096 && matches!(opened, Error::Truncated { .. });
        assert!(fits, "{} bytes: {opened:?}", content.len());
        assert_helpful(&opened, name.as_str());
        let created = config()
            .create::<u64>(name.as_str())
            .map(|_| ())
            .unwrap_err();
        assert!(
            matches!(created, Error::AlreadyExists { .. }),
            "{created:?}"
        );
        let either = config()
            .open_or_create::<u64>(name.as_str())
            .map(|_| ())
            .unwrap_err();
        assert_eq!(variant(&either), variant(&opened));
        assert_eq!(
            fs::read(name.file()).unwrap(),
            content,
            "it is left as it is"
        );
    }
}

#[test]
fn what_is_no_file_is_refused_without_waiting() {
    let _watchdog = watchdog!(60);
    let folder = Folder::new("no-file");
    fs::create_dir(folder.entry("folder")).unwrap();
    mkfifo(Path::new(&folder.entry("fifo")), Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.entry("socket")).unwrap();
    for kind in ["folder", "fifo", "socket"] {
        let name = folder.entry(kind);
        let opened = Ring::<u64>::open(&name).map(|_| ()).unwrap_err();
        assert!(
            matches!(opened, Error::NotARing { .. }),
            "{kind}: {opened:?}"
        );
        assert_helpful(&opened, &name);
        let created = config().create::<u64>(&name).map(|_| ()).unwrap_err();
        assert!(
            matches!(created, Error::AlreadyExists { .. }),
            "{kind}: {created:?}"
        );
        assert!(config().open_or_create::<u64>(&name).is_err(), "{kind}");
    }
    assert_eq!(folder.list(), ["fifo", "folder", "socket"]);
}

#[test]
fn a_planted_symlink_is_refused_and_its_target_unchanged() {
    let _watchdog = watchdog!(60);
    let name = Name::new("symlink");
    let folder = Folder::new("symlink");
    let target = folder.path().join("target");
    fs::write(&target, "precious").unwrap();
    let before = fs::metadata(&target).unwrap();
    for target in [&target, &folder.path().join("nowhere")] {
        symlink(target, name.file()).unwrap();
        let opened = Ring::<u64>::open(name.as_str()).map(|_| ()).unwrap_err();
        assert!(matches!(opened, Error::SymbolicLink { .. }), "{opened:?}");
        assert_helpful(&opened, name.as_str());
        let created = config()
            .create::<u64>(name.as_str())
            .map(|_| ())
            .unwrap_err();
        let fits = matches!(
            created,
            Error::AlreadyExists { .. } | Error::SymbolicLink { .. }
        );
        assert!(fits, "{created:?}");
        let either = config()
            .open_or_create::<u64>(name.as_str())
            .map(|_| ())
            .unwrap_err();
        assert!(matches!(either, Error::SymbolicLink { .. }), "{either:?}");
        assert!(
            fs::symlink_metadata(name.file()).unwrap().is_symlink(),
            "the link is still there"
        );
        fs::remove_file(name.file()).unwrap();
    }
    let after = fs::metadata(&target).unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    assert_eq!(before.modified().unwrap(), after.modified().unwrap());
    assert_eq!(
        folder.list(),
        ["target"],
        "nothing was made where the other link points"
    );
}

#[test]
fn even_a_link_to_a_sound_ring_is_refused() {
    let _watchdog = watchdog!(60);
    let (name, link) = (Name::new("sound"), Name::new("link"));
    let _ring = config().create::<u64>(name.as_str()).unwrap();
    symlink(name.file(), link.file()).unwrap();
    let opened = Ring::<u64>::open(link.as_str()).map(|_| ()).unwrap_err();
    assert!(matches!(opened, Error::SymbolicLink { .. }), "{opened:?}");
    // The same goes for a path.
    let path = link.file().to_str().unwrap().to_owned();
    let opened = Ring::<u64>::open(&path).map(|_| ()).unwrap_err();
    assert!(matches!(opened, Error::SymbolicLink { .. }), "{opened:?}");
    shm_ringbuf::unlink(link.as_str()).expect("a link is unlinked, not its target");
    Ring::<u64>::open(name.as_str()).expect("the ring is still there");
}

#[test]
fn a_segment_that_grew_is_opened_as_it_was_or_refused() {
    let _watchdog = watchdog!(60);
    let name = Name::new("grown");
    drop(config().create::<u64>(name.as_str()).unwrap());
    let file = Files::new().write(true).open(name.file()).unwrap();
    let len = file.metadata().unwrap().len();
    file.write_all_at(&[0xaa; 5000], len).unwrap();
    match Ring::<u64>::open(name.as_str()) {
        Ok(ring) => {
            assert_eq!(ring.capacity(), 16);
            let mut rx = ring.consumer().unwrap();
            ring.producer().unwrap().send(5).unwrap();
            assert_eq!(rx.recv(), Ok(5));
        }
        Err(error) => assert_helpful(&error, name.as_str()),
    }
}
