//! What an administrator might run: a POSIX shell script made of the findings, and of nothing else.

use std::io::{self, Write};

use super::finding::{Finding, Verdict};

/// One thing to do about a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Write a value into a file of the kernel; `was` is what undoes it.
    Set {
        file: String,
        value: String,
        was: String,
    },
    /// Remove a file, a FIFO, a socket or a queue by its path.
    Remove {
        path: String,
        /// Nobody can miss it. Otherwise it goes only if whoever runs the script says `--all`.
        is_sure: bool,
    },
    /// Remove a folder of a dead maker with all that is in it.
    RemoveFolder { path: String },
    /// Remove an object of System V.
    RemoveIpc {
        kind: IpcKind,
        id: i32,
        /// As above.
        is_sure: bool,
    },
    /// What a script can't do by itself.
    Advice(String),
}

/// The objects of System V.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IpcKind {
    Queue,
    Semaphores,
    Memory,
}

impl IpcKind {
    /// The option of `ipcs` and `ipcrm`.
    fn option(self) -> char {
        match self {
            Self::Queue => 'q',
            Self::Semaphores => 's',
            Self::Memory => 'm',
        }
    }

    /// For people.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Semaphores => "semaphore set",
            Self::Memory => "segment",
        }
    }
}

const HEAD: &str = "\
#!/bin/sh
# What `bench-harness doctor` suggests for this machine, from what it found just now. Read it before you run it as root.
# Every setting lasts until the next boot; the line above it undoes it. What is removed can't be brought back.
# Makers were looked for among the processes that can be seen from here; think of containers that share these folders.
# Leftovers that may have been kept on purpose go only with: sh SCRIPT --all
set -u
all=no
case \"${1-}\" in
    '') ;;
    --all) all=yes ;;
    *) printf 'the only option is --all\\n' >&2; exit 2 ;;
esac

# set_value FILE VALUE: only where the file can be written.
set_value() {
    if [ -w \"$1\" ]; then
        printf '%s\\n' \"$2\" > \"$1\" && printf 'set %s to %s\\n' \"$1\" \"$2\"
    else
        printf 'skipped: %s can not be written; run this as root\\n' \"$1\" >&2
    fi
}

# perhaps COMMAND...: only with --all.
perhaps() {
    if [ \"$all\" = yes ]; then
        \"$@\"
    else
        printf 'kept: %s; with --all it goes\\n' \"$*\"
    fi
}

# remove PATH: only what is still there, and never a folder.
remove() {
    if [ -d \"$1\" ]; then
        printf 'skipped: %s is a folder\\n' \"$1\" >&2
    elif [ -e \"$1\" ] || [ -L \"$1\" ]; then
        rm -f -- \"$1\" && printf 'removed %s\\n' \"$1\"
    fi
}

# remove_folder PATH: what is in it goes too, but nothing that a link points to.
remove_folder() {
    if [ -L \"$1\" ]; then
        printf 'skipped: %s is a link now\\n' \"$1\" >&2
    elif [ -d \"$1\" ]; then
        rm -rf --one-file-system -- \"$1\" && printf 'removed %s\\n' \"$1\"
    fi
}

# remove_ipc -q|-s|-m ID: only what is still there.
remove_ipc() {
    if ipcs \"$1\" -i \"$2\" > /dev/null 2>&1; then
        ipcrm \"$1\" \"$2\" && printf 'removed System V object %s %s\\n' \"$1\" \"$2\"
    fi
}
";

/// Writes the script.
///
/// # Errors
/// What the output says.
pub(super) fn write(findings: &[Finding], mut out: impl Write) -> io::Result<()> {
    let is_for = |finding: &&Finding| {
        matches!(finding.verdict, Verdict::Warn | Verdict::Fail) && !finding.steps.is_empty()
    };
    let mut to_fix = findings.iter().filter(is_for).peekable();
    if to_fix.peek().is_none() {
        writeln!(out, "#!/bin/sh")?;
        writeln!(
            out,
            "# `bench-harness doctor` found nothing that a script could fix."
        )?;
        return out.flush();
    }
    write!(out, "{HEAD}")?;
    for finding in to_fix {
        writeln!(out)?;
        writeln!(out, "# {}: {}", finding.name, comment(&finding.value))?;
        if let Some(effect) = &finding.effect {
            writeln!(out, "# Effect: {}", comment(effect))?;
        }
        for step in &finding.steps {
            write_step(step, &mut out)?;
        }
    }
    out.flush()
}

fn write_step(step: &Step, out: &mut impl Write) -> io::Result<()> {
    let perhaps = |is_sure: bool| if is_sure { "" } else { "perhaps " };
    match step {
        Step::Set { file, value, was } => {
            writeln!(
                out,
                "# Undo: printf '%s\\n' {} > {}",
                quoted(was),
                quoted(file)
            )?;
            writeln!(out, "set_value {} {}", quoted(file), quoted(value))
        }
        // Whoever reads the script must see what it does, whatever a terminal makes of the name.
        Step::Remove { path, .. } | Step::RemoveFolder { path }
            if path.chars().any(char::is_control) =>
        {
            let shown = comment(path);
            writeln!(
                out,
                "# A name with control characters; remove it by hand: {shown}"
            )
        }
        Step::Remove { path, is_sure } => {
            writeln!(out, "{}remove {}", perhaps(*is_sure), quoted(path))
        }
        Step::RemoveFolder { path } => writeln!(out, "remove_folder {}", quoted(path)),
        Step::RemoveIpc { kind, id, is_sure } => {
            writeln!(
                out,
                "{}remove_ipc -{} {id}",
                perhaps(*is_sure),
                kind.option()
            )
        }
        Step::Advice(text) => writeln!(out, "# By hand: {}", comment(text)),
    }
}

/// One line that stays a comment whatever is in it.
fn comment(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// One word of the shell, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::process::{Command, Stdio};

    use super::super::facts::fake::Machine;
    use super::*;

    fn script(steps: Vec<Step>) -> String {
        let finding = Finding::warn("made up", "x\ny", "z\nexit 7", "w").with_steps(steps);
        let mut out = Vec::new();
        write(&[finding], &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn sh(option: &str, script: &str) -> bool {
        let mut command = Command::new("sh");
        command.args([option, script]).stdin(Stdio::null());
        command.status().unwrap().success()
    }

    fn remove(path: &str, is_sure: bool) -> Step {
        Step::Remove {
            path: path.to_owned(),
            is_sure,
        }
    }

    #[test]
    fn the_shell_accepts_it_whatever_the_names_are() {
        let text = script(vec![
            remove("/tmp/it's; exit 7", true),
            remove("/tmp/a\nexit 7", false),
            remove("/tmp/$(exit 7)`exit 7`", false),
            Step::RemoveIpc {
                kind: IpcKind::Queue,
                id: 17,
                is_sure: false,
            },
            Step::Advice("boot with\nexit 7".to_owned()),
        ]);
        assert!(text.contains("\nperhaps remove_ipc -q 17\n"), "{text}");
        // No part of a name is executed.
        assert!(sh("-nc", &text) && sh("-c", &text), "{text}");
    }

    #[test]
    fn a_setting_is_written_and_its_undo_gives_the_old_value_back() {
        let machine = Machine::with(&[("/governor", "powersave\n")]);
        let file = machine.root().path("/governor");
        let text = script(vec![Step::Set {
            file: file.to_str().unwrap().to_owned(),
            value: "performance".to_owned(),
            was: "powersave".to_owned(),
        }]);
        assert!(sh("-c", &text), "{text}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "performance\n");
        let undo = text.lines().find_map(|line| line.strip_prefix("# Undo: "));
        assert!(sh("-c", undo.unwrap()), "{text}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "powersave\n");
    }

    #[test]
    fn what_is_sure_is_removed_and_the_rest_only_on_demand() {
        let machine = Machine::with(&[("/sure", ""), ("/unsure", ""), ("/folder/x", "")]);
        let path = |name| machine.root().path(name);
        let step = |name, is_sure| remove(path(name).to_str().unwrap(), is_sure);
        let text = script(vec![
            step("/sure", true),
            step("/unsure", false),
            step("/folder", true),
        ]);
        let left = || ["/sure", "/unsure", "/folder/x"].map(|name| path(name).exists());
        assert!(sh("-c", &text), "{text}");
        assert_eq!(left(), [false, true, true]);
        let file = path("/script");
        fs::write(&file, &text).unwrap();
        let mut command = Command::new("sh");
        assert!(command.arg(file).arg("--all").status().unwrap().success());
        assert_eq!(left(), [false, false, true]);
    }

    #[test]
    fn a_folder_goes_with_all_that_is_in_it_and_nothing_behind_a_link() {
        let machine = Machine::with(&[("/folder/deep/file", ""), ("/kept/file", "")]);
        let path = |name| machine.root().path(name);
        symlink(path("/kept"), path("/folder/link")).unwrap();
        symlink(path("/kept"), path("/replaced")).unwrap();
        let step = |name| Step::RemoveFolder {
            path: path(name).to_str().unwrap().to_owned(),
        };
        let text = script(vec![step("/folder"), step("/replaced"), step("/missing")]);
        assert!(sh("-c", &text), "{text}");
        assert!(!path("/folder").exists());
        assert!(path("/replaced").exists() && path("/kept/file").exists());
    }

    #[test]
    fn with_nothing_to_fix_it_says_so() {
        let mut out = Vec::new();
        let fine = Finding::ok("cores", "0 and 1");
        write(&[fine], &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("found nothing") && sh("-nc", &text), "{text}");
    }
}
