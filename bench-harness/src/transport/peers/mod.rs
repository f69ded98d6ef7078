//! The rings and channels that somebody who doesn't take ours would take instead, each used as its own documentation shows it. Only with the
//! cargo feature `peers`: `docs/peers.md`.

pub mod iceoryx2;
pub mod ipc_channel;
mod lengths;
pub mod shaq;
pub mod shmem_ipc;

use crate::transport::registry::Contender;
use crate::transport::{Class, WaitMode};

/// Their rows.
pub fn contenders() -> Vec<Contender> {
    between_processes()
}

/// Those that work between processes.
fn between_processes() -> Vec<Contender> {
    vec![
        Contender::of_transport(
            "iceoryx2",
            Class::Message,
            WaitMode::Spin,
            const { &iceoryx2::Iceoryx2::new(WaitMode::Spin) },
        ),
        Contender::of_transport(
            "iceoryx2",
            Class::Message,
            WaitMode::Park,
            const { &iceoryx2::Iceoryx2::new(WaitMode::Park) },
        ),
        Contender::of_transport(
            "shaq",
            Class::Message,
            WaitMode::Spin,
            const { &shaq::Shaq::new(WaitMode::Spin) },
        ),
        Contender::of_transport(
            "shaq",
            Class::Message,
            WaitMode::SpinPark,
            const { &shaq::Shaq::new(WaitMode::SpinPark) },
        ),
        Contender::of_transport(
            "ipc-channel",
            Class::Message,
            WaitMode::Park,
            &ipc_channel::IpcChannel,
        ),
        Contender::of_transport(
            "shmem-ipc",
            Class::Message,
            WaitMode::Park,
            &shmem_ipc::ShmemIpc,
        ),
    ]
}
