//! What several receivers took, message by message: only together do they have everything, and nobody has anything twice.
//!
//! Each receiver keeps one bit for each message of each producer, in memory of its own, so that nothing is shared while a
//! window runs. Between the runs it appends its bits to a file in memory, and in the end the coordinator lays the bits of
//! all receivers over each other: a bit that nobody has is a message that was lost, and one that two have came out twice.
//!
//! ```text
//!            run 0                                run 1
//!            +-----------------+-----------------+-----------------+--
//!            | first receiver  | second receiver | first receiver  |
//!            +--------+--------+--------+--------+--------+--------+--
//!  producer  | 0      | 1      | 0      | 1      | 0      | 1      |        each with a bit for every message, in whole words
//! ```

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use nix::sys::memfd::{MFdFlags, memfd_create};

use super::integrity::{Ending, Tally};
use crate::fan::Fan;
use crate::job::{RunReport, SideReport};
use crate::shared::Side;
use crate::transport::{LinkError, limits};

/// The bits of all receivers for one run: 64 MiB. A run is made no longer than that allows.
const BITS_MAX: u64 = 1 << 29;

/// The most messages that a run of several may have.
pub fn messages_max(fan: Fan) -> u64 {
    BITS_MAX / u64::from(fan.consumers)
}

/// One bit for every message of every producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attendance {
    words: Vec<u64>,
    words_each: usize,
}

impl Attendance {
    /// Nobody is there yet.
    pub fn new(fan: Fan, messages: u64) -> Self {
        // The first one's share is the longest.
        let words_each = fan.share(messages, 0).div_ceil(64) as usize;
        Self {
            words: vec![0; words_each * fan.producers as usize],
            words_each,
        }
    }

    /// Marks a message. Says whether it was there before.
    ///
    /// # Panics
    /// When there can't be such a message.
    #[inline]
    pub fn mark(&mut self, producer: usize, index: u64) -> bool {
        let word = &mut self.words[producer * self.words_each + (index / 64) as usize];
        let bit = 1 << (index % 64);
        let was_there = *word & bit != 0;
        *word |= bit;
        was_there
    }

    /// Takes those of another receiver in as well. Says how many both have.
    fn unite(&mut self, other: &Self) -> u64 {
        let pairs = self.words.iter_mut().zip(&other.words);
        pairs
            .map(|(mine, theirs)| {
                let both = u64::from((*mine & theirs).count_ones());
                *mine |= theirs;
                both
            })
            .sum()
    }

    /// How many of the first `sent` messages of a producer aren't there.
    fn missing(&self, producer: usize, sent: u64) -> u64 {
        let words = &self.words[producer * self.words_each..][..self.words_each];
        let there = words.iter().map(|word| u64::from(word.count_ones()));
        sent.saturating_sub(there.sum())
    }

    fn len_bytes(&self) -> u64 {
        (self.words.len() * size_of::<u64>()) as u64
    }
}

/// Why an account that ends at such a byte can't be written.
fn not_written(end: u64, error: io::Error) -> io::Error {
    match limits::not_made(end, error) {
        LinkError::Unavailable(reason) => {
            io::Error::other(format!("the account of its messages: {reason}"))
        }
        LinkError::Failed(error) => error,
    }
}

/// The file in memory.
#[derive(Debug)]
pub struct Ledger {
    file: File,
    /// Where the next run begins.
    at: u64,
}

impl Ledger {
    /// A fresh one.
    ///
    /// # Errors
    /// What the system says.
    pub fn create() -> io::Result<OwnedFd> {
        Ok(memfd_create(
            c"bench-harness-ledger",
            MFdFlags::MFD_CLOEXEC,
        )?)
    }

    /// At its beginning.
    pub fn open(fd: OwnedFd) -> Self {
        Self {
            file: File::from(fd),
            at: 0,
        }
    }

    /// One receiver's part of the next run.
    ///
    /// # Errors
    /// What the system says.
    pub fn append(&mut self, fan: Fan, rank: u32, seen: &Attendance) -> io::Result<()> {
        let bytes: Vec<u8> = seen
            .words
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        let place = self.at + u64::from(rank) * seen.len_bytes();
        self.at += u64::from(fan.consumers) * seen.len_bytes();
        let written = self.file.write_all_at(&bytes, place);
        written.map_err(|error| not_written(place + bytes.len() as u64, error))
    }

    /// What each receiver wrote about the next run, of so many messages. One that wrote nothing saw nothing.
    fn next(&mut self, fan: Fan, messages: u64) -> io::Result<Vec<Attendance>> {
        let empty = Attendance::new(fan, messages);
        let mut all = Vec::new();
        for _ in 0..fan.consumers {
            let mut bytes = vec![0; empty.len_bytes() as usize];
            read_what_is_there(&self.file, &mut bytes, self.at)?;
            self.at += empty.len_bytes();
            let (words, _) = bytes.as_chunks::<8>();
            all.push(Attendance {
                words: words.iter().map(|word| u64::from_le_bytes(*word)).collect(),
                words_each: empty.words_each,
            });
        }
        Ok(all)
    }

    /// What became of all messages of a session, given what its processes say, in the order of [`Fan::seats`].
    ///
    /// # Errors
    /// What the system says.
    pub fn reconcile(mut self, fan: Fan, reports: &[SideReport]) -> io::Result<Tally> {
        let mut total = Tally::default();
        let runs = reports.iter().map(|report| report.runs.len()).max();
        for run in 0..runs.unwrap_or(0) {
            let of_all: Vec<Option<&RunReport>> = reports.iter().map(|r| r.runs.get(run)).collect();
            let Some(messages) = of_all.iter().flatten().map(|r| r.messages).next() else {
                break;
            };
            total += tally_of_run(fan, &of_all, self.next(fan, messages)?);
        }
        Ok(total)
    }
}

fn read_what_is_there(file: &File, mut bytes: &mut [u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let len = file.read_at(bytes, at)?;
        if len == 0 {
            break;
        }
        bytes = &mut bytes[len..];
        at += len as u64;
    }
    Ok(())
}

/// One run, of which some processes may have no account.
fn tally_of_run(fan: Fan, of_all: &[Option<&RunReport>], seen: Vec<Attendance>) -> Tally {
    let mut tally = Tally::default();
    let mut taken_twice = 0;
    let mut seen = seen.into_iter();
    let mut union = seen.next().unwrap_or_else(|| Attendance::new(fan, 0));
    for other in seen {
        taken_twice += union.unite(&other);
    }
    let mut missing = 0;
    // What nobody got is lost only if nothing more could come: every send had returned, and every receiver was told the end or waited in
    // vain. Otherwise some may have been on their way.
    let mut nothing_more_could_come = true;
    for (seat, report) in fan.seats().zip(of_all) {
        let Some(report) = report else {
            nothing_more_could_come = false;
            continue;
        };
        match seat.side {
            Side::Left => {
                tally.sent += report.sent;
                missing += union.missing(seat.rank as usize, report.sent);
                nothing_more_could_come &= report.is_idle;
            }
            Side::Right => {
                if let Some(arrived) = &report.arrived {
                    tally += arrived.known();
                }
                nothing_more_could_come &= report.ending != Ending::Broken;
            }
        }
    }
    tally.duplicated += taken_twice;
    if nothing_more_could_come {
        // A corrupted message came, but nobody can tell which one it was.
        tally.lost = missing.saturating_sub(tally.corrupted);
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::super::integrity::Arrived;
    use super::*;

    const FAN: Fan = Fan {
        producers: 2,
        consumers: 2,
    };

    fn sender(sent: u64) -> SideReport {
        one_run(sent, None, Ending::Complete)
    }

    fn receiver(received: u64, ending: Ending) -> SideReport {
        let tally = Tally {
            received,
            ..Tally::default()
        };
        one_run(0, Some(Arrived::of(tally)), ending)
    }

    fn one_run(sent: u64, arrived: Option<Arrived>, ending: Ending) -> SideReport {
        let run = serde_json::json!({
            "kind": "drained", "is_final": true, "messages": 200, "beside": 0, "elapsed_ns": 1, "sent": sent, "is_idle": true,
            "arrived": arrived, "ending": ending, "usage": crate::measure::usage::Usage::default(), "latency": null
        });
        SideReport {
            runs: vec![serde_json::from_value(run).unwrap()],
            ..SideReport::default()
        }
    }

    /// A run of 200 messages, of which each receiver has those that are listed.
    fn reconcile(taken: [&[(usize, u64)]; 2], ending: Ending) -> Tally {
        let fd = Ledger::create().unwrap();
        let mut reports = vec![sender(100), sender(100)];
        for (rank, taken) in taken.iter().enumerate() {
            let mut seen = Attendance::new(FAN, 200);
            for &(producer, index) in *taken {
                assert!(!seen.mark(producer, index));
            }
            let mut ledger = Ledger::open(fd.try_clone().unwrap());
            ledger.append(FAN, rank as u32, &seen).unwrap();
            reports.push(receiver(taken.len() as u64, ending));
        }
        Ledger::open(fd).reconcile(FAN, &reports).unwrap()
    }

    fn all_but(left_out: &[(usize, u64)]) -> [Vec<(usize, u64)>; 2] {
        let (mut even, mut odd) = (Vec::new(), Vec::new());
        for message in (0..2).flat_map(|producer| (0..100).map(move |index| (producer, index))) {
            if !left_out.contains(&message) {
                let half = if message.1 % 2 == 0 {
                    &mut even
                } else {
                    &mut odd
                };
                half.push(message);
            }
        }
        [even, odd]
    }

    #[test]
    fn what_one_receiver_lacks_the_other_one_has() {
        let [even, odd] = all_but(&[]);
        let tally = reconcile([&even, &odd], Ending::Complete);
        assert!(tally.is_clean());
        assert_eq!((tally.sent, tally.received), (200, 200));
    }

    #[test]
    fn a_loss_that_a_duplicate_makes_up_for_is_still_both() {
        let [even, mut odd] = all_but(&[(1, 64)]);
        odd.push((0, 0));
        let tally = reconcile([&even, &odd], Ending::Complete);
        assert_eq!((tally.lost, tally.duplicated), (1, 1));
    }

    #[test]
    fn what_was_on_its_way_when_a_receiver_broke_is_not_lost() {
        let [even, odd] = all_but(&[(0, 99), (1, 99)]);
        let tally = |ending| reconcile([&even, &odd], ending);
        assert_eq!(tally(Ending::Starved).lost, 2);
        assert_eq!(tally(Ending::Broken).lost, 0);
    }

    #[test]
    fn a_receiver_without_an_account_has_seen_nothing() {
        let fd = Ledger::create().unwrap();
        let mut ledger = Ledger::open(fd.try_clone().unwrap());
        let mut seen = Attendance::new(FAN, 200);
        seen.mark(0, 5);
        ledger.append(FAN, 0, &seen).unwrap();
        let read = Ledger::open(fd).next(FAN, 200).unwrap();
        assert_eq!(read, [seen, Attendance::new(FAN, 200)]);
    }
}
