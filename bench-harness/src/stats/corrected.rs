//! The rows of two saved runs without what the machine did: see [`saves`](super::saves).

use std::collections::HashMap;

use super::drift::{Anchor, Drift, Moment, States, as_they_are};
use super::noise::Waiting;
use super::saves::{Role, SavedKind, SavedRow};
use super::stickiness::deviation_of_median;
use super::strata::{self, Scatter, Stratum};
use super::verdict::SIGNIFICANCE;

/// A row without the drift, as logarithms: the run after first.
pub(super) struct Corrected {
    /// What is compared: rounds of the same state of the machine.
    pub(super) strata: Vec<Stratum>,
    /// How much slower the machine was, which was taken away.
    pub(super) drift: Option<f64>,
    /// How much farther from no shift at all the row's own anchors put it than others that might tell its drift as well.
    pub(super) disagreement: f64,
    shift: Option<f64>,
    scatter: Scatter,
    /// By how many rows the drift is told.
    anchors: usize,
    /// Whether rounds of different states are compared, as the runs have too few of the same.
    pub(super) is_across_states: bool,
}

impl Corrected {
    /// In how many states both runs have rounds.
    pub(super) fn states(&self) -> u32 {
        let states = self.strata.iter().filter(|stratum| stratum.is_two_sided());
        states.count() as u32
    }

    /// The larger deviation of a run.
    pub(super) fn spread(&self) -> f64 {
        self.scatter.deviation
    }

    /// Its shift, and the standard deviation that its rounds give that.
    pub(super) fn shift(&self) -> Option<(f64, f64)> {
        let scatter = &self.scatter;
        let deviation = deviation_of_median(scatter.deviation, scatter.inverse_rounds);
        self.shift.map(|shift| (shift, deviation))
    }

    /// The standard deviation of a row between two runs, given that of one whose drift is known: that of its drift is the median of as
    /// many rows as tell it.
    pub(super) fn widened(&self, deviation: f64) -> f64 {
        match self.anchors {
            0 => deviation,
            anchors => deviation.hypot(deviation_of_median(deviation, 1.0 / anchors as f64)),
        }
    }
}

/// All rows without the drift.
pub(super) fn correct(rows: &[SavedRow<'_>]) -> Vec<Corrected> {
    let anchors = Anchors::of(rows);
    let states = anchors.states();
    let mut known = HashMap::new();
    let one = |(index, row): (usize, &SavedRow<'_>)| {
        let asked = rows.iter().filter(|other| other.role == row.role).count();
        anchors.correct(row, index, &states, asked, &mut known)
    };
    rows.iter().enumerate().map(one).collect()
}

/// A row that tells how fast the machine was.
struct Teller {
    index: usize,
    role: Role,
    kind: SavedKind,
    anchor: Anchor,
}

/// All of them.
struct Anchors(Vec<Teller>);

/// A drift, and how many rows tell it.
#[derive(Clone)]
struct Told {
    drift: Drift,
    anchors: usize,
}

/// The drifts that were needed so far: of a kind, without an anchor.
type Known = HashMap<(SavedKind, Option<usize>), Option<Told>>;

impl Anchors {
    fn of(rows: &[SavedRow<'_>]) -> Self {
        let tellers = rows.iter().enumerate().filter_map(|(index, row)| {
            let is_anchor = row.role != Role::Question;
            let anchor = is_anchor
                .then(|| Anchor::of(row.before, row.after))
                .flatten()?;
            Some(Teller {
                index,
                role: row.role,
                kind: row.kind,
                anchor,
            })
        });
        Self(tellers.collect())
    }

    fn states(&self) -> States {
        let limits: Vec<&Anchor> = self.limits().map(|limit| &limit.anchor).collect();
        States::of(&limits)
    }

    fn limits(&self) -> impl Iterator<Item = &Teller> {
        self.0.iter().filter(|teller| teller.role == Role::Limit)
    }

    /// A row without the drift, given as how many questions it is one.
    fn correct(
        &self,
        row: &SavedRow<'_>,
        index: usize,
        states: &States,
        questions: usize,
        known: &mut Known,
    ) -> Corrected {
        // Only an anchor has to be left out of those that tell its drift.
        let without = (row.role != Role::Question).then_some(index);
        let mut told = |waiting| {
            let kind = SavedKind {
                waiting,
                ..row.kind
            };
            let told = known.entry((kind, without));
            told.or_insert_with(|| self.drift(kind, without)).clone()
        };
        let own = told(row.kind.waiting);
        let mut others: Vec<Told> = match row.kind.waiting {
            Waiting::Spins => Vec::new(),
            Waiting::Sleeps => told(Waiting::Spins).into_iter().collect(),
        };
        let of = |told: Option<&Told>, states: &States| {
            let lns = without_drift(row, told.map(|told| &told.drift));
            split(&lns, states)
        };
        let mut states = states;
        let mut strata = of(own.as_ref(), states);
        let lens: Vec<(usize, usize)> = strata.iter().map(Stratum::lens).collect();
        let is_too_split = strata::least(&lens) * questions as f64 >= SIGNIFICANCE;
        let one_state = States::default();
        let is_across_states = strata.len() > 1 && is_too_split;
        if is_across_states {
            states = &one_state;
            strata = of(own.as_ref(), states);
            others.extend(self.single_limits(row.kind.waiting, without));
        }
        let shift_of = |strata: &[Stratum]| strata::shift(strata).map(|(shift, _)| shift);
        let shift = shift_of(&strata);
        let other_shifts = others
            .iter()
            .filter_map(|other| shift_of(&of(Some(other), states)));
        Corrected {
            disagreement: shift.map_or(0.0, |shift| disagreement(shift, other_shifts)),
            drift: own.as_ref().map(|told| told.drift.ratio()),
            anchors: own.map_or(0, |told| told.anchors),
            scatter: Scatter::of(&strata),
            shift,
            strata,
            is_across_states,
        }
    }

    /// The drift of a kind by all rows but one.
    fn drift(&self, kind: SavedKind, without: Option<usize>) -> Option<Told> {
        let chosen = self.0.iter().filter(|teller| {
            let tells = teller.role == Role::Limit || teller.kind.figure == kind.figure;
            Some(teller.index) != without && tells && teller.kind.waiting == kind.waiting
        });
        let chosen: Vec<&Anchor> = chosen.map(|teller| &teller.anchor).collect();
        Some(Told {
            drift: Drift::of(&chosen)?,
            anchors: chosen.len(),
        })
    }

    /// The drifts by each limit alone that a row which waits so may follow: one that sleeps may hardly do so.
    fn single_limits(
        &self,
        waiting: Waiting,
        without: Option<usize>,
    ) -> impl Iterator<Item = Told> {
        let may_tell = move |limit: &&Teller| {
            let is_like = limit.kind.waiting == waiting || waiting == Waiting::Sleeps;
            is_like && Some(limit.index) != without
        };
        self.limits().filter(may_tell).filter_map(|limit| {
            Some(Told {
                drift: Drift::of(&[&limit.anchor])?,
                anchors: 1,
            })
        })
    }
}

/// How much farther from none a shift is than the nearest of what others make of it. Those of the other sign make it none.
fn disagreement(shift: f64, others: impl Iterator<Item = f64>) -> f64 {
    let agreed = others.map(|other| (other * shift.signum()).max(0.0));
    shift.abs() - agreed.fold(shift.abs(), f64::min)
}

/// The logarithms of both runs, each with its moment.
fn without_drift(row: &SavedRow<'_>, drift: Option<&Drift>) -> [Vec<(Moment, f64)>; 2] {
    let of = |run: usize, series: &[(u32, f64)]| match drift {
        Some(drift) => drift.taken_from(run, series),
        None => as_they_are(run, series),
    };
    [of(0, row.before), of(1, row.after)]
}

/// The rounds by the state of the machine. Where no limit tells, they have one state.
fn split<'a>([before, after]: &[Vec<(Moment, f64)>; 2], states: &'a States) -> Vec<Stratum> {
    let mut strata: Vec<(&'a [usize], Stratum)> = Vec::new();
    for (run, lns) in [before, after].into_iter().enumerate() {
        for &(moment, ln) in lns {
            let state = states.at(moment).unwrap_or_default();
            let known = strata.iter().position(|(known, _)| *known == state);
            let index = known.unwrap_or(strata.len());
            if known.is_none() {
                strata.push((state, Stratum::default()));
            }
            let stratum = &mut strata[index].1;
            if run == 0 {
                stratum.second.push(ln);
            } else {
                stratum.first.push(ln);
            }
        }
    }
    strata.into_iter().map(|(_, stratum)| stratum).collect()
}
