//! The price of asking many questions at once.

/// Holm's step-down correction: the p-values adjusted for their number, in the order that they came in.
///
/// Calling real what has an adjusted value below α calls anything falsely real in a share α of the runs at most, however the
/// questions depend on each other: needed here, as all contenders of a run are compared with the same one.
/// Source: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6 (1979).
///
/// ```
/// assert_eq!(bench_harness::stats::holm::holm(&[0.5, 0.01]), [0.5, 0.02]);
/// ```
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut by_size: Vec<usize> = (0..p_values.len()).collect();
    by_size.sort_by(|&left, &right| p_values[left].total_cmp(&p_values[right]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut reached: f64 = 0.0;
    for (rank, &index) in by_size.iter().enumerate() {
        let remaining = (p_values.len() - rank) as f64;
        // Never below that of a smaller p-value: a question can't be settled before a clearer one.
        reached = reached.max((remaining * p_values[index]).min(1.0));
        adjusted[index] = reached;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_all_close(left: &[f64], right: &[f64]) {
        assert_eq!(left.len(), right.len());
        for (left, right) in left.iter().zip(right) {
            assert!((left - right).abs() < 1e-12, "{left} {right}");
        }
    }

    #[test]
    fn four_hypotheses_come_out_as_by_hand() {
        // 4 · 0.005, 3 · 0.01, 2 · 0.03, and 1 · 0.04, which is raised to its predecessor.
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        assert_all_close(&adjusted, &[0.03, 0.06, 0.06, 0.02]);
    }

    #[test]
    fn three_of_the_fifteen_hypotheses_of_benjamini_and_hochberg_are_rejected() {
        // The p-values of the myocardial infarction example in "Controlling the False Discovery Rate" (1995), section 4.
        let p_values = [
            0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262,
            0.5719, 0.6528, 0.7590, 1.0,
        ];
        let adjusted = holm(&p_values);
        assert_all_close(&adjusted[..4], &[0.0015, 0.0056, 0.0247, 0.114]);
        assert!(adjusted[3..].iter().all(|&p| p > 0.05));
    }

    #[test]
    fn nothing_exceeds_one_and_nothing_comes_of_nothing() {
        assert_all_close(&holm(&[0.9, 0.8, 0.7]), &[1.0, 1.0, 1.0]);
        assert_all_close(&holm(&[0.04]), &[0.04]);
        assert!(holm(&[]).is_empty());
    }
}
