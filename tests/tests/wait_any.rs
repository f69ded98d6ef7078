//! Waiting for several event counts at once, between processes.

#![allow(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use integration_tests::children::Peer;
use integration_tests::events::{Page, WORDS};
use integration_tests::names::{Folder, Name};
use integration_tests::{ring_peer, seccomp, short_or_long, skip_aloud, watchdog};
use nix::errno::Errno;
use nix::sys::pthread::{pthread_kill, pthread_self};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use shm_semaphore::{
    Deadline, Prepared, Semaphore, WaitResult, acquire_any, wait_any, wait_any_by_naps,
};

type WaitAny = fn(&[Prepared<'_>], Deadline) -> WaitResult;

/// With the kernel's help, and without.
const WAYS: [(&str, WaitAny); 2] = [
    ("kernel", |waits, deadline| wait_any(waits, deadline)),
    ("naps", |waits, deadline| wait_any_by_naps(waits, deadline)),
];

fn peer(folder: &Folder, action: &[&str]) -> Peer {
    let file = folder.entry("page");
    Peer::start(ring_peer!(), &[&["events", &file], action].concat())
}

fn page(label: &str) -> (Folder, Arc<Page>) {
    let folder = Folder::new(label);
    let page = Page::create(folder.entry("page"));
    (folder, page)
}

/// Waits until one of the first words has counted more than `seen` says, and says which.
fn wait_for_change(page: &Page, seen: &[u32], wait: WaitAny) -> usize {
    let changed = || (0..seen.len()).find(|&index| page.counted(index) != seen[index]);
    loop {
        let waits: Vec<Prepared<'_>> = (0..seen.len())
            .map(|index| page.event(index))
            .map(|event| event.prepared(event.prepare_wait()))
            .collect();
        if let Some(index) = changed() {
            return index;
        }
        wait(&waits, Deadline::NEVER);
    }
}

/// Follows a storm of notifications over so many words to its end.
fn follow_storm(label: &str, words: usize, wait: WaitAny) {
    let (folder, page) = page(label);
    let times: u32 = short_or_long(10_000, 1_000_000) / words as u32;
    let mut peer = peer(&folder, &["storm", &times.to_string(), &words.to_string()]);
    let mut seen = vec![0; words];
    while seen.iter().any(|&seen| seen < times) {
        let index = wait_for_change(&page, &seen, wait);
        seen[index] = page.counted(index);
    }
    peer.expect("done");
}

#[test]
fn a_storm_over_a_few_words_is_followed_to_its_end() {
    let _watchdog = watchdog!(120);
    for (way, wait) in WAYS {
        follow_storm(&format!("storm-few-{way}"), 5, wait);
    }
}

#[test]
fn a_storm_over_more_words_than_the_kernel_takes_is_followed_to_its_end() {
    let _watchdog = watchdog!(120);
    for (way, wait) in WAYS {
        follow_storm(&format!("storm-many-{way}"), WORDS, wait);
    }
}

#[test]
fn each_of_the_words_ends_the_wait() {
    let _watchdog = watchdog!(60);
    for (way, wait) in WAYS {
        let (folder, page) = page(&format!("each-{way}"));
        let mut peer = peer(&folder, &["obey"]);
        peer.expect("ready");
        for index in [0, 1, 126, 127] {
            let seen: Vec<u32> = (0..128).map(|index| page.counted(index)).collect();
            peer.say(&format!("bump {index}"));
            assert_eq!(wait_for_change(&page, &seen, wait), index, "{way}");
            peer.expect("done");
        }
        peer.finish();
    }
}

/// As a waker that is killed between the two.
#[test]
fn a_change_without_a_notification_is_found_all_the_same() {
    let _watchdog = watchdog!(60);
    for (way, wait) in WAYS {
        let (folder, page) = page(&format!("unnotified-{way}"));
        let mut peer = peer(&folder, &["obey"]);
        peer.expect("ready");
        for turn in 0..3 {
            peer.say("change 1");
            assert_eq!(wait_for_change(&page, &[0, turn], wait), 1, "{way}");
            peer.expect("done");
        }
        peer.finish();
    }
}

#[test]
fn a_notifier_that_was_stopped_is_noticed_when_it_goes_on_and_waits_have_deadlines() {
    let _watchdog = watchdog!(60);
    let (folder, page) = page("stopped");
    let mut peer = peer(&folder, &["obey"]);
    peer.expect("ready");
    peer.signal(Signal::SIGSTOP);
    peer.say("bump 1");
    let deadline = Deadline::after(Duration::from_millis(150));
    let mut waits = 0;
    loop {
        let keys = [0, 1].map(|index| page.event(index).prepare_wait());
        let prepared = [0, 1].map(|index| page.event(index).prepared(keys[index]));
        waits += 1;
        if wait_any(&prepared, deadline) == WaitResult::TimedOut {
            break;
        }
    }
    assert!(deadline.has_passed() && waits >= 2, "one wait is one slice");
    peer.signal(Signal::SIGCONT);
    assert_eq!(wait_for_change(&page, &[0, 0], WAYS[0].1), 1);
    peer.expect("done");
    peer.finish();
}

extern "C" fn do_nothing(_signal: std::ffi::c_int) {}

#[test]
fn a_storm_of_signals_neither_ends_a_wait_for_good_nor_prolongs_it() {
    let _watchdog = watchdog!(60);
    let action = SigAction::new(
        SigHandler::Handler(do_nothing),
        SaFlags::empty(),
        SigSet::empty(),
    );
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
    let (waiter, is_done) = (pthread_self(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Relaxed, both: a plain flag.
            while !is_done.load(Ordering::Relaxed) {
                pthread_kill(waiter, Signal::SIGUSR1).unwrap();
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        for (way, wait) in WAYS {
            let (_folder, page) = page(&format!("signals-{way}"));
            let deadline = Deadline::after(Duration::from_millis(50));
            let waits =
                [0, 1].map(|index| page.event(index).prepared(page.event(index).prepare_wait()));
            while wait(&waits, deadline) != WaitResult::TimedOut {
                assert!(page.counted(0) == 0);
            }
            assert!(deadline.has_passed(), "{way}");
        }
        is_done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn where_the_kernel_refuses_the_call_the_wait_goes_on_without_it() {
    let _watchdog = watchdog!(120);
    for refusal in [Errno::ENOSYS, Errno::EPERM] {
        // A filter is for good, and for one thread.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                if let Err(error) = seccomp::refuse(libc::SYS_futex_waitv, refusal) {
                    skip_aloud("a wait without futex_waitv", &error.to_string());
                    return;
                }
                let (_folder, page) = page(&format!("refused-{refusal}"));
                scope.spawn({
                    let page = Arc::clone(&page);
                    move || (0..300).for_each(|turn| page.bump(turn % 3))
                });
                let mut seen = [0; 3];
                while seen != [100; 3] {
                    let index = wait_for_change(&page, &seen, WAYS[0].1);
                    seen[index] = page.counted(index);
                }
            });
        });
    }
}

/// The permit comes back while we wait for it among others; whoever waits finds out.
#[test]
fn a_permit_that_a_killed_process_owned_is_taken_by_one_who_waits_for_several() {
    let _watchdog = watchdog!(60);
    let (folder, _page) = page("any-owned");
    let names = ["first", "second"].map(Name::new);
    let semaphores = [0, 1].map(|at| Semaphore::create(names[at].as_str(), at as u32).unwrap());
    let mut owner = peer(&folder, &["own", names[1].as_str()]);
    owner.expect("ready");
    let soon = Deadline::after(Duration::from_millis(20));
    let all = [&semaphores[0], &semaphores[1]];
    assert!(acquire_any(&all, soon).is_err(), "it lives");
    owner.kill();
    assert_eq!(acquire_any(&all, Deadline::NEVER), Ok(1));
    semaphores[0].release(1).unwrap();
    assert_eq!(acquire_any(&all, Deadline::NEVER), Ok(0));
}
