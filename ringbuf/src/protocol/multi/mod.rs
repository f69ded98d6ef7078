//! The ring for many: announced claims on numbered cells.
//!
//! `docs/protocol-mpmc.md` tells the whole story; in short:
//!
//! ```text
//! send:     cell FREE(t)?  announce PUT(t);  tail t -> t+1;  write;  cell FREE(t) -> READY(t)       committed
//! receive:  cell READY(h)? announce TAKE(h); head h -> h+1;  read;   cell READY(h) -> FREE(h + lap)  released
//! ```
//!
//! Cells change by compare-and-exchange only, and no word of a cell ever comes again. Who finds a claim in its way looks whether a living participant
//! has announced it. If none has, the position is freed at once. If one has and takes too long, the position is taken out of the order (VOID), and stays
//! out of use for as long as that participant may still be writing there; its commit fails, and it sends again elsewhere. A message that was taken and that no
//! living participant has announced to be reading is taken over by another consumer.

pub mod cell;
pub mod consumer;
pub mod drops;
pub mod front;
pub mod intent;
pub mod life;
pub mod member;
pub mod producer;
pub mod storage;
