//! `posix-mq`: a POSIX message queue. Its descriptor is inherited; its name is gone before anybody joins.
//!
//! A queue does not notice that a peer has died.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

use nix::errno::Errno;
use nix::mqueue::mq_unlink;
use nix::mqueue::{MQ_OFlag, MqAttr, MqdT, mq_attr_member_t, mq_open, mq_receive, mq_send};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::stat::Mode;

use super::names;
use super::{
    Link, LinkError, LinkShape, Promises, Receiver, Sender, Ticket, Transport, alarm, join, limits,
};

/// A POSIX message queue.
#[derive(Debug, Clone, Copy)]
pub struct PosixMq;

impl Transport for PosixMq {
    type Tx = PosixMqSender;
    type Rx = PosixMqReceiver;

    fn promises(&self) -> Promises {
        Promises {
            limits_length: true,
            ..Promises::SHARED
        }
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let len = shape.message_len_max;
        // Without these settings the kernel has no POSIX queues, and `mq_open` says so itself.
        let limit = |name| limits::sysctl(name).unwrap_or(usize::MAX);
        let len_limit = limit("fs.mqueue.msgsize_max");
        if len > len_limit {
            return Err(limits::message_too_long(
                len,
                len_limit,
                "fs.mqueue.msgsize_max",
            ));
        }
        let capacity = shape.capacity.clamp(1, limit("fs.mqueue.msg_max"));
        let name = format!("/{}", names::unique());
        let (sender, receiver, held) = open_unlinked(&name, len, capacity)?;
        Ok(join::link_of_two(sender, receiver, shape, held))
    }

    fn refuses(&self, _: &LinkShape) -> Option<String> {
        None
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<PosixMqSender> {
        Ok(PosixMqSender {
            queue: queue(join::adopt(&ticket.sender_fds)?),
            message_len_max: ticket.message_len_max,
        })
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<PosixMqReceiver> {
        Ok(PosixMqReceiver {
            queue: queue(join::adopt(&ticket.receiver_fds)?),
            bounce: vec![0; ticket.message_len_max.max(1)],
            message_len_max: ticket.message_len_max,
        })
    }
}

fn queue(fd: OwnedFd) -> MqdT {
    // SAFETY: the descriptor is open, and its owner gives it away here.
    unsafe { MqdT::from_raw_fd(fd.into_raw_fd()) }
}

fn descriptor(queue: MqdT) -> OwnedFd {
    // SAFETY: on Linux a queue's descriptor is a file descriptor, and its owner gives it away here.
    unsafe { OwnedFd::from_raw_fd(queue.into_raw_fd()) }
}

/// Opens both ends of a fresh queue under a name and removes the name. Returns how many messages it holds: fewer than
/// asked for when the memory that this user may put into queues (`ulimit -q`) is used up.
fn open_unlinked(
    name: &str,
    message_len_max: usize,
    capacity: usize,
) -> Result<(OwnedFd, OwnedFd, usize), LinkError> {
    let fresh = MQ_OFlag::O_CREAT | MQ_OFlag::O_EXCL | MQ_OFlag::O_CLOEXEC;
    let mode = Mode::S_IRUSR | Mode::S_IWUSR;
    let message_len = signed(message_len_max.max(1));
    let mut held = capacity;
    let sender = loop {
        let attributes = MqAttr::new(0, signed(held), message_len, 0);
        match mq_open(name, fresh | MQ_OFlag::O_WRONLY, mode, Some(&attributes)) {
            Ok(queue) => break descriptor(queue),
            Err(Errno::EMFILE | Errno::ENOMEM) if held > 1 => held /= 2,
            Err(Errno::EMFILE) => {
                let limit = getrlimit(Resource::RLIMIT_MSGQUEUE).map_or(0, |(soft, _)| soft);
                return Err(LinkError::Unavailable(format!(
                    "a POSIX queue for one message of {message_len_max} B is over the {limit} B that \
                     this user may put into queues; raise `ulimit -q`, or choose a smaller --size"
                )));
            }
            Err(errno) => return Err(limits::refused("mq_open", errno)),
        }
    };
    let receiver = mq_open(name, MQ_OFlag::O_RDONLY | MQ_OFlag::O_CLOEXEC, mode, None);
    mq_unlink(name).map_err(io::Error::from)?;
    let receiver = receiver.map_err(|errno| limits::refused("mq_open", errno))?;
    Ok((sender, descriptor(receiver), held))
}

/// As the attributes want it; what is too large for them is refused by the kernel as well.
fn signed(value: usize) -> mq_attr_member_t {
    mq_attr_member_t::try_from(value).unwrap_or(mq_attr_member_t::MAX)
}

/// Puts messages into the queue.
#[derive(Debug)]
pub struct PosixMqSender {
    queue: MqdT,
    message_len_max: usize,
}

impl Sender for PosixMqSender {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        join::check_sent(message.len(), self.message_len_max)?;
        alarm::retry(|| mq_send(&self.queue, message, 0))
    }
}

/// Takes messages out of the queue.
#[derive(Debug)]
pub struct PosixMqReceiver {
    queue: MqdT,
    /// For callers whose buffer is shorter than the longest message: the call refuses such a one.
    bounce: Vec<u8>,
    message_len_max: usize,
}

impl Receiver for PosixMqReceiver {
    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut priority = 0;
        if buffer.len() >= self.bounce.len() {
            return alarm::retry(|| mq_receive(&self.queue, buffer, &mut priority));
        }
        let len = alarm::retry(|| mq_receive(&self.queue, &mut self.bounce, &mut priority))?;
        join::check_received(len, self.message_len_max, buffer.len())?;
        buffer[..len].copy_from_slice(&self.bounce[..len]);
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fan::Fan;

    #[test]
    fn name_of_the_queue_is_gone_when_it_is_handed_over() {
        let name = format!("/{}", names::unique());
        let Some(_ends) = limits::available(open_unlinked(&name, 64, 4)) else {
            return;
        };
        let again = mq_open(name.as_str(), MQ_OFlag::O_RDONLY, Mode::empty(), None);
        assert_eq!(again.unwrap_err(), Errno::ENOENT);
    }

    #[test]
    fn queue_holds_no_more_than_an_ordinary_user_gets() {
        let shape = LinkShape {
            message_len_max: 64,
            variable_len: true,
            capacity: 1 << 20,
            fan: Fan::PAIR,
        };
        let Some(link) = limits::available(PosixMq.create(&shape)) else {
            return;
        };
        let limit = limits::sysctl("fs.mqueue.msg_max").unwrap();
        assert!((1..=limit).contains(&link.ticket.capacity));
    }
}
