//! Files that become shared memory.

#![allow(unsafe_code, reason = "system calls")]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// The seals of an anonymous segment: nobody can truncate it under us, or add seals that would lock us out.
pub const SEALS: libc::c_int = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;

/// What `fstat` tells.
#[derive(Debug, Clone, Copy)]
pub struct FileStatus {
    /// Bytes.
    pub len: u64,
    /// The owner.
    pub uid: u32,
    /// Not a directory, a device, a socket …
    pub is_regular: bool,
}

fn owned(fd: libc::c_int) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn done(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Opens an existing file for reading and writing; never follows a symbolic link, never waits on a FIFO.
pub fn open(path: &CStr) -> io::Result<OwnedFd> {
    let flags = libc::O_RDWR | libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK;
    // SAFETY: `path` is a C string that outlives the call.
    owned(unsafe { libc::open(path.as_ptr(), flags) })
}

/// Makes a file without a name in `directory`, with exactly these permission bits.
pub fn create_unnamed(directory: &CStr, mode: u32) -> io::Result<OwnedFd> {
    let flags = libc::O_TMPFILE | libc::O_RDWR | libc::O_CLOEXEC;
    // SAFETY: `directory` is a C string that outlives the call.
    let file = owned(unsafe { libc::open(directory.as_ptr(), flags, mode) })?;
    // The umask may have taken bits away.
    // SAFETY: an open descriptor.
    done(unsafe { libc::fchmod(file.as_raw_fd(), mode) })?;
    Ok(file)
}

/// Makes an anonymous file in memory that can be sealed; `/proc` shows it under `label`.
pub fn create_memfd(label: &CStr) -> io::Result<OwnedFd> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: `label` is a C string that outlives the call.
    owned(unsafe { libc::memfd_create(label.as_ptr(), flags) })
}

/// Fixes the length of an anonymous file for ever.
pub fn seal(file: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: an open descriptor and a command that takes an integer.
    done(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, SEALS) })
}

/// Whether the length of this file is fixed for ever.
pub fn is_sealed(file: BorrowedFd<'_>) -> bool {
    // SAFETY: an open descriptor and a command without an argument; a file that has no seals answers with an error.
    let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
    seals >= 0 && seals & SEALS == SEALS
}

/// Whether the descriptor is a memfd, which its maker could have sealed.
pub fn is_memfd(file: BorrowedFd<'_>) -> bool {
    std::fs::read_link(proc_path(file).to_string_lossy().as_ref()).is_ok_and(|target| {
        target
            .as_os_str()
            .as_encoded_bytes()
            .starts_with(b"/memfd:")
    })
}

/// Gives the file real memory (or disk blocks), so that a full file system is an error here and not a SIGBUS later.
pub fn allocate(file: BorrowedFd<'_>, len: u64) -> io::Result<()> {
    const PIECE_LEN: libc::off_t = 16 << 20;
    let len = libc::off_t::try_from(len).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))?;
    // In one piece, so that what can't fit is refused before anything is taken. But a signal makes tmpfs undo the piece that it is at,
    // and under many signals a large one would never get done.
    let (mut at, mut piece_len) = (0, len);
    while at < len {
        // SAFETY: an open descriptor.
        match unsafe { libc::posix_fallocate(file.as_raw_fd(), at, piece_len.min(len - at)) } {
            0 => at += piece_len,
            libc::EINTR => piece_len = piece_len.min(PIECE_LEN),
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
    Ok(())
}

/// Gives an unnamed file its name, in one step; an error if the name is taken.
pub fn link(file: BorrowedFd<'_>, path: &CStr) -> io::Result<()> {
    let from = proc_path(file);
    let (here, flags) = (libc::AT_FDCWD, libc::AT_SYMLINK_FOLLOW);
    // SAFETY: both are C strings that outlive the call.
    done(unsafe { libc::linkat(here, from.as_ptr(), here, path.as_ptr(), flags) })
}

/// Takes a name away; the file lives on while it is mapped or open.
pub fn unlink(path: &CStr) -> io::Result<()> {
    // SAFETY: a C string that outlives the call.
    done(unsafe { libc::unlink(path.as_ptr()) })
}

/// A new description of the same file: locks taken through it are nobody else's.
pub fn reopen(file: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let path = proc_path(file);
    // SAFETY: a C string that outlives the call.
    owned(unsafe { libc::open(path.as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) })
}

/// What the file is.
pub fn status(file: BorrowedFd<'_>) -> io::Result<FileStatus> {
    // SAFETY: all-zero bytes are a valid `stat`.
    let mut status: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: an open descriptor, and a `stat` of our own to fill.
    done(unsafe { libc::fstat(file.as_raw_fd(), &raw mut status) })?;
    Ok(FileStatus {
        len: u64::try_from(status.st_size).unwrap_or(0),
        uid: status.st_uid,
        is_regular: status.st_mode & libc::S_IFMT == libc::S_IFREG,
    })
}

fn proc_path(file: BorrowedFd<'_>) -> CString {
    CString::new(format!("/proc/thread-self/fd/{}", file.as_raw_fd()))
        .expect("digits hold no zero byte")
}
