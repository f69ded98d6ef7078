//! Who sits on which side: joining, leaving, and the proof that somebody is dead.

mod seat;
pub mod table;

pub use seat::{Peer, Seat, peer_of};
