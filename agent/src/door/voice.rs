//! How the doors of the cluster managers speak: lines for a log, and one reason in one line.

use super::pacemaker::in_pacemakers_words;
use crate::call::Carried;
use crate::course::Watch;
use crate::error::Error;
use crate::phase::{Phase, millis};
use crate::rehearsal::Finding;
use std::io::{self, Write};
use std::time::Duration;
use xen_fence_protocol::Level;

/// Where the talk goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Standard output, which Heartbeat logs line by line; its plugins' standard error is lost.
    Output,
    /// Standard error.
    Errors,
}

/// Speaks for a door, and watches a call for it. It does not stay for a power-on: a take-over need
/// not wait for a boot.
#[derive(Debug)]
pub(super) struct Voice {
    name: &'static str,
    place: Place,
    verbose: bool,
    again: Option<String>,
}

impl Voice {
    /// A voice that says its name first.
    pub(super) const fn new(name: &'static str, place: Place, verbose: bool) -> Self {
        Self { name, place, verbose, again: None }
    }

    /// What is said beside the reason. Pacemaker reads all that is on standard error, and would take one
    /// attempt that timed out for the end of the call.
    fn aside(&self, text: &str) -> String {
        match self.place {
            Place::Output => text.to_owned(),
            Place::Errors => in_pacemakers_words(false, text),
        }
    }

    /// Says one line. Nobody may be there to hear it.
    pub(super) fn say(&self, text: &str) {
        let line = format!("{}: {}\n", self.name, in_one_line(text));
        let _ = match self.place {
            Place::Output => io::stdout().write_all(line.as_bytes()),
            Place::Errors => io::stderr().write_all(line.as_bytes()),
        };
        let _ = io::stdout().flush();
    }
}

impl Watch for Voice {
    fn begins(&mut self, phase: Phase) {
        if !matches!(phase, Phase::Resolve | Phase::Connect) {
            self.again = None;
        }
    }

    fn ended(&mut self, phase: Phase, took: Duration, detail: &str) {
        if self.verbose {
            self.say(&self.aside(&format!("{} {} ms {detail}", phase.word(), millis(took))));
        }
    }

    fn retries(&mut self, error: &Error) {
        let text = self.aside(&format!("trying again: {error}"));
        if self.again.as_ref() != Some(&text) {
            self.say(&text);
            self.again = Some(text);
        }
    }

    fn warns(&mut self, text: &str) {
        self.say(&self.aside(&format!("warning: {text}")));
    }

    fn tells(&mut self, text: &str) {
        self.details(text);
    }

    fn details(&mut self, text: &str) {
        if self.verbose {
            self.say(&self.aside(text));
        }
    }

    fn stays_for_start(&self) -> bool {
        false
    }
}

/// What came of a call, in one line: the answer if it is one, else why there is none.
pub(super) fn reason(carried: &Carried) -> String {
    let verdict = &carried.verdict;
    let failures = verdict.findings.iter().filter(|finding| finding.level == Level::Fail);
    let mut said: Vec<String> = verdict.errors.iter().map(of_error).collect();
    if said.is_empty() {
        said = failures.map(Finding::sentence).collect();
    }
    if said.is_empty() {
        said.clone_from(&verdict.lines);
    }
    // A rehearsal that found everything well.
    if said.is_empty() {
        said.push(verdict.result.to_owned());
    }
    in_one_line(&said.join("; "))
}

/// An error and its hints, in one line.
pub(super) fn of_error(error: &Error) -> String {
    // What follows in other lines shows the place in a file, and needs its columns.
    let message = error.message.lines().next().unwrap_or_default();
    let hints: String = error.hints.iter().map(|hint| format!(" (hint: {hint})")).collect();
    let mut text = in_one_line(&format!("{message}{hints}"));
    for (option, here) in OPTIONS {
        text = text.replace(option, here);
    }
    text
}

/// The command's options in what is said at every door, and what a cluster manager sets instead.
const OPTIONS: [(&str, &str); 2] = [("--dom0", "dom0"), ("--identity", "identity_file")];

fn in_one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Settings, Wishes};
    use crate::error::Kind;
    use std::path::PathBuf;

    /// What the settings complain of is said with the command's options elsewhere.
    #[test]
    fn no_option_of_the_command_is_named() {
        let missing = PathBuf::from("/nowhere/key");
        let said = [
            Settings::load(&Wishes { dom0: vec!["nobody".to_owned()], ..Wishes::default() }).err(),
            Settings::load(&Wishes::default()).err(),
            crate::identity::Identity::read(&missing).err(),
        ];
        for error in said.into_iter().flatten() {
            let text = of_error(&error);
            assert!(!text.contains("--"), "{text}");
        }
    }

    #[test]
    fn an_error_is_one_line() {
        let error = Error::new(Kind::Config, "/a.toml:1:2: no\n  x\n  ^").hint("a").hint("b\nc");
        assert_eq!(of_error(&error), "/a.toml:1:2: no (hint: a) (hint: b c)");
    }
}
