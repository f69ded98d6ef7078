//! `ring-spsc` and `ring-spsc-bytes`: this project's ring, in its three ways of waiting.
//!
//! The segment is an anonymous one, handed over by its descriptor. Messages are published and released one by one, as a
//! plain `send` and `recv` do it; batches are never used.

use std::io;
use std::os::fd::AsFd;
use std::slice;
use std::time::{Duration, Instant};

use shm_ringbuf::bytemuck::{self, Pod};
use shm_ringbuf::{Config, Consumer, Error, Message, Producer, RecvError, Ring, SendError, Wait};
use shm_semaphore::Deadline;

use super::registry::Mechanism;
use super::{Link, LinkError, LinkShape, Receiver, Sender, Ticket, Transport, WaitMode, join};
use crate::job::{Job, SideReport};
use crate::measure::duplex::run_transport;
use crate::shared::SharedPage;

/// Before a record of bytes, and the multiple to which it is padded.
const RECORD_UNIT: usize = 8;

fn wait_of(mode: WaitMode) -> Wait {
    match mode {
        WaitMode::Spin => Wait::Spin,
        WaitMode::SpinPark => Wait::SpinThenPark,
        WaitMode::Park => Wait::Park,
    }
}

/// Makes a ring; `units` is its capacity as [`Config`] counts it, `hold` says how many messages that are.
fn create<M: Message + ?Sized>(
    mode: WaitMode,
    shape: &LinkShape,
    units: usize,
    hold: impl FnOnce(&Ring<M>) -> usize,
) -> Result<Link, LinkError> {
    let ring = Config::spsc()
        .capacity(units)
        .wait(wait_of(mode))
        .anonymous::<M>();
    let ring = ring.map_err(|error| match error {
        Error::NoSpace { .. } | Error::Unsupported { .. } => {
            LinkError::Unavailable(error.to_string())
        }
        error => LinkError::Failed(io::Error::other(error)),
    })?;
    let memory = ring.as_fd().try_clone_to_owned()?;
    Ok(join::link_of_one(memory, shape, hold(&ring)))
}

fn producer<M: Message + ?Sized>(ticket: &Ticket, mode: WaitMode) -> io::Result<Producer<M>> {
    let ring = Ring::<M>::from_fd(join::adopt(&ticket.sender_fds)?).map_err(io::Error::other)?;
    ring.producer_with(wait_of(mode)).map_err(io::Error::other)
}

fn consumer<M: Message + ?Sized>(ticket: &Ticket, mode: WaitMode) -> io::Result<Consumer<M>> {
    let ring = Ring::<M>::from_fd(join::adopt(&ticket.receiver_fds)?).map_err(io::Error::other)?;
    ring.consumer_with(wait_of(mode)).map_err(io::Error::other)
}

#[cold]
fn send_error<T: std::fmt::Debug>(error: &SendError<T>) -> io::Error {
    let kind = match error {
        SendError::TimedOut(_) => io::ErrorKind::TimedOut,
        SendError::Disconnected(_) | SendError::OwnerDied(_) => io::ErrorKind::BrokenPipe,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error.to_string())
}

#[cold]
fn recv_error(error: &RecvError) -> io::Error {
    let kind = match error {
        RecvError::TimedOut => io::ErrorKind::TimedOut,
        RecvError::Disconnected | RecvError::OwnerDied => io::ErrorKind::UnexpectedEof,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error.to_string())
}

/// `ring-spsc`: fixed slots of `[u64; N]`. The type is chosen once for a link; from there on the code is that of a program that
/// knows its type.
#[derive(Debug)]
pub struct RingSpsc(pub WaitMode);

/// Calls `$then` with the transport for messages of `$len` bytes.
macro_rules! with_slots {
    ($len:expr, $mode:expr, |$transport:ident| $then:expr, else $otherwise:expr, [$($words:literal)*]) => {
        match $len {
            $(len if len == 8 * $words => {
                let $transport = Slots::<$words>($mode);
                $then
            })*
            _ => $otherwise,
        }
    };
}

/// The same, for the sizes that this harness is compiled for.
macro_rules! with_any_slots {
    ($len:expr, $mode:expr, |$transport:ident| $then:expr, else $otherwise:expr) => {
        with_slots!($len, $mode, |$transport| $then, else $otherwise,
            [1 2 4 8 16 32 64 128 256 512 1024 2048 4096 8192])
    };
}

impl Mechanism for RingSpsc {
    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        if shape.variable_len {
            return Err(LinkError::Unavailable(
                "its messages are of one type and so of one length; ring-spsc-bytes carries any"
                    .to_owned(),
            ));
        }
        let len = shape.message_len_max;
        with_any_slots!(len, self.0, |transport| transport.create(shape), else {
            Err(LinkError::Unavailable(format!(
                "its messages are of a type that is chosen at compile time, here of 8 to 65536 bytes in powers of two, and {len} \
                 bytes were asked for; choose one of those sizes, or ring-spsc-bytes"
            )))
        })
    }

    fn run(&self, job: &Job, page: &SharedPage) -> SideReport {
        let len = job.forward.message_len_max;
        with_any_slots!(len, self.0, |transport| run_transport(&transport, job, page), else {
            SideReport::failed(format!("no ring was made for messages of {len} bytes"))
        })
    }
}

/// A ring of `[u64; N]`.
#[derive(Debug)]
struct Slots<const N: usize>(WaitMode);

impl<const N: usize> Slots<N> {
    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        create::<[u64; N]>(self.0, shape, shape.capacity, Ring::capacity)
    }
}

/// The sending end of a ring of `T`.
#[derive(Debug)]
struct SlotSender<T: Pod> {
    producer: Producer<T>,
    deadline: Deadline,
}

/// The receiving end of a ring of `T`.
#[derive(Debug)]
struct SlotReceiver<T: Pod> {
    consumer: Consumer<T>,
    deadline: Deadline,
}

impl<const N: usize> Transport for Slots<N> {
    type Tx = SlotSender<[u64; N]>;
    type Rx = SlotReceiver<[u64; N]>;

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        Slots::create(self, shape)
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<Self::Tx> {
        Ok(SlotSender {
            producer: producer(ticket, self.0)?,
            deadline: Deadline::NEVER,
        })
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<Self::Rx> {
        Ok(SlotReceiver {
            consumer: consumer(ticket, self.0)?,
            deadline: Deadline::NEVER,
        })
    }
}

/// Larger messages than this go through the forms that take a slice, of one message: through the plain ones a value would be
/// copied once more on its way.
const BY_VALUE_LEN_MAX: usize = 512;

impl<T: Pod + std::fmt::Debug> Sender for SlotSender<T> {
    #[inline]
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        // The harness's buffers are page-aligned, so this is a view and no copy.
        let message: &T = bytemuck::try_from_bytes(message).map_err(wrong_shape)?;
        if size_of::<T>() <= BY_VALUE_LEN_MAX {
            let sent = self.producer.send_deadline(*message, self.deadline);
            return sent.map_err(|error| send_error(&error));
        }
        let one = slice::from_ref(message);
        let sent = match self.producer.try_send_exact(one) {
            Err(SendError::Full(())) => self
                .producer
                .send_exact_timeout(one, remaining(self.deadline)),
            result => result,
        };
        sent.map_err(|error| send_error(&error))
    }

    fn begin_window(&mut self, deadline: Instant) {
        self.deadline = Deadline::from(deadline);
    }
}

impl<T: Pod> Receiver for SlotReceiver<T> {
    #[inline]
    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let place: &mut T = bytemuck::try_from_bytes_mut(buffer).map_err(wrong_shape)?;
        if size_of::<T>() <= BY_VALUE_LEN_MAX {
            let received = self.consumer.recv_deadline(self.deadline);
            *place = received.map_err(|error| recv_error(&error))?;
            return Ok(size_of::<T>());
        }
        let one = slice::from_mut(place);
        let received = match self.consumer.try_recv_up_to(one) {
            Err(RecvError::Empty) => self
                .consumer
                .recv_up_to_timeout(one, remaining(self.deadline)),
            result => result,
        };
        received
            .map(|_| size_of::<T>())
            .map_err(|error| recv_error(&error))
    }

    fn begin_window(&mut self, deadline: Instant) {
        self.deadline = Deadline::from(deadline);
    }
}

fn remaining(deadline: Deadline) -> Duration {
    deadline.remaining().unwrap_or(Duration::MAX)
}

#[cold]
fn wrong_shape(error: bytemuck::PodCastError) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("a buffer that is no message: {error}"),
    )
}

/// `ring-spsc-bytes`: records of any length.
#[derive(Debug)]
pub struct RingSpscBytes(pub WaitMode);

/// The sending end of a ring of bytes.
#[derive(Debug)]
pub struct BytesSender {
    producer: Producer<[u8]>,
    deadline: Deadline,
}

/// The receiving end of a ring of bytes.
#[derive(Debug)]
pub struct BytesReceiver {
    consumer: Consumer<[u8]>,
    deadline: Deadline,
}

fn record_len(message_len: usize) -> usize {
    RECORD_UNIT + message_len.next_multiple_of(RECORD_UNIT)
}

impl Transport for RingSpscBytes {
    type Tx = BytesSender;
    type Rx = BytesReceiver;

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let record_len = record_len(shape.message_len_max);
        // One more unit for the header that marks the end.
        let bytes = record_len * shape.capacity + RECORD_UNIT;
        create::<[u8]>(self.0, shape, bytes, |ring| {
            (ring.capacity() - RECORD_UNIT) / record_len
        })
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<BytesSender> {
        Ok(BytesSender {
            producer: producer(ticket, self.0)?,
            deadline: Deadline::NEVER,
        })
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<BytesReceiver> {
        Ok(BytesReceiver {
            consumer: consumer(ticket, self.0)?,
            deadline: Deadline::NEVER,
        })
    }
}

impl Sender for BytesSender {
    #[inline]
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.producer
            .send_deadline(message, self.deadline)
            .map_err(|error| send_error(&error))
    }

    fn begin_window(&mut self, deadline: Instant) {
        self.deadline = Deadline::from(deadline);
    }
}

impl Receiver for BytesReceiver {
    #[inline]
    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.consumer
            .recv_deadline(buffer, self.deadline)
            .map_err(|error| recv_error(&error))
    }

    fn begin_window(&mut self, deadline: Instant) {
        self.deadline = Deadline::from(deadline);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fan::Fan;

    fn shape(message_len_max: usize, variable_len: bool) -> LinkShape {
        LinkShape {
            message_len_max,
            variable_len,
            capacity: 1024,
            fan: Fan::PAIR,
        }
    }

    #[test]
    fn slots_are_for_the_sizes_that_were_compiled_in() {
        for shift in 3..=16 {
            let link = Mechanism::create(&RingSpsc(WaitMode::Spin), &shape(1 << shift, false));
            assert_eq!(link.unwrap().ticket.capacity, 1024);
        }
        for (len, varies) in [(4, false), (65, false), (1 << 17, false), (64, true)] {
            let refused = Mechanism::create(&RingSpsc(WaitMode::Park), &shape(len, varies));
            let Err(LinkError::Unavailable(reason)) = refused else {
                panic!("{len}: accepted")
            };
            assert!(reason.contains("ring-spsc-bytes"), "{reason}");
        }
    }

    #[test]
    fn a_ring_of_bytes_holds_at_least_as_many_messages_as_asked() {
        for len in [1, 8, 64, 100, 4096] {
            let link = Transport::create(&RingSpscBytes(WaitMode::Park), &shape(len, true));
            let ticket = link.unwrap().ticket;
            assert!(ticket.capacity >= 1024, "{len}: {}", ticket.capacity);
        }
    }

    #[test]
    fn a_full_ring_of_bytes_holds_what_its_ticket_says() {
        let link = Transport::create(&RingSpscBytes(WaitMode::Park), &shape(64, true)).unwrap();
        let ring = Ring::<[u8]>::from_fd(link.fds[0].try_clone().unwrap()).unwrap();
        let mut producer = ring.producer().unwrap();
        let sent = (0..1 << 20)
            .take_while(|_| producer.try_send(&[0; 64]).is_ok())
            .count();
        assert_eq!(sent, link.ticket.capacity);
    }
}
