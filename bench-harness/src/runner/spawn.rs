//! Starts a measured process: this very program, executed anew, with exactly the descriptors that it is to have.
#![allow(unsafe_code)]

use std::io::{self, Write};
use std::os::fd::RawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use crate::cli::SIDE_COMMAND;
use crate::job::{Job, Task};
use crate::shared::Side;

/// Starts the process and hands it its jobs: more than one make a thread each.
///
/// # Errors
/// What the system says.
pub fn start(jobs: &[Job]) -> io::Result<Child> {
    // Not the path of the program: that one may have been built anew meanwhile.
    let mut command = Command::new("/proc/self/exe");
    command.arg0("bench-harness").arg(SIDE_COMMAND);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    inherit(&mut command, jobs.iter().flat_map(inherited_fds).collect());
    let mut child = command.spawn()?;
    let written = match child.stdin.take() {
        Some(mut stdin) => serde_json::to_vec(jobs)
            .map_err(io::Error::from)
            .and_then(|text| stdin.write_all(&text)),
        None => Err(io::Error::other(
            "the measured process has no standard input",
        )),
    };
    if let Err(error) = written {
        end(&mut child);
        return Err(error);
    }
    Ok(child)
}

/// The command's process will have these descriptors beside its standard ones, under the same numbers, and no others.
pub fn inherit(command: &mut Command, fds: Vec<RawFd>) {
    // SAFETY: between fork and exec only system calls are made, on plain numbers; nothing is allocated or locked.
    unsafe { command.pre_exec(move || pass_on(&fds)) };
}

/// Ends a process that may have ended already, and waits for it.
pub fn end(child: &mut Child) {
    // Both fail only if it was waited for before.
    let _ = child.kill();
    let _ = child.wait();
}

fn inherited_fds(job: &Job) -> Vec<RawFd> {
    let mut fds = vec![job.page_fd];
    fds.extend(job.task.records_fd());
    let back = job.back.as_ref();
    if let Task::Hold { .. } = job.task {
        fds.extend(&job.forward.sender_fds);
        return fds;
    }
    match job.seat.side {
        Side::Left => {
            fds.extend(&job.forward.sender_fds);
            fds.extend(back.iter().flat_map(|ticket| &ticket.receiver_fds));
        }
        Side::Right => {
            fds.extend(&job.forward.receiver_fds);
            fds.extend(job.ledger_fd);
            fds.extend(back.iter().flat_map(|ticket| &ticket.sender_fds));
        }
    }
    fds
}

/// Only these descriptors survive the exec. A descriptor of the other side that came along would hide that side's death.
fn pass_on(inherited: &[RawFd]) -> io::Result<()> {
    const FIRST: libc::c_uint = 3;
    // SAFETY: takes plain numbers. Where the kernel is too old for it, the descriptors are marked one by one where they were made.
    unsafe {
        libc::syscall(
            libc::SYS_close_range,
            FIRST,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    for &fd in inherited {
        // SAFETY: takes plain numbers; a wrong one is refused.
        if unsafe { libc::fcntl(fd, libc::F_SETFD, 0) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
