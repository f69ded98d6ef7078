//! The public face: configure, create, open, send, receive.
//!
//! `config`, `ring`, `producer`, `consumer`, `typed`, `bytes` and `polling` are what users see, the same for all kinds of ring; `spsc` and `multi`
//! are the sides behind it (`sides` says what they have in common).

mod bytes;
mod config;
mod consumer;
mod message;
mod multi;
mod polling;
mod producer;
mod ring;
mod sides;
mod spsc;
mod topology;
mod typed;
mod when;

pub use config::{Config, OpenOptions, Redelivery};
pub use consumer::{Consumer, Received};
pub use message::Message;
pub use producer::{Claim, Producer};
pub use ring::{Ring, unlink};
pub use topology::{Multi, Spsc, Topology};
