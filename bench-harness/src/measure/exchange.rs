//! The loops of the round trip: one message there and back, each one timed as a whole.

use super::integrity::{Arrived, Checker};
use super::latency::Recorder;
use super::source::Stock;
use super::station::{Account, Run, RunError};
use crate::clock::now_ns;
use crate::shared::SharedPage;

/// Exchanges at the start of every run that are made and checked, but not timed.
const WARM_UP: u64 = 8;

fn checker<S: Stock>(run: Run, stock: &S) -> Checker<S::Content<'_>> {
    Checker::new(stock.content(run.base), run.base, run.messages + WARM_UP)
}

fn account(sent: u64, arrived: Arrived, error: Option<RunError>) -> Account {
    Account {
        sent,
        beside: WARM_UP,
        arrived: Some(arrived),
        error,
        ..Account::default()
    }
}

/// Starts each exchange: `exchange` sends the message and waits for the reply. What is timed is that call alone; filling
/// and verifying lie outside.
#[inline(never)]
pub fn initiate<S: Stock>(
    page: &SharedPage,
    run: Run,
    stock: &S,
    (buffer, reply): (&mut [u8], &mut [u8]),
    recorder: &mut Recorder,
    mut exchange: impl FnMut(&[u8], &mut [u8]) -> Result<usize, RunError>,
) -> Account {
    let mut checker = checker(run, stock);
    recorder.clear();
    let first_timed = run.base + WARM_UP;
    for sequence in run.base..first_timed + run.messages {
        let message = stock.message(sequence, run.base, buffer);
        let started_ns = now_ns();
        let result = exchange(message, reply);
        let finished_ns = now_ns();
        match result {
            Ok(len) => checker.check(&reply[..len]),
            Err(error) => {
                let answered = sequence - run.base;
                let sent = answered + u64::from(matches!(error, RunError::Receive(_)));
                return account(sent, checker.finish(), Some(error));
            }
        }
        if sequence >= first_timed {
            recorder.record(finished_ns - started_ns);
        } else {
            page.note_start(run.seat, finished_ns);
        }
    }
    page.note_finish(run.seat, now_ns());
    let sent = run.messages + WARM_UP;
    Account {
        times: Some(recorder.distribution()),
        ..account(sent, checker.finish(), None)
    }
}

/// Answers each exchange: `echo` waits for a message and sends back what it got, and only then it is verified.
#[inline(never)]
pub fn answer<S: Stock>(
    run: Run,
    stock: &S,
    buffer: &mut [u8],
    mut echo: impl FnMut(&mut [u8]) -> Result<usize, RunError>,
) -> Account {
    let mut checker = checker(run, stock);
    for answered in 0..run.messages + WARM_UP {
        match echo(buffer) {
            Ok(len) => checker.check(&buffer[..len]),
            Err(error) => return account(answered, checker.finish(), Some(error)),
        }
    }
    account(run.messages + WARM_UP, checker.finish(), None)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::measure::source::Made;
    use crate::shared::Side;

    #[test]
    fn the_warm_up_is_told_beside_the_exchanges_that_count() {
        let fd = SharedPage::create().unwrap();
        let page = SharedPage::open(fd.as_raw_fd(), false).unwrap();
        let run = Run {
            seat: Side::Left.into(),
            base: 1 << 40,
            messages: 3,
            deadline: Instant::now() + Duration::from_secs(60),
            deadline_ns: u64::MAX,
        };
        let mut calls = 0;
        let (mut message, mut reply) = ([0; 64], [0; 64]);
        let account = initiate(
            &page,
            run,
            &Made(64),
            (&mut message, &mut reply),
            &mut Recorder::default(),
            |message, reply| {
                calls += 1;
                reply.copy_from_slice(message);
                Ok(message.len())
            },
        );
        assert_eq!(calls, run.messages + account.beside);
        assert_eq!(account.times.unwrap().summary.samples, run.messages);
        let account = answer(run, &Made(64), &mut [0; 64], |_| {
            calls -= 1;
            Ok(0)
        });
        assert_eq!((calls, account.beside), (0, WARM_UP));
    }
}
