//! The ratios at the end: all rows of a group in turn, round after round, so that what disturbs one disturbs its neighbours. A figure
//! is the median over the rounds, and a ratio the median of the ratios round by round.

use std::time::Duration;

use crate::row::{Group, Row};
use crate::second::Bench;

const ROUNDS: usize = 25;

/// What a window takes, about.
const WINDOW_UNCONTENDED: Duration = Duration::from_millis(2);
const WINDOW_PING_PONG: Duration = Duration::from_millis(10);

/// Iterations that tell how many fit into a window.
const TRIAL: u64 = 200;

/// Measures and prints the ratios.
pub fn print(bench: &Bench) {
    println!();
    println!(
        "Summary: medians over {ROUNDS} rounds that take all rows in turn; a ratio is the median of the ratios of the rounds."
    );
    table(
        bench,
        Group::Uncontended,
        WINDOW_UNCONTENDED,
        "Uncontended: takes a permit and gives it back",
        &["sem-posix", "sem-sysv", "sem-sysv-undo"],
    );
    table(
        bench,
        Group::PingPong,
        WINDOW_PING_PONG,
        "Ping-pong: there and back between two processes that sleep while they wait",
        &["limit-futex", "sem-posix", "sem-sysv", "sem-sysv-undo"],
    );
}

struct Measured {
    name: &'static str,
    row: Row,
    iterations: u64,
    /// Nanoseconds an iteration, round by round.
    rounds: Vec<f64>,
}

impl Measured {
    fn start(bench: &Bench, group: Group, name: &'static str, window: Duration) -> Self {
        let mut row = Row::start(bench, group, name);
        let trial = row.run(TRIAL).max(Duration::from_nanos(TRIAL));
        let iterations = (window.as_nanos() as u64 * TRIAL / trial.as_nanos() as u64).max(TRIAL);
        Self {
            name,
            row,
            iterations,
            rounds: Vec::with_capacity(ROUNDS),
        }
    }

    fn round(&mut self) {
        let elapsed = self.row.run(self.iterations);
        let ns = elapsed.as_nanos() as f64 / self.iterations as f64;
        self.rounds.push(ns);
    }
}

fn table(bench: &Bench, group: Group, window: Duration, title: &str, others: &[&str]) {
    let names = group.rows().iter().copied();
    let mut rows: Vec<_> = names
        .filter(|name| Row::check(group, name).is_ok())
        .map(|name| Measured::start(bench, group, name, window))
        .collect();
    for round in 0..ROUNDS {
        // Each time another one begins, so that none always follows the same one's leftovers.
        for at in 0..rows.len() {
            let at = (at + round) % rows.len();
            rows[at].round();
        }
    }
    println!("\n{title}");
    print!("  {:<26}{:>12}", "", "ns");
    for other in others {
        print!("{:>18}", format!("x {other}"));
    }
    println!();
    for row in &rows {
        print!("  {:<26}{:>12.1}", row.name, median(row.rounds.clone()));
        for other in others {
            let ratio = rows.iter().find(|it| it.name == *other).map(|other| {
                let pairs = row.rounds.iter().zip(&other.rounds);
                median(pairs.map(|(ours, theirs)| ours / theirs).collect())
            });
            let shown = ratio.map_or_else(|| "-".to_owned(), shown);
            print!("{shown:>18}");
        }
        println!();
    }
}

/// Three digits that say something.
fn shown(ratio: f64) -> String {
    if ratio < 0.1 {
        format!("{ratio:.4}")
    } else {
        format!("{ratio:.2}")
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
