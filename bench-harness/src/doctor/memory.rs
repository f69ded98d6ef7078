//! Memory: huge pages, the room for shared memory, and what was swapped out.

use super::facts::{Root, Unknown, chosen_word};
use super::finding::Finding;
use super::script::Step;
use crate::report::numbers::bytes;

/// Below that even the smallest links have no room.
const SHM_FREE_MIN: u64 = 16 << 20;
/// What the two links of a round trip take with the largest messages.
const SHM_FREE_WANTED: u64 = 2 * (16 << 20) + (8 << 20);

/// A file system's size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Space {
    /// Bytes in all.
    pub(super) total: u64,
    /// Bytes that this user may still take.
    pub(super) free: u64,
}

/// A size for people, rounded down.
fn rounded(size: u64) -> String {
    let unit = if size < 10 << 20 { 1 << 10 } else { 1 << 20 };
    bytes((size / unit * unit) as usize)
}

/// Whether a page fault may have to make a huge page first.
pub(super) fn huge_pages(root: &Root) -> Result<Finding, Unknown> {
    const NAME: &str = "huge pages";
    const FOLDER: &str = "/sys/kernel/mm/transparent_hugepage";
    let choice = |file: &str| {
        let file = format!("{FOLDER}/{file}");
        let content = root.read(&file)?;
        chosen_word(&content)
            .map(str::to_owned)
            .ok_or_else(|| Unknown::strange(&file, &content))
    };
    let (enabled, defrag) = (choice("enabled")?, choice("defrag")?);
    let shared = choice("shmem_enabled").unwrap_or_else(|_| "unknown".to_owned());
    let reserved = root.read("/proc/meminfo").ok().and_then(|info| {
        let free = info
            .lines()
            .find_map(|line| line.strip_prefix("HugePages_Free:"));
        free.map(|free| free.trim().to_owned())
    });
    let reserved = reserved.unwrap_or_else(|| "unknown".to_owned());
    let value =
        format!("transparent: {enabled}, shared memory: {shared}; reserved and free: {reserved}");
    if enabled != "always" || defrag != "always" {
        return Ok(Finding::ok(NAME, value));
    }
    let file = format!("{FOLDER}/defrag");
    let remedy = format!("echo madvise | sudo tee {file}");
    let effect = "a page fault may first make room for 2 MiB and clear them: 200 µs at 10 GB/s";
    Ok(
        Finding::warn(NAME, value, effect, remedy).with_steps([Step::Set {
            file,
            value: "madvise".to_owned(),
            was: defrag,
        }]),
    )
}

/// Whether there is room in `/dev/shm`; `space` is what the system says about it.
pub(super) fn shared(root: &Root, space: impl FnOnce() -> std::io::Result<Space>) -> Finding {
    const NAME: &str = "/dev/shm";
    const SIZE: &str =
        "sudo mount -o remount,size=1G /dev/shm (docker: --shm-size=1g), or remove what is in it";
    let remount = || Step::Advice("mount -o remount,size=1G /dev/shm".to_owned());
    if !root.has(NAME) {
        return Finding::fail(
            NAME,
            "not there",
            "POSIX shared memory and named rings have no place to be",
            "sudo mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /dev/shm",
        );
    }
    let space = match space() {
        Ok(space) => space,
        Err(error) => return Finding::of(NAME, Err(Unknown::unreadable(NAME, &error))),
    };
    let value = format!("{} free of {}", rounded(space.free), rounded(space.total));
    if space.free < SHM_FREE_MIN {
        let effect = "contenders in shared memory fail, or are unavailable";
        return Finding::fail(NAME, value, effect, SIZE).with_steps([remount()]);
    }
    if space.free < SHM_FREE_WANTED {
        let effect = format!(
            "two links with large messages take {} and may not fit",
            rounded(SHM_FREE_WANTED)
        );
        return Finding::warn(NAME, value, effect, SIZE).with_steps([remount()]);
    }
    Finding::ok(NAME, value)
}

/// Whether something was swapped out.
pub(super) fn swap(root: &Root) -> Result<Finding, Unknown> {
    const NAME: &str = "swap";
    const INFO: &str = "/proc/meminfo";
    let info = root.read(INFO)?;
    let field = |name: &str| {
        let value = info.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = value.split_whitespace().next()?.parse().ok()?;
        Some(kib << 10)
    };
    let (Some(total), Some(free)) = (field("SwapTotal:"), field("SwapFree:")) else {
        return Err(Unknown::because(format!(
            "{INFO} has no SwapTotal and SwapFree"
        )));
    };
    let used = total.saturating_sub(free);
    if total == 0 || used == 0 {
        let value = if total == 0 { "none" } else { "not in use" };
        return Ok(Finding::ok(NAME, value));
    }
    Ok(Finding::warn(
        NAME,
        format!("{} in use", rounded(used)),
        "memory was short; the first touch of a page that is out waits for the disk, 100 µs or more",
        "free memory, then: sudo swapoff -a && sudo swapon -a",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::facts::fake::Machine;
    use super::super::finding::Verdict::{self, CannotTell, Fail, Ok as Fine, Warn};
    use super::*;

    fn verdict(checked: Result<Finding, Unknown>) -> Verdict {
        checked.unwrap().verdict
    }

    #[test]
    fn huge_pages_disturb_when_every_fault_may_wait_for_one() {
        let file = |name| format!("/sys/kernel/mm/transparent_hugepage/{name}");
        let machine = Machine::with(&[
            (&file("enabled"), "always [madvise] never\n"),
            (&file("defrag"), "[always] defer madvise never\n"),
            ("/proc/meminfo", "HugePages_Free:       12\n"),
        ]);
        let found = huge_pages(&machine.root()).unwrap();
        assert_eq!(found.verdict, Fine);
        assert!(found.value.ends_with("free: 12"), "{}", found.value);
        machine.put(&file("enabled"), "[always] madvise never\n");
        assert_eq!(verdict(huge_pages(&machine.root())), Warn);
        assert!(huge_pages(&Machine::with(&[]).root()).is_err());
    }

    #[test]
    fn shared_memory_must_be_there_and_have_room() {
        let machine = Machine::with(&[]);
        let with = |free| {
            let total = 64 << 20;
            shared(&machine.root(), move || Ok(Space { total, free }))
        };
        assert_eq!(with(64 << 20).verdict, Fail);
        machine.put("/dev/shm/x", "");
        assert_eq!(with(64 << 20).verdict, Fine);
        assert_eq!(with(20 << 20).verdict, Warn);
        let full = with(0);
        assert_eq!(full.verdict, Fail);
        assert_eq!(full.value, "0 B free of 64 MiB");
        let refused = shared(&machine.root(), || {
            Err(std::io::ErrorKind::PermissionDenied.into())
        });
        assert_eq!(refused.verdict, CannotTell);
    }

    #[test]
    fn swap_in_use_is_told_and_swap_alone_is_not() {
        let machine = Machine::with(&[("/proc/meminfo", "SwapTotal: 0 kB\nSwapFree: 0 kB\n")]);
        assert_eq!(verdict(swap(&machine.root())), Fine);
        machine.put("/proc/meminfo", "SwapTotal: 4096 kB\nSwapFree: 4096 kB\n");
        assert_eq!(verdict(swap(&machine.root())), Fine);
        machine.put("/proc/meminfo", "SwapTotal: 4096 kB\nSwapFree: 1024 kB\n");
        let found = swap(&machine.root()).unwrap();
        assert_eq!(
            (found.verdict, found.value.as_str()),
            (Warn, "3 MiB in use")
        );
        assert!(swap(&Machine::with(&[]).root()).is_err());
    }
}
