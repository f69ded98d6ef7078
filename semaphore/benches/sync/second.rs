//! The other process: this program, executed anew, on a core of its own. It ends with this one, however that ends.

use std::any::Any;
use std::io;
use std::os::fd::RawFd;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bench_harness::clock::now_ns;
use bench_harness::machine::{Cores, allowed_cores, choose_cores, pin_to, siblings};
use bench_harness::runner::interrupt::Interrupt;
use bench_harness::runner::{side, spawn};
use bench_harness::shared::{Missed, RunOrder, SharedPage, Side};
use bench_harness::transport::{Receiver, Sender, Ticket, Transport, alarm};
use serde::{Deserialize, Serialize};

use crate::gates::{self, Gate, Turnstile, UseGate};
use crate::links::{self, UseTransport};
use crate::row::PATIENCE;

/// Marks the command line of the other process.
pub const ARGUMENT: &str = "--second-process";

/// The other process waits for its next window as long as the user cares to look on.
const IDLE: Duration = Duration::from_secs(24 * 60 * 60);

/// What it is to do.
#[derive(Debug, Serialize, Deserialize)]
pub enum Task {
    /// Sends back what comes, for ever.
    Echo { forward: Ticket, back: Ticket },
    /// Passes as often as the page says, window after window.
    Contend { ticket: Ticket, page_fd: RawFd },
}

#[derive(Debug, Serialize, Deserialize)]
struct Order {
    mechanism: String,
    task: Task,
    cores: (usize, usize),
    coordinator_pid: u32,
}

/// This process, prepared.
#[derive(Debug)]
pub struct Bench {
    cores: Cores,
}

impl Bench {
    /// Takes the first core, and sees to it that Ctrl-C leaves nothing behind.
    ///
    /// # Panics
    /// When the system refuses: there is nothing to measure then.
    pub fn start() -> Self {
        let mut interrupt = Interrupt::catch().expect("signals can be held");
        let allowed = allowed_cores().expect("the kernel knows the cores");
        let cores = choose_cores(None, &allowed, siblings).expect("there is a core");
        thread::spawn(move || {
            if interrupt.wait().is_ok() {
                // Whoever would drop these later finds nothing, and can't add any: the lock is kept.
                let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
                held.clear();
                std::process::exit(130);
            }
        });
        pin_to(cores.left).expect("the core is allowed");
        if cores.is_one() {
            eprintln!("there is only one core: both processes share it");
        }
        Self { cores }
    }

    /// Maps the page on which two contending processes keep step.
    pub fn open_page(&self, fd: RawFd) -> io::Result<SharedPage> {
        SharedPage::open(fd, self.cores.is_one())
    }
}

type Cleanup = Option<Box<dyn Any + Send>>;

/// What would outlive this process if nobody removed it.
static HELD: Mutex<Vec<(u64, Cleanup)>> = Mutex::new(Vec::new());

/// Something that is removed when this is dropped, or at Ctrl-C.
#[derive(Debug)]
pub struct Held(u64);

impl Held {
    /// Takes charge of it.
    pub fn new(cleanup: Cleanup) -> Self {
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        let number = held.last().map_or(0, |(last, _)| last + 1);
        held.push((number, cleanup));
        Self(number)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|(number, _)| *number != self.0);
    }
}

/// The other process, as long as it is wanted.
#[derive(Debug)]
pub struct Second(Child);

impl Second {
    /// Starts it. `inherited` are the descriptors that the task names.
    ///
    /// # Errors
    /// What the system says.
    pub fn start(
        bench: &Bench,
        mechanism: &str,
        task: Task,
        inherited: Vec<RawFd>,
    ) -> io::Result<Self> {
        let order = Order {
            mechanism: mechanism.to_owned(),
            task,
            cores: (bench.cores.left, bench.cores.right),
            coordinator_pid: std::process::id(),
        };
        let mut command = Command::new("/proc/self/exe");
        command
            .arg(ARGUMENT)
            .arg(serde_json::to_string(&order)?)
            .stdin(Stdio::null());
        spawn::inherit(&mut command, inherited);
        command.spawn().map(Self)
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        spawn::end(&mut self.0);
    }
}

/// The whole life of the other process.
pub fn main(order: Option<String>) -> ExitCode {
    let order = order.ok_or_else(|| io::ErrorKind::InvalidInput.into());
    let result = order.and_then(|text| {
        let order: Order = serde_json::from_str(&text)?;
        side::settle_on(order.cores.1, order.coordinator_pid.cast_signed())?;
        match order.task {
            Task::Echo { forward, back } => links::with(&order.mechanism, Echo { forward, back }),
            Task::Contend { ticket, page_fd } => {
                let page = SharedPage::open(page_fd, order.cores.0 == order.cores.1)?;
                gates::with(&order.mechanism, Contend { ticket, page })
            }
        }
    });
    if let Err(error) = result {
        eprintln!("the second process: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

struct Echo {
    forward: Ticket,
    back: Ticket,
}

impl UseTransport for Echo {
    type Output = io::Result<()>;

    fn call<T: Transport + 'static>(self, transport: &'static T) -> io::Result<()> {
        let mut rx = transport.receiver(&self.forward)?;
        let mut tx = transport.sender(&self.back)?;
        let deadline = Instant::now() + IDLE;
        rx.begin_window(deadline);
        tx.begin_window(deadline);
        loop {
            rx.recv(&mut [])?;
            tx.send(&[])?;
        }
    }
}

struct Contend {
    ticket: Ticket,
    page: SharedPage,
}

impl UseGate for Contend {
    type Output = io::Result<()>;

    fn call<G: Gate>(self, gate: G) -> io::Result<()> {
        let mut turnstile = gate.join(&self.ticket)?;
        loop {
            meet(&self.page, Side::Right, IDLE)?;
            alarm::arm(Instant::now() + PATIENCE)?;
            pass_all(self.page.ordered().messages, &mut turnstile)?;
            alarm::disarm()?;
            meet(&self.page, Side::Right, PATIENCE)?;
        }
    }
}

/// A window of the first process: the time until both have passed so often.
///
/// # Errors
/// What the mechanism says, or `TimedOut` when the other process does not come.
pub fn contend(
    page: &SharedPage,
    passes: u64,
    turnstile: &mut impl Turnstile,
) -> io::Result<Duration> {
    page.order(RunOrder {
        messages: passes,
        is_final: false,
    });
    meet(page, Side::Left, PATIENCE)?;
    let started = Instant::now();
    pass_all(passes, turnstile)?;
    meet(page, Side::Left, PATIENCE)?;
    Ok(started.elapsed())
}

fn meet(page: &SharedPage, side: Side, patience: Duration) -> io::Result<()> {
    let deadline_ns = now_ns() + patience.as_nanos() as u64;
    page.meet(side, deadline_ns).map_err(|missed| match missed {
        Missed::Aborted => io::ErrorKind::BrokenPipe.into(),
        Missed::TimedOut => io::ErrorKind::TimedOut.into(),
    })
}

fn pass_all(passes: u64, turnstile: &mut impl Turnstile) -> io::Result<()> {
    turnstile.begin_window(Instant::now() + PATIENCE);
    for _ in 0..passes {
        turnstile.pass()?;
    }
    Ok(())
}
