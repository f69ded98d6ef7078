//! The strategies of waiting.

/// How an endpoint waits for the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Wait {
    /// Burns its core until the other side moves: the lowest latency. Every 50 µs without success it lets others have the processor for a
    /// moment (one system call), and all the time if the other side waited on the same one lately, since nothing could move otherwise. A ring created with this strategy has no wakeups at all, so
    /// nobody pays for them.
    Spin,
    /// Spins for as long as that has paid off lately, 50 µs at most, then sleeps. The default.
    #[default]
    SpinThenPark,
    /// Sleeps at once.
    Park,
}

#[cfg(not(loom))]
impl Wait {
    /// As the segment records it.
    pub(crate) fn code(self) -> u64 {
        match self {
            Self::Spin => 1,
            Self::SpinThenPark => 2,
            Self::Park => 3,
        }
    }

    /// The reverse.
    pub(crate) fn from_code(code: u64) -> Option<Self> {
        [Self::Spin, Self::SpinThenPark, Self::Park]
            .into_iter()
            .find(|wait| wait.code() == code)
    }
}
