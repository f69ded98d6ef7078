//! What a contender is: a way to carry messages from one process to another.
//!
//! One trait, one file for each mechanism. A [`Transport`] makes *links*; a link goes one way, from one sending process
//! to one receiving process, or from several to several where the mechanism can. A round trip uses two links. The coordinator (the parent process) calls
//! [`Transport::create`]; the two measured processes call [`Transport::sender`] or [`Transport::receiver`] with
//! the [`Ticket`] that they were handed. Descriptors are inherited under the same number; names are removed
//! as early as the mechanism allows, at the latest when the [`Link`] is dropped.
//!
//! A transport of class [`Thread`](Class::Thread) has both ends in one measured process, on a thread each.

pub mod alarm;
pub mod bare_futex;
pub mod calls;
pub mod capacity;
pub mod datagram;
pub mod event_count;
pub mod eventfd;
pub mod framing;
pub mod hand_over;
pub mod join;
pub mod kernel;
pub mod limits;
pub mod mmap_file;
pub mod mutex_condvar;
pub mod names;
#[cfg(feature = "peers")]
pub mod peers;
pub mod pipe;
pub mod posix_mq;
pub mod posix_shm_sem;
mod promises;
pub mod registry;
pub mod ring;
pub mod sem_posix;
pub mod sem_sysv;
pub mod sem_sysv_undo;
pub mod semaphore;
pub mod semaphore_named;
pub mod semaphore_owned;
pub mod shared_memory;
pub mod signal;
pub mod slots;
pub mod stream_socket;
pub mod sysv;
pub mod sysv_mq;
pub mod sysv_shm_sem;
pub(crate) mod typed;
pub mod udp_loopback;
pub mod yardsticks;

use std::any::Any;
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::time::Instant;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::external::Terms;
use crate::fan::{Fan, Stopped};
pub use promises::{Carries, Holds, Promises, Told};

/// Contenders of different classes are never ranked together.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// The hardware's or the kernel's own limit; no message passing at all.
    Limit,
    /// Keeps the boundaries of messages by itself.
    Message,
    /// Carries bytes; the harness frames them with a 32-bit length.
    Stream,
    /// Carries no payload: wakes, or counts.
    Notify,
    /// Works only between threads of one process.
    Thread,
}

/// How the receiving side of a contender waits.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum WaitMode {
    /// Burns its core until the message is there.
    Spin,
    /// Spins for a while, then sleeps.
    SpinPark,
    /// Sleeps at once.
    Park,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Limit => "limit",
            Self::Message => "message",
            Self::Stream => "stream",
            Self::Notify => "notify",
            Self::Thread => "thread",
        })
    }
}

impl fmt::Display for WaitMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spin => "spin",
            Self::SpinPark => "spin-park",
            Self::Park => "park",
        })
    }
}

/// What a link must be able to carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkShape {
    /// The longest message that will be sent over the link, in bytes.
    pub message_len_max: usize,
    /// Whether the messages differ in length (a fixed-size mechanism says `Unavailable` then).
    pub variable_len: bool,
    /// Messages of the longest length that the link should hold before the sender has to wait.
    pub capacity: usize,
    /// How many processes send and receive over it.
    pub fan: Fan,
}

/// What a measured process needs to know to join a link. Passed on as JSON.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Ticket {
    /// Descriptors for the sending process, inherited under these numbers.
    pub sender_fds: Vec<RawFd>,
    /// Descriptors for the receiving process, inherited under these numbers.
    pub receiver_fds: Vec<RawFd>,
    /// Anything else: a name, an identifier of System V, an address.
    pub text: String,
    /// The longest message, in bytes.
    pub message_len_max: usize,
    /// How many messages of the longest length the link really holds (as near as the mechanism lets one say).
    pub capacity: usize,
    /// How many processes join on each side.
    pub fan: Fan,
    /// Of a program of the user's.
    #[serde(default)]
    pub external: Option<Terms>,
}

/// A link as the coordinator holds it.
pub struct Link {
    /// What the measured processes are told.
    pub ticket: Ticket,
    /// The descriptors behind the numbers in the ticket; closed in the coordinator once the processes have been started, so
    /// that the death of a process is seen as the end of its link.
    pub fds: Vec<OwnedFd>,
    /// Removes what has a name or an identifier when it is dropped; kept until the measured processes have ended.
    pub cleanup: Option<Box<dyn Any + Send>>,
}

impl Link {
    /// The sender's part of this link, with descriptors of its own: for another process that inherits them, or for this one. The
    /// clean-up stays with `self`.
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub fn sender_part(&self) -> io::Result<Self> {
        let (sender_fds, fds) = self.copies(&self.ticket.sender_fds)?;
        Ok(self.part(fds, sender_fds, Vec::new()))
    }

    /// The receiver's part, likewise.
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub fn receiver_part(&self) -> io::Result<Self> {
        let (receiver_fds, fds) = self.copies(&self.ticket.receiver_fds)?;
        Ok(self.part(fds, Vec::new(), receiver_fds))
    }

    /// Gives the descriptors away to whoever joins with this ticket in this process.
    pub fn into_ticket(self) -> Ticket {
        // The numbers are in the ticket already.
        self.fds.into_iter().for_each(|fd| {
            let _ = fd.into_raw_fd();
        });
        self.ticket
    }

    fn copies(&self, numbers: &[RawFd]) -> io::Result<(Vec<RawFd>, Vec<OwnedFd>)> {
        let copy_of = |number: &RawFd| {
            let fd = self.fds.iter().find(|fd| fd.as_raw_fd() == *number);
            fd.ok_or(io::ErrorKind::InvalidInput)?.try_clone()
        };
        let fds: Vec<_> = numbers.iter().map(copy_of).collect::<io::Result<_>>()?;
        Ok((fds.iter().map(AsRawFd::as_raw_fd).collect(), fds))
    }

    fn part(&self, fds: Vec<OwnedFd>, sender_fds: Vec<RawFd>, receiver_fds: Vec<RawFd>) -> Self {
        let ticket = Ticket {
            sender_fds,
            receiver_fds,
            ..self.ticket.clone()
        };
        Self {
            ticket,
            fds,
            cleanup: None,
        }
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}

/// Why a link can't be made.
#[derive(Debug)]
pub enum LinkError {
    /// The mechanism can't do this here (a limit of the system, a missing file system, a size): one sentence with the
    /// value, the limit and the remedy. Printed as `n/a`, never clamped.
    Unavailable(String),
    /// It should have worked.
    Failed(io::Error),
}

impl From<io::Error> for LinkError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// The sending end of a link, in a measured process.
pub trait Sender {
    /// Sends one message; waits while the link is full. A class `notify` mechanism ignores the content.
    ///
    /// # Errors
    /// `TimedOut` when the window's deadline has passed, otherwise what the mechanism said.
    fn send(&mut self, message: &[u8]) -> io::Result<()>;

    /// A window begins: no call may block beyond `deadline`.
    fn begin_window(&mut self, _deadline: Instant) {}
}

/// The receiving end of a link, in a measured process.
pub trait Receiver {
    /// Waits for the next message, copies it to the front of `buffer` and returns its length (`notify`: 0).
    ///
    /// # Errors
    /// `TimedOut` when the window's deadline has passed, `UnexpectedEof` when the sender is gone, otherwise what the
    /// mechanism said.
    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// A window begins: no call may block beyond `deadline`.
    fn begin_window(&mut self, _deadline: Instant) {}
}

/// What is said of a mechanism that was made for two processes.
pub const ONE_TO_ONE: &str = "one producer and one consumer by its nature";

/// A mechanism.
pub trait Transport: Sync {
    /// Its sending end.
    type Tx: Sender + 'static;
    /// Its receiving end.
    type Rx: Receiver + 'static;

    /// In what it differs from other mechanisms, to be asked of it by [`conformance`](mod@crate::conformance).
    fn promises(&self) -> Promises {
        Promises::LEAST
    }

    /// Makes a link; called in the coordinator.
    ///
    /// # Errors
    /// See [`LinkError`].
    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError>;

    /// Why a link can't be shared by as many processes as the shape says, in one sentence; nothing if it can. Asked of links with
    /// more than one process on a side.
    fn refuses(&self, _shape: &LinkShape) -> Option<String> {
        Some(ONE_TO_ONE.to_owned())
    }

    /// Whether [`Self::hold`] can be had.
    fn can_hold(&self) -> bool {
        false
    }

    /// Joins as one more participant, gets into the middle of a message, and calls `stop` there.
    ///
    /// # Errors
    /// What the mechanism says; that it can't, where there is no middle that a process could be in.
    fn hold(&self, _ticket: &Ticket, _who: Stopped, _stop: fn()) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Joins as the sender; called in a measured process.
    ///
    /// # Errors
    /// What the system says.
    fn sender(&self, ticket: &Ticket) -> io::Result<Self::Tx>;

    /// Joins as the receiver; called in a measured process.
    ///
    /// # Errors
    /// What the system says.
    fn receiver(&self, ticket: &Ticket) -> io::Result<Self::Rx>;
}
