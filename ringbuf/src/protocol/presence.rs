//! Who sits on a side, as one word: `generation << 8 | status`.
//!
//! ```text
//! ABSENT(0) --attach--> ATTACHED(g) --close--> CLOSED(g) --attach--> ATTACHED(g + 1)
//!                       ATTACHED(g) --anyone with a proof of death--> DIED(g) --attach--> ATTACHED(g + 1)
//! ```
//!
//! Only the holder of the role's lock attaches and closes. A death is marked by a compare-and-exchange on the generation that was seen
//! alive: a successor that attached meanwhile is never called dead. Every change is a read-modify-write, so that the changes
//! follow one another without a doubt.

use shm_semaphore::sync::{AtomicU64, Ordering};

use crate::error::Corruption;

const STATUS_BITS: u32 = 8;
const STATUS_MASK: u64 = (1 << STATUS_BITS) - 1;
const ABSENT: u64 = 0;
const ATTACHED: u64 = 1;
const CLOSED: u64 = 2;
const DIED: u64 = 3;

/// The word of one side. All-zero bytes are a side that nobody ever took.
#[derive(Debug)]
#[cfg_attr(not(loom), repr(transparent))]
pub struct Presence {
    state: AtomicU64,
}

/// What a look at a side showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nobody ever attached.
    Absent,
    /// Attached, and not known to be dead.
    Attached,
    /// The last one closed its endpoint.
    Closed,
    /// The last one died without closing.
    Died,
}

/// A look at a side that can be held against a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// What it showed.
    pub status: Status,
    state: u64,
}

impl Presence {
    /// A side that nobody took.
    #[allow(
        clippy::new_without_default,
        reason = "only the stand-in on the heap makes one"
    )]
    pub fn new() -> Self {
        Self {
            state: AtomicU64::new(ABSENT),
        }
    }

    /// Looks.
    #[inline]
    pub fn seen(&self) -> Result<Seen, Corruption> {
        let state = self.state.load(Ordering::Acquire); // edge: peer_state.acquire
        let status = match state & STATUS_MASK {
            ABSENT => Status::Absent,
            ATTACHED => Status::Attached,
            CLOSED => Status::Closed,
            DIED => Status::Died,
            _ => {
                return Err(Corruption {
                    field: "participant.state",
                    found: state,
                });
            }
        };
        Ok(Seen { status, state })
    }

    /// Takes the side. The caller holds the role's lock and has repaired what a dead predecessor left.
    pub fn attach(&self) {
        // Relaxed: the holder of the role's lock follows the predecessor's stores.
        let generation = (self.state.load(Ordering::Relaxed) >> STATUS_BITS).wrapping_add(1);
        let state = generation << STATUS_BITS | ATTACHED;
        self.state.swap(state, Ordering::Release); // edge: peer_state.release
    }

    /// Leaves the side. Everything that was committed before is visible to whoever sees this.
    pub fn close(&self) {
        // Relaxed: we wrote it, or a peer that wrongly believes us dead did; the generation is ours in both cases.
        let state = self.state.load(Ordering::Relaxed) & !STATUS_MASK | CLOSED;
        self.state.swap(state, Ordering::Release); // edge: peer_state.release
    }

    /// Marks the one that `seen` showed as dead; does nothing if the side has changed since.
    pub fn mark_died(&self, seen: Seen) {
        let died = seen.state & !STATUS_MASK | DIED;
        // An error means that somebody else marked it, or that a successor attached.
        let _ = self.state.compare_exchange(
            seen.state,
            died,
            Ordering::Release, // edge: peer_state.release
            Ordering::Relaxed, // Relaxed: nothing is concluded from it
        );
    }
}
