//! Results in files: written whole or not at all, and read again.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::document::{Report, SCHEMA};
use super::figures::set_costs;
use super::printable::make_printable;
use super::target::{Target, folder_of, make_temporary, not_written};
use crate::compare;
use crate::input;
use crate::notice;

/// The longest results that are read, in bytes. Those of a default run have a few million; a thousand rounds of everything have some hundred.
const LEN_MAX: u64 = 256 << 20;

/// The mode of a new file, as far as the user's mask allows.
const MODE: u32 = 0o666;

/// Saves a report. An incomplete one doesn't replace what is there: it goes beside it, and the answer says where.
///
/// # Errors
/// One sentence, with the file and what the system says.
pub fn store(report: &Report, file: &Path) -> Result<Option<PathBuf>, String> {
    let mut text = Vec::new();
    report
        .write_json(&mut text)
        .map_err(|error| format!("the results can't be written as JSON: {error}"))?;
    if report.incomplete && file.is_file() {
        let mut name = file.as_os_str().to_owned();
        name.push(".incomplete");
        let beside = PathBuf::from(name);
        write_whole(&beside, &text)?;
        return Ok(Some(beside));
    }
    write_whole(file, &text)?;
    if let Some(warning) = unreadable(text.len() as u64) {
        notice::tell(format_args!("warning: {}: {warning}", file.display()));
    }
    Ok(None)
}

/// That results of this length are not read again, if it is so.
fn unreadable(len: u64) -> Option<String> {
    (len > LEN_MAX).then(|| {
        format!("the results have {len} bytes, and `report` and `compare` read up to {LEN_MAX}; measure fewer rounds or sizes at a time")
    })
}

/// Writes a file such that it is there whole or, on any failure, as it was before: under another name beside it first. What isn't a regular
/// file (a terminal, a pipe) is written to directly. A link stays a link: what it leads to is replaced, or made. What is replaced keeps its mode.
///
/// # Errors
/// One sentence, with the file and what the system says.
pub fn write_whole(file: &Path, content: &[u8]) -> Result<(), String> {
    let told = |error: io::Error| not_written(file, &error);
    match Target::find(file).map_err(told)? {
        Target::Direct => {
            let mut open = OpenOptions::new().write(true).open(file).map_err(told)?;
            open.write_all(content).map_err(told)
        }
        Target::File(path) => {
            let before = fs::metadata(&path).map_err(told)?.permissions();
            replace(&path, content, Some(before)).map_err(told)
        }
        Target::Nothing(path) => replace(&path, content, None).map_err(told),
    }
}

fn replace(target: &Path, content: &[u8], before: Option<Permissions>) -> io::Result<()> {
    // Never more open than what it replaces.
    let mode = before.as_ref().map_or(MODE, PermissionsExt::mode);
    let temporary = make_temporary(folder_of(target), mode & MODE)?;
    if let Some(before) = before {
        // The user's mask may have taken some of it.
        temporary.as_file().set_permissions(before)?;
    }
    temporary.as_file().write_all(content)?;
    temporary.as_file().sync_all()?;
    // Dropped on the way out of a failure, the temporary file removes itself.
    temporary.persist(target).map_err(|error| error.error)?;
    Ok(())
}

/// The whole text of a file, if it has an end within what is read.
fn read(file: &Path) -> Result<String, String> {
    let shown = file.display();
    let (opened, len) = input::open(file, "give a file from --save or --output json")?;
    let mut text = String::new();
    // Files of the kernel have no length until they are read, and others may grow.
    let len = if len > LEN_MAX {
        len
    } else {
        let mut opened = opened.take(LEN_MAX + 1);
        let read = opened.read_to_string(&mut text);
        read.map_err(|error| format!("{shown} can't be read: {error}"))? as u64
    };
    if len > LEN_MAX {
        return Err(format!(
            "{shown} has {len} bytes, and saved results are read up to {LEN_MAX}; give a file from --save or --output json of fewer rounds or sizes"
        ));
    }
    Ok(text)
}

/// Reads results.
///
/// # Errors
/// One sentence: the file can't be read, isn't ours, is too long, or is of another version.
pub fn load(file: &Path) -> Result<Report, String> {
    let shown = file.display();
    let text = read(file)?;
    let mut value: Value = serde_json::from_str(&text).map_err(|error| {
        let what = match text.trim() {
            "" => "is empty".to_owned(),
            text if text.starts_with('{') && error.is_eof() => {
                format!("ends in the middle, after {} bytes of JSON", text.len())
            }
            _ => format!("holds no results of bench-harness: it is no JSON ({error})"),
        };
        format!("{shown} {what}; give a whole file from --save or --output json")
    })?;
    let was_changed = make_printable(&mut value);
    match value.get("schema").and_then(Value::as_str) {
        Some(SCHEMA) => {}
        Some(compare::document::SCHEMA) => {
            return Err(format!(
                "{shown} is what `compare` printed, and not the results of a run; give the files that it compared"
            ));
        }
        Some(schema) => {
            return Err(format!(
                "{shown} has the schema '{schema}', and this version reads {SCHEMA}; measure again, or use the version that wrote it"
            ));
        }
        None => {
            return Err(format!(
                "{shown} holds no results of bench-harness: it names no schema; give a file from --save or --output json"
            ));
        }
    }
    let writer = value.pointer("/environment/harness_version");
    let writer = writer.and_then(Value::as_str).map_or_else(
        || "an unknown version".to_owned(),
        |version| format!("version {version}"),
    );
    // Read from the text once more, which names the line of what is wrong.
    let report = if was_changed {
        serde_json::from_value(value)
    } else {
        serde_json::from_str(&text)
    };
    let report = report.map(|mut report: Report| {
        // Older versions divided what the windows cost by other numbers.
        report.results.iter_mut().for_each(set_costs);
        report
    });
    report.map_err(|error| {
        let version = env!("CARGO_PKG_VERSION");
        format!(
            "{shown} isn't whole, was changed, or is of another version ({writer}, and this is {version}): {error}; use the version that wrote it, or measure again"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_that_are_too_long_to_be_read_again_are_told_when_they_are_saved() {
        assert_eq!(unreadable(LEN_MAX), None);
        let told = unreadable(LEN_MAX + 1).unwrap();
        assert!(
            told.contains("268435457 bytes") && told.contains("268435456"),
            "{told}"
        );
    }
}
