//! Log lines: 10,000 in two seconds, from 40 to 4,095 bytes; now and then many at once, as when something fails.

use std::fmt::Write;

use super::Table;
use super::draws::Draws;
use super::timetable::{SECOND_NS, Timetable};

/// How many lines there are.
pub const RECORDS: usize = 10_000;
/// How long they last.
pub const LAP_NS: u64 = 2 * SECOND_NS;

const LEN_MIN: u64 = 40;
/// One of so many lines is the first of a gust.
const GUST_ONE_OF: u64 = 64;
/// So many more lines.
const GUST_LINES: (u64, u64) = (8, 64);
/// Within a gust, from a line to the next one.
const WITHIN_NS: (u64, u64) = (2_000, 20_000);
/// Otherwise, in the mean.
const BETWEEN_NS: u64 = 300_000;

const LEVELS: [&str; 8] = [
    "DEBUG", "INFO", "INFO", "INFO", "INFO", "INFO", "WARN", "ERROR",
];
const PARTS: [&str; 8] = [
    "gateway", "auth", "cart", "search", "billing", "mailer", "cache", "storage",
];
const WORDS: [&str; 32] = [
    "request",
    "accepted",
    "from",
    "client",
    "after",
    "retry",
    "timeout",
    "connection",
    "closed",
    "by",
    "peer",
    "user",
    "session",
    "expired",
    "cache",
    "miss",
    "for",
    "key",
    "query",
    "took",
    "rows",
    "returned",
    "status",
    "queue",
    "depth",
    "worker",
    "started",
    "stopped",
    "payload",
    "bytes",
    "written",
    "to",
];

/// Each line is the time, the number of the line, a level, a part and words, cut to its length; the last byte is a line feed.
pub fn table(seed: u64) -> Table {
    let mut draws = Draws::new(seed);
    let timetable = Timetable::of_distances(&distances(&mut draws), LAP_NS);
    let mut text = String::new();
    let mut lens = Vec::with_capacity(RECORDS);
    for (number, at_ns) in timetable.moments_ns().iter().enumerate() {
        let begin = text.len();
        let len = draws.log_normal().max(LEN_MIN) as usize;
        write_line(&mut text, &mut draws, (number, at_ns / 1_000), len);
        lens.push(text.len() - begin);
    }
    Table {
        bytes: text.into_bytes(),
        lens,
        timetable,
    }
}

fn write_line(text: &mut String, draws: &mut Draws, (number, at_us): (usize, u64), len: usize) {
    let last = text.len() + len - 1;
    let level = one_of(&LEVELS, draws);
    let part = one_of(&PARTS, draws);
    let (second, micro) = (at_us / 1_000_000, at_us % 1_000_000);
    // Writing to a string can't fail.
    let _ = write!(
        text,
        "12:00:{second:02}.{micro:06} #{:08x} {level} {part}:",
        number + 1
    );
    while text.len() < last {
        text.push(' ');
        if draws.below(4) == 0 {
            let _ = write!(text, "{}", draws.below(1_000_000));
        } else {
            text.push_str(one_of(&WORDS, draws));
        }
    }
    text.truncate(last);
    text.push('\n');
}

fn one_of<'a>(texts: &[&'a str], draws: &mut Draws) -> &'a str {
    texts[draws.below(texts.len() as u64) as usize]
}

/// The distances before the lines.
fn distances(draws: &mut Draws) -> Vec<u64> {
    let mut distances = Vec::with_capacity(RECORDS);
    while distances.len() < RECORDS {
        distances.push(draws.exponential(BETWEEN_NS));
        if draws.below(GUST_ONE_OF) == 0 {
            for _ in 0..draws.between(GUST_LINES.0, GUST_LINES.1) {
                distances.push(draws.between(WITHIN_NS.0, WITHIN_NS.1));
            }
        }
    }
    distances.truncate(RECORDS);
    distances
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_texts_of_varied_lengths_that_end_with_a_line_feed() {
        let table = table(1);
        let text = String::from_utf8(table.bytes.clone()).unwrap();
        assert!(text.is_ascii());
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        assert_eq!(lines.len(), RECORDS);
        for (number, (line, &len)) in lines.iter().zip(&table.lens).enumerate() {
            assert_eq!(line.len(), len);
            assert!(line.contains(&format!("#{:08x} ", number + 1)), "{line}");
        }
        let mut lens = table.lens;
        lens.sort_unstable();
        assert_eq!(lens[0], LEN_MIN as usize);
        assert!(lens[RECORDS / 2].abs_diff(256) < 16);
        assert!(lens[RECORDS - 1] > 2_048 && lens[RECORDS - 1] < 4_096);
    }

    #[test]
    fn lines_come_in_gusts() {
        let rhythm = table(1).timetable.rhythm();
        assert!((rhythm.mean_rate_per_second - 5_000.0).abs() < 1e-9);
        assert!(rhythm.peak_rate_per_second >= 40_000.0, "{rhythm:?}");
    }
}
