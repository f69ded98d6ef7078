//! What else uses the processors: a hypervisor, other processes; and how the kernel shares them out.

use std::collections::HashMap;

use super::facts::{Root, Unknown};
use super::finding::Finding;
use super::script::Step;

const STAT: &str = "/proc/stat";
/// A core that others use more than that in the sample is not free.
const BUSY_SHARE_MAX: f64 = 0.05;
/// More than that stolen since the machine was started is told.
const STOLEN_SHARE_MAX: f64 = 0.005;
/// More than that many processes that want to run, on average over the last minute, are told.
const LOAD_MAX: f64 = 0.5;
/// So many processes are named.
const NAMED_MAX: usize = 3;

/// The time of a processor since the machine was started, in ticks of the kernel (hundredths of a second).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Ticks {
    busy: u64,
    stolen: u64,
    all: u64,
}

impl Ticks {
    /// From the numbers of a line: user, nice, system, idle, iowait, irq, softirq, steal.
    fn read(numbers: &[u64]) -> Option<Self> {
        let &[user, nice, system, idle, iowait, irq, softirq, stolen, ..] = numbers else {
            return None;
        };
        let busy = user + nice + system + irq + softirq;
        Some(Self {
            busy,
            stolen,
            all: busy + stolen + idle + iowait,
        })
    }

    fn since(self, earlier: Self) -> Self {
        Self {
            busy: self.busy.saturating_sub(earlier.busy),
            stolen: self.stolen.saturating_sub(earlier.stolen),
            all: self.all.saturating_sub(earlier.all),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            busy: self.busy + other.busy,
            stolen: self.stolen + other.stolen,
            all: self.all + other.all,
        }
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// What the machine has done up to a moment.
#[derive(Debug)]
pub(super) struct Sample {
    cores: Result<HashMap<usize, Ticks>, Unknown>,
    /// Name and ticks of every other process.
    processes: HashMap<u32, (String, u64)>,
}

impl Sample {
    /// Looks now.
    pub(super) fn take(root: &Root) -> Self {
        Self {
            cores: cores(root),
            processes: processes(root),
        }
    }

    fn of(&self, measured: &[usize]) -> Result<Vec<Ticks>, Unknown> {
        let cores = self.cores.as_ref().map_err(Clone::clone)?;
        let of = |cpu: &usize| {
            let ticks = cores.get(cpu).copied();
            ticks.ok_or_else(|| Unknown::because(format!("{STAT} has no line of cpu{cpu}")))
        };
        measured.iter().map(of).collect()
    }
}

fn cores(root: &Root) -> Result<HashMap<usize, Ticks>, Unknown> {
    let text = root.read(STAT)?;
    let of_line = |line: &str| {
        let (cpu, numbers) = line.strip_prefix("cpu")?.split_once(' ')?;
        let numbers: Vec<u64> = numbers.split_whitespace().flat_map(str::parse).collect();
        Some((cpu.parse().ok()?, Ticks::read(&numbers)?))
    };
    Ok(text.lines().filter_map(of_line).collect())
}

/// Those that end while they are looked at are left out.
fn processes(root: &Root) -> HashMap<u32, (String, u64)> {
    let own = std::process::id();
    let of = |name: String| {
        let pid = name.parse().ok().filter(|pid| *pid != own)?;
        let stat = root.read(&format!("/proc/{name}/stat")).ok()?;
        // The name stands in brackets and may have brackets and blanks itself.
        let (name_part, rest) = stat.rsplit_once(')')?;
        let (_, comm) = name_part.split_once('(')?;
        let number = |at: usize| rest.split_whitespace().nth(at)?.parse::<u64>().ok();
        Some((pid, (comm.to_owned(), number(11)? + number(12)?)))
    };
    let names = root.names("/proc").unwrap_or_default();
    names.into_iter().filter_map(of).collect()
}

/// What a hypervisor took from the measured cores, now and since the start.
pub(super) fn steal(
    earlier: &Sample,
    later: &Sample,
    measured: &[usize],
) -> Result<Finding, Unknown> {
    const NAME: &str = "steal";
    let sum = |ticks: Vec<Ticks>| ticks.into_iter().fold(Ticks::default(), Ticks::plus);
    let total = sum(later.of(measured)?);
    let now = total.since(sum(earlier.of(measured)?));
    let since_start = share(total.stolen, total.all);
    let value = format!(
        "{} ms of {} ms now, {:.2} % since the start",
        now.stolen * 10,
        now.all * 10,
        100.0 * since_start
    );
    if now.stolen == 0 && since_start <= STOLEN_SHARE_MAX {
        return Ok(Finding::ok(NAME, value));
    }
    Ok(Finding::warn(
        NAME,
        value,
        "the hypervisor let a measured core stand still; a message on its way waits that long (10 ms a tick)",
        "run when the host is quiet, or on cores that it gives to this machine alone",
    ))
}

/// Who else works on the measured cores.
pub(super) fn other_work(
    earlier: &Sample,
    later: &Sample,
    measured: &[usize],
) -> Result<Finding, Unknown> {
    const NAME: &str = "other work";
    let (before, after) = (earlier.of(measured)?, later.of(measured)?);
    let shares = measured.iter().zip(before.iter().zip(after));
    let shares: Vec<(usize, f64)> = shares
        .map(|(cpu, (before, after))| {
            let ticks = after.since(*before);
            (*cpu, share(ticks.busy, ticks.all))
        })
        .collect();
    let shown: Vec<String> = shares
        .iter()
        .map(|(cpu, share)| format!("core {cpu}: {:.0} %", 100.0 * share))
        .collect();
    let busiest = shares
        .iter()
        .fold(0.0, |known: f64, (_, share)| known.max(*share));
    let value = format!("busy while we slept: {}", shown.join(", "));
    if busiest <= BUSY_SHARE_MAX {
        return Ok(Finding::ok(NAME, value));
    }
    let mut finding = Finding::warn(
        NAME,
        value,
        format!(
            "others have {:.0} % of a core; a side that loses it waits for milliseconds, and its peer with it",
            100.0 * busiest
        ),
        "end or stop what runs beside, or measure on other cores: --cpus A,B",
    );
    finding.objects = workers(earlier, later);
    Ok(finding)
}

/// Who used processors between the samples, the busiest first.
fn workers(earlier: &Sample, later: &Sample) -> Vec<String> {
    let mut workers: Vec<(u64, String)> = Vec::new();
    for (pid, (name, ticks)) in &later.processes {
        let before = earlier.processes.get(pid).map_or(0, |(_, ticks)| *ticks);
        let used = ticks.saturating_sub(before);
        if used > 0 {
            let name = name.escape_debug();
            workers.push((used, format!("process {pid} ({name}), {} ms", used * 10)));
        }
    }
    workers.sort_by(|a, b| b.cmp(a));
    workers.truncate(NAMED_MAX);
    workers.into_iter().map(|(_, shown)| shown).collect()
}

/// How many processes wanted to run lately.
pub(super) fn average(root: &Root) -> Result<Finding, Unknown> {
    const NAME: &str = "load average";
    const FILE: &str = "/proc/loadavg";
    let load: f64 = root.number(FILE)?;
    let value = format!("{load:.2} in the last minute");
    if load <= LOAD_MAX {
        return Ok(Finding::ok(NAME, value));
    }
    let effect = format!(
        "about {load:.1} processes wanted to run; each that still does takes time from a measured side"
    );
    let remedy = "wait until it is quiet (uptime, top)";
    Ok(Finding::warn(NAME, value, effect, remedy))
}

/// Whether the cores are shared out by session.
pub(super) fn autogroup(root: &Root) -> Result<Finding, Unknown> {
    const NAME: &str = "autogroup";
    const FILE: &str = "/proc/sys/kernel/sched_autogroup_enabled";
    Ok(match root.number::<u8>(FILE)? {
        0 => Finding::warn(
            NAME,
            "off",
            "every busy process counts as much as a measured one, so N of them leave it 1/(N+1) of a core; by session they would share one part",
            "sudo sysctl kernel.sched_autogroup_enabled=1",
        )
        .with_steps([Step::Set {
            file: FILE.to_owned(),
            value: "1".to_owned(),
            was: "0".to_owned(),
        }]),
        _ => Finding::ok(NAME, "on; each measured process has its own session, nice does nothing between them"),
    })
}

#[cfg(test)]
mod tests {
    use super::super::facts::fake::Machine;
    use super::super::finding::Verdict::{Ok as Fine, Warn};
    use super::*;

    /// user, nice, system, idle, iowait, irq, softirq, steal.
    fn sample(machine: &Machine, cpu0: &str, cpu1: &str) -> Sample {
        machine.put(
            STAT,
            &format!("cpu  0 0 0 0\ncpu0 {cpu0} 0 0\ncpu1 {cpu1} 0 0\nintr 5\n"),
        );
        Sample::take(&machine.root())
    }

    fn work(machine: &Machine, ticks: u32) {
        let stat = format!("77 (a (b) c) R 1 1 1 0 -1 0 0 0 0 0 {ticks} 1 0 0 20 0 1 0 5 0\n");
        machine.put("/proc/77/stat", &stat);
    }

    #[test]
    fn stolen_time_is_told_now_and_since_the_start() {
        let machine = Machine::with(&[]);
        let first = sample(&machine, "0 0 0 1000 0 0 0 0", "0 0 0 1000 0 0 0 1");
        let quiet = sample(&machine, "0 0 0 1030 0 0 0 0", "0 0 0 1030 0 0 0 1");
        let found = steal(&first, &quiet, &[0, 1]).unwrap();
        assert_eq!(found.verdict, Fine);
        assert_eq!(found.value, "0 ms of 600 ms now, 0.05 % since the start");
        let robbed = sample(&machine, "0 0 0 1030 0 0 0 0", "0 0 0 1025 0 0 0 6");
        let found = steal(&first, &robbed, &[0, 1]).unwrap();
        assert_eq!(found.verdict, Warn);
        assert!(
            found.value.starts_with("50 ms of 600 ms"),
            "{}",
            found.value
        );
        let missing = steal(&first, &robbed, &[0, 5]).unwrap_err().to_string();
        assert!(missing.contains("cpu5"), "{missing}");
    }

    #[test]
    fn much_steal_in_the_past_is_a_warning_too() {
        let machine = Machine::with(&[]);
        let first = sample(&machine, "0 0 0 900 0 0 0 100", "0 0 0 1000 0 0 0 0");
        assert_eq!(steal(&first, &first, &[0, 1]).unwrap().verdict, Warn);
    }

    #[test]
    fn who_works_on_a_measured_core_is_named() {
        let machine = Machine::with(&[]);
        work(&machine, 100);
        let first = sample(&machine, "0 0 0 1000 0 0 0 0", "50 0 0 1000 0 0 0 0");
        work(&machine, 115);
        let later = sample(&machine, "0 0 0 1030 0 0 0 0", "65 0 0 1015 0 0 0 0");
        let found = other_work(&first, &later, &[0, 1]).unwrap();
        assert_eq!(found.verdict, Warn);
        assert_eq!(
            found.value,
            "busy while we slept: core 0: 0 %, core 1: 50 %"
        );
        assert_eq!(found.objects, ["process 77 (a (b) c), 150 ms"]);
        assert_eq!(other_work(&first, &later, &[0]).unwrap().verdict, Fine);
    }

    #[test]
    fn without_the_file_nothing_is_claimed() {
        let sample = Sample::take(&Machine::with(&[]).root());
        for checked in [
            steal(&sample, &sample, &[0]),
            other_work(&sample, &sample, &[0]),
        ] {
            assert!(checked.unwrap_err().to_string().contains(STAT));
        }
        assert!(average(&Machine::with(&[]).root()).is_err());
        assert!(autogroup(&Machine::with(&[]).root()).is_err());
    }

    #[test]
    fn load_is_told_when_others_ran() {
        let machine = Machine::with(&[("/proc/loadavg", "0.20 0.5 0.7 1/90 3\n")]);
        assert_eq!(average(&machine.root()).unwrap().verdict, Fine);
        machine.put("/proc/loadavg", "3.20 0.5 0.7 1/90 3\n");
        let found = average(&machine.root()).unwrap();
        assert_eq!(found.verdict, Warn);
        assert!(found.effect.unwrap().contains("3.2 processes"));
    }

    #[test]
    fn autogroup_is_read() {
        let file = "/proc/sys/kernel/sched_autogroup_enabled";
        let machine = Machine::with(&[(file, "1\n")]);
        assert_eq!(autogroup(&machine.root()).unwrap().verdict, Fine);
        machine.put(file, "0\n");
        assert_eq!(autogroup(&machine.root()).unwrap().verdict, Warn);
    }
}
