//! A program of the user's, as a child of this process: started, asked, and ended with all that it started.
#![allow(unsafe_code, reason = "what a child does before its exec")]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigHandler, Signal, killpg, signal};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Pid, getppid};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::protocol::{LINE_LEN_MAX, Quit, in_its_words};

/// In the environment of every program, with the directory of its link as the value, and so in that of all it starts.
pub const MARK: &str = "BENCH_HARNESS_LINK";

/// How long a program may take to end after it was told to.
const QUIT_PATIENCE: Duration = Duration::from_secs(1);

/// How long a program that has closed its output may take to end, so that its status can be told.
const DEATH_PATIENCE: Duration = Duration::from_millis(100);

/// What it is asked first.
const HELLO: &str = "say hello";

/// So much of what it last wrote to its standard error is kept.
const LAST_WORDS_LEN_MAX: usize = 4096;

/// The program stops once while it obeys, with all of its group.
#[derive(Debug, Clone, Copy)]
pub struct Stall {
    /// When.
    pub at: Instant,
    /// For how long.
    pub length: Duration,
}

/// A running program. It never outlives this value.
#[derive(Debug)]
pub struct Program {
    child: Child,
    stdin: ChildStdin,
    stdout: File,
    stderr: Option<File>,
    /// What it said and nobody has heard yet.
    heard: Vec<u8>,
    last_words: Vec<u8>,
}

impl Program {
    /// Starts it, in a process group of its own, with `mark` in its environment.
    ///
    /// # Errors
    /// What the system says.
    pub fn start(command: &[String], mark: &str) -> io::Result<Self> {
        let (name, args) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let parent = Pid::this();
        let mut command = Command::new(name);
        command.args(args).env(MARK, mark).process_group(0);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // SAFETY: between fork and exec only system calls are made, on plain numbers; nothing is allocated or locked.
        unsafe { command.pre_exec(move || die_with(parent).and_then(|()| heed_size_signal())) };
        let mut child = command.spawn()?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            end(&mut child);
            return Err(io::Error::other("a program has no standard streams"));
        };
        let program = Self {
            child,
            stdin,
            stdout: File::from(OwnedFd::from(stdout)),
            stderr: Some(File::from(OwnedFd::from(stderr))),
            heard: Vec::new(),
            last_words: Vec::new(),
        };
        for stream in [
            program.stdout.as_fd(),
            program.stderr.as_ref().unwrap_or(&program.stdout).as_fd(),
        ] {
            fcntl(stream, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        Ok(program)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Says a line, which is called `what` if that can't be done.
    ///
    /// # Errors
    /// What went wrong, in one sentence.
    pub fn tell(&mut self, what: &str, order: &impl Serialize) -> Result<(), String> {
        self.listen().map_err(|error| error.to_string())?;
        if !self.heard.is_empty() {
            let early = in_its_words(&String::from_utf8_lossy(&self.heard));
            return Err(format!("it spoke before it was asked to {what}: {early}"));
        }
        self.say(order)
            .map_err(|error| self.describe_end(what, &error))
    }

    /// Says the first line and waits for the answer. A program that cannot take part may give it without having listened, and end.
    ///
    /// # Errors
    /// What went wrong, in one sentence.
    pub fn greet<T: DeserializeOwned>(
        &mut self,
        hello: &impl Serialize,
        deadline: Instant,
    ) -> Result<T, String> {
        match self.say(hello) {
            // It doesn't listen any more: what it said before counts, and if that is nothing, its end is told.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(self.describe_end(HELLO, &error))
            }
            _ => self.answer(HELLO, deadline, None),
        }
    }

    /// Waits for the answer to a line, which is called `what` if that doesn't come.
    ///
    /// # Errors
    /// What went wrong, in one sentence.
    pub fn answer<T: DeserializeOwned>(
        &mut self,
        what: &str,
        deadline: Instant,
        stall: Option<Stall>,
    ) -> Result<T, String> {
        let line = self.next_line(what, deadline, stall)?;
        serde_json::from_slice(&line).map_err(|error| {
            let said = in_its_words(&String::from_utf8_lossy(&line));
            format!("what it said when asked to {what} is not understood ({error}): {said}")
        })
    }

    /// Tells it to end, and waits until it has.
    ///
    /// # Errors
    /// That it didn't, or not well.
    pub fn quit(mut self) -> Result<(), String> {
        // Who has ended already is found out below.
        let _ = self.say(&Quit { order: "quit" });
        match self.status_within(QUIT_PATIENCE) {
            Some(WaitStatus::Exited(_, 0)) => Ok(()),
            Some(status) => Err(format!("it {} when told to quit", describe(status))),
            None => Err(format!(
                "it didn't end within {} of being told to quit",
                humantime::format_duration(QUIT_PATIENCE)
            )),
        }
    }

    /// A line is short and the program has read the one before: the pipe takes it at once.
    fn say(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.stdin.write_all(&text)
    }

    fn next_line(
        &mut self,
        what: &str,
        deadline: Instant,
        mut stall: Option<Stall>,
    ) -> Result<Vec<u8>, String> {
        let mut searched = 0;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.heard[searched..]) {
                let rest = self.heard.split_off(searched + at + 1);
                let line = std::mem::replace(&mut self.heard, rest);
                return Ok(line);
            }
            searched = self.heard.len();
            if searched > LINE_LEN_MAX {
                return Err(format!(
                    "when asked to {what} it said more than {LINE_LEN_MAX} bytes without the end of a line"
                ));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!("it had no answer in time when asked to {what}"));
            }
            let until_stall = stall.map(|stall| stall.at.saturating_duration_since(Instant::now()));
            self.await_output(until_stall.unwrap_or(left).min(left))
                .map_err(|error| error.to_string())?;
            if let Some(now) = stall.take_if(|stall| Instant::now() >= stall.at) {
                self.stop_for(now.length);
            }
            if !self.listen().map_err(|error| error.to_string())? {
                return Err(self.describe_end(what, &"it closed its output"));
            }
        }
    }

    /// Stops it and its group, and lets them go on.
    fn stop_for(&self, length: Duration) {
        // Both fail only if nobody is left.
        let _ = killpg(self.group(), Signal::SIGSTOP);
        std::thread::sleep(length);
        let _ = killpg(self.group(), Signal::SIGCONT);
    }

    fn await_output(&self, limit: Duration) -> io::Result<()> {
        let streams = [Some(&self.stdout), self.stderr.as_ref()];
        let mut fds: Vec<_> = streams
            .into_iter()
            .flatten()
            .map(|stream| PollFd::new(stream.as_fd(), PollFlags::POLLIN))
            .collect();
        let limit = PollTimeout::try_from(limit.as_millis() + 1).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, limit) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Takes what is there, up to a bound. Says whether more may come.
    fn listen(&mut self) -> io::Result<bool> {
        if let Some(stderr) = &mut self.stderr {
            let mut words = Vec::new();
            let is_open = take(stderr, &mut words, LAST_WORDS_LEN_MAX)?;
            self.last_words.extend_from_slice(&words);
            let surplus = self.last_words.len().saturating_sub(LAST_WORDS_LEN_MAX);
            self.last_words.drain(..surplus);
            if !is_open {
                self.stderr = None;
            }
        }
        let is_open = take(&mut self.stdout, &mut self.heard, LINE_LEN_MAX + 1)?;
        Ok(is_open || !self.heard.is_empty() && self.heard.contains(&b'\n'))
    }

    /// What became of a program that doesn't talk any more.
    fn describe_end(&mut self, what: &str, why: &dyn std::fmt::Display) -> String {
        let mut problem = match self.status_within(DEATH_PATIENCE) {
            Some(status) => format!("it {} when asked to {what}", describe(status)),
            None => format!("{why} when asked to {what}"),
        };
        // Whatever can't be read is not told.
        let _ = self.listen();
        let last_words = String::from_utf8_lossy(&self.last_words);
        if let Some(line) = last_words.trim_end().lines().last() {
            problem += "; its last words: ";
            problem += &in_its_words(line);
        }
        problem
    }

    /// How it ended, if it does in time. It is not waited for, so its group can still be killed by its number.
    fn status_within(&mut self, limit: Duration) -> Option<WaitStatus> {
        const NAP: Duration = Duration::from_millis(1);
        let deadline = Instant::now() + limit;
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        loop {
            match waitid(Id::Pid(self.group()), flags) {
                Ok(WaitStatus::StillAlive) if Instant::now() < deadline => std::thread::sleep(NAP),
                Ok(WaitStatus::StillAlive) | Err(_) => return None,
                Ok(status) => return Some(status),
            }
            // Who is stuck in writing can go on.
            let _ = self.listen();
        }
    }

    fn group(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Ends a program and its group. It has not been waited for, so the number is still its own.
fn end(child: &mut Child) {
    // Both fail only if nobody is left.
    let _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
    let _ = child.wait();
}

/// In the child: it doesn't outlive the thread that started it.
fn die_with(parent: Pid) -> io::Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    if getppid() == parent {
        Ok(())
    } else {
        Err(Errno::ESRCH.into())
    }
}

/// In the child: the signal that this program ignores is what it always was. `SIGPIPE` is so already.
fn heed_size_signal() -> io::Result<()> {
    // SAFETY: no handler is involved.
    unsafe { signal(Signal::SIGXFSZ, SigHandler::SigDfl) }?;
    Ok(())
}

/// Reads what is there until `into` has `len_max` bytes. Says whether more may come.
fn take(stream: &mut File, into: &mut Vec<u8>, len_max: usize) -> io::Result<bool> {
    let mut chunk = [0; 16 << 10];
    while into.len() < len_max {
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(false),
            Ok(len) => into.extend_from_slice(&chunk[..len]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn describe(status: WaitStatus) -> String {
    match status {
        WaitStatus::Exited(_, code) => format!("ended with code {code}"),
        WaitStatus::Signaled(_, signal, _) => format!("was ended by {signal}"),
        status => format!("changed its state ({status:?})"),
    }
}
