//! How a ring is to be made, and how one is to be opened.

use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use shm_semaphore::membarrier::register;
use shm_semaphore::segment::page_len;

use super::message::Message;
use super::ring::Ring;
use super::topology::{Multi, Spsc, Topology};
use crate::error::Error;
use crate::segment::layout::{Geometry, Kind};
use crate::segment::lifecycle;
use crate::segment::many::{CELL_LEN_MIN, Many, PATIENCE_NS_MAX, SEATS_MAX};
use crate::wait::Wait;

/// Slots of a typed ring whose capacity was not chosen.
const DEFAULT_SLOTS: u64 = 1024;
/// Bytes of a byte ring whose capacity was not chosen.
const DEFAULT_BYTES: u64 = 1 << 20;
/// A ring for many, unless chosen otherwise.
const MANY: Many = Many {
    one_producer: false,
    one_consumer: false,
    seats: 512,
    patience_ns: 100_000,
    drops_taken: false,
    cell_len: CELL_LEN_MIN,
};
/// Permission bits, unless others are chosen: the owner alone.
const DEFAULT_MODE: u32 = 0o600;
/// Rounds of opening and creating before [`Config::open_or_create`] gives up against others who create and unlink the name.
const OPEN_OR_CREATE_ROUNDS: usize = 64;

/// How a ring is to be made.
///
/// ```
/// use shm_ringbuf::{Config, Wait};
///
/// let ring = Config::spsc().capacity(4096).wait(Wait::Spin).anonymous::<u64>()?;
/// assert_eq!(ring.capacity(), 4096);
/// # Ok::<(), shm_ringbuf::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Config<K: Topology = Spsc> {
    capacity: Option<usize>,
    mode: u32,
    tag: u64,
    wait: Wait,
    asymmetric_wakeups: bool,
    many: Many,
    topology: PhantomData<K>,
}

/// What happens to a message that a consumer had taken and not released when it died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Redelivery {
    /// It is delivered again, to another consumer and marked as `redelivered`. If 30 consumers die over it, one after
    /// the other, it is dropped and counted.
    #[default]
    Mark,
    /// It is dropped and counted (see `dropped` of the ring).
    Drop,
}

impl Config<Spsc> {
    /// A ring for one producer and one consumer.
    pub fn spsc() -> Self {
        Self::with_sides(Many::default())
    }
}

/// # Rings for many
///
/// ```
/// use shm_ringbuf::Config;
///
/// let ring = Config::mpmc().capacity(256).anonymous::<u64>()?;
/// let (mut one, mut two) = (ring.producer()?, ring.producer()?);
/// let (mut left, mut right) = (ring.consumer()?, ring.consumer()?);
/// one.send(1)?;
/// two.send(2)?;
/// assert_eq!((left.recv()?, right.recv()?), (1, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Config<Multi> {
    /// A ring for many producers and many consumers.
    pub fn mpmc() -> Self {
        Self::with_sides(MANY)
    }

    /// A ring for many producers and one consumer at a time, which costs that one less.
    pub fn mpsc() -> Self {
        Self::with_sides(Many {
            one_consumer: true,
            ..MANY
        })
    }

    /// A ring for one producer at a time and many consumers, which costs that one less.
    pub fn spmc() -> Self {
        Self::with_sides(Many {
            one_producer: true,
            ..MANY
        })
    }

    /// How many producers and consumers it has seats for, together; 512 unless chosen, 1,023 at most. A seat costs 128 bytes.
    #[must_use]
    pub fn participants(mut self, participants: usize) -> Self {
        self.many.seats = participants as u64;
        self
    }

    /// How long a claim of a producer that lives and does not commit (since it is stopped, or holds the claim open) may hold up the consumers; 100 µs unless chosen, a
    /// minute at most. After that it loses its place in the order, and is sent at another one when its producer commits. A claim of a long message is given a
    /// nanosecond more for each of its bytes, and one that has lost its place before twice the time.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.many.patience_ns = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
        self
    }

    /// What happens to what a dead consumer had taken; [`Redelivery::Mark`] unless chosen.
    #[must_use]
    pub fn redelivery(mut self, redelivery: Redelivery) -> Self {
        self.many.drops_taken = redelivery == Redelivery::Drop;
        self
    }

    /// Bytes of a cell of a byte ring, a power of two from 64 on; 64 unless chosen. Messages take whole cells, 1,024 at most.
    #[must_use]
    pub fn cell(mut self, bytes: usize) -> Self {
        self.many.cell_len = bytes as u64;
        self
    }
}

impl<K: Topology> Config<K> {
    fn with_sides(many: Many) -> Self {
        Self {
            capacity: None,
            mode: DEFAULT_MODE,
            tag: 0,
            wait: Wait::default(),
            asymmetric_wakeups: true,
            many,
            topology: PhantomData,
        }
    }

    /// How much it holds: messages of a typed ring (1,024 unless chosen), bytes of a byte ring (1 MiB unless chosen). Rounded up to
    /// a power of two, and for bytes to a page.
    #[must_use]
    pub fn capacity(mut self, capacity: usize) -> Self {
        self.capacity = Some(capacity);
        self
    }

    /// How endpoints wait unless they choose for themselves. A ring made with [`Wait::Spin`] has no wakeups, so that
    /// nobody pays for them, and accepts only endpoints that spin.
    #[must_use]
    pub fn wait(mut self, wait: Wait) -> Self {
        self.wait = wait;
        self
    }

    /// Whether the side that goes to sleep pays for the fence of the side that would wake it: a send or a release costs 5 ns less and often far more, and falling asleep
    /// 2 to 20 µs more. On unless chosen otherwise. Each time that somebody falls asleep, all processors that run a process with such a ring are interrupted for a moment: choose `false`
    /// on a machine with many processors whose rings sleep often.
    ///
    /// It is off all the same where the kernel (before 4.16) or a filter of system calls refuses `membarrier` to the creator or to anybody who joins, and in
    /// a ring made with [`Wait::Spin`], where nobody sleeps.
    ///
    /// ```
    /// use shm_ringbuf::Config;
    ///
    /// let ring = Config::spsc().asymmetric_wakeups(false).anonymous::<u64>()?;
    /// let (mut producer, mut consumer) = (ring.producer()?, ring.consumer()?);
    /// producer.send(7)?;
    /// assert_eq!(consumer.recv()?, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn asymmetric_wakeups(mut self, asymmetric: bool) -> Self {
        self.asymmetric_wakeups = asymmetric;
        self
    }

    /// Permission bits of a named ring; 0600, which must be among them, unless chosen. The umask is not applied.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// A number that both sides must name, so that two types of one size and alignment are told apart.
    #[must_use]
    pub fn tag(mut self, tag: u64) -> Self {
        self.tag = tag;
        self
    }

    /// Makes a ring under a name: `/name` in POSIX shared memory, or a path with more slashes in it.
    ///
    /// It appears in one step and complete, or not at all.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], [`Error::NoSpace`], [`Error::PermissionDenied`], [`Error::InvalidName`],
    /// [`Error::InvalidConfig`], [`Error::Unsupported`], [`Error::NotFound`] (the directory), [`Error::Os`].
    pub fn create<M: Message + ?Sized>(&self, name: &str) -> Result<Ring<M, K>, Error> {
        let geometry = self.geometry::<M>()?;
        let segment = lifecycle::create(Error::parse_name(name)?, geometry, self.mode)?;
        Ok(Ring::new(Arc::new(segment)))
    }

    /// Opens the ring of this name or makes it. One that exists keeps its own capacity, permissions and strategy; its type and tag must match.
    ///
    /// # Errors
    /// Those of [`create`](Self::create) and [`OpenOptions::open`].
    pub fn open_or_create<M: Message + ?Sized>(&self, name: &str) -> Result<Ring<M, K>, Error> {
        self.geometry::<M>()?;
        let mut answer = OpenOptions::of_this_kind().tag(self.tag).open(name);
        for _ in 0..OPEN_OR_CREATE_ROUNDS {
            if matches!(answer, Err(Error::NotFound { .. })) {
                answer = self.create(name);
            }
            if matches!(answer, Err(Error::AlreadyExists { .. })) {
                answer = OpenOptions::of_this_kind().tag(self.tag).open(name);
            }
            if !matches!(answer, Err(Error::NotFound { .. })) {
                break;
            }
        }
        answer
    }

    /// Makes a ring without a name: a sealed memfd, to be inherited or passed over a Unix socket
    /// (see [`OpenOptions::from_fd`]).
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::InvalidConfig`], [`Error::Os`].
    pub fn anonymous<M: Message + ?Sized>(&self) -> Result<Ring<M, K>, Error> {
        let segment = lifecycle::create_anonymous(self.geometry::<M>()?)?;
        Ok(Ring::new(Arc::new(segment)))
    }

    fn geometry<M: Message + ?Sized>(&self) -> Result<Geometry, Error> {
        let invalid = |reason: String| Err(Error::InvalidConfig { reason });
        if self.mode & !0o777 != 0 {
            return invalid(format!(
                "{:#o} has bits beyond the permissions 0777",
                self.mode
            ));
        }
        if self.mode & DEFAULT_MODE != DEFAULT_MODE {
            let reason = "whoever joins must read and write, the owner too";
            return invalid(format!("{:#o} lacks bits of 0600: {reason}", self.mode));
        }
        let kind = M::kind::<K>();
        let many = self.many_for(kind)?;
        let (default, least) = if kind.is_bytes() {
            (DEFAULT_BYTES, page_len())
        } else {
            (DEFAULT_SLOTS, 1)
        };
        let asked = self.capacity.map_or(default, |capacity| capacity as u64);
        if asked == 0 {
            return invalid("a capacity of 0 holds nothing; choose at least 1".to_owned());
        }
        let payload = M::payload_type(self.tag);
        let asymmetric = self.asymmetric_wakeups && self.wait != Wait::Spin && register();
        asked
            .checked_next_power_of_two()
            .map(|capacity| capacity.max(least).div_ceil(many.cell_len.max(1)))
            .and_then(|cells| Geometry::new(kind, cells, payload, self.wait, asymmetric, many))
            .map_or_else(
                || {
                    let size = payload.size.max(1);
                    invalid(format!("a capacity of {asked} times {size} bytes is more than can be addressed, or the type's alignment is more than a page"))
                },
                Ok,
            )
    }

    /// What was chosen for many, checked.
    fn many_for(&self, kind: Kind) -> Result<Many, Error> {
        let many = self.many;
        let reason = if !kind.is_multi() {
            return Ok(many);
        } else if !(1..=SEATS_MAX).contains(&many.seats) {
            format!("{} participants; choose from 1 to {SEATS_MAX}", many.seats)
        } else if many.patience_ns > PATIENCE_NS_MAX {
            "a patience of more than a minute; choose a shorter one".to_owned()
        } else if kind.is_bytes()
            && !(many.cell_len.is_power_of_two() && many.cell_len >= CELL_LEN_MIN)
        {
            format!(
                "cells of {} bytes; choose a power of two from {CELL_LEN_MIN} on",
                many.cell_len
            )
        } else {
            let cell_len = if kind.is_bytes() { many.cell_len } else { 0 };
            return Ok(Many { cell_len, ..many });
        };
        Err(Error::InvalidConfig { reason })
    }
}

/// How a ring is to be opened.
///
/// ```no_run
/// use shm_ringbuf::OpenOptions;
///
/// // Another user's ring, made by `Config::mode(0o660)`.
/// let ring = OpenOptions::new().owner(1000).open::<u64>("/prices")?;
/// # Ok::<(), shm_ringbuf::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct OpenOptions<K: Topology = Spsc> {
    tag: u64,
    owner: Option<u32>,
    topology: PhantomData<K>,
}

impl OpenOptions<Spsc> {
    /// For an SPSC ring: the tag 0, and rings of our own user or of root.
    pub fn new() -> Self {
        Self::of_this_kind()
    }
}

impl Default for OpenOptions<Spsc> {
    fn default() -> Self {
        Self::new()
    }
}

impl OpenOptions<Multi> {
    /// For a ring for many: the tag 0, and rings of our own user or of root.
    pub fn multi() -> Self {
        Self::of_this_kind()
    }
}

impl<K: Topology> OpenOptions<K> {
    pub(super) fn of_this_kind() -> Self {
        Self {
            tag: 0,
            owner: None,
            topology: PhantomData,
        }
    }

    /// The tag that the ring was created with.
    #[must_use]
    pub fn tag(mut self, tag: u64) -> Self {
        self.tag = tag;
        self
    }

    /// Trusts this user as the ring's owner as well.
    #[must_use]
    pub fn owner(mut self, uid: u32) -> Self {
        self.owner = Some(uid);
        self
    }

    /// Opens a ring by its name; everything that its header says is checked against the type, and against the file.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::PermissionDenied`], [`Error::NotARing`], [`Error::WrongVersion`], [`Error::WrongKind`],
    /// [`Error::WrongType`], [`Error::Truncated`], [`Error::WrongOwner`], [`Error::SymbolicLink`], [`Error::Corrupt`],
    /// [`Error::InvalidName`], [`Error::Os`].
    pub fn open<M: Message + ?Sized>(&self, name: &str) -> Result<Ring<M, K>, Error> {
        let name = Error::parse_name(name)?;
        let payload = M::payload_type(self.tag);
        let segment = lifecycle::open(name, M::kind::<K>(), payload, self.owner)?;
        Ok(Ring::new(Arc::new(segment)))
    }

    /// Opens a ring by a descriptor that was inherited or received. A memfd must be sealed; whoever passes on a descriptor of a file is trusted not
    /// to truncate it.
    ///
    /// # Errors
    /// Those of [`open`](Self::open) that do not concern names, and [`Error::NotSealed`].
    pub fn from_fd<M: Message + ?Sized>(&self, fd: OwnedFd) -> Result<Ring<M, K>, Error> {
        let segment = lifecycle::from_fd(fd, M::kind::<K>(), M::payload_type(self.tag))?;
        Ok(Ring::new(Arc::new(segment)))
    }
}
