//! A ring as a handle: what endpoints are made from.

use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use super::config::OpenOptions;
use super::consumer::Consumer;
use super::message::Message;
use super::producer::Producer;
use super::sides::Side;
use super::topology::{Multi, Spsc, Topology};
use crate::error::Error;
use crate::participants::table::{self, Participant};
use crate::participants::{Peer, peer_of};
use crate::protocol::multi::drops;
use crate::role::Role;
use crate::segment::lifecycle::Segment;
use crate::wait::Wait;
use shm_semaphore::segment::{self, Name};
use shm_semaphore::sync::Ordering;

/// A ring in shared memory: a handle to its segment, without a role. Endpoints live on when it is dropped.
///
/// ```
/// use shm_ringbuf::Config;
///
/// let ring = Config::spsc().anonymous::<u64>()?;
/// let (mut producer, mut consumer) = (ring.producer()?, ring.consumer()?);
/// producer.send(7)?;
/// assert_eq!(consumer.recv()?, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Ring<M: Message + ?Sized, K: Topology> {
    segment: Arc<Segment>,
    message: PhantomData<fn(&M, K)>,
}

impl<M: Message + ?Sized, K: Topology> Ring<M, K> {
    pub(in crate::endpoint) fn new(segment: Arc<Segment>) -> Self {
        Self {
            segment,
            message: PhantomData,
        }
    }

    /// Opens a ring by its name, with the tag 0; see [`OpenOptions::open`].
    ///
    /// # Errors
    /// Those of [`OpenOptions::open`].
    pub fn open(name: &str) -> Result<Self, Error> {
        OpenOptions::of_this_kind().open(name)
    }

    /// Opens a ring by a descriptor, with the tag 0; see [`OpenOptions::from_fd`].
    ///
    /// # Errors
    /// Those of [`OpenOptions::from_fd`].
    pub fn from_fd(fd: OwnedFd) -> Result<Self, Error> {
        OpenOptions::of_this_kind().from_fd(fd)
    }

    /// Takes the producer's side (in a ring for many, a seat on it), with the ring's strategy of waiting. After a crash of its predecessor it goes on
    /// where the committed messages end.
    ///
    /// # Errors
    /// [`Error::RoleTaken`] while another one lives and there can be one only, [`Error::NoSeat`], [`Error::Corrupt`], [`Error::Os`].
    pub fn producer(&self) -> Result<Producer<M, K>, Error> {
        self.producer_with(self.segment.geometry.wait)
    }

    /// Takes the producer's side, with a strategy of its own.
    ///
    /// # Errors
    /// Those of [`producer`](Self::producer), and [`Error::WaitNotSupported`].
    pub fn producer_with(&self, wait: Wait) -> Result<Producer<M, K>, Error> {
        Side::join(&self.segment, wait).map(Producer::new)
    }

    /// Takes the consumer's side (in a ring for many, a seat on it), with the ring's strategy of waiting. After a crash of its predecessor it
    /// receives again what that one had not released.
    ///
    /// # Errors
    /// [`Error::RoleTaken`] while another one lives and there can be one only, [`Error::NoSeat`], [`Error::Corrupt`], [`Error::Os`].
    pub fn consumer(&self) -> Result<Consumer<M, K>, Error> {
        self.consumer_with(self.segment.geometry.wait)
    }

    /// Takes the consumer's side, with a strategy of its own.
    ///
    /// # Errors
    /// Those of [`consumer`](Self::consumer), and [`Error::WaitNotSupported`].
    pub fn consumer_with(&self, wait: Wait) -> Result<Consumer<M, K>, Error> {
        Side::join(&self.segment, wait).map(Consumer::new)
    }

    /// How much it holds: messages of a typed ring, bytes (with 8 of header for each message, and lengths rounded up to 8) of a byte ring.
    pub fn capacity(&self) -> usize {
        self.segment.geometry.room() as usize
    }

    /// The longest message, in bytes.
    pub fn max_message_len(&self) -> usize {
        self.segment.geometry.max_message_len() as usize
    }

    /// The name that it was created or opened by.
    pub fn name(&self) -> Option<&str> {
        let name = self.segment.name.as_str();
        (name != Name::anonymous().as_str()).then_some(name)
    }
}

impl<M: Message + ?Sized> Ring<M, Spsc> {
    /// What is known of the producer's side.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Os`].
    pub fn producer_peer(&self) -> Result<Peer, Error> {
        peer_of(&self.segment, Role::Producer)
    }

    /// What is known of the consumer's side.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Os`].
    pub fn consumer_peer(&self) -> Result<Peer, Error> {
        peer_of(&self.segment, Role::Consumer)
    }
}

impl<M: Message + ?Sized> Ring<M, Multi> {
    /// Who sits in the ring, and who did last on the seats that are empty now; asks the kernel who lives.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Os`].
    pub fn participants(&self) -> Result<Vec<Participant>, Error> {
        table::participants(&self.segment)
    }

    /// Messages that were dropped: what dead consumers had taken, in a ring made with [`Redelivery::Drop`](crate::Redelivery::Drop); and what
    /// 30 consumers died over, one after the other, in any.
    ///
    /// # Errors
    /// [`Error::Os`].
    pub fn dropped(&self) -> Result<u64, Error> {
        let view = table::look_at(&self.segment)?;
        // Relaxed: a number that guards no data.
        let word = view.many().notes.dropped.load(Ordering::Relaxed);
        Ok(drops::count_of(word))
    }
}

impl<M: Message + ?Sized, K: Topology> AsFd for Ring<M, K> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.segment.file.as_fd()
    }
}

/// Takes a ring's name away. Who has it open keeps it; the memory is freed when the last one is done.
///
/// # Errors
/// [`Error::NotFound`], [`Error::PermissionDenied`], [`Error::InvalidName`], [`Error::Os`].
pub fn unlink(name: &str) -> Result<(), Error> {
    let name = Error::parse_name(name)?;
    segment::unlink(&name).map_err(|refusal| Error::from_refusal(&name, refusal))
}
