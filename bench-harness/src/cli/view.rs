//! How reports and lists look, and where they go.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::RunArgs;

/// How the report looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// One object for programs.
    Json,
    /// A line for each figure of each window, for spreadsheets and data frames.
    Csv,
    /// Markdown with the tables of GitHub.
    Md,
}

/// How a list looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ListOutput {
    /// For people.
    Table,
    /// One object for programs.
    Json,
}

/// How the report looks, and where it goes beside standard output.
#[derive(Debug, Clone, Args)]
pub struct ViewArgs {
    /// How the report looks
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub output: Output,

    /// All columns of the table, however wide it is
    #[arg(long)]
    pub wide: bool,

    /// Write a page with plots to this file as well: it needs no network and no scripts
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// The options of `save`.
#[derive(Debug, Clone, Args)]
pub struct SaveArgs {
    /// Where to; what is there is replaced only by complete results
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What is measured.
    #[command(flatten)]
    pub run: RunArgs,
}

/// The options of `report`.
#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// Results that were saved, or written with `--output json`
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// How the report looks.
    #[command(flatten)]
    pub view: ViewArgs,
}
