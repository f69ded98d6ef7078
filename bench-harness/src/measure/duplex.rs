//! The job of a measured process over a transport: joins the links and does the runs of its task.

use std::io;

use memmap2::MmapMut;
use nix::sys::signal::{Signal, raise};

use super::crowd::run_crowd;
use super::exchange::{answer, initiate};
use super::flow::{receive_all, send_all, send_with_fault};
use super::latency::Recorder;
use super::paced::{receive_paced, send_paced};
use super::pacing::Pacing;
use super::pattern::{Lengths, Pattern};
use super::planted::Planted;
use super::schedule::Pace;
use super::source::{Made, Stock};
use super::station::{RunError, Station, Stop};
use crate::clock::Monotonic;
use crate::fan::Stopped;
use crate::job::{Fault, Job, Probe, RunKind, SideReport, Source, Task};
use crate::payload::Records;
use crate::shared::{RunOrder, SharedPage, Side};
use crate::transport::{Receiver, Sender, Ticket, Transport};

/// The ends of the links that a process holds. The way back exists only where round trips are made.
enum Ends<Tx, Rx> {
    Left { tx: Tx, back: Option<Rx> },
    Right { rx: Rx, back: Option<Tx> },
}

/// Does the job of one measured process over a transport.
pub fn run_transport<T: Transport>(transport: &T, job: &Job, page: &SharedPage) -> SideReport {
    if let Task::Hold { who } = job.task {
        return hold(transport, &job.forward, who);
    }
    if job.plants.is_none() {
        run_as_it_is(transport, job, page)
    } else {
        let plants = job.plants;
        run_as_it_is(&Planted { transport, plants }, job, page)
    }
}

fn run_as_it_is<T: Transport>(transport: &T, job: &Job, page: &SharedPage) -> SideReport {
    if !job.fan.is_pair() {
        return run_crowd(transport, job, page);
    }
    let mut station = Station::new(job, page);
    let done = station
        .join(|| join(transport, job))
        .and_then(|ends| work(&mut station, ends));
    station.into_report(&done)
}

/// Stops in the middle of a message, for good: the coordinator ends this process when it ends the session.
fn hold<T: Transport>(transport: &T, link: &Ticket, who: Stopped) -> SideReport {
    let stop = || {
        // It can't fail: the signal is a valid one.
        let _ = raise(Signal::SIGSTOP);
    };
    match transport.hold(link, who, stop) {
        Ok(()) => SideReport::failed(format!("the stopped {who} was let go on")),
        Err(error) => SideReport::failed(format!("the {who} that was to stop failed: {error}")),
    }
}

/// Opens the ends in the same order on both sides, so that ends that wait for each other meet.
fn join<T: Transport>(transport: &T, job: &Job) -> io::Result<Ends<T::Tx, T::Rx>> {
    match job.seat.side {
        Side::Left => {
            let tx = transport.sender(&job.forward)?;
            let back = job
                .back
                .as_ref()
                .map(|back| transport.receiver(back))
                .transpose()?;
            Ok(Ends::Left { tx, back })
        }
        Side::Right => {
            let rx = transport.receiver(&job.forward)?;
            let back = job
                .back
                .as_ref()
                .map(|back| transport.sender(back))
                .transpose()?;
            Ok(Ends::Right { rx, back })
        }
    }
}

fn work<Tx: Sender, Rx: Receiver>(
    station: &mut Station<'_>,
    mut ends: Ends<Tx, Rx>,
) -> Result<(), Stop> {
    match &station.job.task {
        Task::Integrity {
            lengths,
            messages,
            fault,
        } => integrity(station, &mut ends, *lengths, *messages, *fault),
        Task::Measure { source, probes } => match source {
            Source::Pattern { len } => measure(station, &mut ends, &Made(*len), probes),
            Source::Records { origin, first } => {
                let mut records = Records::load(origin).map_err(|error| station.fail(error))?;
                records.begin_with(*first);
                measure(station, &mut ends, &records, probes)
            }
        },
        Task::Hold { .. } => Err(station.fail("whoever holds is not measured".to_owned())),
    }
}

/// A page-aligned buffer: the alignment of the messages must not differ from one process to the next.
///
/// # Errors
/// When there is no memory left.
pub fn aligned_buffer(station: &mut Station<'_>, len: usize) -> Result<MmapMut, Stop> {
    MmapMut::map_anon(len.max(1))
        .map_err(|error| station.fail(format!("no memory for a buffer of {len} bytes: {error}")))
}

fn integrity<Tx: Sender, Rx: Receiver>(
    station: &mut Station<'_>,
    ends: &mut Ends<Tx, Rx>,
    lengths: Lengths,
    messages: u64,
    fault: Option<Fault>,
) -> Result<(), Stop> {
    // Nobody is in a hurry here: so long as the slowest mechanism takes for each message.
    const EXPECTED_NS: u64 = 10_000;
    let mut buffer = aligned_buffer(station, lengths.max())?;
    station.single(
        RunKind::Integrity,
        messages,
        messages * EXPECTED_NS,
        |page, run| match ends {
            Ends::Left { tx, .. } => send_with_fault(page, run, tx, &mut buffer, lengths, fault),
            Ends::Right { rx, .. } => {
                receive_all::<_, _, false>(page, run, rx, &mut buffer, Pattern { lengths })
            }
        },
    )
}

fn measure<Tx: Sender, Rx: Receiver, S: Stock>(
    station: &mut Station<'_>,
    ends: &mut Ends<Tx, Rx>,
    stock: &S,
    probes: &[Probe],
) -> Result<(), Stop> {
    for probe in probes {
        match *probe {
            Probe::Stream { window_ns } => stream(station, ends, stock, window_ns)?,
            Probe::RoundTrip { window_ns } => round_trip(station, ends, stock, window_ns)?,
            Probe::Paced { window_ns, pace } => paced(station, ends, stock, window_ns, pace)?,
        }
    }
    Ok(())
}

fn stream<Tx: Sender, Rx: Receiver, S: Stock>(
    station: &mut Station<'_>,
    ends: &mut Ends<Tx, Rx>,
    stock: &S,
    window_ns: u64,
) -> Result<(), Stop> {
    let mut buffer = aligned_buffer(station, stock.len_max())?;
    let buffer = &mut buffer[..stock.len_max()];
    let pacing = Pacing::stream(window_ns, station.job.forward.capacity)
        .in_multiples_of(stock.multiple())
        .expecting(stock.expected_ns());
    station.window(RunKind::Drained, pacing, |page, run| match ends {
        Ends::Left { tx, .. } => send_all(page, run, tx, buffer, stock),
        Ends::Right { rx, .. } => {
            receive_all::<_, _, false>(page, run, rx, buffer, stock.content(run.base))
        }
    })?;
    station.window(RunKind::Working, pacing, |page, run| match ends {
        Ends::Left { tx, .. } => send_all(page, run, tx, buffer, stock),
        Ends::Right { rx, .. } => {
            receive_all::<_, _, true>(page, run, rx, buffer, stock.content(run.base))
        }
    })
}

fn round_trip<Tx: Sender, Rx: Receiver, S: Stock>(
    station: &mut Station<'_>,
    ends: &mut Ends<Tx, Rx>,
    stock: &S,
    window_ns: u64,
) -> Result<(), Stop> {
    let mut message = aligned_buffer(station, stock.len_max())?;
    let mut reply = aligned_buffer(station, stock.len_max())?;
    let message = &mut message[..stock.len_max()];
    let reply = &mut reply[..stock.len_max()];
    let mut recorder = Recorder::default();
    let pacing = Pacing::round_trip(window_ns);
    match ends {
        Ends::Left { tx, back: Some(rx) } => {
            station.window(RunKind::RoundTrip, pacing, |page, run| {
                tx.begin_window(run.deadline);
                rx.begin_window(run.deadline);
                let buffers = (&mut *message, &mut *reply);
                initiate(
                    page,
                    run,
                    stock,
                    buffers,
                    &mut recorder,
                    |message, reply| {
                        tx.send(message).map_err(RunError::Send)?;
                        rx.recv(reply).map_err(RunError::Receive)
                    },
                )
            })
        }
        Ends::Right { rx, back: Some(tx) } => {
            station.window(RunKind::RoundTrip, pacing, |_, run| {
                tx.begin_window(run.deadline);
                rx.begin_window(run.deadline);
                answer(run, stock, message, |buffer| {
                    let len = rx.recv(buffer).map_err(RunError::Receive)?;
                    tx.send(&buffer[..len]).map_err(RunError::Send)?;
                    Ok(len)
                })
            })
        }
        _ => Err(station.fail("a round trip needs a way back".to_owned())),
    }
}

/// The rate is known, so no trial has to find it out: a short run wakes everything up, and the window follows.
fn paced<Tx: Sender, Rx: Receiver, S: Stock>(
    station: &mut Station<'_>,
    ends: &mut Ends<Tx, Rx>,
    stock: &S,
    window_ns: u64,
    pace: Pace,
) -> Result<(), Stop> {
    const WARM_UP: u64 = 16;
    let moments = stock.moments(pace).ok_or_else(|| {
        station.fail("the messages have no moments of their own at which they are due".to_owned())
    })?;
    let mut buffer = aligned_buffer(station, stock.len_max())?;
    let buffer = &mut buffer[..stock.len_max()];
    let mut recorder = Recorder::default();
    let is_crowded = station.job.is_crowded;
    let messages = pace.messages_within(window_ns);
    let warm_up = pace.messages_within(window_ns / 8).min(WARM_UP);
    for (messages, is_final) in [(warm_up, false), (messages, true)] {
        let order = RunOrder { messages, is_final };
        let expected_ns = window_ns.max(moments.expected_ns(messages));
        station.ordered(RunKind::Paced, order, expected_ns, |page, run| {
            let moments = moments.clone();
            match ends {
                Ends::Left { tx, .. } => {
                    let source = (stock, &mut *buffer);
                    send_paced(page, run, tx, source, moments, is_crowded, &Monotonic)
                }
                Ends::Right { rx, .. } => {
                    let source = (stock, &mut *buffer);
                    receive_paced(page, run, rx, source, moments, &mut recorder, &Monotonic)
                }
            }
        })?;
    }
    Ok(())
}
