//! The machine: which cores there are, which two are measured, and what is printed about it.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::utsname::uname;
use nix::unistd::Pid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::ClockProfile;
use crate::report::numbers::counted;

/// The two cores of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cores {
    /// Of the left side.
    pub left: usize,
    /// Of the right side.
    pub right: usize,
}

impl Cores {
    /// Whether both sides share one.
    pub fn is_one(self) -> bool {
        self.left == self.right
    }
}

/// The cores that this process may use.
///
/// # Errors
/// What the system says.
pub fn allowed_cores() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count())
        .filter(|&cpu| set.is_set(cpu).unwrap_or(false))
        .collect())
}

/// Keeps this process on one core.
///
/// # Errors
/// What the system says.
pub fn pin_to(cpu: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &set)?;
    Ok(())
}

/// Chooses the cores: those asked for, else two that are no siblings of each other, else what there is.
///
/// # Errors
/// One sentence, when a core that was asked for can't be had.
pub fn choose_cores(
    asked: Option<&[usize]>,
    allowed: &[usize],
    siblings: impl Fn(usize) -> BTreeSet<usize>,
) -> Result<Cores, String> {
    let shown = || show_cores(allowed);
    if let Some(asked) = asked {
        let &[left, right] = asked else {
            return Err(format!(
                "--cpus names {} and takes two, one for each process, as in --cpus 0,1",
                counted(asked.len(), "core")
            ));
        };
        return match asked.iter().find(|cpu| !allowed.contains(cpu)) {
            Some(cpu) => Err(format!(
                "--cpus names core {cpu} and this process may use only {}; choose two of those",
                shown()
            )),
            None => Ok(Cores { left, right }),
        };
    }
    let Some(&left) = allowed.first() else {
        return Err("this process may use no core at all; check its affinity".to_owned());
    };
    let others = || allowed.iter().copied().filter(|&cpu| cpu != left);
    let near = siblings(left);
    let right = others()
        .find(|cpu| !near.contains(cpu))
        .or_else(|| others().next());
    Ok(Cores {
        left,
        right: right.unwrap_or(left),
    })
}

/// The hardware threads of the core that `cpu` belongs to, as the kernel lists them.
pub fn siblings(cpu: usize) -> BTreeSet<usize> {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
    parse_core_list(&fs::read_to_string(path).unwrap_or_default())
}

/// The kernel's format for sets of cores, as in `0-3,8`.
fn parse_core_list(text: &str) -> BTreeSet<usize> {
    let mut cores = BTreeSet::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<usize>(), last.parse::<usize>()) {
            cores.extend(first..=last);
        }
    }
    cores
}

/// A list for people.
pub fn show_cores(cores: &[usize]) -> String {
    let shown: Vec<String> = cores.iter().map(ToString::to_string).collect();
    shown.join(", ")
}

/// What is printed about the machine.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Environment {
    /// The processor's name.
    pub cpu: String,
    /// The kernel's name and release.
    pub kernel: String,
    /// How many cores this process may use.
    pub cores: usize,
    /// The cores that are measured: left and right, then those of further processes.
    pub measured_cores: Vec<usize>,
    /// Whether two of them are hardware threads of one core.
    pub measured_cores_are_siblings: bool,
    /// Whether the machine is virtual, as far as the processor says.
    pub is_virtual: bool,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// The load of the last minute when the run began.
    pub load_average: Option<f64>,
    /// What the kernel takes the time from.
    pub clock_source: Option<String>,
    /// What the clock costs.
    pub clock: ClockProfile,
    /// The architecture.
    pub architecture: String,
    /// The version of the harness.
    pub harness_version: String,
}

impl Environment {
    /// Looks around.
    pub fn observe(measured: &[usize], allowed: &[usize]) -> Self {
        let cpu_info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |name: &str| {
            cpu_info
                .lines()
                .find(|l| l.starts_with(name))
                .and_then(after_colon)
        };
        let flags = field("flags").unwrap_or_default();
        Self {
            cpu: field("model name").unwrap_or("unknown").to_owned(),
            kernel: kernel_name(),
            cores: allowed.len(),
            measured_cores: measured.to_vec(),
            measured_cores_are_siblings: measured.iter().any(|&cpu| {
                let near = siblings(cpu);
                measured
                    .iter()
                    .any(|other| *other != cpu && near.contains(other))
            }),
            is_virtual: flags.split_whitespace().any(|flag| flag == "hypervisor"),
            memory_bytes: memory_bytes(),
            load_average: load_average(),
            clock_source: clock_source(),
            clock: ClockProfile::measure(),
            architecture: std::env::consts::ARCH.to_owned(),
            harness_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

fn after_colon(line: &str) -> Option<&str> {
    line.split_once(':').map(|(_, value)| value.trim())
}

fn kernel_name() -> String {
    uname().map_or_else(
        |_| "unknown".to_owned(),
        |name| {
            format!(
                "{} {}",
                name.sysname().to_string_lossy(),
                name.release().to_string_lossy()
            )
        },
    )
}

fn memory_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let total = text
        .lines()
        .find(|line| line.starts_with("MemTotal:"))
        .and_then(after_colon)?;
    let kib: u64 = total.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

fn load_average() -> Option<f64> {
    fs::read_to_string("/proc/loadavg")
        .ok()?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

fn clock_source() -> Option<String> {
    let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    fs::read_to_string(path)
        .ok()
        .map(|text| text.trim().to_owned())
}

/// Time that a hypervisor took from these cores so far, in nanoseconds; the kernel counts it in hundredths of a second.
pub fn stolen_ns(cores: &[usize]) -> u64 {
    const TICK_NS: u64 = 10_000_000;
    const STEAL_FIELD: usize = 8;
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let of = |cpu: &usize| {
        let name = format!("cpu{cpu}");
        text.lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .find(|fields| fields.first() == Some(&name.as_str()))
            .and_then(|fields| fields.get(STEAL_FIELD)?.parse::<u64>().ok())
            .unwrap_or(0)
    };
    cores.iter().map(of).sum::<u64>() * TICK_NS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(cpu: usize) -> BTreeSet<usize> {
        BTreeSet::from([cpu & !1, cpu | 1])
    }

    fn chosen(asked: Option<&[usize]>, allowed: &[usize]) -> Result<(usize, usize), String> {
        choose_cores(asked, allowed, pairs).map(|cores| (cores.left, cores.right))
    }

    #[test]
    fn cores_that_share_no_hardware_are_preferred() {
        assert_eq!(chosen(None, &[0, 1, 2, 3]), Ok((0, 2)));
        assert_eq!(chosen(None, &[4, 5]), Ok((4, 5)));
        assert_eq!(chosen(None, &[7]), Ok((7, 7)));
        assert!(choose_cores(None, &[7], pairs).unwrap().is_one());
    }

    #[test]
    fn a_core_that_cannot_be_had_is_named_with_those_that_can() {
        assert_eq!(chosen(Some(&[1, 0]), &[0, 1]), Ok((1, 0)));
        let problem = chosen(Some(&[0, 9]), &[0, 1]).unwrap_err();
        assert!(
            problem.contains("core 9") && problem.contains("0, 1"),
            "{problem}"
        );
        assert!(chosen(Some(&[0]), &[0, 1]).is_err());
        assert!(chosen(None, &[]).is_err());
    }

    #[test]
    fn the_kernels_lists_are_read() {
        assert_eq!(parse_core_list("0-2,8\n"), BTreeSet::from([0, 1, 2, 8]));
        assert_eq!(parse_core_list(""), BTreeSet::new());
    }
}
