//! Who sits on which side: joining, leaving, and the proof that somebody is dead.

mod life;
mod seat;
pub mod table;

pub use life::Attendance;
pub use seat::{Peer, Seat, peer_of};
