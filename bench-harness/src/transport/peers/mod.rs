//! The rings and channels that somebody who doesn't take ours would take instead, each used as its own documentation shows it. Only with the
//! cargo feature `peers`: `docs/peers.md`.

pub mod iceoryx2;
pub mod ipc_channel;
mod lengths;
pub mod queues;
pub mod shaq;
pub mod shmem_ipc;
pub mod threads;

use self::iceoryx2::Iceoryx2;
use self::ipc_channel::IpcChannel;
use self::shaq::Shaq;
use self::shmem_ipc::ShmemIpc;
use crate::transport::registry::{Contender, Mechanism};
use crate::transport::{Class, WaitMode};

/// Their rows.
pub fn contenders() -> Vec<Contender> {
    [between_processes(), queues::contenders()].concat()
}

/// Those that work between processes.
fn between_processes() -> Vec<Contender> {
    let row = |name, wait, mechanism: &'static dyn Mechanism| {
        Contender::of_transport(name, Class::Message, wait, mechanism)
    };
    let (spin, spin_park, park) = (WaitMode::Spin, WaitMode::SpinPark, WaitMode::Park);
    vec![
        row("iceoryx2", spin, const { &Iceoryx2::new(WaitMode::Spin) }),
        row("iceoryx2", park, const { &Iceoryx2::new(WaitMode::Park) }),
        row("shaq", spin, const { &Shaq::new(WaitMode::Spin) }),
        row("shaq", spin_park, const { &Shaq::new(WaitMode::SpinPark) }),
        row("ipc-channel", park, &IpcChannel),
        row("shmem-ipc", park, &ShmemIpc),
    ]
}
