//! Unusual types, places and interruptions.

#![allow(unsafe_code)]
#![allow(
    clippy::large_stack_arrays,
    reason = "large messages by value are what is tested"
)]

use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use integration_tests::children::Peer;
use integration_tests::names::Name;
use integration_tests::pattern::Pattern;
use integration_tests::{ring_peer, watchdog};
use nix::sys::pthread::{pthread_kill, pthread_self};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use shm_ringbuf::bytemuck::{Pod, Zeroable};
use shm_ringbuf::{Config, Consumer, Error, Producer, RecvError, Ring, SendError};

fn pair<T: Pod>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    let ring = Config::spsc().capacity(capacity).anonymous::<T>().unwrap();
    (ring.producer().unwrap(), ring.consumer().unwrap())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
struct Line([u8; 64]);
// SAFETY: all-zero bytes are a valid array.
unsafe impl Zeroable for Line {}
// SAFETY: 64 bytes aligned to 64: no padding, and any bytes will do.
unsafe impl Pod for Line {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(4096))]
struct Page([u8; 4096]);
// SAFETY: all-zero bytes are a valid array.
unsafe impl Zeroable for Page {}
// SAFETY: 4096 bytes aligned to 4096: no padding, and any bytes will do.
unsafe impl Pod for Page {}

#[derive(Clone, Copy, Debug)]
#[repr(C, align(65536))]
struct Huge([u8; 65536]);
// SAFETY: all-zero bytes are a valid array.
unsafe impl Zeroable for Huge {}
// SAFETY: 65,536 bytes aligned to as many: no padding, and any bytes will do.
unsafe impl Pod for Huge {}

#[test]
fn types_of_large_alignment_arrive_whole() {
    let _watchdog = watchdog!(60);
    let (mut tx, mut rx) = pair::<Line>(4);
    let (mut page_tx, mut page_rx) = pair::<Page>(2);
    for n in 0..50 {
        tx.try_send(Line([n; 64])).unwrap();
        assert_eq!(rx.try_recv(), Ok(Line([n; 64])));
        page_tx.try_send(Page([n; 4096])).unwrap();
        assert_eq!(page_rx.try_recv_ref().unwrap().read(), Page([n; 4096]));
    }
}

#[test]
fn an_alignment_that_a_mapping_cannot_give_is_refused_or_works() {
    let _watchdog = watchdog!(60);
    match Config::spsc().capacity(2).anonymous::<Huge>() {
        Ok(ring) => {
            let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
            tx.try_send(Huge([7; 65536])).unwrap();
            assert_eq!(rx.try_recv().unwrap().0, [7; 65536]);
        }
        Err(error) => assert!(matches!(error, Error::InvalidConfig { .. }), "{error:?}"),
    }
}

#[test]
fn messages_without_content_are_counted() {
    let _watchdog = watchdog!(60);
    let (mut tx, mut rx) = pair::<()>(4);
    for _ in 0..100 {
        (0..4).for_each(|_| tx.try_send(()).unwrap());
        assert_eq!(tx.try_send(()), Err(SendError::Full(())));
        (0..4).for_each(|_| rx.try_recv().unwrap());
        assert_eq!(rx.try_recv(), Err(RecvError::Empty));
    }
}

#[test]
fn the_smallest_and_large_types_arrive_whole() {
    let _watchdog = watchdog!(60);
    let (mut tx, mut rx) = pair::<u8>(16);
    let (mut large_tx, mut large_rx) = pair::<[u64; 5000]>(2);
    for n in 0..200 {
        tx.try_send(n).unwrap();
        assert_eq!(rx.try_recv(), Ok(n));
        large_tx.try_send([u64::from(n); 5000]).unwrap();
        assert_eq!(large_rx.try_recv(), Ok([u64::from(n); 5000]));
    }
}

/// Lets a ring believe that it has run for a while: puts its positions, which are where `docs/layout.md` says.
fn move_to(name: &Name, position: u64) {
    let file = std::fs::File::options()
        .write(true)
        .open(name.file())
        .unwrap();
    for offset in [4096, 4224, 4232] {
        file.write_all_at(&position.to_ne_bytes(), offset).unwrap();
    }
}

/// Where a counter of fewer bits would wrap.
const FAR: [u64; 5] = [
    (1 << 31) - 16,
    (1 << 32) - 16,
    (1 << 40) - 16,
    (1 << 53) - 16,
    (1 << 63) - 16,
];

#[test]
fn typed_positions_pass_every_power_of_two_that_a_narrower_counter_would_wrap_at() {
    let _watchdog = watchdog!(60);
    for far in FAR {
        let name = Name::new("far");
        let ring: Ring<u64> = Config::spsc().capacity(4).create(name.as_str()).unwrap();
        move_to(&name, far);
        let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
        for n in 0..64 {
            tx.try_send(n).unwrap();
            tx.try_send(n + 1).unwrap();
            assert_eq!((tx.len(), rx.len()), (2, 2));
            let guard = rx.try_recv_ref().unwrap();
            assert_eq!((guard.read(), guard.position()), (n, far + 2 * n));
            drop(guard);
            assert_eq!(rx.try_recv(), Ok(n + 1));
        }
    }
}

#[test]
fn byte_positions_pass_every_power_of_two_that_a_narrower_counter_would_wrap_at() {
    let _watchdog = watchdog!(60);
    let pattern = Pattern::new(6, 0..=100);
    for far in FAR {
        let name = Name::new("far-bytes");
        let ring: Ring<[u8]> = Config::spsc().capacity(4096).create(name.as_str()).unwrap();
        move_to(&name, far);
        let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
        for id in 0..200 {
            tx.try_send(&pattern.message(id)).unwrap();
            let guard = rx.try_recv_ref().unwrap();
            assert!(guard.position() >= far && guard.position() < far + 25_000);
            assert_eq!(pattern.check(id, &guard.to_vec()), Ok(()));
        }
    }
}

#[test]
fn what_a_dead_producer_published_of_a_batch_without_its_first_message_is_never_seen() {
    let _watchdog = watchdog!(60);
    let name = Name::new("half-batch");
    let ring: Ring<u64> = Config::spsc().capacity(4).create(name.as_str()).unwrap();
    let mut rx = ring.consumer().unwrap();
    let more = ["--name", name.as_str(), "--form", "word"];
    let mut producer = Peer::start(ring_peer!(), &[&["producer"], &more[..]].concat());
    producer.expect("ready");
    assert_eq!(producer.ask("send 1"), "sent 1");
    producer.kill();
    assert_eq!(rx.recv(), Ok(0));
    // As if it had been killed within a batch of three, which is published from its end: `docs/layout.md` says where.
    let file = std::fs::File::options()
        .write(true)
        .open(name.file())
        .unwrap();
    for position in [2_u64, 3] {
        let slot = [(position + 1).to_ne_bytes(), 666_u64.to_ne_bytes()].concat();
        file.write_all_at(&slot, 8192 + 16 * position).unwrap();
    }
    assert_eq!(rx.recv(), Err(RecvError::OwnerDied));
    let mut tx = ring.producer().unwrap();
    for n in 1..20 {
        tx.try_send(n).unwrap();
        assert_eq!(rx.try_recv(), Ok(n));
        assert_eq!(
            rx.try_recv(),
            Err(RecvError::Empty),
            "nothing uncommitted is seen"
        );
    }
}

extern "C" fn do_nothing(_signal: libc::c_int) {}

#[test]
fn a_wait_that_is_interrupted_by_signals_still_lasts_its_time() {
    let _watchdog = watchdog!(60);
    // Without SA_RESTART, so that every system call below is interrupted.
    let action = SigAction::new(
        SigHandler::Handler(do_nothing),
        SaFlags::empty(),
        SigSet::empty(),
    );
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
    let ring = Config::spsc()
        .capacity(1)
        .wait(shm_ringbuf::Wait::Park)
        .anonymous::<u64>()
        .unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let (waiter, done) = (pthread_self(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Relaxed, both: a plain flag.
            while !done.load(Ordering::Relaxed) {
                pthread_kill(waiter, Signal::SIGUSR1).unwrap();
                std::thread::sleep(Duration::from_micros(300));
            }
        });
        let wait = Duration::from_millis(100);
        let start = Instant::now();
        assert_eq!(rx.recv_timeout(wait), Err(RecvError::TimedOut));
        tx.send(1).unwrap();
        assert_eq!(tx.send_timeout(2, wait), Err(SendError::TimedOut(2)));
        assert!(start.elapsed() >= 2 * wait);
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn many_rings_live_side_by_side() {
    let _watchdog = watchdog!(60);
    let mut rings: Vec<(Producer<u64>, Consumer<u64>)> = (0..200).map(|_| pair(4)).collect();
    for round in 0..10 {
        for (at, (tx, _)) in rings.iter_mut().enumerate() {
            tx.send(at as u64 + round).unwrap();
        }
        for (at, (_, rx)) in rings.iter_mut().enumerate() {
            assert_eq!(rx.recv(), Ok(at as u64 + round));
        }
    }
}
