//! Saved runs that were never measured: a known machine, known builds, known times.

use bench_harness::report::document::{Figures, Report, WindowFigures};

use super::sample;

/// What a run is like.
#[derive(Clone, Copy)]
pub struct Saved {
    /// Makes its noise.
    pub seed: u64,
    /// How much slower than usual the machine is, in a round.
    pub slowdown: fn(u32) -> f64,
    /// In which share of the windows another process is in the way.
    pub disturbed: f64,
    /// What a message takes longer, and the contenders whose name begins so.
    pub planted: Option<(f64, &'static str)>,
}

impl Default for Saved {
    fn default() -> Self {
        Self {
            seed: 1,
            slowdown: |_| 1.0,
            disturbed: 0.0,
            planted: None,
        }
    }
}

impl Saved {
    /// A run like the sample, of the same contenders.
    pub fn report(self) -> Report {
        let mut random = fastrand::Rng::with_seed(self.seed);
        let mut report = sample::run();
        report.settings.seed = self.seed;
        // What a run has in common with itself, and no other run has.
        for row in &mut report.results {
            let shared = 0.02 * (random.f64() - 0.5);
            let added_ns = self.added_ns(row);
            for window in &mut row.windows {
                self.change(window, shared, added_ns, &mut random);
            }
        }
        report
    }

    fn added_ns(&self, row: &Figures) -> f64 {
        let (ns, start) = self.planted.unwrap_or_default();
        if row.contender.starts_with(start) {
            ns
        } else {
            0.0
        }
    }

    fn change(
        self,
        window: &mut WindowFigures,
        shared: f64,
        added_ns: f64,
        random: &mut fastrand::Rng,
    ) {
        let is_disturbed = random.f64() < self.disturbed;
        let noise = (shared + 0.04 * (random.f64() - 0.5)).exp();
        let factor = (self.slowdown)(window.round)
            * noise
            * if is_disturbed {
                2.0 + 5.0 * random.f64()
            } else {
                1.0
            };
        let scale = |ns: f64| (ns + added_ns) * factor;
        window.ns_each = scale(window.ns_each);
        window.elapsed_ns = (window.ns_each * window.count as f64) as u64;
        for usage in [&mut window.sender, &mut window.receiver] {
            usage.cpu_ns = window.elapsed_ns;
        }
        if let Some(times) = &mut window.times_ns {
            for ns in [&mut times.p50, &mut times.p90, &mut times.p99] {
                *ns = ns.map(|ns| scale(ns as f64) as u64);
            }
        }
    }
}
