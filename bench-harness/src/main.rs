//! Measures IPC mechanisms between two real processes, and verifies every message.

use std::process::ExitCode;

fn main() -> ExitCode {
    bench_harness::main()
}
