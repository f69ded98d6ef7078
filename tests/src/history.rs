//! A check in linear time of what was received against what was sent.
//!
//! Every message has a unique [`Id`]: its producer, and its number there from zero on. A producer
//! that was killed leaves messages in doubt: it had begun to send them, and nobody knows whether
//! it came to the commit. Those may be missing, but from the end only: order forbids a hole.

use std::collections::BTreeMap;
use std::fmt;

/// How many bits of a word number the messages of one producer.
const SEQUENCE_BITS: u32 = 40;

/// A message: who sent it, and which of its messages it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// Who sent it; a successor counts as another producer.
    pub producer: u32,
    /// Its number there, from 0 on, below 2^40.
    pub sequence: u64,
}

impl Id {
    /// The id in one word, as it travels at the start of a message.
    pub fn to_word(self) -> u64 {
        u64::from(self.producer) << SEQUENCE_BITS | self.sequence
    }

    /// The id that is in such a word.
    pub fn from_word(word: u64) -> Self {
        let producer = (word >> SEQUENCE_BITS) as u32;
        Self {
            producer,
            sequence: word & ((1 << SEQUENCE_BITS) - 1),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.producer, self.sequence)
    }
}

/// What is wrong with a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Received, but never sent.
    Unknown(Id),
    /// Received again without being marked as redelivered.
    Duplicated(Id),
    /// Sent for certain, or followed by one that arrived, and never received.
    Lost(Id),
    /// Received after a later one of the same producer.
    OutOfOrder {
        /// The one that came before.
        after: Id,
        /// The one that should have come earlier.
        found: Id,
    },
}

/// What a sound history amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Summary {
    /// Messages that arrived, each counted once.
    pub delivered: u64,
    /// Deliveries that were marked as redelivered.
    pub redelivered: u64,
    /// Messages in doubt that did not arrive.
    pub never_committed: u64,
}

#[derive(Debug, Default)]
struct Sent {
    committed: u64,
    attempted: u64,
}

/// A record of what was sent and what was received, in order.
#[derive(Debug, Default)]
pub struct History {
    sent: BTreeMap<u32, Sent>,
    received: BTreeMap<u32, Vec<(Id, bool)>>,
}

impl History {
    /// An empty history.
    pub fn new() -> Self {
        Self::default()
    }

    /// This producer sent messages `0..committed` for certain, and began to send those up to
    /// `attempted`.
    pub fn sent(&mut self, producer: u32, committed: u64, attempted: u64) {
        self.sent.insert(
            producer,
            Sent {
                committed,
                attempted: attempted.max(committed),
            },
        );
    }

    /// This consumer received the message next, marked as redelivered or not. The successor of a
    /// consumer goes on in the record of its predecessor.
    pub fn received(&mut self, consumer: u32, id: Id, redelivered: bool) {
        self.received
            .entry(consumer)
            .or_default()
            .push((id, redelivered));
    }

    /// Checks the whole history.
    ///
    /// # Errors
    /// Lists all that is wrong.
    pub fn check(&self) -> Result<Summary, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut summary = Summary::default();
        let mut seen: BTreeMap<u32, Vec<bool>> = self
            .sent
            .iter()
            .map(|(p, sent)| (*p, vec![false; sent.attempted as usize]))
            .collect();
        for deliveries in self.received.values() {
            let mut last: BTreeMap<u32, u64> = BTreeMap::new();
            for (id, redelivered) in deliveries {
                summary.redelivered += u64::from(*redelivered);
                let slot = seen
                    .get_mut(&id.producer)
                    .and_then(|s| s.get_mut(id.sequence as usize));
                let Some(slot) = slot else {
                    faults.push(Fault::Unknown(*id));
                    continue;
                };
                if std::mem::replace(slot, true) {
                    if !redelivered {
                        faults.push(Fault::Duplicated(*id));
                    }
                    continue;
                }
                summary.delivered += 1;
                let last = last.entry(id.producer).or_insert(id.sequence);
                if id.sequence < *last {
                    let after = Id {
                        sequence: *last,
                        ..*id
                    };
                    faults.push(Fault::OutOfOrder { after, found: *id });
                }
                *last = id.sequence.max(*last);
            }
        }
        for (producer, sent) in &self.sent {
            let seen = &seen[producer];
            let arrived = seen
                .iter()
                .rposition(|seen| *seen)
                .map_or(0, |at| at as u64 + 1);
            let expected = sent.committed.max(arrived);
            summary.never_committed += sent.attempted - expected;
            let missing = (0..expected).filter(|sequence| !seen[*sequence as usize]);
            faults.extend(missing.map(|sequence| {
                Fault::Lost(Id {
                    producer: *producer,
                    sequence,
                })
            }));
        }
        if faults.is_empty() {
            Ok(summary)
        } else {
            Err(faults)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(producer: u32, sequence: u64) -> Id {
        Id { producer, sequence }
    }

    /// Two producers with five messages each, received alternately by one consumer.
    fn sound() -> Vec<(Id, bool)> {
        (0..5)
            .flat_map(|n| [(id(1, n), false), (id(2, n), false)])
            .collect()
    }

    fn check(received: &[(Id, bool)]) -> Result<Summary, Vec<Fault>> {
        check_with(received, 5)
    }

    fn check_with(received: &[(Id, bool)], attempted: u64) -> Result<Summary, Vec<Fault>> {
        let mut history = History::new();
        history.sent(1, 5, attempted);
        history.sent(2, 5, 5);
        for (id, redelivered) in received {
            history.received(0, *id, *redelivered);
        }
        history.check()
    }

    #[test]
    fn a_sound_history_passes() {
        let summary = Summary {
            delivered: 10,
            redelivered: 0,
            never_committed: 0,
        };
        assert_eq!(check(&sound()), Ok(summary));
    }

    #[test]
    fn an_unknown_message_is_found() {
        let mut received = sound();
        received.push((id(3, 0), false));
        received.push((id(2, 5), false));
        assert_eq!(
            check(&received),
            Err(vec![Fault::Unknown(id(3, 0)), Fault::Unknown(id(2, 5))])
        );
    }

    #[test]
    fn a_duplicate_is_found_unless_it_is_marked() {
        let mut received = sound();
        received.push((id(2, 4), false));
        assert_eq!(check(&received), Err(vec![Fault::Duplicated(id(2, 4))]));
        received.last_mut().unwrap().1 = true;
        assert_eq!(check(&received).unwrap().redelivered, 1);
    }

    #[test]
    fn a_lost_message_is_found_in_the_middle_and_at_the_end() {
        let mut received = sound();
        received.remove(9);
        received.remove(2);
        assert_eq!(
            check(&received),
            Err(vec![Fault::Lost(id(1, 1)), Fault::Lost(id(2, 4))])
        );
    }

    #[test]
    fn a_swap_within_one_producer_is_found_and_one_between_two_is_not() {
        let mut received = sound();
        received.swap(2, 3);
        assert!(check(&received).is_ok());
        let mut received = sound();
        received.swap(3, 5);
        let fault = Fault::OutOfOrder {
            after: id(2, 2),
            found: id(2, 1),
        };
        assert_eq!(check(&received), Err(vec![fault]));
    }

    #[test]
    fn a_message_in_doubt_may_be_missing_but_leaves_no_hole() {
        let mut received = sound();
        assert_eq!(check_with(&received, 8).unwrap().never_committed, 3);
        received.push((id(1, 5), false));
        assert_eq!(check_with(&received, 8).unwrap().never_committed, 2);
        received.push((id(1, 7), false));
        assert_eq!(check_with(&received, 8), Err(vec![Fault::Lost(id(1, 6))]));
    }

    #[test]
    fn an_id_survives_its_word() {
        let id = id(0x00ab_cdef, (1 << SEQUENCE_BITS) - 1);
        assert_eq!(Id::from_word(id.to_word()), id);
    }
}
