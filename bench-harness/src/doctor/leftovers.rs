//! Names that outlived those who made them: in `/dev/shm`, among the POSIX queues, and in the directory for temporary files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::facts::{Root, Unknown, names_in};
use super::finding::Finding;
use super::script::Step;
use crate::transport::names::maker_of;

/// The first bytes of our segments: of a ring, and of a named semaphore.
const MAGICS: [(&[u8; 8], &str); 2] = [(b"shm-ring", "ring"), (b"shm-sema", "semaphore")];
/// From this byte of the file on, whoever is attached to a segment holds a lock.
const LOCKS_OFFSET: libc::off_t = 1 << 40;
/// So many are named in the value itself; all are in the list.
const SHOWN_MAX: usize = 2;

/// Something that is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leftover {
    /// For people.
    pub(super) shown: String,
    /// What would remove it.
    pub(super) step: Step,
}

impl Leftover {
    fn file(path: &Path, why: &str, is_sure: bool) -> Self {
        Self::at(path, why, |path| Step::Remove { path, is_sure })
    }

    /// Such as a program of the user's may have for a link.
    fn folder(path: &Path, why: &str) -> Self {
        Self::at(path, why, |path| Step::RemoveFolder { path })
    }

    fn at(path: &Path, why: &str, step: impl FnOnce(String) -> Step) -> Self {
        let path = path.display().to_string();
        Self {
            shown: format!("{} ({why})", path.escape_debug()),
            step: step(path),
        }
    }
}

/// The finding about a list of leftovers.
pub(super) fn finding(
    name: &'static str,
    found: Vec<Leftover>,
    effect: &str,
    remedy: &str,
) -> Finding {
    if found.is_empty() {
        return Finding::ok(name, "none");
    }
    let first: Vec<&str> = found
        .iter()
        .take(SHOWN_MAX)
        .map(|left| left.shown.as_str())
        .collect();
    let rest = found.len() - first.len();
    let more = if rest > 0 {
        format!("; and {rest} more")
    } else {
        String::new()
    };
    let value = format!("{}: {}{more}", found.len(), first.join("; "));
    let mut finding = Finding::warn(name, value, effect, remedy);
    for left in found {
        finding.objects.push(left.shown);
        finding.steps.push(left.step);
    }
    finding
}

/// Our names in a folder whose makers are dead.
fn of_the_dead(folder: &Path, is_alive: impl Fn(u32) -> bool) -> io::Result<Vec<Leftover>> {
    let dead = |name: String| {
        let pid = maker_of(&name).filter(|pid| !is_alive(*pid))?;
        let path = folder.join(name);
        let why = format!("its maker, process {pid}, is dead");
        let is_folder = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir());
        Some(if is_folder {
            Leftover::folder(&path, &why)
        } else {
            Leftover::file(&path, &why, true)
        })
    };
    Ok(names_in(folder)?.into_iter().filter_map(dead).collect())
}

/// Segments in `/dev/shm`: those of the harness whose makers are dead, and rings and semaphores that nobody is attached to.
pub(super) fn segments(
    root: &Root,
    is_alive: impl Fn(u32) -> bool,
) -> Result<Vec<Leftover>, Unknown> {
    const FOLDER: &str = "/dev/shm";
    let folder = root.path(FOLDER);
    let unreadable = |error: io::Error| Unknown::unreadable(FOLDER, &error);
    let mut found = of_the_dead(&folder, is_alive).map_err(unreadable)?;
    for name in names_in(&folder).map_err(unreadable)? {
        let path = folder.join(&name);
        if maker_of(&name).is_none()
            && let Some(kind) = unattached(&path)
        {
            let why = format!("{kind} with nobody attached");
            found.push(Leftover::file(&path, &why, false));
        }
    }
    Ok(found)
}

/// What kind of segment it is, if it is one of ours and nobody is attached. What this user may not read belongs to somebody else, who may ask.
fn unattached(path: &Path) -> Option<&'static str> {
    if !fs::symlink_metadata(path).ok()?.is_file() {
        return None;
    }
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags.bits());
    let mut file = options.open(path).ok()?;
    let mut first = [0; 8];
    file.read_exact(&mut first).ok()?;
    let (_, kind) = MAGICS.iter().find(|(magic, _)| **magic == first)?;
    (!is_held(&file).ok()?).then_some(*kind)
}

/// Whether anybody holds one of the locks that prove an attachment.
fn is_held(file: &File) -> io::Result<bool> {
    let mut lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: LOCKS_OFFSET,
        // To the end of all files.
        l_len: 0,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock))?;
    Ok(lock.l_type != libc::F_UNLCK as libc::c_short)
}

/// POSIX queues of ours whose makers are dead.
pub(super) fn posix_queues(
    root: &Root,
    is_alive: impl Fn(u32) -> bool,
) -> Result<Vec<Leftover>, Unknown> {
    const FOLDER: &str = "/dev/mqueue";
    of_the_dead(&root.path(FOLDER), is_alive).map_err(|error| {
        let unknown = Unknown::unreadable(FOLDER, &error);
        Unknown::because(format!(
            "{unknown}; to see the queues: sudo mkdir -p {FOLDER} && sudo mount -t mqueue none {FOLDER}"
        ))
    })
}

/// FIFOs, sockets, files and folders of ours in the directory for temporary files.
pub(super) fn temporary_files(
    folder: &Path,
    is_alive: impl Fn(u32) -> bool,
) -> Result<Vec<Leftover>, Unknown> {
    of_the_dead(folder, is_alive)
        .map_err(|error| Unknown::unreadable(&folder.display().to_string(), &error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;
    use shm_ringbuf::Config;

    use super::super::facts::fake::Machine;
    use super::super::finding::Verdict::{Ok as Fine, Warn};
    use super::*;

    const DEAD: &str = "bench-harness-4000001-0-0123abcd";
    const ALIVE: &str = "bench-harness-17-0-0123abcd";

    fn is_alive(pid: u32) -> bool {
        pid == 17
    }

    fn removal(path: &Path, is_sure: bool) -> Step {
        let path = path.to_str().unwrap().to_owned();
        Step::Remove { path, is_sure }
    }

    #[test]
    fn names_of_the_dead_are_found_and_nobody_elses() {
        let machine = Machine::with(&[]);
        for folder in ["/dev/shm", "/dev/mqueue", "/tmp"] {
            for name in [DEAD, ALIVE, "bench-harness-notes", "something"] {
                machine.put(&format!("{folder}/{name}"), "");
            }
        }
        let root = machine.root();
        for (folder, found) in [
            ("/dev/shm", segments(&root, is_alive)),
            ("/dev/mqueue", posix_queues(&root, is_alive)),
            ("/tmp", temporary_files(&root.path("/tmp"), is_alive)),
        ] {
            let steps: Vec<Step> = found.unwrap().into_iter().map(|left| left.step).collect();
            let path = root.path(folder).join(DEAD);
            assert_eq!(steps, [removal(&path, true)], "{folder}");
        }
    }

    #[test]
    fn a_folder_of_a_dead_maker_is_removed_as_one_but_not_a_link() {
        let machine = Machine::with(&[("/tmp/bench-harness-4000002-0-0123abcd/fifo", "")]);
        let tmp = machine.root().path("/tmp");
        symlink("/", tmp.join(DEAD)).unwrap();
        let found = temporary_files(&tmp, is_alive).unwrap();
        let mut steps: Vec<Step> = found.into_iter().map(|left| left.step).collect();
        steps.sort_by_key(|step| matches!(step, Step::RemoveFolder { .. }));
        let folder = tmp.join("bench-harness-4000002-0-0123abcd");
        let path = folder.to_str().unwrap().to_owned();
        assert_eq!(
            steps,
            [removal(&tmp.join(DEAD), true), Step::RemoveFolder { path }]
        );
    }

    #[test]
    fn segments_of_ours_are_found_when_nobody_is_attached_and_never_surely() {
        let machine = Machine::with(&[("/dev/shm/other", "shm-rung and so on")]);
        let path = machine.root().path("/dev/shm/ring");
        let ring = Config::spsc()
            .create::<u64>(path.to_str().unwrap())
            .unwrap();
        let producer = ring.producer().unwrap();
        assert_eq!(segments(&machine.root(), is_alive), Ok(Vec::new()));
        drop((producer, ring));
        machine.put("/dev/shm/semaphore", "shm-sema and so on");
        let found = segments(&machine.root(), is_alive).unwrap();
        let steps: Vec<Step> = found.into_iter().map(|left| left.step).collect();
        let semaphore = machine.root().path("/dev/shm/semaphore");
        assert_eq!(steps, [removal(&path, false), removal(&semaphore, false)]);
    }

    #[test]
    fn a_fifo_in_the_way_is_not_waited_for() {
        let machine = Machine::with(&[("/dev/shm/x", "")]);
        let fifo = machine.folder().join("dev/shm/fifo");
        mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        assert_eq!(segments(&machine.root(), is_alive), Ok(Vec::new()));
    }

    #[test]
    fn a_folder_that_is_missing_is_named_with_what_would_show_the_queues() {
        let root = Machine::with(&[]).root();
        assert!(
            segments(&root, is_alive)
                .unwrap_err()
                .to_string()
                .contains("/dev/shm")
        );
        let unknown = posix_queues(&root, is_alive).unwrap_err().to_string();
        assert!(
            unknown.contains("mount -t mqueue none /dev/mqueue"),
            "{unknown}"
        );
        assert!(temporary_files(&root.path("/tmp"), is_alive).is_err());
    }

    #[test]
    fn many_are_counted_and_all_are_listed() {
        let left = |number: u32| Leftover::file(Path::new(&format!("/x/{number}")), "old", true);
        assert_eq!(finding("x", Vec::new(), "e", "r").verdict, Fine);
        let many = finding("x", (0..5).map(left).collect(), "e", "r");
        assert_eq!(
            (many.verdict, many.value.as_str()),
            (Warn, "5: /x/0 (old); /x/1 (old); and 3 more")
        );
        assert_eq!((many.objects.len(), many.steps.len()), (5, 5));
    }
}
