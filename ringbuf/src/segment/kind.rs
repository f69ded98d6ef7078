//! The forms of ring, as a header names them.

/// The forms of ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Fixed slots, for one producer and one consumer.
    SpscSlots,
    /// Records of variable length, for one producer and one consumer.
    SpscRecords,
    /// Cells that carry one message each, for many.
    MultiSlots,
    /// Cells that messages of any length share, for many.
    MultiRecords,
}

impl Kind {
    pub(super) fn code(self) -> u64 {
        match self {
            Self::SpscSlots => 1,
            Self::SpscRecords => 2,
            Self::MultiSlots => 3,
            Self::MultiRecords => 4,
        }
    }

    /// Whether it is a ring for many.
    pub fn is_multi(self) -> bool {
        matches!(self, Self::MultiSlots | Self::MultiRecords)
    }

    /// Whether its messages are bytes.
    pub fn is_bytes(self) -> bool {
        matches!(self, Self::SpscRecords | Self::MultiRecords)
    }

    /// As people call it.
    pub fn describe(code: u64) -> &'static str {
        match code {
            1 => "an SPSC ring of typed messages",
            2 => "an SPSC ring of byte messages",
            3 => "a ring for many of typed messages",
            4 => "a ring for many of byte messages",
            _ => "a ring of a kind that this version does not know",
        }
    }
}
