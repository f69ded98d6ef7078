//! Every mechanism of the kernel that is measured, in one table; and, beside the kernel's ways to notify, our own.

use super::{Class, WaitMode};

/// Calls `$callback!` with one row for each kernel contender: `("name", Class, WaitMode, path)`. The last two
/// idents are variants of [`Class`] and [`WaitMode`]; the path names a unit struct, so it is the type and its value at once.
///
/// ```ignore
/// macro_rules! run_all {
///     ($(($name:literal, $class:ident, $wait:ident, $transport:path)),* $(,)?) => {
///         $( run($name, Class::$class, WaitMode::$wait, &$transport); )*
///     };
/// }
/// for_each_kernel_contender!(run_all);
/// ```
macro_rules! for_each_kernel_contender {
    ($callback:ident) => {
        $callback! {
            ("pipe", Stream, Park, $crate::transport::pipe::Pipe),
            ("fifo", Stream, Park, $crate::transport::pipe::Fifo),
            ("unix-stream", Stream, Park, $crate::transport::stream_socket::UnixStreamSocket),
            ("socketpair", Stream, Park, $crate::transport::stream_socket::SocketPair),
            ("tcp-loopback", Stream, Park, $crate::transport::stream_socket::TcpLoopback),
            ("unix-dgram", Message, Park, $crate::transport::datagram::UnixDgram),
            ("unix-seqpacket", Message, Park, $crate::transport::datagram::UnixSeqpacket),
            ("sysv-mq", Message, Park, $crate::transport::sysv_mq::SysvMq),
            ("posix-mq", Message, Park, $crate::transport::posix_mq::PosixMq),
            ("sysv-shm-sem", Message, Park, $crate::transport::sysv_shm_sem::SysvShmSem),
            ("posix-shm-sem", Message, Park, $crate::transport::posix_shm_sem::PosixShmSem),
            ("mmap-file", Message, Spin, $crate::transport::mmap_file::MmapFile),
            ("udp-loopback", Message, Park, $crate::transport::udp_loopback::UdpLoopback),
            ("semaphore", Notify, Park, $crate::transport::semaphore::ShmSemaphore),
            ("semaphore-named", Notify, Park, $crate::transport::semaphore_named::ShmSemaphoreNamed),
            ("semaphore-owned", Notify, Park, $crate::transport::semaphore_owned::ShmSemaphoreOwned),
            ("event-count", Notify, Park, $crate::transport::event_count::ShmEventCount),
            ("sem-posix", Notify, Park, $crate::transport::sem_posix::SemPosix),
            ("sem-sysv", Notify, Park, $crate::transport::sem_sysv::SemSysv),
            ("sem-sysv-undo", Notify, Park, $crate::transport::sem_sysv_undo::SemSysvUndo),
            ("mutex-condvar", Notify, Park, $crate::transport::mutex_condvar::MutexCondvar),
            ("eventfd", Notify, Park, $crate::transport::eventfd::Eventfd),
            ("signal", Notify, Park, $crate::transport::signal::Signals),
        }
    };
}
pub(crate) use for_each_kernel_contender;

/// The names of the kernel's contenders, in the order of the table.
pub fn names() -> Vec<(&'static str, Class, WaitMode)> {
    macro_rules! rows {
        ($(($name:literal, $class:ident, $wait:ident, $transport:path)),* $(,)?) => {
            vec![$(($name, Class::$class, WaitMode::$wait)),*]
        };
    }
    crate::transport::kernel::for_each_kernel_contender!(rows)
}
