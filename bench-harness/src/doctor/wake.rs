//! What it costs to wake a core that is idle: the floor of every contender that parks, measured.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::clock::cannot_pin;
use super::facts::Unknown;
use super::finding::Finding;
use crate::clock::now_ns;
use crate::fan::Fan;
use crate::machine::pin_to;
use crate::report::numbers::time;
use crate::transport::bare_futex::BareFutex;
use crate::transport::{LinkError, LinkShape, Receiver, Sender, Transport};

/// A wake that takes longer is told.
const WAKE_NS_MAX: u64 = 10_000;
/// How often it is measured.
const WAKES: usize = 31;
/// How long the core is left alone before each, so that it is idle.
const IDLE: Duration = Duration::from_millis(2);
/// No wait lasts longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The time from just before `FUTEX_WAKE` on one core until the sleeper runs on the other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WakeCost {
    pub(super) median_ns: u64,
    pub(super) max_ns: u64,
}

impl WakeCost {
    fn of(mut samples: Vec<u64>) -> Option<Self> {
        samples.sort_unstable();
        Some(Self {
            median_ns: *samples.get(samples.len() / 2)?,
            max_ns: *samples.last()?,
        })
    }
}

/// Measures it on these cores: the first one wakes, the second one sleeps.
///
/// # Errors
/// When the cores can't be had, or the link of the two can't be made.
pub(super) fn measure(cores: [usize; 2]) -> Result<WakeCost, Unknown> {
    let [waking, sleeping] = cores;
    if waking == sleeping {
        return Err(Unknown::because(
            "two cores are needed, one wakes and one sleeps",
        ));
    }
    let (mut sender, mut receiver) = ends().map_err(|error| failed(&error))?;
    // One for each wake: a sleeper that comes late must not see the time of the next one.
    let sent_ns: [AtomicU64; WAKES] = std::array::from_fn(|_| AtomicU64::new(0));
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            pin_to(sleeping).map_err(|error| cannot_pin(sleeping, &error))?;
            receiver.begin_window(Instant::now() + PATIENCE);
            let mut samples = Vec::with_capacity(WAKES);
            for sent_ns in &sent_ns {
                receiver.recv(&mut []).map_err(|error| failed(&error))?;
                // Relaxed: stored before the word was changed that `recv` has seen.
                samples.push(now_ns().saturating_sub(sent_ns.load(Ordering::Relaxed)));
            }
            WakeCost::of(samples).ok_or_else(|| Unknown::because("nothing was woken"))
        });
        let waker = scope.spawn(|| {
            pin_to(waking).map_err(|error| cannot_pin(waking, &error))?;
            for sent_ns in &sent_ns {
                thread::sleep(IDLE);
                // Relaxed: published by the change of the word in `send`.
                sent_ns.store(now_ns(), Ordering::Relaxed);
                sender.send(&[]).map_err(|error| failed(&error))?;
            }
            Ok(())
        });
        let broken = |_| Unknown::because("a measuring thread broke off");
        let (woke, slept) = (waker.join(), sleeper.join());
        woke.map_err(broken)??;
        slept.map_err(broken)?
    })
}

fn failed(error: &io::Error) -> Unknown {
    Unknown::because(format!("waking by futex failed: {error}"))
}

/// The two ends of the very mechanism that is measured as `limit-futex`.
fn ends() -> io::Result<(impl Sender, impl Receiver)> {
    let shape = LinkShape {
        message_len_max: 0,
        variable_len: false,
        capacity: 1,
        fan: Fan::PAIR,
    };
    let link = BareFutex.create(&shape).map_err(|error| match error {
        LinkError::Unavailable(reason) => io::Error::other(reason),
        LinkError::Failed(error) => error,
    })?;
    let sender = BareFutex.sender(&link.sender_part()?.into_ticket())?;
    let receiver = BareFutex.receiver(&link.receiver_part()?.into_ticket())?;
    Ok((sender, receiver))
}

/// What the wake costs the contenders.
pub(super) fn idle_wake(measured: Result<WakeCost, Unknown>) -> Result<Finding, Unknown> {
    const NAME: &str = "idle wake";
    let cost = measured?;
    let value = format!(
        "{} median of {WAKES}, {} at most",
        time(cost.median_ns as f64),
        time(cost.max_ns as f64)
    );
    if cost.median_ns <= WAKE_NS_MAX {
        return Ok(Finding::ok(NAME, value));
    }
    let effect = format!(
        "a contender that parks pays it twice in a round trip: {}",
        time(2.0 * cost.median_ns as f64)
    );
    let remedy = "forbid deep idle states (see idle states); in a virtual machine ask for halt polling (kvm.halt_poll_ns of the host)";
    Ok(Finding::warn(NAME, value, effect, remedy))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict::{Ok as Fine, Warn};
    use super::*;

    #[test]
    fn the_median_decides_and_the_longest_is_shown() {
        let quick = WakeCost::of(vec![9_000_000, 2_000, 3_000]).unwrap();
        assert_eq!((quick.median_ns, quick.max_ns), (3_000, 9_000_000));
        let found = idle_wake(Ok(quick)).unwrap();
        assert_eq!(
            (found.verdict, found.value.as_str()),
            (Fine, "3,000 ns median of 31, 9,000 µs at most")
        );
        let slow = WakeCost::of(vec![50_000; 3]).unwrap();
        let found = idle_wake(Ok(slow)).unwrap();
        assert_eq!(found.verdict, Warn);
        assert!(found.effect.unwrap().contains("100 µs"));
        assert_eq!(WakeCost::of(Vec::new()), None);
    }

    #[test]
    fn a_wake_takes_time_and_one_core_is_not_enough() {
        assert!(measure([0, 0]).is_err());
        let allowed = crate::machine::allowed_cores().unwrap();
        let &[first, second, ..] = allowed.as_slice() else {
            eprintln!("not tested here: one core");
            return;
        };
        let cost = measure([first, second]).unwrap();
        assert!(
            cost.median_ns > 0 && cost.median_ns <= cost.max_ns,
            "{cost:?}"
        );
    }

    #[test]
    fn a_core_that_cannot_be_had_is_named() {
        let refused = measure([0, 1_000]).unwrap_err();
        assert!(refused.to_string().contains("core 1000"), "{refused}");
    }
}
