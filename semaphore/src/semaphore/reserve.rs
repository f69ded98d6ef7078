//! Fairness: the next permits for the one who has waited longest.
//!
//! A newcomer may take a permit ahead of a sleeper that was just woken for it: that keeps a busy semaphore fast. But a sleeper that finds nothing when it wakes
//! reserves what comes next. While a reservation stands nobody else gets a permit. An older waiter takes it over from a younger one, so each becomes
//! the oldest in the end, and then the next permits are its own, also if it wants many at once.
//!
//! A reservation is a lease. Its holder renews it whenever it looks, and one that was killed or stopped loses it. Nothing depends on it but
//! the order: permits are taken by the same exchange with it and without it, so a holder that comes back late does no harm.

use super::core::{Core, Refused};
use crate::Deadline;
use crate::futex::Channels;
use crate::sync::Ordering;

/// A tick is 2^16 ns, 66 us: 32 bits of them last for 78 hours, and only differences are looked at.
const TICK_BITS: u32 = 16;
/// How long a reservation stands that is not renewed: 75 ms.
const LEASE_TICKS: u32 = 75_000_000 >> TICK_BITS;
/// The channel of the one who has the reservation; the others sleep on all the rest.
pub(crate) const HOLDER: Channels = Channels::of(1 << 31);
pub(crate) const OTHERS: Channels = Channels::of(!(1 << 31));

/// A moment, in ticks of the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticks(pub(crate) u32);

impl Ticks {
    pub(crate) fn now() -> Self {
        // Models have no clock: no lease ever runs out there, and all waiters are of one age.
        Self(if cfg!(loom) {
            1
        } else {
            (Deadline::now().as_monotonic_ns() >> TICK_BITS) as u32
        })
    }

    pub(crate) fn is_before(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }

    pub(crate) fn plus(self, ticks: u32) -> Self {
        Self(self.0.wrapping_add(ticks))
    }
}

/// Who comes next: known by when it began to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reservation {
    since: Ticks,
    until: Ticks,
}

impl Reservation {
    fn from_bits(bits: u64) -> Option<Self> {
        (bits != 0).then_some(Self {
            since: Ticks(bits as u32),
            until: Ticks((bits >> 32) as u32),
        })
    }

    fn to_bits(self) -> u64 {
        u64::from(self.until.0) << 32 | u64::from(self.since.0)
    }

    /// Whether it is over, or lasts longer than any that is made by a clock like ours.
    fn has_lapsed(self, now: Ticks) -> bool {
        self.until.is_before(now) || now.plus(2 * LEASE_TICKS).is_before(self.until)
    }

    /// One that begins or is renewed now.
    fn made_at(now: Ticks, since: Ticks) -> Self {
        Self {
            since,
            // Odd, so that the word is never zero.
            until: Ticks(now.plus(LEASE_TICKS).0 | 1),
        }
    }
}

impl Core<'_> {
    fn reservation_bits(self) -> u64 {
        // Relaxed, as is all in this file: it decides about the order only.
        self.words.reservation.load(Ordering::Relaxed)
    }

    fn exchange_reservation(self, seen: u64, next: u64) -> bool {
        let exchanged = self.words.reservation.compare_exchange(
            seen,
            next,
            Ordering::Relaxed, // Relaxed, both: it decides about the order only
            Ordering::Relaxed, // Relaxed: as above
        );
        exchanged.is_ok()
    }

    /// Reserves, or renews the reservation that we hold, unless an older waiter has it.
    pub(crate) fn reserve(self, held: Option<Reservation>, since: Ticks) -> Option<Reservation> {
        let now = Ticks::now();
        let own = Reservation::made_at(now, since);
        let bits = self.reservation_bits();
        let may = match Reservation::from_bits(bits) {
            None => true,
            Some(theirs) if Some(theirs) == held => true,
            Some(theirs) => theirs.has_lapsed(now) || since.is_before(theirs.since),
        };
        (may && self.exchange_reservation(bits, own.to_bits())).then_some(own)
    }

    /// Whether the reservation that we hold still stands.
    pub(crate) fn still_holds(self, held: Option<Reservation>) -> bool {
        held.is_some_and(|held| held.to_bits() == self.reservation_bits())
    }

    /// Gives a reservation back, and what there is to those who were kept from it.
    pub(crate) fn resign(self, held: Reservation) -> Result<(), Refused> {
        if self.exchange_reservation(held.to_bits(), 0) {
            self.end_reservation()?;
        }
        Ok(())
    }

    /// Ends the reservation of one that does not renew it. Says whether there is none any more.
    pub(crate) fn end_lapsed_reservation(self) -> Result<bool, Refused> {
        let bits = self.reservation_bits();
        if let Some(theirs) = Reservation::from_bits(bits)
            && (!theirs.has_lapsed(Ticks::now()) || !self.exchange_reservation(bits, 0))
        {
            return Ok(false);
        }
        self.end_reservation()?;
        Ok(true)
    }

    /// Takes the mark out of the state, and tells the others.
    fn end_reservation(self) -> Result<(), Refused> {
        loop {
            let seen = self.load();
            if !seen.is_reserved() {
                return Ok(());
            }
            if self.replace(seen, seen.not_reserved()) {
                if seen.permits() > 0 && seen.is_waiting() {
                    self.tell(seen.not_reserved(), seen.permits());
                }
                return Ok(());
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::core::Words;
    use super::*;

    fn waiting_since(ticks: u32) -> Ticks {
        Ticks(Ticks::now().0.wrapping_sub(ticks))
    }

    #[test]
    fn the_oldest_waiter_has_the_reservation() {
        let words = Words::new(0);
        let core = Core {
            words: &words,
            participants: &[],
        };
        let young = core.reserve(None, waiting_since(100)).unwrap();
        assert!(core.reserve(None, waiting_since(50)).is_none());
        let old = core.reserve(None, waiting_since(1000)).unwrap();
        assert!(!core.still_holds(Some(young)) && core.still_holds(Some(old)));
        let renewed = core.reserve(Some(old), waiting_since(1000)).unwrap();
        assert!(core.still_holds(Some(renewed)));
        core.resign(renewed).unwrap();
        assert!(core.reserve(None, waiting_since(0)).is_some());
    }

    #[test]
    fn a_lease_that_is_not_renewed_runs_out() {
        let words = Words::new(0);
        let core = Core {
            words: &words,
            participants: &[],
        };
        let long_ago = Reservation::made_at(waiting_since(2 * LEASE_TICKS), waiting_since(9999));
        words
            .reservation
            .store(long_ago.to_bits(), Ordering::Relaxed);
        words
            .state
            .store(core.load().reserved().0, Ordering::Relaxed);
        assert!(core.end_lapsed_reservation().unwrap());
        assert!(!core.load().is_reserved());
        core.reserve(None, waiting_since(0)).unwrap();
        assert!(!core.end_lapsed_reservation().unwrap());
    }

    #[test]
    fn a_lease_that_is_far_too_long_is_none() {
        let now = Ticks::now();
        let own = Reservation::made_at(now, now);
        assert!(!own.has_lapsed(now));
        for ahead in [3 * LEASE_TICKS, 1 << 20, u32::MAX >> 1] {
            let until = now.plus(ahead);
            assert!(Reservation { until, ..own }.has_lapsed(now));
        }
    }

    #[test]
    fn ticks_compare_across_their_wrap() {
        assert!(Ticks(u32::MAX).is_before(Ticks(3)) && !Ticks(3).is_before(Ticks(u32::MAX)));
    }
}
