//! The consumer's side: taking, releasing, taking over from the dead.

use super::cell::{Age, Cell, Kind};
use super::intent::{Act, Intent};
use super::member::Member;
use super::storage::Cells;
use crate::error::Corruption;
use crate::protocol::position::Position;

/// A message that is ours until it is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Of its first cell.
    pub position: Position,
    /// The word of its first cell.
    pub cell: Cell,
}

impl Taken {
    /// Cells of the message.
    #[inline]
    pub fn cells(self) -> u64 {
        1 + self.cell.followers()
    }

    /// Whether a consumer that is dead had it before.
    #[inline]
    pub fn is_redelivered(self) -> bool {
        self.cell.takeovers() > 0
    }
}

/// What a look at a message that somebody had taken led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakenOver {
    /// It is ours now.
    Ours(Taken),
    /// A living consumer has it, or may have it.
    Held,
    /// Somebody else has taken it over, or it was released.
    Gone,
    /// It was dropped and counted.
    Dropped,
}

impl<S: Cells> Member<S> {
    /// Takes the message at the head and those behind it up to so many cells, all of which were seen READY; false if another consumer was faster.
    #[inline]
    pub fn take(&mut self, at: Position, cells: u64) -> bool {
        self.announce(Intent::new(Act::Take, at, cells));
        self.move_head(at, at.plus(cells))
    }

    /// The message behind one that lies at the head or behind it, if it is committed.
    pub fn ready_at(&self, at: Position) -> Option<Taken> {
        let cell = self.look(at);
        let is_ready = cell.is_ready_for(at, self.capacity());
        is_ready.then_some(Taken { position: at, cell })
    }

    /// Gives the cells of a message back.
    #[inline]
    pub fn release(&mut self, taken: Taken) -> Result<(), Corruption> {
        if self.free_message(taken.position, taken.cell) {
            return Ok(());
        }
        Err(self.look(taken.position).corrupt())
    }

    /// Takes a message over that was taken before, unless a living participant may have it. `taken` was read before this call. It is
    /// dropped instead if all those that had it died (see [`TAKEOVERS_MAX`](super::cell::TAKEOVERS_MAX)), or if nothing is to be delivered twice.
    pub fn take_over(&mut self, taken: Taken, drops: bool) -> TakenOver {
        let at = taken.position;
        if !taken.cell.is_condemned() && self.is_covered(Act::Take, at) {
            return TakenOver::Held;
        }
        let Some(ours) = taken.cell.taken_over().filter(|_| !drops) else {
            self.drop_message(taken);
            return TakenOver::Dropped;
        };
        self.announce(Intent::new(Act::Take, at, taken.cells()));
        if self.exchange(at, taken.cell, ours).is_ok() {
            return TakenOver::Ours(Taken {
                position: at,
                cell: ours,
            });
        }
        self.retract();
        TakenOver::Gone
    }

    /// The first message from this position on that was taken and not released. `from` is at most a lap behind the head, which was read before.
    pub fn next_taken(&self, from: Position, head: Position) -> Option<Taken> {
        (0..head.distance_from(from)).find_map(|ahead| {
            let last = from.plus(ahead);
            let cell = self.look(last);
            let is_message = cell.kind() == Ok(Kind::Ready);
            // At most as new as the last position there that the head has passed.
            let was_taken = is_message && cell.age(last, self.capacity()) != Age::Newer;
            was_taken.then(|| Taken {
                position: cell.position_near(last, self.capacity()),
                cell,
            })
        })
    }
}
