//! Plays the other process in the tests: one role a subcommand, one printed line an event.

mod crowd;
mod endure;
mod endure_multi;
mod events;
mod fork;
mod journaled;
mod meeting;
mod namespace;
mod obedient;
mod overlay;
mod participant;
mod permits;
mod puppet;
mod race;
mod sandbox;
mod scribble;
mod small_semaphores;
mod small_tmpfs;
mod step;
mod step_multi;
mod storm;
mod stream;
mod synchronize;
mod target;

use clap::{Parser, Subcommand};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

/// The other process of a test with real processes.
#[derive(Debug, Parser)]
struct Arguments {
    /// Become this user first (root only).
    #[arg(long)]
    uid: Option<u32>,
    /// Set this umask first, in octal.
    #[arg(long, value_parser = |text: &str| u32::from_str_radix(text, 8))]
    umask: Option<u32>,
    /// Be process 1 of a PID namespace.
    #[arg(long)]
    pid_namespace: bool,
    /// Live in a time namespace whose monotonic clock is a day ahead.
    #[arg(long)]
    time_namespace: bool,
    /// Have the system refuse `membarrier(2)`.
    #[arg(long)]
    no_membarrier: bool,
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Send a stream of messages in every way there is, then close.
    Produce(stream::Produce),
    /// Receive and verify a stream of messages in every way there is, to its end.
    Consume(stream::Consume),
    /// Be a producer that does what it is told.
    Producer(obedient::Producer),
    /// Be a consumer that does what it is told.
    Consumer(obedient::Consumer),
    /// Send until told to stop or killed, and keep a journal.
    JournaledProducer(journaled::Producer),
    /// Receive until the producer closes or killed, and keep a journal.
    JournaledConsumer(journaled::Consumer),
    /// Be several producers and consumers of one ring that do what they are told.
    Puppet(puppet::Puppet),
    /// Send to a ring of several producers and consumers, and keep a ledger.
    CrowdProducer(crowd::Producer),
    /// Receive from one, and keep a ledger.
    CrowdConsumer(crowd::Consumer),
    /// Create, open, attach and unlink at a given instant, when told.
    Racer(race::Racer),
    /// Create and unlink one name, again and again, until killed.
    Creator(race::Creator),
    /// Create, open and unlink one name against others that do the same.
    Churn(race::Churn),
    /// Open a ring and say how that went.
    Open(target::Open),
    /// Create a ring and say how that went.
    Create(target::Create),
    /// Write rubbish over a segment until killed.
    Scribble(scribble::Scribble),
    /// Send or receive in every way there is, whatever comes back.
    Endure(endure::Endure),
    /// Send to a ring of several producers and consumers or receive from it, whatever comes back.
    EndureMulti(endure_multi::Endure),
    /// Meet other processes at a semaphore or an event count.
    Synchronize(synchronize::Synchronize),
    /// Change what is counted in a page of event counts, and notify.
    Events(events::Events),
    /// Meet other processes at an event count, or at a ring, perhaps under a filter of system calls.
    Meeting(meeting::Meeting),
    /// Do one operation on a named semaphore, for one who follows every instruction of it.
    Step(step::Step),
    /// Do one operation on a ring of several producers and consumers, for one who follows every instruction of it.
    StepMulti(step_multi::Step),
    /// Fork with an endpoint, a ring or both in hand.
    Fork(fork::Fork),
    /// Be a participant of a semaphore that does what it is told.
    Participant(participant::Participant),
    /// Take permits and give them back until told to end or killed, and keep a board.
    PermitUser(permits::User),
    /// Use a semaphore in every way there is, whatever comes back.
    EndureSemaphore(permits::Endure),
    /// Use a semaphore without a system call, or die of it.
    Silent(sandbox::Silent),
    /// Create and open a semaphore at a given instant, when told.
    SemaphoreRacer(participant::Racer),
    /// Use rings on a tmpfs that is almost too small, in a mount namespace of its own.
    SmallTmpfs,
    /// Use semaphores there.
    SmallTmpfsSemaphores,
    /// Make a ring on an overlay in a mount namespace of its own.
    Overlay,
    /// Hang under a watchdog of one second.
    Hang,
}

fn main() {
    let Arguments {
        uid,
        umask: mask,
        pid_namespace,
        time_namespace,
        no_membarrier,
        role,
    } = Arguments::parse();
    if let Some(mask) = mask {
        umask(Mode::from_bits_truncate(mask));
    }
    if let Some(uid) = uid {
        become_user(uid);
    }
    if pid_namespace {
        namespace::become_process_1();
    }
    if time_namespace {
        namespace::live_in_the_future();
    }
    if no_membarrier {
        sandbox::refuse_membarrier();
    }
    match role {
        Role::Produce(role) => role.play(),
        Role::Consume(role) => role.play(),
        Role::Producer(role) => role.play(),
        Role::Consumer(role) => role.play(),
        Role::JournaledProducer(role) => role.play(),
        Role::JournaledConsumer(role) => role.play(),
        Role::Puppet(role) => role.play(),
        Role::CrowdProducer(role) => role.play(),
        Role::CrowdConsumer(role) => role.play(),
        Role::Racer(role) => role.play(),
        Role::Creator(role) => role.play(),
        Role::Churn(role) => role.play(),
        Role::Open(role) => role.play(),
        Role::Create(role) => role.play(),
        Role::Scribble(role) => role.play(),
        Role::Endure(role) => role.play(),
        Role::EndureMulti(role) => role.play(),
        Role::Synchronize(role) => role.play(),
        Role::Events(role) => role.play(),
        Role::Meeting(role) => role.play(),
        Role::Step(role) => role.play(),
        Role::StepMulti(role) => role.play(),
        Role::Fork(role) => role.play(),
        Role::Participant(role) => role.play(),
        Role::PermitUser(role) => role.play(),
        Role::EndureSemaphore(role) => role.play(),
        Role::Silent(role) => role.play(),
        Role::SemaphoreRacer(role) => role.play(),
        Role::SmallTmpfs => small_tmpfs::play(),
        Role::SmallTmpfsSemaphores => small_semaphores::play(),
        Role::Overlay => overlay::play(),
        Role::Hang => hang(),
    }
}

fn become_user(uid: u32) {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(uid));
    setgroups(&[gid]).expect("only root becomes another user");
    setresgid(gid, gid, gid).expect("only root becomes another user");
    setresuid(uid, uid, uid).expect("only root becomes another user");
}

fn hang() {
    let _watchdog = integration_tests::watchdog!(1);
    loop {
        std::thread::park();
    }
}
