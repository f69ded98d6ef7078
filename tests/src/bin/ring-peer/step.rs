//! One operation on a named semaphore, between two marks.

use std::time::Duration;

use clap::{Args, ValueEnum};
use integration_tests::stepper::mark;
use shm_semaphore::{NamedSemaphore, Semaphore};

/// Makes ready, says `ready`, waits for a line, does it, says `done`, and waits for another line.
#[derive(Debug, Args)]
pub(crate) struct Step {
    name: String,
    what: What,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// Acquire an owned permit.
    Take,
    /// Give it back.
    Give,
    /// Acquire and release one that nobody owns.
    Unowned,
    /// Begin to have the semaphore to itself.
    BeginBias,
    /// Acquire and release with the semaphore to itself.
    Biased,
    /// Wait for an owned permit that comes.
    Wait,
    /// Wait for an owned permit for so long that the dead are looked for.
    Look,
    /// Open the semaphore by its name.
    Join,
    /// Close it, with a permit still owned and the semaphore to itself.
    Leave,
}

/// So many rounds by one alone come close to what makes it have the semaphore to itself …
const ROUNDS_BEFORE_BIAS: usize = 511;
/// … and after these it has.
const ROUNDS_TO_BIAS: usize = 3;
/// Long enough to sleep, and to look for the dead, one instruction at a time.
const LOOK_MAX: Duration = Duration::from_millis(200);

impl Step {
    pub(crate) fn play(self) {
        if let What::Join = self.what {
            let _semaphore = step(|| open(&self.name));
            return done();
        }
        let semaphore = open(&self.name);
        let owned = || semaphore.acquire_owned().expect("a permit");
        match self.what {
            What::Take | What::Wait => std::mem::forget(step(owned)),
            What::Give => {
                let permit = owned();
                step(|| drop(permit));
            }
            What::Unowned => step(|| {
                semaphore.acquire().expect("a permit");
                semaphore.release(1).expect("it was ours");
            }),
            What::BeginBias => {
                rounds(&semaphore, ROUNDS_BEFORE_BIAS);
                step(|| rounds(&semaphore, ROUNDS_TO_BIAS));
            }
            What::Biased => {
                rounds(&semaphore, ROUNDS_BEFORE_BIAS + ROUNDS_TO_BIAS);
                step(|| rounds(&semaphore, 1));
            }
            What::Look => std::mem::forget(step(|| semaphore.acquire_owned_timeout(LOOK_MAX))),
            What::Leave => {
                rounds(&semaphore, ROUNDS_BEFORE_BIAS + ROUNDS_TO_BIAS);
                std::mem::forget(owned());
                step(|| drop(semaphore));
            }
            What::Join => unreachable!("done above"),
        }
        done();
    }
}

fn open(name: &str) -> NamedSemaphore {
    Semaphore::open(name).expect("a semaphore")
}

fn rounds(semaphore: &NamedSemaphore, rounds: usize) {
    for _ in 0..rounds {
        drop(semaphore.acquire_owned().expect("a permit"));
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

fn done() {
    println!("done");
    wait_for_line();
}

fn wait_for_line() {
    // Whatever comes, or nothing more.
    let _ = std::io::stdin().read_line(&mut String::new());
}
