//! Sleeping until there are permits, and waking those who sleep.
//!
//! ```text
//! sleeper  S1  key <- news                          giver  G1  state: exchange, sees `waiting`
//!          S2  too few permits: `waiting` <- 1             G2  news + 1
//!          S3  FUTEX_WAIT while news is still key          G3  FUTEX_WAKE as many as there are permits
//! ```
//!
//! S2 and G1 change one word, so one of them comes first: either S2 sees the permits, or G1 sees the mark. In the second case G2 comes after S1, and S3 finds another
//! value or is woken by G3. The mark stays until a giver finds nobody asleep (G3 wakes none): then it is taken back, `news` moves once more, and
//! whoever slipped in between is woken to mark the state anew.
//!
//! A woken sleeper that is killed takes nothing with it but time: all sleep in slices and look by themselves.

use std::time::Duration;

use super::core::{Change, Core, Refused};
use super::member::Member;
use super::reserve::{HOLDER, OTHERS, Reservation, Ticks};
use super::word::State;
use crate::Deadline;
use crate::event_count::WaitKey;
use crate::futex::Channels;
use crate::sync::Ordering;

/// The longest sleep before a waiter looks by itself, and renews its reservation.
pub(crate) const SLICE: Duration = Duration::from_millis(25);
/// The same for those who wait behind a reservation, or have waited for long.
const LONG_SLICE: Duration = Duration::from_millis(50);

/// How a wait for permits ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    Taken,
    TimedOut,
}

impl Core<'_> {
    /// Takes permits if they are there and nobody has reserved them.
    #[inline]
    pub(crate) fn try_take(
        self,
        member: Option<&Member<'_>>,
        change: Change,
    ) -> Result<(), Refused> {
        if change.count == 0 {
            return Ok(());
        }
        match self.change(member, change, false) {
            Err(Refused::Reserved) if self.end_lapsed_reservation()? => {
                self.change(member, change, false).map(drop)
            }
            result => result.map(drop),
        }
    }

    /// Gives permits back and wakes who waits for them.
    #[inline]
    pub(crate) fn give(self, member: Option<&Member<'_>>, change: Change) -> Result<(), Refused> {
        if change.count == 0 {
            return Ok(());
        }
        let seen = self.change(member, change, false)?;
        if seen.is_waiting() {
            self.tell(seen, change.count);
        }
        Ok(())
    }

    /// Wakes sleepers for so many permits. `seen` is the state in which they were given.
    #[cold]
    pub(crate) fn tell(self, seen: State, permits: u32) {
        self.count_news();
        if seen.is_reserved() {
            // If it is awake it looks again, because the news have changed before it sleeps. Who sleeps on several words hears every call, and must not
            // take this one with it: all are woken.
            self.words.news.wake(u32::MAX, HOLDER);
            return;
        }
        if self.words.news.wake(permits, Channels::ALL) > 0 {
            return;
        }
        loop {
            let seen = self.load();
            if !seen.is_waiting() || seen.is_reserved() {
                return;
            }
            if self.replace(seen, seen.not_waiting()) {
                break;
            }
        }
        self.count_news();
        self.words.news.wake_all();
    }

    fn count_news(self) {
        self.words.news.word().fetch_add(1, Ordering::Release); // edge: news.release
    }

    /// The news so far; a sleep that begins with them ends when there are more.
    pub(crate) fn news(self) -> u32 {
        self.words.news.word().load(Ordering::Acquire) // edge: news.acquire
    }

    /// Marks the state for a sleeper who wants so many permits; false if they can be had now, or if the state has to be looked at again.
    pub(crate) fn announce_sleeper(self, wanted: u32, has_reservation: bool) -> bool {
        loop {
            let seen = self.load();
            let may_take = has_reservation || !seen.is_reserved();
            if seen.is_biased() || seen.permits() >= wanted && may_take {
                return false;
            }
            let marked = seen.waiting();
            let marked = if has_reservation {
                marked.reserved()
            } else {
                marked
            };
            if marked == seen || self.replace(seen, marked) {
                return true;
            }
        }
    }

    /// See [`Semaphore::prepare_wait`](crate::Semaphore::prepare_wait).
    pub(crate) fn prepare_wait(self) -> Option<WaitKey> {
        let news = self.news();
        self.announce_sleeper(1, false)
            .then_some(WaitKey::new(news))
    }

    /// Takes permits, and sleeps until it can, or until the deadline. `look_around` is called now and then: it may bring permits back.
    pub(crate) fn take(
        self,
        member: Option<&Member<'_>>,
        change: Change,
        deadline: Deadline,
        mut look_around: impl FnMut() -> Result<(), Refused>,
    ) -> Result<Waited, Refused> {
        if change.count == 0 {
            return Ok(Waited::Taken);
        }
        let since = Ticks::now();
        let mut held = None;
        let result = self.take_slowly(member, change, deadline, since, &mut held, &mut look_around);
        match held {
            None => result,
            Some(held) => self.resign(held).and(result),
        }
    }

    fn take_slowly(
        self,
        member: Option<&Member<'_>>,
        change: Change,
        deadline: Deadline,
        since: Ticks,
        held: &mut Option<Reservation>,
        look_around: &mut impl FnMut() -> Result<(), Refused>,
    ) -> Result<Waited, Refused> {
        let (mut has_slept, mut is_late) = (false, false);
        loop {
            let news = self.news();
            let has_reservation = self.still_holds(*held);
            match self.change(member, change, has_reservation) {
                Ok(_) => return Ok(Waited::Taken),
                Err(Refused::Reserved) if self.end_lapsed_reservation()? => continue,
                Err(Refused::NoPermits | Refused::Reserved) => {}
                Err(refused) => return Err(refused),
            }
            if deadline.has_passed() {
                if is_late {
                    return Ok(Waited::TimedOut);
                }
                // Also one who never waits for long finds out about the dead.
                is_late = true;
                look_around()?;
                continue;
            }
            if has_slept {
                look_around()?;
                *held = self.reserve(*held, since);
            }
            if !self.announce_sleeper(change.count, held.is_some()) {
                continue;
            }
            let (channels, slice) = match held {
                Some(_) => (HOLDER, SLICE),
                None if has_slept => (OTHERS, LONG_SLICE),
                None => (OTHERS, SLICE),
            };
            self.words
                .news
                .wait(news, channels, deadline.min(Deadline::after(slice)));
            has_slept = true;
        }
    }
}
