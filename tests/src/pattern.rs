//! Messages whose length and content follow from a seed and a number alone, so that both sides
//! know every byte without having spoken about it.

use std::fmt;
use std::ops::RangeInclusive;

/// The family of messages of one seed.
#[derive(Clone, Debug)]
pub struct Pattern {
    seed: u64,
    len_min: usize,
    len_max: usize,
}

/// A message that is not what it should have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The number of the message that was expected.
    pub id: u64,
    /// The length that it should have and the one that it has.
    pub len: (usize, usize),
    /// The first byte that differs, if the lengths agree.
    pub at: Option<usize>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id,
            len: (expected, found),
            at,
        } = self;
        match at {
            Some(at) => write!(f, "message {id} of {expected} bytes differs at byte {at}"),
            None => write!(
                f,
                "message {id} should have {expected} bytes and has {found}"
            ),
        }
    }
}

impl Pattern {
    /// Messages of lengths in this range. From 8 bytes on a message starts with its number.
    pub fn new(seed: u64, len: RangeInclusive<usize>) -> Self {
        Self {
            seed,
            len_min: *len.start(),
            len_max: *len.end(),
        }
    }

    /// The length of message `id`: the extremes often, short ones more often than long ones.
    pub fn len(&self, id: u64) -> usize {
        let spread = (self.len_max - self.len_min) as u64;
        let dice = mix(self.seed ^ mix(id));
        let (kind, value) = (dice & 15, dice >> 8);
        let extra = match kind {
            0 => spread - value % (spread.min(8) + 1),
            1 => value % (spread.min(8) + 1),
            2 | 3 => value % (spread + 1),
            _ => value % ((spread >> (value >> 50 & 7)) + 1),
        };
        self.len_min + extra as usize
    }

    /// Writes message `id` in `out`, whatever its length.
    pub fn fill(&self, id: u64, out: &mut [u8]) {
        let start = self.start(id);
        for (at, chunk) in out.chunks_mut(8).enumerate() {
            let word = Self::word(start, id, at).to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }

    /// Message `id`, whole.
    pub fn message(&self, id: u64) -> Vec<u8> {
        let mut message = vec![0; self.len(id)];
        self.fill(id, &mut message);
        message
    }

    /// Compares a message of variable length with number `id`.
    ///
    /// # Errors
    /// Says where it differs.
    pub fn check(&self, id: u64, found: &[u8]) -> Result<(), Mismatch> {
        self.check_len(id, self.len(id), found)
    }

    /// Compares a message of a fixed length with number `id`.
    ///
    /// # Errors
    /// Says where it differs.
    pub fn check_len(&self, id: u64, len: usize, found: &[u8]) -> Result<(), Mismatch> {
        if found.len() != len {
            return Err(Mismatch {
                id,
                len: (len, found.len()),
                at: None,
            });
        }
        let start = self.start(id);
        for (at, chunk) in found.chunks(8).enumerate() {
            let word = Self::word(start, id, at).to_le_bytes();
            if *chunk != word[..chunk.len()] {
                let inside = chunk
                    .iter()
                    .zip(word)
                    .position(|(a, b)| *a != b)
                    .unwrap_or(0);
                return Err(Mismatch {
                    id,
                    len: (len, len),
                    at: Some(at * 8 + inside),
                });
            }
        }
        Ok(())
    }

    fn start(&self, id: u64) -> u64 {
        mix(self.seed.wrapping_add(mix(id)))
    }

    fn word(start: u64, id: u64, at: usize) -> u64 {
        if at == 0 {
            id
        } else {
            mix(start.wrapping_add(at as u64))
        }
    }
}

/// The number that a message of at least 8 bytes starts with.
///
/// # Panics
/// When it is shorter.
pub fn id_of(message: &[u8]) -> u64 {
    u64::from_le_bytes(message[..8].try_into().expect("eight bytes"))
}

/// The finalizer of splitmix64.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_agree_on_every_message() {
        let (ours, theirs) = (Pattern::new(7, 0..=500), Pattern::new(7, 0..=500));
        for id in 0..2000 {
            assert_eq!(theirs.check(id, &ours.message(id)), Ok(()));
        }
    }

    #[test]
    fn lengths_stay_in_their_range_and_reach_its_ends() {
        let pattern = Pattern::new(1, 3..=300);
        let lengths: Vec<usize> = (0..5000).map(|id| pattern.len(id)).collect();
        assert_eq!(lengths.iter().min(), Some(&3));
        assert_eq!(lengths.iter().max(), Some(&300));
        assert!(lengths.iter().any(|len| (100..200).contains(len)));
        assert_eq!(Pattern::new(1, 5..=5).len(17), 5);
    }

    #[test]
    fn one_flipped_bit_is_found_where_it_is() {
        let pattern = Pattern::new(3, 40..=40);
        let mut message = pattern.message(9);
        message[33] ^= 1;
        assert_eq!(
            pattern.check(9, &message),
            Err(Mismatch {
                id: 9,
                len: (40, 40),
                at: Some(33)
            })
        );
    }

    #[test]
    fn another_message_another_length_and_another_seed_are_found() {
        let pattern = Pattern::new(3, 16..=16);
        assert!(pattern.check(9, &pattern.message(10)).is_err());
        assert!(pattern.check(9, &pattern.message(9)[..15]).is_err());
        assert!(
            pattern
                .check(9, &Pattern::new(4, 16..=16).message(9))
                .is_err()
        );
    }
}
