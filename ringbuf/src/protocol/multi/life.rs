//! Who sits on a seat of a ring for many, as one word.
//!
//! ```text
//!  63         40 39        8 7      4 3      0
//! |      0      | generation |  role  | status |       all zero: nobody ever sat here
//!
//! ABSENT --join--> ATTACHED(g) --close--> CLOSED(g) --join--> ATTACHED(g + 1)
//!                  ATTACHED(g) --anyone with a proof of death--> DIED(g) --join--> ATTACHED(g + 1)
//! ```
//!
//! Only the holder of the seat's lock joins and closes. A generation is never used twice: a seat whose generations are spent is left empty for good.

use shm_semaphore::sync::{AtomicU64, Ordering};

use crate::error::Corruption;
use crate::role::Role;

const ROLE_SHIFT: u32 = 4;
const GENERATION_SHIFT: u32 = 8;
/// The last one.
const GENERATION_MAX: u64 = u32::MAX as u64;

/// What became of a seat's holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Attendance {
    /// It is attached, and not known to be dead.
    Attached,
    /// It closed its endpoint.
    Closed,
    /// It died without closing.
    Died,
}

/// The word of a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life(pub u64);

impl Life {
    /// Whose seat this is, and what became of its holder; `None` if nobody ever had it.
    pub fn holder(self) -> Result<Option<(Role, Attendance)>, Corruption> {
        let attendance = match self.0 & ((1 << ROLE_SHIFT) - 1) {
            0 => return Ok(None),
            1 => Attendance::Attached,
            2 => Attendance::Closed,
            3 => Attendance::Died,
            _ => return Err(self.corrupt()),
        };
        let role = match self.0 >> ROLE_SHIFT & ((1 << (GENERATION_SHIFT - ROLE_SHIFT)) - 1) {
            0 => Role::Producer,
            1 => Role::Consumer,
            _ => return Err(self.corrupt()),
        };
        Ok(Some((role, attendance)))
    }

    /// The next holder; `None` if no generation is left.
    pub fn next(self, role: Role) -> Option<Self> {
        let generation = self.0 >> GENERATION_SHIFT;
        (generation < GENERATION_MAX).then(|| {
            Self((generation + 1) << GENERATION_SHIFT | role_code(role) << ROLE_SHIFT)
                .with(Attendance::Attached)
        })
    }

    /// The same holder, of whom something has become.
    #[must_use]
    pub fn with(self, attendance: Attendance) -> Self {
        let status = match attendance {
            Attendance::Attached => 1,
            Attendance::Closed => 2,
            Attendance::Died => 3,
        };
        Self(self.0 & !((1 << ROLE_SHIFT) - 1) | status)
    }

    fn corrupt(self) -> Corruption {
        Corruption {
            field: "seat.life",
            found: self.0,
        }
    }
}

fn role_code(role: Role) -> u64 {
    match role {
        Role::Producer => 0,
        Role::Consumer => 1,
    }
}

/// Looks at the word of a seat. What its holder had done before it wrote this is visible.
pub fn seen(word: &AtomicU64) -> Life {
    Life(word.load(Ordering::Acquire)) // edge: life.acquire
}

/// Writes the word of our own seat, in which we have joined or which we leave.
pub fn write(word: &AtomicU64, life: Life) {
    word.swap(life.0, Ordering::Release); // edge: life.release
}

/// Marks a holder as dead who was seen and is proved to be; does nothing if the seat has changed since.
pub fn mark_died(word: &AtomicU64, seen: Life) {
    let died = seen.with(Attendance::Died);
    // An error means that somebody else has marked it, or that a successor joined.
    let _ = word.compare_exchange(
        seen.0,
        died.0,
        Ordering::Relaxed, // Relaxed: what the dead one did is ordered by the lock that it lost
        Ordering::Relaxed, // Relaxed: nothing is concluded from it
    );
}

/// A number that changes after something else did, so that only who sees it change has to look.
pub fn tell(number: &AtomicU64) {
    number.fetch_add(1, Ordering::Release); // edge: told.release
}

/// The number; what it tells of is visible.
#[inline]
pub fn told(number: &AtomicU64) -> u64 {
    number.load(Ordering::Acquire) // edge: told.acquire
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_retired_when_its_generations_are_spent() {
        let last = Life((GENERATION_MAX - 1) << GENERATION_SHIFT)
            .next(Role::Consumer)
            .unwrap();
        assert_eq!(
            last.holder(),
            Ok(Some((Role::Consumer, Attendance::Attached)))
        );
        assert_eq!(last.with(Attendance::Closed).next(Role::Producer), None);
    }

    #[test]
    fn a_word_that_is_never_written_is_a_corruption() {
        assert_eq!(Life(0).holder(), Ok(None));
        assert!(Life(4).holder().is_err());
        assert!(Life(0x21).holder().is_err());
    }
}
