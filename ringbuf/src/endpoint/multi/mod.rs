//! The sides of a ring for many.

mod behind;
mod bytes;
mod core;
mod patience;
mod receive;
mod send;
#[cfg(test)]
mod tests;
mod typed;

pub use bytes::{ByteReceiver, ByteSender};
pub use typed::{TypedReceiver, TypedSender};
