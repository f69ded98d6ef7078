//! The protocols under Miri.

use std::process::{Command, Stdio};

use crate::{Failure, typed, workspace};

/// Runs the tests that need no mapped memory under Miri. Where it is not installed it says so and does nothing.
///
/// # Errors
/// When a test fails.
pub fn run() -> Result<(), Failure> {
    let mut probe = nightly();
    probe
        .args(["miri", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if !probe.status().is_ok_and(|status| status.success()) {
        eprintln!(
            "SKIPPED: Miri is not installed, so nothing was checked; install it with\n    \
             rustup toolchain install nightly --component miri --component rust-src"
        );
        return Ok(());
    }
    let tests: [&[&str]; 2] = [
        &["-p", "shm-semaphore", "--lib"],
        &["-p", "integration-tests", "--test", "heap_protocol"],
    ];
    for test in tests {
        let mut command = nightly();
        command.args(["miri", "test", "--locked"]).args(test);
        command.env("CARGO_TARGET_DIR", "target/miri");
        // The real clock, and leave to go on where an exchange fails for no reason.
        command.env("MIRIFLAGS", "-Zmiri-disable-isolation");
        eprintln!("\n==> {}", typed(&command));
        let status = command.stdin(Stdio::null()).status();
        let status = status.map_err(|error| Failure::new(format!("can't start Miri: {error}")))?;
        if !status.success() {
            return Err(Failure::new(format!("Miri found an error ({status})")));
        }
    }
    Ok(())
}

fn nightly() -> Command {
    let mut command = Command::new("rustup");
    command
        .args(["run", "nightly", "cargo"])
        .current_dir(workspace());
    command
}
