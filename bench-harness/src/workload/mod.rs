//! Messages in the shape of real ones: `--workload NAME[:SEED]`.
//!
//! A workload is a table of records, each with its moment, that is made by a rule from a seed: whole numbers alone, so that every machine makes
//! the same bytes. Both measured processes make the table for themselves. `docs/workloads.md` tells the rules and the checksums of the tables;
//! a rule is never changed, it gets another name.

mod draws;
mod logs;
mod ticks;
mod timetable;
mod video;

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use timetable::{Rhythm, Timetable};

/// The seed where the user names none: two runs send the same records unless they are told otherwise.
pub const DEFAULT_SEED: u64 = 1;

/// What the records are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Market data: short ticks of one length, in bursts.
    Ticks,
    /// Log lines: texts of varied lengths, sometimes many at once.
    Logs,
    /// Video: a frame each sixtieth of a second, every sixtieth of them large.
    Video,
}

impl Kind {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Ticks, Self::Logs, Self::Video];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ticks => "ticks",
            Self::Logs => "logs",
            Self::Video => "video",
        }
    }
}

/// A workload: its name and its seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Workload {
    /// What the records are like.
    pub kind: Kind,
    /// Makes other records of the same kind.
    pub seed: u64,
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, seed) = match text.split_once(':') {
            None => (text, DEFAULT_SEED),
            Some((name, seed)) => {
                let complaint = |_| format!("the seed '{seed}' is no whole number below 2^64");
                (name, seed.parse().map_err(complaint)?)
            }
        };
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
        let kind = kind.ok_or_else(|| {
            let names = Kind::ALL.map(Kind::name).join(", ");
            format!("'{name}' is none of {names}; a seed may follow, as in ticks:7")
        })?;
        Ok(Self { kind, seed })
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.name(), self.seed)
    }
}

/// The records of a workload, one behind the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The bytes of all records.
    pub bytes: Vec<u8>,
    /// How long each of them is, in bytes.
    pub lens: Vec<usize>,
    /// When each of them is due.
    pub timetable: Timetable,
}

impl Workload {
    /// How many records there are on the whole table.
    pub fn records(self) -> usize {
        match self.kind {
            Kind::Ticks => ticks::RECORDS,
            Kind::Logs => logs::RECORDS,
            Kind::Video => video::RECORDS,
        }
    }

    /// How long the table lasts at its own pace, in nanoseconds: a whole number of seconds.
    pub fn lap_ns(self) -> u64 {
        match self.kind {
            Kind::Ticks => ticks::LAP_NS,
            Kind::Logs => logs::LAP_NS,
            Kind::Video => video::LAP_NS,
        }
    }

    /// Records a second at its own pace, in the mean.
    pub fn rate_per_second(self) -> u64 {
        self.records() as u64 * 1_000_000_000 / self.lap_ns()
    }

    /// Makes the table.
    pub fn table(self) -> Table {
        match self.kind {
            Kind::Ticks => ticks::table(self.seed),
            Kind::Logs => logs::table(self.seed),
            Kind::Video => video::table(self.seed),
        }
    }
}

impl Table {
    /// CRC-32 (that of ISO 3309 and of gzip) of each record in its order: its moment in nanoseconds (8 bytes), its length (4 bytes), both
    /// little-endian, and its bytes.
    pub fn checksum(&self) -> u32 {
        let mut sum = crc32fast::Hasher::new();
        let mut rest = self.bytes.as_slice();
        for (&len, at_ns) in self.lens.iter().zip(self.timetable.moments_ns()) {
            let (record, behind) = rest.split_at(len);
            sum.update(&at_ns.to_le_bytes());
            sum.update(&(len as u32).to_le_bytes());
            sum.update(record);
            rest = behind;
        }
        sum.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: Kind, seed: u64) -> Table {
        Workload { kind, seed }.table()
    }

    /// The numbers of `docs/workloads.md`.
    const CHECKSUMS: [(Kind, u64, u32); 6] = [
        (Kind::Ticks, 1, 0xef2b_9c94),
        (Kind::Ticks, 2, 0x5dd1_2971),
        (Kind::Logs, 1, 0x6b3a_6808),
        (Kind::Logs, 2, 0x99f0_a357),
        (Kind::Video, 1, 0x1be2_5ddb),
        (Kind::Video, 2, 0xd460_45cd),
    ];

    #[test]
    fn the_tables_are_those_that_are_documented() {
        let document = include_str!("../../../docs/workloads.md");
        for (kind, seed, expected) in CHECKSUMS {
            let found = of(kind, seed).checksum();
            assert_eq!(found, expected, "{} {seed}: {found:08x}", kind.name());
            let row = format!("| `{}:{seed}` | `{expected:08x}` |", kind.name());
            assert!(document.contains(&row), "{row} is not in docs/workloads.md");
        }
    }

    #[test]
    fn every_table_has_the_length_and_the_rate_that_it_says() {
        for kind in Kind::ALL {
            let workload = Workload { kind, seed: 3 };
            let table = workload.table();
            assert_eq!(table.lens.len(), workload.records(), "{}", kind.name());
            assert_eq!(table.lens.iter().sum::<usize>(), table.bytes.len());
            assert_eq!(table.timetable.lap_ns(), workload.lap_ns());
            let lap_s = workload.lap_ns() / 1_000_000_000;
            assert_eq!(workload.rate_per_second() * lap_s, table.lens.len() as u64);
            assert_eq!(workload.lap_ns() % 1_000_000_000, 0);
        }
    }

    #[test]
    fn moments_begin_at_zero_never_go_back_and_end_before_the_lap() {
        for kind in Kind::ALL {
            let table = of(kind, 11);
            let moments = table.timetable.moments_ns();
            assert_eq!(moments[0], 0);
            assert!(moments.is_sorted(), "{}", kind.name());
            assert!(moments.last() < Some(&table.timetable.lap_ns()));
        }
    }

    #[test]
    fn another_seed_makes_other_records_and_the_same_seed_the_same() {
        for kind in Kind::ALL {
            assert_eq!(of(kind, 5), of(kind, 5));
            assert_ne!(of(kind, 5).bytes, of(kind, 6).bytes);
        }
    }

    #[test]
    fn names_are_parsed_and_shown_alike() {
        for text in ["ticks:1", "logs:7", "video:18446744073709551615"] {
            assert_eq!(text.parse::<Workload>().unwrap().to_string(), text);
        }
        assert_eq!("ticks".parse::<Workload>().unwrap().seed, DEFAULT_SEED);
        for (text, part) in [
            ("tick", "none of ticks, logs, video"),
            ("", "none of"),
            ("ticks:", "no whole number"),
            ("ticks:-1", "no whole number"),
        ] {
            let problem = text.parse::<Workload>().unwrap_err();
            assert!(problem.contains(part), "{problem}");
        }
    }
}
