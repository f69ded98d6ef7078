//! Dropping what dead consumers had taken, and counting it exactly once, whoever is killed over it.
//!
//! ```text
//!  63      32 31      0
//! |  count   |   tag   |     tag: the low bits of the position that was counted last
//! ```
//!
//! A message is condemned by a mark in its cell, then counted, then freed. Whoever finds it in between, left by someone who is dead, goes on from there: the tag
//! says whether it was counted. So the tag must not change before its message is freed: whoever counts another one frees that one first. And since the exchange is
//! made from a word that was read before the message was seen to be there still, it fails if somebody else has counted it meanwhile.
//!
//! The tag has 32 bits: of two messages that are dropped one right after the other and lie a multiple of 2³² positions apart, the second is not counted.

use shm_semaphore::sync::Ordering;

use super::cell::Kind;
use super::consumer::Taken;
use super::member::{Member, ROUNDS_MAX};
use super::storage::Cells;
use crate::protocol::position::Position;

const TAG_BITS: u32 = 32;

/// How many were dropped.
pub fn count_of(word: u64) -> u64 {
    word >> TAG_BITS
}

fn tag_of(position: Position) -> u64 {
    position.0 & ((1 << TAG_BITS) - 1)
}

impl<S: Cells> Member<S> {
    /// Drops a message that no living participant can have: condemns, counts and frees it.
    pub(super) fn drop_message(&self, taken: Taken) {
        let condemned = taken.cell.condemned();
        let is_marked =
            taken.cell == condemned || self.exchange(taken.position, taken.cell, condemned).is_ok();
        if is_marked {
            self.count_and_free(Taken {
                cell: condemned,
                ..taken
            });
        }
    }

    fn count_and_free(&self, taken: Taken) {
        let word = self.cells().dropped();
        for _ in 0..ROUNDS_MAX {
            let seen = word.load(Ordering::Acquire); // edge: dropped.acquire
            let tag = seen & ((1 << TAG_BITS) - 1);
            if seen != 0 && tag == tag_of(taken.position) {
                return self.free_dropped(taken);
            }
            if seen != 0 {
                self.free_counted(tag, taken.position);
            }
            if self.look(taken.position) != taken.cell {
                return;
            }
            let next = (count_of(seen) + 1) << TAG_BITS | tag_of(taken.position);
            let counted = word.compare_exchange(
                seen,
                next,
                Ordering::Release, // edge: dropped.release
                Ordering::Relaxed, // Relaxed: it is looked at anew
            );
            if counted.is_ok() {
                return self.free_dropped(taken);
            }
        }
        // Others were faster all the time: the message stays condemned, for whoever comes by next.
    }

    fn free_dropped(&self, taken: Taken) {
        // False means that somebody else has freed it.
        self.free_message(taken.position, taken.cell);
    }

    /// Frees the message that was counted last, if it is still there.
    fn free_counted(&self, tag: u64, near: Position) {
        let capacity = self.capacity().get();
        let same_index = near.plus((tag.wrapping_sub(near.0)) & (capacity - 1));
        let cell = self.look(same_index);
        let position = cell.position_near(same_index, self.capacity());
        let is_condemned = cell.kind() == Ok(Kind::Ready) && cell.is_condemned();
        if is_condemned && tag_of(position) == tag {
            // False means that somebody else has freed it.
            self.free_message(position, cell);
        }
    }
}
