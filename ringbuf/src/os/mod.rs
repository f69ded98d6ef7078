//! The operating system: files in shared memory, mappings, locks, clocks. Knows nothing of rings.

pub mod file;
pub mod lock;
pub mod mapping;
pub mod process;
