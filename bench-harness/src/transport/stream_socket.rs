//! `unix-stream` (bound and connected by a path), `socketpair` (never had a name) and `tcp-loopback`.

use std::cell::Cell;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, MsgFlags, SockFlag, SockType, SockaddrIn, bind, connect, listen, recv,
    send, setsockopt, socket, socketpair, sockopt,
};
use nix::unistd::unlink;

use super::framing::{self, FrameReader, FrameWriter};
use super::{
    Holds, Link, LinkError, LinkShape, Promises, Ticket, Transport, capacity, join, limits, names,
};

/// A path for a socket of the Unix domain may not be longer.
const UNIX_PATH_LEN_MAX: usize = 107;

/// No buffer of TCP is made smaller, however little it is to hold: a window that is no longer than one segment (64 KiB
/// over loopback) makes TCP wait for its timers, and something other than the mechanism would be measured.
const TCP_BUFFER_LEN_MIN: usize = 64 << 10;

/// A stream socket of the Unix domain, bound to a path, connected and accepted.
#[derive(Debug, Clone, Copy)]
pub struct UnixStreamSocket;

/// A connected pair of stream sockets of the Unix domain.
#[derive(Debug, Clone, Copy)]
pub struct SocketPair;

/// A TCP connection over 127.0.0.1, with `TCP_NODELAY`.
#[derive(Debug, Clone, Copy)]
pub struct TcpLoopback;

impl Transport for UnixStreamSocket {
    type Tx = FrameWriter;
    type Rx = FrameReader;

    fn promises(&self) -> Promises {
        Promises::STREAM
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let path = names::temporary_path();
        let path_len = path.as_os_str().len();
        if path_len > UNIX_PATH_LEN_MAX {
            return Err(LinkError::Unavailable(format!(
                "the path of the socket has {path_len} B, over the {UNIX_PATH_LEN_MAX} B that the \
                 kernel allows; set TMPDIR to a shorter directory"
            )));
        }
        let listener =
            UnixListener::bind(&path).map_err(|error| unavailable_or("bind", &path, error))?;
        let connected = UnixStream::connect(&path);
        unlink(&path).map_err(io::Error::from)?;
        let sender = connected.map_err(|error| unavailable_or("connect", &path, error))?;
        let (receiver, _) = listener.accept()?;
        unix_link(sender.into(), receiver.into(), shape)
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<FrameWriter> {
        FrameWriter::join(ticket)
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<FrameReader> {
        FrameReader::join(ticket)
    }
}

impl Transport for SocketPair {
    type Tx = FrameWriter;
    type Rx = FrameReader;

    fn promises(&self) -> Promises {
        Promises::STREAM
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let (sender, receiver) = socketpair(
            AddressFamily::Unix,
            SockType::Stream,
            None,
            SockFlag::SOCK_CLOEXEC,
        )
        .map_err(|errno| limits::refused("socketpair", errno))?;
        unix_link(sender, receiver, shape)
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<FrameWriter> {
        FrameWriter::join(ticket)
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<FrameReader> {
        FrameReader::join(ticket)
    }
}

impl Transport for TcpLoopback {
    type Tx = FrameWriter;
    type Rx = FrameReader;

    fn promises(&self) -> Promises {
        // TCP moves bytes between its two buffers, and its packets differ from one connection to the next.
        Promises {
            holds: Holds::AboutHalf,
            ..Promises::STREAM
        }
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let frame_len = framing::frame_len(shape)?;
        let wanted = shape.capacity.max(1);
        let unconnected = tcp_socket()?;
        let limit = capacity::send_buffer_limit(&unconnected)
            .and_then(|limit| Ok(limit.min(capacity::receive_buffer_limit(&unconnected)?)))
            .map_err(io::Error::from)?;
        drop(unconnected);
        let request = Cell::new(TCP_BUFFER_LEN_MIN);
        // Filled connections are thrown away: a stalled window would leave its mark on the real one.
        let held = || {
            let (sender, receiver) = tcp_pair(request.get())?;
            let held = measure(&sender, &receiver, frame_len).map_err(io::Error::from)?;
            Ok::<_, LinkError>(held)
        };
        let mut capacity = held()?;
        if capacity < wanted {
            let first = TCP_BUFFER_LEN_MIN.saturating_mul(wanted) / capacity.max(1);
            let ask = |bytes: usize| {
                request.set(bytes.max(TCP_BUFFER_LEN_MIN));
                Ok(())
            };
            capacity = capacity::calibrate(wanted, first, limit, ask, held)?;
        }
        let (sender, receiver) = tcp_pair(request.get())?;
        Ok(join::link_of_two(sender, receiver, shape, capacity))
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<FrameWriter> {
        FrameWriter::join(ticket)
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<FrameReader> {
        FrameReader::join(ticket)
    }
}

/// What was refused by the standard library's wrapper of a system call.
fn unavailable_or(what: &str, path: &Path, error: io::Error) -> LinkError {
    match error.raw_os_error() {
        Some(code) => limits::refused_at(what, path, Errno::from_raw(code)),
        None => LinkError::Failed(error),
    }
}

/// Sizes and measures a connected pair of the Unix domain. Only the sender's buffer counts: it is booked until the
/// receiver has read.
fn unix_link(sender: OwnedFd, receiver: OwnedFd, shape: &LinkShape) -> Result<Link, LinkError> {
    let frame_len = framing::frame_len(shape)?;
    let wanted = shape.capacity.max(1);
    let held = capacity::calibrate(
        wanted,
        // The kernel doubles what is asked for.
        wanted.saturating_mul(capacity::socket_booking(frame_len)) / 2,
        capacity::send_buffer_limit(&sender).map_err(io::Error::from)?,
        |bytes| setsockopt(&sender, sockopt::SndBuf, &bytes),
        || measure(&sender, &receiver, frame_len),
    )
    .map_err(io::Error::from)?;
    Ok(join::link_of_two(sender, receiver, shape, held))
}

fn measure(sender: &OwnedFd, receiver: &OwnedFd, frame_len: usize) -> nix::Result<usize> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    capacity::measure_bytes(
        frame_len,
        |unit| send(sender.as_raw_fd(), unit, flags),
        |drain| recv(receiver.as_raw_fd(), drain, flags),
    )
}

fn tcp_socket() -> Result<OwnedFd, LinkError> {
    socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .map_err(|errno| limits::refused("socket of TCP", errno))
}

/// A connection over loopback whose two buffers have `buffer_bytes` each (the kernel doubles it for its bookkeeping).
fn tcp_pair(buffer_bytes: usize) -> Result<(OwnedFd, OwnedFd), LinkError> {
    let listener = tcp_socket()?;
    // Before the connection stands: the window is agreed on at its start.
    setsockopt(&listener, sockopt::RcvBuf, &buffer_bytes).map_err(io::Error::from)?;
    bind(listener.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0))
        .map_err(|errno| limits::refused("bind to 127.0.0.1", errno))?;
    listen(&listener, Backlog::new(1).map_err(io::Error::from)?).map_err(io::Error::from)?;
    let listener = TcpListener::from(listener);
    let port = listener.local_addr()?.port();

    let sender = tcp_socket()?;
    setsockopt(&sender, sockopt::SndBuf, &buffer_bytes).map_err(io::Error::from)?;
    connect(sender.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, port))
        .map_err(|errno| limits::refused("connect to 127.0.0.1", errno))?;
    let sender = TcpStream::from(sender);
    let receiver = accept_from(&listener, sender.local_addr()?)?;
    sender.set_nodelay(true)?;
    receiver.set_nodelay(true)?;
    Ok((sender.into(), receiver.into()))
}

/// Accepts the connection that comes from `peer`; any process of this machine could have been quicker.
fn accept_from(listener: &TcpListener, peer: SocketAddr) -> io::Result<TcpStream> {
    debug_assert_eq!(peer.ip(), Ipv4Addr::LOCALHOST);
    listener.set_nonblocking(true)?;
    for _ in 0..1000 {
        match listener.accept() {
            Ok((stream, address)) if address == peer => {
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::TimedOut,
        "the connection over loopback was never accepted",
    ))
}
