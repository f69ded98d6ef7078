//! A peer that goes on by one instruction at a time, and can be killed, or left where it is, after each of them.
//!
//! The peer says where the interesting part begins and ends, by [`mark`]. A [`Stepper`] on the test's own thread takes it from the first mark to the
//! second one, with all threads that it starts meanwhile.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{SigHandler, Signal, kill, raise, signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::children::{Peer, patience};

/// Ends nobody: a peer ignores it, and only who traces the peer hears of it.
const MARK: Signal = Signal::SIGUSR1;
/// A thread that has not stopped for so long may be asleep; then the kernel is asked.
const STEP_MAX: Duration = Duration::from_millis(1);

/// Says to whoever steps through this process that it is here. Says nothing to anybody else.
///
/// # Panics
/// When the system refuses a signal to ourselves.
#[allow(unsafe_code, reason = "sets a signal's disposition")]
pub fn mark() {
    // SAFETY: no handler is installed, the signal is ignored.
    unsafe { signal(MARK, SigHandler::SigIgn) }.expect("a signal may be ignored");
    raise(MARK).expect("a signal to ourselves");
}

/// Keeps this thread, and the peers that it starts from now on, on one processor. There a step is a change of threads; to wake another processor for it takes
/// several times as long.
///
/// # Panics
/// When the system refuses.
pub fn stay_on_one_processor() {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let this_thread = Pid::from_raw(0);
    let all = sched_getaffinity(this_thread).expect("our own processors");
    let granted = (0..CpuSet::count()).filter(|&index| all.is_set(index) == Ok(true));
    let granted: Vec<usize> = granted.collect();
    let turn = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut one = CpuSet::new();
    one.set(granted[turn % granted.len()]).expect("in range");
    sched_setaffinity(this_thread, &one).expect("one of our own processors");
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// One instruction was executed, a system call perhaps, or a thread began or ended.
    Done,
    /// Every thread sleeps in the kernel. Told once for each sleep.
    Asleep,
    /// The peer has said so by [`mark`].
    Mark,
}

/// A peer that is stepped through. Dropping it kills the peer.
#[derive(Debug)]
pub struct Stepper<'a> {
    peer: &'a mut Peer,
    /// They wait for our word. The last one is next.
    stopped: Vec<Pid>,
    /// They execute an instruction, or sleep in a system call.
    running: Vec<Pid>,
    told_asleep: bool,
}

impl<'a> Stepper<'a> {
    /// Takes hold of a peer, which goes on freely until its first mark.
    ///
    /// # Errors
    /// When the system does not let us trace it.
    pub fn seize(peer: &'a mut Peer) -> Result<Self, Errno> {
        let options = Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_EXITKILL;
        let leader = Pid::from_raw(peer.pid().cast_signed());
        ptrace::seize(leader, options)?;
        Ok(Self {
            peer,
            stopped: Vec::new(),
            running: vec![leader],
            told_asleep: false,
        })
    }

    /// Tells the peer to go on, and waits until it is at its first mark.
    ///
    /// # Panics
    /// When it ends, or does not come there within [`patience`].
    pub fn say_and_run_to_mark(&mut self, line: &str) {
        self.peer.say(line);
        let end = Instant::now() + patience();
        while self.look() != Some(Step::Mark) {
            assert!(Instant::now() < end, "no mark");
            self.resume();
            std::thread::yield_now();
        }
    }

    /// Goes on by one instruction of one thread: of the youngest one that does not sleep.
    ///
    /// # Panics
    /// When the peer ends, or sleeps for longer than [`patience`].
    pub fn step(&mut self) -> Step {
        let end = Instant::now() + patience();
        loop {
            if let Some(thread) = self.stopped.pop() {
                ptrace::step(thread, None).expect("a stopped thread of ours");
                self.running.push(thread);
            }
            match self.wait_for_stop() {
                Some(step) => {
                    self.told_asleep = false;
                    return step;
                }
                None if self.stopped.is_empty() && !self.told_asleep => {
                    self.told_asleep = true;
                    return Step::Asleep;
                }
                None => assert!(Instant::now() < end, "asleep for too long"),
            }
        }
    }

    /// Leaves the peer to itself.
    ///
    /// # Panics
    /// When a thread that sleeps can't be stopped for a moment.
    pub fn let_go(mut self) {
        for thread in std::mem::take(&mut self.running) {
            self.running.push(thread);
            self.interrupt(thread);
            // The trap behind a system call that it was to step over is still to come, and would kill it if nobody waited for it.
            self.resume();
            if self.wait_for_stop().is_none() {
                self.interrupt(thread);
            }
        }
        for thread in std::mem::take(&mut self.stopped) {
            ptrace::detach(thread, None).expect("a stopped thread of ours");
        }
    }

    /// Kills the peer where it is: when this returns the kernel has let go of all it held.
    pub fn kill(mut self) {
        self.kill_threads();
        self.peer.kill();
    }

    /// Lets the thread that is next go on freely.
    fn resume(&mut self) {
        if let Some(thread) = self.stopped.pop() {
            ptrace::cont(thread, None).expect("a stopped thread of ours");
            self.running.push(thread);
        }
    }

    /// Stops the one thread that runs, also one that sleeps.
    fn interrupt(&mut self, thread: Pid) {
        ptrace::interrupt(thread).expect("a thread of ours");
        let end = Instant::now() + patience();
        while self.look().is_none() {
            assert!(Instant::now() < end, "can't be stopped");
            std::thread::yield_now();
        }
    }

    /// Until one has stopped; `None` if those that run sleep, all of them.
    fn wait_for_stop(&mut self) -> Option<Step> {
        let mut asked_at = Instant::now();
        loop {
            if let Some(step) = self.look() {
                return Some(step);
            }
            if asked_at.elapsed() < STEP_MAX {
                std::thread::yield_now();
                continue;
            }
            if self.running.iter().all(|&thread| is_asleep(thread)) {
                // It may have stopped between the two questions.
                return self.look();
            }
            asked_at = Instant::now();
        }
    }

    /// Whether one has stopped, without waiting for it.
    fn look(&mut self) -> Option<Step> {
        let flags = WaitPidFlag::WNOHANG | WaitPidFlag::__WALL;
        for index in 0..self.running.len() {
            let status = waitpid(self.running[index], Some(flags)).expect("a thread of ours");
            if let ControlFlow::Break(step) = self.take_note(index, status) {
                return Some(step);
            }
        }
        None
    }

    fn take_note(&mut self, index: usize, status: WaitStatus) -> ControlFlow<Step> {
        let mut step = Step::Done;
        match status {
            WaitStatus::StillAlive => return ControlFlow::Continue(()),
            WaitStatus::Exited(thread, _) | WaitStatus::Signaled(thread, _, _) => {
                let is_leader = thread.as_raw() == self.peer.pid().cast_signed();
                assert!(!is_leader, "the peer has ended");
                self.running.swap_remove(index);
                return ControlFlow::Break(step);
            }
            WaitStatus::PtraceEvent(thread, _, event) if event == libc::PTRACE_EVENT_CLONE => {
                let started = ptrace::getevent(thread).expect("the thread that was started");
                self.running.push(Pid::from_raw(started as i32));
            }
            WaitStatus::Stopped(_, MARK) => step = Step::Mark,
            _ => {}
        }
        let thread = self.running.swap_remove(index);
        self.stopped.push(thread);
        ControlFlow::Break(step)
    }

    /// A thread that is traced stays until its tracer has asked for it, and so does its process.
    fn kill_threads(&mut self) {
        let leader = Pid::from_raw(self.peer.pid().cast_signed());
        // If it has ended by itself there is nobody left to kill.
        let _ = kill(leader, Signal::SIGKILL);
        for thread in self.stopped.drain(..).chain(self.running.drain(..)) {
            let has_ended = |status| {
                matches!(
                    status,
                    Err(_) | Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..))
                )
            };
            while thread != leader && !has_ended(waitpid(thread, Some(WaitPidFlag::__WALL))) {}
        }
    }
}

impl Drop for Stepper<'_> {
    fn drop(&mut self) {
        if !self.stopped.is_empty() || !self.running.is_empty() {
            self.kill_threads();
        }
    }
}

/// Whether the kernel says of a thread that it sleeps.
fn is_asleep(thread: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{thread}/stat")).unwrap_or_default();
    // Behind the name, which may hold anything: a space and a letter.
    stat.rfind(") ")
        .is_some_and(|at| stat[at + 2..].starts_with('S'))
}
