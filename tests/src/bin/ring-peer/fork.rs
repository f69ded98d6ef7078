//! A process that forks with an endpoint or a ring in hand.

#![allow(unsafe_code)]

use std::time::Duration;

use clap::{Args, ValueEnum};
use integration_tests::traffic::Ending;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use shm_ringbuf::Ring;

use crate::target::or_refused;

/// What the child of the fork does.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Child {
    /// End at once, without any clean-up.
    Leave,
    /// End as `exit` does.
    Exit,
    /// Drop the endpoints that it never had.
    Drop,
    /// Live on for a while, whatever becomes of the parent.
    Linger,
    /// Receive through the ring that it inherited.
    Receive,
}

/// Longer than the test takes, which ends it.
const LINGER: Duration = Duration::from_secs(30);

/// Forks while it holds a producer of the ring, and goes on sending. Says what became of the child
/// and how the sending went.
#[derive(Debug, Args)]
pub(crate) struct Fork {
    name: String,
    #[arg(long, value_enum)]
    child: Child,
}

impl Fork {
    pub(crate) fn play(self) {
        let ring = or_refused(Ring::<u64>::open(&self.name));
        let mut producer = or_refused(ring.producer());
        producer.send(1).expect("there is room");
        // SAFETY: there is one thread.
        match unsafe { fork() }.expect("a process more") {
            ForkResult::Child => {
                if !matches!(self.child, Child::Linger) {
                    set_pdeathsig(Signal::SIGKILL).expect("a signal may be chosen");
                }
                match self.child {
                    // SAFETY: ends the process and nothing else.
                    Child::Leave => unsafe { libc::_exit(0) },
                    Child::Exit => std::process::exit(0),
                    Child::Drop => drop(producer),
                    Child::Linger => {
                        std::mem::forget(producer);
                        println!("lingering {}", std::process::id());
                        std::thread::sleep(LINGER);
                    }
                    Child::Receive => {
                        std::mem::forget(producer);
                        let mut consumer = or_refused(ring.consumer());
                        let sum = (0..3)
                            .map(|_| consumer.recv().expect("a message"))
                            .sum::<u64>();
                        println!("child received {sum}");
                    }
                }
                std::process::exit(0);
            }
            ForkResult::Parent { child } => {
                for message in 2..=3 {
                    producer.send(message).expect("there is room");
                }
                match waitpid(child, None).expect("our child") {
                    WaitStatus::Exited(_, code) => println!("child exited {code}"),
                    other => println!("child ended as {other:?}"),
                }
                println!("sent: {:?}", producer.send(4).map_err(Ending::from));
                let _ = std::io::stdin().read_line(&mut String::new());
            }
        }
    }
}
