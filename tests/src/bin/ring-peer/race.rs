//! Processes that race for one name or for one role.

use std::time::{Duration, Instant};

use clap::Args;
use nix::sys::time::{TimeSpec, TimeValLike as _};
use nix::time::{ClockId, ClockNanosleepFlags, clock_nanosleep};
use shm_ringbuf::{Config, Error, Producer, Ring};

use crate::target::{inode, variant};

/// Obeys `create AT`, `open-or-create AT`, `open AT`, `produce AT` and `drop`, where `AT` is an
/// instant of the monotonic clock in nanoseconds. Answers `ok INODE` or the variant of the error.
#[derive(Debug, Args)]
pub(crate) struct Racer {
    name: String,
    #[arg(long, default_value_t = 4096)]
    capacity: usize,
}

impl Racer {
    pub(crate) fn play(self) {
        let config = Config::spsc().capacity(self.capacity);
        let mut ring: Option<Ring<[u8]>> = None;
        let mut producer: Option<Producer<[u8]>> = None;
        println!("ready");
        for line in std::io::stdin().lines() {
            let line = line.expect("lines of text");
            let mut words = line.split_whitespace();
            let order = words.next().expect("an order");
            if let Some(at) = words.next() {
                sleep_until(at.parse().expect("nanoseconds"));
            }
            let result = match order {
                "create" => config.create(&self.name),
                "open-or-create" => config.open_or_create(&self.name),
                "open" => Ring::open(&self.name),
                "produce" => {
                    let held = ring.as_ref().expect("opened before");
                    match held.producer() {
                        Ok(won) => {
                            producer = Some(won);
                            println!("ok");
                        }
                        Err(Error::RoleTaken { pid: Some(pid), .. }) => println!("RoleTaken {pid}"),
                        Err(Error::RoleTaken { pid: None, .. }) => println!("RoleTaken just now"),
                        Err(error) => println!("{}: {error}", variant(&error)),
                    }
                    continue;
                }
                "drop" => {
                    producer = None;
                    ring = None;
                    println!("dropped");
                    continue;
                }
                "drop-producer" => {
                    producer = None;
                    println!("dropped");
                    continue;
                }
                other => panic!("no such order: {other}"),
            };
            match result {
                Ok(won) => {
                    println!("ok {}", inode(&won));
                    ring = Some(won);
                }
                Err(error) => println!("{}", variant(&error)),
            }
        }
        drop(producer);
    }
}

pub(crate) fn sleep_until(at_ns: i64) {
    let at = TimeSpec::nanoseconds(at_ns);
    let absolute = ClockNanosleepFlags::TIMER_ABSTIME;
    clock_nanosleep(ClockId::CLOCK_MONOTONIC, absolute, &at).expect("no signal comes");
}

/// Creates a ring and unlinks it, for ever.
#[derive(Debug, Args)]
pub(crate) struct Creator {
    name: String,
    #[arg(long, default_value_t = 4096)]
    capacity: usize,
}

impl Creator {
    pub(crate) fn play(self) {
        let config = Config::spsc().capacity(self.capacity);
        println!("ready");
        loop {
            let created = config.create::<[u8]>(&self.name);
            assert!(
                matches!(created, Ok(_) | Err(Error::AlreadyExists { .. })),
                "{created:?}"
            );
            drop(created);
            shm_ringbuf::unlink(&self.name).expect("it is there");
        }
    }
}

/// Creates or opens a ring, opens it, unlinks it, while others do the same; counts what should
/// never happen.
#[derive(Debug, Args)]
pub(crate) struct Churn {
    name: String,
    #[arg(long)]
    for_ms: u64,
}

impl Churn {
    pub(crate) fn play(self) {
        let config = Config::spsc().capacity(4096);
        let end = Instant::now() + Duration::from_millis(self.for_ms);
        let mut random = fastrand::Rng::new();
        let mut turns = 0;
        while Instant::now() < end {
            turns += 1;
            match random.u8(..4) {
                0 => report(
                    config.open_or_create::<[u8]>(&self.name).map(|_| ()),
                    |_| false,
                ),
                1 => report(Ring::<[u8]>::open(&self.name).map(|_| ()), is_not_found),
                2 => report(config.create::<[u8]>(&self.name).map(|_| ()), |error| {
                    matches!(error, Error::AlreadyExists { .. })
                }),
                _ => report(shm_ringbuf::unlink(&self.name), is_not_found),
            }
        }
        println!("{}", if turns > 0 { "done" } else { "had no turn" });
    }
}

fn is_not_found(error: &Error) -> bool {
    matches!(error, Error::NotFound { .. })
}

fn report(result: Result<(), Error>, expected: impl Fn(&Error) -> bool) {
    if let Err(error) = result
        && !expected(&error)
    {
        println!("unexpected {}: {error}", variant(&error));
    }
}
