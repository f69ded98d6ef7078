//! Processes that the system refuses something.

#![allow(unsafe_code)]

use std::time::Duration;

use clap::Args;
use shm_semaphore::{Deadline, NamedSemaphore, Semaphore};

use crate::participant::{Which, or_refused};

/// From now on `membarrier(2)` fails with `ENOSYS`, as on a kernel without it.
pub(crate) fn refuse_membarrier() {
    let refusal = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
    answer(&[libc::SYS_membarrier], refusal, libc::SECCOMP_RET_ALLOW);
}

/// Has a filter give one answer to these system calls from now on, and another one to all the rest.
fn answer(calls: &[libc::c_long], answer: u32, otherwise: u32) {
    let statement = |code: u32, jump: u8, k: u32| libc::sock_filter {
        code: code as u16,
        jt: jump,
        jf: 0,
        k,
    };
    let (load, equal, end) = (
        libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
        libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
        libc::BPF_RET | libc::BPF_K,
    );
    // The number of the system call comes first in what a filter sees.
    let mut filter = vec![statement(load, 0, 0)];
    for (at, call) in calls.iter().enumerate() {
        filter.push(statement(equal, (calls.len() - at) as u8, *call as u32));
    }
    filter.push(statement(end, 0, otherwise));
    filter.push(statement(end, 0, answer));
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: takes rights away, and reads no memory.
    let result = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(result, 0, "rights can be given up");
    // SAFETY: a program that outlives the call.
    let result = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
        )
    };
    assert_eq!(result, 0, "a filter can be set");
}

/// Uses a semaphore of three permits again and again in a sandbox where a system call kills; says `done`.
#[derive(Debug, Args)]
pub(crate) struct Silent {
    #[command(flatten)]
    which: Which,
}

const ROUNDS: u32 = 20_000;

impl Silent {
    pub(crate) fn play(self) {
        let semaphore = or_refused(self.which.join());
        let placed = Semaphore::new(3).expect("a few permits");
        // What it says at the end, and the clock, which is a system call on few machines.
        let allowed = [
            libc::SYS_write,
            libc::SYS_exit_group,
            libc::SYS_clock_gettime,
        ];
        answer(
            &allowed,
            libc::SECCOMP_RET_ALLOW,
            libc::SECCOMP_RET_KILL_PROCESS,
        );
        for _ in 0..ROUNDS {
            use_placed(&placed);
            use_named(&semaphore);
            use_owned(&semaphore);
        }
        let line = b"done\n";
        // SAFETY: bytes that outlive the call.
        unsafe { libc::write(1, line.as_ptr().cast(), line.len()) };
        // SAFETY: ends the process and nothing else.
        unsafe { libc::_exit(0) };
    }
}

/// Long enough to show if it were waited for.
const LONG: Duration = Duration::from_secs(60);

fn use_placed(semaphore: &Semaphore) {
    semaphore.acquire().expect("a permit");
    semaphore.try_acquire().expect("a permit");
    semaphore.acquire_timeout(LONG).expect("a permit");
    let _ = semaphore.try_acquire().expect_err("there are three");
    assert_eq!(semaphore.permits(), 0);
    semaphore.release(3).expect("they were ours");
    semaphore
        .acquire_many_deadline(3, Deadline::NEVER)
        .expect("permits");
    semaphore.release(3).expect("they were ours");
}

fn use_named(semaphore: &NamedSemaphore) {
    semaphore.acquire().expect("a permit");
    semaphore.try_acquire().expect("a permit");
    semaphore.acquire_timeout(LONG).expect("a permit");
    assert_eq!(semaphore.permits(), 0);
    semaphore.release(2).expect("they were ours");
    semaphore.release(1).expect("it was ours");
    semaphore.acquire_many(3).expect("permits");
    semaphore.release(3).expect("they were ours");
}

fn use_owned(semaphore: &NamedSemaphore) {
    let first = semaphore.acquire_owned().expect("a permit");
    let more = semaphore.try_acquire_many_owned(2).expect("permits");
    drop(first);
    let again = semaphore.acquire_owned_timeout(LONG).expect("a permit");
    more.release();
    drop(again);
}
