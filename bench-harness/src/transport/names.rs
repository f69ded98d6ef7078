//! Names that nobody else uses, for the mechanisms that can't do without one.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

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
    format!("bench-harness-{}-", std::process::id())
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
}
