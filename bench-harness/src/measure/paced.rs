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
use crate::clock::Clock;
use crate::shared::SharedPage;
use crate::transport::{Receiver, Sender};

/// From the order to send until the first message is due.
const LEAD_NS: u64 = 20_000;

/// Sends the messages of a run at their moments.
#[inline(never)]
pub fn send_paced<Tx: Sender, S: Stock>(
    page: &SharedPage,
    run: Run,
    tx: &mut Tx,
    (stock, buffer): (&S, &mut [u8]),
    mut moments: Moments<'_>,
    is_crowded: bool,
    clock: &impl Clock,
) -> Account {
    tx.begin_window(run.deadline);
    let begin_ns = clock.now_ns() + LEAD_NS;
    page.note_start(run.seat, begin_ns);
    for sequence in run.base..run.base + run.messages {
        let message = stock.message(sequence, run.base, buffer);
        await_moment(clock, begin_ns + moments.next_ns(), is_crowded);
        if let Err(error) = tx.send(message) {
            return sent(sequence - run.base, Err(error));
        }
    }
    sent(run.messages, Ok(()))
}

/// Until the clock shows `at_ns`: looks at it again and again, or sleeps if the core is shared with those who have work to do.
#[inline]
fn await_moment(clock: &impl Clock, at_ns: u64, is_crowded: bool) {
    loop {
        let now = clock.now_ns();
        if now >= at_ns {
            return;
        }
        if is_crowded {
            thread::sleep(Duration::from_nanos(at_ns - now));
        } else {
            std::hint::spin_loop();
        }
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
    let mut error = None;
    while !checker.is_done() {
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
        error,
        ..Account::default()
    }
}
