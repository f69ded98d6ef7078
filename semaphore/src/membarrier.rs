//! A fence that one side pays for both.
//!
//! Two threads that each store and then load what the other stored need a full fence on both sides, or both loads may miss
//! (the store-buffer litmus test). `membarrier(2)` lets the side that seldom runs pay for the one that often does: its
//! [`heavy_fence`] makes every running thread of every registered process execute a full fence at that moment, so that the other side needs to keep
//! only the compiler from reordering ([`light_fence`]). A registration outlasts `fork` and ends with `exec`.
//!
//! Only `GLOBAL_EXPEDITED` is used: 1 to 20 µs here. `MEMBARRIER_CMD_GLOBAL` waits for a grace period of the kernel, some 10 ms.
//!
//! Under loom both are full fences: what is checked there is where they stand.

#[cfg(not(loom))]
mod real {
    #![allow(unsafe_code, reason = "the system call")]

    use std::sync::OnceLock;

    use crate::sync::{Ordering, compiler_fence};

    fn call(command: libc::c_int) -> bool {
        crate::diagnostics::count();
        // SAFETY: the call touches no memory of ours.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) >= 0 }
    }

    /// What came of the one attempt. A child after `fork` inherits both this and the registration; a program after `exec` neither.
    static REGISTERED: OnceLock<bool> = OnceLock::new();

    /// Registers this process, once, and says whether heavy fences reach it and can be made by it.
    pub fn register() -> bool {
        *REGISTERED.get_or_init(|| {
            // The fence is tried as well: a filter of system calls may know one command and not the other.
            call(libc::MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) && heavy_fence()
        })
    }

    /// Whether this process has registered, so that heavy fences reach it. Two loads: this is asked at every notification.
    #[inline]
    pub fn is_registered() -> bool {
        REGISTERED.get() == Some(&true)
    }

    /// A full fence here and on every processor that runs a registered process. Says whether it was made.
    #[must_use = "without it nothing is ordered"]
    pub fn heavy_fence() -> bool {
        call(libc::MEMBARRIER_CMD_GLOBAL_EXPEDITED)
    }

    /// Keeps the compiler from moving memory accesses across. Enough in a registered process, where the other side makes a [`heavy_fence`].
    #[inline]
    pub fn light_fence() {
        compiler_fence(Ordering::SeqCst);
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn who_could_register_can_make_the_fence() {
            assert!(!register() || heavy_fence());
            assert_eq!(is_registered(), register());
        }
    }
}

#[cfg(loom)]
mod real {
    use crate::sync::{Ordering, fence};

    pub fn register() -> bool {
        true
    }

    pub fn is_registered() -> bool {
        true
    }

    #[must_use = "without it nothing is ordered"]
    pub fn heavy_fence() -> bool {
        fence(Ordering::SeqCst); // edge: asymmetric.fence
        true
    }

    pub fn light_fence() {
        fence(Ordering::SeqCst); // edge: asymmetric.fence
    }
}

pub use real::{heavy_fence, is_registered, light_fence, register};
