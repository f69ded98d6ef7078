//! Chores of the workspace, behind `cargo xtask`.
//!
//! - [`steps`]: `test`, everything that must hold, in order;
//! - [`miri`]: the protocols under Miri;
//! - [`mutants`]: every weakened ordering must be caught by a model of its row in the ledger;
//! - [`models`]: the model of the multi ring under SPIN, and the faults that it must see;
//! - [`results`]: whether a run of the harness is sound;
//! - [`tidy`]: the rules of style as functions over text, for a test and for the mutants.

pub mod faults;
pub mod miri;
pub mod models;
pub mod mutants;
pub mod results;
pub mod steps;
pub mod tidy;

use std::path::{Path, PathBuf};
use std::process::Command;

/// A chore that did not succeed: what to tell the user.
#[derive(Debug)]
pub struct Failure(pub String);

impl Failure {
    /// A failure with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// The top of the workspace.
///
/// # Panics
/// Never: this package lies one level below it.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a member lies below the top")
        .to_owned()
}

/// The `cargo` that runs this, to be started at the top of the workspace.
fn cargo() -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(workspace());
    command
}

/// `RUSTFLAGS` for the models: what is set already, and `--cfg loom`.
fn loom_flags() -> String {
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    format!("{flags} --cfg loom").trim().to_owned()
}

/// How a command would be typed.
fn typed(command: &Command) -> String {
    let words = command
        .get_args()
        .map(|word| word.to_string_lossy().into_owned());
    let settings = command.get_envs().filter_map(|(name, value)| {
        let value = value?.to_string_lossy().into_owned();
        let quote = if value.contains(' ') { "'" } else { "" };
        Some(format!("{}={quote}{value}{quote}", name.to_string_lossy()))
    });
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or_default();
    let program = std::iter::once(program.to_string_lossy().into_owned());
    settings
        .chain(program)
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}
