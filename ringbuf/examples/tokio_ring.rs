//! A producer process and two event loops: a task of tokio sends numbers to the other process through one ring, and receives their squares through a second one.
#![allow(unsafe_code, reason = "a promise about a descriptor")]

use std::process::{Child, Command};

use shm_ringbuf::{Config, Consumer, Pollable, Producer, RecvError, Ring, SendError, unlink};
use tokio::io::{Interest, unix::AsyncFd};

const COUNT: u64 = 20_000;

/// A ring's side and what the event loop waits for in its place.
struct Sending(Producer<u64>, AsyncFd<Pollable>);
struct Receiving(Consumer<u64>, AsyncFd<Pollable>);

fn registered(pollable: Pollable) -> std::io::Result<AsyncFd<Pollable>> {
    // SAFETY: a pollable keeps one descriptor open for as long as it lives.
    Ok(unsafe { AsyncFd::register_with_interest(pollable, Interest::READABLE) }?)
}

impl Sending {
    fn new(ring: &Ring<u64>) -> Result<Self, Box<dyn std::error::Error>> {
        let producer = ring.producer()?;
        let pollable = registered(producer.pollable()?)?;
        Ok(Self(producer, pollable))
    }

    async fn send(&mut self, message: u64) -> Result<(), Box<dyn std::error::Error>> {
        loop {
            match self.0.try_send(message) {
                Err(SendError::Full(_)) => {
                    if self.0.arm_if_full(self.1.get_ref(), 1) {
                        self.1.readable().await?.clear_ready();
                    }
                }
                result => return Ok(result?),
            }
        }
    }
}

impl Receiving {
    fn new(ring: &Ring<u64>) -> Result<Self, Box<dyn std::error::Error>> {
        let consumer = ring.consumer()?;
        let pollable = registered(consumer.pollable()?)?;
        Ok(Self(consumer, pollable))
    }

    /// The next message; `None` when the producer has closed.
    async fn recv(&mut self) -> Result<Option<u64>, Box<dyn std::error::Error>> {
        loop {
            match self.0.try_recv() {
                Err(RecvError::Empty) => {
                    if self.0.arm_if_empty(self.1.get_ref()) {
                        self.1.readable().await?.clear_ready();
                    }
                }
                Err(RecvError::Disconnected) => return Ok(None),
                result => return Ok(result.map(Some)?),
            }
        }
    }
}

/// The other process; it has no event loop.
fn square(names: &[String; 2]) -> Result<(), Box<dyn std::error::Error>> {
    let mut numbers = Ring::<u64>::open(&names[0])?.consumer()?;
    let mut squares = Ring::<u64>::open(&names[1])?.producer()?;
    loop {
        match numbers.recv() {
            Ok(number) => squares.send(number * number)?,
            Err(RecvError::Disconnected) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

async fn exchange(rings: &[Ring<u64>; 2]) -> Result<u64, Box<dyn std::error::Error>> {
    let mut numbers = Sending::new(&rings[0])?;
    let mut squares = Receiving::new(&rings[1])?;
    let send = async move {
        for number in 1..=COUNT {
            numbers.send(number).await?;
        }
        // Dropping the producer closes the ring; so the other process ends, and closes the second one.
        Ok::<_, Box<dyn std::error::Error>>(())
    };
    let receive = async move {
        let mut sum = 0;
        while let Some(square) = squares.recv().await? {
            sum += square;
        }
        Ok(sum)
    };
    let ((), sum) = tokio::try_join!(send, receive)?;
    Ok(sum)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let Some((first, second)) = std::env::args().nth(1).zip(std::env::args().nth(2)) {
        return square(&[first, second]);
    }
    let names = ["numbers", "squares"].map(|of| format!("/example-{of}-{}", std::process::id()));
    let config = Config::spsc().capacity(64);
    let rings = [config.create(&names[0])?, config.create(&names[1])?];
    let peer = Command::new(std::env::current_exe()?).args(&names).spawn();
    let result = match peer {
        Ok(peer) => {
            let result = exchange(&rings).await;
            finish(peer, result.is_err()).and(result)
        }
        Err(error) => Err(error.into()),
    };
    names.iter().try_for_each(|name| unlink(name))?;
    let sum = result?;
    assert_eq!(sum, COUNT * (COUNT + 1) * (2 * COUNT + 1) / 6);
    println!("{COUNT} squares, {sum} in all");
    Ok(())
}

fn finish(mut peer: Child, failed: bool) -> Result<(), Box<dyn std::error::Error>> {
    if failed {
        peer.kill()?;
    }
    let status = peer.wait()?;
    status
        .success()
        .then_some(())
        .ok_or_else(|| status.to_string().into())
}
