//! What the models of the ring for many share.
#![allow(dead_code, reason = "each model uses a part")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use loom::thread;
use shm_ringbuf::protocol::multi::consumer::{Taken, TakenOver};
use shm_ringbuf::protocol::multi::front::{Front, Resolved};
use shm_ringbuf::protocol::multi::intent::Intent;
use shm_ringbuf::protocol::multi::member::Member;
use shm_ringbuf::protocol::multi::producer::Claimed;
use shm_ringbuf::protocol::multi::storage::{Cells, ValueCells};
use shm_ringbuf::protocol::position::Position;
use shm_ringbuf::segment::heap_cells::HeapCells;
use shm_semaphore::sync::fuel::killed_after;

use super::story::Got;

/// One preemption more in the long form of the tests.
pub fn bound(preemptions: usize) -> usize {
    preemptions + usize::from(std::env::var_os("SHM_RING_LONG").is_some())
}

/// Explores a model with at most so many preemptions, one more in the long form. A model that loom could run in one way only would show nothing.
pub fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let explored = explore(preemptions, model);
    eprintln!("{explored} executions");
    assert!(explored > 1, "nothing was explored");
}

fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) -> usize {
    let explored = Arc::new(AtomicUsize::new(0));
    let counted = explored.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(bound(preemptions));
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    explored.load(Ordering::Relaxed)
}

/// More steps than any victim makes.
const STEPS_MAX: usize = 120;

/// Explores a model whose victim ends before its first step, before its second, and so on. The model is told how many steps it has, and
/// says whether it was cut short; when it never is, all of them were tried.
pub fn check_every_step(preemptions: usize, model: impl Fn(usize) -> bool + Sync + Send + 'static) {
    let model = Arc::new(model);
    let mut explored = 0;
    for steps in 0..STEPS_MAX {
        let was_cut = Arc::new(AtomicBool::new(false));
        let (model, told) = (model.clone(), was_cut.clone());
        explored += explore(preemptions, move || {
            if model(steps) {
                told.store(true, Ordering::Relaxed);
            }
        });
        if !was_cut.load(Ordering::Relaxed) {
            eprintln!("{explored} executions, {steps} steps");
            assert!(steps > 0 && explored > 2 * steps, "nothing was explored");
            return;
        }
    }
    panic!("STEPS_MAX covers the whole work");
}

/// How a participant ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It does all its work, and is idle then.
    Lives,
    /// It is killed before this step of its work, or after all of it.
    Killed(usize),
    /// It stops before this step, for ever.
    Stopped(usize),
}

impl Fate {
    /// Does the work, or some of it; says whether it was cut short.
    pub fn run(self, cells: &HeapCells, seat: usize, work: impl FnOnce()) -> bool {
        match self {
            Self::Lives => {
                work();
                false
            }
            Self::Killed(steps) => {
                let was_cut = killed_after(steps, work);
                cells.bury(seat);
                was_cut
            }
            Self::Stopped(steps) => killed_after(steps, work),
        }
    }
}

/// A message as it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrived {
    pub value: u64,
    pub position: u64,
    pub redelivered: bool,
    /// Cells of its message.
    pub cells: u64,
    /// It is the first cell of it.
    pub is_first: bool,
}

/// How long a consumer waits behind a living participant's claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// For ever.
    Endless,
    /// Not at all: it takes the claim out of the order.
    None,
    /// Not at all with the one at this seat, for ever with all others.
    NoneWith(usize),
    /// Not at all with a claim that was made anew less often than this, for ever with one that was.
    Retries(u32),
}

impl Patience {
    fn is_over(self, seat: usize, intent: Intent) -> bool {
        match self {
            Self::Endless => false,
            Self::None => true,
            Self::NoneWith(stopped) => seat == stopped,
            Self::Retries(retries) => intent.retries() < retries,
        }
    }
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
    /// What dead consumers had is dropped, and not delivered again.
    pub drops: bool,
    /// So many messages are taken at once, if they are there.
    pub at_once: usize,
}

impl Party {
    pub fn new(cells: &HeapCells, seat: usize, patience: Patience) -> Self {
        cells.raise(seat);
        Self {
            member: Member::new(cells.clone(), seat),
            patience,
            drops: false,
            at_once: 1,
        }
    }

    pub fn that_drops(mut self, drops: bool) -> Self {
        self.drops = drops;
        self
    }

    fn index(&self, at: Position) -> shm_ringbuf::protocol::position::Index {
        at.index(self.member.cells().capacity())
    }

    /// One attempt; says whether it was sent.
    pub fn try_send(&mut self, values: &[u64], batch: Batch) -> bool {
        self.try_send_counting(values, batch).is_some()
    }

    /// One attempt; if it was sent, says how often it was taken out of the order before.
    pub fn try_send_counting(&mut self, values: &[u64], batch: Batch) -> Option<u32> {
        let cells = values.len() as u64;
        for retries in 0.. {
            let Claimed::At(at) = self.member.claim(cells, retries, true).unwrap() else {
                return None;
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
                return Some(retries);
            }
        }
        None
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
                cells: taken.cells(),
                is_first: ahead == 0,
            }
        };
        (0..taken.cells()).map(arrived).collect()
    }

    /// One attempt to take a message, and to note it before it is released. What is in the way and was a dead one's is taken over first.
    pub fn try_recv(&mut self, got: &mut Got) -> bool {
        loop {
            let mut passed = Vec::new();
            let front = self.member.front(|at, cell| passed.push((at, cell)));
            for (at, cell) in passed {
                let position = cell.position_near(at, self.member.cells().capacity());
                if self.take_over(Taken { position, cell }, got) {
                    return true;
                }
            }
            match front.unwrap() {
                Front::Ready(position, cell) => {
                    let all = self.ready_from(Taken { position, cell });
                    let cells = all.iter().map(|taken| taken.cells()).sum();
                    if self.member.take(position, cells) {
                        self.see_and_release(&all, got);
                        return true;
                    }
                }
                Front::Blocked(at, seen) => {
                    let patience = self.patience;
                    let is_over = |seat, intent| patience.is_over(seat, intent);
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

    fn take_over(&mut self, taken: Taken, got: &mut Got) -> bool {
        let TakenOver::Ours(taken) = self.member.take_over(taken, self.drops) else {
            return false;
        };
        self.see_and_release(&[taken], got);
        true
    }

    /// This message and those behind it, as many as are taken at once.
    fn ready_from(&self, first: Taken) -> Vec<Taken> {
        let mut all = vec![first];
        while all.len() < self.at_once {
            let last = all[all.len() - 1];
            match self.member.ready_at(last.position.plus(last.cells())) {
                Some(next) => all.push(next),
                None => break,
            }
        }
        all
    }

    fn see_and_release(&mut self, all: &[Taken], got: &mut Got) {
        got.held = all.iter().flat_map(|taken| self.read(*taken)).collect();
        for taken in all {
            self.member.release(*taken).unwrap();
            got.released
                .extend(got.held.drain(..taken.cells() as usize));
        }
    }

    /// Takes so many cells from the head on at once, and says what is in them.
    pub fn take_and_see(&mut self, cells: u64) -> Vec<Arrived> {
        let at = self.member.head();
        assert!(self.member.take(at, cells));
        let mut seen = Vec::new();
        while (seen.len() as u64) < cells {
            let taken = self.member.ready_at(at.plus(seen.len() as u64));
            seen.extend(self.read(taken.unwrap()));
        }
        seen
    }

    /// Receives one message, spinning while the ring is empty.
    pub fn recv(&mut self) -> Arrived {
        let mut got = Got::default();
        while !self.try_recv(&mut got) {
            thread::yield_now();
        }
        got.released[0]
    }

    /// Everything that is there: what dead consumers had, and what is in order.
    pub fn drain(&mut self) -> Vec<Arrived> {
        let mut got = Got::default();
        self.recover(0, &mut got);
        while self.try_recv(&mut got) {}
        got.released
    }

    /// Takes over what dead consumers had, from this position on.
    pub fn recover(&mut self, from: u64, got: &mut Got) {
        self.each_taken(|party, taken| {
            if taken.position.0 >= from {
                party.take_over(taken, got);
            }
        });
        self.member.retract();
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
