//! `cargo xtask`: the chores of the workspace.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::steps::{Selection, Step};
use xtask::{miri, models, mutants, results, steps};

/// The chores of the workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Check everything that must hold: format, lints, all tests, the models, the documentation
    Test {
        /// Run these steps only
        #[arg(long, value_enum, value_name = "STEP")]
        only: Vec<Step>,
        /// Leave these steps out
        #[arg(long, value_enum, value_name = "STEP")]
        skip: Vec<Step>,
        /// Run the tests in their long form (hours), optimized
        #[arg(long)]
        long: bool,
    },
    /// Run the protocols under Miri, where a nightly toolchain has it
    Miri,
    /// Weaken every tagged ordering in turn: a model of its row in the ledger must fail
    Mutants {
        /// Only the edges whose name contains this
        #[arg(long, value_name = "TEXT")]
        edge: Option<String>,
    },
    /// Run the model of the multi ring under SPIN: it must pass, and fail with each planted fault
    Models {
        /// The large configurations too (minutes, and gigabytes)
        #[arg(long)]
        full: bool,
        /// Only this planted fault, and the configurations that must show it
        #[arg(long, value_name = "NAME")]
        mutant: Option<String>,
        /// Where SPIN or a C compiler is missing: say so, and succeed
        #[arg(long)]
        if_installed: bool,
    },
    /// Check the results of `bench-harness run --output json`
    CheckResults {
        /// The file that it was written to
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().chore {
        Chore::Test { only, skip, long } => steps::run(&Selection { only, skip, long }),
        Chore::Miri => miri::run(),
        Chore::Mutants { edge } => mutants::run(edge.as_deref()),
        Chore::Models {
            full,
            mutant,
            if_installed,
        } => models::run(&models::Selection {
            full,
            mutant,
            if_installed,
        }),
        Chore::CheckResults { file } => results::run(&file),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {}", failure.0);
            ExitCode::FAILURE
        }
    }
}
