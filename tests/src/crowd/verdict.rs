//! Whether what the producers and consumers of one ring did, all together, is what a ring promises.
//!
//! Every message has an [`Id`]. A producer that was killed leaves in doubt what it had begun to send, and a consumer that was killed what it had in hand; everything
//! else is certain, and is checked in a time that grows with the number of notes, but for sorting them.

use std::collections::{BTreeMap, HashMap};

use super::ledger::{ACTORS_MAX, Delivery, Ledger, Line, Phase, Sending, VainLook};
use crate::history::Id;

/// What is to become of a message that a dead consumer had taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// It comes again, and is marked.
    Mark,
    /// It never comes again, and is counted.
    Drop,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Received, but never sent.
    Unknown(Id),
    /// Received again, although nobody who had it died with it in hand.
    Duplicated(Id),
    /// Received again, and not marked.
    Unmarked(Id),
    /// Marked as redelivered, and nobody can have had it before.
    MarkedInVain(Id),
    /// Sent for certain and never received for good.
    Lost(Id),
    /// Received by one consumer after a later one of the same producer.
    OutOfOrder(Id, Id),
    /// Its position is not behind that of the message that this consumer received before it.
    PositionBack(Id, Id),
    /// Two messages at one position.
    SamePosition(Id, Id),
    /// The second one was sent before the first one by the same producer, or before its sending began, and has the later position.
    PositionsAgainstTime(Id, Id),
    /// A part of what was to be sent as a whole, in the middle of which the producer was killed.
    Torn(Id),
    /// Nothing was found, by a call that began after this message was sent and ended before anybody began to receive it.
    Overlooked {
        /// The message.
        id: Id,
        /// How long it had been there.
        before_ns: u64,
        /// How long the call took.
        look_ns: u64,
        /// After which time somebody began to receive it.
        after_ns: u64,
        /// The first message of a send in its way, if the call was stopped beyond its deadline meanwhile.
        behind: Option<Id>,
    },
}

/// A call that goes on for so long after its deadline was kept from running.
const OVERRUN_NS: u64 = 1_000_000;

/// What a sound course of things amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Summary {
    /// Messages that were received, each counted once.
    pub received: u64,
    /// Times that a message was received again, or marked so.
    pub again: u64,
    /// Messages in doubt that never came.
    pub never_came: u64,
    /// Messages that were sent for certain and never released by a consumer, for certain: dropped, or the doubt that was allowed.
    pub missing: u64,
    /// Messages of which nobody knows whether they were released by a consumer that died.
    pub doubtful: u64,
    /// Messages that consumers who died may have released without having noted them.
    pub unseen: u64,
}

/// All notes of a ring, to be judged.
#[derive(Debug)]
pub struct Notes {
    /// The actors that did something, by their numbers.
    pub lines: BTreeMap<u32, Line>,
    /// Each consumer's in its order.
    pub deliveries: Vec<Delivery>,
    /// Where it is known when messages were sent.
    pub sendings: Vec<Sending>,
    /// Calls that found nothing.
    pub empties: Vec<VainLook>,
}

impl From<&Ledger> for Notes {
    fn from(ledger: &Ledger) -> Self {
        let lines = (0..ACTORS_MAX).map(|number| (number, ledger.line(number)));
        Self {
            lines: lines.filter(|(_, line)| *line != Line::default()).collect(),
            deliveries: ledger.deliveries(),
            sendings: ledger.sendings(),
            empties: ledger.empties(),
        }
    }
}

impl Notes {
    /// Judges all of it.
    ///
    /// # Errors
    /// Lists what is wrong.
    pub fn judge(&self, policy: Policy) -> Result<Summary, Vec<Fault>> {
        let mut judge = Judge {
            notes: self,
            policy,
            fates: self.lines.iter().map(fates_of).collect(),
            faults: Vec::new(),
            summary: Summary::default(),
        };
        judge.hear();
        judge.judge_fates();
        judge.judge_each_consumer();
        judge.judge_positions();
        judge.judge_vain_looks();
        if judge.faults.is_empty() {
            Ok(judge.summary)
        } else {
            Err(judge.faults)
        }
    }

    fn died(&self, actor: u32) -> bool {
        self.lines.get(&actor).is_some_and(|line| line.dead)
    }

    /// What the dead may have had in hand, and what of it they may have released unseen.
    fn hands_of_the_dead(&self) -> (u64, u64) {
        let dead = self.lines.values().filter(|line| line.dead);
        dead.fold((0, 0), |(in_hand, unseen), line| {
            (in_hand + line.in_hand, unseen + line.unseen)
        })
    }
}

/// What became of one message: its deliveries, by their numbers in the notes, in the order of time.
type Fate = Vec<usize>;

fn fates_of((&actor, line): (&u32, &Line)) -> (u32, Vec<Fate>) {
    let attempted = line.attempted.max(line.committed);
    (actor, vec![Fate::new(); attempted as usize])
}

struct Judge<'a> {
    notes: &'a Notes,
    policy: Policy,
    fates: BTreeMap<u32, Vec<Fate>>,
    faults: Vec<Fault>,
    summary: Summary,
}

impl Judge<'_> {
    /// Sorts the deliveries by message and by time.
    fn hear(&mut self) {
        for (at, delivery) in self.notes.deliveries.iter().enumerate() {
            let Id { producer, sequence } = delivery.id;
            let fates = self.fates.get_mut(&producer);
            match fates.and_then(|fates| fates.get_mut(sequence as usize)) {
                Some(fate) => fate.push(at),
                None => self.faults.push(Fault::Unknown(delivery.id)),
            }
        }
        for fate in self.fates.values_mut().flatten() {
            fate.sort_by_key(|&at| self.notes.deliveries[at].seen_ns);
        }
    }

    fn judge_fates(&mut self) {
        let (in_hand, unseen) = self.notes.hands_of_the_dead();
        self.summary.unseen = unseen;
        let mut missing = Vec::new();
        let mut marked_first = Vec::new();
        for (&producer, fates) in &self.fates {
            let line = self.notes.lines[&producer];
            let came = fates.iter().rposition(|fate| !fate.is_empty());
            let came = came.map_or(0, |at| at as u64 + 1);
            let expected = line.committed.max(came);
            self.summary.never_came += line.attempted.max(expected) - expected;
            for (sequence, fate) in fates[..expected as usize].iter().enumerate() {
                let sequence = sequence as u64;
                let id = Id { producer, sequence };
                let Some((&last, earlier)) = fate.split_last() else {
                    missing.push(id);
                    continue;
                };
                self.summary.received += 1;
                self.faults.extend(self.judge_repetition(id, fate));
                let first = self.notes.deliveries[fate[0]];
                let is_marked = first.mark.is_some_and(|(_, again)| again);
                marked_first.extend(is_marked.then_some(id));
                self.summary.again += earlier.len() as u64 + u64::from(is_marked);
                let last = self.notes.deliveries[last];
                if self.notes.died(last.consumer) {
                    match last.phase {
                        Phase::Held => missing.push(id),
                        Phase::Releasing => self.summary.doubtful += 1,
                        Phase::Released => {}
                    }
                }
            }
            let is_torn = line.whole && (line.committed + 1..line.attempted).contains(&came);
            // Otherwise the rest may have come and gone unseen.
            let all_is_seen = in_hand == 0 || self.policy == Policy::Mark && unseen == 0;
            if is_torn && all_is_seen {
                let sequence = came;
                self.faults.push(Fault::Torn(Id { producer, sequence }));
            }
        }
        self.summary.missing = missing.len() as u64;
        let (may_be_missing, may_be_marked) = match self.policy {
            Policy::Mark => (unseen, in_hand),
            Policy::Drop => (in_hand, 0),
        };
        if missing.len() as u64 > may_be_missing {
            self.faults.extend(missing.into_iter().map(Fault::Lost));
        }
        if marked_first.len() as u64 > may_be_marked {
            let faults = marked_first.into_iter().map(Fault::MarkedInVain);
            self.faults.extend(faults);
        }
    }

    fn judge_repetition(&self, id: Id, fate: &Fate) -> Option<Fault> {
        for pair in fate.windows(2) {
            let [earlier, later] = [pair[0], pair[1]].map(|at| self.notes.deliveries[at]);
            let died_with_it =
                self.notes.died(earlier.consumer) && earlier.phase != Phase::Released;
            if !died_with_it || self.policy == Policy::Drop {
                return Some(Fault::Duplicated(id));
            }
            if later.mark.is_some_and(|(_, again)| !again) {
                return Some(Fault::Unmarked(id));
            }
        }
        None
    }

    fn judge_each_consumer(&mut self) {
        let mut last_sequences: HashMap<(u32, u32), Id> = HashMap::new();
        let mut last_positions: HashMap<u32, (u64, Id)> = HashMap::new();
        let anybody_died = self.notes.hands_of_the_dead().0 > 0;
        for delivery in &self.notes.deliveries {
            if delivery.mark.map_or(anybody_died, |(_, again)| again) {
                continue;
            }
            let Delivery { id, consumer, .. } = *delivery;
            let last = last_sequences.insert((consumer, id.producer), id);
            if let Some(last) = last.filter(|last| last.sequence > id.sequence) {
                self.faults.push(Fault::OutOfOrder(last, id));
            }
            let Some((position, _)) = delivery.mark else {
                continue;
            };
            let last = last_positions.insert(consumer, (position, id));
            if let Some((_, last)) = last.filter(|(last, _)| *last >= position) {
                self.faults.push(Fault::PositionBack(last, id));
            }
        }
    }

    fn judge_positions(&mut self) {
        let deliveries = self.notes.deliveries.iter();
        let regular = deliveries.filter_map(|delivery| match delivery.mark {
            Some((position, false)) => Some((position, delivery.id)),
            _ => None,
        });
        let mut placed: Vec<(u64, Id)> = regular.collect();
        placed.sort_unstable();
        for pair in placed.windows(2) {
            if pair[0].0 == pair[1].0 {
                self.faults.push(Fault::SamePosition(pair[0].1, pair[1].1));
            }
        }
        let mut last: HashMap<u32, Id> = HashMap::new();
        for &(_, id) in &placed {
            let last = last.insert(id.producer, id);
            if let Some(last) = last.filter(|last| last.sequence > id.sequence) {
                self.faults.push(Fault::PositionsAgainstTime(id, last));
            }
        }
        let times = self.times();
        // From the last position on: the earliest end of a sending that has a later position.
        let mut earliest: Option<(u64, Id)> = None;
        for &(_, id) in placed.iter().rev() {
            let Some(&(begun_ns, ended_ns)) = times.get(&id) else {
                continue;
            };
            if let Some((_, later)) = earliest.filter(|(ended, _)| *ended < begun_ns) {
                self.faults.push(Fault::PositionsAgainstTime(id, later));
            }
            if earliest.is_none_or(|(earliest, _)| ended_ns < earliest) {
                earliest = Some((ended_ns, id));
            }
        }
    }

    /// When the sending of each message began and ended.
    fn times(&self) -> HashMap<Id, (u64, u64)> {
        let sendings = self.notes.sendings.iter();
        let times = sendings.flat_map(|sending| {
            let ids = (0..sending.count).map(|offset| Id {
                sequence: sending.first.sequence + offset,
                ..sending.first
            });
            ids.map(|id| (id, (sending.begun_ns, sending.ended_ns)))
        });
        times.collect()
    }

    /// The send that was under way when a call's deadline passed and may have its place before a message sent at that moment: of a call that went on for long
    /// after its deadline, and so was kept from running. Such a call is patient before it gives up, so it is a fault all the same: this only tells where to look.
    fn in_its_way(&self, look: VainLook, sent_ns: u64) -> Option<Id> {
        let took_ns = look.ended_ns - look.begun_ns;
        if look.timeout_ns == 0 || took_ns <= look.timeout_ns + OVERRUN_NS {
            return None;
        }
        let deadline_ns = look.begun_ns + look.timeout_ns;
        let is_unfinished =
            |sending: &&Sending| sending.begun_ns < sent_ns && sending.ended_ns > deadline_ns;
        let sending = self.notes.sendings.iter().find(is_unfinished)?;
        Some(sending.first)
    }

    fn judge_vain_looks(&mut self) {
        // What comes again may have been taken before by one that died and has not noted it.
        let anybody_died = self.notes.hands_of_the_dead().0 > 0;
        let deliveries = self.notes.deliveries.iter().rev();
        let first_taken: HashMap<Id, u64> = deliveries
            .filter(|delivery| !delivery.mark.map_or(anybody_died, |(_, again)| again))
            .map(|delivery| (delivery.id, delivery.begun_ns))
            .collect();
        let sent = self.times().into_iter();
        let sent = sent.filter_map(|(id, (_, ended_ns))| {
            first_taken
                .get(&id)
                .map(|&taken_ns| (ended_ns, taken_ns, id))
        });
        let mut sent: Vec<(u64, u64, Id)> = sent.collect();
        sent.sort_unstable();
        let mut looks = self.notes.empties.clone();
        looks.sort_unstable();
        let mut sent = sent.into_iter().peekable();
        // Of those that were sent before the look: the one that was taken last.
        let mut last: Option<(u64, u64, Id)> = None;
        for look in looks {
            let VainLook {
                begun_ns, ended_ns, ..
            } = look;
            while let Some((sent_ns, taken_ns, id)) = sent.next_if(|(sent, ..)| *sent < begun_ns) {
                last = last.max(Some((taken_ns, sent_ns, id)));
            }
            if let Some((taken_ns, sent_ns, id)) = last.filter(|(taken, ..)| *taken > ended_ns) {
                self.faults.push(Fault::Overlooked {
                    id,
                    before_ns: begun_ns - sent_ns,
                    look_ns: ended_ns - begun_ns,
                    after_ns: taken_ns - ended_ns,
                    behind: self.in_its_way(look, sent_ns),
                });
            }
        }
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
