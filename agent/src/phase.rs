//! The phases of one conversation with a dom0, and how long each took.

use std::fmt;
use std::time::Duration;

/// What the agent is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The addresses of dom0's name.
    Resolve,
    /// A TCP connection.
    Connect,
    /// SSH's banner and key exchange, and the host key's check.
    KeyExchange,
    /// The account, by key.
    Login,
    /// The session and the start of the broker.
    Channel,
    /// From the request to `ready`.
    Ready,
    /// From the request to the answer, for what needs no `go`.
    Answer,
    /// From `go` to `fenced`.
    Proof,
    /// From `go` or `fenced` to `started`.
    Start,
}

impl Phase {
    /// The name in tables and `--json`.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::KeyExchange => "key exchange",
            Self::Login => "login",
            Self::Channel => "channel",
            Self::Ready => "ready",
            Self::Answer => "answer",
            Self::Proof => "proof",
            Self::Start => "start",
        }
    }

    /// What the agent is doing, for somebody who watches it wait.
    pub(crate) const fn doing(self) -> &'static str {
        match self {
            Self::Resolve => "looking up the address",
            Self::Connect => "connecting",
            Self::KeyExchange => "exchanging keys",
            Self::Login => "logging in",
            Self::Channel => "starting the broker",
            Self::Ready => "waiting until dom0 is ready",
            Self::Answer => "waiting for the answer",
            Self::Proof => "waiting for the proof of death",
            Self::Start => "watching the start",
        }
    }
}

/// The phases that ended, in their order, each with what there is to say of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Phases(Vec<(Phase, Duration, String)>);

impl Phases {
    /// Adds a phase that ended.
    pub(crate) fn push(&mut self, phase: Phase, took: Duration, detail: &str) {
        self.0.push((phase, took, detail.to_owned()));
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Phase, Duration)> + '_ {
        self.0.iter().map(|(phase, took, _)| (*phase, *took))
    }

    /// All of them, with their details.
    pub(crate) fn in_full(&self) -> impl Iterator<Item = (Phase, Duration, &str)> + '_ {
        self.0.iter().map(|(phase, took, detail)| (*phase, *took, detail.as_str()))
    }

    /// How long they took together.
    pub(crate) fn total(&self) -> Duration {
        self.iter().map(|(_, took)| took).sum()
    }
}

impl fmt::Display for Phases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (phase, took) in self.iter() {
            write!(f, "{} {}, ", phase.word(), millis(took))?;
        }
        Ok(())
    }
}

/// A span as people read it here: milliseconds with one digit.
pub(crate) fn millis(span: Duration) -> String {
    format!("{:.1}", span.as_secs_f64() * 1000.0)
}
