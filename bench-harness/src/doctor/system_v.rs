//! Objects of System V whose users are all dead: nothing removes them but a boot, and the system has room for a limited number.

use std::collections::HashMap;
use std::str::FromStr;

use super::facts::{Root, Unknown};
use super::leftovers::Leftover;
use super::script::{IpcKind, Step};

/// A queue that nobody has used yet is not told before it is so old: its users may be about to come.
const UNUSED_S_MIN: u64 = 60;

/// What the checks ask the system for.
pub(super) struct Witness<'a> {
    /// Whether there is such a process.
    pub(super) is_alive: &'a dyn Fn(u32) -> bool,
    /// The process that last changed a semaphore of a set: the set's number, then the semaphore's. None if the system won't say.
    pub(super) last_user: &'a dyn Fn(i32, u32) -> Option<u32>,
    /// Seconds since 1970.
    pub(super) now_s: u64,
}

/// What is known of those who use an object. A process of 0 is none, or one that can't be seen from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Users {
    Dead(u32),
    Alive,
    Unknown,
}

impl Witness<'_> {
    fn users(&self, pids: impl IntoIterator<Item = u32>) -> Users {
        let mut users = Users::Unknown;
        for pid in pids.into_iter().filter(|pid| *pid != 0) {
            if (self.is_alive)(pid) {
                return Users::Alive;
            }
            users = Users::Dead(pid);
        }
        users
    }
}

/// A line of a table of the kernel, by the names at its top.
struct Row<'a> {
    file: &'static str,
    line: &'a str,
    columns: HashMap<&'a str, &'a str>,
}

impl Row<'_> {
    fn get<T: FromStr>(&self, column: &str) -> Result<T, Unknown> {
        let value = self
            .columns
            .get(column)
            .and_then(|value| value.parse().ok());
        value.ok_or_else(|| Unknown::strange(self.file, self.line))
    }

    /// An object with a key can be found by whoever knows it, also much later.
    fn is_private(&self) -> Result<bool, Unknown> {
        Ok(self.get::<i64>("key")? == 0)
    }
}

/// What of a table was left behind.
fn left_in(
    root: &Root,
    file: &'static str,
    left: impl Fn(&Row<'_>) -> Result<Option<Leftover>, Unknown>,
) -> Result<Vec<Leftover>, Unknown> {
    let text = root.read(file)?;
    let mut lines = text.lines();
    let names: Vec<&str> = lines
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    if !names.contains(&"key") {
        return Err(Unknown::strange(file, &text));
    }
    let rows = lines.map(|line| Row {
        file,
        line,
        columns: names.iter().copied().zip(line.split_whitespace()).collect(),
    });
    rows.filter_map(|row| left(&row).transpose()).collect()
}

fn leftover(kind: IpcKind, id: i32, why: &str, is_private: bool, is_sure: bool) -> Leftover {
    let kept = if is_private { "" } else { ", but it has a key" };
    Leftover {
        shown: format!("{} {id} ({why}{kept})", kind.noun()),
        step: Step::RemoveIpc { kind, id, is_sure },
    }
}

/// All that were left behind.
pub(super) fn leftovers(root: &Root, witness: &Witness<'_>) -> Result<Vec<Leftover>, Unknown> {
    let mut found = left_in(root, "/proc/sysvipc/msg", |row| queue(row, witness))?;
    found.extend(left_in(root, "/proc/sysvipc/sem", |row| {
        semaphores(row, witness)
    })?);
    found.extend(left_in(root, "/proc/sysvipc/shm", |row| {
        memory(row, witness)
    })?);
    Ok(found)
}

/// The kernel does not note who made a queue, only who used it last. The maker may be alive and may have handed it to processes that come and go, so
/// it is never sure that nobody needs it.
fn queue(row: &Row<'_>, witness: &Witness<'_>) -> Result<Option<Leftover>, Unknown> {
    let id = row.get("msqid")?;
    let pids = [row.get("lspid")?, row.get("lrpid")?];
    let made_s: u64 = row.get("ctime")?;
    let is_private = row.is_private()?;
    let age_s = witness.now_s.saturating_sub(made_s);
    Ok(match witness.users(pids) {
        Users::Dead(pid) => {
            let why = format!("who used it last, process {pid}, is dead");
            Some(leftover(IpcKind::Queue, id, &why, is_private, false))
        }
        Users::Unknown if pids == [0, 0] && is_private && age_s >= UNUSED_S_MIN => {
            let why = format!("never used in {age_s} s");
            Some(leftover(IpcKind::Queue, id, &why, true, false))
        }
        _ => None,
    })
}

/// The kernel notes for each semaphore who changed it last, which for a set of the harness is its maker at first. As for a queue, it is never sure.
fn semaphores(row: &Row<'_>, witness: &Witness<'_>) -> Result<Option<Leftover>, Unknown> {
    let id: i32 = row.get("semid")?;
    let count: u32 = row.get("nsems")?;
    let is_private = row.is_private()?;
    let pids: Option<Vec<u32>> = (0..count).map(|at| (witness.last_user)(id, at)).collect();
    Ok(match pids.map(|pids| witness.users(pids)) {
        Some(Users::Dead(pid)) => {
            let why = format!("who used it last, process {pid}, is dead");
            Some(leftover(IpcKind::Semaphores, id, &why, is_private, false))
        }
        _ => None,
    })
}

fn memory(row: &Row<'_>, witness: &Witness<'_>) -> Result<Option<Leftover>, Unknown> {
    let id = row.get("shmid")?;
    let attached: u64 = row.get("nattch")?;
    let pid: u32 = row.get("cpid")?;
    let is_private = row.is_private()?;
    Ok(match witness.users([pid]) {
        Users::Dead(pid) if attached == 0 => {
            let why = format!("its maker, process {pid}, is dead and nobody is attached");
            Some(leftover(IpcKind::Memory, id, &why, is_private, is_private))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::facts::fake::Machine;
    use super::*;

    const QUEUES: &str = "\
       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      rtime      ctime
         0          1   600           0          0   900   901     0     0     0     0        100        100        100
         0          2   600           0          0   900    17     0     0     0     0        100        100        100
         0          3   600           0          0   900     0     0     0     0     0        100          0        100
      1234          4   600           0          0   900   901     0     0     0     0        100        100        100
         0          5   600           0          0     0     0     0     0     0     0          0          0        100
         0          6   600           0          0     0     0     0     0     0     0          0          0        990
";
    const SETS: &str = "\
       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime
         0          1   600          2     0     0     0     0          0        100
         0          2   600          1     0     0     0     0          0        100
         0          3   600          1     0     0     0     0          0        100
";
    const SEGMENTS: &str = "\
       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap
         0          1   600                  4096   900   900      0     0     0     0     0        100        100        100                     0                     0
         0          2   600                  4096   900   900      1     0     0     0     0        100        100        100                     0                     0
         0          3   600                  4096    17    17      0     0     0     0     0        100        100        100                     0                     0
         0          4   600                  4096     0     0      0     0     0     0     0        100        100        100                     0                     0
        99          5   600                  4096   900   900      0     0     0     0     0        100        100        100                     0                     0
";

    fn witness() -> Witness<'static> {
        Witness {
            is_alive: &|pid| pid == 17,
            last_user: &|set, semaphore| match (set, semaphore) {
                (1, 0) => Some(0),
                (1, 1) => Some(900),
                (2, 0) => Some(17),
                _ => None,
            },
            now_s: 1_000,
        }
    }

    fn machine(queues: &str, sets: &str, segments: &str) -> Machine {
        Machine::with(&[
            ("/proc/sysvipc/msg", queues),
            ("/proc/sysvipc/sem", sets),
            ("/proc/sysvipc/shm", segments),
        ])
    }

    fn first_line(table: &str) -> &str {
        table.lines().next().unwrap()
    }

    #[test]
    fn objects_whose_users_are_all_dead_are_found_and_only_private_memory_is_sure() {
        let machine = machine(QUEUES, SETS, SEGMENTS);
        let found = leftovers(&machine.root(), &witness()).unwrap();
        let steps: Vec<Step> = found.into_iter().map(|left| left.step).collect();
        let expected = [
            (IpcKind::Queue, 1, false),
            (IpcKind::Queue, 3, false),
            (IpcKind::Queue, 4, false),
            (IpcKind::Queue, 5, false),
            (IpcKind::Semaphores, 1, false),
            (IpcKind::Memory, 1, true),
            (IpcKind::Memory, 5, false),
        ];
        let expected = expected.map(|(kind, id, is_sure)| Step::RemoveIpc { kind, id, is_sure });
        assert_eq!(steps, expected);
    }

    #[test]
    fn empty_tables_have_no_leftovers() {
        let machine = machine(first_line(QUEUES), first_line(SETS), first_line(SEGMENTS));
        assert_eq!(leftovers(&machine.root(), &witness()), Ok(Vec::new()));
    }

    #[test]
    fn a_table_that_is_missing_or_strange_is_named() {
        let missing = leftovers(&Machine::with(&[]).root(), &witness()).unwrap_err();
        assert!(
            missing.to_string().contains("/proc/sysvipc/msg"),
            "{missing}"
        );
        let machine = machine(QUEUES, "nothing\n", SEGMENTS);
        let strange = leftovers(&machine.root(), &witness()).unwrap_err();
        assert!(
            strange.to_string().contains("/proc/sysvipc/sem"),
            "{strange}"
        );
    }
}
