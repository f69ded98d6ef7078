//! What a program costs: the CPU time and the switches of all its threads and children, as the kernel tells them in `/proc`.
//!
//! A thread that began and ended between two looks is not seen, nor are children where the kernel doesn't list them
//! (`CONFIG_PROC_CHILDREN`).

use std::collections::HashMap;
use std::fs;
use std::ops::AddAssign;

/// No more processes of one program are looked at.
const PROCESSES_MAX: usize = 64;

/// What was used up to a moment, or between two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// CPU time, of the user and of the system.
    pub cpu_ns: u64,
    /// How long a thread could have run but another had the core.
    pub queued_ns: u64,
    /// How often a thread went to sleep.
    pub voluntary_switches: u64,
    /// How often a thread was taken off its core.
    pub involuntary_switches: u64,
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.cpu_ns += other.cpu_ns;
        self.queued_ns += other.queued_ns;
        self.voluntary_switches += other.voluntary_switches;
        self.involuntary_switches += other.involuntary_switches;
    }
}

/// What each thread used so far, by its number.
#[derive(Debug, Default)]
pub struct Snapshot(HashMap<u32, Cost>);

impl Snapshot {
    /// Of a process and all below it.
    pub fn of(pid: u32) -> Self {
        let mut costs = HashMap::new();
        let mut waiting = vec![pid];
        let mut processes = 0;
        while let Some(pid) = waiting.pop() {
            processes += 1;
            if processes > PROCESSES_MAX {
                break;
            }
            // Who has just ended has no directory any more.
            for task in fs::read_dir(format!("/proc/{pid}/task"))
                .into_iter()
                .flatten()
                .flatten()
            {
                let read = |file| fs::read_to_string(task.path().join(file)).unwrap_or_default();
                if let Ok(tid) = task.file_name().to_string_lossy().parse() {
                    costs.insert(tid, parse(&read("schedstat"), &read("status")));
                }
                waiting.extend(
                    read("children")
                        .split_whitespace()
                        .filter_map(|pid| pid.parse::<u32>().ok()),
                );
            }
        }
        Self(costs)
    }

    /// What was used since then.
    pub fn since(&self, before: &Self) -> Cost {
        let mut total = Cost::default();
        for (tid, now) in &self.0 {
            let then = before.0.get(tid).copied().unwrap_or_default();
            total.cpu_ns += now.cpu_ns.saturating_sub(then.cpu_ns);
            total.queued_ns += now.queued_ns.saturating_sub(then.queued_ns);
            total.voluntary_switches += now
                .voluntary_switches
                .saturating_sub(then.voluntary_switches);
            total.involuntary_switches += now
                .involuntary_switches
                .saturating_sub(then.involuntary_switches);
        }
        total
    }
}

/// How long this process, its main thread, could have run so far but another had the core.
pub fn own_queued_ns() -> u64 {
    parse(
        &fs::read_to_string("/proc/self/schedstat").unwrap_or_default(),
        "",
    )
    .queued_ns
}

/// Of `/proc/PID/task/TID/schedstat` and `status`.
fn parse(schedstat: &str, status: &str) -> Cost {
    let number = |text: Option<&str>| text.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    let field = |name: &str| number(status.lines().find_map(|line| line.strip_prefix(name)));
    Cost {
        cpu_ns: number(schedstat.split_whitespace().next()),
        queued_ns: number(schedstat.split_whitespace().nth(1)),
        voluntary_switches: field("voluntary_ctxt_switches:"),
        involuntary_switches: field("nonvoluntary_ctxt_switches:"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_kernel_are_understood() {
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t3\n";
        let cost = parse("123456 789 10\n", status);
        assert_eq!(
            (
                cost.cpu_ns,
                cost.voluntary_switches,
                cost.involuntary_switches
            ),
            (123_456, 12, 3)
        );
        assert_eq!(parse("", ""), Cost::default());
    }

    #[test]
    fn work_of_any_thread_shows_up_and_a_process_that_is_gone_costs_nothing() {
        let pid = std::process::id();
        std::thread::scope(|scope| {
            let before = Snapshot::of(pid);
            let spun = scope.spawn(|| {
                let until = crate::clock::now_ns() + 20_000_000;
                while crate::clock::now_ns() < until {}
                Snapshot::of(pid)
            });
            assert!(spun.join().unwrap().since(&before).cpu_ns > 0);
        });
        assert_eq!(
            Snapshot::of(u32::MAX).since(&Snapshot::default()),
            Cost::default()
        );
    }
}
