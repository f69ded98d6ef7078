//! What the messages of the windows are: made up, or records over and over again. Both sides know them.

use super::pattern::{Content, Lengths, Pattern, fill};
use super::schedule::{Moments, Pace};
use crate::payload::{RecordContent, Records};

/// The messages of a run, by their numbers.
pub trait Stock {
    /// What they are checked against.
    type Content<'a>: Content
    where
        Self: 'a;

    /// The longest, in bytes.
    fn len_max(&self) -> usize;

    /// A window has a whole multiple of so many messages, so that each is sent as often as any other.
    fn multiple(&self) -> u64;

    /// How long sending the multiple once may well take, in nanoseconds.
    fn expected_ns(&self) -> u64;

    /// Message `sequence` of the run that begins with number `base`; `buffer` has the length of the longest.
    fn message<'a>(&'a self, sequence: u64, base: u64, buffer: &'a mut [u8]) -> &'a [u8];

    /// What the messages of that run are checked against.
    fn content(&self, base: u64) -> Self::Content<'_>;

    /// When the messages of a run are due; nothing if that is left to moments of their own and they have none.
    fn moments(&self, pace: Pace) -> Option<Moments<'_>> {
        pace.moments(None)
    }
}

/// Messages that [`fill`] makes, all of this length in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Made(pub usize);

impl Stock for Made {
    type Content<'a> = Pattern;

    fn len_max(&self) -> usize {
        self.0
    }

    fn multiple(&self) -> u64 {
        1
    }

    fn expected_ns(&self) -> u64 {
        0
    }

    #[inline]
    fn message<'a>(&'a self, sequence: u64, _base: u64, buffer: &'a mut [u8]) -> &'a [u8] {
        fill(buffer, sequence);
        buffer
    }

    fn content(&self, _base: u64) -> Pattern {
        Pattern {
            lengths: Lengths::Fixed(self.0),
        }
    }
}

impl Stock for Records {
    type Content<'a> = RecordContent<'a>;

    fn len_max(&self) -> usize {
        self.profile().len_max
    }

    fn multiple(&self) -> u64 {
        self.profile().records
    }

    fn expected_ns(&self) -> u64 {
        self.profile().expected_ns()
    }

    #[inline]
    fn message<'a>(&'a self, sequence: u64, base: u64, _buffer: &'a mut [u8]) -> &'a [u8] {
        self.at(sequence.wrapping_sub(base))
    }

    fn content(&self, base: u64) -> RecordContent<'_> {
        RecordContent {
            records: self,
            base,
        }
    }

    fn moments(&self, pace: Pace) -> Option<Moments<'_>> {
        pace.moments(self.timetable())
    }
}
