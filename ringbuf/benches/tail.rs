//! The tail of latency with more threads than cores: four producers and four consumers at the ring for many, beside crossbeam's `ArrayQueue`.
//!
//! Threads of one process, since the other queue has nothing else; each thread has an endpoint of its own. A message carries the
//! moment at which it was to be sent, so that waiting for room counts; how old it is when it comes out is what is told.
//! Rounds take all rows in turn.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_queue::ArrayQueue;
use crossbeam_utils::Backoff;
use hdrhistogram::Histogram;
use shm_ringbuf::bytemuck::{Pod, Zeroable};
use shm_ringbuf::{Config, RecvError, SendError, Wait, multi};

const PRODUCERS: usize = 4;
const CONSUMERS: usize = 4;
const CAPACITY: usize = 1024;
/// In the place of a producer's number: nothing more comes.
const END: u64 = u64::MAX;

/// What is sent: a cache line.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Message {
    /// When it was to be sent, from the start of the round.
    due_ns: u64,
    producer: u64,
    sequence: u64,
    rest: [u64; 5],
}

/// How fast each producer sends.
#[derive(Clone, Copy)]
struct Load {
    name: &'static str,
    /// Messages of each producer.
    messages: u64,
    /// From one message to the next; none means as fast as there is room.
    interval: Option<Duration>,
}

const LOADS: [Load; 2] = [
    Load {
        name: "as fast as there is room (a message is as old as the queue is long)",
        messages: 50_000,
        interval: None,
    },
    Load {
        name: "100,000 messages a second, by the clock",
        messages: 12_500,
        interval: Some(Duration::from_micros(40)),
    },
];

/// A queue, and how a thread waits at it.
trait Queue: Sync + Sized {
    const NAME: &'static str;
    type Sender<'a>: Send
    where
        Self: 'a;
    type Receiver<'a>: Send
    where
        Self: 'a;

    fn make() -> Self;
    fn sender(&self) -> Self::Sender<'_>;
    fn receiver(&self) -> Self::Receiver<'_>;
    fn send(sender: &mut Self::Sender<'_>, message: Message);
    fn recv(receiver: &mut Self::Receiver<'_>) -> Message;
}

/// Spins for a moment, then gives its core away, until `attempt` has something: the same for both queues.
fn until<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let backoff = Backoff::new();
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        backoff.snooze();
    }
}

struct Crossbeam(ArrayQueue<Message>);

impl Queue for Crossbeam {
    const NAME: &'static str = "crossbeam ArrayQueue, yielding";
    type Sender<'a> = &'a ArrayQueue<Message>;
    type Receiver<'a> = &'a ArrayQueue<Message>;

    fn make() -> Self {
        Self(ArrayQueue::new(CAPACITY))
    }

    fn sender(&self) -> Self::Sender<'_> {
        &self.0
    }

    fn receiver(&self) -> Self::Receiver<'_> {
        &self.0
    }

    fn send(sender: &mut Self::Sender<'_>, message: Message) {
        until(|| sender.push(message).ok());
    }

    fn recv(receiver: &mut Self::Receiver<'_>) -> Message {
        until(|| receiver.pop())
    }
}

fn make_ring(wait: Wait) -> multi::Ring<Message> {
    let config = Config::mpmc().capacity(CAPACITY).wait(wait);
    config.anonymous().expect("a ring needs some memory")
}

/// The ring, by the same loop.
struct Yielding(multi::Ring<Message>);

impl Queue for Yielding {
    const NAME: &'static str = "ring-mpmc, yielding";
    type Sender<'a> = multi::Producer<Message>;
    type Receiver<'a> = multi::Consumer<Message>;

    fn make() -> Self {
        Self(make_ring(Wait::Spin))
    }

    fn sender(&self) -> Self::Sender<'_> {
        self.0.producer().expect("there are seats enough")
    }

    fn receiver(&self) -> Self::Receiver<'_> {
        self.0.consumer().expect("there are seats enough")
    }

    fn send(sender: &mut Self::Sender<'_>, message: Message) {
        until(|| match sender.try_send(message) {
            Ok(()) => Some(()),
            Err(SendError::Full(_)) => None,
            Err(error) => panic!("{error}"),
        });
    }

    fn recv(receiver: &mut Self::Receiver<'_>) -> Message {
        until(|| match receiver.try_recv() {
            Ok(message) => Some(message),
            Err(RecvError::Empty) => None,
            Err(error) => panic!("{error}"),
        })
    }
}

/// The ring as it waits by itself.
struct Parking(multi::Ring<Message>);

impl Queue for Parking {
    const NAME: &'static str = "ring-mpmc, spin then park";
    type Sender<'a> = multi::Producer<Message>;
    type Receiver<'a> = multi::Consumer<Message>;

    fn make() -> Self {
        Self(make_ring(Wait::SpinThenPark))
    }

    fn sender(&self) -> Self::Sender<'_> {
        self.0.producer().expect("there are seats enough")
    }

    fn receiver(&self) -> Self::Receiver<'_> {
        self.0.consumer().expect("there are seats enough")
    }

    fn send(sender: &mut Self::Sender<'_>, message: Message) {
        sender
            .send(message)
            .unwrap_or_else(|error| panic!("{error}"));
    }

    fn recv(receiver: &mut Self::Receiver<'_>) -> Message {
        receiver.recv().unwrap_or_else(|error| panic!("{error}"))
    }
}

fn ages() -> Histogram<u64> {
    const LONGEST_NS: u64 = 600_000_000_000;
    Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("constant, valid bounds")
}

fn nanoseconds(since: Instant) -> u64 {
    since.elapsed().as_nanos() as u64
}

/// One round: the ages of all messages, each of which must have come once.
fn round<Q: Queue>(load: Load) -> Histogram<u64> {
    let queue = Q::make();
    let ready = Barrier::new(PRODUCERS + CONSUMERS);
    let producers_done = AtomicUsize::new(0);
    let origin = Instant::now();
    thread::scope(|scope| {
        let (queue, ready, producers_done) = (&queue, &ready, &producers_done);
        for producer in 0..PRODUCERS as u64 {
            scope.spawn(move || {
                let mut sender = queue.sender();
                ready.wait();
                send_all::<Q>(&mut sender, producer, load, origin);
                // AcqRel: everybody else's messages precede the ends.
                if producers_done.fetch_add(1, Ordering::AcqRel) + 1 == PRODUCERS {
                    let end = Message {
                        producer: END,
                        ..Message::zeroed()
                    };
                    (0..CONSUMERS).for_each(|_| Q::send(&mut sender, end));
                }
            });
        }
        let consumers: Vec<_> = (0..CONSUMERS)
            .map(|_| {
                scope.spawn(move || {
                    let mut receiver = queue.receiver();
                    ready.wait();
                    receive_until_end::<Q>(&mut receiver, origin)
                })
            })
            .collect();
        let mut all = ages();
        let mut sums = [0; PRODUCERS];
        for consumer in consumers {
            let (ages, seen) = consumer
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            all.add(ages).expect("all have the same bounds");
            sums.iter_mut()
                .zip(seen)
                .for_each(|(sum, more)| *sum += more);
        }
        let expected = load.messages * (load.messages + 1) / 2;
        assert_eq!(
            all.len(),
            PRODUCERS as u64 * load.messages,
            "{}: messages",
            Q::NAME
        );
        assert_eq!(sums, [expected; PRODUCERS], "{}: their numbers", Q::NAME);
        all
    })
}

fn send_all<Q: Queue>(sender: &mut Q::Sender<'_>, producer: u64, load: Load, origin: Instant) {
    let began_ns = nanoseconds(origin);
    for sequence in 1..=load.messages {
        let due_ns = match load.interval {
            None => nanoseconds(origin),
            Some(interval) => began_ns + sequence * interval.as_nanos() as u64,
        };
        while nanoseconds(origin) < due_ns {
            thread::yield_now();
        }
        let message = Message {
            due_ns,
            producer,
            sequence,
            rest: [sequence; 5],
        };
        Q::send(sender, message);
    }
}

/// The ages of what came, and the sum of the numbers of each producer's messages.
fn receive_until_end<Q: Queue>(
    receiver: &mut Q::Receiver<'_>,
    origin: Instant,
) -> (Histogram<u64>, [u64; PRODUCERS]) {
    let (mut ages, mut sums, mut last) = (ages(), [0; PRODUCERS], [0; PRODUCERS]);
    loop {
        let message = Q::recv(receiver);
        if message.producer == END {
            return (ages, sums);
        }
        ages.saturating_record(nanoseconds(origin).saturating_sub(message.due_ns));
        let producer = message.producer as usize;
        assert!(
            message.sequence > last[producer],
            "{}: out of order",
            Q::NAME
        );
        assert_eq!(message.rest, [message.sequence; 5], "{}: content", Q::NAME);
        last[producer] = message.sequence;
        sums[producer] += message.sequence;
    }
}

/// A row of the table.
struct Row {
    name: &'static str,
    round: fn(Load) -> Histogram<u64>,
}

impl Row {
    fn of<Q: Queue>() -> Self {
        Self {
            name: Q::NAME,
            round: round::<Q>,
        }
    }

    fn tell(&self, ages: &Histogram<u64>) -> String {
        const BEYOND_MIN: f64 = 10.0;
        let mut line = format!("{:32}", self.name);
        for quantile in [0.5, 0.99, 0.999, 0.9999] {
            // Fewer samples beyond it don't tell anything.
            let beyond = (ages.len() as f64 * (1.0 - quantile)).round();
            let cell = if beyond < BEYOND_MIN {
                "-".to_owned()
            } else {
                microseconds(ages.value_at_quantile(quantile))
            };
            let _ = write!(line, "{cell:>12}");
        }
        let _ = write!(line, "{:>12}{:>12}", microseconds(ages.max()), ages.len());
        line
    }
}

fn microseconds(ns: u64) -> String {
    format!("{:.1}", ns as f64 / 1e3)
}

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    // Without `--bench`, as from `cargo test`, everything runs once and no figure is meant.
    let is_bench = arguments.iter().any(|argument| argument == "--bench");
    arguments.retain(|argument| argument != "--bench");
    if let Some(argument) = arguments.first() {
        eprintln!("tail: {argument} is not known; this bench takes no arguments");
        return ExitCode::from(2);
    }
    measure(if is_bench { (9, 1) } else { (1, 50) });
    ExitCode::SUCCESS
}

/// So many rounds, with that part of the messages.
fn measure((rounds, part): (usize, u64)) {
    let rows = [
        Row::of::<Crossbeam>(),
        Row::of::<Yielding>(),
        Row::of::<Parking>(),
    ];
    let cores = thread::available_parallelism().map_or(1, usize::from);
    println!(
        "{PRODUCERS} producers and {CONSUMERS} consumers, threads on {cores} cores, {CAPACITY} places of 64 bytes, {rounds} rounds; \
         ages in µs"
    );
    for load in LOADS {
        let load = Load {
            messages: load.messages / part,
            ..load
        };
        let mut totals = rows.each_ref().map(|_| ages());
        for number in 0..rounds {
            for turn in 0..rows.len() {
                // Another one begins in each round.
                let index = (number + turn) % rows.len();
                let ages = (rows[index].round)(load);
                totals[index].add(ages).expect("all have the same bounds");
            }
        }
        println!("\n{}", load.name);
        println!(
            "{:32}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}",
            "", "p50", "p99", "p99.9", "p99.99", "max", "messages"
        );
        for (row, total) in rows.iter().zip(&totals) {
            println!("{}", row.tell(total));
        }
    }
}
