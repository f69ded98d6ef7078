//! The options of `compare`, and of comparing with a baseline.

use std::path::PathBuf;

use clap::Args;
use globset::{Glob, GlobMatcher};

use super::gate::Gate;
use super::make::Controls;
use crate::cli::Output;

/// The options of `compare`.
#[derive(Debug, Clone, Args)]
pub struct CompareArgs {
    /// Saved results, the first of which the others are compared with
    #[arg(value_name = "FILE", num_args = 2.., required = true)]
    pub files: Vec<PathBuf>,

    /// Exit with 1 if a figure takes that much longer, as in 'p99>+10%' (repeatable): stream, p50, p99, paced.p50, paced.p99, cpu or any.
    /// Only what is detectably slower fails; what exceeds it and can't be told from chance and noise is noted. Those of paced figures, and any,
    /// also fail if a contender can't keep its rate any longer
    #[arg(long, value_name = "FIGURE>+N%")]
    pub fail_if: Vec<Gate>,

    /// The contenders that can't have changed between the runs (repeatable) [default: the kernel's, under one kernel on one machine]
    #[arg(long, value_name = "GLOB", value_parser = parse_glob)]
    pub controls: Vec<GlobMatcher>,

    /// How the comparison looks
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub output: Output,

    /// All columns of the tables, however wide they are
    #[arg(long)]
    pub wide: bool,

    /// Write a page with tables and plots of all comparisons to this file as well: it needs no network and no scripts
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// Comparing a run with a saved one.
#[derive(Debug, Clone, Default, Args)]
pub struct BaselineArgs {
    /// Compare with these saved results, as `compare` does
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,

    /// Exit with 1 if a figure takes that much longer than in the baseline, as in 'p99>+10%' (repeatable): stream, p50, p99, paced.p50,
    /// paced.p99, cpu or any. Only what is detectably slower fails; what exceeds it and can't be told from chance and noise is noted.
    /// Those of paced figures, and any, also fail if a contender can't keep its rate any longer
    #[arg(long, value_name = "FIGURE>+N%", requires = "baseline")]
    pub fail_if: Vec<Gate>,

    /// The contenders that can't have changed since the baseline (repeatable) [default: the kernel's, under one kernel on one machine]
    #[arg(long, value_name = "GLOB", requires = "baseline", value_parser = parse_glob)]
    pub controls: Vec<GlobMatcher>,
}

impl From<&Vec<GlobMatcher>> for Controls {
    fn from(patterns: &Vec<GlobMatcher>) -> Self {
        Self(patterns.clone())
    }
}

fn parse_glob(text: &str) -> Result<GlobMatcher, String> {
    let glob = Glob::new(text).map_err(|error| format!("it is no pattern: {}", error.kind()))?;
    Ok(glob.compile_matcher())
}
