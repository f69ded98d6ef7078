//! `ipc-channel`: its channel of bytes, on Linux a pair of sockets that keep the boundaries of messages.
//!
//! `IpcBytesSender` and `IpcBytesReceiver` are what the crate has for messages that are bytes already: nothing is serialized. The two processes get their ends as its documentation
//! shows it: the coordinator makes the channel and waits at an `IpcOneShotServer` for each end; who joins connects by its name, which
//! is in the ticket, and is sent the end over a channel of its own. The folder of a server is removed when its end has been fetched, or
//! when the link is dropped.
//!
//! The crate says that `send` never blocks. On Linux it does, when the buffer of the socket is full, and that is what bounds the link here. How large the
//! buffer is can't be set by its interface: it has the system's default.

use std::fmt;
use std::io;
use std::os::fd::AsRawFd;
use std::thread::{self, JoinHandle};

use ipc_channel::IpcError;
use ipc_channel::ipc::{
    self, IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, IpcSender as Answers,
};
use ipc_channel::platform::OsIpcSender;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, socket, socketpair,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::transport::{
    Link, LinkError, LinkShape, Promises, Receiver, Sender, Ticket, Transport, alarm, capacity,
    join, limits,
};

/// Two lengths that the crate puts before each message.
const PREFIX_LEN: usize = 2 * size_of::<usize>();

/// The channel of bytes.
#[derive(Debug)]
pub struct IpcChannel;

/// Where the ends are fetched.
#[derive(Debug, Serialize, Deserialize)]
struct Names {
    sender: String,
    receiver: String,
}

impl Transport for IpcChannel {
    type Tx = IpcChannelSender;
    type Rx = IpcChannelReceiver;

    fn promises(&self) -> Promises {
        Promises::STREAM
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let len = shape.message_len_max;
        let in_one_piece = OsIpcSender::get_max_fragment_size();
        if len > in_one_piece {
            return Err(LinkError::Unavailable(format!(
                "ipc-channel sends a message of {len} B in pieces, which a deadline would cut, and up to {in_one_piece} B in one; \
                 choose a smaller --size, or ask an administrator to raise net.core.wmem_default"
            )));
        }
        let capacity = measured_capacity(len)?;
        let (sender, receiver) = ipc::bytes_channel()?;
        let sender = Handover::of(sender)?;
        let receiver = Handover::of(receiver)?;
        let names = Names {
            sender: sender.name.clone(),
            receiver: receiver.name.clone(),
        };
        Ok(Link {
            ticket: Ticket {
                text: serde_json::to_string(&names).map_err(io::Error::from)?,
                message_len_max: len,
                capacity,
                ..Ticket::default()
            },
            fds: Vec::new(),
            cleanup: Some(Box::new([sender, receiver])),
        })
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<IpcChannelSender> {
        // The crate writes to a socket whose other end may be gone.
        alarm::setup()?;
        let names: Names = serde_json::from_str(&ticket.text)?;
        Ok(IpcChannelSender {
            end: fetched(names.sender)?,
            message_len_max: ticket.message_len_max,
        })
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<IpcChannelReceiver> {
        alarm::setup()?;
        let names: Names = serde_json::from_str(&ticket.text)?;
        Ok(IpcChannelReceiver {
            end: fetched(names.receiver)?,
            message_len_max: ticket.message_len_max,
        })
    }
}

/// How many messages such a channel holds: its socket is an ordinary one, and another one of the kind holds as many.
fn measured_capacity(len: usize) -> Result<usize, LinkError> {
    let ends = socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    );
    let (sender, receiver) = ends.map_err(|errno| limits::refused("socketpair", errno))?;
    let unit = vec![0; PREFIX_LEN + len];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    capacity::measure_messages(
        unit.len(),
        || send(sender.as_raw_fd(), &unit, flags).map(drop),
        || recv(receiver.as_raw_fd(), &mut [0; 1], flags).map(drop),
    )
    .map_err(|errno| limits::refused("send to a socket", errno))
}

/// A thread of the coordinator that waits for the one process that fetches an end of the channel.
struct Handover {
    name: String,
    thread: Option<JoinHandle<()>>,
}

impl Handover {
    /// Hands `end` over to whoever asks first.
    fn of<E: Serialize + DeserializeOwned + Send + 'static>(end: E) -> io::Result<Self> {
        let (server, name) = IpcOneShotServer::<Answers<E>>::new()?;
        let thread = thread::Builder::new().spawn(move || {
            // Nobody has asked, or who did is gone: it has nothing to be told.
            if let Ok((_, answers)) = server.accept() {
                let _ = answers.send(end);
            }
        })?;
        Ok(Self {
            name,
            thread: Some(thread),
        })
    }

    /// Ends the waiting of a server by a connection over which nothing is said.
    fn dismiss(&self) -> nix::Result<()> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
        connect(
            socket.as_raw_fd(),
            &UnixAddr::new(std::path::Path::new(&self.name))?,
        )
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        // When the server has just ended by itself, there is nobody to connect to.
        let is_over = thread.is_finished() || self.dismiss().is_ok() || !self.is_there();
        if is_over {
            // It has panicked only if the crate did.
            let _ = thread.join();
        }
    }
}

impl Handover {
    fn is_there(&self) -> bool {
        std::path::Path::new(&self.name).exists()
    }
}

impl fmt::Debug for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handover")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Asks the coordinator for an end of the channel.
fn fetched<E: Serialize + DeserializeOwned>(name: String) -> io::Result<E> {
    let (answers, answer) = ipc::channel::<E>()?;
    let server = Answers::<Answers<E>>::connect(name)?;
    server.send(answers).map_err(io::Error::other)?;
    answer.recv().map_err(io::Error::other)
}

/// The sending end.
#[derive(Debug)]
pub struct IpcChannelSender {
    end: IpcBytesSender,
    message_len_max: usize,
}

impl Sender for IpcChannelSender {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        join::check_sent(message.len(), self.message_len_max)?;
        // One call, of `sendmsg`: the message is sent in one piece.
        alarm::retry(|| self.end.send(message).map_err(|error| errno_of(&error)))
            .map_err(join::sender_error)
    }
}

/// The receiving end.
#[derive(Debug)]
pub struct IpcChannelReceiver {
    end: IpcBytesReceiver,
    message_len_max: usize,
}

impl Receiver for IpcChannelReceiver {
    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // One call, of `recvmsg`.
        let message = alarm::retry(|| {
            self.end.recv().map_err(|error| match error {
                IpcError::Disconnected => Errno::ECONNRESET,
                IpcError::Io(error) => errno_of(&error),
                IpcError::SerializationError(_) => Errno::EBADMSG,
            })
        });
        let message = message.map_err(join::receiver_error)?;
        join::check_received(message.len(), self.message_len_max, buffer.len())?;
        buffer[..message.len()].copy_from_slice(&message);
        Ok(message.len())
    }
}

/// What the system said; the crate makes an error of its own only of the end of a channel.
fn errno_of(error: &io::Error) -> Errno {
    error
        .raw_os_error()
        .map_or(Errno::ECONNRESET, Errno::from_raw)
}
