//! Descriptors that no child can inherit.

#![allow(unsafe_code, reason = "system calls")]

use std::thread;

/// Runs `work` on a thread with a descriptor table of its own.
///
/// A descriptor that is open for a moment in a process with other threads can be copied by a `fork` at that moment, and lives on in the child
/// (`O_CLOEXEC` acts only on `exec`). With it lives the description, and every lock that was taken through it. A table of our own is not
/// copied by the forks of others.
///
/// Where the system grants no thread or no table, `work` runs all the same.
pub fn with_private_table<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    // Handed over through a slot, so that the caller still has it if no thread could be made.
    let mut work = Some(work);
    let slot = &mut work;
    let result = thread::scope(|scope| {
        let run = move || {
            // SAFETY: affects the descriptor table of this thread alone, which ends when the work is done.
            unsafe { libc::unshare(libc::CLONE_FILES) };
            slot.take().map(|work| work())
        };
        let spawned = thread::Builder::new()
            .name("shm-attach".into())
            .spawn_scoped(scope, run);
        spawned.ok().and_then(|thread| match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    });
    result.unwrap_or_else(|| (work.take().expect("not run, since there is no result"))())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsRawFd;

    #[test]
    fn what_is_opened_there_is_not_in_our_table() {
        let (number, _file) = with_private_table(|| {
            let file = File::open("/dev/null").unwrap();
            (file.as_raw_fd(), std::mem::ManuallyDrop::new(file))
        });
        assert!(!std::path::Path::new(&format!("/proc/self/fd/{number}")).exists());
    }
}
