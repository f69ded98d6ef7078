//! Small facts about this process and this moment.

#![allow(unsafe_code, reason = "system calls")]

use std::time::{SystemTime, UNIX_EPOCH};

/// The effective user.
pub fn effective_uid() -> u32 {
    // SAFETY: no preconditions.
    unsafe { libc::geteuid() }
}

/// The processor that the caller runs on at this moment.
pub fn processor() -> Option<u32> {
    // SAFETY: no preconditions.
    u32::try_from(unsafe { libc::sched_getcpu() }).ok()
}

/// Bytes of a page.
pub fn page_len() -> u64 {
    // SAFETY: sysconf has no preconditions.
    let page_len = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(page_len).expect("every Linux tells its page size")
}

/// Nanoseconds of the real-time clock.
pub fn real_time_ns() -> u64 {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}
