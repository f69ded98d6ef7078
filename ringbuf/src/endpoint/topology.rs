//! How many may send and receive, as a type.

use std::fmt::Debug;

use bytemuck::Pod;

use super::multi;
use super::sides::{ByteReceiver, ByteSender, TypedReceiver, TypedSender};
use super::spsc;

/// One producer and one consumer at a time.
#[derive(Debug, Clone, Copy)]
pub enum Spsc {}

/// Many producers, many consumers, or both.
#[derive(Debug, Clone, Copy)]
pub enum Multi {}

/// How many may send and receive: [`Spsc`] or [`Multi`].
///
/// The trait is sealed; its items are details.
pub trait Topology: sealed::Sealed + Debug + 'static {
    #[doc(hidden)]
    const IS_MULTI: bool;
    #[doc(hidden)]
    type TypedSender<T: Pod>: TypedSender<T>;
    #[doc(hidden)]
    type TypedReceiver<T: Pod>: TypedReceiver<T>;
    #[doc(hidden)]
    type ByteSender: ByteSender;
    #[doc(hidden)]
    type ByteReceiver: ByteReceiver;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Spsc {}
    impl Sealed for super::Multi {}
}

impl Topology for Spsc {
    const IS_MULTI: bool = false;
    type TypedSender<T: Pod> = spsc::TypedSender<T>;
    type TypedReceiver<T: Pod> = spsc::TypedReceiver<T>;
    type ByteSender = spsc::ByteSender;
    type ByteReceiver = spsc::ByteReceiver;
}

impl Topology for Multi {
    const IS_MULTI: bool = true;
    type TypedSender<T: Pod> = multi::TypedSender<T>;
    type TypedReceiver<T: Pod> = multi::TypedReceiver<T>;
    type ByteSender = multi::ByteSender;
    type ByteReceiver = multi::ByteReceiver;
}
