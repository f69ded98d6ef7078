//! The lengths of messages that peers of one type are compiled for. Fewer than our own rings have: each one is compiled for itself, for each peer.

use crate::transport::{LinkError, LinkShape};

/// Evaluates `$then` with the constant `$words` for messages of `$len` bytes, and `$otherwise` where they have another length.
macro_rules! with_peer_words {
    ($len:expr, |$words:ident| $then:expr, else $otherwise:expr) => {
        $crate::transport::typed::with_words!(
            $len, |$words| $then, else $otherwise, [1 8 64 512 4096]
        )
    };
}
pub(super) use with_peer_words;

/// Refuses messages that differ in length.
pub(super) fn of_one_length(peer: &str, shape: &LinkShape) -> Result<usize, LinkError> {
    if shape.variable_len {
        return Err(LinkError::Unavailable(format!(
            "the messages of {peer} are of one type and so of one length, and up to {} B in varying lengths were asked for; \
             choose a workload of one length",
            shape.message_len_max
        )));
    }
    Ok(shape.message_len_max)
}

/// Says which lengths there are.
pub(super) fn not_compiled(peer: &str, len: usize) -> LinkError {
    LinkError::Unavailable(format!(
        "the messages of {peer} are of a type that is chosen at compile time, here of 8, 64, 512, 4096 or 32768 B, and {len} B \
         were asked for; choose one of those with --size"
    ))
}
