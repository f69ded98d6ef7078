//! `doctor`: looks for what disturbs figures on this machine, or keeps contenders from running. It changes nothing.
//!
//! Each check is a small function over a folder that stands for `/`, or over what was measured before, and gives one [`Finding`]. A file that is
//! missing or can't be read makes it [`Verdict::CannotTell`], with the name of the file.

mod cgroup;
mod clock;
mod facts;
mod finding;
mod leftovers;
mod limits;
mod load;
mod memory;
mod processor;
mod script;
mod show;
mod system;
mod system_v;
mod wake;

use std::io;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;

use crate::cli::ListOutput;
use crate::clock::ClockProfile;
use crate::fan::Fan;
use crate::machine::{allowed_cores, siblings};
use crate::placement::Placement;
use facts::{Root, Unknown};
pub use finding::{Finding, Verdict};
use leftovers::Leftover;
use load::Sample;

/// A check says [`Verdict::Fail`].
pub const UNFIT: u8 = 3;

/// For so long others are watched, while we sleep.
const WATCH: Duration = Duration::from_millis(300);
/// The longest comparison of clocks.
const SKEW_LIMIT_NS: u64 = 100_000_000;
/// The same before a run.
const SKEW_LIMIT_QUICK_NS: u64 = 30_000_000;

/// The options of `doctor`.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// The cores that are to be measured [default: those that `run` takes]
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub cpus: Option<Vec<usize>>,

    /// How the findings look
    #[arg(long, value_enum, default_value_t = ListOutput::Table)]
    pub output: ListOutput,

    /// Print a shell script that an administrator might run, made of the findings; nothing is run
    #[arg(long, conflicts_with = "output")]
    pub fix_script: bool,
}

/// Looks at everything and prints it. The exit code is 0 if nothing says FAIL, [`UNFIT`] if something does, 2 for cores that can't be had, and 6 if
/// the output can't be written.
pub fn main(args: &DoctorArgs) -> u8 {
    let allowed = match allowed_cores() {
        Ok(allowed) => allowed,
        Err(error) => {
            let problem = format!("the cores of this process can't be asked for: {error}");
            return crate::complain(crate::exit::INPUT_OUTPUT, &problem);
        }
    };
    let placed = Placement::choose(args.cpus.as_deref(), &allowed, Fan::PAIR, siblings);
    let measured = match placed {
        Ok(placement) => placement.cores(),
        Err(problem) => return crate::complain(crate::exit::USAGE, &problem),
    };
    let findings = examine(&measured, &allowed);
    let out = io::stdout().lock();
    let written = match args.output {
        _ if args.fix_script => script::write(&findings, out),
        ListOutput::Table => show::write_table(&findings, out),
        ListOutput::Json => show::write_json(&findings, out),
    };
    match written {
        Err(error) => {
            let problem = format!("the findings can't be written: {error}");
            crate::complain(crate::exit::INPUT_OUTPUT, &problem)
        }
        Ok(()) if findings.iter().any(is_refusal) => UNFIT,
        Ok(()) => 0,
    }
}

fn is_refusal(finding: &Finding) -> bool {
    finding.verdict == Verdict::Fail
}

/// What makes figures of these cores meaningless, or keeps contenders from running: the checks that can say [`Verdict::Fail`], and of these only the
/// quick ones (under 200 ms in all). Empty on a machine that is fit. For `--strict`.
pub fn refusals(measured: &[usize]) -> Vec<Finding> {
    let root = Root::system();
    let allowed = allowed_cores().unwrap_or_else(|_| measured.to_vec());
    let mut cores = measured.to_vec();
    cores.sort_unstable();
    cores.dedup();
    let mut findings = basics(&root, &cores, &allowed);
    findings.push(clock_source(&root));
    findings.push(clock_skew(&cores, SKEW_LIMIT_QUICK_NS));
    findings.retain(is_refusal);
    findings
}

/// All checks, in the order of the table. Takes about half a second.
fn examine(measured: &[usize], allowed: &[usize]) -> Vec<Finding> {
    let root = Root::system();
    // A queue that is in use now may look left behind for the moment between two of its users; it does not a little later.
    let seen_before = Leftovers::look(&root);
    let before = Sample::take(&root);
    thread::sleep(WATCH);
    let after = Sample::take(&root);
    let left = Leftovers::look(&root).that_were(seen_before);

    let mut findings = basics(&root, measured, allowed);
    findings.extend(processors(&root, measured));
    findings.extend([
        Finding::of("steal", load::steal(&before, &after, measured)),
        Finding::of("other work", load::other_work(&before, &after, measured)),
        Finding::of("load average", load::average(&root)),
        Finding::of("autogroup", load::autogroup(&root)),
        clock_source(&root),
        clock_skew(measured, SKEW_LIMIT_NS),
        idle_wake(measured),
        Finding::of("huge pages", memory::huge_pages(&root)),
        Finding::of("swap", memory::swap(&root)),
    ]);
    findings.extend(kernel_limits(&root));
    findings.extend(left.findings());
    findings
}

/// What every run needs.
fn basics(root: &Root, measured: &[usize], allowed: &[usize]) -> Vec<Finding> {
    let mut findings = vec![
        processor::cores(measured, allowed),
        Finding::of("cgroup quota", cgroup::quota(root, measured)),
        Finding::of("cgroup CPU set", cgroup::cpuset(root, measured)),
        memory::shared(root, || system::space(&root.path("/dev/shm"))),
    ];
    let limits = system::process_limits();
    findings.push(match &limits {
        Ok(limits) => limits::descriptors(limits),
        Err(error) => Finding::of("descriptors", Err(no_limits(error))),
    });
    findings
}

fn no_limits(error: &io::Error) -> Unknown {
    Unknown::because(format!(
        "the limits of this process can't be asked for: {error}"
    ))
}

fn processors(root: &Root, measured: &[usize]) -> Vec<Finding> {
    let may_forbid = system::may_write(&root.path("/dev/cpu_dma_latency"));
    let states = processor::idle_states(root, measured, may_forbid);
    vec![
        Finding::of("frequency governor", processor::governor(root, measured)),
        Finding::of("turbo", processor::turbo(root)),
        Finding::of("SMT siblings", processor::siblings(root, measured)),
        Finding::of("NUMA nodes", processor::numa(root, measured)),
        Finding::of("isolated cores", processor::isolation(root, measured)),
        Finding::of("hypervisor", processor::hypervisor(root)),
        Finding::of("idle states", states),
    ]
}

fn kernel_limits(root: &Root) -> Vec<Finding> {
    const OF_PROCESS: [&str; 4] = [
        "locked memory",
        "POSIX queue bytes",
        "pending signals",
        "file size",
    ];
    let mut findings = match system::process_limits() {
        Ok(limits) => vec![
            limits::locked_memory(&limits),
            Finding::of(OF_PROCESS[1], limits::queue_bytes(root, &limits)),
            limits::pending_signals(&limits),
            limits::file_size(&limits),
        ],
        Err(error) => {
            let unknown = |name| Finding::of(name, Err(no_limits(&error)));
            OF_PROCESS.map(unknown).into()
        }
    };
    findings.extend([
        Finding::of("POSIX queues", limits::posix_queues(root)),
        Finding::of("System V queues", limits::system_v_queues(root)),
        Finding::of("pipes", limits::pipes(root)),
    ]);
    findings
}

fn clock_source(root: &Root) -> Finding {
    Finding::of("clock source", clock::source(root, ClockProfile::measure()))
}

/// Of the first two cores: those of a pair.
fn two(measured: &[usize]) -> Result<[usize; 2], Unknown> {
    match measured {
        [first, second, ..] => Ok([*first, *second]),
        _ => Err(Unknown::because("two cores are needed to measure it")),
    }
}

fn clock_skew(measured: &[usize], limit_ns: u64) -> Finding {
    let exchanged = two(measured).and_then(|cores| clock::measure_skew(cores, limit_ns));
    Finding::of("clock skew", clock::skew(exchanged))
}

fn idle_wake(measured: &[usize]) -> Finding {
    Finding::of(
        "idle wake",
        wake::idle_wake(two(measured).and_then(wake::measure)),
    )
}

/// What earlier runs left, or others.
struct Leftovers {
    segments: Result<Vec<Leftover>, Unknown>,
    posix_queues: Result<Vec<Leftover>, Unknown>,
    system_v: Result<Vec<Leftover>, Unknown>,
    files: Result<Vec<Leftover>, Unknown>,
}

impl Leftovers {
    fn look(root: &Root) -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        let witness = system_v::Witness {
            is_alive: &system::is_alive,
            last_user: &system::last_user,
            now_s: since_1970.map_or(0, |time| time.as_secs()),
        };
        Self {
            segments: leftovers::segments(root, system::is_alive),
            posix_queues: leftovers::posix_queues(root, system::is_alive),
            system_v: system_v::leftovers(root, &witness),
            files: leftovers::temporary_files(&std::env::temp_dir(), system::is_alive),
        }
    }

    /// Only those that were left behind before already.
    fn that_were(mut self, before: Self) -> Self {
        for (now, before) in [
            (&mut self.segments, before.segments),
            (&mut self.posix_queues, before.posix_queues),
            (&mut self.system_v, before.system_v),
            (&mut self.files, before.files),
        ] {
            if let (Ok(now), Ok(before)) = (now, before) {
                now.retain(|left| before.iter().any(|known| known.step == left.step));
            }
        }
        self
    }

    fn findings(self) -> [Finding; 4] {
        const SCRIPT: &str = "read what --fix-script prints, and run it (with --all for what may be kept on purpose)";
        let of = |name, found: Result<Vec<Leftover>, Unknown>, effect: &str| {
            let finding = found.map(|found| leftovers::finding(name, found, effect, SCRIPT));
            Finding::of(name, finding)
        };
        let memory = "they keep their memory until the next boot, and /dev/shm has less room";
        let queues = "they keep the bytes and queues that this user and the system may have";
        let objects = "they keep memory and places in the tables of the system, whose number is limited (ipcs -l)";
        let files = "they keep room and names in the directory for temporary files";
        [
            of("stale segments", self.segments, memory),
            of("stale POSIX queues", self.posix_queues, queues),
            of("stale System V", self.system_v, objects),
            of("stale files", self.files, files),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Instant;

    use super::*;

    fn machine() -> (Vec<usize>, Vec<usize>) {
        let allowed = allowed_cores().unwrap();
        let placed = Placement::choose(None, &allowed, Fan::PAIR, siblings).unwrap();
        (placed.cores(), allowed)
    }

    #[test]
    fn every_check_says_something_once() {
        let (measured, allowed) = machine();
        let findings = examine(&measured, &allowed);
        let names: HashSet<&str> = findings.iter().map(|finding| finding.name).collect();
        assert_eq!((names.len(), findings.len()), (32, 32), "{names:?}");
        for finding in &findings {
            assert!(!finding.value.is_empty(), "{finding:?}");
            let is_wrong = matches!(finding.verdict, Verdict::Warn | Verdict::Fail);
            assert_eq!(finding.effect.is_some(), is_wrong, "{finding:?}");
            assert_eq!(finding.remedy.is_some(), is_wrong, "{finding:?}");
            let has_line_feed =
                |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains('\n'));
            assert!(!has_line_feed(&finding.remedy), "{finding:?}");
        }
    }

    #[test]
    fn one_core_is_refused() {
        let (measured, _) = machine();
        let refused = refusals(&measured[..1]);
        assert!(
            refused.iter().any(|finding| finding.name == "cores"),
            "{refused:?}"
        );
        assert!(refused.iter().all(is_refusal));
    }

    #[test]
    fn the_quick_checks_end_in_time_on_any_machine() {
        let (measured, _) = machine();
        let begun = Instant::now();
        let refused = refusals(&measured);
        // Far more than it takes, for machines that are busy.
        assert!(begun.elapsed() < Duration::from_secs(20), "{refused:?}");
    }
}
