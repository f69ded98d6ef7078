//! What is said between a measured process and a program of the user's: one JSON object a line, question and answer in turn.
//!
//! `docs/external-contender.md` describes it for those who write such programs. Whatever the program says is checked here
//! before anything is made of it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// No line of a program is longer: room for the times of [`ROUND_TRIPS_MAX`] round trips of twenty digits each.
pub const LINE_LEN_MAX: usize = 8 << 20;

/// So many round trips are ordered at once, at most.
pub const ROUND_TRIPS_MAX: u64 = 200_000;

/// So many lengths are in an order, at most; messages beyond begin with the first one again.
pub const LENS_MAX: usize = 1_000;

/// What a program says in its own words is cut here.
const WORDS_LEN_MAX: usize = 200;

/// What lies between an order and its answer may be longer than what the program says that it took: by as much again, by the time for which others
/// had the core, and by this.
const UNACCOUNTED_NS_MAX: u64 = 50_000_000;

/// Where the first exchanges aren't timed, they wait until the other side has its order too: it may be late where the machine is busy.
const OTHER_SIDE_NS_MAX: u64 = 500_000_000;

/// What a program is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Send the messages.
    Send,
    /// Receive and verify them.
    Receive,
    /// Send one, await the reply, and so on.
    Initiate,
    /// Receive one, send it back, and so on.
    Answer,
    /// Send each message when it is due.
    SendAt,
    /// Receive them, and tell when each one was there.
    ReceiveAt,
}

impl Verb {
    /// As it is written in an order.
    pub fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Receive => "receive",
            Self::Initiate => "initiate",
            Self::Answer => "answer",
            Self::SendAt => "send_at",
            Self::ReceiveAt => "receive_at",
        }
    }

    /// Whether messages come in.
    pub fn receives(self) -> bool {
        !matches!(self, Self::Send | Self::SendAt)
    }
}

/// A line that tells a program what to do.
#[derive(Debug, Clone, Serialize)]
pub struct Order {
    /// What.
    pub order: Verb,
    /// The number of the first message.
    pub first: u64,
    /// How many.
    pub messages: u64,
    /// So many of them, the first ones, are not timed.
    pub warm_up: u64,
    /// Message `first + i` has `lens[i % lens.len()]` bytes; nothing of records.
    pub lens: Vec<usize>,
    /// Message `first + i` is record `start + i`, counted around and around.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<u64>,
    /// Multiplications for each message received: see [`work_a_little`](crate::measure::flow::work_a_little).
    pub work_turns: u32,
    /// The file that says when the messages are due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<PathBuf>,
    /// The file for the moments at which they came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub came: Option<PathBuf>,
    /// The file for a checksum of each message that came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crc32s: Option<PathBuf>,
}

/// The last line.
#[derive(Debug, Serialize)]
pub struct Quit {
    /// Always `quit`.
    pub order: &'static str,
}

/// What a program says to an order.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// It did it.
    Done(Done),
    /// It couldn't, for this reason.
    Failed(String),
}

impl Answer {
    /// What was done, if it can be believed.
    ///
    /// # Errors
    /// What is wrong, in one sentence without a subject's name.
    pub fn check(self, order: &Order, between: Between) -> Result<Done, String> {
        let done = match self {
            Self::Done(done) => done,
            Self::Failed(reason) => return Err(format!("it said: {}", in_its_words(&reason))),
        };
        // Where it tells which ones came it may have given up waiting for others.
        let is_short = order.crc32s.is_some() && done.messages < order.messages;
        if done.messages != order.messages && !is_short {
            return Err(format!(
                "it said that it did {} messages, and {} were ordered",
                done.messages, order.messages
            ));
        }
        let other_side_ns = match order.warm_up {
            0 => 0,
            _ => OTHER_SIDE_NS_MAX,
        };
        done.check_times(between, other_side_ns)?;
        if order.order.receives() && done.crc32.is_none() {
            return Err("it gave no crc32 of what it received".to_owned());
        }
        if order.order == Verb::Initiate {
            done.check_round_trips(order.messages - order.warm_up)?;
        }
        Ok(done)
    }
}

/// What the harness knows of the time of an order.
#[derive(Debug, Clone, Copy)]
pub struct Between {
    /// `CLOCK_MONOTONIC` before the order was given.
    pub asked_ns: u64,
    /// The same after the answer was there.
    pub answered_ns: u64,
    /// How long the program and this process could have run meanwhile but another had the core, or the hypervisor.
    pub queued_ns: u64,
    /// How long before the first message was due it was given.
    pub lead_ns: u64,
}

/// What a program says that it did.
#[derive(Debug, Deserialize)]
pub struct Done {
    /// How many messages.
    pub messages: u64,
    /// `CLOCK_MONOTONIC` before the first timed send, or before the first receive.
    pub started_ns: u64,
    /// `CLOCK_MONOTONIC` after the last one.
    pub finished_ns: u64,
    /// CRC-32 over all bytes of all messages received, in order.
    pub crc32: Option<u32>,
    /// Each round trip that was timed.
    #[serde(default)]
    round_trips_ns: Vec<u64>,
    /// The same as pairs of a time and how often it was seen.
    #[serde(default)]
    histogram: Vec<(u64, u64)>,
}

impl Done {
    /// The times of the round trips, each with how often it was seen.
    pub fn round_trips(&self) -> impl Iterator<Item = (u64, u64)> {
        let single = self.round_trips_ns.iter().map(|&time_ns| (time_ns, 1));
        single.chain(self.histogram.iter().copied())
    }

    fn check_times(&self, between: Between, other_side_ns: u64) -> Result<(), String> {
        let Between {
            asked_ns,
            answered_ns,
            queued_ns,
            lead_ns,
        } = between;
        let (started_ns, finished_ns) = (self.started_ns, self.finished_ns);
        if started_ns < asked_ns || finished_ns < started_ns || answered_ns < finished_ns {
            return Err(format!(
                "it said that it began at {started_ns} ns and ended at {finished_ns} ns, and the order was given at {asked_ns} ns and answered \
                 at {answered_ns} ns of CLOCK_MONOTONIC"
            ));
        }
        let took_ns = finished_ns - started_ns;
        let unaccounted_ns = answered_ns - asked_ns - took_ns;
        let allowed_ns = queued_ns + lead_ns + other_side_ns + UNACCOUNTED_NS_MAX;
        if unaccounted_ns > took_ns.saturating_add(allowed_ns) {
            return Err(format!(
                "it said that it took {took_ns} ns, and {unaccounted_ns} ns more went by between the order and its answer"
            ));
        }
        Ok(())
    }

    fn check_round_trips(&self, timed: u64) -> Result<(), String> {
        let mut samples = 0u64;
        let mut sum_ns = 0u64;
        for (time_ns, count) in self.round_trips() {
            samples = samples.saturating_add(count);
            sum_ns = sum_ns.saturating_add(time_ns.saturating_mul(count));
        }
        if samples != timed {
            return Err(format!(
                "it gave the times of {samples} round trips, and {timed} were to be timed"
            ));
        }
        let took_ns = self.finished_ns - self.started_ns;
        if sum_ns > took_ns {
            return Err(format!(
                "its round trips last {sum_ns} ns together, and it said that it took {took_ns} ns"
            ));
        }
        Ok(())
    }
}

/// What a program says in its own words: on one line, and not too long.
pub fn in_its_words(text: &str) -> String {
    let one_line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let line: String = one_line
        .skip_while(|c| c.is_whitespace())
        .take(WORDS_LEN_MAX + 1)
        .collect();
    match line.char_indices().nth(WORDS_LEN_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: Order = Order {
        order: Verb::Initiate,
        first: 1,
        messages: 5,
        warm_up: 2,
        lens: Vec::new(),
        start: None,
        work_turns: 0,
        due: None,
        came: None,
        crc32s: None,
    };

    fn between(answered_ns: u64) -> Between {
        Between {
            asked_ns: 1_000,
            answered_ns,
            queued_ns: 1_000_000,
            lead_ns: 0,
        }
    }

    fn check(answer: &str) -> Result<Done, String> {
        let answer: Answer = serde_json::from_str(answer).map_err(|error| error.to_string())?;
        answer.check(&ORDER, between(2_000))
    }

    #[test]
    fn an_honest_answer_is_taken() {
        let done = r#"{"done":{"messages":5,"started_ns":1100,"finished_ns":1900,"crc32":7,"#;
        for times in [
            r#""round_trips_ns":[200,300,200]}}"#,
            r#""histogram":[[200,2],[300,1]]}}"#,
            r#""round_trips_ns":[200],"histogram":[[200,1],[300,1]],"more":"is fine"}}"#,
        ] {
            let done = check(&format!("{done}{times}")).unwrap();
            let sum: u64 = done.round_trips().map(|(time, count)| time * count).sum();
            assert_eq!(sum, 700, "{times}");
        }
    }

    #[test]
    fn what_can_not_be_true_is_refused_with_both_numbers() {
        for (answer, parts) in [
            (
                r#"{"done":{"messages":4,"started_ns":1100,"finished_ns":1900,"crc32":7}}"#,
                ["4 messages", "5 were ordered"],
            ),
            (
                r#"{"done":{"messages":5,"started_ns":999,"finished_ns":1900,"crc32":7}}"#,
                ["999 ns", "1000 ns"],
            ),
            (
                r#"{"done":{"messages":5,"started_ns":1100,"finished_ns":2001,"crc32":7}}"#,
                ["2001 ns", "2000 ns"],
            ),
            (
                r#"{"done":{"messages":5,"started_ns":1100,"finished_ns":1900}}"#,
                ["no", "crc32"],
            ),
            (
                r#"{"done":{"messages":5,"started_ns":1100,"finished_ns":1900,"crc32":7,"round_trips_ns":[1,2]}}"#,
                ["2 round trips", "3 were"],
            ),
            (
                r#"{"done":{"messages":5,"started_ns":1100,"finished_ns":1900,"crc32":7,"histogram":[[18446744073709551615,3]]}}"#,
                ["18446744073709551615 ns", "800 ns"],
            ),
            (r#"{"failed":"no\nluck"}"#, ["it said", "no luck"]),
        ] {
            let problem = check(answer).unwrap_err();
            for part in parts {
                assert!(problem.contains(part), "{answer}: {problem}");
            }
        }
    }

    #[test]
    fn fewer_messages_are_taken_only_with_a_checksum_of_each() {
        let order = Order {
            order: Verb::Receive,
            crc32s: Some(PathBuf::from("crc32s")),
            ..ORDER
        };
        let check = |messages: u64, order: &Order| {
            let text = format!(
                r#"{{"done":{{"messages":{messages},"started_ns":1100,"finished_ns":1900,"crc32":7}}}}"#
            );
            let answer: Answer = serde_json::from_str(&text).unwrap();
            answer.check(order, between(2_000))
        };
        assert_eq!(check(4, &order).unwrap().messages, 4);
        assert!(check(6, &order).unwrap_err().contains("5 were ordered"));
        let plain = Order {
            crc32s: None,
            ..order
        };
        assert!(check(4, &plain).unwrap_err().contains("5 were ordered"));
    }

    #[test]
    fn a_time_that_is_far_too_short_is_refused() {
        let text = r#"{"done":{"messages":5,"started_ns":1000,"finished_ns":1001,"crc32":7}}"#;
        let check = |verb, warm_up, answered_ns| {
            let answer: Answer = serde_json::from_str(text).unwrap();
            let order = Order {
                order: verb,
                warm_up,
                ..ORDER
            };
            answer.check(&order, between(answered_ns)).map(|_| ())
        };
        // Others had the core for a millisecond.
        assert_eq!(check(Verb::Answer, 0, 50_900_000), Ok(()));
        let problem = check(Verb::Answer, 0, 52_000_000).unwrap_err();
        assert!(problem.contains("took 1 ns"), "{problem}");
        // The other side may be late.
        let problem = check(Verb::Initiate, 2, 550_900_000).unwrap_err();
        assert!(problem.contains("0 round trips"), "{problem}");
        let problem = check(Verb::Initiate, 2, 552_000_000).unwrap_err();
        assert!(problem.contains("took 1 ns"), "{problem}");
    }

    #[test]
    fn an_order_is_called_by_its_name_and_has_no_more_than_it_needs() {
        for order in [
            Verb::Send,
            Verb::Receive,
            Verb::Initiate,
            Verb::Answer,
            Verb::SendAt,
            Verb::ReceiveAt,
        ] {
            let line = serde_json::to_string(&Order { order, ..ORDER }).unwrap();
            let name = order.name();
            let expected = format!(
                r#"{{"order":"{name}","first":1,"messages":5,"warm_up":2,"lens":[],"work_turns":0}}"#
            );
            assert_eq!(line, expected);
        }
    }

    #[test]
    fn words_are_cut_and_stay_on_one_line() {
        assert_eq!(in_its_words(" a\nb\u{1b} "), "a b");
        assert_eq!(
            in_its_words(&"é".repeat(300)).chars().count(),
            WORDS_LEN_MAX + 1
        );
    }
}
