//! `pipe` and `fifo`: the kernel's oldest streams. The same machinery; a fifo has had a name.
//!
//! Several processes may share an end, as long as no frame is cut. A write of at most `PIPE_BUF` bytes is never mixed with another one (POSIX). How
//! several reads share a pipe is left open by POSIX; Linux takes what one read asks for under the lock of the pipe, so
//! that readers who always ask for exactly one frame get exactly one, if all frames are of one length.

use std::io;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::Mode;
use nix::unistd::{mkfifo, pipe2, read, unlink, write};

use super::framing::{self, FrameReader, FrameWriter};
use super::{
    Link, LinkError, LinkShape, Promises, Ticket, Transport, capacity, join, limits, names,
};

/// What a pipe is counted in: messages share a page only when they fit into what is left of it.
const PAGE_LEN: usize = 4096;

/// What a pipe keeps together, whoever else writes (`PIPE_BUF`).
const TOGETHER_LEN_MAX: usize = libc::PIPE_BUF;

/// An anonymous pipe.
#[derive(Debug, Clone, Copy)]
pub struct Pipe;

/// A pipe that was opened by a name.
#[derive(Debug, Clone, Copy)]
pub struct Fifo;

impl Transport for Pipe {
    type Tx = FrameWriter;
    type Rx = FrameReader;

    fn promises(&self) -> Promises {
        Promises::STREAM
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let flags = OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let (reader, writer) = pipe2(flags).map_err(|errno| limits::refused("pipe2", errno))?;
        link(writer, reader, shape)
    }

    fn refuses(&self, shape: &LinkShape) -> Option<String> {
        refusal(shape)
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

    fn promises(&self) -> Promises {
        Promises::STREAM
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let path = names::temporary_path();
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR)
            .map_err(|errno| limits::refused_at("mkfifo", &path, errno))?;
        let flags = OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        // The reader first: a writer that does not block is refused while nobody reads.
        let ends = open(&path, OFlag::O_RDONLY | flags, Mode::empty()).and_then(|reader| {
            let writer = open(&path, OFlag::O_WRONLY | flags, Mode::empty())?;
            Ok((writer, reader))
        });
        unlink(&path).map_err(io::Error::from)?;
        let (writer, reader) =
            ends.map_err(|errno| limits::refused_at("open of a fifo", &path, errno))?;
        link(writer, reader, shape)
    }

    fn refuses(&self, shape: &LinkShape) -> Option<String> {
        refusal(shape)
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<FrameWriter> {
        FrameWriter::join(ticket)
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<FrameReader> {
        FrameReader::join(ticket)
    }
}

/// Why several processes can't share a pipe for such messages.
fn refusal(shape: &LinkShape) -> Option<String> {
    let len = shape.message_len_max;
    if len > TOGETHER_LEN_MAX - framing::PREFIX_LEN {
        return Some(format!(
            "with its length before it a message of {len} B is over the {TOGETHER_LEN_MAX} B that a pipe keeps together when              several processes share it; choose a --size up to {}",
            TOGETHER_LEN_MAX - framing::PREFIX_LEN
        ));
    }
    (shape.fan.consumers > 1 && shape.variable_len).then(|| {
        "several readers of a pipe must know the length of a message before they read it".to_owned()
    })
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
    use crate::fan::Fan;

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
            fan: Fan::PAIR,
        };
        let link = Pipe.create(&shape).unwrap();
        let limit = limits::sysctl("fs.pipe-max-size").unwrap();
        assert!(
            (1..=limit / 64).contains(&link.ticket.capacity),
            "{}",
            link.ticket.capacity
        );
    }

    #[test]
    fn frames_that_would_tear_between_several_processes_are_refused() {
        let refused = |message_len_max, variable_len, consumers| {
            let shape = LinkShape {
                message_len_max,
                variable_len,
                capacity: 16,
                fan: Fan {
                    producers: 2,
                    consumers,
                },
            };
            Transport::refuses(&Pipe, &shape)
        };
        assert_eq!(refused(4092, true, 1), None);
        assert_eq!(refused(4092, false, 2), None);
        assert!(refused(4093, false, 1).unwrap().contains("4093 B"));
        assert!(refused(64, true, 2).unwrap().contains("several readers"));
    }
}
