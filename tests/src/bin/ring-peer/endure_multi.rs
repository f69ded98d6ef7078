//! Ends of a ring of several producers and consumers that go on whatever comes back, while somebody writes rubbish over it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use clap::Args;
use integration_tests::crowd::{Receiver, Sender};
use integration_tests::pattern::Pattern;
use integration_tests::traffic::{Ending, RecvWay, SendWay};
use integration_tests::with_form;
use shm_ringbuf::{Message, multi};

use crate::target::{Target, or_refused};

/// Every wait has an end, so nothing may take much longer than this.
const PATIENCE: Duration = Duration::from_millis(5);
/// The machine may be busy, but not for so long.
const TURN_MAX: Duration = Duration::from_secs(10);

/// Says `ready`, then after the given time `endured`, with the kinds of errors that it met, or what took too long.
#[derive(Debug, Args)]
pub(crate) struct Endure {
    #[command(flatten)]
    target: Target,
    #[arg(long)]
    for_ms: u64,
    #[arg(long, default_value_t = 300)]
    len_max: usize,
    /// Receive, and do not send.
    #[arg(long)]
    consumer: bool,
}

impl Endure {
    pub(crate) fn play(self) {
        with_form!(self.target.form, endure(&self));
    }
}

fn endure<M: Message + ?Sized>(role: &Endure)
where
    multi::Producer<M>: Sender,
    multi::Consumer<M>: Receiver,
{
    let ring = or_refused(role.target.open_multi::<M>());
    let pattern = Pattern::new(1, 8..=role.len_max);
    let mut random = fastrand::Rng::new();
    let (mut producer, mut consumer) = if role.consumer {
        (None, Some(or_refused(ring.consumer())))
    } else {
        (Some(or_refused(ring.producer())), None)
    };
    println!("ready");
    let end = Instant::now() + Duration::from_millis(role.for_ms);
    let (mut kinds, mut next) = (BTreeSet::new(), 0);
    while Instant::now() < end {
        let start = Instant::now();
        next += 1;
        let mut ending = None;
        if let Some(producer) = &mut producer {
            let way = one_with_an_end(&SendWay::ALL, SendWay::Plain, &mut random);
            let ids: Vec<u64> = (next..next + random.u64(1..6)).collect();
            let _len = producer.fill_level();
            ending = producer.send_messages(way, &pattern, &ids, PATIENCE).err();
        }
        if let Some(consumer) = &mut consumer {
            let way = one_with_an_end(&RecvWay::ALL, RecvWay::Plain, &mut random);
            let most = random.usize(1..6);
            let _len = consumer.fill_level();
            ending = consumer
                .receive_messages(way, most, PATIENCE, &mut |_| ())
                .err();
        }
        // Whoever is found there, or what is wrong.
        let _ = (ring.participants(), ring.dropped());
        // Sometimes another one comes, as far as that goes, and leaves.
        if next % 16 == 0 {
            producer = producer.and_then(|old| ring.producer().ok().or(Some(old)));
            consumer = consumer.and_then(|old| ring.consumer().ok().or(Some(old)));
        }
        if start.elapsed() > TURN_MAX {
            println!(
                "one turn took {:?} and ended with {ending:?}",
                start.elapsed()
            );
            return;
        }
        kinds.extend(ending.map(|ending| match ending {
            Ending::Corrupt(field, _) => format!("Corrupt({field})"),
            other => other.to_string(),
        }));
    }
    println!("endured {kinds:?}");
}

/// Any way but the one that waits for ever.
fn one_with_an_end<W: Copy + PartialEq>(ways: &[W], endless: W, random: &mut fastrand::Rng) -> W {
    loop {
        let way = ways[random.usize(..ways.len())];
        if way != endless {
            return way;
        }
    }
}
