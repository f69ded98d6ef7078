//! The rows of the report.

use crate::fan::{Fan, Stopped};
use crate::measure::schedule::Pace;
use crate::transport::registry::{Contender, Sizes};
use crate::transport::{Class, WaitMode};

/// What a row is measured for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wanted {
    /// As fast as it goes, in two regimes.
    pub stream: bool,
    /// There and back.
    pub round_trip: bool,
    /// One way, by the clock.
    pub paced: Option<Pace>,
}

impl Wanted {
    /// How many windows that makes.
    pub fn windows(self) -> u32 {
        2 * u32::from(self.stream) + u32::from(self.round_trip) + u32::from(self.paced.is_some())
    }

    /// What a contender can be measured for. Wake-ups without content are paced only where nothing else is asked for (`wake`).
    fn of(self, contender: &Contender) -> Self {
        let can = contender.figures;
        let carries = can.has_stream() && can.has_round_trip();
        let is_alone = !self.stream && !self.round_trip;
        let is_wake = contender.class == Class::Notify && is_alone;
        Self {
            stream: self.stream && can.has_stream(),
            round_trip: self.round_trip && can.has_round_trip(),
            paced: self.paced.filter(|_| carries || is_wake),
        }
    }
}

/// One row of the report: a contender at a size.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The contender.
    pub contender: Contender,
    /// The length of its messages in bytes.
    pub size: usize,
    /// How many processes send and receive.
    pub fan: Fan,
    /// One more, that is stopped in the middle of a message.
    pub stopped: Option<Stopped>,
    /// Whether this is the same as another row, entered again to see how far equal things differ.
    pub is_twin: bool,
    /// The two cores, if they aren't those of the whole run.
    pub cores: Option<[usize; 2]>,
    /// What it is measured for.
    pub wanted: Wanted,
}

impl Entry {
    /// A contender that is measured in one process is so, however many the others have; and several processes make streams alone.
    pub fn new(contender: Contender, size: usize, fan: Fan, wanted: Wanted) -> Self {
        let fan = if contender.is_alone() { Fan::PAIR } else { fan };
        let wanted = wanted.of(&contender);
        Self {
            contender,
            size,
            fan,
            stopped: None,
            is_twin: false,
            cores: None,
            wanted: if fan.is_pair() {
                wanted
            } else {
                Wanted {
                    round_trip: false,
                    paced: None,
                    ..wanted
                }
            },
        }
    }

    /// The same with one more process that is stopped.
    #[must_use]
    pub fn with_stopped(self, stopped: Option<Stopped>) -> Self {
        let wanted = Wanted {
            stream: self.wanted.stream,
            ..Wanted::default()
        };
        Self {
            stopped,
            wanted: if stopped.is_some() {
                wanted
            } else {
                self.wanted
            },
            ..self
        }
    }

    /// Whether the other one is of the same contender, size, processes, cores and pace.
    pub fn is_same(&self, other: &Self) -> bool {
        let key = |entry: &Self| {
            let Self {
                size, fan, cores, ..
            } = *entry;
            (entry.name(), size, fan, cores, entry.wanted.paced)
        };
        key(self) == key(other)
    }

    /// Whether the other one is the same contender, with the same messages between as many processes.
    pub fn has_same_links(&self, other: &Self) -> bool {
        let key = |entry: &Self| (entry.contender.full_name(), entry.size, entry.fan);
        key(self) == key(other)
    }

    /// Its name in the report.
    pub fn name(&self) -> String {
        Stopped::named(self.contender.full_name(), self.stopped)
    }
}

/// A row for each size; one row where the size is given by the contender.
pub fn entries(chosen: &[Contender], sizes: &[usize], fan: Fan, wanted: Wanted) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (index, &size) in sizes.iter().enumerate() {
        for &contender in chosen {
            let size = match contender.sizes {
                Sizes::Asked => size,
                Sizes::Always(size) if index == 0 => size,
                Sizes::Always(_) => continue,
            };
            entries.push(Entry::new(contender, size, fan, wanted));
        }
    }
    entries
}

/// The same rows for each of several paces.
pub fn at_paces(entries: &[Entry], paces: &[Pace]) -> Vec<Entry> {
    let with = |entry: &Entry, pace: Pace| {
        let wanted = Wanted {
            paced: entry.wanted.paced.map(|_| pace),
            ..entry.wanted
        };
        Entry { wanted, ..*entry }
    };
    let at = |entry| paces.iter().map(move |&pace| with(entry, pace));
    entries.iter().flat_map(at).collect()
}

/// The same rows on each pair of cores.
pub fn on_cores(entries: &[Entry], cores: &[usize]) -> Vec<Entry> {
    let mut rows = Vec::new();
    for (index, &left) in cores.iter().enumerate() {
        for &right in &cores[index + 1..] {
            rows.extend(entries.iter().map(|&entry| Entry {
                cores: Some([left, right]),
                ..entry
            }));
        }
    }
    rows
}

/// Enters again what tells how far equal things differ: of those that spin the first that carries messages, and of those that sleep; the rings
/// are the first. Of each at its first size.
pub fn with_twins(mut entries: Vec<Entry>) -> Vec<Entry> {
    let first = |wait: WaitMode| {
        let is_it = |entry: &&Entry| {
            let contender = &entry.contender;
            contender.has_content() && contender.wait == wait && entry.wanted.windows() > 0
        };
        entries.iter().find(is_it).copied()
    };
    let twins = [first(WaitMode::Spin), first(WaitMode::Park)]
        .into_iter()
        .flatten();
    let twins: Vec<Entry> = twins
        .map(|entry| Entry {
            is_twin: true,
            ..entry
        })
        .collect();
    entries.extend(twins);
    entries
}

/// Each row that can be measured with a stopped process twice: without one, and with it. Those that can't are told so.
pub fn with_stopped(entries: Vec<Entry>, stopped: Option<Stopped>) -> Vec<Entry> {
    if stopped.is_none() {
        return entries;
    }
    let doubled = entries.into_iter().flat_map(|entry| {
        let with = entry.with_stopped(stopped);
        let without = entry.contender.mechanism.can_hold().then_some(entry);
        without.into_iter().chain([with])
    });
    doubled.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::schedule::Arrivals;
    use crate::transport::registry::contenders;

    const PACE: Pace = Pace {
        rate_per_second: 1_000,
        arrivals: Arrivals::Constant,
        seed: 1,
    };
    const ALL: Wanted = Wanted {
        stream: true,
        round_trip: true,
        paced: Some(PACE),
    };

    #[test]
    fn sizes_make_rows_except_where_the_contender_has_its_own() {
        let rows = entries(&contenders(), &[64, 1024], Fan::PAIR, ALL);
        let of = |name: &str| {
            let rows = rows.iter().filter(|entry| entry.contender.name == name);
            rows.map(|entry| entry.size).collect::<Vec<_>>()
        };
        assert_eq!(of("limit-memcpy"), [64, 1024]);
        assert_eq!(of("limit-line"), [64]);
        assert_eq!(of("limit-futex"), [0]);
    }

    #[test]
    fn rows_are_measured_for_what_they_can() {
        let rows = entries(&contenders(), &[64], Fan::PAIR, ALL);
        let of = |name: &str| {
            let row = rows.iter().find(|row| row.contender.full_name() == name);
            let wanted = row.unwrap().wanted;
            (wanted.stream, wanted.round_trip, wanted.paced.is_some())
        };
        assert_eq!(of("limit-memcpy/spin"), (true, false, false));
        assert_eq!(of("limit-line/spin"), (false, true, false));
        assert_eq!(of("eventfd/park"), (false, true, false));
        assert_eq!(of("ring-spsc/park"), (true, true, true));
        assert_eq!(of("pipe/park"), (true, true, true));
    }

    #[test]
    fn several_processes_make_streams_and_what_is_alone_stays_so() {
        let fan = Fan {
            producers: 3,
            consumers: 2,
        };
        let rows = entries(&contenders(), &[64], fan, ALL);
        for row in &rows {
            let is_alone = row.contender.name == "limit-memcpy";
            assert_eq!(row.fan.is_pair(), is_alone, "{:?}", row.contender);
            let alone_or_stream = !row.wanted.round_trip && row.wanted.paced.is_none();
            assert!(alone_or_stream, "{:?}", row.contender);
        }
        assert!(rows.iter().any(|row| row.contender.is_alone()));
    }

    #[test]
    fn what_can_have_a_stopped_process_is_measured_with_and_without() {
        let rows = with_stopped(
            entries(&contenders(), &[64], Fan::PAIR, ALL),
            Some(Stopped::Producer),
        );
        let of = |name: &str| {
            let rows = rows.iter().filter(|row| row.contender.full_name() == name);
            rows.map(Entry::name).collect::<Vec<_>>()
        };
        let many = "ring-mpmc/park";
        assert_eq!(
            of(many),
            [many.to_owned(), format!("{many} +stopped producer")]
        );
        assert_eq!(of("pipe/park"), ["pipe/park +stopped producer"]);
    }

    #[test]
    fn one_that_spins_and_one_that_sleeps_are_entered_again() {
        let rows = with_twins(entries(&contenders(), &[64, 128], Fan::PAIR, ALL));
        let twins: Vec<_> = rows.iter().filter(|row| row.is_twin).collect();
        let names: Vec<_> = twins.iter().map(|row| row.name()).collect();
        assert_eq!(names, ["ring-spsc/spin", "ring-spsc/park"]);
        assert!(twins.iter().all(|row| row.size == 64));
    }

    #[test]
    fn every_pair_of_cores_has_its_row_once() {
        let contenders: Vec<_> = contenders().into_iter().take(1).collect();
        let rows = on_cores(&entries(&contenders, &[64], Fan::PAIR, ALL), &[0, 2, 5]);
        let pairs: Vec<_> = rows.iter().filter_map(|row| row.cores).collect();
        assert_eq!(pairs, [[0, 2], [0, 5], [2, 5]]);
    }

    #[test]
    fn rows_are_repeated_for_each_pace() {
        let contenders = contenders();
        let pipe = contenders.iter().filter(|c| c.name == "pipe").copied();
        let rows = entries(&pipe.collect::<Vec<_>>(), &[64], Fan::PAIR, ALL);
        let paces = [1, 2, 3].map(|rate_per_second| Pace {
            rate_per_second,
            ..PACE
        });
        let rates: Vec<_> = at_paces(&rows, &paces)
            .iter()
            .filter_map(|row| Some(row.wanted.paced?.rate_per_second))
            .collect();
        assert_eq!(rates, [1, 2, 3]);
    }
}
