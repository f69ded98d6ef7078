//! System calls that move a message or wait for one, counted where they are made.
//!
//! Nothing outside a process can count its calls without slowing them down: tracers stop it at every one. So each wrapper
//! counts its own: those that go through [`alarm::retry`](super::alarm::retry) and [`alarm::yield_until`](super::alarm::yield_until)
//! are counted there, and others call [`count`]. The rings, the semaphores and the event count of this project wait inside their library, which
//! counts as well ([`shm_semaphore::diagnostics`]).
//!
//! The count is that of the calling thread, for a measured process sends and receives on one. What a C library does on
//! behalf of a mechanism can't be seen: `sem_post` and the calls of pthread reach the kernel only when somebody has to wait or to
//! be woken. A wrapper of such a thing calls [`hide`] when it joins, and [`are_all_seen`] says so: the count is then no more than a
//! lower bound, and not to be shown as the number. That is so for `sem-posix`, `posix-shm-sem` and `mutex-condvar`.
//!
//! Not counted are: making, opening and closing; reading the clock, which is no system call; what the harness does around a window; and
//! the interruptions of a call that is past its deadline, which end in one of their own (`rt_sigreturn`).

use std::cell::Cell;

use shm_semaphore::diagnostics;

thread_local! {
    static MADE: Cell<u64> = const { Cell::new(0) };
    static ALL_SEEN: Cell<bool> = const { Cell::new(true) };
}

/// A wrapper is about to make a system call.
#[inline]
pub fn count() {
    MADE.set(MADE.get().wrapping_add(1));
}

/// This thread has joined a mechanism that makes system calls where they can't be counted.
pub fn hide() {
    ALL_SEEN.set(false);
}

/// System calls of this thread so far, the wrapper's and those of the library below the rings. Take the difference of two moments.
pub fn so_far() -> u64 {
    MADE.get().wrapping_add(diagnostics::system_calls())
}

/// Whether [`so_far`] has all of them.
pub fn are_all_seen() -> bool {
    ALL_SEEN.get()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fan::Fan;
    use crate::transport::{LinkShape, Receiver, Sender, Transport, pipe, ring, sem_posix};
    use crate::transport::{Ticket, WaitMode};

    /// What `action` on both ends of a fresh link costs, in a thread of its own.
    fn cost_of<T: Transport>(
        transport: &T,
        action: impl FnOnce(&mut T::Tx, &mut T::Rx) + Send,
    ) -> (u64, bool) {
        let shape = LinkShape {
            message_len_max: 64,
            variable_len: true,
            capacity: 16,
            fan: Fan::PAIR,
        };
        let link = Transport::create(transport, &shape).unwrap();
        let sender: Ticket = link.sender_part().unwrap().into_ticket();
        let receiver = link.receiver_part().unwrap().into_ticket();
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let mut sender = transport.sender(&sender).unwrap();
                let mut receiver = transport.receiver(&receiver).unwrap();
                let before = so_far();
                action(&mut sender, &mut receiver);
                (so_far() - before, are_all_seen())
            });
            thread.join().unwrap()
        })
    }

    fn four_messages(sender: &mut impl Sender, receiver: &mut impl Receiver) {
        for _ in 0..4 {
            sender.send(&[7; 64]).unwrap();
        }
        for _ in 0..4 {
            receiver.recv(&mut [0; 64]).unwrap();
        }
    }

    #[test]
    fn a_pipe_writes_each_message_and_reads_all_that_are_there_at_once() {
        let cost = cost_of(&pipe::Pipe, four_messages);
        assert_eq!(cost, (4 + 1, true));
    }

    #[test]
    fn a_ring_makes_no_call_while_nobody_waits() {
        let ring = ring::RingBytes::<ring::One>::new(WaitMode::Park);
        let cost = cost_of(&ring, four_messages);
        assert_eq!(cost, (0, true));
    }

    #[test]
    fn a_ring_that_sleeps_counts_its_sleeps() {
        let ring = ring::RingBytes::<ring::One>::new(WaitMode::Park);
        let (calls, _) = cost_of(&ring, |_, rx| {
            rx.begin_window(std::time::Instant::now() + std::time::Duration::from_millis(2));
            assert!(rx.recv(&mut [0; 64]).is_err());
        });
        assert!(calls > 0);
    }

    #[test]
    fn a_semaphore_of_the_c_library_says_that_it_does_not_tell() {
        let (_, are_all_seen) = cost_of(&sem_posix::SemPosix, |tx, _| tx.send(&[]).unwrap());
        assert!(!are_all_seen);
    }
}
