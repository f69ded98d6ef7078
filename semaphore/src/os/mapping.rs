//! Mapped memory.

#![allow(unsafe_code, reason = "system calls")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

use memmap2::{Advice, MmapOptions, MmapRaw};

use super::forks::{ProcessMark, without_forks};

/// A file mapped for reading and writing, shared; perhaps with its tail a second time right behind.
#[derive(Debug)]
pub struct Mapping {
    /// The reservation of address space, which the file is mapped over; `None` only while it is being dropped.
    region: Option<MmapRaw>,
    /// Who made it. A child after `fork` has no such memory.
    maker: ProcessMark,
}

impl Mapping {
    /// Maps the first `len` bytes of the file; the last `mirrored_len` of them appear again behind. Children do not
    /// inherit it, so that the mapping ends with this process.
    ///
    /// Both lengths are multiples of the page size.
    pub fn new(file: BorrowedFd<'_>, len: u64, mirrored_len: u64) -> io::Result<Self> {
        let too_large = |_| io::Error::from_raw_os_error(libc::ENOMEM);
        let reserved_len = usize::try_from(len + mirrored_len).map_err(too_large)?;
        let region = MmapOptions::new()
            .len(reserved_len)
            .no_reserve_swap()
            .map_anon()?;
        let region = MmapRaw::from(region);
        let base = region.as_mut_ptr();
        // A child that is forked between the mapping and the advice would have it, and keep our description alive.
        without_forks(|| {
            map_over(base, file, 0, len)?;
            if mirrored_len > 0 {
                // SAFETY: within the reservation, which is `len + mirrored_len` long.
                let behind = unsafe { base.add(len as usize) };
                map_over(behind, file, len - mirrored_len, mirrored_len)?;
            }
            region.advise(Advice::DontFork)
        })?;
        // Fills in the page tables. Kernels before 5.14 don't know the request, and then each first touch costs a little more.
        let _ = region.advise(Advice::PopulateWrite);
        Ok(Self {
            region: Some(region),
            maker: ProcessMark::of_this_process(),
        })
    }

    /// The first byte.
    #[inline]
    pub fn base(&self) -> NonNull<u8> {
        let region = self.region.as_ref().expect("only drop takes it");
        NonNull::new(region.as_mut_ptr()).expect("a mapping is never at zero")
    }

    /// Whether this process made the mapping, and so has it.
    pub fn is_ours(&self) -> bool {
        self.maker == ProcessMark::of_this_process()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if !self.is_ours() {
            // A child after `fork`: the addresses may belong to something else by now.
            std::mem::forget(self.region.take());
        }
    }
}

/// Maps a part of the file over a part of a reservation.
fn map_over(at: *mut u8, file: BorrowedFd<'_>, offset: u64, len: u64) -> io::Result<()> {
    let overflow = |_| io::Error::from_raw_os_error(libc::EOVERFLOW);
    let offset = libc::off_t::try_from(offset).map_err(overflow)?;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_FIXED;
    // SAFETY: the caller owns the address range; nothing else lives there.
    let mapped = unsafe {
        libc::mmap(
            at.cast(),
            len as usize,
            protection,
            flags,
            file.as_raw_fd(),
            offset,
        )
    };
    if mapped == libc::MAP_FAILED {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
