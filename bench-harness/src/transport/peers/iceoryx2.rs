//! `iceoryx2`: publish and subscribe between two processes, without a daemon.
//!
//! One publisher and one subscriber of a service whose payload is `[u8]`. The publisher loans a slice of the length of the message, copies the message into it and sends
//! it; the subscriber copies it out and gives the slice back. The service doesn't overflow: a sample that finds no room waits.
//!
//! **What tells that there is no room.** `DiscardData` drops the sample, and `RetryUntilDelivered` alone waits for good. With a handler for
//! backpressure the latter asks at each turn whether to go on: here it does so until the deadline, and `send` then fails with `UnableToDeliver`. Between two
//! turns iceoryx2 waits in its own way (it yields ten thousand times, and then sleeps). A `send` that reaches nobody says so by the number of its recipients; it is
//! made once more.
//!
//! `spin` looks for a sample again and again. `park` has a service of events beside it: a notification for each message, and a listener that
//! sleeps in `timed_wait`, which the deadline of a window interrupts. It never sleeps for longer than 20 ms, for a notification can be lost.
//!
//! The files of a link are in a folder of its own, and its shared memory has a prefix of its own: no other program of iceoryx2 is met. What is left when the
//! link is dropped, or when the coordinator is killed, is removed.

mod sweeper;

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use iceoryx2::config::Config;
use iceoryx2::node::{Node, NodeBuilder};
use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::port::update_connections::UpdateConnections;
use iceoryx2::port::{BackpressureAction, SendError};
use iceoryx2::prelude::{
    AllocationStrategy, BackpressureStrategy, FileName, LogLevel, SemanticString, ServiceName,
    SignalHandlingMode, ipc, set_log_level,
};
use nix::sys::statvfs::statvfs;

use crate::transport::{
    Link, LinkError, LinkShape, Promises, Receiver, Sender, Ticket, Transport, WaitMode, alarm,
    calls, join, limits,
};
use sweeper::Sweeper;

/// Where the shared memory of iceoryx2 has its names.
const SHARED_MEMORY: &str = "/dev/shm";

/// The longest path of a socket: `sun_path` less its end.
const SOCKET_PATH_LEN_MAX: usize = 107;

/// What iceoryx2 puts behind folder and prefix to name a socket: a number of 128 bits, and `.event`.
const SOCKET_NAME_LEN_MAX: usize = 39 + 6;

/// What is beside a message in its sample, and more than it.
const SAMPLE_HEADER_LEN_MAX: usize = 128;

/// Samples beyond those that wait: one is being written, one read, and one is on its way back.
const SAMPLES_UNDER_WAY: usize = 3;

/// The longest sleep of a receiver. A notifier of iceoryx2 0.10 sends a datagram first and notes only then that it did. If the listener comes
/// in between, takes the datagram and goes to sleep, the note makes every later notifier believe that one is on its way: without an end to its sleep it
/// would never wake again.
const SLEEP_MAX: Duration = Duration::from_millis(20);

/// How long one process waits for what the other one is making.
const CREATION_TIMEOUT: Duration = Duration::from_secs(20);

/// Publish and subscribe.
#[derive(Debug)]
pub struct Iceoryx2(WaitMode);

impl Iceoryx2 {
    /// One whose subscriber waits like that: it spins, or it sleeps at a listener.
    pub const fn new(mode: WaitMode) -> Self {
        Self(mode)
    }
}

impl Transport for Iceoryx2 {
    type Tx = Iceoryx2Sender;
    type Rx = Iceoryx2Receiver;

    fn promises(&self) -> Promises {
        Promises {
            keeps_a_folder: true,
            ..Promises::SHARED
        }
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let capacity = shape.capacity.max(1);
        check_room(shape.message_len_max, capacity)?;
        let folder = std::env::temp_dir().join(unique());
        let prefix = prefix_of(&folder)?;
        let socket_path_len = folder.as_os_str().len() + 1 + prefix.len() + SOCKET_NAME_LEN_MAX;
        if self.0 != WaitMode::Spin && socket_path_len > SOCKET_PATH_LEN_MAX {
            return Err(LinkError::Unavailable(format!(
                "the sockets of iceoryx2 would have paths of {socket_path_len} B below {}, and {SOCKET_PATH_LEN_MAX} B is the limit; \
                 set TMPDIR to a folder with a shorter path",
                folder.display()
            )));
        }
        let text = folder.to_str().ok_or_else(|| {
            LinkError::Unavailable(format!(
                "the path {} is no UTF-8, which iceoryx2 needs; set TMPDIR to another folder",
                folder.display()
            ))
        })?;
        let (sweeper, alive) = Sweeper::start(&folder, Path::new(SHARED_MEMORY), &prefix)?;
        let mut link = join::link_of_one(alive, shape, capacity);
        text.clone_into(&mut link.ticket.text);
        link.cleanup = Some(Box::new(sweeper));
        Ok(link)
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<Iceoryx2Sender> {
        let alive = join::adopt(&ticket.sender_fds)?;
        let node = node(ticket)?;
        let service = payloads(&node, ticket)?;
        let publisher = service
            .publisher_builder()
            .initial_max_slice_len(ticket.message_len_max.max(1))
            .allocation_strategy(AllocationStrategy::Static)
            .max_loaned_samples(1)
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .set_backpressure_handler(|_| {
                if alarm::expired() {
                    BackpressureAction::DiscardDataAndFail
                } else {
                    BackpressureAction::Retry
                }
            })
            .create()
            .map_err(io::Error::other)?;
        let notifier = match self.0 {
            WaitMode::Spin => None,
            WaitMode::SpinPark | WaitMode::Park => {
                let builder = events(&node)?;
                let notifier = builder.notifier_builder().create();
                Some(notifier.map_err(io::Error::other)?)
            }
        };
        Ok(Iceoryx2Sender {
            publisher,
            notifier,
            message_len_max: ticket.message_len_max,
            _node: node,
            _alive: alive,
        })
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<Iceoryx2Receiver> {
        let alive = join::adopt(&ticket.receiver_fds)?;
        let node = node(ticket)?;
        // Before the subscriber: whoever sends to that one can then wake this one.
        let listener = match self.0 {
            WaitMode::Spin => None,
            WaitMode::SpinPark | WaitMode::Park => {
                let builder = events(&node)?;
                let listener = builder.listener_builder().create();
                Some(listener.map_err(io::Error::other)?)
            }
        };
        let service = payloads(&node, ticket)?;
        let subscriber = service.subscriber_builder().create();
        Ok(Iceoryx2Receiver {
            subscriber: subscriber.map_err(io::Error::other)?,
            listener,
            message_len_max: ticket.message_len_max,
            _node: node,
            _alive: alive,
        })
    }
}

/// A name that is used once.
fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    // Relaxed: only the number itself matters.
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!(
        "iox2-{}-{count}-{:04x}",
        std::process::id(),
        fastrand::u16(..)
    )
}

/// How the names of a link's shared memory and sockets begin.
fn prefix_of(folder: &Path) -> io::Result<String> {
    let name = folder.file_name().and_then(|name| name.to_str());
    let name = name.ok_or(io::ErrorKind::InvalidInput)?;
    Ok(format!("{name}-"))
}

/// Whether the samples fit into what is left of the shared memory: iceoryx2 finds it out only when a process joins.
fn check_room(message_len_max: usize, capacity: usize) -> Result<(), LinkError> {
    let needed = message_len_max
        .checked_add(SAMPLE_HEADER_LEN_MAX)
        .and_then(|len| len.checked_mul(capacity.checked_add(SAMPLES_UNDER_WAY)?))
        .unwrap_or(usize::MAX);
    if let Some(told) = limits::file_too_long(needed as u64) {
        return Err(told);
    }
    let free = statvfs(SHARED_MEMORY).map_or(u64::MAX, |it| {
        it.blocks_available().saturating_mul(it.fragment_size())
    });
    if needed as u64 <= free {
        return Ok(());
    }
    Err(LinkError::Unavailable(format!(
        "{capacity} messages of {message_len_max} B need {needed} B of shared memory, and {free} B are free in {SHARED_MEMORY}; \
         free some, or choose a smaller --size"
    )))
}

/// The settings of a link, the same in both processes.
fn config_of(ticket: &Ticket) -> io::Result<Config> {
    let folder = PathBuf::from(&ticket.text);
    let prefix = prefix_of(&folder)?;
    let mut config = Config::default();
    let path = iceoryx2::prelude::Path::new(ticket.text.as_bytes()).map_err(io::Error::other)?;
    config.global.set_root_path(&path);
    config.global.prefix = FileName::new(prefix.as_bytes()).map_err(io::Error::other)?;
    config.global.creation_timeout = CREATION_TIMEOUT;
    Ok(config)
}

/// What a process needs to be seen by the other one.
fn node(ticket: &Ticket) -> io::Result<Node<ipc::Service>> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| set_log_level(LogLevel::Fatal));
    // It yields, sleeps and notifies where nobody can count it.
    calls::hide();
    let config = config_of(ticket)?;
    // Its default is to catch SIGINT, SIGTERM and others, for programs that wait at a node.
    NodeBuilder::new()
        .config(&config)
        .signal_handling_mode(SignalHandlingMode::Disabled)
        .create()
        .map_err(io::Error::other)
}

type Payloads =
    iceoryx2::service::port_factory::publish_subscribe::PortFactory<ipc::Service, [u8], ()>;
type Events = iceoryx2::service::port_factory::event::PortFactory<ipc::Service>;

/// The service of the messages.
fn payloads(node: &Node<ipc::Service>, ticket: &Ticket) -> io::Result<Payloads> {
    node.service_builder(&name("messages")?)
        .publish_subscribe::<[u8]>()
        .enable_safe_overflow(false)
        .subscriber_max_buffer_size(ticket.capacity)
        .subscriber_max_borrowed_samples(1)
        .history_size(0)
        .max_publishers(1)
        .max_subscribers(1)
        .open_or_create()
        .map_err(io::Error::other)
}

/// The service of the notifications.
fn events(node: &Node<ipc::Service>) -> io::Result<Events> {
    node.service_builder(&name("notifications")?)
        .event()
        .max_notifiers(1)
        .max_listeners(1)
        .open_or_create()
        .map_err(io::Error::other)
}

fn name(name: &str) -> io::Result<ServiceName> {
    ServiceName::new(name).map_err(io::Error::other)
}

/// The sending end.
#[derive(Debug)]
pub struct Iceoryx2Sender {
    publisher: Publisher<ipc::Service, [u8], ()>,
    notifier: Option<Notifier<ipc::Service>>,
    message_len_max: usize,
    _node: Node<ipc::Service>,
    /// As long as somebody holds it, nobody sweeps.
    _alive: OwnedFd,
}

impl Sender for Iceoryx2Sender {
    #[inline]
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        join::check_sent(message.len(), self.message_len_max)?;
        loop {
            let sample = self.publisher.loan_slice_uninit(message.len());
            let sample = sample.map_err(io::Error::other)?;
            match sample.write_from_slice(message).send() {
                Ok(0) if alarm::expired() => return Err(alarm::timed_out()),
                // Nobody has subscribed yet.
                Ok(0) => alarm::yield_now(),
                Ok(_) => break,
                // The handler gave up, or the deadline interrupted a sleep between two of its turns.
                Err(SendError::UnableToDeliver | SendError::InternalError) if alarm::expired() => {
                    return Err(alarm::timed_out());
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        if let Some(notifier) = &self.notifier {
            notifier.notify().map_err(io::Error::other)?;
        }
        Ok(())
    }
}

/// The receiving end.
#[derive(Debug)]
pub struct Iceoryx2Receiver {
    subscriber: Subscriber<ipc::Service, [u8], ()>,
    listener: Option<Listener<ipc::Service>>,
    message_len_max: usize,
    _node: Node<ipc::Service>,
    _alive: OwnedFd,
}

impl Iceoryx2Receiver {
    /// Copies the next message out, if there is one.
    #[inline]
    fn try_recv(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(sample) = self.subscriber.receive().map_err(io::Error::other)? else {
            return Ok(None);
        };
        let message = sample.payload();
        join::check_received(message.len(), self.message_len_max, buffer.len())?;
        buffer[..message.len()].copy_from_slice(message);
        Ok(Some(message.len()))
    }
}

impl Receiver for Iceoryx2Receiver {
    #[inline]
    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(listener) = &self.listener else {
            return alarm::spin_until(|| self.try_recv(buffer).transpose())?;
        };
        loop {
            if let Some(len) = self.try_recv(buffer)? {
                return Ok(len);
            }
            match listener.timed_wait(|_| {}, SLEEP_MAX) {
                _ if alarm::expired() => return Err(alarm::timed_out()),
                Ok(_) => {}
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }

    fn begin_window(&mut self, _deadline: Instant) {
        // What a publisher left that ends before the first message is asked for would be lost otherwise. If it fails, so will the next message.
        let _ = self.subscriber.update_connections();
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::Signal;

    use super::*;
    use crate::fan::Fan;

    #[test]
    fn what_does_not_fit_into_the_shared_memory_is_refused_with_its_size() {
        let Err(LinkError::Unavailable(reason)) = check_room(1 << 50, 16) else {
            panic!("a petabyte was promised");
        };
        assert!(reason.contains("1125899906842624 B"), "{reason}");
        assert!(check_room(64, 16).is_ok());
    }

    /// Whether this process has a handler for it.
    fn is_caught(signal: Signal) -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(caught.unwrap().trim(), 16).unwrap();
        caught & (1 << (signal as i32 - 1)) != 0
    }

    #[test]
    fn whoever_joins_keeps_its_signals() {
        let transport = Iceoryx2::new(WaitMode::Park);
        let shape = LinkShape {
            message_len_max: 64,
            variable_len: true,
            capacity: 4,
            fan: Fan::PAIR,
        };
        let link = transport.create(&shape).unwrap();
        let [front, back] = [link.sender_part(), link.receiver_part()];
        let mut sender = transport.sender(&front.unwrap().into_ticket()).unwrap();
        let receiver = transport.receiver(&back.unwrap().into_ticket());
        sender.send(&[7; 64]).unwrap();
        assert_eq!(receiver.unwrap().recv(&mut [0; 64]).unwrap(), 64);
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGUSR1] {
            assert!(!is_caught(signal), "{signal}");
        }
    }
}
