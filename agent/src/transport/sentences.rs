//! What a person is told when a step of SSH fails, and whether another attempt may help.

use crate::error::{Error, Kind, Retry};
use crate::identity::Identity;
use crate::phase::Phase;

/// Why a step of SSH ended; the words are escaped.
#[derive(Debug)]
pub(super) enum Stop {
    /// The deadline passed.
    TimedOut,
    /// The two sides have no method in common.
    NoCommon(String),
    /// The other side says no.
    Denied(String),
    /// What we brought cannot be used.
    Unusable(String),
    /// The connection broke, or what came over it was not SSH.
    Lost(String),
}

/// A failure before the keys were exchanged.
pub(super) fn key_exchange(stop: Stop, algorithms: &str) -> Error {
    match stop {
        Stop::NoCommon(why) => {
            Error::new(Kind::HostKey, format!("no common way to exchange keys with dom0: {why}"))
                .hint(format!("host key algorithms asked for: {algorithms}"))
        }
        Stop::Denied(why) | Stop::Unusable(why) | Stop::Lost(why) => lost(Phase::KeyExchange, &why)
            .hint(
                "is it an SSH server? one with too many connections closes new ones (MaxStartups)",
            ),
        Stop::TimedOut => silent(Phase::KeyExchange),
    }
}

/// A failure to log in.
pub(super) fn login(stop: Stop, account: &str, identity: &Identity) -> Error {
    match stop {
        Stop::Denied(_) => Error::new(
            Kind::Login,
            format!("dom0 does not accept the key {} for the account {account}", identity.name()),
        )
        .hint("on dom0: is the key in the cluster's file, and was `xen-fence-admin acl apply` run?")
        .hint("`from` in that file, or AllowGroups of sshd, may keep this address or account out"),
        Stop::Unusable(why) => Error::new(
            Kind::Config,
            format!("the key file {} cannot be used: {why}", identity.path().display()),
        )
        .hint("an ed25519 key in OpenSSH's format always works"),
        Stop::NoCommon(why) | Stop::Lost(why) => lost(Phase::Login, &why).hint(
            "dom0 may be starting or stopping (nologin), or too busy; or this account has all \
                 the logins that it may have, and each has a request under way",
        ),
        Stop::TimedOut => silent(Phase::Login),
    }
}

/// A failure to open the session or to start the broker in it.
pub(super) fn session(stop: Stop) -> Error {
    match stop {
        Stop::Denied(why) | Stop::Unusable(why) => {
            Error::new(Kind::Broken, format!("dom0 starts no broker for us: {why}"))
                .hint("on dom0: the account's login shell has to be xen-fence-launcher")
        }
        Stop::NoCommon(why) | Stop::Lost(why) => lost(Phase::Channel, &why),
        Stop::TimedOut => silent(Phase::Channel),
    }
}

fn lost(phase: Phase, why: &str) -> Error {
    let doing = phase.doing();
    Error::new(Kind::Unreachable, format!("the connection to dom0 broke while {doing}: {why}"))
        .retry(Retry::UntilDeadline)
}

fn silent(phase: Phase) -> Error {
    let doing = phase.doing();
    Error::new(
        Kind::TimedOut,
        format!("dom0 said nothing before the deadline while {doing}; nothing was touched"),
    )
    .hint("something accepts connections there and does not go on: dom0 may hang")
    .hint(LIKELY)
}

/// What holds up an sshd that has accepted the connection, as operators met it.
const LIKELY: &str = "likely on dom0: a syslog that nobody reads (the host's own sshd stops in \
    syslog(3); the sshd for fencing alone does not), PAM or the name service waiting for the \
    network, or no processes or memory left";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_behind_an_open_port_names_its_likely_causes() {
        for error in [
            key_exchange(Stop::TimedOut, "ssh-ed25519"),
            silent(Phase::Login),
            session(Stop::TimedOut),
        ] {
            assert_eq!(error.kind, Kind::TimedOut);
            let hints = error.hints.join("; ");
            for cause in ["syslog(3)", "sshd for fencing alone", "PAM", "name service", "memory"] {
                assert!(hints.contains(cause), "{cause} in {hints}");
            }
        }
        let lost = key_exchange(Stop::Lost("reset".to_owned()), "ssh-ed25519");
        assert!(!lost.hints.join("; ").contains("syslog"));
    }
}
