//! Segments: shared memory with a name (or without one), made in one atomic step. Knows nothing of what lies in them.

mod lifecycle;
mod name;

pub use lifecycle::{Found, Refusal, create, create_anonymous, from_fd, open, read_header, unlink};
pub use name::Name;

/// Bytes of a page on this machine.
pub fn page_len() -> u64 {
    crate::os::process::page_len()
}
