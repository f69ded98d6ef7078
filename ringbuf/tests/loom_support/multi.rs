//! What the models of the ring for many share.
#![allow(dead_code, reason = "each model uses a part")]

use std::sync::atomic::{AtomicUsize, Ordering};

use loom::thread;
use shm_ringbuf::protocol::multi::consumer::{Taken, TakenOver};
use shm_ringbuf::protocol::multi::front::{Front, Resolved};
use shm_ringbuf::protocol::multi::member::Member;
use shm_ringbuf::protocol::multi::producer::Claimed;
use shm_ringbuf::protocol::multi::storage::{Cells, ValueCells};
use shm_ringbuf::protocol::position::Position;
use shm_ringbuf::segment::heap_cells::HeapCells;

/// Explores a model with at most so many preemptions. A model that loom could run in one way only would show nothing.
pub fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let explored = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = explored.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let explored = explored.load(Ordering::Relaxed);
    eprintln!("{explored} executions");
    assert!(explored > 1, "nothing was explored");
}

/// A message as it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrived {
    pub value: u64,
    pub position: u64,
    pub redelivered: bool,
}

/// How long a consumer waits behind a living participant's claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// For ever.
    Endless,
    /// Not at all: it takes the claim out of the order.
    None,
}

/// The shape of a batch: each cell is a message, or all of them are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    Messages,
    OneMessage,
}

/// A participant of a model.
pub struct Party {
    pub member: Member<HeapCells>,
    pub patience: Patience,
}

impl Party {
    pub fn new(cells: &HeapCells, seat: usize, patience: Patience) -> Self {
        Self {
            member: Member::new(cells.clone(), seat),
            patience,
        }
    }

    fn index(&self, at: Position) -> shm_ringbuf::protocol::position::Index {
        at.index(self.member.cells().capacity())
    }

    /// One attempt; says whether it was sent.
    pub fn try_send(&mut self, values: &[u64], batch: Batch) -> bool {
        let cells = values.len() as u64;
        loop {
            let Claimed::At(at) = self.member.claim(cells, 0, true).unwrap() else {
                return false;
            };
            for (ahead, value) in values.iter().enumerate() {
                let index = self.index(at.plus(ahead as u64));
                // SAFETY: the claim is ours.
                unsafe { self.member.cells().write(index, *value) };
            }
            let message_at = |ahead| match batch {
                Batch::Messages => Some(0),
                Batch::OneMessage => (ahead == 0).then_some(cells - 1),
            };
            if self.member.commit(at, cells, message_at).unwrap() {
                return true;
            }
        }
    }

    /// Sends, spinning while the ring is full.
    pub fn send(&mut self, value: u64) {
        self.send_all(&[value], Batch::Messages);
    }

    pub fn send_all(&mut self, values: &[u64], batch: Batch) {
        while !self.try_send(values, batch) {
            thread::yield_now();
        }
    }

    fn read(&self, taken: Taken) -> Vec<Arrived> {
        let arrived = |ahead| {
            let index = self.index(taken.position.plus(ahead));
            Arrived {
                // SAFETY: the message is ours.
                value: unsafe { self.member.cells().read(index) },
                position: taken.position.0 + ahead,
                redelivered: taken.is_redelivered(),
            }
        };
        (0..taken.cells()).map(arrived).collect()
    }

    /// One attempt to take a message, and to tell of it before it is released.
    pub fn try_recv(&mut self, tell: &mut impl FnMut(Arrived)) -> bool {
        let mut passed = Vec::new();
        loop {
            let note = |at: Position, _| passed.push(at);
            match self.member.front(note).unwrap() {
                Front::Ready(position, cell) => {
                    let taken = Taken { position, cell };
                    if self.member.take(position, taken.cells()) {
                        self.read(taken).into_iter().for_each(tell);
                        self.member.release(taken).unwrap();
                        return true;
                    }
                }
                Front::Blocked(at, seen) => {
                    let is_over = |_, _| self.patience == Patience::None;
                    if self.member.resolve(at, seen, is_over) == Resolved::Covered {
                        self.member.retract();
                        return false;
                    }
                }
                Front::Empty | Front::Busy => {
                    self.member.retract();
                    return false;
                }
            }
        }
    }

    /// Receives one message, spinning while the ring is empty.
    pub fn recv(&mut self) -> Arrived {
        let mut arrived = None;
        while !self.try_recv(&mut |message| arrived = Some(message)) {
            thread::yield_now();
        }
        arrived.unwrap()
    }

    /// Everything that is there: what dead consumers had, and what is in order.
    pub fn drain(&mut self) -> Vec<Arrived> {
        let mut all = self.take_over_all();
        while self.try_recv(&mut |message| all.push(message)) {}
        all
    }

    /// What dead consumers had.
    pub fn take_over_all(&mut self) -> Vec<Arrived> {
        let mut all = Vec::new();
        self.each_taken(|party, taken| {
            if let TakenOver::Ours(taken) = party.member.take_over(taken, false) {
                all.extend(party.read(taken));
                party.member.release(taken).unwrap();
            }
        });
        self.member.retract();
        all
    }

    /// Looks at everything that was taken and not released.
    pub fn each_taken(&mut self, mut visit: impl FnMut(&mut Self, Taken)) {
        let head = self.member.head();
        let capacity = self.member.cells().capacity().get();
        let mut from = Position(head.0.wrapping_sub(capacity));
        while let Some(taken) = self.member.next_taken(from, head) {
            visit(self, taken);
            let index_ahead = taken.position.0.wrapping_sub(from.0) & (capacity - 1);
            from = from.plus(index_ahead + 1);
            if from == head {
                break;
            }
        }
    }

    /// Whether the whole ring can be filled, and gives back what was put there.
    pub fn assert_capacity_is_whole(&mut self) {
        let capacity = self.member.cells().capacity().get();
        for value in 0..capacity {
            assert!(
                self.try_send(&[1_000 + value], Batch::Messages),
                "only {value} of {capacity} cells came back"
            );
        }
        for value in 0..capacity {
            assert_eq!(self.recv().value, 1_000 + value);
        }
    }
}
