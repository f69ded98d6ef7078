//! `unix-dgram` and `unix-seqpacket`: sockets of the Unix domain that keep the boundaries of messages.
//!
//! Both are connected pairs. A datagram socket then blocks its sender by the memory of its buffer
//! (`net.unix.max_dgram_qlen` counts only for a receiver that is not connected back) and loses nothing. It does not tell
//! its receiver that the sender is gone; a seqpacket socket does, by a length of zero. So that an empty message is not taken
//! for the end, it travels as one that is a byte longer than the longest.
//!
//! Several processes share a descriptor: each call moves one whole message.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, recv, send, setsockopt, socketpair, sockopt,
};

use super::{
    Link, LinkError, LinkShape, Promises, Receiver, Sender, Ticket, Told, Transport, alarm,
    capacity, join, limits,
};

/// Bytes of the buffer that a message can't use.
const BUFFER_OVERHEAD_LEN: usize = 32;

/// A connected pair of datagram sockets of the Unix domain.
#[derive(Debug, Clone, Copy)]
pub struct UnixDgram;

/// A connected pair of seqpacket sockets of the Unix domain.
#[derive(Debug, Clone, Copy)]
pub struct UnixSeqpacket;

impl Transport for UnixDgram {
    type Tx = DgramSender;
    type Rx = DgramReceiver;

    fn promises(&self) -> Promises {
        Promises {
            end_of_sender: Told::Never,
            ..Promises::STREAM
        }
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        create(SockType::Datagram, shape.message_len_max, shape)
    }

    fn refuses(&self, _: &LinkShape) -> Option<String> {
        None
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<DgramSender> {
        alarm::setup()?;
        Ok(DgramSender {
            fd: join::adopt(&ticket.sender_fds)?,
            message_len_max: ticket.message_len_max,
        })
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<DgramReceiver> {
        Ok(DgramReceiver {
            fd: join::adopt(&ticket.receiver_fds)?,
            message_len_max: ticket.message_len_max,
        })
    }
}

impl Transport for UnixSeqpacket {
    type Tx = SeqpacketSender;
    type Rx = SeqpacketReceiver;

    fn promises(&self) -> Promises {
        Promises::STREAM
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        create(SockType::SeqPacket, shape.message_len_max + 1, shape)
    }

    fn refuses(&self, _: &LinkShape) -> Option<String> {
        None
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<SeqpacketSender> {
        alarm::setup()?;
        Ok(SeqpacketSender {
            fd: join::adopt(&ticket.sender_fds)?,
            empty_mark: vec![0; ticket.message_len_max + 1],
        })
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<SeqpacketReceiver> {
        Ok(SeqpacketReceiver {
            fd: join::adopt(&ticket.receiver_fds)?,
            message_len_max: ticket.message_len_max,
        })
    }
}

fn create(kind: SockType, sent_len_max: usize, shape: &LinkShape) -> Result<Link, LinkError> {
    let (sender, receiver) = socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC)
        .map_err(|errno| limits::refused("socketpair", errno))?;
    let limit = capacity::send_buffer_limit(&sender).map_err(io::Error::from)?;
    // The kernel doubles what is asked for.
    let sent_len_limit = (2 * limit).saturating_sub(BUFFER_OVERHEAD_LEN);
    if sent_len_max > sent_len_limit {
        return Err(limits::message_too_long(
            shape.message_len_max,
            sent_len_limit,
            "net.core.wmem_max (twice its value)",
        ));
    }
    let wanted = shape.capacity.max(1);
    let request = wanted.saturating_mul(capacity::socket_booking(sent_len_max)) / 2;
    let unit = vec![0u8; sent_len_max];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    let held = capacity::calibrate(
        wanted,
        // A message that is longer than the buffer is refused, not waited for.
        request.max(sent_len_max / 2 + BUFFER_OVERHEAD_LEN),
        limit,
        |bytes| setsockopt(&sender, sockopt::SndBuf, &bytes.max(sent_len_max / 2 + 32)),
        || {
            capacity::measure_messages(
                sent_len_max,
                || send(sender.as_raw_fd(), &unit, flags).map(drop),
                || recv(receiver.as_raw_fd(), &mut [0; 1], flags).map(drop),
            )
        },
    )
    .map_err(|errno| match errno {
        Errno::EMSGSIZE => limits::message_too_long(
            shape.message_len_max,
            sent_len_limit,
            "net.core.wmem_max (twice its value)",
        ),
        errno => limits::refused("send of a datagram", errno),
    })?;
    Ok(join::link_of_two(sender, receiver, shape, held))
}

/// Sends datagrams.
#[derive(Debug)]
pub struct DgramSender {
    fd: OwnedFd,
    message_len_max: usize,
}

impl Sender for DgramSender {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        join::check_sent(message.len(), self.message_len_max)?;
        send_whole(&self.fd, message)
    }
}

/// Receives datagrams.
#[derive(Debug)]
pub struct DgramReceiver {
    fd: OwnedFd,
    message_len_max: usize,
}

impl Receiver for DgramReceiver {
    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = receive_whole(&self.fd, buffer)?;
        join::check_received(len, self.message_len_max, buffer.len())?;
        Ok(len)
    }
}

/// Sends messages of a seqpacket socket.
#[derive(Debug)]
pub struct SeqpacketSender {
    fd: OwnedFd,
    /// One byte longer than the longest message: stands for the empty one.
    empty_mark: Vec<u8>,
}

impl Sender for SeqpacketSender {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        join::check_sent(message.len(), self.empty_mark.len() - 1)?;
        let sent = if message.is_empty() {
            &self.empty_mark
        } else {
            message
        };
        send_whole(&self.fd, sent)
    }
}

/// Receives messages of a seqpacket socket.
#[derive(Debug)]
pub struct SeqpacketReceiver {
    fd: OwnedFd,
    message_len_max: usize,
}

impl Receiver for SeqpacketReceiver {
    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = receive_whole(&self.fd, buffer)?;
        if len == 0 {
            return Err(join::end_of_link());
        }
        if len == self.message_len_max + 1 {
            return Ok(0);
        }
        join::check_received(len, self.message_len_max, buffer.len())?;
        Ok(len)
    }
}

fn send_whole(fd: &OwnedFd, message: &[u8]) -> io::Result<()> {
    alarm::retry(|| send(fd.as_raw_fd(), message, MsgFlags::MSG_NOSIGNAL))
        .map(drop)
        .map_err(join::sender_error)
}

/// Receives one message and says how long it was, even when the buffer is shorter.
fn receive_whole(fd: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    alarm::retry(|| recv(fd.as_raw_fd(), buffer, MsgFlags::MSG_TRUNC)).map_err(join::receiver_error)
}
