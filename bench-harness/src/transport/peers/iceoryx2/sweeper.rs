//! Removes what a link has in file systems: when it is dropped, and also when nobody is left who could drop it.
//!
//! iceoryx2 finds its counterparts by names, so these are there as long as the link is. A process that is killed leaves its own. The coordinator removes them once the
//! measured processes have ended. If it is killed itself, a shell does it that has been waiting for the end of a pipe, whose other end only these processes
//! hold: when the last one of them has ended, whatever the reason, it reads the end and removes what it was told to.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::fcntl::OFlag;
use nix::unistd::pipe2;

/// Waits for the end of its input; then removes the folder `$1`, and in the folder `$2` what begins with `$3`.
const SCRIPT: &str = r#"while read -r _; do :; done; rm -rf -- "$1"; rm -f -- "$2/$3"*"#;

/// What is to be removed, and who does it if this process can't.
#[derive(Debug)]
pub(super) struct Sweeper {
    folder: PathBuf,
    shared: PathBuf,
    prefix: String,
    shell: Child,
    /// What keeps the shell waiting.
    alive: Option<OwnedFd>,
}

impl Sweeper {
    /// One for a folder, and for what begins with `prefix` in the folder `shared`; and the end of a pipe that everybody holds who uses them.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn start(folder: &Path, shared: &Path, prefix: &str) -> io::Result<(Self, OwnedFd)> {
        let (end, alive) = pipe2(OFlag::O_CLOEXEC)?;
        let shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "sweeper"])
            .args([folder, shared])
            .arg(prefix)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::from(end))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C in a terminal goes to a whole group.
            .process_group(0)
            .spawn()?;
        let sweeper = Self {
            folder: folder.to_owned(),
            shared: shared.to_owned(),
            prefix: prefix.to_owned(),
            shell,
            alive: Some(alive.try_clone()?),
        };
        Ok((sweeper, alive))
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        // All of it may be gone already: who ends in order removes its own.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
        drop(self.alive.take());
        let _ = fs::remove_dir_all(&self.folder);
        for entry in fs::read_dir(&self.shared).into_iter().flatten().flatten() {
            if entry
                .file_name()
                .to_string_lossy()
                .starts_with(&self.prefix)
            {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    /// A folder with a file, and a folder with one that is to be removed and one that isn't.
    fn litter() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("folder");
        let shared = root.path().join("shared");
        for path in [&folder, &shared] {
            fs::create_dir(path).unwrap();
            fs::write(path.join("a-1"), "").unwrap();
            fs::write(path.join("b-1"), "").unwrap();
        }
        (root, folder, shared)
    }

    fn is_swept(folder: &Path, shared: &Path) -> bool {
        assert!(shared.join("b-1").exists());
        !folder.exists() && !shared.join("a-1").exists()
    }

    #[test]
    fn what_is_left_is_removed_when_the_link_is_dropped() {
        let (_root, folder, shared) = litter();
        let (sweeper, _alive) = Sweeper::start(&folder, &shared, "a-").unwrap();
        drop(sweeper);
        assert!(is_swept(&folder, &shared));
    }

    #[test]
    fn what_is_left_is_removed_when_the_last_process_has_ended() {
        let (_root, folder, shared) = litter();
        let (mut sweeper, alive) = Sweeper::start(&folder, &shared, "a-").unwrap();
        // As if this process were killed: nothing of it is dropped in order, and its descriptors are closed.
        sweeper.alive = None;
        assert!(!is_swept(&folder, &shared));
        drop(alive);
        let begun = Instant::now();
        while !is_swept(&folder, &shared) {
            assert!(begun.elapsed() < Duration::from_secs(60), "nobody swept");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
