//! The words of a semaphore, bit by bit.
//!
//! ```text
//! state, shared:    op:26  actor:10  permits:24        plain  reserved  waiting   0
//! state, biased:    op:26  actor:10  0                 0      0         revoking  1
//! record:           op:32            available:16      held:16
//! intent:           op:32            change of held:32 (signed)
//! taken, given:     all:32           owned:32
//! reservation:      until:32         since:32          (both in units of 2^16 ns, and never both 0 while it stands)
//! ```
//!
//! `actor` is the number of a participant plus one, or 0 for a change that nobody needs to account for. `op` counts the operations of a
//! participant; the state carries its lowest bits.

/// The most permits that a state counts.
pub(crate) const PERMITS_MAX: u32 = (1 << 24) - 1;
/// The most participants.
pub(crate) const PARTICIPANTS_MAX: u32 = (1 << 10) - 1;
/// The most permits that one participant can own, and the most that a biased semaphore has.
pub(crate) const HELD_MAX: u32 = u16::MAX as u32;

const BIASED: u64 = 1;
/// Of a shared state: somebody may be asleep.
const WAITING: u64 = 1 << 1;
/// Of a biased state: its owner is to lose it.
const REVOKING: u64 = 1 << 1;
/// A waiter has reserved the next permits.
const RESERVED: u64 = 1 << 2;
/// Never to be biased: some participant can't revoke.
const PLAIN: u64 = 1 << 3;
const PERMITS_SHIFT: u32 = 4;
const ACTOR_SHIFT: u32 = 28;
const OP_SHIFT: u32 = 38;
const OP_BITS: u32 = 64 - OP_SHIFT;

/// Who changed the state last, and with which of its operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Actor {
    /// The participant.
    pub(crate) index: usize,
    /// The lowest bits of the operation's number.
    pub(crate) op: u32,
}

impl Actor {
    pub(crate) fn new(index: usize, op: u32) -> Self {
        Self {
            index,
            op: op & ((1 << OP_BITS) - 1),
        }
    }

    /// Whether this is the operation of that number.
    pub(crate) fn is_op(self, op: u32) -> bool {
        self == Self::new(self.index, op)
    }

    fn to_bits(self) -> u64 {
        (self.index as u64 + 1) << ACTOR_SHIFT | u64::from(self.op) << OP_SHIFT
    }
}

/// The word that every change goes through.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct State(pub(crate) u64);

impl State {
    /// A shared state with so many permits that nobody waits for.
    pub(crate) fn shared(permits: u32) -> Self {
        Self(u64::from(permits) << PERMITS_SHIFT)
    }

    /// The shared state in which a bias ends. It bears the name of that operation, as every state does that an operation made: so none is ever
    /// there twice.
    pub(crate) fn unbiased(owner: Actor, permits: u32) -> Self {
        Self(Self::shared(permits).0 | owner.to_bits())
    }

    /// The state that belongs to one participant alone, for the length of one long operation.
    pub(crate) fn biased(owner: Actor) -> Self {
        Self(owner.to_bits() | BIASED)
    }

    #[inline]
    pub(crate) fn is_biased(self) -> bool {
        self.0 & BIASED != 0
    }

    pub(crate) fn is_revoking(self) -> bool {
        self.is_biased() && self.0 & REVOKING != 0
    }

    pub(crate) fn revoking(self) -> Self {
        Self(self.0 | REVOKING)
    }

    /// Of a shared state.
    #[inline]
    pub(crate) fn permits(self) -> u32 {
        (self.0 >> PERMITS_SHIFT) as u32 & PERMITS_MAX
    }

    /// So many permits more than it has; they fit.
    #[inline]
    pub(crate) fn plus(self, permits: u32) -> Self {
        Self(self.0 + (u64::from(permits) << PERMITS_SHIFT))
    }

    /// So many permits fewer; there are as many.
    #[inline]
    pub(crate) fn minus(self, permits: u32) -> Self {
        Self(self.0 - (u64::from(permits) << PERMITS_SHIFT))
    }

    /// The same flags, with other permits, changed by `actor`.
    pub(crate) fn changed(self, permits: u32, actor: Option<Actor>) -> Self {
        let flags = self.0 & (WAITING | RESERVED | PLAIN);
        let actor = actor.map_or(0, Actor::to_bits);
        Self(flags | u64::from(permits) << PERMITS_SHIFT | actor)
    }

    /// Who changed it last, if that one accounts for it.
    pub(crate) fn actor(self) -> Option<Actor> {
        let index = (self.0 >> ACTOR_SHIFT) as usize & PARTICIPANTS_MAX as usize;
        Some(Actor {
            index: index.checked_sub(1)?,
            op: (self.0 >> OP_SHIFT) as u32,
        })
    }

    /// Shared, reserved for nobody, and with nothing left to account for.
    #[inline]
    pub(crate) fn is_simple(self) -> bool {
        self.0 & (BIASED | RESERVED) == 0 && (self.0 >> ACTOR_SHIFT) == 0
    }

    /// The same where the last change was that participant's own, who has accounted for it.
    #[inline]
    pub(crate) fn is_simple_for(self, index: usize) -> bool {
        self.0 & (BIASED | RESERVED) == 0
            && (self.0 >> ACTOR_SHIFT) & u64::from(PARTICIPANTS_MAX) == index as u64 + 1
    }

    pub(crate) fn is_waiting(self) -> bool {
        !self.is_biased() && self.0 & WAITING != 0
    }

    pub(crate) fn is_reserved(self) -> bool {
        !self.is_biased() && self.0 & RESERVED != 0
    }

    /// Shared, with nothing said but the permits and who changed them.
    pub(crate) fn may_be_biased(self) -> bool {
        self.0 & (BIASED | WAITING | RESERVED | PLAIN) == 0
    }

    pub(crate) fn is_plain(self) -> bool {
        !self.is_biased() && self.0 & PLAIN != 0
    }

    #[cfg(not(loom))]
    pub(crate) fn plain(self) -> Self {
        Self(self.0 | PLAIN)
    }

    pub(crate) fn waiting(self) -> Self {
        Self(self.0 | WAITING)
    }

    pub(crate) fn not_waiting(self) -> Self {
        Self(self.0 & !WAITING)
    }

    pub(crate) fn reserved(self) -> Self {
        Self(self.0 | RESERVED)
    }

    pub(crate) fn not_reserved(self) -> Self {
        Self(self.0 & !RESERVED)
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("State");
        if self.is_biased() {
            shown
                .field("biased", &self.actor())
                .field("revoking", &self.is_revoking());
        } else {
            shown
                .field("permits", &self.permits())
                .field("waiting", &self.is_waiting())
                .field("reserved", &self.is_reserved())
                .field("plain", &self.is_plain())
                .field("actor", &self.actor());
        }
        shown.finish()
    }
}

/// What a participant has: the outcome of all its operations up to `op`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    /// Operations that are accounted for.
    pub(crate) op: u32,
    /// Permits that were free when a bias ended.
    pub(crate) available: u32,
    /// Permits that it owns.
    pub(crate) held: u32,
}

impl Record {
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self {
            op: (bits >> 32) as u32,
            available: (bits >> 16) as u32 & HELD_MAX,
            held: bits as u32 & HELD_MAX,
        }
    }

    #[inline]
    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.op) << 32 | u64::from(self.available) << 16 | u64::from(self.held)
    }
}

/// What a participant is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Intent {
    /// The number of the operation.
    pub(crate) op: u32,
    /// By how many permits it changes what the participant owns.
    pub(crate) held_change: i32,
}

impl Intent {
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self {
            op: (bits >> 32) as u32,
            held_change: bits as u32 as i32,
        }
    }

    #[inline]
    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.op) << 32 | u64::from(self.held_change as u32)
    }
}

/// What has been taken and given while one participant has the semaphore to itself.
///
/// Two words that only grow, and not one that goes up and down: so a take does not have to wait for the store of the
/// give before it, and the price of a pair of them is that of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Permits taken, and those of them that are owned.
    pub(crate) taken: u64,
    /// Permits given, and those of them that were owned.
    pub(crate) given: u64,
}

/// A tally that has counted so many owned permits is at its end; a new one begins at zero.
const OWNED_COUNT_MAX: u32 = u32::MAX >> 2;

fn total(word: u64) -> u32 {
    (word >> 32) as u32
}

fn owned(word: u64) -> u32 {
    word as u32
}

impl Tally {
    /// As a bias begins.
    pub(crate) fn new(available: u32, held: u32) -> Self {
        Self {
            taken: u64::from(held),
            given: u64::from(available) << 32,
        }
    }

    /// Free permits.
    ///
    /// Of the whole words, and not of their upper halves: a load of half a word that was stored in one piece a moment ago is slow on some
    /// processors. What is added keeps the lower halves, of which the first is never the larger one, from borrowing.
    #[inline]
    pub(crate) fn available(self) -> u32 {
        let lower_half = u64::from(u32::MAX);
        total(self.given.wrapping_add(lower_half).wrapping_sub(self.taken))
    }

    /// Permits that the participant owns.
    #[inline]
    pub(crate) fn held(self) -> u32 {
        owned(self.taken).wrapping_sub(owned(self.given))
    }

    /// What has been taken, after so many more of which some are owned; `None` if there are fewer, or it would own too many.
    ///
    /// The lower half never runs over into the upper one: a tally that has counted so many ends before.
    #[inline]
    pub(crate) fn taking(self, count: u32, owned_count: u32) -> Option<u64> {
        let taken = self
            .taken
            .wrapping_add(u64::from(count) << 32 | u64::from(owned_count));
        let fits = owned_count == 0
            || owned(taken).wrapping_sub(owned(self.given)) <= HELD_MAX
                && owned(taken) <= OWNED_COUNT_MAX;
        (count <= self.available() && fits).then_some(taken)
    }

    /// What has been given, after so many more of which some were owned; `None` if there would be too many, or so many were not owned.
    #[inline]
    pub(crate) fn giving(self, count: u32, owned_count: u32) -> Option<u64> {
        let given = self
            .given
            .wrapping_add(u64::from(count) << 32 | u64::from(owned_count));
        let fits =
            owned_count == 0 || owned_count <= self.held() && owned(given) <= OWNED_COUNT_MAX;
        (count.saturating_add(self.available()) <= HELD_MAX && fits).then_some(given)
    }

    /// Whether a correct participant could have written it.
    pub(crate) fn is_possible(self) -> bool {
        self.available() <= HELD_MAX && self.held() <= HELD_MAX
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_state_keeps_its_fields_apart() {
        let actor = Actor::new(PARTICIPANTS_MAX as usize - 1, u32::MAX);
        let full = State::shared(0).waiting().reserved().plain();
        let full = full.changed(PERMITS_MAX, Some(actor));
        assert_eq!(full.permits(), PERMITS_MAX);
        assert_eq!(full.actor(), Some(actor));
        assert!(full.is_waiting() && full.is_reserved() && full.is_plain() && !full.is_biased());
        assert_eq!(
            full.changed(0, None),
            State::shared(0).waiting().reserved().plain()
        );
        let biased = State::biased(actor);
        assert!(biased.is_biased() && !biased.is_revoking() && biased.revoking().is_revoking());
        assert_eq!(biased.revoking().actor(), Some(actor));
        assert_eq!(State(0), State::shared(0));
        assert_eq!(State(0).actor(), None);
    }

    #[test]
    fn the_number_of_an_operation_wraps_in_the_state_only() {
        let actor = Actor::new(3, (1 << OP_BITS) + 5);
        assert!(actor.is_op(5) && actor.is_op((1 << OP_BITS) + 5) && !actor.is_op(6));
    }

    #[test]
    fn the_words_of_a_participant_keep_their_fields_apart() {
        let record = Record {
            op: u32::MAX,
            available: HELD_MAX,
            held: 0,
        };
        assert_eq!(Record::from_bits(record.to_bits()), record);
        let intent = Intent {
            op: 7,
            held_change: -3,
        };
        assert_eq!(Intent::from_bits(intent.to_bits()), intent);
    }

    #[test]
    fn a_tally_counts_across_its_wrap() {
        let mut tally = Tally::new(2, 3);
        assert_eq!((tally.available(), tally.held()), (2, 3));
        tally.taken = tally.taking(2, 1).unwrap();
        assert_eq!((tally.available(), tally.held()), (0, 4));
        assert!(tally.taking(1, 0).is_none() && tally.giving(5, 5).is_none());
        tally.given = tally.giving(4, 4).unwrap();
        assert_eq!((tally.available(), tally.held()), (4, 0));
        let near_wrap = u64::from(u32::MAX) << 32;
        let mut tally = Tally {
            taken: near_wrap,
            given: near_wrap,
        };
        tally.given = tally.giving(5, 0).unwrap();
        assert_eq!((tally.available(), tally.held()), (5, 0));
        assert!(tally.giving(HELD_MAX - 4, 0).is_none());
        let end = u64::from(OWNED_COUNT_MAX);
        let tally = Tally {
            taken: end,
            given: 1 << 32 | end,
        };
        assert!(tally.taking(1, 0).is_some() && tally.taking(1, 1).is_none());
    }
}
