//! Messages that are made, sent, received and compared byte by byte.

use std::io;

use super::Answer;
use super::ends::{
    AMPLE, Asked, Opened, OrWrong, SHORT, Subject, begin_receiving, begin_sending, both, ensure,
    wrong,
};
use crate::transport::{Carries, Receiver, Sender, Told, Transport};

/// The lengths at which content is compared: on both sides of a word, a cache line, a page and what fits into most buffers.
const SIZES: [usize; 8] = [1, 2, 7, 8, 63, 64, 4096, 65_536];

/// The message with this number: all its bytes follow from the number, and its length does if it varies.
pub(super) fn message(number: usize, len_max: usize, varies: bool) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(number as u64);
    let len = match number % 5 {
        _ if !varies => len_max,
        0 => len_max,
        1 => random.usize(0..=len_max.min(3)),
        _ => random.usize(0..=len_max),
    };
    let mut bytes = vec![0; len];
    random.fill(&mut bytes);
    bytes
}

/// A place for messages that is aligned as the harness's own are.
pub(super) struct Room(Vec<u64>, usize);

impl Room {
    pub(super) fn new(len: usize) -> Self {
        Self(vec![0; len.div_ceil(8)], len)
    }

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        let bytes: &mut [u8] = shm_ringbuf::bytemuck::cast_slice_mut(&mut self.0);
        &mut bytes[..self.1]
    }

    fn holding(message: &[u8]) -> Self {
        let mut room = Self::new(message.len());
        room.bytes().copy_from_slice(message);
        room
    }
}

pub(super) fn send(sender: &mut impl Sender, message: &[u8]) -> io::Result<()> {
    sender.send(Room::holding(message).bytes())
}

pub(super) fn carries<T: Transport>(
    it: &Subject<'_, T>,
    len_max: usize,
    capacity: usize,
    count: usize,
) -> Asked<Answer> {
    let (opened, _link) = it.open(it.len(len_max), capacity)?;
    let varies = it.promises.carries == Carries::AnyLength;
    let count = count.min(enough(it, opened.sender.message_len_max));
    delivers(it, &opened, varies, count)
}

/// So many messages that no more would tell anything new: what is in them has to be made and compared.
fn enough<T: Transport>(it: &Subject<'_, T>, len: usize) -> usize {
    const BYTES_MAX: usize = 2 << 20;
    const WITHOUT_CONTENT: usize = 200;
    if it.has_content() {
        BYTES_MAX / len.max(1)
    } else {
        WITHOUT_CONTENT
    }
}

/// At each size often enough to come around three times, whatever more than asked for the link holds.
pub(super) fn carries_every_size<T: Transport>(it: &Subject<'_, T>) -> Asked<Answer> {
    const CAPACITY: usize = 5;
    let sizes = match it.promises.carries {
        _ if !it.has_content() => return carries(it, 8, CAPACITY, usize::MAX),
        Carries::AnyLength => SIZES.to_vec(),
        Carries::Only(len) => vec![len],
    };
    for size in sizes {
        let (opened, _link) = it.open(size, CAPACITY)?;
        // More than asked for may fit in.
        let count = opened.sender.capacity.saturating_mul(3) + 1;
        let count = count.min(enough(it, size).min(1_000));
        delivers(it, &opened, false, count)?;
    }
    Ok(Answer::Yes)
}

/// Sends `count` messages through a link and compares every byte of what comes out.
fn delivers<T: Transport>(
    it: &Subject<'_, T>,
    opened: &Opened,
    varies: bool,
    count: usize,
) -> Asked<Answer> {
    let len_max = opened.sender.message_len_max;
    let sends = || {
        let mut sender = it.sender(opened)?;
        begin_sending(AMPLE, &mut sender)?;
        (0..count).try_for_each(|number| {
            let sent = send(&mut sender, &message(number, len_max, varies));
            sent.or_wrong(|| format!("sending message {number} of {count}"))
        })
    };
    let receives = || {
        let mut receiver = it.receiver(opened)?;
        begin_receiving(AMPLE, &mut receiver)?;
        let mut room = Room::new(len_max);
        for number in 0..count {
            let len = receiver.recv(room.bytes());
            let len = len.or_wrong(|| format!("receiving message {number} of {count}"))?;
            compare(
                it,
                &room.bytes()[..len],
                &message(number, len_max, varies),
                number,
            )?;
        }
        if it.promises.end_of_sender == Told::AsMessages {
            return Ok(());
        }
        // Not one more than was sent.
        begin_receiving(SHORT, &mut receiver)?;
        let kinds = [io::ErrorKind::TimedOut, io::ErrorKind::UnexpectedEof];
        match receiver.recv(room.bytes()) {
            Err(error) if kinds.contains(&error.kind()) => Ok(()),
            Err(error) => wrong(format!("after the last message: {error}")),
            Ok(len) => wrong(format!(
                "after the last of {count} messages came one more of {len} B"
            )),
        }
    };
    both(sends, receives)?;
    Ok(Answer::Yes)
}

pub(super) fn compare<T: Transport>(
    it: &Subject<'_, T>,
    received: &[u8],
    sent: &[u8],
    number: usize,
) -> Asked {
    if !it.has_content() {
        return ensure(received.is_empty(), || {
            format!(
                "message {number} carries nothing, and {} B were received",
                received.len()
            )
        });
    }
    ensure(received.len() == sent.len(), || {
        let (received, sent) = (received.len(), sent.len());
        format!("message {number} of {sent} B was received with {received} B")
    })?;
    match received.iter().zip(sent).position(|(a, b)| a != b) {
        None => Ok(()),
        Some(at) => wrong(format!(
            "message {number} of {} B differs at byte {at}",
            sent.len()
        )),
    }
}
