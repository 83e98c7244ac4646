//! Commands in a throwaway dom0 or in one of its domains.

use crate::error::Result;
use crate::running::{Output, Running};
use std::path::PathBuf;
use std::process::Command;

/// A place in which commands run: dom0, or one domain.
#[derive(Clone, Debug)]
pub struct Place {
    /// The helper program, `throwaway`.
    pub(crate) helper: PathBuf,
    /// Its arguments up to `--`, which say where.
    pub(crate) way: Vec<String>,
}

impl Place {
    /// Runs a command to its end.
    ///
    /// # Panics
    /// If the command cannot be started or waited for: a test can do nothing about it.
    #[must_use]
    pub fn run(&self, words: &[&str]) -> Output {
        self.run_with_input(words, b"")
    }

    /// Runs a command to its end, with these bytes as its standard input.
    ///
    /// # Panics
    /// As [`Place::run`].
    #[must_use]
    pub fn run_with_input(&self, words: &[&str], input: &[u8]) -> Output {
        self.spawn(words).wait_with_input(input)
    }

    /// Starts a command and leaves it running. It is killed when it is dropped.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn spawn(&self, words: &[&str]) -> Running {
        Running::start(self.command(words), words)
    }

    /// The command as std knows it, for a caller that wants its own terminal passed on.
    #[must_use]
    pub fn command<W: AsRef<str>>(&self, words: &[W]) -> Command {
        let mut command = Command::new(&self.helper);
        command.env_clear().env("LC_ALL", "C.UTF-8");
        for name in ["TERM", "COLUMNS", "NO_COLOR"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.arg("enter").args(&self.way).arg("--");
        command.args(words.iter().map(AsRef::as_ref));
        command
    }

    /// Runs a command that has to succeed.
    pub fn must(&self, words: &[&str]) -> Result<Output> {
        self.run(words).succeeded()
    }
}
