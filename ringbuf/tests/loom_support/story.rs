//! What the participants of a model tell of their work, and whether it adds up.

use loom::thread::{self, JoinHandle};
use shm_ringbuf::protocol::multi::drops::count_of;
use shm_ringbuf::protocol::multi::producer::Claimed;
use shm_ringbuf::protocol::multi::storage::Cells;
use shm_ringbuf::segment::heap_cells::HeapCells;
use shm_semaphore::sync::Ordering;

use super::multi::{Arrived, Batch, Fate, Party, Patience};

/// What a producer tells.
#[allow(clippy::struct_field_names, reason = "what was sent is called so")]
#[derive(Debug, Clone, Default)]
pub struct Sent {
    /// These were sent, in this order.
    pub sent: Vec<u64>,
    /// It ended while it sent these: all of them may arrive, or none.
    pub unsure: Vec<u64>,
    /// Whether it was cut short.
    pub was_cut: bool,
}

/// What a consumer tells.
#[derive(Debug, Clone, Default)]
pub struct Got {
    /// It has seen these and released them.
    pub released: Vec<Arrived>,
    /// It has seen these, and ended before they were released; or in the midst of that, if they are one message of several cells.
    pub held: Vec<Arrived>,
    /// Whether it was cut short.
    pub was_cut: bool,
}

/// A producer that makes one attempt for each of these batches.
#[derive(Debug, Clone, Copy)]
pub struct Sender {
    pub seat: usize,
    pub patience: Patience,
    pub batches: &'static [&'static [u64]],
    pub batch: Batch,
    pub fate: Fate,
}

impl Sender {
    pub fn new(seat: usize, batches: &'static [&'static [u64]]) -> Self {
        Self {
            seat,
            patience: Patience::Endless,
            batches,
            batch: Batch::Messages,
            fate: Fate::Lives,
        }
    }

    pub fn patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    pub fn of_one_message(self) -> Self {
        Self {
            batch: Batch::OneMessage,
            ..self
        }
    }

    pub fn fate(self, fate: Fate) -> Self {
        Self { fate, ..self }
    }

    pub fn run(self, cells: &HeapCells) -> Sent {
        let mut told = Sent::default();
        told.was_cut = self.fate.run(cells, self.seat, || {
            let mut party = Party::new(cells, self.seat, self.patience);
            for batch in self.batches {
                told.unsure = batch.to_vec();
                let is_sent = party.try_send(batch, self.batch);
                told.unsure.clear();
                if is_sent {
                    told.sent.extend_from_slice(batch);
                }
            }
        });
        told
    }

    pub fn spawn(self, cells: &HeapCells) -> JoinHandle<Sent> {
        let cells = cells.clone();
        thread::spawn(move || self.run(&cells))
    }
}

/// A consumer that looks for what the dead had, if it recovers, and then makes so many attempts.
#[derive(Debug, Clone, Copy)]
pub struct Receiver {
    pub seat: usize,
    pub patience: Patience,
    pub attempts: usize,
    /// From this position on, or from the oldest.
    pub recovers: Option<u64>,
    pub drops: bool,
    pub at_once: usize,
    pub fate: Fate,
}

impl Receiver {
    pub fn new(seat: usize, attempts: usize) -> Self {
        Self {
            seat,
            patience: Patience::Endless,
            attempts,
            recovers: None,
            drops: false,
            at_once: 1,
            fate: Fate::Lives,
        }
    }

    pub fn patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    pub fn recovers(self) -> Self {
        self.recovers_from(0)
    }

    pub fn recovers_from(self, position: u64) -> Self {
        Self {
            recovers: Some(position),
            ..self
        }
    }

    pub fn drops(self, drops: bool) -> Self {
        Self { drops, ..self }
    }

    pub fn at_once(self, at_once: usize) -> Self {
        Self { at_once, ..self }
    }

    pub fn fate(self, fate: Fate) -> Self {
        Self { fate, ..self }
    }

    pub fn run(self, cells: &HeapCells) -> Got {
        let mut got = Got::default();
        got.was_cut = self.fate.run(cells, self.seat, || {
            let mut party = Party::new(cells, self.seat, self.patience).that_drops(self.drops);
            party.at_once = self.at_once;
            if let Some(from) = self.recovers {
                party.recover(from, &mut got);
            }
            for _ in 0..self.attempts {
                party.try_recv(&mut got);
            }
        });
        got
    }

    pub fn spawn(self, cells: &HeapCells) -> JoinHandle<Got> {
        let cells = cells.clone();
        thread::spawn(move || self.run(&cells))
    }
}

/// One seat that receives first, and then sends.
pub fn spawn_both(
    cells: &HeapCells,
    receiver: Receiver,
    sender: Sender,
) -> JoinHandle<(Got, Sent)> {
    let cells = cells.clone();
    thread::spawn(move || (receiver.run(&cells), sender.run(&cells)))
}

/// A producer that claims so many cells, once, and gives the claim up. Says whether it was cut short.
pub fn spawn_aborter(cells: &HeapCells, seat: usize, claimed: u64, fate: Fate) -> JoinHandle<bool> {
    let cells = cells.clone();
    thread::spawn(move || {
        fate.run(&cells, seat, || {
            let mut party = Party::new(&cells, seat, Patience::Endless);
            if let Claimed::At(at) = party.member.claim(claimed, 0, true).unwrap() {
                party.member.abort(at, claimed);
            }
        })
    })
}

/// A consumer takes so many cells at once, sees what is in them, and is dead then.
pub fn die_holding(cells: &HeapCells, seat: usize, taken: u64) -> Got {
    let mut party = Party::new(cells, seat, Patience::Endless);
    let held = party.take_and_see(taken);
    cells.bury(seat);
    Got {
        held,
        ..Got::default()
    }
}

/// What becomes of what a consumer had that ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fallen {
    /// It is received again, and marked.
    #[default]
    Marked,
    /// It is dropped and counted.
    Dropped,
    /// It stays where it is: its consumer lives.
    Kept,
}

/// What is told at the end.
#[derive(Debug, Clone, Default)]
pub struct Story {
    pub sent: Vec<Sent>,
    pub got: Vec<Got>,
    /// The batches arrive with nothing in between.
    pub is_batched: bool,
    pub fallen: Fallen,
}

impl Story {
    pub fn new(sent: &[&Sent], got: &[&Got]) -> Self {
        Self {
            sent: sent.iter().copied().cloned().collect(),
            got: got.iter().copied().cloned().collect(),
            ..Self::default()
        }
    }

    pub fn batched(self) -> Self {
        Self {
            is_batched: true,
            ..self
        }
    }

    pub fn fallen(self, fallen: Fallen) -> Self {
        Self { fallen, ..self }
    }

    /// Everybody is idle or dead. One more, at this seat, receives the rest; then all of it must add up, and the whole ring must be there.
    pub fn verify(&self, cells: &HeapCells, seat: usize) {
        // Nobody has to be waited for.
        let mut last =
            Party::new(cells, seat, Patience::Endless).that_drops(self.fallen == Fallen::Dropped);
        self.add_up(cells, &last.drain());
        last.assert_capacity_is_whole();
    }

    /// Whether it adds up with what was received at the end.
    pub fn add_up(&self, cells: &HeapCells, rest: &[Arrived]) {
        let told = || format!("{self:?}, and then {rest:?}");
        let released = self.got.iter().map(|got| &got.released[..]).chain([rest]);
        let released: Vec<Arrived> = released.flatten().copied().collect();
        let held: Vec<Arrived> = self.got.iter().flat_map(|got| got.held.clone()).collect();
        let seen: Vec<Arrived> = released.iter().chain(&held).copied().collect();
        for got in &self.got {
            let of_one: Vec<Arrived> = [&got.released[..], &got.held].concat();
            let unmarked = of_one.iter().filter(|message| !message.redelivered);
            assert!(unmarked.is_sorted_by_key(|m| m.position), "{}", told());
        }
        let mut order: Vec<Arrived> = seen.clone();
        order.retain(|message| !message.redelivered);
        order.sort_unstable_by_key(|message| message.position);
        for pair in order.windows(2) {
            assert!(pair[0].position < pair[1].position, "twice: {}", told());
        }
        for message in &seen {
            // Marked: a dead one had it and may have seen it. Once for each of them.
            let again = seen.iter().filter(|other| other.value == message.value);
            assert!(
                again
                    .clone()
                    .all(|other| other.position == message.position)
            );
            let marked = again.filter(|other| other.redelivered).count();
            let is_same = |other: &&Arrived| other.value == message.value;
            let ends = held.iter().filter(is_same).count();
            assert!(marked <= ends, "marked, but nobody died: {}", told());
        }
        let dropped = count_of(cells.dropped().load(Ordering::Acquire)) as usize;
        let is_one_cell = |message: &&Arrived| message.cells == 1;
        for message in held.iter().filter(is_one_cell) {
            let is_back = released.iter().any(|one| one.value == message.value);
            let is_due = self.fallen == Fallen::Marked;
            assert_eq!(is_back, is_due, "of {message:?}: {}", told());
        }
        let at_least = held.iter().filter(is_one_cell).count();
        let unclear = held.iter().filter(|one| one.cells > 1 && one.is_first);
        let counted = match self.fallen {
            Fallen::Dropped => at_least..=at_least + unclear.count(),
            Fallen::Marked | Fallen::Kept => 0..=0,
        };
        assert!(counted.contains(&dropped), "{dropped}: {}", told());
        let is_marked = seen.iter().any(|message| message.redelivered);
        assert!(!is_marked || self.fallen == Fallen::Marked, "{}", told());
        self.follow_producers(&seen, &told);
    }

    /// Whether each producer's messages have arrived in order, and nothing else.
    fn follow_producers(&self, seen: &[Arrived], told: &impl Fn() -> String) {
        let mut order = seen.to_vec();
        order.sort_unstable_by_key(|message| (message.position, message.redelivered));
        order.dedup_by_key(|message| message.position);
        let mut expected = 0;
        for one in &self.sent {
            let is_its =
                |m: &&Arrived| one.sent.contains(&m.value) || one.unsure.contains(&m.value);
            let its: Vec<Arrived> = order.iter().filter(is_its).copied().collect();
            let values: Vec<u64> = its.iter().map(|message| message.value).collect();
            let whole = [&one.sent[..], &one.unsure].concat();
            assert!(values == one.sent || values == whole, "{}", told());
            let mut pairs = its.windows(2);
            let is_together = pairs.all(|pair| pair[1].position == pair[0].position + 1);
            assert!(!self.is_batched || is_together, "apart: {}", told());
            expected += values.len();
        }
        assert_eq!(order.len(), expected, "{}", told());
    }
}
