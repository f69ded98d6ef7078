//! The operating system: files in shared memory, mappings, locks, clocks. Knows nothing of rings.

pub mod descriptors;
pub mod eventfd;
pub mod file;
pub mod forks;
pub mod lock;
pub mod mapping;
pub mod process;
pub mod signals;
