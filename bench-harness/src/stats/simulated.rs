//! Rounds from known distributions, and whole families of verdicts about them.

use super::noise::NoiseFloor;
use super::verdict::{Comparison, Question, Series, Verdict, compare};

/// How often a simulation is repeated.
pub(super) const REPEATS: u32 = 2000;

/// A value of the standard normal distribution, by Box and Muller.
pub(super) fn normal(random: &mut fastrand::Rng) -> f64 {
    let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.f64()).cos()
}

/// A value of Student's t distribution with three degrees of freedom: its tails are so heavy that it has no kurtosis.
pub(super) fn heavy(random: &mut fastrand::Rng) -> f64 {
    let square: f64 = (0..3).map(|_| normal(random).powi(2)).sum();
    normal(random) / (square / 3.0).sqrt()
}

/// In which share of the repetitions something is true.
pub(super) fn share(mut once: impl FnMut() -> bool) -> f64 {
    let hits = (0..REPEATS).filter(|_| once()).count();
    hits as f64 / f64::from(REPEATS)
}

pub(super) fn is_difference(answer: &Comparison) -> bool {
    matches!(answer.verdict, Verdict::Faster | Verdict::Slower)
}

/// Draws a value of a distribution.
pub(super) type Draw = fn(&mut fastrand::Rng) -> f64;

/// How the rounds of one contender scatter.
#[derive(Clone, Copy)]
struct Noise {
    innovation: Draw,
    /// Of successive rounds of one contender.
    correlation: f64,
}

impl Noise {
    /// The times of one contender: 100 in the middle, about 5 % of scatter.
    fn times(self, rounds: u32, random: &mut fastrand::Rng) -> Vec<(u32, f64)> {
        let mut state = normal(random);
        let rest = (1.0 - self.correlation.powi(2)).sqrt();
        (0..rounds)
            .map(|round| {
                state = self.correlation * state + rest * (self.innovation)(random);
                (round, 100.0 * (0.05 * state).exp())
            })
            .collect()
    }
}

/// The verdicts about contenders against one of them, with the floor from the latter's twin.
fn family(
    contenders: &[Vec<(u32, f64)>],
    one: &[(u32, f64)],
    twin: &[(u32, f64)],
) -> Vec<Comparison> {
    let floor = NoiseFloor::of_pair(one, twin).expect("rounds").guard;
    let question = |numerator| Question {
        series: Series::Paired {
            numerator,
            denominator: one,
        },
        floor,
    };
    let questions: Vec<_> = contenders.iter().map(|times| question(times)).collect();
    compare(&questions, 1)
}

/// The share of families of equal contenders in which any is called different.
fn false_families(noise: Noise, rounds: u32, contenders: usize) -> f64 {
    const FAMILIES: u32 = 100;
    let mut random = fastrand::Rng::with_seed(31);
    let wrong = (0..FAMILIES).filter(|_| {
        let mut times = || noise.times(rounds, &mut random);
        let (one, twin) = (times(), times());
        let others: Vec<_> = (0..contenders).map(|_| times()).collect();
        family(&others, &one, &twin).iter().any(is_difference)
    });
    wrong.count() as f64 / f64::from(FAMILIES)
}

#[test]
fn fewer_than_one_family_in_twenty_is_wrong_whatever_the_tails_and_the_correlation() {
    for innovation in [normal as Draw, heavy] {
        for correlation in [0.0, 0.3, 0.6] {
            for (rounds, contenders) in [(9, 1), (12, 20), (16, 10)] {
                let noise = Noise {
                    innovation,
                    correlation,
                };
                let wrong = false_families(noise, rounds, contenders);
                assert!(wrong < 0.05, "{correlation} {rounds} {contenders}: {wrong}");
            }
        }
    }
}

#[test]
fn a_machine_that_changes_its_speed_for_all_gives_no_verdict_and_hides_none() {
    let mut random = fastrand::Rng::with_seed(32);
    let noise = Noise {
        innovation: normal,
        correlation: 0.0,
    };
    let (mut wrong, mut seen) = (0, 0);
    for _ in 0..100 {
        let turn = random.u32(0..12);
        let mut times = |factor: f64| -> Vec<(u32, f64)> {
            let even = noise.times(12, &mut random).into_iter();
            let slow = |round| if round >= turn { 3.5 } else { 1.0 };
            even.map(|(round, time)| (round, factor * slow(round) * time))
                .collect()
        };
        let (one, twin) = (times(1.0), times(1.0));
        let others = [times(1.0), times(1.0), times(1.3), times(0.7)];
        let answers = family(&others, &one, &twin);
        wrong += u32::from(answers[..2].iter().any(is_difference));
        let slower = answers[2].verdict == Verdict::Slower;
        seen += u32::from(slower && answers[3].verdict == Verdict::Faster);
    }
    assert!(wrong < 5 && seen > 90, "{wrong} {seen}");
}

#[test]
fn a_pair_holds_its_own_in_nineteen_runs_of_twenty_and_not_in_all() {
    let mut random = fastrand::Rng::with_seed(33);
    let mut held = |factor: f64, correlation: f64| {
        let noise = Noise {
            innovation: heavy,
            correlation,
        };
        share(|| {
            let (one, mut twin) = (noise.times(12, &mut random), noise.times(12, &mut random));
            for (_, time) in &mut twin {
                *time *= factor;
            }
            NoiseFloor::of_pair(&one, &twin).is_some_and(|floor| floor.holds_its_own())
        })
    };
    let (honest, unequal, sticky) = (held(1.0, 0.0), held(1.2, 0.0), held(1.0, 0.8));
    assert!((0.93..0.98).contains(&honest), "{honest}");
    assert!(unequal < 0.2, "{unequal}");
    assert!(sticky < 0.8, "{sticky}");
}
