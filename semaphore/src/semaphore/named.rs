//! A semaphore with a name, and with participants.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use super::core::{Change, Refused};
use super::options::{self, SemaphoreOptions};
use super::owned::OwnedPermits;
use super::seat::{Seat, Segment};
use super::word::PERMITS_MAX;
use super::{Semaphore, not_acquired, not_released, taking, waited};
use crate::Deadline;
use crate::error::{AcquireError, Error, ReleaseError};
use crate::event_count::WaitKey;
use crate::segment;

/// A participant of a semaphore that was found by its name or passed on as a descriptor.
///
/// It does all that a [`Semaphore`] does. Permits can be *owned* as well (`acquire_owned` …): they are kept by a guard, and when the process dies, however
/// it dies, they come back: somebody who waits finds out within some 50 ms of the moment at which the kernel has taken the dead process apart. Permits that were not taken as
/// owned are lost with a dead holder.
///
/// A handle belongs to one thread at a time (it is `Send`, not `Sync`); [`try_clone`](Self::try_clone) makes another one.
/// In a child after `fork` it does nothing but say so ([`AcquireError::Inherited`]; no permits, no participants): the child opens the semaphore for itself.
///
/// ```
/// use shm_semaphore::Semaphore;
/// # let name = format!("/doc-semaphore-{}", std::process::id());
/// # let name = name.as_str();
///
/// let jobs = Semaphore::create(name, 4)?;
/// let permit = jobs.acquire_owned()?;
///
/// // … and in another process:
/// let same = Semaphore::open(name)?;
/// assert_eq!(same.permits(), 3);
///
/// drop(permit);
/// assert_eq!(same.permits(), 4);
/// Semaphore::unlink(name)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct NamedSemaphore {
    seat: Seat,
}

impl Semaphore {
    /// Makes a semaphore under a name, with the default [`SemaphoreOptions`].
    ///
    /// # Errors
    /// Those of [`SemaphoreOptions::create`].
    pub fn create(name: &str, permits: u32) -> Result<NamedSemaphore, Error> {
        SemaphoreOptions::new().create(name, permits)
    }

    /// Opens a semaphore by its name.
    ///
    /// # Errors
    /// Those of [`SemaphoreOptions::open`].
    pub fn open(name: &str) -> Result<NamedSemaphore, Error> {
        SemaphoreOptions::new().open(name)
    }

    /// Opens the semaphore of this name or makes it, with the default [`SemaphoreOptions`].
    ///
    /// # Errors
    /// Those of [`SemaphoreOptions::open_or_create`].
    pub fn open_or_create(name: &str, permits: u32) -> Result<NamedSemaphore, Error> {
        SemaphoreOptions::new().open_or_create(name, permits)
    }

    /// Takes a semaphore's name away. Who has it open keeps it; the memory is freed when the last one is done.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::PermissionDenied`], [`Error::InvalidName`], [`Error::Os`].
    pub fn unlink(name: &str) -> Result<(), Error> {
        let name = options::parse(name)?;
        segment::unlink(&name).map_err(|refusal| Error::from_refusal(&name, refusal))
    }
}

impl NamedSemaphore {
    pub(super) fn join(segment: &Arc<Segment>) -> Result<Self, Error> {
        Seat::take(segment).map(|seat| Self { seat })
    }

    /// Another handle on the same semaphore, with a seat of its own.
    ///
    /// # Errors
    /// [`Error::NoSeat`], [`Error::Corrupt`], [`Error::Os`].
    pub fn try_clone(&self) -> Result<Self, Error> {
        Self::join(self.seat.segment())
    }

    /// The name that it was created or opened by.
    pub fn name(&self) -> Option<&str> {
        let name = self.seat.segment().name.as_str();
        (name != segment::Name::anonymous().as_str()).then_some(name)
    }

    /// How many handles are attached, in processes that live.
    pub fn participants(&self) -> usize {
        self.seat.living()
    }

    /// The permits at this moment; another process may take one before the caller looks at the answer.
    pub fn permits(&self) -> u32 {
        if self.seat.is_ours() {
            self.seat.core().permits()
        } else {
            0
        }
    }

    /// The short way, which is all that there is to it while nobody waits and nobody dies. Kept apart from the rest, so that it is compiled into
    /// the caller.
    #[expect(clippy::inline_always, reason = "see there")]
    #[inline(always)]
    fn change_at_once(&self, change: Change) -> bool {
        let words = self.seat.core().words;
        self.seat.is_ours() && words.change_at_once_as(&self.seat.member, change)
    }

    #[expect(clippy::inline_always, reason = "as above")]
    #[inline(always)]
    fn take_at_once(&self, wanted: u32, owned: bool) -> bool {
        wanted <= PERMITS_MAX
            && (!owned || self.seat.member.accounts())
            && self.change_at_once(Change::take(wanted, owned))
    }

    /// What can be said without looking at the permits.
    fn taking(&self, wanted: u32, owned: bool) -> Result<Change, AcquireError> {
        // A child after `fork` has no such memory, and perhaps something else in its place.
        if !self.seat.is_ours() {
            return Err(AcquireError::Inherited);
        }
        if owned && !self.seat.member.accounts() {
            return Err(AcquireError::NotOwned);
        }
        taking(wanted, owned)
    }

    /// One who only tries finds out about the dead as well.
    #[cold]
    fn try_take_slowly(&self, wanted: u32, owned: bool) -> Result<(), AcquireError> {
        let change = self.taking(wanted, owned)?;
        let (core, member) = (self.seat.core(), Some(&self.seat.member));
        let result = match core.try_take(member, change) {
            Err(Refused::NoPermits) => match self.seat.look_around() {
                Ok(true) => core.try_take(member, change),
                Ok(false) => Err(Refused::NoPermits),
                Err(refused) => Err(refused),
            },
            result => result,
        };
        result.map_err(|refused| not_acquired(refused, wanted))
    }

    #[cold]
    fn take_slowly(
        &self,
        wanted: u32,
        owned: bool,
        deadline: Deadline,
    ) -> Result<(), AcquireError> {
        let change = self.taking(wanted, owned)?;
        let look_around = || self.seat.look_around().map(drop);
        let core = self.seat.core();
        let result = core.take(Some(&self.seat.member), change, deadline, look_around);
        waited(result, wanted)
    }

    #[cold]
    fn take_within(&self, wanted: u32, owned: bool, timeout: Duration) -> Result<(), AcquireError> {
        match self.try_take_slowly(wanted, owned) {
            Err(AcquireError::NoPermits) => {
                self.take_slowly(wanted, owned, Deadline::after(timeout))
            }
            result => result,
        }
    }

    /// What a guard gives back.
    #[inline]
    pub(super) fn give_back(&self, permits: u32) {
        if !self.change_at_once(Change::give(permits, true)) {
            self.give_back_slowly(permits);
        }
    }

    #[cold]
    fn give_back_slowly(&self, permits: u32) {
        if self.seat.is_ours() {
            let core = self.seat.core();
            // Fails only if the segment is corrupt, which the next call that can say so says.
            let _ = core.give(Some(&self.seat.member), Change::give(permits, true));
        }
    }

    /// Gives back, or adds, `permits` that nobody owns, and wakes who waits for them.
    ///
    /// # Errors
    /// [`ReleaseError::Overflow`] if the count can't hold them; nothing has changed then. [`ReleaseError::Corrupt`].
    #[inline]
    pub fn release(&self, permits: u32) -> Result<(), ReleaseError> {
        if self.change_at_once(Change::give(permits, false)) {
            return Ok(());
        }
        self.release_slowly(permits)
    }

    #[cold]
    fn release_slowly(&self, permits: u32) -> Result<(), ReleaseError> {
        if !self.seat.is_ours() {
            return Err(ReleaseError::Inherited);
        }
        self.seat
            .core()
            .give(Some(&self.seat.member), Change::give(permits, false))
            .map_err(|refused| not_released(refused, permits))
    }

    /// As [`Semaphore::prepare_wait`].
    pub fn prepare_wait(&self) -> Option<WaitKey> {
        // In a child, trying says what is wrong.
        let is_ours = self.seat.is_ours();
        is_ours.then(|| self.seat.core().prepare_wait()).flatten()
    }

    /// The prepared wait as one of several.
    ///
    /// # Panics
    /// In a child after `fork`.
    pub fn prepared(&self, key: WaitKey) -> crate::Prepared<'_> {
        crate::Prepared::new(self.news(), key)
    }

    /// A descriptor that an event loop waits for in this handle's place: [`prepare_wait`](Self::prepare_wait), then [arm](crate::Pollable::arm) it, and when it is
    /// readable try to acquire. It has a mapping and a thread of its own, no seat, and may outlive the handle.
    ///
    /// # Errors
    /// [`Error::Os`] when the system has no memory, descriptor or thread to give.
    pub fn pollable(&self) -> Result<crate::Pollable, Error> {
        super::polling::pollable(self.seat.segment())
    }

    pub(crate) fn news(&self) -> &crate::Futex {
        assert!(
            self.seat.is_ours(),
            "the handle is that of the process which this one was forked from"
        );
        &self.seat.core().words.news
    }
}

macro_rules! acquire_methods {
    ($($(#[$doc:meta])* $try:ident $wait:ident $timeout:ident $deadline:ident ($($wanted:ident)?) $count:expr;)*) => {
        impl NamedSemaphore {$(
            $(#[$doc])*
            ///
            /// Takes them if they are there and nobody has reserved them.
            ///
            /// # Errors
            /// [`AcquireError`]; never `TimedOut`.
            #[inline]
            pub fn $try(&self $(, $wanted: u32)?) -> Result<(), AcquireError> {
                if self.take_at_once($count, false) {
                    return Ok(());
                }
                self.try_take_slowly($count, false)
            }

            $(#[$doc])*
            ///
            /// Waits until they are there.
            ///
            /// # Errors
            /// [`AcquireError`]; never `NoPermits` or `TimedOut`.
            #[inline]
            pub fn $wait(&self $(, $wanted: u32)?) -> Result<(), AcquireError> {
                if self.take_at_once($count, false) {
                    return Ok(());
                }
                self.take_slowly($count, false, Deadline::NEVER)
            }

            $(#[$doc])*
            ///
            /// Waits `timeout` at most.
            ///
            /// # Errors
            /// [`AcquireError`]; never `NoPermits`.
            #[inline]
            pub fn $timeout(&self $(, $wanted: u32)?, timeout: Duration) -> Result<(), AcquireError> {
                if self.take_at_once($count, false) {
                    return Ok(());
                }
                self.take_within($count, false, timeout)
            }

            $(#[$doc])*
            ///
            /// Waits until `deadline` at most.
            ///
            /// # Errors
            /// [`AcquireError`]; never `NoPermits`.
            #[inline]
            pub fn $deadline(
                &self
                $(, $wanted: u32)?,
                deadline: impl Into<Deadline>,
            ) -> Result<(), AcquireError> {
                if self.take_at_once($count, false) {
                    return Ok(());
                }
                self.take_slowly($count, false, deadline.into())
            }
        )*}
    };
}

// Always compiled into the caller: a guard that is handed over through memory costs twice as much.
macro_rules! acquire_owned_methods {
    ($($(#[$doc:meta])* $try:ident $wait:ident $timeout:ident $deadline:ident ($($wanted:ident)?) $count:expr;)*) => {
        impl NamedSemaphore {$(
            $(#[$doc])*
            ///
            /// Takes them if they are there and nobody has reserved them.
            ///
            /// # Errors
            /// [`AcquireError`]; never `TimedOut`.
            #[inline(always)]
            pub fn $try(&self $(, $wanted: u32)?) -> Result<OwnedPermits<'_>, AcquireError> {
                if !self.take_at_once($count, true) {
                    self.try_take_slowly($count, true)?;
                }
                Ok(OwnedPermits::new(self, $count))
            }

            $(#[$doc])*
            ///
            /// Waits until they are there.
            ///
            /// # Errors
            /// [`AcquireError`]; never `NoPermits` or `TimedOut`.
            #[inline(always)]
            pub fn $wait(&self $(, $wanted: u32)?) -> Result<OwnedPermits<'_>, AcquireError> {
                if !self.take_at_once($count, true) {
                    self.take_slowly($count, true, Deadline::NEVER)?;
                }
                Ok(OwnedPermits::new(self, $count))
            }

            $(#[$doc])*
            ///
            /// Waits `timeout` at most.
            ///
            /// # Errors
            /// [`AcquireError`]; never `NoPermits`.
            #[inline(always)]
            pub fn $timeout(&self $(, $wanted: u32)?, timeout: Duration) -> Result<OwnedPermits<'_>, AcquireError> {
                if !self.take_at_once($count, true) {
                    self.take_within($count, true, timeout)?;
                }
                Ok(OwnedPermits::new(self, $count))
            }

            $(#[$doc])*
            ///
            /// Waits until `deadline` at most.
            ///
            /// # Errors
            /// [`AcquireError`]; never `NoPermits`.
            #[inline(always)]
            pub fn $deadline(
                &self
                $(, $wanted: u32)?,
                deadline: impl Into<Deadline>,
            ) -> Result<OwnedPermits<'_>, AcquireError> {
                if !self.take_at_once($count, true) {
                    self.take_slowly($count, true, deadline.into())?;
                }
                Ok(OwnedPermits::new(self, $count))
            }
        )*}
    };
}

acquire_methods! {
    /// A permit that nobody owns: it is lost if this process dies with it.
    try_acquire acquire acquire_timeout acquire_deadline () 1;
    /// So many permits at once, or none; nobody owns them.
    try_acquire_many acquire_many acquire_many_timeout acquire_many_deadline (wanted) wanted;
}

acquire_owned_methods! {
    /// A permit that comes back, at the latest when this process dies.
    try_acquire_owned acquire_owned acquire_owned_timeout acquire_owned_deadline () 1;
    /// So many permits at once, or none; they come back, at the latest when this process dies.
    try_acquire_many_owned acquire_many_owned acquire_many_owned_timeout acquire_many_owned_deadline (wanted) wanted;
}

impl AsFd for NamedSemaphore {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.seat.segment().file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AcquireError;

    #[test]
    #[allow(unsafe_code)]
    fn a_child_learns_that_the_handle_is_its_parents() {
        let jobs = SemaphoreOptions::new().anonymous(2).unwrap();
        let permit = jobs.acquire_owned().unwrap();
        // SAFETY: the child makes no allocation, calls nothing but the handle, and ends at once.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let is_told = jobs.try_acquire() == Err(AcquireError::Inherited)
                && jobs.acquire_many(2) == Err(AcquireError::Inherited)
                && jobs.release(1) == Err(ReleaseError::Inherited)
                && jobs.permits() == 0
                && jobs.participants() == 0
                && jobs.prepare_wait().is_none();
            drop(permit);
            // SAFETY: ends the child, without a word to the test harness.
            unsafe { libc::_exit(i32::from(is_told)) };
        }
        let mut status = 0;
        // SAFETY: a child of ours, and an integer to fill.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 1);
        assert_eq!(jobs.permits(), 1);
        drop(permit);
        assert_eq!(jobs.permits(), 2);
    }
}
