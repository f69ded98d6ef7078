//! A copy of a file in memory that nobody can change: what the report describes is what every measured process sends and expects, whatever
//! becomes of the file during the run.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::input;

/// The copy. It is gone when the last process that has it ends.
#[derive(Debug)]
pub struct FileCopy(File);

impl FileCopy {
    /// Copies the file.
    ///
    /// # Errors
    /// One sentence: it can't be read, it is no regular file, it is empty, or there is no memory for it.
    pub fn create(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let (mut file, _) = input::open(path, "give one that can be copied into memory")?;
        let (copy, len) = copied(&mut file)
            .map_err(|error| format!("{shown} can't be copied into memory: {error}"))?;
        if len == 0 {
            return Err(format!(
                "{shown} is empty; give a file with at least one record"
            ));
        }
        Ok(copy)
    }
}

impl AsRawFd for FileCopy {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// A sealed copy of what is left to read, and its length in bytes.
fn copied(file: &mut File) -> io::Result<(FileCopy, u64)> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut copy = File::from(memfd_create(c"bench-harness-payload", flags)?);
    let len = io::copy(file, &mut copy)?;
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE;
    fcntl(&copy, FcntlArg::F_ADD_SEALS(seals))?;
    Ok((FileCopy(copy), len))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;
    use crate::payload::{Frame, Origin, Records};

    #[test]
    fn the_copy_stays_what_it_was_when_the_file_is_truncated_or_replaced() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"one\ntwo\nthree\n").unwrap();
        let copy = FileCopy::create(file.path()).unwrap();
        let origin = Origin::Copy {
            fd: copy.as_raw_fd(),
            frame: Frame::Line,
        };
        let before = Records::load(&origin).unwrap();
        file.as_file().set_len(0).unwrap();
        let truncated = Records::load(&origin).unwrap();
        fs::remove_file(file.path()).unwrap();
        fs::write(file.path(), "other\n").unwrap();
        let replaced = Records::load(&origin).unwrap();
        for records in [before, truncated, replaced] {
            assert_eq!(records.profile().records, 3);
            let lines = [0, 1, 2].map(|index| records.at(index));
            assert_eq!(lines, [&b"one\n"[..], b"two\n", b"three\n"]);
        }
    }

    #[test]
    fn nobody_can_write_to_the_copy_or_make_it_shorter() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"one\n").unwrap();
        let FileCopy(mut copy) = FileCopy::create(file.path()).unwrap();
        assert!(copy.set_len(1).is_err());
        assert!(copy.write_all(b"x").is_err());
    }

    #[test]
    fn what_can_not_be_copied_is_told() {
        let empty = tempfile::NamedTempFile::new().unwrap();
        for (path, part) in [
            (empty.path(), "is empty"),
            (Path::new("/"), "is no regular file"),
            (Path::new("/no/such/file"), "can't be read"),
        ] {
            let problem = FileCopy::create(path).unwrap_err();
            assert!(problem.contains(part), "{problem}");
        }
    }
}
