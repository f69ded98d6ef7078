//! Nobody who waits for permits starves, however busily others take them and give them back. Operations are counted, not time: one that starves
//! ends under the watchdog.

#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use integration_tests::board::Board;
use integration_tests::children::Peer;
use integration_tests::names::{Folder, Name};
use integration_tests::{ring_peer, short_or_long, watchdog};
use shm_semaphore::{NamedSemaphore, Semaphore, SemaphoreOptions};

/// Processes that take permits and give them back without a pause.
struct Traffic {
    name: Name,
    _folder: Folder,
    board: Board,
    peers: Vec<Peer>,
    semaphore: NamedSemaphore,
}

impl Traffic {
    /// One peer for each list of further arguments.
    fn new(options: &SemaphoreOptions, total: u32, users: &[&[&str]]) -> Self {
        let (name, folder) = (Name::new("traffic"), Folder::new("traffic"));
        let semaphore = options.create(name.as_str(), total).unwrap();
        let board = Board::create(&folder.path().join("board"), users.len());
        let (file, total) = (folder.entry("board"), total.to_string());
        let start = |(line, more): (usize, &&[&str])| {
            let line = line.to_string();
            let mut arguments = vec!["permit-user", "--name", name.as_str()];
            arguments.extend(["--board", &file, "--line", &line, "--total", &total]);
            arguments.extend(*more);
            Peer::start(ring_peer!(), &arguments)
        };
        let mut peers: Vec<Peer> = users.iter().enumerate().map(start).collect();
        for peer in &mut peers {
            peer.expect("ready");
        }
        let traffic = Self {
            name,
            _folder: folder,
            board,
            peers,
            semaphore,
        };
        traffic.wait_for_turns(1);
        traffic
    }

    fn turns(&self) -> Vec<u64> {
        (0..self.peers.len())
            .map(|line| self.board.turns(line))
            .collect()
    }

    /// Waits until each of the peers has got on so many times more.
    fn wait_for_turns(&self, more: u64) {
        let wanted: Vec<u64> = self.turns().iter().map(|turns| turns + more).collect();
        while self
            .turns()
            .iter()
            .zip(&wanted)
            .any(|(turns, wanted)| turns < wanted)
        {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets the peers end in peace, and says how often each has got on.
    fn end(mut self, total: u32) {
        let turns = self.turns();
        for peer in &mut self.peers {
            peer.close_stdin();
        }
        for mut peer in self.peers.drain(..) {
            peer.expect("done");
            peer.finish();
        }
        eprintln!("{}: turns {turns:?}", self.name);
        assert_eq!(self.semaphore.permits(), total);
    }
}

const GREEDY: &[&str] = &["--pace", "greedy"];
const GREEDY_UNOWNED: &[&str] = &["--pace", "greedy", "--unowned"];
const TRIES: &[&str] = &["--pace", "tries"];

fn both_modes() -> [SemaphoreOptions; 2] {
    let options = SemaphoreOptions::new();
    [options.clone(), options.asymmetric(false)]
}

#[test]
fn a_waiter_gets_a_permit_again_and_again_from_processes_that_never_pause() {
    let _watchdog = watchdog!(200);
    for options in both_modes() {
        for users in [[GREEDY, GREEDY], [GREEDY_UNOWNED, GREEDY], [TRIES, GREEDY]] {
            let traffic = Traffic::new(&options, 1, &users);
            for _ in 0..short_or_long(10, 200) {
                drop(traffic.semaphore.acquire_owned().unwrap());
                traffic.semaphore.acquire().unwrap();
                traffic.semaphore.release(1).unwrap();
            }
            traffic.wait_for_turns(10);
            traffic.end(1);
        }
    }
}

#[test]
fn one_who_wants_all_permits_at_once_gets_them_from_processes_that_never_pause() {
    let _watchdog = watchdog!(200);
    let others = ["--most", "2"];
    for options in both_modes() {
        let traffic = Traffic::new(&options, 3, &[GREEDY, &others, &others, TRIES]);
        for _ in 0..short_or_long(10, 200) {
            let all = traffic.semaphore.acquire_many_owned(3).unwrap();
            assert_eq!(traffic.semaphore.permits(), 0);
            drop(all);
            traffic.wait_for_turns(1);
        }
        traffic.end(3);
    }
}

#[test]
fn no_process_among_equals_starves() {
    let _watchdog = watchdog!(200);
    for options in both_modes() {
        for total in [1, 2] {
            let traffic = Traffic::new(&options, total, &[GREEDY, GREEDY, GREEDY, GREEDY_UNOWNED]);
            for _ in 0..short_or_long(5, 200) {
                traffic.wait_for_turns(20);
            }
            traffic.end(total);
        }
    }
}

#[test]
fn several_who_want_all_and_several_who_want_one_all_get_on() {
    let _watchdog = watchdog!(200);
    let all = ["--pace", "greedy", "--most", "4"];
    for options in both_modes() {
        let traffic = Traffic::new(&options, 4, &[&all, &all, GREEDY, GREEDY]);
        for _ in 0..short_or_long(5, 200) {
            traffic.wait_for_turns(10);
            let all = traffic.semaphore.acquire_many_owned(4).unwrap();
            assert_eq!(traffic.semaphore.permits(), 0);
            drop(all);
        }
        traffic.end(4);
    }
}

#[test]
fn threads_at_a_placed_semaphore_do_not_starve() {
    let _watchdog = watchdog!(200);
    let semaphore = Semaphore::new(2).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                // Relaxed: a plain flag.
                while !done.load(Ordering::Relaxed) {
                    semaphore.acquire().unwrap();
                    semaphore.release(1).unwrap();
                }
            });
        }
        for _ in 0..short_or_long(10, 200) {
            semaphore.acquire().unwrap();
            semaphore.release(1).unwrap();
            semaphore.acquire_many(2).unwrap();
            semaphore.release(2).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(semaphore.permits(), 2);
}

#[test]
fn who_has_waited_longest_comes_first() {
    let _watchdog = watchdog!(200);
    let pause = Duration::from_millis(150);
    let rounds = short_or_long(4, 40);
    let mut in_order = 0;
    for _ in 0..rounds {
        let name = Name::new("oldest");
        let semaphore = Semaphore::create(name.as_str(), 0).unwrap();
        let mut peers: Vec<Peer> = (0..4)
            .map(|_| {
                let mut peer = Peer::start(ring_peer!(), &["participant", "--name", name.as_str()]);
                peer.expect("ready");
                peer.say("acquire 1");
                peer.wait_until_asleep();
                std::thread::sleep(pause);
                peer
            })
            .collect();
        let mut order = Vec::new();
        for _ in 0..4 {
            semaphore.release(1).unwrap();
            while order.len() < 4 {
                let served = peers
                    .iter_mut()
                    .position(|peer| peer.line_if_any().is_some());
                if let Some(peer) = served {
                    order.push(peer);
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            // The next one finds that it is the oldest now.
            std::thread::sleep(pause);
        }
        in_order += usize::from(order == [0, 1, 2, 3]);
        eprintln!("served in the order {order:?}");
    }
    // The machine may be so busy that a lease runs out now and then.
    assert!(2 * in_order > rounds, "{in_order} of {rounds} in order");
}
