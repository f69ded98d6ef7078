//! Axes: where a value lies, and what is written beside it.

use super::super::numbers::figure;

/// An axis from 0 (left, bottom) to 1 (right, top).
#[derive(Debug, Clone)]
pub struct Axis {
    /// What it measures, and in which unit.
    pub title: String,
    scale: Scale,
    low: f64,
    high: f64,
    /// Values and what is written there.
    pub ticks: Vec<(f64, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    Linear,
    Log,
    /// Of shares: the logarithm of 1/(1-q).
    Tail,
}

impl Scale {
    fn of(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log => value.max(f64::MIN_POSITIVE).log10(),
            Self::Tail => -(1.0 - value).max(1e-12).log10(),
        }
    }
}

impl Axis {
    /// From zero; the highest value has some room above it.
    pub fn from_zero(title: &str, highest: f64) -> Self {
        let highest = if highest > 0.0 { highest } else { 1.0 };
        let rough = highest / 4.0;
        let power = 10_f64.powf(rough.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
        let step = steps
            .into_iter()
            .find(|&step| step >= rough)
            .unwrap_or(rough);
        let count = (highest / step).ceil() as u32;
        let ticks = (0..=count).map(|index| f64::from(index) * step);
        Self {
            title: title.to_owned(),
            scale: Scale::Linear,
            low: 0.0,
            high: f64::from(count) * step,
            ticks: ticks.map(|value| (value, plain(value))).collect(),
        }
    }

    /// Logarithmic, over all those values; `show` writes a tick.
    pub fn log(
        title: &str,
        values: impl Iterator<Item = f64>,
        show: impl Fn(f64) -> String,
    ) -> Self {
        let positive = values.filter(|value| value.is_finite() && *value > 0.0);
        let (mut low, mut high) = positive.fold((f64::MAX, 0.0), |(low, high), value| {
            (value.min(low), value.max(high))
        });
        if low > high {
            (low, high) = (1.0, 10.0);
        }
        // A little room at both ends; and at least half a decade, so that noise doesn't look like a mountain.
        let middle = (low * high).sqrt();
        let reach = ((high / low).sqrt() * 1.08).max(10_f64.powf(0.25));
        (low, high) = (middle / reach, middle * reach);
        let decades = (high / low).log10();
        let factors: &[f64] = match decades {
            decades if decades < 1.2 => &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
            decades if decades < 2.5 => &[1.0, 2.0, 5.0],
            _ => &[1.0],
        };
        let every = if decades > 8.0 { 2 } else { 1 };
        let powers = (low.log10().floor() as i32..=high.log10().ceil() as i32)
            .filter(|power| power % every == 0);
        let values = powers.flat_map(|power| factors.iter().map(move |f| f * 10_f64.powi(power)));
        let within = values.filter(|value| (low..=high).contains(value));
        Self {
            title: title.to_owned(),
            scale: Scale::Log,
            low: low.log10(),
            high: high.log10(),
            ticks: within.map(|value| (value, show(value))).collect(),
        }
    }

    /// Of ratios, logarithmic, with 1 always on it.
    pub fn ratios(title: &str, values: impl Iterator<Item = f64>) -> Self {
        // At least as far as that to both sides, so that noise doesn't look like a mountain.
        const REACH_MIN: f64 = 1.1;
        // What is farther than that stands at the end.
        const REACH_MAX: f64 = 1e9;
        let usable = values.filter(|value| value.is_finite() && *value > 0.0);
        let usable = usable.map(|value| value.clamp(1.0 / REACH_MAX, REACH_MAX));
        let (low, high) = usable.fold((1.0 / REACH_MIN, REACH_MIN), |(low, high), value| {
            (value.min(low), value.max(high))
        });
        let room = (high / low).powf(0.03);
        let (low, high) = (low / room, high * room);
        let within = |value: &f64| (low..=high).contains(value);
        let ticks = ratio_ticks(low, high);
        let shown = ticks.into_iter().filter(within);
        Self {
            title: title.to_owned(),
            scale: Scale::Log,
            low: low.log10(),
            high: high.log10(),
            ticks: shown.map(|value| (value, format!("{value}x"))).collect(),
        }
    }

    /// Of shares, up to the highest: each step of the same length leaves a tenth as many samples beyond it.
    pub fn tail(title: &str, highest: f64) -> Self {
        let shares = [
            (0.0, "0"),
            (0.9, "90%"),
            (0.99, "99%"),
            (0.999, "99.9%"),
            (0.9999, "99.99%"),
            (0.99999, "99.999%"),
        ];
        let high = Scale::Tail.of(highest).max(1.0);
        let shown = shares
            .iter()
            .filter(|(share, _)| Scale::Tail.of(*share) <= high + 1e-9);
        Self {
            title: title.to_owned(),
            scale: Scale::Tail,
            low: 0.0,
            high,
            ticks: shown
                .map(|&(share, text)| (share, text.to_owned()))
                .collect(),
        }
    }

    /// Of named places, each at its number from 0.
    pub fn of_names(title: &str, names: &[String]) -> Self {
        let ticks = (0_u32..)
            .zip(names)
            .map(|(index, name)| (f64::from(index), name.clone()));
        Self {
            title: title.to_owned(),
            scale: Scale::Linear,
            low: -0.5,
            high: names.len() as f64 - 0.5,
            ticks: ticks.collect(),
        }
    }

    /// From 0 to 1, and nearer than that for what lies beyond.
    pub fn place(&self, value: f64) -> f64 {
        let share = (self.scale.of(value) - self.low) / (self.high - self.low).max(1e-12);
        share.clamp(0.0, 1.0)
    }
}

/// Ratios worth a tick where that much is on the axis. 1 is always one of them.
fn ratio_ticks(low: f64, high: f64) -> Vec<f64> {
    match high / low {
        span if span < 1.4 => (14..=28).map(|step| f64::from(step) / 20.0).collect(),
        span if span < 2.5 => vec![
            0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5,
        ],
        span if span < 15.0 => vec![
            0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0,
        ],
        span => {
            let every = (span.log10() / 8.0).ceil() as i32;
            let steps = (low.log10() as i32 / every)..=(high.log10() as i32 / every);
            steps.map(|step| 10_f64.powi(step * every)).collect()
        }
    }
}

/// A number without superfluous zeros.
fn plain(value: f64) -> String {
    let shown = figure(Some(value));
    if shown.contains('.') {
        shown.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::numbers::{short_count, short_time};
    use super::*;

    #[test]
    fn equal_factors_are_equally_far_apart_on_a_logarithmic_axis() {
        let axis = Axis::log("ns", [10.0, 1_000.0].into_iter(), short_time);
        let steps = [10.0, 100.0, 1_000.0].map(|value| axis.place(value));
        assert!((steps[1] - steps[0] - (steps[2] - steps[1])).abs() < 1e-9);
        assert!(steps[0] > 0.0 && steps[2] < 1.0);
        assert!(axis.ticks.iter().any(|(_, text)| text == "100 ns"));
    }

    #[test]
    fn each_step_towards_the_tail_leaves_a_tenth() {
        let axis = Axis::tail("share", 0.999);
        let places =
            [0.0, 0.9, 0.99, 0.999].map(|share| (axis.place(share) * 300.0).round() as u32);
        assert_eq!(places, [0, 100, 200, 300]);
        assert_eq!(axis.ticks.len(), 4);
    }

    #[test]
    fn ticks_are_round_and_reach_beyond_the_highest_value() {
        for highest in [0.3, 1.0, 7.7, 43.0, 1_234.0, 0.0] {
            let axis = Axis::from_zero("", highest);
            let (last, _) = axis.ticks.last().unwrap();
            assert!(
                *last >= highest && axis.ticks.len() <= 8,
                "{highest}: {:?}",
                axis.ticks
            );
        }
        let texts: Vec<String> = Axis::from_zero("", 20.0)
            .ticks
            .into_iter()
            .map(|(_, t)| t)
            .collect();
        assert_eq!(texts, ["0", "5", "10", "15", "20"]);
    }

    #[test]
    fn an_axis_of_ratios_has_one_on_it_and_few_ticks() {
        for values in [
            vec![],
            vec![0.97, 1.02],
            vec![1.6],
            vec![3.86, 4.0],
            vec![0.2],
            vec![0.001, 50.0],
            vec![1e-300, 1e300],
            vec![f64::NAN, f64::INFINITY, -1.0, 0.0],
        ] {
            let axis = Axis::ratios("", values.iter().copied());
            assert!(axis.ticks.iter().any(|(_, text)| text == "1x"), "{axis:?}");
            assert!((2..=11).contains(&axis.ticks.len()), "{axis:?}");
            assert!(axis.place(1.0) > 0.02 && axis.place(1.0) < 0.98, "{axis:?}");
        }
        let axis = Axis::ratios("", [0.5, 2.0].into_iter());
        let [half, one, double] = [0.5, 1.0, 2.0].map(|value| axis.place(value));
        assert!((one - half - (double - one)).abs() < 1e-9);
    }

    #[test]
    fn axes_of_nothing_or_of_one_value_are_drawn_as_well() {
        for values in [vec![], vec![5.0], vec![f64::NAN, 0.0]] {
            let axis = Axis::log("", values.into_iter(), short_count);
            assert!((0.0..=1.0).contains(&axis.place(5.0)));
        }
    }
}
