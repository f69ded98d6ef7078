//! The names of segments.

use std::ffi::CString;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where POSIX shared memory lives on Linux (`shm_open(3)`).
const SHM_DIRECTORY: &str = "/dev/shm";
/// The longest file name (`NAME_MAX`).
const NAME_LEN_MAX: usize = 255;

/// A name that was checked, and the file that it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    given: String,
    file: PathBuf,
}

impl Name {
    /// Reads a name as POSIX has it (`shm_open(3)`, `sem_open(3)`): a slash and a word.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse_posix(given: &str) -> Result<Self, &'static str> {
        match given.strip_prefix('/') {
            None => Err("it does not begin with a slash"),
            Some(word) if word.contains('/') => Err("it has a second slash"),
            Some(_) => Self::parse(given),
        }
    }

    /// Reads a name: `/word` is POSIX shared memory, anything with another slash is a path.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(given: &str) -> Result<Self, &'static str> {
        if given.contains('\0') {
            return Err("it contains a zero byte");
        }
        let file = match given.strip_prefix('/') {
            Some(word) if !word.contains('/') => Path::new(SHM_DIRECTORY).join(word),
            None if !given.contains('/') => {
                return Err("it has no slash: write /name for shared memory, ./name for a path");
            }
            _ => PathBuf::from(given),
        };
        match file.file_name() {
            // `join` with an empty word, `/dir/`, `/.` and `/..` all have no file name of their own.
            _ if given.ends_with('/') || given.ends_with("/.") => Err("it names a directory"),
            None => Err("it names a directory"),
            Some(last) if last.len() > NAME_LEN_MAX => Err("it is longer than 255 bytes"),
            Some(_) => Ok(Self {
                given: given.to_owned(),
                file,
            }),
        }
    }

    /// A name for messages about a segment that came as a descriptor.
    pub fn anonymous() -> Self {
        Self {
            given: "(anonymous)".to_owned(),
            file: PathBuf::new(),
        }
    }

    /// As the user wrote it.
    pub fn as_str(&self) -> &str {
        &self.given
    }

    /// The file.
    pub fn file(&self) -> CString {
        path_to_c(&self.file)
    }

    /// The directory of the file.
    pub fn directory(&self) -> CString {
        let parent = self
            .file
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        path_to_c(parent.unwrap_or(Path::new(".")))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.given)
    }
}

fn path_to_c(path: &Path) -> CString {
    CString::new(path.as_os_str().as_encoded_bytes()).expect("zero bytes were refused")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leading_slash_alone_is_shared_memory_and_others_are_paths() {
        assert_eq!(
            Name::parse("/prices").unwrap().file().to_str(),
            Ok("/dev/shm/prices")
        );
        assert_eq!(
            Name::parse("/srv/share/x").unwrap().file().to_str(),
            Ok("/srv/share/x")
        );
        assert_eq!(Name::parse("./x").unwrap().directory().to_str(), Ok("."));
    }

    #[test]
    fn names_without_a_file_are_refused() {
        let long = format!("/{}", "x".repeat(256));
        for name in [
            "", "prices", "/", "//", "/..", "/.", "/tmp/", "./", "a/..", "/a\0b", &long,
        ] {
            assert!(Name::parse(name).is_err(), "{name:?}");
            assert!(Name::parse_posix(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_posix_name_has_one_slash_in_front() {
        assert!(Name::parse_posix("/jobs").is_ok());
        for name in ["jobs", "/a/b", "./jobs", "/jobs/", "//jobs"] {
            assert!(Name::parse_posix(name).is_err(), "{name:?}");
        }
    }
}
