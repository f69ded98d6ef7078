//! A contender that is a program of its own: messages over a FIFO, each behind its length. `docs/external-contender.md` describes what it
//! hears and says.
//!
//! ```text
//! bench-harness run --contender 'my-*' --external 'my-fifo=target/release/examples/external_fifo'
//! ```

use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write, stdin, stdout};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

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
    #[serde(default)]
    shares_core: bool,
    records: Option<String>,
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
    start: Option<u64>,
    #[serde(default)]
    work_turns: u32,
    due: Option<String>,
    came: Option<String>,
    crc32s: Option<String>,
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

/// The records of a file, each behind its length.
fn read_records(path: &str) -> io::Result<Vec<Vec<u8>>> {
    let file = fs::read(path)?;
    let mut rest = file.as_slice();
    let mut records = Vec::new();
    while let Some((prefix, behind)) = rest.split_first_chunk() {
        let len = u32::from_le_bytes(*prefix) as usize;
        let (record, behind) = behind
            .split_at_checked(len)
            .ok_or(io::ErrorKind::InvalidData)?;
        records.push(record.to_vec());
        rest = behind;
    }
    Ok(records)
}

/// The moments of a file.
fn read_moments(path: &str) -> io::Result<Vec<u64>> {
    let file = fs::read(path)?;
    let (words, _) = file.as_chunks::<8>();
    Ok(words.iter().map(|&word| u64::from_le_bytes(word)).collect())
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
    records: Vec<Vec<u8>>,
    shares_core: bool,
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
            records: match &hello.records {
                Some(path) => read_records(path)?,
                None => Vec::new(),
            },
            shares_core: hello.shares_core,
        })
    }

    /// Puts a message of the order into the frame, and says how long it is.
    fn make(&mut self, order: &Order, turn: u64) -> usize {
        if let Some(start) = order.start {
            let record = &self.records[((start + turn) % self.records.len() as u64) as usize];
            self.frame[4..4 + record.len()].copy_from_slice(record);
            return record.len();
        }
        let len = order.lens[turn as usize % order.lens.len()];
        fill(&mut self.frame[4..4 + len], order.first + turn);
        len
    }

    /// Looks at the clock again and again, or sleeps if the other side needs the core.
    fn await_moment(&self, at_ns: u64) -> Result<(), Errno> {
        loop {
            let left_ns = at_ns.saturating_sub(now_ns()?);
            match left_ns {
                0 => return Ok(()),
                _ if self.shares_core => sleep(Duration::from_nanos(left_ns)),
                _ => std::hint::spin_loop(),
            }
        }
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
        Ok(len)
    }

    /// Takes a message that came into the checksum.
    fn take(&mut self, len: usize) -> &[u8] {
        let message = &self.frame[4..4 + len];
        self.crc32.update(message);
        message
    }

    fn obey(&mut self, order: &Order) -> Result<Value, Box<dyn Error>> {
        self.crc32 = crc32fast::Hasher::new();
        let mut times_ns = Vec::new();
        let (mut came_ns, mut crc32s) = (Vec::new(), Vec::new());
        let due_ns = order.due.as_deref().map(read_moments).transpose()?;
        let due_ns = due_ns.unwrap_or_default();
        let mut started_ns = now_ns()?;
        for turn in 0..order.messages {
            match order.verb.as_str() {
                "send" => {
                    let len = self.make(order, turn);
                    self.send(len)?;
                }
                "send_at" => {
                    let len = self.make(order, turn);
                    let at_ns = due_ns.get(turn as usize).ok_or("a moment is missing")?;
                    self.await_moment(*at_ns)?;
                    if turn == 0 {
                        started_ns = now_ns()?;
                    }
                    self.send(len)?;
                }
                "receive" => {
                    let len = self.receive()?;
                    let message = self.take(len);
                    if order.crc32s.is_some() {
                        crc32s.extend(crc32fast::hash(message).to_le_bytes());
                    }
                    work(message, order.work_turns);
                }
                "receive_at" => {
                    let len = self.receive()?;
                    came_ns.extend(now_ns()?.to_le_bytes());
                    self.take(len);
                }
                "initiate" => {
                    if turn == order.warm_up {
                        started_ns = now_ns()?;
                    }
                    let len = self.make(order, turn);
                    let sent_ns = now_ns()?;
                    self.send(len)?;
                    let len = self.receive()?;
                    if turn >= order.warm_up {
                        times_ns.push(now_ns()? - sent_ns);
                    }
                    self.take(len);
                }
                "answer" => {
                    let len = self.receive()?;
                    self.send(len)?;
                    self.take(len);
                }
                other => return Err(format!("there is no order {other:?}").into()),
            }
        }
        let finished_ns = now_ns()?;
        for (path, numbers) in [(&order.came, came_ns), (&order.crc32s, crc32s)] {
            if let Some(path) = path {
                fs::write(path, numbers)?;
            }
        }
        Ok(json!({ "done": {
            "messages": order.messages,
            "started_ns": started_ns,
            "finished_ns": finished_ns,
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
    let capacity = ((64 << 10) / (4 + hello.message_len_max)).max(1);
    let can = ["paced", "records", "crc32s"];
    say(&json!({ "ready": { "capacity": capacity, "can": can } }))?;
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
