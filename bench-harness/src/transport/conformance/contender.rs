//! The two ends of a link in one process, and the windows of their threads.

use std::os::fd::OwnedFd;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::fan::Fan;
use crate::transport::{
    Class, Link, LinkError, LinkShape, Receiver, Sender, Ticket, Transport, alarm,
};

/// Nothing in these tests takes that long, unless a call blocks for good.
const WATCHDOG: Duration = Duration::from_secs(120);

/// Ends the process when a test hangs: a blocked system call can't be ended from outside.
pub(super) struct Watchdog {
    _alive: mpsc::Sender<()>,
}

impl Watchdog {
    pub(super) fn new(name: &'static str) -> Self {
        let (alive, ended) = mpsc::channel::<()>();
        thread::spawn(move || {
            if ended.recv_timeout(WATCHDOG) == Err(mpsc::RecvTimeoutError::Timeout) {
                eprintln!("{name}: blocked beyond every deadline");
                std::process::abort();
            }
        });
        Self { _alive: alive }
    }
}

/// A mechanism under test.
pub(super) struct Contender<'a, T> {
    pub(super) name: &'static str,
    pub(super) class: Class,
    pub(super) transport: &'a T,
}

impl<T: Transport> Contender<'_, T> {
    /// A link as two processes would have it; none when it is not available here, which must then be explained.
    pub(super) fn open(
        &self,
        message_len_max: usize,
        capacity: usize,
    ) -> Option<(Link, Ticket, Ticket)> {
        let shape = LinkShape {
            message_len_max,
            variable_len: true,
            capacity,
            fan: Fan::PAIR,
        };
        let mut link = match self.transport.create(&shape) {
            Ok(link) => link,
            Err(LinkError::Unavailable(reason)) => {
                assert!(
                    reason.contains(' '),
                    "{}: no sentence: {reason:?}",
                    self.name
                );
                eprintln!("{} at {message_len_max} B: {reason}", self.name);
                return None;
            }
            Err(LinkError::Failed(error)) => panic!("{}: {error}", self.name),
        };
        assert_eq!(
            link.ticket.message_len_max, message_len_max,
            "{}",
            self.name
        );
        assert_not_inherited(&link.fds);
        let sender = link.sender_part().unwrap().into_ticket();
        let receiver = link.receiver_part().unwrap().into_ticket();
        link.fds.clear();
        Some((link, sender, receiver))
    }

    /// Whether the kernel tells a receiver that its sender is gone.
    pub(super) fn tells_receiver(&self) -> bool {
        self.class == Class::Stream || self.name == "unix-seqpacket"
    }

    /// Whether a receiver is woken by the end of its sender, again and again, as if by messages: what the sender held has come back. (The
    /// kernel undoes what a *process* did, so here only our own does that.)
    pub(super) fn ends_in_wakes(&self) -> bool {
        self.name == "semaphore-owned"
    }

    /// Whether the kernel tells a sender that its receiver is gone.
    pub(super) fn tells_sender(&self) -> bool {
        self.tells_receiver() || matches!(self.name, "unix-dgram" | "udp-loopback")
    }
}

fn assert_not_inherited(fds: &[OwnedFd]) {
    for fd in fds {
        let flags = nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_GETFD).unwrap();
        assert_eq!(
            flags,
            libc::FD_CLOEXEC,
            "a descriptor that would leak into every child"
        );
    }
}

/// Runs a part of a test in a thread of its own: alarms and queued signals belong to a thread.
pub(super) fn isolated<R: Send>(part: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| {
        scope
            .spawn(part)
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Begins a window for both ends in this thread, and says when it ends.
pub(super) fn begin(
    window: Duration,
    sender: &mut impl Sender,
    receiver: &mut impl Receiver,
) -> Instant {
    let deadline = begin_sending(window, sender);
    receiver.begin_window(deadline);
    deadline
}

pub(super) fn begin_sending(window: Duration, sender: &mut impl Sender) -> Instant {
    let deadline = Instant::now() + window;
    alarm::arm(deadline).unwrap();
    sender.begin_window(deadline);
    deadline
}

pub(super) fn begin_receiving(window: Duration, receiver: &mut impl Receiver) {
    let deadline = Instant::now() + window;
    alarm::arm(deadline).unwrap();
    receiver.begin_window(deadline);
}
