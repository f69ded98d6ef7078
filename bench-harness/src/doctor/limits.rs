//! What this user and this kernel allow: descriptors, memory, queues, pipes, signals.

use super::facts::{Root, Unknown};
use super::finding::Finding;
use super::script::Step;
use crate::report::numbers::{bytes, whole};
use crate::scenario::capacity_for;

/// The size of message for which the limits are judged: the one that is measured by default.
const SIZE: u64 = 64;
/// A pair of processes ran with 24.
const DESCRIPTORS_MIN: u64 = 32;
/// The largest fan (32 to 32) ran with 128, and not with 64.
const DESCRIPTORS_WANTED: u64 = 256;
/// What the kernel allowed everybody before Linux 5.16 (`MLOCK_LIMIT`).
const LOCKED_MIN: u64 = 64 << 10;
/// The kernel's own structures for one message of a POSIX queue, at most (`mq_overview(7)`).
const QUEUE_OVERHEAD: u64 = 48 + 48;
/// Queued signals that others of this user may have.
const SIGNALS_SPARE: u64 = 64;
/// A saved default run is the largest file that is needed: of some megabytes. Links of the default size have some hundred kilobytes.
const FILE_WANTED: u64 = 16 << 20;
/// The page that the kernel counts pipes in.
const PAGE: u64 = 4096;

/// Limits of this process; the soft ones, which count. [`u64::MAX`] is no limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProcessLimits {
    pub(super) locked_bytes: u64,
    pub(super) descriptors: u64,
    pub(super) queue_bytes: u64,
    pub(super) pending_signals: u64,
    pub(super) file_bytes: u64,
}

fn wanted() -> u64 {
    capacity_for(SIZE as usize) as u64
}

fn shown(limit: u64) -> String {
    if limit == u64::MAX {
        "unlimited".to_owned()
    } else {
        whole(Some(limit))
    }
}

fn shown_bytes(limit: u64) -> String {
    if limit == u64::MAX {
        "unlimited".to_owned()
    } else {
        bytes(limit as usize)
    }
}

fn by_hand(text: &str) -> [Step; 1] {
    [Step::Advice(format!(
        "{text}, in the shell that starts the run, or in /etc/security/limits.d"
    ))]
}

/// Open files (`RLIMIT_NOFILE`).
pub(super) fn descriptors(limits: &ProcessLimits) -> Finding {
    const NAME: &str = "descriptors";
    const EFFECT: &str =
        "links and processes take descriptors; a contender that gets none is unavailable";
    let remedy = format!("ulimit -n {DESCRIPTORS_WANTED}");
    let value = shown(limits.descriptors);
    if limits.descriptors < DESCRIPTORS_MIN {
        Finding::fail(NAME, value, EFFECT, &remedy).with_steps(by_hand(&remedy))
    } else if limits.descriptors < DESCRIPTORS_WANTED {
        let effect = "with tens of processes on a side there are too few";
        Finding::warn(NAME, value, effect, &remedy).with_steps(by_hand(&remedy))
    } else {
        Finding::ok(NAME, value)
    }
}

/// Memory that may be locked (`RLIMIT_MEMLOCK`).
pub(super) fn locked_memory(limits: &ProcessLimits) -> Finding {
    const NAME: &str = "locked memory";
    let value = shown_bytes(limits.locked_bytes);
    if limits.locked_bytes >= LOCKED_MIN {
        return Finding::ok(NAME, value);
    }
    let remedy = format!("ulimit -l {}", LOCKED_MIN >> 10);
    let effect = "a contender that locks its memory against swapping gets none";
    Finding::warn(NAME, value, effect, &remedy).with_steps(by_hand(&remedy))
}

/// Bytes in POSIX queues (`RLIMIT_MSGQUEUE`), for two queues as long as the system allows.
pub(super) fn queue_bytes(root: &Root, limits: &ProcessLimits) -> Result<Finding, Unknown> {
    const NAME: &str = "POSIX queue bytes";
    let places: u64 = root.number("/proc/sys/fs/mqueue/msg_max")?;
    let needed = 2 * places.min(wanted()) * (SIZE + QUEUE_OVERHEAD);
    let value = shown_bytes(limits.queue_bytes);
    if limits.queue_bytes >= needed {
        return Ok(Finding::ok(NAME, value));
    }
    let remedy = format!("ulimit -q {needed}");
    let effect =
        format!("posix-mq needs {needed} B for two queues, gets shorter ones or is unavailable");
    Ok(Finding::warn(NAME, value, effect, &remedy).with_steps(by_hand(&remedy)))
}

/// Signals that may be queued (`RLIMIT_SIGPENDING`).
pub(super) fn pending_signals(limits: &ProcessLimits) -> Finding {
    const NAME: &str = "pending signals";
    let value = shown(limits.pending_signals);
    let needed = wanted() + SIGNALS_SPARE;
    if limits.pending_signals >= needed {
        return Finding::ok(NAME, value);
    }
    let remedy = format!("ulimit -i {needed}");
    let effect = format!(
        "the contender signal has room for fewer than {} on their way, and its sender waits",
        shown(wanted())
    );
    Finding::warn(NAME, value, effect, &remedy).with_steps(by_hand(&remedy))
}

/// How long files may be that this process makes (`RLIMIT_FSIZE`).
pub(super) fn file_size(limits: &ProcessLimits) -> Finding {
    const NAME: &str = "file size";
    let value = shown_bytes(limits.file_bytes);
    if limits.file_bytes >= FILE_WANTED {
        return Finding::ok(NAME, value);
    }
    // Shells differ in the unit that they count in.
    let remedy = "ulimit -f unlimited";
    let effect = "the limit holds for shared memory, too: contenders that need more are unavailable, and results may not be saved";
    Finding::warn(NAME, value, effect, remedy).with_steps(by_hand(remedy))
}

/// A setting of the kernel that is raised.
fn raise(name: &str, value: u64, was: u64) -> Step {
    Step::Set {
        file: format!("/proc/sys/{}", name.replace('.', "/")),
        value: value.to_string(),
        was: was.to_string(),
    }
}

/// How long POSIX queues may be, and their messages.
pub(super) fn posix_queues(root: &Root) -> Result<Finding, Unknown> {
    const NAME: &str = "POSIX queues";
    let places: u64 = root.number("/proc/sys/fs/mqueue/msg_max")?;
    let longest: u64 = root.number("/proc/sys/fs/mqueue/msgsize_max")?;
    let value = format!(
        "{} messages of up to {}",
        shown(places),
        bytes(longest as usize)
    );
    if places >= wanted() && longest >= SIZE {
        return Ok(Finding::ok(NAME, value));
    }
    let effect = format!(
        "posix-mq holds {} messages where others hold {}, so its sides wait for each other more often",
        shown(places),
        shown(wanted())
    );
    let remedy = format!("sudo sysctl fs.mqueue.msg_max={}", wanted());
    let step = raise("fs.mqueue.msg_max", wanted(), places);
    Ok(Finding::warn(NAME, value, effect, remedy).with_steps([step]))
}

/// How much System V queues may hold.
pub(super) fn system_v_queues(root: &Root) -> Result<Finding, Unknown> {
    const NAME: &str = "System V queues";
    let held: u64 = root.number("/proc/sys/kernel/msgmnb")?;
    let longest: u64 = root.number("/proc/sys/kernel/msgmax")?;
    let value = format!(
        "{} with messages of up to {}",
        bytes(held as usize),
        bytes(longest as usize)
    );
    let needed = wanted() * SIZE;
    if held >= needed && longest >= SIZE {
        return Ok(Finding::ok(NAME, value));
    }
    let effect = format!(
        "sysv-mq holds {} messages of {SIZE} B where others hold {}, so its sides wait for each other more often",
        shown(held / SIZE),
        shown(wanted())
    );
    let remedy = format!("sudo sysctl kernel.msgmnb={needed}");
    let step = raise("kernel.msgmnb", needed, held);
    Ok(Finding::warn(NAME, value, effect, remedy).with_steps([step]))
}

/// How much pipes may hold, each and all of this user together.
pub(super) fn pipes(root: &Root) -> Result<Finding, Unknown> {
    const NAME: &str = "pipes";
    let largest: u64 = root.number("/proc/sys/fs/pipe-max-size")?;
    let pages: u64 = root.number("/proc/sys/fs/pipe-user-pages-soft")?;
    let of_user = if pages == 0 {
        "unlimited".to_owned()
    } else {
        shown_bytes(pages.saturating_mul(PAGE))
    };
    let value = format!("{} each, {of_user} for this user", shown_bytes(largest));
    let needed = wanted() * SIZE;
    let needed_pages = 2 * needed.div_ceil(PAGE);
    if largest < needed {
        let effect = format!(
            "pipe and fifo hold {} where others hold {needed} B",
            shown_bytes(largest)
        );
        let remedy = format!("sudo sysctl fs.pipe-max-size={needed}");
        let step = raise("fs.pipe-max-size", needed, largest);
        return Ok(Finding::warn(NAME, value, effect, remedy).with_steps([step]));
    }
    if pages != 0 && pages < needed_pages {
        let effect = "pipe and fifo shrink to a page or two once the share of this user is used up";
        let remedy = format!("sudo sysctl fs.pipe-user-pages-soft={needed_pages}");
        let step = raise("fs.pipe-user-pages-soft", needed_pages, pages);
        return Ok(Finding::warn(NAME, value, effect, remedy).with_steps([step]));
    }
    Ok(Finding::ok(NAME, value))
}

#[cfg(test)]
mod tests {
    use super::super::facts::fake::Machine;
    use super::super::finding::Verdict::{Fail, Ok as Fine, Warn};
    use super::*;

    const PLENTY: ProcessLimits = ProcessLimits {
        locked_bytes: 8 << 20,
        descriptors: 1024,
        queue_bytes: 819_200,
        pending_signals: u64::MAX,
        file_bytes: u64::MAX,
    };

    const NONE: ProcessLimits = ProcessLimits {
        locked_bytes: 0,
        descriptors: 20,
        queue_bytes: 0,
        pending_signals: 10,
        file_bytes: 20 << 10,
    };

    #[test]
    fn the_usual_limits_of_a_process_are_enough() {
        assert_eq!(descriptors(&PLENTY).verdict, Fine);
        assert_eq!(locked_memory(&PLENTY).verdict, Fine);
        assert_eq!(file_size(&PLENTY).verdict, Fine);
        let signals = pending_signals(&PLENTY);
        assert_eq!(
            (signals.verdict, signals.value.as_str()),
            (Fine, "unlimited")
        );
    }

    #[test]
    fn too_few_descriptors_fail_and_the_rest_only_takes_contenders() {
        assert_eq!(descriptors(&NONE).verdict, Fail);
        let few = ProcessLimits {
            descriptors: 100,
            ..PLENTY
        };
        let found = descriptors(&few);
        assert_eq!(found.verdict, Warn);
        assert_eq!(found.remedy.as_deref(), Some("ulimit -n 256"));
        assert_eq!(locked_memory(&NONE).verdict, Warn);
        assert_eq!(pending_signals(&NONE).verdict, Warn);
        let found = file_size(&NONE);
        assert_eq!((found.verdict, found.value.as_str()), (Warn, "20 KiB"));
        assert_eq!(found.remedy.as_deref(), Some("ulimit -f unlimited"));
    }

    #[test]
    fn posix_queues_are_judged_by_what_others_hold() {
        let machine = Machine::with(&[
            ("/proc/sys/fs/mqueue/msg_max", "10\n"),
            ("/proc/sys/fs/mqueue/msgsize_max", "8192\n"),
        ]);
        let root = machine.root();
        let found = posix_queues(&root).unwrap();
        assert_eq!(
            (found.verdict, found.value.as_str()),
            (Warn, "10 messages of up to 8 KiB")
        );
        assert_eq!(found.steps, [raise("fs.mqueue.msg_max", 1024, 10)]);
        assert_eq!(queue_bytes(&root, &PLENTY).unwrap().verdict, Fine);
        assert_eq!(queue_bytes(&root, &NONE).unwrap().verdict, Warn);
        machine.put("/proc/sys/fs/mqueue/msg_max", "1024\n");
        assert_eq!(posix_queues(&root).unwrap().verdict, Fine);
    }

    #[test]
    fn system_v_queues_and_pipes_are_judged_by_what_others_hold() {
        let machine = Machine::with(&[
            ("/proc/sys/kernel/msgmnb", "16384\n"),
            ("/proc/sys/kernel/msgmax", "8192\n"),
            ("/proc/sys/fs/pipe-max-size", "1048576\n"),
            ("/proc/sys/fs/pipe-user-pages-soft", "16384\n"),
        ]);
        let root = machine.root();
        let found = system_v_queues(&root).unwrap();
        assert_eq!(found.verdict, Warn);
        assert!(found.effect.unwrap().contains("256 messages"));
        assert_eq!(pipes(&root).unwrap().verdict, Fine);
        machine.put("/proc/sys/kernel/msgmnb", "65536\n");
        assert_eq!(system_v_queues(&root).unwrap().verdict, Fine);
        machine.put("/proc/sys/fs/pipe-user-pages-soft", "8\n");
        assert_eq!(pipes(&root).unwrap().verdict, Warn);
        machine.put("/proc/sys/fs/pipe-user-pages-soft", "0\n");
        assert_eq!(pipes(&root).unwrap().verdict, Fine);
        machine.put("/proc/sys/fs/pipe-max-size", "4096\n");
        assert_eq!(pipes(&root).unwrap().verdict, Warn);
    }

    #[test]
    fn a_missing_setting_is_named() {
        let root = Machine::with(&[]).root();
        for (checked, file) in [
            (posix_queues(&root), "mqueue/msg_max"),
            (queue_bytes(&root, &PLENTY), "mqueue/msg_max"),
            (system_v_queues(&root), "kernel/msgmnb"),
            (pipes(&root), "fs/pipe-max-size"),
        ] {
            let unknown = checked.unwrap_err().to_string();
            assert!(unknown.contains(file), "{unknown}");
        }
    }
}
