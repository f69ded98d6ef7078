//! One absolute monotonic clock for every wait.

use std::time::{Duration, Instant};

/// A point in time on `CLOCK_MONOTONIC`, in whole nanoseconds; what every wait of this workspace ends at.
///
/// A deadline is absolute, so a wait that is interrupted and resumed does not grow longer, and the clock is the same in
/// every process of a machine.
///
/// ```
/// use shm_semaphore::Deadline;
/// use std::time::Duration;
///
/// assert!(Deadline::after(Duration::ZERO).has_passed());
/// assert!(!Deadline::NEVER.has_passed());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    /// Nanoseconds since the clock's own start; `u64::MAX` stands for never.
    monotonic_ns: u64,
}

impl Deadline {
    /// The deadline that never passes.
    pub const NEVER: Self = Self {
        monotonic_ns: u64::MAX,
    };

    /// The present moment.
    pub fn now() -> Self {
        Self {
            monotonic_ns: monotonic_now_ns(),
        }
    }

    /// `duration` from now; a duration too long for the clock (584 years) means [`NEVER`](Self::NEVER).
    pub fn after(duration: Duration) -> Self {
        let duration_ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self {
            monotonic_ns: monotonic_now_ns().saturating_add(duration_ns),
        }
    }

    /// The moment so many nanoseconds later.
    #[must_use]
    pub fn plus_ns(self, later_ns: u64) -> Self {
        Self {
            monotonic_ns: self.monotonic_ns.saturating_add(later_ns),
        }
    }

    /// Whether this moment lies in the past.
    pub fn has_passed(self) -> bool {
        self != Self::NEVER && self <= Self::now()
    }

    /// The time that is left: zero when it has passed, `None` for [`NEVER`](Self::NEVER).
    pub fn remaining(self) -> Option<Duration> {
        (self != Self::NEVER)
            .then(|| Duration::from_nanos(self.monotonic_ns.saturating_sub(monotonic_now_ns())))
    }

    /// Nanoseconds on `CLOCK_MONOTONIC`.
    pub fn as_monotonic_ns(self) -> u64 {
        self.monotonic_ns
    }

    /// The form that the kernel takes; `None` for never.
    #[cfg(not(loom))]
    pub(crate) fn as_timespec(self) -> Option<libc::timespec> {
        (self != Self::NEVER).then_some(libc::timespec {
            tv_sec: (self.monotonic_ns / 1_000_000_000) as libc::time_t,
            tv_nsec: (self.monotonic_ns % 1_000_000_000) as libc::c_long,
        })
    }
}

impl From<Instant> for Deadline {
    fn from(instant: Instant) -> Self {
        let now = Instant::now();
        let base_ns = monotonic_now_ns();
        let ahead_ns = u64::try_from(instant.saturating_duration_since(now).as_nanos());
        let behind_ns = u64::try_from(now.saturating_duration_since(instant).as_nanos());
        let at_ns = base_ns.saturating_add(ahead_ns.unwrap_or(u64::MAX));
        Self {
            monotonic_ns: at_ns.saturating_sub(behind_ns.unwrap_or(u64::MAX)),
        }
    }
}

fn monotonic_now_ns() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    #[allow(unsafe_code)]
    // SAFETY: `now` is a timespec that we own.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    assert_eq!(result, 0, "every Linux has CLOCK_MONOTONIC");
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_instant_keeps_its_distance() {
        let ahead = Deadline::from(Instant::now() + Duration::from_secs(60))
            .remaining()
            .unwrap();
        assert!(
            ahead <= Duration::from_secs(60) && ahead > Duration::from_secs(30),
            "{ahead:?}"
        );
        let behind = Deadline::from(
            Instant::now()
                .checked_sub(Duration::from_millis(1))
                .unwrap(),
        );
        assert!(behind.has_passed());
    }

    #[test]
    fn the_longest_duration_is_never() {
        assert_eq!(Deadline::after(Duration::MAX), Deadline::NEVER);
        assert_eq!(Deadline::NEVER.remaining(), None);
    }
}
