//! What runs inside the measured processes: the loops, the clockwork around them, and the account of every message.

pub mod backlog;
pub mod crowd;
pub mod crowd_check;
pub mod duplex;
pub mod exchange;
pub mod flow;
pub mod integrity;
pub mod latency;
pub mod ledger;
pub mod numbered;
pub mod paced;
pub mod pacing;
pub mod pattern;
pub mod planted;
pub mod schedule;
#[cfg(test)]
mod simulated;
pub mod source;
pub mod station;
pub mod usage;
pub mod waiting;
