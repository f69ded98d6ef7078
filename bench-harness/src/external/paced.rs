//! Messages at given moments: which runs lead to the window, and what of the moments that a program tells can be believed.

use super::protocol::Done;
use crate::measure::schedule::Moments;
use crate::shared::RunOrder;

/// No window has more messages: each of them takes 8 bytes in two files.
pub const MESSAGES_MAX: u64 = 1 << 24;

/// From the order until the first message is due: time enough to read the order, and for each message to write its moment and to read it.
pub fn lead_ns(messages: u64) -> u64 {
    const LEAD_NS: u64 = 20_000_000;
    const EACH_NS: u64 = 300;
    LEAD_NS + EACH_NS * messages
}

/// The runs that lead to a window. An order can't be ended early, so they grow until it is known whether the program keeps the rate.
#[derive(Debug)]
pub struct Ramp<'a> {
    /// How many messages are due in the window.
    pub messages: u64,
    /// When.
    pub moments: &'a Moments<'a>,
    /// Whether the last run was far too slow.
    pub is_suspect: bool,
}

impl Ramp<'_> {
    /// The next one, given how many messages the last one had and how long it took.
    pub fn next(&mut self, last: Option<(u64, u64)>) -> RunOrder {
        const FIRST: u64 = 16;
        const GROWTH: u64 = 8;
        // As long as a transport may take that doesn't keep the rate.
        const TOO_LATE_NS: u64 = 500_000_000;
        // What ends a little later still ends in time.
        const FAR_TOO_LATE_NS: u64 = 2 * TOO_LATE_NS;
        let window = |messages| RunOrder {
            messages,
            is_final: true,
        };
        let trial = |messages| RunOrder {
            messages,
            is_final: false,
        };
        let Some((messages, elapsed_ns)) = last else {
            return trial((self.messages / 8).clamp(1, FIRST));
        };
        let fitting = |limit_ns: u64| {
            let limit_ns = limit_ns + 4 * self.moments.expected_ns(self.messages);
            let fitting =
                u128::from(limit_ns) * u128::from(messages) / u128::from(elapsed_ns.max(1));
            u64::try_from(fitting).unwrap_or(u64::MAX).max(1)
        };
        if fitting(FAR_TOO_LATE_NS) < self.messages {
            // Somebody else may just have had the core: that is seen by the same once more.
            if self.is_suspect {
                return window(fitting(TOO_LATE_NS));
            }
            self.is_suspect = true;
            return trial(messages);
        }
        self.is_suspect = false;
        let more = messages * GROWTH;
        if more > self.messages / 4 {
            window(self.messages)
        } else {
            trial(more)
        }
    }
}

/// Whether nothing was sent before it was due.
///
/// # Errors
/// What can't be true, in one sentence.
pub fn check_sent(done: &Done, first_due_ns: u64, last_due_ns: u64) -> Result<(), String> {
    let told = [
        ("first", "began", done.started_ns, first_due_ns),
        ("last", "ended", done.finished_ns, last_due_ns),
    ];
    match told.iter().find(|(_, _, at_ns, due_ns)| at_ns < due_ns) {
        None => Ok(()),
        Some((which, what, at_ns, due_ns)) => Err(format!(
            "it said that it {what} at {at_ns} ns, before the {which} message was due at {due_ns} ns of CLOCK_MONOTONIC"
        )),
    }
}

/// Whether messages can have come at these moments, given when they were due.
///
/// # Errors
/// What can't be true, in one sentence.
pub fn check_came(
    done: &Done,
    came: &[u64],
    due_ns: impl Iterator<Item = u64>,
) -> Result<(), String> {
    let mut before_ns = done.started_ns;
    for ((index, &at_ns), due_ns) in came.iter().enumerate().zip(due_ns) {
        let number = index + 1;
        if at_ns < due_ns {
            return Err(format!(
                "it said that message {number} came at {at_ns} ns, before it was due at {due_ns} ns of CLOCK_MONOTONIC"
            ));
        }
        if at_ns < before_ns {
            let before = match index {
                0 => "the beginning".to_owned(),
                _ => format!("message {index}"),
            };
            return Err(format!(
                "it said that message {number} came at {at_ns} ns, before {before} at {before_ns} ns"
            ));
        }
        before_ns = at_ns;
    }
    if before_ns > done.finished_ns {
        return Err(format!(
            "it said that the last message came at {before_ns} ns, after the end at {} ns",
            done.finished_ns
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::schedule::{Arrivals, Pace};

    /// The runs of a program that takes so long for each message, at a rate of a million messages a second.
    fn runs(messages: u64, ns_each: u64) -> Vec<(u64, bool)> {
        let pace = Pace {
            rate_per_second: 1_000_000,
            arrivals: Arrivals::Constant,
            seed: 1,
        };
        let moments = pace.moments(None).unwrap();
        let mut ramp = Ramp {
            messages,
            moments: &moments,
            is_suspect: false,
        };
        let mut runs: Vec<(u64, bool)> = Vec::new();
        let mut last = None;
        while runs.last().is_none_or(|&(_, is_final)| !is_final) {
            let order = ramp.next(last);
            last = Some((order.messages, order.messages * ns_each));
            runs.push((order.messages, order.is_final));
            assert!(runs.len() < 10);
        }
        runs
    }

    #[test]
    fn who_keeps_the_rate_has_all_messages() {
        assert_eq!(runs(1, 1_000), [(1, false), (1, true)]);
        assert_eq!(runs(25, 1_000), [(3, false), (25, true)]);
        assert_eq!(
            runs(2_000, 1_000),
            [(16, false), (128, false), (2_000, true)]
        );
        assert_eq!(runs(1_000_000, 1_000).last(), Some(&(1_000_000, true)));
    }

    #[test]
    fn who_is_far_too_slow_twice_has_as_many_as_fit_in_time() {
        // 200 ms at that rate; 1.3 s are too late, and these are 1,300 messages that take a millisecond each.
        assert_eq!(
            runs(200_000, 1_000_000),
            [(16, false), (16, false), (1_300, true)]
        );
        // A single one takes longer than that.
        assert_eq!(
            runs(200_000, 2_000_000_000),
            [(16, false), (16, false), (1, true)]
        );
    }

    #[test]
    fn who_was_too_slow_once_goes_on() {
        let pace = Pace {
            rate_per_second: 1_000_000,
            arrivals: Arrivals::Constant,
            seed: 1,
        };
        let moments = pace.moments(None).unwrap();
        let mut ramp = Ramp {
            messages: 200_000,
            moments: &moments,
            is_suspect: false,
        };
        let order = ramp.next(Some((16, 900_000_000)));
        assert_eq!((order.messages, order.is_final), (16, false));
        let order = ramp.next(Some((16, 16_000)));
        assert_eq!((order.messages, order.is_final), (128, false));
        assert!(!ramp.is_suspect);
    }

    #[test]
    fn who_is_a_little_too_slow_has_all_the_same() {
        assert_eq!(runs(200_000, 2_000).last(), Some(&(200_000, true)));
    }

    fn done(started_ns: u64, finished_ns: u64) -> Done {
        let text =
            format!(r#"{{"messages":3,"started_ns":{started_ns},"finished_ns":{finished_ns}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn nobody_sends_before_it_is_time() {
        assert_eq!(check_sent(&done(10, 30), 10, 30), Ok(()));
        let problem = check_sent(&done(9, 30), 10, 30).unwrap_err();
        assert!(problem.contains("9 ns, before the first"), "{problem}");
        let problem = check_sent(&done(10, 29), 10, 30).unwrap_err();
        assert!(problem.contains("29 ns, before the last"), "{problem}");
    }

    #[test]
    fn moments_that_can_not_be_are_refused() {
        let check = |came: &[u64]| check_came(&done(5, 50), came, [10, 20, 30].into_iter());
        assert_eq!(check(&[10, 31, 31]), Ok(()));
        for (came, part) in [
            (
                [10, 19, 31],
                "message 2 came at 19 ns, before it was due at 20 ns",
            ),
            (
                [10, 40, 35],
                "message 3 came at 35 ns, before message 2 at 40 ns",
            ),
            ([10, 40, 51], "came at 51 ns, after the end at 50 ns"),
        ] {
            let problem = check(&came).unwrap_err();
            assert!(problem.contains(part), "{problem}");
        }
        let problem = check_came(&done(15, 50), &[12], [10].into_iter()).unwrap_err();
        assert!(
            problem.contains("before the beginning at 15 ns"),
            "{problem}"
        );
    }
}
