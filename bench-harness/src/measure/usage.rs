//! What a run costs a process, or a thread that is measured beside others of its process, beside time.

use std::fs::{self, File};
use std::io;
use std::ops::AddAssign;
use std::os::unix::fs::FileExt;
use std::process;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{SysconfVar, sysconf};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::transport::calls;

/// Whose cost is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// This process's: all its threads.
    Process,
    /// This thread's.
    Thread,
}

/// Differences between two moments of this process, or thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// CPU time, of the user and of the system.
    pub cpu_ns: u64,
    /// How often it went to sleep.
    pub voluntary_switches: u64,
    /// How often it was taken off its core.
    pub involuntary_switches: u64,
    /// How long it could have run but another had the core; none where the kernel doesn't tell.
    pub queued_ns: Option<u64>,
    /// System calls that move or await messages; none where they aren't counted.
    pub system_calls: Option<u64>,
    /// Memory that it had in use at the end, shared pages included, in bytes: of several processes the most of one, of a program of the
    /// user's that with all its children.
    pub resident_bytes: Option<u64>,
    /// What of that was the harness's own wait for the moments at which messages were due: of a sender of paced messages, and none where nobody knows.
    #[serde(default)]
    pub waiting: Option<Used>,
}

/// What a thread used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Used {
    /// CPU time, of the user and of the system.
    pub cpu_ns: u64,
    /// How often it left its core, whoever wanted that.
    pub switches: u64,
}

impl Used {
    /// What this thread used so far.
    ///
    /// # Panics
    /// Never on Linux: neither call has a reason to fail.
    pub fn so_far() -> Self {
        let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("getrusage of oneself never fails");
        let switches = usage.voluntary_context_switches() + usage.involuntary_context_switches();
        // To the nanosecond, other than the times of getrusage.
        let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
            .expect("every thread has a clock of its own");
        Self {
            cpu_ns: time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64,
            switches: switches as u64,
        }
    }
}

impl AddAssign for Used {
    fn add_assign(&mut self, other: Self) {
        self.cpu_ns += other.cpu_ns;
        self.switches += other.switches;
    }
}

impl Usage {
    /// How often it left its core, whoever wanted that.
    pub fn switches(&self) -> u64 {
        self.voluntary_switches + self.involuntary_switches
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.cpu_ns += other.cpu_ns;
        self.voluntary_switches += other.voluntary_switches;
        self.involuntary_switches += other.involuntary_switches;
        self.queued_ns = self.queued_ns.zip(other.queued_ns).map(|(a, b)| a + b);
        self.system_calls = self
            .system_calls
            .zip(other.system_calls)
            .map(|(a, b)| a + b);
        self.resident_bytes = self.resident_bytes.max(other.resident_bytes);
        self.waiting = self.waiting.zip(other.waiting).map(|(mut both, other)| {
            both += other;
            both
        });
    }
}

/// Where the kernel tells how long this process could have run but another had the core.
#[derive(Debug)]
pub struct QueueMeter {
    file: Option<File>,
}

/// The part of the account that takes a microsecond or two to read.
#[derive(Debug, Clone, Copy)]
pub struct Queued(Option<u64>);

impl QueueMeter {
    /// Opened once, so that reading it is quick. Of a process it is the first thread's, which does the measured work.
    pub fn open(whose: Whose) -> Self {
        let path = match whose {
            Whose::Process => "/proc/self/schedstat",
            Whose::Thread => "/proc/thread-self/schedstat",
        };
        Self {
            file: File::open(path).ok(),
        }
    }

    /// How long this process waited for its core so far.
    pub fn so_far(&self) -> Queued {
        let mut text = [0; 96];
        let read = self
            .file
            .as_ref()
            .and_then(|file| file.read_at(&mut text, 0).ok());
        let text = str::from_utf8(&text[..read.unwrap_or(0)]).unwrap_or_default();
        Queued(
            text.split_whitespace()
                .nth(1)
                .and_then(|field| field.parse().ok()),
        )
    }
}

/// The part of the account that is quick to read: taken at the very edges of the window.
#[derive(Debug, Clone, Copy)]
pub struct Counters {
    system_calls: u64,
    cpu_ns: u64,
    voluntary_switches: u64,
    involuntary_switches: u64,
}

impl Counters {
    /// What was used so far.
    ///
    /// # Panics
    /// Never on Linux: the call has no reason to fail.
    pub fn so_far(whose: Whose) -> Self {
        let who = match whose {
            Whose::Process => UsageWho::RUSAGE_SELF,
            Whose::Thread => UsageWho::RUSAGE_THREAD,
        };
        let usage = getrusage(who).expect("getrusage of oneself never fails");
        Self {
            system_calls: calls::so_far(),
            cpu_ns: nanoseconds(usage.user_time()) + nanoseconds(usage.system_time()),
            voluntary_switches: usage.voluntary_context_switches() as u64,
            involuntary_switches: usage.involuntary_context_switches() as u64,
        }
    }
}

fn nanoseconds(time: TimeVal) -> u64 {
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_usec() as u64 * 1_000
}

impl Usage {
    /// The account of what lies between.
    pub fn between(before: (Queued, Counters), after: (Counters, Queued)) -> Self {
        let ((queued_before, from), (to, queued_after)) = (before, after);
        Self {
            cpu_ns: to.cpu_ns.saturating_sub(from.cpu_ns),
            voluntary_switches: to
                .voluntary_switches
                .saturating_sub(from.voluntary_switches),
            involuntary_switches: to
                .involuntary_switches
                .saturating_sub(from.involuntary_switches),
            queued_ns: queued_after
                .0
                .zip(queued_before.0)
                .map(|(b, a)| b.saturating_sub(a)),
            system_calls: calls::are_all_seen()
                .then(|| to.system_calls.saturating_sub(from.system_calls)),
            resident_bytes: resident_bytes_of(process::id()).ok(),
            waiting: None,
        }
    }
}

/// What a process has in memory, shared pages included.
///
/// # Errors
/// When the kernel doesn't tell, or the process is gone.
pub fn resident_bytes_of(pid: u32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let pages = text.split_whitespace().nth(1);
    let pages: Option<u64> = pages.and_then(|pages| pages.parse().ok());
    let page_len = sysconf(SysconfVar::PAGE_SIZE)?;
    let bytes = pages.zip(page_len).map(|(pages, len)| pages * len as u64);
    bytes.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn work_shows_up_as_cpu_time() {
        let usage = usage_of(Whose::Process, || work(30));
        assert!(usage.cpu_ns > 0);
    }

    #[test]
    fn the_work_of_another_thread_is_not_this_one_s() {
        let beside = || {
            thread::scope(|scope| {
                scope.spawn(|| work(30));
            });
        };
        let of_thread = usage_of(Whose::Thread, beside);
        assert!(of_thread.cpu_ns < 15_000_000, "{of_thread:?}");
        let of_process = usage_of(Whose::Process, beside);
        assert!(of_process.cpu_ns >= 15_000_000, "{of_process:?}");
    }

    fn usage_of(whose: Whose, action: impl FnOnce()) -> Usage {
        let meter = QueueMeter::open(whose);
        let before = (meter.so_far(), Counters::so_far(whose));
        action();
        Usage::between(before, (Counters::so_far(whose), meter.so_far()))
    }

    /// Keeps a core busy until this thread has had so many milliseconds of one.
    fn work(ms: u64) {
        let so_far = || Counters::so_far(Whose::Thread).cpu_ns;
        let until = so_far() + ms * 1_000_000;
        while so_far() < until {}
    }

    #[test]
    fn an_unknown_part_makes_the_sum_unknown() {
        let mut sum = Usage {
            queued_ns: Some(1),
            ..Usage::default()
        };
        sum += Usage {
            queued_ns: Some(2),
            cpu_ns: 5,
            ..Usage::default()
        };
        assert_eq!((sum.queued_ns, sum.cpu_ns), (Some(3), 5));
        sum += Usage::default();
        assert_eq!(sum.queued_ns, None);
    }
}
