//! The noise floor: by how much a contender differs from itself when it is entered twice (A/A).
//!
//! Two numbers come of such a pair, as one number can't do both jobs:
//!
//! - [`NoiseFloor::half_width`], half the width of the interval of the median ratio: how well this run resolves. "The A/A row
//!   lies inside its own noise floor" means that its median ratio is nearer to one than that. This can be false: it is when
//!   the interval leaves out one, in about one run of twenty by chance alone, and more often if the two entries really differ,
//!   as with memory that one of them got and kept. A floor from the interval's farther end would hold the median always, and
//!   the statement would say nothing.
//! - [`NoiseFloor::guard`], the interval's farther end from one: what a difference between two contenders has to exceed before a
//!   verdict is given. Where the A/A row strays, this grows with it.
//!
//! The guard is there for what the test behind the p-value can't see. That test is exact for any distribution and whatever
//! the machine does over time, since the order within rounds is shuffled; but what sticks to one contender over several
//! rounds looks like a difference to it. The A/A pair has the same stickiness, so its median strays as well.
//!
//! Floors are kept apart by [`Kind`]: rows that sleep depend on the scheduler and rows that spin don't, and a stream averages over
//! many messages what a round trip shows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::transport::WaitMode;

use super::{Interval, median, median_interval, verdict::COVERAGE, verdict::ln_ratios};

/// Whether a row's processes give up the processor while they wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Waiting {
    /// They never do.
    Spins,
    /// They do, at once or after spinning.
    Sleeps,
}

impl From<WaitMode> for Waiting {
    fn from(wait: WaitMode) -> Self {
        match wait {
            WaitMode::Spin => Self::Spins,
            WaitMode::SpinPark | WaitMode::Park => Self::Sleeps,
        }
    }
}

/// What was timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Figure {
    /// A message of a stream.
    Stream,
    /// A message and its answer.
    RoundTrip,
    /// The way there, by the clock.
    Paced,
}

/// Rows that are equally noisy for the same reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Kind {
    /// How they wait.
    pub waiting: Waiting,
    /// What was timed.
    pub figure: Figure,
}

/// What a pair of equal contenders differs by.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NoiseFloor {
    /// The median of the ratios round by round.
    pub ratio: f64,
    /// The interval of that median.
    pub interval: Interval,
    /// Half the interval's width on a log scale, as a share: 0.05 is five per cent.
    pub half_width: f64,
    /// How far from one the interval's farther end is, as a share: what a difference has to exceed.
    pub guard: f64,
    /// The rounds that both entries have.
    pub rounds: u32,
}

impl NoiseFloor {
    /// The floor from the times of both entries, each with its round. Nothing if they share fewer than two rounds.
    ///
    /// ```
    /// use bench_harness::stats::noise::NoiseFloor;
    ///
    /// let first = [(1, 10.0), (2, 11.0), (3, 10.0), (4, 10.0), (5, 10.0), (6, 10.0)];
    /// let again = [(1, 10.0), (2, 10.0), (3, 11.0), (4, 10.0), (5, 10.0), (6, 10.0)];
    /// let floor = NoiseFloor::of_pair(&first, &again).expect("rounds");
    /// assert!((floor.guard - 0.1).abs() < 1e-9 && floor.holds_its_own());
    /// ```
    pub fn of_pair(first: &[(u32, f64)], again: &[(u32, f64)]) -> Option<Self> {
        let ln_ratios = ln_ratios(first, again);
        // A single ratio has no width, and would promise that nothing ever differs.
        let interval = median_interval(&ln_ratios, COVERAGE).filter(|_| ln_ratios.len() > 1)?;
        Some(Self {
            ratio: median(&ln_ratios)?.exp(),
            interval: interval.map(f64::exp),
            half_width: f64::midpoint(interval.high, -interval.low).exp_m1(),
            guard: interval.high.abs().max(interval.low.abs()).exp_m1(),
            rounds: ln_ratios.len() as u32,
        })
    }

    /// Whether there are rounds enough for the interval to hold the true ratio as surely as [`COVERAGE`] says. With fewer (below six) it is narrower than it claims, and
    /// whether the pair is inside of it means nothing.
    pub fn is_settled(&self) -> bool {
        self.interval.coverage >= COVERAGE
    }

    /// Whether the pair's median ratio is no farther from one than half its interval's width.
    pub fn holds_its_own(&self) -> bool {
        self.ratio.ln().abs() <= self.half_width.ln_1p()
    }
}

/// A floor and what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KindFloor {
    /// The rows that it is for.
    pub kind: Kind,
    /// The floor.
    pub floor: NoiseFloor,
}

/// What a difference between rows of this kind has to exceed: the largest guard among the pairs of that kind. Where no pair of
/// the kind was measured, the largest of all, as another kind's small floor would promise too much. Nothing without any pair.
pub fn guard_of(kind: Kind, floors: &[KindFloor]) -> Option<f64> {
    let largest = |of: &dyn Fn(&KindFloor) -> bool| {
        let guards = floors.iter().filter(|one| of(one));
        guards.map(|one| one.floor.guard).max_by(f64::total_cmp)
    };
    largest(&|one| one.kind == kind).or_else(|| largest(&|_| true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(times: [f64; 6]) -> Vec<(u32, f64)> {
        (0..).zip(times).collect()
    }

    fn floor(ratios: [f64; 6]) -> NoiseFloor {
        NoiseFloor::of_pair(
            &series(ratios.map(|ratio| 10.0 * ratio)),
            &series([10.0; 6]),
        )
        .expect("rounds")
    }

    fn assert_close(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-9, "{left} {right}");
    }

    #[test]
    fn a_pair_around_one_has_its_interval_as_floor_and_holds_its_own() {
        let floor = floor([0.8, 1.0, 1.0, 1.0, 1.0, 1.25]);
        assert_close(floor.ratio, 1.0);
        assert_close(floor.half_width, 0.25);
        assert_close(floor.guard, 0.25);
        assert_eq!(floor.rounds, 6);
        assert!(floor.holds_its_own());
    }

    #[test]
    fn a_pair_that_strays_does_not_hold_its_own_and_guards_the_more() {
        let floor = floor([1.2, 1.21, 1.21, 1.21, 1.21, 1.22]);
        assert_close(floor.ratio, 1.21);
        assert_close(floor.half_width, (1.22_f64 / 1.2).sqrt() - 1.0);
        assert_close(floor.guard, 0.22);
        assert!(!floor.holds_its_own());
    }

    #[test]
    fn the_order_of_a_pair_does_not_matter() {
        let (one, again) = (
            series([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            series([2.0, 2.0, 2.0, 5.0, 5.0, 5.0]),
        );
        let there = NoiseFloor::of_pair(&one, &again).expect("rounds");
        let back = NoiseFloor::of_pair(&again, &one).expect("rounds");
        assert_close(there.guard, back.guard);
        assert_close(there.half_width, back.half_width);
        assert_eq!(NoiseFloor::of_pair(&one, &[(7, 1.0)]), None);
    }

    #[test]
    fn a_floor_of_few_rounds_settles_nothing() {
        let of = |rounds: u32| {
            let times: Vec<_> = (0..rounds).map(|round| (round, 1.0)).collect();
            NoiseFloor::of_pair(&times, &times).expect("a floor")
        };
        assert!(!of(2).is_settled() && !of(3).is_settled() && !of(5).is_settled());
        assert!(of(6).is_settled() && of(11).is_settled());
    }

    #[test]
    fn floors_are_kept_apart_by_kind_and_the_largest_stands_in() {
        let kind = |waiting, figure| Kind { waiting, figure };
        let of = |kind, largest| KindFloor {
            kind,
            floor: floor([1.0 / largest, 1.0, 1.0, 1.0, 1.0, largest]),
        };
        let spin_stream = kind(Waiting::Spins, Figure::Stream);
        let sleep_trip = kind(Waiting::Sleeps, Figure::RoundTrip);
        let floors = [
            of(spin_stream, 1.02),
            of(spin_stream, 1.04),
            of(sleep_trip, 1.3),
        ];
        assert_close(guard_of(spin_stream, &floors).expect("a floor"), 0.04);
        assert_close(guard_of(sleep_trip, &floors).expect("a floor"), 0.3);
        let unmeasured = kind(Waiting::Spins, Figure::RoundTrip);
        assert_close(guard_of(unmeasured, &floors).expect("a floor"), 0.3);
        assert_eq!(guard_of(unmeasured, &[]), None);
    }
}
