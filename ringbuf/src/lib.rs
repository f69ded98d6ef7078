//! Lock-free ring buffers in POSIX shared memory, between real processes.
//!
//! A ring lives in a segment that all its processes map. Sending and receiving make no system call while messages flow; a side that
//! has nothing to do spins, sleeps, or does one after the other, as it likes.
//!
//! ```
//! use shm_ringbuf::{Config, Ring};
//! # let name = format!("/doc-example-{}", std::process::id());
//! # let name = name.as_str();
//!
//! // One process …
//! let ring = Config::spsc().capacity(1 << 16).create::<u64>(name)?;
//! let mut producer = ring.producer()?;
//! producer.send(42)?;
//!
//! // … and another.
//! let mut consumer = Ring::<u64>::open(name)?.consumer()?;
//! assert_eq!(consumer.recv()?, 42);
//! # shm_ringbuf::unlink(name)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Many producers, many consumers
//!
//! [`Config::mpmc`], [`Config::mpsc`] and [`Config::spmc`] make rings for many; see [`multi`]. Their endpoints have the methods of the others.
//!
//! - Each message goes to one consumer, and all consumers follow one order.
//! - Who is killed holds up nobody. What a dead consumer had taken goes to another one, marked, or is dropped and counted ([`Config::redelivery`]).
//! - Who is stopped in the middle of a send holds up the consumers for the ring's [patience](Config::patience), and sends elsewhere when it goes on. A stopped consumer keeps the message
//!   that it has, and both keep their cells out of use. The single side of an mpsc or spmc ring can only be waited for.
//!
//! # What it promises
//!
//! - A committed message is received exactly once, whole and in order, or stays in the ring.
//! - Any process may be killed at any instruction. In an SPSC ring a successor takes its place and goes on: behind the last committed message as a
//!   producer, at the first message that was not released as a consumer.
//! - A clean close ([`RecvError::Disconnected`]) and a crash ([`RecvError::OwnerDied`]) reach the other side, also while it sleeps, and differ.
//! - Whatever a peer writes into the segment, nothing outside the mapping is touched; impossible words become
//!   [`RecvError::Corrupt`] and [`SendError::Corrupt`]. Reading in place is `unsafe`, because it trusts the peer. A named segment can be truncated by whoever may
//!   write to it, and then a touch is a SIGBUS; [`Config::anonymous`] segments are sealed against that.
//!
//! # Where things are
//!
//! `protocol` holds the algorithms, `segment` the memory layout and its life, `participants` who is alive,
//! `wait` the one loop that waits, `endpoint` the public face. `docs/architecture.md` says who may use whom.

#[cfg(not(loom))]
mod endpoint;
mod error;
#[cfg(not(loom))]
mod participants;
#[doc(hidden)]
pub mod protocol;
mod role;
#[doc(hidden)]
pub mod segment;
#[doc(hidden)]
pub mod wait;

#[cfg(not(loom))]
pub use bytemuck;
#[cfg(not(loom))]
pub use endpoint::{Config, Message, Multi, OpenOptions, Redelivery, Spsc, Topology, unlink};
#[cfg(not(loom))]
pub use error::Error;
pub use error::{Corruption, RecvError, SendError};
#[cfg(not(loom))]
pub use participants::Peer;
#[cfg(not(loom))]
pub use participants::table::Participant;
#[cfg(not(loom))]
pub use protocol::multi::life::Attendance;
pub use role::Role;
#[cfg(not(loom))]
pub use segment::layout::PayloadType;
pub use shm_semaphore::Deadline;
#[cfg(not(loom))]
pub use shm_semaphore::Pollable;
pub use wait::Wait;

/// A ring for one producer and one consumer; see [`Config::spsc`].
#[cfg(not(loom))]
pub type Ring<M> = endpoint::Ring<M, Spsc>;
/// The producer of a [`Ring`].
#[cfg(not(loom))]
pub type Producer<M> = endpoint::Producer<M, Spsc>;
/// The consumer of a [`Ring`].
#[cfg(not(loom))]
pub type Consumer<M> = endpoint::Consumer<M, Spsc>;
/// A message of a [`Ring`] that is read in place.
#[cfg(not(loom))]
pub type Received<'a, M> = endpoint::Received<'a, M, Spsc>;
/// A message of a [`Ring`] that is written in place.
#[cfg(not(loom))]
pub type Claim<'a, M> = endpoint::Claim<'a, M, Spsc>;

/// Rings for many producers, many consumers, or both; see [`Config::mpmc`], [`Config::mpsc`] and [`Config::spmc`].
///
/// Choose by how many there can ever be at a time. A single side costs less and can't be passed when it is stopped; both single is a ring of [`Config::spsc`].
///
/// ```
/// use shm_ringbuf::{Config, multi};
/// # let name = format!("/doc-example-multi-{}", std::process::id());
/// # let name = name.as_str();
///
/// let ring = Config::mpmc().create::<u64>(name)?;
/// ring.producer()?.send(42)?;
///
/// let mut consumer = multi::Ring::<u64>::open(name)?.consumer()?;
/// assert_eq!(consumer.recv()?, 42);
/// # shm_ringbuf::unlink(name)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[cfg(not(loom))]
pub mod multi {
    use crate::Multi;
    use crate::endpoint;

    /// A ring for many.
    pub type Ring<M> = endpoint::Ring<M, Multi>;
    /// One of the producers of a [`Ring`].
    pub type Producer<M> = endpoint::Producer<M, Multi>;
    /// One of the consumers of a [`Ring`].
    pub type Consumer<M> = endpoint::Consumer<M, Multi>;
    /// A message of a [`Ring`] that is read in place.
    pub type Received<'a, M> = endpoint::Received<'a, M, Multi>;
    /// A message of a [`Ring`] that is written in place.
    pub type Claim<'a, M> = endpoint::Claim<'a, M, Multi>;
}
