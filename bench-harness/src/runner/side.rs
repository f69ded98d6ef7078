//! The hidden subcommand: one measured process. It reads its jobs from standard input and writes a report of each to standard
//! output; both are JSON.

use std::io::{self, Write};
use std::process::ExitCode;
use std::thread;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{getppid, setsid};

use crate::external::External;
use crate::job::{Job, SideReport};
use crate::machine::pin_to;
use crate::shared::SharedPage;
use crate::transport::limits;
use crate::transport::registry::{Mechanism, find};

/// The whole life of a measured process.
pub fn main() -> ExitCode {
    let reports = match serde_json::from_reader::<_, Vec<Job>>(io::stdin().lock()) {
        Ok(jobs) => do_all(&jobs),
        Err(error) => vec![SideReport::failed(format!(
            "the job can't be read: {error}"
        ))],
    };
    match write(&reports) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn write(reports: &[SideReport]) -> io::Result<()> {
    let text = serde_json::to_vec(reports)?;
    let mut out = io::stdout().lock();
    out.write_all(&text)?;
    out.flush()
}

/// A single job is that of the process; several are threads of it.
fn do_all(jobs: &[Job]) -> Vec<SideReport> {
    let [job] = jobs else {
        return thread::scope(|scope| {
            let threads: Vec<_> = jobs.iter().map(|job| scope.spawn(|| do_one(job))).collect();
            let reports = threads.into_iter().map(|thread| {
                let panicked = |_| SideReport::failed("the thread of this side panicked");
                thread.join().unwrap_or_else(panicked)
            });
            reports.collect()
        });
    };
    vec![do_one(job)]
}

fn do_one(job: &Job) -> SideReport {
    match settle(job) {
        Ok(page) => work(job, &page),
        Err(error) => SideReport::failed(format!("settling in failed: {}", limits::told(&error))),
    }
}

fn settle(job: &Job) -> io::Result<SharedPage> {
    settle_on(job.cpu, job.coordinator_pid)?;
    SharedPage::open_for(job.page_fd, job.fan, job.is_crowded)
}

/// Takes its core, and makes sure that this process doesn't outlive the one that started it. A thread takes a core for itself.
///
/// # Errors
/// What the system says, or that the other process has ended already.
pub fn settle_on(cpu: usize, coordinator_pid: libc::pid_t) -> io::Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    if getppid().as_raw() != coordinator_pid {
        return Err(io::Error::other("the coordinator has already ended"));
    }
    // A session of its own: with autogroup scheduling the kernel shares out the cores by session, so that work elsewhere in
    // the user's session doesn't count against this process. It fails only if this process leads one already.
    let _ = setsid();
    pin_to(cpu)
}

fn work(job: &Job, page: &SharedPage) -> SideReport {
    if let Some(spec) = &job.external {
        return External(spec.clone()).run(job, page);
    }
    match find(&job.contender) {
        Some(contender) => contender.mechanism.run(job, page),
        None => SideReport::failed(format!("no contender is called {}", job.contender)),
    }
}
