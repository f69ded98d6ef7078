//! Figures over rounds: medians, and ratios within a round.

/// The median; of an even number of values the mean of the two in the middle. Nothing of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        len if len % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The median of values of which every one must be there: a figure that some rounds lack is none.
pub fn median_of_all(values: impl IntoIterator<Item = Option<f64>>) -> Option<f64> {
    let values: Option<Vec<f64>> = values.into_iter().collect();
    values.and_then(|values| median(&values))
}

/// The median of the ratios round by round, over the rounds that both have: machines drift from round to round, and a
/// ratio within a round doesn't see that.
pub fn median_ratio(numerators: &[(u32, f64)], denominators: &[(u32, f64)]) -> Option<f64> {
    median(&ratios(numerators, denominators))
}

/// The ratios in each round that both have.
pub fn ratios(numerators: &[(u32, f64)], denominators: &[(u32, f64)]) -> Vec<f64> {
    numerators
        .iter()
        .filter_map(|&(round, numerator)| {
            let (_, denominator) = denominators.iter().find(|(other, _)| *other == round)?;
            (*denominator > 0.0).then(|| numerator / denominator)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(left: Option<f64>, right: f64) {
        assert!(
            left.is_some_and(|left| (left - right).abs() < 1e-12),
            "{left:?} {right}"
        );
    }

    #[test]
    fn the_median_lies_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_close(median(&[3.0]), 3.0);
        assert_close(median(&[9.0, 1.0, 3.0]), 3.0);
        assert_close(median(&[4.0, 1.0, 2.0, 100.0]), 3.0);
    }

    #[test]
    fn a_figure_that_a_round_lacks_is_none() {
        assert_close(median_of_all([Some(1.0), Some(3.0)]), 2.0);
        assert_eq!(median_of_all([Some(1.0), None]), None);
        assert_eq!(median_of_all([]), None);
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let ring = [(1, 10.0), (2, 20.0), (3, 30.0)];
        let pipe = [(3, 300.0), (2, 100.0), (1, 200.0)];
        assert_close(median_ratio(&ring, &pipe), 0.1);
        assert_close(median_ratio(&ring, &[(2, 40.0)]), 0.5);
        assert_eq!(median_ratio(&ring, &[(7, 40.0)]), None);
        assert_eq!(median_ratio(&ring, &[(1, 0.0)]), None);
    }
}
