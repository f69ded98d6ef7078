//! What lies behind an unfinished claim, for a call whose time is up.

use super::patience::LOOKS_UNASKED_MAX;
use crate::protocol::multi::member::Member;
use crate::protocol::multi::storage::Cells;
use crate::protocol::position::Position;

/// A search passes so many cells in about the time that one look at the head takes.
pub(super) const CELLS_PER_LOOK: u64 = 64;

/// What a look takes, about.
const LOOK_NS: u64 = 100;
/// Looks that a call takes behind an unfinished claim at most: some 100 ms.
const PATIENT_MAX: u64 = 1 << 20;

/// Looks for a committed message behind the head, and a bound on all the looks that a call takes there. No clock: whoever is stopped here would give up
/// as soon as it goes on.
#[derive(Debug)]
pub(super) struct Behind {
    looks_left: u64,
    /// So many of them are taken even if it is known that somebody living has made the claim.
    patient_left: u64,
    /// Where one was last seen. It is there until the head comes to it, so the next look is one at one cell, however far behind it lies.
    seen_at: Option<Position>,
}

impl Behind {
    /// Looks once.
    pub(super) fn once() -> Self {
        Self::with_looks(1, 0)
    }

    /// For a call that stays until the patience with the claim is over.
    pub(super) fn patient() -> Self {
        Self::with_looks(PATIENT_MAX, PATIENT_MAX)
    }

    /// For a call that stays only until it is known who has made the claim.
    pub(super) fn hurried() -> Self {
        Self::with_looks(LOOKS_UNASKED_MAX.into(), 0)
    }

    /// For a call whose deadline passed so long ago. It was kept from running, maybe all the time from its start, and has not looked at the claim before; if it
    /// is patient for as long again, it comes at most twice as late.
    pub(super) fn late_by_ns(late_ns: u64) -> Self {
        let patient = (late_ns / LOOK_NS).min(PATIENT_MAX);
        Self::with_looks(patient.max(LOOKS_UNASKED_MAX.into()), patient)
    }

    fn with_looks(looks: u64, patient: u64) -> Self {
        Self {
            looks_left: looks,
            patient_left: patient,
            seen_at: None,
        }
    }

    /// Counts looks that the call took elsewhere.
    pub(super) fn spend(&mut self, looks: u64) {
        self.looks_left = self.looks_left.saturating_sub(looks);
        self.patient_left = self.patient_left.saturating_sub(looks);
    }

    /// Whether it goes on although somebody living has made the claim.
    pub(super) fn is_patient(&self) -> bool {
        self.patient_left > 0
    }

    /// Whether a message is committed behind the head. False as well when all looks are spent; but a search that has begun goes round the whole ring.
    pub(super) fn has_message<C: Cells>(&mut self, member: &Member<C>) -> bool {
        if self.looks_left == 0 {
            return false;
        }
        self.spend(1);
        let head = member.head();
        let claimed = member.tail().distance_from(head);
        let capacity = member.cells().capacity().get();
        if claimed > 2 * capacity {
            // The head has moved meanwhile.
            return false;
        }
        let claimed = claimed.min(capacity);
        let is_ready = |ahead: &u64| member.ready_at(head.plus(*ahead)).is_some();
        let seen = self.seen_at.map(|at| at.distance_from(head));
        if seen.is_some_and(|ahead| ahead < claimed && is_ready(&ahead)) {
            return true;
        }
        let found = (0..claimed).find(is_ready);
        self.spend(found.unwrap_or(claimed) / CELLS_PER_LOOK);
        self.seen_at = found.map(|ahead| head.plus(ahead));
        found.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::multi::producer::Claimed;
    use crate::segment::heap_cells::{HeapCells, Shape};

    /// A claim of so many cells that nobody finishes, and a message behind it.
    fn unfinished(capacity: u64, claimed: u64) -> Member<HeapCells> {
        let cells = HeapCells::new(Shape::new(capacity, 2));
        let mut stopped = Member::new(cells.clone(), 0);
        assert_eq!(
            stopped.claim(claimed, 0, false),
            Ok(Claimed::At(Position(0)))
        );
        let mut other = Member::new(cells, 1);
        let at = Position(claimed);
        assert_eq!(other.claim(1, 0, false), Ok(Claimed::At(at)));
        assert_eq!(other.commit(at, 1, |_| Some(0)), Ok(true));
        other
    }

    /// Looks until no message is found any more.
    fn looks(member: &Member<HeapCells>, behind: &mut Behind) -> usize {
        let finds = |_: &usize| behind.has_message(member);
        (0..10_000).take_while(finds).count()
    }

    #[test]
    fn a_message_is_searched_for_once_and_then_looked_at_where_it_was() {
        let member = unfinished(1024, 10 * CELLS_PER_LOOK);
        let mut behind = Behind::with_looks(1_010, 0);
        assert_eq!(looks(&member, &mut behind), 1_000);
    }

    #[test]
    fn a_single_look_searches_the_whole_ring() {
        let member = unfinished(1024, 1023);
        assert!(Behind::once().has_message(&member));
        assert!(!Behind::with_looks(0, 0).has_message(&member));
    }

    #[test]
    fn the_later_a_call_the_longer_it_is_patient() {
        let patience = |late_ns| Behind::late_by_ns(late_ns).patient_left;
        assert_eq!(patience(0), 0);
        assert_eq!(patience(50 * LOOK_NS), 50);
        assert_eq!(patience(u64::MAX), PATIENT_MAX);
        assert_eq!(Behind::late_by_ns(0).looks_left, LOOKS_UNASKED_MAX.into());
        let mut behind = Behind::late_by_ns(50 * LOOK_NS);
        behind.spend(49);
        assert!(behind.is_patient());
        behind.spend(1);
        assert!(!behind.is_patient());
        assert_eq!(behind.looks_left, u64::from(LOOKS_UNASKED_MAX) - 50);
    }

    #[test]
    fn looks_that_are_taken_elsewhere_count() {
        let member = unfinished(8, 5);
        let mut behind = Behind::with_looks(1_000, 0);
        behind.spend(990);
        assert_eq!(looks(&member, &mut behind), 10);
        behind.spend(1);
        assert_eq!(looks(&member, &mut behind), 0);
    }

    #[test]
    fn a_message_that_was_taken_is_not_found_again() {
        let mut member = unfinished(8, 1);
        let mut behind = Behind::with_looks(1_000, 0);
        assert!(behind.has_message(&member));
        assert!(member.take(Position(0), 2));
        assert!(!behind.has_message(&member));
    }

    #[test]
    fn nothing_is_found_where_nothing_is_committed() {
        let mut member = Member::new(HeapCells::new(Shape::new(8, 1)), 0);
        for _ in 0..4 {
            assert!(!Behind::with_looks(1_000, 0).has_message(&member));
            member.claim(2, 0, false).unwrap();
        }
        assert!(!Behind::with_looks(1_000, 0).has_message(&member));
    }
}
