//! The job of a measured process whose side of the link is a program of the user's.

use std::time::Instant;

use nix::time::{ClockId, clock_gettime};

use super::cost::{Cost, Snapshot, own_queued_ns};
use super::program::Program;
use super::protocol::{
    Answer, Between, Done, LENS_MAX, Order, ROUND_TRIPS_MAX, Refusal, Role, Verb,
};
use super::{External, Greeted};
use crate::clock::now_ns;
use crate::job::{Fault, Job, Probe, RunKind, SideReport, Source, Task};
use crate::measure::integrity::{Arrived, Tally};
use crate::measure::latency::Recorder;
use crate::measure::pacing::Pacing;
use crate::measure::pattern::{Lengths, fill};
use crate::measure::station::{Account, Run, RunError, Station, Stop};
use crate::shared::{SharedPage, Side};

/// Round trips at the start of every run that are made and checked, but not timed: as many as those of a transport.
const WARM_UP: u64 = 8;

/// The multiplications of a receiver that works a little for each message: as many as those of a transport's.
const WORK_TURNS: u32 = 8;

/// What one run costs beside what this process used: that of the program, less that of the verification.
#[derive(Debug, Clone, Copy, Default)]
struct Correction {
    program: Cost,
    verifying_ns: u64,
}

/// Does the job of one measured process.
pub(super) fn run(external: &External, job: &Job, page: &SharedPage) -> SideReport {
    if !job.plants.is_none() {
        page.abort();
        return SideReport::failed(
            external.blame("nothing can be made to go wrong in it on purpose"),
        );
    }
    let mut station = Station::new(job, page);
    let mut corrections = Vec::new();
    let done = start(external, &mut station).and_then(|program| {
        let mut side = Peer {
            external,
            program,
            corrections: &mut corrections,
        };
        do_task(&mut station, &mut side)?;
        let ended = side.program.quit();
        ended.map_err(|problem| station.fail(external.blame(&problem)))
    });
    let mut report = station.into_report(&done);
    for (run, correction) in report.runs.iter_mut().zip(corrections) {
        let usage = &mut run.usage;
        usage.cpu_ns =
            usage.cpu_ns.saturating_sub(correction.verifying_ns) + correction.program.cpu_ns;
        usage.queued_ns = usage
            .queued_ns
            .map(|own_ns| own_ns + correction.program.queued_ns);
        // Nobody counts those of another program.
        usage.system_calls = None;
        usage.voluntary_switches += correction.program.voluntary_switches;
        usage.involuntary_switches += correction.program.involuntary_switches;
    }
    // One side says when it began, and the other one when it ended.
    let is_over = report.failure.is_none() && !report.was_aborted;
    let is_impossible = |run: &crate::job::RunReport| run.messages > 1 && run.elapsed_ns <= 1;
    if is_over && report.runs.iter().any(is_impossible) {
        let problem = "the receiving side ended before the sending one began, by their own account";
        report.failure = Some(external.blame(problem));
    }
    report
}

/// Starts the program as the side that this is.
fn start(external: &External, station: &mut Station<'_>) -> Result<Program, Stop> {
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
    };
    match external.greet(role, &links) {
        Ok((program, _)) => Ok(program),
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
        } => {
            // As long as a transport of the slowest kind takes.
            const EXPECTED_NS: u64 = 10_000;
            let (lengths, fault) = (*lengths, *fault);
            let expected_ns = messages * EXPECTED_NS;
            station.single(
                RunKind::Integrity,
                *messages,
                expected_ns,
                |page, run| match run.seat.side {
                    Side::Left => peer.send(page, run, lengths, fault),
                    Side::Right => peer.receive(page, run, lengths, 0),
                },
            )
        }
        Task::Measure {
            source: Source::Pattern { len },
            probes,
        } => {
            let lengths = Lengths::Fixed(*len);
            for probe in probes {
                match *probe {
                    Probe::Stream { window_ns } => stream(station, peer, lengths, window_ns)?,
                    Probe::RoundTrip { window_ns } => {
                        round_trips(station, peer, lengths, window_ns)?;
                    }
                    Probe::Paced { .. } => {
                        let problem = "programs aren't told when messages are due";
                        return Err(station.fail(peer.external.blame(problem)));
                    }
                }
            }
            Ok(())
        }
        _ => {
            let problem = "programs are measured with messages of the harness's own making only";
            Err(station.fail(peer.external.blame(problem)))
        }
    }
}

fn stream(
    station: &mut Station<'_>,
    peer: &mut Peer<'_>,
    lengths: Lengths,
    window_ns: u64,
) -> Result<(), Stop> {
    let pacing = Pacing::stream(window_ns, station.job.forward.capacity);
    for (kind, work_turns) in [(RunKind::Drained, 0), (RunKind::Working, WORK_TURNS)] {
        station.window(kind, pacing, |page, run| match run.seat.side {
            Side::Left => peer.send(page, run, lengths, None),
            Side::Right => peer.receive(page, run, lengths, work_turns),
        })?;
    }
    Ok(())
}

fn round_trips(
    station: &mut Station<'_>,
    peer: &mut Peer<'_>,
    lengths: Lengths,
    window_ns: u64,
) -> Result<(), Stop> {
    let pacing = Pacing::round_trip(window_ns).at_most(ROUND_TRIPS_MAX);
    station.window(RunKind::RoundTrip, pacing, |page, run| {
        match run.seat.side {
            Side::Left => peer.initiate(page, run, lengths),
            Side::Right => peer.answer(run, lengths),
        }
    })
}

/// The program as a run sees it.
struct Peer<'a> {
    external: &'a External,
    program: Program,
    corrections: &'a mut Vec<Correction>,
}

/// Which messages are sent from which place of a run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    place: u64,
    first: u64,
    messages: u64,
}

/// All messages of a run in order, or with a fault in the middle of them. There are always as many, so that the receiver has all it waits for.
fn pieces(messages: u64, fault: Option<Fault>) -> Vec<Piece> {
    let middle = messages / 2;
    // A number of no run.
    let strange = 1 << 39;
    let sent = match fault {
        None => vec![(0, messages)],
        Some(Fault::Lost) => vec![(0, middle), (middle + 1, messages - middle)],
        Some(Fault::Duplicated) => vec![(0, middle + 1), (middle, messages - middle - 1)],
        Some(Fault::Corrupted) => vec![
            (0, middle),
            (strange, 1),
            (middle + 1, messages - middle - 1),
        ],
        Some(Fault::Reordered) => vec![
            (0, middle),
            (middle + 1, 1),
            (middle, 1),
            (middle + 2, (messages - middle).saturating_sub(2)),
        ],
    };
    let mut place = 0;
    let sent = sent.into_iter().filter(|&(_, messages)| messages > 0);
    sent.map(|(first, messages)| {
        let piece = Piece {
            place,
            first,
            messages,
        };
        place += messages;
        piece
    })
    .collect()
}

/// The lengths of the messages from a place of a run on, after which they begin again.
fn lens_from(lengths: Lengths, run: Run, place: u64) -> Vec<usize> {
    match lengths {
        Lengths::Fixed(len) => vec![len],
        Lengths::Varied { .. } => {
            let cycle = run.messages.clamp(1, LENS_MAX as u64);
            (place..place + cycle)
                .map(|place| lengths.of(run.base + place % cycle))
                .collect()
        }
    }
}

impl Peer<'_> {
    fn send(
        &mut self,
        page: &SharedPage,
        run: Run,
        lengths: Lengths,
        fault: Option<Fault>,
    ) -> Account {
        let mut correction = Correction::default();
        let mut started_ns = None;
        let mut result = Ok(());
        for piece in pieces(run.messages, fault) {
            let lens = lens_from(lengths, run, piece.place);
            let order = Order {
                order: Verb::Send,
                first: run.base + piece.first,
                messages: piece.messages,
                warm_up: 0,
                lens: &lens,
                work_turns: 0,
            };
            match self.order(&order, run.deadline, &mut correction) {
                Ok(done) => started_ns = started_ns.or(Some(done.started_ns)),
                Err(problem) => result = Err(RunError::Send(problem)),
            }
            if result.is_err() {
                break;
            }
        }
        page.note_start(run.seat, started_ns.unwrap_or_else(now_ns));
        self.corrections.push(correction);
        Account {
            sent: if result.is_ok() { run.messages } else { 0 },
            error: result.err(),
            ..Account::default()
        }
    }

    fn receive(
        &mut self,
        page: &SharedPage,
        run: Run,
        lengths: Lengths,
        work_turns: u32,
    ) -> Account {
        let lens = lens_from(lengths, run, 0);
        let order = Order {
            order: Verb::Receive,
            first: run.base,
            messages: run.messages,
            warm_up: 0,
            lens: &lens,
            work_turns,
        };
        self.take_part(run, &order, |done| {
            page.note_finish(run.seat, done.finished_ns)
        })
    }

    fn initiate(&mut self, page: &SharedPage, run: Run, lengths: Lengths) -> Account {
        let lens = lens_from(lengths, run, 0);
        let order = Order {
            order: Verb::Initiate,
            first: run.base,
            messages: run.messages + WARM_UP,
            warm_up: WARM_UP,
            lens: &lens,
            work_turns: 0,
        };
        let mut times = None;
        let account = self.take_part(run, &order, |done| {
            page.note_start(run.seat, done.started_ns);
            page.note_finish(run.seat, done.finished_ns);
            let mut recorder = Recorder::default();
            for (time_ns, count) in done.round_trips() {
                (0..count).for_each(|_| recorder.record(time_ns));
            }
            times = Some(recorder.distribution());
        });
        Account { times, ..account }
    }

    fn answer(&mut self, run: Run, lengths: Lengths) -> Account {
        let lens = lens_from(lengths, run, 0);
        let order = Order {
            order: Verb::Answer,
            first: run.base,
            messages: run.messages + WARM_UP,
            warm_up: 0,
            lens: &lens,
            work_turns: 0,
        };
        self.take_part(run, &order, |_| {})
    }

    /// Orders what makes the program receive, and compares what it received.
    fn take_part(&mut self, run: Run, order: &Order<'_>, note: impl FnOnce(&Done)) -> Account {
        let mut correction = Correction::default();
        let result = self.order(order, run.deadline, &mut correction);
        let account = match result {
            Ok(done) => {
                note(&done);
                let began_ns = own_cpu_ns();
                let is_right = done.crc32 == Some(expected_crc32(order));
                correction.verifying_ns = own_cpu_ns().saturating_sub(began_ns);
                // Which of the messages went wrong, and how, can't be told from a checksum over all of them.
                let tally = Tally {
                    received: order.messages,
                    corrupted: u64::from(!is_right),
                    ..Tally::default()
                };
                Account {
                    sent: match order.order {
                        Verb::Initiate | Verb::Answer => order.messages,
                        Verb::Send | Verb::Receive => 0,
                    },
                    arrived: Some(Arrived::of(tally)),
                    ..Account::default()
                }
            }
            Err(problem) => Account {
                error: Some(RunError::Receive(problem)),
                ..Account::default()
            },
        };
        self.corrections.push(correction);
        account
    }

    /// Gives an order and believes the answer as far as it can be checked here.
    fn order(
        &mut self,
        order: &Order<'_>,
        deadline: Instant,
        correction: &mut Correction,
    ) -> Result<Done, std::io::Error> {
        let before = Snapshot::of(self.program.pid());
        let own_before_ns = own_queued_ns();
        let asked_ns = now_ns();
        let what = match order.order {
            Verb::Send => "send",
            Verb::Receive => "receive",
            Verb::Initiate => "initiate",
            Verb::Answer => "answer",
        };
        let answer = self.program.ask::<Answer>(what, order, deadline);
        let answered_ns = now_ns();
        let cost = Snapshot::of(self.program.pid()).since(&before);
        correction.program += cost;
        let between = Between {
            asked_ns,
            answered_ns,
            queued_ns: cost.queued_ns + own_queued_ns().saturating_sub(own_before_ns),
        };
        answer
            .and_then(|answer| answer.check(order, between))
            .map_err(|problem| std::io::Error::other(self.external.blame(&problem)))
    }
}

/// The checksum of all that an order makes a program receive.
fn expected_crc32(order: &Order<'_>) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; order.lens.iter().copied().max().unwrap_or(0)];
    let sequences = order.first..order.first + order.messages;
    for (sequence, &len) in sequences.zip(order.lens.iter().cycle()) {
        fill(&mut buffer[..len], sequence);
        hasher.update(&buffer[..len]);
    }
    hasher.finalize()
}

/// CPU time of this thread.
fn own_cpu_ns() -> u64 {
    // It can't fail: every thread has this clock.
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(0, |time| {
        time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(lens: &[usize]) -> Order<'_> {
        Order {
            order: Verb::Receive,
            first: 1 << 40,
            messages: 3,
            warm_up: 0,
            lens,
            work_turns: 0,
        }
    }

    #[test]
    fn the_checksum_is_over_all_bytes_in_order() {
        let mut bytes = Vec::new();
        for (sequence, len) in [(1u64 << 40, 8), ((1 << 40) + 1, 20), ((1 << 40) + 2, 8)] {
            let mut message = vec![0; len];
            fill(&mut message, sequence);
            bytes.extend(message);
        }
        assert_eq!(expected_crc32(&order(&[8, 20])), crc32fast::hash(&bytes));
    }

    #[test]
    fn a_fault_keeps_the_count_and_changes_what_comes() {
        let of = |fault| {
            let pieces = pieces(10, fault);
            let sent: Vec<u64> = pieces
                .iter()
                .flat_map(|piece| piece.first..piece.first + piece.messages)
                .collect();
            let places: Vec<u64> = pieces.iter().map(|piece| piece.place).collect();
            assert_eq!(sent.len(), 10, "{fault:?}");
            assert!(places.is_sorted());
            sent
        };
        let plain: Vec<u64> = (0..10).collect();
        assert_eq!(of(None), plain);
        for fault in [
            Fault::Lost,
            Fault::Duplicated,
            Fault::Reordered,
            Fault::Corrupted,
        ] {
            assert_ne!(of(Some(fault)), plain, "{fault:?}");
        }
        assert_eq!(of(Some(Fault::Reordered))[4..8], [4, 6, 5, 7]);
    }
}
