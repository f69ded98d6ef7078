//! The signal handlers of this process, which iceoryx2 replaces.
//!
//! When it first reserves shared memory it installs a handler of its own for every signal that can be caught, once for the whole process, and
//! whatever a node was asked to do about signals. The harness needs its own: deadlines come as `SIGALRM`. So this is brought about early, and
//! what was there before is put back.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Mutex;
use std::sync::PoisonError;

use nix::errno::Errno;
use nix::sys::signal::Signal;

use crate::transport::alarm;

/// Whether it has been done.
static DONE: Mutex<bool> = Mutex::new(false);

/// Does what installs handlers, the first time that this is called, and puts back those that were there.
///
/// # Errors
/// What `install` said, or the system of a handler.
pub(super) fn keep(install: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let mut is_done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
    if *is_done {
        return Ok(());
    }
    // From here on these handlers are there to stay, so what is put back is not older than they are.
    alarm::setup()?;
    let handlers: Vec<_> = Signal::iterator().filter_map(Handler::of).collect();
    let installed = install();
    for handler in handlers {
        handler.put_back()?;
    }
    installed?;
    *is_done = true;
    Ok(())
}

/// What happens on a signal.
struct Handler {
    signal: Signal,
    action: libc::sigaction,
}

impl Handler {
    /// The present one; none for what can't be caught.
    fn of(signal: Signal) -> Option<Self> {
        if matches!(signal, Signal::SIGKILL | Signal::SIGSTOP) {
            return None;
        }
        let mut action = MaybeUninit::uninit();
        // SAFETY: the first pointer is null, so nothing is changed; the second one is to a local that outlives the call.
        let asked = unsafe { libc::sigaction(signal as i32, ptr::null(), action.as_mut_ptr()) };
        Errno::result(asked).ok()?;
        // SAFETY: the call succeeded, so it has written all of it.
        let action = unsafe { action.assume_init() };
        Some(Self { signal, action })
    }

    fn put_back(&self) -> io::Result<()> {
        // SAFETY: the handler was installed in this process before, by somebody who answered for it.
        let set =
            unsafe { libc::sigaction(self.signal as i32, &raw const self.action, ptr::null_mut()) };
        Errno::result(set)?;
        Ok(())
    }
}
