//! The producer's side: claims, commits, aborts.

use super::cell::{Age, Cell, Kind};
use super::front::Front;
use super::intent::{Act, Intent};
use super::member::{Member, ROUNDS_MAX};
use super::storage::Cells;
use crate::error::Corruption;
use crate::protocol::position::Position;

/// The answer to a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimed {
    /// From here on.
    At(Position),
    /// There is no room.
    Full,
    /// There is, but for a cell that somebody still uses, most likely for a moment only. It can be passed (see [`Member::claim`]), but that costs
    /// others more than a little wait.
    InUse,
}

/// How the cells from the tail on can be used.
enum Room {
    /// All of them.
    Free,
    /// Somebody else has claimed the first.
    Moved,
    /// The ring is full.
    Full,
    /// Those before this position; this one is still in use, though the ring has come round.
    Stuck(Position),
}

/// Cells in use that are remembered, so that they are waited for once and not in every lap.
const KNOWN_MAX: usize = 64;

/// What one cell is good for.
enum Use {
    Free,
    Moved,
    Full,
    Stuck,
    Again,
}

impl<S: Cells> Member<S> {
    /// Claims `cells` cells in a row, after so many attempts for the same message that were taken out of the order. `passes` cells that are in use, and free ones
    /// before them, if need be; and those that were passed before in any case.
    #[inline]
    pub fn claim(&mut self, cells: u64, retries: u32, passes: bool) -> Result<Claimed, Corruption> {
        if cells == 1 {
            let at = self.tail();
            if self.look(at) == self.free(at) && self.claim_at(at, 1, retries) {
                return Ok(Claimed::At(at));
            }
        }
        self.claim_slow(cells, retries, passes)
    }

    fn claim_slow(
        &mut self,
        cells: u64,
        retries: u32,
        passes: bool,
    ) -> Result<Claimed, Corruption> {
        let mut refusal = Claimed::Full;
        let mut given_up = 0;
        let mut has_helped = false;
        for _ in 0..ROUNDS_MAX {
            let at = self.tail();
            match self.room(at, cells)? {
                Room::Free => {
                    if self.claim_at(at, cells, retries) && self.stamp(at, cells) {
                        return Ok(Claimed::At(at));
                    }
                }
                Room::Moved => {}
                // What was skipped makes the ring look full as well, and nobody may come to pass it.
                Room::Full if !has_helped && !self.cells().has_one_consumer() => {
                    has_helped = true;
                    // Others that help would wait for us.
                    self.retract();
                    if let Front::Blocked(..) = self.front(|_, _| ())? {
                        break;
                    }
                }
                Room::Full => break,
                // Not for ever, if all cells are in use.
                Room::Stuck(_) if given_up >= self.capacity().get() => break,
                Room::Stuck(in_use) if !self.may_pass(in_use, passes) => {
                    refusal = Claimed::InUse;
                    break;
                }
                Room::Stuck(in_use) => {
                    // What we announced before we lost it would look like a claim of what is passed now.
                    self.retract();
                    let behind = in_use.plus(1);
                    self.move_tail(at, behind);
                    given_up += behind.distance_from(at);
                }
            }
        }
        self.retract();
        Ok(refusal)
    }

    /// Whether a cell in use may be passed: one that is out of the order anyway, one that was passed in an earlier lap and is still the same, or any if the caller
    /// has waited long enough.
    fn may_pass(&mut self, at: Position, passes: bool) -> bool {
        let seen = self.look(at);
        let known = (at.index(self.capacity()).0, seen);
        if seen.kind() == Ok(Kind::Void) || self.known_in_use.contains(&known) {
            return true;
        }
        if passes {
            if self.known_in_use.len() == KNOWN_MAX {
                self.known_in_use.clear();
            }
            self.known_in_use.push(known);
        }
        passes
    }

    #[inline]
    fn claim_at(&mut self, at: Position, cells: u64, retries: u32) -> bool {
        self.announce(Intent::new(Act::Put, at, cells).with_retries(retries));
        self.move_tail(at, at.plus(cells))
    }

    /// Writes into the first cell of a claim how many others belong to it, so that whoever takes it out of the order takes them all.
    fn stamp(&mut self, at: Position, cells: u64) -> bool {
        let free = self.free(at);
        let is_stamped = cells == 1
            || self
                .exchange(at, free, free.with_followers(cells - 1))
                .is_ok();
        if !is_stamped {
            // Somebody has lost patience with the first before it was stamped.
            self.void_all(at, cells);
        }
        is_stamped
    }

    fn void_all(&self, at: Position, cells: u64) {
        for ahead in 0..cells {
            self.void(at.plus(ahead));
        }
    }

    fn room(&self, at: Position, cells: u64) -> Result<Room, Corruption> {
        for ahead in 0..cells {
            let position = at.plus(ahead);
            let mut usable = Use::Again;
            // It takes one or two changes, unless somebody undoes them.
            for _ in 0..ROUNDS_MAX {
                usable = self.use_of(at, position)?;
                if !matches!(usable, Use::Again) {
                    break;
                }
            }
            match usable {
                Use::Free => {}
                Use::Again | Use::Moved => return Ok(Room::Moved),
                Use::Full => return Ok(Room::Full),
                Use::Stuck => return Ok(Room::Stuck(position)),
            }
        }
        Ok(Room::Free)
    }

    /// Whether a position at or behind the tail can be claimed.
    fn use_of(&self, tail: Position, at: Position) -> Result<Use, Corruption> {
        let seen = self.look(at);
        if seen == self.free(at) {
            return Ok(Use::Free);
        }
        let kind = seen.kind()?;
        if seen.age(at, self.capacity()) != Age::Older {
            // Claimed by now; then the tail has moved.
            return if self.tail() == tail {
                Err(seen.corrupt())
            } else {
                Ok(Use::Moved)
            };
        }
        // Before anything else: what the head has not passed may be somebody's claim.
        let head = self.head();
        let ahead = at.distance_from(head);
        if ahead > i64::MAX as u64 {
            // The head is never beyond the tail, so the tail has moved.
            return if self.tail() == tail {
                Err(Corruption {
                    field: "head",
                    found: head.0,
                })
            } else {
                Ok(Use::Moved)
            };
        }
        if ahead >= self.capacity().get() {
            return Ok(Use::Full);
        }
        let position = seen.position_near(at, self.capacity());
        match kind {
            // Its claimer may still be writing there.
            Kind::Void if self.is_covered(Act::Put, position) => return Ok(Use::Stuck),
            Kind::Free | Kind::Void => {}
            Kind::Ready | Kind::Part => return Ok(Use::Stuck),
            Kind::Drained => {
                self.finish_release(position, seen);
                return Ok(Use::Again);
            }
        }
        // If it fails, somebody else has done it.
        let _ = self.exchange(at, seen, self.free(at));
        Ok(Use::Again)
    }

    /// Commits a claim: all of its messages at once, by the exchange of its first cell. `message_at` says how many cells follow the one `ahead` of
    /// the first in its message, or nothing if it is not the first of one. False if the claim was taken out of the order: then nothing of it
    /// was or will be seen by any consumer, and it can be sent anew.
    #[inline]
    pub fn commit(
        &mut self,
        at: Position,
        cells: u64,
        message_at: impl Fn(u64) -> Option<u64>,
    ) -> Result<bool, Corruption> {
        for ahead in (0..cells).rev() {
            let position = at.plus(ahead);
            let free = self.free(position);
            let claimed = if ahead == 0 {
                free.with_followers(cells - 1)
            } else {
                free
            };
            let committed = match message_at(ahead) {
                Some(followers) => free.with_kind(Kind::Ready).with_followers(followers),
                None => free.with_kind(Kind::Part),
            };
            if let Err(found) = self.exchange(position, claimed, committed) {
                return self.was_voided(position, found).map(|()| false);
            }
        }
        Ok(true)
    }

    fn was_voided(&self, at: Position, found: Cell) -> Result<(), Corruption> {
        let is_void = found.kind()? == Kind::Void;
        if is_void && found.age(at, self.capacity()) == Age::Same {
            return Ok(());
        }
        Err(found.corrupt())
    }

    /// Gives a claim up.
    pub fn abort(&mut self, at: Position, cells: u64) {
        let claimed = self.free(at).with_followers(cells - 1);
        // An error means that somebody else has taken it out of the order.
        let _ = self.exchange(at, claimed, claimed.with_kind(Kind::Void));
        self.retract();
    }
}
