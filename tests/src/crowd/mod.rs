//! Several producers and consumers of one ring: every way that they have, what they did, and whether that was right.
//!
//! - [`Sender`] and [`Receiver`]: every way to send and to receive, for both forms of a ring;
//! - [`ledger`]: what each of them did, kept where their deaths cannot touch it;
//! - [`numbered`]: short messages, for those who follow every instruction;
//! - [`verdict`]: whether all of that together is what a ring promises.

pub mod ledger;
pub mod numbered;
mod receive;
mod send;
pub mod verdict;

pub use receive::{Mark, Receiver, Shown};
pub use send::Sender;
