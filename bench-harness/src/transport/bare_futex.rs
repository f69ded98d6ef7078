//! `limit-futex` (class limit): a shared word, `FUTEX_WAKE` after each change of it and `FUTEX_WAIT` until it changes, with nothing
//! around them. Nothing that sleeps can be faster.
//!
//! The word counts what was sent, so nothing is merged. The sender always makes its call: it does not know whether anybody sleeps, and
//! finding out is what a mechanism adds.
#![allow(unsafe_code, reason = "a mapped word and the system call")]

use std::io;
use std::os::fd::RawFd;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use memmap2::MmapRaw;

use super::{
    Link, LinkError, LinkShape, Promises, Receiver, Sender, Ticket, Transport, alarm, calls, join,
    shared_memory,
};
use crate::clock::now_ns;

/// What is said about the highest count: the word wraps, and half of it tells ahead from behind.
const COUNT_MAX: usize = i32::MAX as usize;

/// A word in shared memory that one side changes and the other one sleeps on.
#[derive(Debug, Clone, Copy)]
pub struct BareFutex;

impl Transport for BareFutex {
    type Tx = FutexSender;
    type Rx = FutexReceiver;

    fn promises(&self) -> Promises {
        Promises::COUNTER
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        Ok(join::link_of_one(
            shared_memory::anonymous_page()?,
            shape,
            COUNT_MAX,
        ))
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<FutexSender> {
        let word = Word::map(&ticket.sender_fds)?;
        Ok(FutexSender {
            // Relaxed: the sender alone changes it.
            sent: word.get().load(Ordering::Relaxed),
            word,
        })
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<FutexReceiver> {
        Ok(FutexReceiver {
            word: Word::map(&ticket.receiver_fds)?,
            taken: 0,
            deadline_ns: u64::MAX,
        })
    }
}

#[derive(Debug)]
struct Word(MmapRaw);

impl Word {
    fn map(fds: &[RawFd]) -> io::Result<Self> {
        Ok(Self(shared_memory::map(
            &join::adopt(fds)?,
            shared_memory::PAGE_LEN,
        )?))
    }

    #[inline]
    fn get(&self) -> &AtomicU32 {
        // SAFETY: the start of a mapped page that lives as long as self and holds nothing but this atomic.
        unsafe { AtomicU32::from_ptr(self.0.as_mut_ptr().cast()) }
    }

    /// `futex(word, FUTEX_WAKE, 1)`, shared.
    #[inline]
    fn wake(&self) -> io::Result<()> {
        calls::count();
        // SAFETY: the kernel uses the address of the word only to find its sleepers.
        let result =
            unsafe { libc::syscall(libc::SYS_futex, self.get().as_ptr(), libc::FUTEX_WAKE, 1) };
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }

    /// `futex(word, FUTEX_WAIT_BITSET, seen, deadline, NULL, FUTEX_BITSET_MATCH_ANY)`, shared. Every return means: look again.
    fn wait(&self, seen: u32, deadline_ns: u64) -> io::Result<()> {
        let until = Duration::from_nanos(deadline_ns);
        let deadline = libc::timespec {
            tv_sec: until.as_secs().cast_signed() as libc::time_t,
            tv_nsec: until.subsec_nanos() as libc::c_long,
        };
        calls::count();
        // SAFETY: the word lies in a mapping that lives as long as self, the timespec on our stack; the kernel writes to neither.
        let result = unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.get().as_ptr(),
                libc::FUTEX_WAIT_BITSET,
                seen,
                &raw const deadline,
                ptr::null::<u32>(),
                libc::FUTEX_BITSET_MATCH_ANY,
            )
        };
        if result == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EAGAIN | libc::EINTR | libc::ETIMEDOUT) => Ok(()),
            _ => Err(error),
        }
    }
}

/// Changes the word and wakes.
#[derive(Debug)]
pub struct FutexSender {
    word: Word,
    sent: u32,
}

impl Sender for FutexSender {
    #[inline]
    fn send(&mut self, _: &[u8]) -> io::Result<()> {
        self.sent = self.sent.wrapping_add(1);
        // Release: what the sender did before is seen by the woken one. It is the only writer.
        self.word.get().store(self.sent, Ordering::Release);
        self.word.wake()
    }
}

/// Sleeps until the word has changed.
#[derive(Debug)]
pub struct FutexReceiver {
    word: Word,
    taken: u32,
    /// `CLOCK_MONOTONIC`.
    deadline_ns: u64,
}

impl Receiver for FutexReceiver {
    #[inline]
    fn recv(&mut self, _: &mut [u8]) -> io::Result<usize> {
        // Acquire pairs with the sender's Release.
        while self.word.get().load(Ordering::Acquire) == self.taken {
            if now_ns() > self.deadline_ns {
                return Err(alarm::timed_out());
            }
            self.word.wait(self.taken, self.deadline_ns)?;
        }
        self.taken = self.taken.wrapping_add(1);
        Ok(0)
    }

    fn begin_window(&mut self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        self.deadline_ns = now_ns().saturating_add(left.as_nanos() as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fan::Fan;

    fn ends() -> (FutexSender, FutexReceiver) {
        let shape = LinkShape {
            message_len_max: 0,
            variable_len: false,
            capacity: 1,
            fan: Fan::PAIR,
        };
        let link = BareFutex.create(&shape).unwrap();
        let sender = link.sender_part().unwrap().into_ticket();
        let receiver = link.receiver_part().unwrap().into_ticket();
        (
            BareFutex.sender(&sender).unwrap(),
            BareFutex.receiver(&receiver).unwrap(),
        )
    }

    #[test]
    fn a_wait_for_nothing_ends_at_the_deadline() {
        let (_sender, mut receiver) = ends();
        receiver.begin_window(Instant::now() + Duration::from_millis(2));
        let error = receiver.recv(&mut []).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn every_wake_is_received_once_also_by_a_sleeper() {
        let (mut sender, mut receiver) = ends();
        receiver.begin_window(Instant::now() + Duration::from_secs(20));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..200 {
                    sender.send(&[]).unwrap();
                }
            });
            for _ in 0..200 {
                receiver.recv(&mut []).unwrap();
            }
        });
        receiver.begin_window(Instant::now());
        assert!(receiver.recv(&mut []).is_err());
    }
}
