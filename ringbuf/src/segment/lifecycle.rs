//! How a segment with a ring in it comes into being and is found.

use std::os::fd::OwnedFd;

use shm_semaphore::segment::{self, Found, Name};

use super::layout::{Geometry, Header, Kind, MAGIC, PayloadType};
use crate::error::Error;

/// A file that was created or checked.
#[derive(Debug)]
pub struct Segment {
    /// Without any lock: good for questions, and for opening anew.
    pub file: OwnedFd,
    /// From the checked header.
    pub geometry: Geometry,
    /// For messages.
    pub name: Name,
}

/// Makes a segment under a name.
pub fn create(name: Name, geometry: Geometry, mode: u32) -> Result<Segment, Error> {
    let first_bytes = geometry.to_first_bytes();
    let file = segment::create(&name, &first_bytes, geometry.total_len(), mode)
        .map_err(|refusal| Error::from_refusal(&name, refusal))?;
    Ok(Segment {
        file,
        geometry,
        name,
    })
}

/// Makes a segment without a name, whose length nobody can change.
pub fn create_anonymous(geometry: Geometry) -> Result<Segment, Error> {
    let name = Name::anonymous();
    let first_bytes = geometry.to_first_bytes();
    let file = segment::create_anonymous(c"shm-ringbuf", &first_bytes, geometry.total_len())
        .map_err(|refusal| Error::from_refusal(&name, refusal))?;
    Ok(Segment {
        file,
        geometry,
        name,
    })
}

/// Finds a segment by its name and checks it; the owner must be one of ours, root, or `trusted_owner`.
pub fn open(
    name: Name,
    kind: Kind,
    payload: PayloadType,
    trusted_owner: Option<u32>,
) -> Result<Segment, Error> {
    match segment::open(&name, trusted_owner) {
        Ok(found) => check(found, name, kind, payload),
        Err(refusal) => Err(Error::from_refusal(&name, refusal)),
    }
}

/// Checks a segment that came as a descriptor. Whoever passed it on is trusted with its ownership; with its length only if it is no memfd.
pub fn from_fd(file: OwnedFd, kind: Kind, payload: PayloadType) -> Result<Segment, Error> {
    let name = Name::anonymous();
    match segment::from_fd(file) {
        Ok(found) => check(found, name, kind, payload),
        Err(refusal) => Err(Error::from_refusal(&name, refusal)),
    }
}

fn check(found: Found, name: Name, kind: Kind, payload: PayloadType) -> Result<Segment, Error> {
    let words = segment::read_header(&found, MAGIC)
        .map_err(|refusal| Error::from_refusal(&name, refusal))?;
    let geometry = Header::from_words(words).validate(&name, found.len, kind, payload)?;
    Ok(Segment {
        file: found.file,
        geometry,
        name,
    })
}
