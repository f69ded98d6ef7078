//! The sides of a ring for one producer and one consumer.

mod bytes;
mod core;
mod typed;

use self::core::Endpoint;
use crate::error::Corruption;
use crate::participants::Peer;
use crate::protocol::records::{RecordReader, RecordWriter};
use crate::protocol::slots::{SlotReader, SlotWriter};
use crate::segment::view::{MappedRecords, MappedSlots};

pub type TypedSender<T> = Endpoint<SlotWriter<MappedSlots<T>>>;
pub type TypedReceiver<T> = Endpoint<SlotReader<MappedSlots<T>>>;
pub type ByteSender = Endpoint<RecordWriter<MappedRecords>>;
pub type ByteReceiver = Endpoint<RecordReader<MappedRecords>>;

/// A side whose other side is one process.
pub trait AsksPeer {
    /// What is known of it, asked afresh.
    fn peer(&self) -> Result<Peer, Corruption>;
}

impl<S: self::core::Mapped> AsksPeer for Endpoint<S> {
    fn peer(&self) -> Result<Peer, Corruption> {
        self.ask_peer()
    }
}

/// A side that alone decides what is read.
pub trait FollowsPositions {
    /// The position of the next message.
    fn read_position(&self) -> u64;
    /// Messages before this position were handed out before.
    fn taken_position(&self) -> u64;
}

macro_rules! follows_positions {
    ($($receiver:ty $(, $parameter:ident)?);*) => {$(
        impl$(<$parameter: bytemuck::Pod>)? FollowsPositions for $receiver {
            fn read_position(&self) -> u64 {
                self.side.read_position().0
            }
            fn taken_position(&self) -> u64 {
                self.side.taken_position().0
            }
        }
    )*};
}

follows_positions!(TypedReceiver<T>, T; ByteReceiver);
