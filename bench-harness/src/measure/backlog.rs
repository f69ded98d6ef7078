//! Whether a rate is kept: what is due piles up if it isn't.
//!
//! A single message may be late for many reasons that have nothing to do with the rate: a stall, a burst, a core that somebody else took. But a
//! link that keeps the rate has caught up now and then, so that some message is nearly as fast as the fastest ones at the beginning; of one that
//! doesn't every message waits for all that piled up before. So the *fastest* message of the first quarter is compared with the fastest one of
//! the last quarter: by how much it is slower, divided by the time between them, is the share by which the rate is missed. If that is less than
//! there is from one message to the next, in the mean, then nothing has piled up: it is the jitter of a window with few messages. Of a run that was
//! ended early, because it was far too late, the last message stands for the last quarter.

use crate::job::Lateness;

/// Follows the messages of a run in their order.
#[derive(Debug)]
pub struct Backlog {
    seen: u64,
    /// The first quarter has the messages before this one.
    first_end: u64,
    /// The last quarter begins with this message.
    last_begin: u64,
    first: Fastest,
    last: Fastest,
    latest: Fastest,
}

/// The fastest message of a quarter.
#[derive(Debug, Clone, Copy)]
struct Fastest {
    due_ns: u64,
    latency_ns: u64,
}

impl Fastest {
    const NONE: Self = Self {
        due_ns: 0,
        latency_ns: u64::MAX,
    };

    #[inline]
    fn take(&mut self, due_ns: u64, latency_ns: u64) {
        if latency_ns < self.latency_ns {
            *self = Self { due_ns, latency_ns };
        }
    }
}

impl Backlog {
    /// Of a run of so many messages.
    pub fn new(messages: u64) -> Self {
        Self {
            seen: 0,
            first_end: messages.div_ceil(4),
            last_begin: messages - messages / 4,
            first: Fastest::NONE,
            last: Fastest::NONE,
            latest: Fastest::NONE,
        }
    }

    /// How many messages there were so far.
    #[inline]
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Takes the next message.
    #[inline]
    pub fn take(&mut self, due_ns: u64, latency_ns: u64) {
        if self.seen < self.first_end {
            self.first.take(due_ns, latency_ns);
        } else if self.seen >= self.last_begin {
            self.last.take(due_ns, latency_ns);
        }
        self.latest = Fastest { due_ns, latency_ns };
        self.seen += 1;
    }

    /// How fast it fell behind; nothing if there were too few messages to tell.
    pub fn lateness(&self) -> Option<Lateness> {
        let was_cut = self.seen <= self.last_begin;
        let last = if was_cut { self.latest } else { self.last };
        let planned_ns = last.due_ns.checked_sub(self.first.due_ns)?;
        let gap_ns = self.latest.due_ns / self.seen.saturating_sub(1).max(1);
        let slower_ns = last.latency_ns.saturating_sub(self.first.latency_ns);
        (planned_ns > 0).then_some(Lateness {
            planned_ns,
            late_ns: if slower_ns > gap_ns { slower_ns } else { 0 },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The share by which the rate is missed, of 1,000 messages a microsecond apart.
    fn share(latency_ns: impl Fn(u64) -> u64) -> f64 {
        let mut backlog = Backlog::new(1_000);
        for number in 0..1_000 {
            backlog.take(number * 1_000, latency_ns(number));
        }
        let lateness = backlog.lateness().unwrap();
        lateness.late_ns as f64 / lateness.planned_ns as f64
    }

    #[test]
    fn what_takes_a_tenth_longer_than_there_is_misses_the_rate_by_a_tenth() {
        let missed = share(|number| 5_000 + number * 100);
        assert!((missed - 0.1).abs() < 1e-9, "{missed}");
    }

    #[test]
    fn a_stall_that_is_caught_up_is_no_missed_rate_wherever_it_is() {
        for begin in [0, 300, 700, 790] {
            // All that is due within 200 us waits for the end of the stall.
            let stall = begin..begin + 200;
            let missed = share(|number| {
                let waits = stall.contains(&number);
                500 + if waits {
                    (stall.end - number) * 1_000
                } else {
                    0
                }
            });
            assert!(missed < 0.01, "{begin}: {missed}");
        }
    }

    #[test]
    fn jitter_of_less_than_a_gap_is_no_missed_rate_however_few_the_messages() {
        let missed = |later_ns: u64| {
            let mut backlog = Backlog::new(25);
            for number in 0..25 {
                let late_ns = if number > 12 { later_ns } else { 0 };
                backlog.take(number * 1_000_000, 40_000 + late_ns);
            }
            backlog.lateness().unwrap().late_ns
        };
        assert_eq!(missed(900_000), 0);
        assert_eq!(missed(1_100_000), 1_100_000);
    }

    #[test]
    fn a_last_message_that_is_late_is_no_missed_rate() {
        assert!(share(|number| if number == 999 { 900_000 } else { 700 }) < 1e-9);
    }

    #[test]
    fn a_single_message_tells_nothing() {
        for messages in 0..2 {
            let mut backlog = Backlog::new(messages);
            (0..messages).for_each(|number| backlog.take(number * 1_000, 100));
            assert!(backlog.lateness().is_none(), "{messages}");
        }
    }

    #[test]
    fn a_run_that_ended_early_is_judged_by_its_last_message() {
        let mut backlog = Backlog::new(1_000);
        (0..20).for_each(|number| backlog.take(number * 1_000, 500 + number * 9_000));
        let Lateness {
            planned_ns,
            late_ns,
        } = backlog.lateness().unwrap();
        assert_eq!((planned_ns, late_ns), (19_000, 171_000));
    }
}
