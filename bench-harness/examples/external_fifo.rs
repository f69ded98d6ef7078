//! A contender that is a program of its own: messages over a FIFO, each behind its length. `docs/external-contender.md` describes what it
//! hears and says.
//!
//! ```text
//! bench-harness run --contender 'my-*' --external 'my-fifo=target/release/examples/external_fifo'
//! ```

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Write, stdin, stdout};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::Mode;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::mkfifo;
use serde::Deserialize;
use serde_json::{Value, json};

const KEY: u64 = 0x9E37_79B9_7F4A_7C15;
const STEP: u64 = 0xD1B5_4A32_D192_ED03;

#[derive(Deserialize)]
struct Hello {
    role: String,
    forward: String,
    back: Option<String>,
    message_len_max: usize,
}

#[derive(Deserialize)]
struct Order {
    #[serde(rename = "order")]
    verb: String,
    #[serde(default)]
    first: u64,
    #[serde(default)]
    messages: u64,
    #[serde(default)]
    warm_up: u64,
    #[serde(default)]
    lens: Vec<usize>,
    #[serde(default)]
    work_turns: u32,
}

fn now_ns() -> Result<u64, Errno> {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    Ok(time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

/// The content of a message, which follows from its number.
fn fill(message: &mut [u8], number: u64) {
    if message.len() < 8 {
        let len = message.len();
        return message.copy_from_slice(&number.to_le_bytes()[..len]);
    }
    let mut word = number.wrapping_add(1).wrapping_mul(KEY);
    for place in message.chunks_mut(8) {
        place.copy_from_slice(&word.to_le_bytes()[..place.len()]);
        word = word.wrapping_add(STEP);
    }
}

fn work(message: &[u8], turns: u32) {
    let mut value = u64::from(message.first().copied().unwrap_or(1));
    for _ in 0..turns {
        value = value.wrapping_mul(value | 1);
    }
    std::hint::black_box(value);
}

/// The FIFO of a link; whoever comes first makes it.
fn fifo(directory: &str) -> Result<std::path::PathBuf, Errno> {
    let path = Path::new(directory).join("fifo");
    match mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR) {
        Ok(()) | Err(Errno::EEXIST) => Ok(path),
        Err(errno) => Err(errno),
    }
}

fn sender(directory: &str) -> io::Result<File> {
    OpenOptions::new().write(true).open(fifo(directory)?)
}

fn receiver(directory: &str) -> io::Result<BufReader<File>> {
    Ok(BufReader::with_capacity(
        1 << 16,
        File::open(fifo(directory)?)?,
    ))
}

/// The ends of the links that this side has, and what it received.
struct Ends {
    tx: Option<File>,
    rx: Option<BufReader<File>>,
    frame: Vec<u8>,
    crc32: crc32fast::Hasher,
}

impl Ends {
    fn open(hello: &Hello) -> io::Result<Self> {
        let back = hello.back.as_deref();
        // Opening waits for the other side: both open the link from left to right first.
        let (tx, rx) = if hello.role == "left" {
            let tx = sender(&hello.forward)?;
            (Some(tx), back.map(receiver).transpose()?)
        } else {
            let rx = receiver(&hello.forward)?;
            (back.map(sender).transpose()?, Some(rx))
        };
        Ok(Self {
            tx,
            rx,
            frame: vec![0; 4 + hello.message_len_max],
            crc32: crc32fast::Hasher::new(),
        })
    }

    fn send(&mut self, len: usize) -> io::Result<()> {
        let tx = self.tx.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        self.frame[..4].copy_from_slice(&(len as u32).to_le_bytes());
        tx.write_all(&self.frame[..4 + len])
    }

    fn receive(&mut self) -> io::Result<usize> {
        let rx = self.rx.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let mut prefix = [0; 4];
        rx.read_exact(&mut prefix)?;
        let len = u32::from_le_bytes(prefix) as usize;
        let place = self
            .frame
            .get_mut(4..4 + len)
            .ok_or(io::ErrorKind::InvalidData)?;
        rx.read_exact(place)?;
        self.crc32.update(place);
        Ok(len)
    }

    fn obey(&mut self, order: &Order) -> Result<Value, Box<dyn Error>> {
        self.crc32 = crc32fast::Hasher::new();
        let mut times_ns = Vec::new();
        let mut started_ns = now_ns()?;
        for turn in 0..order.messages {
            let number = order.first + turn;
            let len = order.lens[turn as usize % order.lens.len()];
            match order.verb.as_str() {
                "send" => {
                    fill(&mut self.frame[4..4 + len], number);
                    self.send(len)?;
                }
                "receive" => {
                    let len = self.receive()?;
                    work(&self.frame[4..4 + len], order.work_turns);
                }
                "initiate" => {
                    if turn == order.warm_up {
                        started_ns = now_ns()?;
                    }
                    fill(&mut self.frame[4..4 + len], number);
                    let sent_ns = now_ns()?;
                    self.send(len)?;
                    self.receive()?;
                    if turn >= order.warm_up {
                        times_ns.push(now_ns()? - sent_ns);
                    }
                }
                "answer" => {
                    let len = self.receive()?;
                    self.send(len)?;
                }
                other => return Err(format!("there is no order {other:?}").into()),
            }
        }
        Ok(json!({ "done": {
            "messages": order.messages,
            "started_ns": started_ns,
            "finished_ns": now_ns()?,
            "crc32": self.crc32.clone().finalize(),
            "round_trips_ns": times_ns,
        }}))
    }
}

fn say(answer: &Value) -> io::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{answer}")?;
    out.flush()
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut lines = stdin().lines();
    let hello: Hello = serde_json::from_str(&lines.next().ok_or("nobody says hello")??)?;
    let mut ends = match hello.role.as_str() {
        "check" => None,
        _ => Some(Ends::open(&hello)?),
    };
    // A FIFO holds 64 KiB, and each message four bytes more than its own.
    say(&json!({ "ready": { "capacity": ((64 << 10) / (4 + hello.message_len_max)).max(1) } }))?;
    for line in lines {
        let order: Order = serde_json::from_str(&line?)?;
        match &mut ends {
            Some(ends) if order.verb != "quit" => {
                let answer = ends.obey(&order);
                say(&answer.unwrap_or_else(|error| json!({ "failed": error.to_string() })))?;
            }
            _ => break,
        }
    }
    Ok(())
}
