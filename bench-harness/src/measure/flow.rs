//! The loops of a stream: the same code around each contender's own call.

use std::hint::black_box;
use std::io;

use super::integrity::Checker;
use super::pattern::{Content, Lengths, fill};
use super::source::Stock;
use super::station::{Account, Run, RunError};
use crate::clock::now_ns;
use crate::job::Fault;
use crate::shared::SharedPage;
use crate::transport::{Receiver, Sender};

/// The turns of [`work_a_little`]: about 10 ns at 3 GHz.
const WORK_TURNS: u32 = 8;

/// The account of a sender that sent so many.
pub fn sent(count: u64, result: io::Result<()>) -> Account {
    Account {
        sent: count,
        error: result.err().map(RunError::Send),
        ..Account::default()
    }
}

/// Sends the messages of a run.
#[inline(never)]
pub fn send_all<Tx: Sender, S: Stock>(
    page: &SharedPage,
    run: Run,
    tx: &mut Tx,
    buffer: &mut [u8],
    stock: &S,
) -> Account {
    tx.begin_window(run.deadline);
    page.note_start(run.seat, now_ns());
    for sequence in run.base..run.base + run.messages {
        if let Err(error) = tx.send(stock.message(sequence, run.base, buffer)) {
            return sent(sequence - run.base, Err(error));
        }
    }
    sent(run.messages, Ok(()))
}

/// Sends the messages of a run in their varied lengths, and commits a fault in the middle if it is told to.
#[inline(never)]
pub fn send_with_fault<Tx: Sender>(
    page: &SharedPage,
    run: Run,
    tx: &mut Tx,
    buffer: &mut [u8],
    lengths: Lengths,
    fault: Option<Fault>,
) -> Account {
    tx.begin_window(run.deadline);
    page.note_start(run.seat, now_ns());
    let mut send = |sequence: u64, flipped_bit: u8| {
        let message = &mut buffer[..lengths.of(sequence)];
        fill(message, sequence);
        if let Some(last) = message.last_mut() {
            *last ^= flipped_bit;
        }
        tx.send(message)
    };
    let end = run.base + run.messages;
    let middle = run.base + run.messages / 2;
    // A very short message has no room for more than its number: a longer one, where there is one.
    let place = (middle..end)
        .find(|&sequence| lengths.of(sequence) > 8)
        .unwrap_or(middle);
    for turn in run.base..end {
        let result = match fault {
            Some(Fault::Lost) if turn == place => Ok(()),
            Some(Fault::Duplicated) if turn == place => send(turn, 0).and_then(|()| send(turn, 0)),
            Some(Fault::Corrupted) if turn == place => send(turn, 1 << 3),
            Some(Fault::Reordered) if turn == middle && turn + 1 < end => send(turn + 1, 0),
            Some(Fault::Reordered) if turn == middle + 1 => send(middle, 0),
            _ => send(turn, 0),
        };
        if let Err(error) = result {
            return sent(turn - run.base, Err(error));
        }
    }
    sent(run.messages, Ok(()))
}

/// Receives and verifies the messages of a run; `WORKS` says whether it works a little for each.
#[inline(never)]
pub fn receive_all<Rx: Receiver, C: Content, const WORKS: bool>(
    page: &SharedPage,
    run: Run,
    rx: &mut Rx,
    buffer: &mut [u8],
    content: C,
) -> Account {
    rx.begin_window(run.deadline);
    let mut checker = Checker::new(content, run.base, run.messages);
    let mut error = None;
    while !checker.is_done() {
        match rx.recv(buffer) {
            Ok(len) => {
                let message = &buffer[..len];
                checker.check(message);
                if WORKS {
                    work_a_little(message);
                }
            }
            Err(e) => {
                error = Some(RunError::Receive(e));
                break;
            }
        }
    }
    page.note_finish(run.seat, now_ns());
    Account {
        arrived: Some(checker.finish()),
        error,
        ..Account::default()
    }
}

/// A chain of multiplications, each of which needs the result of the last one.
#[inline(never)]
pub fn work_a_little(message: &[u8]) {
    let mut value = u64::from(message.first().copied().unwrap_or(1));
    for _ in 0..WORK_TURNS {
        value = value.wrapping_mul(value | 1);
    }
    black_box(value);
}
