//! What the tests with real processes share.
//!
//! - [`children`]: peer processes, started by role, spoken to in lines, never left behind;
//! - [`mod@watchdog`]: ends a test that hangs, and shows where it hung;
//! - [`names`]: unique names for segments, and folders, that are gone at the end;
//! - [`mod@events`]: a page full of event counts, for processes to meet at;
//! - [`event_page`]: a page with an event count that processes meet at;
//! - [`forms`]: the message types and the ways of waiting that the tests go through;
//! - [`pattern`]: messages whose length and content follow from a seed, on both sides;
//! - [`seccomp`]: system calls that the kernel refuses;
//! - [`stepper`]: a peer that goes on by one instruction at a time, to be killed or left there after each;
//! - [`traffic`]: every way to send and to receive, for both forms of a ring;
//! - [`crowd`]: several producers and consumers of one ring, what they did, and whether it was right;
//! - [`board`]: who holds permits of a semaphore, kept where a death cannot touch it;
//! - [`journal`]: what a process did, kept where its death cannot touch it;
//! - [`history`]: a check in linear time that nothing was lost, doubled, reordered or made up.

pub mod board;
pub mod children;
pub mod crowd;
pub mod event_page;
pub mod events;
pub mod forms;
pub mod history;
pub mod journal;
pub mod names;
pub mod pattern;
pub mod seccomp;
pub mod stepper;
pub mod traffic;
pub mod watchdog;

use std::io::Write as _;

/// The path of the helper binary that plays the peer; usable in integration tests only.
#[macro_export]
macro_rules! ring_peer {
    () => {
        env!("CARGO_BIN_EXE_ring-peer")
    };
}

/// Whether the long form of the tests was asked for, with `SHM_RING_LONG=1`.
pub fn long() -> bool {
    std::env::var_os("SHM_RING_LONG").is_some_and(|value| value != "0" && !value.is_empty())
}

/// `short`, or `long` when the long form of the tests was asked for.
pub fn short_or_long<T>(short: T, long_form: T) -> T {
    if long() { long_form } else { short }
}

/// Says on the terminal, past the capture of the test harness, that a check was skipped, and why.
pub fn skip_aloud(what: &str, why: &str) {
    let line = format!("SKIPPED: {what}: {why}\n");
    // A closed stderr leaves nobody to tell.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
