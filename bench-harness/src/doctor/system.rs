//! The questions to the system that no file answers.
#![allow(unsafe_code, reason = "a system call without a safe wrapper")]

use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::kill;
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, Pid, access};

use super::limits::ProcessLimits;
use super::memory::Space;

/// Whether there is such a process, whoever owns it.
pub(super) fn is_alive(pid: u32) -> bool {
    let Ok(pid) = i32::try_from(pid) else {
        return false;
    };
    // A process that may not be signalled is there all the same.
    !matches!(kill(Pid::from_raw(pid), None), Err(Errno::ESRCH))
}

/// The process that last changed a semaphore of a System V set, if this user may know.
pub(super) fn last_user(set: i32, semaphore: u32) -> Option<u32> {
    let semaphore = libc::c_int::try_from(semaphore).ok()?;
    // SAFETY: GETPID takes no argument.
    let pid = unsafe { libc::semctl(set, semaphore, libc::GETPID) };
    u32::try_from(pid).ok()
}

/// The room in the file system of a folder.
///
/// # Errors
/// What the system says.
pub(super) fn space(folder: &Path) -> io::Result<Space> {
    let found = statvfs(folder)?;
    let unit = found.fragment_size();
    Ok(Space {
        total: found.blocks() * unit,
        free: found.blocks_available() * unit,
    })
}

/// Whether this user may write to a file.
pub(super) fn may_write(file: &Path) -> bool {
    access(file, AccessFlags::W_OK).is_ok()
}

/// The soft limits of this process.
///
/// # Errors
/// What the system says.
pub(super) fn process_limits() -> io::Result<ProcessLimits> {
    let soft = |resource| getrlimit(resource).map(|(soft, _)| soft);
    Ok(ProcessLimits {
        locked_bytes: soft(Resource::RLIMIT_MEMLOCK)?,
        descriptors: soft(Resource::RLIMIT_NOFILE)?,
        queue_bytes: soft(Resource::RLIMIT_MSGQUEUE)?,
        pending_signals: soft(Resource::RLIMIT_SIGPENDING)?,
        file_bytes: soft(Resource::RLIMIT_FSIZE)?,
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::transport::limits::available;
    use crate::transport::sysv::OwnedSemaphores;

    #[test]
    fn a_process_is_alive_until_it_was_waited_for() {
        let mut child = Command::new("sh").args(["-c", "exit 0"]).spawn().unwrap();
        let pid = child.id();
        assert!(is_alive(pid) && is_alive(std::process::id()) && is_alive(1));
        child.wait().unwrap();
        assert!(!is_alive(pid) && !is_alive(u32::MAX));
    }

    #[test]
    fn who_gave_a_semaphore_its_value_is_its_last_user() {
        let Some(set) = available(OwnedSemaphores::create([1, 2])) else {
            return;
        };
        assert_eq!(last_user(set.id(), 1), Some(std::process::id()));
        assert_eq!(last_user(set.id(), 2), None);
    }

    #[test]
    fn limits_and_room_are_told() {
        assert!(process_limits().unwrap().descriptors > 0);
        let space = space(&std::env::temp_dir()).unwrap();
        assert!(space.free <= space.total && space.total > 0);
        assert!(!may_write(Path::new("/proc/no-such-file")));
    }
}
