//! The kinds of ring. They have the same methods, each on types of its own.

use std::fmt::Debug;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::slice;
use std::time::Duration;

use shm_ringbuf::bytemuck::Pod;
use shm_ringbuf::{Config, Error, Message, Multi, RecvError, SendError, Spsc, Wait, multi};
use shm_semaphore::Deadline;

use crate::transport::{LinkError, LinkShape, ONE_TO_ONE, limits};

/// A kind of ring: how its two sides are made and used. What is used of them is what a plain program uses: messages are sent and received one by
/// one, and never in batches.
pub trait Kind: Debug + Sync + 'static {
    /// A side that sends.
    type Producer<M: Message + Debug + ?Sized>: Debug;
    /// A side that receives.
    type Consumer<M: Message + Debug + ?Sized>: Debug;

    /// The names of the typed ring and of the one of bytes.
    const NAMES: [&'static str; 2];

    /// Whether a process can be stopped in the middle of a message without stopping the others for good.
    const CAN_HOLD: bool;

    /// Why it can't be shared by as many processes as the shape says.
    fn refuses(shape: &LinkShape) -> Option<String>;

    /// Makes a ring in an anonymous segment, and says how many units its capacity has.
    ///
    /// # Errors
    /// See [`LinkError`].
    fn create<M: Message + Debug + ?Sized>(
        request: &Request,
    ) -> Result<(OwnedFd, usize), LinkError>;

    /// What a ring of bytes has to be asked for, and how many messages one of so many units holds.
    fn bytes(shape: &LinkShape) -> Bytes;

    /// Joins as a producer.
    ///
    /// # Errors
    /// What the ring says.
    fn producer<M: Message + Debug + ?Sized>(
        fd: OwnedFd,
        wait: Wait,
    ) -> Result<Self::Producer<M>, Error>;

    /// Joins as a consumer.
    ///
    /// # Errors
    /// What the ring says.
    fn consumer<M: Message + Debug + ?Sized>(
        fd: OwnedFd,
        wait: Wait,
    ) -> Result<Self::Consumer<M>, Error>;

    /// Sends a value.
    ///
    /// # Errors
    /// What the ring says.
    fn send<T: Pod + Debug>(
        producer: &mut Self::Producer<T>,
        message: &T,
        deadline: Deadline,
    ) -> io::Result<()>;

    /// Receives a value into its place.
    ///
    /// # Errors
    /// What the ring says.
    fn recv<T: Pod + Debug>(
        consumer: &mut Self::Consumer<T>,
        place: &mut T,
        deadline: Deadline,
    ) -> io::Result<()>;

    /// Sends bytes.
    ///
    /// # Errors
    /// What the ring says.
    fn send_bytes(
        producer: &mut Self::Producer<[u8]>,
        message: &[u8],
        deadline: Deadline,
    ) -> io::Result<()>;

    /// Receives bytes, and says how many.
    ///
    /// # Errors
    /// What the ring says.
    fn recv_bytes(
        consumer: &mut Self::Consumer<[u8]>,
        buffer: &mut [u8],
        deadline: Deadline,
    ) -> io::Result<usize>;
}

/// What a ring is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// Messages, or bytes.
    pub capacity: usize,
    /// Bytes of a cell, where there are cells.
    pub cell: usize,
    /// How its endpoints wait unless they choose for themselves.
    pub wait: Wait,
}

/// How messages lie in a ring of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes {
    /// What a message of the longest length takes.
    pub message_len: usize,
    /// What no message can use.
    pub unused_len: usize,
    /// Bytes of a cell, where there are cells.
    pub cell: usize,
}

/// Larger messages than this go through the forms that take a slice, of one message: through the plain ones a value would be
/// copied once more on its way.
const BY_VALUE_LEN_MAX: usize = 512;

fn remaining(deadline: Deadline) -> Duration {
    deadline.remaining().unwrap_or(Duration::MAX)
}

/// One producer and one consumer.
#[derive(Debug)]
pub struct One;

/// Many producers and many consumers.
#[derive(Debug)]
pub struct Many;

/// The same code for each kind, on its own types: those of a module.
macro_rules! kind {
    ($kind:ty, $topology:ty, $names:expr, $($module:ident)::+, $configured:expr, { $($own:item)* }) => {
        impl Kind for $kind {
            type Producer<M: Message + Debug + ?Sized> = $($module)::+::Producer<M>;
            type Consumer<M: Message + Debug + ?Sized> = $($module)::+::Consumer<M>;

            const NAMES: [&'static str; 2] = $names;

            $($own)*

            fn create<M: Message + Debug + ?Sized>(request: &Request) -> Result<(OwnedFd, usize), LinkError> {
                let configured: fn(&Request) -> Config<$topology> = $configured;
                let config = configured(request).capacity(request.capacity).wait(request.wait);
                let ring = config.anonymous::<M>().map_err(not_made)?;
                let fd = ring.as_fd().try_clone_to_owned()?;
                Ok((fd, ring.capacity()))
            }

            fn producer<M: Message + Debug + ?Sized>(
                fd: OwnedFd,
                wait: Wait,
            ) -> Result<Self::Producer<M>, Error> {
                $($module)::+::Ring::<M>::from_fd(fd)?.producer_with(wait)
            }

            fn consumer<M: Message + Debug + ?Sized>(
                fd: OwnedFd,
                wait: Wait,
            ) -> Result<Self::Consumer<M>, Error> {
                $($module)::+::Ring::<M>::from_fd(fd)?.consumer_with(wait)
            }

            #[inline]
            fn send<T: Pod + Debug>(
                producer: &mut Self::Producer<T>,
                message: &T,
                deadline: Deadline,
            ) -> io::Result<()> {
                if size_of::<T>() <= BY_VALUE_LEN_MAX {
                    let sent = producer.send_deadline(*message, deadline);
                    return sent.map_err(|error| send_error(&error));
                }
                let one = slice::from_ref(message);
                let sent = match producer.try_send_exact(one) {
                    Err(SendError::Full(())) => {
                        producer.send_exact_timeout(one, remaining(deadline))
                    }
                    result => result,
                };
                sent.map_err(|error| send_error(&error))
            }

            #[inline]
            fn recv<T: Pod + Debug>(
                consumer: &mut Self::Consumer<T>,
                place: &mut T,
                deadline: Deadline,
            ) -> io::Result<()> {
                if size_of::<T>() <= BY_VALUE_LEN_MAX {
                    let received = consumer.recv_deadline(deadline);
                    *place = received.map_err(|error| recv_error(&error))?;
                    return Ok(());
                }
                let one = slice::from_mut(place);
                let received = match consumer.try_recv_up_to(one) {
                    Err(RecvError::Empty) => consumer.recv_up_to_timeout(one, remaining(deadline)),
                    result => result,
                };
                received.map(drop).map_err(|error| recv_error(&error))
            }

            #[inline]
            fn send_bytes(
                producer: &mut Self::Producer<[u8]>,
                message: &[u8],
                deadline: Deadline,
            ) -> io::Result<()> {
                let sent = producer.send_deadline(message, deadline);
                sent.map_err(|error| send_error(&error))
            }

            #[inline]
            fn recv_bytes(
                consumer: &mut Self::Consumer<[u8]>,
                buffer: &mut [u8],
                deadline: Deadline,
            ) -> io::Result<usize> {
                let received = consumer.recv_deadline(buffer, deadline);
                received.map_err(|error| recv_error(&error))
            }
        }
    };
}

/// Before a record of bytes, and the multiple to which it is padded.
const RECORD_UNIT: usize = 8;

kind!(
    One,
    Spsc,
    ["ring-spsc", "ring-spsc-bytes"],
    shm_ringbuf,
    |_| Config::spsc(),
    {
        const CAN_HOLD: bool = false;

        fn refuses(_: &LinkShape) -> Option<String> {
            Some(ONE_TO_ONE.to_owned())
        }

        fn bytes(shape: &LinkShape) -> Bytes {
            Bytes {
                message_len: RECORD_UNIT + shape.message_len_max.next_multiple_of(RECORD_UNIT),
                // The header that marks the end.
                unused_len: RECORD_UNIT,
                cell: 0,
            }
        }
    }
);

/// The shortest cell of a ring of bytes, and what it has unless chosen.
const CELL_LEN_MIN: usize = 64;
/// A message takes no more cells.
const CELLS_MAX: usize = 1024;

kind!(
    Many,
    Multi,
    ["ring-mpmc", "ring-mpmc-bytes"],
    multi,
    |request| Config::mpmc().cell(request.cell),
    {
        const CAN_HOLD: bool = true;

        fn refuses(_: &LinkShape) -> Option<String> {
            None
        }

        fn bytes(shape: &LinkShape) -> Bytes {
            let len = shape.message_len_max.max(1);
            // Who knows that all messages have one length chooses cells of that length.
            let wanted = if shape.variable_len {
                len.div_ceil(CELLS_MAX)
            } else {
                len
            };
            let cell = wanted.next_power_of_two().max(CELL_LEN_MIN);
            Bytes {
                message_len: len.next_multiple_of(cell),
                unused_len: 0,
                cell,
            }
        }
    }
);

fn not_made(error: Error) -> LinkError {
    match error {
        Error::NoSpace { needed, .. } => limits::file_too_long(needed)
            .unwrap_or_else(|| LinkError::Unavailable(error.to_string())),
        Error::Unsupported { .. } => LinkError::Unavailable(error.to_string()),
        error => LinkError::Failed(io::Error::other(error)),
    }
}

#[cold]
fn send_error<T: Debug>(error: &SendError<T>) -> io::Error {
    let kind = match error {
        SendError::TimedOut(_) => io::ErrorKind::TimedOut,
        SendError::Disconnected(_) | SendError::OwnerDied(_) => io::ErrorKind::BrokenPipe,
        SendError::TooLong { .. } => io::ErrorKind::InvalidInput,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error.to_string())
}

#[cold]
fn recv_error(error: &RecvError) -> io::Error {
    let kind = match error {
        RecvError::TimedOut => io::ErrorKind::TimedOut,
        RecvError::Disconnected | RecvError::OwnerDied => io::ErrorKind::UnexpectedEof,
        RecvError::BufferTooSmall { .. } => io::ErrorKind::InvalidInput,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fan::Fan;

    #[test]
    fn cells_are_as_long_as_the_messages_where_all_are_of_one_length() {
        let bytes = |message_len_max, variable_len| {
            let bytes = Many::bytes(&LinkShape {
                message_len_max,
                variable_len,
                capacity: 1024,
                fan: Fan::PAIR,
            });
            (bytes.cell, bytes.message_len)
        };
        assert_eq!(bytes(64, false), (64, 64));
        assert_eq!(bytes(100, false), (128, 128));
        assert_eq!(bytes(100, true), (64, 128));
        assert_eq!(bytes(1 << 20, true), (1024, 1 << 20));
        assert_eq!(bytes(0, true), (64, 64));
    }
}
