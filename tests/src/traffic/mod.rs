//! Every way to send and to receive, behind one trait a side, for typed and for byte rings.

mod receive;
mod send;

pub use receive::{Receiver, RecvWay};
pub use send::{SendWay, Sender};

use std::fmt;
use std::time::{Duration, Instant};

use shm_ringbuf::{RecvError, SendError};

use crate::pattern::Mismatch;

/// How a send or a receive ended that did not succeed: the kinds of both sides in one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The ring is full and the caller would not wait.
    Full,
    /// The ring is empty and the caller would not wait.
    Empty,
    /// The time was up.
    TimedOut,
    /// The message is longer than any that fits.
    TooLong,
    /// The message is longer than the buffer.
    BufferTooSmall,
    /// The peer closed.
    Disconnected,
    /// The peer crashed.
    OwnerDied,
    /// The segment holds a value that can't be.
    Corrupt(&'static str, u64),
    /// An error of a kind that these tests don't know.
    Other(String),
    /// What arrived is not what was sent.
    WrongContent(Mismatch),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongContent(mismatch) => write!(f, "WrongContent: {mismatch}"),
            Self::Corrupt(field, found) => write!(f, "Corrupt {field} {found}"),
            other => write!(f, "{other:?}"),
        }
    }
}

impl<T> From<SendError<T>> for Ending {
    fn from(error: SendError<T>) -> Self {
        match error {
            SendError::Full(_) => Self::Full,
            SendError::TimedOut(_) => Self::TimedOut,
            SendError::TooLong { .. } => Self::TooLong,
            SendError::Disconnected(_) => Self::Disconnected,
            SendError::OwnerDied(_) => Self::OwnerDied,
            SendError::Corrupt(corruption) => Self::Corrupt(corruption.field, corruption.found),
            _ => Self::Other("an unknown SendError".to_owned()),
        }
    }
}

impl From<RecvError> for Ending {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Empty => Self::Empty,
            RecvError::TimedOut => Self::TimedOut,
            RecvError::BufferTooSmall { .. } => Self::BufferTooSmall,
            RecvError::Disconnected => Self::Disconnected,
            RecvError::OwnerDied => Self::OwnerDied,
            RecvError::Corrupt(corruption) => Self::Corrupt(corruption.field, corruption.found),
            other => Self::Other(format!("{other:?}")),
        }
    }
}

impl From<Mismatch> for Ending {
    fn from(mismatch: Mismatch) -> Self {
        Self::WrongContent(mismatch)
    }
}

/// Repeats an attempt that does not wait until it is no longer refused, or the time is up.
fn retry<R>(
    patience: Duration,
    mut attempt: impl FnMut() -> Result<R, Ending>,
) -> Result<R, Ending> {
    let end = Instant::now() + patience;
    loop {
        match attempt() {
            Err(Ending::Full | Ending::Empty) if Instant::now() < end => std::thread::yield_now(),
            Err(Ending::Full | Ending::Empty) => return Err(Ending::TimedOut),
            result => return result,
        }
    }
}
