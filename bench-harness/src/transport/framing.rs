//! Messages over a stream of bytes: a 32-bit length in little-endian order, then the message.
//!
//! ```text
//!  byte   0         4                  4 + len
//!         +---------+------------------+---------+--
//!         | len u32 | message          | len u32 | ...
//!         +---------+------------------+---------+--
//! ```
//!
//! The sender makes one system call per message. The receiver reads as much as is there and takes messages out of
//! its own buffer; only the rest of a long message goes straight to where the caller wants it. One of several receivers
//! must not take what is another one's: it reads one frame at a time, and all frames are of one length.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;

use nix::sys::uio::writev;
use nix::unistd::{read, write};

use super::{LinkError, LinkShape, Receiver, Sender, Ticket, alarm, join};

/// Bytes of the length in front of each message.
pub const PREFIX_LEN: usize = 4;

/// Up to here a message is copied behind its length and written in one piece: cheaper than handing two pieces over.
const COPIED_LEN_MAX: usize = 2048;

/// The receiver's buffer, when messages are not longer.
const READ_AHEAD_LEN: usize = 64 << 10;

/// From this many missing bytes on, the rest of a message is read straight into the caller's buffer.
const DIRECT_LEN_MIN: usize = 16 << 10;

/// Bytes of the longest frame that a shape asks for.
///
/// # Errors
/// `Unavailable` when a message is longer than its prefix can say.
pub fn frame_len(shape: &LinkShape) -> Result<usize, LinkError> {
    if u32::try_from(shape.message_len_max).is_err() {
        return Err(LinkError::Unavailable(format!(
            "a message of {} B is over the {} B that a 32-bit length can say; choose a smaller --size",
            shape.message_len_max,
            u32::MAX
        )));
    }
    Ok(PREFIX_LEN + shape.message_len_max)
}

/// Writes frames to a pipe or a socket.
#[derive(Debug)]
pub struct FrameWriter {
    fd: OwnedFd,
    frame: Vec<u8>,
    message_len_max: usize,
    cut: bool,
}

impl FrameWriter {
    /// Joins as the sender that the ticket describes.
    ///
    /// # Errors
    /// What the system says about the descriptor.
    pub fn join(ticket: &Ticket) -> io::Result<Self> {
        alarm::setup()?;
        Ok(Self {
            fd: join::adopt(&ticket.sender_fds)?,
            frame: Vec::with_capacity(PREFIX_LEN + COPIED_LEN_MAX),
            message_len_max: ticket.message_len_max,
            cut: false,
        })
    }

    /// Writes both pieces; returns how many bytes of the two had been written when an error came.
    fn write_all(&self, prefix: &[u8], message: &[u8]) -> Result<(), (usize, io::Error)> {
        let total = prefix.len() + message.len();
        let mut done = 0;
        while done < total {
            let result = if done < prefix.len() && !message.is_empty() {
                let pieces = [IoSlice::new(&prefix[done..]), IoSlice::new(message)];
                alarm::retry(|| writev(&self.fd, &pieces))
            } else if done < prefix.len() {
                alarm::retry(|| write(&self.fd, &prefix[done..]))
            } else {
                alarm::retry(|| write(&self.fd, &message[done - prefix.len()..]))
            };
            match result {
                Ok(written) => done += written,
                Err(error) => return Err((done, join::sender_error(error))),
            }
        }
        Ok(())
    }
}

impl Sender for FrameWriter {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        join::check_sent(message.len(), self.message_len_max)?;
        if self.cut {
            let text = "the deadline cut an earlier message in two; nothing can follow it";
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, text));
        }
        let prefix = (message.len() as u32).to_le_bytes();
        let written = if message.len() <= COPIED_LEN_MAX {
            self.frame.clear();
            self.frame.extend_from_slice(&prefix);
            self.frame.extend_from_slice(message);
            self.write_all(&self.frame, &[])
        } else {
            self.write_all(&prefix, message)
        };
        written.map_err(|(done, error)| {
            self.cut = done > 0;
            error
        })
    }
}

/// Takes frames out of a pipe or a socket.
#[derive(Debug)]
pub struct FrameReader {
    fd: OwnedFd,
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
    message_len_max: usize,
}

impl FrameReader {
    /// Joins as the receiver that the ticket describes.
    ///
    /// # Errors
    /// What the system says about the descriptor.
    pub fn join(ticket: &Ticket) -> io::Result<Self> {
        let frame_len = PREFIX_LEN + ticket.message_len_max;
        let len = match ticket.fan.consumers {
            1 => READ_AHEAD_LEN.max(frame_len),
            _ => frame_len,
        };
        Ok(Self {
            fd: join::adopt(&ticket.receiver_fds)?,
            bytes: vec![0; len].into_boxed_slice(),
            start: 0,
            end: 0,
            message_len_max: ticket.message_len_max,
        })
    }

    /// The length of the message at the front, when its prefix is there.
    fn front_len(&self) -> Option<usize> {
        let prefix = self.bytes[self.start..self.end].first_chunk::<PREFIX_LEN>()?;
        Some(u32::from_le_bytes(*prefix) as usize)
    }

    /// Reads what is there, at least one byte, behind what was read before.
    fn read_ahead(&mut self, frame_len: usize) -> io::Result<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.start + frame_len > self.bytes.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let room = &mut self.bytes[self.end..];
        self.end += read_some(&self.fd, room)?;
        Ok(())
    }

    /// Reads the rest of the message at the front into `message`. When that fails, what came is put back.
    fn read_rest(&mut self, message: &mut [u8]) -> io::Result<()> {
        let buffered = &self.bytes[self.start + PREFIX_LEN..self.end];
        let mut have = buffered.len();
        message[..have].copy_from_slice(buffered);
        while have < message.len() {
            match read_some(&self.fd, &mut message[have..]) {
                Ok(count) => have += count,
                Err(error) => {
                    self.bytes[..PREFIX_LEN].copy_from_slice(&(message.len() as u32).to_le_bytes());
                    self.bytes[PREFIX_LEN..PREFIX_LEN + have].copy_from_slice(&message[..have]);
                    (self.start, self.end) = (0, PREFIX_LEN + have);
                    return Err(error);
                }
            }
        }
        (self.start, self.end) = (0, 0);
        Ok(())
    }
}

fn read_some(fd: &OwnedFd, room: &mut [u8]) -> io::Result<usize> {
    match alarm::retry(|| read(fd, room)) {
        Ok(0) => Err(join::end_of_link()),
        Ok(count) => Ok(count),
        Err(error) => Err(join::receiver_error(error)),
    }
}

impl Receiver for FrameReader {
    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(len) = self.front_len() else {
                self.read_ahead(PREFIX_LEN)?;
                continue;
            };
            join::check_received(len, self.message_len_max, buffer.len())?;
            let begin = self.start + PREFIX_LEN;
            let missing = (begin + len).saturating_sub(self.end);
            if missing >= DIRECT_LEN_MIN {
                self.read_rest(&mut buffer[..len])?;
                return Ok(len);
            }
            if missing == 0 {
                buffer[..len].copy_from_slice(&self.bytes[begin..begin + len]);
                self.start = begin + len;
                return Ok(len);
            }
            self.read_ahead(PREFIX_LEN + len)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::pipe;
    use std::os::fd::IntoRawFd;
    use std::time::{Duration, Instant};

    fn reader_of(bytes: &[u8], message_len_max: usize) -> (FrameReader, OwnedFd) {
        let (read_end, write_end) = pipe().unwrap();
        assert_eq!(write(&write_end, bytes).unwrap(), bytes.len());
        let receiver_fds = vec![read_end.into_raw_fd()];
        let ticket = Ticket {
            receiver_fds,
            message_len_max,
            ..Ticket::default()
        };
        (FrameReader::join(&ticket).unwrap(), write_end)
    }

    #[test]
    fn length_over_the_agreed_one_is_refused_before_anything_is_copied() {
        let (mut reader, _writer) = reader_of(&[9, 0, 0, 0, 1], 8);
        let error = reader.recv(&mut [0; 64]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn stream_that_ends_inside_a_frame_is_an_end_and_not_a_message() {
        for cut in [&[3, 0][..], &[3, 0, 0, 0, 1]] {
            let (mut reader, writer) = reader_of(cut, 8);
            drop(writer);
            let error = reader.recv(&mut [0; 64]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn long_message_cut_by_the_deadline_is_whole_when_its_rest_comes() {
        const LEN: usize = 40_000;
        let message: Vec<u8> = (0..LEN).map(|i| i as u8).collect();
        let mut frame = (LEN as u32).to_le_bytes().to_vec();
        frame.extend_from_slice(&message);
        let (mut reader, writer) = reader_of(&frame[..20_000], LEN);
        let mut buffer = vec![0; LEN];
        alarm::arm(Instant::now() + Duration::from_millis(10)).unwrap();
        assert_eq!(
            reader.recv(&mut buffer).unwrap_err().kind(),
            io::ErrorKind::TimedOut
        );
        alarm::disarm().unwrap();
        assert_eq!(
            write(&writer, &frame[20_000..]).unwrap(),
            frame.len() - 20_000
        );
        assert_eq!(reader.recv(&mut buffer).unwrap(), LEN);
        assert_eq!(buffer, message);
    }

    #[test]
    fn sender_says_so_after_the_deadline_cut_a_message_in_two() {
        let (read_end, write_end) = pipe().unwrap();
        let sender_fds = vec![write_end.into_raw_fd()];
        let ticket = Ticket {
            sender_fds,
            message_len_max: 1 << 20,
            ..Ticket::default()
        };
        let mut sender = FrameWriter::join(&ticket).unwrap();
        let message = vec![7; 1 << 20];
        alarm::arm(Instant::now() + Duration::from_millis(10)).unwrap();
        assert_eq!(
            sender.send(&message).unwrap_err().kind(),
            io::ErrorKind::TimedOut
        );
        alarm::disarm().unwrap();
        assert_eq!(
            sender.send(&message).unwrap_err().kind(),
            io::ErrorKind::BrokenPipe
        );
        drop(read_end);
    }
}
