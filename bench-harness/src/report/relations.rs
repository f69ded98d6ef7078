//! What rows are beside others: to the limits, to a reference, to themselves entered again.

use super::document::{Figures, Noise, RatioToLimit, RatioToPipe, WindowKind};
use super::figures::{p50, series_of, slower_stream, time_each};
use crate::stats::noise::{Figure, Kind, KindFloor, NoiseFloor, Waiting, guard_of};
use crate::stats::verdict::{Question, Series as Compared, compare};
use crate::stats::{Comparison, median, median_ratio, ratios};
use crate::transport::Class;

/// What a row is noisy like.
pub fn kind_of(row: &Figures, figure: Figure) -> Kind {
    Kind {
        waiting: Waiting::from(row.wait),
        figure,
    }
}

/// How far those that were entered twice differ from themselves.
pub fn noise_of(rows: &[Figures]) -> Vec<Noise> {
    let mut noise = Vec::new();
    for twin in rows.iter().filter(|row| row.is_twin) {
        let is_it = |row: &&Figures| {
            !row.is_twin && has_same_place(row, twin) && row.full_name() == twin.full_name()
        };
        let Some(first) = rows.iter().find(is_it) else {
            continue;
        };
        for figure in [Figure::Stream, Figure::RoundTrip, Figure::Paced] {
            let floor = NoiseFloor::of_pair(&series_of(twin, figure), &series_of(first, figure));
            noise.extend(floor.map(|floor| Noise {
                kind: kind_of(twin, figure),
                contender: twin.full_name(),
                size_bytes: twin.size_bytes,
                holds_its_own: floor.holds_its_own(),
                floor,
            }));
        }
    }
    noise
}

/// Whether both were measured with the same messages, by as many processes, on the same cores and at the same pace.
pub fn has_same_place(one: &Figures, other: &Figures) -> bool {
    let key = |row: &Figures| {
        let paced = &row.paced_ns;
        let place = (row.size_bytes, row.producers, row.consumers, row.cores);
        (place, paced.rate_per_second, paced.arrivals)
    };
    key(one) == key(other)
}

/// The comparisons of all rows that carry messages with the reference, by the row's index.
pub fn compare_with(
    reference: &str,
    figure: Figure,
    rows: &[Figures],
    noise: &[Noise],
    seed: u64,
) -> Vec<(usize, Comparison)> {
    let floors: Vec<KindFloor> = noise
        .iter()
        .map(|noise| KindFloor {
            kind: noise.kind,
            floor: noise.floor,
        })
        .collect();
    let carries = |row: &Figures| !matches!(row.class, Class::Limit | Class::Notify);
    let asked = rows.iter().enumerate().filter_map(|(index, row)| {
        let is_reference = |other: &&Figures| {
            other.full_name() == reference && !other.is_twin && has_same_place(other, row)
        };
        let reference = rows.iter().find(is_reference)?;
        if !carries(row) || row.is_twin || std::ptr::eq(row, reference) {
            return None;
        }
        let (own, of_reference) = (series_of(row, figure), series_of(reference, figure));
        let is_measured = !own.is_empty() && !of_reference.is_empty();
        // Either of them may be the noisy one. Without any pair nobody knows what a difference has to exceed.
        let guards = [row, reference].map(|row| guard_of(kind_of(row, figure), &floors));
        let guard = guards.into_iter().flatten().max_by(f64::total_cmp)?;
        is_measured.then_some((index, own, of_reference, guard))
    });
    let asked: Vec<_> = asked.collect();
    let family: Vec<Question<'_>> = asked
        .iter()
        .map(|(_, own, of_reference, guard)| Question {
            series: Compared::Paired {
                numerator: own,
                denominator: of_reference,
            },
            floor: *guard,
        })
        .collect();
    let answers = compare(&family, seed);
    asked
        .iter()
        .map(|(index, ..)| *index)
        .zip(answers)
        .collect()
}

/// The ratios of a row to the limits, to pipe, and to itself without a stopped process (in each round).
pub fn relative_to(row: &Figures, rows: &[Figures]) -> (RatioToLimit, RatioToPipe, Vec<f64>) {
    let find = |name: &str, is_place: &dyn Fn(&Figures) -> bool| {
        rows.iter()
            .find(|other| other.contender == name && !other.is_twin && is_place(other))
    };
    let has_size = |other: &Figures| other.size_bytes == row.size_bytes;
    let on_cores = |other: &Figures| other.cores == row.cores;
    let (own_stream, own_trip) = (slower_stream(row), p50(row, WindowKind::RoundTrip));
    let limit = RatioToLimit {
        round_trip: find("limit-line", &on_cores)
            .and_then(|line| median_ratio(&own_trip, &p50(line, WindowKind::RoundTrip))),
        stream: find("limit-memcpy", &has_size)
            .and_then(|memcpy| median_ratio(&own_stream, &slower_stream(memcpy))),
    };
    // Only of what carries messages is it told how many times those of pipe.
    let carries = !matches!(row.class, Class::Limit | Class::Notify);
    let pipe = find("pipe", &|other| has_same_place(other, row)).filter(|_| carries);
    let to_pipe = pipe.map_or_else(RatioToPipe::default, |pipe| RatioToPipe {
        stream: median_ratio(&slower_stream(pipe), &own_stream),
        round_trip: median_ratio(&p50(pipe, WindowKind::RoundTrip), &own_trip),
    });
    (limit, to_pipe, to_undisturbed(row, rows))
}

/// The ratios of the rounds to those without the stopped process, in the regime where their median is worse.
fn to_undisturbed(row: &Figures, rows: &[Figures]) -> Vec<f64> {
    let name = format!("{}/{}", row.contender, row.wait);
    let is_it = |other: &&Figures| {
        !other.is_twin && other.full_name() == name && has_same_place(other, row)
    };
    let Some(other) = rows.iter().find(is_it).filter(|_| row.stopped.is_some()) else {
        return Vec::new();
    };
    let of = |kind| ratios(&time_each(row, kind), &time_each(other, kind));
    let [drained, working] = [WindowKind::Drained, WindowKind::Working].map(of);
    if median(&working) > median(&drained) {
        working
    } else {
        drained
    }
}
