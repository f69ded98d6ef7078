//! `shmem-ipc`: its `sharedring`, a ring in a memfd with two eventfds beside it.
//!
//! A message is of one type, `[u64; N]`. Memory that others can write to must not be referred to, so the crate hands out raw pointers (`send_raw`,
//! `receive_raw`); each call here moves one message. The ring signals when it was empty and when it was full; who has to wait sleeps in
//! a read of the eventfd (`block_until_readable`, `block_until_writable`), which the deadline of a window interrupts.
#![allow(unsafe_code)]

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::posix_fallocate;
use shmem_ipc::Error;
use shmem_ipc::ringbuf::channel_bufsize;
use shmem_ipc::sharedring;

use super::lengths::{self, with_peer_words};
use crate::conformance::{self, Answer, Failure, Question};
use crate::job::{Job, SideReport};
use crate::measure::duplex::run_transport;
use crate::shared::SharedPage;
use crate::transport::registry::Mechanism;
use crate::transport::typed;
use crate::transport::{
    Carries, Class, Link, LinkError, LinkShape, Promises, Receiver, Sender, Ticket, Transport,
    alarm, calls, join, limits,
};

/// The ring, for messages of any of the lengths that it is compiled for.
#[derive(Debug)]
pub struct ShmemIpc;

impl Mechanism for ShmemIpc {
    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let len = lengths::of_one_length("shmem-ipc", shape)?;
        with_peer_words!(len, |N| Transport::create(&Ring::<N>, shape), else {
            Err(lengths::not_compiled("shmem-ipc", len))
        })
    }

    fn ask(&self, class: Class, question: Question) -> Result<Answer, Failure> {
        conformance::ask(&Ring::<1>, class, question)?;
        conformance::ask(&Ring::<64>, class, question)?;
        conformance::ask(&Ring::<4096>, class, question)
    }

    fn run(&self, job: &Job, page: &SharedPage) -> SideReport {
        let len = job.forward.message_len_max;
        with_peer_words!(len, |N| run_transport(&Ring::<N>, job, page), else {
            SideReport::failed(format!("no ring was made for messages of {len} bytes"))
        })
    }
}

/// The ring for messages of `[u64; N]`.
#[derive(Debug)]
pub struct Ring<const N: usize>;

/// Whether the memory for so many messages has a size at all. The crate's own sum would overflow.
fn has_a_size<const N: usize>(capacity: usize) -> bool {
    /// More than it needs beside the messages, and for whole pages.
    const BESIDE_LEN_MAX: usize = 1 << 20;
    let len = capacity.checked_mul(size_of::<[u64; N]>());
    len.and_then(|len| len.checked_add(BESIDE_LEN_MAX))
        .is_some_and(|len| i64::try_from(len).is_ok())
}

impl<const N: usize> Transport for Ring<N> {
    type Tx = RingSender<N>;
    type Rx = RingReceiver<N>;

    fn promises(&self) -> Promises {
        Promises {
            carries: Carries::Only(size_of::<[u64; N]>()),
            ..Promises::SHARED
        }
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let wanted = shape.capacity.max(1);
        if !has_a_size::<N>(wanted) {
            return Err(LinkError::Unavailable(format!(
                "{wanted} messages of {} B are over the {} B that a file has at most; choose a smaller --size",
                shape.message_len_max,
                i64::MAX
            )));
        }
        let mut ring = sharedring::Sender::<[u64; N]>::new(wanted).map_err(|error| {
            limits::not_made(channel_bufsize::<[u64; N]>(wanted) as u64, failed(&error))
        })?;
        // The room that is left up to a whole page is used, too.
        let capacity = ring.sender_mut().write_count().map_err(io::Error::other)?;
        let memory = ring.memfd().as_file().try_clone()?;
        // What has no page yet would be fatal when none is left.
        let len = channel_bufsize::<[u64; N]>(capacity).cast_signed();
        posix_fallocate(&memory, 0, len as libc::off_t)
            .map_err(|errno| limits::refused("posix_fallocate", errno))?;
        let empty = ring.empty_signal().try_clone()?;
        let full = ring.full_signal().try_clone()?;
        let fds = [memory, empty, full].map(OwnedFd::from);
        let numbers = fds.each_ref().map(AsRawFd::as_raw_fd);
        let ticket = Ticket {
            sender_fds: numbers.to_vec(),
            receiver_fds: numbers.to_vec(),
            message_len_max: shape.message_len_max,
            capacity,
            ..Ticket::default()
        };
        Ok(Link {
            ticket,
            fds: fds.into(),
            cleanup: None,
        })
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<RingSender<N>> {
        calls::hide();
        let [memory, empty, full] = adopted(&ticket.sender_fds)?;
        let opened = sharedring::Sender::open(ticket.capacity, memory, empty, full);
        Ok(RingSender(opened.map_err(|error| failed(&error))?))
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<RingReceiver<N>> {
        calls::hide();
        let [memory, empty, full] = adopted(&ticket.receiver_fds)?;
        let opened = sharedring::Receiver::open(ticket.capacity, memory, empty, full);
        Ok(RingReceiver(opened.map_err(|error| failed(&error))?))
    }
}

/// The memory, and the signals for a ring that was empty and for one that was full.
fn adopted(numbers: &[RawFd]) -> io::Result<[File; 3]> {
    let files: Vec<File> = numbers
        .iter()
        .map(|&number| join::adopt(&[number]).map(File::from))
        .collect::<io::Result<_>>()?;
    files
        .try_into()
        .map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// What the crate says, with the system's own error where there is one.
fn failed(error: &Error) -> io::Error {
    match errno_of(error) {
        Some(errno) => errno.into(),
        None => io::Error::other(error.to_string()),
    }
}

fn errno_of(error: &Error) -> Option<Errno> {
    match error {
        Error::Io(error) => error.raw_os_error().map(Errno::from_raw),
        Error::Memfd(_) | Error::Ringbuf(_) => None,
    }
}

/// Waits by `block` until the ring can go on, or gives `TimedOut` once the deadline has passed.
fn wait<T>(mut block: impl FnMut() -> Result<T, Error>) -> io::Result<()> {
    loop {
        match block() {
            Ok(_) => return Ok(()),
            Err(error) if errno_of(&error) != Some(Errno::EINTR) => return Err(failed(&error)),
            Err(_) if alarm::expired() => return Err(alarm::timed_out()),
            Err(_) => {}
        }
    }
}

/// The sending end.
pub struct RingSender<const N: usize>(sharedring::Sender<[u64; N]>);

impl<const N: usize> Sender for RingSender<N> {
    #[inline]
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let message: &[u64; N] = typed::message_in(message)?;
        loop {
            let mut is_sent = false;
            let put = |place: *mut [u64; N], _room: usize| {
                // SAFETY: the ring calls this only if there is room for a message at least, and gives its aligned place, which the receiver
                // doesn't read before it is counted.
                unsafe { place.write(*message) };
                is_sent = true;
                1
            };
            self.0.send_raw(put).map_err(|error| failed(&error))?;
            if is_sent {
                return Ok(());
            }
            wait(|| self.0.block_until_writable())?;
        }
    }
}

/// The receiving end.
pub struct RingReceiver<const N: usize>(sharedring::Receiver<[u64; N]>);

impl<const N: usize> Receiver for RingReceiver<N> {
    #[inline]
    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room: &mut [u64; N] = typed::place_in(buffer)?;
        loop {
            let mut is_received = false;
            let take = |place: *const [u64; N], _count: usize| {
                // SAFETY: the ring calls this only if there is a message at least, and gives its aligned place, which the sender doesn't write
                // to before it is given back. Any bytes are a valid `[u64; N]`.
                *room = unsafe { place.read() };
                is_received = true;
                1
            };
            self.0.receive_raw(take).map_err(|error| failed(&error))?;
            if is_received {
                return Ok(size_of::<[u64; N]>());
            }
            wait(|| self.0.block_until_readable())?;
        }
    }
}

impl<const N: usize> fmt::Debug for RingSender<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingSender").finish_non_exhaustive()
    }
}

impl<const N: usize> fmt::Debug for RingReceiver<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingReceiver").finish_non_exhaustive()
    }
}
