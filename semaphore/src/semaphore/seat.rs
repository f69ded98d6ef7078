//! A seat: a place in the table of participants that a handle has taken.
//!
//! The proof of life is a lock on one byte of the file, held by nothing but the mapping (see [`lock`]). A free byte
//! proves that its holder can't store into the segment any more. "Free" is believed only while our own byte reads as held.

#![allow(unsafe_code, reason = "mapped bytes become the words of a semaphore")]

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;

use super::core::{Core, Participant, Refused, Words};
use super::layout::{Geometry, PARTICIPANTS_OFFSET, WORDS_OFFSET};
use super::member::Member;
use super::reserve::Ticks;
use super::word::Record;
use crate::Deadline;
use crate::error::Error;
use crate::membarrier;
use crate::os::descriptors::with_private_table;
use crate::os::mapping::Mapping;
use crate::os::{file, forks, lock};
use crate::segment::{Name, Refusal};
use crate::sync::Ordering;

/// Whoever waits asks for the dead so often, all of them together: 20 ms.
const ASK_EVERY_TICKS: u32 = 20_000_000 >> 16;
/// How long a newcomer waits for one who has the semaphore to itself and can't be made to give it up.
const PATIENCE_NS: u64 = 1_000_000_000;

/// Of [`Participant::life`].
const TAKEN: u64 = 1;

/// A file that was created or checked.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Without any lock: good for questions, and for opening anew.
    pub(crate) file: OwnedFd,
    /// From the checked header.
    pub(crate) geometry: Geometry,
    /// For messages.
    pub(crate) name: Name,
}

/// The mapped words.
#[derive(Debug)]
struct View {
    /// Not for longer than the mapping beside it; lent out with its lifetime only.
    core: Core<'static>,
    mapping: Mapping,
}

impl View {
    fn new(mapping: Mapping, geometry: Geometry) -> Self {
        let at = |offset: u64| {
            // SAFETY: within the mapping, which has the length of the geometry.
            unsafe { mapping.base().add(offset as usize) }
        };
        let (words, first) = (at(WORDS_OFFSET).cast(), at(PARTICIPANTS_OFFSET).cast());
        let participants = NonNull::slice_from_raw_parts(first, geometry.participants as usize);
        // SAFETY: aligned (a page), within the mapping that is kept beside it, and made of atomics, for which all bytes are valid.
        let words: &'static Words = unsafe { words.as_ref() };
        // SAFETY: as above, and aligned to a line.
        let participants: &'static [Participant] = unsafe { participants.as_ref() };
        let core = Core {
            words,
            participants,
        };
        Self { core, mapping }
    }

    #[inline]
    fn core(&self) -> Core<'_> {
        self.core
    }
}

/// A place in the table that is ours, until it is dropped or the process dies.
#[derive(Debug)]
pub(crate) struct Seat {
    /// What only we know of ourselves. Its cells keep the seat with one thread at a time.
    pub(crate) member: Member<'static>,
    /// Dropped after the member, which borrows from it.
    view: View,
    segment: Arc<Segment>,
    /// Forks before we came. A child has a copy of this, and no such memory.
    forks: u64,
}

impl Seat {
    /// Takes a free seat.
    pub(crate) fn take(segment: &Arc<Segment>) -> Result<Self, Error> {
        let geometry = segment.geometry;
        let seat = with_private_table(|| {
            let os = |operation| {
                move |source| {
                    let refusal = Refusal::from_io(operation, source);
                    Error::from_refusal(&segment.name, refusal)
                }
            };
            let own = file::reopen(segment.file.as_fd()).map_err(os("reopen"))?;
            let mapping = Mapping::new(own.as_fd(), geometry.total_len(), 0).map_err(os("map"))?;
            let view = View::new(mapping, geometry);
            let index = lock_a_seat(own.as_fd(), view.core())
                .map_err(os("lock"))?
                .ok_or_else(|| Error::NoSeat {
                    name: segment.name.to_string(),
                    max: geometry.participants,
                })?;
            Ok((view, index))
        });
        let (view, index) = seat?;
        let may_bias = geometry.asymmetric && membarrier::register();
        let corrupt = |refused| Error::from_refused(&segment.name, refused);
        let core = view.core();
        if geometry.asymmetric && !may_bias {
            make_plain(core, segment.file.as_fd()).map_err(corrupt)?;
        }
        let participant = &core.participants[index];
        // A predecessor that died has left what it owned.
        core.recover(index, || true).map_err(corrupt)?;
        let account = &view.core.participants[index].account;
        let member = Member::new(index, account, may_bias, geometry.owned);
        // Relaxed: told to people.
        let pid = u64::from(std::process::id());
        participant.pid.store(pid, Ordering::Relaxed); // own word
        // Relaxed, both: a death is proved by the lock, and who looks into one that was proved before learns of us from the intent or the state that we
        // publish afterwards.
        let life = participant.life.load(Ordering::Relaxed);
        let next = ((life >> 1).wrapping_add(1) << 1) | TAKEN;
        participant.life.swap(next, Ordering::Relaxed);
        Ok(Self {
            member,
            view,
            segment: Arc::clone(segment),
            forks: forks::generation(),
        })
    }

    #[inline]
    pub(crate) fn core(&self) -> Core<'_> {
        self.view.core()
    }

    pub(crate) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Whether this is the process that took the seat; a child after `fork` has no such memory.
    #[inline]
    pub(crate) fn is_ours(&self) -> bool {
        self.forks == forks::generation()
    }

    fn file(&self) -> BorrowedFd<'_> {
        self.segment.file.as_fd()
    }

    /// Asks who is dead, if nobody did so lately, and brings back what they owned. Says whether anything came back.
    pub(crate) fn look_around(&self) -> Result<bool, Refused> {
        if !self.segment.geometry.owned {
            return Ok(false);
        }
        let now = Ticks::now();
        let asked_at = &self.core().words.asked_at;
        // Relaxed, all: it only spares others the question.
        let asked = asked_at.load(Ordering::Relaxed);
        let is_due = now.0.wrapping_sub(asked) >= ASK_EVERY_TICKS;
        let is_ours = is_due
            && asked_at
                .compare_exchange(asked, now.0, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if !is_ours || !self.locks_work() {
            return Ok(false);
        }
        let mut came_back = false;
        for index in 0..self.core().participants.len() {
            came_back |= self.bury(index)?;
        }
        Ok(came_back)
    }

    fn locks_work(&self) -> bool {
        lock::is_locked(self.file(), self.member.index as u32).unwrap_or(false)
    }

    /// Brings back what a participant owned, if it is dead.
    fn bury(&self, index: usize) -> Result<bool, Refused> {
        let core = self.core();
        let participant = &core.participants[index];
        // Relaxed: only compared with what it is later.
        let life = participant.life.load(Ordering::Relaxed);
        let seen = core.load();
        // Relaxed: what is not seen now is seen the next time.
        let record = Record::from_bits(participant.account.record.load(Ordering::Relaxed));
        let is_involved = record.held > 0 || seen.actor().is_some_and(|actor| actor.index == index);
        let is_alive = || lock::is_locked(self.file(), index as u32).unwrap_or(true);
        if index == self.member.index || life & TAKEN == 0 || !is_involved || is_alive() {
            return Ok(false);
        }
        // Relaxed: a successor that has done anything of which the recoverer knows has come into its seat before, by the state or the intent.
        let is_still_dead = || participant.life.load(Ordering::Relaxed) == life;
        let came_back = core.recover(index, is_still_dead)?;
        // If it fails, another one buried it, or sits there by now.
        let _ = participant.life.compare_exchange(
            life,
            life & !TAKEN,
            Ordering::Relaxed, // Relaxed, both: a hint for who looks for a seat; the lock decides
            Ordering::Relaxed, // Relaxed: as above
        );
        Ok(came_back > 0)
    }

    /// Seats whose holders live.
    pub(crate) fn living(&self) -> usize {
        if !self.is_ours() {
            return 0;
        }
        let lives = |(index, participant): &(usize, &Participant)| {
            // Relaxed: the lock tells.
            participant.life.load(Ordering::Relaxed) & TAKEN != 0
                && (*index == self.member.index
                    || lock::is_locked(self.file(), *index as u32).unwrap_or(true))
        };
        let participants = self.core().participants.iter();
        participants.enumerate().filter(lives).count()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if !self.view.mapping.is_ours() {
            return;
        }
        let core = self.core();
        // A corrupt segment can't be left in order; the kernel frees the seat with the mapping in any case.
        let _ = core.words.lose_bias(&self.member);
        // What was owned by guards that were never dropped.
        let _ = core.recover(self.member.index, || true);
        let participant = &core.participants[self.member.index];
        // Relaxed: a hint for who looks for a seat; the lock decides, and the kernel orders what lies before its end.
        participant.life.fetch_and(!TAKEN, Ordering::Relaxed);
    }
}

/// Locks the byte of a seat: of a free one, or else of one whose holder died.
fn lock_a_seat(own: BorrowedFd<'_>, core: Core<'_>) -> std::io::Result<Option<usize>> {
    for wanted in [0, TAKEN] {
        for (index, participant) in core.participants.iter().enumerate() {
            // Relaxed: a hint; the lock decides.
            let is_wanted = participant.life.load(Ordering::Relaxed) & TAKEN == wanted;
            if is_wanted && lock::try_lock(own, index as u32)? {
                return Ok(Some(index));
            }
        }
    }
    Ok(None)
}

/// Makes sure that nobody ever has the semaphore to itself again, for a participant that could not take it away.
fn make_plain(core: Core<'_>, file: BorrowedFd<'_>) -> Result<(), Refused> {
    let until = Deadline::now().plus_ns(PATIENCE_NS);
    loop {
        let seen = core.load();
        if seen.is_plain() || !seen.is_biased() && core.replace(seen, seen.plain()) {
            return Ok(());
        }
        let is_dead = || {
            let owner = seen.actor().map_or(0, |owner| owner.index as u32);
            !lock::is_locked(file, owner).unwrap_or(true)
        };
        match seen.is_biased().then(|| core.settle_with(seen, is_dead)) {
            Some(Err(Refused::CannotRevoke)) if !until.has_passed() => {
                crate::diagnostics::count();
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            Some(Err(refused)) => return Err(refused),
            Some(Ok(())) | None => {}
        }
    }
}
