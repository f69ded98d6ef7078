//! The public face: configure, create, open, send, receive.

mod bytes;
mod config;
mod consumer;
mod core;
mod message;
mod polling;
mod producer;
mod ring;
mod typed;

pub use config::{Config, OpenOptions};
pub use consumer::{Consumer, Received};
pub use message::Message;
pub use producer::{Claim, Producer};
pub use ring::{Ring, unlink};
