//! Names: who creates, who opens, who comes too late, and creators that die on the way.

use std::collections::BTreeSet;
use std::time::Duration;

use integration_tests::children::Peer;
use integration_tests::names::{Folder, Name};
use integration_tests::{ring_peer, short_or_long, watchdog};
use nix::time::{ClockId, clock_gettime};
use shm_ringbuf::{Config, Error, Ring};

fn small() -> Config {
    Config::spsc().capacity(16)
}

fn in_5_ms() -> i64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap();
    now.tv_sec() * 1_000_000_000 + now.tv_nsec() + 5_000_000
}

/// Works in either direction over two handles.
fn assert_same_ring(ours: &Ring<u64>, theirs: &Ring<u64>) {
    let mut tx = ours.producer().unwrap();
    let mut rx = theirs.consumer().unwrap();
    tx.send(42).unwrap();
    assert_eq!(rx.recv(), Ok(42));
}

#[test]
fn a_ring_is_found_by_its_name_until_it_is_unlinked() {
    let _watchdog = watchdog!(60);
    let name = Name::new("found");
    assert!(matches!(
        Ring::<u64>::open(name.as_str()),
        Err(Error::NotFound { .. })
    ));
    let ring: Ring<u64> = small().create(name.as_str()).unwrap();
    assert_eq!(ring.name(), Some(name.as_str()));
    assert!(name.file().is_file());
    let found = Ring::<u64>::open(name.as_str()).unwrap();
    assert_eq!((found.capacity(), found.name()), (16, Some(name.as_str())));
    assert_same_ring(&ring, &found);
    shm_ringbuf::unlink(name.as_str()).unwrap();
    assert!(!name.file().exists());
    assert!(matches!(
        Ring::<u64>::open(name.as_str()),
        Err(Error::NotFound { .. })
    ));
    assert!(matches!(
        shm_ringbuf::unlink(name.as_str()),
        Err(Error::NotFound { .. })
    ));
    assert_same_ring(&found, &ring);
    assert!(name.leftovers().is_empty());
}

#[test]
fn a_name_that_is_in_use_cannot_be_created_again() {
    let _watchdog = watchdog!(60);
    let name = Name::new("twice");
    let first: Ring<u64> = small().create(name.as_str()).unwrap();
    let mut tx = first.producer().unwrap();
    tx.send(7).unwrap();
    for _ in 0..3 {
        let again = small().create::<u64>(name.as_str());
        assert!(
            matches!(again, Err(Error::AlreadyExists { .. })),
            "{again:?}"
        );
        assert!(again.unwrap_err().to_string().contains(name.as_str()));
    }
    let opened = small().open_or_create::<u64>(name.as_str()).unwrap();
    assert_eq!(
        opened.consumer().unwrap().recv(),
        Ok(7),
        "it is the first one"
    );
}

#[test]
fn a_new_ring_under_an_old_name_is_another_ring() {
    let _watchdog = watchdog!(60);
    let name = Name::new("old-name");
    let old: Ring<u64> = small().create(name.as_str()).unwrap();
    old.producer().unwrap().send(1).unwrap();
    shm_ringbuf::unlink(name.as_str()).unwrap();
    let new: Ring<u64> = small().create(name.as_str()).unwrap();
    let mut rx = new.consumer().unwrap();
    assert!(rx.try_recv().is_err());
    assert_eq!(
        old.consumer().unwrap().recv(),
        Ok(1),
        "the old one lives on, nameless"
    );
}

#[test]
fn a_path_in_any_folder_is_a_name() {
    let _watchdog = watchdog!(60);
    let folder = Folder::new("paths");
    let name = folder.entry("ring");
    let ring: Ring<u64> = small().create(&name).unwrap();
    assert_eq!(folder.list(), ["ring"]);
    assert_same_ring(&ring, &Ring::open(&name).unwrap());
    assert!(matches!(
        small().create::<u64>(&name),
        Err(Error::AlreadyExists { .. })
    ));
    shm_ringbuf::unlink(&name).unwrap();
    assert!(folder.list().is_empty());
    let nowhere = folder.entry("no/such/folder");
    assert!(matches!(
        small().create::<u64>(&nowhere),
        Err(Error::NotFound { .. })
    ));
    assert!(matches!(
        Ring::<u64>::open(&nowhere),
        Err(Error::NotFound { .. })
    ));
}

#[test]
fn a_path_on_a_disk_is_a_name_where_the_file_system_can() {
    let _watchdog = watchdog!(60);
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("ring").to_str().unwrap().to_owned();
    match small().create::<u64>(&name) {
        Ok(ring) => assert_same_ring(&ring, &Ring::open(&name).unwrap()),
        Err(Error::Unsupported { .. }) => {
            integration_tests::skip_aloud("a ring on a disk", "no O_TMPFILE there");
        }
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_name_that_can_not_be_is_refused_with_a_reason() {
    let _watchdog = watchdog!(60);
    let long = format!("/{}", "x".repeat(256));
    let names = [
        "",
        "/",
        "word",
        "/nul\0inside",
        "/.",
        "/..",
        "./",
        "/dev/shm/",
        &long,
    ];
    for name in names {
        let created = small().create::<u64>(name);
        assert!(
            matches!(created, Err(Error::InvalidName { .. })),
            "create {name:?}: {created:?}"
        );
        let opened = Ring::<u64>::open(name);
        assert!(
            matches!(opened, Err(Error::InvalidName { .. })),
            "open {name:?}: {opened:?}"
        );
        let either = small().open_or_create::<u64>(name);
        assert!(
            matches!(either, Err(Error::InvalidName { .. })),
            "either {name:?}: {either:?}"
        );
        let unlinked = shm_ringbuf::unlink(name);
        assert!(
            matches!(unlinked, Err(Error::InvalidName { .. })),
            "unlink {name:?}"
        );
        assert!(
            unlinked.unwrap_err().to_string().len() > 20,
            "says why and what to do"
        );
    }
}

#[test]
fn the_longest_name_that_a_file_may_have_is_a_name() {
    let _watchdog = watchdog!(60);
    let name = Name::new("long");
    let longest = format!("{name}{}", "x".repeat(256 - name.as_str().len()));
    assert_eq!(longest.len(), 256, "a slash and 255 characters");
    // What is left of it goes with the name that is its prefix.
    let ring: Ring<u64> = small().create(&longest).unwrap();
    assert_same_ring(&ring, &Ring::open(&longest).unwrap());
    let accents = format!("{name}-ä-→");
    let ring: Ring<u64> = small().create(&accents).unwrap();
    assert_same_ring(&ring, &Ring::open(&accents).unwrap());
}

#[test]
fn a_config_that_can_not_be_is_refused_with_a_reason() {
    let _watchdog = watchdog!(60);
    let name = Name::new("config");
    for capacity in [0, usize::MAX, usize::MAX / 2, usize::MAX / 2 + 2, 1 << 62] {
        let created = Config::spsc()
            .capacity(capacity)
            .create::<[u64; 8]>(name.as_str());
        let fits = matches!(
            created,
            Err(Error::InvalidConfig { .. } | Error::NoSpace { .. })
        );
        assert!(
            fits && (capacity != 0 || !matches!(created, Err(Error::NoSpace { .. }))),
            "{created:?}"
        );
        let created = Config::spsc().capacity(capacity).anonymous::<[u8]>();
        assert!(
            matches!(
                created,
                Err(Error::InvalidConfig { .. } | Error::NoSpace { .. })
            ),
            "{capacity}: {created:?}"
        );
    }
    assert!(!name.file().exists() && name.leftovers().is_empty());
}

#[test]
fn capacities_are_rounded_up_to_powers_of_two() {
    let _watchdog = watchdog!(60);
    for (asked, given) in [(2, 2), (3, 4), (1000, 1024), (1024, 1024)] {
        let ring = Config::spsc().capacity(asked).anonymous::<u64>().unwrap();
        assert_eq!(ring.capacity(), given);
        assert_eq!(ring.producer().unwrap().capacity(), given);
        assert_eq!(ring.max_message_len(), 8);
    }
    for (asked, given) in [(1, 4096), (4097, 8192), (100_000, 131_072)] {
        let ring = Config::spsc().capacity(asked).anonymous::<[u8]>().unwrap();
        assert_eq!(ring.capacity(), given);
        assert!(ring.max_message_len() < given && ring.max_message_len() >= 1000);
    }
}

/// Starts racers for a name, ready to go.
fn racers(name: &str, count: usize) -> Vec<Peer> {
    let mut racers: Vec<Peer> = (0..count)
        .map(|_| Peer::start(ring_peer!(), &["racer", name]))
        .collect();
    for racer in &mut racers {
        racer.expect("ready");
    }
    racers
}

fn race(racers: &mut [Peer], order: &str) -> Vec<String> {
    let start = in_5_ms();
    for racer in racers.iter_mut() {
        racer.say(&format!("{order} {start}"));
    }
    racers
        .iter_mut()
        .map(|racer| racer.line().expect("an answer"))
        .collect()
}

#[test]
fn of_many_that_open_or_create_at_once_all_get_the_same_ring() {
    let _watchdog = watchdog!(120);
    let folder = Folder::new("race");
    let name = folder.entry("ring");
    let mut racers = racers(&name, 12);
    for round in 0..short_or_long(30, 1000) {
        let answers = race(&mut racers, "open-or-create");
        let different: BTreeSet<&String> = answers.iter().collect();
        assert_eq!(different.len(), 1, "round {round}: {answers:?}");
        assert!(answers[0].starts_with("ok "), "round {round}: {answers:?}");
        assert_eq!(folder.list(), ["ring"], "exactly one is left");
        shm_ringbuf::unlink(&name).unwrap();
        for racer in &mut racers {
            assert_eq!(racer.ask("drop"), "dropped");
        }
    }
}

#[test]
fn of_many_that_create_at_once_one_succeeds() {
    let _watchdog = watchdog!(120);
    let folder = Folder::new("create-race");
    let name = folder.entry("ring");
    let mut racers = racers(&name, 12);
    for round in 0..short_or_long(30, 1000) {
        let answers = race(&mut racers, "create");
        let created = answers
            .iter()
            .filter(|answer| answer.starts_with("ok "))
            .count();
        let late = answers
            .iter()
            .filter(|answer| *answer == "AlreadyExists")
            .count();
        assert_eq!((created, late), (1, 11), "round {round}: {answers:?}");
        assert_eq!(folder.list(), ["ring"]);
        shm_ringbuf::unlink(&name).unwrap();
        for racer in &mut racers {
            assert_eq!(racer.ask("drop"), "dropped");
        }
    }
}

#[test]
fn creating_opening_and_unlinking_at_once_never_shows_half_a_ring() {
    let _watchdog = watchdog!(120);
    let name = Name::new("churn");
    let time = short_or_long("1500", "60000");
    let mut peers: Vec<Peer> = (0..4)
        .map(|_| Peer::start(ring_peer!(), &["churn", name.as_str(), "--for-ms", time]))
        .collect();
    for peer in &mut peers {
        peer.expect("done");
    }
    assert!(name.leftovers().is_empty(), "{:?}", name.leftovers());
}

#[test]
fn a_creator_that_is_killed_anywhere_leaves_nothing_that_blocks_the_next() {
    let _watchdog = watchdog!(120);
    let folder = Folder::new("killed-creator");
    let name = folder.entry("ring");
    let mut random = fastrand::Rng::new();
    for round in 0..short_or_long(60, 3000) {
        // A large one takes longer to make, so that the kill falls inside more often.
        let capacity = if round % 2 == 0 { "4096" } else { "4000000" };
        let mut creator = Peer::start(ring_peer!(), &["creator", &name, "--capacity", capacity]);
        creator.expect("ready");
        let end = std::time::Instant::now() + Duration::from_micros(random.u64(..3000));
        while std::time::Instant::now() < end {
            let seen = Ring::<[u8]>::open(&name);
            let whole = matches!(seen, Ok(_) | Err(Error::NotFound { .. }));
            assert!(whole, "round {round}: {seen:?}");
        }
        creator.kill();
        let left = folder.list();
        assert!(
            left.is_empty() || left == ["ring"],
            "round {round}: {left:?}"
        );
        let ring = Config::spsc()
            .capacity(4096)
            .open_or_create::<[u8]>(&name)
            .unwrap();
        ring.producer().unwrap().send(b"fine").unwrap();
        assert_eq!(
            ring.consumer().unwrap().recv_ref().unwrap().to_vec(),
            b"fine"
        );
        shm_ringbuf::unlink(&name).unwrap();
        assert!(folder.list().is_empty());
    }
}

#[test]
fn a_creator_that_is_killed_under_a_posix_name_leaves_nothing_beside_it() {
    let _watchdog = watchdog!(120);
    let name = Name::new("killed-creator");
    let mut random = fastrand::Rng::new();
    for _ in 0..short_or_long(30, 1000) {
        let mut creator = Peer::start(ring_peer!(), &["creator", name.as_str()]);
        creator.expect("ready");
        std::thread::sleep(Duration::from_micros(random.u64(..1000)));
        creator.kill();
        assert!(name.leftovers().is_empty(), "{:?}", name.leftovers());
        drop(small().open_or_create::<[u8]>(name.as_str()).unwrap());
        shm_ringbuf::unlink(name.as_str()).unwrap();
    }
}
