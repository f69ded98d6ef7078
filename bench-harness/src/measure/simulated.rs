//! The loops of paced messages on a simulated clock, over a simulated link: what they record must be what the mathematics says.
//!
//! The link knows beforehand when its receiver will take each message, so the sender's whole run is simulated first, and then the receiver's.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use super::latency::Latency;
use super::paced::{receive_paced, send_paced};
use super::schedule::{Arrivals, Pace};
use super::source::{Made, Stock};
use super::station::{Account, Run};
use super::usage::Used;
use super::waiting::Meter;
use crate::clock::Clock;
use crate::job::Lateness;
use crate::measure::latency::Recorder;
use crate::shared::{SharedPage, Side};
use crate::transport::{Receiver, Sender};

const MS: u64 = 1_000_000;
/// What a reading of the clock takes.
const READING_NS: u64 = 100;
/// What the receiver takes for a message, unless the test says otherwise.
const SERVICE_NS: u64 = 1_000;

/// A clock that goes on by its own cost alone, or when it is told to.
#[derive(Debug, Default)]
struct Simulated(Cell<u64>);

impl Simulated {
    fn advance_to(&self, at_ns: u64) {
        self.0.set(self.0.get().max(at_ns));
    }
}

impl Meter for Simulated {
    /// It is never taken off its core.
    fn used(&self) -> Used {
        Used {
            cpu_ns: self.now_ns(),
            switches: 0,
        }
    }
}

impl Clock for Simulated {
    fn now_ns(&self) -> u64 {
        self.0.set(self.0.get() + READING_NS);
        self.0.get()
    }
}

/// A link and those at its ends.
#[derive(Debug, Default)]
struct Link {
    sender: Simulated,
    receiver: Simulated,
    /// Messages that it holds.
    capacity: usize,
    /// What the receiver takes for a message.
    service_ns: u64,
    /// Once the receiver does nothing for so long, after so long.
    receiver_stalls: Option<(u64, u64)>,
    /// Once a send takes so long, after so long.
    sender_stalls: Option<(u64, u64)>,
    /// When each message has been taken.
    taken_ns: RefCell<Vec<u64>>,
    messages: RefCell<VecDeque<Vec<u8>>>,
}

struct End<'a> {
    link: &'a Link,
    stall: Option<(u64, u64)>,
}

impl End<'_> {
    /// How long the stall lasts that is due now.
    fn stalls_for(&mut self, now_ns: u64) -> u64 {
        let is_due = self.stall.is_some_and(|(after_ns, _)| now_ns >= after_ns);
        let due = if is_due { self.stall.take() } else { None };
        due.map_or(0, |(_, for_ns)| for_ns)
    }
}

/// The sending end keeps the account of the receiver's time as well.
struct Tx<'a> {
    own: End<'a>,
    other: End<'a>,
}

impl Sender for Tx<'_> {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let link = self.own.link;
        let mut taken_ns = link.taken_ns.borrow_mut();
        if let Some(place) = taken_ns.len().checked_sub(link.capacity) {
            link.sender.advance_to(taken_ns[place]);
        }
        let stall_ns = self.own.stalls_for(link.sender.now_ns());
        let sent_ns = link.sender.now_ns() + stall_ns;
        link.sender.advance_to(sent_ns);
        let free_ns = taken_ns.last().copied().unwrap_or(0);
        let done_ns = sent_ns.max(free_ns) + link.service_ns;
        taken_ns.push(done_ns + self.other.stalls_for(done_ns));
        link.messages.borrow_mut().push_back(message.to_vec());
        Ok(())
    }
}

struct Rx<'a>(&'a Link, usize);

impl Receiver for Rx<'_> {
    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let message = self.0.messages.borrow_mut().pop_front();
        let message = message.ok_or(io::ErrorKind::TimedOut)?;
        buffer[..message.len()].copy_from_slice(&message);
        self.0.receiver.advance_to(self.0.taken_ns.borrow()[self.1]);
        self.1 += 1;
        Ok(message.len())
    }
}

impl Link {
    /// Without stalls, of a receiver that is fast, and never full.
    fn fast() -> Self {
        Self {
            capacity: usize::MAX,
            service_ns: SERVICE_NS,
            ..Self::default()
        }
    }

    /// Sends messages at a pace for a window.
    fn run(&self, rate_per_second: u64, window_ns: u64) -> (Latency, Lateness) {
        let fd = SharedPage::create().unwrap();
        let shared = SharedPage::open(fd.as_raw_fd(), false).unwrap();
        let pace = Pace {
            rate_per_second,
            arrivals: Arrivals::Constant,
            seed: 1,
        };
        let stock = Made(64);
        let run = |side: Side| Run {
            seat: side.into(),
            base: 1 << 40,
            messages: pace.messages_within(window_ns),
            deadline: Instant::now() + Duration::from_secs(60),
            deadline_ns: u64::MAX,
        };
        let mut buffer = [0; 64];
        let mut tx = Tx {
            own: End {
                link: self,
                stall: self.sender_stalls,
            },
            other: End {
                link: self,
                stall: self.receiver_stalls,
            },
        };
        let source = (&stock, &mut buffer[..]);
        let moments = || stock.moments(pace).unwrap();
        let sent = send_paced(
            &shared,
            run(Side::Left),
            &mut tx,
            source,
            moments(),
            false,
            &self.sender,
        );
        let mut recorder = Recorder::default();
        let source = (&stock, &mut buffer[..]);
        let received: Account = receive_paced(
            &shared,
            run(Side::Right),
            &mut Rx(self, 0),
            source,
            moments(),
            &mut recorder,
            &self.receiver,
        );
        assert!(received.error.is_none());
        let tally = received.arrived.unwrap().known();
        assert!(tally.is_clean());
        assert_eq!(sent.sent, tally.received);
        assert_eq!(sent.cut_after, received.cut_after);
        // What isn't waiting is that which it does for the messages.
        let unpaid_ns = self.sender.0.get() - sent.waiting.unwrap().cpu_ns;
        let stall_ns = self.sender_stalls.map_or(0, |(_, for_ns)| for_ns);
        if self.capacity == usize::MAX {
            let most_ns = sent.sent * 10 * READING_NS + stall_ns;
            assert!(unpaid_ns <= most_ns, "{unpaid_ns} {most_ns}");
        }
        (received.times.unwrap().summary, received.lateness.unwrap())
    }
}

/// The histogram has three digits, a message is late by its neighbours' service, and the clock has its steps.
fn is_near(found_ns: Option<u64>, expected_ns: u64) -> bool {
    found_ns.is_some_and(|found_ns| found_ns.abs_diff(expected_ns) <= MS / 2)
}

fn share(lateness: Lateness) -> f64 {
    lateness.late_ns as f64 / lateness.planned_ns as f64
}

/// 10,000 a second for 200 ms, with a stall of 50 ms: what is due `t` after its begin waits `50 ms - t`. So a quarter waits, and the share
/// `q` of all messages waits no longer than `50 ms - (1 - q) * 200 ms`.
fn assert_stall_is_seen(link: &Link) {
    let (latency, lateness) = link.run(10_000, 200 * MS);
    assert_eq!(latency.samples, 2_000);
    assert!(is_near(latency.p90, 30 * MS), "{latency:?}");
    assert!(is_near(latency.p99, 48 * MS), "{latency:?}");
    assert!(is_near(Some(latency.max), 50 * MS), "{latency:?}");
    assert!(latency.p50 < Some(20_000), "{latency:?}");
    // It caught up.
    assert!(share(lateness) < 0.01, "{lateness:?}");
}

#[test]
fn a_stalled_receiver_shows_in_the_percentiles_as_the_mathematics_says() {
    assert_stall_is_seen(&Link {
        receiver_stalls: Some((50 * MS, 50 * MS)),
        ..Link::fast()
    });
}

#[test]
fn a_full_link_that_holds_the_sender_up_hides_nothing() {
    // Of 500 messages that are due in the stall it holds eight; counted from the moments of sending, these alone would be slow.
    assert_stall_is_seen(&Link {
        capacity: 8,
        receiver_stalls: Some((50 * MS, 50 * MS)),
        ..Link::fast()
    });
}

#[test]
fn a_stalled_sender_shows_as_much_as_a_stalled_receiver() {
    assert_stall_is_seen(&Link {
        sender_stalls: Some((120 * MS, 50 * MS)),
        ..Link::fast()
    });
}

#[test]
fn without_a_stall_every_message_takes_what_the_receiver_takes() {
    let (latency, lateness) = Link::fast().run(10_000, 200 * MS);
    assert!(
        latency.max < 2 * SERVICE_NS + 10 * READING_NS,
        "{latency:?}"
    );
    assert!(share(lateness) < 1e-3, "{lateness:?}");
}

#[test]
fn a_receiver_that_is_slower_than_the_rate_misses_it_by_as_much() {
    for capacity in [usize::MAX, 64] {
        // 100 us from message to message, and 125 us for each.
        let link = Link {
            capacity,
            service_ns: 125_000,
            ..Link::fast()
        };
        let (latency, lateness) = link.run(10_000, 200 * MS);
        assert!((share(lateness) - 0.25).abs() < 0.005, "{lateness:?}");
        assert!(is_near(Some(latency.max), 50 * MS), "{latency:?}");
    }
}

#[test]
fn a_run_that_is_far_too_late_ends_early_and_is_known_to_be_late() {
    let link = Link {
        capacity: 64,
        service_ns: 10 * MS,
        ..Link::fast()
    };
    let (latency, lateness) = link.run(10_000, 200 * MS);
    // A hundred times as slow as it should be: at 10 ms each, 1.3 s are over after some 130 messages, and the link holds 64 more.
    assert!((130..=210).contains(&latency.samples), "{latency:?}");
    assert!(share(lateness) > 50.0, "{lateness:?}");
}
