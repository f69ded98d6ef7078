//! What a participant is about to do, where everybody can read it: the word of its seat.
//!
//! ```text
//!  63             15 14     12 11       2 1    0
//! |     position    | retries | cells - 1 | kind |        all zero: nothing
//! ```
//!
//! Only its owner writes it (or whoever takes the seat after it). It is stored before the claim that it announces, and says
//! so until the claim's outcome is in the cells. It holds 49 bits of the position: an intent from a multiple of 2⁴⁹ positions ago would be taken for a new one, which makes others
//! wait that need not.
//!
//! A claim that was taken out of the order is made anew with one more retry, and others have twice the patience with it each time: so a message that takes
//! longer to write than the patience lasts gets through in the end.

use crate::protocol::multi::cell::CELLS_MAX;
use crate::protocol::position::Position;

const KIND_BITS: u32 = 2;
const CELL_BITS: u32 = CELLS_MAX.trailing_zeros();
const RETRY_SHIFT: u32 = KIND_BITS + CELL_BITS;
const RETRY_BITS: u32 = 3;
const POSITION_SHIFT: u32 = RETRY_SHIFT + RETRY_BITS;

/// As many retries as are counted.
pub const RETRIES_MAX: u32 = (1 << RETRY_BITS) - 1;

/// The two things that can be announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// To write into cells.
    Put = 1,
    /// To read from cells.
    Take = 2,
}

/// The word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intent(pub u64);

impl Intent {
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// To do this with so many cells from a position on.
    #[inline]
    pub fn new(act: Act, position: Position, cells: u64) -> Self {
        debug_assert!((1..=CELLS_MAX).contains(&cells), "the claim was bounded");
        Self(position.0 << POSITION_SHIFT | (cells - 1) << KIND_BITS | act as u64)
    }

    /// The same, after so many attempts that were taken out of the order.
    #[inline]
    #[must_use]
    pub fn with_retries(self, retries: u32) -> Self {
        Self(self.0 | u64::from(retries.min(RETRIES_MAX)) << RETRY_SHIFT)
    }

    /// Attempts before this one that were taken out of the order.
    pub fn retries(self) -> u32 {
        (self.0 >> RETRY_SHIFT) as u32 & RETRIES_MAX
    }

    /// Cells that it speaks of.
    pub fn cells(self) -> u64 {
        1 + (self.0 >> KIND_BITS & (CELLS_MAX - 1))
    }

    /// Whether it speaks of this act at this position.
    #[inline]
    pub fn covers(self, act: Act, position: Position) -> bool {
        let cells_before = self.0 >> KIND_BITS & (CELLS_MAX - 1);
        let distance = position.0.wrapping_sub(self.0 >> POSITION_SHIFT) << POSITION_SHIFT;
        self.0 & ((1 << KIND_BITS) - 1) == act as u64 && distance >> POSITION_SHIFT <= cells_before
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_intent_covers_its_cells_and_no_others() {
        for start in [0, 1, 1 << 48, (1 << 49) - 2, u64::MAX - 1] {
            let at = |ahead: u64| Position(start.wrapping_add(ahead));
            let intent = Intent::new(Act::Put, at(0), 3).with_retries(9);
            assert_eq!((intent.retries(), intent.cells()), (RETRIES_MAX, 3));
            for ahead in 0..3 {
                assert!(intent.covers(Act::Put, at(ahead)));
                assert!(!intent.covers(Act::Take, at(ahead)));
            }
            assert!(!intent.covers(Act::Put, at(3)));
            assert!(!intent.covers(Act::Put, at(u64::MAX)));
        }
    }

    #[test]
    fn no_intent_covers_nothing() {
        assert!(!Intent::NONE.covers(Act::Put, Position(0)));
        assert!(!Intent::NONE.covers(Act::Take, Position(0)));
    }

    #[test]
    fn the_longest_claim_fits() {
        let intent = Intent::new(Act::Take, Position(9), CELLS_MAX);
        assert!(intent.covers(Act::Take, Position(8 + CELLS_MAX)));
        assert!(!intent.covers(Act::Take, Position(9 + CELLS_MAX)));
    }
}
