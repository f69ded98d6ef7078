//! Ctrl-C and its kin, as a descriptor that can be waited for together with the measured processes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::transport::alarm;

/// The signals that end a run early. What was measured is still written.
#[derive(Debug)]
pub struct Interrupt {
    signals: SignalFd,
    was_seen: bool,
}

impl Interrupt {
    /// From here on the signals are held for [`Self::is_seen`]. To be called before any thread is started. A `SIGHUP` that is ignored, as under
    /// `nohup`, stays so: one that is held would be seen all the same.
    ///
    /// # Errors
    /// What the system says.
    pub fn catch() -> io::Result<Self> {
        let mut set = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            set.add(signal);
        }
        if !alarm::is_ignored(Signal::SIGHUP)? {
            set.add(Signal::SIGHUP);
        }
        set.thread_block()?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(Self {
            signals: SignalFd::with_flags(&set, flags)?,
            was_seen: false,
        })
    }

    /// Sleeps until one has come.
    ///
    /// # Errors
    /// What the system says.
    pub fn wait(&mut self) -> io::Result<()> {
        while !self.is_seen() {
            let mut fds = [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Whether one has come.
    pub fn is_seen(&mut self) -> bool {
        while let Ok(Some(_)) = self.signals.read_signal() {
            self.was_seen = true;
        }
        self.was_seen
    }
}

impl AsFd for Interrupt {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }
}
