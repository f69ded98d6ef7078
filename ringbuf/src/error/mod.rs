//! What can go wrong, and what to do about it.

use std::fmt;

#[cfg(not(loom))]
mod setup;

#[cfg(not(loom))]
pub use setup::Error;

/// A word in the segment that no correct peer could have written. The endpoint that found it stays in this state: nothing
/// that it would read or write from here on can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corruption {
    /// Which word, by its name in the layout.
    pub field: &'static str,
    /// What it held.
    pub found: u64,
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, found } = self;
        write!(
            f,
            "the segment is corrupt: {field} holds {found:#x}, which no correct peer writes; \
             unlink the ring and create it anew"
        )
    }
}

impl std::error::Error for Corruption {}

/// Why a message was not sent. A typed message comes back where it was not used up.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError<T = ()> {
    /// There is no room now (only from the `try_` forms).
    Full(T),
    /// There was no room until the deadline.
    TimedOut(T),
    /// The message, or the batch that was to be sent as a whole, will never fit.
    TooLong {
        /// Bytes of the message; messages of a typed batch.
        len: usize,
        /// The most that fits.
        max: usize,
    },
    /// The consumer closed its endpoint. A new consumer ends this state.
    Disconnected(T),
    /// The consumer's process died and the ring is full; the messages in it are kept for a successor, who ends this state.
    OwnerDied(T),
    /// The segment is corrupt.
    Corrupt(Corruption),
}

impl<T> SendError<T> {
    /// The same error with another value in it.
    #[cfg(not(loom))]
    pub(crate) fn map<U>(self, convert: impl FnOnce(T) -> U) -> SendError<U> {
        match self {
            Self::Full(value) => SendError::Full(convert(value)),
            Self::TimedOut(value) => SendError::TimedOut(convert(value)),
            Self::TooLong { len, max } => SendError::TooLong { len, max },
            Self::Disconnected(value) => SendError::Disconnected(convert(value)),
            Self::OwnerDied(value) => SendError::OwnerDied(convert(value)),
            Self::Corrupt(corruption) => SendError::Corrupt(corruption),
        }
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("the ring is full; try again when the consumer has released"),
            Self::TimedOut(_) => f.write_str("the ring stayed full until the deadline"),
            Self::TooLong { len, max } => write!(
                f,
                "a length of {len} does not fit, at most {max} does; split it or create a larger ring"
            ),
            Self::Disconnected(_) => {
                f.write_str("the consumer closed the ring; stop sending or wait for a new consumer")
            }
            Self::OwnerDied(_) => f.write_str(
                "the consumer's process died and the ring is full; start a new consumer, which gets what is there",
            ),
            Self::Corrupt(corruption) => corruption.fmt(f),
        }
    }
}

/// Leaves the message out, so that any message can be in an error.
impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("Full(..)"),
            Self::TimedOut(_) => f.write_str("TimedOut(..)"),
            Self::TooLong { len, max } => f
                .debug_struct("TooLong")
                .field("len", len)
                .field("max", max)
                .finish(),
            Self::Disconnected(_) => f.write_str("Disconnected(..)"),
            Self::OwnerDied(_) => f.write_str("OwnerDied(..)"),
            Self::Corrupt(corruption) => f.debug_tuple("Corrupt").field(corruption).finish(),
        }
    }
}

impl<T> std::error::Error for SendError<T> {}

impl<T> From<Corruption> for SendError<T> {
    fn from(corruption: Corruption) -> Self {
        Self::Corrupt(corruption)
    }
}

/// Why no message was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvError {
    /// There is none now (only from the `try_` forms).
    Empty,
    /// There was none until the deadline.
    TimedOut,
    /// The message is longer than the buffer; it stays in the ring.
    BufferTooSmall {
        /// Bytes of the message.
        len: usize,
        /// Bytes of the buffer.
        buffer_len: usize,
    },
    /// The producer closed its endpoint, and everything that it had sent was received. A new producer ends this state.
    Disconnected,
    /// The producer's process died, and everything that it had committed was received. A new producer ends this state.
    OwnerDied,
    /// The segment is corrupt.
    Corrupt(Corruption),
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the ring is empty; try again when the producer has sent"),
            Self::TimedOut => f.write_str("no message came until the deadline"),
            Self::BufferTooSmall { len, buffer_len } => write!(
                f,
                "the message has {len} bytes and the buffer {buffer_len}; it stays in the ring for a larger one"
            ),
            Self::Disconnected => {
                f.write_str("the producer closed the ring and everything it sent was received")
            }
            Self::OwnerDied => f.write_str(
                "the producer's process died and everything it had committed was received; start a new one",
            ),
            Self::Corrupt(corruption) => corruption.fmt(f),
        }
    }
}

impl std::error::Error for RecvError {}

impl From<Corruption> for RecvError {
    fn from(corruption: Corruption) -> Self {
        Self::Corrupt(corruption)
    }
}
