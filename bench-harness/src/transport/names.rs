//! Names that nobody else uses, for the mechanisms that can't do without one.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// How every name begins.
const PREFIX: &str = "bench-harness-";

/// A name without slashes that is used once: process, count, and a random part against names left by an earlier process
/// with the same number.
pub fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    // Relaxed: only the number itself matters.
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{}{count}-{:08x}", prefix(), fastrand::u32(..))
}

/// How every name of this process begins.
pub fn prefix() -> String {
    format!("{PREFIX}{}-", std::process::id())
}

/// The process that made this name, if it is one of [`unique`], or begins with one as those that programs of the user's give.
pub fn maker_of(name: &str) -> Option<u32> {
    let mut parts = name.strip_prefix(PREFIX)?.splitn(3, '-');
    let (pid, count, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let (random, more) = rest.split_at_checked(8)?;
    let is_hex = random.bytes().all(|b| b.is_ascii_hexdigit());
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_whole = !more.starts_with(|c: char| c.is_ascii_alphanumeric());
    let is_ours = is_hex && is_number(pid) && is_number(count) && is_whole;
    pid.parse().ok().filter(|_| is_ours)
}

/// A path in the directory for temporary files that does not exist yet.
pub fn temporary_path() -> PathBuf {
    std::env::temp_dir().join(unique())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_given_twice() {
        let first = unique();
        assert!(first.starts_with(&prefix()));
        assert_ne!(first, unique());
        assert!(!first.contains('/'));
    }

    #[test]
    fn a_name_tells_its_maker_and_nothing_else_does() {
        assert_eq!(maker_of(&unique()), Some(std::process::id()));
        assert_eq!(maker_of("bench-harness-17-0-0123abcd"), Some(17));
        for of_a_program in [".ring", "-1", "_data"] {
            let name = format!("bench-harness-17-0-0123abcd{of_a_program}");
            assert_eq!(maker_of(&name), Some(17), "{name}");
        }
        for other in [
            "bench-harness",
            "bench-harness-17",
            "bench-harness-x-0-0123abcd",
            "bench-harness-17--0123abcd",
            "bench-harness-17-0-0123abcde",
            "bench-harness-17-0-0123abc",
            "bench-harness-17-0-0123abc/",
            "my-bench-harness-17-0-0123abcd",
        ] {
            assert_eq!(maker_of(other), None, "{other}");
        }
    }
}
