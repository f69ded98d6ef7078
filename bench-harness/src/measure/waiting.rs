//! The sender's wait for the moments at which messages are due, and what it takes: that is no cost of the messages.
//!
//! Time on the processor is told by the kernel, and a reading takes a part of a microsecond. So it is read where a wait is long, and well before the
//! message is due. What is left of it, and a short wait as a whole, counts as time on the processor by the clock: if somebody else had the
//! core meanwhile, that is wrong by no more than the length of a short wait.

use super::usage::Used;
use crate::clock::{Clock, Monotonic};

/// A wait that is longer is worth a look at the account of this thread.
const LONG_NS: u64 = 25_000;
/// So long before the end of a long wait the account is read, at the latest.
const LOOK_BEFORE_NS: u64 = 10_000;

/// A clock that tells as well what the thread that looks at it has used so far.
pub trait Meter: Clock {
    /// Take the difference of two moments.
    fn used(&self) -> Used;
}

impl Meter for Monotonic {
    fn used(&self) -> Used {
        Used::so_far()
    }
}

/// Looks at the clock until it shows `due_ns`, and adds what that takes. Returns what it shows then.
#[inline]
pub fn spin_until(meter: &impl Meter, due_ns: u64, waiting: &mut Used) -> u64 {
    let mut looked_ns = meter.now_ns();
    if due_ns.saturating_sub(looked_ns) > LONG_NS {
        looked_ns = spin_long(meter, looked_ns, due_ns - LOOK_BEFORE_NS, waiting);
    }
    let now_ns = spin(meter, due_ns);
    waiting.cpu_ns += now_ns.min(due_ns).saturating_sub(looked_ns);
    now_ns
}

/// The same from a moment on, by the account of the thread.
fn spin_long(meter: &impl Meter, began_ns: u64, until_ns: u64, waiting: &mut Used) -> u64 {
    let before = meter.used();
    // The account is taken somewhere within each of the two readings, so one of them is missing between.
    let reading_ns = meter.now_ns() - began_ns;
    spin(meter, until_ns);
    let after = meter.used();
    let ended_ns = meter.now_ns();
    let cpu_ns = after.cpu_ns.saturating_sub(before.cpu_ns) + reading_ns;
    waiting.cpu_ns += cpu_ns.min(ended_ns - began_ns);
    waiting.switches += after.switches.saturating_sub(before.switches);
    ended_ns
}

#[inline]
fn spin(clock: &impl Clock, until_ns: u64) -> u64 {
    loop {
        let now_ns = clock.now_ns();
        if now_ns >= until_ns {
            return now_ns;
        }
        std::hint::spin_loop();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const READING_NS: u64 = 20;
    const ACCOUNT_NS: u64 = 300;
    const BEGAN_NS: u64 = 1_000_000;

    /// A thread that is taken off its core once, at a moment and for so long.
    struct Thread {
        now_ns: Cell<u64>,
        away: Cell<Option<(u64, u64)>>,
        used: Cell<Used>,
    }

    impl Thread {
        fn new(away: Option<(u64, u64)>) -> Self {
            Self {
                now_ns: Cell::new(BEGAN_NS),
                away: Cell::new(away),
                used: Cell::default(),
            }
        }

        fn work(&self, for_ns: u64) {
            let mut used = self.used.get();
            used.cpu_ns += for_ns;
            self.now_ns.set(self.now_ns.get() + for_ns);
            if let Some((at_ns, away_ns)) = self.away.get()
                && self.now_ns.get() >= at_ns
            {
                self.away.set(None);
                self.now_ns.set(self.now_ns.get() + away_ns);
                used.switches += 1;
            }
            self.used.set(used);
        }

        /// What a wait for so long takes, by its own account and by the one that is kept; and how late it ends.
        fn wait(&self, for_ns: u64) -> (Used, Used, u64) {
            let due_ns = BEGAN_NS + for_ns;
            let mut counted = Used::default();
            let ended_ns = spin_until(self, due_ns, &mut counted);
            (self.used.get(), counted, ended_ns - due_ns)
        }
    }

    impl Clock for Thread {
        fn now_ns(&self) -> u64 {
            self.work(READING_NS);
            self.now_ns.get()
        }
    }

    impl Meter for Thread {
        fn used(&self) -> Used {
            self.work(ACCOUNT_NS / 2);
            let used = self.used.get();
            self.work(ACCOUNT_NS / 2);
            used
        }
    }

    #[test]
    fn a_wait_is_counted_but_for_a_few_looks_at_the_clock() {
        for for_ns in [100, LONG_NS, LONG_NS + 100, 100_000, 50_000_000] {
            let (used, counted, late_ns) = Thread::new(None).wait(for_ns);
            assert!(late_ns < READING_NS, "{late_ns}");
            assert!(counted.cpu_ns <= used.cpu_ns, "{used:?} {counted:?}");
            let missing_ns = used.cpu_ns - counted.cpu_ns;
            assert!(missing_ns <= 3 * READING_NS, "{used:?} {counted:?}");
        }
    }

    #[test]
    fn what_another_had_of_the_core_is_not_counted() {
        const AWAY_NS: u64 = 5_000_000;
        let thread = Thread::new(Some((BEGAN_NS + 40_000, AWAY_NS)));
        let (used, counted, _) = thread.wait(10_000_000);
        assert_eq!((used.switches, counted.switches), (1, 1));
        assert!(used.cpu_ns < 10_000_000 - AWAY_NS + 1_000, "{used:?}");
        assert!(counted.cpu_ns <= used.cpu_ns, "{used:?} {counted:?}");
        assert!(used.cpu_ns - counted.cpu_ns <= 3 * READING_NS);
    }

    #[test]
    fn where_no_account_is_read_the_error_is_a_short_wait_at_most() {
        let thread = Thread::new(Some((BEGAN_NS + 1_000, 5_000_000)));
        let (used, counted, late_ns) = thread.wait(20_000);
        assert!(late_ns > 4_000_000);
        assert!(counted.cpu_ns <= used.cpu_ns + LONG_NS, "{counted:?}");
        let (_, counted, _) = Thread::new(None).wait(0);
        assert_eq!(counted, Used::default());
    }
}
