//! Sheets with a column for each size, rate, number of processes, gap or core.

use super::document::{Figures, Report};
use super::numbers::{NONE, bytes, figure, ns, rate, short_time};
use super::rows::{NOISE_SECTION, lines_by_section, status};
use super::sheet::{Column, Line, Sheet};
use crate::results::Status;
use crate::stats::noise::Figure;
use crate::transport::Class;

/// What a matrix shows.
struct Matrix<'a, K> {
    title: String,
    /// The columns: their keys and names. Those at the end are dropped first.
    columns: Vec<(K, Column)>,
    /// In which column a row stands.
    key: &'a dyn Fn(&Figures) -> Vec<K>,
    /// What stands there.
    cell: &'a dyn Fn(&Figures, &K) -> String,
    /// Of which figure the noise floor is told.
    floor: Option<Figure>,
}

/// The cell of a row without a figure.
fn or_status(row: &Figures, shown: String) -> String {
    match row.status {
        Status::Ok => shown,
        _ => status(row).to_owned(),
    }
}

/// Distinct values in growing order.
fn distinct<T: Ord + Copy>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values.dedup();
    values
}

impl Report {
    fn matrix<K: PartialEq>(&self, matrix: &Matrix<'_, K>) -> Option<Sheet> {
        let is_shown = |row: &&Figures| !(matrix.key)(row).is_empty();
        let rows: Vec<&Figures> = self.results.iter().filter(is_shown).collect();
        // All rows of a contender make one line.
        let mut firsts: Vec<&Figures> = Vec::new();
        for row in &rows {
            let is_same = |other: &&&Figures| {
                other.full_name() == row.full_name() && other.is_twin == row.is_twin
            };
            if firsts.iter().find(is_same).is_none() {
                firsts.push(row);
            }
        }
        let cells = |first: &Figures| {
            let mut cells = vec![first.full_name()];
            cells.extend(matrix.columns.iter().map(|(key, _)| {
                let of_same = rows.iter().filter(|row| {
                    row.full_name() == first.full_name() && row.is_twin == first.is_twin
                });
                let found = of_same
                    .into_iter()
                    .find(|row| (matrix.key)(row).contains(key));
                found.map_or_else(|| NONE.to_owned(), |row| (matrix.cell)(row, key))
            }));
            cells
        };
        let mut lines = lines_by_section(&firsts, cells);
        let len = matrix.columns.len() + 1;
        if let Some(figure) = matrix.floor {
            let twins: Vec<_> = firsts.iter().filter(|row| row.is_twin).collect();
            if !twins.is_empty() {
                lines.push(Line::Section(NOISE_SECTION.to_owned()));
            }
            for twin in twins {
                let mut own = cells(twin);
                own[0] = twin.shown_name();
                lines.push(Line::Cells(own));
                let key = (matrix.key)(twin);
                let column = matrix
                    .columns
                    .iter()
                    .position(|(other, _)| key.contains(other));
                lines.extend(self.noise_lines(
                    twin,
                    |of| column.filter(|_| of == figure).map(|column| column + 1),
                    len,
                ));
            }
        }
        let mut columns = vec![Column::text("contender")];
        // The first one stays.
        columns.extend(
            matrix
                .columns
                .iter()
                .enumerate()
                .map(|(index, (_, column))| column.clone().ranked(index as u32)),
        );
        let title = matrix.title.clone();
        (!firsts.is_empty()).then_some(Sheet {
            title,
            columns,
            lines,
        })
    }

    /// Of `sweep`: streams and round trips by size.
    pub fn sheets_by_size(&self) -> Vec<Sheet> {
        let sizes = self.sizes();
        let columns = || {
            sizes
                .iter()
                .map(|&size| (size, Column::number("size", &bytes(size))))
        };
        let has_stream = |row: &Figures| !row.stream.rounds.is_empty();
        let key = |row: &Figures| vec![row.size_bytes];
        let stream = self.matrix(&Matrix {
            title: "Streams: ns per message".to_owned(),
            columns: columns().collect(),
            key: &|row| {
                if has_stream(row) || row.status != Status::Ok {
                    key(row)
                } else {
                    Vec::new()
                }
            },
            cell: &|row, _| or_status(row, figure(row.stream.ns_per_message)),
            floor: Some(Figure::Stream),
        });
        let trip = self.matrix(&Matrix {
            title: "Round trips: median in ns".to_owned(),
            columns: columns().collect(),
            key: &|row| {
                let has_trip = row.round_trip_ns.samples > 0 || row.status != Status::Ok;
                // The round trip of a cache line is the limit at every size, and a bare wake-up has none.
                match row.class {
                    Class::Limit | Class::Notify if has_trip => sizes.clone(),
                    _ if has_trip => key(row),
                    _ => Vec::new(),
                }
            },
            cell: &|row, _| or_status(row, ns(row.round_trip_ns.p50)),
            floor: Some(Figure::RoundTrip),
        });
        [stream, trip].into_iter().flatten().collect()
    }

    /// The sizes that were asked for, in growing order: each has a sheet of its own where they aren't the columns.
    fn sizes(&self) -> Vec<usize> {
        distinct(self.settings.sizes.iter().copied())
    }

    /// Whether a row stands in the sheet of a size. What has none of the sizes, as what carries nothing, stands in the first one.
    fn is_of_size(&self, row: &Figures, size: usize) -> bool {
        let sizes = self.sizes();
        let own = sizes.iter().find(|&&own| own == row.size_bytes);
        own.or(sizes.first()) == Some(&size)
    }

    /// A title that names the size where there are several.
    pub(super) fn titled(&self, title: &str, size: usize) -> String {
        match self.sizes()[..] {
            [] | [_] => title.to_owned(),
            _ => format!("{title}; messages of {}", bytes(size)),
        }
    }

    /// Of `fan`: messages a second by the numbers of processes.
    pub fn sheets_by_fan(&self) -> Vec<Sheet> {
        let fan = |row: &Figures| (row.producers, row.consumers);
        let fans = distinct(self.results.iter().map(fan));
        let columns = fans.iter().map(|&(producers, consumers)| {
            let name = format!("{producers} to {consumers}");
            (
                (producers, consumers),
                Column::number("producers to consumers", &name),
            )
        });
        let columns: Vec<_> = columns.collect();
        let of_size = |size: usize| {
            self.matrix(&Matrix {
                title: format!(
                    "Streams of {} messages: million messages a second of all together",
                    bytes(size)
                ),
                columns: columns.clone(),
                key: &|row| {
                    if self.is_of_size(row, size) {
                        vec![fan(row)]
                    } else {
                        Vec::new()
                    }
                },
                cell: &|row, _| {
                    or_status(
                        row,
                        figure(row.stream.messages_per_second.map(|rate| rate / 1e6)),
                    )
                },
                floor: Some(Figure::Stream),
            })
        };
        self.sizes().into_iter().filter_map(of_size).collect()
    }

    /// Of `wake`: latencies by the length of the gap.
    pub fn sheets_by_gap(&self) -> Vec<Sheet> {
        let rates = distinct(
            self.results
                .iter()
                .filter_map(|row| row.paced_ns.rate_per_second),
        );
        let columns = rates.iter().rev().flat_map(|&rate| {
            let gap = format!("after {} idle", short_time(1e9 / rate as f64));
            ["p50", "p99"].map(|name| ((rate, name), Column::number(&gap, name)))
        });
        let columns: Vec<_> = columns.collect();
        let of_size = |size: usize| {
            let sheet = self.matrix(&Matrix {
                title: self.titled("One message after a gap: latency in ns", size),
                columns: columns.clone(),
                key: &|row| {
                    let rate = row.paced_ns.rate_per_second;
                    let rate = rate.filter(|_| self.is_of_size(row, size));
                    rate.map_or_else(Vec::new, |rate| {
                        ["p50", "p99"].map(|name| (rate, name)).to_vec()
                    })
                },
                cell: &|row, &(_, name)| {
                    let times = &row.paced_ns.times;
                    or_status(row, ns(if name == "p50" { times.p50 } else { times.p99 }))
                },
                floor: None,
            });
            sheet.map(Sheet::without_empty_columns)
        };
        self.sizes().into_iter().filter_map(of_size).collect()
    }

    /// Of `curve`: a sheet for each size.
    pub fn sheets_by_rate(&self) -> Vec<Sheet> {
        let of_size = |size| self.sheet_by_rate(size);
        self.sizes().into_iter().map(of_size).collect()
    }

    /// A line for each contender and rate.
    fn sheet_by_rate(&self, size: usize) -> Sheet {
        let names = ["p50", "p90", "p99", "p99.9", "p99.99", "max"];
        let mut columns = vec![Column::text("contender"), Column::number("", "rate/s")];
        let group = "one-way latency ns";
        columns.extend(
            [0, 5, 0, 1, 4, 2]
                .iter()
                .zip(names)
                .map(|(&rank, name)| Column::number(group, name).ranked(rank)),
        );
        columns.push(Column::number("", "cpu ns/msg").ranked(3));
        columns.push(Column::text("status"));
        let rows: Vec<&Figures> = self
            .results
            .iter()
            .filter(|row| row.paced_ns.rate_per_second.is_some() && self.is_of_size(row, size))
            .collect();
        let lines = lines_by_section(&rows, |row| {
            let times = &row.paced_ns.times;
            let shares = [
                times.p50,
                times.p90,
                times.p99,
                times.p99_9,
                times.p99_99,
                times.max,
            ];
            let mut cells = vec![
                row.full_name(),
                row.paced_ns.rate_per_second.map_or_else(String::new, rate),
            ];
            cells.extend(shares.map(ns));
            cells.extend([figure(row.cpu_ns_per_message), status(row).to_owned()]);
            cells
        });
        let title = "Latency by rate, from the moment a message was due";
        let sheet = Sheet {
            title: self.titled(title, size),
            columns,
            lines,
        };
        sheet.without_empty_columns()
    }

    /// Of `topo`: round trips between cores, a sheet for each contender and size.
    pub fn sheets_by_cores(&self) -> Vec<Sheet> {
        let both = || self.results.iter().filter_map(|row| row.cores);
        let lefts = distinct(both().map(|[left, _]| left));
        let rights = distinct(both().map(|[_, right]| right));
        let mut firsts: Vec<&Figures> = Vec::new();
        let is_same = |a: &Figures, b: &Figures| {
            a.full_name() == b.full_name() && a.size_bytes == b.size_bytes
        };
        for row in self.results.iter().filter(|row| row.cores.is_some()) {
            if !firsts.iter().any(|first| is_same(first, row)) {
                firsts.push(row);
            }
        }
        let sheet = |first: &&Figures| {
            let cell = |left, right| {
                let is_it =
                    |row: &&Figures| is_same(row, first) && row.cores == Some([left, right]);
                let row = self.results.iter().find(is_it);
                row.map_or_else(
                    || NONE.to_owned(),
                    |row| or_status(row, ns(row.round_trip_ns.p50)),
                )
            };
            let line = |&left: &usize| {
                let mut cells = vec![format!("core {left}")];
                cells.extend(rights.iter().map(|&right| cell(left, right)));
                Line::Cells(cells)
            };
            let mut columns = vec![Column::text("from")];
            columns.extend(rights.iter().enumerate().map(|(index, right)| {
                Column::number("median round trip ns to", &format!("core {right}"))
                    .ranked(index as u32)
            }));
            Sheet {
                title: match first.class {
                    Class::Limit | Class::Notify => first.full_name(),
                    _ => self.titled(&first.full_name(), first.size_bytes),
                },
                columns,
                lines: lefts.iter().map(line).collect(),
            }
        };
        firsts.iter().map(sheet).collect()
    }
}
