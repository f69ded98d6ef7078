//! `sysv-mq`: a System V message queue (`msgsnd`, `msgrcv`).
//!
//! The call wants a message type in front of the bytes, so each side copies between the caller's buffer and one of its
//! own: that is part of the mechanism's price. A queue does not notice that a peer has died.
#![allow(unsafe_code)]

use std::io;

use nix::errno::Errno;

use super::sysv::{self, OwnedQueue};
use super::{Link, LinkError, LinkShape, Promises, Receiver, Sender, Ticket, Transport, alarm};
use super::{join, limits};

/// Bytes of the message type in front of each message.
const TYPE_LEN: usize = size_of::<libc::c_long>();

/// The type of our messages: any number over zero.
const MESSAGE_TYPE: libc::c_long = 1;

/// A System V message queue.
#[derive(Debug, Clone, Copy)]
pub struct SysvMq;

impl Transport for SysvMq {
    type Tx = SysvMqSender;
    type Rx = SysvMqReceiver;

    fn promises(&self) -> Promises {
        Promises {
            limits_length: true,
            system_v: &["msg"],
            ..Promises::SHARED
        }
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let queue = OwnedQueue::create()?;
        let len = shape.message_len_max;
        let msgmax = limits::sysctl_or("kernel.msgmax", 8192);
        if len > msgmax {
            return Err(limits::message_too_long(len, msgmax, "kernel.msgmax"));
        }
        // An empty message still counts as one.
        let booked = len.max(1);
        let limit = queue.limit_bytes(shape.capacity.max(1).saturating_mul(booked))?;
        if len > limit {
            return Err(limits::message_too_long(len, limit, "kernel.msgmnb"));
        }
        let ticket = Ticket {
            text: queue.id().to_string(),
            message_len_max: len,
            capacity: limit / booked,
            ..Ticket::default()
        };
        Ok(Link {
            ticket,
            fds: Vec::new(),
            cleanup: Some(Box::new(queue)),
        })
    }

    fn refuses(&self, _: &LinkShape) -> Option<String> {
        None
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<SysvMqSender> {
        let mut frame = Vec::with_capacity(TYPE_LEN + ticket.message_len_max);
        frame.extend_from_slice(&MESSAGE_TYPE.to_ne_bytes());
        Ok(SysvMqSender {
            queue: sysv::number_in(&ticket.text, 0)?,
            frame,
            message_len_max: ticket.message_len_max,
        })
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<SysvMqReceiver> {
        Ok(SysvMqReceiver {
            queue: sysv::number_in(&ticket.text, 0)?,
            frame: vec![0; TYPE_LEN + ticket.message_len_max],
            message_len_max: ticket.message_len_max,
        })
    }
}

/// Puts messages into the queue.
#[derive(Debug)]
pub struct SysvMqSender {
    queue: libc::c_int,
    /// The type, then the message.
    frame: Vec<u8>,
    message_len_max: usize,
}

impl Sender for SysvMqSender {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        join::check_sent(message.len(), self.message_len_max)?;
        self.frame.truncate(TYPE_LEN);
        self.frame.extend_from_slice(message);
        alarm::retry(|| {
            // SAFETY: the frame holds the type and `message.len()` bytes behind it.
            let sent =
                unsafe { libc::msgsnd(self.queue, self.frame.as_ptr().cast(), message.len(), 0) };
            Errno::result(sent).map(drop)
        })
        .map_err(|error| sysv::removed_as(io::ErrorKind::BrokenPipe, error))
    }
}

/// Takes messages out of the queue.
#[derive(Debug)]
pub struct SysvMqReceiver {
    queue: libc::c_int,
    /// Room for the type, then for the longest message.
    frame: Vec<u8>,
    message_len_max: usize,
}

impl Receiver for SysvMqReceiver {
    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len_max = self.message_len_max;
        let received = alarm::retry(|| {
            let frame = self.frame.as_mut_ptr().cast();
            // SAFETY: the frame has room for the type and `len_max` bytes behind it.
            Errno::result(unsafe { libc::msgrcv(self.queue, frame, len_max, MESSAGE_TYPE, 0) })
        });
        let len = received.map_err(|error| sysv::removed_as(io::ErrorKind::UnexpectedEof, error))?
            as usize;
        join::check_received(len, len_max, buffer.len())?;
        buffer[..len].copy_from_slice(&self.frame[TYPE_LEN..TYPE_LEN + len]);
        Ok(len)
    }
}
