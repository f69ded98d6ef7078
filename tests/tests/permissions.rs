//! Who may use a ring.

use std::os::unix::fs::PermissionsExt as _;

use integration_tests::children::Peer;
use integration_tests::names::Name;
use integration_tests::{ring_peer, skip_aloud, watchdog};
use nix::unistd::geteuid;
use shm_ringbuf::{Config, Error, OpenOptions, Ring};

/// Users that own nothing here.
const NOBODY: &str = "65534";
const SOMEBODY: &str = "65533";

fn skipped(test: &str) -> bool {
    let skip = !geteuid().is_root();
    if skip {
        skip_aloud(test, "only root can become another user");
    }
    skip
}

fn mode_of(name: &Name) -> u32 {
    name.file().metadata().unwrap().permissions().mode() & 0o7777
}

/// Starts a peer that creates the ring and keeps it; says what it printed first.
fn creator(name: &Name, before: &[&str], after: &[&str]) -> Peer {
    let arguments = [before, &["create", name.as_str()], after].concat();
    let mut peer = Peer::start(ring_peer!(), &arguments);
    let line = peer.line().unwrap();
    assert!(line.starts_with("ok "), "{line}");
    peer
}

/// What a user hears who opens the ring.
fn open_as(uid: &str, name: &Name, more: &[&str]) -> String {
    let arguments = [&["--uid", uid, "open", "--name", name.as_str()], more].concat();
    Peer::start(ring_peer!(), &arguments).line().unwrap()
}

#[test]
fn a_ring_is_for_its_owner_alone_whatever_the_umask() {
    let _watchdog = watchdog!(60);
    for umask in ["0", "022", "077", "777"] {
        let name = Name::new("umask");
        let peer = creator(&name, &["--umask", umask], &[]);
        assert_eq!(mode_of(&name), 0o600, "umask {umask}");
        peer.finish();
    }
}

#[test]
fn a_mode_that_was_asked_for_is_given_whatever_the_umask() {
    let _watchdog = watchdog!(60);
    for (umask, mode) in [("0", "660"), ("022", "666"), ("077", "640"), ("777", "600")] {
        let name = Name::new("mode");
        let peer = creator(&name, &["--umask", umask], &["--mode", mode]);
        assert_eq!(format!("{:o}", mode_of(&name)), mode, "umask {umask}");
        peer.finish();
    }
}

#[test]
fn a_mode_that_is_none_is_refused() {
    let _watchdog = watchdog!(60);
    for mode in [0o10_000, 0o100_600, u32::MAX] {
        let refused = Config::spsc()
            .capacity(4)
            .mode(mode)
            .anonymous::<u64>()
            .map(|_| ());
        assert!(
            matches!(refused, Err(Error::InvalidConfig { .. })),
            "{mode:o}: {refused:?}"
        );
    }
}

#[test]
fn another_user_is_not_let_in() {
    let _watchdog = watchdog!(60);
    if skipped("another_user_is_not_let_in") {
        return;
    }
    for mode in [0o600, 0o644, 0o640] {
        let name = Name::new("private");
        let config = Config::spsc().capacity(4096).mode(mode);
        let _ring = config.create::<[u8]>(name.as_str()).unwrap();
        let heard = open_as(NOBODY, &name, &[]);
        assert!(
            heard.starts_with("refused PermissionDenied: "),
            "{mode:o}: {heard}"
        );
        assert!(heard.contains(name.as_str()), "{heard}");
    }
}

#[test]
fn another_user_is_let_in_where_the_mode_says_so() {
    let _watchdog = watchdog!(60);
    if skipped("another_user_is_let_in_where_the_mode_says_so") {
        return;
    }
    let name = Name::new("public");
    let ring: Ring<[u8]> = Config::spsc()
        .capacity(4096)
        .mode(0o666)
        .create(name.as_str())
        .unwrap();
    let mut consumer = Peer::start(
        ring_peer!(),
        &["--uid", NOBODY, "consumer", "--name", name.as_str()],
    );
    consumer.expect("ready");
    let mut tx = ring.producer().unwrap();
    let message = integration_tests::pattern::Pattern::new(1, 8..=200).message(0);
    tx.send(&message).unwrap();
    assert_eq!(consumer.ask("recv 1"), "got 0");
    // Who owns the other side may not matter for the notice of its death.
    consumer.kill();
    assert!(
        matches!(tx.peer().unwrap(), shm_ringbuf::Peer::Died { .. }),
        "{:?}",
        tx.peer().unwrap()
    );
}

#[test]
fn a_ring_of_another_owner_is_refused_unless_that_owner_is_named() {
    let _watchdog = watchdog!(60);
    if skipped("a_ring_of_another_owner_is_refused_unless_that_owner_is_named") {
        return;
    }
    let name = Name::new("owner");
    let _peer = creator(&name, &["--uid", NOBODY], &["--mode", "666"]);
    let refused = Ring::<[u8]>::open(name.as_str()).map(|_| ()).unwrap_err();
    assert!(matches!(refused, Error::WrongOwner { .. }), "{refused:?}");
    assert!(refused.to_string().contains(NOBODY), "{refused}");
    let either = Config::spsc()
        .capacity(4096)
        .open_or_create::<[u8]>(name.as_str());
    assert!(
        matches!(either, Err(Error::WrongOwner { .. })),
        "{either:?}"
    );
    let heard = open_as(SOMEBODY, &name, &[]);
    assert!(heard.starts_with("refused WrongOwner: "), "{heard}");
    let wrong = OpenOptions::new().owner(65533).open::<[u8]>(name.as_str());
    assert!(matches!(wrong, Err(Error::WrongOwner { .. })), "{wrong:?}");
    OpenOptions::new()
        .owner(65534)
        .open::<[u8]>(name.as_str())
        .expect("the owner was named");
    assert!(open_as(SOMEBODY, &name, &["--owner", NOBODY]).starts_with("ok "));
    assert!(open_as(NOBODY, &name, &[]).starts_with("ok "), "its own");
}

#[test]
fn a_folder_that_may_not_be_written_gives_no_ring() {
    let _watchdog = watchdog!(60);
    if skipped("a_folder_that_may_not_be_written_gives_no_ring") {
        return;
    }
    let folder = integration_tests::names::Folder::new("unwritable");
    let name = folder.entry("ring");
    let heard = Peer::start(ring_peer!(), &["--uid", NOBODY, "create", &name])
        .line()
        .unwrap();
    assert!(heard.starts_with("refused PermissionDenied: "), "{heard}");
    assert!(folder.list().is_empty());
}
