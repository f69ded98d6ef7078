//! Programs of the user's as contenders, so that other languages can enter: `--external 'NAME=COMMAND ARGS…'`.
//!
//! Each measured process starts the program once, as its own side of the link, and tells it what to do over a small protocol on
//! its standard streams ([`protocol`]; `docs/external-contender.md` is the description for those who write one). The
//! program sends, receives and takes the times; what it claims is checked against what the harness knows by itself: the
//! counts, a checksum over every byte received, and that all its times lie between the order and the answer.

mod args;
mod cost;
pub mod hello;
mod messages;
mod numbers;
mod paced;
mod peer;
mod place;
mod program;
pub mod protocol;
mod records;
mod work;

use std::io;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

pub use args::ExternalArgs;
pub use records::RecordsFile;

use crate::job::{Job, Probe, SideReport};
use crate::shared::SharedPage;
use crate::transport::registry::{Contender, Figures, Mechanism, Sizes};
use crate::transport::{Class, Link, LinkError, LinkShape, Ticket, WaitMode};
use hello::{Abilities, Greeting, Hello, Ready, Refusal, Role, VERSION};
use place::Place;
use program::Program;

/// How long a program may take to start and to say whether it can take part.
const GREETING_PATIENCE: Duration = Duration::from_secs(3);

/// A program as a contender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// What it is called, without the way of waiting.
    pub name: String,
    /// How it waits: it is told so.
    pub wait: WaitMode,
    /// The program and its arguments.
    pub command: Vec<String>,
}

impl Spec {
    /// Its row. What a row refers to lives as long as the program, so this is for what was asked for on the command line.
    pub fn into_contender(self) -> Contender {
        Contender {
            name: self.name.clone().leak(),
            class: Class::Message,
            wait: self.wait,
            figures: Figures::Both,
            sizes: Sizes::Asked,
            mechanism: Box::leak(Box::new(External(self))),
        }
    }
}

/// The mechanism behind such a row.
#[derive(Debug)]
pub struct External(pub Spec);

impl External {
    /// Starts the program in a role and hears what it has to say to the first line.
    fn greet(&self, role: Role, link: &Greeted<'_>) -> Result<(Program, Ready), Refusal> {
        let mut program = Program::start(&self.0.command, link.forward)
            .map_err(|error| self.not_started(&error))?;
        let hello = Hello {
            hello: VERSION,
            role,
            forward: link.forward,
            back: link.back,
            message_len_max: link.message_len_max,
            capacity: link.capacity,
            wait: self.0.wait,
            shares_core: link.shares_core,
            records: link.records,
        };
        let deadline = Instant::now() + GREETING_PATIENCE;
        let greeting: Greeting = program.greet(&hello, deadline).map_err(Refusal::Wrong)?;
        Ok((program, greeting.check()?))
    }

    fn not_started(&self, error: &io::Error) -> Refusal {
        let command = self.0.command.first().map_or("", String::as_str);
        Refusal::Unavailable(format!(
            "{command:?} can't be started: {error}; give --external the path of a program"
        ))
    }

    /// What a measured process says of a problem.
    fn blame(&self, problem: &str) -> String {
        format!("the program of {}: {problem}", self.0.name)
    }
}

/// What a program is told of its links.
struct Greeted<'a> {
    forward: &'a str,
    back: Option<&'a str>,
    message_len_max: usize,
    capacity: usize,
    shares_core: bool,
    records: Option<&'a str>,
}

/// What is known of a link of a program beside its directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Terms {
    /// What the program can.
    pub can: Abilities,
    /// Another directory, for files of numbers.
    pub folder: String,
}

impl Terms {
    /// What can be measured of that, or why nothing can.
    ///
    /// # Errors
    /// The reason, in one sentence.
    pub fn fitting(&self, probes: Vec<Probe>, has_records: bool) -> Result<Vec<Probe>, String> {
        let lacks = |ability: &str| {
            format!(
                "the program doesn't say that it can do this; one that can has {ability:?} in its \"can\", see docs/external-contender.md"
            )
        };
        if has_records && !self.can.records {
            return Err(lacks("records"));
        }
        let can = |probe: &Probe| self.can.paced || !matches!(probe, Probe::Paced { .. });
        let probes: Vec<Probe> = probes.into_iter().filter(can).collect();
        if probes.is_empty() {
            return Err(lacks("paced"));
        }
        Ok(probes)
    }
}

impl Mechanism for External {
    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let place = Place::create()?;
        let path = place.text()?.to_owned();
        let folder = numbers::folder()?;
        let asked = Greeted {
            forward: &path,
            back: None,
            message_len_max: shape.message_len_max,
            capacity: shape.capacity,
            shares_core: false,
            records: None,
        };
        let failed = |problem: String| LinkError::Failed(io::Error::other(self.blame(&problem)));
        let (program, ready) =
            self.greet(Role::Check, &asked)
                .map_err(|refusal| match refusal {
                    Refusal::Unavailable(reason) => LinkError::Unavailable(reason),
                    Refusal::Wrong(problem) => failed(problem),
                })?;
        program.quit().map_err(failed)?;
        Ok(Link {
            ticket: Ticket {
                text: path,
                message_len_max: shape.message_len_max,
                capacity: ready.capacity,
                external: Some(Terms {
                    can: ready.can,
                    // It lies beside the other one, whose path is text.
                    folder: folder.path().to_string_lossy().into_owned(),
                }),
                ..Ticket::default()
            },
            fds: Vec::new(),
            // In this order: who uses the second is ended with the first.
            cleanup: Some(Box::new((place, folder))),
        })
    }

    fn external(&self) -> Option<&Spec> {
        Some(&self.0)
    }

    fn run(&self, job: &Job, page: &SharedPage) -> SideReport {
        work::run(self, job, page)
    }
}
