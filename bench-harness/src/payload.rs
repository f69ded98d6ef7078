//! Records as messages: of a real file (`--payload FILE --frame line|fixed=N|len32`), or of a workload (see [`crate::workload`]).
//!
//! Both measured processes map the same copy of the file, or make the workload, for themselves: the sender takes the records from its mapping,
//! the receiver compares what arrives with its own. The file itself is read once, before the run.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};

use memmap2::{Mmap, MmapMut, MmapOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::measure::pattern::Content;
use crate::workload::{Table, Timetable, Workload};

mod copy;
mod frame;

pub use copy::FileCopy;
pub use frame::Frame;

/// The longest record, in bytes.
pub const RECORD_LEN_MAX: usize = 16 << 20;

/// The most records. Each takes two words of memory in every process, beside the file.
pub const RECORDS_MAX: usize = 16 << 20;

/// Where a record lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: usize,
    len: usize,
}

/// Where records come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A file.
    File {
        /// The file.
        #[serde(with = "path_bytes")]
        file: PathBuf,
        /// What a record is.
        frame: Frame,
    },
    /// A copy of a file, in the process that has this descriptor: see [`FileCopy`].
    Copy {
        /// The descriptor.
        fd: RawFd,
        /// What a record is.
        frame: Frame,
    },
    /// A rule.
    Workload(Workload),
}

impl Origin {
    /// The descriptor that a process must have for it.
    pub fn fd(&self) -> Option<RawFd> {
        match self {
            Self::Copy { fd, .. } => Some(*fd),
            Self::File { .. } | Self::Workload(_) => None,
        }
    }
}

/// A path as its bytes: it needn't be UTF-8, and a text of JSON is.
mod path_bytes {
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(file: &Path, to: S) -> Result<S::Ok, S::Error> {
        file.as_os_str().as_bytes().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        let bytes = Vec::deserialize(from)?;
        Ok(OsString::from_vec(bytes).into())
    }
}

/// Records, one behind the other in mapped memory.
#[derive(Debug)]
pub struct Records {
    map: Mmap,
    spans: Vec<Span>,
    profile: Profile,
    timetable: Option<Timetable>,
}

/// What the records are like.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Profile {
    /// How many.
    pub records: u64,
    /// Their bytes together.
    pub bytes: u64,
    /// The shortest, in bytes.
    pub len_min: usize,
    /// The median, in bytes.
    pub len_median: usize,
    /// The longest, in bytes.
    pub len_max: usize,
}

impl Profile {
    /// How long sending all of them may well take, in nanoseconds: at 20 MB/s and 100,000 messages/s.
    pub fn expected_ns(&self) -> u64 {
        self.bytes * 50 + self.records * 10_000
    }

    /// The mean length, in bytes.
    pub fn len_mean(&self) -> f64 {
        self.bytes as f64 / self.records.max(1) as f64
    }
}

impl Records {
    /// Maps the file or its copy, or makes the workload.
    ///
    /// # Errors
    /// See [`Records::open`]; or that there is no memory for the workload.
    pub fn load(origin: &Origin) -> Result<Self, String> {
        match origin {
            Origin::File { file, frame } => Self::open(file, *frame),
            Origin::Copy { fd, frame } => Self::map(*fd, *frame),
            Origin::Workload(workload) => Self::make(*workload),
        }
    }

    /// Makes the records of a workload.
    ///
    /// # Errors
    /// One sentence, when there is no memory.
    pub fn make(workload: Workload) -> Result<Self, String> {
        Self::of_table(&workload.table())
    }

    /// Those of a table.
    ///
    /// # Errors
    /// One sentence, when there is no memory.
    pub fn of_table(table: &Table) -> Result<Self, String> {
        let len = table.bytes.len();
        let cannot = |error| format!("no memory for the {len} bytes of the workload: {error}");
        let mut map = MmapMut::map_anon(len).map_err(cannot)?;
        map.copy_from_slice(&table.bytes);
        let map = map.make_read_only().map_err(cannot)?;
        let mut start = 0;
        let spans = table.lens.iter().map(|&len| {
            let span = Span { start, len };
            start += len;
            span
        });
        let spans: Vec<Span> = spans.collect();
        Ok(Self {
            map,
            profile: profile(&spans),
            spans,
            timetable: Some(table.timetable.clone()),
        })
    }

    /// Copies the file and finds its records.
    ///
    /// # Errors
    /// One sentence: it can't be read, it is empty, a record is broken or too long, there are too many.
    pub fn open(path: &Path, frame: Frame) -> Result<Self, String> {
        Self::of_copy(&FileCopy::create(path)?, path, frame)
    }

    /// The records of the copy of that file.
    ///
    /// # Errors
    /// One sentence: there is no memory, a record is broken or too long.
    pub fn of_copy(copy: &FileCopy, path: &Path, frame: Frame) -> Result<Self, String> {
        Self::map(copy.as_raw_fd(), frame)
            .map_err(|problem| format!("{}: {problem}", path.display()))
    }

    fn map(fd: RawFd, frame: Frame) -> Result<Self, String> {
        let mut options = MmapOptions::new();
        // SAFETY: the copy is sealed, so nobody can change it or make it shorter while it is mapped.
        let map = unsafe { options.populate().map_copy_read_only(fd) }
            .map_err(|error| format!("the copy in memory can't be mapped: {error}"))?;
        let spans = find_records(&map, frame, RECORDS_MAX)?;
        Ok(Self {
            map,
            profile: profile(&spans),
            spans,
            timetable: None,
        })
    }

    /// The same round of records, begun with another one.
    pub fn begin_with(&mut self, first: u64) {
        let first = (first % self.spans.len() as u64) as usize;
        self.spans.rotate_left(first);
        if let Some(timetable) = &mut self.timetable {
            timetable.begin_with(first);
        }
    }

    /// When the records are due, if they say so.
    pub fn timetable(&self) -> Option<&Timetable> {
        self.timetable.as_ref()
    }

    /// Record number `index`, counted around and around.
    #[inline]
    pub fn at(&self, index: u64) -> &[u8] {
        // There is at least one: files without records are refused.
        let span = self.spans[(index % self.spans.len() as u64) as usize];
        &self.map[span.start..span.start + span.len]
    }

    /// What they are like.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }
}

fn profile(spans: &[Span]) -> Profile {
    let mut lens: Vec<usize> = spans.iter().map(|span| span.len).collect();
    lens.sort_unstable();
    Profile {
        records: lens.len() as u64,
        bytes: lens.iter().map(|&len| len as u64).sum(),
        len_min: lens.first().copied().unwrap_or(0),
        len_median: lens.get(lens.len() / 2).copied().unwrap_or(0),
        len_max: lens.last().copied().unwrap_or(0),
    }
}

/// The records of a run, numbered from `base`, over and over again.
#[derive(Debug, Clone, Copy)]
pub struct RecordContent<'a> {
    /// The records.
    pub records: &'a Records,
    /// The number of the first.
    pub base: u64,
}

impl Content for RecordContent<'_> {
    #[inline]
    fn is(&self, message: &[u8], sequence: u64) -> bool {
        self.records.at(sequence.wrapping_sub(self.base)) == message
    }

    fn recognise(&self, message: &[u8], expected: u64) -> Option<u64> {
        // Among equal records the nearest is meant.
        const REACH: u64 = 4096;
        (1..=REACH)
            .flat_map(|distance| {
                let before = expected.checked_sub(distance);
                [
                    expected.checked_add(distance),
                    before.filter(|&s| s >= self.base),
                ]
            })
            .flatten()
            .find(|&sequence| self.is(message, sequence))
    }
}

/// Cuts the bytes into records, of which there may be so many.
fn find_records(bytes: &[u8], frame: Frame, most: usize) -> Result<Vec<Span>, String> {
    let spans: Vec<Span> = match frame {
        Frame::Line => {
            let mut start = 0;
            let line_ends = memchr::memchr_iter(b'\n', bytes).map(|at| at + 1);
            let last = (bytes.last() != Some(&b'\n')).then_some(bytes.len());
            line_ends
                .chain(last)
                // One more than there may be is enough to know it.
                .take(most.saturating_add(1))
                .map(|end| {
                    let span = Span {
                        start,
                        len: end - start,
                    };
                    start = end;
                    span
                })
                .collect()
        }
        Frame::Fixed(len) if bytes.len().div_ceil(len) > most => {
            return Err(too_many(&bytes.len().div_ceil(len).to_string(), most));
        }
        Frame::Fixed(len) => (0..bytes.len())
            .step_by(len)
            .map(|start| Span {
                start,
                len: len.min(bytes.len() - start),
            })
            .collect(),
        Frame::Len32 => find_counted(bytes, most)?,
    };
    if spans.len() > most {
        return Err(too_many(&format!("more than {most}"), most));
    }
    let too_long = spans
        .iter()
        .enumerate()
        .find(|(_, span)| span.len > RECORD_LEN_MAX);
    match too_long {
        Some((index, span)) => Err(format!(
            "record {} has {} bytes and the longest that can be sent has {RECORD_LEN_MAX}; choose another --frame",
            index + 1,
            span.len
        )),
        None => Ok(spans),
    }
}

fn too_many(count: &str, most: usize) -> String {
    format!(
        "it has {count} records, and {most} at most can be sent, as the place of each is kept in memory; give a part of the file, or choose another --frame"
    )
}

/// Cuts the bytes into records that state their lengths: one more than there may be at most.
fn find_counted(bytes: &[u8], most: usize) -> Result<Vec<Span>, String> {
    const PREFIX: usize = size_of::<u32>();
    let mut spans = Vec::new();
    let mut at = 0;
    while at < bytes.len() && spans.len() <= most {
        let number = spans.len() + 1;
        let rest = &bytes[at..];
        let Some(prefix) = rest.first_chunk::<PREFIX>() else {
            return Err(format!(
                "record {number} at byte {at} is truncated: its length needs {PREFIX} bytes and {} are left",
                rest.len()
            ));
        };
        let len = u32::from_le_bytes(*prefix) as usize;
        if len == 0 {
            return Err(format!(
                "record {number} at byte {at} is empty; a message has at least one byte"
            ));
        }
        if len > rest.len() - PREFIX {
            return Err(format!(
                "record {number} at byte {at} is truncated: it says {len} bytes and {} are left; is it framed with --frame len32?",
                rest.len() - PREFIX
            ));
        }
        spans.push(Span {
            start: at + PREFIX,
            len,
        });
        at += PREFIX + len;
    }
    Ok(spans)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(bytes: &[u8], frame: Frame) -> Vec<&[u8]> {
        let spans = find_records(bytes, frame, RECORDS_MAX).unwrap();
        spans
            .into_iter()
            .map(|s| &bytes[s.start..s.start + s.len])
            .collect()
    }

    #[test]
    fn frames_are_parsed_and_shown_alike() {
        for text in ["line", "len32", "fixed=100"] {
            assert_eq!(text.parse::<Frame>().unwrap().to_string(), text);
        }
        assert_eq!("fixed=4K".parse(), Ok(Frame::Fixed(4096)));
        for text in [
            "", "lines", "fixed", "fixed=", "fixed=0", "fixed=-1", "fixed=1G",
        ] {
            assert!(text.parse::<Frame>().is_err(), "{text}");
        }
    }

    #[test]
    fn lines_together_are_the_file() {
        let text = b"one\n\nthree\nlast";
        let lines = cut(text, Frame::Line);
        assert_eq!(lines, [&b"one\n"[..], b"\n", b"three\n", b"last"]);
        assert_eq!(lines.concat(), text);
        assert_eq!(cut(b"x\n", Frame::Line), [b"x\n"]);
    }

    #[test]
    fn the_last_fixed_record_may_be_shorter() {
        assert_eq!(
            cut(b"abcdefg", Frame::Fixed(3)),
            [&b"abc"[..], b"def", b"g"]
        );
    }

    #[test]
    fn counted_records_are_found() {
        assert_eq!(
            cut(b"\x01\0\0\0a\x02\0\0\0bc", Frame::Len32),
            [&b"a"[..], b"bc"]
        );
    }

    #[test]
    fn broken_counted_records_are_named() {
        for (bytes, part) in [
            (
                &b"\x01\0\0\0a\x02\0\0\0b"[..],
                "record 2 at byte 5 is truncated",
            ),
            (b"\x01\0\0\0a\x02\0", "needs 4 bytes and 2 are left"),
            (b"\0\0\0\0", "is empty"),
        ] {
            let problem = find_records(bytes, Frame::Len32, RECORDS_MAX).unwrap_err();
            assert!(problem.contains(part), "{problem}");
        }
    }

    #[test]
    fn a_round_that_begins_elsewhere_has_the_same_records() {
        let workload = "logs:4".parse().unwrap();
        let (whole, mut turned) = (Records::make(workload), Records::make(workload));
        let (whole, turned) = (whole.as_ref().unwrap(), turned.as_mut().unwrap());
        turned.begin_with(7 + 3 * whole.profile().records);
        for index in [0, 1, 9_000, 9_993, 20_000] {
            assert_eq!(turned.at(index), whole.at(index + 7), "{index}");
        }
        let moments = |records: &Records| records.timetable().unwrap().moments_ns().to_vec();
        let (of_whole, of_turned) = (moments(whole), moments(turned));
        assert_eq!(of_turned[1], of_whole[8] - of_whole[7]);
        assert!(of_turned.is_sorted());
    }

    #[test]
    fn the_records_of_a_workload_are_those_of_its_table() {
        for name in ["ticks", "logs", "video"] {
            let workload: Workload = name.parse().unwrap();
            let (records, table) = (Records::make(workload).unwrap(), workload.table());
            let of_records: Vec<&[u8]> = (0..records.profile().records)
                .map(|i| records.at(i))
                .collect();
            assert_eq!(of_records.concat(), table.bytes);
            let lens: Vec<usize> = of_records.iter().map(|record| record.len()).collect();
            assert_eq!(lens, table.lens);
        }
    }

    #[test]
    fn more_records_than_memory_is_kept_for_are_refused_where_the_first_one_too_many_is() {
        // What stands behind it is broken, and not looked at.
        let counted = b"\x01\0\0\0a\x01\0\0\0b\x01\0\0\0c\0\0\0\0";
        for (bytes, frame, count) in [
            (&b"\n\n\n\n\n"[..], Frame::Line, "more than 2 records"),
            (b"a\nb\nc", Frame::Line, "more than 2 records"),
            (counted, Frame::Len32, "more than 2 records"),
            (b"abcde", Frame::Fixed(2), "3 records"),
        ] {
            let problem = find_records(bytes, frame, 2).unwrap_err();
            assert!(
                problem.contains(count) && problem.contains("2 at most"),
                "{problem}"
            );
        }
        for (bytes, frame) in [(b"a\nb\n", Frame::Line), (b"abcd", Frame::Fixed(2))] {
            assert_eq!(find_records(bytes, frame, 2).unwrap().len(), 2);
        }
    }

    #[test]
    fn a_record_that_is_too_long_is_named() {
        let bytes = vec![b'x'; RECORD_LEN_MAX + 1];
        let problem = find_records(&bytes, Frame::Line, RECORDS_MAX).unwrap_err();
        assert!(problem.contains("record 1 has 16777217 bytes"), "{problem}");
    }
}
