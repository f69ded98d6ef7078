//! What the machine did to everything at once, round by round.
//!
//! The rows that can't have changed between two runs (the hardware's limits, and mechanisms that both runs share) tell how fast the
//! machine was in each round. One such row alone would put its own disturbed rounds into every other row; so the drift is what most
//! of them have in common: their logarithms are split into an effect of the row and an effect of the round, by medians.
//! Source: Tukey, "Exploratory Data Analysis", chapter 11 (median polish).

use super::median;

/// A round of the run before (0) or after (1).
pub(super) type Moment = (usize, u32);

/// Fewer rounds of both runs make no state.
const ROUNDS_MIN: usize = 3;

/// Effects settle within a few sweeps; more change nothing that can be seen.
const SWEEPS: u32 = 8;

/// The logarithm of a row's time in each round of both runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Anchor(Vec<(Moment, f64)>);

impl Anchor {
    /// The times of a row in both runs; nothing if one of them lacks it, as it couldn't tell how they differ. A round that was
    /// measured twice counts with the mean of its logarithms.
    pub(super) fn of(before: &[(u32, f64)], after: &[(u32, f64)]) -> Option<Self> {
        let mut cells = Vec::new();
        for (run, series) in [before, after].into_iter().enumerate() {
            let lns = lns_by_round(series);
            if lns.is_empty() {
                return None;
            }
            cells.extend(lns.into_iter().map(|(round, ln)| ((run, round), ln)));
        }
        Some(Self(cells))
    }
}

/// The means of the logarithms in each round that has a positive finite time.
fn lns_by_round(series: &[(u32, f64)]) -> Vec<(u32, f64)> {
    let mut sums: Vec<(u32, f64, u32)> = Vec::new();
    for &(round, time) in series {
        let ln = time.ln();
        if !ln.is_finite() {
            continue;
        }
        match sums.iter_mut().find(|(known, ..)| *known == round) {
            Some((_, sum, count)) => {
                *sum += ln;
                *count += 1;
            }
            None => sums.push((round, ln, 1)),
        }
    }
    let mean = |(round, sum, count)| (round, sum / f64::from(count));
    sums.into_iter().map(mean).collect()
}

/// How much slower than usual everything was in each round, on the log scale. Only differences between its rounds mean anything.
#[derive(Clone, Debug, Default)]
pub(super) struct Drift(Vec<(Moment, f64)>);

/// The logarithms of a run's times as they are, each with its moment.
pub(super) fn as_they_are(run: usize, series: &[(u32, f64)]) -> Vec<(Moment, f64)> {
    let lns = series
        .iter()
        .map(|&(round, time)| ((run, round), time.ln()));
    lns.filter(|(_, ln)| ln.is_finite()).collect()
}

impl Drift {
    /// What most of the anchors have in common; nothing without any.
    pub(super) fn of(anchors: &[&Anchor]) -> Option<Self> {
        if anchors.is_empty() {
            return None;
        }
        let mut moments: Vec<Moment> = cells(anchors).map(|(_, moment, _)| moment).collect();
        moments.sort_unstable();
        moments.dedup();
        let mut of_rounds: Vec<(Moment, f64)> = moments.into_iter().map(|m| (m, 0.0)).collect();
        let mut of_rows = vec![0.0; anchors.len()];
        for _ in 0..SWEEPS {
            for (row, effect) in of_rows.iter_mut().enumerate() {
                let rest = anchors[row].0.iter();
                let rest = rest.map(|(moment, ln)| ln - at(&of_rounds, *moment).unwrap_or(0.0));
                *effect = median(&rest.collect::<Vec<_>>()).unwrap_or(0.0);
            }
            for (moment, effect) in &mut of_rounds {
                let here = cells(anchors).filter(|(_, of, _)| of == moment);
                let rest: Vec<f64> = here.map(|(row, _, ln)| ln - of_rows[row]).collect();
                *effect = median(&rest).unwrap_or(0.0);
            }
        }
        Some(Self(of_rounds))
    }

    /// The logarithms of a run's times without the drift, each with its moment. Rounds of which the drift isn't known are left out.
    pub(super) fn taken_from(&self, run: usize, series: &[(u32, f64)]) -> Vec<(Moment, f64)> {
        let lns = as_they_are(run, series).into_iter();
        lns.filter_map(|(moment, ln)| Some((moment, ln - at(&self.0, moment)?)))
            .collect()
    }

    /// How much slower the machine was in the run after, as a ratio.
    pub(super) fn ratio(&self) -> f64 {
        let of = |run: usize| {
            let effects = self.0.iter().filter(|((of, _), _)| *of == run);
            median(&effects.map(|(_, effect)| *effect).collect::<Vec<_>>()).unwrap_or(0.0)
        };
        (of(1) - of(0)).exp()
    }
}

/// In which state the machine was in each round, where a limit had clearly different times: cores that are suddenly far apart, say. Most machines
/// have one state.
#[derive(Clone, Debug, Default)]
pub(super) struct States(Vec<(Moment, Vec<usize>)>);

impl States {
    /// By the times of the limits.
    pub(super) fn of(limits: &[&Anchor]) -> Self {
        let mut states: Vec<(Moment, Vec<usize>)> = Vec::new();
        for (_, moment, _) in cells(limits) {
            if !states.iter().any(|(known, _)| *known == moment) {
                states.push((moment, Vec::new()));
            }
        }
        for limit in limits {
            let bounds = bounds(&limit.0.iter().map(|(_, ln)| *ln).collect::<Vec<_>>());
            for (moment, state) in &mut states {
                // Where a limit wasn't measured it tells nothing: such rounds are a state of their own.
                let ln = at(&limit.0, *moment);
                let level = ln.map_or(usize::MAX, |ln| bounds.partition_point(|bound| *bound < ln));
                state.push(level);
            }
        }
        Self(states).without_rare()
    }

    /// With rare states taken for the common one that is most like them: there, another process was in the way of one of the limits.
    fn without_rare(self) -> Self {
        let mut counted: Vec<(Vec<usize>, usize)> = Vec::new();
        for (_, state) in &self.0 {
            match counted.iter_mut().find(|(known, _)| known == state) {
                Some((_, count)) => *count += 1,
                None => counted.push((state.clone(), 1)),
            }
        }
        counted.retain(|(_, count)| *count >= ROUNDS_MIN);
        let nearest = |state: &[usize]| {
            let unlike = |other: &[usize]| state.iter().zip(other).filter(|(a, b)| a != b).count();
            let by_likeness = counted
                .iter()
                .min_by_key(|(common, count)| (unlike(common), std::cmp::Reverse(*count)));
            by_likeness.map_or_else(|| state.to_vec(), |(common, _)| common.clone())
        };
        let all = self.0.iter();
        Self(
            all.map(|(moment, state)| (*moment, nearest(state)))
                .collect(),
        )
    }

    /// The state of a round; none if no limit tells.
    pub(super) fn at(&self, moment: Moment) -> Option<&[usize]> {
        let found = self.0.iter().find(|(of, _)| *of == moment);
        found.map(|(_, state)| state.as_slice())
    }
}

/// Between the levels of a limit: wherever its times leave a gap that scatter doesn't explain, with enough of them on either side.
fn bounds(lns: &[f64]) -> Vec<f64> {
    /// Half as long again.
    const GAP: f64 = 0.405;
    let mut sorted = lns.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let (mut bounds, mut since) = (Vec::new(), 0);
    for index in 1..sorted.len() {
        let has_enough = index - since >= ROUNDS_MIN && sorted.len() - index >= ROUNDS_MIN;
        if has_enough && sorted[index] - sorted[index - 1] > GAP {
            bounds.push(f64::midpoint(sorted[index - 1], sorted[index]));
            since = index;
        }
    }
    bounds
}

/// All cells of all anchors, each with the index of its anchor.
fn cells<'a>(anchors: &'a [&Anchor]) -> impl Iterator<Item = (usize, Moment, f64)> + 'a {
    let of = |(row, anchor): (usize, &&'a Anchor)| {
        let cells = anchor.0.iter();
        cells.map(move |&(moment, ln)| (row, moment, ln))
    };
    anchors.iter().enumerate().flat_map(of)
}

fn at(effects: &[(Moment, f64)], moment: Moment) -> Option<f64> {
    let found = effects.iter().find(|(of, _)| *of == moment);
    found.map(|(_, effect)| *effect)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(factors: &[f64], time: f64) -> Vec<(u32, f64)> {
        (1..)
            .zip(factors.iter().map(|factor| factor * time))
            .collect()
    }

    fn anchor(before: &[f64], after: &[f64], time: f64) -> Anchor {
        Anchor::of(&series(before, time), &series(after, time)).expect("rounds")
    }

    #[test]
    fn one_anchor_alone_is_divided_out_round_by_round() {
        let (before, after) = ([1.0, 3.5, 1.0], [3.5, 3.5, 1.0]);
        let anchor = anchor(&before, &after, 7.0);
        let drift = Drift::of(&[&anchor]).expect("an anchor");
        let mut row = drift.taken_from(0, &series(&before, 30.0));
        row.extend(drift.taken_from(1, &series(&after, 30.0)));
        for pair in row.windows(2) {
            assert!((pair[0].1 - pair[1].1).abs() < 1e-12);
        }
        assert!((drift.ratio() - 3.5).abs() < 1e-9);
    }

    #[test]
    fn a_disturbed_round_of_one_anchor_of_three_stays_its_own() {
        let state = [1.0, 1.0, 2.0, 2.0];
        let mut disturbed = state;
        disturbed[1] = 9.0;
        let anchors = [
            anchor(&state, &state, 3.0),
            anchor(&state, &disturbed, 100.0),
            anchor(&state, &state, 40.0),
        ];
        let drift = Drift::of(&anchors.iter().collect::<Vec<_>>()).expect("anchors");
        let row = drift.taken_from(1, &series(&state, 30.0));
        for pair in row.windows(2) {
            assert!((pair[0].1 - pair[1].1).abs() < 1e-9, "{row:?}");
        }
    }

    #[test]
    fn rounds_without_an_anchor_are_left_out_and_no_anchor_is_no_drift() {
        let anchor = anchor(&[1.0, 1.0], &[1.0], 3.0);
        let drift = Drift::of(&[&anchor]).expect("an anchor");
        assert_eq!(drift.taken_from(1, &series(&[1.0, 1.0], 30.0)).len(), 1);
        assert!(Drift::of(&[]).is_none());
        assert!(Anchor::of(&series(&[1.0], 1.0), &[]).is_none());
        assert!(Anchor::of(&[(1, 0.0)], &series(&[1.0], 1.0)).is_none());
    }

    #[test]
    fn states_are_told_by_clear_gaps_alone() {
        let steady = [1.0, 1.1, 1.2, 1.0, 1.3, 1.15];
        let switching = [1.0, 1.1, 3.5, 3.4, 3.6, 1.05];
        let disturbed = [1.0, 1.1, 9.0, 1.0, 1.1, 1.0];
        let anchors = [
            anchor(&steady, &steady, 5.0),
            anchor(&switching, &steady, 100.0),
            anchor(&disturbed, &steady, 40.0),
        ];
        let states = States::of(&anchors.iter().collect::<Vec<_>>());
        let of = |run, round| states.at((run, round)).expect("measured").to_vec();
        assert_eq!(of(0, 1), [0, 0, 0]);
        assert_eq!(of(0, 3), [0, 1, 0]);
        assert_eq!(of(1, 3), [0, 0, 0]);
        assert_eq!(states.at((0, 7)), None);
    }

    #[test]
    fn a_limit_that_was_disturbed_makes_no_state_of_its_own() {
        let state = [1.0, 1.0, 1.0, 1.0, 3.5, 3.5, 3.5, 3.5];
        let mut disturbed = state;
        disturbed[1] = 3.3;
        let anchors = [
            anchor(&state, &state, 5.0),
            anchor(&state, &disturbed, 100.0),
            anchor(&state, &state, 40.0),
        ];
        let states = States::of(&anchors.iter().collect::<Vec<_>>());
        assert_eq!(states.at((1, 2)), states.at((1, 1)));
        assert_ne!(states.at((1, 2)), states.at((1, 5)));
    }
}
