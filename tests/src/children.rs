//! Peer processes: started by role, spoken to in lines, killed when the test lets go of them.
//!
//! A peer prints one line for each thing that happened and obeys one line at a time. Every wait
//! for a peer ends after [`patience`], so a peer that hangs fails the test that asked it.

#![allow(unsafe_code)]

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::short_or_long;

/// How long a test waits for a line or for the end of a peer before it fails: as much longer in the long form as that takes.
pub fn patience() -> Duration {
    short_or_long(Duration::from_secs(60), Duration::from_secs(20 * 60))
}

/// A peer process. Dropping it kills and reaps it.
///
/// The kernel kills it too when the *thread* that started it ends, so start it from the thread of
/// the test itself.
#[derive(Debug)]
pub struct Peer {
    process: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    label: String,
    reaped: bool,
}

impl Peer {
    /// Starts `program` in the role that `arguments` name.
    ///
    /// # Panics
    /// When the process can't be started.
    pub fn start<A: AsRef<OsStr>>(program: &str, arguments: &[A]) -> Self {
        Self::start_with_fds(program, arguments, &[])
    }

    /// The same, and the child inherits these descriptors under their present numbers.
    ///
    /// # Panics
    /// When the process can't be started.
    pub fn start_with_fds<A: AsRef<OsStr>>(
        program: &str,
        arguments: &[A],
        fds: &[BorrowedFd<'_>],
    ) -> Self {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let inherited: Vec<i32> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let before_exec = move || {
            set_pdeathsig(Signal::SIGKILL)?;
            for number in &inherited {
                // SAFETY: the parent borrows it across the fork, so it is open in the child.
                let fd = unsafe { BorrowedFd::borrow_raw(*number) };
                fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
            }
            Ok(())
        };
        // SAFETY: between fork and exec it makes system calls only: no allocation, no lock.
        unsafe { command.pre_exec(before_exec) };
        let label = arguments
            .iter()
            .map(|argument| argument.as_ref().to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ");
        let mut process = command
            .spawn()
            .unwrap_or_else(|error| panic!("can't start {program} {label}: {error}"));
        let stdin = process.stdin.take();
        let stdout = process.stdout.take().expect("stdout is a pipe");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            process,
            stdin,
            lines,
            label,
            reaped: false,
        }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Sends it a line.
    ///
    /// # Panics
    /// When it no longer reads.
    #[track_caller]
    pub fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("stdin was closed");
        if let Err(error) = stdin.write_all(format!("{line}\n").as_bytes()) {
            panic!("peer `{}` does not take `{line}`: {error}", self.label);
        }
    }

    /// Closes its standard input: the end of its orders.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// The next line that it prints, or `None` when it closed its output.
    ///
    /// # Panics
    /// When none comes within [`patience`].
    #[track_caller]
    pub fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(patience()) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                panic!("peer `{}` said nothing for {:?}", self.label, patience())
            }
        }
    }

    /// A line if it has printed one already.
    pub fn line_if_any(&mut self) -> Option<String> {
        self.lines.try_recv().ok()
    }

    /// Waits for a line that must be exactly this one.
    ///
    /// # Panics
    /// When it is another one, or none comes.
    #[track_caller]
    pub fn expect(&mut self, expected: &str) {
        let line = self.line();
        assert_eq!(line.as_deref(), Some(expected), "peer `{}`", self.label);
    }

    /// Sends a line and returns the answer.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn ask(&mut self, line: &str) -> String {
        self.say(line);
        match self.line() {
            Some(answer) => answer,
            None => panic!("peer `{}` ended instead of answering `{line}`", self.label),
        }
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When the process is gone already.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        assert!(!self.reaped, "peer `{}` was reaped already", self.label);
        kill(Pid::from_raw(self.pid().cast_signed()), signal)
            .expect("the peer is ours and unreaped");
    }

    /// Waits until its main thread sleeps on a futex. Where the kernel does not tell, waits for as long as that usually takes.
    ///
    /// # Panics
    /// When it does not fall asleep within [`patience`].
    #[track_caller]
    pub fn wait_until_asleep(&self) {
        const FUTEX: [libc::c_long; 2] = [libc::SYS_futex, libc::SYS_futex_waitv];
        let end = Instant::now() + patience();
        loop {
            let file = format!("/proc/{}/syscall", self.pid());
            let Ok(text) = std::fs::read_to_string(file) else {
                return std::thread::sleep(Duration::from_millis(100));
            };
            let number = text.split(' ').next().unwrap_or_default();
            if FUTEX.iter().any(|futex| number == futex.to_string()) {
                return;
            }
            assert!(
                Instant::now() < end,
                "peer `{}` does not sleep: {text}",
                self.label
            );
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    /// Kills it with SIGKILL and reaps it: when this returns the kernel has let go of all it held.
    #[track_caller]
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.wait();
    }

    /// Kills it and leaves it a zombie: dead, but not reaped.
    ///
    /// # Panics
    /// When the kernel refuses to wait for it.
    #[track_caller]
    pub fn kill_without_reaping(&mut self) {
        self.signal(Signal::SIGKILL);
        let pid = Pid::from_raw(self.pid().cast_signed());
        waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).expect("our child");
    }

    /// Waits until it is gone and says how it ended.
    ///
    /// # Panics
    /// When it is still there after [`patience`].
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + patience();
        loop {
            if let Some(status) = self.process.try_wait().expect("our child") {
                self.reaped = true;
                return status;
            }
            assert!(Instant::now() < end, "peer `{}` does not end", self.label);
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Closes its input, and expects it to print nothing more and to end well.
    ///
    /// # Panics
    /// When it says or does anything else.
    #[track_caller]
    pub fn finish(mut self) {
        self.close_stdin();
        let line = self.line();
        assert_eq!(line, None, "peer `{}` had more to say", self.label);
        let status = self.wait();
        assert!(
            status.success(),
            "peer `{}` ended with {status}",
            self.label
        );
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if !self.reaped {
            // It may have ended by itself in the meantime.
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}
