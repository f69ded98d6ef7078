//! The mechanisms of `ping-pong`: those of the harness, by their names there.

use bench_harness::fan::Fan;
use bench_harness::transport::bare_futex::BareFutex;
use bench_harness::transport::event_count::ShmEventCount;
use bench_harness::transport::eventfd::Eventfd;
use bench_harness::transport::mutex_condvar::MutexCondvar;
use bench_harness::transport::sem_posix::SemPosix;
use bench_harness::transport::sem_sysv::SemSysv;
use bench_harness::transport::sem_sysv_undo::SemSysvUndo;
use bench_harness::transport::semaphore::ShmSemaphore;
use bench_harness::transport::semaphore_named::ShmSemaphoreNamed;
use bench_harness::transport::semaphore_owned::ShmSemaphoreOwned;
use bench_harness::transport::{LinkShape, Transport};

/// Nothing is carried, and one message is under way at a time.
pub const SHAPE: LinkShape = LinkShape {
    message_len_max: 0,
    variable_len: false,
    capacity: 1,
    fan: Fan::PAIR,
};

/// The rows, the limit first.
pub const PING_PONG: [&str; 10] = [
    "limit-futex",
    "semaphore",
    "semaphore-named",
    "semaphore-owned",
    "event-count",
    "sem-posix",
    "sem-sysv",
    "sem-sysv-undo",
    "mutex-condvar",
    "eventfd",
];

/// What is to be done with a mechanism whose type is known.
pub trait UseTransport {
    /// What comes of it.
    type Output;

    /// Does it.
    fn call<T: Transport + 'static>(self, transport: &'static T) -> Self::Output;
}

/// Finds the mechanism of that name.
///
/// # Panics
/// When there is none.
pub fn with<U: UseTransport>(name: &str, what: U) -> U::Output {
    match name {
        "limit-futex" => what.call(&BareFutex),
        "semaphore" => what.call(&ShmSemaphore),
        "semaphore-named" => what.call(&ShmSemaphoreNamed),
        "semaphore-owned" => what.call(&ShmSemaphoreOwned),
        "event-count" => what.call(&ShmEventCount),
        "sem-posix" => what.call(&SemPosix),
        "sem-sysv" => what.call(&SemSysv),
        "sem-sysv-undo" => what.call(&SemSysvUndo),
        "mutex-condvar" => what.call(&MutexCondvar),
        "eventfd" => what.call(&Eventfd),
        _ => panic!("no mechanism is called {name}"),
    }
}
