//! Records that several processes send: each behind the number of its message, which says who sent it.
//!
//! ```text
//!  0        8
//!  +--------+-------------------+
//!  | number | the record        |     the number as `fill` writes it, see [`super::pattern`]
//!  +--------+-------------------+
//! ```
//!
//! Of `P` producers the first one sends records 0, P, 2P …, the second one 1, P + 1, 2P + 1 …, so that all of them together send each record
//! as often as any other.

use super::crowd_check::{LEN_MIN, producer_of};
use super::pattern::{Content, Lengths, Pattern, fill, matches};
use super::source::Stock;
use crate::payload::Records;

/// The number of a message by itself.
const NUMBER: Pattern = Pattern {
    lengths: Lengths::Fixed(LEN_MIN),
};

/// Records behind numbers.
#[derive(Debug, Clone, Copy)]
pub struct Numbered<'a> {
    /// The records.
    pub records: &'a Records,
    /// How many processes send them.
    pub producers: u32,
}

impl Numbered<'_> {
    fn record(&self, number: u64) -> &[u8] {
        let (producer, index) = producer_of(number);
        if producer >= u64::from(self.producers) {
            // It tells the end of a run. In contenders of a fixed length it is as long as all others.
            return self.records.at(index);
        }
        self.records
            .at(index * u64::from(self.producers) + producer)
    }
}

impl Stock for Numbered<'_> {
    type Content<'a>
        = Numbered<'a>
    where
        Self: 'a;

    fn len_max(&self) -> usize {
        LEN_MIN + self.records.profile().len_max
    }

    fn multiple(&self) -> u64 {
        self.records.multiple()
    }

    fn expected_ns(&self) -> u64 {
        self.records.expected_ns()
    }

    #[inline]
    fn message<'a>(&'a self, sequence: u64, _base: u64, buffer: &'a mut [u8]) -> &'a [u8] {
        let record = self.record(sequence);
        let message = &mut buffer[..LEN_MIN + record.len()];
        let (number, content) = message.split_at_mut(LEN_MIN);
        fill(number, sequence);
        content.copy_from_slice(record);
        message
    }

    fn content(&self, _base: u64) -> Numbered<'_> {
        *self
    }
}

impl Content for Numbered<'_> {
    #[inline]
    fn is(&self, message: &[u8], sequence: u64) -> bool {
        message
            .split_at_checked(LEN_MIN)
            .is_some_and(|(number, content)| {
                matches(number, sequence) && content == self.record(sequence)
            })
    }

    #[inline]
    fn recognise(&self, message: &[u8], expected: u64) -> Option<u64> {
        let (number, _) = message.split_at_checked(LEN_MIN)?;
        let claimed = NUMBER.recognise(number, expected)?;
        self.is(message, claimed).then_some(claimed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::crowd_check::{Came, CrowdChecker, number, number_of_end};
    use super::*;
    use crate::fan::Fan;

    const FAN: Fan = Fan {
        producers: 3,
        consumers: 2,
    };
    const BASE: u64 = 9 << 40;

    fn records() -> Records {
        Records::make("logs:2".parse().unwrap()).unwrap()
    }

    fn message(stock: &Numbered<'_>, sequence: u64) -> Vec<u8> {
        let mut buffer = vec![0; stock.len_max()];
        stock.message(sequence, BASE, &mut buffer).to_vec()
    }

    #[test]
    fn all_producers_together_send_each_record_once() {
        let records = records();
        let stock = Numbered {
            records: &records,
            producers: FAN.producers,
        };
        let count = stock.multiple();
        let mut seen = vec![0; count as usize];
        let mut checker = CrowdChecker::new(stock, FAN, BASE, count);
        for producer in 0..FAN.producers {
            for index in 0..FAN.share(count, producer) {
                let message = message(&stock, number(BASE, producer, index));
                let place = index * 3 + u64::from(producer);
                assert_eq!(&message[LEN_MIN..], records.at(place));
                seen[place as usize] += 1;
                assert_eq!(checker.check(&message), Came::Message);
            }
        }
        assert!(seen.iter().all(|&times| times == 1));
        let end = message(&stock, number_of_end(BASE, 1));
        assert_eq!(checker.check(&end), Came::End);
        let tally = checker.finish().0.known();
        assert!(tally.is_clean());
        assert_eq!(tally.received, count);
    }

    #[test]
    fn a_wrong_bit_in_the_number_or_in_the_record_and_a_missing_end_are_corrupt() {
        let records = records();
        let stock = Numbered {
            records: &records,
            producers: FAN.producers,
        };
        let mut checker = CrowdChecker::new(stock, FAN, BASE, 100);
        let whole = message(&stock, number(BASE, 1, 5));
        for place in [0, 7, 8, whole.len() - 1] {
            let mut wrong = whole.clone();
            wrong[place] ^= 16;
            checker.check(&wrong);
        }
        checker.check(&whole[..whole.len() - 1]);
        checker.check(&whole[..7]);
        checker.check(&[]);
        assert_eq!(checker.finish().0.known().corrupted, 7);
    }

    #[test]
    fn a_message_of_an_earlier_run_is_a_duplicate() {
        let records = records();
        let stock = Numbered {
            records: &records,
            producers: FAN.producers,
        };
        let mut checker = CrowdChecker::new(stock, FAN, BASE, 100);
        checker.check(&message(&stock, number(BASE - (1 << 40), 1, 5)));
        let tally = checker.finish().0.known();
        assert_eq!((tally.duplicated, tally.corrupted), (1, 0));
    }
}
