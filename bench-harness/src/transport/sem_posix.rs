//! `sem-posix` (class notify): a POSIX semaphore in shared memory; and the wrapper of `sem_t` that others use too.
#![allow(unsafe_code)]

use std::io;

use memmap2::MmapRaw;
use nix::errno::Errno;

use super::{
    Link, LinkError, LinkShape, Promises, Receiver, Sender, Ticket, Transport, alarm, calls, join,
    limits, shared_memory,
};

/// Where the semaphore is; also the room that is made for it.
pub const SEMAPHORE_LEN: usize = 128;
const _: () = assert!(size_of::<libc::sem_t>() <= SEMAPHORE_LEN);
const _: () = assert!(SEMAPHORE_LEN.is_multiple_of(align_of::<libc::sem_t>()));

/// The largest value of a semaphore (`SEM_VALUE_MAX` of Linux).
const VALUE_MAX: usize = i32::MAX as usize;

/// A process-shared semaphore in mapped memory.
#[derive(Debug)]
pub struct SharedSemaphore(*mut libc::sem_t);

impl SharedSemaphore {
    /// Makes a fresh semaphore.
    ///
    /// # Errors
    /// See [`LinkError`]: a C library without process-shared semaphores makes the mechanism unavailable.
    ///
    /// # Safety
    /// `at` points to [`SEMAPHORE_LEN`] bytes of shared memory, aligned to 8, that nobody else uses yet.
    pub unsafe fn init(at: *mut u8, value: usize) -> Result<(), LinkError> {
        let shared_between_processes = 1;
        let value = value.min(VALUE_MAX) as libc::c_uint;
        // SAFETY: large enough and aligned (asserted above and promised by the caller), and nobody uses it yet.
        let result = unsafe { libc::sem_init(at.cast(), shared_between_processes, value) };
        Errno::result(result).map_err(|errno| limits::refused("sem_init", errno))?;
        Ok(())
    }

    /// # Safety
    /// `at` points to a semaphore that [`Self::init`] made and that stays mapped as long as the value is used.
    pub unsafe fn at(at: *mut u8) -> Self {
        // The C library makes its futex calls only when somebody has to wait or to be woken, and doesn't tell.
        calls::hide();
        Self(at.cast())
    }

    /// Takes one, or waits.
    ///
    /// # Errors
    /// `TimedOut` when the deadline has passed.
    #[inline]
    pub fn wait(&self) -> io::Result<()> {
        // SAFETY: `at` was told that the semaphore is initialised and stays mapped.
        alarm::retry_function(|| Errno::result(unsafe { libc::sem_wait(self.0) }).map(drop))
    }

    /// Gives one; waits while it is at its highest value.
    ///
    /// # Errors
    /// `TimedOut` when the deadline has passed.
    #[inline]
    pub fn post(&self) -> io::Result<()> {
        alarm::yield_until_function(Errno::EOVERFLOW, || {
            // SAFETY: `at` was told that the semaphore is initialised and stays mapped.
            Errno::result(unsafe { libc::sem_post(self.0) }).map(drop)
        })
    }
}

/// A POSIX semaphore in shared memory.
#[derive(Debug, Clone, Copy)]
pub struct SemPosix;

impl Transport for SemPosix {
    type Tx = SemPosixEnd;
    type Rx = SemPosixEnd;

    fn promises(&self) -> Promises {
        Promises::COUNTER
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let memory = shared_memory::anonymous_page()?;
        let map = shared_memory::map(&memory, SEMAPHORE_LEN)?;
        // SAFETY: a fresh mapping of that length, aligned to a page.
        unsafe { SharedSemaphore::init(map.as_mut_ptr(), 0) }?;
        Ok(join::link_of_one(memory, shape, VALUE_MAX))
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<SemPosixEnd> {
        SemPosixEnd::join(&ticket.sender_fds)
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<SemPosixEnd> {
        SemPosixEnd::join(&ticket.receiver_fds)
    }
}

/// One side of the semaphore.
#[derive(Debug)]
pub struct SemPosixEnd {
    semaphore: SharedSemaphore,
    _map: MmapRaw,
}

impl SemPosixEnd {
    fn join(fds: &[std::os::fd::RawFd]) -> io::Result<Self> {
        let map = shared_memory::map(&join::adopt(fds)?, SEMAPHORE_LEN)?;
        // SAFETY: `create` made the semaphore there; the mapping lives in the same struct.
        let semaphore = unsafe { SharedSemaphore::at(map.as_mut_ptr()) };
        Ok(Self {
            semaphore,
            _map: map,
        })
    }
}

impl Sender for SemPosixEnd {
    #[inline]
    fn send(&mut self, _: &[u8]) -> io::Result<()> {
        self.semaphore.post()
    }
}

impl Receiver for SemPosixEnd {
    #[inline]
    fn recv(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.semaphore.wait()?;
        Ok(0)
    }
}
