//! The word of a cell: whose turn it is, as one number that never comes again.
//!
//! ```text
//!  63                       18 17        8 7         3 2    0
//! |            lap            | followers | takeovers | kind |        all zero: FREE of lap 0
//! ```
//!
//! A position is an index and a lap; the word holds 46 bits of the lap. Laps are compared around their wrap, so a cell
//! that somebody holds while 2⁴⁵ laps go by (12 days in a ring of one cell at 30 ns a message, 34 years in one of a thousand) would be mistaken.

use crate::error::Corruption;
use crate::protocol::position::{Capacity, Position};

const KIND_BITS: u32 = 3;
const TAKEOVER_BITS: u32 = 5;
const FOLLOWER_BITS: u32 = 10;
const FOLLOWER_SHIFT: u32 = KIND_BITS + TAKEOVER_BITS;
const LAP_SHIFT: u32 = FOLLOWER_SHIFT + FOLLOWER_BITS;
const LAP_BITS: u32 = u64::BITS - LAP_SHIFT;
const KIND_MASK: u64 = (1 << KIND_BITS) - 1;
const ONE_TAKEOVER: u64 = 1 << KIND_BITS;

/// The most cells that one claim spans: one, and the followers that a word can count.
pub const CELLS_MAX: u64 = 1 << FOLLOWER_BITS;
/// Stands in the place of the number of takeovers when the message is to be dropped.
const CONDEMNED: u64 = (1 << TAKEOVER_BITS) - 1;
/// So often a message is taken over from a dead consumer; after that it is taken for what kills them, and is dropped and counted.
pub const TAKEOVERS_MAX: u64 = CONDEMNED - 1;

/// What a cell is good for at its lap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// For a producer to claim; with followers, claimed together with them and not committed.
    Free,
    /// The first cell of a committed message. It stays so until the message is released.
    Ready,
    /// A later cell of a message.
    Part,
    /// Taken out of the order: consumers pass it, and no producer uses it while its claimer may still be writing there.
    Void,
    /// The first cell of a message that was read, while its later ones are being freed.
    Drained,
}

/// The word of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell(pub u64);

/// How the lap of a word lies to the lap of a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// It belongs to an earlier lap.
    Older,
    /// It belongs to this one.
    Same,
    /// It belongs to a later one.
    Newer,
}

impl Cell {
    /// The word of this kind for the lap of a position, alone and never taken over.
    #[inline]
    pub fn new(kind: Kind, position: Position, capacity: Capacity) -> Self {
        Self(lap(position, capacity) << LAP_SHIFT | kind as u64)
    }

    /// The same for the next lap.
    #[inline]
    #[must_use]
    pub fn free_again(self) -> Self {
        Self((self.0 & !((1 << LAP_SHIFT) - 1)).wrapping_add(1 << LAP_SHIFT))
    }

    /// The same with so many cells behind it that belong to it.
    #[inline]
    #[must_use]
    pub fn with_followers(self, followers: u64) -> Self {
        debug_assert!(followers < CELLS_MAX, "the claim was bounded");
        let cleared = self.0 & !((CELLS_MAX - 1) << FOLLOWER_SHIFT);
        Self(cleared | followers << FOLLOWER_SHIFT)
    }

    /// The same of another kind.
    #[inline]
    #[must_use]
    pub fn with_kind(self, kind: Kind) -> Self {
        Self(self.0 & !KIND_MASK | kind as u64)
    }

    /// The same, taken over once more; `None` if it was taken over too often.
    #[must_use]
    pub fn taken_over(self) -> Option<Self> {
        (self.takeovers() < TAKEOVERS_MAX).then(|| Self(self.0 + ONE_TAKEOVER))
    }

    /// How often it was taken over from a dead consumer.
    #[inline]
    pub fn takeovers(self) -> u64 {
        self.0 >> KIND_BITS & CONDEMNED
    }

    /// The same, to be dropped.
    #[must_use]
    pub fn condemned(self) -> Self {
        Self(self.0 | CONDEMNED << KIND_BITS)
    }

    /// Whether it is to be dropped.
    pub fn is_condemned(self) -> bool {
        self.takeovers() == CONDEMNED
    }

    /// How many cells behind it belong to it.
    #[inline]
    pub fn followers(self) -> u64 {
        self.0 >> FOLLOWER_SHIFT & (CELLS_MAX - 1)
    }

    /// What it is good for.
    #[inline]
    pub fn kind(self) -> Result<Kind, Corruption> {
        const KINDS: [Kind; 5] = [
            Kind::Free,
            Kind::Ready,
            Kind::Part,
            Kind::Void,
            Kind::Drained,
        ];
        KINDS
            .get((self.0 & KIND_MASK) as usize)
            .copied()
            .ok_or_else(|| self.corrupt())
    }

    /// How its lap lies to that of a position at the same index.
    #[inline]
    pub fn age(self, position: Position, capacity: Capacity) -> Age {
        match self.laps_behind(position, capacity) {
            0 => Age::Same,
            1.. => Age::Older,
            _ => Age::Newer,
        }
    }

    /// The position that the word stands for: the one at this index that lies nearest to a position at the same index.
    pub fn position_near(self, position: Position, capacity: Capacity) -> Position {
        let behind = self.laps_behind(position, capacity);
        position.plus((behind as u64).wrapping_neg().wrapping_mul(capacity.get()))
    }

    /// Whether it is READY for a position: a message to be taken there.
    #[inline]
    pub fn is_ready_for(self, position: Position, capacity: Capacity) -> bool {
        let lap_and_kind = !((1 << LAP_SHIFT) - 1) | KIND_MASK;
        self.0 & lap_and_kind == Self::new(Kind::Ready, position, capacity).0
    }

    /// A word that this library never writes, or not there.
    pub fn corrupt(self) -> Corruption {
        Corruption {
            field: "cell.state",
            found: self.0,
        }
    }

    #[inline]
    fn laps_behind(self, position: Position, capacity: Capacity) -> i64 {
        let difference = lap(position, capacity).wrapping_sub(self.0 >> LAP_SHIFT);
        // With the sign of its 46 bits.
        (difference << LAP_SHIFT) as i64 >> LAP_SHIFT
    }
}

#[inline]
fn lap(position: Position, capacity: Capacity) -> u64 {
    position.0 >> capacity.get().trailing_zeros() & ((1 << LAP_BITS) - 1)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const FOUR: u64 = 4;

    fn capacity() -> Capacity {
        Capacity::new(FOUR)
    }

    #[test]
    fn zeros_are_a_free_cell_of_the_first_lap() {
        assert_eq!(Cell::new(Kind::Free, Position(3), capacity()), Cell(0));
    }

    #[test]
    fn each_field_keeps_to_its_bits() {
        let cell = Cell::new(Kind::Ready, Position(FOUR * 7 + 2), capacity())
            .with_followers(CELLS_MAX - 1)
            .taken_over()
            .unwrap();
        assert_eq!(cell.kind(), Ok(Kind::Ready));
        assert_eq!((cell.takeovers(), cell.followers()), (1, CELLS_MAX - 1));
        assert_eq!(cell.age(Position(FOUR * 7), capacity()), Age::Same);
        assert!(cell.is_ready_for(Position(FOUR * 7 + 1), capacity()));
        assert_eq!(
            cell.free_again(),
            Cell::new(Kind::Free, Position(FOUR * 8), capacity())
        );
        assert_eq!(cell.with_kind(Kind::Drained).followers(), CELLS_MAX - 1);
    }

    #[test]
    fn a_message_is_not_taken_over_for_ever() {
        let mut cell = Cell::new(Kind::Ready, Position(0), capacity());
        for _ in 0..TAKEOVERS_MAX {
            cell = cell.taken_over().unwrap();
        }
        assert_eq!(cell.taken_over(), None);
        assert!(!cell.is_condemned() && cell.condemned().is_condemned());
        assert_eq!(cell.condemned().followers(), 0);
    }

    #[test]
    fn laps_are_told_apart_across_their_wrap() {
        let wrap = FOUR << LAP_BITS;
        for start in [0, FOUR, wrap - FOUR, wrap, wrap + FOUR, 5 * wrap] {
            let cell = Cell::new(Kind::Free, Position(start), capacity());
            assert_eq!(cell.age(Position(start), capacity()), Age::Same);
            assert_eq!(cell.age(Position(start + FOUR), capacity()), Age::Older);
            assert_eq!(
                cell.free_again().age(Position(start), capacity()),
                Age::Newer
            );
            let later = Position(start + 3 * FOUR);
            assert_eq!(cell.position_near(later, capacity()), Position(start));
        }
    }

    #[test]
    fn a_kind_that_does_not_exist_is_a_corruption() {
        assert_eq!(Cell(5).kind(), Err(Cell(5).corrupt()));
        assert_eq!(Cell(7).kind().unwrap_err().found, 7);
    }
}
