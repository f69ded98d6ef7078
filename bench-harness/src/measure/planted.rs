//! Delays and stalls on purpose, around any transport: to see that the figures show them.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::clock::now_ns;
use crate::job::Plants;
use crate::transport::{Link, LinkError, LinkShape, Receiver, Sender, Ticket, Transport};

/// A transport whose sends take longer, or whose receiver stalls once in each window.
#[derive(Debug)]
pub struct Planted<'a, T> {
    /// How it is without.
    pub transport: &'a T,
    /// What goes wrong.
    pub plants: Plants,
}

/// An end of its links.
#[derive(Debug)]
pub struct PlantedEnd<E> {
    end: E,
    plants: Plants,
    /// `CLOCK_MONOTONIC` at which the next stall is due.
    stall_at_ns: Option<u64>,
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

impl<S: Sender> Sender for PlantedEnd<S> {
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

impl<R: Receiver> Receiver for PlantedEnd<R> {
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

impl<T: Transport> Transport for Planted<'_, T> {
    type Tx = PlantedEnd<T::Tx>;
    type Rx = PlantedEnd<T::Rx>;

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        self.transport.create(shape)
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<Self::Tx> {
        let end = self.transport.sender(ticket)?;
        Ok(PlantedEnd::new(end, self.plants))
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<Self::Rx> {
        let end = self.transport.receiver(ticket)?;
        Ok(PlantedEnd::new(end, self.plants))
    }
}
