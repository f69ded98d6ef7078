//! The clock: where it comes from, what it costs, and whether the measured processors agree on it.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use super::facts::{Root, Unknown};
use super::finding::Finding;
use super::script::Step;
use crate::clock::{ClockProfile, now_ns};
use crate::machine::pin_to;
use crate::report::numbers::{figure, time};

/// A reading that costs more than this shows in every figure of a fast contender.
const READ_COST_NS_MAX: f64 = 200.0;
/// A clock that stands still for longer than this tells nothing about a round trip.
const GRANULARITY_NS_MAX: u64 = 100_000;
/// A difference that is known less exactly than this is not known.
const WIDTH_NS_MAX: i64 = 20_000;
/// A proven difference that is told.
const SKEW_NS_TOLD: i64 = 20;
/// A proven difference that makes one-way latencies meaningless.
const SKEW_NS_MAX: i64 = 1_000;

/// Where the kernel takes the time from, and what a reading costs.
pub(super) fn source(root: &Root, profile: ClockProfile) -> Result<Finding, Unknown> {
    const NAME: &str = "clock source";
    const FOLDER: &str = "/sys/devices/system/clocksource/clocksource0";
    let file = format!("{FOLDER}/current_clocksource");
    let source = root.read(&file)?;
    let cost = figure(Some(profile.read_cost_ns));
    let value = format!(
        "{source}, {cost} ns a reading, {} ns apart at least",
        profile.granularity_ns
    );
    let available = root.read(&format!("{FOLDER}/available_clocksource"));
    let better = available.ok().and_then(|sources| {
        let mut sources = sources.split_whitespace();
        let is_better = |name: &&str| *name == "tsc" && source != "tsc";
        sources.find(is_better).map(str::to_owned)
    });
    let remedy = match &better {
        Some(better) => format!("echo {better} | sudo tee {file}"),
        None => {
            "find out why the kernel took no better one (dmesg | grep -i -e clocksource -e tsc)"
                .to_owned()
        }
    };
    let step = better.map(|value| Step::Set {
        file,
        value,
        was: source,
    });
    if profile.granularity_ns > GRANULARITY_NS_MAX {
        let effect = format!(
            "the clock stands still for {}, longer than most round trips",
            time(profile.granularity_ns as f64)
        );
        return Ok(Finding::fail(NAME, value, effect, remedy).with_steps(step));
    }
    if profile.read_cost_ns > READ_COST_NS_MAX {
        let effect = format!(
            "each round trip has two readings in it, {} ns of its figure",
            figure(Some(2.0 * profile.read_cost_ns))
        );
        return Ok(Finding::warn(NAME, value, effect, remedy).with_steps(step));
    }
    Ok(Finding::ok(NAME, value))
}

/// How far the clock of one processor is ahead of another's: somewhere between `low_ns` and `high_ns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_field_names)] // The unit belongs into each name.
pub(super) struct Skew {
    low_ns: i64,
    high_ns: i64,
    /// The shortest exchange of a cache line, there and back, with a reading of the clock at each end.
    round_trip_ns: i64,
}

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "between {} and {} ns, round trip {} ns",
            self.low_ns, self.high_ns, self.round_trip_ns
        )
    }
}

impl Skew {
    /// Before the first exchange.
    const UNBOUNDED: Self = Self {
        low_ns: i64::MIN,
        high_ns: i64::MAX,
        round_trip_ns: i64::MAX,
    };

    /// One exchange: asked at `asked_ns` and answered at `back_ns` by one clock, and at `answered_ns` by the other one in between. In truth the answer
    /// lies between the two, so the other clock is ahead by at least `answered - back` and at most `answered - asked`.
    fn narrow(self, asked_ns: u64, answered_ns: u64, back_ns: u64) -> Self {
        let difference = |a: u64, b: u64| a.wrapping_sub(b).cast_signed();
        Self {
            low_ns: self.low_ns.max(difference(answered_ns, back_ns)),
            high_ns: self.high_ns.min(difference(answered_ns, asked_ns)),
            round_trip_ns: self.round_trip_ns.min(difference(back_ns, asked_ns)),
        }
    }

    /// How exactly it is known.
    fn width_ns(self) -> i64 {
        self.high_ns.saturating_sub(self.low_ns)
    }

    /// What is beyond doubt: no exchange can have been answered before it was asked, or after its answer was back.
    fn proven_ns(self) -> i64 {
        let ahead = self.low_ns.max(0);
        let behind = self.high_ns.min(0).saturating_neg();
        ahead.max(behind)
    }
}

/// Lets two processors tell each other the time, in at most `limit_ns`.
///
/// # Errors
/// When they can't be had, or no exchange came about.
pub(super) fn measure_skew(cores: [usize; 2], limit_ns: u64) -> Result<Skew, Unknown> {
    const EXCHANGES: u64 = 2_000;
    let [asking, answering] = cores;
    if asking == answering {
        return Err(Unknown::because(
            "two cores are needed to compare their clocks",
        ));
    }
    let deadline_ns = now_ns() + limit_ns;
    let table = Table::default();
    let pinned = |cpu| pin_to(cpu).map_err(|error| cannot_pin(cpu, &error));
    thread::scope(|scope| {
        let answers = scope.spawn(|| {
            let done = pinned(answering);
            if done.is_ok() {
                table.answer(EXCHANGES, deadline_ns);
            }
            table.is_over.store(true, Ordering::Relaxed);
            done
        });
        let asks = scope.spawn(|| {
            let asked = pinned(asking).map(|()| table.ask(EXCHANGES, deadline_ns));
            table.is_over.store(true, Ordering::Relaxed);
            asked
        });
        let (asked, answered) = (asks.join(), answers.join());
        let broken = |_| Unknown::because("a measuring thread broke off");
        answered.map_err(broken)??;
        asked.map_err(broken)??.ok_or_else(|| {
            Unknown::because(format!(
                "cores {asking} and {answering} could not exchange the time in {}; run it when they are less busy",
                time(limit_ns as f64)
            ))
        })
    })
}

/// Why nothing can be measured on a core.
pub(super) fn cannot_pin(cpu: usize, error: &std::io::Error) -> Unknown {
    Unknown::because(format!("no thread can be kept on core {cpu}: {error}"))
}

/// Where two threads exchange the time.
#[derive(Debug, Default)]
struct Table {
    question: AtomicU64,
    answer: AtomicU64,
    answered_ns: AtomicU64,
    /// One of the two has given up.
    is_over: AtomicBool,
}

impl Table {
    /// Spins until `word` is `number`. False at the deadline, or when the other one has given up.
    fn await_number(&self, word: &AtomicU64, number: u64, deadline_ns: u64) -> bool {
        const LOOKS_PER_CLOCK: u32 = 1 << 14;
        loop {
            for _ in 0..LOOKS_PER_CLOCK {
                // Acquire pairs with the Release of the one who stored the number.
                if word.load(Ordering::Acquire) == number {
                    return true;
                }
            }
            // Relaxed: only a reason to stop early.
            if now_ns() > deadline_ns || self.is_over.load(Ordering::Relaxed) {
                return false;
            }
        }
    }

    fn answer(&self, exchanges: u64, deadline_ns: u64) {
        for number in 1..=exchanges {
            if !self.await_number(&self.question, number, deadline_ns) {
                return;
            }
            // Relaxed: published by the store of the answer.
            self.answered_ns.store(now_ns(), Ordering::Relaxed);
            // Release: whoever sees the answer sees its time.
            self.answer.store(number, Ordering::Release);
        }
    }

    /// What was learned; nothing without a single exchange.
    fn ask(&self, exchanges: u64, deadline_ns: u64) -> Option<Skew> {
        let mut skew = Skew::UNBOUNDED;
        for number in 1..=exchanges {
            let asked_ns = now_ns();
            // Release: the question comes after its time was taken.
            self.question.store(number, Ordering::Release);
            if !self.await_number(&self.answer, number, deadline_ns) {
                break;
            }
            let back_ns = now_ns();
            // Relaxed: ordered by the load of the answer.
            let answered_ns = self.answered_ns.load(Ordering::Relaxed);
            skew = skew.narrow(asked_ns, answered_ns, back_ns);
        }
        (skew != Skew::UNBOUNDED).then_some(skew)
    }
}

/// Whether the measured processors agree on the time.
pub(super) fn skew(measured: Result<Skew, Unknown>) -> Result<Finding, Unknown> {
    const NAME: &str = "clock skew";
    let skew = measured?;
    let value = format!("{skew} (second core ahead of the first)");
    let proven_ns = skew.proven_ns();
    if proven_ns < SKEW_NS_TOLD && skew.width_ns() > WIDTH_NS_MAX {
        let why = format!("only known to be {skew}; run it when the cores are less busy");
        return Err(Unknown::because(why));
    }
    let effect = format!(
        "one-way latencies (paced) are wrong by {proven_ns} ns or more; round trips are not"
    );
    let remedy = "measure on cores of one socket, or have the firmware synchronise them (dmesg | grep -i tsc)";
    Ok(if proven_ns >= SKEW_NS_MAX {
        Finding::fail(NAME, value, effect, remedy)
    } else if proven_ns >= SKEW_NS_TOLD {
        Finding::warn(NAME, value, effect, remedy)
    } else {
        Finding::ok(NAME, value)
    })
}

#[cfg(test)]
mod tests {
    use super::super::facts::fake::Machine;
    use super::super::finding::Verdict::{Fail, Ok as Fine, Warn};
    use super::*;

    const FILE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    const AVAILABLE: &str = "/sys/devices/system/clocksource/clocksource0/available_clocksource";

    fn profile(read_cost_ns: f64, granularity_ns: u64) -> ClockProfile {
        ClockProfile {
            read_cost_ns,
            granularity_ns,
            resolution_ns: 1,
        }
    }

    #[test]
    fn a_cheap_clock_is_fine_wherever_it_comes_from() {
        for name in ["tsc", "kvm-clock", "arch_sys_counter"] {
            let machine = Machine::with(&[(FILE, name)]);
            let found = source(&machine.root(), profile(25.0, 20)).unwrap();
            assert_eq!(found.verdict, Fine);
            assert!(found.value.starts_with(name), "{}", found.value);
        }
        assert!(source(&Machine::with(&[]).root(), profile(25.0, 20)).is_err());
    }

    #[test]
    fn an_expensive_clock_is_told_and_one_that_stands_still_fails() {
        let machine = Machine::with(&[(FILE, "hpet\n"), (AVAILABLE, "tsc hpet acpi_pm\n")]);
        let found = source(&machine.root(), profile(1_500.0, 1_400)).unwrap();
        assert_eq!(found.verdict, Warn);
        assert!(found.effect.unwrap().contains("3,000 ns"));
        assert_eq!(
            found.steps,
            [Step::Set {
                file: FILE.to_owned(),
                value: "tsc".to_owned(),
                was: "hpet".to_owned()
            }]
        );
        machine.put(AVAILABLE, "hpet\n");
        let found = source(&machine.root(), profile(30.0, 4_000_000)).unwrap();
        assert_eq!((found.verdict, found.steps.len()), (Fail, 0));
    }

    #[test]
    fn exchanges_bound_the_difference_from_both_sides() {
        let synchronous = Skew::UNBOUNDED.narrow(1_000, 1_100, 1_200);
        assert_eq!((synchronous.low_ns, synchronous.high_ns), (-100, 100));
        assert_eq!(
            (synchronous.proven_ns(), synchronous.round_trip_ns),
            (0, 200)
        );
        let narrowed = synchronous.narrow(2_000, 2_010, 2_500);
        assert_eq!((narrowed.low_ns, narrowed.high_ns), (-100, 10));
        // 5 µs ahead: the answer has a later time than its arrival.
        let ahead = Skew::UNBOUNDED.narrow(1_000, 6_100, 1_200);
        assert_eq!(ahead.proven_ns(), 4_900);
        // 5 µs behind: the answer has an earlier time than the question.
        let behind = Skew::UNBOUNDED.narrow(11_000, 6_100, 11_200);
        assert_eq!(behind.proven_ns(), 4_900);
    }

    #[test]
    fn the_verdict_follows_what_is_proven() {
        let of = |ahead_ns: u64| {
            let exchanged = Skew::UNBOUNDED.narrow(10_000, 10_100 + ahead_ns, 10_200);
            skew(Ok(exchanged)).unwrap().verdict
        };
        assert_eq!(
            [of(0), of(90), of(150), of(5_000)],
            [Fine, Fine, Warn, Fail]
        );
        assert!(skew(Err(Unknown::because("x"))).is_err());
        let vague = Skew::UNBOUNDED.narrow(10_000, 2_000_000, 4_000_000);
        assert!(
            skew(Ok(vague))
                .unwrap_err()
                .to_string()
                .contains("less busy")
        );
    }

    #[test]
    fn two_cores_of_this_machine_are_compared_and_one_is_not_enough() {
        assert!(measure_skew([0, 0], 1_000_000).is_err());
        let allowed = crate::machine::allowed_cores().unwrap();
        let &[first, second, ..] = allowed.as_slice() else {
            eprintln!("not tested here: one core");
            return;
        };
        let skew = measure_skew([first, second], 2_000_000_000).unwrap();
        assert!(skew.round_trip_ns >= 0, "{skew}");
    }

    #[test]
    fn a_core_that_cannot_be_had_is_named() {
        let refused = measure_skew([0, 1_000], 100_000_000).unwrap_err();
        assert!(refused.to_string().contains("core 1000"), "{refused}");
    }
}
