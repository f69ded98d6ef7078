//! The first line that a program hears, and what it says to it.

use serde::{Deserialize, Serialize};

use super::protocol::in_its_words;
use crate::transport::WaitMode;

/// The version of the protocol, which is the value of `hello`.
pub const VERSION: u32 = 1;

/// A program may not say that its link holds more messages.
const CAPACITY_MAX: u64 = 1 << 20;

/// What a program is started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// To say whether it can do this here; it gets no order.
    Check,
    /// To send the stream, and to begin the round trips.
    Left,
    /// To receive the stream, and to answer the round trips.
    Right,
}

/// The first line that a program hears.
#[derive(Debug, Serialize)]
pub struct Hello<'a> {
    /// [`VERSION`].
    pub hello: u32,
    /// What it is started for.
    pub role: Role,
    /// The directory of the link from left to right: private, and empty at first. Its last component is a name that nobody else uses.
    pub forward: &'a str,
    /// The one of the link from right to left, where round trips are made.
    pub back: Option<&'a str>,
    /// The longest message, in bytes.
    pub message_len_max: usize,
    /// How many messages of that length a link should hold.
    pub capacity: usize,
    /// How to wait.
    pub wait: WaitMode,
    /// Whether both sides are on one core, so that who waits for a moment ought to sleep.
    pub shares_core: bool,
    /// The file of records that are sent, if the messages are not made up.
    pub records: Option<&'a str>,
}

/// What it says to that.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Greeting {
    /// It can.
    Ready {
        /// How many messages of the longest length a link holds.
        capacity: u64,
        /// What it can beyond streams and round trips of made-up messages.
        #[serde(default)]
        can: Vec<String>,
    },
    /// It can't, for this reason.
    Unavailable(String),
}

/// What a program can beyond streams and round trips of made-up messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abilities {
    /// Send at given moments, and tell when it received.
    pub paced: bool,
    /// Send records.
    pub records: bool,
    /// Tell a checksum of each message.
    pub crc32s: bool,
}

impl Abilities {
    /// Those that are named; what else it can is of no use here.
    fn named(names: &[String]) -> Self {
        let has = |ability: &str| names.iter().any(|name| name == ability);
        Self {
            paced: has("paced"),
            records: has("records"),
            crc32s: has("crc32s"),
        }
    }
}

/// What a program that takes part has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// How many messages of the longest length a link holds.
    pub capacity: usize,
    /// What else it can.
    pub can: Abilities,
}

impl Greeting {
    /// What it offers, or why it doesn't take part.
    ///
    /// # Errors
    /// The reason, and whether it is the program that has one.
    pub fn check(self) -> Result<Ready, Refusal> {
        match self {
            Self::Ready { capacity, can } if (1..=CAPACITY_MAX).contains(&capacity) => Ok(Ready {
                capacity: capacity as usize,
                can: Abilities::named(&can),
            }),
            Self::Ready { capacity, .. } => Err(Refusal::Wrong(format!(
                "it said that its link holds {capacity} messages, and 1 to {CAPACITY_MAX} are possible"
            ))),
            Self::Unavailable(reason) => Err(Refusal::Unavailable(in_its_words(&reason))),
        }
    }
}

/// Why a program doesn't take part.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It says that it can't.
    Unavailable(String),
    /// It said what it must not say.
    Wrong(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capacity_has_bounds_and_a_reason_is_kept() {
        let check = |text| serde_json::from_str::<Greeting>(text).unwrap().check();
        let capacity = 16;
        let can = Abilities::default();
        let ready = check(r#"{"ready":{"capacity":16}}"#);
        assert_eq!(ready, Ok(Ready { capacity, can }));
        assert!(matches!(
            check(r#"{"ready":{"capacity":0}}"#),
            Err(Refusal::Wrong(_))
        ));
        assert_eq!(
            check(r#"{"unavailable":"no such card"}"#),
            Err(Refusal::Unavailable("no such card".to_owned()))
        );
    }

    #[test]
    fn what_a_program_can_is_taken_by_its_names_and_the_rest_left_aside() {
        let text = r#"{"ready":{"capacity":16,"can":["fly","records","paced"]}}"#;
        let ready = serde_json::from_str::<Greeting>(text).unwrap().check();
        let can = ready.unwrap().can;
        assert!(can.paced && can.records && !can.crc32s);
    }
}
