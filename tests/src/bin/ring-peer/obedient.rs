//! Endpoints that do what they are told, a line at a time.

use std::io::{BufRead as _, Lines, StdinLock};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use clap::Args;
use integration_tests::pattern::{Pattern, id_of};
use integration_tests::traffic::{Ending, Receiver, RecvWay, SendWay, Sender};
use integration_tests::with_form;
use shm_ringbuf::{self as ring, Message};

use crate::target::{Target, or_refused};

/// For orders that wait for as long as it takes: the test ends before.
const LONG: Duration = Duration::from_secs(600);

/// What the test wants done, line by line.
struct Orders(Lines<StdinLock<'static>>);

impl Orders {
    fn new() -> Self {
        Self(std::io::stdin().lock().lines())
    }

    /// The next order, as its word and its numbers; `None` when there will be none.
    fn next(&mut self) -> Option<(String, Vec<u64>)> {
        let line = self.0.next()?.ok()?;
        let mut words = line.split_whitespace();
        let word = words.next()?.to_owned();
        Some((
            word,
            words
                .map(|number| number.parse().expect("a number"))
                .collect(),
        ))
    }
}

#[derive(Debug, Args)]
pub(crate) struct Producer {
    #[command(flatten)]
    target: Target,
    /// The number of the first message.
    #[arg(long, default_value_t = 0)]
    first: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(long, default_value_t = 200)]
    len_max: usize,
}

impl Producer {
    pub(crate) fn play(self) {
        with_form!(self.target.form, produce(&self));
    }
}

/// Orders: `send N`, `try N`, `timeout MS`, `fill`, `batch N`, `claim` and then `commit` or
/// `abort`, `peer`, `len`; and to end: `close`, `leave` (without any
/// clean-up), `exec` (goes on as another program), or no more orders.
fn produce<M: Message + ?Sized>(role: &Producer)
where
    ring::Producer<M>: Sender,
{
    let ring = or_refused(role.target.open::<M>());
    let producer = or_refused(match role.target.wait {
        Some(wait) => ring.producer_with(wait.into()),
        None => ring.producer(),
    });
    println!("ready");
    let pattern = Pattern::new(role.seed, 8..=role.len_max);
    let mut side = Producing {
        producer,
        pattern,
        next_id: role.first,
    };
    let mut orders = Orders::new();
    while let Some((word, numbers)) = orders.next() {
        match word.as_str() {
            "send" => side.send(SendWay::Plain, numbers[0], LONG),
            "try" => side.send(SendWay::Try, numbers[0], Duration::ZERO),
            "fill" => side.send(SendWay::Try, u64::MAX, Duration::ZERO),
            "batch" => side.send(SendWay::Exact, numbers[0], LONG),
            "timeout" => side.send(SendWay::Timeout, 1, Duration::from_millis(numbers[0])),
            "claim" => side.claim(&mut orders),
            "peer" => println!("{:?}", side.producer.peer_state()),
            "len" => println!("{}", side.producer.fill_level()),
            "close" => {
                side.producer.close_side();
                println!("closed");
                return;
            }
            "leave" => std::process::exit(0),
            "exec" => become_another_program(),
            other => panic!("no such order: {other}"),
        }
    }
}

/// Goes on as a program that knows nothing of rings, in the same process.
fn become_another_program() -> ! {
    let error = Command::new("/proc/self/exe")
        .args(["racer", "/none"])
        .exec();
    panic!("no other program: {error}");
}

struct Producing<P> {
    producer: P,
    pattern: Pattern,
    next_id: u64,
}

impl<P: Sender> Producing<P> {
    /// Sends `count` messages, all at once where the way is one for several.
    fn send(&mut self, way: SendWay, count: u64, patience: Duration) {
        let mut sent = 0;
        while sent < count {
            let ids: Vec<u64> = (self.next_id..)
                .take((count - sent).min(1 << 10) as usize)
                .collect();
            match self
                .producer
                .send_messages(way, &self.pattern, &ids, patience)
            {
                Ok(more) => {
                    sent += more as u64;
                    self.next_id += more as u64;
                }
                Err(ending) => {
                    println!("sent {sent}, then {ending}");
                    return;
                }
            }
        }
        println!("sent {sent}");
    }

    /// Writes a message in place and keeps it so until the next order.
    fn claim(&mut self, orders: &mut Orders) {
        let mut commit = false;
        let result = self
            .producer
            .hold_claim(&self.pattern, self.next_id, &mut || {
                println!("holding");
                commit = orders.next().is_some_and(|(word, _)| word == "commit");
                commit
            });
        match result {
            Ok(()) if commit => {
                self.next_id += 1;
                println!("committed");
            }
            Ok(()) => println!("aborted"),
            Err(ending) => println!("not claimed: {ending}"),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Consumer {
    #[command(flatten)]
    target: Target,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(long, default_value_t = 200)]
    len_max: usize,
}

impl Consumer {
    pub(crate) fn play(self) {
        with_form!(self.target.form, consume(&self));
    }
}

/// Orders: `recv N`, `guard N`, `batch N`, `drain`, `timeout MS`, `hold` and `hold-batch N` and
/// then anything to release, `peer`, `len`; and to end as above. The answer lists the numbers of
/// the messages; a star marks one that is redelivered.
fn consume<M: Message + ?Sized>(role: &Consumer)
where
    ring::Consumer<M>: Receiver,
{
    let ring = or_refused(role.target.open::<M>());
    let consumer = or_refused(match role.target.wait {
        Some(wait) => ring.consumer_with(wait.into()),
        None => ring.consumer(),
    });
    println!("ready");
    let pattern = Pattern::new(role.seed, 8..=role.len_max);
    let mut side = Consuming { consumer, pattern };
    let mut orders = Orders::new();
    while let Some((word, numbers)) = orders.next() {
        match word.as_str() {
            "recv" => side.receive(RecvWay::Plain, numbers[0], LONG),
            "guard" => side.receive(RecvWay::Guard, numbers[0], LONG),
            "batch" => side.batch(numbers[0] as usize),
            "drain" => side.receive(RecvWay::Guard, u64::MAX, LONG),
            "timeout" => side.receive(RecvWay::Timeout, 1, Duration::from_millis(numbers[0])),
            "hold" => side.hold(&mut orders),
            "hold-batch" => side.hold_batch(numbers[0] as usize, &mut orders),
            "peer" => println!("{:?}", side.consumer.peer_state()),
            "len" => println!("{}", side.consumer.fill_level()),
            "close" => {
                side.consumer.close_side();
                println!("closed");
                return;
            }
            "leave" => std::process::exit(0),
            other => panic!("no such order: {other}"),
        }
    }
}

struct Consuming<C> {
    consumer: C,
    pattern: Pattern,
}

impl<C: Receiver> Consuming<C> {
    fn receive(&mut self, way: RecvWay, count: u64, patience: Duration) {
        self.receive_until(way, 1, patience, |received| received as u64 == count);
    }

    fn batch(&mut self, most: usize) {
        self.receive_until(RecvWay::UpTo, most, LONG, |_| true);
    }

    fn receive_until(
        &mut self,
        way: RecvWay,
        most: usize,
        patience: Duration,
        enough: impl Fn(usize) -> bool,
    ) {
        let mut answer = "got".to_owned();
        let mut received = 0;
        while !enough(received) || received == 0 {
            let pattern = &self.pattern;
            let result =
                self.consumer
                    .receive_messages(way, most, patience, &mut |message, again| {
                        answer.push_str(&describe::<C>(pattern, message, again));
                    });
            match result {
                Ok(count) => received += count,
                Err(ending) => {
                    answer.push_str(", then ");
                    answer.push_str(&ending.to_string());
                    break;
                }
            }
        }
        println!("{answer}");
    }

    fn hold(&mut self, orders: &mut Orders) {
        let pattern = &self.pattern;
        let result = self.consumer.hold_guard(&mut |message, again| {
            println!("holding{}", describe::<C>(pattern, message, again));
            orders.next();
        });
        Self::say_released(result);
    }

    /// For bytes: the batch is held by its closure, at the last message.
    fn hold_batch(&mut self, count: usize, orders: &mut Orders) {
        let pattern = &self.pattern;
        let mut answer = "holding".to_owned();
        let mut shown = 0;
        let show = &mut |message: &[u8], again| {
            answer.push_str(&describe::<C>(pattern, message, again));
            shown += 1;
            if shown == count {
                println!("{answer}");
                orders.next();
            }
        };
        let result = self
            .consumer
            .receive_messages(RecvWay::UpTo, count, LONG, show);
        Self::say_released(result.map(|_| ()));
    }

    fn say_released(result: Result<(), Ending>) {
        match result {
            Ok(()) => println!("released"),
            Err(ending) => println!("not received: {ending}"),
        }
    }
}

/// A space and the number of the message, with a star if it is redelivered; or what is wrong.
fn describe<C: Receiver>(pattern: &Pattern, message: &[u8], redelivered: bool) -> String {
    if message.len() < 8 {
        return format!(" <{} bytes>", message.len());
    }
    let id = id_of(message);
    match C::check(pattern, id, message) {
        Ok(()) if redelivered => format!(" {id}*"),
        Ok(()) => format!(" {id}"),
        Err(mismatch) => format!(" <{mismatch}>"),
    }
}
