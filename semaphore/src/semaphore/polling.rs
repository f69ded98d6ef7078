//! A named semaphore in an event loop.

#![allow(unsafe_code, reason = "a reference into mapped memory")]

use std::os::fd::AsFd;

use super::core::Words;
use super::layout::WORDS_OFFSET;
use super::seat::Segment;
use crate::error::Error;
use crate::os::mapping::Mapping;
use crate::segment::Refusal;
use crate::{Pollable, Prepared, WaitKey, Waitable};

/// Where those who wait for permits sleep, in a mapping of its own without any lock: it may outlive a seat, and must not make
/// its process look alive there.
struct News(Mapping);

impl Waitable for News {
    fn prepared(&self, key: WaitKey) -> Prepared<'_> {
        // SAFETY: the mapping is as long as the segment, which begins with a header and the words.
        let words = unsafe { self.0.base().add(WORDS_OFFSET as usize) };
        // SAFETY: mapped for as long as we live, aligned (a page), and made of atomics, for which all bytes are valid.
        let words: &Words = unsafe { words.cast().as_ref() };
        Prepared::new(&words.news, key)
    }
}

pub(super) fn pollable(segment: &Segment) -> Result<Pollable, Error> {
    let failed = |operation| {
        move |source| Error::from_refusal(&segment.name, Refusal::from_io(operation, source))
    };
    let mapping = Mapping::new(segment.file.as_fd(), segment.geometry.total_len(), 0);
    let news = News(mapping.map_err(failed("map"))?);
    Pollable::new(news).map_err(failed("start a thread"))
}
