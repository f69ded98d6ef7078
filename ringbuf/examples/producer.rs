//! Sends a million prices; start `consumer` beside it, before or after, and kill either one as you like.
use shm_ringbuf::{Config, Producer};

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
    let mut producer: Producer<Tick> = ring.producer()?;
    for number in 0..1_000_000 {
        producer.send(Tick {
            number,
            price: 100.0 + (number % 7) as f64,
        })?;
    }
    println!("sent everything");
    Ok(())
}
