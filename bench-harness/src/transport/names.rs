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

/// The process that made this name, if it is one of [`unique`].
pub fn maker_of(name: &str) -> Option<u32> {
    let mut parts = name.strip_prefix(PREFIX)?.split('-');
    let (pid, count, random) = (parts.next()?, parts.next()?, parts.next()?);
    let is_hex = random.len() == 8 && random.bytes().all(|b| b.is_ascii_hexdigit());
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_ours = is_hex && is_number(pid) && is_number(count) && parts.next().is_none();
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
        for other in [
            "bench-harness",
            "bench-harness-17",
            "bench-harness-x-0-0123abcd",
            "bench-harness-17--0123abcd",
            "bench-harness-17-0-0123abcd-1",
            "bench-harness-17-0-0123abc/",
            "my-bench-harness-17-0-0123abcd",
        ] {
            assert_eq!(maker_of(other), None, "{other}");
        }
    }
}
