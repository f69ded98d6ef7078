//! What can go wrong.

use std::fmt;
#[cfg(not(loom))]
use std::io;

#[cfg(not(loom))]
use crate::segment::{Name, Refusal};
use crate::semaphore::Semaphore;
#[cfg(not(loom))]
use crate::semaphore::core::Refused;

/// Why a named semaphore could not be created, opened or joined.
#[cfg(not(loom))]
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// No such semaphore.
    NotFound {
        /// As given.
        name: String,
    },
    /// The name is taken.
    AlreadyExists {
        /// As given.
        name: String,
    },
    /// Not a name of a semaphore.
    InvalidName {
        /// As given.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Options that can't be met.
    InvalidConfig {
        /// What is wrong with them.
        reason: String,
    },
    /// More permits than a semaphore counts.
    Overflow {
        /// As given.
        name: String,
        /// The permits asked for.
        permits: u32,
    },
    /// The file system has no room; nothing was created.
    NoSpace {
        /// As given.
        name: String,
        /// Bytes of the segment.
        needed: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The system denied access.
    PermissionDenied {
        /// As given.
        name: String,
        /// What was tried.
        operation: &'static str,
    },
    /// Something else lives under the name.
    NotASemaphore {
        /// As given.
        name: String,
        /// How that shows.
        reason: &'static str,
    },
    /// A semaphore of another version of this library.
    WrongVersion {
        /// As given.
        name: String,
        /// The version of the segment.
        found: u64,
        /// The version of this library.
        supported: u64,
    },
    /// The file is shorter than its header says.
    Truncated {
        /// As given.
        name: String,
        /// Bytes of the file.
        found: u64,
        /// Bytes that it should have.
        expected: u64,
    },
    /// The file belongs to a user who is not trusted.
    WrongOwner {
        /// As given.
        name: String,
        /// The user id.
        owner: u32,
    },
    /// The name is a symbolic link, which is never followed.
    SymbolicLink {
        /// As given.
        name: String,
    },
    /// An anonymous segment whose length its maker could still change.
    NotSealed {
        /// As given.
        name: String,
    },
    /// All seats are taken by handles that live.
    NoSeat {
        /// As given.
        name: String,
        /// How many there are.
        max: u32,
    },
    /// The system lacks something.
    Unsupported {
        /// As given.
        name: String,
        /// What.
        what: &'static str,
    },
    /// A word in the segment that this library never writes.
    Corrupt {
        /// As given.
        name: String,
        /// Which word, by its name in the layout.
        field: &'static str,
        /// What it held.
        found: u64,
    },
    /// Anything else that the system said.
    Os {
        /// As given.
        name: String,
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

#[cfg(not(loom))]
impl Error {
    pub(crate) fn from_refusal(name: &Name, refusal: Refusal) -> Self {
        let name = name.to_string();
        match refusal {
            Refusal::NotFound => Self::NotFound { name },
            Refusal::AlreadyExists => Self::AlreadyExists { name },
            Refusal::NoSpace { needed, source } => Self::NoSpace {
                name,
                needed,
                source,
            },
            Refusal::PermissionDenied { operation } => Self::PermissionDenied { name, operation },
            Refusal::Foreign { reason } => Self::NotASemaphore { name, reason },
            Refusal::Truncated { found, expected } => Self::Truncated {
                name,
                found,
                expected,
            },
            Refusal::WrongOwner { owner } => Self::WrongOwner { name, owner },
            Refusal::SymbolicLink => Self::SymbolicLink { name },
            Refusal::NotSealed => Self::NotSealed { name },
            Refusal::Unsupported { what } => Self::Unsupported { name, what },
            Refusal::Os { operation, source } => Self::Os {
                name,
                operation,
                source,
            },
        }
    }

    pub(crate) fn from_refused(name: &Name, refused: Refused) -> Self {
        let name = name.to_string();
        let (field, found) = match refused {
            Refused::Corrupt { field, found } => (field, found),
            Refused::CannotRevoke => {
                let what = "membarrier(2), and a participant has the semaphore to itself and does not let go";
                return Self::Unsupported { name, what };
            }
            // Joining asks for no permits; these can't come of it.
            Refused::NoPermits
            | Refused::Reserved
            | Refused::Overflow { .. }
            | Refused::TooMany { .. } => ("state", 0),
        };
        Self::Corrupt { name, field, found }
    }
}

#[cfg(not(loom))]
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { name } => {
                write!(f, "no semaphore {name}: create it first")
            }
            Self::AlreadyExists { name } => write!(
                f,
                "{name} exists already; open it, use open_or_create, or unlink it first"
            ),
            Self::InvalidName { name, reason } => write!(
                f,
                "{name:?} can't name a semaphore: {reason}; write a slash and a word, as in /jobs"
            ),
            Self::InvalidConfig { reason } => write!(f, "the options can't be met: {reason}"),
            Self::Overflow { name, permits } => write!(
                f,
                "{name} can't have {permits} permits; a semaphore counts {} at most",
                Semaphore::MAX_PERMITS
            ),
            Self::NoSpace {
                name,
                needed,
                source,
            } => write!(
                f,
                "no room for {name}, which needs {needed} bytes ({source}); make room in /dev/shm or ask for fewer participants"
            ),
            Self::PermissionDenied { name, operation } => write!(
                f,
                "no permission to {operation} {name}; semaphores are made for their owner alone (mode 0600) unless created with another mode"
            ),
            Self::NotASemaphore { name, reason } => write!(
                f,
                "{name} is not a semaphore: {reason}; choose another name or remove what is there"
            ),
            Self::WrongVersion {
                name,
                found,
                supported,
            } => write!(
                f,
                "{name} has layout version {found} and this library speaks {supported}; build all sides with the same one"
            ),
            Self::Truncated {
                name,
                found,
                expected,
            } => write!(
                f,
                "{name} has {found} bytes where there should be {expected}: somebody truncated it; unlink it and create it anew"
            ),
            Self::WrongOwner { name, owner } => write!(
                f,
                "{name} belongs to user {owner}; if that user is trusted, say so with SemaphoreOptions::owner"
            ),
            Self::SymbolicLink { name } => {
                write!(f, "{name} is a symbolic link, which is not followed")
            }
            Self::NotSealed { name } => write!(
                f,
                "{name} is a memfd whose length is not sealed; seal it with SHRINK, GROW and SEAL"
            ),
            Self::NoSeat { name, max } => write!(
                f,
                "all {max} seats of {name} are taken by living handles; drop some or create it with more participants"
            ),
            Self::Unsupported { name, what } => {
                write!(f, "{name} can't be used: this place lacks {what}")
            }
            Self::Corrupt { name, field, found } => write!(
                f,
                "{name} is corrupt: {field} holds {found:#x}; unlink it and create it anew"
            ),
            Self::Os {
                name,
                operation,
                source,
            } => write!(f, "can't {operation} {name}: {source}"),
        }
    }
}

#[cfg(not(loom))]
impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoSpace { source, .. } | Self::Os { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Why no permit was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcquireError {
    /// There are too few now, or they are reserved for one who has waited for long (only from the `try_` forms).
    NoPermits,
    /// There were too few until the deadline.
    TimedOut,
    /// More than can ever be had: than a semaphore counts, or than one handle can own beside what it owns already.
    TooMany {
        /// The permits asked for.
        wanted: u32,
        /// The most that could be asked for.
        max: u32,
    },
    /// Permits of this semaphore can't be owned: it was created with [`owned(false)`](crate::SemaphoreOptions::owned).
    NotOwned,
    /// The handle belongs to the process that this one was forked from; open the semaphore here.
    Inherited,
    /// The system has begun to refuse `membarrier(2)` since this process joined.
    Unsupported,
    /// A word of the semaphore holds what this library never writes.
    Corrupt {
        /// Which word.
        field: &'static str,
        /// What it held.
        found: u64,
    },
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPermits => f.write_str("too few permits now; wait for them or try again later"),
            Self::TimedOut => f.write_str("too few permits until the deadline"),
            Self::TooMany { wanted, max } => write!(
                f,
                "{wanted} permits can never be had at once, {max} at most; ask for fewer"
            ),
            Self::NotOwned => f.write_str(
                "permits of this semaphore can't be owned; create it with SemaphoreOptions::owned(true)",
            ),
            Self::Inherited => f.write_str(INHERITED),
            Self::Unsupported => f.write_str(NO_MEMBARRIER),
            Self::Corrupt { field, found } => fmt_corrupt(f, field, *found),
        }
    }
}

impl std::error::Error for AcquireError {}

/// Why no permit was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReleaseError {
    /// More permits than a [`Semaphore`] can count; nothing was released.
    Overflow {
        /// The permits that were to be added.
        released: u32,
        /// The permits that were there.
        permits: u32,
    },
    /// The handle belongs to the process that this one was forked from; open the semaphore here.
    Inherited,
    /// The system has begun to refuse `membarrier(2)` since this process joined.
    Unsupported,
    /// A word of the semaphore holds what this library never writes.
    Corrupt {
        /// Which word.
        field: &'static str,
        /// What it held.
        found: u64,
    },
}

impl fmt::Display for ReleaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overflow { released, permits } => {
                let max = Semaphore::MAX_PERMITS;
                write!(
                    f,
                    "{released} permits on top of {permits} are more than a semaphore counts ({max}); release fewer"
                )
            }
            Self::Inherited => f.write_str(INHERITED),
            Self::Unsupported => f.write_str(NO_MEMBARRIER),
            Self::Corrupt { field, found } => fmt_corrupt(f, field, *found),
        }
    }
}

impl std::error::Error for ReleaseError {}

const INHERITED: &str =
    "the handle is that of the process which this one was forked from; open the semaphore here";
const NO_MEMBARRIER: &str = "the system refuses membarrier(2) to this process, which another participant relies on; \
    create the semaphore with SemaphoreOptions::asymmetric(false)";

fn fmt_corrupt(f: &mut fmt::Formatter<'_>, field: &str, found: u64) -> fmt::Result {
    write!(
        f,
        "the semaphore is corrupt: {field} holds {found:#x}; unlink it and create it anew"
    )
}
