//! What the messages of an order are, as far as a program must be told and its receipt be compared.

use std::collections::BTreeSet;

use super::protocol::{LENS_MAX, Order};
use crate::job::Fault;
use crate::measure::integrity::{Arrived, Checker, Tally};
use crate::measure::pattern::{Content, Lengths, fill};
use crate::measure::schedule::{Moments, Pace};
use crate::measure::source::Stock;
use crate::measure::station::Run;
use crate::payload::Records;

/// A bit in numbers of no run, and one that also messages of three bytes have room for.
const STRANGE: u64 = (1 << 39) | (1 << 23);

/// What they are.
#[derive(Debug)]
pub enum Messages {
    /// Made up.
    Made(Lengths),
    /// Records, over and over again.
    Records {
        /// In the order of the window.
        records: Records,
        /// The number of the one that every window begins with.
        start: u64,
    },
}

impl Messages {
    /// Records, of which each run begins with this one.
    pub fn of_records(mut records: Records, first: u64) -> Self {
        records.begin_with(first);
        let start = first % records.profile().records;
        Self::Records { records, start }
    }

    /// The lengths of the messages of a run from a place on, after which they begin again; nothing of records.
    pub fn lens_from(&self, run: Run, place: u64) -> Vec<usize> {
        match self {
            Self::Records { .. } => Vec::new(),
            Self::Made(Lengths::Fixed(len)) => vec![*len],
            Self::Made(lengths) => {
                let cycle = run.messages.clamp(1, LENS_MAX as u64);
                let all = place..place + cycle;
                all.map(|place| lengths.of(run.base + place % cycle))
                    .collect()
            }
        }
    }

    /// The number of the record that every run begins with, if they are records.
    pub fn start(&self) -> Option<u64> {
        match self {
            Self::Made(_) => None,
            Self::Records { start, .. } => Some(*start),
        }
    }

    /// A window has a whole multiple of so many.
    pub fn multiple(&self) -> u64 {
        match self {
            Self::Made(_) => 1,
            Self::Records { records, .. } => records.multiple(),
        }
    }

    /// How long sending the multiple once may well take, in nanoseconds.
    pub fn expected_ns(&self) -> u64 {
        match self {
            Self::Made(_) => 0,
            Self::Records { records, .. } => records.expected_ns(),
        }
    }

    /// When they are due; nothing if that is left to moments of their own and they have none.
    pub fn moments(&self, pace: Pace) -> Option<Moments<'_>> {
        match self {
            Self::Made(_) => pace.moments(None),
            Self::Records { records, .. } => records.moments(pace),
        }
    }

    /// Calls `with` with each of so many messages that an order is about, in order.
    fn each(&self, order: &Order, messages: u64, mut with: impl FnMut(&[u8])) {
        match self {
            Self::Records { records, .. } => (0..messages).for_each(|i| with(records.at(i))),
            Self::Made(_) => {
                let mut buffer = vec![0; order.lens.iter().copied().max().unwrap_or(0)];
                let sequences = order.first..order.first + messages;
                for (sequence, &len) in sequences.zip(order.lens.iter().cycle()) {
                    fill(&mut buffer[..len], sequence);
                    with(&buffer[..len]);
                }
            }
        }
    }

    /// The checksum of all that an order makes a program receive.
    pub fn crc32(&self, order: &Order) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        self.each(order, order.messages, |message| hasher.update(message));
        hasher.finalize()
    }

    /// What became of messages, of which so many ought to have come: by the checksum of each that came.
    pub fn compare(&self, order: &Order, expected: u64, came: &[u32]) -> Arrived {
        let mut digests = Digests::default();
        self.each(order, expected, |message| {
            digests.add(crc32fast::hash(message));
        });
        let mut checker = Checker::new(digests, 0, expected);
        for crc32 in came {
            checker.check(&crc32.to_le_bytes());
        }
        checker.finish()
    }
}

/// The account of an order whose messages together have the right checksum, or not; which of them went wrong, and how, it doesn't tell.
pub fn account_of_all(messages: u64, is_right: bool) -> Arrived {
    Arrived::of(Tally {
        received: messages,
        corrupted: u64::from(!is_right),
        ..Tally::default()
    })
}

/// Messages by the checksum of each.
#[derive(Debug, Default)]
struct Digests {
    in_order: Vec<u32>,
    /// With their numbers, to be found.
    sorted: BTreeSet<(u32, u64)>,
}

impl Digests {
    fn add(&mut self, crc32: u32) {
        self.sorted.insert((crc32, self.in_order.len() as u64));
        self.in_order.push(crc32);
    }
}

impl Content for Digests {
    fn is(&self, message: &[u8], sequence: u64) -> bool {
        let expected = self.in_order.get(sequence as usize);
        expected.is_some_and(|crc32| crc32.to_le_bytes() == message)
    }

    fn recognise(&self, message: &[u8], expected: u64) -> Option<u64> {
        let crc32 = u32::from_le_bytes(message.try_into().ok()?);
        // Among equal messages the nearest is meant.
        let after = self.sorted.range((crc32, expected)..=(crc32, u64::MAX));
        let before = self.sorted.range((crc32, 0)..(crc32, expected));
        let found = after.take(1).chain(before.rev().take(1));
        found
            .map(|&(_, sequence)| sequence)
            .min_by_key(|sequence| sequence.abs_diff(expected))
    }
}

/// Which messages are sent from which place of a run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// The place of the first one.
    pub place: u64,
    /// Its number within the run.
    pub first: u64,
    /// How many.
    pub messages: u64,
}

/// All messages of a run in order, or with a fault in the middle of them. There are always as many, so that the receiver has all it waits for.
pub fn pieces(messages: u64, fault: Option<Fault>) -> Vec<Piece> {
    let middle = messages / 2;
    let sent = match fault {
        None => vec![(0, messages)],
        Some(Fault::Lost) => vec![(0, middle), (middle + 1, messages - middle)],
        Some(Fault::Duplicated) => vec![(0, middle + 1), (middle, messages - middle - 1)],
        Some(Fault::Corrupted) => vec![
            (0, middle),
            (STRANGE, 1),
            (middle + 1, messages - middle - 1),
        ],
        Some(Fault::Reordered) => vec![
            (0, middle),
            (middle + 1, 1),
            (middle, 1),
            (middle + 2, (messages - middle).saturating_sub(2)),
        ],
    };
    let mut place = 0;
    let sent = sent.into_iter().filter(|&(_, messages)| messages > 0);
    sent.map(|(first, messages)| {
        let piece = Piece {
            place,
            first,
            messages,
        };
        place += messages;
        piece
    })
    .collect()
}

/// How many different messages a sender that commits this fault ought to send, while the receiver still has as many as it waits for.
pub fn ought_to_come(messages: u64, fault: Option<Fault>) -> u64 {
    match fault {
        Some(Fault::Lost) => messages + 1,
        Some(Fault::Duplicated) => messages - 1,
        None | Some(Fault::Reordered | Fault::Corrupted) => messages,
    }
}

#[cfg(test)]
mod tests {
    use super::super::protocol::Verb;
    use super::*;
    use crate::measure::integrity::Ending;

    const FAULTS: [Fault; 4] = [
        Fault::Lost,
        Fault::Duplicated,
        Fault::Reordered,
        Fault::Corrupted,
    ];

    fn order(messages: u64, lens: &[usize]) -> Order {
        Order {
            order: Verb::Receive,
            first: 1 << 40,
            messages,
            warm_up: 0,
            lens: lens.to_vec(),
            start: None,
            work_turns: 0,
            due: None,
            came: None,
            crc32s: None,
        }
    }

    fn message(sequence: u64, len: usize) -> Vec<u8> {
        let mut message = vec![0; len];
        fill(&mut message, sequence);
        message
    }

    /// The numbers that are sent, within the run.
    fn sent(messages: u64, fault: Option<Fault>) -> Vec<u64> {
        let pieces = pieces(messages, fault);
        let places: Vec<u64> = pieces.iter().map(|piece| piece.place).collect();
        assert!(places.is_sorted());
        let numbers = |piece: &Piece| piece.first..piece.first + piece.messages;
        pieces.iter().flat_map(numbers).collect()
    }

    #[test]
    fn the_checksum_is_over_all_bytes_in_order() {
        let first = 1 << 40;
        let bytes = [
            message(first, 8),
            message(first + 1, 20),
            message(first + 2, 8),
        ]
        .concat();
        let made = Messages::Made(Lengths::Fixed(8));
        assert_eq!(made.crc32(&order(3, &[8, 20])), crc32fast::hash(&bytes));
    }

    #[test]
    fn the_checksum_of_records_goes_around() {
        let records = Records::make("logs:2".parse().unwrap()).unwrap();
        let count = records.profile().records;
        let bytes = [records.at(count - 1), records.at(0), records.at(1)].concat();
        let messages = Messages::of_records(records, 3 * count - 1);
        assert_eq!(messages.crc32(&order(3, &[])), crc32fast::hash(&bytes));
        assert_eq!(messages.start(), Some(count - 1));
    }

    #[test]
    fn a_fault_keeps_the_count_and_changes_what_comes() {
        let plain: Vec<u64> = (0..10).collect();
        assert_eq!(sent(10, None), plain);
        for fault in FAULTS {
            let sent = sent(10, Some(fault));
            assert_eq!(sent.len(), 10, "{fault:?}");
            assert_ne!(sent, plain, "{fault:?}");
        }
        assert_eq!(sent(10, Some(Fault::Reordered))[4..8], [4, 6, 5, 7]);
    }

    #[test]
    fn checksums_of_each_message_tell_the_faults_apart() {
        for len in [3, 8, 64] {
            let order = order(1_000, &[len]);
            let made = Messages::Made(Lengths::Fixed(len));
            let tally = |fault| {
                let came: Vec<u32> = sent(order.messages, fault)
                    .iter()
                    .map(|number| crc32fast::hash(&message(order.first + number, len)))
                    .collect();
                let expected = ought_to_come(order.messages, fault);
                let arrived = made.compare(&order, expected, &came);
                arrived.against(expected, true, Ending::Complete)
            };
            assert!(tally(None).is_clean());
            let found = FAULTS.map(|fault| {
                let tally = tally(Some(fault));
                assert_eq!(tally.received, 1_000, "{fault:?}");
                [
                    tally.lost,
                    tally.duplicated,
                    tally.reordered,
                    tally.corrupted,
                ]
            });
            assert_eq!(found[0], [1, 0, 0, 0], "{len}: lost");
            assert_eq!(found[1], [0, 1, 0, 0], "{len}: duplicated");
            assert_eq!(found[2], [0, 0, 1, 0], "{len}: reordered");
            assert_eq!(found[3], [0, 0, 0, 1], "{len}: corrupted");
        }
    }

    #[test]
    fn equal_messages_are_taken_for_the_nearest() {
        let mut digests = Digests::default();
        for crc32 in [5, 6, 5, 7, 5] {
            digests.add(crc32);
        }
        let at = |crc: u32, expected| digests.recognise(&crc.to_le_bytes(), expected);
        assert_eq!((at(5, 1), at(5, 3), at(7, 0)), (Some(2), Some(4), Some(3)));
        assert_eq!((at(7, 5), at(8, 0)), (Some(3), None));
    }
}
