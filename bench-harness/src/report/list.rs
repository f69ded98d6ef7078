//! The contenders, and why one is unavailable on this machine.

use std::io::{self, Write};

use serde::Serialize;

use super::table::plain_table;
use crate::entry::{Entry, Wanted};
use crate::fan::Fan;
use crate::scenario::capacity_for;
use crate::transport::registry::contenders;
use crate::transport::{Class, LinkError, LinkShape, WaitMode};

/// The size that is tried.
const SIZE: usize = 64;

/// One contender.
#[derive(Debug, Serialize)]
pub struct Listed {
    /// Its name with the way of waiting.
    pub name: String,
    /// What it is compared with.
    pub class: Class,
    /// How it waits.
    pub wait: WaitMode,
    /// Why it can't be had here; none if it can.
    pub unavailable: Option<String>,
}

/// Tries to make a link of each, for so many processes.
pub fn list(fan: Fan) -> Vec<Listed> {
    let listed = contenders().into_iter().map(|contender| {
        let shape = LinkShape {
            message_len_max: SIZE,
            variable_len: false,
            capacity: capacity_for(SIZE),
            fan: Entry::new(contender, SIZE, fan, Wanted::default()).fan,
        };
        let refused = contender.create(&shape).err().map(|error| match error {
            LinkError::Unavailable(reason) => reason,
            LinkError::Failed(error) => error.to_string(),
        });
        Listed {
            name: contender.full_name(),
            class: contender.class,
            wait: contender.wait,
            unavailable: refused,
        }
    });
    listed.collect()
}

/// Writes the list for people.
///
/// # Errors
/// What the output says.
pub fn write_table(list: &[Listed], mut out: impl Write) -> io::Result<()> {
    let mut table = plain_table();
    table.set_header(["contender", "class", "waits by", "available"]);
    for listed in list {
        let available = match &listed.unavailable {
            None => "yes".to_owned(),
            Some(reason) => format!("no: {reason}"),
        };
        let (class, wait) = (listed.class.to_string(), listed.wait.to_string());
        table.add_row([listed.name.clone(), class, wait, available]);
    }
    writeln!(out, "{table}")?;
    out.flush()
}

/// Writes the list for programs.
///
/// # Errors
/// What the output says.
pub fn write_json(list: &[Listed], mut out: impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut out, list)?;
    writeln!(out)?;
    out.flush()
}
