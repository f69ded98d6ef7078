//! `mutex-condvar` (class notify): a process-shared pthread mutex and condition variable around a counter, as in every textbook.
#![allow(unsafe_code, reason = "the calls of pthread, and mapped memory")]

use std::cell::UnsafeCell;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use memmap2::MmapRaw;
use nix::errno::Errno;

use super::{
    Link, LinkError, LinkShape, Promises, Receiver, Sender, Ticket, Transport, alarm, calls, join,
    limits, shared_memory,
};
use crate::clock::now_ns;

/// What is said about the highest count: the counter's own is 2^64 - 1, but not every reader of JSON keeps such a number.
const COUNT_MAX: usize = 1 << 53;

/// What lies in the shared memory.
#[repr(C)]
struct Words {
    mutex: UnsafeCell<libc::pthread_mutex_t>,
    condvar: UnsafeCell<libc::pthread_cond_t>,
    /// Touched only under the mutex.
    count: UnsafeCell<u64>,
}
const _: () = assert!(size_of::<Words>() <= shared_memory::PAGE_LEN);

fn words_in(map: &MmapRaw) -> &Words {
    let start = NonNull::new(map.as_mut_ptr()).expect("a mapping is never at address zero");
    // SAFETY: aligned to a page, and a page long (asserted above); any bytes are valid in every field, and all of them are in cells.
    unsafe { start.cast::<Words>().as_ref() }
}

/// What pthread says: zero, or the number of the error.
fn check(code: libc::c_int) -> Result<(), Errno> {
    match code {
        0 => Ok(()),
        code => Err(Errno::from_raw(code)),
    }
}

/// A counter with a mutex and a condition variable, in mapped memory.
#[derive(Debug)]
pub struct SharedMonitor {
    map: MmapRaw,
    until: libc::timespec,
}

impl SharedMonitor {
    /// Makes the mutex and the condition variable in a fresh page.
    ///
    /// # Errors
    /// See [`LinkError`]: a C library without process-shared mutexes makes the mechanism unavailable.
    fn init(map: &MmapRaw) -> Result<(), LinkError> {
        let words = words_in(map);
        let refused = |what| move |errno| limits::refused(what, errno);
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: the attributes are writable.
        check(unsafe { libc::pthread_mutexattr_init(attributes.as_mut_ptr()) })
            .map_err(refused("pthread_mutexattr_init"))?;
        let shared = libc::PTHREAD_PROCESS_SHARED;
        // SAFETY: made by the call above.
        check(unsafe { libc::pthread_mutexattr_setpshared(attributes.as_mut_ptr(), shared) })
            .map_err(refused("pthread_mutexattr_setpshared"))?;
        // SAFETY: nobody uses the memory yet, and the attributes are made.
        check(unsafe { libc::pthread_mutex_init(words.mutex.get(), attributes.as_ptr()) })
            .map_err(refused("pthread_mutex_init"))?;
        Self::init_condvar(words).map_err(refused("pthread_cond_init"))
    }

    fn init_condvar(words: &Words) -> Result<(), Errno> {
        let mut attributes = MaybeUninit::uninit();
        let shared = libc::PTHREAD_PROCESS_SHARED;
        // SAFETY: the attributes are writable.
        check(unsafe { libc::pthread_condattr_init(attributes.as_mut_ptr()) })?;
        // SAFETY: made by the call above.
        check(unsafe { libc::pthread_condattr_setpshared(attributes.as_mut_ptr(), shared) })?;
        let clock = libc::CLOCK_MONOTONIC;
        // SAFETY: made by the call above.
        check(unsafe { libc::pthread_condattr_setclock(attributes.as_mut_ptr(), clock) })?;
        // SAFETY: nobody uses the memory yet, and the attributes are made.
        check(unsafe { libc::pthread_cond_init(words.condvar.get(), attributes.as_ptr()) })
    }

    fn join(fds: &[RawFd]) -> io::Result<Self> {
        // The C library makes its futex calls only when somebody has to wait or to be woken, and doesn't tell.
        calls::hide();
        Ok(Self {
            map: shared_memory::map(&join::adopt(fds)?, shared_memory::PAGE_LEN)?,
            until: timespec(u64::MAX),
        })
    }

    /// Does something to the count under the mutex.
    #[inline]
    fn locked<T>(&self, action: impl FnOnce(&Words, *mut u64) -> io::Result<T>) -> io::Result<T> {
        let words = words_in(&self.map);
        // SAFETY: `create` made the mutex.
        check(unsafe { libc::pthread_mutex_lock(words.mutex.get()) })?;
        let result = action(words, words.count.get());
        // SAFETY: this thread has locked it.
        check(unsafe { libc::pthread_mutex_unlock(words.mutex.get()) })?;
        result
    }

    /// Takes one, or waits.
    ///
    /// # Errors
    /// `TimedOut` when the deadline has passed.
    #[inline]
    pub fn wait(&self) -> io::Result<()> {
        self.locked(|words, count| {
            loop {
                // SAFETY: in the mapping, and ours alone while we hold the mutex.
                let seen = unsafe { count.read() };
                if let Some(left) = seen.checked_sub(1) {
                    // SAFETY: as above.
                    unsafe { count.write(left) };
                    return Ok(());
                }
                // SAFETY: `create` made both, and this thread holds the mutex.
                let code = unsafe {
                    libc::pthread_cond_timedwait(
                        words.condvar.get(),
                        words.mutex.get(),
                        &raw const self.until,
                    )
                };
                check(code).map_err(|errno| match errno {
                    Errno::ETIMEDOUT => alarm::timed_out(),
                    errno => errno.into(),
                })?;
            }
        })
    }

    /// Gives one.
    ///
    /// # Errors
    /// What pthread said.
    #[inline]
    pub fn post(&self) -> io::Result<()> {
        self.locked(|_, count| {
            // SAFETY: in the mapping, and ours alone while we hold the mutex.
            unsafe { *count += 1 };
            Ok(())
        })?;
        // SAFETY: `create` made it.
        check(unsafe { libc::pthread_cond_signal(words_in(&self.map).condvar.get()) })?;
        Ok(())
    }
}

/// A moment of `CLOCK_MONOTONIC`.
fn timespec(at_ns: u64) -> libc::timespec {
    let at = Duration::from_nanos(at_ns);
    libc::timespec {
        tv_sec: at.as_secs().cast_signed() as libc::time_t,
        tv_nsec: at.subsec_nanos() as libc::c_long,
    }
}

/// A mutex and a condition variable.
#[derive(Debug, Clone, Copy)]
pub struct MutexCondvar;

impl Transport for MutexCondvar {
    type Tx = SharedMonitor;
    type Rx = SharedMonitor;

    fn promises(&self) -> Promises {
        Promises::COUNTER
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let memory = shared_memory::anonymous_page()?;
        let map = shared_memory::map(&memory, shared_memory::PAGE_LEN)?;
        SharedMonitor::init(&map)?;
        Ok(join::link_of_one(memory, shape, COUNT_MAX))
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<SharedMonitor> {
        SharedMonitor::join(&ticket.sender_fds)
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<SharedMonitor> {
        SharedMonitor::join(&ticket.receiver_fds)
    }
}

impl Sender for SharedMonitor {
    #[inline]
    fn send(&mut self, _: &[u8]) -> io::Result<()> {
        self.post()
    }
}

impl Receiver for SharedMonitor {
    #[inline]
    fn recv(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.wait()?;
        Ok(0)
    }

    fn begin_window(&mut self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        self.until = timespec(now_ns().saturating_add(left.as_nanos() as u64));
    }
}
