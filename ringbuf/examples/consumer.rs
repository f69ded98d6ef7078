//! Receives the prices that `producer` sends, until it closes the ring.
use shm_ringbuf::{Config, RecvError};

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Tick {
    number: u64,
    price: f64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ring = Config::spsc()
        .capacity(4096)
        .tag(1)
        .open_or_create::<Tick>("/example-prices")?;
    let mut consumer = ring.consumer()?;
    let mut sum = 0.0;
    loop {
        match consumer.recv() {
            Ok(tick) => sum += tick.price,
            Err(RecvError::Disconnected) => break,
            Err(error) => return Err(error.into()),
        }
    }
    println!("{} prices, {sum} in all", consumer.position());
    Ok(shm_ringbuf::unlink("/example-prices")?)
}
