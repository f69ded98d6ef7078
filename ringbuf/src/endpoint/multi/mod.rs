//! The sides of a ring for many.

mod bytes;
mod core;
mod patience;
mod receive;
mod send;
mod typed;

pub use bytes::{ByteReceiver, ByteSender};
pub use typed::{TypedReceiver, TypedSender};
