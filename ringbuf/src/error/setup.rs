//! What can go wrong before the first message.

use std::fmt;
use std::io;
use std::time::SystemTime;

use super::Corruption;
use crate::role::Role;
use crate::segment::layout::PayloadType;
use shm_semaphore::segment::{Name, Refusal};

/// Why a ring could not be created, opened or joined.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// No such ring (or no such directory).
    NotFound {
        /// As given.
        name: String,
    },
    /// The name is taken.
    AlreadyExists {
        /// As given.
        name: String,
    },
    /// Not a name of a ring.
    InvalidName {
        /// As given.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A configuration that can't be built.
    InvalidConfig {
        /// What is wrong with it.
        reason: String,
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
    NotARing {
        /// As given.
        name: String,
        /// How that shows.
        reason: &'static str,
    },
    /// A ring of another version of this library.
    WrongVersion {
        /// As given.
        name: String,
        /// The version of the segment.
        found: u64,
        /// The version of this library.
        supported: u64,
    },
    /// A ring of another form.
    WrongKind {
        /// As given.
        name: String,
        /// What it is.
        found: &'static str,
        /// What was asked for.
        wanted: &'static str,
    },
    /// A ring of messages of another type.
    WrongType {
        /// As given.
        name: String,
        /// Size, alignment and tag in the segment.
        found: PayloadType,
        /// Size, alignment and tag that were asked for.
        wanted: PayloadType,
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
    /// A living process has the role.
    RoleTaken {
        /// As given.
        name: String,
        /// Which.
        role: Role,
        /// The process, as it sees itself (in its own PID namespace); `None` while it is still joining.
        pid: Option<u32>,
        /// When it joined.
        since: Option<SystemTime>,
    },
    /// All seats of a ring for many are taken by the living.
    NoSeat {
        /// As given.
        name: String,
        /// How many it has.
        max: u64,
    },
    /// A ring created for spinning endpoints only has no wakeups to sleep on.
    WaitNotSupported {
        /// As given.
        name: String,
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

impl Error {
    pub(crate) fn from_io(operation: &'static str, name: &Name, source: io::Error) -> Self {
        Self::from_refusal(name, Refusal::from_io(operation, source))
    }

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
            Refusal::Foreign { reason } => Self::NotARing { name, reason },
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

    pub(crate) fn parse_name(given: &str) -> Result<Name, Self> {
        Name::parse(given).map_err(|reason| Self::InvalidName {
            name: given.to_owned(),
            reason,
        })
    }

    pub(crate) fn from_corruption(name: &Name, corruption: Corruption) -> Self {
        let Corruption { field, found } = corruption;
        Self::Corrupt {
            name: name.to_string(),
            field,
            found,
        }
    }
}

impl fmt::Display for Error {
    #[expect(clippy::too_many_lines, reason = "one sentence for each variant")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { name } => {
                write!(
                    f,
                    "no ring {name}: nothing has that name (or its directory is missing); create it first"
                )
            }
            Self::AlreadyExists { name } => {
                write!(
                    f,
                    "{name} exists already; open it, use open_or_create, or unlink it first"
                )
            }
            Self::InvalidName { name, reason } => write!(f, "{name:?} can't name a ring: {reason}"),
            Self::InvalidConfig { reason } => {
                write!(f, "the configuration can't be built: {reason}")
            }
            Self::NoSpace {
                name,
                needed,
                source,
            } => write!(
                f,
                "no room for {name}, which needs {needed} bytes ({source}); make room in its file system or lower the capacity"
            ),
            Self::PermissionDenied { name, operation } => write!(
                f,
                "no permission to {operation} {name}; rings are made for their owner alone (mode 0600) unless created with another mode"
            ),
            Self::NotARing { name, reason } => {
                write!(
                    f,
                    "{name} is not a ring: {reason}; choose another name or remove what is there"
                )
            }
            Self::WrongVersion {
                name,
                found,
                supported,
            } => write!(
                f,
                "{name} has layout version {found} and this library speaks {supported}; build both sides with the same one"
            ),
            Self::WrongKind {
                name,
                found,
                wanted,
            } => {
                write!(f, "{name} is {found}, not {wanted}; open it as what it is")
            }
            Self::WrongType {
                name,
                found,
                wanted,
            } => write!(
                f,
                "{name} carries messages of {found}, not of {wanted}; use the type and tag that it was created with"
            ),
            Self::Truncated {
                name,
                found,
                expected,
            } => write!(
                f,
                "{name} has {found} bytes where its header promises {expected}: somebody truncated it; unlink it and create it anew"
            ),
            Self::WrongOwner { name, owner } => write!(
                f,
                "{name} belongs to user {owner}; if that user is trusted, say so with OpenOptions::owner"
            ),
            Self::SymbolicLink { name } => {
                write!(
                    f,
                    "{name} is a symbolic link, which is not followed; name its target instead"
                )
            }
            Self::NotSealed { name } => write!(
                f,
                "{name} is a memfd whose length is not sealed; seal it with SHRINK, GROW and SEAL"
            ),
            Self::RoleTaken {
                name,
                role,
                pid: Some(pid),
                since,
            } => {
                write!(f, "{name} has a {role} already: process {pid}")?;
                if let Some(since) = since {
                    let age = since.elapsed().unwrap_or_default();
                    write!(f, ", for {:.1} s", age.as_secs_f64())?;
                }
                f.write_str("; stop it first (it lives)")
            }
            Self::RoleTaken { name, role, .. } => {
                write!(
                    f,
                    "{name} has a {role} already, which is joining at this moment; stop it first"
                )
            }
            Self::NoSeat { name, max } => write!(
                f,
                "all {max} seats of {name} are taken; wait until somebody leaves or create it with more participants"
            ),
            Self::WaitNotSupported { name } => write!(
                f,
                "{name} was created for spinning endpoints only, so nobody would wake this one; use Wait::Spin or create it with another strategy"
            ),
            Self::Unsupported { name, what } => {
                write!(
                    f,
                    "{name} can't be used: this place lacks {what}; choose another one"
                )
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

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoSpace { source, .. } | Self::Os { source, .. } => Some(source),
            _ => None,
        }
    }
}
