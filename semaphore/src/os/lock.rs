//! Locks on single bytes of a file, as a proof that a process is alive.
//!
//! Open-file-description locks (`fcntl(2)`, `F_OFD_SETLK`) belong to the description and not to the process: they survive
//! `close` of other descriptors, work across PID namespaces, and end when the last reference to the description does. A mapping is such
//! a reference. So a byte that was locked through a description that is only held by a mapping is free exactly
//! when nobody can store through that mapping any more.

#![allow(unsafe_code, reason = "system calls")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use super::descriptors::with_private_table;
use super::file;
use super::mapping::Mapping;

/// Locked bytes lie far behind the data; a lock needs no byte to be there.
const LOCK_BASE: libc::off_t = 1 << 40;

fn request(byte: u32) -> libc::flock {
    // SAFETY: all-zero bytes are a valid `flock`; open-file-description locks demand a process id of zero.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = LOCK_BASE + libc::off_t::from(byte);
    lock.l_len = 1;
    lock
}

/// Locks a byte through this description, if nobody holds it. Says whether it did.
pub fn try_lock(file: BorrowedFd<'_>, byte: u32) -> io::Result<bool> {
    let lock = request(byte);
    crate::diagnostics::count();
    // SAFETY: an open descriptor, and a `flock` that outlives the call.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Ok(false),
        _ => Err(error),
    }
}

/// Whether any other description holds the byte.
pub fn is_locked(file: BorrowedFd<'_>, byte: u32) -> io::Result<bool> {
    let mut lock = request(byte);
    crate::diagnostics::count();
    // SAFETY: an open descriptor, and a `flock` of our own to fill.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(lock.l_type != libc::F_UNLCK as libc::c_short)
}

/// Bytes for [`outlives_its_descriptor`], far beyond those of the roles; as many as make a clash of two askers unlikely.
const TRIAL_BYTES: std::ops::Range<u32> = 1 << 20..1 << 21;

/// Bytes that may be found taken before the answer is that somebody holds them all.
const TRIALS_MAX: u32 = 64;

/// Whether a lock on this file lasts for as long as a mapping through its description. On a file system that
/// hands the mapping to another file (overlayfs), or whose locks do nothing, it does not, and then nothing proves that anybody is alive.
pub fn outlives_its_descriptor(file: BorrowedFd<'_>, page_len: u64) -> io::Result<bool> {
    let span = TRIAL_BYTES.end - TRIAL_BYTES.start;
    let mut byte = TRIAL_BYTES.start + std::process::id().wrapping_mul(0x9E37_79B9) % span;
    with_private_table(|| {
        let own = file::reopen(file)?;
        let mapping = Mapping::new(own.as_fd(), page_len, 0)?;
        for _ in 0..TRIALS_MAX {
            if try_lock(own.as_fd(), byte)? {
                drop(own);
                let held = is_locked(file, byte)?;
                drop(mapping);
                return Ok(held);
            }
            // Somebody else is asking at this very moment; each holds its byte for microseconds.
            byte = TRIAL_BYTES.start + (byte + 1) % span;
        }
        Err(io::ErrorKind::WouldBlock.into())
    })
}
