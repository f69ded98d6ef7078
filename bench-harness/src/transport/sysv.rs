//! System V IPC: identifiers that must be removed, wrapped so that they are.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::io;
use std::ptr;

use nix::errno::Errno;

use super::{LinkError, alarm, limits};

const OWNER_ONLY: libc::c_int = 0o600;

/// The largest value of a semaphore (`SEMVMX`; not a setting, but part of the kernel).
pub const SEMAPHORE_VALUE_MAX: usize = 32_767;

/// What a removed identifier means: the coordinator has ended the link.
fn is_removed(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EIDRM | libc::EINVAL))
}

/// `BrokenPipe` or `UnexpectedEof` (as the side wants it) for an identifier that was removed meanwhile.
pub fn removed_as(kind: io::ErrorKind, error: io::Error) -> io::Error {
    if is_removed(&error) {
        io::Error::new(kind, error)
    } else {
        error
    }
}

/// Shared memory attached to this process; the last detachment frees it, because it is marked for removal from the start.
#[derive(Debug)]
pub struct Attachment {
    base: *mut u8,
}

// SAFETY: an attachment belongs to the process, not to a thread.
unsafe impl Send for Attachment {}

impl Attachment {
    /// Makes a segment, attaches it and marks it for removal; Linux lets others attach it by its number as long as this
    /// attachment stands. Whoever dies, nothing is left behind.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub fn create(len: usize) -> Result<(libc::c_int, Self), LinkError> {
        // SAFETY: no memory is handed over.
        let id = unsafe { libc::shmget(libc::IPC_PRIVATE, len, libc::IPC_CREAT | OWNER_ONLY) };
        let id = Errno::result(id).map_err(|errno| match errno {
            Errno::EINVAL | Errno::ENOSPC | Errno::ENOMEM => LinkError::Unavailable(format!(
                "a System V segment of {len} B is over a limit of the system ({}); choose a smaller \
                 --size, or ask an administrator to raise kernel.shmmax, kernel.shmall or kernel.shmmni",
                errno.desc()
            )),
            errno => limits::refused("shmget", errno),
        })?;
        let attached = Self::attach(id, len);
        // SAFETY: IPC_RMID takes no argument.
        let marked = unsafe { libc::shmctl(id, libc::IPC_RMID, ptr::null_mut()) };
        let attached = attached?;
        Errno::result(marked).map_err(io::Error::from)?;
        Ok((id, attached))
    }

    /// Attaches a segment of at least `len` bytes.
    ///
    /// # Errors
    /// `InvalidInput` when it is smaller, otherwise what `shmat` said.
    pub fn attach(id: libc::c_int, len: usize) -> io::Result<Self> {
        // SAFETY: null lets the kernel choose a free address.
        let base = unsafe { libc::shmat(id, ptr::null(), 0) };
        if base as isize == -1 {
            return Err(io::Error::last_os_error());
        }
        let attached = Self { base: base.cast() };
        // SAFETY: all-zero bytes are a valid `shmid_ds`: integers only.
        let mut state: libc::shmid_ds = unsafe { std::mem::zeroed() };
        // SAFETY: `state` outlives the call.
        Errno::result(unsafe { libc::shmctl(id, libc::IPC_STAT, &raw mut state) })?;
        if state.shm_segsz < len {
            let text = format!("the segment has {} B instead of {len} B", state.shm_segsz);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Ok(attached)
    }

    /// Where it is: aligned to a page, and valid as long as self.
    pub fn base(&self) -> *mut u8 {
        self.base
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // SAFETY: attached by us at this address; nobody uses it after self.
        unsafe { libc::shmdt(self.base.cast::<c_void>()) };
    }
}

/// A set of semaphores of System V that is removed when this is dropped.
#[derive(Debug)]
pub struct OwnedSemaphores(libc::c_int);

impl OwnedSemaphores {
    /// Makes a set with these values, each at most [`SEMAPHORE_VALUE_MAX`].
    ///
    /// # Errors
    /// See [`LinkError`].
    pub fn create<const N: usize>(values: [u16; N]) -> Result<Self, LinkError> {
        let flags = libc::IPC_CREAT | OWNER_ONLY;
        // SAFETY: no memory is handed over.
        let id = unsafe { libc::semget(libc::IPC_PRIVATE, i32::from(const { N as u8 }), flags) };
        let id = Errno::result(id).map_err(|errno| {
            match errno {
            Errno::ENOSPC => LinkError::Unavailable(
                "the system has no room for another set of System V semaphores; remove unused ones \
                 (ipcs -s, ipcrm -s), or ask an administrator to raise kernel.sem"
                    .to_owned(),
            ),
            errno => limits::refused("semget", errno),
        }
        })?;
        let set = Self(id);
        // SAFETY: SETALL reads as many values as the set has: N, the length of the array.
        let filled = unsafe { libc::semctl(id, 0, libc::SETALL, values.as_ptr()) };
        Errno::result(filled).map_err(io::Error::from)?;
        Ok(set)
    }

    /// The number under which other processes find it.
    pub fn id(&self) -> libc::c_int {
        self.0
    }
}

impl Drop for OwnedSemaphores {
    fn drop(&mut self) {
        // SAFETY: IPC_RMID takes no argument; the set is ours.
        unsafe { libc::semctl(self.0, 0, libc::IPC_RMID) };
    }
}

/// A set that somebody else owns.
#[derive(Debug, Clone, Copy)]
pub struct Semaphores(libc::c_int);

impl Semaphores {
    /// The set with this identifier.
    pub fn of(id: libc::c_int) -> Self {
        Self(id)
    }

    /// One `semop`: all of the changes, or none yet.
    #[inline]
    fn change<const N: usize>(self, mut changes: [libc::sembuf; N]) -> nix::Result<()> {
        // SAFETY: so many operations, which outlive the call.
        Errno::result(unsafe { libc::semop(self.0, changes.as_mut_ptr(), N) }).map(drop)
    }

    /// Takes one of `take`, or waits, and gives one to `give`, both at once; undone if this process dies.
    ///
    /// # Errors
    /// `TimedOut` when the deadline has passed, otherwise what `semop` said.
    #[inline]
    pub fn exchange_with_undo(self, take: u16, give: u16) -> io::Result<()> {
        let change = |sem_num, sem_op| libc::sembuf {
            sem_num,
            sem_op,
            sem_flg: libc::SEM_UNDO as libc::c_short,
        };
        alarm::retry(|| self.change([change(take, -1), change(give, 1)]))
    }
}

/// One semaphore of a set that somebody else owns.
#[derive(Debug, Clone, Copy)]
pub struct Semaphore {
    set: Semaphores,
    number: libc::c_ushort,
    flags: libc::c_short,
}

impl Semaphore {
    /// The semaphore with this number in the set with this identifier.
    pub fn of(set: libc::c_int, number: libc::c_ushort) -> Self {
        Self {
            set: Semaphores::of(set),
            number,
            flags: 0,
        }
    }

    /// The same one; the kernel takes back what this process does to it when the process dies. It refuses to keep account of more than
    /// [`SEMAPHORE_VALUE_MAX`] permits taken, or given, and not balanced.
    #[must_use]
    pub fn with_undo(self) -> Self {
        let flags = libc::SEM_UNDO as libc::c_short;
        Self { flags, ..self }
    }

    #[inline]
    fn change(self, by: libc::c_short) -> nix::Result<()> {
        self.set.change([libc::sembuf {
            sem_num: self.number,
            sem_op: by,
            sem_flg: self.flags,
        }])
    }

    /// Takes one, or waits.
    ///
    /// # Errors
    /// `TimedOut` when the deadline has passed, otherwise what `semop` said.
    #[inline]
    pub fn wait(self) -> io::Result<()> {
        alarm::retry(|| self.change(-1))
    }

    /// Gives one; waits while it is at its highest value.
    ///
    /// # Errors
    /// `TimedOut` when the deadline has passed, otherwise what `semop` said.
    #[inline]
    pub fn post(self) -> io::Result<()> {
        alarm::yield_until(Errno::ERANGE, || self.change(1))
    }
}

/// A message queue of System V that is removed when this is dropped.
#[derive(Debug)]
pub struct OwnedQueue(libc::c_int);

impl OwnedQueue {
    /// Makes a queue.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub fn create() -> Result<Self, LinkError> {
        // SAFETY: no memory is handed over.
        let id = unsafe { libc::msgget(libc::IPC_PRIVATE, libc::IPC_CREAT | OWNER_ONLY) };
        let id = Errno::result(id).map_err(|errno| match errno {
            Errno::ENOSPC => LinkError::Unavailable(
                "the system has no room for another System V queue; remove unused ones (ipcs -q, \
                 ipcrm -q), or ask an administrator to raise kernel.msgmni"
                    .to_owned(),
            ),
            errno => limits::refused("msgget", errno),
        })?;
        Ok(Self(id))
    }

    /// The number under which other processes find it.
    pub fn id(&self) -> libc::c_int {
        self.0
    }

    /// The bytes that it may hold; `wanted` lowers them, and never raises them over what the system gave.
    ///
    /// # Errors
    /// What `msgctl` said.
    pub fn limit_bytes(&self, wanted: usize) -> io::Result<usize> {
        // SAFETY: all-zero bytes are a valid `msqid_ds`: integers only.
        let mut state: libc::msqid_ds = unsafe { std::mem::zeroed() };
        // SAFETY: `state` outlives the call.
        Errno::result(unsafe { libc::msgctl(self.0, libc::IPC_STAT, &raw mut state) })?;
        let given = state.msg_qbytes as usize;
        if wanted >= given {
            return Ok(given);
        }
        state.msg_qbytes = wanted as libc::msglen_t;
        // SAFETY: `state` outlives the call.
        Errno::result(unsafe { libc::msgctl(self.0, libc::IPC_SET, &raw mut state) })?;
        Ok(wanted)
    }
}

impl Drop for OwnedQueue {
    fn drop(&mut self) {
        // SAFETY: IPC_RMID takes no argument; the queue is ours.
        unsafe { libc::msgctl(self.0, libc::IPC_RMID, ptr::null_mut()) };
    }
}

/// The `index`-th number in a ticket's text (numbers parted by blanks).
///
/// # Errors
/// `InvalidInput` when there is none.
pub fn number_in(text: &str, index: usize) -> io::Result<libc::c_int> {
    let number = text
        .split_whitespace()
        .nth(index)
        .and_then(|word| word.parse().ok());
    number.ok_or_else(|| {
        let text = format!("the ticket's text {text:?} has no number {index}");
        io::Error::new(io::ErrorKind::InvalidInput, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn semaphores_exist(id: libc::c_int) -> bool {
        // SAFETY: GETVAL takes no argument.
        unsafe { libc::semctl(id, 0, libc::GETVAL) >= 0 }
    }

    fn queue_exists(id: libc::c_int) -> bool {
        // SAFETY: all-zero bytes are a valid `msqid_ds`.
        let mut state: libc::msqid_ds = unsafe { std::mem::zeroed() };
        // SAFETY: `state` outlives the call.
        unsafe { libc::msgctl(id, libc::IPC_STAT, &raw mut state) == 0 }
    }

    #[test]
    fn segment_lives_as_long_as_somebody_has_it_attached_and_no_longer() {
        let Some((id, first)) = limits::available(Attachment::create(10_000)) else {
            return;
        };
        let second = Attachment::attach(id, 10_000).unwrap();
        assert!(first.base() != second.base());
        drop(first);
        let third = Attachment::attach(id, 10_000).unwrap();
        drop((second, third));
        assert!(Attachment::attach(id, 10_000).is_err());
    }

    #[test]
    fn segment_that_is_too_small_is_refused() {
        let Some((id, _first)) = limits::available(Attachment::create(4096)) else {
            return;
        };
        let error = Attachment::attach(id, 4097).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn semaphores_and_queue_are_removed_on_drop() {
        let Some(set) = limits::available(OwnedSemaphores::create([1, 2])) else {
            return;
        };
        let Some(queue) = limits::available(OwnedQueue::create()) else {
            return;
        };
        let (set_id, queue_id) = (set.id(), queue.id());
        assert!(semaphores_exist(set_id) && queue_exists(queue_id));
        drop((set, queue));
        assert!(!semaphores_exist(set_id) && !queue_exists(queue_id));
    }

    #[test]
    fn limit_of_a_queue_is_lowered_but_never_raised() {
        let Some(queue) = limits::available(OwnedQueue::create()) else {
            return;
        };
        let given = queue.limit_bytes(usize::MAX).unwrap();
        assert_eq!(queue.limit_bytes(given / 2).unwrap(), given / 2);
        assert_eq!(queue.limit_bytes(usize::MAX).unwrap(), given / 2);
    }

    #[test]
    fn ticket_without_a_number_is_refused() {
        assert_eq!(number_in("17 4", 1).unwrap(), 4);
        assert!(number_in("17 x", 1).is_err());
        assert!(number_in("17", 1).is_err());
    }
}
