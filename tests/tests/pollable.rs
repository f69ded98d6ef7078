//! Event loops that wait for an event count.

#![allow(unsafe_code)]

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use integration_tests::children::Peer;
use integration_tests::events::{Page, Word};
use integration_tests::names::{Folder, Name};
use integration_tests::{ring_peer, seccomp, short_or_long, skip_aloud, watchdog};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::Signal;
use shm_semaphore::{AcquireError, EventCount, NamedSemaphore, Pollable, Semaphore};

/// How many share an event loop.
const WORDS: usize = 100;

fn page(label: &str) -> (Folder, Arc<Page>) {
    let folder = Folder::new(label);
    let page = Page::create(folder.entry("page"));
    (folder, page)
}

fn peer(folder: &Folder, action: &[&str]) -> Peer {
    let file = folder.entry("page");
    Peer::start(ring_peer!(), &[&["events", &file], action].concat())
}

fn word(page: &Arc<Page>, index: usize) -> Word {
    let page = Arc::clone(page);
    Word { page, index }
}

/// Readable because of notifications only: one that is missed is a test that hangs.
fn strict(page: &Arc<Page>, index: usize) -> Pollable {
    Pollable::without_slices(word(page, index)).unwrap()
}

fn wait_readable(fd: BorrowedFd<'_>, timeout: PollTimeout) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
    poll(&mut fds, timeout).unwrap() == 1
}

fn is_readable(pollable: &Pollable) -> bool {
    wait_readable(pollable.as_fd(), PollTimeout::ZERO)
}

fn epoll_on(pollables: &[Pollable], flags: EpollFlags) -> Epoll {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
    for (index, pollable) in pollables.iter().enumerate() {
        let event = EpollEvent::new(flags, index as u64);
        epoll.add(pollable, event).unwrap();
    }
    epoll
}

/// Which one is ready next.
fn next_ready(epoll: &Epoll, timeout: EpollTimeout) -> Option<usize> {
    let mut events = [EpollEvent::empty()];
    let ready = epoll.wait(&mut events, timeout).unwrap();
    (ready == 1).then(|| events[0].data() as usize)
}

/// Waits in an event loop until the word has counted so much.
fn poll_for(page: &Page, index: usize, counted: u32, pollable: &Pollable) {
    while page.counted(index) < counted {
        let key = page.event(index).prepare_wait();
        if page.counted(index) < counted {
            pollable.arm(key);
            assert!(wait_readable(pollable.as_fd(), PollTimeout::NONE));
        }
    }
}

#[test]
fn it_is_readable_from_the_notification_until_it_is_disarmed() {
    let _watchdog = watchdog!(60);
    let (folder, page) = page("levels");
    let mut peer = peer(&folder, &["obey"]);
    peer.expect("ready");
    let pollables = [strict(&page, 0)];
    let epoll = epoll_on(&pollables, EpollFlags::EPOLLIN);
    assert_eq!(peer.ask("bump 0"), "done");
    assert_eq!(next_ready(&epoll, EpollTimeout::ZERO), None, "not armed");
    pollables[0].arm(page.event(0).prepare_wait());
    assert_eq!(next_ready(&epoll, EpollTimeout::ZERO), None, "not notified");
    assert_eq!(peer.ask("bump 0"), "done");
    for _ in 0..3 {
        assert_eq!(next_ready(&epoll, EpollTimeout::NONE), Some(0));
    }
    pollables[0].disarm();
    assert_eq!(next_ready(&epoll, EpollTimeout::ZERO), None, "disarmed");
    pollables[0].arm(page.event(0).prepare_wait());
    assert_eq!(peer.ask("bump 0"), "done");
    assert_eq!(next_ready(&epoll, EpollTimeout::NONE), Some(0));
    pollables[0].arm(page.event(0).prepare_wait());
    assert_eq!(next_ready(&epoll, EpollTimeout::ZERO), None, "armed anew");
    peer.finish();
}

#[test]
fn a_notification_before_it_was_armed_counts_if_it_came_after_the_key() {
    let _watchdog = watchdog!(60);
    let (_folder, page) = page("before");
    let pollable = strict(&page, 0);
    let key = page.event(0).prepare_wait();
    page.bump(0);
    pollable.arm(key);
    assert!(is_readable(&pollable));
}

/// A loop that waits for edges has acknowledged the one before, so it needs one each time.
#[test]
fn each_arming_makes_an_edge_of_its_own() {
    let _watchdog = watchdog!(60);
    let (_folder, page) = page("edges");
    let pollables = [strict(&page, 0)];
    let epoll = epoll_on(&pollables, EpollFlags::EPOLLIN | EpollFlags::EPOLLET);
    for _ in 0..100 {
        let key = page.event(0).prepare_wait();
        page.bump(0);
        pollables[0].arm(key);
        assert_eq!(next_ready(&epoll, EpollTimeout::NONE), Some(0), "changed");
        pollables[0].arm(page.event(0).prepare_wait());
        page.bump(0);
        assert_eq!(next_ready(&epoll, EpollTimeout::NONE), Some(0), "notified");
    }
    pollables[0].disarm();
    assert_eq!(next_ready(&epoll, EpollTimeout::ZERO), None);
}

#[test]
fn no_readiness_is_lost_between_processes_that_answer_each_other() {
    let _watchdog = watchdog!(120);
    let (folder, page) = page("answers");
    let times: u32 = short_or_long(2_000, 100_000);
    let mut peer = peer(&folder, &["echo", &times.to_string()]);
    let pollable = strict(&page, 1);
    for turn in 1..=times {
        page.bump(0);
        if turn % 3 == 0 {
            // Somebody who gives up at once must not be in the way of who comes next.
            pollable.arm(page.event(1).prepare_wait());
            pollable.disarm();
        }
        poll_for(&page, 1, turn, &pollable);
    }
    peer.expect("done");
}

#[test]
fn no_readiness_is_lost_in_a_storm() {
    let _watchdog = watchdog!(120);
    let (folder, page) = page("storm");
    let times: u32 = short_or_long(20_000, 1_000_000);
    let pollable = strict(&page, 0);
    let mut peer = peer(&folder, &["storm", &times.to_string(), "1"]);
    let mut seen = 0;
    while seen < times {
        poll_for(&page, 0, seen + 1, &pollable);
        seen = page.counted(0);
    }
    peer.expect("done");
}

#[test]
fn many_of_them_share_an_event_loop() {
    let _watchdog = watchdog!(120);
    let (folder, page) = page("many");
    let times = short_or_long(50, 2_000);
    let pollables: Vec<Pollable> = (0..WORDS).map(|index| strict(&page, index)).collect();
    let epoll = epoll_on(&pollables, EpollFlags::EPOLLIN);
    let (mut seen, mut left) = ([0; WORDS], WORDS);
    // Arms it anew, and says whether something was counted.
    let look = |index: usize, seen: &mut u32| {
        let key = page.event(index).prepare_wait();
        let before = std::mem::replace(seen, page.counted(index));
        pollables[index].arm(key);
        *seen != before
    };
    for (index, seen) in seen.iter_mut().enumerate() {
        look(index, seen);
    }
    let mut peer = peer(&folder, &["storm", &times.to_string(), &WORDS.to_string()]);
    while left > 0 {
        let index = next_ready(&epoll, EpollTimeout::NONE).unwrap();
        if look(index, &mut seen[index]) && seen[index] == times {
            pollables[index].disarm();
            left -= 1;
        }
    }
    peer.expect("done");
}

/// Notified by nobody, it becomes readable by itself: so a waker that was killed or stopped before it notified is found out.
#[test]
fn a_change_without_a_notification_is_found_all_the_same() {
    let _watchdog = watchdog!(60);
    let (folder, page) = page("slices");
    let mut victim = peer(&folder, &["obey"]);
    victim.expect("ready");
    let pollable = Pollable::new(word(&page, 0)).unwrap();
    for turn in 1..=3 {
        assert_eq!(victim.ask("change 0"), "done");
        poll_for(&page, 0, turn, &pollable);
    }
    victim.signal(Signal::SIGSTOP);
    victim.say("bump 0");
    for _ in 0..2 {
        pollable.arm(page.event(0).prepare_wait());
        assert!(wait_readable(pollable.as_fd(), PollTimeout::NONE));
        assert_eq!(page.counted(0), 3, "it is stopped");
    }
    victim.signal(Signal::SIGCONT);
    poll_for(&page, 0, 4, &pollable);
    victim.kill();
    pollable.arm(page.event(0).prepare_wait());
    assert!(wait_readable(pollable.as_fd(), PollTimeout::NONE));
}

#[test]
fn nobody_wakes_up_for_one_that_is_disarmed() {
    let _watchdog = watchdog!(60);
    let (folder, _page) = page("idle");
    peer(&folder, &["idle"]).expect("done");
}

/// Each of them would last a tenth of a second if the thread were not told; without slices for ever.
#[test]
fn dropping_it_ends_its_thread_at_once_armed_or_not() {
    let _watchdog = watchdog!(60);
    let (_folder, page) = page("drop");
    for turn in 0..1_000 {
        let pollable = strict(&page, 0);
        if turn % 3 > 0 {
            pollable.arm(page.event(0).prepare_wait());
        }
        if turn % 3 > 1 {
            page.bump(0);
        }
    }
}

#[test]
fn what_it_waits_for_lives_as_long_as_it_does() {
    let _watchdog = watchdog!(60);
    let event = Arc::new(EventCount::new());
    let pollable = Pollable::without_slices(Arc::clone(&event)).unwrap();
    pollable.arm(event.prepare_wait());
    let notifier = Arc::downgrade(&event);
    drop(event);
    notifier.upgrade().unwrap().notify_all();
    assert!(wait_readable(pollable.as_fd(), PollTimeout::NONE));
    drop(pollable);
    assert!(notifier.upgrade().is_none(), "nobody needs it any more");
}

#[test]
fn a_file_that_is_truncated_under_it_makes_it_readable_and_harms_nobody() {
    let _watchdog = watchdog!(60);
    let (folder, page) = page("truncated");
    let pollable = Pollable::new(word(&page, 0)).unwrap();
    pollable.arm(page.event(0).prepare_wait());
    let file = std::fs::File::options()
        .write(true)
        .open(folder.entry("page"))
        .unwrap();
    file.set_len(0).unwrap();
    assert!(wait_readable(pollable.as_fd(), PollTimeout::NONE));
    pollable.disarm();
    assert!(!is_readable(&pollable));
}

#[test]
fn a_child_after_fork_leaves_the_descriptor_of_its_parent_alone() {
    let _watchdog = watchdog!(60);
    let (folder, _page) = page("forked");
    peer(&folder, &["fork"]).expect("done");
}

#[test]
fn where_the_kernel_refuses_the_call_it_works_without() {
    let _watchdog = watchdog!(60);
    // A filter is for good, and for one thread and those that it starts.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            if let Err(error) = seccomp::refuse(libc::SYS_futex_waitv, Errno::ENOSYS) {
                skip_aloud("a pollable without futex_waitv", &error.to_string());
                return;
            }
            let (_folder, page) = page("refused");
            let pollable = strict(&page, 0);
            scope.spawn({
                let page = Arc::clone(&page);
                move || (0..300).for_each(|_| page.bump(0))
            });
            poll_for(&page, 0, 300, &pollable);
        });
    });
}

/// Takes a permit as an event loop does.
fn acquire(semaphore: &NamedSemaphore, pollable: &Pollable) {
    loop {
        match semaphore.try_acquire() {
            Ok(()) => return,
            Err(AcquireError::NoPermits) => {}
            Err(error) => panic!("{error}"),
        }
        if let Some(key) = semaphore.prepare_wait() {
            pollable.arm(key);
            assert!(wait_readable(pollable.as_fd(), PollTimeout::NONE));
        }
    }
}

#[test]
fn permits_are_waited_for_in_an_event_loop() {
    let _watchdog = watchdog!(60);
    let name = Name::new("permits");
    let semaphore = Semaphore::create(name.as_str(), 0).unwrap();
    let times = short_or_long(500, 20_000);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let semaphore = semaphore.try_clone().unwrap();
            scope.spawn(move || {
                let pollable = semaphore.pollable().unwrap();
                (0..times).for_each(|_| acquire(&semaphore, &pollable));
            });
        }
        (0..2 * times).for_each(|_| semaphore.release(1).unwrap());
    });
    assert_eq!(semaphore.permits(), 0);
}

#[test]
fn permits_that_a_killed_process_owned_are_found_in_an_event_loop() {
    let _watchdog = watchdog!(60);
    let (folder, _page) = page("owned");
    let name = Name::new("owned");
    let semaphore = Semaphore::create(name.as_str(), 1).unwrap();
    let pollable = semaphore.pollable().unwrap();
    let mut owner = peer(&folder, &["own", name.as_str()]);
    owner.expect("ready");
    assert_eq!(semaphore.try_acquire(), Err(AcquireError::NoPermits));
    owner.kill();
    acquire(&semaphore, &pollable);
}

#[test]
fn a_descriptor_that_outlives_its_handle_takes_no_seat() {
    let _watchdog = watchdog!(60);
    let name = Name::new("seat");
    let semaphore = Semaphore::create(name.as_str(), 0).unwrap();
    let other = semaphore.try_clone().unwrap();
    let pollable = other.pollable().unwrap();
    assert_eq!(semaphore.participants(), 2);
    pollable.arm(other.prepare_wait().unwrap());
    drop(other);
    assert_eq!(semaphore.participants(), 1);
    semaphore.release(1).unwrap();
    assert!(wait_readable(pollable.as_fd(), PollTimeout::NONE));
}
