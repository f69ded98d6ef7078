//! A long stream in every way there is, every byte of it verified.

use std::time::Duration;

use clap::Args;
use integration_tests::pattern::{Mismatch, Pattern};
use integration_tests::traffic::{Receiver, RecvWay, SendWay, Sender};
use integration_tests::with_form;
use shm_ringbuf::{Consumer, Message, Producer};

use crate::target::{Target, or_refused};

/// Longer than any wait in a stream should take, shorter than the patience of the test.
const PATIENCE: Duration = Duration::from_secs(40);

#[derive(Debug, Args)]
pub(crate) struct Course {
    #[command(flatten)]
    target: Target,
    #[arg(long)]
    count: u64,
    #[arg(long)]
    seed: u64,
    #[arg(long, default_value_t = 0)]
    len_min: usize,
    #[arg(long, default_value_t = 0)]
    len_max: usize,
    /// The most messages in one batch.
    #[arg(long, default_value_t = 16)]
    batch: usize,
}

impl Course {
    fn pattern(&self) -> Pattern {
        Pattern::new(self.seed, self.len_min..=self.len_max)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Produce {
    #[command(flatten)]
    course: Course,
}

impl Produce {
    pub(crate) fn play(self) {
        with_form!(self.course.target.form, produce(&self.course));
    }
}

fn produce<M: Message + ?Sized>(course: &Course)
where
    Producer<M>: Sender,
{
    let ring = or_refused(course.target.open::<M>());
    let mut producer = or_refused(match course.target.wait {
        Some(wait) => ring.producer_with(wait.into()),
        None => ring.producer(),
    });
    let pattern = course.pattern();
    let mut random = fastrand::Rng::with_seed(course.seed ^ 0x5e4d);
    let mut next = 0;
    while next < course.count {
        let way = SendWay::ALL[random.usize(..SendWay::ALL.len())];
        let batch = if way.is_batch() {
            random.u64(1..=course.batch as u64)
        } else {
            1
        };
        let ids: Vec<u64> = (next..course.count.min(next + batch)).collect();
        let ids = &ids[..producer.batch_that_fits(&pattern, &ids)];
        match producer.send_messages(way, &pattern, ids, PATIENCE) {
            Ok(sent) => next += sent as u64,
            Err(ending) => {
                println!("failed at message {next} by {way:?}: {ending}");
                return;
            }
        }
    }
    producer.close_side();
    println!("sent {next}");
}

#[derive(Debug, Args)]
pub(crate) struct Consume {
    #[command(flatten)]
    course: Course,
}

impl Consume {
    pub(crate) fn play(self) {
        with_form!(self.course.target.form, consume(&self.course));
    }
}

fn consume<M: Message + ?Sized>(course: &Course)
where
    Consumer<M>: Receiver,
{
    let ring = or_refused(course.target.open::<M>());
    let mut consumer = or_refused(match course.target.wait {
        Some(wait) => ring.consumer_with(wait.into()),
        None => ring.consumer(),
    });
    let pattern = course.pattern();
    let mut random = fastrand::Rng::with_seed(course.seed ^ 0x2ecf);
    let mut next = 0;
    let mut wrong: Option<Mismatch> = None;
    let ending = loop {
        let way = RecvWay::ALL[random.usize(..RecvWay::ALL.len())];
        let most = random.usize(1..=course.batch);
        let result = consumer.receive_messages(way, most, PATIENCE, &mut |message, redelivered| {
            if let Err(mismatch) = Consumer::<M>::check(&pattern, next, message) {
                wrong.get_or_insert(mismatch);
            }
            if redelivered {
                println!("message {next} is marked as redelivered, and nobody had it before");
            }
            next += 1;
        });
        if let Some(mismatch) = wrong {
            println!("wrong after {way:?}: {mismatch}");
            return;
        }
        if let Err(ending) = result {
            break ending;
        }
    };
    println!("received {next}, then {ending}");
}
