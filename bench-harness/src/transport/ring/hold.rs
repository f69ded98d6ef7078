//! One more participant of a ring for many, that gets into the middle of a message and stays there.

use std::fmt::Debug;
use std::io;
use std::os::fd::OwnedFd;

use shm_ringbuf::bytemuck::Pod;
use shm_ringbuf::multi::Ring;
use shm_ringbuf::{Message, Wait};

use crate::fan::Stopped;

/// Holds a claim, or a received message, of a ring of `T` while `stop` runs.
///
/// # Errors
/// What the ring says.
pub fn hold_typed<T: Pod + Debug>(
    fd: OwnedFd,
    wait: Wait,
    who: Stopped,
    stop: impl FnOnce(),
) -> io::Result<()> {
    let ring = open::<T>(fd)?;
    let mut producer = ring.producer_with(wait).map_err(io::Error::other)?;
    match who {
        Stopped::Producer => {
            let claim = producer.claim().map_err(io::Error::other)?;
            stop();
            drop(claim);
        }
        Stopped::Consumer => {
            // Its own message: everybody else's go their way.
            let mut consumer = ring.consumer_with(wait).map_err(io::Error::other)?;
            producer
                .send_exact(&[T::zeroed()])
                .map_err(io::Error::other)?;
            producer.close();
            let received = consumer.recv_ref().map_err(io::Error::other)?;
            stop();
            received.release();
        }
    }
    Ok(())
}

/// The same of a ring of bytes, with a message of that length.
///
/// # Errors
/// What the ring says.
pub fn hold_bytes(
    fd: OwnedFd,
    wait: Wait,
    len: usize,
    who: Stopped,
    stop: impl FnOnce(),
) -> io::Result<()> {
    let ring = open::<[u8]>(fd)?;
    let mut producer = ring.producer_with(wait).map_err(io::Error::other)?;
    match who {
        Stopped::Producer => {
            let claim = producer.claim(len).map_err(io::Error::other)?;
            stop();
            drop(claim);
        }
        Stopped::Consumer => {
            let mut consumer = ring.consumer_with(wait).map_err(io::Error::other)?;
            producer.send(&vec![0; len]).map_err(io::Error::other)?;
            producer.close();
            let received = consumer.recv_ref().map_err(io::Error::other)?;
            stop();
            received.release();
        }
    }
    Ok(())
}

fn open<M: Message + ?Sized>(fd: OwnedFd) -> io::Result<Ring<M>> {
    Ring::<M>::from_fd(fd).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use shm_ringbuf::Config;

    use super::*;

    /// What the others see while somebody holds on: their messages pass.
    fn passes(ring: &Ring<u64>) {
        let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
        for turn in 1..100 {
            producer.send(turn).unwrap();
            assert_eq!(consumer.recv(), Ok(turn));
        }
    }

    #[test]
    fn others_go_on_while_a_claim_or_a_message_is_held() {
        for who in [Stopped::Producer, Stopped::Consumer] {
            let ring = Config::mpmc().capacity(16).anonymous::<u64>().unwrap();
            let fd = ring.as_fd().try_clone_to_owned().unwrap();
            let mut was_stopped = false;
            hold_typed::<u64>(fd, Wait::Park, who, || {
                passes(&ring);
                was_stopped = true;
            })
            .unwrap();
            assert!(was_stopped);
        }
    }

    #[test]
    fn a_message_of_bytes_is_held_as_well() {
        for who in [Stopped::Producer, Stopped::Consumer] {
            let ring = Config::mpmc().capacity(4096).anonymous::<[u8]>().unwrap();
            let fd = ring.as_fd().try_clone_to_owned().unwrap();
            hold_bytes(fd, Wait::Park, 100, who, || {
                let (mut producer, mut consumer) =
                    (ring.producer().unwrap(), ring.consumer().unwrap());
                producer.send(&[7; 64]).unwrap();
                assert_eq!(consumer.recv(&mut [0; 100]), Ok(64));
            })
            .unwrap();
        }
    }
}
