//! Processes in namespaces of their own.

#![allow(unsafe_code)]

use std::fs;

use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork, getegid, geteuid};

/// Enters new namespaces; without the rights of root, in a user namespace of its own.
pub(crate) fn enter(flags: CloneFlags) -> Result<(), String> {
    let (uid, gid) = (geteuid(), getegid());
    if uid.is_root() {
        return unshare(flags).map_err(|error| format!("unshare: {error}"));
    }
    unshare(flags | CloneFlags::CLONE_NEWUSER).map_err(|error| format!("unshare: {error}"))?;
    // A process without a user that is mapped can own no files.
    let maps = [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("0 {uid} 1")),
        ("gid_map", format!("0 {gid} 1")),
    ];
    for (file, map) in maps {
        fs::write(format!("/proc/self/{file}"), map).map_err(|error| format!("{file}: {error}"))?;
    }
    Ok(())
}

/// How far the monotonic clock is ahead in a time namespace of ours.
const AHEAD_S: u32 = 100_000;

/// Returns as a process whose monotonic clock is a day ahead. Where that is not permitted, says `skipped WHY` and ends.
pub(crate) fn live_in_the_future() {
    let offsets = format!("monotonic {AHEAD_S} 0");
    let entered = enter(CloneFlags::from_bits_retain(libc::CLONE_NEWTIME)).and_then(|()| {
        fs::write("/proc/self/timens_offsets", offsets).map_err(|error| format!("offsets: {error}"))
    });
    go_on_as_a_child(entered);
}

/// Returns as process 1 of a PID namespace of its own, which dies with this process. Where that is not permitted, says
/// `skipped WHY` and ends.
pub(crate) fn become_process_1() {
    go_on_as_a_child(enter(CloneFlags::CLONE_NEWPID));
}

/// Children are in the namespace, and not the one that entered it.
fn go_on_as_a_child(entered: Result<(), String>) {
    if let Err(why) = entered {
        println!("skipped {why}");
        std::process::exit(0);
    }
    // SAFETY: there is one thread.
    match unsafe { fork() }.expect("a process more") {
        ForkResult::Child => set_pdeathsig(Signal::SIGKILL).expect("a signal may be chosen"),
        ForkResult::Parent { child } => {
            let code = match waitpid(child, None).expect("our child") {
                WaitStatus::Exited(_, code) => code,
                _ => 1,
            };
            std::process::exit(code);
        }
    }
}
