//! Names for segments that no other test uses, and that are gone at the end, panic or not.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where POSIX shared memory has its names.
pub const SHM_FOLDER: &str = "/dev/shm";

/// Every file that the tests make there starts with this.
const PREFIX: &str = "shm-ring-test-";

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// A unique name of POSIX shared memory, as `/shm-ring-test-PID-N-label`. Dropping it unlinks the
/// segment and whatever else was made with that name as a prefix.
#[derive(Debug)]
pub struct Name(String);

impl Name {
    /// A fresh name. The label says in a listing which test it belongs to.
    pub fn new(label: &str) -> Self {
        Self(format!("/{}", fresh(label)))
    }

    /// The name, with its leading slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where the segment is found as a file.
    pub fn file(&self) -> PathBuf {
        Path::new(SHM_FOLDER).join(self.stem())
    }

    /// The files beside the segment that start with its name: there should be none.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        files_with_prefix(self.stem())
            .into_iter()
            .filter(|file| *file != self.file())
            .collect()
    }

    fn stem(&self) -> &str {
        &self.0[1..]
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<OsStr> for Name {
    fn as_ref(&self) -> &OsStr {
        self.0.as_ref()
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        remove(&self.file());
        for file in self.leftovers() {
            remove(&file);
        }
    }
}

/// A folder in shared memory for names that are paths, and for tests that look for leftovers.
/// Dropping it removes it with everything in it.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A fresh, empty folder.
    ///
    /// # Panics
    /// When it can't be made.
    pub fn new(label: &str) -> Self {
        let path = Path::new(SHM_FOLDER).join(fresh(label));
        fs::create_dir(&path).expect("a folder can be made in shared memory");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of an entry, as the name of a ring.
    ///
    /// # Panics
    /// When the path is not UTF-8; the folder's own name is.
    pub fn entry(&self, name: &str) -> String {
        self.0
            .join(name)
            .into_os_string()
            .into_string()
            .expect("plain ASCII")
    }

    /// The names of all that is in it, in order.
    ///
    /// # Panics
    /// When it can't be read.
    pub fn list(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.0)
            .expect("the folder is there")
            .map(|entry| {
                entry
                    .expect("readable")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// Removes all that this process made under unique names: for the watchdog, before it aborts.
pub fn sweep_this_process() {
    for file in files_with_prefix(&format!("{PREFIX}{}-", std::process::id())) {
        remove(&file);
    }
}

/// Removes what test processes left that no longer run (they were killed from outside).
fn sweep_the_dead() {
    for file in files_with_prefix(PREFIX) {
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let pid = name[PREFIX.len()..].split('-').next().unwrap_or_default();
        if pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists() {
            remove(&file);
        }
    }
}

fn fresh(label: &str) -> String {
    static ONCE: Once = Once::new();
    ONCE.call_once(sweep_the_dead);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed); // only uniqueness matters
    format!("{PREFIX}{}-{number}-{label}", std::process::id())
}

fn files_with_prefix(prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(SHM_FOLDER) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .collect()
}

/// Removes a file, a link or a whole folder, if it is there.
fn remove(path: &Path) {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return;
    };
    // What is gone already needs no removing, and a test has no use for other failures.
    let _ = if metadata.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_takes_its_segment_and_its_leftovers_with_it() {
        let name = Name::new("names");
        let file = name.file();
        let leftover = file.with_extension("temporary");
        fs::write(&file, "x").unwrap();
        fs::write(&leftover, "x").unwrap();
        assert_eq!(name.leftovers(), vec![leftover.clone()]);
        drop(name);
        assert!(!file.exists() && !leftover.exists());
    }

    #[test]
    fn a_panic_leaves_no_segment() {
        let file = Name::new("names-panic").file();
        let result = std::panic::catch_unwind(|| {
            let name = Name::new("names-panic");
            fs::write(name.file(), "x").unwrap();
            assert!(!name.file().exists(), "planted: {}", name.file().display());
        });
        assert!(result.is_err());
        let label = "names-panic";
        let prefix = format!("{PREFIX}{}-", std::process::id());
        assert!(!file.exists());
        assert!(
            files_with_prefix(&prefix)
                .iter()
                .all(|f| !f.to_string_lossy().ends_with(label))
        );
    }

    #[test]
    fn two_names_with_one_label_differ() {
        assert_ne!(Name::new("same").as_str(), Name::new("same").as_str());
    }

    #[test]
    fn a_folder_lists_what_is_in_it_and_goes_with_it() {
        let folder = Folder::new("names-folder");
        fs::write(folder.entry("b"), "x").unwrap();
        fs::create_dir(folder.entry("a")).unwrap();
        assert_eq!(folder.list(), ["a", "b"]);
        let path = folder.path().to_owned();
        drop(folder);
        assert!(!path.exists());
    }
}
