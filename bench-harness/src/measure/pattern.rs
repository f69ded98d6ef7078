//! What the messages say, and how it is told that they arrived as they were sent.
//!
//! One fill and one verify function for all contenders, never inlined, so that every contender runs the very same
//! machine code around its own. Word `i` of message `s` is `(s + 1) * KEY + i * STEP` in little-endian order: it
//! depends on both, it vectorises, and the first word gives the sequence number back. Messages shorter than a word
//! carry the truncated sequence number.

use serde::{Deserialize, Serialize};

const WORD: usize = 8;
const KEY: u64 = 0x9E37_79B9_7F4A_7C15;
const STEP: u64 = 0xD1B5_4A32_D192_ED03;
/// `KEY * KEY_INVERSE == 1`, modulo 2^64.
const KEY_INVERSE: u64 = inverse(KEY);
const _: () = assert!(KEY.wrapping_mul(KEY_INVERSE) == 1);

/// The inverse of an odd number modulo 2^64, by Newton's iteration.
const fn inverse(odd: u64) -> u64 {
    let mut guess = odd;
    let mut turn = 0;
    while turn < 6 {
        guess = guess.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(guess)));
        turn += 1;
    }
    guess
}

fn first_word(sequence: u64) -> u64 {
    sequence.wrapping_add(1).wrapping_mul(KEY)
}

/// Writes the content of message `sequence`.
#[inline(never)]
pub fn fill(message: &mut [u8], sequence: u64) {
    if message.len() < WORD {
        let len = message.len();
        message.copy_from_slice(&sequence.to_le_bytes()[..len]);
        return;
    }
    let mut word = first_word(sequence);
    let (words, tail) = message.as_chunks_mut::<WORD>();
    for place in words {
        *place = word.to_le_bytes();
        word = word.wrapping_add(STEP);
    }
    if !tail.is_empty() {
        let tail_len = tail.len();
        tail.copy_from_slice(&word.to_le_bytes()[..tail_len]);
    }
}

/// Whether every byte is as [`fill`] wrote it for `sequence`.
#[inline(never)]
pub fn matches(message: &[u8], sequence: u64) -> bool {
    if message.len() < WORD {
        return message == &sequence.to_le_bytes()[..message.len()];
    }
    let mut word = first_word(sequence);
    let mut difference = 0;
    let (words, tail) = message.as_chunks::<WORD>();
    for place in words {
        difference |= u64::from_le_bytes(*place) ^ word;
        word = word.wrapping_add(STEP);
    }
    difference == 0 && (tail.is_empty() || tail == &word.to_le_bytes()[..tail.len()])
}

/// Which message this claims to be; of a short one, the number nearest to `expected` that it can stand for.
fn claimed_sequence(message: &[u8], expected: u64) -> u64 {
    if let Some(word) = message.first_chunk::<WORD>() {
        return u64::from_le_bytes(*word)
            .wrapping_mul(KEY_INVERSE)
            .wrapping_sub(1);
    }
    if message.is_empty() {
        return expected;
    }
    let mut word = [0; WORD];
    word[..message.len()].copy_from_slice(message);
    let unused_bits = 64 - 8 * message.len();
    let distance = u64::from_le_bytes(word).wrapping_sub(expected) << unused_bits;
    expected.wrapping_add_signed(distance.cast_signed() >> unused_bits)
}

/// How long the messages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lengths {
    /// All the same.
    Fixed(usize),
    /// Anything from `min` to `max` bytes, the two ends more often than the rest; a function of the sequence number.
    Varied {
        /// The shortest.
        min: usize,
        /// The longest.
        max: usize,
        /// Makes another order.
        seed: u64,
    },
}

impl Lengths {
    /// The length of message `sequence`.
    #[inline]
    pub fn of(self, sequence: u64) -> usize {
        match self {
            Self::Fixed(len) => len,
            Self::Varied { min, max, seed } => {
                let hash = fastrand::Rng::with_seed(sequence ^ seed).u64(..);
                match hash % 8 {
                    0 => max,
                    1 => min,
                    _ => min + ((hash >> 3) % (max - min + 1) as u64) as usize,
                }
            }
        }
    }

    /// The longest.
    pub fn max(self) -> usize {
        match self {
            Self::Fixed(len) => len,
            Self::Varied { max, .. } => max,
        }
    }
}

/// What the messages of a run are, in order.
pub trait Content {
    /// Whether this is message `sequence`, whole.
    fn is(&self, message: &[u8], sequence: u64) -> bool;

    /// Which message this is, if it is a whole one at all. Asked only after [`Self::is`] said no.
    fn recognise(&self, message: &[u8], expected: u64) -> Option<u64>;
}

/// Messages made by [`fill`].
#[derive(Debug, Clone, Copy)]
pub struct Pattern {
    /// How long they are.
    pub lengths: Lengths,
}

impl Content for Pattern {
    #[inline]
    fn is(&self, message: &[u8], sequence: u64) -> bool {
        message.len() == self.lengths.of(sequence) && matches(message, sequence)
    }

    #[inline]
    fn recognise(&self, message: &[u8], expected: u64) -> Option<u64> {
        let claimed = claimed_sequence(message, expected);
        self.is(message, claimed).then_some(claimed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_recognised_as_filled() {
        for len in 0..200 {
            let mut message = vec![0; len];
            for sequence in [0, 1, 255, 256, u64::MAX, 1 << 40] {
                fill(&mut message, sequence);
                assert!(
                    matches(&message, sequence),
                    "length {len}, sequence {sequence}"
                );
                assert_eq!(claimed_sequence(&message, sequence), sequence);
            }
        }
    }

    #[test]
    fn a_single_wrong_bit_anywhere_is_noticed() {
        for len in [1, 7, 8, 9, 64, 67] {
            let mut message = vec![0; len];
            fill(&mut message, 77);
            for bit in 0..8 * len {
                message[bit / 8] ^= 1 << (bit % 8);
                assert!(!matches(&message, 77), "length {len}, bit {bit}");
                message[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }

    #[test]
    fn a_short_message_is_taken_for_the_nearest_number_that_it_can_stand_for() {
        let mut message = [0; 1];
        fill(&mut message, 258);
        assert_eq!(claimed_sequence(&message, 257), 258);
        assert_eq!(claimed_sequence(&message, 260), 258);
        fill(&mut message, 255);
        assert_eq!(claimed_sequence(&message, 257), 255);
    }

    #[test]
    fn a_message_of_the_wrong_length_is_not_recognised() {
        let pattern = Pattern {
            lengths: Lengths::Fixed(64),
        };
        let mut message = vec![0; 64];
        fill(&mut message, 5);
        assert!(pattern.is(&message, 5));
        assert!(!pattern.is(&message[..63], 5));
        assert_eq!(pattern.recognise(&message[..63], 5), None);
        assert_eq!(pattern.recognise(&message, 9), Some(5));
    }

    #[test]
    fn varied_lengths_reach_both_ends_and_depend_on_the_number_alone() {
        for min in [1, 8, 100] {
            let lengths = Lengths::Varied {
                min,
                max: 100,
                seed: 7,
            };
            let drawn: Vec<_> = (0..1000).map(|s| lengths.of(s)).collect();
            assert_eq!(drawn.iter().min(), Some(&min));
            assert_eq!(drawn.iter().max(), Some(&100));
            assert_eq!(lengths.of(500), drawn[500]);
            assert_eq!(lengths.max(), 100);
        }
    }
}
