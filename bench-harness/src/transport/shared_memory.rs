//! Shared memory that is inherited as a descriptor: its room is reserved when it is made, so that it can't run out later.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use memmap2::{MmapOptions, MmapRaw};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, posix_fallocate};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{shm_open, shm_unlink};
use nix::sys::stat::Mode;
use nix::sys::statvfs::statvfs;
use nix::unistd::{ftruncate, unlink};

use super::{LinkError, limits, names};

/// What [`anonymous_page`] holds.
pub const PAGE_LEN: usize = 4096;

/// A page of memory that never had a name, for what needs no more than a few words.
///
/// # Errors
/// See [`LinkError`].
pub fn anonymous_page() -> Result<OwnedFd, LinkError> {
    let memory = memfd_create(c"bench-harness", MFdFlags::MFD_CLOEXEC)
        .map_err(|errno| limits::refused("memfd_create", errno))?;
    ftruncate(&memory, PAGE_LEN.cast_signed() as libc::off_t)
        .map_err(|errno| limits::not_made(PAGE_LEN as u64, errno.into()))?;
    Ok(memory)
}

/// POSIX shared memory (`shm_open`), whose name is gone when this returns.
///
/// # Errors
/// See [`LinkError`].
pub fn posix(len: usize) -> Result<OwnedFd, LinkError> {
    let name = format!("/{}", names::unique());
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    let memory = shm_open(name.as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)
        .map_err(|errno| limits::refused("shm_open", errno))?;
    shm_unlink(name.as_str()).map_err(io::Error::from)?;
    reserve(&memory, len, Path::new("/dev/shm"))?;
    Ok(memory)
}

/// A regular file in the directory for temporary files, whose name is gone when this returns.
///
/// # Errors
/// See [`LinkError`].
pub fn regular_file(len: usize) -> Result<OwnedFd, LinkError> {
    let path = names::temporary_path();
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    let file = open(&path, flags, Mode::S_IRUSR | Mode::S_IWUSR)
        .map_err(|errno| limits::refused_at("making a file", &path, errno))?;
    unlink(&path).map_err(io::Error::from)?;
    reserve(&file, len, &std::env::temp_dir())?;
    Ok(file)
}

fn reserve(memory: &OwnedFd, len: usize, mount: &Path) -> Result<(), LinkError> {
    let too_large = || {
        let free = statvfs(mount).map_or(0, |it| it.blocks_available() * it.fragment_size());
        LinkError::Unavailable(format!(
            "{len} B of shared memory do not fit into {}, where {free} B are free; \
             free some, or choose a smaller --size",
            mount.display()
        ))
    };
    let Ok(signed_len) = libc::off_t::try_from(len) else {
        return Err(too_large());
    };
    loop {
        match posix_fallocate(memory, 0, signed_len) {
            Ok(()) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(Errno::EFBIG) => {
                return Err(limits::file_too_long(len as u64).unwrap_or_else(too_large));
            }
            Err(Errno::ENOSPC | Errno::EDQUOT | Errno::ENOMEM) => {
                return Err(too_large());
            }
            Err(errno) => return Err(limits::refused("posix_fallocate", errno)),
        }
    }
}

/// Maps the first `len` bytes, after a look at whether there are so many: a mapping beyond the end would be fatal later.
///
/// # Errors
/// `InvalidInput` when it is shorter, otherwise what `mmap` said.
pub fn map(memory: &OwnedFd, len: usize) -> io::Result<MmapRaw> {
    let file = fs::File::from(memory.try_clone()?);
    let found = file.metadata()?.len();
    if found < len as u64 {
        let text = format!("the shared memory has {found} B instead of {len} B");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    MmapOptions::new().len(len).map_raw(&file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_can_not_exist_is_unavailable_with_its_size() {
        for make in [posix, regular_file] {
            let Err(LinkError::Unavailable(reason)) = make(1 << 60) else {
                panic!("an exbibyte was reserved");
            };
            assert!(reason.contains(&format!("{} B", 1u64 << 60)), "{reason}");
        }
    }

    #[test]
    fn mapping_beyond_the_end_is_refused() {
        let memory = anonymous_page().unwrap();
        assert!(map(&memory, PAGE_LEN).is_ok());
        assert_eq!(
            map(&memory, PAGE_LEN + 1).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    }
}
