//! How numbers are shown to people.

use std::time::{Duration, UNIX_EPOCH};

/// A dash where there is no figure.
pub const NONE: &str = "-";

/// At least three digits: `1.23`, `12.3`, `123`, `1,234`.
pub fn figure(value: Option<f64>) -> String {
    let Some(value) = value else {
        return NONE.to_owned();
    };
    match value.abs() {
        size if size < 9.995 => format!("{value:.2}"),
        size if size < 99.95 => format!("{value:.1}"),
        size if size >= 1e15 => format!("{value:.1e}"),
        _ => grouped(value.round() as u64),
    }
}

/// Like [`figure`], with an `x` for "times". What is a small part isn't told as nothing.
pub fn ratio(value: Option<f64>) -> String {
    match value {
        None => NONE.to_owned(),
        Some(value) if value > 0.0 && value < 0.000_1 => "<0.0001x".to_owned(),
        Some(value) if value > 0.0 && value < 0.009_95 => format!("{value:.4}x"),
        Some(value) => format!("{}x", figure(Some(value))),
    }
}

/// A count of things, as in `1 round` or `3 rounds`.
pub fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// A whole number in groups of three digits.
pub fn whole(value: Option<u64>) -> String {
    value.map_or_else(|| NONE.to_owned(), grouped)
}

fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A size as it can be given to `--size`.
pub fn bytes(size: usize) -> String {
    const K: usize = 1 << 10;
    const M: usize = 1 << 20;
    match size {
        size if size >= M && size.is_multiple_of(M) => format!("{} MiB", size / M),
        size if size >= K && size.is_multiple_of(K) => format!("{} KiB", size / K),
        size => format!("{size} B"),
    }
}

/// Whole nanoseconds; what would need more than nine places is told in milliseconds.
pub fn ns(value: Option<u64>) -> String {
    const PLAIN_MAX: u64 = 9_999_999;
    match value {
        Some(ns) if ns > PLAIN_MAX => format!("{} ms", figure(Some(ns as f64 / 1e6))),
        value => whole(value),
    }
}

/// A share as per cent, with two digits or more. What isn't quite all isn't told as all.
pub fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    match percent.abs() {
        size if size < 0.995 => format!("{percent:.2}%"),
        size if size >= 1e7 => format!("{:.0e}%", percent.clamp(f64::MIN, f64::MAX)),
        size if size < 9.95 => format!("{percent:.1}%"),
        size if size > 99.0 && size < 100.0 => format!("{:.1}%", (percent * 10.0).trunc() / 10.0),
        _ => format!("{percent:.0}%"),
    }
}

/// The same with its sign.
pub fn signed_percent(share: f64) -> String {
    let sign = if share < 0.0 { "-" } else { "+" };
    format!("{sign}{}", percent(share.abs()))
}

/// A rate as it can be given to `--rate`.
pub fn rate(rate: u64) -> String {
    const K: u64 = 1_000;
    const M: u64 = 1_000_000;
    match rate {
        rate if rate >= M && rate.is_multiple_of(M) => format!("{}M", rate / M),
        rate if rate >= K && rate.is_multiple_of(K) => format!("{}k", rate / K),
        rate => rate.to_string(),
    }
}

/// Nanoseconds in the unit that reads best.
pub fn time(ns: f64) -> String {
    match ns {
        ns if ns < 10_000.0 => format!("{} ns", figure(Some(ns))),
        ns if ns < 10_000_000.0 => format!("{} µs", figure(Some(ns / 1e3))),
        ns => format!("{} ms", figure(Some(ns / 1e6))),
    }
}

/// A time in few places, as for a tick of an axis.
pub fn short_time(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns < 999.5 => (ns, "ns"),
        ns if ns < 999_500.0 => (ns / 1e3, "µs"),
        ns if ns < 999_500_000.0 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    let value = (value * 100.0).round() / 100.0;
    format!("{value} {unit}")
}

/// A moment in seconds since 1970, in UTC.
pub fn moment(unix_s: u64) -> String {
    // A year beyond 9999, which the format can't have, is a wrong clock or a changed file.
    const SECONDS_MAX: u64 = 253_402_300_799;
    let moment = UNIX_EPOCH.checked_add(Duration::from_secs(unix_s));
    moment.filter(|_| unix_s <= SECONDS_MAX).map_or_else(
        || "at an unknown time".to_owned(),
        |moment| humantime::format_rfc3339_seconds(moment).to_string(),
    )
}

/// A count in few places.
pub fn short_count(count: f64) -> String {
    let (value, unit) = match count {
        count if count < 1e3 => (count, ""),
        count if count < 1e6 => (count / 1e3, "k"),
        count if count < 1e9 => (count / 1e6, "M"),
        count => (count / 1e9, "G"),
    };
    let value = (value * 100.0).round() / 100.0;
    format!("{value}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_or_more() {
        for (value, shown) in [
            (0.0, "0.00"),
            (1.234, "1.23"),
            (9.999, "10.0"),
            (12.34, "12.3"),
            (99.99, "100"),
            (1_234.5, "1,235"),
            (1_234_567.0, "1,234,567"),
            (1.26e300, "1.3e300"),
        ] {
            assert_eq!(figure(Some(value)), shown);
        }
        assert_eq!(figure(None), "-");
        assert_eq!(ratio(Some(2.5)), "2.50x");
        assert_eq!(
            [0.05, 0.0034, 1e-9, 0.0].map(|value| ratio(Some(value))),
            ["0.05x", "0.0034x", "<0.0001x", "0.00x"]
        );
        assert_eq!(whole(Some(12)), "12");
        assert_eq!(whole(Some(123_456)), "123,456");
    }

    #[test]
    fn a_moment_of_a_wrong_clock_is_unknown() {
        assert_eq!(moment(1_767_225_600), "2026-01-01T00:00:00Z");
        for unix_s in [253_402_300_800, u64::MAX] {
            assert_eq!(moment(unix_s), "at an unknown time");
        }
    }

    #[test]
    fn sizes_and_times_are_in_the_unit_that_reads_best() {
        assert_eq!(
            (bytes(64), bytes(4096), bytes(1 << 20)),
            ("64 B".into(), "4 KiB".into(), "1 MiB".into())
        );
        assert_eq!(bytes(1025), "1025 B");
        assert_eq!(
            [12, 1_500, 10_000, 3_000_000].map(rate),
            ["12", "1500", "10k", "3M"]
        );
        assert_eq!(
            [Some(9_999_999), Some(48_123_456), None].map(ns),
            ["9,999,999", "48.1 ms", "-"]
        );
        assert_eq!([0.0012, 0.021, 0.5].map(percent), ["0.12%", "2.1%", "50%"]);
        assert_eq!([0.9996, 1.0].map(percent), ["99.9%", "100%"]);
        assert_eq!([12_345.0, 1e300].map(percent), ["1234500%", "1e302%"]);
        assert_eq!([-0.021, 0.5].map(signed_percent), ["-2.1%", "+50%"]);
        assert_eq!(
            [312.0, 50_000.0, 1e9].map(short_time),
            ["312 ns", "50 µs", "1 s"]
        );
        assert_eq!([312.0, 30_000.0].map(short_count), ["312", "30k"]);
        assert_eq!(time(312.0), "312 ns");
        assert_eq!(time(62_345.0), "62.3 µs");
        assert_eq!(time(12_000_000.0), "12.0 ms");
    }
}
