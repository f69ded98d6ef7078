//! The loops of paced messages: each is sent when it is due, and its latency is counted from the moment at which it was *due*.
//!
//! The sender waits for that moment by looking at the clock, on a core of its own, so no timer of the kernel adds to the latency. A send that
//! takes long, or waits for room, makes the following ones late: they are sent at once then, and what they waited is in their latency.

use std::thread;
use std::time::Duration;

use super::backlog::Backlog;
use super::flow::sent;
use super::integrity::Checker;
use super::latency::Recorder;
use super::schedule::Moments;
use super::source::Stock;
use super::station::{Account, Run, RunError};
use super::usage::Used;
use super::waiting::{Meter, spin_until};
use crate::clock::Clock;
use crate::shared::SharedPage;
use crate::transport::{Receiver, Sender};

/// From the order to send until the first message is due.
const LEAD_NS: u64 = 20_000;

/// Who is so late and four times as long as the run ought to last won't keep the rate any more, and would only go on for long.
const TOO_LATE_NS: u64 = 500_000_000;

/// Sends the messages of a run at their moments. A run that is far too late ends early.
#[inline(never)]
pub fn send_paced<Tx: Sender, S: Stock>(
    page: &SharedPage,
    run: Run,
    tx: &mut Tx,
    (stock, buffer): (&S, &mut [u8]),
    mut moments: Moments<'_>,
    is_crowded: bool,
    clock: &impl Meter,
) -> Account {
    tx.begin_window(run.deadline);
    let mut waiting = Used::default();
    let too_late_ns = TOO_LATE_NS + 4 * moments.expected_ns(run.messages);
    let begin_ns = clock.now_ns() + LEAD_NS;
    page.note_start(run.seat, begin_ns);
    for sequence in run.base..run.base + run.messages {
        let message = stock.message(sequence, run.base, buffer);
        let due_ns = begin_ns + moments.next_ns();
        let now_ns = if is_crowded {
            sleep_until(clock, due_ns)
        } else {
            spin_until(clock, due_ns, &mut waiting)
        };
        let is_last = now_ns > due_ns + too_late_ns;
        let messages = sequence - run.base;
        if is_last {
            page.cut(messages + 1);
        }
        if let Err(error) = tx.send(message) {
            return sent(messages, Err(error));
        }
        if is_last {
            return Account {
                cut_after: Some(messages + 1),
                waiting: (!is_crowded).then_some(waiting),
                ..sent(messages + 1, Ok(()))
            };
        }
    }
    Account {
        waiting: (!is_crowded).then_some(waiting),
        ..sent(run.messages, Ok(()))
    }
}

/// Sleeps until the clock shows `at_ns`, as the core is shared with those who have work to do. Returns what it shows then.
fn sleep_until(clock: &impl Clock, at_ns: u64) -> u64 {
    loop {
        let now = clock.now_ns();
        if now >= at_ns {
            return now;
        }
        thread::sleep(Duration::from_nanos(at_ns - now));
    }
}

/// Receives and verifies the messages of a run, and records how long after its moment each one came.
#[inline(never)]
pub fn receive_paced<Rx: Receiver, S: Stock>(
    page: &SharedPage,
    run: Run,
    rx: &mut Rx,
    (stock, buffer): (&S, &mut [u8]),
    mut moments: Moments<'_>,
    recorder: &mut Recorder,
    clock: &impl Clock,
) -> Account {
    rx.begin_window(run.deadline);
    recorder.clear();
    let mut checker = Checker::new(stock.content(run.base), run.base, run.messages);
    let mut backlog = Backlog::new(run.messages);
    let mut begin_ns = 0;
    let (mut error, mut cut_after) = (None, None);
    while !checker.is_done() && cut_after.is_none() {
        match rx.recv(buffer) {
            Ok(len) => {
                let arrived_ns = clock.now_ns();
                if begin_ns == 0 {
                    // The sender noted it before its first send.
                    begin_ns = page.leader_started_ns();
                }
                // By the order of arrival: what the wrong order would spoil is a failure of integrity, which tells no times.
                let due_ns = moments.next_ns();
                let latency_ns = arrived_ns.saturating_sub(begin_ns + due_ns);
                recorder.record(latency_ns);
                backlog.take(due_ns, latency_ns);
                checker.check(&buffer[..len]);
                let received = backlog.seen();
                cut_after = page.is_cut_after(received).then_some(received);
            }
            Err(e) => {
                error = Some(RunError::Receive(e));
                break;
            }
        }
    }
    page.note_finish(run.seat, clock.now_ns());
    Account {
        arrived: Some(checker.finish()),
        times: error.is_none().then(|| recorder.distribution()),
        lateness: backlog.lateness(),
        cut_after,
        error,
        ..Account::default()
    }
}
