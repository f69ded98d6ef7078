//! The word that a side sleeps on, apart from the side itself.

#![allow(unsafe_code, reason = "a reference into mapped memory")]

use std::io;
use std::os::fd::AsFd;

use shm_semaphore::os::mapping::Mapping;
use shm_semaphore::{EventCount, Prepared, WaitKey, Waitable};

use super::layout::{CONTROL_OFFSET, Control};
use super::lifecycle::Segment;
use crate::role::Role;

/// Where a side sleeps, in a mapping of its own without any lock: it may outlive the endpoint, and must not keep the endpoint's process
/// looking alive in that role.
#[derive(Debug)]
pub struct Gate {
    mapping: Mapping,
    sleeper: Role,
}

impl Gate {
    /// The gate of this side.
    pub fn map(segment: &Segment, sleeper: Role) -> io::Result<Self> {
        let control_len = segment.geometry.data_offset;
        let mapping = Mapping::new(segment.file.as_fd(), control_len, 0)?;
        Ok(Self { mapping, sleeper })
    }

    fn event(&self) -> &EventCount {
        // SAFETY: the mapping reaches to the data, which begins behind the control page.
        let control = unsafe { self.mapping.base().add(CONTROL_OFFSET as usize) };
        // SAFETY: mapped for as long as we live, aligned (asserted in the layout), and made of atomics, for which any bytes are valid.
        let control: &Control = unsafe { control.cast().as_ref() };
        match self.sleeper {
            Role::Consumer => &control.not_empty.event,
            Role::Producer => &control.not_full.event,
        }
    }
}

impl Waitable for Gate {
    fn prepared(&self, key: WaitKey) -> Prepared<'_> {
        self.event().prepared(key)
    }
}
