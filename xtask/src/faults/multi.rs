//! Faults of the ring for many.

use super::Fault;

const CONSUMER: &str = "ringbuf/src/protocol/multi/consumer.rs";
const DROPS: &str = "ringbuf/src/protocol/multi/drops.rs";
const FRONT: &str = "ringbuf/src/protocol/multi/front.rs";
const MEMBER: &str = "ringbuf/src/protocol/multi/member.rs";
const PRODUCER: &str = "ringbuf/src/protocol/multi/producer.rs";

const TWO_PRODUCERS: (&str, &str) = (
    "loom_multi.rs",
    "two_producers_lose_nothing_in_a_ring_of_one",
);
const IMPATIENT: (&str, &str) = (
    "loom_multi.rs",
    "an_impatient_consumer_loses_nothing_in_a_ring_of_one",
);
const MEANWHILE: (&str, &str) = ("loom_multi.rs", "what_is_sent_meanwhile_is_not_passed");
const VOIDED_BATCH: (&str, &str) = (
    "loom_multi.rs",
    "a_batch_that_is_taken_out_of_the_order_arrives_in_one_piece",
);
const KILLED_SENDER: (&str, &str) = (
    "loom_multi_kills.rs",
    "who_is_killed_while_sending_loses_nothing_that_was_sent",
);
const KILLED_LOSER: (&str, &str) = (
    "loom_multi_kills.rs",
    "who_is_killed_while_sending_to_the_only_consumer_loses_nothing",
);
const KILLED_BATCH: (&str, &str) = (
    "loom_multi_kills.rs",
    "a_batch_whose_sender_is_killed_arrives_whole_or_not_at_all",
);
const KILLED_RECEIVER: (&str, &str) = (
    "loom_multi_kills.rs",
    "what_a_killed_receiver_had_comes_back_marked",
);
const KILLED_RECEIVER_OF_TWO: (&str, &str) = (
    "loom_multi_kills.rs",
    "a_message_of_two_cells_that_a_killed_receiver_had_comes_back_marked",
);
const KILLED_RECOVERER: (&str, &str) = (
    "loom_multi_kills.rs",
    "who_is_killed_while_taking_over_leaves_it_to_others",
);
const TWO_DROPPERS: (&str, &str) = (
    "loom_multi_kills.rs",
    "two_that_are_dropped_at_once_are_counted_once_each",
);
const PATIENCE_WITH_ALL: (&str, &str) = (
    "loom_multi_stops.rs",
    "a_claim_is_taken_out_of_the_order_only_when_the_patience_with_everybody_is_over",
);

/// All of them.
pub const MULTI: &[Fault] = &[
    Fault {
        what: "announce: a claim is announced after it was made",
        path: PRODUCER,
        from: "self.announce(Intent::new(Act::Put, at, cells).with_retries(retries)); \
               self.move_tail(at, at.plus(cells))",
        to: "let is_ours = self.move_tail(at, at.plus(cells)); \
             self.announce(Intent::new(Act::Put, at, cells).with_retries(retries)); is_ours",
        more: &[],
        models: &[TWO_PRODUCERS],
    },
    Fault {
        what: "announce: what was announced is cleared while the claim is still written",
        path: PRODUCER,
        from: "self.announce(Intent::new(Act::Put, at, cells).with_retries(retries)); \
               self.move_tail(at, at.plus(cells))",
        to: "self.announce(Intent::new(Act::Put, at, cells).with_retries(retries)); \
             let is_ours = self.move_tail(at, at.plus(cells)); self.retract(); is_ours",
        more: &[],
        models: &[TWO_PRODUCERS],
    },
    Fault {
        what: "announce: who takes a message says nothing any more while it reads",
        path: CONSUMER,
        from: "self.announce(Intent::new(Act::Take, at, cells)); \
               self.move_head(at, at.plus(cells))",
        to: "self.announce(Intent::new(Act::Take, at, cells)); \
             let is_ours = self.move_head(at, at.plus(cells)); self.retract(); is_ours",
        more: &[],
        models: &[KILLED_RECEIVER],
    },
    Fault {
        what: "announce: who takes a message over says so afterwards",
        path: CONSUMER,
        from: "self.announce(Intent::new(Act::Take, at, taken.cells())); \
               if self.exchange(at, taken.cell, ours).is_ok() {",
        to: "let is_ours = self.exchange(at, taken.cell, ours).is_ok(); \
             self.announce(Intent::new(Act::Take, at, taken.cells())); if is_ours {",
        more: &[],
        models: &[KILLED_RECOVERER],
    },
    Fault {
        what: "announce: who claimed nothing is idle and does not say so",
        path: PRODUCER,
        from: "self.retract(); Ok(refusal)",
        to: "Ok(refusal)",
        more: &[],
        models: &[KILLED_LOSER],
    },
    Fault {
        what: "cell: a commit asks for nothing",
        path: PRODUCER,
        from: "if let Err(found) = self.exchange(position, claimed, committed) { \
               return self.was_voided(position, found).map(|()| false); }",
        to: "let _ = (claimed, Self::was_voided); \
             let word = self.cells().cell(position.index(self.capacity())); \
             word.store(committed.0, shm_semaphore::sync::Ordering::Release);",
        more: &[],
        models: &[IMPATIENT],
    },
    Fault {
        what: "cell: what was taken out of the order is used again while it may still be written",
        path: PRODUCER,
        from: "Kind::Void if self.is_covered(Act::Put, position) => return Ok(Use::Stuck),",
        to: "",
        more: &[],
        models: &[IMPATIENT],
    },
    Fault {
        what: "cell: a free one of an older lap is used though the head has not passed it",
        path: PRODUCER,
        from: "let kind = seen.kind()?; if seen.age(",
        to: "let kind = seen.kind()?; \
             if kind == Kind::Free && seen.age(at, self.capacity()) == Age::Older { \
             let _ = self.exchange(at, seen, self.free(at)); return Ok(Use::Again); } \
             if seen.age(",
        more: &[],
        models: &[TWO_PRODUCERS],
    },
    Fault {
        what: "cell: a claim of several does not say in the first how many they are",
        path: PRODUCER,
        from: "&& self.stamp(at, cells) {",
        to: "&& { let _ = Self::stamp; true } {",
        more: &[(
            "free.with_followers(cells - 1) } else { free };",
            "free } else { free };",
        )],
        models: &[VOIDED_BATCH, KILLED_BATCH],
    },
    Fault {
        what: "cell: those that were claimed with one that was taken out of the order stay in it",
        path: FRONT,
        from: "self.void_followers(at, cell); self.move_head(at, end);",
        to: "let _ = Self::void_followers; self.move_head(at, end);",
        more: &[],
        models: &[VOIDED_BATCH, KILLED_BATCH],
    },
    Fault {
        what: "cell: a message of several is freed from its end, without a mark in its first cell",
        path: MEMBER,
        from: "let drained = ready.with_kind(Kind::Drained); \
               let drains = self.exchange(at, ready, drained).is_ok(); \
               if drains { self.finish_release(at, drained); } drains",
        to: "for ahead in 1..=ready.followers() { let follower = at.plus(ahead); \
             let part = Cell::new(Kind::Part, follower, self.capacity()); \
             let _ = self.exchange(follower, part, part.free_again()); } \
             self.exchange(at, ready, ready.free_again()).is_ok()",
        more: &[],
        models: &[KILLED_RECEIVER_OF_TWO],
    },
    Fault {
        what: "cell: a message of several is freed from its beginning, without a mark there",
        path: MEMBER,
        from: "let drained = ready.with_kind(Kind::Drained); \
               let drains = self.exchange(at, ready, drained).is_ok(); \
               if drains { self.finish_release(at, drained); } drains",
        to: "let drained = ready.with_kind(Kind::Drained); \
             let drains = self.exchange(at, ready, ready.free_again()).is_ok(); \
             if drains { self.finish_release(at, drained); } drains",
        more: &[],
        models: &[KILLED_RECEIVER_OF_TWO],
    },
    Fault {
        what: "head: a claim of a living one is freed when the patience is over",
        path: FRONT,
        from: "let next = if may_be_written {",
        to: "let next = if may_be_written && seen.followers() > 0 {",
        more: &[],
        models: &[IMPATIENT],
    },
    Fault {
        what: "head: it moves although the cell there has changed",
        path: FRONT,
        from: "let _ = self.exchange(at, seen, next);",
        to: "let _ = self.exchange(at, seen, next); self.move_head(at, at.plus(1));",
        more: &[],
        models: &[IMPATIENT],
    },
    Fault {
        what: "head: nobody moves it past a cell that was freed there",
        path: FRONT,
        from: "(Age::Newer, _) => { self.move_head(at, at.plus(1)); }",
        to: "(Age::Newer, _) => {}",
        more: &[],
        models: &[KILLED_SENDER],
    },
    Fault {
        what: "head: it moves when the patience with only one of several is over",
        path: FRONT,
        from: "waits |= !is_patience_over(seat, intent); true",
        to: "waits = !is_patience_over(seat, intent); waits",
        more: &[],
        models: &[PATIENCE_WITH_ALL],
    },
    Fault {
        what: "tail: it is read after the cell at the head",
        path: FRONT,
        from: "let tail = self.tail(); \
               // Read after the tail: what was not claimed before that is not taken for skipped. \
               let cell = self.look(at);",
        to: "let cell = self.look(at); let tail = self.tail();",
        more: &[],
        models: &[MEANWHILE],
    },
    Fault {
        what: "burial: a message is taken over from a living one",
        path: CONSUMER,
        from: "if !taken.cell.is_condemned() && self.is_covered(Act::Take, at) {",
        to: "if false {",
        more: &[],
        models: &[KILLED_RECEIVER],
    },
    Fault {
        what: "burial: a message is taken over and nobody can tell",
        path: CONSUMER,
        from: "let Some(ours) = taken.cell.taken_over().filter(|_| !drops) else {",
        to: "let Some(ours) = taken.cell.taken_over().filter(|_| !drops).map(|_| taken.cell) else {",
        more: &[],
        models: &[KILLED_RECOVERER],
    },
    Fault {
        what: "burial: a message is looked at after the look for who has it",
        path: CONSUMER,
        from: "let Some(ours) = taken.cell.taken_over().filter(|_| !drops) else {",
        to: "let taken = self.ready_at(at).unwrap_or(taken); \
             let Some(ours) = taken.cell.taken_over().filter(|_| !drops) else {",
        more: &[],
        models: &[KILLED_RECOVERER],
    },
    Fault {
        what: "dropped: one is counted while the one before it is still there",
        path: DROPS,
        from: "if seen != 0 { self.free_counted(tag, taken.position); }",
        to: "let _ = Self::free_counted;",
        more: &[],
        models: &[TWO_DROPPERS],
    },
    Fault {
        what: "dropped: one is counted that is not condemned",
        path: DROPS,
        from: "let condemned = taken.cell.condemned(); let is_marked = taken.cell == condemned \
               || self.exchange(taken.position, taken.cell, condemned).is_ok();",
        to: "let condemned = taken.cell; let is_marked = true;",
        more: &[],
        models: &[TWO_DROPPERS],
    },
];
