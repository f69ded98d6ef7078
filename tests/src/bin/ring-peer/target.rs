//! Which ring a role is about, and how it is opened or created.

#![allow(unsafe_code)]

use std::io::IoSliceMut;
use std::os::fd::{AsFd as _, FromRawFd as _, OwnedFd};

use clap::Args;
use integration_tests::forms::{Form, WaitWay};
use integration_tests::with_form;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::sys::stat::fstat;
use shm_ringbuf::{Config, Error, Message, OpenOptions, Ring, multi};

/// A ring that exists: by name, as an inherited descriptor, or over an inherited socket.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The name of the ring.
    #[arg(long)]
    name: Option<String>,
    /// An inherited descriptor of the ring.
    #[arg(long)]
    fd: Option<i32>,
    /// An inherited Unix socket that the descriptor of the ring comes over.
    #[arg(long)]
    socket: Option<i32>,
    /// The type of the messages.
    #[arg(long, value_enum, default_value = "bytes")]
    pub(crate) form: Form,
    /// The strategy of the endpoint, where it is not the one of the ring.
    #[arg(long, value_enum)]
    pub(crate) wait: Option<WaitWay>,
    /// The tag that the ring must have.
    #[arg(long)]
    tag: Option<u64>,
    /// The user who may own the ring.
    #[arg(long)]
    owner: Option<u32>,
}

impl Target {
    pub(crate) fn open<M: Message + ?Sized>(&self) -> Result<Ring<M>, Error> {
        let mut options = OpenOptions::new();
        if let Some(tag) = self.tag {
            options = options.tag(tag);
        }
        if let Some(owner) = self.owner {
            options = options.owner(owner);
        }
        if let Some(name) = &self.name {
            return options.open(name);
        }
        let number = match (self.fd, self.socket) {
            (Some(number), None) => number,
            (None, Some(socket)) => receive_fd(socket),
            _ => panic!("give one of --name, --fd and --socket"),
        };
        // SAFETY: inherited or just received for this purpose; nothing else here owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(number) };
        options.from_fd(fd)
    }
}

impl Target {
    /// The same for a ring of several producers and consumers, by name.
    pub(crate) fn open_multi<M: Message + ?Sized>(&self) -> Result<multi::Ring<M>, Error> {
        let mut options = OpenOptions::multi();
        if let Some(tag) = self.tag {
            options = options.tag(tag);
        }
        options.open(self.name.as_deref().expect("give --name"))
    }
}

/// Receives one descriptor over an inherited Unix socket.
fn receive_fd(socket: i32) -> i32 {
    let mut byte = [0_u8];
    let mut data = [IoSliceMut::new(&mut byte)];
    let mut control = nix::cmsg_space!([i32; 1]);
    let message = recvmsg::<()>(
        socket,
        &mut data,
        Some(&mut control),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )
    .expect("the test sends a message");
    for control in message.cmsgs().expect("room for one descriptor") {
        if let ControlMessageOwned::ScmRights(fds) = control {
            return fds[0];
        }
    }
    panic!("no descriptor in the message");
}

/// The name of the variant of an error.
pub(crate) fn variant(error: &Error) -> String {
    let debug = format!("{error:?}");
    debug
        .split(|c: char| !c.is_alphanumeric())
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// Unwraps what a role can't do without, or says `refused`, with the error, and ends.
pub(crate) fn or_refused<R>(result: Result<R, Error>) -> R {
    match result {
        Ok(value) => value,
        Err(error) => {
            println!("refused {}: {error}", variant(&error));
            std::process::exit(0);
        }
    }
}

/// Opens a ring and says `ok INODE` or `refused VARIANT: MESSAGE`.
#[derive(Debug, Args)]
pub(crate) struct Open {
    #[command(flatten)]
    target: Target,
}

impl Open {
    pub(crate) fn play(self) {
        fn open<M: Message + ?Sized>(target: &Target) {
            let ring = or_refused(target.open::<M>());
            println!("ok {}", inode(&ring));
        }
        with_form!(self.target.form, open(&self.target));
    }
}

/// The inode of the segment, which tells two rings apart.
pub(crate) fn inode<M: Message + ?Sized>(ring: &Ring<M>) -> u64 {
    fstat(ring.as_fd()).expect("an open file").st_ino
}

/// Creates a ring of bytes, says `ok INODE` or `refused VARIANT: MESSAGE`, and keeps it until told
/// to end.
#[derive(Debug, Args)]
pub(crate) struct Create {
    name: String,
    #[arg(long, default_value_t = 4096)]
    capacity: usize,
    #[arg(long, value_parser = |text: &str| u32::from_str_radix(text, 8))]
    mode: Option<u32>,
    /// Open it instead if it is there.
    #[arg(long)]
    or_open: bool,
}

impl Create {
    pub(crate) fn play(self) {
        let mut config = Config::spsc().capacity(self.capacity);
        if let Some(mode) = self.mode {
            config = config.mode(mode);
        }
        let result = if self.or_open {
            config.open_or_create::<[u8]>(&self.name)
        } else {
            config.create::<[u8]>(&self.name)
        };
        let ring = or_refused(result);
        println!("ok {}", inode(&ring));
        // Whatever comes, or the end of the input, ends it.
        let _ = std::io::stdin().read_line(&mut String::new());
    }
}
