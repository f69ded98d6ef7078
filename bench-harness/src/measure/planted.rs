//! Delays and stalls on purpose, around any transport: to see that the figures show them.

use std::fmt;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::clock::now_ns;
use crate::job::Plants;
use crate::transport::{Link, LinkError, LinkShape, Receiver, Sender, Ticket, Transport};

/// Any transport, by dynamic calls: the loops are compiled once for all of them. What is planted takes longer than such a call.
pub trait AnyTransport: Sync {
    /// Joins as the sender.
    ///
    /// # Errors
    /// What the system says.
    fn any_sender(&self, ticket: &Ticket) -> io::Result<Box<dyn Sender>>;

    /// Joins as the receiver.
    ///
    /// # Errors
    /// What the system says.
    fn any_receiver(&self, ticket: &Ticket) -> io::Result<Box<dyn Receiver>>;
}

impl<T: Transport> AnyTransport for T {
    fn any_sender(&self, ticket: &Ticket) -> io::Result<Box<dyn Sender>> {
        Ok(Box::new(self.sender(ticket)?))
    }

    fn any_receiver(&self, ticket: &Ticket) -> io::Result<Box<dyn Receiver>> {
        Ok(Box::new(self.receiver(ticket)?))
    }
}

/// A transport whose sends take longer, or whose receivers stall once in each window.
pub struct Planted<'a> {
    /// How it is without.
    pub transport: &'a dyn AnyTransport,
    /// What goes wrong.
    pub plants: Plants,
}

/// An end of its links.
pub struct PlantedEnd<E> {
    end: E,
    plants: Plants,
    /// `CLOCK_MONOTONIC` at which the next stall is due.
    stall_at_ns: Option<u64>,
}

impl fmt::Debug for Planted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Planted");
        shown.field("plants", &self.plants).finish_non_exhaustive()
    }
}

impl<E> fmt::Debug for PlantedEnd<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("PlantedEnd");
        shown.field("plants", &self.plants).finish_non_exhaustive()
    }
}

impl<E> PlantedEnd<E> {
    fn new(end: E, plants: Plants) -> Self {
        Self {
            end,
            plants,
            stall_at_ns: None,
        }
    }
}

impl Sender for PlantedEnd<Box<dyn Sender>> {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let until_ns = now_ns() + self.plants.delay_ns;
        while now_ns() < until_ns {
            std::hint::spin_loop();
        }
        self.end.send(message)
    }

    fn begin_window(&mut self, deadline: Instant) {
        self.end.begin_window(deadline);
    }
}

impl Receiver for PlantedEnd<Box<dyn Receiver>> {
    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.end.recv(buffer)?;
        if self.stall_at_ns.is_some_and(|at_ns| now_ns() >= at_ns) {
            self.stall_at_ns = None;
            thread::sleep(Duration::from_nanos(self.plants.stall_ns));
        }
        Ok(len)
    }

    fn begin_window(&mut self, deadline: Instant) {
        self.end.begin_window(deadline);
        let stalls = self.plants.stall_ns > 0;
        self.stall_at_ns = stalls.then(|| now_ns() + self.plants.stall_after_ns);
    }
}

impl Transport for Planted<'_> {
    type Tx = PlantedEnd<Box<dyn Sender>>;
    type Rx = PlantedEnd<Box<dyn Receiver>>;

    fn create(&self, _shape: &LinkShape) -> Result<Link, LinkError> {
        // The coordinator makes the links, of the transport itself.
        Err(io::Error::from(io::ErrorKind::Unsupported).into())
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<Self::Tx> {
        let end = self.transport.any_sender(ticket)?;
        Ok(PlantedEnd::new(end, self.plants))
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<Self::Rx> {
        let end = self.transport.any_receiver(ticket)?;
        Ok(PlantedEnd::new(end, self.plants))
    }
}
