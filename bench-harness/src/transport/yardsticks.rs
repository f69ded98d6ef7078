//! The limits of the hardware and of the kernel: rows of the same table, measured by the same loops.
#![allow(unsafe_code)]

use std::hint::black_box;
use std::io;
use std::ptr;
use std::time::Duration;

use memmap2::MmapMut;

use super::registry::Mechanism;
use super::{Link, LinkError, LinkShape, Ticket};
use crate::clock::now_ns;
use crate::job::{Job, RunKind, SideReport, Task};
use crate::measure::exchange::{answer, initiate};
use crate::measure::flow::sent;
use crate::measure::latency::Recorder;
use crate::measure::pacing::Pacing;
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

/// The round trip of two wake-ups, with nothing around them: each side sleeps in `FUTEX_WAIT` on a shared word of its own, the
/// other one stores the next number there and calls `FUTEX_WAKE`.
#[derive(Debug)]
pub struct LimitFutex;

impl Mechanism for LimitFutex {
    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        Ok(no_link(shape))
    }

    fn run(&self, job: &Job, page: &SharedPage) -> SideReport {
        let mut station = Station::new(job, page);
        let side = job.side;
        let done = exchange_turns(&mut station, |turn, run| {
            let number = turn.number as u32;
            if turn.is_mine {
                page.futex_store(side.peer(), number);
                futex_wake(page, side.peer())
            } else {
                futex_await(page, side, number, run.deadline_ns)
            }
        });
        station.into_report(&done)
    }
}

/// Sleeps until the side's word is `number`. The other side can't be further than that: it waits for our answer.
fn futex_await(page: &SharedPage, side: Side, number: u32, deadline_ns: u64) -> io::Result<()> {
    loop {
        let seen = page.futex_load(side);
        if seen == number {
            return Ok(());
        }
        if now_ns() > deadline_ns {
            return Err(io::ErrorKind::TimedOut.into());
        }
        futex_wait(page, side, seen, deadline_ns)?;
    }
}

/// `futex(word, FUTEX_WAIT_BITSET, seen, deadline, NULL, FUTEX_BITSET_MATCH_ANY)`, shared. Every return means: look again.
fn futex_wait(page: &SharedPage, side: Side, seen: u32, deadline_ns: u64) -> io::Result<()> {
    let until = Duration::from_nanos(deadline_ns);
    let deadline = libc::timespec {
        tv_sec: until.as_secs().cast_signed() as libc::time_t,
        tv_nsec: until.subsec_nanos() as libc::c_long,
    };
    // SAFETY: the word lies in a mapping that lives as long as the page, the timespec on our stack; the kernel writes to neither.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            page.futex_address(side),
            libc::FUTEX_WAIT_BITSET,
            seen,
            &raw const deadline,
            ptr::null::<u32>(),
            libc::FUTEX_BITSET_MATCH_ANY,
        )
    };
    if result == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EINTR | libc::ETIMEDOUT) => Ok(()),
        _ => Err(error),
    }
}

/// `futex(word, FUTEX_WAKE, 1)`, shared.
fn futex_wake(page: &SharedPage, side: Side) -> io::Result<()> {
    // SAFETY: the kernel uses the address of the word only to find its sleepers.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            page.futex_address(side),
            libc::FUTEX_WAKE,
            1,
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
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
    let Task::Measure {
        round_trip_window_ns: Some(window_ns),
        ..
    } = station.job.task
    else {
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
            Side::Left => initiate(page, run, &mut [], &mut [], &mut recorder, |_, _| {
                both(true)
            }),
            Side::Right => answer(run, &mut [], |_| both(false)),
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
    let Task::Measure {
        message_len,
        stream_window_ns: Some(window_ns),
        ..
    } = station.job.task
    else {
        return Ok(());
    };
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
            page.note_start(now_ns());
            copy_all(&source, &mut region, run.messages);
            page.note_finish(now_ns());
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
        for error in [
            await_line(&page, 1, deadline_ns).unwrap_err(),
            futex_await(&page, Side::Left, 1, deadline_ns).unwrap_err(),
        ] {
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        }
    }
}
