//! How much a link really holds: asked for, measured, corrected, and never guessed.
//!
//! The buffers of sockets and pipes are counted in ways that no formula outside the kernel follows (bookkeeping of each
//! message, pages, doubling). So a fresh link is filled without blocking and emptied again.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{getsockopt, setsockopt, sockopt};

/// No link is filled further than that.
const BYTES_MAX: usize = 64 << 20;

/// How long what was sent may be under way before the measurement gives up.
const ARRIVAL_MAX: Duration = Duration::from_secs(2);

/// More than any system grants to the buffer of a socket.
const REQUEST_MAX: usize = 1 << 30;

/// How often a request is corrected.
const ROUNDS: usize = 5;

/// Counts how many units of `unit_len` bytes fit between two ends before the sender would have to wait, and
/// leaves the link empty. `write` and `read` must not block (`EAGAIN` instead).
///
/// # Errors
/// What `write` or `read` said other than `EAGAIN`.
pub fn measure_bytes(
    unit_len: usize,
    mut write: impl FnMut(&[u8]) -> nix::Result<usize>,
    mut read: impl FnMut(&mut [u8]) -> nix::Result<usize>,
) -> nix::Result<usize> {
    let unit = vec![0u8; unit_len];
    let mut written_bytes = 0;
    let mut at = 0;
    while written_bytes < BYTES_MAX {
        match write(&unit[at..]) {
            Ok(count) => {
                written_bytes += count;
                at = (at + count) % unit_len;
            }
            Err(Errno::EAGAIN) => break,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    let mut drain = vec![0u8; 64 << 10];
    let mut read_bytes = 0;
    let begun = Instant::now();
    while read_bytes < written_bytes {
        match read(&mut drain) {
            Ok(0) => return Err(Errno::EPIPE),
            Ok(count) => read_bytes += count,
            Err(Errno::EAGAIN) => under_way(begun)?,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(written_bytes / unit_len)
}

/// The same for a mechanism that keeps the boundaries of messages: `send` and `receive` handle one each.
///
/// # Errors
/// What `send` or `receive` said other than `EAGAIN`.
pub fn measure_messages(
    message_len: usize,
    mut send: impl FnMut() -> nix::Result<()>,
    mut receive: impl FnMut() -> nix::Result<()>,
) -> nix::Result<usize> {
    let mut count = 0;
    while count * message_len.max(1) < BYTES_MAX {
        match send() {
            Ok(()) => count += 1,
            Err(Errno::EAGAIN) => break,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    let mut received = 0;
    let begun = Instant::now();
    while received < count {
        match receive() {
            Ok(()) => received += 1,
            Err(Errno::EAGAIN) => under_way(begun)?,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(count)
}

/// What was sent has not arrived yet (loopback hands packets over in the background).
fn under_way(begun: Instant) -> nix::Result<()> {
    if begun.elapsed() > ARRIVAL_MAX {
        return Err(Errno::ETIMEDOUT);
    }
    std::thread::yield_now();
    Ok(())
}

/// Finds the request for which a buffer holds `wanted` messages, as near as it can be: `ask` sets the size of a buffer
/// in bytes (at most `limit`), `measure` says how many messages it then holds. Ends with the best of the requests that
/// it tried, and returns what that one holds.
///
/// # Errors
/// What `ask` or `measure` said.
pub fn calibrate<E>(
    wanted: usize,
    first_request: usize,
    limit: usize,
    mut ask: impl FnMut(usize) -> Result<(), E>,
    mut measure: impl FnMut() -> Result<usize, E>,
) -> Result<usize, E> {
    let mut request = first_request.clamp(1, limit.max(1));
    let mut best: (usize, usize) = (request, 0);
    for _ in 0..ROUNDS {
        ask(request)?;
        let held = measure()?;
        if held.abs_diff(wanted) < best.1.abs_diff(wanted) || best.1 == 0 {
            best = (request, held);
        }
        if (wanted..=wanted + wanted / 8 + 1).contains(&held) {
            break;
        }
        let ideal = match held {
            0 => request.saturating_mul(2),
            // A 32nd more: a buffer that is a little too large is nearer to the shape than one too small.
            _ => (request.saturating_mul(wanted) / held).saturating_mul(33) / 32 + 1,
        };
        let next = ideal.clamp(1, limit.max(1));
        if next == request {
            break;
        }
        request = next;
    }
    ask(best.0)?;
    Ok(best.1)
}

/// A first guess at the memory that the kernel books for one message of a socket: the bytes, its header, rounding.
pub fn socket_booking(message_len: usize) -> usize {
    (message_len + 320)
        .next_power_of_two()
        .min(message_len + 4096)
        + 256
}

/// The largest send buffer that an ordinary user may ask for, in the bytes of a request (`net.core.wmem_max`). Asked of
/// the kernel itself, which grants no more: inside a container the setting can't be read. Leaves the buffer at that size.
///
/// # Errors
/// What the socket said.
pub fn send_buffer_limit(socket: &OwnedFd) -> nix::Result<usize> {
    setsockopt(socket, sockopt::SndBuf, &REQUEST_MAX)?;
    // The kernel doubles what was granted, for its bookkeeping.
    Ok(getsockopt(socket, sockopt::SndBuf)? / 2)
}

/// The same for the receive buffer (`net.core.rmem_max`).
///
/// # Errors
/// What the socket said.
pub fn receive_buffer_limit(socket: &OwnedFd) -> nix::Result<usize> {
    setsockopt(socket, sockopt::RcvBuf, &REQUEST_MAX)?;
    Ok(getsockopt(socket, sockopt::RcvBuf)? / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn calibrated(wanted: usize, limit: usize, holds: impl Fn(usize) -> usize) -> usize {
        let asked = Cell::new(0);
        let ask = |request| {
            assert!(request <= limit, "{request} over the limit {limit}");
            asked.set(request);
            Ok::<_, Errno>(())
        };
        calibrate(wanted, 1000, limit, ask, || Ok(holds(asked.get()))).unwrap()
    }

    #[test]
    fn request_is_corrected_until_the_buffer_holds_what_is_wanted() {
        for wanted in [1, 7, 100, 1000] {
            let held = calibrated(wanted, 1 << 30, |bytes| bytes * 2 / 769);
            assert!(
                (wanted..=wanted + wanted / 8 + 1).contains(&held),
                "{wanted} {held}"
            );
        }
    }

    #[test]
    fn request_stays_within_the_limit_of_the_system() {
        assert_eq!(calibrated(1000, 5000, |bytes| bytes / 100), 50);
    }

    #[test]
    fn smallest_buffer_of_the_system_may_hold_more_than_wanted() {
        assert_eq!(calibrated(1, 1 << 20, |_| 12), 12);
    }
}
