//! The two ends of a link in one process, and the windows of their threads.

use std::any::Any;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::Question;
use crate::fan::Fan;
use crate::notice;
use crate::transport::{
    Carries, Class, Link, LinkError, LinkShape, Promises, Receiver, Sender, Ticket, Transport,
    alarm,
};

/// No question takes that long, unless a call blocks for good.
const WATCHDOG: Duration = Duration::from_secs(120);

/// What a window may take that is expected to end by itself.
pub(super) const AMPLE: Duration = Duration::from_secs(60);

/// What filling a link may take, for which nobody waits.
pub(super) const FILLING: Duration = Duration::from_secs(5);

/// A window that is expected to time out.
pub(super) const SHORT: Duration = Duration::from_millis(25);

/// Why a question is at its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// There is no such link here.
    Unavailable(String),
    /// Something else happened than should.
    Wrong(String),
}

/// The result of a part of a question.
pub(super) type Asked<T = ()> = Result<T, Stop>;

/// What went wrong, as an error.
pub(super) fn wrong<T>(problem: impl Into<String>) -> Asked<T> {
    Err(Stop::Wrong(problem.into()))
}

/// Goes on only if this is so.
pub(super) fn ensure(is_so: bool, problem: impl FnOnce() -> String) -> Asked {
    if is_so { Ok(()) } else { wrong(problem()) }
}

/// What the system says of something that should have worked.
pub(super) trait OrWrong<T> {
    /// Says what was being done.
    fn or_wrong(self, what: impl FnOnce() -> String) -> Asked<T>;
}

impl<T> OrWrong<T> for io::Result<T> {
    fn or_wrong(self, what: impl FnOnce() -> String) -> Asked<T> {
        self.map_err(|error| Stop::Wrong(format!("{} failed: {error}", what())))
    }
}

/// Ends the process when a question hangs: a blocked system call can't be ended from outside.
pub(super) struct Watchdog {
    _alive: mpsc::Sender<()>,
}

impl Watchdog {
    pub(super) fn new(question: Question) -> Self {
        let (alive, ended) = mpsc::channel::<()>();
        thread::spawn(move || {
            if ended.recv_timeout(WATCHDOG) == Err(mpsc::RecvTimeoutError::Timeout) {
                notice::tell(format_args!(
                    "asked whether it {question}: blocked beyond every deadline"
                ));
                std::process::abort();
            }
        });
        Self { _alive: alive }
    }
}

/// Who is asked.
pub(super) struct Subject<'a, T> {
    pub(super) class: Class,
    pub(super) promises: Promises,
    pub(super) transport: &'a T,
}

/// A link as two processes would have it. What the coordinator keeps of it is apart: it need not be shared.
pub(super) struct Opened {
    pub(super) sender: Ticket,
    pub(super) receiver: Ticket,
}

impl<T: Transport> Subject<'_, T> {
    /// Whether its messages have content.
    pub(super) fn has_content(&self) -> bool {
        !matches!(self.class, Class::Notify | Class::Limit)
    }

    /// The length that stands for such a one: of a transport for one length only that one.
    pub(super) fn len(&self, wanted: usize) -> usize {
        match self.promises.carries {
            Carries::AnyLength => wanted,
            Carries::Only(len) => len,
        }
    }

    /// A link of that shape; one that can't be had must be explained.
    pub(super) fn open(&self, message_len_max: usize, capacity: usize) -> Asked<(Opened, Link)> {
        let shape = LinkShape {
            message_len_max,
            variable_len: self.promises.carries == Carries::AnyLength,
            capacity,
            fan: Fan::PAIR,
        };
        let mut link = match self.transport.create(&shape) {
            Ok(link) => link,
            Err(LinkError::Unavailable(reason)) => {
                ensure(reason.contains(' '), || {
                    format!("the reason why there is no link is no sentence: {reason:?}")
                })?;
                return Err(Stop::Unavailable(reason));
            }
            Err(LinkError::Failed(error)) => {
                return wrong(format!("making a link failed: {error}"));
            }
        };
        let told = link.ticket.message_len_max;
        ensure(told == message_len_max, || {
            format!("a link for messages of {message_len_max} B has a ticket for {told} B")
        })?;
        ensure(link.ticket.capacity > 0, || {
            "the ticket says that the link holds no message".to_owned()
        })?;
        link.fds.iter().try_for_each(not_inherited)?;
        let duplicate = || "duplicating the descriptors of a link".to_owned();
        let sender = link.sender_part().or_wrong(duplicate)?.into_ticket();
        let receiver = link.receiver_part().or_wrong(duplicate)?.into_ticket();
        link.fds.clear();
        Ok((Opened { sender, receiver }, link))
    }

    /// Joins as the sender.
    pub(super) fn sender(&self, opened: &Opened) -> Asked<T::Tx> {
        self.transport
            .sender(&opened.sender)
            .or_wrong(|| "joining as the sender".to_owned())
    }

    /// Joins as the receiver.
    pub(super) fn receiver(&self, opened: &Opened) -> Asked<T::Rx> {
        self.transport
            .receiver(&opened.receiver)
            .or_wrong(|| "joining as the receiver".to_owned())
    }
}

fn not_inherited(fd: &OwnedFd) -> Asked {
    let flags = nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_GETFD).map_err(io::Error::from);
    let flags = flags.or_wrong(|| "looking at a descriptor".to_owned())?;
    ensure(flags & libc::FD_CLOEXEC != 0, || {
        "a descriptor of the link would leak into every child; make it with O_CLOEXEC".to_owned()
    })
}

/// Runs a part of a question in a thread of its own: alarms and queued signals belong to a thread.
pub(super) fn isolated<R: Send>(part: impl FnOnce() -> Asked<R> + Send) -> Asked<R> {
    thread::scope(|scope| outcome(scope.spawn(part).join()))
}

/// Runs two parts at the same time. What the second one has to say is told first: it is nearer to what came out.
pub(super) fn both(
    first: impl FnOnce() -> Asked + Send,
    second: impl FnOnce() -> Asked + Send,
) -> Asked {
    thread::scope(|scope| {
        let first = scope.spawn(first);
        let second = outcome(scope.spawn(second).join());
        let first = outcome(first.join());
        second.and(first)
    })
}

fn outcome<R>(joined: Result<Asked<R>, Box<dyn Any + Send>>) -> Asked<R> {
    joined.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        wrong(format!("it panicked: {}", text.unwrap_or("without a word")))
    })
}

/// Begins a window for both ends in this thread, and says when it ends.
pub(super) fn begin(
    window: Duration,
    sender: &mut impl Sender,
    receiver: &mut impl Receiver,
) -> Asked<Instant> {
    let deadline = begin_sending(window, sender)?;
    receiver.begin_window(deadline);
    Ok(deadline)
}

pub(super) fn begin_sending(window: Duration, sender: &mut impl Sender) -> Asked<Instant> {
    let deadline = armed(window)?;
    sender.begin_window(deadline);
    Ok(deadline)
}

pub(super) fn begin_receiving(window: Duration, receiver: &mut impl Receiver) -> Asked {
    let deadline = armed(window)?;
    receiver.begin_window(deadline);
    Ok(())
}

fn armed(window: Duration) -> Asked<Instant> {
    let deadline = Instant::now() + window;
    alarm::arm(deadline).or_wrong(|| "setting the alarm of a window".to_owned())?;
    Ok(deadline)
}
