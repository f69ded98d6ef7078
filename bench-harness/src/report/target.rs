//! Where an output file goes: what its name leads to, and that it is no other file of the same call.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

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
