//! The limits of the hardware: rows of the same table, measured by the same loops. (The kernel's, `limit-futex`, is a transport.)
use std::hint::black_box;
use std::io;

use memmap2::MmapMut;

use super::registry::Mechanism;
use super::{Link, LinkError, LinkShape, Ticket};
use crate::clock::now_ns;
use crate::job::{Job, RunKind, SideReport};
use crate::measure::exchange::{answer, initiate};
use crate::measure::flow::sent;
use crate::measure::latency::Recorder;
use crate::measure::pacing::Pacing;
use crate::measure::source::Made;
use crate::measure::station::{Account, Run, RunError, Station, Stop};
use crate::shared::{SharedPage, Side};

fn no_link(shape: &LinkShape) -> Link {
    let ticket = Ticket {
        message_len_max: shape.message_len_max,
        capacity: shape.capacity,
        ..Ticket::default()
    };
    Link {
        ticket,
        fds: Vec::new(),
        cleanup: None,
    }
}

/// The round trip of one cache line between the two cores: each side spins until the other has stored the next number on the
/// one line that both use. No two processes can exchange anything faster through memory.
#[derive(Debug)]
pub struct LimitLine;

impl Mechanism for LimitLine {
    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        Ok(no_link(shape))
    }

    fn run(&self, job: &Job, page: &SharedPage) -> SideReport {
        let mut station = Station::new(job, page);
        let done = exchange_turns(&mut station, |turn, run| {
            if turn.is_mine {
                page.line_store(turn.number);
                Ok(())
            } else {
                await_line(page, turn.number, run.deadline_ns)
            }
        });
        station.into_report(&done)
    }
}

/// Spins until the line carries `number`.
fn await_line(page: &SharedPage, number: u64, deadline_ns: u64) -> io::Result<()> {
    const LOOKS_PER_CLOCK: u32 = 1 << 16;
    loop {
        for _ in 0..LOOKS_PER_CLOCK {
            if page.line_load() == number {
                return Ok(());
            }
        }
        if now_ns() > deadline_ns {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

/// One step of an exchange. The numbers go up by one with every step, so a stale one is never mistaken.
struct Turn {
    number: u64,
    /// This side makes the step; otherwise it waits for it.
    is_mine: bool,
}

/// Round trips of numbers, without content.
fn exchange_turns(
    station: &mut Station<'_>,
    mut step: impl FnMut(Turn, Run) -> io::Result<()>,
) -> Result<(), Stop> {
    let Some(window_ns) = station.job.task.round_trip_window_ns() else {
        return Ok(());
    };
    let pacing = Pacing::round_trip(window_ns);
    let mut recorder = Recorder::default();
    let mut number = 0;
    let side = station.side();
    station.window(RunKind::RoundTrip, pacing, |page, run| {
        let mut both = |first_is_mine: bool| {
            let mut one = |is_mine: bool| {
                number += 1;
                step(Turn { number, is_mine }, run).map_err(if is_mine {
                    RunError::Send
                } else {
                    RunError::Receive
                })
            };
            one(first_is_mine)?;
            one(!first_is_mine)?;
            Ok(0)
        };
        match side {
            Side::Left => {
                let buffers = (&mut [][..], &mut [][..]);
                initiate(page, run, &Made(0), buffers, &mut recorder, |_, _| {
                    both(true)
                })
            }
            Side::Right => answer(run, &Made(0), &mut [], |_| both(false)),
        }
    })
}

/// One copy of a message: from a source that stays in the nearest cache to the next place of a region that is as large as a link of
/// that shape (capacity times message length), around and around, in one process. A message through shared memory
/// is copied at least in and out, and its lines travel between the cores: this is the floor for a single one of these copies.
#[derive(Debug)]
pub struct LimitMemcpy;

impl Mechanism for LimitMemcpy {
    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        Ok(no_link(shape))
    }

    fn run(&self, job: &Job, page: &SharedPage) -> SideReport {
        let mut station = Station::new(job, page);
        let done = copy_windows(&mut station);
        station.into_report(&done)
    }
}

fn copy_windows(station: &mut Station<'_>) -> Result<(), Stop> {
    let Some(window_ns) = station.job.task.stream_window_ns() else {
        return Ok(());
    };
    let message_len = station.job.forward.message_len_max;
    let capacity = station.job.forward.capacity.max(1);
    let pacing = Pacing::stream(window_ns, capacity);
    let side = station.side();
    let no_memory = |error| format!("no memory for {capacity} messages: {error}");
    let mut source = MmapMut::map_anon(message_len).map_err(|e| station.fail(no_memory(e)))?;
    let mut region =
        MmapMut::map_anon(message_len * capacity).map_err(|e| station.fail(no_memory(e)))?;
    source.fill(0x5A);
    region.fill(0);
    station.window(RunKind::Drained, pacing, |page, run| match side {
        Side::Left => {
            page.note_start(run.seat, now_ns());
            copy_all(&source, &mut region, run.messages);
            page.note_finish(run.seat, now_ns());
            sent(run.messages, Ok(()))
        }
        // Nothing travels: the other process has nothing to do, and sleeps at the barrier.
        Side::Right => Account::default(),
    })
}

#[inline(never)]
fn copy_all(source: &[u8], region: &mut [u8], messages: u64) {
    let mut left = messages;
    while left > 0 {
        for place in region.chunks_exact_mut(source.len()) {
            if left == 0 {
                break;
            }
            place.copy_from_slice(black_box(source));
            left -= 1;
        }
        black_box(&mut *region);
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn the_region_is_filled_by_copies_of_the_source() {
        let mut region = [0; 24];
        copy_all(&[7; 8], &mut region, 2);
        assert_eq!(
            region,
            [
                7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0, 0, 0, 0, 0, 0, 0, 0
            ]
        );
        copy_all(&[9; 8], &mut region, 5);
        assert_eq!(region, [9; 24]);
    }

    #[test]
    fn a_wait_for_nothing_ends_at_the_deadline() {
        let fd = SharedPage::create().unwrap();
        let page = SharedPage::open(fd.as_raw_fd(), false).unwrap();
        let deadline_ns = now_ns() + 2_000_000;
        let error = await_line(&page, 1, deadline_ns).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
