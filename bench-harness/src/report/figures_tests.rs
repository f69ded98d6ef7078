use super::*;
use crate::entry::{Entry, Wanted};
use crate::fan::Fan;
use crate::job::Lateness;
use crate::measure::schedule::{Arrivals, Pace};
use crate::stats::Verdict;
use crate::transport::registry::find;

const PACE: Pace = Pace {
    rate_per_second: 1_000,
    arrivals: Arrivals::Constant,
    seed: 1,
};

fn window(count: u64, elapsed_ns: u64, p50: Option<u64>) -> Window {
    let usage = Usage {
        cpu_ns: 2 * elapsed_ns,
        voluntary_switches: count,
        ..Usage::default()
    };
    let latency = Latency {
        p50,
        max: 9 * elapsed_ns,
        samples: count,
        ..Latency::default()
    };
    let times = Distribution {
        summary: latency,
        histogram: Recorder::default().distribution().histogram,
    };
    Window {
        count,
        elapsed_ns,
        sender: usage,
        times: Some(times),
        ..Window::default()
    }
}

/// A row whose rounds have the given times for 10 messages: drained, working, and the median of the round trip.
fn row(name: &str, rounds: &[(u64, u64, u64)]) -> Row {
    let mut row = Row::new(Entry::new(
        find(name).unwrap(),
        64,
        Fan::PAIR,
        Wanted::default(),
    ));
    row.status = Status::Ok;
    for (index, &(drained, working, p50)) in rounds.iter().enumerate() {
        row.rounds.push(Round {
            number: index as u32 + 1,
            drained: Some(window(10, drained, None)),
            working: Some(window(10, working, None)),
            exchanges: Some(window(30, 1_000, Some(p50))),
            ..Round::default()
        });
    }
    row
}

fn alone(rows: &[Row]) -> Vec<Figures> {
    figures(rows, None, "pipe/park", 1).0
}

fn assert_close(left: Option<f64>, right: f64) {
    assert!(
        left.is_some_and(|left| (left - right).abs() < 1e-9),
        "{left:?} {right}"
    );
}

#[test]
fn the_slower_regime_is_the_figure_and_both_are_told() {
    let rows = [row(
        "limit-memcpy/spin",
        &[(100, 400, 1), (300, 200, 1), (200, 300, 1)],
    )];
    let stream = &alone(&rows)[0].stream;
    assert_eq!(stream.regime.as_deref(), Some("working"));
    assert_close(stream.ns_per_message, 30.0);
    assert_close(stream.drained.ns_per_message, 20.0);
    assert_eq!(stream.rounds, [40.0, 20.0, 30.0]);
    assert_close(stream.messages_per_second, 1e9 / 30.0);
    assert_close(stream.bytes_per_second, 64e9 / 30.0);
}

#[test]
fn ratios_are_to_the_limits_of_the_same_round() {
    let rows = [
        row("limit-line/spin", &[(10, 10, 100), (10, 10, 300)]),
        row("limit-memcpy/spin", &[(20, 10, 100), (40, 10, 300)]),
        row("limit-futex/park", &[(100, 100, 500), (400, 100, 900)]),
    ];
    let futex = &alone(&rows)[2];
    assert_close(futex.ratio_to_limit.round_trip, 4.0);
    assert_close(futex.ratio_to_limit.stream, 7.5);
    assert!(futex.ratio_to_pipe.stream.is_none());
}

#[test]
fn percentiles_are_medians_and_the_maximum_is_that_of_all_rounds() {
    let rows = [row(
        "limit-line/spin",
        &[(1, 1, 100), (1, 1, 700), (1, 1, 300)],
    )];
    let trip = &alone(&rows)[0].round_trip_ns;
    assert_eq!(
        (trip.p50, trip.p99, trip.max),
        (Some(300), None, Some(9_000))
    );
    assert_eq!(trip.samples, 90);
    assert_eq!(trip.rounds, [Some(100), Some(700), Some(300)]);
}

#[test]
fn costs_are_for_a_message_and_an_exchange_has_two() {
    let mut only_trips = row("limit-line/spin", &[(100, 100, 1)]);
    only_trips.rounds[0].drained = None;
    only_trips.rounds[0].working = None;
    let rows = [row("limit-memcpy/spin", &[(100, 100, 1)]), only_trips];
    let all = alone(&rows);
    assert_close(all[0].cpu_ns_per_message, 20.0);
    assert_close(all[0].context_switches_per_message, 1.0);
    assert_close(all[1].cpu_ns_per_message, 2_000.0 / 60.0);
}

#[test]
fn a_row_that_went_wrong_has_no_figures() {
    let mut wrong = row("limit-line/spin", &[(100, 100, 1)]);
    wrong.give_up(Status::Failed, "lost".to_owned());
    let figures = &alone(&[wrong])[0];
    assert!(figures.stream.ns_per_message.is_none() && figures.round_trip_ns.p50.is_none());
    assert!(figures.cpu_ns_per_message.is_none() && figures.round_trip_ns.max.is_none());
    assert_eq!(figures.reason.as_deref(), Some("lost"));
}

#[test]
fn a_round_that_was_repeated_counts_with_both() {
    let mut repeated = row("limit-memcpy/spin", &[(100, 100, 1), (300, 300, 1)]);
    repeated.rounds[1].number = 1;
    let figures = &alone(&[repeated])[0];
    assert_eq!(figures.stream.rounds, [20.0]);
    let attempts: Vec<u32> = figures.windows.iter().map(|w| w.attempt).collect();
    assert_eq!(attempts, [1, 1, 1, 2, 2, 2]);
}

#[test]
fn a_round_that_was_repeated_has_one_median() {
    let rounds = [(1, 1, 100), (1, 1, 300), (1, 1, 700), (1, 1, 900)];
    let mut repeated = row("limit-line/spin", &rounds);
    for (round, number) in repeated.rounds.iter_mut().zip([1, 1, 2, 3]) {
        round.number = number;
    }
    let trip = &alone(&[repeated])[0].round_trip_ns;
    assert_eq!(trip.rounds, [Some(200), Some(700), Some(900)]);
    assert_eq!((trip.p50, trip.samples), (Some(700), 120));
}

#[test]
fn a_figure_that_some_windows_lack_is_compared_with_nothing() {
    let mut slow = row("limit-futex/park", &[(1, 1, 500), (1, 1, 900)]);
    let lacking = slow.rounds[1].exchanges.as_mut().unwrap();
    lacking.times.as_mut().unwrap().summary.p50 = None;
    let line = row("limit-line/spin", &[(1, 1, 100), (1, 1, 100)]);
    let futex = &alone(&[line, slow])[1];
    assert!(futex.ratio_to_limit.round_trip.is_none());
    assert!(futex.round_trip_ns.p50.is_none());
}

#[test]
fn a_rate_that_was_not_kept_has_no_percentiles_and_no_comparisons() {
    let kept = |name: &str, late_ns: u64| {
        let mut row = row(name, &[(1, 1, 100); 11]);
        row.entry.wanted.paced = Some(PACE);
        for round in &mut row.rounds {
            let mut paced = window(30, 1_000, Some(100));
            paced.lateness = Some(Lateness {
                planned_ns: 100,
                late_ns,
            });
            round.paced = Some(paced);
        }
        row
    };
    let mut twin = kept("ring-spsc/park", 0);
    twin.entry.is_twin = true;
    let mut given_up = kept("fifo/park", 0);
    given_up.give_up(Status::Saturated, "at less already".to_owned());
    let rows = [
        kept("pipe/park", 0),
        kept("ring-spsc/park", 0),
        twin,
        kept("unix-stream/park", 50),
        given_up,
    ];
    let all = alone(&rows);
    let told = |row: &Figures| {
        let paced = row.windows.iter().filter(|w| w.kind == WindowKind::Paced);
        let windows = paced.clone().count();
        let times = paced.filter(|window| window.times_ns.is_some()).count();
        (row.paced_ns.saturated, windows, times)
    };
    let compared = |row: &Figures| row.versus_reference.paced.is_some();
    assert_eq!((told(&all[1]), compared(&all[1])), ((false, 11, 11), true));
    assert_eq!((told(&all[3]), compared(&all[3])), ((true, 11, 0), false));
    assert_eq!((told(&all[4]), compared(&all[4])), ((true, 0, 0), false));
    // Streams are compared all the same.
    assert!(all[3].versus_reference.stream.is_some());
}

#[test]
fn either_of_two_may_be_the_noisy_one_and_without_a_pair_nothing_is_compared() {
    let times = [500, 505, 495, 510, 490, 500, 505, 495, 510, 490, 500];
    let series = |scale: u64| -> Vec<(u64, u64, u64)> {
        times.iter().map(|ns| (scale * ns, 1, scale * ns)).collect()
    };
    let mut rows = vec![
        row("pipe/park", &series(10)),
        row("ring-spsc/spin", &series(9)),
    ];
    let verdict = |rows: &[Row]| {
        let all = alone(rows);
        all[1].versus_reference.stream.map(|c| c.verdict)
    };
    assert_eq!(verdict(&rows), None);
    let twin_of = |name: &str, factor: u64| {
        let again = times.iter().map(|ns| (factor * ns, 1, factor * ns));
        let mut twin = row(name, &again.collect::<Vec<_>>());
        twin.entry.is_twin = true;
        twin
    };
    rows.push(twin_of("ring-spsc/spin", 9));
    assert_eq!(verdict(&rows), Some(Verdict::Faster));
    // The sleeping one strays by half.
    rows.push(twin_of("pipe/park", 15));
    assert_eq!(verdict(&rows), Some(Verdict::NoDetectableDifference));
}

#[test]
fn what_too_few_samples_of_each_round_tell_all_together_may() {
    let mut rows = row("limit-line/spin", &[(1, 1, 1), (1, 1, 1)]);
    for round in &mut rows.rounds {
        let mut recorder = Recorder::default();
        (1..=600).for_each(|ns| recorder.record(ns));
        round.exchanges.as_mut().unwrap().times = Some(recorder.distribution());
    }
    let trip = &alone(&[rows])[0].round_trip_ns;
    assert_eq!(
        (trip.p50, trip.p99, trip.p99_9),
        (Some(300), Some(594), None)
    );
    assert_eq!(trip.pooled, ["p99"]);
}

#[test]
fn a_difference_beyond_the_noise_is_told_and_one_within_is_not() {
    let series = |base: u64| -> Vec<(u64, u64, u64)> {
        (0..11)
            .map(|round| (base + round % 3, base, base))
            .collect()
    };
    let mut twin = row("ring-spsc/park", &series(500));
    twin.entry.is_twin = true;
    let rows = [
        row("pipe/park", &series(1_000)),
        row("fifo/park", &series(1_001)),
        row("ring-spsc/park", &series(500)),
        twin,
    ];
    let (all, noise) = figures(&rows, None, "pipe/park", 1);
    let verdict = |index: usize| all[index].versus_reference.stream.map(|c| c.verdict);
    assert_eq!(verdict(0), None);
    assert_eq!(verdict(2), Some(Verdict::Faster));
    assert_eq!(verdict(3), None);
    assert_eq!(noise.len(), 2);
    assert!(noise.iter().all(|noise| noise.holds_its_own));
}
