//! Staying away from a line that the other side is about to write.
//!
//! A side that has caught up with a running peer and looks at once for the next message takes the cache line away from the peer at every single
//! message: each costs a transfer there and one back, and both sides run at a tenth of their speed. If it looks away for a moment instead, the
//! peer gets ahead, and the next look finds many messages. But a side whose peer sends one message and then waits for the answer must look
//! all the time.
//!
//! What tells them apart is how many messages were there between two moments of running dry. A peer that waits for answers never leaves more than
//! one; then nothing is ever paused. When there were two or more, a pause is tried, and it is kept for as long as it pays: as long as messages
//! keep coming closer together than a line can travel.

use shm_semaphore::Deadline;

/// The first pause that is tried, in nanoseconds: some ten transfers of a line.
const PAUSE_NS_MIN: u64 = 600;
/// The longest pause.
const PAUSE_NS_MAX: u64 = 2_400;
/// A pause pays if so many messages came meanwhile: fewer would have come one by one as fast.
const BURST_MIN: u64 = 8;
/// A longer pause is tried while fewer came than this.
const BURST_WANTED: u64 = 128;
/// After a pause that did not pay, so many waits go by before the next is tried.
const COOLDOWN_WAITS: u32 = 64;

/// What a side has learnt about its peer's pace.
#[derive(Debug, Default)]
pub struct CatchUp {
    /// The present pause; zero if none pays.
    pause_ns: u64,
    cooldown: u32,
}

impl CatchUp {
    /// Has run dry after `burst` messages since the last time: pauses, if that may pay.
    pub fn pause(&mut self, burst: u64) {
        self.adapt(burst);
        if self.pause_ns > 0 {
            let until_ns = Deadline::now().as_monotonic_ns() + self.pause_ns;
            // Reading the clock is the pause: it takes a few tens of nanoseconds and touches no shared line.
            while Deadline::now().as_monotonic_ns() < until_ns {}
        }
    }

    fn adapt(&mut self, burst: u64) {
        if self.pause_ns == 0 {
            self.cooldown = self.cooldown.saturating_sub(1);
            if burst >= 2 && self.cooldown == 0 {
                self.pause_ns = PAUSE_NS_MIN;
            }
        } else if burst < BURST_MIN {
            self.pause_ns = 0;
            self.cooldown = COOLDOWN_WAITS;
        } else if burst < BURST_WANTED {
            self.pause_ns = (self.pause_ns * 2).min(PAUSE_NS_MAX);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn after(bursts: impl IntoIterator<Item = u64>) -> CatchUp {
        let mut catch_up = CatchUp::default();
        bursts.into_iter().for_each(|burst| catch_up.adapt(burst));
        catch_up
    }

    #[test]
    fn a_peer_that_waits_for_answers_never_causes_a_pause() {
        assert_eq!(after(std::iter::repeat_n(1, 10_000)).pause_ns, 0);
    }

    #[test]
    fn a_running_peer_causes_pauses_that_grow_up_to_a_limit() {
        assert_eq!(after([2]).pause_ns, PAUSE_NS_MIN);
        assert_eq!(after([2, 50]).pause_ns, 2 * PAUSE_NS_MIN);
        assert_eq!(after([2, 50, 50, 50, 50]).pause_ns, PAUSE_NS_MAX);
        assert_eq!(after([2, 1_000]).pause_ns, PAUSE_NS_MIN);
    }

    #[test]
    fn a_pause_that_does_not_pay_is_given_up_for_a_while() {
        assert_eq!(after([2, 3]).pause_ns, 0);
        assert_eq!(after([2, 3, 2, 2, 2]).pause_ns, 0);
        assert_eq!(
            after([2, 3].into_iter().chain([2; 64])).pause_ns,
            PAUSE_NS_MIN
        );
    }
}
