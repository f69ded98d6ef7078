//! How a named semaphore is to be made or opened.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::NamedSemaphore;
use super::layout::{Geometry, MAGIC};
use super::seat::Segment;
use super::word::{PARTICIPANTS_MAX, PERMITS_MAX};
use crate::error::Error;
use crate::membarrier;
use crate::segment::{self, Found, Name, Refusal};

/// Seats, unless chosen.
const DEFAULT_PARTICIPANTS: u32 = 511;
/// Permission bits, unless others are chosen: the owner alone.
const DEFAULT_MODE: u32 = 0o600;
/// Rounds of opening and creating before [`SemaphoreOptions::open_or_create`] gives up against others who create and unlink the name.
const OPEN_OR_CREATE_ROUNDS: usize = 64;

/// How a semaphore is to be made or opened.
///
/// ```
/// use shm_semaphore::SemaphoreOptions;
///
/// let jobs = SemaphoreOptions::new().participants(8).anonymous(4)?;
/// let permit = jobs.acquire_owned()?;
/// assert_eq!(jobs.permits(), 3);
/// # drop(permit);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct SemaphoreOptions {
    geometry: Geometry,
    mode: u32,
    owner: Option<u32>,
}

impl Default for SemaphoreOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl SemaphoreOptions {
    /// Permits can be owned, there are 511 seats, the mode is 0600.
    pub fn new() -> Self {
        Self {
            geometry: Geometry {
                participants: DEFAULT_PARTICIPANTS,
                owned: true,
                asymmetric: true,
            },
            mode: DEFAULT_MODE,
            owner: None,
        }
    }

    /// Whether permits can be owned, and come back when their process dies. A semaphore without that asks nobody for the dead.
    #[must_use]
    pub fn owned(mut self, owned: bool) -> Self {
        self.geometry.owned = owned;
        self
    }

    /// How many handles can be there at once: 1 to 1,023. Each takes 128 bytes of the segment.
    #[must_use]
    pub fn participants(mut self, participants: u32) -> Self {
        self.geometry.participants = participants;
        self
    }

    /// Whether a thread that uses the semaphore again and again may have it to itself, which makes an acquire or release a store and a load. The next one who comes
    /// pays for that with a `membarrier(2)` (1 to 20 us here), once. It is off where the creator can't register for `membarrier`, and goes off for ever when
    /// somebody joins who can't.
    #[must_use]
    pub fn asymmetric(mut self, asymmetric: bool) -> Self {
        self.geometry.asymmetric = asymmetric;
        self
    }

    /// Permission bits of a named semaphore; 0600, which must be among them, unless chosen. The umask is not applied.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Trusts this user as the owner of what is opened, beside our own and root.
    #[must_use]
    pub fn owner(mut self, uid: u32) -> Self {
        self.owner = Some(uid);
        self
    }

    /// Makes a semaphore under a name. It appears in one step and complete, or not at all.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], [`Error::InvalidName`], [`Error::InvalidConfig`], [`Error::Overflow`], [`Error::NoSpace`],
    /// [`Error::PermissionDenied`], [`Error::Unsupported`], [`Error::Os`].
    pub fn create(&self, name: &str, permits: u32) -> Result<NamedSemaphore, Error> {
        let name = parse(name)?;
        let geometry = self.geometry(&name, permits)?;
        let bytes = geometry.to_bytes(permits);
        let made = segment::create(&name, &bytes, geometry.total_len(), self.mode);
        Self::join(made, name, geometry)
    }

    /// Opens a semaphore by its name. Its own options hold, whatever these say.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::InvalidName`], [`Error::PermissionDenied`], [`Error::NotASemaphore`], [`Error::WrongVersion`],
    /// [`Error::Truncated`], [`Error::WrongOwner`], [`Error::SymbolicLink`], [`Error::NoSeat`], [`Error::Unsupported`], [`Error::Corrupt`], [`Error::Os`].
    pub fn open(&self, name: &str) -> Result<NamedSemaphore, Error> {
        let name = parse(name)?;
        let found = segment::open(&name, self.owner);
        Self::check(found, name)
    }

    /// Opens the semaphore of this name or makes it. One that exists keeps its permits and its own options.
    ///
    /// # Errors
    /// Those of [`create`](Self::create) and [`open`](Self::open).
    pub fn open_or_create(&self, name: &str, permits: u32) -> Result<NamedSemaphore, Error> {
        let mut answer = self.open(name);
        for _ in 0..OPEN_OR_CREATE_ROUNDS {
            if matches!(answer, Err(Error::NotFound { .. })) {
                answer = self.create(name, permits);
            }
            if matches!(answer, Err(Error::AlreadyExists { .. })) {
                answer = self.open(name);
            }
            if !matches!(answer, Err(Error::NotFound { .. })) {
                break;
            }
        }
        answer
    }

    /// Makes a semaphore without a name: a sealed memfd, to be inherited or passed over a Unix socket
    /// (see [`from_fd`](Self::from_fd)).
    ///
    /// # Errors
    /// [`Error::InvalidConfig`], [`Error::Overflow`], [`Error::NoSpace`], [`Error::Os`].
    pub fn anonymous(&self, permits: u32) -> Result<NamedSemaphore, Error> {
        let name = Name::anonymous();
        let geometry = self.geometry(&name, permits)?;
        let bytes = geometry.to_bytes(permits);
        let made = segment::create_anonymous(c"shm-semaphore", &bytes, geometry.total_len());
        Self::join(made, name, geometry)
    }

    /// Opens a semaphore by a descriptor that was inherited or received. A memfd must be sealed; whoever passes on a descriptor of a file is trusted
    /// not to truncate it.
    ///
    /// # Errors
    /// Those of [`open`](Self::open) that do not concern names, and [`Error::NotSealed`].
    pub fn from_fd(&self, fd: OwnedFd) -> Result<NamedSemaphore, Error> {
        Self::check(segment::from_fd(fd), Name::anonymous())
    }

    fn geometry(&self, name: &Name, permits: u32) -> Result<Geometry, Error> {
        let invalid = |reason: String| Err(Error::InvalidConfig { reason });
        if self.mode & !0o777 != 0 || self.mode & DEFAULT_MODE != DEFAULT_MODE {
            return invalid(format!(
                "the mode {:#o} must contain 0600 and nothing beyond 0777",
                self.mode
            ));
        }
        let participants = self.geometry.participants;
        if participants == 0 || participants > PARTICIPANTS_MAX {
            return invalid(format!(
                "{participants} participants; choose 1 to {PARTICIPANTS_MAX}"
            ));
        }
        if permits > PERMITS_MAX {
            return Err(Error::Overflow {
                name: name.to_string(),
                permits,
            });
        }
        Ok(Geometry {
            asymmetric: self.geometry.asymmetric && membarrier::register(),
            ..self.geometry
        })
    }

    fn check(found: Result<Found, Refusal>, name: Name) -> Result<NamedSemaphore, Error> {
        let checked = found.and_then(|found| Ok((segment::read_header(&found, MAGIC)?, found)));
        match checked {
            Ok((words, found)) => {
                let geometry = Geometry::validate(words, &name, found.len)?;
                Self::join(Ok(found.file), name, geometry)
            }
            Err(refusal) => Err(Error::from_refusal(&name, refusal)),
        }
    }

    fn join(
        file: Result<OwnedFd, Refusal>,
        name: Name,
        geometry: Geometry,
    ) -> Result<NamedSemaphore, Error> {
        let file = file.map_err(|refusal| Error::from_refusal(&name, refusal))?;
        NamedSemaphore::join(&Arc::new(Segment {
            file,
            geometry,
            name,
        }))
    }
}

pub(crate) fn parse(name: &str) -> Result<Name, Error> {
    Name::parse_posix(name).map_err(|reason| Error::InvalidName {
        name: name.to_owned(),
        reason,
    })
}
