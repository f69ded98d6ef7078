//! Where the checks read: a folder that stands for `/`, so that a made-up machine can be examined as well.

use std::fmt::{self, Display};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Why a check can't tell: which file, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unknown(String);

impl Unknown {
    /// For what is not a file.
    pub(super) fn because(why: impl Into<String>) -> Self {
        Self(why.into())
    }

    /// A file that the system does not hand out.
    pub(super) fn unreadable(file: &str, error: &io::Error) -> Self {
        let why = match error.kind() {
            io::ErrorKind::NotFound => "is not there".to_owned(),
            io::ErrorKind::PermissionDenied => "may not be read by this user".to_owned(),
            _ => format!("can't be read: {error}"),
        };
        Self(format!("{file} {why}"))
    }

    /// A file whose content is not what it should be.
    pub(super) fn strange(file: &str, content: &str) -> Self {
        let start: String = content.chars().take(40).collect();
        Self(format!(
            "{file} holds {start:?}, which this version can't read"
        ))
    }
}

impl Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The file system that is examined.
#[derive(Debug, Clone)]
pub(super) struct Root(PathBuf);

impl Root {
    /// This machine.
    pub(super) fn system() -> Self {
        Self(PathBuf::from("/"))
    }

    /// Another folder in the place of `/`.
    #[cfg(test)]
    pub(super) fn at(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// Where a file of the machine is; `file` begins with a slash.
    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.0.join(file.trim_start_matches('/'))
    }

    /// The content without blanks at its ends.
    pub(super) fn read(&self, file: &str) -> Result<String, Unknown> {
        match fs::read(self.path(file)) {
            Ok(content) => Ok(String::from_utf8_lossy(&content).trim().to_owned()),
            Err(error) => Err(Unknown::unreadable(file, &error)),
        }
    }

    /// The first word as a number.
    pub(super) fn number<T: FromStr>(&self, file: &str) -> Result<T, Unknown> {
        let content = self.read(file)?;
        let word = content.split_whitespace().next().unwrap_or_default();
        word.parse().map_err(|_| Unknown::strange(file, &content))
    }

    /// The names in a folder, sorted.
    pub(super) fn names(&self, folder: &str) -> Result<Vec<String>, Unknown> {
        names_in(&self.path(folder)).map_err(|error| Unknown::unreadable(folder, &error))
    }

    /// Whether there is such a file.
    pub(super) fn has(&self, file: &str) -> bool {
        self.path(file).exists()
    }
}

/// The names in a folder, sorted. A name that is no UTF-8 is none of ours, and is left out.
pub(super) fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// The word in brackets, as the kernel marks the choice among several: `always [madvise] never`.
pub(super) fn chosen_word(text: &str) -> Option<&str> {
    text.split_once('[')?
        .1
        .split_once(']')
        .map(|(word, _)| word)
}

/// The kernel's format for sets of processors, as in `0-3,8`; empty is the empty set.
pub(super) fn cores_in(text: &str) -> Option<Vec<usize>> {
    let mut cores = Vec::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        // More than any kernel has is no list of processors, and would fill the memory.
        let in_range = |text: &str| text.parse().ok().filter(|&cpu: &usize| cpu < 1 << 16);
        cores.extend(in_range(first)?..=in_range(last)?);
    }
    Some(cores)
}

/// As in `0 and 1` or `0, 1 and 2`.
pub(super) fn listed<T: Display>(items: &[T]) -> String {
    let shown: Vec<String> = items.iter().map(ToString::to_string).collect();
    match shown.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => shown.concat(),
    }
}

/// A made-up machine.
#[cfg(test)]
pub(super) mod fake {
    use super::Root;
    use std::fs;
    use std::path::{Path, PathBuf};

    /// A folder that is removed when the test is over.
    #[derive(Debug)]
    pub(in super::super) struct Machine(PathBuf);

    impl Machine {
        /// With these files.
        pub(in super::super) fn with(files: &[(&str, &str)]) -> Self {
            let folder = format!("doctor-{}-{:016x}", std::process::id(), fastrand::u64(..));
            let machine = Self(std::env::temp_dir().join(folder));
            fs::create_dir(&machine.0).unwrap();
            for (file, content) in files {
                machine.put(file, content);
            }
            machine
        }

        /// One more file, or another content.
        pub(in super::super) fn put(&self, file: &str, content: &str) {
            let path = self.root().path(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }

        pub(in super::super) fn root(&self) -> Root {
            Root::at(&self.0)
        }

        pub(in super::super) fn folder(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Machine {
        fn drop(&mut self) {
            if let Err(error) = fs::remove_dir_all(&self.0) {
                eprintln!("{} stays behind: {error}", self.0.display());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fake::Machine;
    use super::*;

    #[test]
    fn a_file_is_read_or_named_with_what_is_wrong() {
        let machine = Machine::with(&[("/proc/x", " 17 4\n"), ("/proc/y", "many\n")]);
        let root = machine.root();
        assert_eq!(root.number("/proc/x"), Ok(17));
        let strange = root.number::<u64>("/proc/y").unwrap_err().to_string();
        assert!(
            strange.contains("/proc/y") && strange.contains("many"),
            "{strange}"
        );
        let missing = root.read("/proc/z").unwrap_err().to_string();
        assert_eq!(missing, "/proc/z is not there");
        assert_eq!(
            root.names("/proc"),
            Ok(vec!["x".to_owned(), "y".to_owned()])
        );
    }

    #[test]
    fn the_kernels_notations_are_read() {
        assert_eq!(chosen_word("always [madvise] never"), Some("madvise"));
        assert_eq!(chosen_word("always"), None);
        assert_eq!(cores_in("0-2,8\n"), Some(vec![0, 1, 2, 8]));
        assert_eq!(cores_in(""), Some(vec![]));
        assert_eq!(cores_in("0-99999999999"), None);
        assert_eq!(cores_in("a"), None);
        assert_eq!(listed(&[0, 1, 5]), "0, 1 and 5");
        assert_eq!(listed(&[3]), "3");
    }
}
