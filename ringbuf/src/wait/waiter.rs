//! The one loop that waits.

use std::time::Duration;

use shm_semaphore::sync::{spin_loop, yield_now};
use shm_semaphore::{Deadline, EventCount, WaitResult};

use super::Wait;
use super::catch_up::CatchUp;

/// Looks between two glances at the clock; one look and one pause take some 10 ns.
const LOOKS_PER_ROUND: u32 = 64;
/// The longest spin of [`Wait::SpinThenPark`]: about what a sleep and a wakeup cost.
const SPIN_NS_MAX: u64 = 50_000;
/// The shortest.
const SPIN_NS_MIN: u64 = 1_000;
/// Every so many waits the longest spin is tried, so that a side that fell asleep too early finds out.
const TRIAL_EVERY: u32 = 16;
/// The longest sleep before a waiter looks by itself whether the other side lives.
const SLICE: Duration = Duration::from_millis(20);
/// The same while spinning.
const PROBE_EVERY_NS: u64 = 1_000_000;

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// The condition holds.
    Ready,
    /// The deadline has passed.
    TimedOut,
}

/// What a waiter looks at.
pub trait Look {
    /// Why it makes no sense to wait on.
    type Stop;

    /// Where the side that changes the condition notifies.
    fn gate(&self) -> &EventCount;

    /// Whether the condition holds.
    fn is_ready(&mut self) -> Result<bool, Self::Stop>;

    /// Finds out by other means whether the other side is still there; the next `is_ready` shows it.
    fn probe(&mut self) -> Result<(), Self::Stop>;

    /// Whether the other side waited on our processor last, so that spinning would only keep it away.
    fn shares_processor(&mut self) -> bool;
}

/// An endpoint's way of waiting, with what it has learnt.
#[derive(Debug)]
pub struct Waiter {
    strategy: Wait,
    /// How long [`Wait::SpinThenPark`] spins at present.
    spin_ns: u64,
    waits: u32,
    catch_up: CatchUp,
}

impl Waiter {
    /// Nothing learnt yet.
    pub fn new(strategy: Wait) -> Self {
        Self {
            strategy,
            spin_ns: SPIN_NS_MAX,
            waits: 0,
            catch_up: CatchUp::default(),
        }
    }

    /// Waits until the condition holds, the deadline passes, or there is a reason to stop. `burst` messages were handled since the
    /// last wait.
    pub fn wait_until<L: Look>(
        &mut self,
        deadline: Deadline,
        burst: u64,
        look: &mut L,
    ) -> Result<Waited, L::Stop> {
        if self.strategy != Wait::Park {
            self.catch_up.pause(burst);
        }
        self.waits = self.waits.wrapping_add(1);
        match self.strategy {
            Wait::Spin => spin(deadline, u64::MAX, look)
                .map(|spun| spun.expect("an endless spin ends with an answer")),
            Wait::SpinThenPark => {
                let trial = self.waits.is_multiple_of(TRIAL_EVERY);
                let budget_ns = if trial { SPIN_NS_MAX } else { self.spin_ns };
                if let Some(waited) = spin(deadline, budget_ns, look)? {
                    self.spin_ns += (SPIN_NS_MAX - self.spin_ns) / 8;
                    return Ok(waited);
                }
                self.spin_ns -= (self.spin_ns - SPIN_NS_MIN) / 8;
                park(deadline, look)
            }
            Wait::Park => park(deadline, look),
        }
    }
}

/// Spins; `None` if the budget ran out.
fn spin<L: Look>(
    deadline: Deadline,
    budget_ns: u64,
    look: &mut L,
) -> Result<Option<Waited>, L::Stop> {
    for _ in 0..LOOKS_PER_ROUND {
        if look.is_ready()? {
            return Ok(Some(Waited::Ready));
        }
        spin_loop();
    }
    let parks = budget_ns != u64::MAX;
    let started_ns = Deadline::now().as_monotonic_ns();
    let mut probed_ns = started_ns;
    loop {
        let shares_processor = look.shares_processor();
        if shares_processor && parks {
            return Ok(None);
        }
        for _ in 0..LOOKS_PER_ROUND {
            if look.is_ready()? {
                return Ok(Some(Waited::Ready));
            }
            if shares_processor {
                yield_now();
            } else {
                spin_loop();
            }
        }
        let now = Deadline::now();
        if now >= deadline {
            return Ok(Some(Waited::TimedOut));
        }
        if now.as_monotonic_ns() - started_ns >= budget_ns {
            return Ok(None);
        }
        if now.as_monotonic_ns() - probed_ns >= PROBE_EVERY_NS {
            probed_ns = now.as_monotonic_ns();
            look.probe()?;
        }
    }
}

/// Sleeps, in slices: a peer that was killed before it could notify is found out, and so is one that is gone altogether.
fn park<L: Look>(deadline: Deadline, look: &mut L) -> Result<Waited, L::Stop> {
    // Leaves word of where we are, for a peer that thinks of spinning.
    look.shares_processor();
    loop {
        let key = look.gate().prepare_wait();
        if look.is_ready()? {
            look.gate().cancel_wait(key);
            return Ok(Waited::Ready);
        }
        let slept = look.gate().wait(key, deadline.min(Deadline::after(SLICE)));
        if look.is_ready()? {
            return Ok(Waited::Ready);
        }
        if deadline.has_passed() {
            return Ok(Waited::TimedOut);
        }
        if slept == WaitResult::TimedOut {
            look.probe()?;
        }
    }
}
