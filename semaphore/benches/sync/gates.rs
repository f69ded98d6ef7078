//! The mechanisms of `uncontended` and `contended`: one permit, which whoever passes takes and gives back.

use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

use bench_harness::transport::eventfd::Eventfd;
use bench_harness::transport::mutex_condvar::MutexCondvar;
use bench_harness::transport::sem_posix::SemPosix;
use bench_harness::transport::sem_sysv::SemSysv;
use bench_harness::transport::semaphore::ShmSemaphore;
use bench_harness::transport::semaphore_named::attach;
use bench_harness::transport::sysv::{self, OwnedSemaphores, Semaphore};
use bench_harness::transport::{Link, LinkError, Receiver, Sender, Ticket, Transport, join};
use shm_semaphore::{Deadline, NamedSemaphore, SemaphoreOptions};

use crate::links::SHAPE;

/// The rows of `uncontended`. A semaphore with participants has two states: *biased*, when one participant has had it to itself for a while and changes
/// it without a locked instruction, and *shared* otherwise.
pub const UNCONTENDED: [&str; 10] = [
    "semaphore",
    "semaphore-named-biased",
    "semaphore-named-shared",
    "semaphore-owned-biased",
    "semaphore-owned-shared",
    "sem-posix",
    "sem-sysv",
    "sem-sysv-undo",
    "mutex-condvar",
    "eventfd",
];

/// The rows of `contended`.
pub const CONTENDED: [&str; 8] = [
    "semaphore",
    "semaphore-named",
    "semaphore-owned",
    "sem-posix",
    "sem-sysv",
    "sem-sysv-undo",
    "mutex-condvar",
    "eventfd",
];

/// One permit in the hands of several processes.
pub trait Turnstile {
    /// Takes the permit, or waits for it, and gives it back.
    fn pass(&mut self) -> io::Result<()>;

    /// No call may block beyond `deadline`.
    fn begin_window(&mut self, _deadline: Instant) {}
}

/// How a turnstile is made.
pub trait Gate {
    /// What it makes.
    type Turnstile: Turnstile + 'static;

    /// Makes what is shared, with one permit.
    fn create(&self) -> Result<Link, LinkError>;

    /// Joins in this process. The descriptors of the ticket, a sender's, become its own.
    fn join(&self, ticket: &Ticket) -> io::Result<Self::Turnstile>;
}

/// Joins in the process that made it.
pub fn join_here<G: Gate>(gate: &G, link: &Link) -> io::Result<G::Turnstile> {
    gate.join(&link.sender_part()?.into_ticket())
}

/// A way to notify that counts: its count is the permits.
struct Counter<T: 'static>(&'static T);

impl<T, E> Gate for Counter<T>
where
    T: Transport<Tx = E, Rx = E>,
    E: Sender + Receiver + 'static,
{
    type Turnstile = Counting<E>;

    fn create(&self) -> Result<Link, LinkError> {
        let link = self.0.create(&SHAPE)?;
        let mut sender = self.0.sender(&link.sender_part()?.into_ticket())?;
        sender.send(&[])?;
        Ok(link)
    }

    fn join(&self, ticket: &Ticket) -> io::Result<Counting<E>> {
        self.0.sender(ticket).map(Counting)
    }
}

/// One end that is used as both. Two ends would be two mappings of the same memory, and where a processor stores through the one and then loads
/// through the other, each costs twice what it costs otherwise.
struct Counting<E>(E);

impl<E: Sender + Receiver> Turnstile for Counting<E> {
    #[inline]
    fn pass(&mut self) -> io::Result<()> {
        self.0.recv(&mut [])?;
        self.0.send(&[])
    }

    fn begin_window(&mut self, deadline: Instant) {
        Receiver::begin_window(&mut self.0, deadline);
    }
}

/// A System V semaphore with `SEM_UNDO`.
struct SysvUndo;

impl Gate for SysvUndo {
    type Turnstile = Semaphore;

    fn create(&self) -> Result<Link, LinkError> {
        let set = OwnedSemaphores::create([1])?;
        Ok(Link {
            ticket: Ticket {
                text: set.id().to_string(),
                ..Ticket::default()
            },
            fds: Vec::new(),
            cleanup: Some(Box::new(set)),
        })
    }

    fn join(&self, ticket: &Ticket) -> io::Result<Semaphore> {
        Ok(Semaphore::of(sysv::number_in(&ticket.text, 0)?, 0).with_undo())
    }
}

impl Turnstile for Semaphore {
    #[inline]
    fn pass(&mut self) -> io::Result<()> {
        self.wait()?;
        self.post()
    }
}

/// A semaphore with participants, with owned permits or without; with `SHARED` a second participant keeps the first one from having it to
/// itself.
struct Named<const OWNED: bool, const SHARED: bool>;

impl<const OWNED: bool, const SHARED: bool> Named<OWNED, SHARED> {
    fn options() -> SemaphoreOptions {
        SemaphoreOptions::new().owned(OWNED)
    }
}

impl<const OWNED: bool, const SHARED: bool> Gate for Named<OWNED, SHARED> {
    type Turnstile = Participants<OWNED, SHARED>;

    fn create(&self) -> Result<Link, LinkError> {
        let semaphore = Self::options().anonymous(1).map_err(io::Error::other)?;
        let shared = semaphore.as_fd().try_clone_to_owned()?;
        Ok(join::link_of_one(shared, &SHAPE, 1))
    }

    fn join(&self, ticket: &Ticket) -> io::Result<Self::Turnstile> {
        let first = attach(&Self::options(), &ticket.sender_fds)?;
        let second = SHARED.then(|| first.try_clone());
        Ok(Participants {
            second: second.transpose().map_err(io::Error::other)?,
            first,
            passes: 0,
            deadline: Deadline::NEVER,
        })
    }
}

/// A participant, and another one in the same process, if the semaphore is to be shared.
struct Participants<const OWNED: bool, const SHARED: bool> {
    first: NamedSemaphore,
    second: Option<NamedSemaphore>,
    passes: u32,
    deadline: Deadline,
}

/// So often the second one passes. A participant that makes a thousand changes in a row takes the semaphore for itself.
const SECOND_EVERY: u32 = 64;

impl<const OWNED: bool, const SHARED: bool> Turnstile for Participants<OWNED, SHARED> {
    #[inline]
    fn pass(&mut self) -> io::Result<()> {
        let mut semaphore = &self.first;
        if let (true, Some(second)) = (SHARED, &self.second) {
            self.passes = self.passes.wrapping_add(1);
            if self.passes.is_multiple_of(SECOND_EVERY) {
                semaphore = second;
            }
        }
        if OWNED {
            match semaphore.acquire_owned_deadline(self.deadline) {
                Ok(permit) => drop(permit),
                Err(error) => return Err(io::Error::other(error)),
            }
        } else {
            let acquired = semaphore.acquire_deadline(self.deadline);
            acquired.map_err(io::Error::other)?;
            semaphore.release(1).map_err(io::Error::other)?;
        }
        Ok(())
    }

    fn begin_window(&mut self, deadline: Instant) {
        self.deadline = deadline.into();
    }
}

/// What is to be done with a gate whose type is known.
pub trait UseGate {
    /// What comes of it.
    type Output;

    /// Does it.
    fn call<G: Gate>(self, gate: G) -> Self::Output;
}

/// Finds the gate of that name.
///
/// # Panics
/// When there is none.
pub fn with<U: UseGate>(name: &str, what: U) -> U::Output {
    match name {
        "semaphore" => what.call(Counter(&ShmSemaphore)),
        "semaphore-named" | "semaphore-named-biased" => what.call(Named::<false, false>),
        "semaphore-named-shared" => what.call(Named::<false, true>),
        "semaphore-owned" | "semaphore-owned-biased" => what.call(Named::<true, false>),
        "semaphore-owned-shared" => what.call(Named::<true, true>),
        "sem-posix" => what.call(Counter(&SemPosix)),
        "sem-sysv" => what.call(Counter(&SemSysv)),
        "sem-sysv-undo" => what.call(SysvUndo),
        "mutex-condvar" => what.call(Counter(&MutexCondvar)),
        "eventfd" => what.call(Counter(&Eventfd)),
        _ => panic!("no mechanism is called {name}"),
    }
}
