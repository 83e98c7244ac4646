//! Commands that tests run, and what came of them.

use crate::error::{Doing, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fmt;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

/// A command that is still running.
pub struct Running {
    child: Option<Child>,
    words: Vec<String>,
    began: Instant,
}

impl Running {
    /// Starts a command, which the words name in what is shown of it.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(mut command: Command, words: &[&str]) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let began = Instant::now();
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("cannot run {}: {error}", command.get_program().display());
        });
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Self { child: Some(child), words, began }
    }

    /// Waits for its end with these bytes as its standard input.
    ///
    /// # Panics
    /// As [`Running::wait`].
    #[must_use]
    pub fn wait_with_input(mut self, input: &[u8]) -> Output {
        let stdin = self.child.as_mut().and_then(|child| child.stdin.take());
        std::thread::scope(|scope| {
            // Beside the reader: a command that answers as it reads would block with it.
            scope.spawn(|| stdin.map(|mut stdin| stdin.write_all(input)));
            self.wait()
        })
    }

    /// Writes to its standard input, which stays open. A command that no longer reads is no error.
    pub fn send(&mut self, bytes: &[u8]) {
        if let Some(stdin) = self.child.as_mut().and_then(|child| child.stdin.as_mut()) {
            let _ = stdin.write_all(bytes).and_then(|()| stdin.flush());
        }
    }

    /// Its standard output, to be read while it runs. What is read here is not in [`Output`].
    pub fn stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.as_mut()?.stdout.take()
    }

    /// Sends it a signal, by its name: `INT`, `TERM`, `KILL`, ….
    pub fn signal(&self, name: &str) {
        if let Some(child) = &self.child {
            signal_to(child.id(), format!("SIG{name}").parse().unwrap_or(Signal::SIGTERM));
        }
    }

    /// True until it has ended.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// How long it has been running.
    #[must_use]
    pub fn since(&self) -> Duration {
        self.began.elapsed()
    }

    /// Waits for its end, its input closed. A command that does not end in time is killed, which
    /// its exit code tells: no test waits for ever.
    ///
    /// # Panics
    /// If it cannot be waited for.
    #[must_use]
    pub fn wait(mut self) -> Output {
        let words = std::mem::take(&mut self.words);
        let limit = LONGEST.saturating_sub(self.began.elapsed());
        let (ended, end) = std::sync::mpsc::channel::<()>();
        let output = self.child.take().map(|child| {
            let pid = child.id();
            std::thread::scope(|scope| {
                scope.spawn(move || {
                    if end.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                        signal_to(pid, Signal::SIGKILL);
                    }
                });
                let output = child.wait_with_output();
                drop(ended);
                output
            })
        });
        let Some(Ok(output)) = output else { panic!("cannot wait for {}", words.join(" ")) };
        Output {
            command: words.join(" "),
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            took: self.began.elapsed(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = self.child.as_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// No command of a test takes longer than this.
const LONGEST: Duration = Duration::from_secs(120);

fn signal_to(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// What came of a command.
#[derive(Clone, Debug)]
pub struct Output {
    /// The command, its words joined with spaces.
    pub command: String,
    /// Its exit code; 128 and the signal's number if a signal ended it.
    pub code: i32,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Output {
    /// Everything that it wrote.
    #[must_use]
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// True if any of its output holds this text.
    #[must_use]
    pub fn says(&self, text: &str) -> bool {
        self.stdout.contains(text) || self.stderr.contains(text)
    }

    /// This output, or an error that shows it if the command did not exit 0.
    pub fn succeeded(self) -> Result<Self> {
        if self.code == 0 { Ok(self) } else { Err(self.to_string()).doing("go on") }
    }

    /// Asserts the exit code, and shows everything if it is another.
    ///
    /// # Panics
    /// If the exit code is another.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert!(self.code == code, "expected exit code {code}\n{self}");
        self
    }

    /// Asserts that the output holds this text, and shows everything if it does not.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn saying(self, text: &str) -> Self {
        assert!(self.says(text), "expected {text:?} in the output\n{self}");
        self
    }
}

impl fmt::Display for Output {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "$ {}", self.command)?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            for line in text.lines() {
                writeln!(out, "  {name}: {line}")?;
            }
        }
        write!(out, "  exit code {} after {:?}", self.code, self.took)
    }
}
