//! Processes that meet at an event count in a file that they map.

#![allow(unsafe_code)]

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use clap::{Args, Subcommand};
use integration_tests::event_page::EventPage;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};
use nix::unistd::Pid;
use shm_ringbuf::{Config, Ring};
use shm_semaphore::{Deadline, WaitResult};

/// Waits or notifies, and says `done`.
#[derive(Debug, Args)]
pub(crate) struct Meeting {
    file: PathBuf,
    /// Live under a filter that refuses the system call `membarrier`.
    #[arg(long)]
    without_membarrier: bool,
    /// Be interrupted by a signal five thousand times a second.
    #[arg(long)]
    interrupted: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum What {
    /// Say `ready`, then take items until killed.
    Take,
    /// Say `ready`, then go to sleep until an item is there, and be killed by the first wake.
    DieOnWaking,
    /// Take turns with another process.
    Alternate {
        times: u32,
        /// Which of the two this is: 0 or 1.
        me: u32,
    },
    /// Announce a sleep and look at the items while `litmus-waker` puts one; fail if both overlooked the other. Times and times again.
    LitmusSleeper { times: u32 },
    /// The other side.
    LitmusWaker { times: u32 },
    /// Put so many items, each when the last one was taken.
    Put { times: u32 },
    /// Send numbers through the ring whose name is the file's, from 0 on.
    Send { times: u64 },
    /// Receive as many and check them.
    Receive { times: u64 },
    /// Make a ring of that name, with wakeups at the sleeper's cost if that can be had.
    CreateRing,
}

impl Meeting {
    pub(crate) fn play(self) {
        if self.without_membarrier {
            refuse_membarrier();
        }
        if self.interrupted {
            interrupt_often();
        }
        let ring = self.file.to_str().expect("a name");
        match self.what {
            What::Take => loop_taking(&EventPage::open(&self.file)),
            What::DieOnWaking => die_on_waking(&EventPage::open(&self.file)),
            What::Alternate { times, me } => alternate(&EventPage::open(&self.file), times, me),
            What::LitmusSleeper { times } => litmus_sleeper(&EventPage::open(&self.file), times),
            What::LitmusWaker { times } => litmus_waker(&EventPage::open(&self.file), times),
            What::Put { times } => put(&EventPage::open(&self.file), times),
            What::Send { times } => {
                let ring = Ring::<u64>::open(ring).expect("a ring");
                let mut producer = ring.producer().expect("its producer");
                (0..times).for_each(|n| producer.send(n).expect("a consumer"));
            }
            What::Receive { times } => {
                let ring = Ring::<u64>::open(ring).expect("a ring");
                let mut consumer = ring.consumer().expect("its consumer");
                println!("ready");
                (0..times).for_each(|n| assert_eq!(consumer.recv(), Ok(n)));
            }
            What::CreateRing => {
                let config = Config::spsc().asymmetric_wakeups(true);
                drop(config.create::<u64>(ring).expect("a ring"));
            }
        }
        println!("done");
    }
}

fn loop_taking(page: &EventPage) {
    println!("ready");
    loop {
        while !page.try_take() {
            let key = page.event().prepare_wait();
            if page.try_take() {
                page.event().cancel_wait(key);
                break;
            }
            page.event().wait(key, Deadline::NEVER);
        }
    }
}

fn die_on_waking(page: &EventPage) {
    println!("ready");
    while page.items().load(Ordering::Acquire) == 0 {
        let key = page.event().prepare_wait();
        if page.items().load(Ordering::Acquire) > 0 {
            break;
        }
        page.event().wait(key, Deadline::NEVER);
    }
    raise(Signal::SIGKILL).expect("a signal to ourselves");
}

fn alternate(page: &EventPage, times: u32, me: u32) {
    let event = page.event();
    for turn in 0..times {
        while page.turn().load(Ordering::Acquire) != me {
            let key = event.prepare_wait();
            if page.turn().load(Ordering::Acquire) == me {
                event.cancel_wait(key);
                break;
            }
            event.wait(key, Deadline::NEVER);
        }
        page.turn().store(1 - me, Ordering::Release);
        if turn % 2 == 0 {
            event.notify_one();
        } else {
            event.notify_all();
        }
    }
}

fn litmus_sleeper(page: &EventPage, times: u32) {
    run_on(0);
    let mut both_missed = 0;
    for round in 0..times {
        // Relaxed, here and below: the meetings order all else, and the two accesses of the litmus test must not be ordered by themselves.
        page.items().store(0, Ordering::Relaxed);
        meet(page, 2 * round);
        // The other one learns of the meeting later than we do, who came last: by how much is tried out.
        for _ in 0..round % 64 {
            std::hint::black_box(round);
        }
        let key = page.event().prepare_wait();
        let missed = page.items().load(Ordering::Relaxed) == 0;
        meet(page, 2 * round + 1);
        let would_sleep = page.event().wait(key, Deadline::now()) == WaitResult::TimedOut;
        both_missed += u32::from(missed && would_sleep);
        // No mark is left for the next round.
        page.event().notify_all();
    }
    assert_eq!(both_missed, 0, "of {times} times");
}

fn litmus_waker(page: &EventPage, times: u32) {
    run_on(1);
    for round in 0..times {
        meet(page, 2 * round);
        // The word lies in our cache, the items in the sleeper's: the later access is ready to overtake the earlier one.
        std::hint::black_box(page.event().is_asymmetric());
        page.items().store(1, Ordering::Relaxed);
        page.event().notify_all();
        meet(page, 2 * round + 1);
    }
}

/// Stays on the processor of this number among those that we may use, counted round.
fn run_on(number: usize) {
    let here = Pid::from_raw(0);
    let allowed = sched_getaffinity(here).expect("our own processors");
    let allowed = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu) == Ok(true));
    let allowed: Vec<usize> = allowed.collect();
    let mut one = CpuSet::new();
    one.set(allowed[number % allowed.len()])
        .expect("it is one of ours");
    sched_setaffinity(here, &one).expect("it is one of ours");
}

/// Waits until both have come to this meeting.
fn meet(page: &EventPage, meeting: u32) {
    page.turn().fetch_add(1, Ordering::AcqRel);
    let mut looks = 0;
    while page.turn().load(Ordering::Acquire) < 2 * (meeting + 1) {
        looks += 1;
        if looks % 128 == 0 {
            std::thread::yield_now();
        }
        std::hint::spin_loop();
    }
}

fn put(page: &EventPage, times: u32) {
    for _ in 0..times {
        page.put();
        while page.items().load(Ordering::Acquire) > 0 {
            std::thread::sleep(Duration::from_micros(50));
        }
    }
}

/// From here on `membarrier` fails with `EPERM`.
fn refuse_membarrier() {
    let statement = |code: u32, value: u32, yes: u8| libc::sock_filter {
        code: code as u16,
        jt: yes,
        jf: u8::from(yes == 0 && code & 7 == libc::BPF_JMP),
        k: value,
    };
    let is_membarrier = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    // The number of the call is the first word of what a filter sees.
    let mut program = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        statement(is_membarrier, libc::SYS_membarrier as u32, 0),
        statement(
            libc::BPF_RET | libc::BPF_K,
            libc::SECCOMP_RET_ERRNO | libc::EPERM as u32,
            0,
        ),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0),
    ];
    let program = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: takes numbers only.
    let result = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(result, 0, "privileges can always be given up");
    // SAFETY: the program outlives the call, which copies it.
    let result = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
        )
    };
    assert_eq!(result, 0, "a filter: {}", std::io::Error::last_os_error());
    assert!(
        !shm_semaphore::membarrier::register(),
        "the filter refuses it"
    );
}

fn interrupt_often() {
    static INTERRUPTIONS: AtomicU32 = AtomicU32::new(0);
    extern "C" fn count(_signal: libc::c_int) {
        // Relaxed: nobody reads it; a handler must do something.
        INTERRUPTIONS.fetch_add(1, Ordering::Relaxed);
    }
    // Without SA_RESTART: every sleep ends.
    let action = SigAction::new(
        SigHandler::Handler(count),
        SaFlags::empty(),
        SigSet::empty(),
    );
    // SAFETY: the handler does nothing but an atomic addition.
    unsafe { sigaction(Signal::SIGALRM, &action) }.expect("a handler can be set");
    let every = libc::timeval {
        tv_sec: 0,
        tv_usec: 200,
    };
    let timer = libc::itimerval {
        it_interval: every,
        it_value: every,
    };
    // SAFETY: reads `timer`, which is ours.
    let result =
        unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
    assert_eq!(result, 0, "a timer can be set");
}
