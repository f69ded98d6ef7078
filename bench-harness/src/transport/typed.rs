//! Messages of a type that is known at compile time: `[u64; N]`.
//!
//! The type is chosen once for a link, and from there on the code is that of a program that knows its type. Each length is compiled for itself, so
//! there are only so many.

use std::io;

use shm_ringbuf::bytemuck::{self, Pod, PodCastError};

/// Evaluates `$then` with the constant `$words` for messages of `$len` bytes, and `$otherwise` where they have a length that this harness is not compiled
/// for. Six words are a tick of the workload `ticks`, seven are one behind its number.
macro_rules! with_words {
    ($len:expr, |$words:ident| $then:expr, else $otherwise:expr) => {
        $crate::transport::typed::with_words!(
            @ $len, |$words| $then, else $otherwise, [1 2 4 6 7 8 16 32 64 128 256 512 1024 2048 4096 8192]
        )
    };
    ($len:expr, |$words:ident| $then:expr, else $otherwise:expr, [$($number:literal)*]) => {
        $crate::transport::typed::with_words!(@ $len, |$words| $then, else $otherwise, [$($number)*])
    };
    (@ $len:expr, |$words:ident| $then:expr, else $otherwise:expr, [$($number:literal)*]) => {
        match $len {
            $(len if len == 8 * $number => {
                const $words: usize = $number;
                $then
            })*
            _ => $otherwise,
        }
    };
}
pub(crate) use with_words;

/// The message that those bytes are. The harness's buffers are page-aligned, so this is a view and no copy.
///
/// # Errors
/// `InvalidInput` when they are too many, too few, or not aligned to it.
#[inline]
pub fn message_in<T: Pod>(bytes: &[u8]) -> io::Result<&T> {
    bytemuck::try_from_bytes(bytes).map_err(wrong_shape)
}

/// The place of a message in such a buffer.
///
/// # Errors
/// See [`message_in`].
#[inline]
pub fn place_in<T: Pod>(buffer: &mut [u8]) -> io::Result<&mut T> {
    bytemuck::try_from_bytes_mut(buffer).map_err(wrong_shape)
}

#[cold]
fn wrong_shape(error: PodCastError) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("a buffer that is no message: {error}"),
    )
}
