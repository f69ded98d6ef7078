//! The mechanisms of `uncontended` and `contended`: one permit, which whoever passes takes and gives back.

use std::io;
use std::time::Instant;

use bench_harness::transport::eventfd::Eventfd;
use bench_harness::transport::mutex_condvar::MutexCondvar;
use bench_harness::transport::sem_posix::SemPosix;
use bench_harness::transport::sem_sysv::SemSysv;
use bench_harness::transport::semaphore::ShmSemaphore;
use bench_harness::transport::sysv::{self, OwnedSemaphores, Semaphore};
use bench_harness::transport::{Link, LinkError, Receiver, Sender, Ticket, Transport};

use crate::links::SHAPE;

/// The rows of `uncontended`.
pub const UNCONTENDED: [&str; 6] = [
    "semaphore",
    "sem-posix",
    "sem-sysv",
    "sem-sysv-undo",
    "mutex-condvar",
    "eventfd",
];

/// The rows of `contended`.
pub const CONTENDED: [&str; 6] = UNCONTENDED;

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

    /// Joins in this process. The descriptors of both tickets become its own.
    fn join(&self, sender: &Ticket, receiver: &Ticket) -> io::Result<Self::Turnstile>;
}

/// Joins in the process that made it.
pub fn join_here<G: Gate>(gate: &G, link: &Link) -> io::Result<G::Turnstile> {
    let sender = link.sender_part()?.into_ticket();
    gate.join(&sender, &link.receiver_part()?.into_ticket())
}

/// A way to notify that counts: its count is the permits.
struct Counter<T: 'static>(&'static T);

impl<T: Transport> Gate for Counter<T>
where
    T::Tx: 'static,
    T::Rx: 'static,
{
    type Turnstile = Ends<T::Tx, T::Rx>;

    fn create(&self) -> Result<Link, LinkError> {
        let link = self.0.create(&SHAPE)?;
        let mut sender = self.0.sender(&link.sender_part()?.into_ticket())?;
        sender.send(&[])?;
        Ok(link)
    }

    fn join(&self, sender: &Ticket, receiver: &Ticket) -> io::Result<Self::Turnstile> {
        Ok(Ends {
            tx: self.0.sender(sender)?,
            rx: self.0.receiver(receiver)?,
        })
    }
}

/// Both ends of a link in one process.
struct Ends<Tx, Rx> {
    tx: Tx,
    rx: Rx,
}

impl<Tx: Sender, Rx: Receiver> Turnstile for Ends<Tx, Rx> {
    #[inline]
    fn pass(&mut self) -> io::Result<()> {
        self.rx.recv(&mut [])?;
        self.tx.send(&[])
    }

    fn begin_window(&mut self, deadline: Instant) {
        self.tx.begin_window(deadline);
        self.rx.begin_window(deadline);
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

    fn join(&self, sender: &Ticket, _: &Ticket) -> io::Result<Semaphore> {
        Ok(Semaphore::of(sysv::number_in(&sender.text, 0)?, 0).with_undo())
    }
}

impl Turnstile for Semaphore {
    #[inline]
    fn pass(&mut self) -> io::Result<()> {
        self.wait()?;
        self.post()
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
        "sem-posix" => what.call(Counter(&SemPosix)),
        "sem-sysv" => what.call(Counter(&SemSysv)),
        "sem-sysv-undo" => what.call(SysvUndo),
        "mutex-condvar" => what.call(Counter(&MutexCondvar)),
        "eventfd" => what.call(Counter(&Eventfd)),
        _ => panic!("no mechanism is called {name}"),
    }
}
