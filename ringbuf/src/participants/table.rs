//! The seats of a ring for many: joining, leaving, and finding the dead.
//!
//! The proof of life is the same as for the seats of the other rings: a lock on the seat's byte of the file, which only the mapping holds.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use shm_semaphore::Deadline;
use shm_semaphore::membarrier::register;
use shm_semaphore::os::mapping::Mapping;
use shm_semaphore::os::{file, lock, process};
use shm_semaphore::sync::Ordering;

use crate::error::{Corruption, Error};
use crate::protocol::ends::End;
use crate::protocol::multi::life::{self, Attendance, Life};
use crate::role::Role;
use crate::segment::cells::Mapped;
use crate::segment::lifecycle::Segment;
use crate::segment::many::Seat;
use crate::segment::view::View;

/// The dead are asked for so often at most, by all participants together, and for each seat in use: a question takes 1 to 3 µs.
const ASK_EVERY_NS_PER_SEAT: u64 = 50_000;
/// The same with few seats in use.
const ASK_EVERY_NS_MIN: u64 = 1_000_000;

/// A participant of a ring for many, as it was last seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Participant {
    /// Its seat: 0 for the first.
    pub seat: usize,
    /// What it does.
    pub role: Role,
    /// What became of it.
    pub attendance: Attendance,
    /// The process, as it sees itself (in its own PID namespace).
    pub pid: u32,
    /// When it joined.
    pub since: SystemTime,
}

/// A seat that was just taken, and is not announced yet.
pub struct Joined {
    /// The memory, whose mapping carries the lock.
    pub mapped: Mapped,
    /// What its word will be.
    pub next: Life,
}

/// Takes a seat. Called with a private table of descriptors, as for the seats of the other rings.
pub fn take_seat(segment: &Arc<Segment>, role: Role) -> Result<Joined, Error> {
    let name = &segment.name;
    let os = |operation| move |source| Error::from_io(operation, name, source);
    let own = file::reopen(segment.file.as_fd()).map_err(os("reopen"))?;
    let view = map_all(segment, own.as_fd()).map_err(os("map"))?;
    let Some((seat, life, next)) = lock_a_seat(own.as_fd(), &view, role).map_err(os("lock"))?
    else {
        return Err(refusal(segment, &view, role));
    };
    if life.holder().ok().flatten() == Some((Role::Consumer, Attendance::Attached)) {
        // It died, and nobody has noticed. Before anything else, so that it is not forgotten if we die as well.
        leave_behind(&view);
    }
    raise_seats(&view, seat);
    drop(own);
    Ok(Joined {
        mapped: Mapped::new(view, Arc::clone(segment), seat),
        next,
    })
}

/// The seats of the role's dead come first: whoever takes one of them ends the state of their death. In a ring with one producer or consumer, that one has
/// the first seat.
fn lock_a_seat(
    own: BorrowedFd<'_>,
    view: &View,
    role: Role,
) -> std::io::Result<Option<(usize, Life, Life)>> {
    let many = view.geometry().many;
    let is_single = match role {
        Role::Producer => many.one_producer,
        Role::Consumer => many.one_consumer,
    };
    let has_single = many.one_producer || many.one_consumer;
    let seats = if is_single {
        0..1
    } else {
        usize::from(has_single)..view.seats().len()
    };
    let is_heir = |life: Life| match life.holder() {
        Ok(Some((holder, attendance))) => holder == role && attendance != Attendance::Closed,
        _ => false,
    };
    let is_free = |life: Life| matches!(life.holder(), Ok(None | Some((_, Attendance::Closed))));
    let wanted: [&dyn Fn(Life) -> bool; 3] = [&is_heir, &is_free, &|_| true];
    for is_wanted in wanted {
        for seat in seats.clone() {
            // Relaxed: a hint; the lock decides.
            let life = Life(view.seats()[seat].life.load(Ordering::Relaxed));
            if !is_wanted(life) || life.next(role).is_none() || !lock::try_lock(own, seat as u32)? {
                continue;
            }
            // Relaxed: the lock orders what its last holder did.
            let life = Life(view.seats()[seat].life.load(Ordering::Relaxed));
            if let Some(next) = life.next(role) {
                return Ok(Some((seat, life, next)));
            }
        }
    }
    Ok(None)
}

fn refusal(segment: &Segment, view: &View, role: Role) -> Error {
    let many = view.geometry().many;
    let name = segment.name.to_string();
    let is_single = match role {
        Role::Producer => many.one_producer,
        Role::Consumer => many.one_consumer,
    };
    if !is_single {
        return Error::NoSeat {
            name,
            max: many.seats,
        };
    }
    let (pid, since) = match describe(0, &view.seats()[0]) {
        Ok(Some(holder)) if holder.attendance == Attendance::Attached => {
            (Some(holder.pid), Some(holder.since))
        }
        _ => (None, None),
    };
    Error::RoleTaken {
        name,
        role,
        pid,
        since,
    }
}

fn raise_seats(view: &View, seat: usize) {
    let seats = &view.many().notes.seats;
    let wanted = seat as u64 + 1;
    // Relaxed, all: whoever sees anything of this participant sees what came before it.
    let mut seen = seats.load(Ordering::Relaxed);
    while seen < wanted {
        // Relaxed: as above.
        match seats.compare_exchange(seen, wanted, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return,
            Err(now) => seen = now,
        }
    }
}

impl Mapped {
    /// Tells the others that we are here.
    pub fn announce(&self, life: Life) {
        let view = self.view();
        let control = view.many();
        if view.geometry().asymmetric_wakeups && !register() {
            // We could neither be reached by the fence of a sleeper nor make it.
            control.not_empty.event.make_symmetric();
            control.not_full.event.make_symmetric();
        }
        let record = &view.seats()[self.seat()];
        let pid = u64::from(std::process::id());
        // Relaxed, both: told to people, and published by the exchange below.
        record.pid.store(pid, Ordering::Relaxed); // own word
        record
            .attached_at_ns
            .store(process::real_time_ns(), Ordering::Relaxed); // own word
        life::write(&record.life, life);
        tell(view);
    }

    /// Leaves the seat. Everything that was committed before is visible to whoever sees this. `leaves_behind` says that a message was taken
    /// and will not be released.
    pub fn close(&self, leaves_behind: bool) {
        let view = self.view();
        if leaves_behind {
            leave_behind(view);
        }
        let record = &view.seats()[self.seat()];
        // Relaxed: nobody else writes it while we live.
        let life = Life(record.life.load(Ordering::Relaxed));
        life::write(&record.life, life.with(Attendance::Closed));
        tell(view);
    }

    /// Says that a message was taken and will not be released by whoever took it.
    pub fn leave_behind(&self) {
        leave_behind(self.view());
    }

    /// Asks the kernel for the dead, if nobody did so lately, and marks them.
    ///
    /// # Errors
    /// [`Corruption`] of a seat.
    pub fn look_around(&self, now: Deadline) -> Result<(), Corruption> {
        let asked_at = &self.view().many().notes.asked_at_ns;
        let now_ns = now.as_monotonic_ns();
        // Relaxed, all: it only spares others the question.
        let asked = asked_at.load(Ordering::Relaxed);
        let seats = self.taken_seats().count() as u64;
        let every_ns = (seats * ASK_EVERY_NS_PER_SEAT).max(ASK_EVERY_NS_MIN);
        let is_due = now_ns.wrapping_sub(asked) >= every_ns;
        let is_ours = is_due
            && asked_at
                .compare_exchange(asked, now_ns, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if !is_ours {
            return Ok(());
        }
        self.find_the_dead()
    }

    /// Asks the kernel for the dead, and marks them.
    ///
    /// # Errors
    /// [`Corruption`] of a seat.
    pub fn find_the_dead(&self) -> Result<(), Corruption> {
        let file = self.segment().file.as_fd();
        if !lock::is_locked(file, self.seat() as u32).unwrap_or(false) {
            return Ok(());
        }
        for (seat, record) in self.taken_seats() {
            self.bury(seat, record, file)?;
        }
        Ok(())
    }

    fn bury(&self, seat: usize, record: &Seat, file: BorrowedFd<'_>) -> Result<(), Corruption> {
        let life = life::seen(&record.life);
        let Some((role, Attendance::Attached)) = life.holder()? else {
            return Ok(());
        };
        if seat == self.seat() || lock::is_locked(file, seat as u32).unwrap_or(true) {
            return Ok(());
        }
        if role == Role::Consumer {
            // Before the mark: if we die in between, another one finds it unmarked.
            leave_behind(self.view());
        }
        life::mark_died(&record.life, life);
        tell(self.view());
        Ok(())
    }

    fn taken_seats(&self) -> impl Iterator<Item = (usize, &Seat)> {
        let notes = &self.view().many().notes;
        // Relaxed: a seat that is raised later announces itself.
        let raised = notes.seats.load(Ordering::Relaxed) as usize;
        self.view().seats().iter().enumerate().take(raised)
    }

    /// How a side ended: `None` while somebody is attached there, or nobody ever was.
    ///
    /// # Errors
    /// [`Corruption`] of a seat.
    pub fn end_of(&self, role: Role) -> Result<Option<End>, Corruption> {
        let mut end = None;
        for (_, record) in self.taken_seats() {
            match life::seen(&record.life).holder()? {
                Some((holder, attendance)) if holder == role => match attendance {
                    Attendance::Attached => return Ok(None),
                    Attendance::Died => end = Some(End::Died),
                    Attendance::Closed => end = end.or(Some(End::Closed)),
                },
                _ => {}
            }
        }
        Ok(end)
    }

    /// Participants of both sides that are attached, those among them whose death nobody has noticed yet.
    ///
    /// # Errors
    /// [`Corruption`] of a seat.
    pub fn attached(&self) -> Result<usize, Corruption> {
        let mut attached = 0;
        for (_, record) in self.taken_seats() {
            if let Some((_, Attendance::Attached)) = life::seen(&record.life).holder()? {
                attached += 1;
            }
        }
        Ok(attached)
    }

    /// Changes whenever [`end_of`](Self::end_of) or [`attached`](Self::attached) may.
    #[inline]
    pub fn roll(&self) -> u64 {
        life::told(&self.view().many().notes.roll)
    }

    /// Changes whenever there may be something to take over.
    #[inline]
    pub fn left_behind(&self) -> u64 {
        life::told(&self.view().many().notes.left_behind)
    }
}

fn leave_behind(view: &View) {
    life::tell(&view.many().notes.left_behind);
}

/// Somebody joined, left, or was found dead.
fn tell(view: &View) {
    let control = view.many();
    life::tell(&control.notes.roll);
    control.not_empty.event.notify_all();
    control.not_full.event.notify_all();
}

fn describe(seat: usize, record: &Seat) -> Result<Option<Participant>, Corruption> {
    let life = life::seen(&record.life);
    // Relaxed, both: published by the exchange that the load above read.
    let pid = record.pid.load(Ordering::Relaxed) as u32;
    let attached_at = Duration::from_nanos(record.attached_at_ns.load(Ordering::Relaxed));
    Ok(life.holder()?.map(|(role, attendance)| Participant {
        seat,
        role,
        attendance,
        pid,
        since: UNIX_EPOCH + attached_at,
    }))
}

/// A view without any lock, for questions.
pub fn look_at(segment: &Segment) -> Result<View, Error> {
    let map = || {
        let own = file::reopen(segment.file.as_fd())?;
        Mapping::new(own.as_fd(), segment.geometry.data_offset, 0)
    };
    let mapping = map().map_err(|source| Error::from_io("map", &segment.name, source))?;
    Ok(View::new(mapping, segment.geometry))
}

/// Who sits in a ring for many, and who did last on the seats that are empty.
pub fn participants(segment: &Segment) -> Result<Vec<Participant>, Error> {
    let view = look_at(segment)?;
    let mut all = Vec::new();
    for (seat, record) in view.seats().iter().enumerate() {
        let look = || {
            describe(seat, record)
                .map_err(|corruption| Error::from_corruption(&segment.name, corruption))
        };
        let Some(mut seen) = look()? else { continue };
        let held = lock::is_locked(segment.file.as_fd(), seat as u32)
            .map_err(|source| Error::from_io("inspect", &segment.name, source))?;
        // It may have closed, or another one joined, around the look at the lock.
        if seen.attendance == Attendance::Attached && !held && look()? == Some(seen) {
            seen.attendance = Attendance::Died;
        }
        all.push(seen);
    }
    Ok(all)
}

/// Maps a segment through a description that nothing else will hold.
pub(super) fn map_all(segment: &Segment, own: BorrowedFd<'_>) -> std::io::Result<View> {
    let geometry = segment.geometry;
    let mirrored_len = if geometry.kind.is_bytes() {
        geometry.data_len
    } else {
        0
    };
    let mapping = Mapping::new(own, geometry.total_len(), mirrored_len)?;
    Ok(View::new(mapping, geometry))
}
