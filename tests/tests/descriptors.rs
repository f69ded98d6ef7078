//! Rings without a name: a sealed memfd that is inherited or goes over a Unix socket.

use std::fs::File;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;

use integration_tests::children::Peer;
use integration_tests::names::Name;
use integration_tests::pattern::Pattern;
use integration_tests::{ring_peer, watchdog};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use nix::unistd::ftruncate;
use shm_ringbuf::{Config, Error, Ring};

fn anonymous() -> Ring<[u8]> {
    Config::spsc().capacity(8192).anonymous().unwrap()
}

fn copy_of(ring: impl AsFd) -> OwnedFd {
    ring.as_fd().try_clone_to_owned().unwrap()
}

/// Streams from this process to a consumer that got hold of the ring in its own way.
fn stream_to(mut consumer: Peer, ring: &Ring<[u8]>) {
    consumer.expect("ready");
    let pattern = Pattern::new(1, 8..=200);
    let mut tx = ring.producer().unwrap();
    (0..2000).for_each(|id| {
        tx.try_send(&pattern.message(id)).unwrap_or_else(|_| {
            assert!(consumer.ask("guard 10").starts_with("got "));
            tx.send(&pattern.message(id)).unwrap();
        })
    });
    drop(tx);
    let rest = consumer.ask("drain");
    assert!(rest.ends_with(" 1998 1999, then Disconnected"), "{rest}");
    consumer.finish();
}

#[test]
fn a_ring_goes_over_a_unix_socket_to_another_process() {
    let _watchdog = watchdog!(60);
    let ring = anonymous();
    assert_eq!(ring.name(), None);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let number = theirs.as_raw_fd().to_string();
    let arguments = ["consumer", "--socket", &number];
    let consumer = Peer::start_with_fds(ring_peer!(), &arguments, &[theirs.as_fd()]);
    let fds = [ring.as_fd().as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&fds)];
    sendmsg::<()>(
        ours.as_raw_fd(),
        &[IoSlice::new(b"r")],
        &rights,
        MsgFlags::empty(),
        None,
    )
    .unwrap();
    stream_to(consumer, &ring);
}

#[test]
fn a_ring_is_inherited_across_exec() {
    let _watchdog = watchdog!(60);
    let ring = anonymous();
    let number = ring.as_fd().as_raw_fd().to_string();
    let arguments = ["consumer", "--fd", &number];
    stream_to(
        Peer::start_with_fds(ring_peer!(), &arguments, &[ring.as_fd()]),
        &ring,
    );
}

#[test]
fn a_descriptor_is_not_inherited_unless_asked() {
    let _watchdog = watchdog!(60);
    let name = Name::new("cloexec");
    let named = Config::spsc()
        .capacity(4096)
        .create::<[u8]>(name.as_str())
        .unwrap();
    let (ring, opened) = (anonymous(), Ring::<[u8]>::open(name.as_str()).unwrap());
    for fd in [ring.as_fd(), named.as_fd(), opened.as_fd()] {
        let flags = FdFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFD).unwrap());
        assert!(flags.contains(FdFlag::FD_CLOEXEC));
    }
}

#[test]
fn an_anonymous_ring_can_be_neither_shrunk_nor_grown() {
    let _watchdog = watchdog!(60);
    let ring = anonymous();
    let seals = SealFlag::from_bits_retain(fcntl(ring.as_fd(), FcntlArg::F_GET_SEALS).unwrap());
    for seal in [
        SealFlag::F_SEAL_SHRINK,
        SealFlag::F_SEAL_GROW,
        SealFlag::F_SEAL_SEAL,
    ] {
        assert!(seals.contains(seal), "{seals:?}");
    }
    let len = File::from(copy_of(&ring))
        .metadata()
        .unwrap()
        .len()
        .cast_signed();
    for other in [0, 1, len - 4096, len + 4096] {
        assert_eq!(ftruncate(ring.as_fd(), other), Err(Errno::EPERM));
    }
}

#[test]
fn a_memfd_that_was_not_sealed_is_refused() {
    let _watchdog = watchdog!(60);
    let ring = anonymous();
    let content = std::fs::read(format!("/proc/self/fd/{}", ring.as_fd().as_raw_fd())).unwrap();
    let seals = [
        SealFlag::empty(),
        SealFlag::F_SEAL_SHRINK,
        SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL,
    ];
    for seals in seals {
        let copy = memfd_create("copy", MFdFlags::MFD_ALLOW_SEALING | MFdFlags::MFD_CLOEXEC);
        let copy = copy.unwrap();
        std::io::Write::write_all(&mut File::from(copy_of(&copy)), &content).unwrap();
        fcntl(&copy, FcntlArg::F_ADD_SEALS(seals)).unwrap();
        let refused = Ring::<[u8]>::from_fd(copy).map(|_| ());
        assert!(
            refused.is_err(),
            "{seals:?}: another process could truncate it"
        );
    }
}

#[test]
fn a_descriptor_of_a_named_ring_is_as_good_as_its_name() {
    let _watchdog = watchdog!(60);
    let name = Name::new("fd-of-named");
    let ring: Ring<u64> = Config::spsc().capacity(8).create(name.as_str()).unwrap();
    let passed = Ring::<u64>::from_fd(copy_of(&ring)).unwrap();
    let mut rx = passed.consumer().unwrap();
    ring.producer().unwrap().send(3).unwrap();
    assert_eq!(rx.recv(), Ok(3));
}

#[test]
fn a_descriptor_of_the_wrong_ring_is_refused_like_a_name() {
    let _watchdog = watchdog!(60);
    let ring = anonymous();
    let wrong = Ring::<u64>::from_fd(copy_of(&ring)).unwrap_err();
    assert!(matches!(wrong, Error::WrongKind { .. }), "{wrong:?}");
    let typed = Config::spsc()
        .capacity(8)
        .tag(3)
        .anonymous::<u64>()
        .unwrap();
    let wrong = Ring::<u64>::from_fd(copy_of(&typed)).unwrap_err();
    assert!(matches!(wrong, Error::WrongType { .. }), "{wrong:?}");
}

#[test]
fn a_descriptor_of_something_else_is_refused() {
    let _watchdog = watchdog!(60);
    let (socket, _other) = UnixStream::pair().unwrap();
    let (pipe, _writer) = nix::unistd::pipe().unwrap();
    let fds: Vec<OwnedFd> = vec![
        File::open("/dev/null").unwrap().into(),
        File::options()
            .read(true)
            .write(true)
            .open("/dev/zero")
            .unwrap()
            .into(),
        File::open("/").unwrap().into(),
        File::open("/proc/self/status").unwrap().into(),
        socket.into(),
        pipe,
        nix::sys::eventfd::EventFd::new().unwrap().into(),
        memfd_create("empty", MFdFlags::MFD_CLOEXEC).unwrap(),
    ];
    for fd in fds {
        let what = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap();
        let refused = Ring::<u64>::from_fd(fd).map(|_| ());
        let typed = matches!(
            refused,
            Err(Error::NotARing { .. } | Error::NotSealed { .. })
        );
        assert!(typed, "{}: {refused:?}", what.display());
    }
}

#[test]
fn a_descriptor_for_reading_only_opens_what_the_mode_of_the_file_lets_it_open() {
    let _watchdog = watchdog!(60);
    let name = Name::new("read-only");
    let ring = Config::spsc()
        .capacity(8)
        .create::<u64>(name.as_str())
        .unwrap();
    let read_only = File::open(name.file()).unwrap();
    let mut tx = Ring::<u64>::from_fd(read_only.into())
        .unwrap()
        .producer()
        .unwrap();
    tx.send(1).unwrap();
    assert_eq!(ring.consumer().unwrap().recv(), Ok(1));
    // The other way round: what can't be written can't be used.
    let read_only = File::open("/proc/self/exe").unwrap();
    assert!(Ring::<u64>::from_fd(read_only.into()).is_err());
}

#[test]
fn a_ring_that_came_as_a_descriptor_knows_who_died() {
    let _watchdog = watchdog!(60);
    let ring = anonymous();
    let number = ring.as_fd().as_raw_fd().to_string();
    let arguments = ["producer", "--fd", &number];
    let mut producer = Peer::start_with_fds(ring_peer!(), &arguments, &[ring.as_fd()]);
    producer.expect("ready");
    let mut rx = ring.consumer().unwrap();
    let taken = ring.producer().unwrap_err();
    assert!(
        matches!(taken, Error::RoleTaken { pid, .. } if pid == Some(producer.pid())),
        "{taken:?}"
    );
    producer.kill();
    assert_eq!(rx.recv(&mut [0; 8]), Err(shm_ringbuf::RecvError::OwnerDied));
    ring.producer().expect("its owner died");
}
