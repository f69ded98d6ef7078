//! One of the measured processes, as the runs see it: the barriers, the deadlines, the bookkeeping.

use std::io;
use std::time::{Duration, Instant};

use super::integrity::{Arrived, Ending};
use super::latency::Distribution;
use super::pacing::Pacing;
use super::usage::{Counters, QueueMeter, Usage, Used, Whose};
use crate::clock::now_ns;
use crate::fan::Seat;
use crate::job::{Job, Lateness, RunKind, RunReport, SideReport};
use crate::shared::{Missed, RunOrder, SharedPage, Side};
use crate::transport::alarm;

/// Sequence numbers of different runs have different upper bits, so that a straggler of an earlier run is recognised.
pub const RUN_STRIDE: u64 = 1 << 40;

/// What a run is told.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Whose run it is.
    pub seat: Seat,
    /// The number of its first message.
    pub base: u64,
    /// How many messages, of all producers together.
    pub messages: u64,
    /// No call may block beyond this.
    pub deadline: Instant,
    /// The same, as `CLOCK_MONOTONIC` tells it.
    pub deadline_ns: u64,
}

/// What a run tells.
#[derive(Debug, Default)]
pub struct Account {
    /// Sends that returned without an error.
    pub sent: u64,
    /// How many messages the run had, if it ended before all that were ordered.
    pub cut_after: Option<u64>,
    /// Messages or exchanges beside those of the run, that were made while its cost was counted: to warm up, or to tell the end.
    pub beside: u64,
    /// What came in.
    pub arrived: Option<Arrived>,
    /// The times of the round trips, or of the way there.
    pub times: Option<Distribution>,
    /// What the sender of a paced run used to wait for the moments; none if it slept, which can't be told from sleeping in a send.
    pub waiting: Option<Used>,
    /// How far a paced run fell behind.
    pub lateness: Option<Lateness>,
    /// What ended it early.
    pub error: Option<RunError>,
}

/// What ended a run early.
#[derive(Debug)]
pub enum RunError {
    /// A send.
    Send(io::Error),
    /// A receive.
    Receive(io::Error),
}

impl RunError {
    fn is_starved(&self) -> bool {
        matches!(self, Self::Receive(error) if error.kind() == io::ErrorKind::TimedOut)
    }

    fn describe(&self, patience: Duration) -> String {
        let (what, error) = match self {
            Self::Send(error) => ("sending", error),
            Self::Receive(error) => ("receiving", error),
        };
        if error.kind() == io::ErrorKind::TimedOut {
            let patience = humantime::format_duration(patience);
            return format!("{what} didn't go on for at least {patience}");
        }
        format!("{what} failed: {error}")
    }
}

/// Why a process stops before its job is done. The reason is in its report.
#[derive(Debug)]
pub struct Stop(());

/// A measured process.
#[derive(Debug)]
pub struct Station<'a> {
    /// Its job.
    pub job: &'a Job,
    /// The page that it shares with the others.
    pub page: &'a SharedPage,
    whose: Whose,
    queue_meter: QueueMeter,
    next_base: u64,
    report: SideReport,
}

impl<'a> Station<'a> {
    /// At its place, before the first run.
    pub fn new(job: &'a Job, page: &'a SharedPage) -> Self {
        let whose = if job.is_thread {
            Whose::Thread
        } else {
            Whose::Process
        };
        Self {
            job,
            page,
            whose,
            queue_meter: QueueMeter::open(whose),
            next_base: RUN_STRIDE,
            report: SideReport::default(),
        }
    }

    /// Which side this is.
    pub fn side(&self) -> Side {
        self.job.seat.side
    }

    /// Ends early.
    pub fn fail(&mut self, reason: String) -> Stop {
        self.page.abort();
        self.report.failure.get_or_insert(reason);
        Stop(())
    }

    /// The report, when all is done or could not be; the reason for the latter is in it.
    pub fn into_report(self, done: &Result<(), Stop>) -> SideReport {
        if let Err(Stop(())) = done {
            debug_assert!(self.report.failure.is_some() || self.report.was_aborted);
        }
        self.report
    }

    /// The trials and the window: the first of the left side leads, the others follow.
    ///
    /// # Errors
    /// When one of them has to stop.
    pub fn window(
        &mut self,
        kind: RunKind,
        pacing: Pacing,
        body: impl FnMut(&SharedPage, Run) -> Account,
    ) -> Result<(), Stop> {
        let mut trials = 0;
        let next = |last: Option<(u64, u64)>| {
            let Some((messages, elapsed_ns)) = last else {
                return RunOrder {
                    messages: pacing.first,
                    is_final: false,
                };
            };
            trials += 1;
            let trial = pacing.next_trial(trials, messages, elapsed_ns);
            RunOrder {
                messages: trial.unwrap_or_else(|| pacing.window(messages, elapsed_ns)),
                is_final: trial.is_none(),
            }
        };
        self.series(kind, pacing.expected_ns, next, body)
    }

    /// Runs up to the final one: `next` is asked by the leader for each of them, and hears how many messages the last one had and how
    /// long it took, in nanoseconds.
    ///
    /// # Errors
    /// When one of them has to stop.
    pub fn series(
        &mut self,
        kind: RunKind,
        expected_ns: u64,
        mut next: impl FnMut(Option<(u64, u64)>) -> RunOrder,
        mut body: impl FnMut(&SharedPage, Run) -> Account,
    ) -> Result<(), Stop> {
        if !self.job.seat.leads() {
            while !self.run(kind, None, expected_ns, &mut body)?.is_final {}
            return Ok(());
        }
        let mut last = None;
        loop {
            let order = next(last);
            self.run(kind, Some(order), expected_ns, &mut body)?;
            if order.is_final {
                return Ok(());
            }
            last = Some((order.messages, self.page.elapsed_ns()));
        }
    }

    /// A single run of a known number of messages.
    ///
    /// # Errors
    /// When one of them has to stop.
    pub fn single(
        &mut self,
        kind: RunKind,
        messages: u64,
        expected_ns: u64,
        body: impl FnMut(&SharedPage, Run) -> Account,
    ) -> Result<(), Stop> {
        let order = RunOrder {
            messages,
            is_final: true,
        };
        self.ordered(kind, order, expected_ns, body)
    }

    /// A run of which all know beforehand how long it is.
    ///
    /// # Errors
    /// When one of them has to stop.
    pub fn ordered(
        &mut self,
        kind: RunKind,
        order: RunOrder,
        expected_ns: u64,
        mut body: impl FnMut(&SharedPage, Run) -> Account,
    ) -> Result<(), Stop> {
        self.run(kind, Some(order), expected_ns, &mut body)
            .map(|_| ())
    }

    /// Barrier, run, barrier.
    fn run(
        &mut self,
        kind: RunKind,
        order: Option<RunOrder>,
        expected_ns: u64,
        body: &mut impl FnMut(&SharedPage, Run) -> Account,
    ) -> Result<RunOrder, Stop> {
        if let Some(order) = order.filter(|_| self.job.seat.leads()) {
            self.page.order(order);
        }
        self.meet()?;
        let order = self.page.ordered();
        // A window may turn out much longer than planned, if the contender falls into another regime.
        let patience_ns = self.job.patience_ns + 10 * expected_ns;
        let patience = Duration::from_nanos(patience_ns);
        let run = Run {
            seat: self.job.seat,
            base: self.next_base,
            messages: order.messages,
            deadline: Instant::now() + patience,
            deadline_ns: now_ns() + patience_ns,
        };
        self.next_base += RUN_STRIDE;
        self.arm(run.deadline)?;
        let before = (self.queue_meter.so_far(), Counters::so_far(self.whose));
        let account = body(self.page, run);
        let after = (Counters::so_far(self.whose), self.queue_meter.so_far());
        let usage = Usage {
            waiting: account.waiting,
            ..Usage::between(before, after)
        };
        self.disarm()?;
        self.report.runs.push(RunReport {
            kind,
            is_final: order.is_final,
            messages: account.cut_after.unwrap_or(order.messages),
            elapsed_ns: 0,
            beside: account.beside,
            sent: account.sent,
            is_idle: !matches!(account.error, Some(RunError::Send(_))),
            arrived: account.arrived,
            ending: match &account.error {
                None => Ending::Complete,
                Some(error) if error.is_starved() => Ending::Starved,
                Some(_) => Ending::Broken,
            },
            usage,
            times: account.times,
            lateness: account.lateness,
        });
        if let Some(error) = account.error {
            return Err(self.fail(error.describe(patience)));
        }
        self.meet()?;
        if let Some(report) = self.report.runs.last_mut() {
            report.elapsed_ns = self.page.elapsed_ns();
        }
        Ok(order)
    }

    /// From the deadline on, system calls of the mechanisms end with `TimedOut`.
    fn arm(&mut self, deadline: Instant) -> Result<(), Stop> {
        alarm::arm(deadline).map_err(|error| self.fail(format!("no alarm can be set: {error}")))
    }

    fn disarm(&mut self) -> Result<(), Stop> {
        alarm::disarm().map_err(|error| self.fail(format!("the alarm can't be stopped: {error}")))
    }

    /// Joins links, for no longer than the patience of the job.
    ///
    /// # Errors
    /// When it fails or takes too long.
    pub fn join<T>(&mut self, action: impl FnOnce() -> io::Result<T>) -> Result<T, Stop> {
        self.arm(Instant::now() + Duration::from_nanos(self.job.patience_ns))?;
        let result = action();
        self.disarm()?;
        result.map_err(|error| self.fail(format!("joining the link failed: {error}")))
    }

    fn meet(&mut self) -> Result<(), Stop> {
        // Another process may need as long as its own deadline allows.
        let deadline_ns = now_ns() + 20 * self.job.patience_ns;
        match self.page.meet(self.job.seat, deadline_ns) {
            Ok(()) => Ok(()),
            Err(Missed::Aborted) => {
                self.report.was_aborted = true;
                Err(Stop(()))
            }
            Err(Missed::TimedOut) => {
                Err(self.fail("another process didn't come to the barrier".to_owned()))
            }
        }
    }
}
