//! The facade: the only file that names atomics, cells and fences of `core`, or those of loom.
//!
//! With `--cfg loom` the same protocol code runs on loom's types, which try every interleaving and every value that the memory
//! model allows a load to return. Nothing else differs between the two builds.

#![allow(
    missing_docs,
    reason = "a private facade that is public for the sibling crate only"
)]

#[cfg(not(loom))]
mod real {
    pub use core::hint::spin_loop;
    pub use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, compiler_fence, fence};
    pub use std::thread::yield_now;

    /// A cell that is reached through closures, as loom's is.
    #[derive(Debug, Default)]
    #[repr(transparent)]
    pub struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub const fn new(value: T) -> Self {
            Self(core::cell::UnsafeCell::new(value))
        }

        /// Lends a pointer to read through.
        pub fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
            read(self.0.get())
        }

        /// Lends a pointer to write through.
        pub fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
            write(self.0.get())
        }
    }
}

#[cfg(loom)]
mod real {
    pub use loom::cell::UnsafeCell;
    pub use loom::hint::spin_loop;
    pub use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
    pub use loom::sync::{Condvar, Mutex};
    pub use loom::thread::yield_now;

    /// Orders what one thread does against a signal or a kill that stops it, which no model of threads can observe.
    pub fn compiler_fence(_ordering: Ordering) {}
}

pub use real::*;
