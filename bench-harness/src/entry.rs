//! The rows of the report.

use crate::fan::{Fan, Stopped};
use crate::transport::registry::{Contender, Figures, Sizes};

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
}

impl Entry {
    /// A contender that is measured in one process is so, however many the others have.
    pub fn new(contender: Contender, size: usize, fan: Fan) -> Self {
        let fan = if contender.is_alone() { Fan::PAIR } else { fan };
        Self {
            contender,
            size,
            fan,
            stopped: None,
        }
    }

    /// Whether the other one is of the same contender, size and processes.
    pub fn is_same(&self, other: &Self) -> bool {
        let key = |entry: &Self| (entry.name(), entry.size, entry.fan);
        key(self) == key(other)
    }

    /// Its name in the report.
    pub fn name(&self) -> String {
        Stopped::named(self.contender.full_name(), self.stopped)
    }

    /// What it is measured for: several processes make streams alone.
    pub fn figures(&self) -> Figures {
        if self.fan.is_pair() && self.stopped.is_none() {
            self.contender.figures
        } else {
            Figures::Stream
        }
    }
}

/// A row for each size; one row where the size is given by the contender.
pub fn entries(chosen: &[Contender], sizes: &[usize], fan: Fan) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (index, &size) in sizes.iter().enumerate() {
        for &contender in chosen {
            let size = match contender.sizes {
                Sizes::Asked => size,
                Sizes::Always(size) if index == 0 => size,
                Sizes::Always(_) => continue,
            };
            entries.push(Entry::new(contender, size, fan));
        }
    }
    entries
}

/// Each row that can be measured with a stopped process twice: without one, and with it. Those that can't are told so.
pub fn with_stopped(entries: Vec<Entry>, stopped: Option<Stopped>) -> Vec<Entry> {
    if stopped.is_none() {
        return entries;
    }
    let doubled = entries.into_iter().flat_map(|entry| {
        let with = Entry { stopped, ..entry };
        let without = entry.contender.mechanism.can_hold().then_some(entry);
        without.into_iter().chain([with])
    });
    doubled.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::registry::contenders;

    #[test]
    fn sizes_make_rows_except_where_the_contender_has_its_own() {
        let rows = entries(&contenders(), &[64, 1024], Fan::PAIR);
        let of = |name: &str| {
            let rows = rows.iter().filter(|entry| entry.contender.name == name);
            rows.map(|entry| entry.size).collect::<Vec<_>>()
        };
        assert_eq!(of("limit-memcpy"), [64, 1024]);
        assert_eq!(of("limit-line"), [64]);
        assert_eq!(of("limit-futex"), [0]);
    }

    #[test]
    fn several_processes_make_streams_and_what_is_alone_stays_so() {
        let fan = Fan {
            producers: 3,
            consumers: 2,
        };
        let rows = entries(&contenders(), &[64], fan);
        for row in &rows {
            let is_alone = row.contender.name == "limit-memcpy";
            assert_eq!(row.fan.is_pair(), is_alone, "{:?}", row.contender);
            assert_eq!(row.figures(), Figures::Stream, "{:?}", row.contender);
        }
        assert!(rows.iter().any(|row| row.contender.is_alone()));
    }

    #[test]
    fn what_can_have_a_stopped_process_is_measured_with_and_without() {
        let rows = with_stopped(
            entries(&contenders(), &[64], Fan::PAIR),
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
}
