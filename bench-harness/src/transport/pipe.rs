//! `pipe` and `fifo`: the kernel's oldest streams. The same machinery; a fifo has had a name.

use std::io;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::Mode;
use nix::unistd::{mkfifo, pipe2, read, unlink, write};

use super::framing::{self, FrameReader, FrameWriter};
use super::{Link, LinkError, LinkShape, Ticket, Transport, capacity, join, limits, names};

/// What a pipe is counted in: messages share a page only when they fit into what is left of it.
const PAGE_LEN: usize = 4096;

/// An anonymous pipe.
#[derive(Debug, Clone, Copy)]
pub struct Pipe;

/// A pipe that was opened by a name.
#[derive(Debug, Clone, Copy)]
pub struct Fifo;

impl Transport for Pipe {
    type Tx = FrameWriter;
    type Rx = FrameReader;

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let flags = OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let (reader, writer) = pipe2(flags).map_err(|errno| limits::refused("pipe2", errno))?;
        link(writer, reader, shape)
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<FrameWriter> {
        FrameWriter::join(ticket)
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<FrameReader> {
        FrameReader::join(ticket)
    }
}

impl Transport for Fifo {
    type Tx = FrameWriter;
    type Rx = FrameReader;

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let path = names::temporary_path();
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR)
            .map_err(|errno| limits::refused("mkfifo", errno))?;
        let flags = OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        // The reader first: a writer that does not block is refused while nobody reads.
        let ends = open(&path, OFlag::O_RDONLY | flags, Mode::empty()).and_then(|reader| {
            let writer = open(&path, OFlag::O_WRONLY | flags, Mode::empty())?;
            Ok((writer, reader))
        });
        unlink(&path).map_err(io::Error::from)?;
        let (writer, reader) = ends.map_err(|errno| limits::refused("open of a fifo", errno))?;
        link(writer, reader, shape)
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<FrameWriter> {
        FrameWriter::join(ticket)
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<FrameReader> {
        FrameReader::join(ticket)
    }
}

/// Sizes and measures a fresh pipe whose ends do not block yet, then makes them block.
fn link(writer: OwnedFd, reader: OwnedFd, shape: &LinkShape) -> Result<Link, LinkError> {
    let frame_len = framing::frame_len(shape)?;
    resize(&writer, wanted_bytes(frame_len, shape.capacity.max(1)))?;
    let held = capacity::measure_bytes(
        frame_len,
        |unit| write(&writer, unit),
        |drain| read(&reader, drain),
    )
    .map_err(io::Error::from)?;
    for end in [&writer, &reader] {
        fcntl(end, FcntlArg::F_SETFL(OFlag::empty())).map_err(io::Error::from)?;
    }
    Ok(join::link_of_two(writer, reader, shape, held))
}

/// The size of a pipe that holds `capacity` frames.
fn wanted_bytes(frame_len: usize, capacity: usize) -> usize {
    let pages = match PAGE_LEN / frame_len {
        0 => capacity.saturating_mul(frame_len.div_ceil(PAGE_LEN)),
        frames_per_page => capacity.div_ceil(frames_per_page),
    };
    pages.saturating_mul(PAGE_LEN)
}

/// Asks for `wanted` bytes, or for the most that this user gets.
fn resize(pipe: &OwnedFd, wanted: usize) -> io::Result<()> {
    let limit = limits::sysctl_or("fs.pipe-max-size", 1 << 20);
    let held = fcntl(pipe, FcntlArg::F_GETPIPE_SZ)?;
    let mut request = i32::try_from(wanted.clamp(PAGE_LEN, limit)).unwrap_or(i32::MAX);
    while let Err(errno) = fcntl(pipe, FcntlArg::F_SETPIPE_SZ(request)) {
        if errno != Errno::EPERM {
            return Err(errno.into());
        }
        // The pages of this user are used up (fs.pipe-user-pages-soft); no less than now is needed.
        request /= 2;
        if request <= held {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_frames_share_pages_and_long_ones_take_whole_pages() {
        assert_eq!(wanted_bytes(68, 60), PAGE_LEN);
        assert_eq!(wanted_bytes(68, 61), 2 * PAGE_LEN);
        assert_eq!(wanted_bytes(5000, 3), 6 * PAGE_LEN);
    }

    #[test]
    fn pipe_holds_no_more_than_an_ordinary_user_gets() {
        let shape = LinkShape {
            message_len_max: 60,
            variable_len: false,
            capacity: 1 << 20,
        };
        let link = Pipe.create(&shape).unwrap();
        let limit = limits::sysctl("fs.pipe-max-size").unwrap();
        assert!(
            (1..=limit / 64).contains(&link.ticket.capacity),
            "{}",
            link.ticket.capacity
        );
    }
}
