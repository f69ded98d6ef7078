//! What is told beside the report, on standard error.

use std::fmt::Arguments;
use std::io::{self, Write};

/// Tells a line. Where standard error can't be written (its reader is gone, its disk is full), nobody is left to tell, and the run goes on.
pub(crate) fn tell(line: Arguments<'_>) {
    // Together with its end, so that the lines of several processes don't mix.
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}
