//! Until when a call waits.

use std::time::Duration;

use shm_semaphore::Deadline;

/// Until when a call waits.
#[derive(Debug, Clone, Copy)]
pub enum When {
    /// It does not.
    Now,
    /// Nor does it: the caller has something already and takes more if that is there, but stays for nothing that others have not finished.
    Besides,
    /// So long from its start; the clock is read only if it comes to waiting.
    Within(Duration),
    /// Until then.
    Until(Deadline),
}

impl When {
    pub(super) const EVER: Self = Self::Until(Deadline::NEVER);

    pub(super) fn until(deadline: impl Into<Deadline>) -> Self {
        Self::Until(deadline.into())
    }

    /// The same, its time running from now on.
    pub(super) fn begun(self) -> Self {
        match self {
            Self::Within(timeout) => Self::Until(Deadline::after(timeout)),
            Self::Now | Self::Besides | Self::Until(_) => self,
        }
    }

    /// `None` for a call that does not wait.
    pub(super) fn deadline(self) -> Option<Deadline> {
        match self {
            Self::Now | Self::Besides => None,
            Self::Within(timeout) => Some(Deadline::after(timeout)),
            Self::Until(deadline) => Some(deadline),
        }
    }
}
