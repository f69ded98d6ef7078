//! What a program costs: the CPU time and the switches of all its threads and children, and the memory that these have in use, as the kernel
//! tells them in `/proc`.
//!
//! A thread that began and ended between two looks is not seen, nor are children where the kernel doesn't list them
//! (`CONFIG_PROC_CHILDREN`): the memory is unknown then.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::ops::AddAssign;
use std::path::Path;

use nix::errno::Errno;

use crate::measure::usage::resident_bytes_of;

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

/// What a program and all below it used up to a moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// What each thread used so far, by its number.
    costs: HashMap<u32, Cost>,
    /// Memory in use, of all processes together: shared pages count in each. None where some of it can't be read.
    pub resident_bytes: Option<u64>,
}

impl Snapshot {
    /// Of a process and all below it.
    pub fn of(pid: u32) -> Self {
        let mut costs = HashMap::new();
        let lists_children = Path::new("/proc/thread-self/children").exists();
        let mut resident_bytes = resident_bytes_of(pid).ok().filter(|_| lists_children);
        let mut waiting = vec![pid];
        let mut processes = 0;
        while let Some(next) = waiting.pop() {
            processes += 1;
            if processes > PROCESSES_MAX {
                resident_bytes = None;
                break;
            }
            if next != pid {
                let of_child = resident_bytes_of_child(next);
                resident_bytes = resident_bytes.zip(of_child).map(|(all, one)| all + one);
            }
            // Who has just ended has no directory any more.
            for task in fs::read_dir(format!("/proc/{next}/task"))
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
        Self {
            costs,
            resident_bytes,
        }
    }

    /// What was used since then.
    pub fn since(&self, before: &Self) -> Cost {
        let mut total = Cost::default();
        for (tid, now) in &self.costs {
            let then = before.costs.get(tid).copied().unwrap_or_default();
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

/// Who has just ended has no memory any more.
fn resident_bytes_of_child(pid: u32) -> Option<u64> {
    match resident_bytes_of(pid) {
        Err(error) if is_gone(&error) => Some(0),
        result => result.ok(),
    }
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(Errno::ESRCH as i32)
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
        assert_eq!(Snapshot::of(u32::MAX).resident_bytes, None);
        assert_eq!(
            Snapshot::of(u32::MAX).since(&Snapshot::default()),
            Cost::default()
        );
    }

    #[test]
    fn the_memory_of_a_child_is_in_the_sum_and_a_child_that_is_gone_has_none() {
        let pid = std::process::id();
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        let all = Snapshot::of(pid).resident_bytes.unwrap();
        let of_child = resident_bytes_of_child(child.id()).unwrap();
        assert!(of_child > 0 && all > of_child, "{all} {of_child}");
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(resident_bytes_of_child(child.id()), Some(0));
    }
}
