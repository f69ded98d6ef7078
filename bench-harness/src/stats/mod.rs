//! The mathematics of comparisons: pure functions over figures that were taken in rounds.
//!
//! - [`rounds`]: medians, and ratios round by round;
//! - [`interval`]: an interval for a median that assumes no distribution;
//! - [`randomization`]: how often chance alone does as much;
//! - [`holm`]: the price of asking many questions at once;
//! - [`noise`]: what the same contender, entered twice, differs from itself;
//! - [`verdict`]: what all of this together lets a report say about two contenders of one run;
//! - [`saves`]: the same about two runs that were saved.
//!
//! Every figure here is a time, so a ratio above one is slower. Times are compared on a log scale: there, twice as slow and twice
//! as fast are equally far away, and a machine that slows everything by a factor moves everything by the same distance.

mod beyond;
mod corrected;
mod drift;
pub mod holm;
pub mod interval;
pub mod noise;
pub mod randomization;
pub mod rounds;
pub mod saves;
mod stickiness;
mod strata;
pub mod verdict;

pub use interval::{Interval, median_interval};
pub use rounds::{median, median_of_all, median_ratio, ratios};
pub use verdict::{Comparison, Verdict};

#[cfg(test)]
mod simulated;
#[cfg(test)]
mod simulated_saves;
