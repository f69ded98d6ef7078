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

    /// Gives the processor away.
    pub fn yield_now() {
        crate::diagnostics::count();
        std::thread::yield_now();
    }

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
    pub use loom::sync::atomic::{Ordering, fence};
    pub use loom::sync::{Condvar, Mutex};
    pub use loom::thread::yield_now;

    /// Orders what one thread does against a signal or a kill that stops it, which no model of threads can observe.
    pub fn compiler_fence(_ordering: Ordering) {}

    macro_rules! mortal_atomics {
        ($($name:ident of $int:ty),*) => {$(
            /// An atomic of loom's whose every operation is a step at which its thread may be killed (see [`fuel`](super::fuel)).
            #[derive(Debug, Default)]
            pub struct $name(loom::sync::atomic::$name);

            impl $name {
                pub fn new(value: $int) -> Self {
                    Self(loom::sync::atomic::$name::new(value))
                }

                /// Not a step: for what stands in for the kernel.
                pub fn peek(&self) -> $int {
                    // Relaxed: under the lock that stands in for the kernel's.
                    self.0.load(Ordering::Relaxed)
                }

                #[track_caller]
                pub fn load(&self, order: Ordering) -> $int {
                    super::fuel::step(|| self.0.load(order))
                }

                #[track_caller]
                pub fn store(&self, value: $int, order: Ordering) {
                    super::fuel::step(|| self.0.store(value, order));
                }

                #[track_caller]
                pub fn swap(&self, value: $int, order: Ordering) -> $int {
                    super::fuel::step(|| self.0.swap(value, order))
                }

                #[track_caller]
                pub fn fetch_add(&self, value: $int, order: Ordering) -> $int {
                    super::fuel::step(|| self.0.fetch_add(value, order))
                }

                #[track_caller]
                pub fn fetch_or(&self, value: $int, order: Ordering) -> $int {
                    super::fuel::step(|| self.0.fetch_or(value, order))
                }

                #[track_caller]
                pub fn fetch_and(&self, value: $int, order: Ordering) -> $int {
                    super::fuel::step(|| self.0.fetch_and(value, order))
                }

                /// # Errors
                /// As the one of `core`.
                #[track_caller]
                pub fn compare_exchange(
                    &self,
                    current: $int,
                    new: $int,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$int, $int> {
                    super::fuel::step(|| self.0.compare_exchange(current, new, success, failure))
                }

                /// # Errors
                /// As the one of `core`.
                #[track_caller]
                pub fn compare_exchange_weak(
                    &self,
                    current: $int,
                    new: $int,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$int, $int> {
                    super::fuel::step(|| {
                        self.0.compare_exchange_weak(current, new, success, failure)
                    })
                }
            }
        )*};
    }

    mortal_atomics!(AtomicU32 of u32, AtomicU64 of u64);
}

/// Kills in models: a thread has fuel for so many steps, and ends as a killed process does, in the middle and without another step.
#[cfg(loom)]
pub mod fuel {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    loom::thread_local! {
        static LEFT: Cell<Option<usize>> = Cell::new(None);
    }

    /// What a killed thread unwinds with.
    struct Killed;

    /// Does one step, or ends the thread before it.
    pub(super) fn step<R>(work: impl FnOnce() -> R) -> R {
        LEFT.with(|left| match left.get() {
            Some(0) => resume_unwind(Box::new(Killed)),
            Some(steps) => left.set(Some(steps - 1)),
            None => {}
        });
        work()
    }

    /// Runs `body` until it has made so many steps. Says whether it was killed there.
    pub fn killed_after(steps: usize, body: impl FnOnce()) -> bool {
        LEFT.with(|left| left.set(Some(steps)));
        let result = catch_unwind(AssertUnwindSafe(body));
        LEFT.with(|left| left.set(None));
        match result {
            Ok(()) => false,
            Err(payload) if payload.is::<Killed>() => true,
            Err(payload) => resume_unwind(payload),
        }
    }
}

pub use real::*;
