//! The job of a measured process over a transport: joins the links and does the runs of its task.

use std::io;
use std::path::Path;

use memmap2::MmapMut;
use nix::sys::signal::{Signal, raise};

use super::crowd::run_crowd;
use super::exchange::{answer, initiate};
use super::flow::{receive_all, send_pattern, send_records, send_with_fault};
use super::latency::Recorder;
use super::pacing::Pacing;
use super::pattern::{Lengths, Pattern};
use super::station::{RunError, Station, Stop};
use crate::fan::Stopped;
use crate::job::{Fault, Job, RunKind, SideReport, Task};
use crate::payload::{Frame, RecordContent, Records};
use crate::shared::{SharedPage, Side};
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
        Task::Measure {
            message_len,
            stream_window_ns,
            round_trip_window_ns,
        } => {
            if let Some(window_ns) = *stream_window_ns {
                stream(station, &mut ends, *message_len, window_ns)?;
            }
            if let Some(window_ns) = *round_trip_window_ns {
                round_trip(station, &mut ends, *message_len, window_ns)?;
            }
            Ok(())
        }
        Task::Payload { file, frame } => payload(station, &mut ends, file, *frame),
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

fn stream<Tx: Sender, Rx: Receiver>(
    station: &mut Station<'_>,
    ends: &mut Ends<Tx, Rx>,
    message_len: usize,
    window_ns: u64,
) -> Result<(), Stop> {
    let mut buffer = aligned_buffer(station, message_len)?;
    let buffer = &mut buffer[..message_len];
    let pattern = Pattern {
        lengths: Lengths::Fixed(message_len),
    };
    let pacing = Pacing::stream(window_ns, station.job.forward.capacity);
    station.window(RunKind::Drained, pacing, |page, run| match ends {
        Ends::Left { tx, .. } => send_pattern(page, run, tx, buffer),
        Ends::Right { rx, .. } => receive_all::<_, _, false>(page, run, rx, buffer, pattern),
    })?;
    station.window(RunKind::Working, pacing, |page, run| match ends {
        Ends::Left { tx, .. } => send_pattern(page, run, tx, buffer),
        Ends::Right { rx, .. } => receive_all::<_, _, true>(page, run, rx, buffer, pattern),
    })
}

fn round_trip<Tx: Sender, Rx: Receiver>(
    station: &mut Station<'_>,
    ends: &mut Ends<Tx, Rx>,
    message_len: usize,
    window_ns: u64,
) -> Result<(), Stop> {
    let mut message = aligned_buffer(station, message_len)?;
    let mut reply = aligned_buffer(station, message_len)?;
    let (message, reply) = (&mut message[..message_len], &mut reply[..message_len]);
    let mut recorder = Recorder::default();
    let pacing = Pacing::round_trip(window_ns);
    match ends {
        Ends::Left { tx, back: Some(rx) } => {
            station.window(RunKind::RoundTrip, pacing, |page, run| {
                tx.begin_window(run.deadline);
                rx.begin_window(run.deadline);
                initiate(
                    page,
                    run,
                    message,
                    reply,
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
                answer(run, message, |buffer| {
                    let len = rx.recv(buffer).map_err(RunError::Receive)?;
                    tx.send(&buffer[..len]).map_err(RunError::Send)?;
                    Ok(len)
                })
            })
        }
        _ => Err(station.fail("a round trip needs a way back".to_owned())),
    }
}

fn payload<Tx: Sender, Rx: Receiver>(
    station: &mut Station<'_>,
    ends: &mut Ends<Tx, Rx>,
    file: &Path,
    frame: Frame,
) -> Result<(), Stop> {
    let records = Records::open(file, frame).map_err(|problem| station.fail(problem))?;
    let profile = records.profile();
    let mut buffer = aligned_buffer(station, profile.len_max)?;
    let buffer = &mut buffer[..profile.len_max];
    // At least 20 MB/s and 100,000 messages/s, with ten times that as patience.
    let expected_ns = profile.bytes * 5 + profile.records * 1_000;
    station.single(
        RunKind::Payload,
        profile.records,
        expected_ns,
        |page, run| match ends {
            Ends::Left { tx, .. } => send_records(page, run, tx, &records),
            Ends::Right { rx, .. } => {
                let content = RecordContent {
                    records: &records,
                    base: run.base,
                };
                receive_all::<_, _, false>(page, run, rx, buffer, content)
            }
        },
    )
}
