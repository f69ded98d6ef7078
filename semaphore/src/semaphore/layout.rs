//! The bytes of a named semaphore.
//!
//! ```text
//! offset                                       written by                 read by
//!      0  Header       4096 bytes              creator, before it has     everyone, once, with pread
//!                                              a name
//!   4096  Words        state, reservation,     everyone                   everyone
//!                      news, asked_at
//!   4224  Participant  life, pid, account      its holder                 everyone
//!   4352  Participant  …
//!         end          total_len, a multiple of the page size
//! ```
//!
//! Participants never share 128 bytes, since processors fetch lines in pairs. A participant's number is also the byte (from 2^40 on) that its
//! holder has locked.

use super::core::{Participant, Words};
use super::word::{PARTICIPANTS_MAX, State};
use crate::error::Error;
use crate::segment::{Name, page_len};

/// The first eight bytes of every named semaphore.
pub(crate) const MAGIC: u64 = u64::from_ne_bytes(*b"shm-sema");
/// The version of everything in this file.
const VERSION: u64 = 1;
/// The header has a page of its own.
pub(crate) const WORDS_OFFSET: u64 = 4096;
/// The words have lines of their own.
pub(crate) const PARTICIPANTS_OFFSET: u64 = WORDS_OFFSET + 128;

const _: () = assert!(size_of::<Words>() <= 128);
const _: () = assert!(PARTICIPANTS_OFFSET.is_multiple_of(align_of::<Participant>() as u64));

const OWNED: u64 = 1;
const ASYMMETRIC: u64 = 2;

/// What a named semaphore was created as. Kept in private memory by everyone who opens it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Seats.
    pub(crate) participants: u32,
    /// Whether permits can be owned.
    pub(crate) owned: bool,
    /// Whether a participant may have it to itself.
    pub(crate) asymmetric: bool,
}

/// The words of the header: magic, version, participants, flags, length.
pub(crate) const HEADER_WORDS: usize = 5;

impl Geometry {
    /// Bytes of the segment.
    pub(crate) fn total_len(self) -> u64 {
        let participants_len = u64::from(self.participants) * size_of::<Participant>() as u64;
        (PARTICIPANTS_OFFSET + participants_len).next_multiple_of(page_len())
    }

    fn to_words(self) -> [u64; HEADER_WORDS] {
        let flags = (u64::from(self.owned) * OWNED) | (u64::from(self.asymmetric) * ASYMMETRIC);
        [
            MAGIC,
            VERSION,
            u64::from(self.participants),
            flags,
            self.total_len(),
        ]
    }

    /// The first bytes of a segment with so many permits: the header, and the state.
    pub(crate) fn to_bytes(self, permits: u32) -> Vec<u8> {
        let mut bytes = vec![0; WORDS_OFFSET as usize];
        for (bytes, word) in bytes.chunks_exact_mut(8).zip(self.to_words()) {
            bytes.copy_from_slice(&word.to_ne_bytes());
        }
        bytes.extend(State::shared(permits).0.to_ne_bytes());
        bytes
    }

    /// Checks every field of a header against what this build would have written, and the file's true length.
    pub(crate) fn validate(
        words: [u64; HEADER_WORDS],
        name: &Name,
        file_len: u64,
    ) -> Result<Self, Error> {
        let name = name.to_string();
        let [_, version, participants, flags, total_len] = words;
        if version != VERSION {
            return Err(Error::WrongVersion {
                name,
                found: version,
                supported: VERSION,
            });
        }
        if participants == 0 || participants > u64::from(PARTICIPANTS_MAX) {
            return Err(Error::Corrupt {
                name,
                field: "header.participants",
                found: participants,
            });
        }
        let geometry = Self {
            participants: participants as u32,
            owned: flags & OWNED != 0,
            asymmetric: flags & ASYMMETRIC != 0,
        };
        let [_, _, _, expected_flags, expected_len] = geometry.to_words();
        for (field, found, expected) in [
            ("header.flags", flags, expected_flags),
            ("header.total_len", total_len, expected_len),
        ] {
            if found != expected {
                return Err(Error::Corrupt { name, field, found });
            }
        }
        if file_len < total_len {
            return Err(Error::Truncated {
                name,
                found: file_len,
                expected: total_len,
            });
        }
        Ok(geometry)
    }
}
