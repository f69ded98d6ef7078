//! Endpoints that are killed at random and write down what they do.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use integration_tests::forms::Form;
use integration_tests::history::Id;
use integration_tests::journal::Journal;
use integration_tests::pattern::{Pattern, id_of};
use integration_tests::traffic::{Ending, Receiver, RecvWay, SendWay, Sender};
use integration_tests::with_form;
use shm_ringbuf::{self as ring, Message};

use crate::target::{Target, or_refused};

/// Short, so that the waits with a timeout see their timeouts too.
const PATIENCE: Duration = Duration::from_millis(20);

/// Stop sending when the journal has no more room than this.
const ROOM_MIN: usize = 100_000;

#[derive(Debug, Args)]
pub(crate) struct Work {
    #[command(flatten)]
    target: Target,
    #[arg(long)]
    journal: PathBuf,
    #[arg(long)]
    seed: u64,
    #[arg(long)]
    len_max: usize,
}

impl Work {
    fn pattern(&self) -> Pattern {
        Pattern::new(self.seed, 8..=self.len_max)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Producer {
    #[command(flatten)]
    work: Work,
    /// Which producer of the ring this is, in turn.
    #[arg(long)]
    generation: u32,
}

impl Producer {
    pub(crate) fn play(self) {
        with_form!(self.work.target.form, produce(&self));
    }
}

fn produce<M: Message + ?Sized>(role: &Producer)
where
    ring::Producer<M>: Sender,
{
    let journal = Journal::open(&role.work.journal);
    let ring = or_refused(role.work.target.open::<M>());
    let mut producer = or_refused(ring.producer());
    println!("ready");
    let stop = told_to_stop();
    let pattern = role.work.pattern();
    let seed = role.work.seed ^ u64::from(role.generation);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut next = 0;
    while !stop.load(Ordering::Relaxed) {
        if journal.room() < ROOM_MIN {
            std::thread::sleep(PATIENCE);
            continue;
        }
        let way = SendWay::ALL[random.usize(..SendWay::ALL.len())];
        let batch = if way.is_batch() { random.u64(1..=8) } else { 1 };
        let ids: Vec<u64> = (next..next + batch)
            .map(|sequence| {
                Id {
                    producer: role.generation,
                    sequence,
                }
                .to_word()
            })
            .collect();
        let ids = &ids[..producer.batch_that_fits(&pattern, &ids)];
        journal.attempt(role.generation, next + ids.len() as u64);
        match producer.send_messages(way, &pattern, ids, PATIENCE) {
            Ok(sent) => {
                next += sent as u64;
                journal.commit(role.generation, next);
            }
            Err(Ending::TimedOut | Ending::OwnerDied) => {}
            Err(ending) => {
                println!("failed by {way:?}: {ending}");
                return;
            }
        }
    }
    // What was attempted last and refused is no longer in doubt.
    journal.attempt(role.generation, next);
    producer.close_side();
    println!("done");
}

/// Becomes true at the end of the input.
fn told_to_stop() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    std::thread::spawn(move || {
        while std::io::stdin()
            .read_line(&mut String::new())
            .is_ok_and(|len| len != 0)
        {}
        flag.store(true, Ordering::Relaxed);
    });
    stop
}

#[derive(Debug, Args)]
pub(crate) struct Consumer {
    #[command(flatten)]
    work: Work,
}

impl Consumer {
    pub(crate) fn play(self) {
        with_form!(self.work.target.form, consume(&self));
    }
}

fn consume<M: Message + ?Sized>(role: &Consumer)
where
    ring::Consumer<M>: Receiver,
{
    let journal = Journal::open(&role.work.journal);
    let ring = or_refused(role.work.target.open::<M>());
    let mut consumer = or_refused(ring.consumer());
    println!("ready");
    let pattern = role.work.pattern();
    let mut random = fastrand::Rng::new();
    // Only ways that show a message before they release it: then the journal knows of every one
    // that was released.
    let ways: &[RecvWay] = match role.work.target.form {
        Form::Bytes => &[
            RecvWay::Guard,
            RecvWay::TryGuard,
            RecvWay::UpTo,
            RecvWay::TryUpTo,
        ],
        _ => &[RecvWay::Guard, RecvWay::TryGuard],
    };
    loop {
        let way = ways[random.usize(..ways.len())];
        let most = random.usize(1..=8);
        let result = consumer.receive_messages(way, most, PATIENCE, &mut |message, redelivered| {
            let id = id_of(message);
            if let Err(mismatch) = ring::Consumer::<M>::check(&pattern, id, message) {
                println!("failed by {way:?}: {mismatch}");
                std::process::exit(0);
            }
            journal.deliver(Id::from_word(id), redelivered);
        });
        match result {
            Ok(_) | Err(Ending::TimedOut | Ending::OwnerDied) => {}
            Err(Ending::Disconnected) => break,
            Err(ending) => {
                println!("failed by {way:?}: {ending}");
                return;
            }
        }
    }
    println!("done");
}
