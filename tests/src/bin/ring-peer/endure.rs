//! Endpoints that go on whatever comes back, while somebody writes rubbish over their ring.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use integration_tests::pattern::Pattern;
use integration_tests::traffic::{Ending, Receiver, RecvWay, SendWay, Sender};
use integration_tests::with_form;
use shm_ringbuf::{Consumer, Message, Producer, Ring};

use crate::target::{Target, or_refused};

/// Every wait has an end, so nothing may take much longer than this.
const PATIENCE: Duration = Duration::from_millis(5);

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Side {
    Producer,
    Consumer,
}

/// Says `ready`, then after the given time `endured`, with the kinds of errors that it met, or
/// what took too long.
#[derive(Debug, Args)]
pub(crate) struct Endure {
    #[command(flatten)]
    target: Target,
    #[arg(long, value_enum)]
    side: Side,
    #[arg(long)]
    for_ms: u64,
    #[arg(long, default_value_t = 300)]
    len_max: usize,
}

impl Endure {
    pub(crate) fn play(self) {
        with_form!(self.target.form, endure(&self));
    }
}

fn endure<M: Message + ?Sized>(role: &Endure)
where
    Producer<M>: Sender,
    Consumer<M>: Receiver,
{
    let ring: Ring<M> = or_refused(role.target.open());
    let pattern = Pattern::new(1, 8..=role.len_max);
    let mut random = fastrand::Rng::new();
    let mut next = 0;
    match role.side {
        Side::Producer => {
            let mut producer = or_refused(ring.producer());
            run(role, &mut || {
                let way = one_with_an_end(&SendWay::ALL, SendWay::Plain, &mut random);
                let ids: Vec<u64> = (next..next + random.u64(1..6)).collect();
                next += 1;
                let _peer = producer.peer_state();
                let _len = producer.fill_level();
                producer.send_messages(way, &pattern, &ids, PATIENCE)
            });
        }
        Side::Consumer => {
            let mut consumer = or_refused(ring.consumer());
            run(role, &mut || {
                let way = one_with_an_end(&RecvWay::ALL, RecvWay::Plain, &mut random);
                let most = random.usize(1..6);
                let _peer = consumer.peer_state();
                let _len = consumer.fill_level();
                consumer.receive_messages(way, most, PATIENCE, &mut |_, _| ())
            });
        }
    }
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

fn run(role: &Endure, turn: &mut dyn FnMut() -> Result<usize, Ending>) {
    println!("ready");
    let end = Instant::now() + Duration::from_millis(role.for_ms);
    let mut kinds = BTreeSet::new();
    while Instant::now() < end {
        let start = Instant::now();
        let ending = turn().err();
        // The machine may be busy, but not for seconds.
        if start.elapsed() > Duration::from_secs(10) {
            println!(
                "one turn took {:?} and ended with {ending:?}",
                start.elapsed()
            );
            return;
        }
        if let Some(ending) = ending {
            kinds.insert(match ending {
                Ending::Corrupt(field, _) => format!("Corrupt({field})"),
                other => other.to_string(),
            });
        }
    }
    println!("endured {kinds:?}");
}
