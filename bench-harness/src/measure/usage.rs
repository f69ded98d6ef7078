//! What a run costs a process beside time.

use std::fs::{self, File};
use std::ops::AddAssign;
use std::os::unix::fs::FileExt;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use nix::unistd::{SysconfVar, sysconf};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::transport::calls;

/// Differences between two moments of this process.
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
    /// Memory that it had in use at the end, shared pages included, in bytes: of several processes the most of one.
    pub resident_bytes: Option<u64>,
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
    /// Opened once, so that reading it is quick.
    pub fn open() -> Self {
        Self {
            file: File::open("/proc/self/schedstat").ok(),
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
    /// What this process used so far.
    ///
    /// # Panics
    /// Never on Linux: the call has no reason to fail.
    pub fn so_far() -> Self {
        let usage = getrusage(UsageWho::RUSAGE_SELF).expect("getrusage of oneself never fails");
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
            resident_bytes: resident_bytes(),
        }
    }
}

/// What this process has in memory, shared pages included; none where the kernel doesn't tell.
fn resident_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    let page_len = sysconf(SysconfVar::PAGE_SIZE).ok()??;
    Some(pages * page_len as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_shows_up_as_cpu_time() {
        let meter = QueueMeter::open();
        let before = (meter.so_far(), Counters::so_far());
        let until = crate::clock::now_ns() + 30_000_000;
        while crate::clock::now_ns() < until {}
        let usage = Usage::between(before, (Counters::so_far(), meter.so_far()));
        assert!(usage.cpu_ns > 0);
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
