//! A row: something that can be run so and so often, and timed.

use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use bench_harness::shared::SharedPage;
use bench_harness::transport::{LinkError, Receiver, Sender, Transport, alarm};
use shm_semaphore::EventCount;

use crate::gates::{self, Gate, Turnstile, UseGate};
use crate::links::{self, UseTransport};
use crate::second::{self, Bench, Held, Second, Task};

/// No window takes that long, unless something hangs.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Group {
    Uncontended,
    NotifyNobody,
    Contended,
    PingPong,
}

impl Group {
    pub const ALL: [Self; 4] = [
        Self::Uncontended,
        Self::NotifyNobody,
        Self::Contended,
        Self::PingPong,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Uncontended => "uncontended",
            Self::NotifyNobody => "notify-nobody",
            Self::Contended => "contended",
            Self::PingPong => "ping-pong",
        }
    }

    pub fn rows(self) -> &'static [&'static str] {
        match self {
            Self::Uncontended => &gates::UNCONTENDED,
            Self::NotifyNobody => &["event-count"],
            Self::Contended => &gates::CONTENDED,
            Self::PingPong => &links::PING_PONG,
        }
    }
}

/// One of them, ready to run.
pub struct Row {
    run: Box<dyn FnMut(u64) -> io::Result<Duration>>,
    name: &'static str,
    /// In this order: the other process ends before what it uses is removed.
    _second: Option<Second>,
    _held: Vec<Held>,
}

impl Row {
    /// Whether the mechanism is there; otherwise one sentence why not.
    pub fn check(group: Group, name: &'static str) -> Result<(), String> {
        let made = match group {
            Group::NotifyNobody => Ok(()),
            Group::Uncontended | Group::Contended => gates::with(name, Check),
            Group::PingPong => links::with(name, Check),
        };
        made.map_err(|error| match error {
            LinkError::Unavailable(reason) => reason,
            LinkError::Failed(error) => error.to_string(),
        })
    }

    /// Makes it, with its other process if it has one.
    ///
    /// # Panics
    /// When that fails, though the mechanism is there: without it there is nothing to measure.
    pub fn start(bench: &Bench, group: Group, name: &'static str) -> Self {
        let started = match group {
            Group::Uncontended => gates::with(name, Alone { name }),
            Group::NotifyNobody => Ok(notify_nobody(name)),
            Group::Contended => gates::with(name, Contend { bench, name }),
            Group::PingPong => links::with(name, PlayPingPong { bench, name }),
        };
        started.unwrap_or_else(|error| panic!("{name} can't be started: {error:?}"))
    }

    /// The time that so many iterations take.
    ///
    /// # Panics
    /// When the mechanism fails, or hangs.
    pub fn run(&mut self, iterations: u64) -> Duration {
        alarm::arm(Instant::now() + PATIENCE).expect("a timer is there");
        let elapsed = (self.run)(iterations);
        alarm::disarm().expect("the timer is there");
        elapsed.unwrap_or_else(|error| panic!("{} failed: {error}", self.name))
    }
}

/// Makes a link and removes it again.
struct Check;

impl UseTransport for Check {
    type Output = Result<(), LinkError>;

    fn call<T: Transport + 'static>(self, transport: &'static T) -> Self::Output {
        transport.create(&links::SHAPE).map(drop)
    }
}

impl UseGate for Check {
    type Output = Result<(), LinkError>;

    fn call<G: Gate>(self, gate: G) -> Self::Output {
        gate.create().map(drop)
    }
}

struct Alone {
    name: &'static str,
}

impl UseGate for Alone {
    type Output = Result<Row, LinkError>;

    fn call<G: Gate>(self, gate: G) -> Self::Output {
        let mut link = gate.create()?;
        let mut turnstile = gates::join_here(&gate, &link)?;
        Ok(Row {
            run: Box::new(move |iterations| {
                turnstile.begin_window(Instant::now() + PATIENCE);
                let started = Instant::now();
                for _ in 0..iterations {
                    turnstile.pass()?;
                }
                Ok(started.elapsed())
            }),
            name: self.name,
            _second: None,
            _held: vec![Held::new(link.cleanup.take())],
        })
    }
}

fn notify_nobody(name: &'static str) -> Row {
    let event = EventCount::new();
    Row {
        run: Box::new(move |iterations| {
            let started = Instant::now();
            for _ in 0..iterations {
                std::hint::black_box(&event).notify_all();
            }
            Ok(started.elapsed())
        }),
        name,
        _second: None,
        _held: Vec::new(),
    }
}

struct Contend<'a> {
    bench: &'a Bench,
    name: &'static str,
}

impl UseGate for Contend<'_> {
    type Output = Result<Row, LinkError>;

    fn call<G: Gate>(self, gate: G) -> Self::Output {
        let mut link = gate.create()?;
        let theirs = link.sender_part()?;
        let page_fd = SharedPage::create()?;
        let page = self.bench.open_page(page_fd.as_raw_fd())?;
        let mut inherited = vec![page_fd.as_raw_fd()];
        inherited.extend(&theirs.ticket.sender_fds);
        let task = Task::Contend {
            ticket: theirs.ticket.clone(),
            page_fd: page_fd.as_raw_fd(),
        };
        let second = Second::start(self.bench, self.name, task, inherited)?;
        let mut turnstile = gates::join_here(&gate, &link)?;
        Ok(Row {
            run: Box::new(move |passes| second::contend(&page, passes, &mut turnstile)),
            name: self.name,
            _second: Some(second),
            _held: vec![Held::new(link.cleanup.take())],
        })
    }
}

struct PlayPingPong<'a> {
    bench: &'a Bench,
    name: &'static str,
}

impl UseTransport for PlayPingPong<'_> {
    type Output = Result<Row, LinkError>;

    fn call<T: Transport + 'static>(self, transport: &'static T) -> Self::Output {
        let forward = transport.create(&links::SHAPE)?;
        let back = transport.create(&links::SHAPE)?;
        let (theirs, answers) = (forward.receiver_part()?, back.sender_part()?);
        let mut inherited = theirs.ticket.receiver_fds.clone();
        inherited.extend(&answers.ticket.sender_fds);
        let task = Task::Echo {
            forward: theirs.ticket.clone(),
            back: answers.ticket.clone(),
        };
        let second = Second::start(self.bench, self.name, task, inherited)?;
        let mut tx = transport.sender(&forward.sender_part()?.into_ticket())?;
        let mut rx = transport.receiver(&back.receiver_part()?.into_ticket())?;
        Ok(Row {
            run: Box::new(move |trips| {
                let deadline = Instant::now() + PATIENCE;
                tx.begin_window(deadline);
                rx.begin_window(deadline);
                let started = Instant::now();
                for _ in 0..trips {
                    tx.send(&[])?;
                    rx.recv(&mut [])?;
                }
                Ok(started.elapsed())
            }),
            name: self.name,
            _second: Some(second),
            _held: [forward, back]
                .into_iter()
                .map(|mut link| Held::new(link.cleanup.take()))
                .collect(),
        })
    }
}
