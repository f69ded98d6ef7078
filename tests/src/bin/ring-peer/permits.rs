//! Participants that take permits and give them back in every way there is, and write on a board what they hold.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use integration_tests::board::Board;
use shm_semaphore::{AcquireError, Deadline, NamedSemaphore, OwnedPermits};

use crate::participant::{Which, or_refused};
use crate::storm;

/// How busily permits are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Pace {
    /// In every way there is, and held for a moment.
    Varied,
    /// Nothing but acquired and released, without a pause.
    Greedy,
    /// The same, and never waited for.
    Tries,
}

/// Takes permits and gives them back until its input ends, or it is killed. Says `ready`, and at the end `done`; or what it saw that must not be.
#[derive(Debug, Args)]
pub(crate) struct User {
    #[command(flatten)]
    which: Which,
    /// The board, and our line of it.
    #[arg(long)]
    board: PathBuf,
    #[arg(long)]
    line: usize,
    /// The permits that there are.
    #[arg(long)]
    total: u32,
    /// The most that it takes at once.
    #[arg(long, default_value_t = 1)]
    most: u32,
    /// Take permits that do not come back.
    #[arg(long)]
    unowned: bool,
    #[arg(long, value_enum, default_value = "varied")]
    pace: Pace,
    /// Under a storm of signals.
    #[arg(long)]
    storm: bool,
    /// End after so many turns.
    #[arg(long)]
    turns: Option<u64>,
}

impl User {
    pub(crate) fn play(self) {
        let board = Board::open(&self.board);
        board.sign(self.line);
        let semaphore = or_refused(self.which.join());
        if self.storm {
            storm::begin();
        }
        println!("ready");
        let told_to_end = end_of_input();
        let mut random = fastrand::Rng::new();
        let mut left = self.turns.unwrap_or(u64::MAX);
        while left > 0 && !told_to_end.is_finished() {
            let wanted = random.u32(1..=self.most);
            let taken = if self.unowned {
                self.use_unowned(&semaphore, &board, wanted, &mut random)
            } else {
                self.use_owned(&semaphore, &board, wanted, &mut random)
            };
            if taken {
                left -= 1;
                board.turn(self.line);
            }
        }
        println!("done");
    }

    /// The way to acquire, one of those below.
    fn way(&self, random: &mut fastrand::Rng) -> u8 {
        match self.pace {
            Pace::Tries => 0,
            Pace::Greedy => 1,
            Pace::Varied => random.u8(..4),
        }
    }

    fn use_owned(
        &self,
        semaphore: &NamedSemaphore,
        board: &Board,
        wanted: u32,
        random: &mut fastrand::Rng,
    ) -> bool {
        let way = self.way(random);
        let Some(guard) = own(semaphore, way, wanted) else {
            return false;
        };
        self.hold(board, wanted, random);
        drop(guard);
        true
    }

    fn use_unowned(
        &self,
        semaphore: &NamedSemaphore,
        board: &Board,
        wanted: u32,
        random: &mut fastrand::Rng,
    ) -> bool {
        board.doubt(self.line, wanted);
        let way = self.way(random);
        if !take(semaphore, way, wanted) {
            board.doubt(self.line, 0);
            return false;
        }
        self.hold(board, wanted, random);
        semaphore.release(wanted).expect("they were ours");
        board.doubt(self.line, 0);
        true
    }

    /// Notes what it holds while it holds it, and looks whether all hold too much.
    fn hold(&self, board: &Board, permits: u32, random: &mut fastrand::Rng) {
        if self.pace != Pace::Varied {
            return;
        }
        board.hold(self.line, permits);
        if let Some(held) = board.held_at_once()
            && held > u64::from(self.total)
        {
            println!("{held} permits are held, and there are {}", self.total);
        }
        if random.u8(..16) == 0 {
            std::thread::sleep(Duration::from_micros(random.u64(..300)));
        }
        board.hold(self.line, 0);
    }
}

/// A thread that ends when the input does.
fn end_of_input() -> std::thread::JoinHandle<()> {
    std::thread::spawn(|| {
        let mut line = String::new();
        while std::io::stdin()
            .read_line(&mut line)
            .is_ok_and(|len| len > 0)
        {}
    })
}

/// Short waits, so that it ends soon when it is told to.
const BRIEF: Duration = Duration::from_millis(2);

fn own(semaphore: &NamedSemaphore, way: u8, wanted: u32) -> Option<OwnedPermits<'_>> {
    let result = match (way, wanted) {
        (0, 1) => semaphore.try_acquire_owned(),
        (1, 1) => semaphore.acquire_owned(),
        (2, 1) => semaphore.acquire_owned_timeout(BRIEF),
        (_, 1) => semaphore.acquire_owned_deadline(Deadline::after(BRIEF)),
        (0, many) => semaphore.try_acquire_many_owned(many),
        (1, many) => semaphore.acquire_many_owned(many),
        (2, many) => semaphore.acquire_many_owned_timeout(many, BRIEF),
        (_, many) => semaphore.acquire_many_owned_deadline(many, Deadline::after(BRIEF)),
    };
    match result {
        Ok(guard) => Some(guard),
        Err(error) => {
            report(way, error);
            None
        }
    }
}

fn take(semaphore: &NamedSemaphore, way: u8, wanted: u32) -> bool {
    let result = match (way, wanted) {
        (0, 1) => semaphore.try_acquire(),
        (1, 1) => semaphore.acquire(),
        (2, 1) => semaphore.acquire_timeout(BRIEF),
        (_, 1) => semaphore.acquire_deadline(Deadline::after(BRIEF)),
        (0, many) => semaphore.try_acquire_many(many),
        (1, many) => semaphore.acquire_many(many),
        (2, many) => semaphore.acquire_many_timeout(many, BRIEF),
        (_, many) => semaphore.acquire_many_deadline(many, Deadline::after(BRIEF)),
    };
    if let Err(error) = result {
        report(way, error);
    }
    result.is_ok()
}

/// Nothing but "none now" for one who tries, and "none in time" for one who waits, may come.
fn report(way: u8, error: AcquireError) {
    let expected = match way {
        0 => error == AcquireError::NoPermits,
        1 => false,
        _ => error == AcquireError::TimedOut,
    };
    if !expected {
        println!("way {way} ended with {error:?}");
    }
}

/// Uses the semaphore in every way there is, whatever comes back, for a while; says `endured`, with the kinds of errors that it met, or what took too long.
#[derive(Debug, Args)]
pub(crate) struct Endure {
    #[command(flatten)]
    which: Which,
    #[arg(long)]
    for_ms: u64,
}

impl Endure {
    pub(crate) fn play(self) {
        let semaphore = or_refused(self.which.join());
        println!("ready");
        let end = Instant::now() + Duration::from_millis(self.for_ms);
        let mut kinds = std::collections::BTreeSet::new();
        let mut random = fastrand::Rng::new();
        while Instant::now() < end {
            let start = Instant::now();
            let kind = one_turn(&semaphore, &mut random);
            // The machine may be busy, but not for seconds.
            if start.elapsed() > Duration::from_secs(10) {
                println!("one turn took {:?} and ended with {kind}", start.elapsed());
                return;
            }
            kinds.insert(kind);
        }
        println!("endured {kinds:?}");
    }
}

fn one_turn(semaphore: &NamedSemaphore, random: &mut fastrand::Rng) -> String {
    // Anything but the way that waits for ever.
    let way = [0, 2, 3][random.usize(..3)];
    let wanted = random.u32(1..4);
    match random.u8(..12) {
        0 => format!("{} permits", semaphore.permits().min(1)),
        1 => format!("{} participants", semaphore.participants().min(1)),
        2 => said(
            "try_clone",
            semaphore.try_clone().map(|other| other.release(1)),
        ),
        3 => said("release", semaphore.release(wanted)),
        // As if a thread of its own had used it for long.
        4 => {
            for _ in 0..3000 {
                match semaphore.try_acquire_owned() {
                    Ok(guard) => drop(guard),
                    Err(error) => return said::<(), _>("alone", Err(error)),
                }
            }
            "alone".to_owned()
        }
        5 => {
            let _key = semaphore.prepare_wait();
            "prepare_wait".to_owned()
        }
        6 | 7 => match own_quietly(semaphore, way, wanted) {
            Ok(guard) => {
                // Some are never dropped.
                if random.bool() {
                    std::mem::forget(guard);
                }
                "owned".to_owned()
            }
            Err(error) => said::<(), _>("own", Err(error)),
        },
        _ => said(
            "take",
            match way {
                0 => semaphore.try_acquire_many(wanted),
                2 => semaphore.acquire_many_timeout(wanted, BRIEF),
                _ => semaphore.acquire_many_deadline(wanted, Deadline::after(BRIEF)),
            },
        ),
    }
}

fn own_quietly(
    semaphore: &NamedSemaphore,
    way: u8,
    wanted: u32,
) -> Result<OwnedPermits<'_>, AcquireError> {
    match way {
        0 => semaphore.try_acquire_many_owned(wanted),
        2 => semaphore.acquire_many_owned_timeout(wanted, BRIEF),
        _ => semaphore.acquire_many_owned_deadline(wanted, Deadline::after(BRIEF)),
    }
}

fn said<T, E: std::fmt::Debug>(what: &str, result: Result<T, E>) -> String {
    match result {
        Ok(_) => format!("{what} ok"),
        // Without the numbers, which differ each time.
        Err(error) => {
            let text = format!("{error:?}");
            let end = text.find("found").unwrap_or(text.len());
            format!("{what} {}", &text[..end])
        }
    }
}
