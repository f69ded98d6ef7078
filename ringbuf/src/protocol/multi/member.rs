//! What producers and consumers do alike: announce, look at cells, change them, find out who covers a position.

use shm_semaphore::sync::Ordering;

use super::cell::{Cell, Kind};
use super::intent::{Act, Intent};
use super::storage::Cells;
use crate::protocol::position::{Capacity, Position};

/// Attempts against others who keep changing things before a call gives up for the moment: it bounds what a hostile peer can do.
pub(super) const ROUNDS_MAX: usize = if cfg!(loom) { 16 } else { 1 << 16 };

/// A participant with a seat.
#[derive(Debug)]
pub struct Member<S> {
    cells: S,
    seat: usize,
    /// Our own copy of the word of the seat.
    intent: Intent,
    /// Cells, by their index, that were in use for so long that we passed them.
    pub(super) known_in_use: Vec<(usize, Cell)>,
}

impl<S: Cells> Member<S> {
    /// Takes a seat over from its predecessor, whose intent ends here. The caller holds the seat's lock.
    pub fn new(cells: S, seat: usize) -> Self {
        // Release: whoever reads this knows of the predecessor's end all that we know.
        cells.intent(seat).store(Intent::NONE.0, Ordering::Release); // edge: announce.release
        Self {
            cells,
            seat,
            intent: Intent::NONE,
            known_in_use: Vec::new(),
        }
    }

    /// The memory below.
    #[inline]
    pub fn cells(&self) -> &S {
        &self.cells
    }

    #[inline]
    pub(super) fn capacity(&self) -> Capacity {
        self.cells.capacity()
    }

    /// Says what we are about to do. It must be said before the claim that it announces, and it ends what was said before: whatever that covered must have its
    /// outcome in the cells by now.
    #[inline]
    pub(super) fn announce(&mut self, intent: Intent) {
        self.intent = intent;
        let word = self.cells.intent(self.seat);
        word.store(intent.0, Ordering::Release); // edge: announce.release
    }

    /// Cells that were claimed and not yet taken, those that were passed or taken out of the order among them.
    pub fn used(&self) -> u64 {
        // Relaxed, both: a snapshot that guards no data.
        let head = self.cells.head().load(Ordering::Relaxed);
        // Relaxed: as above.
        let used = self.cells.tail().load(Ordering::Relaxed).wrapping_sub(head);
        // The head may have passed the tail that was read before it moved; and a cell that is freed at the head may be claimed before the head moves.
        if used > i64::MAX as u64 {
            0
        } else {
            used.min(self.capacity().get())
        }
    }

    /// Says that we are about to do nothing: before waiting, and before giving up.
    #[inline]
    pub fn retract(&mut self) {
        if self.intent != Intent::NONE {
            self.announce(Intent::NONE);
        }
    }

    /// The next position to be taken.
    #[inline]
    pub fn head(&self) -> Position {
        Position(self.cells.head().load(Ordering::Acquire)) // edge: head.acquire
    }

    /// The next position to be claimed.
    #[inline]
    pub fn tail(&self) -> Position {
        Position(self.cells.tail().load(Ordering::Acquire)) // edge: tail.acquire
    }

    /// Looks at the cell of a position.
    #[inline]
    pub fn look(&self, at: Position) -> Cell {
        let word = self.cells.cell(at.index(self.capacity()));
        Cell(word.load(Ordering::Acquire)) // edge: cell.acquire
    }

    /// Changes the cell of a position from exactly this word to another; else says what it is.
    #[inline]
    pub(super) fn exchange(&self, at: Position, from: Cell, to: Cell) -> Result<(), Cell> {
        let word = self.cells.cell(at.index(self.capacity()));
        let exchanged = word.compare_exchange(
            from.0,
            to.0,
            Ordering::Release, // edge: cell.release
            // Relaxed: what a cell says after all is not acted upon but by another exchange, and a word never comes again, so on success it is the
            // one that was looked at.
            Ordering::Relaxed,
        );
        exchanged.map(drop).map_err(Cell)
    }

    /// The word that a cell has while its position can be claimed.
    #[inline]
    pub(super) fn free(&self, at: Position) -> Cell {
        Cell::new(Kind::Free, at, self.capacity())
    }

    /// Moves the tail from where it was seen, unless somebody else has.
    #[inline]
    pub(super) fn move_tail(&self, from: Position, to: Position) -> bool {
        let word = self.cells.tail();
        if self.cells.has_one_producer() {
            word.store(to.0, Ordering::Release); // edge: tail.release
            return true;
        }
        let moved = word.compare_exchange(
            from.0,
            to.0,
            Ordering::Release, // edge: tail.release
            Ordering::Relaxed, // Relaxed: the tail is looked at anew
        );
        moved.is_ok()
    }

    /// Moves the head from where it was seen, unless somebody else has.
    #[inline]
    pub(super) fn move_head(&self, from: Position, to: Position) -> bool {
        let word = self.cells.head();
        if self.cells.has_one_consumer() {
            word.store(to.0, Ordering::Release); // edge: head.release
            return true;
        }
        let moved = word.compare_exchange(
            from.0,
            to.0,
            Ordering::Release, // edge: head.release
            Ordering::Relaxed, // Relaxed: the head is looked at anew
        );
        moved.is_ok()
    }

    /// Shows `visit` the seat and the intent of each living participant, other than ourselves, who has announced this act at this position, until it says
    /// false. The caller knows that the position was claimed (from the tail, the head, or the cell), so it sees the claimer's intent, or a
    /// later one of the same seat.
    pub(super) fn each_covering(
        &self,
        act: Act,
        at: Position,
        mut visit: impl FnMut(usize, Intent) -> bool,
    ) {
        for seat in 0..self.cells.seats() {
            if seat == self.seat {
                continue;
            }
            let intent = Intent(self.cells.intent(seat).load(Ordering::Acquire)); // edge: announce.acquire
            if intent.covers(act, at) && self.cells.lives(seat) && !visit(seat, intent) {
                return;
            }
        }
    }

    /// Whether a living participant, other than ourselves, has announced this act at this position.
    pub(super) fn is_covered(&self, act: Act, at: Position) -> bool {
        let mut is_covered = false;
        self.each_covering(act, at, |_, _| {
            is_covered = true;
            false
        });
        is_covered
    }

    /// Frees the cells of a message whose first cell is DRAINED, and that one last. Anybody may, and as often as they like.
    pub(super) fn finish_release(&self, at: Position, drained: Cell) {
        for ahead in 1..=drained.followers() {
            let follower = at.plus(ahead);
            let part = Cell::new(Kind::Part, follower, self.capacity());
            // An error means that somebody else has freed it.
            let _ = self.exchange(follower, part, part.free_again());
        }
        // As above.
        let _ = self.exchange(at, drained, drained.free_again());
    }

    /// Frees the cells of a message that nobody needs any more; false if somebody else has begun to.
    #[inline]
    pub(super) fn free_message(&self, at: Position, ready: Cell) -> bool {
        if ready.followers() == 0 {
            return self.exchange(at, ready, ready.free_again()).is_ok();
        }
        let drained = ready.with_kind(Kind::Drained);
        let drains = self.exchange(at, ready, drained).is_ok();
        if drains {
            self.finish_release(at, drained);
        }
        drains
    }
}
