//! Faults that the protocols must not have, beside a weakened ordering: each is a piece of source, what to put in its place, and a model
//! that must fail then.

mod multi;

/// A planted fault.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// What is wrong with it.
    pub what: &'static str,
    /// The file, from the top of the workspace.
    pub path: &'static str,
    /// The piece of source; it occurs once. White space counts as one blank.
    pub from: &'static str,
    /// What stands in its place.
    pub to: &'static str,
    /// Other pieces of the same file, and what stands in theirs.
    pub more: &'static [(&'static str, &'static str)],
    /// The models of which one must fail: file and function.
    pub models: &'static [(&'static str, &'static str)],
}

const OWNED: (&str, &str) = (
    "loom_kills.rs",
    "what_a_killed_participant_owned_comes_back_once",
);
const OWNED_ALONE: (&str, &str) = (
    "loom_kills.rs",
    "what_a_killed_participant_had_to_itself_comes_back_once",
);
const RECOVERER: (&str, &str) = ("loom_kills.rs", "a_recoverer_may_be_killed_at_every_step");
const LATE: (&str, &str) = (
    "loom_kills.rs",
    "a_late_recoverer_takes_nothing_from_a_successor",
);
const TAKEN_AWAY: (&str, &str) = (
    "loom_semaphore.rs",
    "a_bias_that_is_taken_away_keeps_the_permit_exclusive",
);
const SLEEPER: (&str, &str) = (
    "loom_semaphore.rs",
    "a_sleeper_gets_the_permit_that_is_released",
);
const TWO_SLEEPERS: (&str, &str) = (
    "loom_semaphore.rs",
    "two_sleepers_share_what_is_released_one_by_one",
);
const MANY: (&str, &str) = (
    "loom_semaphore.rs",
    "one_who_wants_many_and_one_who_wants_one_both_get_them",
);

const ONE: (&str, &str) = ("loom_event_count.rs", "waking_one_wakes_the_only_one");
const ONE_EACH: (&str, &str) = ("loom_event_count.rs", "waking_one_twice_wakes_two");
const TWO_WAKERS: (&str, &str) = ("loom_event_count.rs", "two_wakers_of_one_wake_two");
const EVERY_SLEEPER: (&str, &str) = ("loom_event_count.rs", "every_sleeper_is_woken");

/// Those of the semaphore.
const SEMAPHORE: &[Fault] = &[
    Fault {
        what: "event_count: waking one takes the mark off, though others sleep on",
        path: "semaphore/src/event_count.rs",
        from: "if self.state.wake(1, Channels::ALL) == 0 {",
        to: "self.state.word().fetch_and(!WAITING, Ordering::Relaxed); if self.state.wake(1, Channels::ALL) == 0 {",
        more: &[],
        models: &[ONE_EACH],
    },
    Fault {
        what: "event_count: waking one overlooks those who are not quite asleep",
        path: "semaphore/src/event_count.rs",
        from: "self.wake_the_late(seen);",
        to: "let _ = (seen, Self::wake_the_late);",
        more: &[],
        models: &[ONE],
    },
    Fault {
        what: "event_count: those who fell asleep since the fruitless call are not woken",
        path: "semaphore/src/event_count.rs",
        from: "Ok(_) => return self.state.wake_all(), // Only",
        to: "Ok(_) => return, // Only",
        more: &[],
        models: &[ONE],
    },
    Fault {
        what: "event_count: the mark is taken off without a step of the sequence",
        path: "semaphore/src/event_count.rs",
        from: "seen.wrapping_add(SEQUENCE_STEP) & !WAITING",
        to: "seen.wrapping_add(0 * SEQUENCE_STEP) & !WAITING",
        more: &[],
        models: &[TWO_WAKERS],
    },
    Fault {
        what: "event_count: waking all wakes one",
        path: "semaphore/src/event_count.rs",
        from: "Ok(_) => return self.state.wake_all(), Err(now) => seen",
        to: "Ok(_) => { self.state.wake(1, Channels::ALL); return } Err(now) => seen",
        more: &[],
        models: &[EVERY_SLEEPER],
    },
    Fault {
        what: "a state is replaced before its operation is recorded",
        path: "semaphore/src/semaphore/core.rs",
        from: "if !self.account_for_last(seen, member)? { return Ok(None); }",
        to: "",
        more: &[],
        models: &[OWNED],
    },
    Fault {
        what: "an operation is recorded over what its owner did since",
        path: "semaphore/src/semaphore/core.rs",
        from: "let _ = account.record.compare_exchange( bits, next.to_bits(), Ordering::Relaxed, Ordering::Relaxed, );",
        to: "account.record.store(next.to_bits(), Ordering::Relaxed);",
        more: &[],
        models: &[OWNED, TAKEN_AWAY],
    },
    Fault {
        what: "an intent is not told before the exchange",
        path: "semaphore/src/semaphore/member.rs",
        from: "self.account .intent .store(intent.to_bits(), Ordering::Release);",
        to: "",
        more: &[],
        models: &[OWNED],
    },
    Fault {
        what: "a recoverer does not ask whether the seat was taken again",
        path: "semaphore/src/semaphore/recover.rs",
        from: "record.held == 0 || !is_still_dead()",
        to: "record.held == 0 || { let _ = &is_still_dead; false }",
        more: &[],
        models: &[LATE],
    },
    Fault {
        what: "a recoverer gives back without saying so first",
        path: "semaphore/src/semaphore/recover.rs",
        from: "if intent != wanted {",
        to: "if intent != wanted && false {",
        more: &[],
        models: &[RECOVERER, OWNED],
    },
    Fault {
        what: "a recoverer accounts to nobody",
        path: "semaphore/src/semaphore/recover.rs",
        from: "seen.changed(permits, Some(Actor::new(index, op)))",
        to: "seen.changed(permits, None)",
        more: &[],
        models: &[RECOVERER, OWNED],
    },
    Fault {
        what: "a change of permits that nobody owns is nobody's",
        path: "semaphore/src/semaphore/core.rs",
        from: "Some(member) if member.accounts() =>",
        to: "Some(member) if change.owned =>",
        more: &[],
        models: &[(
            "loom_kills.rs",
            "a_late_recoverer_gives_back_nothing_twice_where_some_permits_are_not_owned",
        )],
    },
    Fault {
        what: "the owner of a bias takes a change for done that came too late",
        path: "semaphore/src/semaphore/bias.rs",
        from: "Ok(record) => record == outcome(record.op, tally),",
        to: "Ok(record) => { let _ = record; true }",
        more: &[],
        models: &[TAKEN_AWAY, OWNED_ALONE],
    },
    Fault {
        what: "a bias ends with what one saw, and not with what was recorded",
        path: "semaphore/src/semaphore/bias.rs",
        from: "self.replace(revoking, State::unbiased(owner, record.available));",
        to: "self.replace(revoking, State::unbiased(owner, tally.available()));",
        more: &[],
        models: &[TAKEN_AWAY, OWNED_ALONE],
    },
    Fault {
        what: "an old look at the state makes a corruption of somebody else's progress",
        path: "semaphore/src/semaphore/bias.rs",
        from: "if self.replace(state, state) {",
        to: "if self.load() == state {",
        more: &[],
        models: &[TAKEN_AWAY],
    },
    Fault {
        what: "a sleeper takes the news as they are when it falls asleep",
        path: "semaphore/src/semaphore/wait.rs",
        from: ".wait(news, channels,",
        to: ".wait({ let _ = news; self.news() }, channels,",
        more: &[],
        models: &[SLEEPER],
    },
    Fault {
        what: "the mark for sleepers is taken back without news",
        path: "semaphore/src/semaphore/wait.rs",
        from: "break; } } self.count_news(); self.words.news.wake_all();",
        to: "break; } }",
        more: &[],
        models: &[TWO_SLEEPERS, MANY],
    },
    Fault {
        what: "a reservation is given back and nobody is told",
        path: "semaphore/src/semaphore/reserve.rs",
        from: "if seen.permits() > 0 && seen.is_waiting() {",
        to: "if false {",
        more: &[],
        models: &[MANY],
    },
];

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Fault> {
    SEMAPHORE.iter().chain(multi::MULTI)
}

impl Fault {
    /// The source with the fault in it; `None` unless each piece occurs exactly once.
    pub fn plant(&self, source: &str) -> Option<String> {
        let planted = replace_only(source, self.from, self.to)?;
        let mut more = self.more.iter();
        more.try_fold(planted, |planted, (from, to)| {
            replace_only(&planted, from, to)
        })
    }
}

/// The source with something else in the place of a piece; `None` unless the piece occurs exactly once.
fn replace_only(source: &str, from: &str, to: &str) -> Option<String> {
    let words: Vec<&str> = from.split_whitespace().collect();
    let mut found = None;
    for (start, _) in source.match_indices(words.first()?) {
        if let Some(end) = end_of(source, start, &words) {
            if found.is_some() {
                return None;
            }
            found = Some((start, end));
        }
    }
    let (start, end) = found?;
    Some([&source[..start], to, &source[end..]].concat())
}

/// Where a run of words that begins at `start` ends, whatever white space lies between them.
fn end_of(source: &str, start: usize, words: &[&str]) -> Option<usize> {
    let mut at = start;
    for word in words {
        let rest = &source[at..];
        at += rest.len() - rest.trim_start().len();
        at += source[at..].starts_with(word).then_some(word.len())?;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    #[test]
    fn every_fault_finds_its_place() {
        for fault in all() {
            let source = std::fs::read_to_string(workspace().join(fault.path)).unwrap();
            let planted = fault.plant(&source);
            assert!(
                planted.is_some_and(|planted| planted != source),
                "{fault:?}"
            );
        }
    }

    #[test]
    fn a_piece_that_occurs_twice_or_never_is_no_place() {
        let fault = Fault {
            what: "",
            path: "",
            from: "a b",
            to: "c",
            more: &[],
            models: &[],
        };
        assert_eq!(fault.plant("x a\n  b y").as_deref(), Some("x c y"));
        assert_eq!(fault.plant("a b a b"), None);
        assert_eq!(fault.plant("b a"), None);
    }
}
