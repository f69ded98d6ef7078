//! Measures IPC mechanisms between real processes, and verifies every message.
//!
//! A library, so that the benches of the crates that are measured here use the very same mechanisms ([`transport`]) and the same
//! way to start a second process ([`runner`]).
#![cfg_attr(not(test), deny(clippy::print_stderr, clippy::print_stdout))]

pub mod budget;
pub mod cli;
pub mod clock;
pub mod compare;
pub mod conformance;
pub mod deliver;
pub mod design;
pub mod doctor;
pub mod entry;
pub mod external;
pub mod fan;
mod input;
pub mod job;
pub mod machine;
pub mod measure;
mod notice;
pub mod payload;
pub mod placement;
pub mod report;
pub mod results;
pub mod runner;
pub mod scenario;
pub mod shared;
pub mod stats;
pub mod transport;
pub mod workload;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{CommandFactory, Parser};

use cli::{Cli, Command, CommonArgs, CompletionsArgs, ListArgs, ListOutput, ReportArgs, SaveArgs};
use compare::{Baseline, CompareArgs, CompareError};
use design::Design;
use fan::Fan;
use machine::Environment;
use report::document::Report;
use report::{Occasion, list, saved};
use results::Status;
use runner::campaign::Campaign;
use runner::interrupt::Interrupt;
use runner::progress::Progress;
use runner::session::Coordinator;
use scenario::{Plan, PlanError};
use transport::limits;
use transport::registry::{self, Contender};

/// What the exit codes mean.
mod exit {
    pub(crate) const REGRESSION: u8 = 1;
    pub(crate) const USAGE: u8 = 2;
    pub(crate) const ENVIRONMENT: u8 = 3;
    pub(crate) const INTEGRITY: u8 = 4;
    pub(crate) const UNAVAILABLE: u8 = 5;
    pub(crate) const INPUT_OUTPUT: u8 = 6;
    pub(crate) const INTERRUPTED: u8 = 130;
}

/// The whole program.
pub fn main() -> ExitCode {
    main_with(Vec::new())
}

/// The whole program, with more contenders. It is the first thing that a `main` calls: the measured processes are the same program, executed
/// anew. `docs/adding-a-contender.md` shows one.
pub fn main_with(contenders: Vec<Contender>) -> ExitCode {
    // Where it can't be done the system acts as it always does.
    let _ = transport::alarm::ignore_size_signal();
    for contender in contenders {
        if let Err(problem) = registry::add(contender) {
            return ExitCode::from(complain(exit::USAGE, &problem));
        }
    }
    let cli = Cli::parse();
    let code = match &cli.command {
        Some(Command::Side) => return runner::side::main(),
        Some(Command::Save(args)) => save(args),
        Some(Command::Report(args)) => show(args),
        Some(Command::Compare(args)) => compare(args),
        Some(Command::List(args)) => print_list(args),
        Some(Command::Doctor(args)) => doctor::main(args),
        Some(Command::Completions(args)) => print_completions(args),
        Some(Command::Man) => print_manual(),
        Some(Command::Run(args)) => measure(args.as_ref().into(), &args.common),
        Some(Command::Rtt(args)) => measure(Design::RoundTrips, args),
        Some(Command::Stream(args)) => measure(args.as_ref().into(), &args.common),
        Some(Command::Paced(args)) => measure(args.as_ref().into(), &args.common),
        Some(Command::Curve(args)) => measure(args.as_ref().into(), &args.common),
        Some(Command::Sweep(args)) => measure(Design::Sweep, args),
        Some(Command::Fan(args)) => measure(args.as_ref().into(), &args.common),
        Some(Command::Wake(args)) => measure(args.as_ref().into(), &args.common),
        Some(Command::Topo(args)) => measure(Design::Topology, args),
        None => measure((&cli.run).into(), &cli.run.common),
    };
    ExitCode::from(code)
}

fn complain(code: u8, problem: &str) -> u8 {
    notice::tell(format_args!("bench-harness: {problem}"));
    code
}

/// What comes of writing something for the user.
fn written(what: &str, result: io::Result<()>) -> u8 {
    match result {
        Ok(()) => 0,
        Err(error) => complain(
            exit::INPUT_OUTPUT,
            &format!("{what} can't be written: {error}"),
        ),
    }
}

fn print_list(args: &ListArgs) -> u8 {
    if let Err(problem) = args.external.register() {
        return complain(exit::USAGE, &problem);
    }
    let listed = list::list(Fan {
        producers: args.producers,
        consumers: args.consumers,
    });
    let out = io::stdout().lock();
    let result = match args.output {
        ListOutput::Table => list::write_table(&listed, out),
        ListOutput::Json => list::write_json(&listed, out),
    };
    written("the list", result)
}

fn print_completions(args: &CompletionsArgs) -> u8 {
    let mut script = Vec::new();
    let mut command = Cli::command();
    clap_complete::generate(args.shell, &mut command, "bench-harness", &mut script);
    written("the script", io::stdout().lock().write_all(&script))
}

fn print_manual() -> u8 {
    let mut page = Vec::new();
    let result = clap_mangen::Man::new(Cli::command())
        .render(&mut page)
        .and_then(|()| io::stdout().lock().write_all(&page));
    written("the manual page", result)
}

fn measure(design: Design, args: &CommonArgs) -> u8 {
    measure_to("--save", design, args)
}

/// Measures, with the name of the option or argument that says where to save.
fn measure_to(save: &'static str, design: Design, args: &CommonArgs) -> u8 {
    if let Err(problem) = deliver::check_run(args, save) {
        return complain(exit::USAGE, &problem);
    }
    if let Err(problem) = args.external.register() {
        return complain(exit::USAGE, &problem);
    }
    let plan = match Plan::resolve(design, args) {
        Ok(plan) => plan,
        Err(PlanError::Usage(problem)) => return complain(exit::USAGE, &problem),
        Err(PlanError::Input(problem)) => return complain(exit::INPUT_OUTPUT, &problem),
    };
    let baseline = match Baseline::open(&args.baseline, &plan) {
        Ok(baseline) => baseline,
        Err(error) => return refuse_comparison(&error),
    };
    if let Err(problem) = deliver::check_places(args) {
        return complain(exit::INPUT_OUTPUT, &problem);
    }
    if args.strict
        && let Some(refusal) = refusal(plan.placement.pool())
    {
        return complain(exit::ENVIRONMENT, &refusal);
    }
    let interrupt = match Interrupt::catch() {
        Ok(interrupt) => interrupt,
        Err(error) => {
            return complain(
                exit::INPUT_OUTPUT,
                &format!("signals can't be held: {}", limits::told(&error)),
            );
        }
    };
    let mut report = conduct(&plan, interrupt);
    let compared = baseline
        .map(|baseline| baseline.compare(&report))
        .transpose();
    report.comparison = compared.clone().unwrap_or_default();
    let unwritten = deliver::deliver(&report, &args.view, args.save.as_deref()).err();
    conclude(&report, args, unwritten, compared.err())
}

/// What becomes of a comparison that can't be made.
fn refuse_comparison(error: &CompareError) -> u8 {
    match error {
        CompareError::Usage(problem) => complain(exit::USAGE, problem),
        CompareError::File(problem) => complain(exit::INPUT_OUTPUT, problem),
    }
}

/// Compares saved results.
fn compare(args: &CompareArgs) -> u8 {
    if let Err(problem) = deliver::check_comparison(args) {
        return complain(exit::USAGE, &problem);
    }
    match compare::main(args) {
        Ok(false) => 0,
        Ok(true) => exit::REGRESSION,
        Err(error) => refuse_comparison(&error),
    }
}

/// `save` is `run` with a place for its results.
fn save(args: &SaveArgs) -> u8 {
    let mut run = args.run.clone();
    run.common.save = Some(args.file.clone());
    measure_to("FILE", (&run).into(), &run.common)
}

/// Shows saved results again.
fn show(args: &ReportArgs) -> u8 {
    if let Err(problem) = deliver::check_report(args) {
        return complain(exit::USAGE, &problem);
    }
    let shown =
        saved::load(&args.file).and_then(|report| deliver::deliver(&report, &args.view, None));
    match shown {
        Ok(()) => 0,
        Err(problem) => complain(exit::INPUT_OUTPUT, &problem),
    }
}

/// Why figures from this machine would mean nothing, in one sentence; nothing if they mean something.
fn refusal(cores: &[usize]) -> Option<String> {
    let findings = doctor::refusals(cores);
    let told = |finding: &doctor::Finding| format!("{}: {}", finding.name, finding.value);
    let reasons: Vec<String> = findings.iter().map(told).collect();
    (!reasons.is_empty()).then(|| {
        format!(
            "refused under --strict: {}; `bench-harness doctor` tells more and names remedies",
            reasons.join("; ")
        )
    })
}

/// What the program was called with. Names of files needn't be UTF-8; what isn't is shown as replacement characters.
pub(crate) fn arguments() -> Vec<String> {
    let arguments = std::env::args_os().skip(1);
    arguments
        .map(|one| one.to_string_lossy().into_owned())
        .collect()
}

/// Measures, and tells of it.
fn conduct(plan: &Plan, interrupt: Interrupt) -> Report {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    let occasion = Occasion {
        arguments: arguments(),
        // A clock before 1970 is a wrong clock.
        began_unix_s: since_1970.map_or(0, |time| time.as_secs()),
        environment: Environment::observe(plan.placement.pool(), &plan.allowed_cores),
    };
    let mut coordinator = Coordinator {
        placement: plan.placement.clone(),
        interrupt,
    };
    let progress = Progress::new(plan.rounds, plan.entries.len());
    let campaign = Campaign::run(plan, &mut coordinator, &progress);
    drop(progress);
    report::make(plan, occasion, &campaign)
}

/// What the run came to, the gravest first. An interruption and what couldn't be written are told whatever else there is.
fn conclude(
    report: &Report,
    args: &CommonArgs,
    unwritten: Option<String>,
    incomparable: Option<String>,
) -> u8 {
    let compared = report.comparison.as_ref();
    let is_worse = compared.is_some_and(|runs| compare::tell(runs, args.view.output));
    let unwritten = unwritten.map(|problem| complain(exit::INPUT_OUTPUT, &problem));
    let interrupted = report.incomplete.then(|| tell_interruption(report));
    if report.has_integrity_failure() {
        return complain(
            exit::INTEGRITY,
            "messages of at least one contender went wrong",
        );
    }
    if let Some(code) = unwritten.or(interrupted) {
        return code;
    }
    if report.has(Status::Failed) {
        return complain(exit::INPUT_OUTPUT, "at least one contender failed");
    }
    if args.require_all && report.has(Status::Unavailable) {
        let problem = "at least one contender is unavailable, and --require-all was given";
        return complain(exit::UNAVAILABLE, problem);
    }
    match incomparable {
        Some(problem) => complain(exit::USAGE, &problem),
        None if is_worse => exit::REGRESSION,
        None => 0,
    }
}

fn tell_interruption(report: &Report) -> u8 {
    let settings = &report.settings;
    let problem = format!(
        "interrupted after {} of {} rounds; what was measured until then is in the report, marked incomplete",
        settings.rounds_completed, settings.rounds
    );
    complain(exit::INTERRUPTED, &problem)
}
