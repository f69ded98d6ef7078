//! Measures IPC mechanisms.
fn main() {}
