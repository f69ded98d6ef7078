//! What every kernel mechanism does at both ends: make a link of descriptors, take them over, name the end of a peer.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

use super::{Link, LinkShape, Ticket};

/// A link whose two ends are different descriptors: the death of one side ends the link.
pub fn link_of_two(sender: OwnedFd, receiver: OwnedFd, shape: &LinkShape, capacity: usize) -> Link {
    Link {
        ticket: Ticket {
            sender_fds: vec![sender.as_raw_fd()],
            receiver_fds: vec![receiver.as_raw_fd()],
            message_len_max: shape.message_len_max,
            capacity,
            ..Ticket::default()
        },
        fds: vec![sender, receiver],
        cleanup: None,
    }
}

/// A link whose two ends share one descriptor (memory, a counter).
pub fn link_of_one(shared: OwnedFd, shape: &LinkShape, capacity: usize) -> Link {
    Link {
        ticket: Ticket {
            sender_fds: vec![shared.as_raw_fd()],
            receiver_fds: vec![shared.as_raw_fd()],
            message_len_max: shape.message_len_max,
            capacity,
            ..Ticket::default()
        },
        fds: vec![shared],
        cleanup: None,
    }
}

/// Takes over the one descriptor of this side.
///
/// # Errors
/// `InvalidInput` when the ticket does not hold exactly one, otherwise what the system says about it.
pub fn adopt(fds: &[RawFd]) -> io::Result<OwnedFd> {
    let fd = only(fds)?;
    // SAFETY: F_GETFD only looks the number up, whatever it is.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
    Errno::result(flags)?;
    // SAFETY: the descriptor is open (just asked), and the runner hands each number of a ticket to one process, which
    // joins once: nobody else in this process owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A descriptor of one's own for what this one is open for: other threads of this process have the same ticket.
///
/// # Errors
/// `InvalidInput` when the ticket does not hold exactly one, otherwise what the system says about it.
pub fn share(fds: &[RawFd]) -> io::Result<OwnedFd> {
    const FIRST: libc::c_int = 3;
    // SAFETY: takes plain numbers; a wrong one is refused.
    let copy = unsafe { libc::fcntl(only(fds)?, libc::F_DUPFD_CLOEXEC, FIRST) };
    let copy = Errno::result(copy)?;
    // SAFETY: the descriptor was made just now, for nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

fn only(fds: &[RawFd]) -> io::Result<RawFd> {
    let &[fd] = fds else {
        let text = format!("the ticket holds {} descriptors instead of one", fds.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    };
    Ok(fd)
}

/// What a sender says about its error: a peer that is gone is always `BrokenPipe`.
pub fn sender_error(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionRefused
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::NotConnected => io::Error::new(io::ErrorKind::BrokenPipe, error),
        _ => error,
    }
}

/// What a receiver says about its error: a peer that is gone is always `UnexpectedEof`.
pub fn receiver_error(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::NotConnected => io::Error::new(io::ErrorKind::UnexpectedEof, error),
        _ => error,
    }
}

/// The sender is gone, and everything it sent has been received.
pub fn end_of_link() -> io::Error {
    io::Error::from(io::ErrorKind::UnexpectedEof)
}

/// Checks what the caller wants to send against what the link was made for.
///
/// # Errors
/// `InvalidInput` with both lengths.
#[inline]
pub fn check_sent(len: usize, message_len_max: usize) -> io::Result<()> {
    if len <= message_len_max {
        return Ok(());
    }
    Err(too_long(io::ErrorKind::InvalidInput, len, message_len_max))
}

/// Checks a length that came from the other side against what the link carries and what the caller's buffer holds.
///
/// # Errors
/// `InvalidData` or `InvalidInput` with both lengths.
#[inline]
pub fn check_received(len: usize, message_len_max: usize, buffer_len: usize) -> io::Result<()> {
    if len > message_len_max {
        return Err(too_long(io::ErrorKind::InvalidData, len, message_len_max));
    }
    if len > buffer_len {
        return Err(too_long(io::ErrorKind::InvalidInput, len, buffer_len));
    }
    Ok(())
}

#[cold]
fn too_long(kind: io::ErrorKind, len: usize, limit: usize) -> io::Error {
    io::Error::new(
        kind,
        format!("a message of {len} B, where at most {limit} B were agreed"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticket_without_a_descriptor_or_with_a_closed_one_is_refused() {
        assert_eq!(adopt(&[]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(adopt(&[-1]).unwrap_err().raw_os_error(), Some(libc::EBADF));
    }

    #[test]
    fn lengths_from_outside_are_checked_against_both_bounds() {
        assert!(check_received(8, 8, 8).is_ok());
        assert_eq!(
            check_received(9, 8, 16).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        assert_eq!(
            check_received(8, 8, 7).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
        assert_eq!(
            check_sent(9, 8).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    }
}
