//! What a participant knows of itself.

use std::cell::Cell as Own;

use super::core::{Account, Change, Direction, Refused};
use super::word::{HELD_MAX, Intent, Record, State, Tally};
use crate::sync::Ordering;

/// So many changes in a row, with nobody in between, before a participant takes a semaphore for itself. Taking it away again costs as much as
/// a few thousand changes in the shared state do.
const STREAK_MIN: u32 = 1 << 10;
/// The same for one from whom it was often taken away.
const STREAK_MAX: u32 = 1 << 20;

/// A state that does not occur: a shared one has no such actor without an operation, and a biased one has its lowest bit set.
const NO_BIAS: State = State(u64::MAX << 1);

/// A participant, seen from inside: not shared with anybody, so a thread's own.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Member<'a> {
    /// Its place in the table.
    pub(crate) index: usize,
    /// What others see of it.
    pub(crate) account: &'a Account,
    /// Its last operation, and what it owns. Two cells, so that each is read as it was written: a load of half a word that was stored in one piece a
    /// moment ago is slow on some processors.
    op: Own<u32>,
    held: Own<u32>,
    /// The state that says that we have the semaphore to ourselves; never that of a semaphore that we share.
    bias: Own<State>,
    /// What there is in it, if so. Two cells, since each change writes one of them; and not side by side, or a compiler reads
    /// both in one piece that was not stored in one piece, which is slow.
    taken: Own<u64>,
    /// Whether others could take it away from us again.
    may_bias: bool,
    /// Whether permits can be owned, so that each of its changes is accounted for, also of permits that nobody owns.
    accounts: bool,
    /// Changes in a row, and how many it takes.
    streak: Own<u32>,
    streak_wanted: Own<u32>,
    /// The state as we left it.
    last_left: Own<State>,
    given: Own<u64>,
}

impl<'a> Member<'a> {
    /// A participant that goes on where the record of its seat ends.
    pub(crate) fn new(index: usize, account: &'a Account, may_bias: bool, accounts: bool) -> Self {
        // Relaxed: only the holder of a seat writes here, and its predecessor was recovered.
        let record = Record::from_bits(account.record.load(Ordering::Relaxed));
        Self {
            index,
            account,
            op: Own::new(record.op),
            held: Own::new(record.held),
            bias: Own::new(NO_BIAS),
            taken: Own::new(0),
            given: Own::new(0),
            may_bias,
            accounts,
            streak: Own::new(0),
            streak_wanted: Own::new(STREAK_MIN),
            last_left: Own::new(State(0)),
        }
    }

    /// Whether its changes are accounted for.
    #[inline]
    pub(crate) fn accounts(&self) -> bool {
        self.accounts
    }

    #[inline]
    pub(crate) fn op(&self) -> u32 {
        self.op.get()
    }

    #[inline]
    pub(crate) fn held(&self) -> u32 {
        self.held.get()
    }

    /// Notes an operation of ours.
    #[inline]
    pub(crate) fn did(&self, record: Record) {
        self.op.set(record.op);
        self.held.set(record.held);
    }

    /// Notes an operation of ours that came to pass, where others see it too; true, for a chain of conditions.
    #[inline]
    pub(crate) fn record(&self, record: Record) -> bool {
        // Relaxed: the next exchange publishes it. Others write here the same value, or nothing.
        let word = &self.account.record;
        word.store(record.to_bits(), Ordering::Relaxed); // own word
        self.did(record);
        true
    }

    /// What it owns after a change, if so much is possible.
    pub(crate) fn held_after(&self, change: Change) -> Result<u32, Refused> {
        let held = self.held();
        let after = held.checked_add_signed(change.held_change());
        let max = HELD_MAX - held;
        let after = after.filter(|&after| after <= HELD_MAX);
        after.ok_or(Refused::TooMany { max })
    }

    /// Says what we are about to do; the record of it once it is done.
    pub(crate) fn announce(&self, change: Change) -> Result<Record, Refused> {
        let held = self.held_after(change)?;
        let intent = Intent {
            op: self.op().wrapping_add(1),
            held_change: change.held_change(),
        };
        self.account
            .intent
            .store(intent.to_bits(), Ordering::Release); // edge: intent.release
        Ok(Record {
            op: intent.op,
            available: 0,
            held,
        })
    }

    /// The state that says that we have the semaphore to ourselves, unless we know better.
    #[inline]
    pub(crate) fn bias(&self) -> Option<State> {
        let bias = self.bias.get();
        (bias != NO_BIAS).then_some(bias)
    }

    /// What there is in it, if so.
    #[inline]
    pub(crate) fn tally(&self) -> Tally {
        Tally {
            taken: self.taken.get(),
            given: self.given.get(),
        }
    }

    /// Notes a change in it.
    #[inline]
    pub(crate) fn grow_tally(&self, direction: Direction, grown: u64) {
        match direction {
            Direction::Take => self.taken.set(grown),
            Direction::Give => self.given.set(grown),
        }
    }

    pub(crate) fn begin_bias(&self, bias: State, tally: Tally) {
        self.bias.set(bias);
        self.taken.set(tally.taken);
        self.given.set(tally.given);
    }

    pub(crate) fn end_bias(&self) {
        self.bias.set(NO_BIAS);
    }

    /// It was taken away: wait for longer the next time.
    pub(crate) fn was_revoked(&self) {
        self.streak.set(0);
        let wanted = self.streak_wanted.get().saturating_mul(2);
        self.streak_wanted.set(wanted.min(STREAK_MAX));
    }

    /// Notes a change that we made in the shared state; true, for a chain of conditions.
    pub(crate) fn left(&self, seen: State, next: State) -> bool {
        let alone = seen == self.last_left.get();
        self.streak.set(if alone {
            self.streak.get().saturating_add(1)
        } else {
            0
        });
        self.last_left.set(next);
        true
    }

    /// Whether to take the semaphore for ourselves.
    #[inline]
    pub(crate) fn wants_bias(&self, seen: State) -> bool {
        self.may_bias
            && self.streak.get() >= self.streak_wanted.get()
            && seen.may_be_biased()
            && seen.permits() <= HELD_MAX
    }

    /// Makes the next change take the semaphore.
    #[cfg(loom)]
    pub(crate) fn want_bias_now(&self) {
        self.streak_wanted.set(0);
    }
}
