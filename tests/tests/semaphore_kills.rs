//! Holders and waiters of one named semaphore, killed and stopped at random instants, over and over: no permit is lost, none invented, and nobody waits for ever.

use std::time::{Duration, Instant};

use integration_tests::board::Board;
use integration_tests::children::{Peer, patience};
use integration_tests::names::{Folder, Name};
use integration_tests::{ring_peer, short_or_long, watchdog};
use nix::sys::signal::Signal;
use shm_semaphore::{NamedSemaphore, SemaphoreOptions};

const USERS: usize = 4;
/// Within what is promised to happen in a fraction of a second: the machine may be busy.
const BOUND: Duration = Duration::from_secs(20);

/// Which users own what they take.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owners {
    All,
    /// Those with even numbers. The others are spared.
    Half,
    Nobody,
}

/// What the users of a semaphore are like.
#[derive(Clone, Copy)]
struct Habits {
    /// Permits that there are.
    total: u32,
    /// Permits that a user takes at once, at most.
    most: u32,
    owners: Owners,
    /// Under a storm of signals.
    storm: bool,
    asymmetric: bool,
    seats: u32,
}

const OWNERS: Habits = Habits {
    total: 3,
    most: 3,
    owners: Owners::All,
    storm: false,
    asymmetric: true,
    seats: 16,
};

/// A user, and whether it has said that it is ready.
struct User {
    peer: Peer,
    ready: bool,
}

impl User {
    fn wait_until_ready(&mut self) {
        if !self.ready {
            self.peer.expect("ready");
            self.ready = true;
        }
    }
}

/// A semaphore under attack.
struct Siege {
    habits: Habits,
    name: Name,
    folder: Folder,
    semaphore: NamedSemaphore,
    board: Board,
    users: Vec<Option<User>>,
    kills: usize,
    /// Permits that may have been lost with holders that did not own them. Those that were lost for certain are replaced.
    doubtful: u32,
}

impl Siege {
    fn new(habits: Habits) -> Self {
        let name = Name::new("permit-siege");
        let folder = Folder::new("permit-siege");
        let options = SemaphoreOptions::new()
            .participants(habits.seats)
            .asymmetric(habits.asymmetric);
        let semaphore = options.create(name.as_str(), habits.total).unwrap();
        let board = Board::create(&folder.path().join("board"), USERS);
        let users = (0..USERS).map(|_| None).collect();
        Self {
            habits,
            name,
            folder,
            semaphore,
            board,
            users,
            kills: 0,
            doubtful: 0,
        }
    }

    fn is_spared(&self, line: usize) -> bool {
        self.habits.owners == Owners::Half && line % 2 == 1
    }

    fn owns(&self, line: usize) -> bool {
        self.habits.owners != Owners::Nobody && !self.is_spared(line)
    }

    fn user(&mut self, index: usize) -> &mut User {
        if self.users[index].is_none() {
            let (board, line) = (self.folder.entry("board"), index.to_string());
            let (total, most) = (self.habits.total.to_string(), self.habits.most.to_string());
            let mut arguments = vec!["permit-user", "--name", self.name.as_str()];
            arguments.extend(["--board", &board, "--line", &line]);
            arguments.extend(["--total", &total, "--most", &most]);
            if !self.owns(index) {
                arguments.push("--unowned");
            }
            if self.habits.storm {
                arguments.push("--storm");
            }
            let peer = Peer::start(ring_peer!(), &arguments);
            self.users[index] = Some(User { peer, ready: false });
        }
        self.users[index].as_mut().unwrap()
    }

    /// Kills a user. It may have said before that it was ready, but nothing of a failure.
    fn kill(&mut self, line: usize) {
        if self.is_spared(line) {
            return;
        }
        self.user(line).peer.signal(Signal::SIGKILL);
        let mut user = self.users[line].take().unwrap();
        user.peer.wait();
        while let Some(said) = user.peer.line() {
            assert_eq!(said, "ready", "after {} kills", self.kills);
        }
        self.kills += 1;
        let (held, at_most) = self.board.wipe(line);
        if self.habits.owners == Owners::Nobody {
            self.semaphore.release(held).unwrap();
            self.doubtful += at_most - held;
        }
    }

    fn blow(&mut self, random: &mut fastrand::Rng) {
        let victim = random.usize(..USERS);
        match random.u8(..16) {
            // One is left alone, has the semaphore to itself, and others come back.
            0 => {
                (0..USERS).filter(|&line| line != victim).for_each(|line| {
                    self.kill(line);
                });
                std::thread::sleep(Duration::from_micros(random.u64(..15_000)));
                self.start_all();
                std::thread::sleep(Duration::from_micros(random.u64(..3000)));
                self.kill(victim);
            }
            1 => (0..USERS).for_each(|line| self.kill(line)),
            2 | 3 => {
                self.kill(victim);
                self.kill((victim + 1) % USERS);
            }
            // It may hold all the others up as long as it is stopped, if it holds permits.
            4 => {
                let time = Duration::from_micros(random.u64(..100_000));
                let kill = random.bool();
                let peer = &self.user(victim).peer;
                peer.signal(Signal::SIGSTOP);
                std::thread::sleep(time);
                if kill && !self.is_spared(victim) {
                    self.kill(victim);
                } else {
                    self.user(victim).peer.signal(Signal::SIGCONT);
                }
            }
            _ => self.kill(victim),
        }
    }

    fn start_all(&mut self) {
        (0..USERS).for_each(|line| {
            self.user(line);
        });
    }

    /// Waits until each user has got on.
    fn assert_all_get_on(&mut self) {
        self.start_all();
        let before: Vec<u64> = (0..USERS).map(|line| self.board.turns(line)).collect();
        let end = Instant::now() + patience();
        for (line, before) in before.into_iter().enumerate() {
            while self.board.turns(line) < before + 3 {
                assert!(
                    Instant::now() < end,
                    "user {line} does not get on, after {} kills; {:?}",
                    self.kills,
                    self.semaphore
                );
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// Deals so many kills, then lets the users end and counts the permits.
    fn run(mut self, kills: usize, seed: u64) {
        let start = Instant::now();
        let mut random = fastrand::Rng::with_seed(seed);
        let mut last_look = 0;
        while self.kills < kills {
            self.start_all();
            // Now and then the blow falls while they start.
            if random.u8(..8) != 0 {
                (0..USERS).for_each(|line| self.user(line).wait_until_ready());
            }
            std::thread::sleep(Duration::from_micros(random.u64(..4000)));
            self.blow(&mut random);
            if self.kills - last_look >= 50 {
                last_look = self.kills;
                self.assert_all_get_on();
            }
        }
        self.assert_all_get_on();
        eprintln!("{} kills took {:?}", self.kills, start.elapsed());
        self.end(seed);
    }

    fn end(mut self, seed: u64) {
        for user in self.users.iter_mut().flatten() {
            user.wait_until_ready();
            user.peer.close_stdin();
        }
        for user in self.users.drain(..).flatten() {
            let mut peer = user.peer;
            assert_eq!(peer.line().as_deref(), Some("done"), "seed {seed}");
            peer.finish();
        }
        let (total, least) = (self.habits.total, self.habits.total - self.doubtful);
        let all = self.semaphore.acquire_many_timeout(least, BOUND);
        assert!(
            all.is_ok(),
            "{} of {least} permits are left, seed {seed}",
            self.semaphore.permits()
        );
        let more = self.semaphore.permits();
        assert!(
            more <= self.doubtful,
            "{} permits of {total}, seed {seed}",
            least + more
        );
    }
}

fn besiege(habits: Habits, short: usize, long: usize) {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    Siege::new(habits).run(short_or_long(short, long), seed);
}

#[test]
fn no_permit_is_lost_or_invented_when_holders_and_waiters_are_killed() {
    let _watchdog = watchdog!(200);
    besiege(OWNERS, 250, 10_000);
}

#[test]
fn users_of_a_single_permit_survive_kills() {
    let _watchdog = watchdog!(200);
    let habits = Habits {
        total: 1,
        most: 1,
        ..OWNERS
    };
    besiege(habits, 150, 4000);
}

#[test]
fn users_of_a_semaphore_that_nobody_can_have_to_himself_survive_kills() {
    let _watchdog = watchdog!(200);
    let habits = Habits {
        asymmetric: false,
        ..OWNERS
    };
    besiege(habits, 150, 4000);
}

#[test]
fn owners_are_killed_among_others_who_own_nothing() {
    let _watchdog = watchdog!(200);
    let habits = Habits {
        owners: Owners::Half,
        ..OWNERS
    };
    besiege(habits, 150, 4000);
}

#[test]
fn users_that_take_over_the_seats_of_the_dead_survive_kills() {
    let _watchdog = watchdog!(200);
    let habits = Habits {
        seats: USERS as u32 + 1,
        ..OWNERS
    };
    besiege(habits, 150, 4000);
}

#[test]
fn users_under_a_storm_of_signals_survive_kills() {
    let _watchdog = watchdog!(200);
    let habits = Habits {
        total: 2,
        most: 2,
        storm: true,
        ..OWNERS
    };
    besiege(habits, 100, 2000);
}

#[test]
fn permits_that_nobody_owns_are_lost_with_their_holders_and_no_others() {
    let _watchdog = watchdog!(200);
    let habits = Habits {
        total: 12,
        most: 1,
        owners: Owners::Nobody,
        ..OWNERS
    };
    // What became of a permit whose holder was killed while it took it nobody knows, so there are fewer and fewer.
    for _ in 0..short_or_long(8, 200) {
        besiege(habits, 8, 8);
    }
}
