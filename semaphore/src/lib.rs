#![doc = include_str!("../README.md")]
//!
//! # Where things are
//!
//! | type | what it is for |
//! |---|---|
//! | [`EventCount`] | "sleep until this condition, which lives elsewhere, may have changed": the wakeup of a lock-free structure |
//! | [`Semaphore`] | a count of permits, in memory of the caller's |
//! | [`NamedSemaphore`] | the same with a name, and with permits that come back |
//! | [`Futex`] | the word below all of them, with the kernel's wait and wake |
//! | [`wait_any`], [`acquire_any`] | waiting for several of them at once |
//! | [`Pollable`] | a descriptor for event loops: epoll, mio, tokio |
//! | [`Deadline`] | one absolute point on `CLOCK_MONOTONIC`, for every wait |

#[cfg(not(loom))]
mod acquire_any;
mod deadline;
#[cfg(not(loom))]
pub mod diagnostics;
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
