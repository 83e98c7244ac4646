//! The exit codes of `xen-fence`: the one place that has the numbers.
//!
//! `--help`, the error kinds and `--json` read them here. A cluster believes these numbers with its
//! data, so nothing but a parsed reply of a broker may ever lead to [`Exit::Success`].

use std::process::ExitCode;

/// How a call of the agent ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// What was asked for is so, proven.
    Success,
    /// It failed, or nobody can tell.
    Failed,
    /// The command line or the configuration is wrong.
    Usage,
    /// dom0 refused.
    Refused,
    /// No dom0 could be reached.
    Unreachable,
    /// The host key is not the recorded one.
    HostKey,
    /// dom0 did not accept the key.
    Authentication,
    /// The deadline came first.
    TimedOut,
}

impl Exit {
    /// Every way to end, in the order of its number.
    pub(crate) const ALL: [Self; 8] = [
        Self::Success,
        Self::Failed,
        Self::Usage,
        Self::Refused,
        Self::Unreachable,
        Self::HostKey,
        Self::Authentication,
        Self::TimedOut,
    ];

    /// Number, word for programs and meaning for people.
    const fn row(self) -> (u8, &'static str, &'static str) {
        match self {
            Self::Success => (0, "success", "done and proven; for status and list: known"),
            Self::Failed => {
                (1, "failed", "failed, or the outcome is unknown: never take it for dead")
            }
            Self::Usage => (2, "usage", "wrong command line, configuration or key file"),
            Self::Refused => (3, "refused", "dom0 refused; nothing was touched"),
            Self::Unreachable => (4, "unreachable", "dom0 could not be reached"),
            Self::HostKey => (5, "host-key", "the host key is unknown, changed or revoked"),
            Self::Authentication => (6, "authentication", "dom0 did not accept the key"),
            Self::TimedOut => {
                (7, "timed-out", "the deadline came first; the message says what is known")
            }
        }
    }

    /// The number that the process exits with.
    pub(crate) const fn code(self) -> u8 {
        self.row().0
    }

    /// The number of Heartbeat's plugin, where anything but 0 is a failure and no more.
    pub(crate) const fn of_plugin(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed
            | Self::Usage
            | Self::Refused
            | Self::Unreachable
            | Self::HostKey
            | Self::Authentication
            | Self::TimedOut => 1,
        }
    }

    /// The stable word of `--json`.
    pub(crate) const fn word(self) -> &'static str {
        self.row().1
    }

    /// The table of `--help`.
    pub(crate) fn table() -> String {
        Self::ALL.map(|exit| format!("  {}  {}", exit.code(), exit.row().2)).join("\n")
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_documented_ones() {
        let rows = Exit::ALL.map(|exit| (exit.code(), exit.word()));
        assert_eq!(
            rows,
            [
                (0, "success"),
                (1, "failed"),
                (2, "usage"),
                (3, "refused"),
                (4, "unreachable"),
                (5, "host-key"),
                (6, "authentication"),
                (7, "timed-out"),
            ]
        );
    }
}
