//! How many processes send and receive over one link, and who of them is who.

use std::fmt;

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::Side;

/// The most processes on one side of a link.
pub const SIDE_MAX: u32 = 32;

/// The processes at one link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fan {
    /// Processes that send.
    pub producers: u32,
    /// Processes that receive.
    pub consumers: u32,
}

impl Default for Fan {
    fn default() -> Self {
        Self::PAIR
    }
}

impl Fan {
    /// One that sends and one that receives.
    pub const PAIR: Self = Self {
        producers: 1,
        consumers: 1,
    };

    /// Whether there is one on each side.
    pub fn is_pair(self) -> bool {
        self == Self::PAIR
    }

    /// How many processes there are on both sides together.
    pub fn processes(self) -> usize {
        (self.producers + self.consumers) as usize
    }

    /// All places: those who send first.
    pub fn seats(self) -> impl Iterator<Item = Seat> {
        let of = |side, count| (0..count).map(move |rank| Seat { side, rank });
        of(Side::Left, self.producers).chain(of(Side::Right, self.consumers))
    }

    /// The place of a seat among all of them.
    pub fn index_of(self, seat: Seat) -> usize {
        let before = match seat.side {
            Side::Left => 0,
            Side::Right => self.producers,
        };
        (before + seat.rank) as usize
    }

    /// How many of the messages of a run a producer sends: as equal as can be.
    pub fn share(self, messages: u64, rank: u32) -> u64 {
        let producers = u64::from(self.producers);
        messages / producers + u64::from(u64::from(rank) < messages % producers)
    }
}

/// One of the measured processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// Which side it is on.
    pub side: Side,
    /// Which of those of its side it is, from 0.
    pub rank: u32,
}

impl Seat {
    /// Whether it decides how long the next run is.
    pub fn leads(self) -> bool {
        self == Self::from(Side::Left)
    }
}

/// The only one of its side, or the first.
impl From<Side> for Seat {
    fn from(side: Side) -> Self {
        Self { side, rank: 0 }
    }
}

/// One more process at a link, that is stopped in the middle of a message while the others are measured.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Stopped {
    /// It sends: it has claimed the place of a message and not committed it.
    Producer,
    /// It receives: it has taken a message and not released it.
    Consumer,
}

impl Stopped {
    /// The name of a row with one, or without.
    pub fn named(name: String, stopped: Option<Self>) -> String {
        match stopped {
            None => name,
            Some(who) => format!("{name} +stopped {who}"),
        }
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_are_as_equal_as_can_be_and_make_up_the_whole() {
        let fan = Fan {
            producers: 3,
            consumers: 2,
        };
        for messages in [0, 1, 2, 3, 100, 1_000_001] {
            let shares: Vec<u64> = (0..3).map(|rank| fan.share(messages, rank)).collect();
            assert_eq!(shares.iter().sum::<u64>(), messages);
            assert!(shares[0] - shares[2] <= 1, "{shares:?}");
        }
        assert_eq!(Fan::PAIR.share(7, 0), 7);
    }

    #[test]
    fn every_seat_has_a_place_of_its_own_and_one_leads() {
        let fan = Fan {
            producers: 2,
            consumers: 3,
        };
        let places: Vec<usize> = fan.seats().map(|seat| fan.index_of(seat)).collect();
        assert_eq!(places, [0, 1, 2, 3, 4]);
        assert_eq!(fan.seats().filter(|seat| seat.leads()).count(), 1);
        assert_eq!(fan.processes(), 5);
    }
}
