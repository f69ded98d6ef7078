//! Receives the prices that `producer` sends, until it closes the ring.
use shm_ringbuf::{Config, RecvError, bytemuck};

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
    let (mut count, mut sum) = (0_u64, 0.0);
    loop {
        match consumer.recv() {
            Ok(tick) => (count, sum) = (count.max(tick.number + 1), sum + tick.price),
            Err(RecvError::Disconnected) => break,
            Err(error) => return Err(error.into()),
        }
    }
    println!("{count} prices, {sum} in all");
    Ok(shm_ringbuf::unlink("/example-prices")?)
}
