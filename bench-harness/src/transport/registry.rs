//! The one table of contenders.

use std::sync::{PoisonError, RwLock};

use super::bare_futex::BareFutex;
use super::kernel::for_each_kernel_contender;
use super::ring::{self, Kind, RingBytes, RingTyped};
use super::yardsticks::{LimitLine, LimitMemcpy};
use super::{Class, Link, LinkError, LinkShape, ONE_TO_ONE, Transport, WaitMode};
use crate::conformance::{self, Answer, Failure, Question};
use crate::external::Spec;
use crate::job::{Job, SideReport};
use crate::measure::duplex::run_transport;
use crate::shared::SharedPage;

/// What the harness runs: a [`Transport`], or something that has no links. One dynamic call for a whole job, none for a
/// message.
pub trait Mechanism: Sync {
    /// Makes a link; called in the coordinator.
    ///
    /// # Errors
    /// See [`LinkError`].
    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError>;

    /// Why a link can't be shared by as many processes as the shape says; asked where there is more than one on a side.
    fn refuses(&self, _shape: &LinkShape) -> Option<String> {
        Some(ONE_TO_ONE.to_owned())
    }

    /// Whether a further process can be stopped in the middle of a message.
    fn can_hold(&self) -> bool {
        false
    }

    /// The program of the user's that this is, if it is one: a measured process can't find it in the table by its name.
    fn external(&self) -> Option<&Spec> {
        None
    }

    /// Asks it one question of [`conformance`](mod@crate::conformance); what has no links promises nothing.
    ///
    /// # Errors
    /// What happened instead of the right thing.
    fn ask(&self, _class: Class, _question: Question) -> Result<Answer, Failure> {
        Ok(Answer::NotPromised)
    }

    /// Does a job; called in a measured process.
    fn run(&self, job: &Job, page: &SharedPage) -> SideReport;
}

impl<T: Transport> Mechanism for T {
    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        Transport::create(self, shape)
    }

    fn refuses(&self, shape: &LinkShape) -> Option<String> {
        Transport::refuses(self, shape)
    }

    fn can_hold(&self) -> bool {
        Transport::can_hold(self)
    }

    fn ask(&self, class: Class, question: Question) -> Result<Answer, Failure> {
        conformance::ask(self, class, question)
    }

    fn run(&self, job: &Job, page: &SharedPage) -> SideReport {
        run_transport(self, job, page)
    }
}

/// Which figures a contender has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figures {
    /// A stream and round trips.
    Both,
    /// A stream alone.
    Stream,
    /// Round trips alone.
    RoundTrip,
}

impl Figures {
    /// Whether there is a stream.
    pub fn has_stream(self) -> bool {
        self != Self::RoundTrip
    }

    /// Whether there are round trips.
    pub fn has_round_trip(self) -> bool {
        self != Self::Stream
    }
}

/// How long the messages of a contender are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sizes {
    /// As long as the user asks.
    Asked,
    /// Always so many bytes: it is measured once, whatever sizes are asked for.
    Always(usize),
}

/// A row of the table.
#[derive(Clone, Copy)]
pub struct Contender {
    /// Its name without the way of waiting.
    pub name: &'static str,
    /// What it is compared with.
    pub class: Class,
    /// How it waits.
    pub wait: WaitMode,
    /// What it can be measured for.
    pub figures: Figures,
    /// How long its messages are.
    pub sizes: Sizes,
    /// How it works.
    pub mechanism: &'static dyn Mechanism,
}

impl std::fmt::Debug for Contender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Contender").field(&self.full_name()).finish()
    }
}

impl Contender {
    /// A transport's row: for what is not in this crate, see [`main_with`](crate::main_with).
    pub fn of_transport(
        name: &'static str,
        class: Class,
        wait: WaitMode,
        mechanism: &'static dyn Mechanism,
    ) -> Self {
        // A wake-up carries nothing: it is told how fast it arrives, and a stream of them has no meaning.
        let (figures, sizes) = match class {
            Class::Notify => (Figures::RoundTrip, Sizes::Always(0)),
            _ => (Figures::Both, Sizes::Asked),
        };
        Self {
            name,
            class,
            wait,
            figures,
            sizes,
            mechanism,
        }
    }

    /// Its name with the way of waiting, as in `ring-spsc/spin`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.name, self.wait)
    }

    /// Makes a link of that shape.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        if let Some(reason) = self.refuses(shape) {
            return Err(LinkError::Unavailable(reason));
        }
        let mut link = self.mechanism.create(shape)?;
        link.ticket.fan = shape.fan;
        Ok(link)
    }

    /// Why it can't have so many processes at one link; nothing if it can.
    pub fn refuses(&self, shape: &LinkShape) -> Option<String> {
        if shape.fan.is_pair() {
            return None;
        }
        if !self.figures.has_stream() {
            return Some(
                "it is measured by round trips, which one producer and one consumer make"
                    .to_owned(),
            );
        }
        self.mechanism.refuses(shape)
    }

    /// Whether it is measured in one process, whatever the others are.
    pub fn is_alone(&self) -> bool {
        self.class == Class::Limit && !self.figures.has_round_trip()
    }

    /// Whether it is made of what this project builds, so that another build of it may be faster or slower.
    pub fn is_ours(&self) -> bool {
        const OURS: [&str; 3] = ["ring-", "semaphore", "event-count"];
        OURS.iter().any(|start| self.name.starts_with(start))
    }

    /// Whether its messages carry anything.
    pub fn has_content(&self) -> bool {
        !matches!(self.class, Class::Notify | Class::Limit)
    }
}

/// The rows of the kernel's mechanisms, and of our own ways to notify.
fn kernels() -> Vec<Contender> {
    macro_rules! rows {
        ($(($name:literal, $class:ident, $wait:ident, $transport:path)),* $(,)?) => {
            vec![$(Contender::of_transport($name, Class::$class, WaitMode::$wait, &$transport)),*]
        };
    }
    for_each_kernel_contender!(rows)
}

/// The rows of our rings: the one for two processes, then the one for many.
fn rings() -> Vec<Contender> {
    [rings_of::<ring::One>(), rings_of::<ring::Many>()].concat()
}

fn rings_of<K: Kind>() -> Vec<Contender> {
    let [typed, bytes] = K::NAMES;
    let row =
        |name, wait, mechanism| Contender::of_transport(name, Class::Message, wait, mechanism);
    vec![
        row(
            typed,
            WaitMode::Spin,
            const { &RingTyped::<K>::new(WaitMode::Spin) },
        ),
        row(
            typed,
            WaitMode::SpinPark,
            const { &RingTyped::<K>::new(WaitMode::SpinPark) },
        ),
        row(
            typed,
            WaitMode::Park,
            const { &RingTyped::<K>::new(WaitMode::Park) },
        ),
        row(
            bytes,
            WaitMode::Spin,
            const { &RingBytes::<K>::new(WaitMode::Spin) },
        ),
        row(
            bytes,
            WaitMode::SpinPark,
            const { &RingBytes::<K>::new(WaitMode::SpinPark) },
        ),
        row(
            bytes,
            WaitMode::Park,
            const { &RingBytes::<K>::new(WaitMode::Park) },
        ),
    ]
}

/// Those that are not part of this crate.
static ADDED: RwLock<Vec<Contender>> = RwLock::new(Vec::new());

/// Enters one more contender.
///
/// # Errors
/// One sentence when there is one of that name already.
pub fn add(contender: Contender) -> Result<(), String> {
    let name = contender.full_name();
    if find(&name).is_some() {
        return Err(format!(
            "there is a contender called {name} already; choose another name"
        ));
    }
    // Nothing panics while it holds the lock.
    let mut added = ADDED.write().unwrap_or_else(PoisonError::into_inner);
    added.push(contender);
    Ok(())
}

/// All contenders, in the order of the report.
pub fn contenders() -> Vec<Contender> {
    let added = ADDED.read().unwrap_or_else(PoisonError::into_inner);
    [limits(), rings(), peers(), kernels(), added.clone()].concat()
}

/// Those of which a build without the cargo feature `peers` knows no more than the names.
pub const ABSENT: &[&str] = if cfg!(feature = "peers") {
    &[]
} else {
    &[
        "iceoryx2",
        "shaq",
        "ipc-channel",
        "shmem-ipc",
        "crossbeam-channel",
        "crossbeam-array-queue",
        "rtrb",
    ]
};

/// The rows of other people's rings and channels, where they were asked for when this was built.
fn peers() -> Vec<Contender> {
    #[cfg(feature = "peers")]
    return super::peers::contenders();
    #[cfg(not(feature = "peers"))]
    Vec::new()
}

fn limits() -> Vec<Contender> {
    let limit = |name, wait, figures, sizes, mechanism| Contender {
        name,
        class: Class::Limit,
        wait,
        figures,
        sizes,
        mechanism,
    };
    vec![
        limit(
            "limit-line",
            WaitMode::Spin,
            Figures::RoundTrip,
            Sizes::Always(64),
            &LimitLine,
        ),
        limit(
            "limit-memcpy",
            WaitMode::Spin,
            Figures::Stream,
            Sizes::Asked,
            &LimitMemcpy,
        ),
        limit(
            "limit-futex",
            WaitMode::Park,
            Figures::RoundTrip,
            Sizes::Always(0),
            &BareFutex,
        ),
    ]
}

/// Whether that is the full name of a mechanism of the kernel's, which only another kernel changes.
pub fn is_of_kernel(full_name: &str) -> bool {
    let mut kernels = kernels().into_iter();
    kernels.any(|contender| !contender.is_ours() && contender.full_name() == full_name)
}

/// The contender of that full name.
pub fn find(full_name: &str) -> Option<Contender> {
    contenders()
        .into_iter()
        .find(|contender| contender.full_name() == full_name)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_full_name_is_there_once_and_is_found() {
        let mut seen = HashSet::new();
        for contender in contenders() {
            let name = contender.full_name();
            assert!(find(&name).is_some_and(|found| found.name == contender.name));
            assert!(seen.insert(name.clone()), "{name} twice");
        }
        assert!(find("no-such/spin").is_none());
    }

    #[test]
    fn what_we_build_is_told_from_what_the_kernel_brings() {
        for (name, of_kernel) in [
            ("pipe/park", true),
            ("mmap-file/spin", true),
            ("sem-posix/park", true),
            ("semaphore-owned/park", false),
            ("event-count/park", false),
            ("ring-mpmc/spin", false),
            ("limit-futex/park", false),
            ("my-queue/park", false),
        ] {
            assert_eq!(is_of_kernel(name), of_kernel, "{name}");
        }
    }
}
