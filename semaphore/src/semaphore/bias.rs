//! A semaphore that one participant has to itself.
//!
//! A thread that uses a semaphore again and again with nobody in between takes it for itself: then a change is a store to a word of its own and a look at
//! the state, without any exchange. Whoever else comes takes it away. Both sides store and then load what the other one stores, and the side that
//! comes seldom pays for the fence of both (see [`membarrier`](crate::membarrier)).
//!
//! ```text
//! owner                                     whoever takes it away
//! B1  taken or given <- one more             R1  state: biased -> revoking
//! B2  light fence                           R2  heavy fence
//! B3  is the state still as it was?         R3  what was taken and given?
//!     yes: done                             R4  record: exchange op -> op + 1, with what there is then
//!     no: R4 with what we stored, then      R5  state: revoking -> shared, with what the record says
//!         look at the record
//! ```
//!
//! Of the two fences one comes first, so either B3 sees R1, or R3 sees B1: a change that its owner took for done is never overlooked. If both see each other,
//! the exchange R4 decides, once, whether the change counts, and the owner reads the outcome. R1 to R5 can be done by anyone, any number of times and halfway, so a
//! killed or stopped participant on either side holds up nobody. A bias is one long operation of its owner: it bears a number, and the record of that number ends it.
//!
//! Source: biased locking (Kawachiya, Koseki, Onodera, OOPSLA 2002) and the asymmetric fences of user-space RCU.

use super::core::{Account, Change, Core, Direction, Refused, Words};
use super::member::Member;
use super::word::{Actor, Record, State, Tally};
use crate::membarrier::{heavy_fence, light_fence};
use crate::sync::Ordering;

/// A record that ends a bias.
fn outcome(op: u32, tally: Tally) -> Record {
    Record {
        op,
        available: tally.available(),
        held: tally.held(),
    }
}

impl Words {
    /// Takes the semaphore for ourselves, if it is still as it was seen; the last operation was accounted for.
    pub(crate) fn start_bias(&self, member: &Member<'_>, seen: State) {
        let tally = Tally::new(seen.permits(), member.held());
        let account = member.account;
        // Relaxed, both: the exchange publishes them.
        account.taken.store(tally.taken, Ordering::Relaxed); // own word
        account.given.store(tally.given, Ordering::Relaxed); // own word
        let bias = State::biased(Actor::new(member.index, member.op().wrapping_add(1)));
        if self.replace(seen, bias) {
            member.begin_bias(bias, tally);
        }
    }

    /// A change in a semaphore that is ours. False if it is not any more, and nothing has changed.
    #[expect(
        clippy::inline_always,
        reason = "three words are read and one is written; a call costs as much again"
    )]
    #[inline(always)]
    pub(crate) fn change_biased(&self, member: &Member<'_>, bias: State, change: Change) -> bool {
        let Some(grown) = change.applied_to_tally(member.tally()) else {
            return self.give_up_bias(member);
        };
        match change.direction {
            // Relaxed: who takes permits has nothing to show to others; that it did is what the fence is for.
            Direction::Take => member.account.taken.store(grown, Ordering::Relaxed), // own word
            Direction::Give => member.account.given.store(grown, Ordering::Release), // edge: bias.release
        }
        light_fence();
        // Relaxed: the fence orders it after the store, and whoever takes the semaphore away has its own.
        if self.state.load(Ordering::Relaxed) == bias.0 {
            member.grow_tally(change.direction, grown);
            return true;
        }
        self.lost_bias_during(member, change.direction, grown)
    }

    /// Where all share it there is more room, and a way to wait.
    #[cold]
    fn give_up_bias(&self, member: &Member<'_>) -> bool {
        if self.lose_bias(member).is_err() {
            // It shows again where all share it, and can be told there.
            member.end_bias();
        }
        false
    }

    /// Another one came during a change of ours: whether it counts.
    #[cold]
    fn lost_bias_during(&self, member: &Member<'_>, direction: Direction, grown: u64) -> bool {
        member.was_revoked();
        let Some(bias) = member.bias() else {
            return false;
        };
        member.grow_tally(direction, grown);
        let tally = member.tally();
        match self.end_bias(member, bias, tally) {
            Ok(record) => record == outcome(record.op, tally),
            Err(_) => self.give_up_bias(member),
        }
    }

    /// Gives up what another one may have taken away from us meanwhile.
    #[inline]
    pub(crate) fn lose_bias(&self, member: &Member<'_>) -> Result<(), Refused> {
        let Some(bias) = member.bias() else {
            return Ok(());
        };
        self.end_bias(member, bias, member.tally()).map(drop)
    }

    /// Ends a bias of ours with `tally`, unless another one has ended it before; what it ended with.
    #[cold]
    fn end_bias(&self, member: &Member<'_>, bias: State, tally: Tally) -> Result<Record, Refused> {
        let account = member.account;
        let op = member.op().wrapping_add(1);
        // Relaxed: the exchange checks it.
        let before = Record::from_bits(account.record.load(Ordering::Relaxed));
        if before.op == member.op() {
            record_outcome(account, before, outcome(op, tally));
        }
        // Relaxed: what another one recorded here it has from us.
        let found = account.record.load(Ordering::Relaxed);
        let record = Record::from_bits(found);
        if record.op != op {
            let field = "participant.record";
            return Err(Refused::Corrupt { field, found });
        }
        let shared = State::unbiased(Actor::new(member.index, op), record.available);
        let _ = self.replace(bias, shared) || self.replace(bias.revoking(), shared);
        member.end_bias();
        member.did(record);
        Ok(record)
    }
}

/// Says how a bias ended, unless another one was first.
fn record_outcome(account: &Account, before: Record, outcome: Record) {
    // If it fails, another one was first, and what that one recorded counts.
    let _ = account.record.compare_exchange(
        before.to_bits(),
        outcome.to_bits(),
        Ordering::Release, // edge: bias_record.release
        Ordering::Relaxed, // Relaxed: the caller looks again
    );
}

impl Core<'_> {
    /// Takes a semaphore from the one that has it to itself, or finishes what another one began.
    #[cold]
    pub(crate) fn settle(self, seen: State) -> Result<(), Refused> {
        self.settle_with(seen, heavy_fence)
    }

    /// The same, with another way to be sure of what the owner has stored: its death, for one. Without such a way the owner is asked to
    /// give it up, and does so when it looks next.
    pub(crate) fn settle_with(
        self,
        seen: State,
        fence: impl FnOnce() -> bool,
    ) -> Result<(), Refused> {
        let found = seen.0;
        let field = "state.actor";
        let owner = seen.actor().ok_or(Refused::Corrupt { field, found })?;
        let account = self.account(owner.index)?;
        let revoking = seen.revoking();
        if !seen.is_revoking() && !self.replace(seen, revoking) {
            return Ok(());
        }
        if !fence() {
            return Err(Refused::CannotRevoke);
        }
        let tally = Tally {
            // Relaxed: the fence orders it, and it shows nothing else.
            taken: account.taken.load(Ordering::Relaxed),
            given: account.given.load(Ordering::Acquire), // edge: bias.acquire
        };
        // Relaxed: the exchange checks it.
        let before = Record::from_bits(account.record.load(Ordering::Relaxed));
        let op = before.op.wrapping_add(1);
        if owner.is_op(op) {
            if !tally.is_possible() {
                return self.corrupt_if_still(revoking, "participant.taken", tally.taken);
            }
            record_outcome(account, before, outcome(op, tally));
        }
        let found = account.record.load(Ordering::Acquire); // edge: bias_record.acquire
        let record = Record::from_bits(found);
        if owner.is_op(record.op) {
            self.replace(revoking, State::unbiased(owner, record.available));
            return Ok(());
        }
        self.corrupt_if_still(revoking, "participant.record", found)
    }

    /// What can't be is a corruption only if nobody has got on meanwhile.
    fn corrupt_if_still(
        self,
        state: State,
        field: &'static str,
        found: u64,
    ) -> Result<(), Refused> {
        // An exchange sees the latest state, and a load may not.
        if self.replace(state, state) {
            return Err(Refused::Corrupt { field, found });
        }
        Ok(())
    }
}
