//! The job of one of several processes on a side: streams over one link, by the loops of the pair, with another account.
//!
//! **How a run ends.** Each producer sends its share. Whoever finishes last sends one more message for each consumer that
//! says so, behind everything else, and a consumer stops at the first one that it gets. So nobody looks at anything shared while a
//! window runs, and what the end costs is one message for each consumer. Where a mechanism lets such a message overtake others
//! (datagrams of several senders), the last consumer to be told takes what is left: it knows how many from the page.

use std::io;

use super::crowd_check::{Came, CrowdChecker, number, number_of_end};
use super::duplex::aligned_buffer;
use super::flow::{sent, work_a_little};
use super::integrity::Arrived;
use super::ledger::{Ledger, messages_max};
use super::numbered::Numbered;
use super::pacing::Pacing;
use super::pattern::{Content, Lengths, Pattern, fill};
use super::source::{Made, Stock};
use super::station::{Account, Run, RunError, Station, Stop};
use crate::clock::now_ns;
use crate::fan::Fan;
use crate::job::{Fault, Job, Probe, RunKind, SideReport, Source, Task};
use crate::payload::Records;
use crate::shared::{SharedPage, Side};
use crate::transport::{Receiver, Sender, Transport, join};

/// The end of the link that a process holds.
enum End<Tx, Rx> {
    Sends(Tx),
    Receives { rx: Rx, ledger: Ledger },
}

/// Does the job of one of several processes over a transport.
pub fn run_crowd<T: Transport>(transport: &T, job: &Job, page: &SharedPage) -> SideReport {
    let mut station = Station::new(job, page);
    let done = station
        .join(|| open(transport, job))
        .and_then(|end| work(&mut station, end));
    station.into_report(&done)
}

fn open<T: Transport>(transport: &T, job: &Job) -> io::Result<End<T::Tx, T::Rx>> {
    match job.seat.side {
        Side::Left => transport.sender(&job.forward).map(End::Sends),
        Side::Right => {
            let ledger: Vec<_> = job.ledger_fd.into_iter().collect();
            Ok(End::Receives {
                rx: transport.receiver(&job.forward)?,
                ledger: Ledger::open(join::share(&ledger)?),
            })
        }
    }
}

fn work<Tx: Sender, Rx: Receiver>(
    station: &mut Station<'_>,
    mut end: End<Tx, Rx>,
) -> Result<(), Stop> {
    match &station.job.task {
        Task::Integrity {
            lengths,
            messages,
            fault,
        } => integrity(station, &mut end, *lengths, *messages, *fault),
        Task::Measure { source, probes } => {
            let [Probe::Stream { window_ns }] = probes[..] else {
                return Err(station.fail("several processes make nothing but streams".to_owned()));
            };
            match source {
                Source::Pattern { len } => stream(station, &mut end, &Made(*len), window_ns),
                Source::Records { origin, first } => {
                    let mut records = Records::load(origin).map_err(|e| station.fail(e))?;
                    records.begin_with(*first);
                    let stock = Numbered {
                        records: &records,
                        producers: station.job.fan.producers,
                    };
                    stream(station, &mut end, &stock, window_ns)
                }
            }
        }
        Task::Hold { .. } => Err(station.fail("whoever holds is not measured".to_owned())),
    }
}

fn integrity<Tx: Sender, Rx: Receiver>(
    station: &mut Station<'_>,
    end: &mut End<Tx, Rx>,
    lengths: Lengths,
    messages: u64,
    fault: Option<Fault>,
) -> Result<(), Stop> {
    // Nobody is in a hurry here: so long as the slowest mechanism takes for each message.
    const EXPECTED_NS: u64 = 10_000;
    let mut buffer = aligned_buffer(station, lengths.max())?;
    let fan = station.job.fan;
    // One fault is enough.
    let fault = fault.filter(|_| station.job.seat.leads());
    let expected_ns = messages * EXPECTED_NS;
    station.single(
        RunKind::Integrity,
        messages,
        expected_ns,
        |page, run| match end {
            End::Sends(tx) => send_varied(page, run, tx, &mut buffer, (fan, lengths), fault),
            End::Receives { rx, ledger } => {
                let content = Pattern { lengths };
                receive_some::<_, _, false>(page, run, rx, &mut buffer, (fan, content), ledger)
            }
        },
    )
}

fn stream<Tx: Sender, Rx: Receiver, S: Stock>(
    station: &mut Station<'_>,
    end: &mut End<Tx, Rx>,
    stock: &S,
    window_ns: u64,
) -> Result<(), Stop> {
    let mut buffer = aligned_buffer(station, stock.len_max())?;
    let buffer = &mut buffer[..stock.len_max()];
    let fan = station.job.fan;
    let pacing = Pacing::stream(window_ns, station.job.forward.capacity)
        .at_most(messages_max(fan))
        .in_multiples_of(stock.multiple())
        .expecting(stock.expected_ns());
    station.window(RunKind::Drained, pacing, |page, run| match end {
        End::Sends(tx) => send_share(page, run, tx, (stock, buffer), fan),
        End::Receives { rx, ledger } => {
            let how = (fan, stock.content(run.base));
            receive_some::<_, _, false>(page, run, rx, buffer, how, ledger)
        }
    })?;
    station.window(RunKind::Working, pacing, |page, run| match end {
        End::Sends(tx) => send_share(page, run, tx, (stock, buffer), fan),
        End::Receives { rx, ledger } => {
            let how = (fan, stock.content(run.base));
            receive_some::<_, _, true>(page, run, rx, buffer, how, ledger)
        }
    })
}

/// Sends this producer's share of the messages of a run; the buffer has the length of the longest one.
#[inline(never)]
fn send_share<Tx: Sender, S: Stock>(
    page: &SharedPage,
    run: Run,
    tx: &mut Tx,
    (stock, buffer): (&S, &mut [u8]),
    fan: Fan,
) -> Account {
    tx.begin_window(run.deadline);
    page.note_start(run.seat, now_ns());
    let share = fan.share(run.messages, run.seat.rank);
    let first = number(run.base, run.seat.rank, 0);
    for index in 0..share {
        let message = stock.message(first + index, run.base, buffer);
        if let Err(error) = tx.send(message) {
            return sent(index, Err(error));
        }
    }
    let told = tell_end(page, run, fan, |number| {
        tx.send(stock.message(number, run.base, buffer))
    });
    Account {
        beside: fan.consumers.into(),
        ..sent(share, told)
    }
}

/// The same in varied lengths, with a fault in the middle if it is told to.
#[inline(never)]
fn send_varied<Tx: Sender>(
    page: &SharedPage,
    run: Run,
    tx: &mut Tx,
    buffer: &mut [u8],
    (fan, lengths): (Fan, Lengths),
    fault: Option<Fault>,
) -> Account {
    tx.begin_window(run.deadline);
    page.note_start(run.seat, now_ns());
    let share = fan.share(run.messages, run.seat.rank);
    let first = number(run.base, run.seat.rank, 0);
    let mut send = |index: u64, flipped_bit: u8| {
        let message = &mut buffer[..lengths.of(first + index)];
        fill(message, first + index);
        if let Some(last) = message.last_mut() {
            *last ^= flipped_bit;
        }
        tx.send(message)
    };
    let middle = share / 2;
    for index in 0..share {
        let result = match fault.filter(|_| index == middle) {
            None => send(index, 0),
            // What is reordered comes at the very end, when whoever gets it has certainly seen later ones.
            Some(Fault::Lost | Fault::Reordered) => Ok(()),
            Some(Fault::Duplicated) => send(index, 0).and_then(|()| send(index, 0)),
            Some(Fault::Corrupted) => send(index, 1 << 3),
        };
        if let Err(error) = result {
            return sent(index, Err(error));
        }
    }
    if fault == Some(Fault::Reordered)
        && let Err(error) = send(middle, 0)
    {
        return sent(share - 1, Err(error));
    }
    let told = tell_end(page, run, fan, |number| {
        let message = &mut buffer[..lengths.of(number)];
        fill(message, number);
        tx.send(message)
    });
    sent(share, told)
}

/// The last of the producers tells each consumer that nothing more will come.
fn tell_end(
    page: &SharedPage,
    run: Run,
    fan: Fan,
    mut send: impl FnMut(u64) -> io::Result<()>,
) -> io::Result<()> {
    if !page.is_last_producer() {
        return Ok(());
    }
    (0..fan.consumers).try_for_each(|consumer| send(number_of_end(run.base, consumer)))
}

/// Receives and verifies what comes to this consumer until it is told the end; `WORKS` says whether it works a little for each.
#[inline(never)]
fn receive_some<Rx: Receiver, C: Content, const WORKS: bool>(
    page: &SharedPage,
    run: Run,
    rx: &mut Rx,
    buffer: &mut [u8],
    (fan, content): (Fan, C),
    ledger: &mut Ledger,
) -> Account {
    rx.begin_window(run.deadline);
    let mut checker = CrowdChecker::new(content, fan, run.base, run.messages);
    let received = receive_until_end::<_, _, WORKS>(rx, buffer, &mut checker);
    page.note_finish(run.seat, now_ns());
    let received = received.and_then(|()| {
        let left = page.taken_by_all(checker.taken());
        let left = left.map_or(0, |taken| run.messages.saturating_sub(taken));
        if left == 0 {
            return Ok(());
        }
        let received = receive_rest(rx, buffer, &mut checker, left);
        page.note_finish(run.seat, now_ns());
        received
    });
    let (arrived, seen) = checker.finish();
    let written = ledger.append(fan, run.seat.rank, &seen);
    account(fan, arrived, received.and(written))
}

fn account(fan: Fan, arrived: Arrived, result: io::Result<()>) -> Account {
    Account {
        beside: fan.consumers.into(),
        arrived: Some(arrived),
        error: result.err().map(RunError::Receive),
        ..Account::default()
    }
}

#[inline]
fn receive_until_end<Rx: Receiver, C: Content, const WORKS: bool>(
    rx: &mut Rx,
    buffer: &mut [u8],
    checker: &mut CrowdChecker<C>,
) -> io::Result<()> {
    loop {
        let len = rx.recv(buffer)?;
        let message = &buffer[..len];
        if checker.check(message) == Came::End {
            return Ok(());
        }
        if WORKS {
            work_a_little(message);
        }
    }
}

/// Receives so many messages that the end has overtaken.
#[cold]
fn receive_rest<Rx: Receiver, C: Content>(
    rx: &mut Rx,
    buffer: &mut [u8],
    checker: &mut CrowdChecker<C>,
    left: u64,
) -> io::Result<()> {
    let goal = checker.taken() + left;
    while checker.taken() < goal {
        let len = rx.recv(buffer)?;
        checker.check(&buffer[..len]);
    }
    Ok(())
}
