//! The counting semaphore: placed in memory of the caller's, or found by a name.
//!
//! | file | what it is |
//! |---|---|
//! | `word` | the bits of every shared word |
//! | `core` | how permits change, and how every change is accounted for |
//! | `bias` | a semaphore that one thread has to itself |
//! | `reserve`, `wait` | who comes next; sleeping and waking |
//! | `recover` | what a dead participant leaves behind |
//! | `member` | what a participant knows of itself |
//! | `placed` | [`Semaphore`], without participants |
//! | `polling` | a [`NamedSemaphore`] in an event loop |
//! | `named`, `owned`, `options`, `seat`, `layout` | [`NamedSemaphore`], with participants |

pub(crate) mod bias;
pub(crate) mod core;
#[cfg(not(loom))]
mod layout;
pub(crate) mod member;
#[cfg(loom)]
#[doc(hidden)]
pub mod model;
#[cfg(not(loom))]
mod named;
#[cfg(not(loom))]
mod options;
#[cfg(not(loom))]
mod owned;
mod placed;
#[cfg(not(loom))]
mod polling;
pub(crate) mod recover;
pub(crate) mod reserve;
#[cfg(not(loom))]
mod seat;
pub(crate) mod wait;
pub(crate) mod word;

#[cfg(not(loom))]
pub use named::NamedSemaphore;
#[cfg(not(loom))]
pub use options::SemaphoreOptions;
#[cfg(not(loom))]
pub use owned::OwnedPermits;
pub use placed::Semaphore;

use self::core::{Change, Refused};
use self::wait::Waited;
use self::word::PERMITS_MAX;
use crate::error::{AcquireError, ReleaseError};

/// A change that takes so many permits, if so many can ever be had.
#[inline]
fn taking(wanted: u32, owned: bool) -> Result<Change, AcquireError> {
    if wanted > PERMITS_MAX {
        let max = PERMITS_MAX;
        return Err(AcquireError::TooMany { wanted, max });
    }
    Ok(Change::take(wanted, owned))
}

/// A wait in the terms of the public face.
fn waited(result: Result<Waited, Refused>, wanted: u32) -> Result<(), AcquireError> {
    match result {
        Ok(Waited::Taken) => Ok(()),
        Ok(Waited::TimedOut) => Err(AcquireError::TimedOut),
        Err(refused) => Err(not_acquired(refused, wanted)),
    }
}

fn not_acquired(refused: Refused, wanted: u32) -> AcquireError {
    match refused {
        Refused::NoPermits | Refused::Reserved => AcquireError::NoPermits,
        Refused::TooMany { max } => AcquireError::TooMany { wanted, max },
        Refused::Corrupt { field, found } => AcquireError::Corrupt { field, found },
        Refused::Overflow { permits } => AcquireError::Corrupt {
            field: "state.permits",
            found: u64::from(permits),
        },
        Refused::CannotRevoke => AcquireError::Unsupported,
    }
}

fn not_released(refused: Refused, released: u32) -> ReleaseError {
    match refused {
        Refused::Overflow { permits } => ReleaseError::Overflow { released, permits },
        Refused::Corrupt { field, found } => ReleaseError::Corrupt { field, found },
        Refused::CannotRevoke => ReleaseError::Unsupported,
        Refused::NoPermits | Refused::Reserved | Refused::TooMany { .. } => ReleaseError::Corrupt {
            field: "participant.record",
            found: u64::from(released),
        },
    }
}
