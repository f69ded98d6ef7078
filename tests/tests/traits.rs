//! What the compiler promises about the types.

use std::os::fd::AsFd;

use shm_ringbuf::{
    Claim, Config, Consumer, Error, OpenOptions, Peer, Producer, Received, RecvError, Ring,
    SendError, Wait,
};
use static_assertions::{assert_impl_all, assert_not_impl_any};

// An endpoint belongs to one thread at a time, and may move.
assert_impl_all!(Producer<u64>: Send, std::fmt::Debug);
assert_impl_all!(Producer<[u8]>: Send, std::fmt::Debug);
assert_impl_all!(Consumer<u64>: Send, std::fmt::Debug);
assert_impl_all!(Consumer<[u8]>: Send, std::fmt::Debug);
assert_not_impl_any!(Producer<u64>: Sync, Clone);
assert_not_impl_any!(Producer<[u8]>: Sync, Clone);
assert_not_impl_any!(Consumer<u64>: Sync, Clone);
assert_not_impl_any!(Consumer<[u8]>: Sync, Clone);

// What is held of a ring is neither copied nor shared.
assert_not_impl_any!(Claim<'static, u64>: Sync, Clone);
assert_not_impl_any!(Claim<'static, [u8]>: Sync, Clone);
assert_not_impl_any!(Received<'static, u64>: Sync, Clone);
assert_not_impl_any!(Received<'static, [u8]>: Sync, Clone);

assert_impl_all!(Ring<u64>: Send, AsFd, std::fmt::Debug);
assert_impl_all!(Ring<[u8]>: Send, AsFd, std::fmt::Debug);
assert_impl_all!(Config: Send, Sync, Clone, std::fmt::Debug);
assert_impl_all!(OpenOptions: Send, Sync, Clone, std::fmt::Debug);
assert_impl_all!(Wait: Copy, Eq, std::fmt::Debug, Default);
assert_impl_all!(Peer: Clone, PartialEq, std::fmt::Debug);

// Errors travel: into a `Box<dyn Error + Send + Sync>`, with or without the value.
assert_impl_all!(Error: std::error::Error, Send, Sync);
assert_impl_all!(SendError: std::error::Error, Send, Sync);
assert_impl_all!(SendError<[u64; 8]>: std::error::Error, Send, Sync);
assert_impl_all!(RecvError: std::error::Error, Send, Sync);

#[test]
fn a_producer_moves_to_another_thread_and_works_there() {
    let ring = Config::spsc().capacity(4).anonymous::<u64>().unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    std::thread::spawn(move || tx.send(1).unwrap())
        .join()
        .unwrap();
    let received = std::thread::spawn(move || rx.recv()).join().unwrap();
    assert_eq!(received, Ok(1));
}

#[test]
fn the_default_is_to_spin_and_then_to_park() {
    assert_eq!(Wait::default(), Wait::SpinThenPark);
}
