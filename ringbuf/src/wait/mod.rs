//! Waiting, in one place: the protocols only ever try.

mod catch_up;
mod strategy;
mod waiter;

pub use strategy::Wait;
pub use waiter::{Look, Waited, Waiter};
