//! The bytes of a segment.
//!
//! ```text
//! offset                                        written by            read by
//!      0  Header       4096 bytes               creator, before it    everyone, once, with pread
//!                                               has a name
//!   4096  Control      positions, producer      producer              observers
//!   4224               positions, consumer      consumer              producer, when it looks full
//!   4352               not_empty                both                  both
//!   4480               not_full                 both                  both
//!   4608               participant: producer    producer              consumer
//!   4864               participant: consumer    consumer              producer
//!   8192  data         slots, or bytes of records (data_offset is a multiple of the page size)
//!         end          total_len
//! ```
//!
//! A ring for many has its own [`many::Control`] in the place of the second part, with a record of 128 bytes for each seat, and in
//! its byte form the words of the cells lie between that and the data (from `words_offset` on, 16 bytes for each cell).
//!
//! What different sides write never shares 128 bytes, since processors fetch lines in pairs. Integers are fixed in
//! width and in the machine's own byte order (a segment never leaves its machine). There are no pointers.

use std::fmt;
use std::mem::{align_of, offset_of, size_of};

use shm_semaphore::EventCount;
use shm_semaphore::segment::{Name, page_len};
use shm_semaphore::sync::AtomicU64;

pub use super::kind::Kind;
use super::many::{self, Many};
use crate::error::Error;
use crate::protocol::multi::cell::CELLS_MAX;
use crate::protocol::position::Capacity;
use crate::protocol::presence::Presence;
use crate::protocol::records;
use crate::wait::Wait;

/// The first eight bytes of every segment.
pub const MAGIC: u64 = u64::from_ne_bytes(*b"shm-ring");
/// The version of everything in this file.
pub const VERSION: u64 = 3;
/// The header has a page of its own.
pub const HEADER_LEN: u64 = 4096;
/// Where [`Control`] begins.
pub const CONTROL_OFFSET: u64 = HEADER_LEN;
/// Where data begins, unless the page size asks for more.
const CONTROL_END: u64 = 2 * 4096;

/// As far as the creator writes: up to the second gate.
const FIRST_BYTES: usize = CONTROL_OFFSET as usize + offset_of!(Control, participants);

/// What the producer writes.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct ProducerLine {
    /// A hint for observers.
    pub write_position: AtomicU64,
}

/// What the consumer writes.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct ConsumerLine {
    /// Everything before it is free.
    pub read_position: AtomicU64,
    /// Everything before it may have been seen.
    pub taken_position: AtomicU64,
}

/// A place to sleep.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct GateLine {
    /// The word.
    pub event: EventCount,
}

/// One side's record. The first 128 bytes change when somebody attaches, closes or dies; the rest is the participant's own scratch.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct Participant {
    /// Attached, closed, died.
    pub presence: Presence,
    /// The process, as it saw itself. Told to people; proves nothing.
    pub pid: AtomicU64,
    /// When it attached: nanoseconds of the real-time clock.
    pub attached_at_ns: AtomicU64,
    /// What the participant writes when it begins to wait.
    pub scratch: ScratchLine,
}

/// The part of a participant's record that changes while it runs.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct ScratchLine {
    /// Where and when it waited last: milliseconds (of 2²⁰ ns) of the monotonic clock << 32 | processor + 1; 0 is unknown.
    pub waited: AtomicU64,
}

/// The words that both sides share.
#[derive(Debug)]
#[repr(C)]
pub struct Control {
    /// The producer's positions.
    pub producer_line: ProducerLine,
    /// The consumer's positions.
    pub consumer_line: ConsumerLine,
    /// The consumer sleeps here.
    pub not_empty: GateLine,
    /// The producer sleeps here.
    pub not_full: GateLine,
    /// Indexed by [`Role`](crate::Role).
    pub participants: [Participant; 2],
}

const _: () = assert!(offset_of!(Control, producer_line) == 0);
const _: () = assert!(offset_of!(Control, consumer_line) == 128);
const _: () = assert!(offset_of!(ConsumerLine, taken_position) == 8);
const _: () = assert!(offset_of!(Control, not_empty) == 256);
const _: () = assert!(offset_of!(Control, not_full) == 384);
const _: () = assert!(offset_of!(Control, participants) == 512);
const _: () = assert!(offset_of!(Participant, pid) == 8);
const _: () = assert!(offset_of!(Participant, attached_at_ns) == 16);
const _: () = assert!(offset_of!(Participant, scratch) == 128);
const _: () = assert!(size_of::<Participant>() == 256);
const _: () = assert!(CONTROL_OFFSET + size_of::<Control>() as u64 <= CONTROL_END);
const _: () = assert!(CONTROL_OFFSET.is_multiple_of(align_of::<Control>() as u64));

/// What a slot carries; all zero for byte messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PayloadType {
    /// Bytes.
    pub size: u64,
    /// Alignment in bytes.
    pub align: u64,
    /// Chosen by the user.
    pub tag: u64,
}

impl fmt::Display for PayloadType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self {
                size: 0,
                align: 0,
                tag,
            } => write!(f, "bytes (tag {tag})"),
            Self { size, align, tag } => write!(f, "{size} bytes aligned to {align} (tag {tag})"),
        }
    }
}

/// Everything that is derived from kind, capacity and payload; checked against the file, then kept in private memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Which form.
    pub kind: Kind,
    /// Slots, or bytes.
    pub capacity: Capacity,
    /// What slots carry.
    pub payload: PayloadType,
    /// Bytes from slot to slot; 1 for bytes.
    pub stride: u64,
    /// Bytes from the start of a slot to its payload.
    pub payload_offset: u64,
    /// Where data begins.
    pub data_offset: u64,
    /// Bytes of data.
    pub data_len: u64,
    /// How endpoints wait unless they are told otherwise.
    pub wait: Wait,
    /// Whether sleepers pay for the fences of wakers; see [`EventCount::make_asymmetric`].
    pub asymmetric_wakeups: bool,
    /// What only a ring for many has.
    pub many: Many,
    /// Where the words of the cells begin, if they do not lie in the slots.
    pub words_offset: u64,
}

impl Geometry {
    /// Lays out a ring; `None` if it would not fit into the address space.
    pub fn new(
        kind: Kind,
        capacity: u64,
        payload: PayloadType,
        wait: Wait,
        asymmetric_wakeups: bool,
        many: Many,
    ) -> Option<Self> {
        let words_offset = if kind.is_multi() {
            CONTROL_OFFSET + many::control_len(many.seats)
        } else {
            CONTROL_END
        };
        let words_len = if kind == Kind::MultiRecords {
            capacity.checked_mul(many::CELL_WORDS_LEN)?
        } else {
            0
        };
        let data_offset = words_offset
            .checked_add(words_len)?
            .checked_next_multiple_of(page_len())?;
        if payload.align > page_len() {
            return None;
        }
        // A small payload and its sequence share 16 bytes, aligned so that they never straddle a line.
        let (stride, payload_offset) = match kind {
            Kind::SpscSlots | Kind::MultiSlots if payload.size <= 8 && payload.align <= 8 => {
                (16, 8)
            }
            Kind::SpscSlots | Kind::MultiSlots => {
                let align = payload.align.max(8);
                (
                    align
                        .checked_add(payload.size)?
                        .checked_next_multiple_of(align)?,
                    align,
                )
            }
            Kind::SpscRecords => (1, 0),
            Kind::MultiRecords => (many.cell_len, 0),
        };
        let data_len = capacity.checked_mul(stride)?;
        // Twice, because a byte ring is mapped twice in a row.
        let mapped_len = data_len.checked_mul(2)?.checked_add(data_offset)?;
        isize::try_from(mapped_len).ok()?;
        let capacity = Capacity::new(capacity);
        Some(Self {
            kind,
            capacity,
            payload,
            stride,
            payload_offset,
            data_offset,
            data_len,
            wait,
            asymmetric_wakeups,
            many,
            words_offset,
        })
    }

    /// Bytes of the segment.
    pub fn total_len(&self) -> u64 {
        self.data_offset + self.data_len
    }

    /// The longest message in bytes.
    pub fn max_message_len(&self) -> u64 {
        match self.kind {
            Kind::SpscSlots | Kind::MultiSlots => self.payload.size,
            Kind::SpscRecords => records::max_payload_len(self.capacity),
            Kind::MultiRecords => self.capacity.get().min(CELLS_MAX) * self.many.cell_len,
        }
    }

    /// How much the ring holds, in the unit of its form: messages or bytes.
    pub fn room(&self) -> u64 {
        match self.kind {
            Kind::MultiRecords => self.data_len,
            _ => self.capacity.get(),
        }
    }

    /// The first page of the segment.
    pub fn to_header(self) -> Header {
        Header {
            magic: MAGIC,
            version: VERSION,
            kind: self.kind.code(),
            capacity: self.capacity.get(),
            payload_size: self.payload.size,
            payload_align: self.payload.align,
            payload_tag: self.payload.tag,
            stride: self.stride,
            payload_offset: self.payload_offset,
            data_offset: self.data_offset,
            data_len: self.data_len,
            total_len: self.total_len(),
            wait: self.wait.code(),
            asymmetric_wakeups: u64::from(self.asymmetric_wakeups),
            sides: self.many.sides(),
            seats: self.many.seats,
            patience_ns: self.many.patience_ns,
            drops_taken: u64::from(self.many.drops_taken),
            cell_len: self.many.cell_len,
            words_offset: self.words_offset,
        }
    }

    /// The first bytes of a fresh segment, header and all; zeros follow.
    pub fn to_first_bytes(self) -> Vec<u8> {
        let mut bytes = vec![0; FIRST_BYTES];
        let header = self.to_header().to_words();
        let header: &[u8] = bytemuck::cast_slice(&header);
        bytes[..header.len()].copy_from_slice(header);
        if self.asymmetric_wakeups {
            // The gates lie where they lie in every ring.
            for gate in [
                offset_of!(Control, not_empty),
                offset_of!(Control, not_full),
            ] {
                let at = CONTROL_OFFSET as usize + gate;
                bytes[at..at + 4].copy_from_slice(&EventCount::FRESH_ASYMMETRIC.to_ne_bytes());
            }
        }
        bytes
    }
}

macro_rules! header_fields {
    ($($field:ident),* $(,)?) => {
        /// The first page: written before the segment has a name, never changed, read once.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the fields of Geometry")]
        pub struct Header { $(pub $field: u64),* }

        impl Header {
            /// Words in use.
            pub const WORDS: usize = [$(stringify!($field)),*].len();

            /// In the order of the fields, which is that of the file.
            pub fn to_words(self) -> [u64; Self::WORDS] {
                [$(self.$field),*]
            }

            /// The reverse.
            pub fn from_words([$($field),*]: [u64; Self::WORDS]) -> Self {
                Self { $($field),* }
            }
        }
    };
}

header_fields!(
    magic,
    version,
    kind,
    capacity,
    payload_size,
    payload_align,
    payload_tag,
    stride,
    payload_offset,
    data_offset,
    data_len,
    total_len,
    wait,
    asymmetric_wakeups,
    sides,
    seats,
    patience_ns,
    drops_taken,
    cell_len,
    words_offset,
);

impl Header {
    /// Checks every field against what this build would have written for the wanted kind and payload, and the file's true length.
    pub fn validate(
        &self,
        name: &Name,
        file_len: u64,
        wanted_kind: Kind,
        wanted_payload: PayloadType,
    ) -> Result<Geometry, Error> {
        let name = || name.to_string();
        if self.magic != MAGIC {
            return Err(Error::NotARing {
                name: name(),
                reason: "its first bytes are not ours",
            });
        }
        if self.version != VERSION {
            return Err(Error::WrongVersion {
                name: name(),
                found: self.version,
                supported: VERSION,
            });
        }
        if self.kind != wanted_kind.code() {
            return Err(Error::WrongKind {
                name: name(),
                found: Kind::describe(self.kind),
                wanted: Kind::describe(wanted_kind.code()),
            });
        }
        let payload = PayloadType {
            size: self.payload_size,
            align: self.payload_align,
            tag: self.payload_tag,
        };
        if payload != wanted_payload {
            return Err(Error::WrongType {
                name: name(),
                found: payload,
                wanted: wanted_payload,
            });
        }
        let corrupt = |field, found| Error::Corrupt {
            name: name(),
            field,
            found,
        };
        let wait = Wait::from_code(self.wait).ok_or_else(|| corrupt("header.wait", self.wait))?;
        let bad_capacity = || corrupt("header.capacity", self.capacity);
        let many =
            Many::from_header(self, wanted_kind).map_err(|(field, found)| corrupt(field, found))?;
        let least = match wanted_kind {
            Kind::SpscRecords => page_len(),
            Kind::MultiRecords => page_len().div_ceil(many.cell_len),
            Kind::SpscSlots | Kind::MultiSlots => 1,
        };
        if !self.capacity.is_power_of_two() || self.capacity < least {
            return Err(bad_capacity());
        }
        let asymmetric_wakeups = match self.asymmetric_wakeups {
            0 => false,
            1 if wait != Wait::Spin => true,
            found => return Err(corrupt("header.asymmetric_wakeups", found)),
        };
        let geometry = Geometry::new(
            wanted_kind,
            self.capacity,
            payload,
            wait,
            asymmetric_wakeups,
            many,
        )
        .ok_or_else(bad_capacity)?;
        let expected = geometry.to_header();
        for (field, found, expected) in [
            ("header.stride", self.stride, expected.stride),
            (
                "header.payload_offset",
                self.payload_offset,
                expected.payload_offset,
            ),
            (
                "header.words_offset",
                self.words_offset,
                expected.words_offset,
            ),
            ("header.data_offset", self.data_offset, expected.data_offset),
            ("header.data_len", self.data_len, expected.data_len),
            ("header.total_len", self.total_len, expected.total_len),
        ] {
            if found != expected {
                return Err(corrupt(field, found));
            }
        }
        if file_len < geometry.total_len() {
            let expected = geometry.total_len();
            return Err(Error::Truncated {
                name: name(),
                found: file_len,
                expected,
            });
        }
        Ok(geometry)
    }
}
