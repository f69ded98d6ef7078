//! The program as a run sees it: what it is ordered to do, and how much of what it says to that is believed.

use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use super::External;
use super::cost::{Cost, Snapshot, own_queued_ns};
use super::hello::Abilities;
use super::messages::{Messages, account_of_all, ought_to_come, pieces};
use super::numbers;
use super::paced::{check_came, check_sent, lead_ns};
use super::program::{Program, Stall};
use super::protocol::{Answer, Between, Done, Order, Verb};
use crate::clock::now_ns;
use crate::job::{Fault, Plants};
use crate::machine::stolen_ns;
use crate::measure::backlog::Backlog;
use crate::measure::latency::Recorder;
use crate::measure::schedule::Moments;
use crate::measure::station::{Account, Run, RunError};
use crate::shared::SharedPage;

/// Round trips at the start of every run that are made and checked, but not timed: as many as those of a transport.
const WARM_UP: u64 = 8;

/// What one run costs beside what this process used: that of the program, less that of the verification.
#[derive(Debug, Clone, Copy, Default)]
pub struct Correction {
    /// What the program used.
    pub program: Cost,
    /// Memory that it had in use after its last order, with its children.
    pub resident_bytes: Option<u64>,
    /// CPU time of this process for what a transport does within its own loop or not at all.
    pub verifying_ns: u64,
}

/// The program.
#[derive(Debug)]
pub struct Peer<'a> {
    /// What it is called.
    pub external: &'a External,
    /// Its process.
    pub program: Program,
    /// What it can.
    pub can: Abilities,
    /// The directory for files of numbers.
    pub folder: &'a Path,
    /// What goes wrong on purpose.
    pub plants: Plants,
    /// The core that both of us are on.
    pub cpu: usize,
    /// One for each run.
    pub corrections: Vec<Correction>,
}

/// An order for all messages of a run.
fn order_for(verb: Verb, run: Run, messages: &Messages) -> Order {
    Order {
        order: verb,
        first: run.base,
        messages: run.messages,
        warm_up: 0,
        lens: messages.lens_from(run, 0),
        start: messages.start(),
        work_turns: 0,
        due: None,
        came: None,
        crc32s: None,
    }
}

impl Peer<'_> {
    /// Lets it send the messages of a run, or all of them but for a fault.
    pub fn send(
        &mut self,
        page: &SharedPage,
        run: Run,
        messages: &Messages,
        fault: Option<Fault>,
    ) -> Account {
        let mut correction = Correction::default();
        let mut started_ns = None;
        let mut result = Ok(());
        for piece in pieces(run.messages, fault) {
            let order = Order {
                first: run.base + piece.first,
                messages: piece.messages,
                lens: messages.lens_from(run, piece.place),
                ..order_for(Verb::Send, run, messages)
            };
            match self.order(&order, run.deadline, 0, &mut correction) {
                Ok(done) => started_ns = started_ns.or(Some(done.started_ns)),
                Err(error) => result = Err(RunError::Send(error)),
            }
            if result.is_err() {
                break;
            }
        }
        page.note_start(run.seat, started_ns.unwrap_or_else(now_ns));
        self.corrections.push(correction);
        let sent = if self.can.crc32s {
            ought_to_come(run.messages, fault)
        } else {
            run.messages
        };
        sent_or_not(sent, result)
    }

    /// Lets it receive the messages of a run, and work so much for each.
    pub fn receive(
        &mut self,
        page: &SharedPage,
        run: Run,
        messages: &Messages,
        work_turns: u32,
    ) -> Account {
        let order = Order {
            work_turns,
            ..order_for(Verb::Receive, run, messages)
        };
        self.take_part(run, messages, &order, |_, done| {
            page.note_finish(run.seat, done.finished_ns);
            Ok(Account::default())
        })
    }

    /// Lets it receive the messages of a run and tell a checksum of each, if it can. The fault is the one that the sender commits.
    pub fn receive_each(
        &mut self,
        page: &SharedPage,
        run: Run,
        messages: &Messages,
        fault: Option<Fault>,
    ) -> Account {
        if !self.can.crc32s {
            return self.receive(page, run, messages, 0);
        }
        let path = self.folder.join("crc32s");
        if let Err(error) = numbers::clear(&path) {
            return not_received(error);
        }
        let order = Order {
            crc32s: Some(path.clone()),
            ..order_for(Verb::Receive, run, messages)
        };
        self.take_part(run, messages, &order, |is_right, done| {
            page.note_finish(run.seat, done.finished_ns);
            let came = numbers::read_u32s(&path, done.messages)?;
            let expected = ought_to_come(run.messages, fault);
            let arrived = messages.compare(&order, expected, &came);
            // Whoever says that each of them is right and all together are not has still received something wrong.
            let says_more = is_right || arrived != account_of_all(run.messages, true);
            let gave_up = done.messages < run.messages;
            Ok(Account {
                arrived: says_more.then_some(arrived),
                error: gave_up.then(|| RunError::Receive(io::ErrorKind::TimedOut.into())),
                ..Account::default()
            })
        })
    }

    /// Lets it begin the exchanges of a run.
    pub fn initiate(&mut self, page: &SharedPage, run: Run, messages: &Messages) -> Account {
        let order = Order {
            messages: run.messages + WARM_UP,
            warm_up: WARM_UP,
            ..order_for(Verb::Initiate, run, messages)
        };
        self.take_part(run, messages, &order, |_, done| {
            page.note_start(run.seat, done.started_ns);
            page.note_finish(run.seat, done.finished_ns);
            let mut recorder = Recorder::default();
            for (time_ns, count) in done.round_trips() {
                (0..count).for_each(|_| recorder.record(time_ns));
            }
            Ok(Account {
                sent: order.messages,
                beside: WARM_UP,
                times: Some(recorder.distribution()),
                ..Account::default()
            })
        })
    }

    /// Lets it answer the exchanges of a run.
    pub fn answer(&mut self, run: Run, messages: &Messages) -> Account {
        let order = Order {
            messages: run.messages + WARM_UP,
            ..order_for(Verb::Answer, run, messages)
        };
        self.take_part(run, messages, &order, |_, _| {
            Ok(Account {
                sent: order.messages,
                beside: WARM_UP,
                ..Account::default()
            })
        })
    }

    /// Lets it send the messages of a run when they are due.
    pub fn send_at(
        &mut self,
        page: &SharedPage,
        run: Run,
        messages: &Messages,
        mut moments: Moments<'_>,
    ) -> Account {
        let begin_ns = now_ns() + lead_ns(run.messages);
        page.note_start(run.seat, begin_ns);
        let own_before_ns = own_cpu_ns();
        let mut correction = Correction::default();
        let mut last_due_ns = begin_ns;
        let due = (0..run.messages).map(|_| {
            last_due_ns = begin_ns + moments.next_ns();
            last_due_ns
        });
        let path = self.folder.join("due");
        let written = numbers::write(&path, due);
        correction.verifying_ns = own_cpu_ns().saturating_sub(own_before_ns);
        let order = Order {
            due: Some(path),
            ..order_for(Verb::SendAt, run, messages)
        };
        let result = written.and_then(|()| {
            let done = self.order(&order, run.deadline, begin_ns, &mut correction)?;
            check_sent(&done, begin_ns, last_due_ns).map_err(|problem| self.wrong(&problem))
        });
        self.corrections.push(correction);
        sent_or_not(run.messages, result.map_err(RunError::Send))
    }

    /// Lets it receive the messages of a run and tell when each of them came.
    pub fn receive_at(
        &mut self,
        page: &SharedPage,
        run: Run,
        messages: &Messages,
        moments: &Moments<'_>,
    ) -> Account {
        let path = self.folder.join("came");
        if let Err(error) = numbers::clear(&path) {
            return not_received(error);
        }
        let order = Order {
            came: Some(path.clone()),
            ..order_for(Verb::ReceiveAt, run, messages)
        };
        self.take_part(run, messages, &order, |is_right, done| {
            page.note_finish(run.seat, done.finished_ns);
            if !is_right {
                return Ok(Account::default());
            }
            let came = numbers::read_u64s(&path, run.messages)?;
            // The sender noted it before its order, and something of it has come.
            let begin_ns = page.leader_started_ns();
            let due = || {
                let mut moments = moments.clone();
                std::iter::repeat_with(move || moments.next_ns())
            };
            check_came(done, &came, due().map(|due_ns| begin_ns + due_ns))?;
            let mut recorder = Recorder::default();
            let mut backlog = Backlog::new(run.messages);
            for (at_ns, due_ns) in came.iter().zip(due()) {
                let latency_ns = at_ns - (begin_ns + due_ns);
                recorder.record(latency_ns);
                backlog.take(due_ns, latency_ns);
            }
            Ok(Account {
                times: Some(recorder.distribution()),
                lateness: backlog.lateness(),
                ..Account::default()
            })
        })
    }

    /// Orders what makes the program receive, and compares what it received. `note` hears whether that is right, and makes an account of
    /// what else it says; what became of the messages is added where that account doesn't tell.
    fn take_part(
        &mut self,
        run: Run,
        messages: &Messages,
        order: &Order,
        note: impl FnOnce(bool, &Done) -> Result<Account, String>,
    ) -> Account {
        let mut correction = Correction::default();
        let first_due_ns = match order.order {
            // The sender begins at the same time, and adds as much.
            Verb::ReceiveAt => now_ns() + lead_ns(order.messages),
            _ => 0,
        };
        let result = self.order(order, run.deadline, first_due_ns, &mut correction);
        let began_ns = own_cpu_ns();
        let result = result.and_then(|done| {
            let is_right = done.crc32 == Some(messages.crc32(order));
            let account = note(is_right, &done).map_err(|problem| self.wrong(&problem))?;
            let of_all = account_of_all(order.messages, is_right);
            Ok(Account {
                arrived: Some(account.arrived.unwrap_or(of_all)),
                ..account
            })
        });
        correction.verifying_ns = own_cpu_ns().saturating_sub(began_ns);
        self.corrections.push(correction);
        result.unwrap_or_else(not_received)
    }

    /// Gives an order and believes the answer as far as it can be checked here. What the program uses until shortly before the first message
    /// is due is no cost of the messages.
    fn order(
        &mut self,
        order: &Order,
        deadline: Instant,
        first_due_ns: u64,
        correction: &mut Correction,
    ) -> io::Result<Done> {
        // Looking takes a part of that.
        const LOOK_BEFORE_NS: u64 = 2_000_000;
        let before = Snapshot::of(self.program.pid());
        let mut before_due = None;
        let cpu = self.cpu;
        let away_ns = || own_queued_ns() + stolen_ns(&[cpu]);
        let away_before_ns = away_ns();
        let asked_ns = now_ns();
        let lead_ns = first_due_ns.saturating_sub(asked_ns);
        // As with a transport it is the receivers that stall.
        let stalls = self.plants.stall_ns > 0 && order.order.receives();
        let stall = stalls.then(|| Stall {
            at: Instant::now() + Duration::from_nanos(lead_ns + self.plants.stall_after_ns),
            length: Duration::from_nanos(self.plants.stall_ns),
        });
        let what = order.order.name();
        let answer = self.program.tell(what, order).and_then(|()| {
            if let Some(until_ns) = lead_ns.checked_sub(LOOK_BEFORE_NS) {
                thread::sleep(Duration::from_nanos(until_ns));
                before_due = Some(Snapshot::of(self.program.pid()));
            }
            self.program.answer::<Answer>(what, deadline, stall)
        });
        let answered_ns = now_ns();
        let after = Snapshot::of(self.program.pid());
        let queued_ns = after.since(&before).queued_ns;
        correction.program += after.since(&before_due.unwrap_or(before));
        correction.resident_bytes = after.resident_bytes;
        let between = Between {
            asked_ns,
            answered_ns,
            queued_ns: queued_ns + away_ns().saturating_sub(away_before_ns),
            lead_ns,
        };
        answer
            .and_then(|answer| answer.check(order, between))
            .map_err(|problem| self.wrong(&problem))
    }

    fn wrong(&self, problem: &str) -> io::Error {
        io::Error::other(self.external.blame(problem))
    }
}

fn sent_or_not(messages: u64, result: Result<(), RunError>) -> Account {
    Account {
        sent: if result.is_ok() { messages } else { 0 },
        error: result.err(),
        ..Account::default()
    }
}

fn not_received(error: io::Error) -> Account {
    Account {
        error: Some(RunError::Receive(error)),
        ..Account::default()
    }
}

/// CPU time of this thread.
fn own_cpu_ns() -> u64 {
    // It can't fail: every thread has this clock.
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(0, |time| {
        time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
    })
}
