//! Hand over hand: a link made of permits that whoever took them must give back.
//!
//! A permit with an owner (`SEM_UNDO`, our owned permits) can't be handed to the other side like a message: it would have to come back the
//! same way. So a link is three stations in a circle with one permit each. Either side holds one, and never lets go of it
//! before it holds the next:
//!
//! ```text
//! the sender's k-th message       takes k + 1, gives k      (k + 1 was left by the receiver after message k - 1)
//! the receiver's k-th message     takes k,     gives k - 1
//! ```
//!
//! With two stations a side would at once take again what it has just given. The link holds one message. When a side ends, what it
//! held comes back, as it should, and the other side then finds every station free: the end of such a link looks like messages.

/// How many stations the circle has.
pub const STATIONS: usize = 3;

/// The permits of a fresh link: the sender holds station 0 and the receiver station 2.
pub const FRESH: [u16; STATIONS] = [0, 1, 0];

/// Messages that the link holds.
pub const CAPACITY: usize = 1;

/// What a side does for one message, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The station that it waits for.
    pub take: usize,
    /// The station that it then lets go.
    pub give: usize,
}

/// Where a side of the link is.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    holds: usize,
}

impl Place {
    /// The sender's first.
    pub const SENDER: Self = Self { holds: 0 };
    /// The receiver's first.
    pub const RECEIVER: Self = Self {
        holds: STATIONS - 1,
    };

    /// What the next message takes.
    #[inline]
    pub fn step(self) -> Step {
        Step {
            take: (self.holds + 1) % STATIONS,
            give: self.holds,
        }
    }

    /// The step was made.
    #[inline]
    pub fn advance(&mut self) {
        self.holds = self.step().take;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes the step if its station is free.
    fn moves(stations: &mut [u16; STATIONS], side: &mut Place) -> bool {
        let Step { take, give } = side.step();
        let is_free = stations[take] == 1;
        if is_free {
            stations[take] = 0;
            stations[give] += 1;
            side.advance();
        }
        is_free
    }

    #[test]
    fn a_message_passes_once_and_the_next_only_after_it() {
        let mut stations = FRESH;
        let (mut sender, mut receiver) = (Place::SENDER, Place::RECEIVER);
        for _ in 0..10 {
            assert!(!moves(&mut stations, &mut receiver));
            assert!(moves(&mut stations, &mut sender));
            assert!(!moves(&mut stations, &mut sender));
            assert!(moves(&mut stations, &mut receiver));
        }
        assert_eq!(stations.iter().sum::<u16>(), 1);
    }
}
