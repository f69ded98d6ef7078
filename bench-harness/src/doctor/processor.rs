//! The processors that are measured: how many, how fast, and what they share.

use super::facts::{Root, Unknown, cores_in, listed};
use super::finding::Finding;
use super::script::Step;

const CPU: &str = "/sys/devices/system/cpu";

/// Leaving an idle state that takes longer than this is told; the wake itself costs a few µs anyway.
const EXIT_LATENCY_US_MAX: u64 = 10;

/// Two processors are needed, one for each side. `measured` may name one twice, `allowed` are those of the affinity mask.
pub(super) fn cores(measured: &[usize], allowed: &[usize]) -> Finding {
    const NAME: &str = "cores";
    let value = format!("{} of {} allowed", listed(measured), allowed.len());
    if measured.len() > 1 {
        return Finding::ok(NAME, value);
    }
    Finding::fail(
        NAME,
        format!("only {value}"),
        "both sides take turns on one core: a spinning side spends its whole time slice (milliseconds) on waiting for the other",
        "give the process a second core (taskset, the container's CPU set, the machine itself)",
    )
}

/// Whether the clock rate is held up.
pub(super) fn governor(root: &Root, measured: &[usize]) -> Result<Finding, Unknown> {
    const NAME: &str = "frequency governor";
    let mut slow = Vec::new();
    let mut steps = Vec::new();
    for cpu in measured {
        let file = format!("{CPU}/cpu{cpu}/cpufreq/scaling_governor");
        let governor = root.read(&file)?;
        if governor != "performance" {
            slow.push(format!("{governor} on core {cpu}"));
            steps.push(Step::Set {
                file,
                value: "performance".to_owned(),
                was: governor,
            });
        }
    }
    if slow.is_empty() {
        return Ok(Finding::ok(NAME, "performance"));
    }
    let limit = |which: &str| {
        let file = format!("{CPU}/cpu{}/cpufreq/cpuinfo_{which}_freq", measured[0]);
        root.number::<u64>(&file)
    };
    let effect = match (limit("min"), limit("max")) {
        (Ok(min_khz), Ok(max_khz)) if min_khz > 0 => format!(
            "after an idle moment a core may run at {} MHz instead of {} MHz, {:.1} times slower",
            min_khz / 1000,
            max_khz / 1000,
            max_khz as f64 / min_khz as f64
        ),
        _ => "after an idle moment a core runs slower than it can, for milliseconds".to_owned(),
    };
    let remedy = "sudo cpupower frequency-set -g performance";
    Ok(Finding::warn(NAME, listed(&slow), effect, remedy).with_steps(steps))
}

/// Whether the clock rate depends on heat and on how many cores work.
pub(super) fn turbo(root: &Root) -> Result<Finding, Unknown> {
    const NAME: &str = "turbo";
    const INTEL: &str = "/sys/devices/system/cpu/intel_pstate/no_turbo";
    const OTHERS: &str = "/sys/devices/system/cpu/cpufreq/boost";
    let (file, is_on, off) = match (root.number::<u8>(INTEL), root.number::<u8>(OTHERS)) {
        (Ok(no_turbo), _) => (INTEL, no_turbo == 0, "1"),
        (_, Ok(boost)) => (OTHERS, boost == 1, "0"),
        _ => {
            let why = format!("neither {INTEL} nor {OTHERS} can be read");
            return Err(Unknown::because(why));
        }
    };
    if !is_on {
        return Ok(Finding::ok(NAME, "off"));
    }
    let khz = |file: &str| root.number::<u64>(&format!("{CPU}/cpu0/cpufreq/{file}"));
    let effect = match (khz("base_frequency"), khz("cpuinfo_max_freq")) {
        (Ok(base_khz), Ok(max_khz)) if base_khz > 0 => format!(
            "the clock varies between {} and {} MHz with heat and load, so figures drift by up to {:.0} %",
            base_khz / 1000,
            max_khz / 1000,
            100.0 * (max_khz as f64 / base_khz as f64 - 1.0)
        ),
        _ => "the clock varies with heat and with how many cores work, so figures drift".to_owned(),
    };
    let remedy = format!("echo {off} | sudo tee {file}");
    let was = if off == "1" { "0" } else { "1" };
    Ok(
        Finding::warn(NAME, "on", effect, remedy).with_steps([Step::Set {
            file: file.to_owned(),
            value: off.to_owned(),
            was: was.to_owned(),
        }]),
    )
}

/// Whether two of the measured ones are hardware threads of one core.
pub(super) fn siblings(root: &Root, measured: &[usize]) -> Result<Finding, Unknown> {
    const NAME: &str = "SMT siblings";
    let mut others = Vec::new();
    for cpu in measured {
        let file = format!("{CPU}/cpu{cpu}/topology/thread_siblings_list");
        let content = root.read(&file)?;
        let near = cores_in(&content).ok_or_else(|| Unknown::strange(&file, &content))?;
        if let Some(other) = measured
            .iter()
            .find(|other| *other > cpu && near.contains(other))
        {
            return Ok(Finding::warn(
                NAME,
                format!("{cpu} and {other} are threads of one core"),
                "they share its nearest cache, so round trips look shorter than between cores; a side that spins takes the other's share",
                "measure on two cores: --cpus A,B, from different lists in topology/thread_siblings_list",
            ));
        }
        others.extend(near.into_iter().filter(|other| !measured.contains(other)));
    }
    Ok(Finding::ok(
        NAME,
        match others.as_slice() {
            [] => "none among the measured cores".to_owned(),
            others => format!("none measured; keep {} idle", listed(others)),
        },
    ))
}

/// Whether the measured ones have their memory at the same place.
pub(super) fn numa(root: &Root, measured: &[usize]) -> Result<Finding, Unknown> {
    const NAME: &str = "NUMA nodes";
    const NODES: &str = "/sys/devices/system/node";
    let mut nodes = Vec::new();
    for name in root.names(NODES)? {
        let number = name
            .strip_prefix("node")
            .and_then(|n| n.parse::<usize>().ok());
        let Some(node) = number else { continue };
        let cores = root.read(&format!("{NODES}/{name}/cpulist"))?;
        let cores = cores_in(&cores).ok_or_else(|| Unknown::strange(&name, &cores))?;
        if measured.iter().any(|cpu| cores.contains(cpu)) {
            nodes.push(node);
        }
    }
    nodes.sort_unstable();
    match nodes.as_slice() {
        [] => Err(Unknown::because(format!(
            "{NODES} lists no node with the measured cores"
        ))),
        [node] => Ok(Finding::ok(NAME, format!("all on node {node}"))),
        [first, second, ..] => {
            let distances = root.read(&format!("{NODES}/node{first}/distance"));
            let distances: Vec<u32> = distances.map_or_else(
                |_| Vec::new(),
                |text| text.split_whitespace().flat_map(str::parse).collect(),
            );
            let effect = match (distances.get(*first), distances.get(*second)) {
                (Some(&near), Some(&far)) if near > 0 => format!(
                    "the firmware says that memory of the other node is {:.1} times as far away",
                    f64::from(far) / f64::from(near)
                ),
                _ => "every cache line crosses between nodes".to_owned(),
            };
            let remedy = "measure inside one node: --cpus A,B, from one node's cpulist";
            let value = format!("the measured cores are on nodes {}", listed(&nodes));
            Ok(Finding::warn(NAME, value, effect, remedy))
        }
    }
}

/// Whether the scheduler keeps other work away from the measured ones.
pub(super) fn isolation(root: &Root, measured: &[usize]) -> Result<Finding, Unknown> {
    const NAME: &str = "isolated cores";
    let set = |file: &str| {
        let file = format!("{CPU}/{file}");
        let content = root.read(&file)?;
        // A kernel without such cores says `(null)`.
        let content = content.replace("(null)", "");
        cores_in(&content).ok_or_else(|| Unknown::strange(&file, &content))
    };
    let isolated = set("isolated")?;
    let of_measured = measured.iter().filter(|cpu| isolated.contains(cpu)).count();
    let tickless = set("nohz_full").is_ok_and(|set| measured.iter().all(|cpu| set.contains(cpu)));
    let ticks = if tickless { ", without ticks" } else { "" };
    Ok(if of_measured == measured.len() {
        Finding::ok(NAME, format!("all measured ones{ticks}"))
    } else if of_measured == 0 {
        Finding::ok(
            NAME,
            "none; other work may come to the measured ones (see other work)",
        )
    } else {
        Finding::warn(
            NAME,
            format!("{} are isolated, not all measured ones", listed(&isolated)),
            "one side is disturbed by other work and the other one is not, so they wait for each other",
            "measure on isolated cores only: --cpus A,B",
        )
    })
}

/// Whether the machine is virtual.
pub(super) fn hypervisor(root: &Root) -> Result<Finding, Unknown> {
    const NAME: &str = "hypervisor";
    const INFO: &str = "/proc/cpuinfo";
    let info = root.read(INFO)?;
    let flags = info.lines().find_map(|line| line.strip_prefix("flags"));
    let product = || {
        let product = root.read("/sys/class/dmi/id/product_name");
        product.map_or_else(|_| String::new(), |product| format!(": {product}"))
    };
    let xen = root.read("/sys/hypervisor/type").ok();
    match flags {
        _ if xen.is_some() => {}
        Some(flags) if flags.split_whitespace().any(|flag| flag == "hypervisor") => {}
        Some(_) => return Ok(Finding::ok(NAME, "none")),
        // Other architectures have no such flag.
        None if root.has("/proc/device-tree/hypervisor") => {}
        None => return Err(Unknown::because(format!("{INFO} has no line of flags"))),
    }
    Ok(Finding::warn(
        NAME,
        xen.map_or_else(
            || format!("present{}", product()),
            |kind| format!("present: {kind}"),
        ),
        "others share the hardware, and sleeping and waking leave the virtual machine (see steal and idle wake)",
        "compare figures only within this machine, or measure on hardware of your own",
    ))
}

/// How deep the measured ones sleep. `may_forbid` is whether this user may write to `/dev/cpu_dma_latency`.
pub(super) fn idle_states(
    root: &Root,
    measured: &[usize],
    may_forbid: bool,
) -> Result<Finding, Unknown> {
    const NAME: &str = "idle states";
    let mut deepest: Option<(u64, String)> = None;
    let mut steps = Vec::new();
    for cpu in measured {
        let folder = format!("{CPU}/cpu{cpu}/cpuidle");
        for state in root.names(&folder)? {
            let read = |file: &str| root.read(&format!("{folder}/{state}/{file}"));
            let latency_us: u64 = root.number(&format!("{folder}/{state}/latency"))?;
            if read("disable").is_ok_and(|disabled| disabled != "0") {
                continue;
            }
            if latency_us > EXIT_LATENCY_US_MAX {
                steps.push(Step::Set {
                    file: format!("{folder}/{state}/disable"),
                    value: "1".to_owned(),
                    was: "0".to_owned(),
                });
            }
            if deepest
                .as_ref()
                .is_none_or(|(known, _)| latency_us > *known)
            {
                deepest = Some((latency_us, read("name").unwrap_or(state)));
            }
        }
    }
    let Some((latency_us, name)) = deepest else {
        return Ok(Finding::ok(NAME, "all disabled"));
    };
    let value = format!("down to {name}, {latency_us} µs to leave");
    if latency_us <= EXIT_LATENCY_US_MAX {
        return Ok(Finding::ok(NAME, value));
    }
    let remedy = if may_forbid {
        "keep them awake during the run: (exec 3> /dev/cpu_dma_latency; printf '\\0\\0\\0\\0' >&3; bench-harness)"
    } else {
        "sudo cpupower idle-set -D 10, which also /dev/cpu_dma_latency does for those who may write to it"
    };
    Ok(Finding::warn(
        NAME,
        value,
        format!("a wake after an idle moment takes up to {latency_us} µs longer (see idle wake)"),
        remedy,
    )
    .with_steps(steps))
}

#[cfg(test)]
mod tests {
    use super::super::facts::fake::Machine;
    use super::super::finding::Verdict::{self, Fail, Ok as Fine, Warn};
    use super::*;

    fn at(file: &str) -> String {
        format!("{CPU}/{file}")
    }

    fn verdict(checked: Result<Finding, Unknown>) -> Verdict {
        checked.unwrap().verdict
    }

    #[test]
    fn one_core_fails_and_two_are_enough() {
        assert_eq!(cores(&[3], &[3]).verdict, Fail);
        assert_eq!(cores(&[0, 1], &[0, 1]).verdict, Fine);
    }

    #[test]
    fn a_governor_that_saves_power_is_told_with_the_frequencies() {
        let machine = Machine::with(&[]);
        let root = machine.root();
        let missing = governor(&root, &[0]).unwrap_err().to_string();
        assert!(
            missing.contains("cpu0/cpufreq/scaling_governor"),
            "{missing}"
        );
        machine.put(&at("cpu0/cpufreq/scaling_governor"), "performance\n");
        machine.put(&at("cpu1/cpufreq/scaling_governor"), "powersave\n");
        machine.put(&at("cpu0/cpufreq/cpuinfo_min_freq"), "800000\n");
        machine.put(&at("cpu0/cpufreq/cpuinfo_max_freq"), "4000000\n");
        assert_eq!(verdict(governor(&root, &[0])), Fine);
        let found = governor(&root, &[0, 1]).unwrap();
        assert_eq!(
            (found.verdict, found.value.as_str()),
            (Warn, "powersave on core 1")
        );
        assert!(found.effect.unwrap().contains("5.0 times"));
        assert_eq!(
            found.steps,
            [Step::Set {
                file: at("cpu1/cpufreq/scaling_governor"),
                value: "performance".to_owned(),
                was: "powersave".to_owned()
            }]
        );
    }

    #[test]
    fn turbo_is_read_from_either_driver() {
        for (file, on, off) in [
            ("intel_pstate/no_turbo", "0\n", "1\n"),
            ("cpufreq/boost", "1\n", "0\n"),
        ] {
            let machine = Machine::with(&[(&at(file), on)]);
            let found = turbo(&machine.root()).unwrap();
            assert_eq!(found.verdict, Warn);
            let [Step::Set { value, was, .. }] = &found.steps[..] else {
                panic!("{:?}", found.steps)
            };
            assert_eq!((value.as_str(), was.as_str()), (off.trim(), on.trim()));
            machine.put(&at(file), off);
            assert_eq!(verdict(turbo(&machine.root())), Fine);
        }
        assert!(turbo(&Machine::with(&[]).root()).is_err());
    }

    #[test]
    fn threads_of_one_core_are_told_apart_from_cores() {
        let list = |cpu| at(&format!("cpu{cpu}/topology/thread_siblings_list"));
        let machine = Machine::with(&[
            (&list(0), "0-1\n"),
            (&list(1), "0-1\n"),
            (&list(2), "2-3\n"),
        ]);
        let root = machine.root();
        assert_eq!(verdict(siblings(&root, &[0, 1])), Warn);
        let found = siblings(&root, &[0, 2]).unwrap();
        assert_eq!(
            (found.verdict, found.value.as_str()),
            (Fine, "none measured; keep 1 and 3 idle")
        );
        assert!(siblings(&root, &[0, 7]).is_err());
    }

    #[test]
    fn nodes_are_compared_with_their_distance() {
        let node = |node, file| format!("/sys/devices/system/node/node{node}/{file}");
        let machine = Machine::with(&[
            (&node(0, "cpulist"), "0-1\n"),
            (&node(1, "cpulist"), "2-3\n"),
            (&node(0, "distance"), "10 21\n"),
        ]);
        let root = machine.root();
        assert_eq!(verdict(numa(&root, &[2, 3])), Fine);
        let found = numa(&root, &[0, 2]).unwrap();
        assert_eq!(found.verdict, Warn);
        assert!(found.effect.unwrap().contains("2.1 times"));
        assert!(numa(&root, &[9]).is_err());
        assert!(numa(&Machine::with(&[]).root(), &[0]).is_err());
    }

    #[test]
    fn half_isolated_is_worse_than_not_isolated() {
        let machine = Machine::with(&[(&at("isolated"), "\n"), (&at("nohz_full"), "(null)\n")]);
        let root = machine.root();
        assert_eq!(verdict(isolation(&root, &[0, 1])), Fine);
        machine.put(&at("isolated"), "1-3\n");
        assert_eq!(verdict(isolation(&root, &[0, 1])), Warn);
        machine.put(&at("nohz_full"), "1-3\n");
        let found = isolation(&root, &[1, 2]).unwrap();
        assert_eq!(
            (found.verdict, found.value.as_str()),
            (Fine, "all measured ones, without ticks")
        );
        assert!(isolation(&Machine::with(&[]).root(), &[0]).is_err());
    }

    #[test]
    fn a_virtual_machine_is_a_warning_and_no_more() {
        let machine = Machine::with(&[("/proc/cpuinfo", "flags\t\t: fpu hypervisor sse\n")]);
        assert_eq!(verdict(hypervisor(&machine.root())), Warn);
        machine.put("/proc/cpuinfo", "flags\t\t: fpu sse\n");
        assert_eq!(verdict(hypervisor(&machine.root())), Fine);
        machine.put("/proc/cpuinfo", "Features\t: fp asimd\n");
        assert!(hypervisor(&machine.root()).is_err());
        machine.put("/sys/hypervisor/type", "xen\n");
        assert_eq!(hypervisor(&machine.root()).unwrap().value, "present: xen");
    }

    #[test]
    fn the_deepest_state_that_is_enabled_counts() {
        let state = |state, file| at(&format!("cpu0/cpuidle/state{state}/{file}"));
        let machine = Machine::with(&[
            (&state(0, "latency"), "2\n"),
            (&state(0, "name"), "C1\n"),
            (&state(1, "latency"), "133\n"),
            (&state(1, "name"), "C6\n"),
            (&state(1, "disable"), "0\n"),
        ]);
        let found = idle_states(&machine.root(), &[0], false).unwrap();
        assert_eq!(
            (found.verdict, found.value.as_str()),
            (Warn, "down to C6, 133 µs to leave")
        );
        assert_eq!(found.steps.len(), 1);
        machine.put(&state(1, "disable"), "1\n");
        let found = idle_states(&machine.root(), &[0], true).unwrap();
        assert_eq!(
            (found.verdict, found.value.as_str()),
            (Fine, "down to C1, 2 µs to leave")
        );
        assert!(idle_states(&machine.root(), &[1], true).is_err());
    }
}
