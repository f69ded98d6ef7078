//! A contender of one's own: a pipe that keeps the boundaries of messages (`O_DIRECT`, see `pipe(2)`), measured beside all others.
use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitCode;

use bench_harness::transport::registry::Contender;
use bench_harness::transport::{
    Class, Link, LinkError, LinkShape, Promises, Receiver, Sender, Ticket, Transport, WaitMode,
    alarm, join, limits,
};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{pipe2, read, write};

/// A packet is no longer (`PIPE_BUF`), and takes a whole page of the pipe.
const PACKET_LEN_MAX: usize = 4096;

/// The mechanism.
#[derive(Debug)]
pub struct PacketPipe;

/// Both ends: a descriptor, and room for a packet. An empty packet would be none, so each message has one byte before it.
#[derive(Debug)]
pub struct End(OwnedFd, Vec<u8>);

impl Transport for PacketPipe {
    type Tx = End;
    type Rx = End;

    fn promises(&self) -> Promises {
        Promises::STREAM
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let len = shape.message_len_max;
        if len >= PACKET_LEN_MAX {
            return Err(LinkError::Unavailable(format!(
                "a message of {len} B is over the {} B of a packet; choose a smaller --size",
                PACKET_LEN_MAX - 1
            )));
        }
        let (receiver, sender) = pipe2(OFlag::O_CLOEXEC | OFlag::O_DIRECT)
            .map_err(|errno| limits::refused("pipe2", errno))?;
        let wanted = i32::try_from(shape.capacity * PACKET_LEN_MAX).unwrap_or(i32::MAX);
        // More than this user gets is refused; the pipe then stays as it was made.
        let _ = fcntl(&sender, FcntlArg::F_SETPIPE_SZ(wanted));
        let held = fcntl(&sender, FcntlArg::F_GETPIPE_SZ).map_err(io::Error::from)?;
        let capacity = held as usize / PACKET_LEN_MAX;
        Ok(join::link_of_two(sender, receiver, shape, capacity))
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<End> {
        alarm::setup()?;
        let room = vec![0; 1 + ticket.message_len_max];
        Ok(End(join::adopt(&ticket.sender_fds)?, room))
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<End> {
        let room = vec![0; 1 + ticket.message_len_max];
        Ok(End(join::adopt(&ticket.receiver_fds)?, room))
    }
}

impl Sender for End {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let Self(pipe, packet) = self;
        join::check_sent(message.len(), packet.len() - 1)?;
        packet[1..=message.len()].copy_from_slice(message);
        alarm::retry(|| write(&*pipe, &packet[..=message.len()])).map(drop)
    }
}

impl Receiver for End {
    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Self(pipe, packet) = self;
        let received = alarm::retry(|| read(&*pipe, packet))?;
        let len = received.checked_sub(1).ok_or_else(join::end_of_link)?;
        join::check_received(len, packet.len() - 1, buffer.len())?;
        buffer[..len].copy_from_slice(&packet[1..received]);
        Ok(len)
    }
}

fn main() -> ExitCode {
    let row = Contender::of_transport("packet-pipe", Class::Message, WaitMode::Park, &PacketPipe);
    bench_harness::main_with(vec![row])
}

/// One `#[test]` of each question that a transport has to answer.
#[cfg(test)]
mod tests {
    bench_harness::conformance!(super::PacketPipe, Message);
}
