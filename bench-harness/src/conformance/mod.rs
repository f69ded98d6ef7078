//! The questions that every transport has to answer, one's own as well as those of this crate.
//!
//! The two ends of a link live in two threads of this process, with descriptors of their own, so that dropping one end is what the
//! death of its process would be. In what mechanisms may differ, each one declares by its [`Promises`];
//! what it declares is then asked of it.
//!
//! In a test program of one's own:
//!
//! ```
//! use bench_harness::transport::pipe::Pipe;
//!
//! bench_harness::conformance!(Pipe, Stream); // makes one #[test] of each question
//! # fn main() {
//! use bench_harness::conformance::{Question, ask};
//! use bench_harness::transport::Class;
//! ask(&Pipe, Class::Stream, Question::TimesOutWhileEmpty).unwrap();
//! # }
//! ```

mod content;
mod ends;
mod questions;

use std::fmt;

use crate::transport::{Class, Promises, Transport};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Question {
    /// Whether messages of 1, 2, 7, 8, 63, 64, 4096 and 65536 bytes arrive as they were sent, and in order, several times around the link.
    CarriesEverySize,
    /// Whether messages of varying length up to 64 bytes do.
    CarriesShortOnes,
    /// Whether messages of varying length beyond a page do.
    CarriesLongOnes,
    /// Whether messages of up to 150,000 bytes do.
    CarriesVeryLongOnes,
    /// Whether an empty message is one.
    CarriesEmptyOnes,
    /// Whether a link for one message carries many, one after the other.
    CarriesThroughOnePlace,
    /// Whether a link holds what its ticket says.
    HoldsItsCapacity,
    /// Whether a receiver waits until its deadline, no longer and no shorter, and can go on.
    TimesOutWhileEmpty,
    /// Whether a sender does.
    TimesOutWhileFull,
    /// Whether what was sent before the end comes before the end is told.
    TellsTheEndOfTheSender,
    /// Whether a sender is told that nobody receives.
    TellsTheEndOfTheReceiver,
    /// Whether a message over the agreed length is refused with both lengths, and one over a limit of the system with that.
    RefusesWhatIsTooLong,
    /// Whether its names are gone while it is in use, and its identifiers afterwards.
    LeavesNothingBehind,
}

impl Question {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::CarriesEverySize,
        Self::CarriesShortOnes,
        Self::CarriesLongOnes,
        Self::CarriesVeryLongOnes,
        Self::CarriesEmptyOnes,
        Self::CarriesThroughOnePlace,
        Self::HoldsItsCapacity,
        Self::TimesOutWhileEmpty,
        Self::TimesOutWhileFull,
        Self::TellsTheEndOfTheSender,
        Self::TellsTheEndOfTheReceiver,
        Self::RefusesWhatIsTooLong,
        Self::LeavesNothingBehind,
    ];
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CarriesEverySize => "carries messages of every size",
            Self::CarriesShortOnes => "carries short messages of varying length",
            Self::CarriesLongOnes => "carries messages of varying length beyond a page",
            Self::CarriesVeryLongOnes => "carries messages of up to 150,000 bytes",
            Self::CarriesEmptyOnes => "carries empty messages",
            Self::CarriesThroughOnePlace => "carries many messages through a link for one",
            Self::HoldsItsCapacity => "holds what its ticket says",
            Self::TimesOutWhileEmpty => "times out at the deadline while it is empty",
            Self::TimesOutWhileFull => "times out at the deadline while it is full",
            Self::TellsTheEndOfTheSender => "tells the end of the sender after its last message",
            Self::TellsTheEndOfTheReceiver => "tells the end of the receiver",
            Self::RefusesWhatIsTooLong => "refuses what is too long, with its length",
            Self::LeavesNothingBehind => "leaves nothing behind",
        })
    }
}

/// What came of a question that was not answered with no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It does.
    Yes,
    /// Nothing of the kind was promised.
    NotPromised,
    /// No link could be had here, for this reason.
    Unavailable(String),
}

/// A question that a transport does not answer as it has to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What was asked.
    pub question: Question,
    /// What happened instead.
    pub problem: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "asked whether it {}: {}", self.question, self.problem)
    }
}

impl std::error::Error for Failure {}

/// Asks one question. Ends the process when a call blocks two minutes beyond every deadline: nothing else can end it.
///
/// # Errors
/// What happened instead of the right thing.
pub fn ask<T: Transport>(
    transport: &T,
    class: Class,
    question: Question,
) -> Result<Answer, Failure> {
    let promises = transport.promises();
    ask_about(transport, class, promises, question)
}

/// Asks all questions, and gives those for which no link could be had here, with the reason.
///
/// # Errors
/// The first question that was answered wrongly.
pub fn check<T: Transport>(
    transport: &T,
    class: Class,
) -> Result<Vec<(Question, String)>, Failure> {
    let mut unavailable = Vec::new();
    for question in Question::ALL {
        if let Answer::Unavailable(reason) = ask(transport, class, question)? {
            unavailable.push((question, reason));
        }
    }
    Ok(unavailable)
}

fn ask_about<T: Transport>(
    transport: &T,
    class: Class,
    promises: Promises,
    question: Question,
) -> Result<Answer, Failure> {
    let _watchdog = ends::Watchdog::new(question);
    let subject = ends::Subject {
        class,
        promises,
        transport,
    };
    questions::ask(&subject, question).or_else(|stop| match stop {
        ends::Stop::Unavailable(reason) => Ok(Answer::Unavailable(reason)),
        ends::Stop::Wrong(problem) => Err(Failure { question, problem }),
    })
}

/// Makes one `#[test]` of each question about a transport: `conformance!(MyTransport, Message)`. The first argument is an expression of a type that
/// implements [`Transport`](crate::transport::Transport), the second one a variant of [`Class`](crate::transport::Class).
#[macro_export]
macro_rules! conformance {
    ($transport:expr, $class:ident) => {
        $crate::conformance!(
            @ $transport, $class,
            messages_of_every_size_arrive: CarriesEverySize,
            short_messages_arrive: CarriesShortOnes,
            long_messages_arrive: CarriesLongOnes,
            very_long_messages_arrive: CarriesVeryLongOnes,
            empty_messages_are_messages: CarriesEmptyOnes,
            a_link_for_one_message_carries_many: CarriesThroughOnePlace,
            a_link_holds_what_its_ticket_says: HoldsItsCapacity,
            an_empty_link_times_out_at_the_deadline: TimesOutWhileEmpty,
            a_full_link_times_out_at_the_deadline: TimesOutWhileFull,
            the_end_of_the_sender_is_told_after_its_last_message: TellsTheEndOfTheSender,
            the_end_of_the_receiver_is_told: TellsTheEndOfTheReceiver,
            what_is_too_long_is_refused: RefusesWhatIsTooLong,
            nothing_is_left_behind: LeavesNothingBehind,
        );
    };
    (@ $transport:expr, $class:ident, $($test:ident: $question:ident,)*) => {
        $(
            #[test]
            fn $test() {
                let question = $crate::conformance::Question::$question;
                let class = $crate::transport::Class::$class;
                match $crate::conformance::ask(&$transport, class, question) {
                    Ok($crate::conformance::Answer::Unavailable(reason)) => {
                        eprintln!("NOT TESTED whether it {question}: {reason}");
                    }
                    Ok(_) => {}
                    Err(failure) => panic!("{failure}"),
                }
            }
        )*
    };
}

#[cfg(test)]
mod planted;
#[cfg(test)]
mod tests;
