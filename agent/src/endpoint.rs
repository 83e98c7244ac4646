//! `account@host:port`: where a dom0 is asked, and as whom.
//!
//! The form is strict: what is not clearly an endpoint is refused with a sentence that shows how
//! to write it.

use crate::resolve::without_asking;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The port of an endpoint that names none.
pub(crate) const DEFAULT_PORT: u16 = 22;

/// A host by address or by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// Needs no resolver.
    Address(IpAddr),
    /// Needs the hosts file or a resolver; lower case.
    Name(String),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// One dom0 as the agent reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// The cluster's account there.
    pub(crate) account: String,
    /// The host.
    pub(crate) host: Host,
    /// The port of its sshd.
    pub(crate) port: u16,
}

impl Endpoint {
    /// Reads `[account@]host[:port]`; `account` is that of agent.toml, for a text without one.
    ///
    /// # Errors
    /// As [`Endpoint::parse`].
    pub(crate) fn parse_for(account: Option<&str>, text: &str) -> Result<Self, String> {
        match account {
            Some(account) if !text.contains('@') => Self::parse(&format!("{account}@{text}")),
            Some(_) | None => Self::parse(text),
        }
    }

    /// Reads `account@host`, `account@host:port` or `account@[ipv6]:port`.
    ///
    /// # Errors
    /// A sentence that says what is wrong and how to write it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let fail = |why: &str| Err(format!("{text:?} is not a dom0 to ask: {why}"));
        let Some((account, place)) = text.rsplit_once('@') else {
            return fail(&format!(
                "the account is missing; write fence-CLUSTER@{text}, with your cluster's name, or set \
                 account in agent.toml"
            ));
        };
        if !is_account(account) {
            return fail("the account before the @ is not a user name, such as fence-alpha");
        }
        let (host, port) = match place.strip_prefix('[') {
            Some(rest) => {
                let Some((address, port)) = rest.split_once(']') else {
                    return fail("the closing bracket is missing");
                };
                let Ok(address) = address.parse::<Ipv6Addr>() else {
                    return fail("what stands in brackets is not an IPv6 address (without a zone)");
                };
                let port = match port.strip_prefix(':') {
                    Some(port) => Some(port),
                    None if port.is_empty() => None,
                    None => return fail("only :PORT may follow the brackets"),
                };
                (Host::Address(IpAddr::V6(address)), port)
            }
            None if place.matches(':').count() > 1 => {
                return fail(
                    "an IPv6 address stands in brackets, as in fence-alpha@[fd00::1]:2422",
                );
            }
            None => {
                let (host, port) = match place.split_once(':') {
                    Some((host, port)) => (host, Some(port)),
                    None => (place, None),
                };
                let host = match host.parse::<IpAddr>() {
                    Ok(address) => Host::Address(address),
                    Err(_) if is_host_name(host) => Host::Name(host.to_ascii_lowercase()),
                    Err(_) => return fail("the host is neither a host name nor an address"),
                };
                (host, port)
            }
        };
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => match port.parse::<u16>() {
                Ok(number) if number > 0 && port.bytes().all(|byte| byte.is_ascii_digit()) => {
                    number
                }
                Ok(_) | Err(_) => return fail("the port is not a number from 1 to 65535"),
            },
        };
        Ok(Self { account: account.to_owned(), host, port })
    }

    /// Whether people call this host so: by the name or address that stands here, by the name's
    /// first part, or by a name that /etc/hosts has for its address.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        let name = name.trim_matches(['[', ']']).to_ascii_lowercase();
        let written = self.host.to_string();
        if written == name || self.first_label() == Some(name.as_str()) {
            return true;
        }
        let (Ok(theirs), Ok(ours)) = (name.parse::<IpAddr>(), written.parse::<IpAddr>()) else {
            let addresses = |host: &Host| without_asking(host).1;
            let theirs = addresses(&name.parse().map_or_else(|_| Host::Name(name), Host::Address));
            return addresses(&self.host).iter().any(|address| theirs.contains(address));
        };
        theirs == ours
    }

    fn first_label(&self) -> Option<&str> {
        match &self.host {
            Host::Name(name) => name.split('.').next(),
            Host::Address(_) => None,
        }
    }

    /// The name under which known_hosts has this host: `host` on port 22, else `[host]:port`.
    pub(crate) fn known_as(&self) -> String {
        if self.port == DEFAULT_PORT {
            self.host.to_string()
        } else {
            format!("[{}]:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host {
            Host::Address(IpAddr::V6(address)) => {
                write!(f, "{}@[{address}]:{}", self.account, self.port)
            }
            Host::Address(IpAddr::V4(_)) | Host::Name(_) => {
                write!(f, "{}@{}:{}", self.account, self.host, self.port)
            }
        }
    }
}

pub(crate) fn is_account(text: &str) -> bool {
    let first_is_good = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    first_is_good
        && text.len() <= 32
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

fn is_host_name(text: &str) -> bool {
    // A name that consists of digits and dots only is an address with a slip in it: the resolver
    // would read 10.1 as 10.0.0.1.
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.len() <= 253
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        && !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_endpoints() {
        for (text, shown, known) in [
            ("fence-alpha@xen1", "fence-alpha@xen1:22", "xen1"),
            (
                "fence-alpha@Xen1.Example.org:2422",
                "fence-alpha@xen1.example.org:2422",
                "[xen1.example.org]:2422",
            ),
            ("fence-alpha@192.168.2.1", "fence-alpha@192.168.2.1:22", "192.168.2.1"),
            ("fence-alpha@192.168.2.1:2422", "fence-alpha@192.168.2.1:2422", "[192.168.2.1]:2422"),
            ("fence-alpha@[fd00::1]", "fence-alpha@[fd00::1]:22", "fd00::1"),
            ("fence-alpha@[FD00:0::1]:2422", "fence-alpha@[fd00::1]:2422", "[fd00::1]:2422"),
            ("_x@a_b-c:65535", "_x@a_b-c:65535", "[a_b-c]:65535"),
        ] {
            let endpoint = Endpoint::parse(text).expect(text);
            assert_eq!(endpoint.to_string(), shown);
            assert_eq!(endpoint.known_as(), known);
            assert_eq!(Endpoint::parse(shown), Ok(endpoint), "shown form reads back");
        }
    }

    #[test]
    fn a_host_is_called_by_any_of_its_names() {
        for (text, name, expected) in [
            ("a@xen1", "xen1", true),
            ("a@xen1", "XEN1", true),
            ("a@xen1", "xen", false),
            ("a@xen1.example.org:2422", "xen1", true),
            ("a@xen1.example.org", "xen1.example.org", true),
            ("a@xen1.example.org", "example.org", false),
            ("a@192.0.2.1:2422", "192.0.2.1", true),
            ("a@192.0.2.1", "192", false),
            ("a@[fd00:0::1]:2422", "fd00::1", true),
            ("a@[fd00::1]", "[FD00:0::1]", true),
            ("a@127.0.0.1", "localhost", true),
            ("a@localhost", "127.0.0.1", true),
            ("a@192.0.2.1", "localhost", false),
            ("a@xen1", "", false),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().is_called(name), expected, "{text} {name}");
        }
    }

    #[test]
    fn bad_endpoints_say_how_to_write_them() {
        for (text, why) in [
            ("xen1", "write fence-CLUSTER@xen1"),
            ("xen1:2422", "write fence-CLUSTER@xen1:2422"),
            ("", "the account is missing"),
            ("@xen1", "before the @"),
            ("a b@xen1", "before the @"),
            ("-oProxyCommand=x@xen1", "before the @"),
            ("a@", "neither a host name"),
            ("a@-x", "neither a host name"),
            ("a@x y", "neither a host name"),
            ("a@10.1", "neither a host name"),
            ("a@xen1:", "the port"),
            ("a@xen1:0", "the port"),
            ("a@xen1:+22", "the port"),
            ("a@xen1:65536", "the port"),
            ("a@xen1:ssh", "the port"),
            ("a@fd00::1", "in brackets, as in"),
            ("a@[fd00::1", "closing bracket"),
            ("a@[fd00::1]22", "only :PORT"),
            ("a@[xen1]:22", "not an IPv6 address"),
            ("a@[fe80::1%eth0]:22", "without a zone"),
            ("a@x\u{1b}[2J", "neither a host name"),
        ] {
            let error = Endpoint::parse(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
            assert!(!error.contains('\u{1b}'), "escaped: {error}");
        }
    }
}
