//! Links between threads of one process, over a queue that can do nothing else.
//!
//! Both ends are in one measured process. The ticket is only a name: whoever joins first makes the queue, and the ends that nobody has
//! taken yet wait in a table of the process.

use std::any::Any;
use std::collections::HashMap;
use std::fmt::Debug;
use std::io;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use shm_ringbuf::bytemuck::Pod;

use super::lengths::{not_compiled, of_one_length, with_peer_words};
use crate::conformance::{self, Answer, Failure, Question};
use crate::fan::Fan;
use crate::job::{Job, SideReport};
use crate::measure::duplex::run_transport;
use crate::shared::SharedPage;
use crate::transport::registry::Mechanism;
use crate::transport::typed;
use crate::transport::{
    Carries, Class, Link, LinkError, LinkShape, ONE_TO_ONE, Promises, Receiver, Sender, Ticket,
    Transport, calls,
};

/// What a queue carries.
pub trait Value: Pod + Send + Debug {}

impl<T: Pod + Send + Debug> Value for T {}

/// The ends of a queue that nobody has taken yet.
#[derive(Debug)]
pub struct Ends<Tx, Rx> {
    /// Those that send.
    pub senders: Vec<Tx>,
    /// Those that receive.
    pub receivers: Vec<Rx>,
}

/// A queue between threads, used one message at a time.
pub trait Queue: Debug + Sync + 'static {
    /// An end that sends.
    type Tx<T: Value>: Send + Debug;
    /// An end that receives.
    type Rx<T: Value>: Send + Debug;

    /// Its name without the way of waiting.
    const NAME: &'static str;

    /// Whether several threads may share an end.
    const IS_FOR_MANY: bool;

    /// Whether it sleeps by itself, so that its system calls can't be counted.
    const SLEEPS: bool;

    /// What it tells, and how much it holds.
    const PROMISES: Promises;

    /// A queue for so many messages, with all its ends.
    fn ends<T: Value>(capacity: usize, fan: Fan) -> Ends<Self::Tx<T>, Self::Rx<T>>;

    /// Sends a message.
    ///
    /// # Errors
    /// `TimedOut`, or `BrokenPipe` where it tells.
    fn send<T: Value>(sender: &mut Self::Tx<T>, message: &T, deadline: Instant) -> io::Result<()>;

    /// Receives a message.
    ///
    /// # Errors
    /// `TimedOut`, or `UnexpectedEof` where it tells.
    fn recv<T: Value>(receiver: &mut Self::Rx<T>, deadline: Instant) -> io::Result<T>;
}

/// A queue as a contender.
#[derive(Debug)]
pub struct BetweenThreads<Q>(PhantomData<Q>);

impl<Q> BetweenThreads<Q> {
    /// The contender of that queue.
    pub const IT: Self = Self(PhantomData);
}

impl<Q: Queue> Mechanism for BetweenThreads<Q> {
    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let len = of_one_length(Q::NAME, shape)?;
        with_peer_words!(len, |N| Transport::create(&Typed::<Q, N>::new(), shape), else {
            Err(not_compiled(Q::NAME, len))
        })
    }

    fn refuses(&self, _: &LinkShape) -> Option<String> {
        (!Q::IS_FOR_MANY).then(|| ONE_TO_ONE.to_owned())
    }

    fn ask(&self, class: Class, question: Question) -> Result<Answer, Failure> {
        conformance::ask(&Typed::<Q, 8>::new(), class, question)?;
        conformance::ask(&Typed::<Q, 4096>::new(), class, question)
    }

    fn run(&self, job: &Job, page: &SharedPage) -> SideReport {
        let len = job.forward.message_len_max;
        with_peer_words!(len, |N| run_transport(&Typed::<Q, N>::new(), job, page), else {
            SideReport::failed(format!("no queue was made for messages of {len} bytes"))
        })
    }
}

/// The same for messages of `N` words.
#[derive(Debug)]
struct Typed<Q, const N: usize>(PhantomData<Q>);

impl<Q, const N: usize> Typed<Q, N> {
    const fn new() -> Self {
        Self(PhantomData)
    }
}

type EndsOf<Q, const N: usize> = Ends<<Q as Queue>::Tx<[u64; N]>, <Q as Queue>::Rx<[u64; N]>>;

/// The queues of which an end is still to be taken, by the names in their tickets.
static QUEUES: LazyLock<Mutex<HashMap<String, Box<dyn Any + Send>>>> =
    LazyLock::new(Mutex::default);

impl<Q: Queue, const N: usize> Typed<Q, N> {
    /// Takes one end of the queue of that ticket, which is made if this is the first one.
    fn take<E>(ticket: &Ticket, end: impl FnOnce(&mut EndsOf<Q, N>) -> Option<E>) -> io::Result<E> {
        // Nobody panics while holding the lock, but out of memory.
        let mut queues = QUEUES.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queues
            .entry(ticket.text.clone())
            .or_insert_with(|| Box::new(Q::ends::<[u64; N]>(ticket.capacity, ticket.fan)));
        let ends: &mut EndsOf<Q, N> = queue
            .downcast_mut()
            .ok_or_else(|| io::Error::other("a queue of another type has that name"))?;
        let taken = end(ends);
        if ends.senders.is_empty() && ends.receivers.is_empty() {
            queues.remove(&ticket.text);
        }
        taken.ok_or_else(|| io::Error::other("all ends of this side were taken before"))
    }
}

impl<Q: Queue, const N: usize> Transport for Typed<Q, N> {
    type Tx = QueueSender<Q, [u64; N]>;
    type Rx = QueueReceiver<Q, [u64; N]>;

    fn promises(&self) -> Promises {
        Promises {
            carries: Carries::Only(8 * N),
            ..Q::PROMISES
        }
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        // Relaxed: only the number itself matters.
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Ok(Link {
            ticket: Ticket {
                text: format!("{}-{}-{number}", Q::NAME, std::process::id()),
                message_len_max: shape.message_len_max,
                capacity: shape.capacity,
                ..Ticket::default()
            },
            fds: Vec::new(),
            cleanup: None,
        })
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<Self::Tx> {
        if Q::SLEEPS {
            calls::hide();
        }
        Ok(QueueSender {
            end: Self::take(ticket, |ends| ends.senders.pop())?,
            deadline: not_yet(),
        })
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<Self::Rx> {
        if Q::SLEEPS {
            calls::hide();
        }
        Ok(QueueReceiver {
            end: Self::take(ticket, |ends| ends.receivers.pop())?,
            deadline: not_yet(),
        })
    }
}

/// Before the first window nobody should wait for long.
fn not_yet() -> Instant {
    Instant::now() + Duration::from_secs(1)
}

/// The sending end of a queue of `T`.
#[derive(Debug)]
pub struct QueueSender<Q: Queue, T: Value> {
    end: Q::Tx<T>,
    deadline: Instant,
}

impl<Q: Queue, T: Value> Sender for QueueSender<Q, T> {
    #[inline]
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        Q::send(&mut self.end, typed::message_in(message)?, self.deadline)
    }

    fn begin_window(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }
}

/// The receiving end of a queue of `T`.
#[derive(Debug)]
pub struct QueueReceiver<Q: Queue, T: Value> {
    end: Q::Rx<T>,
    deadline: Instant,
}

impl<Q: Queue, T: Value> Receiver for QueueReceiver<Q, T> {
    #[inline]
    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let place = typed::place_in(buffer)?;
        *place = Q::recv(&mut self.end, self.deadline)?;
        Ok(size_of::<T>())
    }

    fn begin_window(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }
}
