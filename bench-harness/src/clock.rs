//! The one clock of all measurements: `CLOCK_MONOTONIC` in whole nanoseconds, the same in every process.

use nix::time::{ClockId, clock_getres, clock_gettime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nanoseconds since an arbitrary moment that is the same for all processes of the machine.
///
/// # Panics
/// If the kernel has no `CLOCK_MONOTONIC`, which Linux always has.
#[inline]
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux always has CLOCK_MONOTONIC");
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}

/// Something that tells the time. There is one real clock, [`Monotonic`]; simulations have their own.
pub trait Clock {
    /// See [`now_ns`].
    fn now_ns(&self) -> u64;
}

/// The clock of all measurements.
#[derive(Debug, Clone, Copy, Default)]
pub struct Monotonic;

impl Clock for Monotonic {
    #[inline]
    fn now_ns(&self) -> u64 {
        now_ns()
    }
}

/// What the clock itself costs. Printed, never subtracted.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[allow(clippy::struct_field_names)] // The unit belongs into each name.
pub struct ClockProfile {
    /// Time that one reading takes, in nanoseconds: the mean of many.
    pub read_cost_ns: f64,
    /// The smallest difference that was seen between two different readings, in nanoseconds.
    pub granularity_ns: u64,
    /// The resolution that the kernel claims, in nanoseconds.
    pub resolution_ns: u64,
}

impl ClockProfile {
    /// Reads the clock often enough to know it.
    pub fn measure() -> Self {
        const READINGS: u32 = 20_000;
        let started = now_ns();
        let mut previous = started;
        let mut granularity_ns = u64::MAX;
        for _ in 0..READINGS {
            let now = now_ns();
            if now > previous {
                granularity_ns = granularity_ns.min(now - previous);
            }
            previous = now;
        }
        let resolution_ns = clock_getres(ClockId::CLOCK_MONOTONIC).map_or(0, |r| {
            r.tv_sec() as u64 * 1_000_000_000 + r.tv_nsec() as u64
        });
        Self {
            read_cost_ns: (previous - started) as f64 / f64::from(READINGS),
            granularity_ns: if granularity_ns == u64::MAX {
                0
            } else {
                granularity_ns
            },
            resolution_ns,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_goes_back_and_has_a_cost() {
        let profile = ClockProfile::measure();
        assert!(profile.read_cost_ns > 0.0);
        let first = now_ns();
        assert!(now_ns() >= first);
    }
}
