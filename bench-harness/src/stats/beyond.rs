//! How far values lie apart beyond what is known to part them.

/// By which share of itself a robust standard deviation of normal values is off, times the root of their number: see Rousseeuw and Croux,
/// "Alternatives to the median absolute deviation", JASA 88 (1993), table 1.
const UNSURENESS: f64 = 1.17;

/// The standard deviation of values around zero beyond the one that each is known to have: the least with which no more of them are far than
/// of a normal distribution, at [`FAR`]. It is more by one standard deviation of that figure itself, as few values often look
/// closer together than they are.
pub(super) fn deviation_beyond(values: &[(f64, f64)]) -> f64 {
    let at = |far: &Far| far.least_deviation(values);
    let deviation = FAR.iter().map(at).fold(0.0, f64::max);
    (1.0 + UNSURENESS / (values.len().max(1) as f64).sqrt()) * deviation
}

/// A point of the normal distribution.
struct Far {
    /// This share of the values is no farther from the middle.
    share: f64,
    /// Than so many standard deviations.
    deviations: f64,
}

/// The median, so that half of the values may be off; and a point that is surer where they aren't.
const FAR: [Far; 2] = [
    Far {
        share: 0.5,
        deviations: 0.674_5,
    },
    Far {
        share: 0.8,
        deviations: 1.281_6,
    },
];

impl Far {
    /// The least deviation beyond the known ones with which this share of the values is near enough.
    fn least_deviation(&self, values: &[(f64, f64)]) -> f64 {
        const HALVINGS: u32 = 40;
        let largest = values.iter().map(|(value, _)| value.abs());
        let mut high = largest.fold(0.0, f64::max) / self.deviations;
        let mut low = 0.0;
        if self.holds(values, low) {
            return 0.0;
        }
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            if self.holds(values, middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        high
    }

    fn holds(&self, values: &[(f64, f64)], beyond: f64) -> bool {
        let is_near =
            |&&(value, known): &&(f64, f64)| value.abs() <= self.deviations * known.hypot(beyond);
        let near = values.iter().filter(is_near).count();
        near as f64 >= self.share * values.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::super::simulated::normal;
    use super::*;

    #[test]
    fn the_deviation_between_runs_is_what_rounds_do_not_explain() {
        let mut random = fastrand::Rng::with_seed(44);
        let mut shifts = |known: f64, beyond: f64| -> Vec<(f64, f64)> {
            (0..4000)
                .map(|_| (known.hypot(beyond) * normal(&mut random), known))
                .collect()
        };
        let unsure = 1.0 + UNSURENESS / 4000_f64.sqrt();
        let found = deviation_beyond(&shifts(0.05, 0.1)) / unsure;
        assert!((found - 0.1).abs() < 0.01, "{found}");
        let nothing = deviation_beyond(&shifts(0.05, 0.0));
        assert!(nothing < 0.02, "{nothing}");
        assert!(deviation_beyond(&[]).abs() < 1e-9);
        assert!(deviation_beyond(&[(0.0, 0.0); 9]).abs() < 1e-9);
    }

    #[test]
    fn a_fifth_that_is_far_off_changes_little() {
        let mut random = fastrand::Rng::with_seed(45);
        let mut shifts: Vec<(f64, f64)> =
            (0..40).map(|_| (0.1 * normal(&mut random), 0.0)).collect();
        let honest = deviation_beyond(&shifts);
        shifts[..6].fill((5.0, 0.0));
        let found = deviation_beyond(&shifts);
        assert!(found < 3.0 * honest, "{honest} {found}");
    }
}
