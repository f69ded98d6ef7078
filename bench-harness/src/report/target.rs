//! Where an output file goes: what its name leads to, that it is no other file of the same call, and whether it can be written.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, eaccess};
use tempfile::{Builder, NamedTempFile};

/// The links that are followed at most: as many as the system follows.
const LINKS_MAX: usize = 40;

/// A file, and the option or argument that names it.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// As it is written on the command line.
    pub option: &'static str,
    /// The file.
    pub file: &'a Path,
}

impl<'a> Named<'a> {
    /// The same of a file that may not have been named.
    pub fn maybe(option: &'static str, file: Option<&'a PathBuf>) -> Option<Self> {
        file.map(|file| Self { option, file })
    }
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.option, self.file.display())
    }
}

/// What a name leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// No regular file that has a name (a terminal, a pipe): it is written to, and never replaced.
    Direct,
    /// A regular file, which links may lead to.
    File(PathBuf),
    /// Nothing yet.
    Nothing(PathBuf),
}

impl Target {
    /// Follows the links of a name.
    ///
    /// # Errors
    /// Why nothing can be written there, as the system would say it.
    pub(super) fn find(file: &Path) -> io::Result<Self> {
        match fs::metadata(file) {
            Ok(metadata) if metadata.is_dir() => Err(Errno::EISDIR.into()),
            // A file that was removed is still to be had by /dev/stdout, and has no name.
            Ok(metadata) if metadata.is_file() => {
                Ok(fs::canonicalize(file).map_or(Self::Direct, Self::File))
            }
            Ok(metadata) if metadata.file_type().is_socket() => Err(Errno::ENXIO.into()),
            Ok(_) => Ok(Self::Direct),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                new_place(file).map(Self::Nothing)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether writing one would change the other.
    fn is_same(&self, other: &Self) -> bool {
        let identity = |path: &Path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.dev(), metadata.ino()))
        };
        match (self, other) {
            (Self::File(one), Self::File(two)) => {
                identity(one).is_some_and(|one| identity(two) == Some(one))
            }
            (Self::Nothing(one), Self::Nothing(two)) => one == two,
            _ => false,
        }
    }
}

/// Where a file that isn't there yet would be, by the one name that its folder has.
fn new_place(file: &Path) -> io::Result<PathBuf> {
    let end = end_of_links(file)?;
    if end.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err(Errno::EISDIR.into());
    }
    let name = end.file_name().ok_or(Errno::ENOENT)?;
    Ok(fs::canonicalize(folder_of(&end))?.join(name))
}

/// What a link leads to, though it isn't there.
fn end_of_links(file: &Path) -> io::Result<PathBuf> {
    let mut end = file.to_owned();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&end) {
            Ok(next) => end = folder_of(&end).join(next),
            Err(_) => return Ok(end),
        }
    }
    Err(Errno::ELOOP.into())
}

/// The folder that a name is in.
pub(super) fn folder_of(file: &Path) -> &Path {
    let folder = file.parent();
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Checks that no output overwrites another one, or an input. A name that can't be followed is told where it is read or written.
///
/// # Errors
/// One sentence with both names and the remedy.
pub fn check_apart(outputs: &[Named<'_>], inputs: &[Named<'_>]) -> Result<(), String> {
    let mut others: Vec<(Named<'_>, Target)> = inputs.iter().filter_map(found).collect();
    for (output, target) in outputs.iter().filter_map(found) {
        if let Some((other, _)) = others.iter().find(|(_, other)| other.is_same(&target)) {
            return Err(format!(
                "{other} and {output} are one file, which would be overwritten; choose another place for {}",
                output.option
            ));
        }
        others.push((output, target));
    }
    Ok(())
}

/// What a name leads to, if it can be followed.
fn found<'a>(named: &Named<'a>) -> Option<(Named<'a>, Target)> {
    Some((*named, Target::find(named.file).ok()?))
}

/// Checks that outputs can be written as far as that can be told beforehand. None is made or changed.
///
/// # Errors
/// One sentence for all that can't.
pub fn check_writable(outputs: &[Named<'_>]) -> Result<(), String> {
    let problem = |output: &Named<'_>| {
        let error = try_place(output.file).err()?;
        Some(not_written(output.file, &error))
    };
    let problems: Vec<String> = outputs.iter().filter_map(problem).collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.join("; "))
    }
}

fn try_place(file: &Path) -> io::Result<()> {
    match Target::find(file)? {
        // Opening a pipe could wait for a reader, and have an effect.
        Target::Direct => Ok(eaccess(file, AccessFlags::W_OK)?),
        // It is written beside, and takes the other's place.
        Target::File(path) | Target::Nothing(path) => {
            make_temporary(folder_of(&path), 0o600).map(drop)
        }
    }
}

/// Makes a file of this mode, as far as the user's mask allows, which is removed when it is dropped. An error is the system's own, without
/// the name of the file, which tells nobody anything.
pub(super) fn make_temporary(folder: &Path, mode: u32) -> io::Result<NamedTempFile<File>> {
    let mut cause = None;
    let open = |path: &Path| {
        let mut options = OpenOptions::new();
        let opened = options.write(true).create_new(true).mode(mode).open(path);
        cause = opened.as_ref().err().and_then(io::Error::raw_os_error);
        opened
    };
    let temporary = Builder::new()
        .prefix(".bench-harness-")
        .suffix(".tmp")
        .make_in(folder, open);
    temporary.map_err(|error| cause.map_or(error, io::Error::from_raw_os_error))
}

/// That a file can't be written, and why, in one sentence with its name as it was given.
pub(super) fn not_written(file: &Path, error: &io::Error) -> String {
    format!(
        "{} can't be written: {error}; choose another place",
        file.display()
    )
}
