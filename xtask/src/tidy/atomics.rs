//! Who may name atomics, that a relaxed access says why it may be, and that `unsafe` says why it is sound.

use super::source::{Line, scan};
use super::{Violation, contains_word};

/// How far above an `unsafe` its comment may be.
const SAFETY_LINES_MAX: usize = 8;

/// How many relaxed accesses the comment above still speaks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reason {
    None,
    /// The statement below it.
    Statement,
    /// So many lines with such an access: `Relaxed, both:` says two.
    Lines(u32),
    /// All up to the next blank line: `Relaxed, all:`.
    Paragraph,
}

/// Every relaxed access gives its reason: on its line, or in the comment right above its statement. A comment that begins
/// with `Relaxed, both:` or `Relaxed, all:` speaks for two, or for all up to the next blank line.
pub fn relaxed_without_reason(path: &str, source: &str) -> Vec<Violation> {
    let lines = scan(source);
    let mut violations = Vec::new();
    let mut reason = Reason::None;
    let mut in_use = false;
    for (at, line) in lines.iter().enumerate() {
        if line.is_blank() {
            reason = Reason::None;
        }
        if line.is_comment_only() {
            reason = reason_in(
                &line.comment,
                reason,
                at > 0 && lines[at - 1].is_comment_only(),
            );
            continue;
        }
        in_use |= begins_use(line);
        let relaxed = contains_word(&line.code, "Relaxed") && !in_use && !line.is_test;
        if relaxed && line.comment.trim().is_empty() && reason == Reason::None {
            let message = "a relaxed access without its reason beside or above it";
            violations.push(Violation::new(path, at + 1, message));
        }
        reason = match reason {
            Reason::Lines(left) if relaxed && left > 1 => Reason::Lines(left - 1),
            Reason::Lines(_) if relaxed => Reason::None,
            Reason::Statement if line.ends_statement() => Reason::None,
            other => other,
        };
        if line.code.contains(';') {
            in_use = false;
        }
    }
    violations
}

fn reason_in(comment: &str, before: Reason, continues: bool) -> Reason {
    let comment = comment.trim();
    if comment.starts_with("Relaxed, all") {
        Reason::Paragraph
    } else if comment.starts_with("Relaxed, both") {
        Reason::Lines(2)
    } else if continues && before != Reason::None {
        before
    } else {
        Reason::Statement
    }
}

fn begins_use(line: &Line) -> bool {
    let code = line.code.trim_start();
    code.starts_with("use ") || code.starts_with("pub") && code.contains(" use ")
}

/// Only the facade names the atomics of `std` and `core`, and loom.
pub fn atomics_named(path: &str, source: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut statement = String::new();
    for (at, line) in scan(source)
        .iter()
        .enumerate()
        .filter(|(_, line)| !line.is_test)
    {
        statement.push_str(line.code.trim());
        statement.push(' ');
        let has_root = |root| contains_word(&statement, root);
        let standard = (has_root("std") || has_root("core")) && contains_word(&line.code, "atomic");
        let loom = line.code.replace(' ', "").contains("loom::")
            || contains_word(&line.code, "loom") && begins_use(line);
        if standard || loom {
            let message =
                "only the facade semaphore/src/sync.rs names std or core atomics, or loom";
            violations.push(Violation::new(path, at + 1, message));
        }
        if line.ends_statement() && !line.code.trim_end().ends_with("::{") {
            statement.clear();
        }
    }
    violations
}

/// Every `unsafe` block and implementation says why it is sound.
pub fn unsafe_without_safety(path: &str, source: &str) -> Vec<Violation> {
    let lines = scan(source);
    let mut violations = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.code.split_whitespace().collect::<Vec<_>>().join(" ");
        let opens = contains_word(&code, "unsafe")
            && (code.contains("unsafe {") || code.contains("unsafe impl"));
        let nearest = at.saturating_sub(SAFETY_LINES_MAX)..=at;
        if opens
            && !nearest
                .into_iter()
                .any(|near| lines[near].comment.contains("SAFETY:"))
        {
            violations.push(Violation::new(
                path,
                at + 1,
                "unsafe without a `// SAFETY:` comment",
            ));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relaxed(source: &str) -> Vec<usize> {
        relaxed_without_reason("f.rs", source)
            .iter()
            .map(|found| found.line)
            .collect()
    }

    fn named(source: &str) -> Vec<usize> {
        atomics_named("f.rs", source)
            .iter()
            .map(|found| found.line)
            .collect()
    }

    fn unexplained(source: &str) -> Vec<usize> {
        unsafe_without_safety("f.rs", source)
            .iter()
            .map(|found| found.line)
            .collect()
    }

    #[test]
    fn a_relaxed_access_without_a_reason_is_found() {
        assert_eq!(relaxed("// why\nif a == B {\n    b(Relaxed);\n}"), [3]);
        assert_eq!(relaxed("a.load(Relaxed);"), [1]);
        assert_eq!(
            relaxed("// why\n\na.load(Relaxed);"),
            [3],
            "a blank line is between"
        );
        assert_eq!(relaxed("// why\na.load(Relaxed);\nb.load(Relaxed);"), [3]);
        assert_eq!(
            relaxed("// of b\nb();\na.load(Relaxed);"),
            [3],
            "that comment was for another"
        );
        assert_eq!(
            relaxed("// Relaxed, both: x\na.load(Relaxed);\nb(Relaxed);\nc(Relaxed);"),
            [4]
        );
        assert_eq!(
            relaxed("// Relaxed, all: x\na(Relaxed);\n\nb(Relaxed);"),
            [4]
        );
    }

    #[test]
    fn a_relaxed_access_with_a_reason_passes() {
        let value = "// why\nlet a = Type {\n    x: 1,\n    y: b(Relaxed),\n};";
        assert_eq!(relaxed(value), [0; 0]);
        assert_eq!(
            relaxed("fn f() {\n    // why\n    Self {\n        x: b(Relaxed),\n    }\n}"),
            [0; 0]
        );
        assert_eq!(relaxed("a.load(Relaxed); // own word"), [0; 0]);
        assert_eq!(
            relaxed("// why,\n// at length\na.load(Ordering::Relaxed);"),
            [0; 0]
        );
        assert_eq!(relaxed("// why\na\n    .b()\n    .load(Relaxed);"), [0; 0]);
        assert_eq!(
            relaxed("// Relaxed, both: x\nif a(Relaxed) {\n    b(Relaxed);\n}"),
            [0; 0]
        );
        assert_eq!(
            relaxed("// Relaxed, all: x\n// and y\na(Relaxed);\nb(Relaxed);\nc(Relaxed);"),
            [0; 0]
        );
        assert_eq!(
            relaxed("use a::{\n    Relaxed,\n};\npub use b::Relaxed;"),
            [0; 0]
        );
        assert_eq!(
            relaxed("#[cfg(test)]\nmod tests {\n    fn f() { a(Relaxed); }\n}"),
            [0; 0]
        );
    }

    #[test]
    fn atomics_outside_the_facade_are_found() {
        assert_eq!(named("use std::sync::atomic::AtomicU32;"), [1]);
        assert_eq!(named("pub use core::sync::atomic::{self, Ordering};"), [1]);
        assert_eq!(
            named("use std::{\n    fmt,\n    sync::{Arc, atomic::AtomicU32},\n};"),
            [3]
        );
        assert_eq!(named("let a = core::sync::atomic::AtomicU8::new(0);"), [1]);
        assert_eq!(
            named("use loom::thread;\nloom::model(|| ());\nuse loom as l;"),
            [1, 2, 3]
        );
    }

    #[test]
    fn the_facade_s_own_names_pass() {
        assert_eq!(
            named("use crate::sync::{AtomicU32, Ordering};\nuse std::sync::Arc;"),
            [0; 0]
        );
        assert_eq!(
            named("#[cfg(not(loom))]\nuse shm_semaphore::sync::AtomicU64;"),
            [0; 0]
        );
        assert_eq!(
            named("// std::sync::atomic\nlet atomic = \"std::sync::atomic\";"),
            [0; 0]
        );
        assert_eq!(named("use std::fmt;\nlet atomic = 1;"), [0; 0]);
    }

    #[test]
    fn unsafe_without_its_reason_is_found() {
        assert_eq!(unexplained("unsafe { a() }"), [1]);
        assert_eq!(unexplained("unsafe impl Send for A {}"), [1]);
        assert_eq!(unexplained("let x = unsafe {\n    a()\n};"), [1]);
        assert_eq!(unexplained("// safe enough\nunsafe { a() }"), [2]);
    }

    #[test]
    fn unsafe_with_its_reason_passes() {
        assert_eq!(unexplained("// SAFETY: because.\nunsafe { a() }"), [0; 0]);
        assert_eq!(
            unexplained("// SAFETY: because.\nlet x =\n    unsafe { a() };"),
            [0; 0]
        );
        assert_eq!(unexplained("unsafe { a() } // SAFETY: because."), [0; 0]);
        assert_eq!(
            unexplained("#![deny(unsafe_code)]\nunsafe fn f() {}"),
            [0; 0]
        );
        assert_eq!(unexplained("f(\"unsafe { }\");"), [0; 0]);
    }
}
