//! What one of several receivers checks: that every message is whole, who sent it, and that it is later than what this sender's messages so
//! far were. Whether nothing is missing only all receivers together can tell: see [`super::ledger`].

use super::integrity::{Arrived, Tally};
use super::ledger::Attendance;
use super::pattern::Content;
use super::station::RUN_STRIDE;
use crate::fan::{Fan, SIDE_MAX};

/// A message must have room for its number, which says who sent it.
pub const LEN_MIN: usize = 8;

/// Behind the number of a message among those of its producer.
const PRODUCER_SHIFT: u32 = 32;
/// In the place of a producer: not a message, but the end of the run for whoever gets it.
const END: u64 = 0xFF;
const _: () = assert!((SIDE_MAX as u64) < END);

/// The number of a producer's message in the run that begins with `base`.
pub fn number(base: u64, producer: u32, index: u64) -> u64 {
    base + (u64::from(producer) << PRODUCER_SHIFT) + index
}

/// The number of the message that tells one consumer the end of the run.
pub fn number_of_end(base: u64, consumer: u32) -> u64 {
    base + (END << PRODUCER_SHIFT) + u64::from(consumer)
}

/// Who sent the message of that number, and which of this producer's it is, whatever run it belongs to. The end of a run has a producer that
/// can't be.
pub fn producer_of(number: u64) -> (u64, u64) {
    let offset = number % RUN_STRIDE;
    (offset >> PRODUCER_SHIFT, offset & u64::from(u32::MAX))
}

/// What came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// A message, good or not.
    Message,
    /// The end of the run.
    End,
}

/// Follows what one of several receivers gets of one run.
#[derive(Debug)]
pub struct CrowdChecker<C> {
    content: C,
    base: u64,
    consumers: u64,
    /// How many messages each producer sends.
    shares: Vec<u64>,
    /// The number that the next message of each producer has at least.
    next: Vec<u64>,
    seen: Attendance,
    tally: Tally,
}

impl<C: Content> CrowdChecker<C> {
    /// Expects some of the messages of a run.
    pub fn new(content: C, fan: Fan, base: u64, messages: u64) -> Self {
        let shares: Vec<u64> = (0..fan.producers)
            .map(|rank| fan.share(messages, rank))
            .collect();
        Self {
            content,
            base,
            consumers: u64::from(fan.consumers),
            next: vec![0; shares.len()],
            shares,
            seen: Attendance::new(fan, messages),
            tally: Tally::default(),
        }
    }

    /// Takes a message into account.
    #[inline]
    pub fn check(&mut self, message: &[u8]) -> Came {
        // Every message is long enough to say its number, whatever was expected.
        let Some(number) = self.content.recognise(message, self.base) else {
            return self.corrupted();
        };
        let offset = number.wrapping_sub(self.base);
        let (producer, index) = (
            (offset >> PRODUCER_SHIFT) as usize,
            offset & u64::from(u32::MAX),
        );
        match self.shares.get(producer) {
            Some(&share) if index < share => {}
            _ => return self.check_unexpected(number, index),
        }
        self.tally.received += 1;
        if self.seen.mark(producer, index) {
            self.tally.duplicated += 1;
            return Came::Message;
        }
        let next = &mut self.next[producer];
        if index >= *next {
            *next = index + 1;
        } else {
            self.tally.reordered += 1;
        }
        Came::Message
    }

    #[cold]
    fn check_unexpected(&mut self, number: u64, index: u64) -> Came {
        if number < self.base {
            // Of an earlier run, which had everything.
            self.tally.received += 1;
            self.tally.duplicated += 1;
            return Came::Message;
        }
        if index < self.consumers && number == number_of_end(self.base, index as u32) {
            return Came::End;
        }
        self.corrupted()
    }

    #[cold]
    fn corrupted(&mut self) -> Came {
        self.tally.received += 1;
        self.tally.corrupted += 1;
        Came::Message
    }

    /// How many messages came that weren't there before, as far as this receiver can tell.
    pub fn taken(&self) -> u64 {
        self.tally.received - self.tally.duplicated
    }

    /// What came.
    pub fn finish(self) -> (Arrived, Attendance) {
        (Arrived::of(self.tally), self.seen)
    }
}

#[cfg(test)]
mod tests {
    use super::super::pattern::{Lengths, Pattern, fill};
    use super::*;

    const FAN: Fan = Fan {
        producers: 2,
        consumers: 3,
    };
    const BASE: u64 = 5 << 40;

    fn message(number: u64) -> Vec<u8> {
        let mut message = vec![0; 16];
        fill(&mut message, number);
        message
    }

    fn checker() -> CrowdChecker<Pattern> {
        let pattern = Pattern {
            lengths: Lengths::Fixed(16),
        };
        CrowdChecker::new(pattern, FAN, BASE, 21)
    }

    fn follow(messages: &[(u32, u64)]) -> Tally {
        let mut checker = checker();
        for &(producer, index) in messages {
            let came = checker.check(&message(number(BASE, producer, index)));
            assert_eq!(came, Came::Message);
        }
        checker.finish().0.known()
    }

    #[test]
    fn gaps_are_what_others_have_and_each_producer_counts_for_itself() {
        let tally = follow(&[(1, 0), (0, 3), (1, 7), (0, 4), (0, 10), (1, 9)]);
        assert!(tally.is_clean());
        assert_eq!(tally.received, 6);
    }

    #[test]
    fn what_is_overtaken_is_reordered_and_what_comes_again_a_duplicate() {
        let tally = follow(&[(0, 5), (1, 2), (0, 3), (0, 5), (1, 2), (0, 6)]);
        assert_eq!((tally.reordered, tally.duplicated), (1, 2));
    }

    #[test]
    fn messages_that_nobody_sent_are_corrupt() {
        // The first producer has 11 of the 21, the second one 10, and there is no third.
        let tally = follow(&[(0, 10), (1, 10), (2, 0), (0, 11)]);
        assert_eq!(tally.corrupted, 3);
        let mut checker = checker();
        let mut wrong = message(number(BASE, 0, 1));
        wrong[12] ^= 1;
        checker.check(&wrong);
        checker.check(&message(number(BASE, 0, 2))[..15]);
        checker.check(&[]);
        assert_eq!(checker.finish().0.known().corrupted, 3);
    }

    #[test]
    fn the_end_is_no_message_and_one_of_an_earlier_run_a_duplicate() {
        let mut checker = checker();
        assert_eq!(checker.check(&message(number_of_end(BASE, 2))), Came::End);
        assert_eq!(
            checker.check(&message(number_of_end(BASE, 3))),
            Came::Message
        );
        let earlier = number_of_end(4 << 40, 0);
        assert_eq!(checker.check(&message(earlier)), Came::Message);
        let tally = checker.finish().0.known();
        assert_eq!((tally.corrupted, tally.duplicated), (1, 1));
    }
}
