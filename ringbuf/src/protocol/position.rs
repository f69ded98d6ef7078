//! Positions and indices.

/// A place in the endless sequence of messages (or of bytes): it only grows, and never wraps (2⁶⁴ messages at one
/// a nanosecond last 584 years).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub u64);

/// A place in the ring: the position, less the laps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Index(pub usize);

impl Position {
    /// Where the position falls in a ring of this capacity.
    #[inline]
    pub fn index(self, capacity: Capacity) -> Index {
        Index((self.0 & (capacity.0 - 1)) as usize)
    }

    /// The position `distance` further on.
    #[inline]
    #[must_use]
    pub fn plus(self, distance: u64) -> Self {
        Self(self.0.wrapping_add(distance))
    }

    /// How far this position lies ahead of an earlier one; huge if it does not.
    #[inline]
    pub fn distance_from(self, earlier: Self) -> u64 {
        self.0.wrapping_sub(earlier.0)
    }
}

/// The size of a ring, a power of two: slots of a typed ring, bytes of a byte ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity(u64);

impl Capacity {
    /// # Panics
    /// If `capacity` is not a power of two; every caller has rounded or validated it.
    pub fn new(capacity: u64) -> Self {
        assert!(
            capacity.is_power_of_two(),
            "{capacity} is not a power of two"
        );
        Self(capacity)
    }

    /// As a number.
    #[inline]
    pub fn get(self) -> u64 {
        self.0
    }
}
