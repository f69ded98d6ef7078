//! `signal` (class notify): real-time signals, queued by the sender, taken with `sigtimedwait` by the receiver.
//!
//! Real-time signals are queued, not merged, so the count is exact. They are sent to the receiving *thread*
//! (`rt_tgsigqueueinfo`, what `sigqueue` does for a process): a process may have other threads, and the default action of
//! the signal would end it. The receiver blocks the signal, then publishes its number in a shared word; it never unblocks
//! it, because one that is still queued would be fatal.
//!
//! How many may be queued is a limit of the *user* (`RLIMIT_SIGPENDING`), shared by all processes and by their timers. So
//! that a fast sender does not take it all, the receiver counts in a second shared word what it has taken, and the sender
//! stays within the capacity of the link, which is half of that limit at most. A full link (and a limit that others
//! have used up) makes the sender give its core away until there is room: the mechanism has no way to block it.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use memmap2::MmapRaw;
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{getpid, gettid, getuid};

use super::shared_memory;
use super::{
    Link, LinkError, LinkShape, Promises, Receiver, Sender, Ticket, Transport, alarm, calls, join,
    limits,
};

/// Counted from the first real-time signal that the C library leaves to us.
const SIGNAL_OFFSET: libc::c_int = 5;

/// How often a sender looks whether its receiver is there; only before the first message.
const LOOK_PAUSE: Duration = Duration::from_micros(200);

fn signal() -> libc::c_int {
    libc::SIGRTMIN() + SIGNAL_OFFSET
}

/// Real-time signals.
#[derive(Debug, Clone, Copy)]
pub struct Signals;

impl Transport for Signals {
    type Tx = SignalSender;
    type Rx = SignalReceiver;

    fn promises(&self) -> Promises {
        Promises::SHARED
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let (pending_max, _) = getrlimit(Resource::RLIMIT_SIGPENDING)
            .map_err(|errno| limits::refused("getrlimit", errno))?;
        if pending_max == 0 {
            return Err(LinkError::Unavailable(
                "this user may queue 0 signals, and one at least is needed; raise `ulimit -i`"
                    .to_owned(),
            ));
        }
        let half = usize::try_from(pending_max / 2)
            .unwrap_or(usize::MAX)
            .max(1);
        let memory = shared_memory::anonymous_page()?;
        Ok(join::link_of_one(
            memory,
            shape,
            shape.capacity.clamp(1, half),
        ))
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<SignalSender> {
        let page = Page::map(&ticket.sender_fds)?;
        // SAFETY: all-zero bytes are a valid `siginfo_t`: integers and null pointers.
        let mut info: SignalInfo = unsafe { MaybeUninit::zeroed().assume_init() };
        info.signal = signal();
        info.code = libc::SI_QUEUE;
        info.pid = getpid().as_raw();
        info.uid = getuid().as_raw();
        Ok(SignalSender {
            page,
            receiver: None,
            info,
            capacity: ticket.capacity as u64,
            sent: 0,
            taken: 0,
        })
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<SignalReceiver> {
        let page = Page::map(&ticket.receiver_fds)?;
        let set = block()?;
        page.publish();
        Ok(SignalReceiver {
            set,
            page,
            taken: 0,
        })
    }
}

/// The beginning of the kernel's `siginfo_t` as `rt_tgsigqueueinfo` reads it for `SI_QUEUE`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct SignalInfo {
    signal: libc::c_int,
    errno: libc::c_int,
    code: libc::c_int,
    #[cfg(target_pointer_width = "64")]
    _padding: libc::c_int,
    pid: libc::pid_t,
    uid: libc::uid_t,
    value: usize,
    _rest: [u64; 12],
}

const _: () = assert!(size_of::<SignalInfo>() >= size_of::<libc::siginfo_t>());

/// Says which thread receives: its process in the upper half, its own number in the lower; zero before.
const ADDRESS: usize = 0;
/// The receiver's count of signals taken.
const TAKEN: usize = 128;

/// The two shared words.
#[derive(Debug)]
struct Page(MmapRaw);

impl Page {
    fn map(fds: &[RawFd]) -> io::Result<Self> {
        Ok(Self(shared_memory::map(
            &join::adopt(fds)?,
            shared_memory::PAGE_LEN,
        )?))
    }

    #[inline]
    fn word(&self, offset: usize) -> &AtomicU64 {
        debug_assert!(offset == ADDRESS || offset == TAKEN);
        // SAFETY: both offsets are inside the mapped page.
        let at = unsafe { self.0.as_mut_ptr().add(offset) };
        // SAFETY: aligned, mapped as long as self, and touched only as this atomic.
        unsafe { AtomicU64::from_ptr(at.cast()) }
    }

    /// Release: the signal is blocked before anybody can know whom to send it to.
    fn publish(&self) {
        let (process, thread) = (getpid().as_raw() as u32, gettid().as_raw() as u32);
        self.word(ADDRESS).store(
            u64::from(process) << 32 | u64::from(thread),
            Ordering::Release,
        );
    }

    /// Waits until a receiver has published itself.
    fn wait(&self) -> io::Result<(libc::pid_t, libc::pid_t)> {
        loop {
            let word = self.word(ADDRESS).load(Ordering::Acquire);
            if word != 0 {
                return Ok(((word >> 32) as libc::pid_t, word as libc::pid_t));
            }
            if alarm::expired() {
                return Err(alarm::timed_out());
            }
            calls::count();
            std::thread::sleep(LOOK_PAUSE);
        }
    }
}

/// Queues signals.
#[derive(Debug)]
pub struct SignalSender {
    page: Page,
    receiver: Option<(libc::pid_t, libc::pid_t)>,
    info: SignalInfo,
    capacity: u64,
    sent: u64,
    /// A copy of the receiver's count, maybe old.
    taken: u64,
}

impl SignalSender {
    #[cold]
    fn wait_for_room(&mut self) -> io::Result<()> {
        alarm::yield_until_function(Errno::EAGAIN, || {
            // Relaxed: a number that guards no data; the signals themselves go through the kernel.
            self.taken = self.page.word(TAKEN).load(Ordering::Relaxed);
            if self.sent.saturating_sub(self.taken) < self.capacity {
                Ok(())
            } else {
                Err(Errno::EAGAIN)
            }
        })
    }
}

impl Sender for SignalSender {
    fn send(&mut self, _: &[u8]) -> io::Result<()> {
        let (process, thread) = match self.receiver {
            Some(receiver) => receiver,
            None => *self.receiver.insert(self.page.wait()?),
        };
        if self.sent.saturating_sub(self.taken) >= self.capacity {
            self.wait_for_room()?;
        }
        let info = &raw const self.info;
        let queued = alarm::yield_until(Errno::EAGAIN, || {
            // SAFETY: `info` is as large as the kernel's `siginfo_t` and outlives the call.
            let result = unsafe {
                libc::syscall(
                    libc::SYS_rt_tgsigqueueinfo,
                    process,
                    thread,
                    self.info.signal,
                    info,
                )
            };
            Errno::result(result).map(drop)
        });
        queued.map_err(|error| match error.raw_os_error() {
            Some(libc::ESRCH) => io::Error::new(io::ErrorKind::BrokenPipe, error),
            _ => error,
        })?;
        self.sent += 1;
        Ok(())
    }
}

/// Takes signals out of the queue of its thread.
#[derive(Debug)]
pub struct SignalReceiver {
    set: libc::sigset_t,
    page: Page,
    taken: u64,
}

/// Blocks the signal in this thread, and returns the set that holds only it.
fn block() -> io::Result<libc::sigset_t> {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `set` is writable.
    Errno::result(unsafe { libc::sigemptyset(set.as_mut_ptr()) })?;
    // SAFETY: `sigemptyset` has made it a valid set.
    let mut set = unsafe { set.assume_init() };
    // SAFETY: a valid set and a number in range.
    Errno::result(unsafe { libc::sigaddset(&raw mut set, signal()) })?;
    // SAFETY: a valid set; the old mask is not asked for.
    let result = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut()) };
    match result {
        0 => Ok(set),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

impl Receiver for SignalReceiver {
    fn recv(&mut self, _: &mut [u8]) -> io::Result<usize> {
        alarm::retry(|| {
            // SAFETY: a valid set; without a place for details and without a timeout, which the alarm replaces.
            Errno::result(unsafe {
                libc::sigtimedwait(&raw const self.set, ptr::null_mut(), ptr::null())
            })
        })?;
        self.taken += 1;
        self.page.word(TAKEN).store(self.taken, Ordering::Relaxed);
        Ok(0)
    }
}
