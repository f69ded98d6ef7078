//! A file system without room: told at creation, never by a signal later.

use integration_tests::children::Peer;
use integration_tests::names::{Folder, Name, SHM_FOLDER};
use integration_tests::{ring_peer, skip_aloud, watchdog};
use nix::sys::statvfs::statvfs;
use shm_ringbuf::{Config, Error};

/// Twice what shared memory could ever hold, or `None` where it has no limit.
fn more_than_there_is() -> Option<usize> {
    let status = statvfs(SHM_FOLDER).unwrap();
    let size = status.blocks() as usize * status.fragment_size() as usize;
    (size != 0).then_some(2 * size)
}

#[test]
fn a_ring_larger_than_the_file_system_is_refused_at_creation() {
    let _watchdog = watchdog!(60);
    let Some(capacity) = more_than_there_is() else {
        skip_aloud(
            "a ring larger than the file system",
            "shared memory has no limit here",
        );
        return;
    };
    let name = Name::new("too-large");
    let folder = Folder::new("too-large");
    let path = folder.entry("ring");
    for name in [name.as_str(), &path] {
        let bytes = Config::spsc()
            .capacity(capacity)
            .create::<[u8]>(name)
            .map(|_| ());
        assert!(matches!(bytes, Err(Error::NoSpace { .. })), "{bytes:?}");
        let typed = Config::spsc()
            .capacity(capacity / 64)
            .open_or_create::<[u64; 8]>(name);
        assert!(matches!(typed, Err(Error::NoSpace { .. })), "{typed:?}");
        let message = bytes.unwrap_err().to_string();
        assert!(
            message.contains(name) && message.len() > name.len() + 30,
            "{message}"
        );
    }
    assert!(!name.file().exists() && name.leftovers().is_empty() && folder.list().is_empty());
    Config::spsc()
        .capacity(4096)
        .create::<[u8]>(name.as_str())
        .expect("a small one has room");
}

#[test]
fn a_tmpfs_that_is_almost_full_gives_an_error_and_never_a_signal() {
    let _watchdog = watchdog!(60);
    let mut peer = Peer::start(ring_peer!(), &["small-tmpfs"]);
    let said = peer.line();
    let status = peer.wait();
    assert!(status.success(), "it said {said:?} and ended with {status}");
    match said.as_deref() {
        Some("done") => {}
        Some(other) => {
            let why = other.strip_prefix("skipped ").expect("done or skipped");
            skip_aloud("a tmpfs that is almost full", why);
        }
        None => panic!("it said nothing"),
    }
}
