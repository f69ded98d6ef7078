//! A process with several ends of one ring of several producers and consumers, that do what the test says, order by order.

use std::io::{BufRead as _, Lines, StdinLock};
use std::time::Duration;

use clap::Args;
use integration_tests::crowd::{Receiver, Sender, Shown};
use integration_tests::pattern::{Pattern, id_of};
use integration_tests::traffic::{Ending, RecvWay, SendWay};
use integration_tests::with_form;
use shm_ringbuf::{Error, Message, multi};

use crate::target::{Target, or_refused, variant};

/// For orders that wait for as long as it takes: the test ends before.
const LONG: Duration = Duration::from_secs(600);
/// For orders that are to see whether anything happens at all.
const SHORT: Duration = Duration::from_millis(300);
/// The numbers of the messages of two producers of one process are so far apart.
const NUMBERS: u64 = 1_000_000;

/// Orders: `producers N`, `consumers N`; `send P N`, `try P N`, `timeout P MS`, `fill P`, `fill-up P`, `batch P N`, `each-send N`; `claim P` and then `commit`, `abort` or
/// `forget`; `recv C N`, `guard C N`, `poll C`, `drain C`, `wait C MS`, `take N`; `hold C` and then `release` or `forget`; `close-producer P`, `close-consumer C`,
/// `close-all`; and to end `leave` (without any clean-up), or no more orders.
///
/// P and C count the producers and the consumers of this process. Answers list messages by their numbers; a star marks one that is redelivered.
#[derive(Debug, Args)]
pub(crate) struct Puppet {
    #[command(flatten)]
    target: Target,
    /// The number of the first message.
    #[arg(long, default_value_t = 0)]
    first: u64,
    #[arg(long, default_value_t = 200)]
    len_max: usize,
}

impl Puppet {
    pub(crate) fn play(self) {
        with_form!(self.target.form, play(&self));
    }
}

fn play<M: Message + ?Sized>(role: &Puppet)
where
    multi::Producer<M>: Sender,
    multi::Consumer<M>: Receiver,
{
    let mut hand = Hand {
        ring: or_refused(role.target.open_multi::<M>()),
        producers: Vec::new(),
        consumers: Vec::new(),
        sent: Vec::new(),
        first: role.first,
        pattern: Pattern::new(1, 8..=role.len_max.max(8)),
        orders: std::io::stdin().lock().lines(),
    };
    println!("ready");
    while let Some((word, numbers)) = hand.next_order() {
        let (end, number) = (numbers.first().copied(), numbers.get(1).copied());
        let (end, number) = (end.unwrap_or(0), number.unwrap_or(0));
        let at = end as usize;
        match word.as_str() {
            "producers" => hand.attach(end, Hand::attach_producer),
            "consumers" => hand.attach(end, Hand::attach_consumer),
            "send" => hand.send(at, SendWay::Plain, number, LONG),
            "try" => hand.send(at, SendWay::Try, number, LONG),
            "fill" => hand.send(at, SendWay::Try, u64::MAX, LONG),
            "fill-up" => hand.send(at, SendWay::Timeout, u64::MAX, SHORT),
            "batch" => hand.send(at, SendWay::Exact, number, LONG),
            "timeout" => hand.send(at, SendWay::Timeout, 1, Duration::from_millis(number)),
            "each-send" => hand.each_send(end),
            "claim" => hand.claim(at),
            "recv" => hand.receive(at, RecvWay::Plain, number, LONG),
            "guard" => hand.receive(at, RecvWay::Guard, number, LONG),
            "poll" => hand.receive(at, RecvWay::TryGuard, u64::MAX, LONG),
            "drain" => hand.receive(at, RecvWay::Guard, u64::MAX, LONG),
            "wait" => hand.receive(at, RecvWay::Guard, 1, Duration::from_millis(number)),
            "take" => hand.take(end),
            "hold" => hand.hold(at),
            "close-producer" => hand.close_producer(at),
            "close-consumer" => hand.close_consumer(at),
            "close-all" => hand.close_all(),
            "leave" => std::process::exit(0),
            other => panic!("no such order: {other}"),
        }
    }
}

struct Hand<M: Message + ?Sized> {
    ring: multi::Ring<M>,
    producers: Vec<Option<multi::Producer<M>>>,
    consumers: Vec<Option<multi::Consumer<M>>>,
    /// By each producer.
    sent: Vec<u64>,
    first: u64,
    pattern: Pattern,
    orders: Lines<StdinLock<'static>>,
}

impl<M: Message + ?Sized> Hand<M>
where
    multi::Producer<M>: Sender,
    multi::Consumer<M>: Receiver,
{
    /// The next order, as its word and its numbers; `None` when there will be none.
    fn next_order(&mut self) -> Option<(String, Vec<u64>)> {
        let line = self.orders.next()?.ok()?;
        let mut words = line.split_whitespace();
        let word = words.next()?.to_owned();
        let numbers = words.map(|number| number.parse().expect("a number"));
        Some((word, numbers.collect()))
    }

    fn attach(&mut self, count: u64, attach: impl Fn(&mut Self) -> Result<(), Error>) {
        for number in 0..count {
            if let Err(error) = attach(self) {
                println!("attached {number}, then {}: {error}", variant(&error));
                return;
            }
        }
        println!("attached {count}");
    }

    fn attach_producer(&mut self) -> Result<(), Error> {
        self.producers.push(Some(self.ring.producer()?));
        self.sent.push(0);
        Ok(())
    }

    fn attach_consumer(&mut self) -> Result<(), Error> {
        self.consumers.push(Some(self.ring.consumer()?));
        Ok(())
    }

    fn send(&mut self, producer: usize, way: SendWay, count: u64, patience: Duration) {
        match self.send_quietly(producer, way, count, patience) {
            (sent, None) => println!("sent {sent}"),
            (sent, Some(ending)) => println!("sent {sent}, then {ending}"),
        }
    }

    /// Sends so many messages, all at once where the way is one for several.
    fn send_quietly(
        &mut self,
        producer: usize,
        way: SendWay,
        count: u64,
        patience: Duration,
    ) -> (u64, Option<Ending>) {
        let mut sent = 0;
        while sent < count {
            let next = self.first + producer as u64 * NUMBERS + self.sent[producer];
            let batch = if way.is_batch() { count } else { 1 };
            let ids: Vec<u64> = (next..next + batch).collect();
            let end = self.producers[producer].as_mut().expect("not closed");
            match end.send_messages(way, &self.pattern, &ids, patience) {
                Ok(more) => {
                    sent += more as u64;
                    self.sent[producer] += more as u64;
                }
                Err(ending) => return (sent, Some(ending)),
            }
        }
        (sent, None)
    }

    fn each_send(&mut self, count: u64) {
        for producer in 0..self.producers.len() {
            if let (_, Some(ending)) = self.send_quietly(producer, SendWay::Plain, count, LONG) {
                println!("producer {producer}: {ending}");
                return;
            }
        }
        println!("all sent {count}");
    }

    /// Writes a message in place and keeps it so until the next order.
    fn claim(&mut self, producer: usize) {
        let next = self.first + producer as u64 * NUMBERS + self.sent[producer];
        let end = self.producers[producer].as_mut().expect("not closed");
        let (pattern, orders) = (&self.pattern, &mut self.orders);
        let mut order = String::new();
        let result = end.hold_claim(pattern, next, LONG, &mut || {
            println!("holding");
            order = orders.next().and_then(Result::ok).unwrap_or_default();
            order == "commit"
        });
        match result {
            Ok(()) if order == "commit" => {
                self.sent[producer] += 1;
                println!("committed");
            }
            Ok(()) => println!("aborted"),
            Err(ending) => println!("not sent: {ending}"),
        }
    }

    fn receive(&mut self, consumer: usize, way: RecvWay, count: u64, patience: Duration) {
        let mut answer = "got".to_owned();
        let end = self.consumers[consumer].as_mut().expect("not closed");
        for _ in 0..count {
            let show =
                &mut |shown: Shown<'_>| answer.push_str(&describe::<M>(&self.pattern, shown));
            if let Err(ending) = end.receive_messages(way, 1, patience, show) {
                answer.push_str(", then ");
                answer.push_str(&ending.to_string());
                break;
            }
        }
        println!("{answer}");
    }

    /// Receives so many messages, with each consumer in turn.
    fn take(&mut self, count: u64) {
        let mut taken = 0;
        for consumer in (0..self.consumers.len()).cycle() {
            if taken == count {
                break;
            }
            let end = self.consumers[consumer].as_mut().expect("not closed");
            let show = &mut |shown: Shown<'_>| {
                let said = describe::<M>(&self.pattern, shown);
                if said.contains(['<', '*']) {
                    println!("consumer {consumer} got{said}");
                }
            };
            match end.receive_messages(RecvWay::TryGuard, 1, LONG, show) {
                Ok(_) => taken += 1,
                Err(Ending::Empty) => std::thread::yield_now(),
                Err(ending) => {
                    println!("consumer {consumer} after {taken}: {ending}");
                    return;
                }
            }
        }
        println!("took {taken}");
    }

    fn hold(&mut self, consumer: usize) {
        let end = self.consumers[consumer].as_mut().expect("not closed");
        let (pattern, orders) = (&self.pattern, &mut self.orders);
        let mut order = String::new();
        let result = end.hold_guard(LONG, &mut |shown| {
            println!("holding{}", describe::<M>(pattern, shown));
            order = orders.next().and_then(Result::ok).unwrap_or_default();
            order != "forget"
        });
        match result {
            Ok(()) if order == "forget" => println!("forgotten"),
            Ok(()) => println!("released"),
            Err(ending) => println!("not received: {ending}"),
        }
    }

    fn close_producer(&mut self, producer: usize) {
        let end = self.producers[producer].take();
        end.expect("not closed").close_side();
        println!("closed");
    }

    fn close_consumer(&mut self, consumer: usize) {
        let end = self.consumers[consumer].take();
        end.expect("not closed").close_side();
        println!("closed");
    }

    fn close_all(&mut self) {
        self.producers.clear();
        self.consumers.clear();
        self.sent.clear();
        println!("closed");
    }
}

/// A space and the number of the message, with a star if it is redelivered; or what is wrong.
fn describe<M: Message + ?Sized>(pattern: &Pattern, shown: Shown<'_>) -> String
where
    multi::Consumer<M>: Receiver,
{
    if shown.bytes.len() < 8 {
        return format!(" <{} bytes>", shown.bytes.len());
    }
    let id = id_of(shown.bytes);
    let star = if shown.mark.is_some_and(|mark| mark.redelivered) {
        "*"
    } else {
        ""
    };
    match multi::Consumer::<M>::check(pattern, id, shown.bytes) {
        Ok(()) => format!(" {id}{star}"),
        Err(mismatch) => format!(" <{mismatch}>"),
    }
}
