//! The one loop that waits.

use shm_semaphore::sync::{spin_loop, yield_now};
use shm_semaphore::{Deadline, EventCount, WaitKey};

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
/// A side that does nothing but spin lets others have its processor so often: the other side may be waiting for one.
const YIELD_EVERY_NS: u64 = 50_000;
/// How often a side that can't go on asks whether the other one lives; also the longest sleep.
const PROBE_EVERY_NS: u64 = 20_000_000;
/// The same for one that does nothing but spin, or that calls again and again by itself.
const PROBE_EVERY_NS_SPINNING: u64 = 1_000_000;

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

    /// The same while spinning, when a change may be overlooked for a few dozen looks: it may leave alone what others write.
    fn seems_ready(&mut self) -> Result<bool, Self::Stop> {
        self.is_ready()
    }

    /// Whether there are more participants than processors, so that others may be waiting for ours.
    fn is_crowded(&self) -> bool {
        false
    }

    /// Finds out by other means whether the other side is still there; the next `is_ready` shows it.
    fn probe(&mut self) -> Result<(), Self::Stop>;

    /// Whether the other side waited on our processor lately, so that spinning would only keep it away.
    fn shares_processor(&mut self, now: Deadline) -> bool;

    /// Until when to sleep at most, if not until a notification: what is waited for may be for us to change.
    fn looks_again_at(&mut self, _now: Deadline) -> Deadline {
        Deadline::NEVER
    }
}

/// An endpoint's way of waiting, with what it has learnt.
#[derive(Debug)]
pub struct Waiter {
    strategy: Wait,
    /// How long [`Wait::SpinThenPark`] spins at present.
    spin_ns: u64,
    waits: u32,
    catch_up: CatchUp,
    /// When the kernel was last asked about the other side. It outlives a wait: short waits must find out as well.
    probed: Deadline,
}

impl Waiter {
    /// Nothing learnt yet.
    pub fn new(strategy: Wait) -> Self {
        Self {
            strategy,
            spin_ns: SPIN_NS_MAX,
            waits: 0,
            catch_up: CatchUp::default(),
            probed: Deadline::now(),
        }
    }

    /// Does not wait. If nobody has asked for the other side for a while, asks, and looks once more.
    pub fn try_once<L: Look>(&mut self, look: &mut L) -> Result<Waited, L::Stop> {
        let now = Deadline::now();
        if now >= self.probed.plus_ns(PROBE_EVERY_NS_SPINNING) {
            self.probed = now;
            look.probe()?;
        }
        last_look(look)
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
        let budget_ns = match self.strategy {
            Wait::Spin => u64::MAX,
            Wait::SpinThenPark if self.waits.is_multiple_of(TRIAL_EVERY) => SPIN_NS_MAX,
            Wait::SpinThenPark => self.spin_ns,
            Wait::Park => return self.park(deadline, look),
        };
        if let Some(waited) = self.spin(deadline, budget_ns, look)? {
            self.spin_ns += (SPIN_NS_MAX - self.spin_ns) / 8;
            return Ok(waited);
        }
        self.spin_ns -= (self.spin_ns - SPIN_NS_MIN) / 8;
        self.park(deadline, look)
    }

    /// Spins; `None` if the budget ran out, or if spinning makes no sense.
    fn spin<L: Look>(
        &mut self,
        deadline: Deadline,
        budget_ns: u64,
        look: &mut L,
    ) -> Result<Option<Waited>, L::Stop> {
        for _ in 0..LOOKS_PER_ROUND {
            if look.seems_ready()? {
                return Ok(Some(Waited::Ready));
            }
            spin_loop();
        }
        let mut now = Deadline::now();
        let until = now.plus_ns(budget_ns);
        let mut yields_at = now.plus_ns(YIELD_EVERY_NS);
        loop {
            let shares_processor = look.shares_processor(now);
            if shares_processor && self.strategy == Wait::SpinThenPark {
                return Ok(None);
            }
            for _ in 0..LOOKS_PER_ROUND {
                if look.seems_ready()? {
                    return Ok(Some(Waited::Ready));
                }
                if shares_processor {
                    // May take long: back to the clock.
                    yield_now();
                    break;
                }
                spin_loop();
            }
            now = Deadline::now();
            self.probe_if_due(now, look)?;
            if now >= deadline {
                return last_look(look).map(Some);
            }
            if now >= until {
                return Ok(None);
            }
            if now >= yields_at || look.is_crowded() {
                yield_now();
                yields_at = now.plus_ns(YIELD_EVERY_NS);
            }
        }
    }

    /// Sleeps, in slices: a peer that was killed before it could notify is found out, and so is one that is gone altogether.
    fn park<L: Look>(&mut self, deadline: Deadline, look: &mut L) -> Result<Waited, L::Stop> {
        loop {
            let now = Deadline::now();
            let Some(key) = self.prepare(now, look)? else {
                return Ok(Waited::Ready);
            };
            if now >= deadline {
                return Ok(Waited::TimedOut);
            }
            let until = deadline
                .min(self.probed.plus_ns(PROBE_EVERY_NS))
                .min(look.looks_again_at(now));
            look.gate().wait(key, until);
        }
    }

    /// Announces a sleeper, who is then to sleep at the gate; `None` if the condition holds by now.
    pub fn prepare<L: Look>(
        &mut self,
        now: Deadline,
        look: &mut L,
    ) -> Result<Option<WaitKey>, L::Stop> {
        let key = look.gate().prepare_wait();
        // Leaves word of where we are, for a peer that thinks of spinning.
        look.shares_processor(now);
        // By the clock, and not when a sleep has timed out: signals may end every sleep before that.
        self.probe_if_due(now, look)?;
        if look.is_ready()? {
            look.gate().cancel_wait(key);
            return Ok(None);
        }
        Ok(Some(key))
    }

    fn probe_if_due<L: Look>(&mut self, now: Deadline, look: &mut L) -> Result<(), L::Stop> {
        let every_ns = if self.strategy == Wait::Spin {
            PROBE_EVERY_NS_SPINNING
        } else {
            PROBE_EVERY_NS
        };
        if now >= self.probed.plus_ns(every_ns) {
            self.probed = now;
            look.probe()?;
        }
        Ok(())
    }
}

/// At the deadline: what has come until now counts.
fn last_look<L: Look>(look: &mut L) -> Result<Waited, L::Stop> {
    Ok(if look.is_ready()? {
        Waited::Ready
    } else {
        Waited::TimedOut
    })
}
