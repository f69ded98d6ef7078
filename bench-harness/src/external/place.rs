//! What a link of a program of the user's leaves behind, and how it is removed: a directory, what carries its name in the
//! kernel's own file systems, and whoever was started with its mark.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::program::MARK;
use crate::transport::names;

/// Where programs put what has a name outside of every directory.
const SHARED: [&str; 2] = ["/dev/shm", "/dev/mqueue"];

/// How long who was killed may take to be gone.
const DEATH_PATIENCE: Duration = Duration::from_secs(1);

/// A directory that programs may use for a link. All of it is gone when this is dropped, and everybody who was started for it.
#[derive(Debug)]
pub struct Place(PathBuf);

impl Place {
    /// Makes it; only this user can enter.
    ///
    /// # Errors
    /// What the system says.
    pub fn create() -> io::Result<Self> {
        let path = names::temporary_path();
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    /// Its path, as text.
    ///
    /// # Errors
    /// When the directory for temporary files has a name that is no text.
    pub fn text(&self) -> io::Result<&str> {
        self.0.to_str().ok_or_else(|| {
            let text = format!(
                "the path {} is no text; set TMPDIR to another directory",
                self.0.display()
            );
            io::Error::new(io::ErrorKind::InvalidInput, text)
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        end_all(&self.0);
        // Nobody is left to hear of a failure, and nothing would follow from it.
        let _ = fs::remove_dir_all(&self.0);
        let name = self.0.file_name().unwrap_or_default();
        for folder in SHARED {
            remove_named(Path::new(folder), name);
        }
    }
}

/// Removes the files whose name begins with `name`.
fn remove_named(folder: &Path, name: &OsStr) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if !name.is_empty() && entry.file_name().as_bytes().starts_with(name.as_bytes()) {
            // Another one may have removed it meanwhile.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Ends whoever carries the mark of this place. The group of a program is killed by the process that started it; this is for those who
/// left the group, or whose starter was killed before it could.
fn end_all(place: &Path) {
    let mark = [MARK.as_bytes(), b"=", place.as_os_str().as_bytes()].concat();
    let deadline = Instant::now() + DEATH_PATIENCE;
    while end_marked(&mark) > 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Kills those with the mark in their environment, and says how many there were.
fn end_marked(mark: &[u8]) -> usize {
    let mut found = 0;
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        // Of other users' processes, and of those that have just ended, nothing can be read; they are not ours.
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        if environment
            .split(|&byte| byte == 0)
            .any(|variable| variable == mark)
        {
            found += usize::from(kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_place_takes_its_files_and_its_processes_along() {
        let place = Place::create().unwrap();
        let path = place.0.clone();
        fs::write(path.join("file"), b"x").unwrap();
        let shared = Path::new(SHARED[0]).join(path.file_name().unwrap());
        let has_shared = fs::write(&shared, b"x").is_ok();
        let mut child = Command::new("sleep")
            .arg("1000")
            .env(MARK, &path)
            .spawn()
            .unwrap();
        // The mark is in its environment only once it has been executed.
        let deadline = Instant::now() + Duration::from_secs(20);
        let environment = format!("/proc/{}/environ", child.id());
        while !fs::read(&environment)
            .unwrap()
            .windows(MARK.len())
            .any(|part| part == MARK.as_bytes())
        {
            assert!(Instant::now() < deadline);
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(place);
        assert!(!child.wait().unwrap().success());
        assert!(!path.exists());
        assert!(!has_shared || !shared.exists());
    }
}
