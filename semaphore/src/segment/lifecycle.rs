//! How a segment comes into being, is found, and goes.
//!
//! It is made without a name, given real memory, written in full, and only then linked under its name, in one step. Nobody can see a
//! half-made segment, and a creator that is killed leaves nothing behind.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use super::Name;
use super::page_len;
use crate::os::{file, lock, process};

/// Why there is no segment. Who asked adds the name, and says it in the terms of what was to lie in it.
#[derive(Debug)]
pub enum Refusal {
    /// Nothing has that name, or its directory is missing.
    NotFound,
    /// The name is taken.
    AlreadyExists,
    /// The file system has no room.
    NoSpace {
        /// Bytes of the segment.
        needed: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The system denied access.
    PermissionDenied {
        /// What was tried.
        operation: &'static str,
    },
    /// Something else lives there.
    Foreign {
        /// How that shows.
        reason: &'static str,
    },
    /// The file ends within its header.
    Truncated {
        /// Bytes of the file.
        found: u64,
        /// Bytes that a header has.
        expected: u64,
    },
    /// The file belongs to a user who is not trusted.
    WrongOwner {
        /// The user id.
        owner: u32,
    },
    /// The name is a symbolic link, which is never followed.
    SymbolicLink,
    /// An anonymous segment whose length its maker could still change.
    NotSealed,
    /// The system lacks something.
    Unsupported {
        /// What.
        what: &'static str,
    },
    /// Anything else that the system said.
    Os {
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl Refusal {
    /// What an error of the system means.
    pub fn from_io(operation: &'static str, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => Self::NotFound,
            Some(libc::EEXIST) => Self::AlreadyExists,
            Some(libc::EACCES | libc::EPERM | libc::EROFS) => Self::PermissionDenied { operation },
            _ => Self::Os { operation, source },
        }
    }
}

/// For `map_err`.
fn while_to(operation: &'static str) -> impl Fn(io::Error) -> Refusal {
    move |source| Refusal::from_io(operation, source)
}

/// A file that exists.
#[derive(Debug)]
pub struct Found {
    /// Without any lock: good for questions, and for opening anew.
    pub file: OwnedFd,
    /// Bytes.
    pub len: u64,
}

/// Makes a segment under a name: `total_len` bytes, zero behind the header.
pub fn create(name: &Name, header: &[u8], total_len: u64, mode: u32) -> Result<OwnedFd, Refusal> {
    let file = file::create_unnamed(&name.directory(), mode).map_err(|source| {
        match source.raw_os_error() {
            // Old kernels say "is a directory" where O_TMPFILE is not known.
            Some(libc::EOPNOTSUPP | libc::EISDIR) => Refusal::Unsupported {
                what: "unnamed files (O_TMPFILE) on this file system",
            },
            _ => Refusal::from_io("create", source),
        }
    })?;
    fill(file.as_fd(), header, total_len)?;
    check_locks(file.as_fd())?;
    file::link(file.as_fd(), &name.file()).map_err(|source| from_proc_io("name", source))?;
    Ok(file)
}

/// Makes a segment without a name, whose length nobody can change. `label` is what `/proc` shows.
pub fn create_anonymous(
    label: &std::ffi::CStr,
    header: &[u8],
    total_len: u64,
) -> Result<OwnedFd, Refusal> {
    let file = file::create_memfd(label).map_err(while_to("create"))?;
    fill(file.as_fd(), header, total_len)?;
    file::seal(file.as_fd()).map_err(while_to("seal"))?;
    Ok(file)
}

fn fill(file: BorrowedFd<'_>, header: &[u8], total_len: u64) -> Result<(), Refusal> {
    file::allocate(file, total_len).map_err(|source| match source.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG | libc::ENOMEM) => Refusal::NoSpace {
            needed: total_len,
            source,
        },
        _ => Refusal::from_io("allocate", source),
    })?;
    let write = |file: OwnedFd| std::fs::File::from(file).write_all_at(header, 0);
    file.try_clone_to_owned()
        .and_then(write)
        .map_err(while_to("write"))
}

/// Finds a segment by its name; the owner must be ourselves, root, or `trusted_owner`. Says nothing of its content yet.
pub fn open(name: &Name, trusted_owner: Option<u32>) -> Result<Found, Refusal> {
    let file = file::open(&name.file()).map_err(|source| match source.raw_os_error() {
        Some(libc::ELOOP) => Refusal::SymbolicLink,
        Some(libc::EISDIR | libc::ENXIO) => Refusal::Foreign {
            reason: "it is not a regular file",
        },
        _ => Refusal::from_io("open", source),
    })?;
    inspect(file, |uid| {
        uid == process::effective_uid() || uid == 0 || Some(uid) == trusted_owner
    })
}

/// Takes a segment that came as a descriptor. Whoever passed it on is trusted with its ownership; with its length only if it is no memfd.
pub fn from_fd(file: OwnedFd) -> Result<Found, Refusal> {
    if file::is_memfd(file.as_fd()) && !file::is_sealed(file.as_fd()) {
        return Err(Refusal::NotSealed);
    }
    inspect(file, |_| true)
}

fn inspect(file: OwnedFd, may_own: impl Fn(u32) -> bool) -> Result<Found, Refusal> {
    let status = file::status(file.as_fd()).map_err(while_to("inspect"))?;
    if !status.is_regular {
        return Err(Refusal::Foreign {
            reason: "it is not a regular file",
        });
    }
    if !may_own(status.uid) {
        return Err(Refusal::WrongOwner { owner: status.uid });
    }
    let len = status.len;
    Ok(Found { file, len })
}

/// Reads the header of a segment whose first eight bytes are `magic`; then asks whether a life can be proved there.
///
/// Read, not mapped: a file that is shorter than it should be is an error here, and a SIGBUS in a mapping.
pub fn read_header<const WORDS: usize>(found: &Found, magic: u64) -> Result<[u64; WORDS], Refusal> {
    let mut bytes = vec![0; WORDS * 8];
    let read_len = read_from_start(&found.file, &mut bytes).map_err(while_to("read"))?;
    let mut words = [0; WORDS];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_ne_bytes(bytes.try_into().expect("chunks of eight"));
    }
    if words[0] != magic {
        return Err(Refusal::Foreign {
            reason: if found.len == 0 {
                "it is empty"
            } else {
                "its first bytes are not ours"
            },
        });
    }
    if read_len < bytes.len() {
        return Err(Refusal::Truncated {
            found: found.len,
            expected: bytes.len() as u64,
        });
    }
    check_locks(found.file.as_fd())?;
    Ok(words)
}

/// Takes a name away. Who has the segment open keeps it.
pub fn unlink(name: &Name) -> Result<(), Refusal> {
    file::unlink(&name.file()).map_err(while_to("unlink"))
}

/// Refuses a place where nobody could be known to be alive.
fn check_locks(file: BorrowedFd<'_>) -> Result<(), Refusal> {
    let what = "locks that last as long as a mapping (overlayfs, for one, has none)";
    match lock::outlives_its_descriptor(file, page_len()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Refusal::Unsupported { what }),
        Err(source) => Err(from_proc_io("lock", source)),
    }
}

/// For what goes through `/proc/thread-self/fd`.
fn from_proc_io(operation: &'static str, source: io::Error) -> Refusal {
    let no_proc = !std::path::Path::new("/proc/thread-self/fd").exists();
    if source.kind() == io::ErrorKind::NotFound && no_proc {
        return Refusal::Unsupported {
            what: "a mounted /proc",
        };
    }
    Refusal::from_io(operation, source)
}

fn read_from_start(file: &OwnedFd, bytes: &mut [u8]) -> io::Result<usize> {
    let file = std::fs::File::from(file.try_clone()?);
    let mut read_len = 0;
    while read_len < bytes.len() {
        match file.read_at(&mut bytes[read_len..], read_len as u64) {
            Ok(0) => break,
            Ok(len) => read_len += len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read_len)
}
