//! Measures IPC mechanisms.
pub mod transport;
fn main() {}
