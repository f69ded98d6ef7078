//! Event counts between processes: one is woken, whoever dies; and who pays for the fence may change.

use std::os::unix::fs::FileExt as _;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use integration_tests::children::Peer;
use integration_tests::event_page::EventPage;
use integration_tests::names::{Folder, Name};
use integration_tests::{ring_peer, short_or_long, skip_aloud, watchdog};
use nix::sys::signal::Signal;
use shm_ringbuf::{Config, Error, Ring, Wait};
use shm_semaphore::{EventCount, membarrier};

/// Many slices of 100 ms, for a machine that is busy.
const STUCK: Duration = Duration::from_secs(10);
/// Where a segment keeps the gates and the field of the header that are looked at here.
const NOT_EMPTY: u64 = 4096 + 256;
const NOT_FULL: u64 = 4096 + 384;
const HEADER_ASYMMETRIC: u64 = 13 * 8;

struct Meeting {
    folder: Folder,
    page: EventPage,
}

impl Meeting {
    fn new(label: &str) -> Self {
        let folder = Folder::new(label);
        let page = EventPage::create(&folder.path().join("page"));
        Self { folder, page }
    }

    fn start(&self, arguments: &[&str]) -> Peer {
        let file = self.folder.entry("page");
        let (options, what): (Vec<&str>, Vec<&str>) =
            arguments.iter().partition(|word| word.starts_with("--"));
        Peer::start(
            ring_peer!(),
            &[&["meeting", &file], &options[..], &what[..]].concat(),
        )
    }

    /// Fails when an item is still there after [`STUCK`]; says how long it was.
    #[track_caller]
    fn wait_until_taken(&self) -> Duration {
        let start = Instant::now();
        while self.page.items().load(Ordering::Acquire) > 0 {
            assert!(start.elapsed() < STUCK, "an item is stuck");
            std::thread::sleep(Duration::from_micros(100));
        }
        start.elapsed()
    }
}

fn can_register() -> bool {
    let can = membarrier::register();
    if !can {
        skip_aloud(
            "the asymmetric mode",
            "this machine has no membarrier for all",
        );
    }
    can
}

#[test]
fn a_sleeper_that_dies_of_the_wake_takes_no_item_with_it() {
    let _watchdog = watchdog!(120);
    let meeting = Meeting::new("dies");
    let mut late = 0;
    for _ in 0..short_or_long(10, 500) {
        let mut peers = Vec::new();
        // The victim is the one who has slept longest.
        for role in ["die-on-waking", "take"] {
            let mut peer = meeting.start(&[role]);
            peer.expect("ready");
            peers.push(peer);
            std::thread::sleep(Duration::from_millis(5));
        }
        meeting.page.put();
        late += u32::from(meeting.wait_until_taken() > Duration::from_millis(20));
    }
    assert!(late > 0, "no wake ever died with a sleeper");
}

#[test]
fn no_item_is_stuck_when_waiters_are_killed_at_random() {
    let _watchdog = watchdog!(300);
    let meeting = Meeting::new("random");
    let mut random = fastrand::Rng::with_seed(3);
    let mut waiters: Vec<Peer> = (0..4).map(|_| meeting.start(&["take"])).collect();
    for waiter in &mut waiters {
        waiter.expect("ready");
    }
    let (mut late, mut longest) = (0, Duration::ZERO);
    let rounds = short_or_long(300, 10_000);
    for _ in 0..rounds {
        for _ in 0..random.u32(1..=3) {
            meeting.page.put();
        }
        // About when the first one comes back from its sleep.
        let kill_at = Instant::now() + Duration::from_micros(random.u64(0..80));
        while Instant::now() < kill_at {}
        let victim = random.usize(..waiters.len());
        waiters[victim].signal(Signal::SIGKILL);
        let waited = meeting.wait_until_taken();
        late += u32::from(waited > Duration::from_millis(20));
        longest = longest.max(waited);
        waiters[victim] = meeting.start(&["take"]);
        waiters[victim].expect("ready");
    }
    println!(
        "{late} of {rounds} items outlasted the one who was to take them, the longest by {longest:?}"
    );
}

#[test]
fn processes_take_turns_in_either_mode_and_under_a_storm_of_signals() {
    let _watchdog = watchdog!(120);
    let times = short_or_long("5000", "200000");
    for asymmetric in [false, true] {
        for interrupted in [false, true] {
            let meeting = Meeting::new("turns");
            if asymmetric && !meeting.page.event().make_asymmetric() {
                can_register();
                return;
            }
            let mut peers = ["0", "1"].map(|me| {
                let option: &[&str] = if interrupted { &["--interrupted"] } else { &[] };
                meeting.start(&[option, &["alternate", times, me]].concat())
            });
            for peer in &mut peers {
                peer.expect("done");
            }
            assert_eq!(meeting.page.event().is_asymmetric(), asymmetric);
        }
    }
}

/// The store-buffer litmus test on real processors, on which the whole protocol rests.
#[test]
fn a_sleeper_and_a_waker_never_overlook_each_other() {
    let _watchdog = watchdog!(120);
    let times = short_or_long("20000", "20000000");
    for asymmetric in [false, true] {
        let meeting = Meeting::new("litmus");
        if asymmetric && !meeting.page.event().make_asymmetric() {
            can_register();
            return;
        }
        let mut peers =
            ["litmus-sleeper", "litmus-waker"].map(|role| meeting.start(&[role, times]));
        for peer in &mut peers {
            peer.expect("done");
        }
        assert_eq!(meeting.page.event().is_asymmetric(), asymmetric);
    }
}

#[test]
fn a_waker_that_may_not_register_makes_the_fence_and_leaves_the_mode_on() {
    let _watchdog = watchdog!(60);
    if !can_register() {
        return;
    }
    let meeting = Meeting::new("waker");
    assert!(meeting.page.event().make_asymmetric());
    let mut taker = meeting.start(&["take"]);
    taker.expect("ready");
    let times = short_or_long("2000", "100000");
    let mut waker = meeting.start(&["--without-membarrier", "put", times]);
    waker.expect("done");
    assert!(meeting.page.event().is_asymmetric());
}

#[test]
fn a_sleeper_that_may_not_make_the_heavy_fence_turns_the_mode_off() {
    let _watchdog = watchdog!(60);
    if !can_register() {
        return;
    }
    let meeting = Meeting::new("sleeper");
    assert!(meeting.page.event().make_asymmetric());
    let times = short_or_long("2000", "100000");
    let mut peers = [
        meeting.start(&["--without-membarrier", "alternate", times, "1"]),
        meeting.start(&["alternate", times, "0"]),
    ];
    for peer in &mut peers {
        peer.expect("done");
    }
    assert!(!meeting.page.event().is_asymmetric());
}

/// Whether both gates of a ring are in the asymmetric mode.
fn gates(name: &Name) -> [bool; 2] {
    let file = std::fs::File::open(name.file()).unwrap();
    [NOT_EMPTY, NOT_FULL].map(|at| {
        let mut word = [0; 4];
        file.read_exact_at(&mut word, at).unwrap();
        u32::from_ne_bytes(word) & EventCount::FRESH_ASYMMETRIC != 0
    })
}

fn header_says(name: &Name) -> u64 {
    let mut word = [0; 8];
    let file = std::fs::File::open(name.file()).unwrap();
    file.read_exact_at(&mut word, HEADER_ASYMMETRIC).unwrap();
    u64::from_ne_bytes(word)
}

#[test]
fn a_ring_is_made_in_the_mode_that_was_asked_for_and_keeps_it() {
    let _watchdog = watchdog!(60);
    if !can_register() {
        return;
    }
    let modes = [(Wait::Spin, true, false), (Wait::Park, false, false)];
    let modes = [
        modes,
        [(Wait::Park, true, true), (Wait::SpinThenPark, true, true)],
    ];
    for (wait, asked, expected) in modes.concat() {
        let name = Name::new("mode");
        let config = Config::spsc().wait(wait).asymmetric_wakeups(asked);
        let ring = config.create::<u64>(name.as_str()).unwrap();
        assert_eq!(header_says(&name), u64::from(expected), "{wait:?}");
        let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
        let sender = std::thread::spawn(move || (0..1000).for_each(|n| producer.send(n).unwrap()));
        (0..1000).for_each(|n| assert_eq!(consumer.recv(), Ok(n)));
        sender.join().unwrap();
        assert_eq!(gates(&name), [expected; 2], "{wait:?}");
    }
}

#[test]
fn a_participant_that_may_not_register_turns_the_mode_of_a_ring_off() {
    let _watchdog = watchdog!(60);
    if !can_register() {
        return;
    }
    let times = short_or_long("20000", "1000000");
    for filtered in ["send", "receive"] {
        let name = Name::new("participant");
        let config = Config::spsc().wait(Wait::Park).asymmetric_wakeups(true);
        let _ring = config.create::<u64>(name.as_str()).unwrap();
        assert_eq!(gates(&name), [true; 2]);
        let start = |role: &str| {
            let mut arguments = vec!["meeting", name.as_str(), role, times];
            if role == filtered {
                arguments.insert(2, "--without-membarrier");
            }
            Peer::start(ring_peer!(), &arguments)
        };
        let mut receiver = start("receive");
        receiver.expect("ready");
        start("send").expect("done");
        receiver.expect("done");
        assert_eq!(gates(&name), [false; 2], "{filtered} was filtered");
    }
}

#[test]
fn a_creator_that_may_not_register_makes_a_ring_without_the_mode() {
    let _watchdog = watchdog!(60);
    let name = Name::new("creator");
    let arguments = [
        "meeting",
        name.as_str(),
        "--without-membarrier",
        "create-ring",
    ];
    Peer::start(ring_peer!(), &arguments).expect("done");
    assert_eq!(header_says(&name), 0);
    assert_eq!(gates(&name), [false; 2]);
    Ring::<u64>::open(name.as_str()).expect("it is a ring all the same");
}

#[test]
fn a_mode_that_does_not_exist_is_refused() {
    let _watchdog = watchdog!(60);
    for (wait, planted) in [(Wait::Park, 2), (Wait::Park, u64::MAX), (Wait::Spin, 1)] {
        let name = Name::new("planted");
        drop(
            Config::spsc()
                .wait(wait)
                .create::<u64>(name.as_str())
                .unwrap(),
        );
        let file = std::fs::File::options().write(true).open(name.file());
        let word = planted.to_ne_bytes();
        file.unwrap()
            .write_all_at(&word, HEADER_ASYMMETRIC)
            .unwrap();
        let refused = Ring::<u64>::open(name.as_str()).map(|_| ()).unwrap_err();
        let field = "header.asymmetric_wakeups";
        let is_named = matches!(refused, Error::Corrupt { field: told, found, .. } if told == field && found == planted);
        assert!(is_named, "{refused:?}");
    }
}
