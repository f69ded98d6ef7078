//! `crossbeam-channel`, `crossbeam-array-queue` and `rtrb`: the queues between threads that are most taken.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{RecvTimeoutError, SendTimeoutError, TryRecvError, TrySendError};
use crossbeam_queue::ArrayQueue;

use super::threads::{BetweenThreads, Ends, Queue, Value};
use crate::fan::Fan;
use crate::transport::registry::{Contender, Mechanism};
use crate::transport::{Class, Promises, Told, WaitMode, alarm, join};

/// Their rows.
pub fn contenders() -> Vec<Contender> {
    let row = |wait, (name, mechanism): (&'static str, &'static dyn Mechanism)| {
        Contender::of_transport(name, Class::Thread, wait, mechanism)
    };
    vec![
        row(WaitMode::Spin, named::<SpinningChannel>()),
        row(WaitMode::SpinPark, named::<Channel>()),
        row(WaitMode::Spin, named::<SharedArray>()),
        row(WaitMode::Spin, named::<Rtrb>()),
    ]
}

fn named<Q: Queue>() -> (&'static str, &'static dyn Mechanism) {
    (Q::NAME, const { &BetweenThreads::<Q>::IT })
}

/// Whoever drops an end is noticed on the other one.
const TELLS: Promises = Promises {
    end_of_sender: Told::Always,
    end_of_receiver: Told::Always,
    ..Promises::SHARED
};

fn broken() -> io::Error {
    io::Error::from(io::ErrorKind::BrokenPipe)
}

/// A bounded channel of crossbeam: `send_deadline` and `recv_deadline`, which spin for a moment and then sleep.
#[derive(Debug)]
struct Channel;

impl Queue for Channel {
    type Tx<T: Value> = crossbeam_channel::Sender<T>;
    type Rx<T: Value> = crossbeam_channel::Receiver<T>;

    const NAME: &'static str = "crossbeam-channel";
    const IS_FOR_MANY: bool = true;
    const SLEEPS: bool = true;
    const PROMISES: Promises = TELLS;

    fn ends<T: Value>(capacity: usize, fan: Fan) -> Ends<Self::Tx<T>, Self::Rx<T>> {
        let (sender, receiver) = crossbeam_channel::bounded(capacity);
        Ends {
            senders: vec![sender; fan.producers as usize],
            receivers: vec![receiver; fan.consumers as usize],
        }
    }

    #[inline]
    fn send<T: Value>(sender: &mut Self::Tx<T>, message: &T, deadline: Instant) -> io::Result<()> {
        let sent = sender.send_deadline(*message, deadline);
        sent.map_err(|error| match error {
            SendTimeoutError::Timeout(_) => alarm::timed_out(),
            SendTimeoutError::Disconnected(_) => broken(),
        })
    }

    #[inline]
    fn recv<T: Value>(receiver: &mut Self::Rx<T>, deadline: Instant) -> io::Result<T> {
        let came = receiver.recv_deadline(deadline);
        came.map_err(|error| match error {
            RecvTimeoutError::Timeout => alarm::timed_out(),
            RecvTimeoutError::Disconnected => join::end_of_link(),
        })
    }
}

/// The same channel by `try_send` and `try_recv`, again and again.
#[derive(Debug)]
struct SpinningChannel;

impl Queue for SpinningChannel {
    type Tx<T: Value> = crossbeam_channel::Sender<T>;
    type Rx<T: Value> = crossbeam_channel::Receiver<T>;

    const NAME: &'static str = Channel::NAME;
    const IS_FOR_MANY: bool = true;
    const SLEEPS: bool = false;
    const PROMISES: Promises = TELLS;

    fn ends<T: Value>(capacity: usize, fan: Fan) -> Ends<Self::Tx<T>, Self::Rx<T>> {
        Channel::ends(capacity, fan)
    }

    #[inline]
    fn send<T: Value>(sender: &mut Self::Tx<T>, message: &T, _: Instant) -> io::Result<()> {
        alarm::spin_until(|| match sender.try_send(*message) {
            Ok(()) => Some(Ok(())),
            Err(TrySendError::Full(_)) => None,
            Err(TrySendError::Disconnected(_)) => Some(Err(broken())),
        })?
    }

    #[inline]
    fn recv<T: Value>(receiver: &mut Self::Rx<T>, _: Instant) -> io::Result<T> {
        alarm::spin_until(|| match receiver.try_recv() {
            Ok(message) => Some(Ok(message)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(join::end_of_link())),
        })?
    }
}

/// A shared array of crossbeam: it knows nothing of who uses it.
#[derive(Debug)]
struct SharedArray;

impl Queue for SharedArray {
    type Tx<T: Value> = Arc<ArrayQueue<T>>;
    type Rx<T: Value> = Arc<ArrayQueue<T>>;

    const NAME: &'static str = "crossbeam-array-queue";
    const IS_FOR_MANY: bool = true;
    const SLEEPS: bool = false;
    const PROMISES: Promises = Promises::SHARED;

    fn ends<T: Value>(capacity: usize, fan: Fan) -> Ends<Self::Tx<T>, Self::Rx<T>> {
        let array = Arc::new(ArrayQueue::new(capacity));
        Ends {
            senders: vec![array.clone(); fan.producers as usize],
            receivers: vec![array; fan.consumers as usize],
        }
    }

    #[inline]
    fn send<T: Value>(array: &mut Self::Tx<T>, message: &T, _: Instant) -> io::Result<()> {
        alarm::spin_until(|| array.push(*message).ok())
    }

    #[inline]
    fn recv<T: Value>(array: &mut Self::Rx<T>, _: Instant) -> io::Result<T> {
        alarm::spin_until(|| array.pop())
    }
}

/// `rtrb`: one producer and one consumer, without waiting of its own.
#[derive(Debug)]
struct Rtrb;

impl Queue for Rtrb {
    type Tx<T: Value> = rtrb::Producer<T>;
    type Rx<T: Value> = rtrb::Consumer<T>;

    const NAME: &'static str = "rtrb";
    const IS_FOR_MANY: bool = false;
    const SLEEPS: bool = false;
    const PROMISES: Promises = TELLS;

    fn ends<T: Value>(capacity: usize, _: Fan) -> Ends<Self::Tx<T>, Self::Rx<T>> {
        let (producer, consumer) = rtrb::RingBuffer::new(capacity);
        Ends {
            senders: vec![producer],
            receivers: vec![consumer],
        }
    }

    /// Messages to nobody can be pushed, as long as there is room: so it is asked before.
    #[inline]
    fn send<T: Value>(producer: &mut Self::Tx<T>, message: &T, _: Instant) -> io::Result<()> {
        if producer.is_abandoned() {
            return Err(broken());
        }
        alarm::spin_until(|| match producer.push(*message) {
            Ok(()) => Some(Ok(())),
            Err(_) if producer.is_abandoned() => Some(Err(broken())),
            Err(_) => None,
        })?
    }

    #[inline]
    fn recv<T: Value>(consumer: &mut Self::Rx<T>, _: Instant) -> io::Result<T> {
        alarm::spin_until(|| match consumer.pop() {
            Ok(message) => Some(Ok(message)),
            // What was pushed before the end is there now.
            Err(_) if consumer.is_abandoned() => {
                Some(consumer.pop().map_err(|_| join::end_of_link()))
            }
            Err(_) => None,
        })?
    }
}
