//! The control part of a ring for many.
//!
//! ```text
//! offset                                              written by
//!   4096  head                                        consumers (and producers that help)
//!   4224  tail                                        producers
//!   4352  not_empty                                   both
//!   4480  not_full                                    both
//!   4608  Notes: what changes seldom                  whoever joins, leaves, or finds a dead one
//!   4736  Seat, 128 bytes for each                    its holder
//! ```

use std::mem::{offset_of, size_of};

use shm_semaphore::sync::{AtomicU32, AtomicU64};

use super::layout::{Control as SpscControl, GateLine, Header, Kind};

/// The most seats that a ring can have.
pub const SEATS_MAX: u64 = 1023;
/// Bytes of the words of a cell of a byte ring: its state, and the length of the message that begins there.
pub const CELL_WORDS_LEN: u64 = 16;
/// The shortest cell of a byte ring: a line.
pub const CELL_LEN_MIN: u64 = 64;
/// The longest patience: beyond it nobody could tell patience from a hang.
pub const PATIENCE_NS_MAX: u64 = 60_000_000_000;

/// What a ring for many is made with; all zero for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Many {
    /// There is never more than one producer.
    pub one_producer: bool,
    /// There is never more than one consumer.
    pub one_consumer: bool,
    /// How many participants it has room for.
    pub seats: u64,
    /// How long a claim of a living participant may hold up the consumers, in nanoseconds.
    pub patience_ns: u64,
    /// What a dead consumer had taken is dropped and counted, and not delivered again.
    pub drops_taken: bool,
    /// Bytes of a cell of a byte ring.
    pub cell_len: u64,
}

impl Many {
    pub(super) fn sides(self) -> u64 {
        u64::from(self.one_producer) | u64::from(self.one_consumer) << 1
    }

    /// Checks what a header says; names the first field that can't be.
    pub(super) fn from_header(header: &Header, kind: Kind) -> Result<Self, (&'static str, u64)> {
        let many = Self {
            one_producer: header.sides & 1 != 0,
            one_consumer: header.sides & 2 != 0,
            seats: header.seats,
            patience_ns: header.patience_ns,
            drops_taken: header.drops_taken == 1,
            cell_len: header.cell_len,
        };
        let seats = if kind.is_multi() {
            1..=SEATS_MAX
        } else {
            0..=0
        };
        let patience_max = if kind.is_multi() { PATIENCE_NS_MAX } else { 0 };
        let is_cell = match kind {
            Kind::MultiRecords => {
                header.cell_len.is_power_of_two() && header.cell_len >= CELL_LEN_MIN
            }
            _ => header.cell_len == 0,
        };
        let sides_max = if kind.is_multi() { 3 } else { 0 };
        for (field, found, is_sound) in [
            ("header.sides", header.sides, header.sides <= sides_max),
            ("header.seats", header.seats, seats.contains(&header.seats)),
            (
                "header.patience_ns",
                header.patience_ns,
                header.patience_ns <= patience_max,
            ),
            (
                "header.drops_taken",
                header.drops_taken,
                header.drops_taken <= u64::from(kind.is_multi()),
            ),
            ("header.cell_len", header.cell_len, is_cell),
        ] {
            if !is_sound {
                return Err((field, found));
            }
        }
        Ok(many)
    }
}

/// A position that one kind of participant moves.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct PositionLine {
    /// The next position.
    pub position: AtomicU64,
}

/// What changes seldom, and is read by everybody.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct Notes {
    /// Changes whenever somebody joins, leaves, or is found dead.
    pub roll: AtomicU64,
    /// Changes when a consumer may have left a message that it had taken.
    pub left_behind: AtomicU64,
    /// Seats that were ever taken.
    pub seats: AtomicU64,
    /// See [`drops`](crate::protocol::multi::drops).
    pub dropped: AtomicU64,
    /// When somebody asked for the dead last: nanoseconds of the monotonic clock.
    pub asked_at_ns: AtomicU64,
    /// Whether a producer ever waited for several cells at once: then each release wakes all producers.
    pub many_awaited: AtomicU32,
}

/// A participant's record.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct Seat {
    /// See [`Intent`](crate::protocol::multi::intent::Intent).
    pub intent: AtomicU64,
    /// Who sits here, and what became of it.
    pub life: AtomicU64,
    /// The process, as it saw itself. Told to people; proves nothing.
    pub pid: AtomicU64,
    /// When it attached: nanoseconds of the real-time clock.
    pub attached_at_ns: AtomicU64,
}

/// The words that all participants share. As many [`Seat`]s follow as the ring has.
#[derive(Debug)]
#[repr(C)]
pub struct Control {
    /// The next position to be taken.
    pub head: PositionLine,
    /// The next position to be claimed.
    pub tail: PositionLine,
    /// Consumers sleep here.
    pub not_empty: GateLine,
    /// Producers sleep here.
    pub not_full: GateLine,
    /// What changes seldom.
    pub notes: Notes,
}

const _: () = assert!(offset_of!(Control, tail) == 128);
// Where a gate lies does not depend on the kind of ring.
const _: () = assert!(offset_of!(Control, not_empty) == offset_of!(SpscControl, not_empty));
const _: () = assert!(offset_of!(Control, not_full) == offset_of!(SpscControl, not_full));
const _: () = assert!(offset_of!(Control, notes) == 512);
const _: () = assert!(size_of::<Control>() == 640);
const _: () = assert!(size_of::<Seat>() == 128);
const _: () = assert!(offset_of!(Seat, life) == 8);

/// Bytes of the control part of a ring with so many seats.
pub fn control_len(seats: u64) -> u64 {
    size_of::<Control>() as u64 + seats.min(SEATS_MAX) * size_of::<Seat>() as u64
}
