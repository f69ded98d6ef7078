//! The memory: how a segment is laid out, how it comes into being and goes, and how its bytes become what the protocols need.

#[cfg(not(loom))]
pub mod cells;
#[cfg(not(loom))]
pub mod gate;
pub mod heap;
pub mod heap_cells;
#[cfg(not(loom))]
pub mod kind;
#[cfg(not(loom))]
pub mod layout;
#[cfg(not(loom))]
pub mod lifecycle;
#[cfg(not(loom))]
pub mod many;
#[cfg(not(loom))]
pub mod view;
