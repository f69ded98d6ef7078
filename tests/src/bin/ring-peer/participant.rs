//! A participant of a named semaphore that does what it is told, a line at a time.

#![allow(unsafe_code)]

use std::os::fd::{AsFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use clap::Args;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::stat::fstat;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use shm_semaphore::{AcquireError, Error, NamedSemaphore, OwnedPermits, SemaphoreOptions};

use crate::race::sleep_until;
use crate::storm;

/// Longer than the test takes, which ends it.
const LINGER: Duration = Duration::from_secs(60);

/// Which semaphore, and whether it is made or opened.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Its name.
    #[arg(long)]
    name: Option<String>,
    /// An inherited descriptor of it.
    #[arg(long)]
    fd: Option<i32>,
    /// Make it, with so many permits.
    #[arg(long)]
    create: Option<u32>,
    /// Open it instead if it is there.
    #[arg(long)]
    or_open: bool,
    #[arg(long)]
    participants: Option<u32>,
    #[arg(long, value_parser = |text: &str| u32::from_str_radix(text, 8))]
    mode: Option<u32>,
    /// The user who may own it.
    #[arg(long)]
    owner: Option<u32>,
}

impl Which {
    pub(crate) fn join(&self) -> Result<NamedSemaphore, Error> {
        let mut options = SemaphoreOptions::new();
        if let Some(participants) = self.participants {
            options = options.participants(participants);
        }
        if let Some(mode) = self.mode {
            options = options.mode(mode);
        }
        if let Some(owner) = self.owner {
            options = options.owner(owner);
        }
        if let Some(number) = self.fd {
            // SAFETY: inherited for this purpose; nothing else here owns it.
            return options.from_fd(unsafe { OwnedFd::from_raw_fd(number) });
        }
        let name = self.name.as_deref().expect("give --name or --fd");
        match self.create {
            None => options.open(name),
            Some(permits) if self.or_open => options.open_or_create(name, permits),
            Some(permits) => options.create(name, permits),
        }
    }
}

/// The name of the variant of an error.
pub(crate) fn variant(error: &Error) -> String {
    let debug = format!("{error:?}");
    let end = debug.find(|c: char| !c.is_alphanumeric());
    debug[..end.unwrap_or(debug.len())].to_owned()
}

pub(crate) fn or_refused<R>(result: Result<R, Error>) -> R {
    match result {
        Ok(value) => value,
        Err(error) => {
            println!("refused {}: {error}", variant(&error));
            std::process::exit(0);
        }
    }
}

/// The inode of the segment, which tells two semaphores apart.
pub(crate) fn inode(semaphore: &NamedSemaphore) -> u64 {
    fstat(semaphore.as_fd()).expect("an open file").st_ino
}

/// Obeys: `try N`, `acquire N`, `timeout N MS` and `release N`; the same for permits that come back, `own-try N`, `own N`, `own-timeout N MS`, and
/// `drop` for the last of them; `alone TIMES` (takes it for itself by use) and `alone-unowned TIMES`; `loop N` (until killed); `permits`, `participants`, `inode`;
/// `storm` (of signals, from now on); `remake NAME TIMES` (another semaphore); and to end while it holds what it holds: `exit`, `leave`, `panic`, `abort`, `exec`; `fork CHILD`.
#[derive(Debug, Args)]
pub(crate) struct Participant {
    #[command(flatten)]
    which: Which,
}

impl Participant {
    pub(crate) fn play(self) {
        let semaphore: &'static NamedSemaphore = Box::leak(Box::new(or_refused(self.which.join())));
        println!("ready");
        let mut side = Side {
            semaphore,
            guards: Vec::new(),
        };
        for line in std::io::stdin().lines() {
            let line = line.expect("lines of text");
            let mut words = line.split_whitespace();
            let order = words.next().expect("an order");
            let answer = side.obey(order, &words.collect::<Vec<_>>());
            println!("{answer}");
        }
    }
}

struct Side {
    semaphore: &'static NamedSemaphore,
    guards: Vec<OwnedPermits<'static>>,
}

fn said(result: Result<(), AcquireError>) -> String {
    match result {
        Ok(()) => "ok".to_owned(),
        Err(error) => format!("{error:?}"),
    }
}

/// Makes, opens, clones and unlinks a semaphore so many times.
fn remake(name: &str, times: u32) -> String {
    let remake_once = || -> Result<(), Error> {
        let made = SemaphoreOptions::new().participants(1023).create(name, 3)?;
        let opened = shm_semaphore::Semaphore::open(name)?;
        let clone = opened.try_clone()?;
        drop(clone.acquire_many_owned(3).expect("permits"));
        assert_eq!((made.permits(), made.participants()), (3, 3));
        shm_semaphore::Semaphore::unlink(name)
    };
    for time in 0..times {
        if let Err(error) = remake_once() {
            return format!("{} at time {time}: {error}", variant(&error));
        }
    }
    "ok".to_owned()
}

/// Ends the process; what it holds is still there, but for a panic, which unwinds through it.
fn end_by(how: &str) -> ! {
    match how {
        "exit" => std::process::exit(0),
        // SAFETY: ends the process and nothing else.
        "leave" => unsafe { libc::_exit(0) },
        "panic" => {
            // In silence.
            std::panic::set_hook(Box::new(|_| ()));
            panic!("as told");
        }
        "abort" => std::process::abort(),
        "exec" => {
            let error = Command::new("sleep").arg("60").exec();
            panic!("sleep can't be run: {error}");
        }
        other => panic!("no such order: {other}"),
    }
}

impl Side {
    fn obey(&mut self, order: &str, words: &[&str]) -> String {
        let number = |at: usize| -> u32 { words[at].parse().expect("a number") };
        let timeout = || Duration::from_millis(number(1).into());
        let semaphore = self.semaphore;
        match order {
            "try" => said(semaphore.try_acquire_many(number(0))),
            "acquire" => said(semaphore.acquire_many(number(0))),
            "timeout" => said(semaphore.acquire_many_timeout(number(0), timeout())),
            "own-try" => self.keep(semaphore.try_acquire_many_owned(number(0))),
            "own" => self.keep(semaphore.acquire_many_owned(number(0))),
            "own-timeout" => self.keep(semaphore.acquire_many_owned_timeout(number(0), timeout())),
            "release" => match semaphore.release(number(0)) {
                Ok(()) => "ok".to_owned(),
                Err(error) => format!("{error:?}"),
            },
            "drop" => {
                drop(self.guards.pop().expect("a guard"));
                "ok".to_owned()
            }
            "alone" => {
                (0..number(0)).for_each(|_| drop(semaphore.acquire_owned().expect("a permit")));
                "ok".to_owned()
            }
            "alone-unowned" => {
                for _ in 0..number(0) {
                    semaphore.acquire().expect("a permit");
                    semaphore.release(1).expect("it was ours");
                }
                "ok".to_owned()
            }
            "loop" => {
                println!("looping");
                loop {
                    drop(semaphore.acquire_many_owned(number(0)).expect("permits"));
                }
            }
            "permits" => semaphore.permits().to_string(),
            "participants" => semaphore.participants().to_string(),
            "inode" => inode(semaphore).to_string(),
            "storm" => {
                storm::begin();
                "ok".to_owned()
            }
            "remake" => remake(words[0], number(1)),
            "fork" => self.fork(words[0]),
            end => end_by(end),
        }
    }

    fn keep(&mut self, result: Result<OwnedPermits<'static>, AcquireError>) -> String {
        said(result.map(|guard| self.guards.push(guard)))
    }

    /// Forks with all that it holds; says what became of the child.
    fn fork(&mut self, child: &str) -> String {
        // SAFETY: there is one thread, or those of a storm, which hold no locks.
        match unsafe { fork() }.expect("a process more") {
            ForkResult::Child => {
                if child != "linger" {
                    set_pdeathsig(Signal::SIGKILL).expect("a signal may be chosen");
                }
                match child {
                    // SAFETY: ends the process and nothing else.
                    "leave" => unsafe { libc::_exit(0) },
                    "exit" => std::process::exit(0),
                    "drop" => {
                        self.guards.clear();
                        let semaphore = std::ptr::from_ref(self.semaphore).cast_mut();
                        // SAFETY: it was leaked from a box, and nobody uses it any more.
                        drop(unsafe { Box::from_raw(semaphore) });
                    }
                    // Ends while it holds a permit through a handle of its own.
                    "open" => {
                        let name = self.semaphore.name().expect("it has a name");
                        let own = or_refused(shm_semaphore::Semaphore::open(name));
                        std::mem::forget(own.acquire_owned().expect("a permit"));
                        std::mem::forget(own);
                    }
                    "linger" => {
                        println!("lingering {}", std::process::id());
                        std::thread::sleep(LINGER);
                    }
                    other => panic!("no such child: {other}"),
                }
                std::process::exit(0);
            }
            ForkResult::Parent { .. } if child == "linger" => "forked".to_owned(),
            ForkResult::Parent { child } => match waitpid(child, None).expect("our child") {
                WaitStatus::Exited(_, code) => format!("child exited {code}"),
                other => format!("child ended as {other:?}"),
            },
        }
    }
}

/// Obeys `create AT`, `open-or-create AT`, `open AT` and `drop`, where `AT` is an instant of the monotonic clock in nanoseconds. Answers `ok INODE` or
/// the variant of the error.
#[derive(Debug, Args)]
pub(crate) struct Racer {
    name: String,
}

impl Racer {
    pub(crate) fn play(self) {
        let options = SemaphoreOptions::new().participants(8);
        let mut held = None;
        println!("ready");
        for line in std::io::stdin().lines() {
            let line = line.expect("lines of text");
            let mut words = line.split_whitespace();
            let order = words.next().expect("an order");
            if let Some(at) = words.next() {
                sleep_until(at.parse().expect("nanoseconds"));
            }
            let result = match order {
                "create" => options.create(&self.name, 5),
                "open-or-create" => options.open_or_create(&self.name, 5),
                "open" => options.open(&self.name),
                "drop" => {
                    held = None;
                    println!("dropped");
                    continue;
                }
                other => panic!("no such order: {other}"),
            };
            match result {
                Ok(won) => {
                    println!("ok {} {}", inode(&won), won.permits());
                    held = Some(won);
                }
                Err(error) => println!("{}", variant(&error)),
            }
        }
        drop(held);
    }
}
