//! How a segment comes into being, is found, and goes.
//!
//! It is made without a name, given real memory, written in full, and only then linked under its name, in one step. Nobody can see a
//! half-made segment, and a creator that is killed leaves nothing behind.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::layout::{Geometry, HEADER_LEN, Header, Kind, MAGIC, PayloadType, page_len};
use super::name::Name;
use crate::error::Error;
use crate::os::{file, lock, process};

/// A file that was created or checked.
#[derive(Debug)]
pub struct Segment {
    /// Without any lock: good for questions, and for opening anew.
    pub file: OwnedFd,
    /// From the checked header.
    pub geometry: Geometry,
    /// For messages.
    pub name: Name,
}

/// Makes a segment under a name.
pub fn create(name: Name, geometry: Geometry, mode: u32) -> Result<Segment, Error> {
    let file = file::create_unnamed(&name.directory(), mode).map_err(|source| {
        match source.raw_os_error() {
            // Old kernels say "is a directory" where O_TMPFILE is not known.
            Some(libc::EOPNOTSUPP | libc::EISDIR) => Error::Unsupported {
                name: name.to_string(),
                what: "unnamed files (O_TMPFILE) on this file system",
            },
            _ => Error::from_io("create", &name, source),
        }
    })?;
    fill(file.as_fd(), &name, &geometry)?;
    check_locks(file.as_fd(), &name)?;
    file::link(file.as_fd(), &name.file()).map_err(|source| from_proc_io("name", &name, source))?;
    Ok(Segment {
        file,
        geometry,
        name,
    })
}

/// Makes a segment without a name, whose length nobody can change.
pub fn create_anonymous(geometry: Geometry) -> Result<Segment, Error> {
    let name = Name::anonymous();
    let file = file::create_memfd().map_err(|source| Error::from_io("create", &name, source))?;
    fill(file.as_fd(), &name, &geometry)?;
    file::seal(file.as_fd()).map_err(|source| Error::from_io("seal", &name, source))?;
    Ok(Segment {
        file,
        geometry,
        name,
    })
}

/// Refuses a place where nobody could be known to be alive.
fn check_locks(file: BorrowedFd<'_>, name: &Name) -> Result<(), Error> {
    let what = "locks that last as long as a mapping (overlayfs, for one, has none)";
    match lock::outlives_its_descriptor(file, page_len()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::Unsupported {
            name: name.to_string(),
            what,
        }),
        Err(source) => Err(from_proc_io("lock", name, source)),
    }
}

/// For what goes through `/proc/thread-self/fd`.
fn from_proc_io(operation: &'static str, name: &Name, source: io::Error) -> Error {
    let no_proc = !std::path::Path::new("/proc/thread-self/fd").exists();
    if source.kind() == io::ErrorKind::NotFound && no_proc {
        return Error::Unsupported {
            name: name.to_string(),
            what: "a mounted /proc",
        };
    }
    Error::from_io(operation, name, source)
}

fn fill(file: BorrowedFd<'_>, name: &Name, geometry: &Geometry) -> Result<(), Error> {
    let needed = geometry.total_len();
    file::allocate(file, needed).map_err(|source| match source.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG | libc::ENOMEM) => Error::NoSpace {
            name: name.to_string(),
            needed,
            source,
        },
        _ => Error::from_io("allocate", name, source),
    })?;
    let header = geometry.to_header().to_words();
    write_at_start(file, bytemuck::cast_slice(&header))
        .map_err(|source| Error::from_io("write", name, source))
}

/// Finds a segment by its name and checks it; the owner must be one of ours, root, or `trusted_owner`.
pub fn open(
    name: Name,
    kind: Kind,
    payload: PayloadType,
    trusted_owner: Option<u32>,
) -> Result<Segment, Error> {
    let file = file::open(&name.file()).map_err(|source| match source.raw_os_error() {
        Some(libc::ELOOP) => Error::SymbolicLink {
            name: name.to_string(),
        },
        Some(libc::EISDIR | libc::ENXIO) => Error::NotARing {
            name: name.to_string(),
            reason: "it is not a regular file",
        },
        _ => Error::from_io("open", &name, source),
    })?;
    check(file, name, kind, payload, |uid| {
        uid == process::effective_uid() || uid == 0 || Some(uid) == trusted_owner
    })
}

/// Checks a segment that came as a descriptor. Whoever passed it on is trusted with its ownership; with its length only if it is no memfd.
pub fn from_fd(file: OwnedFd, kind: Kind, payload: PayloadType) -> Result<Segment, Error> {
    let name = Name::anonymous();
    if file::is_memfd(file.as_fd()) && !file::is_sealed(file.as_fd()) {
        return Err(Error::NotSealed {
            name: name.to_string(),
        });
    }
    check(file, name, kind, payload, |_| true)
}

fn check(
    file: OwnedFd,
    name: Name,
    kind: Kind,
    payload: PayloadType,
    may_own: impl Fn(u32) -> bool,
) -> Result<Segment, Error> {
    let status =
        file::status(file.as_fd()).map_err(|source| Error::from_io("inspect", &name, source))?;
    if !status.is_regular {
        let reason = "it is not a regular file";
        return Err(Error::NotARing {
            name: name.to_string(),
            reason,
        });
    }
    if !may_own(status.uid) {
        return Err(Error::WrongOwner {
            name: name.to_string(),
            owner: status.uid,
        });
    }
    // Read, not mapped: a file that is shorter than it should be is an error here, and a SIGBUS in a mapping.
    let mut words = [0_u64; Header::WORDS];
    let read_len = read_from_start(&file, bytemuck::cast_slice_mut(&mut words))
        .map_err(|source| Error::from_io("read", &name, source))?;
    if words[0] != MAGIC {
        let reason = if status.len == 0 {
            "it is empty"
        } else {
            "its first bytes are not ours"
        };
        return Err(Error::NotARing {
            name: name.to_string(),
            reason,
        });
    }
    if read_len < size_of_val(&words) {
        let (found, expected) = (status.len, HEADER_LEN);
        return Err(Error::Truncated {
            name: name.to_string(),
            found,
            expected,
        });
    }
    let geometry = Header::from_words(words).validate(&name, status.len, kind, payload)?;
    check_locks(file.as_fd(), &name)?;
    Ok(Segment {
        file,
        geometry,
        name,
    })
}

fn write_at_start(file: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    std::fs::File::from(file.try_clone_to_owned()?).write_all_at(bytes, 0)
}

fn read_from_start(file: &OwnedFd, bytes: &mut [u8]) -> io::Result<usize> {
    use std::os::unix::fs::FileExt;
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
