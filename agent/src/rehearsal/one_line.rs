//! A rehearsal in one line for Nagios, Icinga and what else speaks their plugins' language: a word, a
//! sentence, figures; and their exit codes.

use crate::call::Carried;
use crate::error::{Error, Kind};
use crate::rehearsal::Finding;
use std::time::Duration;
use xen_fence_protocol::{GO_BY, Level};

/// Longer lines are cut by what carries them.
const LONGEST: usize = 900;

/// What they know of a service, and its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Ok,
    Warning,
    Critical,
    Unknown,
}

impl State {
    /// The exit code.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => 3,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// What a rehearsal came to.
pub(crate) fn of_rehearsal(carried: &Carried, total: Duration) -> (State, String) {
    let findings = &carried.verdict.findings;
    let with = |level| findings.iter().filter(move |finding| finding.level == level);
    let (well, warned, failed) =
        (with(Level::Ok).count(), with(Level::Warn).count(), with(Level::Fail).count());
    let (state, said) = match (failed, warned) {
        (0, 0) if carried.answers.is_empty() => (State::Unknown, "nothing was asked".to_owned()),
        (0, 0) => (State::Ok, format!("a fence would work, {well} steps are well")),
        (0, _) => {
            let said = first_of(with(Level::Warn));
            (State::Warning, format!("a fence would work, with something to mend: {said}"))
        }
        _ => (State::Critical, format!("a fence would fail: {}", first_of(with(Level::Fail)))),
    };
    let answered = carried.answers.iter().filter(|answer| answer.end.is_ok());
    let ready = answered.map(|answer| answer.told.took).max();
    let by = GO_BY.min(carried.timeout).as_secs_f64();
    let ready = ready.map(|took| format!("ready={:.3}s;{};{by};0; ", took.as_secs_f64(), by / 2.0));
    let figures = format!(
        "{}time={:.3}s;;;0; ok={well};;;0; warn={warned};;;0; fail={failed};;;0;",
        ready.unwrap_or_default(),
        total.as_secs_f64()
    );
    (state, line(state, &said, &figures))
}

/// What an error before any rehearsal came to: a fence could not be asked for, or what was typed
/// cannot be read.
pub(crate) fn of_error(error: &Error) -> (State, String) {
    let state = if error.kind == Kind::Usage { State::Unknown } else { State::Critical };
    let hints = error.hints.iter().map(|hint| format!(" (hint: {hint})")).collect::<String>();
    (state, line(state, &format!("{error}{hints}"), ""))
}

/// What a command line that cannot be read comes to.
pub(crate) fn of_usage(text: &str) -> (State, String) {
    let first = text.lines().next().unwrap_or_default();
    (State::Unknown, line(State::Unknown, first, ""))
}

fn first_of<'a>(mut findings: impl Iterator<Item = &'a Finding>) -> String {
    let Some(first) = findings.next() else { return String::new() };
    let node = first.node.as_ref().map(|node| format!("{node} ")).unwrap_or_default();
    let more = match findings.count() {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!("{node}{}: {}{more}", first.step, first.sentence())
}

/// One line, in which only the figures stand behind a bar.
fn line(state: State, said: &str, figures: &str) -> String {
    let plain = |c: char| match c {
        '|' => '/',
        c if c.is_control() => ' ',
        c => c,
    };
    let said: String = said.chars().map(plain).take(LONGEST).collect();
    let bar = if figures.is_empty() { "" } else { " | " };
    format!("XEN-FENCE {} - {said}{bar}{figures}", state.word())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_line_with_one_bar() {
        let error = Error::new(Kind::Config, "a|b\n  ^").hint("c\u{1b}[2J");
        let (state, said) = of_error(&error);
        assert_eq!(
            (state, said.as_str()),
            (State::Critical, "XEN-FENCE CRITICAL - a/b   ^ (hint: c [2J)")
        );
        assert_eq!(of_error(&Error::new(Kind::Usage, "what?")).0.code(), 3);
        assert_eq!(
            of_usage("error: no\nUsage: x"),
            (State::Unknown, "XEN-FENCE UNKNOWN - error: no".to_owned())
        );
        let long = line(State::Ok, &"x".repeat(5000), "ready=1s");
        assert!(long.len() < 1000 && long.ends_with(" | ready=1s"), "{long}");
    }
}
