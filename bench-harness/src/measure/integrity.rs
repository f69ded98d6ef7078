//! The account of what arrived: every message, its place, its length and its content.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pattern::Content;

/// What was sent, and what became of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tally {
    /// Messages whose send returned without an error.
    pub sent: u64,
    /// Messages that came out, good or not.
    pub received: u64,
    /// Messages that were sent and never came out.
    pub lost: u64,
    /// Messages that came out again.
    pub duplicated: u64,
    /// Messages that came out after a later one.
    pub reordered: u64,
    /// Messages that came out different from what was sent.
    pub corrupted: u64,
}

impl Tally {
    /// Whether nothing went wrong.
    pub fn is_clean(&self) -> bool {
        self.lost == 0 && self.duplicated == 0 && self.reordered == 0 && self.corrupted == 0
    }

    /// One sentence about what went wrong.
    pub fn describe(&self) -> String {
        format!(
            "of {} messages sent and {} received, {} were lost, {} duplicated, {} reordered and {} corrupted",
            self.sent, self.received, self.lost, self.duplicated, self.reordered, self.corrupted
        )
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.received += other.received;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.corrupted += other.corrupted;
    }
}

/// Follows one direction of one run: `count` messages, numbered from `base`.
#[derive(Debug)]
pub struct Checker<C> {
    content: C,
    base: u64,
    end: u64,
    /// The number of the message that ought to come next.
    expected: u64,
    /// How many messages have their place: whole ones, and corrupted ones in the place of what ought to have come.
    placed: u64,
    tally: Tally,
    /// Messages that were overtaken, as ranges from the key to the value (exclusive).
    missing: BTreeMap<u64, u64>,
}

impl<C: Content> Checker<C> {
    /// Expects messages `base..base + count`.
    pub fn new(content: C, base: u64, count: u64) -> Self {
        Self {
            content,
            base,
            end: base + count,
            expected: base,
            placed: 0,
            tally: Tally::default(),
            missing: BTreeMap::new(),
        }
    }

    /// Takes a message into account.
    #[inline]
    pub fn check(&mut self, message: &[u8]) {
        self.tally.received += 1;
        if self.content.is(message, self.expected) {
            self.expected += 1;
            self.placed += 1;
        } else {
            self.check_unexpected(message);
        }
    }

    /// Whether every message has come.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.placed >= self.end - self.base
    }

    #[cold]
    fn check_unexpected(&mut self, message: &[u8]) {
        match self.content.recognise(message, self.expected) {
            Some(sequence) if (self.expected..self.end).contains(&sequence) => {
                self.missing.insert(self.expected, sequence);
                self.expected = sequence + 1;
                self.placed += 1;
            }
            Some(sequence) if self.take_missing(sequence) => {
                self.tally.reordered += 1;
                self.placed += 1;
            }
            // Of an earlier run, or of this one: it was there before.
            Some(sequence) if sequence < self.expected => self.tally.duplicated += 1,
            _ => {
                self.tally.corrupted += 1;
                self.placed += 1;
                self.expected = (self.expected + 1).min(self.end);
            }
        }
    }

    /// Whether `sequence` was overtaken; it no longer is.
    fn take_missing(&mut self, sequence: u64) -> bool {
        let Some((&from, &to)) = self.missing.range(..=sequence).next_back() else {
            return false;
        };
        if sequence >= to {
            return false;
        }
        self.missing.remove(&from);
        if from < sequence {
            self.missing.insert(from, sequence);
        }
        if sequence + 1 < to {
            self.missing.insert(sequence + 1, to);
        }
        true
    }

    /// What came out. What was sent and lost can be told only together with the sender's account: see [`Arrived::against`].
    pub fn finish(self) -> Arrived {
        let overtaken = self.missing.iter().map(|(from, to)| to - from).sum();
        Arrived {
            tally: self.tally,
            placed: self.placed,
            overtaken,
        }
    }
}

/// The receiver's account of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrived {
    /// All but what was sent and lost.
    tally: Tally,
    /// Messages that have their place.
    placed: u64,
    /// Messages that were overtaken and never came.
    overtaken: u64,
}

/// How the receiver's part of a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It had everything.
    Complete,
    /// It waited until the deadline for something that didn't come.
    Starved,
    /// An error ended it, or it was ended from outside.
    Broken,
}

impl Arrived {
    /// What one of several receivers has to say: everything that came has its place, and nobody knows of what was overtaken.
    pub fn of(tally: Tally) -> Self {
        Self {
            placed: tally.received - tally.duplicated,
            tally,
            overtaken: 0,
        }
    }

    /// What the receiver knows by itself.
    pub fn known(&self) -> Tally {
        self.tally
    }

    /// The whole account, given what the sender says.
    pub fn against(&self, sent: u64, sender_is_idle: bool, ending: Ending) -> Tally {
        // What the receiver didn't get is lost only if nothing more could come: the sender's calls had all returned, and the
        // receiver still waited in vain. Otherwise some may have been on their way.
        let lost = if ending == Ending::Starved && sender_is_idle {
            sent.saturating_sub(self.placed)
        } else {
            self.overtaken
        };
        Tally {
            sent,
            lost,
            ..self.tally
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::pattern::{Lengths, Pattern, fill};
    use super::*;

    const PATTERN: Pattern = Pattern {
        lengths: Lengths::Fixed(24),
    };

    fn message(sequence: u64) -> Vec<u8> {
        let mut message = vec![0; 24];
        fill(&mut message, sequence);
        message
    }

    fn follow(sequences: &[u64]) -> Checker<Pattern> {
        let mut checker = Checker::new(PATTERN, 100, 10);
        for &sequence in sequences {
            checker.check(&message(sequence));
        }
        checker
    }

    #[test]
    fn an_undisturbed_run_is_clean() {
        let checker = follow(&[100, 101, 102, 103, 104, 105, 106, 107, 108, 109]);
        assert!(checker.is_done());
        let tally = checker.finish().against(10, true, Ending::Complete);
        assert_eq!(
            tally,
            Tally {
                sent: 10,
                received: 10,
                ..Tally::default()
            }
        );
        assert!(tally.is_clean());
    }

    #[test]
    fn a_gap_is_a_loss() {
        let checker = follow(&[100, 101, 104, 105, 106, 107, 108, 109]);
        assert!(!checker.is_done());
        let tally = checker.finish().against(10, true, Ending::Starved);
        assert_eq!(
            tally,
            Tally {
                sent: 10,
                received: 8,
                lost: 2,
                ..Tally::default()
            }
        );
    }

    #[test]
    fn a_missing_end_is_a_loss_only_if_the_sender_had_finished() {
        let arrived = follow(&[100, 101, 102]).finish();
        assert_eq!(arrived.against(10, true, Ending::Starved).lost, 7);
        assert_eq!(arrived.against(10, false, Ending::Starved).lost, 0);
        assert_eq!(arrived.against(10, true, Ending::Broken).lost, 0);
    }

    #[test]
    fn overtaken_messages_are_reordered_and_repeated_ones_duplicated() {
        let checker = follow(&[100, 103, 102, 101, 101, 104, 105, 106, 107, 108, 108, 109]);
        assert!(checker.is_done());
        let tally = checker.finish().against(10, true, Ending::Complete);
        let expected = Tally {
            sent: 10,
            received: 12,
            reordered: 2,
            duplicated: 2,
            ..Tally::default()
        };
        assert_eq!(tally, expected);
        assert!(!tally.is_clean());
    }

    #[test]
    fn a_message_of_an_earlier_run_is_a_duplicate_and_one_of_the_future_corrupt() {
        let mut checker = follow(&[99]);
        checker.check(&message(5000));
        let tally = checker.finish().against(10, true, Ending::Broken);
        assert_eq!((tally.duplicated, tally.corrupted), (1, 1));
    }

    #[test]
    fn corruption_takes_the_place_of_what_ought_to_have_come() {
        let mut checker = Checker::new(PATTERN, 0, 3);
        let mut wrong = message(1);
        wrong[20] ^= 4;
        checker.check(&message(0));
        checker.check(&wrong);
        checker.check(&message(2)[..23]);
        assert!(checker.is_done());
        let tally = checker.finish().against(3, true, Ending::Complete);
        assert_eq!(
            tally,
            Tally {
                sent: 3,
                received: 3,
                corrupted: 2,
                ..Tally::default()
            }
        );
    }

    #[test]
    fn without_content_the_number_counts() {
        let mut checker = Checker::new(
            Pattern {
                lengths: Lengths::Fixed(0),
            },
            0,
            2,
        );
        checker.check(&[]);
        checker.check(&[]);
        assert!(checker.is_done());
    }
}
