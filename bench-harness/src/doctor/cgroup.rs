//! What control groups allow: a quota of processor time, and a set of processors. Version 1 and 2, also both at once.

use super::facts::{Root, Unknown, cores_in, listed};
use super::finding::Finding;
use super::script::Step;

const GROUPS: &str = "/proc/self/cgroup";
const MOUNTS: &str = "/proc/self/mountinfo";

/// The folders of our own group and of those above it, the own one first, for one controller of version 1 or for version 2 (none).
fn folders(root: &Root, controller: Option<&str>) -> Result<Vec<String>, Unknown> {
    let groups = root.read(GROUPS)?;
    let own = groups.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let is_it = match controller {
            None => controllers.is_empty(),
            Some(wanted) => controllers.split(',').any(|name| name == wanted),
        };
        is_it.then_some(path)
    });
    let Some(own) = own else {
        return Ok(Vec::new());
    };
    let mounts = root.read(MOUNTS)?;
    let found = mounts.lines().find_map(|line| mounted(line, controller));
    let Some((top, mount)) = found else {
        return Ok(Vec::new());
    };
    // Inside a container the mount may begin below the top, or the path may lead out of it (`/..`).
    let below = own.strip_prefix(top.trim_end_matches('/')).unwrap_or("");
    let is_inside = below.starts_with('/') && !below.contains("..");
    let below = if is_inside {
        below.trim_end_matches('/')
    } else {
        ""
    };
    let mut folder = format!("{mount}{below}");
    let mut folders = vec![folder.clone()];
    while folder.len() > mount.len() {
        folder.truncate(folder.rfind('/').unwrap_or(0));
        folders.push(folder.clone());
    }
    Ok(folders)
}

/// The part of the hierarchy that is mounted and where, if this line of `mountinfo` is about it.
fn mounted<'a>(line: &'a str, controller: Option<&str>) -> Option<(&'a str, &'a str)> {
    let (place, kind) = line.split_once(" - ")?;
    let mut kind = kind.split_whitespace();
    let version = kind.next()?;
    let options = kind.nth(1)?;
    let is_it = match controller {
        None => version == "cgroup2",
        Some(wanted) => version == "cgroup" && options.split(',').any(|name| name == wanted),
    };
    let mut place = place.split_whitespace().skip(3);
    let (top, mount) = (place.next()?, place.next()?);
    is_it.then_some((top, mount))
}

/// A limit of processor time.
#[derive(Debug, Clone, PartialEq)]
struct Quota {
    /// In processors.
    cores: f64,
    /// The file that sets it.
    file: String,
    /// Its content.
    was: String,
    /// What would end it.
    unlimited: &'static str,
    /// The group's own account.
    statistics: String,
}

/// The quota of one folder; none if it has none.
fn quota_of(root: &Root, folder: &str) -> Result<Option<Quota>, Unknown> {
    let found = |cores, file, was, unlimited| {
        Ok(Some(Quota {
            cores,
            file,
            was,
            unlimited,
            statistics: format!("{folder}/cpu.stat"),
        }))
    };
    let file = format!("{folder}/cpu.max");
    if root.has(&file) {
        let was = root.read(&file)?;
        let (quota, period) = was.split_once(' ').unwrap_or((&was, "100000"));
        if quota == "max" {
            return Ok(None);
        }
        return match (quota.parse::<f64>(), period.parse::<f64>()) {
            (Ok(quota), Ok(period)) if period > 0.0 => found(quota / period, file, was, "max"),
            _ => Err(Unknown::strange(&file, &was)),
        };
    }
    let file = format!("{folder}/cpu.cfs_quota_us");
    if root.has(&file) {
        let quota_us: i64 = root.number(&file)?;
        let period_us: i64 = root.number(&format!("{folder}/cpu.cfs_period_us"))?;
        if quota_us > 0 && period_us > 0 {
            let was = quota_us.to_string();
            return found(quota_us as f64 / period_us as f64, file, was, "-1");
        }
    }
    Ok(None)
}

/// Whether the measured processes may run all the time.
pub(super) fn quota(root: &Root, measured: &[usize]) -> Result<Finding, Unknown> {
    const NAME: &str = "cgroup quota";
    let mut folders_seen = folders(root, Some("cpu"))?;
    folders_seen.extend(folders(root, None)?);
    if folders_seen.is_empty() {
        let why = format!("{GROUPS} and {MOUNTS} name no group that is mounted here");
        return Err(Unknown::because(why));
    }
    let mut tightest: Option<Quota> = None;
    for folder in &folders_seen {
        if let Some(quota) = quota_of(root, folder)?
            && tightest
                .as_ref()
                .is_none_or(|known| quota.cores < known.cores)
        {
            tightest = Some(quota);
        }
    }
    let Some(quota) = tightest else {
        return Ok(Finding::ok(NAME, "none"));
    };
    let needed = measured.len();
    let value = format!("{:.2} cores, set by {}", quota.cores, quota.file);
    if quota.cores < needed as f64 {
        let remedy = format!(
            "allow {needed} cores or more (docker --cpus, CPUQuota= of systemd, limits.cpu)"
        );
        let effect = format!(
            "{needed} processes that spin use up every period after {:.0} % of it and then stand still together",
            100.0 * quota.cores / needed as f64
        );
        return Ok(
            Finding::fail(NAME, value, effect, remedy).with_steps([Step::Set {
                file: quota.file,
                value: quota.unlimited.to_owned(),
                was: quota.was,
            }]),
        );
    }
    let throttled = root.read(&quota.statistics).ok().and_then(|text| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("nr_throttled "));
        line?.parse::<u64>().ok()
    });
    Ok(match throttled {
        Some(times) if times > 0 => Finding::warn(
            NAME,
            format!("{value}, and throttled {times} times so far"),
            "while it is throttled nothing of the run moves, for up to a period (100 ms)",
            "allow more cores, or end what else runs in this group",
        ),
        _ => Finding::ok(NAME, value),
    })
}

/// Whether the measured processors belong to our group.
pub(super) fn cpuset(root: &Root, measured: &[usize]) -> Result<Finding, Unknown> {
    const NAME: &str = "cgroup CPU set";
    let mut candidates = Vec::new();
    for folder in folders(root, Some("cpuset"))? {
        candidates.push(format!("{folder}/cpuset.effective_cpus"));
        candidates.push(format!("{folder}/cpuset.cpus"));
    }
    for folder in folders(root, None)? {
        candidates.push(format!("{folder}/cpuset.cpus.effective"));
    }
    let Some(file) = candidates.iter().find(|file| root.has(file)) else {
        let why = format!("no group of {GROUPS} has a file cpuset.cpus.effective or cpuset.cpus");
        return Err(Unknown::because(why));
    };
    let content = root.read(file)?;
    let allowed = cores_in(&content).ok_or_else(|| Unknown::strange(file, &content))?;
    let missing: Vec<_> = measured
        .iter()
        .filter(|cpu| !allowed.contains(cpu))
        .collect();
    if missing.is_empty() {
        return Ok(Finding::ok(
            NAME,
            format!("{content}, with all measured cores"),
        ));
    }
    Ok(Finding::fail(
        NAME,
        format!("{content}, without core {}", listed(&missing)),
        "the measured processes can't be kept on their cores",
        "measure on cores of the set (--cpus A,B), or enlarge it (docker --cpuset-cpus, AllowedCPUs= of systemd)",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::facts::fake::Machine;
    use super::super::finding::Verdict::{Fail, Ok as Fine, Warn};
    use super::*;

    const V2_MOUNT: &str = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";
    const V1_MOUNTS: &str = "\
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset
";

    fn version_2() -> Machine {
        Machine::with(&[
            (GROUPS, "0::/a.slice/b.scope\n"),
            (MOUNTS, V2_MOUNT),
            ("/sys/fs/cgroup/a.slice/b.scope/cpu.max", "max 100000\n"),
        ])
    }

    fn version_1() -> Machine {
        Machine::with(&[
            (GROUPS, "4:cpuset:/docker/17\n3:cpu,cpuacct:/docker/17\n"),
            (MOUNTS, V1_MOUNTS),
            (
                "/sys/fs/cgroup/cpu,cpuacct/docker/17/cpu.cfs_quota_us",
                "-1\n",
            ),
            (
                "/sys/fs/cgroup/cpu,cpuacct/docker/17/cpu.cfs_period_us",
                "100000\n",
            ),
        ])
    }

    #[test]
    fn without_a_quota_all_is_well_in_both_versions() {
        for machine in [version_2(), version_1()] {
            let found = quota(&machine.root(), &[0, 1]).unwrap();
            assert_eq!((found.verdict, found.value.as_str()), (Fine, "none"));
        }
    }

    #[test]
    fn the_tightest_group_on_the_way_up_counts() {
        let machine = version_2();
        machine.put("/sys/fs/cgroup/a.slice/cpu.max", "150000 100000\n");
        machine.put("/sys/fs/cgroup/a.slice/b.scope/cpu.max", "400000 100000\n");
        let found = quota(&machine.root(), &[0, 1]).unwrap();
        assert_eq!(found.verdict, Fail);
        assert!(found.value.starts_with("1.50 cores"), "{}", found.value);
        assert!(found.effect.unwrap().contains("75 %"));
        assert_eq!(
            found.steps,
            [Step::Set {
                file: "/sys/fs/cgroup/a.slice/cpu.max".to_owned(),
                value: "max".to_owned(),
                was: "150000 100000".to_owned()
            }]
        );
        assert_eq!(quota(&machine.root(), &[0]).unwrap().verdict, Fine);
    }

    #[test]
    fn the_quota_of_version_1_is_found_beside_version_2() {
        let machine = version_1();
        machine.put(
            "/sys/fs/cgroup/cpu,cpuacct/docker/17/cpu.cfs_quota_us",
            "50000\n",
        );
        let found = quota(&machine.root(), &[0, 1]).unwrap();
        assert_eq!(found.verdict, Fail);
        assert!(found.value.starts_with("0.50 cores"), "{}", found.value);
    }

    #[test]
    fn a_group_that_was_throttled_is_told() {
        let machine = version_2();
        machine.put("/sys/fs/cgroup/a.slice/b.scope/cpu.max", "200000 100000\n");
        machine.put(
            "/sys/fs/cgroup/a.slice/b.scope/cpu.stat",
            "nr_periods 9\nnr_throttled 4\n",
        );
        let found = quota(&machine.root(), &[0, 1]).unwrap();
        assert_eq!(found.verdict, Warn);
        assert!(found.value.contains("throttled 4 times"), "{}", found.value);
    }

    #[test]
    fn a_mount_that_begins_below_the_top_is_followed() {
        let machine = Machine::with(&[
            (GROUPS, "0::/pod/17\n"),
            (
                MOUNTS,
                "30 23 0:26 /pod /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
            ),
            ("/sys/fs/cgroup/17/cpu.max", "100000 100000\n"),
        ]);
        assert_eq!(quota(&machine.root(), &[0, 1]).unwrap().verdict, Fail);
    }

    #[test]
    fn a_missing_or_strange_file_is_named() {
        let missing = quota(&Machine::with(&[]).root(), &[0]).unwrap_err();
        assert!(missing.to_string().contains(GROUPS), "{missing}");
        let machine = version_2();
        machine.put("/sys/fs/cgroup/a.slice/b.scope/cpu.max", "lots\n");
        let strange = quota(&machine.root(), &[0]).unwrap_err();
        assert!(strange.to_string().contains("lots"), "{strange}");
        assert!(cpuset(&machine.root(), &[0]).is_err());
    }

    #[test]
    fn the_set_must_have_all_measured_cores() {
        let newer = version_2();
        newer.put("/sys/fs/cgroup/a.slice/cpuset.cpus.effective", "0-3\n");
        let older = version_1();
        older.put(
            "/sys/fs/cgroup/cpuset/docker/17/cpuset.effective_cpus",
            "0-3\n",
        );
        for machine in [newer, older] {
            assert_eq!(cpuset(&machine.root(), &[0, 3]).unwrap().verdict, Fine);
            let found = cpuset(&machine.root(), &[0, 4]).unwrap();
            assert_eq!(found.verdict, Fail);
            assert!(found.value.ends_with("without core 4"), "{}", found.value);
        }
    }
}
