//! Files of numbers, little-endian and one behind the other: moments and checksums, which are too many for a line.
//!
//! They lie in a directory of their own, since the one of the link is the program's.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use tempfile::TempDir;

use crate::transport::names;

/// Makes the directory; only this user can enter.
///
/// # Errors
/// What the system says.
pub fn folder() -> io::Result<TempDir> {
    tempfile::Builder::new()
        .prefix(&names::unique())
        .rand_bytes(0)
        .permissions(Permissions::from_mode(0o700))
        .tempdir()
}

/// Writes words of 8 bytes.
///
/// # Errors
/// What the system says.
pub fn write(path: &Path, words: impl Iterator<Item = u64>) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for word in words {
        file.write_all(&word.to_le_bytes())?;
    }
    file.flush()
}

/// Makes sure that nothing is at the path, so that what is read from it is new.
///
/// # Errors
/// What the system says.
pub fn clear(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Reads as many words of 8 bytes as there are messages.
///
/// # Errors
/// What is wrong with the file, in one sentence.
pub fn read_u64s(path: &Path, messages: u64) -> Result<Vec<u64>, String> {
    let bytes = read(path, messages, 8)?;
    let (words, _) = bytes.as_chunks::<8>();
    Ok(words.iter().map(|&word| u64::from_le_bytes(word)).collect())
}

/// Reads as many words of 4 bytes as there are messages.
///
/// # Errors
/// What is wrong with the file, in one sentence.
pub fn read_u32s(path: &Path, messages: u64) -> Result<Vec<u32>, String> {
    let bytes = read(path, messages, 4)?;
    let (words, _) = bytes.as_chunks::<4>();
    Ok(words.iter().map(|&word| u32::from_le_bytes(word)).collect())
}

/// The bytes of a file that a program has written: as many as there must be.
fn read(path: &Path, messages: u64, word_len: u64) -> Result<Vec<u8>, String> {
    let name = path.file_name().unwrap_or_default().display();
    let cannot = |error| format!("the file {name} that it was to write can't be read: {error}");
    // Whatever lies there, opening it doesn't wait, and leads nowhere else.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let mut options = OpenOptions::new();
    let file = options.read(true).custom_flags(flags.bits()).open(path);
    let file = file.map_err(cannot)?;
    let metadata = file.metadata().map_err(cannot)?;
    let (found, expected) = (metadata.len(), messages * word_len);
    if !metadata.is_file() || found != expected {
        return Err(format!(
            "it wrote {found} bytes to the file {name}, and {word_len} for each of {messages} messages are {expected}"
        ));
    }
    let mut bytes = Vec::new();
    // Nobody ought to write any more; no more is taken in any case.
    let mut file = file.take(expected);
    file.read_to_end(&mut bytes).map_err(cannot)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    #[test]
    fn numbers_come_back_and_old_ones_do_not() {
        let folder = folder().unwrap();
        let path = folder.path().join("came");
        write(&path, [7, 1 << 40].into_iter()).unwrap();
        assert_eq!(read_u64s(&path, 2), Ok(vec![7, 1 << 40]));
        assert_eq!(read_u32s(&path, 4), Ok(vec![7, 0, 0, 256]));
        clear(&path).unwrap();
        clear(&path).unwrap();
        assert!(read_u64s(&path, 2).unwrap_err().contains("can't be read"));
        let mode = fs::metadata(folder.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert!(names::maker_of(&folder.path().file_name().unwrap().to_string_lossy()).is_some());
    }

    #[test]
    fn what_is_no_file_of_that_length_is_told() {
        let folder = folder().unwrap();
        let path = |name: &str| folder.path().join(name);
        write(&path("short"), [1, 2, 3].into_iter()).unwrap();
        let problem = read_u64s(&path("short"), 4).unwrap_err();
        assert!(problem.contains("24 bytes to the file short"), "{problem}");
        assert!(problem.contains("8 for each of 4 messages are 32"));
        std::os::unix::fs::symlink(path("short"), path("link")).unwrap();
        assert!(read_u64s(&path("link"), 3).is_err());
        // Nobody will ever write to it.
        mkfifo(&path("fifo"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        assert!(read_u64s(&path("fifo"), 0).is_err());
        fs::create_dir(path("folder")).unwrap();
        assert!(read_u64s(&path("folder"), 1).is_err());
    }
}
