//! How a run is conducted: fresh pairs of processes, one after the other, and a coordinator that sleeps meanwhile.

pub mod campaign;
pub mod interrupt;
pub mod progress;
pub mod session;
pub mod side;
pub mod spawn;
