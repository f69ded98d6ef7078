//! What a dead participant leaves behind.
//!
//! ```text
//! C1  end its bias, record its last operation
//! C2  intent <- op + 1, all that it owned comes back          (exchange)
//! C3  state: exchange; names the dead one and op + 1
//! C4  record <- op + 1, owns nothing                          (exchange)
//! ```
//!
//! It is one more operation of the dead one, done by whoever finds out. All who do write the same values, and C3 can succeed
//! only once: before a state that names the operation is replaced, the operation is recorded, and then there is nothing left to give back. So a
//! recoverer may be killed at any step.

use super::core::{Core, Refused};
use super::word::{Actor, Intent, PERMITS_MAX, Record};
use crate::sync::Ordering;

impl Core<'_> {
    /// Gives back what a dead participant owned, and says how much that was. `is_still_dead` says that the seat was not taken
    /// by another one since the death was proved; it is asked before anything is given back.
    pub(crate) fn recover(
        self,
        index: usize,
        is_still_dead: impl Fn() -> bool,
    ) -> Result<u32, Refused> {
        let account = self.account(index)?;
        loop {
            let seen = self.load();
            let is_named = seen.actor().is_some_and(|actor| actor.index == index);
            // Relaxed: at least as new as what was there when the state was written, which we have acquired.
            let record = Record::from_bits(account.record.load(Ordering::Relaxed));
            if !is_named && record.held == 0 {
                return Ok(0);
            }
            if seen.is_biased() {
                self.settle(seen)?;
                continue;
            }
            if !self.account_for_last(seen, None)? {
                continue;
            }
            // Relaxed: as the one before.
            let record = Record::from_bits(account.record.load(Ordering::Relaxed));
            let intent = account.intent.load(Ordering::Acquire); // edge: intent.acquire
            if record.held == 0 || !is_still_dead() {
                return Ok(0);
            }
            let op = record.op.wrapping_add(1);
            let held_change = -(record.held as i32);
            let wanted = Intent { op, held_change }.to_bits();
            if intent != wanted {
                let exchanged = account.intent.compare_exchange(
                    intent,
                    wanted,
                    Ordering::Release, // edge: intent.release
                    Ordering::Relaxed, // Relaxed: we look again
                );
                if exchanged.is_err() {
                    continue;
                }
            }
            let permits = (seen.permits() + record.held).min(PERMITS_MAX);
            let next = seen.changed(permits, Some(Actor::new(index, op)));
            if self.replace(seen, next) {
                self.account_for_last(next, None)?;
                if seen.is_waiting() {
                    self.tell(seen, record.held);
                }
                return Ok(record.held);
            }
        }
    }
}
