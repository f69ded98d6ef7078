//! Files that are read: regular ones only, which have an end and never keep anybody waiting.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens a file to be read, and gives its length. A pipe without a writer would block, and a device may have no end: both are refused, with what to do
/// instead.
///
/// # Errors
/// One sentence: it can't be read, or is no regular file.
pub(crate) fn open(file: &Path, remedy: &str) -> Result<(File, u64), String> {
    let shown = file.display();
    let cannot = |error| format!("{shown} can't be read: {error}");
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(file)
        .map_err(cannot)?;
    let metadata = opened.metadata().map_err(cannot)?;
    if !metadata.is_file() {
        return Err(format!("{shown} is no regular file; {remedy}"));
    }
    Ok((opened, metadata.len()))
}
