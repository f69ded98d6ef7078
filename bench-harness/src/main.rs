//! Measures IPC mechanisms between two real processes, and verifies every message.

pub mod clock;
pub mod job;
pub mod measure;
pub mod payload;
pub mod shared;
pub mod transport;

fn main() {}
