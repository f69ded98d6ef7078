//! Semaphores with names and without: made, opened, cloned, passed on and unlinked, and what comes of bad input.

use std::os::fd::AsFd as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use integration_tests::children::Peer;
use integration_tests::names::Name;
use integration_tests::{ring_peer, short_or_long, skip_aloud, watchdog};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::geteuid;
use shm_semaphore::{
    AcquireError, Error, NamedSemaphore, ReleaseError, Semaphore, SemaphoreOptions,
};

/// Users that own nothing here.
const NOBODY: &str = "65534";
const SOMEBODY: &str = "65533";

fn start(name: &Name, before: &[&str], after: &[&str]) -> Peer {
    let role = ["participant", "--name", name.as_str()];
    Peer::start(ring_peer!(), &[before, &role, after].concat())
}

fn started(name: &Name, before: &[&str], after: &[&str]) -> Peer {
    let mut peer = start(name, before, after);
    peer.expect("ready");
    peer
}

fn refusal(result: Result<NamedSemaphore, Error>) -> Error {
    match result {
        Ok(semaphore) => panic!("{semaphore:?} was not refused"),
        Err(error) => error,
    }
}

fn assert_nothing_left(name: &Name) {
    assert!(!name.file().exists(), "{name}");
    assert_eq!(name.leftovers(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn all_who_open_one_name_share_its_permits() {
    let _watchdog = watchdog!(60);
    let name = Name::new("shared");
    let made = Semaphore::create(name.as_str(), 4).unwrap();
    assert_eq!((made.name(), made.permits()), (Some(name.as_str()), 4));
    let opened = Semaphore::open(name.as_str()).unwrap();
    let either = Semaphore::open_or_create(name.as_str(), 99).unwrap();
    let mut peer = started(&name, &[], &[]);
    opened.acquire().unwrap();
    assert_eq!(peer.ask("acquire 2"), "ok");
    assert_eq!((either.permits(), either.participants()), (1, 4));
    assert_eq!(either.try_acquire_many(2), Err(AcquireError::NoPermits));
    assert_eq!(peer.ask("release 3"), "ok");
    assert_eq!(made.permits(), 4);
    peer.finish();
    drop(opened);
    assert_eq!(made.participants(), 2);
    assert_eq!(name.leftovers(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_name_that_is_taken_or_missing_is_told() {
    let _watchdog = watchdog!(60);
    let name = Name::new("taken");
    let missing = refusal(Semaphore::open(name.as_str()));
    assert!(matches!(missing, Error::NotFound { .. }), "{missing:?}");
    let missing = Semaphore::unlink(name.as_str()).unwrap_err();
    assert!(matches!(missing, Error::NotFound { .. }), "{missing:?}");
    let first = Semaphore::create(name.as_str(), 1).unwrap();
    let taken = refusal(Semaphore::create(name.as_str(), 2));
    assert!(matches!(taken, Error::AlreadyExists { .. }), "{taken:?}");
    assert!(taken.to_string().contains(name.as_str()));
    // Whoever has it open keeps it, and the name is free for another one.
    Semaphore::unlink(name.as_str()).unwrap();
    assert_nothing_left(&name);
    let second = Semaphore::create(name.as_str(), 2).unwrap();
    let clone = first.try_clone().unwrap();
    clone.acquire().unwrap();
    assert_eq!((first.permits(), second.permits()), (0, 2));
    assert_eq!((first.participants(), second.participants()), (2, 1));
}

#[test]
fn a_name_that_is_none_is_refused_and_makes_nothing() {
    let _watchdog = watchdog!(60);
    let name = Name::new("bad-names");
    let prefix = name.as_str();
    let long = format!("{prefix}-{}", "x".repeat(256 - prefix.len()));
    assert_eq!(long.len(), 257);
    let mut bad: Vec<String> = [
        "",
        "a",
        "/",
        "//",
        "/.",
        "/..",
        ".",
        "a/b",
        "./a",
        "/dev/shm/a",
    ]
    .map(str::to_owned)
    .into();
    bad.push(long.clone());
    bad.push(prefix[1..].to_owned());
    for tail in ["/x", "/", "\0", "\0x", "/../x"] {
        bad.push(format!("{prefix}{tail}"));
    }
    for bad in &bad {
        let refusals = [
            refusal(Semaphore::create(bad, 1)),
            refusal(Semaphore::open(bad)),
            refusal(Semaphore::open_or_create(bad, 1)),
            Semaphore::unlink(bad).unwrap_err(),
        ];
        for refusal in refusals {
            assert!(
                matches!(refusal, Error::InvalidName { .. }),
                "{bad:?}: {refusal:?}"
            );
        }
    }
    assert_nothing_left(&name);
    // The longest that there can be, and odd ones.
    for good in [
        &long[..256],
        &format!("{prefix} ü."),
        &format!("{prefix}-\n"),
    ] {
        let made = Semaphore::create(good, 1).unwrap();
        assert_eq!(Semaphore::open(good).unwrap().permits(), 1);
        drop(made);
        Semaphore::unlink(good).unwrap();
    }
    assert_nothing_left(&name);
}

#[test]
fn options_that_cannot_be_met_are_refused_and_make_nothing() {
    let _watchdog = watchdog!(60);
    let name = Name::new("bad-options");
    let options = SemaphoreOptions::new;
    let configs = [
        options().participants(0),
        options().participants(1024),
        options().participants(u32::MAX),
        options().mode(0o10_000),
        options().mode(0o100_600),
        options().mode(0o4600),
        options().mode(u32::MAX),
    ];
    for options in configs {
        let refusals = [
            refusal(options.create(name.as_str(), 1)),
            refusal(options.open_or_create(name.as_str(), 1)),
            refusal(options.anonymous(1)),
        ];
        for refusal in refusals {
            assert!(
                matches!(refusal, Error::InvalidConfig { .. }),
                "{options:?}: {refusal:?}"
            );
        }
    }
    for permits in [Semaphore::MAX_PERMITS + 1, i32::MAX as u32 + 1, u32::MAX] {
        let refusals = [
            refusal(Semaphore::create(name.as_str(), permits)),
            refusal(Semaphore::open_or_create(name.as_str(), permits)),
            refusal(SemaphoreOptions::new().anonymous(permits)),
        ];
        for refusal in refusals {
            assert!(matches!(refusal, Error::Overflow { .. }), "{refusal:?}");
        }
        assert!(Semaphore::new(permits).is_err());
    }
    assert_nothing_left(&name);
    for participants in [1, 1023] {
        let made = options().participants(participants).anonymous(1).unwrap();
        assert_eq!(made.participants(), 1);
    }
}

#[test]
fn counts_that_overflow_are_refused_and_change_nothing() {
    let _watchdog = watchdog!(60);
    let name = Name::new("overflow");
    let max = Semaphore::MAX_PERMITS;
    let semaphore = Semaphore::create(name.as_str(), max).unwrap();
    for released in [1, max, u32::MAX] {
        let refused = semaphore.release(released).unwrap_err();
        let permits = max;
        assert_eq!(refused, ReleaseError::Overflow { released, permits });
    }
    for wanted in [max + 1, u32::MAX] {
        let refused = AcquireError::TooMany { wanted, max };
        assert_eq!(semaphore.try_acquire_many(wanted), Err(refused));
        assert_eq!(semaphore.acquire_many(wanted), Err(refused));
    }
    assert_eq!(semaphore.permits(), max);
    semaphore.acquire_many(max).unwrap();
    semaphore.acquire_many(0).unwrap();
    semaphore.release(0).unwrap();
    assert_eq!(semaphore.permits(), 0);
    // The same for one who has it to itself.
    semaphore.release(1).unwrap();
    for _ in 0..3000 {
        drop(semaphore.acquire_owned().unwrap());
    }
    semaphore.release(max - 1).unwrap();
    assert!(semaphore.release(1).is_err());
    assert_eq!(semaphore.permits(), max);
    for _ in 0..3000 {
        drop(semaphore.acquire_many_owned(2).unwrap());
    }
    semaphore.acquire_many(max).unwrap();
    assert_eq!(semaphore.try_acquire(), Err(AcquireError::NoPermits));
}

#[test]
fn there_are_as_many_handles_as_seats_and_a_dead_handle_frees_its_own() {
    let _watchdog = watchdog!(60);
    let name = Name::new("seats");
    let options = SemaphoreOptions::new().participants(3);
    let semaphore = options.create(name.as_str(), 6).unwrap();
    for round in 0..20 {
        let mut peer = started(&name, &[], &[]);
        assert_eq!(peer.ask("own 2"), "ok");
        let clone = semaphore.try_clone().unwrap();
        for refused in [semaphore.try_clone(), Semaphore::open(name.as_str())] {
            let refused = refusal(refused);
            assert!(
                matches!(refused, Error::NoSeat { max: 3, .. }),
                "{refused:?}"
            );
        }
        let said = start(&name, &[], &[]).line();
        assert!(said.unwrap().starts_with("refused NoSeat: "));
        assert_eq!(semaphore.participants(), 3);
        match round % 3 {
            0 => peer.kill(),
            1 => peer.kill_without_reaping(),
            _ => peer.finish(),
        }
        let successor = Semaphore::open(name.as_str()).unwrap();
        assert_eq!(semaphore.participants(), 3);
        drop(successor.acquire_many_owned(6).unwrap());
        drop(clone);
        assert_eq!(semaphore.participants(), 2);
    }
    assert_eq!(semaphore.permits(), 6);
}

#[test]
fn a_semaphore_without_a_name_is_passed_on_as_a_descriptor() {
    let _watchdog = watchdog!(60);
    let semaphore = SemaphoreOptions::new().anonymous(2).unwrap();
    assert_eq!(semaphore.name(), None);
    let fd = semaphore.as_fd();
    let number = fd.as_raw_fd().to_string();
    let arguments = ["participant", "--fd", &number];
    let mut peer = Peer::start_with_fds(ring_peer!(), &arguments, &[fd]);
    peer.expect("ready");
    assert_eq!(peer.ask("own 2"), "ok");
    assert_eq!((semaphore.permits(), semaphore.participants()), (0, 2));
    let ours = SemaphoreOptions::new()
        .from_fd(fd.try_clone_to_owned().unwrap())
        .unwrap();
    drop(semaphore);
    peer.kill();
    let back = ours.acquire_many_owned_timeout(2, Duration::from_secs(10));
    assert_eq!(back.unwrap().permits(), 2);
    // The file of one with a name will do as well.
    let name = Name::new("by-descriptor");
    let named = Semaphore::create(name.as_str(), 5).unwrap();
    let file = named.as_fd().try_clone_to_owned().unwrap();
    assert_eq!(SemaphoreOptions::new().from_fd(file).unwrap().permits(), 5);
}

#[test]
fn a_descriptor_of_something_else_is_refused() {
    let _watchdog = watchdog!(60);
    let (pipe, _writer) = nix::unistd::pipe().unwrap();
    let null = std::fs::File::open("/dev/null").unwrap();
    let text = std::fs::File::open("/proc/self/exe").unwrap();
    for fd in [pipe, null.into(), text.into()] {
        let refused = refusal(SemaphoreOptions::new().from_fd(fd));
        assert!(
            matches!(refused, Error::NotASemaphore { .. }),
            "{refused:?}"
        );
    }
    let name = Name::new("unsealed");
    drop(Semaphore::create(name.as_str(), 1).unwrap());
    let unsealed =
        nix::sys::memfd::memfd_create(c"unsealed", nix::sys::memfd::MFdFlags::MFD_ALLOW_SEALING)
            .unwrap();
    let bytes = std::fs::read(name.file()).unwrap();
    nix::unistd::write(&unsealed, &bytes).unwrap();
    let refused = refusal(SemaphoreOptions::new().from_fd(unsealed));
    assert!(matches!(refused, Error::NotSealed { .. }), "{refused:?}");
}

/// Lets racers do the same at one instant, and returns what they say.
fn race(racers: &mut [Peer], order: &str) -> Vec<String> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap();
    let at = now.tv_sec() * 1_000_000_000 + now.tv_nsec() + 2_000_000;
    for racer in racers.iter_mut() {
        racer.say(&format!("{order} {at}"));
    }
    racers
        .iter_mut()
        .map(|racer| racer.line().expect("an answer"))
        .collect()
}

#[test]
fn processes_that_open_or_create_at_once_meet_at_one_semaphore() {
    let _watchdog = watchdog!(120);
    let name = Name::new("race");
    let mut racers: Vec<Peer> = (0..4)
        .map(|_| Peer::start(ring_peer!(), &["semaphore-racer", name.as_str()]))
        .collect();
    for racer in &mut racers {
        racer.expect("ready");
    }
    for _ in 0..short_or_long(50, 2000) {
        let said = race(&mut racers, "open-or-create");
        assert!(said[0].starts_with("ok ") && said[0].ends_with(" 5"));
        assert!(said.iter().all(|other| *other == said[0]), "{said:?}");
        Semaphore::unlink(name.as_str()).unwrap();
        let said = race(&mut racers, "create");
        let won = said.iter().filter(|said| said.starts_with("ok ")).count();
        let lost = said.iter().filter(|said| *said == "AlreadyExists").count();
        assert_eq!((won, lost), (1, 3), "{said:?}");
        Semaphore::unlink(name.as_str()).unwrap();
        assert_nothing_left(&name);
        // While one creates it, the others open it or do not find it.
        let (creator, openers) = racers.split_at_mut(1);
        creator[0].say("create 0");
        for said in race(openers, "open") {
            assert!(said.starts_with("ok ") || said == "NotFound", "{said}");
        }
        assert!(creator[0].line().unwrap().starts_with("ok "));
        for racer in &mut racers {
            assert_eq!(racer.ask("drop"), "dropped");
        }
        Semaphore::unlink(name.as_str()).unwrap();
    }
}

#[test]
fn a_killed_creator_leaves_a_whole_semaphore_or_nothing() {
    let _watchdog = watchdog!(120);
    let mut found = 0;
    for _ in 0..short_or_long(60, 2000) {
        let name = Name::new("killed-creator");
        let mut creator = start(&name, &[], &["--create", "3", "--or-open"]);
        std::thread::sleep(Duration::from_micros(fastrand::u64(..3000)));
        creator.kill();
        match Semaphore::open(name.as_str()) {
            Ok(semaphore) => {
                found += 1;
                assert_eq!((semaphore.permits(), semaphore.participants()), (3, 1));
                Semaphore::unlink(name.as_str()).unwrap();
            }
            Err(error) => assert!(matches!(error, Error::NotFound { .. }), "{error:?}"),
        }
        assert_nothing_left(&name);
    }
    eprintln!("{found} were made");
}

#[test]
fn a_semaphore_is_for_its_owner_alone_unless_asked_otherwise_whatever_the_umask() {
    let _watchdog = watchdog!(60);
    for (umask, mode) in [
        ("0", None),
        ("077", None),
        ("777", None),
        ("077", Some("640")),
        ("0", Some("666")),
    ] {
        let name = Name::new("mode");
        let mut arguments = vec!["--create", "1"];
        arguments.extend(mode.iter().flat_map(|mode| ["--mode", mode]));
        let peer = started(&name, &["--umask", umask], &arguments);
        let bits = name.file().metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!(format!("{bits:o}"), mode.unwrap_or("600"), "umask {umask}");
        peer.finish();
    }
}

fn skipped(test: &str) -> bool {
    let skip = !geteuid().is_root();
    if skip {
        skip_aloud(test, "only root can become another user");
    }
    skip
}

#[test]
fn another_user_is_let_in_only_where_the_mode_says_so() {
    let _watchdog = watchdog!(60);
    if skipped("another user at a semaphore") {
        return;
    }
    let name = Name::new("users");
    for mode in [0o600, 0o644, 0o640] {
        let options = SemaphoreOptions::new().mode(mode);
        let _made = options.create(name.as_str(), 2).unwrap();
        let said = start(&name, &["--uid", NOBODY], &[]).line().unwrap();
        assert!(said.starts_with("refused PermissionDenied: "), "{said}");
        assert!(said.contains(name.as_str()), "{said}");
        Semaphore::unlink(name.as_str()).unwrap();
    }
    let options = SemaphoreOptions::new().mode(0o666);
    let semaphore = options.create(name.as_str(), 2).unwrap();
    let mut peer = started(&name, &["--uid", NOBODY], &[]);
    assert_eq!(peer.ask("own 2"), "ok");
    // Who owns a handle may not matter for the proof of its death.
    peer.kill();
    let back = semaphore.acquire_many_owned_timeout(2, Duration::from_secs(10));
    assert!(back.is_ok(), "{back:?}");
}

#[test]
fn a_semaphore_of_another_owner_is_refused_unless_that_owner_is_named() {
    let _watchdog = watchdog!(60);
    if skipped("a semaphore of another owner") {
        return;
    }
    let name = Name::new("owner");
    let more = ["--create", "2", "--mode", "666"];
    let _peer = started(&name, &["--uid", NOBODY], &more);
    for refused in [
        Semaphore::open(name.as_str()),
        Semaphore::open_or_create(name.as_str(), 2),
        SemaphoreOptions::new().owner(65_533).open(name.as_str()),
    ] {
        let refused = refusal(refused);
        assert!(
            matches!(refused, Error::WrongOwner { owner: 65_534, .. }),
            "{refused:?}"
        );
        assert!(refused.to_string().contains(NOBODY), "{refused}");
    }
    let said = start(&name, &["--uid", SOMEBODY], &[]).line().unwrap();
    assert!(said.starts_with("refused WrongOwner: "), "{said}");
    let trusting = SemaphoreOptions::new().owner(65_534);
    assert_eq!(trusting.open(name.as_str()).unwrap().permits(), 2);
    let mut other = started(&name, &["--uid", SOMEBODY], &["--owner", NOBODY]);
    assert_eq!(other.ask("own 1"), "ok");
}

#[test]
fn a_file_system_without_room_is_told_and_nothing_is_left() {
    let _watchdog = watchdog!(60);
    let mut peer = Peer::start(ring_peer!(), &["small-tmpfs-semaphores"]);
    let said = peer.line();
    let status = peer.wait();
    assert!(status.success(), "it said {said:?} and ended with {status}");
    match said.as_deref() {
        Some("done") => {}
        other => {
            let why = other.and_then(|said| said.strip_prefix("skipped "));
            skip_aloud("a semaphore without room", why.expect("done or skipped"));
        }
    }
}

#[test]
fn many_semaphores_live_side_by_side_in_one_process() {
    let _watchdog = watchdog!(60);
    let start = Instant::now();
    let options = SemaphoreOptions::new().participants(4);
    let semaphores: Vec<_> = (0..300).map(|n| options.anonymous(n).unwrap()).collect();
    for (n, semaphore) in semaphores.iter().enumerate() {
        semaphore.release(1).unwrap();
        let all = semaphore.acquire_many_owned(n as u32 + 1).unwrap();
        assert_eq!(semaphore.permits(), 0);
        drop(all);
    }
    eprintln!("{:?}", start.elapsed());
}
