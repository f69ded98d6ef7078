//! Filters of system calls: a kernel that lacks one, or a container that forbids it, on a single thread.

#![allow(unsafe_code)]

use std::io;

use nix::errno::Errno;

/// From now on this thread, and whatever it starts, gets `refusal` from this system call.
///
/// # Errors
/// What the system says when it grants no filter.
pub fn refuse(system_call: libc::c_long, refusal: Errno) -> io::Result<()> {
    let step = |code: u32, jump_if_true, jump_if_false, k| libc::sock_filter {
        code: code as u16,
        jt: jump_if_true,
        jf: jump_if_false,
        k,
    };
    // The number of the call is the first word of what a filter sees.
    let mut steps = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            0,
            1,
            system_call as u32,
        ),
        step(
            libc::BPF_RET | libc::BPF_K,
            0,
            0,
            libc::SECCOMP_RET_ERRNO | refusal as u32,
        ),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: steps.len() as u16,
        filter: steps.as_mut_ptr(),
    };
    nix::sys::prctl::set_no_new_privs()?;
    // SAFETY: the program and its steps outlive the call, which copies them.
    let result = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
        )
    };
    Errno::result(result).map(drop).map_err(io::Error::from)
}
