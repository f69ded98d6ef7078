//! A semaphore on the heap, for the models: the shipped protocol with memory and participants that loom can see.

#![allow(missing_docs, clippy::missing_panics_doc, reason = "for models only")]

use super::core::{Change, Core, Participant, Refused, Words};
use super::member::Member;
use crate::Deadline;
use crate::sync::Ordering;

/// The shared memory.
#[derive(Debug)]
pub struct Model {
    words: Words,
    participants: Vec<Participant>,
}

/// One side of it.
#[derive(Debug)]
pub struct Side<'a> {
    core: Core<'a>,
    member: Option<Member<'a>>,
}

impl Model {
    pub fn new(permits: u32, participants: usize) -> Self {
        Self {
            words: Words::new(permits),
            participants: (0..participants).map(|_| Participant::new()).collect(),
        }
    }

    fn core(&self) -> Core<'_> {
        Core {
            words: &self.words,
            participants: &self.participants,
        }
    }

    /// One who has no seat.
    pub fn stranger(&self) -> Side<'_> {
        Side {
            core: self.core(),
            member: None,
        }
    }

    /// The holder of a seat. `biased`: takes the semaphore for itself whenever it may.
    pub fn participant(&self, index: usize, biased: bool) -> Side<'_> {
        let account = &self.participants[index].account;
        let member = Member::new(index, account, biased, true);
        if biased {
            member.want_bias_now();
        }
        Side {
            core: self.core(),
            member: Some(member),
        }
    }

    /// Takes a seat of one who died, as `Seat::take` does.
    pub fn successor(&self, index: usize) -> Side<'_> {
        self.core().recover(index, || true).unwrap();
        let life = &self.participants[index].life;
        // Relaxed: as there.
        life.fetch_add(2, Ordering::Relaxed);
        self.participant(index, false)
    }

    /// Brings back what a dead participant owned; `life` is the generation that was proved dead.
    pub fn recover(&self, index: usize, life: u64) -> u32 {
        let word = &self.participants[index].life;
        // Relaxed: as in `Seat::bury`.
        let is_still_dead = || word.load(Ordering::Relaxed) == life;
        self.core().recover(index, is_still_dead).unwrap()
    }

    pub fn permits(&self) -> u32 {
        self.core().permits()
    }

    /// Whether a bias is in force.
    pub fn is_biased(&self) -> bool {
        self.core().load().is_biased()
    }
}

impl Side<'_> {
    pub fn try_take(&self, count: u32, owned: bool) -> bool {
        match self
            .core
            .try_take(self.member.as_ref(), Change::take(count, owned))
        {
            Ok(()) => true,
            Err(Refused::NoPermits | Refused::Reserved) => false,
            Err(refused) => panic!("{refused:?}"),
        }
    }

    pub fn take(&self, count: u32, owned: bool) {
        self.core
            .take(
                self.member.as_ref(),
                Change::take(count, owned),
                Deadline::NEVER,
                || Ok(()),
            )
            .unwrap();
    }

    pub fn give(&self, count: u32, owned: bool) {
        self.core
            .give(self.member.as_ref(), Change::give(count, owned))
            .unwrap();
    }

    /// What leaving does, apart from the seat.
    pub fn lose_bias(&self) {
        if let Some(member) = &self.member {
            self.core.words.lose_bias(member).unwrap();
        }
    }
}
