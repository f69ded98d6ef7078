//! Measures IPC mechanisms between real processes, and verifies every message.
//!
//! A library, so that the benches of the crates that are measured here use the very same mechanisms ([`transport`]) and the same
//! way to start a second process ([`runner`]).

pub mod cli;
pub mod clock;
pub mod entry;
pub mod external;
pub mod fan;
pub mod job;
pub mod machine;
pub mod measure;
pub mod payload;
pub mod placement;
pub mod report;
pub mod results;
pub mod runner;
pub mod scenario;
pub mod shared;
pub mod transport;

use std::io;
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command, ListArgs, Output, RunArgs};
use machine::Environment;
use report::{Report, list};
use results::Status;
use runner::campaign::Campaign;
use runner::interrupt::Interrupt;
use runner::progress::Progress;
use runner::session::Coordinator;
use scenario::{Plan, PlanError};

/// What the exit codes mean.
mod exit {
    pub(crate) const USAGE: u8 = 2;
    pub(crate) const INTEGRITY: u8 = 4;
    pub(crate) const UNAVAILABLE: u8 = 5;
    pub(crate) const INPUT_OUTPUT: u8 = 6;
    pub(crate) const INTERRUPTED: u8 = 130;
}

/// The whole program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let code = match cli.command {
        Some(Command::Side) => return runner::side::main(),
        Some(Command::List(args)) => print_list(&args),
        Some(Command::Run(args)) => run(&args),
        None => run(&cli.run),
    };
    ExitCode::from(code)
}

fn complain(code: u8, problem: &str) -> u8 {
    eprintln!("bench-harness: {problem}");
    code
}

fn print_list(args: &ListArgs) -> u8 {
    if let Err(problem) = args.external.register() {
        return complain(exit::USAGE, &problem);
    }
    let listed = list::list(args.fan.into());
    let out = io::stdout().lock();
    let written = match args.output {
        Output::Table => list::write_table(&listed, out),
        Output::Json => list::write_json(&listed, out),
    };
    match written {
        Ok(()) => 0,
        Err(error) => complain(
            exit::INPUT_OUTPUT,
            &format!("the list can't be written: {error}"),
        ),
    }
}

fn run(args: &RunArgs) -> u8 {
    if let Err(problem) = args.external.register() {
        return complain(exit::USAGE, &problem);
    }
    let plan = match Plan::resolve(args) {
        Ok(plan) => plan,
        Err(PlanError::Usage(problem)) => return complain(exit::USAGE, &problem),
        Err(PlanError::Input(problem)) => return complain(exit::INPUT_OUTPUT, &problem),
    };
    let interrupt = match Interrupt::catch() {
        Ok(interrupt) => interrupt,
        Err(error) => {
            return complain(
                exit::INPUT_OUTPUT,
                &format!("signals can't be held: {error}"),
            );
        }
    };
    let environment = Environment::observe(plan.placement.pool(), &plan.allowed_cores);
    let mut coordinator = Coordinator {
        placement: plan.placement.clone(),
        interrupt,
    };
    let progress = Progress::new(plan.rounds, plan.entries.len());
    let campaign = Campaign::run(&plan, &mut coordinator, &progress);
    drop(progress);
    let report = Report::new(&plan, environment, &campaign);
    let out = io::stdout().lock();
    let written = match args.output {
        Output::Table => report.write_table(out),
        Output::Json => {
            report
                .warnings
                .iter()
                .for_each(|warning| eprintln!("warning: {warning}"));
            report.write_json(out)
        }
    };
    match written {
        Ok(()) => conclude(&report, args.require_all),
        Err(error) => complain(
            exit::INPUT_OUTPUT,
            &format!("the report can't be written: {error}"),
        ),
    }
}

/// What the run came to, the gravest first.
fn conclude(report: &Report, require_all: bool) -> u8 {
    if report.incomplete {
        return complain(exit::INTERRUPTED, "interrupted; the report is incomplete");
    }
    if report.has_integrity_failure() {
        return complain(
            exit::INTEGRITY,
            "messages of at least one contender went wrong",
        );
    }
    if report.has(Status::Failed) {
        return complain(exit::INPUT_OUTPUT, "at least one contender failed");
    }
    if require_all && report.has(Status::Unavailable) {
        let problem = "at least one contender is unavailable, and --require-all was given";
        return complain(exit::UNAVAILABLE, problem);
    }
    0
}
