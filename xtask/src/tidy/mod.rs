//! The rules of style as functions over text, so that each can be shown a planted violation.
//!
//! - [`source`]: Rust source as lines of code and of comment, test code marked;
//! - [`edges`]: the ledger of memory orderings against the code;
//! - [`atomics`]: who may name atomics, and that a relaxed access says why;
//! - [`text`]: what holds for any text: length, no notes of work left over, no paths of a machine.

pub mod atomics;
pub mod edges;
pub mod source;
pub mod text;

use std::fmt;

/// A place that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The file, as it was named.
    pub path: String,
    /// The line, from 1 on; 0 is the file as a whole.
    pub line: usize,
    /// What is wrong and how it would be right.
    pub message: String,
}

impl Violation {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            message: message.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Whether `text` contains `word` with nothing that could be part of a name on either side.
fn contains_word(text: &str, word: &str) -> bool {
    word_positions(text, word).next().is_some()
}

/// Where `word` stands alone in `text`.
fn word_positions<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |at| {
            let before = text[..*at].chars().next_back();
            let after = text[at + word.len()..].chars().next();
            !before.is_some_and(is_name) && !after.is_some_and(is_name)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_alone_and_not_within_another() {
        assert!(contains_word("Ordering::Release)", "Release"));
        assert!(!contains_word(
            "ReleaseNotes PreRelease _Release",
            "Release"
        ));
        assert_eq!(word_positions("a b a", "a").collect::<Vec<_>>(), [0, 4]);
    }
}
