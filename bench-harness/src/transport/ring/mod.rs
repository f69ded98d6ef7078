//! This project's rings, each in its three ways of waiting: `ring-spsc` and `ring-spsc-bytes` for one producer and one consumer, `ring-mpmc` and
//! `ring-mpmc-bytes` for many.
//!
//! The segment is an anonymous one, handed over by its descriptor. Messages are published and released one by one, as a
//! plain `send` and `recv` do it; batches are never used.

mod hold;
mod kinds;

use std::fmt::Debug;
use std::io;
use std::marker::PhantomData;
use std::time::Instant;

use shm_ringbuf::bytemuck::Pod;
use shm_ringbuf::{Message, Wait};
use shm_semaphore::Deadline;

use super::registry::Mechanism;
use super::{
    Carries, Class, Link, LinkError, LinkShape, Promises, Receiver, Sender, Ticket, Transport,
    WaitMode, join,
};
use crate::conformance::{self, Answer, Failure, Question};
use crate::fan::Stopped;
use crate::job::{Job, SideReport};
use crate::measure::duplex::run_transport;
use crate::shared::SharedPage;
use crate::transport::typed::{self, with_words};
use kinds::Request;
pub use kinds::{Kind, Many, One};

fn wait_of(mode: WaitMode) -> Wait {
    match mode {
        WaitMode::Spin => Wait::Spin,
        WaitMode::SpinPark => Wait::SpinThenPark,
        WaitMode::Park => Wait::Park,
    }
}

/// A side that is dropped says so; rings have no limit of length but the memory.
const PROMISES: Promises = Promises {
    limits_length: false,
    ..Promises::STREAM
};

/// Makes a ring; `hold` says how many messages so many units of its capacity are.
fn create<K: Kind, M: Message + Debug + ?Sized>(
    request: &Request,
    shape: &LinkShape,
    hold: impl FnOnce(usize) -> usize,
) -> Result<Link, LinkError> {
    let (memory, units) = K::create::<M>(request)?;
    Ok(join::link_of_one(memory, shape, hold(units)))
}

/// `ring-spsc` and `ring-mpmc`: fixed slots of `[u64; N]`. The type is chosen once for a link; from there on the code is that of a
/// program that knows its type.
#[derive(Debug)]
pub struct RingTyped<K>(WaitMode, PhantomData<K>);

impl<K> RingTyped<K> {
    /// One that waits like that.
    pub const fn new(mode: WaitMode) -> Self {
        Self(mode, PhantomData)
    }
}

impl<K: Kind> Mechanism for RingTyped<K> {
    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let [name, of_bytes] = K::NAMES;
        if shape.variable_len {
            return Err(LinkError::Unavailable(format!(
                "the messages of {name} are of one type and so of one length; {of_bytes} carries any"
            )));
        }
        let len = shape.message_len_max;
        with_words!(len, |N| Transport::create(&Slots::<K, N>::new(self.0), shape), else {
            Err(LinkError::Unavailable(format!(
                "its messages are of a type that is chosen at compile time, here of 48, of 56, or of 8 to 65536 bytes in \
                 powers of two, and {len} bytes were asked for; choose one of those sizes, or {of_bytes}"
            )))
        })
    }

    fn refuses(&self, shape: &LinkShape) -> Option<String> {
        K::refuses(shape)
    }

    fn can_hold(&self) -> bool {
        K::CAN_HOLD
    }

    fn ask(&self, class: Class, question: Question) -> Result<Answer, Failure> {
        // The shortest, a long one that still goes by value, the first one that does not, and the longest.
        conformance::ask(&Slots::<K, 1>::new(self.0), class, question)?;
        conformance::ask(&Slots::<K, 64>::new(self.0), class, question)?;
        conformance::ask(&Slots::<K, 128>::new(self.0), class, question)?;
        conformance::ask(&Slots::<K, 8192>::new(self.0), class, question)
    }

    fn run(&self, job: &Job, page: &SharedPage) -> SideReport {
        let len = job.forward.message_len_max;
        with_words!(len, |N| run_transport(&Slots::<K, N>::new(self.0), job, page), else {
            SideReport::failed(format!("no ring was made for messages of {len} bytes"))
        })
    }
}

/// A ring of `[u64; N]`.
#[derive(Debug)]
struct Slots<K, const N: usize>(WaitMode, PhantomData<K>);

impl<K: Kind, const N: usize> Slots<K, N> {
    fn new(mode: WaitMode) -> Self {
        Self(mode, PhantomData)
    }
}

impl<K: Kind, const N: usize> Transport for Slots<K, N> {
    type Tx = TypedSender<K, [u64; N]>;
    type Rx = TypedReceiver<K, [u64; N]>;

    fn promises(&self) -> Promises {
        Promises {
            carries: Carries::Only(8 * N),
            ..PROMISES
        }
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let request = Request {
            capacity: shape.capacity,
            cell: 0,
            wait: wait_of(self.0),
        };
        create::<K, [u64; N]>(&request, shape, |messages| messages)
    }

    fn hold(&self, ticket: &Ticket, who: Stopped, stop: fn()) -> io::Result<()> {
        let fd = join::adopt(&ticket.sender_fds)?;
        hold::hold_typed::<[u64; N]>(fd, wait_of(self.0), who, stop)
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<Self::Tx> {
        let producer = K::producer(join::adopt(&ticket.sender_fds)?, wait_of(self.0));
        Ok(TypedSender {
            producer: producer.map_err(io::Error::other)?,
            deadline: Deadline::NEVER,
        })
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<Self::Rx> {
        let consumer = K::consumer(join::adopt(&ticket.receiver_fds)?, wait_of(self.0));
        Ok(TypedReceiver {
            consumer: consumer.map_err(io::Error::other)?,
            deadline: Deadline::NEVER,
        })
    }
}

/// The sending end of a ring of `T`.
#[derive(Debug)]
struct TypedSender<K: Kind, T: Pod + Debug> {
    producer: K::Producer<T>,
    deadline: Deadline,
}

impl<K: Kind, T: Pod + Debug> Sender for TypedSender<K, T> {
    #[inline]
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        K::send(
            &mut self.producer,
            typed::message_in(message)?,
            self.deadline,
        )
    }

    fn begin_window(&mut self, deadline: Instant) {
        self.deadline = Deadline::from(deadline);
    }
}

/// The receiving end of a ring of `T`.
#[derive(Debug)]
struct TypedReceiver<K: Kind, T: Pod + Debug> {
    consumer: K::Consumer<T>,
    deadline: Deadline,
}

impl<K: Kind, T: Pod + Debug> Receiver for TypedReceiver<K, T> {
    #[inline]
    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        K::recv(&mut self.consumer, typed::place_in(buffer)?, self.deadline)?;
        Ok(size_of::<T>())
    }

    fn begin_window(&mut self, deadline: Instant) {
        self.deadline = Deadline::from(deadline);
    }
}

/// `ring-spsc-bytes` and `ring-mpmc-bytes`: records of any length.
#[derive(Debug)]
pub struct RingBytes<K>(WaitMode, PhantomData<K>);

impl<K> RingBytes<K> {
    /// One that waits like that.
    pub const fn new(mode: WaitMode) -> Self {
        Self(mode, PhantomData)
    }
}

/// The sending end of a ring of bytes.
#[derive(Debug)]
pub struct BytesSender<K: Kind> {
    producer: K::Producer<[u8]>,
    message_len_max: usize,
    deadline: Deadline,
}

/// The receiving end of a ring of bytes.
#[derive(Debug)]
pub struct BytesReceiver<K: Kind> {
    consumer: K::Consumer<[u8]>,
    deadline: Deadline,
}

impl<K: Kind> Transport for RingBytes<K> {
    type Tx = BytesSender<K>;
    type Rx = BytesReceiver<K>;

    fn promises(&self) -> Promises {
        PROMISES
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let bytes = K::bytes(shape);
        let request = Request {
            capacity: bytes.message_len * shape.capacity + bytes.unused_len,
            cell: bytes.cell,
            wait: wait_of(self.0),
        };
        create::<K, [u8]>(&request, shape, |len| {
            (len - bytes.unused_len) / bytes.message_len
        })
    }

    fn refuses(&self, shape: &LinkShape) -> Option<String> {
        K::refuses(shape)
    }

    fn can_hold(&self) -> bool {
        K::CAN_HOLD
    }

    fn hold(&self, ticket: &Ticket, who: Stopped, stop: fn()) -> io::Result<()> {
        let fd = join::adopt(&ticket.sender_fds)?;
        hold::hold_bytes(fd, wait_of(self.0), ticket.message_len_max, who, stop)
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<Self::Tx> {
        let producer = K::producer(join::adopt(&ticket.sender_fds)?, wait_of(self.0));
        Ok(BytesSender {
            producer: producer.map_err(io::Error::other)?,
            message_len_max: ticket.message_len_max,
            deadline: Deadline::NEVER,
        })
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<Self::Rx> {
        let consumer = K::consumer(join::adopt(&ticket.receiver_fds)?, wait_of(self.0));
        Ok(BytesReceiver {
            consumer: consumer.map_err(io::Error::other)?,
            deadline: Deadline::NEVER,
        })
    }
}

impl<K: Kind> Sender for BytesSender<K> {
    #[inline]
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        join::check_sent(message.len(), self.message_len_max)?;
        K::send_bytes(&mut self.producer, message, self.deadline)
    }

    fn begin_window(&mut self, deadline: Instant) {
        self.deadline = Deadline::from(deadline);
    }
}

impl<K: Kind> Receiver for BytesReceiver<K> {
    #[inline]
    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        K::recv_bytes(&mut self.consumer, buffer, self.deadline)
    }

    fn begin_window(&mut self, deadline: Instant) {
        self.deadline = Deadline::from(deadline);
    }
}

#[cfg(test)]
mod tests {
    use shm_ringbuf::{Ring, multi};

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

    fn typed<K: Kind>(len: usize, varies: bool) -> Result<Link, LinkError> {
        let transport = RingTyped::<K>::new(WaitMode::Park);
        Mechanism::create(&transport, &shape(len, varies))
    }

    fn of_bytes<K: Kind>(len: usize) -> Link {
        Transport::create(&RingBytes::<K>::new(WaitMode::Park), &shape(len, true)).unwrap()
    }

    #[test]
    fn slots_are_for_the_sizes_that_were_compiled_in() {
        for len in (3..=16).map(|shift| 1 << shift).chain([48, 56]) {
            assert_eq!(typed::<One>(len, false).unwrap().ticket.capacity, 1024);
            assert_eq!(typed::<Many>(len, false).unwrap().ticket.capacity, 1024);
        }
        for (len, varies) in [
            (4, false),
            (40, false),
            (65, false),
            (1 << 17, false),
            (64, true),
        ] {
            let refused = [typed::<One>(len, varies), typed::<Many>(len, varies)];
            for (refused, name) in refused
                .into_iter()
                .zip(["ring-spsc-bytes", "ring-mpmc-bytes"])
            {
                let Err(LinkError::Unavailable(reason)) = refused else {
                    panic!("{len}: accepted")
                };
                assert!(reason.contains(name), "{reason}");
            }
        }
    }

    #[test]
    fn a_ring_of_bytes_holds_at_least_as_many_messages_as_asked() {
        for len in [1, 8, 64, 100, 4096] {
            for link in [of_bytes::<One>(len), of_bytes::<Many>(len)] {
                let capacity = link.ticket.capacity;
                assert!(capacity >= 1024, "{len}: {capacity}");
            }
        }
    }

    #[test]
    fn a_full_ring_of_bytes_holds_what_its_ticket_says() {
        let link = of_bytes::<One>(64);
        let mut producer = Ring::<[u8]>::from_fd(link.fds[0].try_clone().unwrap())
            .and_then(|ring| ring.producer())
            .unwrap();
        let sent = (0..1 << 20)
            .take_while(|_| producer.try_send(&[0; 64]).is_ok())
            .count();
        assert_eq!(sent, link.ticket.capacity);
        let link = of_bytes::<Many>(100);
        let mut producer = multi::Ring::<[u8]>::from_fd(link.fds[0].try_clone().unwrap())
            .and_then(|ring| ring.producer())
            .unwrap();
        let sent = (0..1 << 20)
            .take_while(|_| producer.try_send(&[0; 100]).is_ok())
            .count();
        assert_eq!(sent, link.ticket.capacity);
    }

    #[test]
    fn only_the_ring_for_many_is_shared() {
        assert!(One::refuses(&shape(64, false)).is_some());
        assert!(Many::refuses(&shape(64, false)).is_none());
    }
}
