//! What a ring carries: plain data of one type, or bytes.

use bytemuck::Pod;

use super::core::Mapped;
use crate::error::Corruption;
use crate::protocol::ends::{ReadSide, WriteSide};
use crate::protocol::position::Position;
use crate::protocol::records::{Record, RecordReader, RecordWriter};
use crate::protocol::slots::{SlotReader, SlotWriter};
use crate::segment::layout::{Kind, PayloadType};
use crate::segment::view::{MappedRecords, MappedSlots, View};

/// What a ring carries. Implemented for every plain type (`T: bytemuck::Pod`: no padding, no pointers, any bytes are a
/// valid value) in fixed slots, and for `[u8]`, byte messages of variable length.
///
/// The trait is sealed; its items are details.
///
/// ```compile_fail
/// // A type with a pointer in it can't cross into another process.
/// shm_ringbuf::Config::spsc().anonymous::<&'static str>();
/// ```
pub trait Message: sealed::Sealed {
    #[doc(hidden)]
    const KIND: Kind;
    #[doc(hidden)]
    type Writer: Mapped + WriteSide + Send;
    #[doc(hidden)]
    type Reader: Mapped + ReadSide + Send;
    /// A message that was found and not released.
    #[doc(hidden)]
    type Found: Copy + std::fmt::Debug;
    /// What is known of a claim that was not committed.
    #[doc(hidden)]
    type Claimed: std::fmt::Debug;

    #[doc(hidden)]
    fn payload_type(tag: u64) -> PayloadType;
    #[doc(hidden)]
    fn writer(view: View, predecessor_died: bool) -> Result<Self::Writer, Corruption>;
    #[doc(hidden)]
    fn reader(view: View) -> Result<Self::Reader, Corruption>;
    #[doc(hidden)]
    fn position(reader: &Self::Reader, found: Self::Found) -> Position;
    #[doc(hidden)]
    fn read_position(reader: &Self::Reader) -> Position;
    #[doc(hidden)]
    fn taken_position(reader: &Self::Reader) -> Position;
    #[doc(hidden)]
    fn release(reader: &mut Self::Reader, found: Self::Found);
}

/// The bytes of a claim.
#[derive(Debug)]
pub struct ClaimedBytes {
    /// How many there are.
    pub(in crate::endpoint) len: usize,
    /// Where `io::Write` goes on.
    pub(in crate::endpoint) cursor: usize,
}

mod sealed {
    pub trait Sealed {}
    impl<T: bytemuck::Pod> Sealed for T {}
    impl Sealed for [u8] {}
}

impl<T: Pod> Message for T {
    const KIND: Kind = Kind::SpscSlots;
    type Writer = SlotWriter<MappedSlots<T>>;
    type Reader = SlotReader<MappedSlots<T>>;
    type Found = ();
    /// Whether something was written.
    type Claimed = bool;

    fn payload_type(tag: u64) -> PayloadType {
        PayloadType {
            size: size_of::<T>() as u64,
            align: align_of::<T>() as u64,
            tag,
        }
    }
    fn writer(view: View, predecessor_died: bool) -> Result<Self::Writer, Corruption> {
        let mut writer = SlotWriter::attach(MappedSlots::new(view))?;
        if predecessor_died {
            writer.recover();
        }
        Ok(writer)
    }
    fn reader(view: View) -> Result<Self::Reader, Corruption> {
        SlotReader::attach(MappedSlots::new(view))
    }
    fn position(reader: &Self::Reader, (): ()) -> Position {
        reader.read_position()
    }
    fn read_position(reader: &Self::Reader) -> Position {
        reader.read_position()
    }
    fn taken_position(reader: &Self::Reader) -> Position {
        reader.taken_position()
    }
    #[inline]
    fn release(reader: &mut Self::Reader, (): ()) {
        reader.release(1);
    }
}

impl Message for [u8] {
    const KIND: Kind = Kind::SpscRecords;
    type Writer = RecordWriter<MappedRecords>;
    type Reader = RecordReader<MappedRecords>;
    type Found = Record;
    type Claimed = ClaimedBytes;

    fn payload_type(tag: u64) -> PayloadType {
        PayloadType {
            size: 0,
            align: 0,
            tag,
        }
    }
    fn writer(view: View, _predecessor_died: bool) -> Result<Self::Writer, Corruption> {
        // Nothing to repair: the chain of headers ends where the committed records end.
        RecordWriter::attach(MappedRecords::new(view))
    }
    fn reader(view: View) -> Result<Self::Reader, Corruption> {
        RecordReader::attach(MappedRecords::new(view))
    }
    fn position(_reader: &Self::Reader, found: Record) -> Position {
        found.position
    }
    fn read_position(reader: &Self::Reader) -> Position {
        reader.read_position()
    }
    fn taken_position(reader: &Self::Reader) -> Position {
        reader.taken_position()
    }
    #[inline]
    fn release(reader: &mut Self::Reader, found: Record) {
        reader.release_until(found.end());
    }
}
