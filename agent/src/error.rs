//! The agent's one error: a kind that fixes the exit code, a sentence and hints for the person who
//! must act, and whether another attempt can help.
//!
//! Bytes that came over the network are escaped before they get in here.

use crate::exit::Exit;

/// What went wrong, sorted by what its reader must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The command line is wrong.
    Usage,
    /// A file of this machine is wrong: settings, key, known hosts.
    Config,
    /// dom0 could not be reached.
    Unreachable,
    /// The host key is unknown, changed, revoked or cannot be checked.
    HostKey,
    /// dom0 did not accept the key.
    Login,
    /// The broker, or a hold that it told of, refused.
    Refused,
    /// The broker tried and failed, and says so.
    Failed,
    /// Nobody can tell whether the action was carried out.
    Unknown,
    /// The answer does not keep to the protocol, or the session broke off, before anything was
    /// asked to be done.
    Broken,
    /// The deadline came first.
    TimedOut,
}

impl Kind {
    /// The exit code of this kind.
    pub(crate) const fn exit(self) -> Exit {
        match self {
            Self::Usage | Self::Config => Exit::Usage,
            Self::Unreachable => Exit::Unreachable,
            Self::HostKey => Exit::HostKey,
            Self::Login => Exit::Authentication,
            Self::Refused => Exit::Refused,
            Self::Failed | Self::Unknown | Self::Broken => Exit::Failed,
            Self::TimedOut => Exit::TimedOut,
        }
    }
}

/// Whether a new connection may succeed where this one did not. Only errors from before `go` may
/// be anything but [`Retry::Never`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// Final.
    Never,
    /// For ten seconds: somebody answered that nobody is there. A restart of sshd explains that,
    /// and a wrong port does too.
    Soon,
    /// Until the deadline: silence, or a connection that broke.
    UntilDeadline,
}

/// A failure, ready to be said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Error {
    /// What kind of failure.
    pub(crate) kind: Kind,
    /// The sentence: lower case, no full stop.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hints: Vec<String>,
    /// Whether to try again.
    pub(crate) retry: Retry,
    /// The broker's own word for the reason, where it gave one.
    pub(crate) reason: Option<&'static str>,
    /// Whether it was tried for as long as there was time.
    pub(crate) late: bool,
}

impl Error {
    /// A final error without a hint.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind, message, hints: Vec::new(), retry: Retry::Never, reason: None, late: false }
    }

    /// Adds a hint.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Says that another attempt may help.
    #[must_use]
    pub(crate) const fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Adds the broker's word for the reason.
    #[must_use]
    pub(crate) const fn reason(mut self, word: &'static str) -> Self {
        self.reason = Some(word);
        self
    }
}
