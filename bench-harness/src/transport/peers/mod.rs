//! The rings and channels that somebody who doesn't take ours would take instead, each used as its own documentation shows it. Only with the
//! cargo feature `peers`: `docs/peers.md`.

pub mod queues;
pub mod threads;

use crate::transport::registry::Contender;

/// Their rows.
pub fn contenders() -> Vec<Contender> {
    queues::contenders()
}
