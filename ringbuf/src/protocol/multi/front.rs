//! The head of the ring: what lies there, and how it goes on when nobody will ever commit it.

use super::cell::{Age, Cell, Kind};
use super::intent::{Act, Intent};
use super::member::{Member, ROUNDS_MAX};
use super::storage::Cells;
use crate::error::Corruption;
use crate::protocol::position::Position;

/// What lies at the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Front {
    /// A committed message.
    Ready(Position, Cell),
    /// Nothing.
    Empty,
    /// A position that was claimed or skipped, and in which nothing was committed yet.
    Blocked(Position, Cell),
    /// Others move it faster than we can look.
    Busy,
}

/// What became of a blocked head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolved {
    /// It has changed; look again.
    Changed,
    /// A living participant has announced that it writes there.
    Covered,
}

impl<S: Cells> Member<S> {
    /// What lies at the head, having passed what nobody will ever take there. Tells `passed` of each older message that it found in its way:
    /// somebody has taken it and not released it yet.
    #[inline]
    pub fn front(&self, passed: impl FnMut(Position, Cell)) -> Result<Front, Corruption> {
        let at = self.head();
        let cell = self.look(at);
        if cell.is_ready_for(at, self.capacity()) && cell.followers() == 0 {
            return Ok(Front::Ready(at, cell));
        }
        self.front_slow(passed)
    }

    fn front_slow(&self, mut passed: impl FnMut(Position, Cell)) -> Result<Front, Corruption> {
        for _ in 0..ROUNDS_MAX {
            let at = self.head();
            let tail = self.tail();
            // Read after the tail: what was not claimed before that is not taken for skipped.
            let cell = self.look(at);
            let ahead = tail.distance_from(at);
            if ahead == 0 {
                return Ok(Front::Empty);
            }
            // A lap, and the cell that is freed before the head moves on from it.
            let far = 2 * (self.capacity().get() + 1);
            if ahead > far && self.head() == at {
                return Err(Corruption {
                    field: "tail",
                    found: tail.0,
                });
            }
            let end = at.plus(1 + cell.followers());
            let is_beyond_tail = end.distance_from(at) > ahead;
            match (cell.age(at, self.capacity()), cell.kind()?) {
                (Age::Same, _) if is_beyond_tail => self.disbelieve(at, cell)?,
                (Age::Same, Kind::Ready) => return Ok(Front::Ready(at, cell)),
                (Age::Same, Kind::Free) => return Ok(Front::Blocked(at, cell)),
                (Age::Same, Kind::Void) => {
                    self.void_followers(at, cell);
                    self.move_head(at, end);
                }
                // Of a message that was taken: the head has moved.
                (Age::Same, Kind::Part | Kind::Drained) => self.disbelieve(at, cell)?,
                (Age::Older, kind) => {
                    if kind == Kind::Ready {
                        passed(at, cell);
                    }
                    self.move_head(at, at.plus(1));
                }
                // Somebody has freed the cell and could not move the head.
                (Age::Newer, _) => {
                    self.move_head(at, at.plus(1));
                }
            }
        }
        Ok(Front::Busy)
    }

    /// What can't be at the head, unless the head has moved.
    fn disbelieve(&self, at: Position, cell: Cell) -> Result<(), Corruption> {
        if self.head() == at {
            return Err(cell.corrupt());
        }
        Ok(())
    }

    /// Sees to it that a blocked head is not blocked for ever: what no living participant has announced is freed, and what some have
    /// announced is taken out of the order when the patience with each of them, seat and intent, is over.
    pub fn resolve(
        &self,
        at: Position,
        seen: Cell,
        mut is_patience_over: impl FnMut(usize, Intent) -> bool,
    ) -> Resolved {
        let mut is_covered = false;
        let mut waits = false;
        self.each_covering(Act::Put, at, |seat, intent| {
            is_covered = true;
            // All of them are asked, so that the patience with each begins now.
            waits |= !is_patience_over(seat, intent);
            true
        });
        if waits {
            return Resolved::Covered;
        }
        let may_be_written = is_covered || seen.followers() > 0;
        let next = if may_be_written {
            seen.with_kind(Kind::Void)
        } else {
            seen.free_again()
        };
        // An error means that it was committed, or that somebody else was faster.
        let _ = self.exchange(at, seen, next);
        Resolved::Changed
    }

    /// Takes the cells out of the order that were claimed together with one that is VOID. Whoever moves the head past that one does this before, so nobody
    /// ever finds one of them at the head.
    fn void_followers(&self, at: Position, void: Cell) {
        for ahead in 1..=void.followers() {
            self.void(at.plus(ahead));
        }
    }

    /// Takes a claimed cell out of the order, committed or not.
    pub(super) fn void(&self, at: Position) {
        let void = Cell::new(Kind::Void, at, self.capacity());
        let mut seen = self.look(at);
        for _ in 0..ROUNDS_MAX {
            let is_ours = seen.age(at, self.capacity()) == Age::Same;
            if !is_ours || matches!(seen.kind(), Ok(Kind::Void | Kind::Drained) | Err(_)) {
                return;
            }
            match self.exchange(at, seen, void) {
                Ok(()) => return,
                Err(now) => seen = now,
            }
        }
    }
}
