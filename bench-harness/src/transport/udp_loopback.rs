//! `udp-loopback`: datagrams over 127.0.0.1, made reliable by a window.
//!
//! UDP drops what does not fit into the receiver's buffer, and says nothing. So the two ends agree on a *window*:
//! the sender never has more messages under way than the receiver's buffer holds, and the receiver acknowledges every quarter
//! of a window with a datagram of its own (how many messages it has taken since the last one, 64 bits). The window is not guessed:
//! [`UdpLoopback::create`] sends one message of the longest length over the real sockets, asks the kernel what it booked
//! for it (`SO_MEMINFO`), and divides the real buffer by that. Three quarters of the buffer are used, because the
//! kernel gives the room of messages that were read back only a quarter of the buffer at a time; and at most half of
//! `net.core.netdev_max_backlog`, the queue between the two ends.
//!
//! Several senders share one socket, and several receivers the other. Each sender begins with an equal share of the window. An
//! acknowledgement goes to whoever reads it first, so what one sender no longer needs serves the others. What
//! all receivers together hold back is at most half of a share, so somebody can always go on: see `acknowledged_at_once`.
#![allow(unsafe_code)]

use std::io;
use std::mem::size_of_val;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrIn, bind, connect, getsockname,
    getsockopt, recv, send, setsockopt, socket, sockopt,
};

use super::{
    Link, LinkError, LinkShape, Promises, Receiver, Sender, Ticket, Told, Transport, alarm,
    capacity, join, limits,
};
use crate::fan::Fan;

/// The longest message that a UDP datagram over IPv4 carries.
const MESSAGE_LEN_LIMIT: usize = 65_507;

/// Bytes of an acknowledgement.
const ACK_LEN: usize = 8;

/// How long the first datagram may be under way.
const ARRIVAL_MAX_MS: u16 = 2000;

/// A pair of UDP sockets, each connected to the other.
#[derive(Debug, Clone, Copy)]
pub struct UdpLoopback;

impl Transport for UdpLoopback {
    type Tx = UdpSender;
    type Rx = UdpReceiver;

    fn promises(&self) -> Promises {
        // An acknowledgement may find out that nobody is there any more.
        Promises {
            end_of_sender: Told::Maybe,
            ..Promises::STREAM
        }
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        if shape.message_len_max > MESSAGE_LEN_LIMIT {
            return Err(LinkError::Unavailable(format!(
                "a message of {} B is over the {MESSAGE_LEN_LIMIT} B that a UDP datagram carries; \
                 choose a smaller --size",
                shape.message_len_max
            )));
        }
        let (sender, receiver) = connected_pair()?;
        let window = window(&sender, &receiver, shape)?;
        if share(window, shape.fan) == 0 {
            return Err(LinkError::Unavailable(format!(
                "the receiver's buffer holds {window} messages of {} B, less than one for each of {} producers; choose fewer \
                 --producers or a smaller --size, or ask an administrator to raise net.core.rmem_max",
                shape.message_len_max, shape.fan.producers
            )));
        }
        Ok(join::link_of_two(sender, receiver, shape, window))
    }

    fn refuses(&self, _: &LinkShape) -> Option<String> {
        None
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<UdpSender> {
        alarm::setup()?;
        Ok(UdpSender {
            fd: join::adopt(&ticket.sender_fds)?,
            message_len_max: ticket.message_len_max,
            window: ticket.capacity as u64,
            credit: share(ticket.capacity, ticket.fan),
        })
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<UdpReceiver> {
        Ok(UdpReceiver {
            fd: join::adopt(&ticket.receiver_fds)?,
            message_len_max: ticket.message_len_max,
            messages_per_ack: acknowledged_at_once(ticket.capacity, ticket.fan),
            unacknowledged: 0,
            sender_is_gone: false,
        })
    }
}

/// How many messages of the window a sender begins with.
fn share(window: usize, fan: Fan) -> u64 {
    window as u64 / u64::from(fan.producers)
}

/// How many messages a receiver acknowledges at once: of a pair a quarter of the window; of several as many that all of
/// them together hold back no more than half of a sender's share.
fn acknowledged_at_once(window: usize, fan: Fan) -> u64 {
    (share(window, fan) / u64::from(2 * fan.consumers).max(4)).max(1)
}

fn connected_pair() -> Result<(OwnedFd, OwnedFd), LinkError> {
    let mut sockets = Vec::with_capacity(2);
    let mut addresses = Vec::with_capacity(2);
    for _ in 0..2 {
        let fd = socket(
            AddressFamily::Inet,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC,
            None,
        )
        .map_err(|errno| limits::refused("socket of UDP", errno))?;
        bind(fd.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0))
            .map_err(|errno| limits::refused("bind to 127.0.0.1", errno))?;
        addresses.push(getsockname::<SockaddrIn>(fd.as_raw_fd()).map_err(io::Error::from)?);
        sockets.push(fd);
    }
    for (fd, peer) in sockets.iter().zip(addresses.iter().rev()) {
        connect(fd.as_raw_fd(), peer)
            .map_err(|errno| limits::refused("connect to 127.0.0.1", errno))?;
    }
    let receiver = sockets.pop().ok_or_else(join::end_of_link)?;
    let sender = sockets.pop().ok_or_else(join::end_of_link)?;
    // A stranger's datagram may have come between bind and connect.
    for fd in [&sender, &receiver] {
        while recv(fd.as_raw_fd(), &mut [0; 1], MsgFlags::MSG_DONTWAIT).is_ok() {}
    }
    Ok((sender, receiver))
}

/// How many messages may be under way; see the top of this file.
fn window(sender: &OwnedFd, receiver: &OwnedFd, shape: &LinkShape) -> Result<usize, LinkError> {
    let booked = booked_len(sender, receiver, shape.message_len_max)?;
    let wanted = shape.capacity.max(1);
    // A third more than the window takes, and room for one more; the kernel doubles what is asked for.
    let request = wanted.saturating_mul(booked) / 3 * 2 + booked;
    let limit = capacity::receive_buffer_limit(receiver).map_err(io::Error::from)?;
    setsockopt(receiver, sockopt::RcvBuf, &request.min(limit)).map_err(io::Error::from)?;
    let buffer_len = getsockopt(receiver, sockopt::RcvBuf).map_err(io::Error::from)?;
    let backlog = limits::sysctl_or("net.core.netdev_max_backlog", 1000);
    let window = wanted.min(buffer_len / 4 * 3 / booked).min(backlog / 2);
    if window == 0 {
        return Err(limits::message_too_long(
            shape.message_len_max,
            (limit * 3 / 2).saturating_sub(booked.saturating_sub(shape.message_len_max)),
            "net.core.rmem_max (three quarters of twice its value, less the kernel's bookkeeping)",
        ));
    }
    Ok(window)
}

/// What the kernel books in the receiver's buffer for a message of `message_len` bytes.
fn booked_len(
    sender: &OwnedFd,
    receiver: &OwnedFd,
    message_len: usize,
) -> Result<usize, LinkError> {
    let message = vec![0u8; message_len];
    send(sender.as_raw_fd(), &message, MsgFlags::MSG_NOSIGNAL)
        .map_err(|errno| limits::refused("send of a UDP datagram", errno))?;
    let mut arrival = [PollFd::new(receiver.as_fd(), PollFlags::POLLIN)];
    let arrived = poll(&mut arrival, PollTimeout::from(ARRIVAL_MAX_MS)).map_err(io::Error::from)?;
    if arrived == 0 {
        let text = format!("a UDP datagram of {message_len} B did not arrive over loopback");
        return Err(LinkError::Failed(io::Error::new(
            io::ErrorKind::TimedOut,
            text,
        )));
    }
    let booked = receive_memory_len(receiver)?;
    recv(receiver.as_raw_fd(), &mut [0; 1], MsgFlags::MSG_DONTWAIT).map_err(io::Error::from)?;
    Ok(booked.max(1))
}

/// Bytes that are booked in the socket's receive buffer.
fn receive_memory_len(socket: &OwnedFd) -> io::Result<usize> {
    let mut info = [0u32; 16];
    let mut info_len = size_of_val(&info) as libc::socklen_t;
    // SAFETY: both pointers are to locals that outlive the call, and `info_len` says how large `info` is.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            info.as_mut_ptr().cast(),
            &raw mut info_len,
        )
    };
    Errno::result(result)?;
    // SK_MEMINFO_RMEM_ALLOC, the first word.
    Ok(info[0] as usize)
}

/// Sends datagrams, never more than the window.
#[derive(Debug)]
pub struct UdpSender {
    fd: OwnedFd,
    message_len_max: usize,
    window: u64,
    /// Messages that may still be sent before the next acknowledgement.
    credit: u64,
}

impl UdpSender {
    /// Waits for the next acknowledgement.
    #[cold]
    fn wait_for_room(&mut self) -> io::Result<()> {
        while self.credit == 0 {
            let mut ack = [0; ACK_LEN];
            let len = alarm::retry(|| recv(self.fd.as_raw_fd(), &mut ack, MsgFlags::MSG_TRUNC))
                .map_err(join::sender_error)?;
            let count = u64::from_le_bytes(ack);
            if len != ACK_LEN || count > self.window {
                let text = format!("an acknowledgement of {count} messages ({len} B) is not ours");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            self.credit = count;
        }
        Ok(())
    }
}

impl Sender for UdpSender {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        join::check_sent(message.len(), self.message_len_max)?;
        if self.credit == 0 {
            self.wait_for_room()?;
        }
        alarm::retry(|| send(self.fd.as_raw_fd(), message, MsgFlags::MSG_NOSIGNAL))
            .map_err(join::sender_error)?;
        self.credit -= 1;
        Ok(())
    }
}

/// Receives datagrams and acknowledges them.
#[derive(Debug)]
pub struct UdpReceiver {
    fd: OwnedFd,
    message_len_max: usize,
    messages_per_ack: u64,
    unacknowledged: u64,
    sender_is_gone: bool,
}

impl UdpReceiver {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut flags = MsgFlags::MSG_TRUNC;
            if self.sender_is_gone {
                flags |= MsgFlags::MSG_DONTWAIT;
            }
            match alarm::retry(|| recv(self.fd.as_raw_fd(), buffer, flags)) {
                // An acknowledgement found nobody; what was sent before may still be in the buffer.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    self.sender_is_gone = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(join::end_of_link());
                }
                received => return received.map_err(join::receiver_error),
            }
        }
    }

    #[cold]
    fn acknowledge(&mut self) -> io::Result<()> {
        let count = self.unacknowledged.to_le_bytes();
        match alarm::retry(|| send(self.fd.as_raw_fd(), &count, MsgFlags::MSG_NOSIGNAL)) {
            Ok(_) => self.unacknowledged = 0,
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                self.sender_is_gone = true;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl Receiver for UdpReceiver {
    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.unacknowledged >= self.messages_per_ack && !self.sender_is_gone {
            self.acknowledge()?;
        }
        let len = self.receive(buffer)?;
        self.unacknowledged += 1;
        join::check_received(len, self.message_len_max, buffer.len())?;
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_fits_into_the_real_buffer_of_the_receiver() {
        for message_len_max in [1, 64, 4096, 60_000] {
            let shape = LinkShape {
                message_len_max,
                variable_len: false,
                capacity: 256,
                fan: Fan::PAIR,
            };
            let (sender, receiver) = connected_pair().unwrap();
            let window = window(&sender, &receiver, &shape).unwrap();
            assert!((1..=256).contains(&window), "{message_len_max}: {window}");
            let message = vec![0; message_len_max];
            for _ in 0..window {
                send(sender.as_raw_fd(), &message, MsgFlags::empty()).unwrap();
            }
            let mut room = vec![0; message_len_max];
            for _ in 0..window {
                let mut arrival = [PollFd::new(receiver.as_fd(), PollFlags::POLLIN)];
                assert_eq!(
                    poll(&mut arrival, PollTimeout::from(ARRIVAL_MAX_MS)).unwrap(),
                    1
                );
                recv(receiver.as_raw_fd(), &mut room, MsgFlags::MSG_DONTWAIT).unwrap();
            }
        }
    }

    #[test]
    fn what_idle_senders_and_receivers_keep_never_stops_the_last_sender() {
        for window in [1, 2, 3, 10, 256] {
            for producers in 1..=window.min(32) as u32 {
                for consumers in 1..=32 {
                    let fan = Fan {
                        producers,
                        consumers,
                    };
                    let at_once = acknowledged_at_once(window, fan);
                    // A sender takes the next acknowledgement only when it has nothing left.
                    let kept = share(window, fan).max(at_once) * u64::from(producers - 1);
                    let held_back = (at_once - 1) * u64::from(consumers);
                    assert!(kept + held_back < window as u64, "{window} {fan:?}");
                }
            }
        }
        assert_eq!(acknowledged_at_once(256, Fan::PAIR), 64);
    }
}
