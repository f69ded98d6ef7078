//! The message types and the ways of waiting that the tests go through, as arguments of a process.

use clap::ValueEnum;
use shm_ringbuf::{Config, Error, Message, Multi, Wait};

/// The message types that the tests use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// `u64`: the smallest with a number of its own.
    Word,
    /// `[u64; 8]`: as large as a cache line, so its slot is larger.
    Line,
    /// `[u8; 13]`: odd in size, aligned to nothing.
    Odd,
    /// `[u8]`: of variable length.
    Bytes,
}

/// The ways of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WaitWay {
    /// `Wait::Spin`.
    Spin,
    /// `Wait::SpinThenPark`.
    SpinPark,
    /// `Wait::Park`.
    Park,
}

impl From<WaitWay> for Wait {
    fn from(way: WaitWay) -> Self {
        match way {
            WaitWay::Spin => Self::Spin,
            WaitWay::SpinPark => Self::SpinThenPark,
            WaitWay::Park => Self::Park,
        }
    }
}

/// Calls a generic function for the message type of a [`Form`].
#[macro_export]
macro_rules! with_form {
    ($form:expr, $function:ident($($argument:expr),*)) => {
        match $form {
            $crate::forms::Form::Word => $function::<u64>($($argument),*),
            $crate::forms::Form::Line => $function::<[u64; 8]>($($argument),*),
            $crate::forms::Form::Odd => $function::<[u8; 13]>($($argument),*),
            $crate::forms::Form::Bytes => $function::<[u8]>($($argument),*),
        }
    };
}

impl Form {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Word, Self::Line, Self::Odd, Self::Bytes];

    /// As an argument of the helper binary.
    pub fn argument(self) -> &'static str {
        match self {
            Self::Word => "word",
            Self::Line => "line",
            Self::Odd => "odd",
            Self::Bytes => "bytes",
        }
    }

    /// Creates a ring of this form and lets go of it: its name keeps it. Says how long a message
    /// may be.
    ///
    /// # Errors
    /// What the library said.
    pub fn create(self, config: &Config, name: &str) -> Result<usize, Error> {
        with_form!(self, create(config, name))
    }

    /// The same for a ring of several producers and consumers.
    ///
    /// # Errors
    /// What the library said.
    pub fn create_multi(self, config: &Config<Multi>, name: &str) -> Result<usize, Error> {
        with_form!(self, create_multi(config, name))
    }
}

fn create_multi<M: Message + ?Sized>(config: &Config<Multi>, name: &str) -> Result<usize, Error> {
    Ok(config.create::<M>(name)?.max_message_len())
}

fn create<M: Message + ?Sized>(config: &Config, name: &str) -> Result<usize, Error> {
    Ok(config.create::<M>(name)?.max_message_len())
}

impl WaitWay {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Spin, Self::SpinPark, Self::Park];

    /// As an argument of the helper binary.
    pub fn argument(self) -> &'static str {
        match self {
            Self::Spin => "spin",
            Self::SpinPark => "spin-park",
            Self::Park => "park",
        }
    }
}
