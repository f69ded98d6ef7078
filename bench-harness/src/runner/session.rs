//! A session: fresh processes, their links, one task. The coordinator sleeps until they have reported.

use std::fmt::Display;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Child, ChildStdout};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::interrupt::Interrupt;
use super::spawn;
use crate::external::Terms;
use crate::fan::Stopped;
use crate::job::{Job, Plants, SideReport, Task, reconcile};
use crate::machine::stolen_ns;
use crate::measure::integrity::Tally;
use crate::measure::ledger::Ledger;
use crate::placement::Placement;
use crate::shared::{PAGE_LEN, SharedPage, Side};
use crate::transport::registry::Contender;
use crate::transport::{Class, Link, LinkError, LinkShape, limits};

/// How long a call may block beyond what a window needs.
pub const PATIENCE: Duration = Duration::from_secs(3);
/// How long a side may take to report once the other one has failed.
const GRACE: Duration = Duration::from_millis(500);

/// What a session came to.
#[derive(Debug)]
pub struct Outcome {
    /// The reports of all processes, in the order of [`Fan::seats`](crate::fan::Fan::seats).
    pub reports: Vec<SideReport>,
    /// What became of all messages.
    pub tally: Tally,
    /// How many messages a link holds.
    pub capacity: usize,
    /// Time that a hypervisor took from the cores meanwhile.
    pub stolen_ns: u64,
}

/// Why a session has no figures.
#[derive(Debug)]
pub enum Trouble {
    /// The mechanism can't do this here.
    Unavailable(String),
    /// Messages went wrong.
    Integrity(Tally),
    /// Something else went wrong.
    Failed(String),
    /// The user interrupted it.
    Interrupted,
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Failed(limits::told(&error))
    }
}

impl From<LinkError> for Trouble {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Unavailable(reason) => Self::Unavailable(reason),
            LinkError::Failed(error) => {
                let told = limits::told(&error);
                Self::Failed(format!("making the link failed: {told}"))
            }
        }
    }
}

/// The links of a session.
#[derive(Debug)]
pub struct Links {
    forward: Link,
    back: Option<Link>,
}

impl Links {
    /// Makes them.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub fn create(
        contender: &Contender,
        shape: &LinkShape,
        with_way_back: bool,
    ) -> Result<Self, LinkError> {
        let forward = contender.create(shape)?;
        let back = with_way_back.then(|| contender.create(shape)).transpose()?;
        Ok(Self { forward, back })
    }

    /// How many messages a link holds.
    pub fn capacity(&self) -> usize {
        self.forward.ticket.capacity
    }

    /// What is known of links of a program of the user's.
    pub fn terms(&self) -> Option<&Terms> {
        self.forward.ticket.external.as_ref()
    }

    /// Once the processes have them, the coordinator's copies would only hide the death of a side.
    fn close_fds(&mut self) {
        self.forward.fds.clear();
        if let Some(back) = &mut self.back {
            back.fds.clear();
        }
    }
}

/// What is done in a session.
#[derive(Debug)]
pub struct Session {
    /// By whom.
    pub contender: Contender,
    /// Over which links.
    pub links: Links,
    /// What.
    pub task: Task,
    /// After so long it is ended.
    pub time_limit: Duration,
    /// With one more process, that is in the middle of a message all the while.
    pub stopped: Option<Stopped>,
    /// On these cores, if not on those of the whole run.
    pub cores: Option<[usize; 2]>,
    /// What goes wrong on purpose.
    pub plants: Plants,
    /// Where programs of the user's find the records that are sent.
    pub records: Option<String>,
}

/// Runs sessions.
#[derive(Debug)]
pub struct Coordinator {
    /// The measured cores.
    pub placement: Placement,
    /// What ends the run early.
    pub interrupt: Interrupt,
}

impl Coordinator {
    /// Runs one session to its end, which comes at the latest after its time limit.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub fn run(&mut self, session: Session) -> Result<Outcome, Trouble> {
        let Session {
            contender,
            mut links,
            task,
            time_limit,
            stopped,
            cores,
            plants,
            records,
        } = session;
        let placement = cores.map_or_else(|| self.placement.clone(), Placement::pair);
        let page =
            SharedPage::create().map_err(|error| limits::not_made(PAGE_LEN as u64, error))?;
        let capacity = links.capacity();
        let fan = links.forward.ticket.fan;
        let ledger = (!fan.is_pair()).then(Ledger::create).transpose()?;
        let job = Job {
            contender: contender.full_name(),
            external: contender.mechanism.external().cloned(),
            records,
            seat: Side::Left.into(),
            is_thread: contender.class == Class::Thread,
            fan,
            cpu: 0,
            is_crowded: placement.is_crowded(fan),
            coordinator_pid: std::process::id().cast_signed(),
            page_fd: page.as_raw_fd(),
            ledger_fd: ledger.as_ref().map(AsRawFd::as_raw_fd),
            forward: links.forward.ticket.clone(),
            back: links.back.as_ref().map(|link| link.ticket.clone()),
            patience_ns: PATIENCE.as_nanos() as u64,
            plants,
            task,
        };
        let cores = placement.cores();
        // Kept until the others have ended, and then killed where it stands.
        let _stopped = stopped
            .map(|who| Process::start_and_stop(&job, who))
            .transpose()?;
        let stolen_before_ns = stolen_ns(&cores);
        let jobs: Vec<Job> = fan
            .seats()
            .map(|seat| Job {
                seat,
                cpu: placement.core_of(seat, fan),
                ..job.clone()
            })
            .collect();
        let of_one_process = if job.is_thread { jobs.len() } else { 1 };
        let processes = jobs
            .chunks(of_one_process)
            .map(Process::start)
            .collect::<io::Result<_>>()?;
        links.close_fds();
        drop(page);
        let reports = self.await_reports(processes, time_limit)?;
        let tally = match (&reports[..], ledger) {
            ([left, right], None) => reconcile(left, right),
            (_, Some(ledger)) => Ledger::open(ledger).reconcile(fan, &reports)?,
            _ => Tally::default(),
        };
        if !tally.is_clean() {
            return Err(Trouble::Integrity(tally));
        }
        let mut failures: Vec<&str> = reports
            .iter()
            .filter_map(|report| report.failure.as_deref())
            .collect();
        if !failures.is_empty() {
            // Several processes often have the same to say.
            failures.dedup();
            return Err(Trouble::Failed(failures.join("; ")));
        }
        let stolen_ns = stolen_ns(&cores) - stolen_before_ns;
        Ok(Outcome {
            reports,
            tally,
            capacity,
            stolen_ns,
        })
    }

    /// Sleeps until all have reported, one of them has failed, time is up or the user interrupts.
    fn await_reports(
        &mut self,
        mut processes: Vec<Process>,
        time_limit: Duration,
    ) -> Result<Vec<SideReport>, Trouble> {
        let mut deadline = Instant::now() + time_limit;
        while processes.iter().any(|process| process.reports.is_none()) {
            let now = Instant::now();
            if now >= deadline {
                break;
            }
            self.await_any(&mut processes, deadline - now)?;
            if self.interrupt.is_seen() {
                return Err(Trouble::Interrupted);
            }
            if has_failed(&processes) {
                deadline = deadline.min(Instant::now() + GRACE);
            }
        }
        let limit = humantime::format_duration(time_limit);
        let one_failed = has_failed(&processes);
        Ok(processes
            .into_iter()
            .flat_map(|process| process.into_reports(one_failed, &limit))
            .collect())
    }

    fn await_any(&self, processes: &mut [Process], limit: Duration) -> io::Result<()> {
        let ready = {
            let waiting = |process: &&Process| process.reports.is_none();
            let mut fds: Vec<PollFd<'_>> = processes
                .iter()
                .filter(waiting)
                .map(|process| PollFd::new(process.stdout.as_fd(), PollFlags::POLLIN))
                .collect();
            fds.push(PollFd::new(self.interrupt.as_fd(), PollFlags::POLLIN));
            let limit_ms = limit.as_millis() + 1;
            poll(
                &mut fds,
                PollTimeout::try_from(limit_ms).unwrap_or(PollTimeout::MAX),
            )?;
            fds.iter()
                .map(|fd| fd.any().unwrap_or(false))
                .collect::<Vec<_>>()
        };
        let waiting = processes
            .iter_mut()
            .filter(|process| process.reports.is_none());
        for (process, is_ready) in waiting.zip(ready) {
            if is_ready {
                process.take_output()?;
            }
        }
        Ok(())
    }
}

/// A measured process as the coordinator sees it. It never outlives this value.
#[derive(Debug)]
struct Process {
    child: Child,
    stdout: ChildStdout,
    output: Vec<u8>,
    /// How many jobs it has.
    jobs: usize,
    /// One for each of them.
    reports: Option<Vec<SideReport>>,
}

impl Process {
    fn start(jobs: &[Job]) -> io::Result<Self> {
        let mut child = spawn::start(jobs)?;
        if let Some(stdout) = child.stdout.take() {
            return Ok(Self {
                child,
                stdout,
                output: Vec::new(),
                jobs: jobs.len(),
                reports: None,
            });
        }
        spawn::end(&mut child);
        Err(io::Error::other(
            "the measured process has no standard output",
        ))
    }

    /// Starts one more process, and waits until it has stopped in the middle of a message.
    fn start_and_stop(job: &Job, who: Stopped) -> Result<Self, Trouble> {
        const NAP: Duration = Duration::from_millis(1);
        let job = Job {
            task: Task::Hold { who },
            ..job.clone()
        };
        let mut process = Self::start(&[job])?;
        let pid = Pid::from_raw(process.child.id().cast_signed());
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WEXITED;
            let state = waitid(
                Id::Pid(pid),
                flags | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT,
            );
            match state.map_err(io::Error::from)? {
                WaitStatus::Stopped(..) => return Ok(process),
                WaitStatus::StillAlive => thread::sleep(NAP),
                _ => {
                    while process.reports.is_none() {
                        process.take_output()?;
                    }
                    let mut reports = process.reports.take().into_iter().flatten();
                    let failure = reports.find_map(|report| report.failure);
                    return Err(Trouble::Failed(failure.unwrap_or_default()));
                }
            }
        }
        let patience = humantime::format_duration(PATIENCE);
        Err(Trouble::Failed(format!(
            "the {who} that was to stop in the middle of a message didn't within {patience}"
        )))
    }

    /// Reads what is there; its end is the end of the process.
    fn take_output(&mut self) -> io::Result<()> {
        let mut chunk = [0; 16 * 1024];
        let len = self.stdout.read(&mut chunk)?;
        if len > 0 {
            self.output.extend_from_slice(&chunk[..len]);
            return Ok(());
        }
        let status = self.child.wait()?;
        let reports: Option<Vec<_>> = serde_json::from_slice(&self.output).ok();
        let reports = reports.filter(|reports| reports.len() == self.jobs);
        self.reports = Some(reports.unwrap_or_else(|| {
            let reason = format!("the process ended without a report ({status})");
            vec![SideReport::failed(reason); self.jobs]
        }));
        Ok(())
    }

    /// The reports; a process that has none is about to be ended, for the other one's failure or for its own slowness.
    fn into_reports(mut self, other_failed: bool, limit: &impl Display) -> Vec<SideReport> {
        self.reports.take().unwrap_or_else(|| {
            let report = if other_failed {
                SideReport {
                    was_aborted: true,
                    ..SideReport::default()
                }
            } else {
                SideReport::failed(format!("it took longer than {limit}"))
            };
            vec![report; self.jobs]
        })
    }
}

fn has_failed(processes: &[Process]) -> bool {
    let reports = processes
        .iter()
        .filter_map(|process| process.reports.as_ref());
    reports.flatten().any(|report| report.failure.is_some())
}

impl Drop for Process {
    fn drop(&mut self) {
        spawn::end(&mut self.child);
    }
}
