//! A process that changes what is counted in a page of event counts.

#![allow(unsafe_code)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use integration_tests::events::{Page, Word};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use shm_semaphore::{Pollable, Semaphore};

/// Uses the page in this file, and says `done`; after each order if there are any.
#[derive(Debug, Args)]
pub(crate) struct Events {
    file: PathBuf,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// `bump N` counts and notifies; `change N` only counts; each is answered with `done`.
    Obey,
    /// Bump the first so many words in turn, until each has been bumped so often.
    Storm { times: u32, words: usize },
    /// For each bump of the first word, bump the second one; so often.
    Echo { times: u32 },
    /// Say how often the thread behind a disarmed descriptor woke up.
    Idle,
    /// Take a permit of the semaphore of this name, say `ready`, and keep it.
    Own { name: String },
    /// Fork with an armed descriptor, drop it in the child, and see that it still works.
    Fork,
}

impl Events {
    pub(crate) fn play(self) {
        let page = Page::open(&self.file);
        match self.action {
            Action::Obey => return obey(&page),
            Action::Storm { times, words } => {
                for turn in 0..times as usize * words {
                    page.bump(turn % words);
                    if turn % 64 == 0 {
                        std::thread::yield_now();
                    }
                }
            }
            Action::Echo { times } => {
                for turn in 1..=times {
                    page.wait_for(0, turn);
                    page.bump(1);
                }
            }
            Action::Idle => idle(&page),
            Action::Own { name } => {
                let semaphore = Semaphore::open(&name).expect("a semaphore");
                let _permit = semaphore.acquire_owned().expect("a permit");
                println!("ready");
                // Whatever comes ends it.
                let _ = std::io::stdin().read_line(&mut String::new());
            }
            Action::Fork => fork_with_descriptor(&page),
        }
        println!("done");
    }
}

fn obey(page: &Page) {
    println!("ready");
    for line in std::io::stdin().lines() {
        let line = line.expect("a line");
        let (order, word) = line.split_once(' ').expect("an order and a word");
        let word = word.parse().expect("a number");
        match order {
            "bump" => page.bump(word),
            "change" => page.change(word),
            other => panic!("no such order: {other}"),
        }
        println!("done");
    }
}

/// Armed on the first word of the page, from this moment on.
fn armed(page: &Arc<Page>) -> Pollable {
    let word = Word {
        page: Arc::clone(page),
        index: 0,
    };
    let pollable = Pollable::without_slices(word).expect("a thread");
    pollable.arm(page.event(0).prepare_wait());
    pollable
}

fn is_readable(pollable: &Pollable, timeout: PollTimeout) -> bool {
    let mut fds = [PollFd::new(
        std::os::fd::AsFd::as_fd(pollable),
        PollFlags::POLLIN,
    )];
    poll(&mut fds, timeout).expect("no signal comes") == 1
}

/// How often the only other thread of this process fell asleep.
fn switches() -> String {
    let threads = std::fs::read_dir("/proc/self/task").expect("a mounted /proc");
    let mut bridges = threads.filter_map(|thread| {
        let folder = thread.ok()?.path();
        let name = std::fs::read_to_string(folder.join("comm")).ok()?;
        (name.trim() == "shm-pollable")
            .then(|| std::fs::read_to_string(folder.join("status")).ok())?
    });
    let status = bridges.next().expect("there is a bridge");
    let line = status
        .lines()
        .find(|line| line.starts_with("voluntary_ctxt_switches"));
    line.expect("the kernel counts").to_owned()
}

fn idle(page: &Arc<Page>) {
    let pollable = armed(page);
    page.bump(0);
    assert!(is_readable(&pollable, PollTimeout::NONE), "notified");
    pollable.disarm();
    assert!(!is_readable(&pollable, PollTimeout::ZERO), "disarmed");
    pollable.arm(page.event(0).prepare_wait());
    pollable.disarm();
    // Time to go to sleep, then time to wake up if it did.
    std::thread::sleep(Duration::from_millis(200));
    let before = switches();
    for _ in 0..5 {
        page.bump(0);
        std::thread::sleep(Duration::from_millis(60));
    }
    assert!(!is_readable(&pollable, PollTimeout::ZERO), "disarmed");
    assert_eq!(before, switches(), "it woke up for nobody");
}

fn fork_with_descriptor(page: &Arc<Page>) {
    let pollable = armed(page);
    // SAFETY: the other thread holds no lock that the child could need: it sleeps, or is about to.
    match unsafe { fork() }.expect("a process more") {
        ForkResult::Child => {
            pollable.disarm();
            drop(pollable);
            // SAFETY: ends the process and nothing else.
            unsafe { libc::_exit(7) };
        }
        ForkResult::Parent { child } => {
            let status = waitpid(child, None).expect("our child");
            assert!(matches!(status, WaitStatus::Exited(_, 7)), "{status:?}");
            assert!(!is_readable(&pollable, PollTimeout::ZERO), "nothing yet");
            page.bump(0);
            assert!(is_readable(&pollable, PollTimeout::NONE), "notified");
        }
    }
}
