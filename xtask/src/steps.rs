//! Everything that must hold, in order.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::{Failure, cargo, loom_flags, typed};

/// How many preemptions the models explore unless `LOOM_MAX_PREEMPTIONS` says otherwise.
const PREEMPTIONS: &str = "3";

/// A step of `cargo xtask test`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Step {
    /// The format of all sources
    Fmt,
    /// The lints, as errors
    Clippy,
    /// The documentation, warnings as errors
    Doc,
    /// Unit, integration and documentation tests
    Test,
    /// The harness with the rings and channels of others
    Peers,
    /// Every row of the benches once, for no figures
    Benches,
    /// The models of the protocols
    Loom,
}

/// Which steps to take, and how.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// If any are named: these only.
    pub only: Vec<Step>,
    /// Not these.
    pub skip: Vec<Step>,
    /// The tests in their long form.
    pub long: bool,
}

impl Selection {
    fn steps(&self) -> Vec<Step> {
        let wanted = |step: &Step| self.only.is_empty() || self.only.contains(step);
        let all = Step::value_variants().iter().copied();
        all.filter(|step| wanted(step) && !self.skip.contains(step))
            .collect()
    }
}

impl Step {
    fn title(self) -> &'static str {
        match self {
            Self::Fmt => "format",
            Self::Clippy => "lints",
            Self::Doc => "documentation",
            Self::Test => "unit, integration and documentation tests",
            Self::Peers => "the harness with the rings and channels of others",
            Self::Benches => "benches, each row once",
            Self::Loom => "models under loom",
        }
    }

    /// The component of the toolchain that it needs beyond the compiler: the subcommand that shows it, and its name.
    fn component(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Fmt => Some(("fmt", "rustfmt")),
            Self::Clippy => Some(("clippy", "clippy")),
            Self::Doc | Self::Test | Self::Peers | Self::Benches | Self::Loom => None,
        }
    }

    fn command(self, long: bool) -> Command {
        let mut command = cargo();
        match self {
            Self::Fmt => {
                command.args(["fmt", "--all", "--check"]);
            }
            Self::Clippy => {
                command.args(["clippy", "--workspace", "--all-targets", "--locked"]);
                command.args(["--features", "bench-harness/peers", "--", "-D", "warnings"]);
            }
            Self::Doc => {
                command.args(["doc", "--workspace", "--no-deps", "--locked"]);
                command.args(["--features", "bench-harness/peers"]);
                command.env("RUSTDOCFLAGS", "-D warnings");
            }
            Self::Test => {
                command.args(["test", "--workspace", "--locked"]);
                if long {
                    command.arg("--release").env("SHM_RING_LONG", "1");
                }
            }
            Self::Peers => {
                command.args(["test", "--locked", "-p", "bench-harness"]);
                command.args(["--features", "peers", "--lib"]);
                command.args(["--test", "peers", "--test", "thread_peers"]);
            }
            Self::Benches => {
                // Not `cargo bench`: that would build everything anew, optimised, for figures that nobody looks at.
                command.args(["test", "--locked", "-p", "shm-semaphore", "--bench", "sync"]);
                command.args(["-p", "shm-ringbuf", "--bench", "tail"]);
            }
            Self::Loom => {
                command.args(["test", "--release", "--locked"]);
                command.args([
                    "-p",
                    "shm-semaphore",
                    "-p",
                    "shm-ringbuf",
                    "--test",
                    "loom_*",
                ]);
                command.env("RUSTFLAGS", loom_flags());
                // Other flags mean another build of everything: in a folder of its own it is kept.
                command.env("CARGO_TARGET_DIR", "target/loom");
                if std::env::var_os("LOOM_MAX_PREEMPTIONS").is_none() {
                    command.env("LOOM_MAX_PREEMPTIONS", PREEMPTIONS);
                }
                if long {
                    // Models that state a bound of their own raise it.
                    command.env("SHM_RING_LONG", "1");
                }
            }
        }
        command
    }
}

/// Takes the steps in order, and stops at the first that fails.
///
/// # Errors
/// Says which step failed, and what to do if it lacks a part of the toolchain.
pub fn run(selection: &Selection) -> Result<(), Failure> {
    let steps = selection.steps();
    if steps.is_empty() {
        return Err(Failure::new("no step is left to take"));
    }
    for step in &steps {
        check_component(*step)?;
    }
    let start = Instant::now();
    for (at, step) in steps.iter().enumerate() {
        let mut command = step.command(selection.long);
        let title = step.title();
        eprintln!(
            "\n==> {}/{}: {title}\n    {}",
            at + 1,
            steps.len(),
            typed(&command)
        );
        let started = Instant::now();
        let status = command.stdin(Stdio::null()).status();
        let status = status.map_err(|error| Failure::new(format!("can't start cargo: {error}")))?;
        if !status.success() {
            let again = format!("cargo xtask test --only {}", name(*step));
            let message = format!("the step `{title}` failed ({status}); again: {again}");
            return Err(Failure::new(message));
        }
        eprintln!("    done in {}", seconds(started.elapsed()));
    }
    eprintln!(
        "\n==> all {} steps passed in {}",
        steps.len(),
        seconds(start.elapsed())
    );
    Ok(())
}

fn check_component(step: Step) -> Result<(), Failure> {
    let Some((subcommand, component)) = step.component() else {
        return Ok(());
    };
    let mut command = cargo();
    command
        .args([subcommand, "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if command.status().is_ok_and(|status| status.success()) {
        return Ok(());
    }
    let message = format!(
        "the toolchain has no {component}; install it with `rustup component add {component}`, \
         or leave the step out with `--skip {}`",
        name(step)
    );
    Err(Failure::new(message))
}

/// The name of a step as an argument.
fn name(step: Step) -> String {
    step.to_possible_value()
        .map_or_else(String::new, |value| value.get_name().to_owned())
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_steps_are_taken_in_order_unless_chosen_or_left_out() {
        let all = [
            Step::Fmt,
            Step::Clippy,
            Step::Doc,
            Step::Test,
            Step::Peers,
            Step::Benches,
            Step::Loom,
        ];
        assert_eq!(Selection::default().steps(), all);
        let some = Selection {
            only: vec![Step::Doc, Step::Fmt],
            ..Selection::default()
        };
        assert_eq!(some.steps(), [Step::Fmt, Step::Doc]);
        let less = Selection {
            skip: vec![Step::Loom, Step::Clippy],
            ..Selection::default()
        };
        assert_eq!(
            less.steps(),
            [Step::Fmt, Step::Doc, Step::Test, Step::Peers, Step::Benches]
        );
        let none = Selection {
            only: vec![Step::Doc],
            skip: vec![Step::Doc],
            long: false,
        };
        assert!(run(&none).is_err());
    }

    #[test]
    fn a_command_is_shown_as_it_would_be_typed() {
        let shown = typed(&Step::Doc.command(false));
        assert!(
            shown.starts_with("RUSTDOCFLAGS='-D warnings' cargo doc --workspace"),
            "{shown}"
        );
        let shown = typed(&Step::Test.command(true));
        assert!(
            shown.starts_with("SHM_RING_LONG=1 cargo test --workspace --locked"),
            "{shown}"
        );
    }

    #[test]
    fn the_models_are_built_with_their_flag_beside_the_others() {
        let shown = typed(&Step::Loom.command(false));
        assert!(
            shown.contains("--cfg loom") && shown.contains("target/loom"),
            "{shown}"
        );
    }
}
