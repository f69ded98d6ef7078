//! The job of a measured process whose side of the link is a program of the user's.

use std::path::Path;

use super::hello::{Abilities, Refusal, Role};
use super::messages::Messages;
use super::paced::{MESSAGES_MAX, Ramp};
use super::peer::{Correction, Peer};
use super::program::Program;
use super::protocol::ROUND_TRIPS_MAX;
use super::{External, Greeted};
use crate::job::{Fault, Job, Probe, RunKind, RunReport, SideReport, Source, Task};
use crate::measure::pacing::Pacing;
use crate::measure::pattern::Lengths;
use crate::measure::schedule::Pace;
use crate::measure::station::{Station, Stop};
use crate::payload::Records;
use crate::shared::{SharedPage, Side};

/// The multiplications of a receiver that works a little for each message: as many as those of a transport's.
const WORK_TURNS: u32 = 8;

/// Does the job of one measured process.
pub(super) fn run(external: &External, job: &Job, page: &SharedPage) -> SideReport {
    let refuse = |reason: &str| {
        page.abort();
        SideReport::failed(external.blame(reason))
    };
    if job.plants.delay_ns > 0 {
        return refuse("its sends can't be made slower from outside");
    }
    let Some(terms) = &job.forward.external else {
        return refuse("its link was not made for a program");
    };
    let mut station = Station::new(job, page);
    let mut corrections = Vec::new();
    let done = start(external, &mut station).and_then(|(program, can)| {
        let mut peer = Peer {
            external,
            program,
            can,
            folder: Path::new(&terms.folder),
            plants: job.plants,
            cpu: job.cpu,
            corrections: Vec::new(),
        };
        let result = do_task(&mut station, &mut peer);
        let Peer { program, .. } = peer;
        corrections = peer.corrections;
        result?;
        let ended = program.quit();
        ended.map_err(|problem| station.fail(external.blame(&problem)))
    });
    let mut report = station.into_report(&done);
    for (run, correction) in report.runs.iter_mut().zip(&corrections) {
        correct(run, correction);
    }
    // One side says when it began, and the other one when it ended.
    let is_over = report.failure.is_none() && !report.was_aborted;
    let is_impossible = |run: &RunReport| run.messages > 1 && run.elapsed_ns <= 1;
    if is_over && report.runs.iter().any(is_impossible) {
        let problem = "the receiving side ended before the sending one began, by their own account";
        report.failure = Some(external.blame(problem));
    }
    report
}

/// The cost of a run is that of the program, and of what this process does that a transport does as well.
fn correct(run: &mut RunReport, correction: &Correction) {
    let usage = &mut run.usage;
    usage.cpu_ns = usage.cpu_ns.saturating_sub(correction.verifying_ns) + correction.program.cpu_ns;
    usage.queued_ns = usage
        .queued_ns
        .map(|own_ns| own_ns + correction.program.queued_ns);
    // Nobody counts those of another program.
    usage.system_calls = None;
    usage.voluntary_switches += correction.program.voluntary_switches;
    usage.involuntary_switches += correction.program.involuntary_switches;
    usage.resident_bytes = correction.resident_bytes;
}

/// Starts the program as the side that this is.
fn start(external: &External, station: &mut Station<'_>) -> Result<(Program, Abilities), Stop> {
    let job = station.job;
    let role = match job.seat.side {
        Side::Left => Role::Left,
        Side::Right => Role::Right,
    };
    let links = Greeted {
        forward: &job.forward.text,
        back: job.back.as_ref().map(|back| back.text.as_str()),
        message_len_max: job.forward.message_len_max,
        capacity: job.forward.capacity,
        shares_core: job.is_crowded,
        records: job.records.as_deref(),
    };
    match external.greet(role, &links) {
        Ok((program, ready)) => Ok((program, ready.can)),
        Err(Refusal::Wrong(problem)) => Err(station.fail(external.blame(&problem))),
        Err(Refusal::Unavailable(reason)) => {
            let problem = format!("it could when it was asked before, and now can't: {reason}");
            Err(station.fail(external.blame(&problem)))
        }
    }
}

fn do_task(station: &mut Station<'_>, peer: &mut Peer<'_>) -> Result<(), Stop> {
    match &station.job.task {
        Task::Integrity {
            lengths,
            messages,
            fault,
        } => integrity(station, peer, *lengths, *messages, *fault),
        Task::Measure { source, probes } => {
            let messages = match source {
                Source::Pattern { len } => Messages::Made(Lengths::Fixed(*len)),
                Source::Records { origin, first } => {
                    let records = Records::load(origin).map_err(|error| station.fail(error))?;
                    Messages::of_records(records, *first)
                }
            };
            for probe in probes {
                match *probe {
                    Probe::Stream { window_ns } => stream(station, peer, &messages, window_ns)?,
                    Probe::RoundTrip { window_ns } => {
                        round_trips(station, peer, &messages, window_ns)?;
                    }
                    Probe::Paced { window_ns, pace } => {
                        paced(station, peer, &messages, window_ns, pace)?;
                    }
                }
            }
            Ok(())
        }
        Task::Hold { .. } => {
            let problem = "it can't be stopped in the middle of a message";
            Err(station.fail(peer.external.blame(problem)))
        }
    }
}

fn integrity(
    station: &mut Station<'_>,
    peer: &mut Peer<'_>,
    lengths: Lengths,
    messages: u64,
    fault: Option<Fault>,
) -> Result<(), Stop> {
    // As long as a transport of the slowest kind takes.
    const EXPECTED_NS: u64 = 10_000;
    // A fault moves messages to the places of others: it is the only one then, as long as all are of one length.
    let lengths = match fault {
        None => lengths,
        Some(_) => Lengths::Fixed(lengths.max()),
    };
    let all = Messages::Made(lengths);
    station.single(
        RunKind::Integrity,
        messages,
        messages * EXPECTED_NS,
        |page, run| match run.seat.side {
            Side::Left => peer.send(page, run, &all, fault),
            Side::Right => peer.receive_each(page, run, &all, fault),
        },
    )
}

fn stream(
    station: &mut Station<'_>,
    peer: &mut Peer<'_>,
    messages: &Messages,
    window_ns: u64,
) -> Result<(), Stop> {
    let pacing = Pacing::stream(window_ns, station.job.forward.capacity)
        .in_multiples_of(messages.multiple())
        .expecting(messages.expected_ns());
    for (kind, work_turns) in [(RunKind::Drained, 0), (RunKind::Working, WORK_TURNS)] {
        station.window(kind, pacing, |page, run| match run.seat.side {
            Side::Left => peer.send(page, run, messages, None),
            Side::Right => peer.receive(page, run, messages, work_turns),
        })?;
    }
    Ok(())
}

fn round_trips(
    station: &mut Station<'_>,
    peer: &mut Peer<'_>,
    messages: &Messages,
    window_ns: u64,
) -> Result<(), Stop> {
    let pacing = Pacing::round_trip(window_ns).at_most(ROUND_TRIPS_MAX);
    station.window(RunKind::RoundTrip, pacing, |page, run| {
        match run.seat.side {
            Side::Left => peer.initiate(page, run, messages),
            Side::Right => peer.answer(run, messages),
        }
    })
}

fn paced(
    station: &mut Station<'_>,
    peer: &mut Peer<'_>,
    messages: &Messages,
    window_ns: u64,
    pace: Pace,
) -> Result<(), Stop> {
    let moments = messages.moments(pace).ok_or_else(|| {
        station.fail("the messages have no moments of their own at which they are due".to_owned())
    })?;
    let mut ramp = Ramp {
        messages: pace.messages_within(window_ns).min(MESSAGES_MAX),
        moments: &moments,
        is_suspect: false,
    };
    let expected_ns = window_ns.max(moments.expected_ns(ramp.messages));
    let next = |last| ramp.next(last);
    station.series(RunKind::Paced, expected_ns, next, |page, run| {
        match run.seat.side {
            Side::Left => peer.send_at(page, run, messages, moments.clone()),
            Side::Right => peer.receive_at(page, run, messages, &moments),
        }
    })
}
