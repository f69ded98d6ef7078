//! In what mechanisms differ, as each one declares it: [`conformance`](mod@crate::conformance) asks no more and no less.

/// Whether one side learns that the other one is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Always: the receiver by `UnexpectedEof` after the last message, the sender by `BrokenPipe`.
    Always,
    /// Perhaps: it may as well wait until its deadline.
    Maybe,
    /// Never: it waits until its deadline.
    Never,
    /// The end looks like one more message: what the other side held has come back.
    AsMessages,
}

/// How many messages a link holds, compared with what its ticket says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Exactly so many of the longest length.
    Exactly,
    /// At least half of them.
    AboutHalf,
    /// More than anybody would send: it counts.
    Countless,
}

/// Which messages it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carries {
    /// Of any length up to the longest that was agreed; an empty one is a message, too.
    AnyLength,
    /// Of this one length, in bytes, and no other.
    Only(usize),
}

/// What a mechanism promises. The default promises as little as a transport may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promises {
    /// Whether a receiver learns that its sender is gone.
    pub end_of_sender: Told,
    /// Whether a sender learns that its receiver is gone.
    pub end_of_receiver: Told,
    /// What a full link is.
    pub holds: Holds,
    /// Which messages it carries.
    pub carries: Carries,
    /// Whether a message can be too long for it: one of 8 GiB is then `Unavailable`, with a sentence that has the length.
    pub limits_length: bool,
    /// The tables of System V (`msg`, `sem`, `shm`) in which the numbers in a ticket's text are identifiers.
    pub system_v: &'static [&'static str],
    /// Whether a folder is needed as long as the link is there, whose path is the ticket's text; it is gone when the link is.
    pub keeps_a_folder: bool,
}

impl Promises {
    /// The least: what [`Default`] gives, for constants.
    pub const LEAST: Self = Self {
        end_of_sender: Told::Maybe,
        end_of_receiver: Told::Maybe,
        holds: Holds::AboutHalf,
        carries: Carries::AnyLength,
        limits_length: false,
        system_v: &[],
        keeps_a_folder: false,
    };

    /// Bytes through descriptors of two different ends, framed here: both sides learn of the other one's end.
    pub const STREAM: Self = Self {
        end_of_sender: Told::Always,
        end_of_receiver: Told::Always,
        holds: Holds::Exactly,
        limits_length: true,
        ..Self::LEAST
    };

    /// Memory or a queue that both sides share and that doesn't know them.
    pub const SHARED: Self = Self {
        end_of_sender: Told::Never,
        end_of_receiver: Told::Never,
        holds: Holds::Exactly,
        ..Self::LEAST
    };

    /// Something that counts and knows nobody.
    pub const COUNTER: Self = Self {
        holds: Holds::Countless,
        ..Self::SHARED
    };
}

impl Default for Promises {
    fn default() -> Self {
        Self::LEAST
    }
}
