//! A descriptor that is readable while it is raised.

#![allow(unsafe_code, reason = "system calls")]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd};

/// An eventfd, as a flag.
#[derive(Debug)]
pub struct Flag(File);

impl Flag {
    /// One that is not raised.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no preconditions.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just given us this descriptor.
        Ok(Self(unsafe { File::from_raw_fd(fd) }))
    }

    /// Makes it readable; an edge for who waits for edges, also if it is readable already.
    pub fn raise(&self) {
        crate::diagnostics::count();
        // Refused is only what would not fit into 64 bits.
        let _ = (&self.0).write(&1_u64.to_ne_bytes());
    }

    /// Makes it unreadable.
    pub fn lower(&self) {
        crate::diagnostics::count();
        // Refused is only what is not raised.
        let _ = (&self.0).read(&mut [0; 8]);
    }
}

impl AsFd for Flag {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
