//! One operation on a ring of several producers and consumers, between two marks.

use std::time::Duration;

use clap::{Args, ValueEnum};
use integration_tests::crowd::numbered::{EARLIER, Numbered};
use integration_tests::forms::Form;
use integration_tests::stepper::mark;
use shm_ringbuf::multi;

/// The numbers that the victim sends.
const OURS: [u8; 3] = [100, 101, 102];

/// Makes ready, says `ready`, waits for a line, does it, says `done` with what it received, or `failed`, and waits for another line.
#[derive(Debug, Args)]
pub(crate) struct Step {
    name: String,
    form: Form,
    what: What,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    Send,
    Claim,
    GiveUp,
    Batch,
    Recv,
    /// Receive in place and release.
    Guard,
    /// Receive in place and keep it.
    Take,
    JoinProducer,
    JoinConsumer,
    CloseProducer,
    /// With a message in hand that was forgotten.
    CloseConsumer,
}

impl Step {
    pub(crate) fn play(self) {
        match self.form {
            Form::Bytes => play::<[u8]>(&self),
            _ => play::<u64>(&self),
        }
    }
}

fn play<M: Numbered + ?Sized>(role: &Step) {
    let ring = multi::Ring::<M>::open(&role.name).expect("a ring");
    // Each has been of use before, so that all is in place that is made when it is needed first.
    let producer = || {
        let mut tx = ring.producer().expect("a seat");
        M::put(&mut tx, EARLIER).expect("room");
        tx
    };
    let consumer = || {
        let mut rx = ring.consumer().expect("a seat");
        assert_eq!(M::get(&mut rx), Ok(EARLIER));
        rx
    };
    match role.what {
        What::Send => {
            let mut tx = producer();
            say_sent(step(|| M::put(&mut tx, OURS[0])));
        }
        What::Claim => {
            let mut tx = producer();
            say_sent(step(|| M::put_in_place(&mut tx, OURS[0])));
        }
        What::GiveUp => {
            let mut tx = producer();
            say_sent(step(|| M::give_up(&mut tx, OURS[0])));
        }
        What::Batch => {
            let mut tx = producer();
            say_sent(step(|| M::put_all(&mut tx, OURS)));
        }
        What::Recv => {
            let mut rx = consumer();
            say_received(step(|| M::get(&mut rx)));
        }
        What::Guard => {
            let mut rx = consumer();
            say_received(step(|| {
                let guard = M::get_ref(&mut rx, Duration::ZERO)?;
                let number = M::glance(&guard);
                guard.release();
                Ok(number)
            }));
        }
        What::Take => {
            let mut rx = consumer();
            let guard = step(|| M::get_ref(&mut rx, Duration::ZERO));
            say_received(guard.map(|guard| {
                let number = M::glance(&guard);
                std::mem::forget(guard);
                number
            }));
        }
        What::JoinProducer => {
            let _tx = step(|| ring.producer().expect("a seat"));
            say("done");
        }
        What::JoinConsumer => {
            let _rx = step(|| ring.consumer().expect("a seat"));
            say("done");
        }
        What::CloseProducer => {
            let tx = producer();
            step(|| tx.close());
            say("done");
        }
        What::CloseConsumer => {
            let mut rx = consumer();
            std::mem::forget(M::get_ref(&mut rx, Duration::ZERO).expect("a message"));
            step(|| rx.close());
            say("done");
        }
    }
}

fn step<R>(work: impl FnOnce() -> R) -> R {
    println!("ready");
    wait_for_line();
    mark();
    let result = work();
    mark();
    result
}

fn say_sent(result: Result<(), shm_ringbuf::SendError>) {
    match result {
        Ok(()) => say("done"),
        Err(error) => say(&format!("failed: {error:?}")),
    }
}

fn say_received(result: Result<u8, shm_ringbuf::RecvError>) {
    match result {
        Ok(number) => say(&format!("done {number}")),
        Err(error) => say(&format!("failed: {error:?}")),
    }
}

/// With all ends still in hand.
fn say(what: &str) {
    println!("{what}");
    wait_for_line();
}

fn wait_for_line() {
    // Whatever comes, or nothing more.
    let _ = std::io::stdin().read_line(&mut String::new());
}
