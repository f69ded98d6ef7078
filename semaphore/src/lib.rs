//! Sleeping and waking between processes: a futex that really is shared, an event count and a semaphore.
//!
//! Everything here is one 32-bit word that can be placed in memory which several processes map. All-zero bytes are a valid,
//! fresh value of each type, so a segment that was just allocated needs no construction step.
//!
//! | type | what it is for |
//! |---|---|
//! | [`EventCount`] | "sleep until this condition, which lives elsewhere, may have changed": the wakeup of a lock-free structure |
//! | [`Semaphore`] | a count of permits |
//! | [`Futex`] | the word below both, with the kernel's wait and wake |
//! | [`wait_any`], [`acquire_any`] | waiting for several of them at once |
//! | [`Pollable`] | a descriptor for event loops: epoll, mio, tokio |
//! | [`Deadline`] | one absolute point on `CLOCK_MONOTONIC`, for every wait |
//!
//! A process that is killed while it waits leaves nothing behind that has to be repaired: no type here counts its waiters.
//! A process that is killed after it changed the condition and before it woke the others leaves them asleep; whoever must survive
//! that sleeps in slices (see [`EventCount::wait`]). [`Semaphore`] does so by itself.

#[cfg(not(loom))]
mod acquire_any;
mod deadline;
mod error;
mod event_count;
mod futex;
#[doc(hidden)]
pub mod membarrier;
#[cfg(not(loom))]
#[doc(hidden)]
pub mod os;
#[cfg(not(loom))]
mod pollable;
#[cfg(not(loom))]
#[doc(hidden)]
pub mod segment;
#[cfg(not(loom))]
mod semaphore;
#[cfg(loom)]
#[doc(hidden)]
pub mod semaphore;
#[doc(hidden)]
pub mod sync;
#[cfg(not(loom))]
mod wait_any;

#[cfg(not(loom))]
pub use acquire_any::acquire_any;
pub use deadline::Deadline;
#[cfg(not(loom))]
pub use error::Error;
pub use error::{AcquireError, ReleaseError};
pub use event_count::{EventCount, WaitKey, WaitResult};
pub use futex::Futex;
#[cfg(not(loom))]
pub use pollable::{Pollable, Waitable};
pub use semaphore::Semaphore;
#[cfg(not(loom))]
pub use semaphore::{NamedSemaphore, OwnedPermits, SemaphoreOptions};
#[cfg(not(loom))]
#[doc(hidden)]
pub use wait_any::wait_any_by_naps;
#[cfg(not(loom))]
pub use wait_any::{Prepared, wait_any};
