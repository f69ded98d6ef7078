//! Producers and consumers of a ring of several, which keep a ledger: they stream, and may be killed or stopped meanwhile.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver as Lines, channel};
use std::time::Duration;

use clap::Args;
use integration_tests::crowd::ledger::{Actor, Ledger, Phase, VainLook, now_ns};
use integration_tests::crowd::{Receiver, Sender, Shown};
use integration_tests::history::Id;
use integration_tests::pattern::{Pattern, id_of};
use integration_tests::traffic::{Ending, RecvWay, SendWay};
use integration_tests::with_form;
use shm_ringbuf::{Message, multi};

use crate::target::{Target, or_refused};

/// Short, so that the waits with a timeout see their timeouts too.
const SHORT: Duration = Duration::from_millis(20);
/// Longer than any wait in a stream should take, shorter than the patience of the test.
const LONG: Duration = Duration::from_secs(40);
/// Stop sending when the ledger has no more room than this.
const ROOM_MIN: usize = 20_000;

#[derive(Debug, Args)]
pub(crate) struct Work {
    #[command(flatten)]
    target: Target,
    #[arg(long)]
    ledger: PathBuf,
    /// The number of this actor in the ledger.
    #[arg(long)]
    actor: u32,
    #[arg(long)]
    seed: u64,
    #[arg(long, default_value_t = 8)]
    len_max: usize,
    /// The most messages in one batch.
    #[arg(long, default_value_t = 8)]
    batch: usize,
    /// The longest pause in the midst of it.
    #[arg(long, default_value_t = 200)]
    pause_us: u64,
    /// So many of a thousand messages are followed by a pause, or held for one.
    #[arg(long, default_value_t = 20)]
    pauses: u32,
    /// Go on whatever ends the others meet, until told to stop.
    #[arg(long)]
    stay: bool,
}

impl Work {
    fn pattern(&self) -> Pattern {
        Pattern::new(self.seed, 8..=self.len_max)
    }

    fn random(&self) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.seed ^ u64::from(self.actor) << 32)
    }

    fn patience(&self) -> Duration {
        if self.stay { SHORT } else { LONG }
    }

    fn pause(&self, random: &mut fastrand::Rng) {
        if self.pauses_now(random) {
            std::thread::sleep(Duration::from_micros(random.u64(..=self.pause_us)));
        }
    }

    fn pauses_now(&self, random: &mut fastrand::Rng) -> bool {
        random.u32(..1000) < self.pauses
    }
}

/// What the test says: a line to begin, another one to leave, and the end of the input to stop.
struct Orders {
    begin: Lines<()>,
    leave: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

impl Orders {
    fn new() -> Self {
        let flag = || Arc::new(AtomicBool::new(false));
        let (leave, stop) = (flag(), flag());
        let flags = (Arc::clone(&leave), Arc::clone(&stop));
        let (lines, begin) = channel();
        std::thread::spawn(move || {
            let next = || std::io::stdin().read_line(&mut String::new());
            let next_is_there = || next().is_ok_and(|len| len != 0);
            if next_is_there() {
                // Nobody listens any more if it has failed already.
                let _ = lines.send(());
                while next_is_there() {
                    flags.0.store(true, Ordering::Relaxed);
                }
            }
            flags.1.store(true, Ordering::Relaxed);
        });
        Self { begin, leave, stop }
    }

    fn wait_until_told(&self) {
        println!("ready");
        // At the end of the input nobody will say anything, and everything is over at once.
        let _ = self.begin.recv();
    }

    fn told_to_leave(&self) -> bool {
        self.leave.load(Ordering::Relaxed)
    }

    fn told_to_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Sends messages in every way there is, says `ready`, waits for a line, and says `sent` and how many in the end.
#[derive(Debug, Args)]
pub(crate) struct Producer {
    #[command(flatten)]
    work: Work,
    /// Stop after so many.
    #[arg(long, default_value_t = u64::MAX)]
    count: u64,
    /// Send only batches, as a whole.
    #[arg(long)]
    only_whole: bool,
}

impl Producer {
    pub(crate) fn play(self) {
        with_form!(self.work.target.form, produce(&self));
    }
}

fn produce<M: Message + ?Sized>(role: &Producer)
where
    multi::Producer<M>: Sender,
{
    let ledger = Ledger::open(&role.work.ledger);
    let ring = or_refused(role.work.target.open_multi::<M>());
    let producer = or_refused(match role.work.target.wait {
        Some(wait) => ring.producer_with(wait.into()),
        None => ring.producer(),
    });
    let orders = Orders::new();
    orders.wait_until_told();
    let mut sending = Sending {
        role,
        actor: ledger.actor(role.work.actor),
        pattern: role.work.pattern(),
        random: role.work.random(),
        producer,
        next: 0,
    };
    while sending.next < role.count && !orders.told_to_stop() && !orders.told_to_leave() {
        if ledger.room() < ROOM_MIN {
            std::thread::sleep(SHORT);
            continue;
        }
        match sending.turn() {
            Ok(()) => {}
            Err((_, Ending::Full)) => std::thread::yield_now(),
            Err((_, Ending::TimedOut | Ending::OwnerDied | Ending::Disconnected))
                if role.work.stay => {}
            Err((way, ending)) => {
                println!("failed at message {} by {way}: {ending}", sending.next);
                return;
            }
        }
        role.work.pause(&mut sending.random);
    }
    // What was attempted last and refused is no longer in doubt.
    sending.actor.attempts(sending.next, false);
    sending.producer.close_side();
    println!("sent {}", sending.next);
}

struct Sending<'a, P> {
    role: &'a Producer,
    actor: Actor<'a>,
    pattern: Pattern,
    random: fastrand::Rng,
    producer: P,
    next: u64,
}

impl<P: Sender> Sending<'_, P> {
    /// Sends one message or several, or says in which way it could not.
    fn turn(&mut self) -> Result<(), (String, Ending)> {
        let work = &self.role.work;
        let holds = work.pauses_now(&mut self.random);
        let way = if self.role.only_whole {
            [SendWay::Exact, SendWay::TryExact][self.random.usize(..2)]
        } else {
            SendWay::ALL[self.random.usize(..SendWay::ALL.len())]
        };
        let is_batch = way.is_batch() && !holds;
        let most = if is_batch {
            self.random.u64(1..=work.batch as u64)
        } else {
            1
        };
        let until = self.role.count.min(self.next + most);
        let producer = self.actor.number();
        let id = |sequence| Id { producer, sequence }.to_word();
        let ids: Vec<u64> = (self.next..until).map(id).collect();
        let ids = &ids[..self.producer.batch_that_fits(&self.pattern, &ids)];
        let whole = is_batch && way != SendWay::UpTo;
        self.actor.attempts(self.next + ids.len() as u64, whole);
        let begun_ns = now_ns();
        let answer = if holds {
            self.hold(ids[0])
        } else {
            let patience = work.patience();
            self.producer
                .send_messages(way, &self.pattern, ids, patience)
        };
        let name = || {
            if holds {
                "Hold".to_owned()
            } else {
                format!("{way:?}")
            }
        };
        let count = answer.map_err(|ending| (name(), ending))? as u64;
        self.actor.sent(self.next, count, begun_ns, now_ns());
        self.next += count;
        self.actor.commits(self.next);
        Ok(())
    }

    /// Holds a claim for a while, and commits it most of the time.
    fn hold(&mut self, id: u64) -> Result<usize, Ending> {
        let work = &self.role.work;
        let pause = Duration::from_micros(self.random.u64(..=work.pause_us));
        let commit = self.random.u8(..4) != 0;
        let held = &mut || {
            std::thread::sleep(pause);
            commit
        };
        self.producer
            .hold_claim(&self.pattern, id, work.patience(), held)?;
        Ok(usize::from(commit))
    }
}

/// Receives in every way there is, says `ready`, waits for a line, and says `received` and how many when the ring has ended.
#[derive(Debug, Args)]
pub(crate) struct Consumer {
    #[command(flatten)]
    work: Work,
    /// Only in ways that show a message before it is released.
    #[arg(long)]
    shown_before: bool,
}

impl Consumer {
    pub(crate) fn play(self) {
        with_form!(self.work.target.form, consume(&self));
    }
}

fn consume<M: Message + ?Sized>(role: &Consumer)
where
    multi::Consumer<M>: Receiver,
{
    let ledger = Ledger::open(&role.work.ledger);
    let ring = or_refused(role.work.target.open_multi::<M>());
    let mut consumer = or_refused(match role.work.target.wait {
        Some(wait) => ring.consumer_with(wait.into()),
        None => ring.consumer(),
    });
    let orders = Orders::new();
    orders.wait_until_told();
    let actor = ledger.actor(role.work.actor);
    let mut random = role.work.random();
    let mut received = 0;
    while !orders.told_to_leave() {
        match receive(role, actor, &mut consumer, &mut random) {
            Ok(count) => received += count,
            Err((_, Ending::Empty)) => std::thread::yield_now(),
            Err((_, Ending::TimedOut)) if role.work.stay => {}
            Err((_, Ending::OwnerDied | Ending::Disconnected))
                if role.work.stay && !orders.told_to_stop() =>
            {
                std::thread::yield_now();
            }
            Err((_, ending @ (Ending::OwnerDied | Ending::Disconnected))) => {
                println!("received {received}, then {ending}");
                return;
            }
            Err((way, ending)) => {
                println!("failed after {received} by {way:?}: {ending}");
                return;
            }
        }
        role.work.pause(&mut random);
    }
    consumer.close_side();
    println!("received {received}, then left");
}

/// Receives one message or several, or says in which way it could not.
fn receive<C: Receiver>(
    role: &Consumer,
    actor: Actor<'_>,
    consumer: &mut C,
    random: &mut fastrand::Rng,
) -> Result<usize, (RecvWay, Ending)> {
    let work = &role.work;
    let way = loop {
        let way = RecvWay::ALL[random.usize(..RecvWay::ALL.len())];
        let may_wait_for_ever = work.stay && way == RecvWay::Plain;
        if !may_wait_for_ever && (C::shows_before(way) || !role.shown_before) {
            break way;
        }
    };
    let is_batch = matches!(way, RecvWay::UpTo | RecvWay::TryUpTo);
    let most = if is_batch {
        random.usize(1..=work.batch)
    } else {
        1
    };
    let shows_before = C::shows_before(way);
    let pattern = work.pattern();
    let mut entries = Vec::new();
    actor.takes(most as u64, shows_before);
    let begun_ns = now_ns();
    let show = &mut |Shown { bytes, mark }: Shown<'_>| {
        let id = id_of(bytes);
        if let Err(mismatch) = C::check(&pattern, id, bytes) {
            println!("failed by {way:?}: {mismatch}");
            std::process::exit(0);
        }
        let phase = if shows_before {
            Phase::Held
        } else {
            Phase::Released
        };
        let mark = mark.map(|mark| (mark.position, mark.redelivered));
        let entry = actor.received(id, mark, begun_ns, phase);
        if shows_before {
            work.pause(random);
            actor.reaches(entry, Phase::Releasing);
            entries.push(entry);
        }
    };
    let answer = consumer.receive_messages(way, most, work.patience(), show);
    let ended_ns = now_ns();
    for entry in entries {
        actor.reaches(entry, Phase::Released);
    }
    actor.holds_nothing();
    if let Err(Ending::Empty | Ending::TimedOut) = answer {
        let waits = matches!(answer, Err(Ending::TimedOut));
        actor.found_nothing(VainLook {
            begun_ns,
            ended_ns,
            timeout_ns: if waits {
                work.patience().as_nanos() as u64
            } else {
                0
            },
        });
    }
    answer.map_err(|ending| (way, ending))
}
