//! What a ring carries: plain data of one type, or bytes.

use bytemuck::Pod;

use super::sides::{ReceiveSide, Side};
use super::topology::Topology;
use crate::segment::layout::{Kind, PayloadType};

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
    type Sender<K: Topology>: Side;
    #[doc(hidden)]
    type Receiver<K: Topology>: ReceiveSide;
    /// What is known of a claim that was not committed.
    #[doc(hidden)]
    type Claimed: std::fmt::Debug;

    #[doc(hidden)]
    fn kind<K: Topology>() -> Kind;
    #[doc(hidden)]
    fn payload_type(tag: u64) -> PayloadType;
    #[doc(hidden)]
    fn abort<K: Topology>(sender: &mut Self::Sender<K>);
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
    type Sender<K: Topology> = K::TypedSender<T>;
    type Receiver<K: Topology> = K::TypedReceiver<T>;
    /// Whether something was written.
    type Claimed = bool;

    fn kind<K: Topology>() -> Kind {
        if K::IS_MULTI {
            Kind::MultiSlots
        } else {
            Kind::SpscSlots
        }
    }
    fn payload_type(tag: u64) -> PayloadType {
        PayloadType {
            size: size_of::<T>() as u64,
            align: align_of::<T>() as u64,
            tag,
        }
    }
    #[inline]
    fn abort<K: Topology>(sender: &mut K::TypedSender<T>) {
        super::sides::TypedSender::abort(sender);
    }
}

impl Message for [u8] {
    type Sender<K: Topology> = K::ByteSender;
    type Receiver<K: Topology> = K::ByteReceiver;
    type Claimed = ClaimedBytes;

    fn kind<K: Topology>() -> Kind {
        if K::IS_MULTI {
            Kind::MultiRecords
        } else {
            Kind::SpscRecords
        }
    }
    fn payload_type(tag: u64) -> PayloadType {
        PayloadType {
            size: 0,
            align: 0,
            tag,
        }
    }
    #[inline]
    fn abort<K: Topology>(sender: &mut K::ByteSender) {
        super::sides::ByteSender::abort(sender);
    }
}
