//! The semaphore and the event count between processes.

#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use integration_tests::children::Peer;
use integration_tests::names::Folder;
use integration_tests::{ring_peer, short_or_long, watchdog};
use memmap2::{MmapOptions, MmapRaw};
use shm_semaphore::Semaphore;

const SHORT: Duration = Duration::from_millis(30);

/// A page that the peers map too; all zero, so that the semaphore has no permits.
struct Page {
    folder: Folder,
    map: MmapRaw,
}

impl Page {
    fn new(label: &str) -> Self {
        let folder = Folder::new(label);
        let file = folder.entry("page");
        std::fs::write(&file, [0; 4096]).unwrap();
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .open(file)
            .unwrap();
        Self {
            folder,
            map: MmapOptions::new().map_raw(&file).unwrap(),
        }
    }

    fn semaphore(&self) -> &Semaphore {
        // SAFETY: the first 32 bytes of a mapping that lives as long as the reference.
        unsafe { Semaphore::from_ptr(self.map.as_mut_ptr().cast()) }
    }

    fn counter(&self) -> &AtomicU32 {
        let counter = {
            let words: *mut u32 = self.map.as_mut_ptr().cast();
            words.wrapping_add(8)
        };
        // SAFETY: the ninth word of a mapping that lives as long as the reference.
        unsafe { AtomicU32::from_ptr(counter) }
    }

    fn start(&self, arguments: &[&str]) -> Peer {
        let file = self.folder.entry("page");
        Peer::start(ring_peer!(), &[&["synchronize", &file], arguments].concat())
    }
}

#[test]
fn one_permit_keeps_processes_out_of_each_others_way() {
    let _watchdog = watchdog!(120);
    let page = Page::new("permit");
    page.semaphore().release(1).unwrap();
    let times = short_or_long("20000", "1000000");
    let mut peers: Vec<Peer> = (0..3).map(|_| page.start(&["count", times])).collect();
    for peer in &mut peers {
        peer.expect("done");
    }
    let expected = 3 * times.parse::<u32>().unwrap();
    assert_eq!(
        page.counter().load(Ordering::SeqCst),
        expected,
        "two were in at once"
    );
    assert_eq!(page.semaphore().permits(), 1);
}

#[test]
fn no_wakeup_is_lost_between_processes_that_take_turns() {
    let _watchdog = watchdog!(120);
    let page = Page::new("turns");
    // A wakeup that is lost costs a slice of sleep; so many of them that are lost are more than the watchdog allows.
    let times = short_or_long("20000", "1000000");
    let mut peers = ["0", "1"].map(|me| page.start(&["alternate", times, me]));
    for peer in &mut peers {
        peer.expect("done");
    }
}

#[test]
fn a_permit_wakes_a_process_that_waits_for_it() {
    let _watchdog = watchdog!(60);
    let page = Page::new("waits");
    let mut peers: Vec<Peer> = (0..3).map(|_| page.start(&["hold"])).collect();
    std::thread::sleep(5 * SHORT);
    assert!(
        peers.iter_mut().all(|peer| peer.line_if_any().is_none()),
        "there is no permit yet"
    );
    page.semaphore().release(3).unwrap();
    for peer in &mut peers {
        peer.expect("acquired");
    }
    assert_eq!(page.semaphore().permits(), 0);
    for peer in &mut peers {
        assert_eq!(peer.ask("release"), "done");
    }
    assert_eq!(page.semaphore().permits(), 3);
}

#[test]
fn a_killed_sleeper_takes_no_permit_with_it() {
    let _watchdog = watchdog!(60);
    let page = Page::new("killed-sleeper");
    for _ in 0..short_or_long(20, 1000) {
        let mut victim = page.start(&["hold"]);
        let mut other = page.start(&["hold"]);
        std::thread::sleep(SHORT / 3);
        victim.kill();
        assert_eq!(victim.line(), None);
        page.semaphore().release(1).unwrap();
        other.expect("acquired");
        assert_eq!(other.ask("release"), "done");
        assert!(page.semaphore().try_acquire().is_ok());
    }
}

#[test]
fn a_wait_for_a_permit_ends_when_its_time_is_up() {
    let _watchdog = watchdog!(60);
    let page = Page::new("timeout");
    let start = Instant::now();
    assert!(page.semaphore().try_acquire().is_err());
    assert!(page.semaphore().acquire_timeout(SHORT).is_err());
    assert!(start.elapsed() >= SHORT);
    assert!(
        page.semaphore()
            .acquire_deadline(Instant::now() + SHORT)
            .is_err()
    );
    assert!(start.elapsed() >= 2 * SHORT);
    page.semaphore().release(2).unwrap();
    assert!(
        page.semaphore().acquire_timeout(Duration::ZERO).is_ok(),
        "one that is there is taken"
    );
    assert!(
        page.semaphore().acquire_deadline(start).is_ok(),
        "even when it is late"
    );
    assert_eq!(page.semaphore().permits(), 0);
}

#[test]
fn permits_do_not_overflow() {
    let _watchdog = watchdog!(60);
    let page = Page::new("overflow");
    page.semaphore().release(Semaphore::MAX_PERMITS).unwrap();
    assert!(page.semaphore().release(1).is_err());
    assert!(page.semaphore().release(u32::MAX).is_err());
    assert_eq!(page.semaphore().permits(), Semaphore::MAX_PERMITS);
    assert!(page.semaphore().try_acquire().is_ok());
    page.semaphore().release(1).unwrap();
    assert!(Semaphore::new(Semaphore::MAX_PERMITS).is_ok());
    assert!(Semaphore::new(u32::MAX).is_err());
}
