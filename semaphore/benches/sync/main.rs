//! `cargo bench -p shm-semaphore`: what the library costs, beside what Linux offers for the same purpose.
//!
//! | group | one iteration |
//! |---|---|
//! | `uncontended` | one process takes a permit and gives it back, and nobody else is there |
//! | `notify-nobody` | a notification for which nobody waits |
//! | `contended` | two processes, each on a core of its own, take and give back the one permit there is, once each |
//! | `ping-pong` | two processes wake each other, there and back; whoever waits sleeps |
//!
//! The mechanisms are those of `bench-harness`, by the same code. After the groups of a whole run comes a summary of ratios, which is
//! measured anew, in rounds that take all rows in turn, because figures that were taken a minute apart don't compare well.
//!
//! Ctrl-C leaves nothing behind. SIGKILL leaves at most a few sets of System V semaphores (`ipcs -s`).

mod gates;
mod links;
mod row;
mod second;
mod summary;

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use criterion::Criterion;

use row::{Group, Row};
use second::Bench;

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    if arguments.next().as_deref() == Some(second::ARGUMENT) {
        return second::main(arguments.next());
    }
    let bench = Bench::start();
    let mut criterion = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .nresamples(10_000)
        .configure_from_args();
    for group in Group::ALL {
        measure(&mut criterion, &bench, group);
    }
    criterion.final_summary();
    if is_whole_run() {
        summary::print(&bench);
    }
    ExitCode::SUCCESS
}

/// Nothing was filtered out, and the run is not one of criterion's special ones.
fn is_whole_run() -> bool {
    let special = ["--test", "--list", "--profile-time"];
    let mut arguments = env::args().skip(1).peekable();
    arguments.peek().is_some() // Without `--bench`, as from `cargo test`, each row runs only once.
        && arguments.all(|it| it.starts_with("--") && !special.contains(&it.as_str()))
}

fn measure(criterion: &mut Criterion, bench: &Bench, group: Group) {
    let mut measured = criterion.benchmark_group(group.name());
    for name in group.rows() {
        if let Err(reason) = Row::check(group, name) {
            eprintln!("{}/{name} is not measured here: {reason}", group.name());
            continue;
        }
        // Made when it is first needed: a row that is filtered out starts no process.
        let mut row = None;
        measured.bench_function(*name, |bencher| {
            let row = row.get_or_insert_with(|| Row::start(bench, group, name));
            bencher.iter_custom(|iterations| row.run(iterations));
        });
    }
    measured.finish();
}
