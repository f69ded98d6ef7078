//! Permits that come back.

use super::NamedSemaphore;

/// Permits that belong to this handle. They go back when this is dropped, and when the process dies, however it dies.
///
/// One that is leaked ([`std::mem::forget`]) keeps its permits until the handle is dropped. In a child after `fork` it is without effect: the permits
/// are the parent's.
///
/// ```
/// use shm_semaphore::SemaphoreOptions;
///
/// let jobs = SemaphoreOptions::new().anonymous(2)?;
/// let permits = jobs.acquire_many_owned(2)?;
/// assert_eq!((permits.permits(), jobs.permits()), (2, 0));
/// drop(permits);
/// assert_eq!(jobs.permits(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "the permits go back when this is dropped"]
pub struct OwnedPermits<'a> {
    semaphore: &'a NamedSemaphore,
    permits: u32,
}

impl<'a> OwnedPermits<'a> {
    #[inline]
    pub(super) fn new(semaphore: &'a NamedSemaphore, permits: u32) -> Self {
        Self { semaphore, permits }
    }

    /// How many.
    pub fn permits(&self) -> u32 {
        self.permits
    }

    /// Gives them back now, as dropping does.
    pub fn release(self) {}
}

impl Drop for OwnedPermits<'_> {
    #[inline]
    fn drop(&mut self) {
        self.semaphore.give_back(self.permits);
    }
}
