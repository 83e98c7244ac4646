//! Reads the single values of a policy file and collects what is wrong with them.
//!
//! A value that cannot be understood is `None` and leaves a fault behind; it is never replaced by
//! a guess.

use super::{Fault, OnLine, Targets};
use crate::acl::Brake;
use crate::names::{DomainName, Fingerprint, PublicKey, Uuid};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use toml::Spanned;
use xen_fence_protocol::{Action, NodeName};

/// Why an action that exists cannot stand in a list of actions: a sentence and a hint.
pub(super) type NotListable = (&'static str, &'static str);

/// For the cluster's own `actions`: three are always allowed to nodes, and saying so again would
/// look as if leaving it out forbade them.
pub(super) const fn for_nodes(action: Action) -> Option<NotListable> {
    match action {
        Action::Reset | Action::Off | Action::On | Action::Status => None,
        Action::List | Action::Monitor | Action::Check => Some((
            "list, monitor and check are always allowed to nodes and not listed",
            "remove it; `actions` grants reset, off, on and status",
        )),
    }
}

/// The text of one file, what is taken already, and what was found wrong.
pub(super) struct Reader<'text> {
    text: &'text str,
    faults: Vec<Fault>,
    domains: BTreeMap<DomainName, usize>,
    uuids: BTreeMap<Uuid, usize>,
    keys: BTreeMap<Fingerprint, usize>,
}

impl<'text> Reader<'text> {
    pub(super) const fn new(text: &'text str) -> Self {
        Self {
            text,
            faults: Vec::new(),
            domains: BTreeMap::new(),
            uuids: BTreeMap::new(),
            keys: BTreeMap::new(),
        }
    }

    /// Notes a fault.
    pub(super) fn refuse<T>(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Option<T> {
        self.faults.push(Fault { span, message: message.into(), hint: hint.into() });
        None
    }

    /// The fault that stands first in the file.
    pub(super) fn first_fault(self) -> Option<Fault> {
        self.faults.into_iter().min_by_key(|fault| fault.span.start)
    }

    /// The line of a span, counted from 1.
    pub(super) fn line(&self, span: Range<usize>) -> usize {
        let before = self.text.as_bytes().get(..span.start).unwrap_or_default();
        before.iter().filter(|byte| **byte == b'\n').count().saturating_add(1)
    }

    pub(super) fn actions(
        &mut self,
        list: &Spanned<Vec<Spanned<String>>>,
        forbidden: impl Fn(Action) -> Option<NotListable>,
    ) -> Option<OnLine<Vec<Action>>> {
        let mut actions = Vec::new();
        for text in list.as_ref() {
            let Ok(action) = Action::from_word(text.as_ref()) else {
                return self.refuse(
                    text.span(),
                    format!("{:?} is not an action", text.as_ref()),
                    "the actions are reset, off, on, status, list, monitor and check; what other \
                     programs call reboot is reset here",
                );
            };
            if let Some((message, hint)) = forbidden(action) {
                return self.refuse(text.span(), message, hint);
            }
            if actions.contains(&action) {
                return self.refuse(text.span(), format!("{action} is listed twice"), ONCE);
            }
            actions.push(action);
        }
        Some(OnLine { line: self.line(list.span()), value: actions })
    }

    pub(super) fn sources(
        &mut self,
        list: &Spanned<Vec<Spanned<String>>>,
    ) -> Option<OnLine<Vec<IpNet>>> {
        if list.as_ref().is_empty() {
            return self.refuse(
                list.span(),
                "`from` is empty: nobody could ask from anywhere",
                "list addresses or networks, or leave `from` out to let them ask from anywhere",
            );
        }
        let mut nets = Vec::new();
        for text in list.as_ref() {
            let written = text.as_ref();
            let net =
                written.parse::<IpNet>().or_else(|_| written.parse::<IpAddr>().map(IpNet::from));
            let Ok(net) = net else {
                return self.refuse(
                    text.span(),
                    format!("{written:?} is not an address or a network"),
                    "write an address such as 192.168.2.11 or fd00::11, or a network such as \
                     192.168.2.0/24; names are not looked up",
                );
            };
            // sshd refuses the whole key line for either (addr.c, addrmatch.c).
            if net.trunc() != net {
                return self.refuse(
                    text.span(),
                    format!("{written} has bits set outside its prefix"),
                    format!("for the whole network write {}", net.trunc()),
                );
            }
            if matches!(net, IpNet::V6(v6) if v6.addr().to_ipv4_mapped().is_some()) {
                return self.refuse(
                    text.span(),
                    format!("{written} is an IPv4 address written as IPv6"),
                    "write the IPv4 address or network itself",
                );
            }
            if nets.contains(&net) {
                return self.refuse(text.span(), format!("{net} is listed twice"), ONCE);
            }
            nets.push(net);
        }
        Some(OnLine { line: self.line(list.span()), value: nets })
    }

    pub(super) fn brake(&mut self, text: &Spanned<String>) -> Option<Brake> {
        match Brake::parse(text.as_ref()) {
            Some(brake) => Some(brake),
            None => self.refuse(
                text.span(),
                format!("{:?} is not a brake", text.as_ref()),
                "brake = \"3 resets in 10m\": 1 to 1000 resets in 1s to 168h, with s, m or h",
            ),
        }
    }

    pub(super) fn name(&mut self, at: &Spanned<String>) -> Option<NodeName> {
        const HINT: &str = "a name is a letter or digit, then up to 63 letters, digits, dots, \
                            underscores and hyphens; one with dots is quoted: [nodes.\"a.b\"]";
        match NodeName::parse(at.as_ref()) {
            Ok(name) if name.lower() == "domain-0" => self.refuse(
                at.span(),
                "no node can be called Domain-0: that is dom0 itself, and dom0 is never a target",
                "use the node's own name, as `uname -n` prints it in the node",
            ),
            Ok(name) => Some(name),
            Err(_) => self.refuse(at.span(), format!("{:?} is not a name", at.as_ref()), HINT),
        }
    }

    /// A domain's name; `at` is the node's own where it stands for its domain's.
    pub(super) fn domain(&mut self, at: &Spanned<String>) -> Option<DomainName> {
        match DomainName::parse(at.as_ref()) {
            Ok(domain) => match self.domains.insert(domain.clone(), self.line(at.span())) {
                None => Some(domain),
                Some(other) => self.refuse(
                    at.span(),
                    format!("the domain {domain} is already that of the node on line {other}"),
                    "each node is one domain",
                ),
            },
            Err(error) => self.refuse(at.span(), error.to_string(), error.hint()),
        }
    }

    pub(super) fn uuid(&mut self, text: &Spanned<String>) -> Option<Uuid> {
        match Uuid::parse(text.as_ref()) {
            Ok(uuid) => match self.uuids.insert(uuid, self.line(text.span())) {
                None => Some(uuid),
                Some(other) => self.refuse(
                    text.span(),
                    format!("the UUID is already that of the node on line {other}"),
                    "each node is one domain, and each domain has a UUID of its own",
                ),
            },
            Err(error) => self.refuse(text.span(), error.to_string(), error.hint()),
        }
    }

    pub(super) fn config(&mut self, text: &Spanned<String>) -> Option<PathBuf> {
        let written = text.as_ref();
        let path = Path::new(written);
        let message = if !path.is_absolute() {
            "the path of `config` is not absolute"
        } else if path.components().any(|part| part == Component::ParentDir) {
            "the path of `config` goes up with `..`"
        } else if written.chars().any(char::is_control) {
            "the path of `config` holds a control character"
        } else if written.ends_with('/') {
            "the path of `config` is that of a directory"
        } else {
            return Some(path.to_owned());
        };
        self.refuse(text.span(), message, "config = \"/etc/xen/NAME.cfg\"")
    }

    pub(super) fn keys(
        &mut self,
        at: &Spanned<String>,
        list: Option<&Spanned<Vec<Spanned<String>>>>,
    ) -> Option<OnLine<Vec<PublicKey>>> {
        let Some(list) = list.filter(|list| !list.as_ref().is_empty()) else {
            return self.refuse(
                list.map_or(at.span(), Spanned::span),
                format!("{} has no `keys`, so nobody can ask in its name", at.as_ref()),
                "keys = [\"ssh-ed25519 AAAA… NAME\"], the line of its .pub file",
            );
        };
        if let Some(third) = list.as_ref().get(2) {
            return self.refuse(
                third.span(),
                format!("{} has more than two keys", at.as_ref()),
                "two at a time, while one takes the other's place; remove those out of use",
            );
        }
        let mut keys = Vec::new();
        for text in list.as_ref() {
            let key = match PublicKey::parse(text.as_ref()) {
                Ok(key) => key,
                Err(error) => return self.refuse(text.span(), error.to_string(), error.hint()),
            };
            if let Some(other) = self.keys.insert(key.fingerprint(), self.line(text.span())) {
                return self.refuse(
                    text.span(),
                    format!("the same key stands on line {other}: it would speak for two"),
                    "one key for each; `ssh-keygen -t ed25519` makes another",
                );
            }
            keys.push(key);
        }
        Some(OnLine { line: self.line(list.span()), value: keys })
    }

    pub(super) fn targets(
        &mut self,
        list: Option<&Spanned<Vec<Spanned<String>>>>,
        known: &[NodeName],
    ) -> Option<Targets> {
        let Some(list) = list else { return Some(Targets::Default) };
        let mut nodes = Vec::new();
        for text in list.as_ref() {
            let written = NodeName::parse(text.as_ref()).ok();
            let Some(node) = written.and_then(|name| known.iter().find(|node| **node == name))
            else {
                return self.refuse(
                    text.span(),
                    format!("the target {:?} is no node of this cluster", text.as_ref()),
                    "targets are names of [nodes.NAME] tables in this file, not of domains",
                );
            };
            if nodes.contains(node) {
                return self.refuse(text.span(), format!("{node} is listed twice"), ONCE);
            }
            nodes.push(node.clone());
        }
        Some(Targets::Named { line: self.line(list.span()), nodes })
    }
}

const ONCE: &str = "list it once";
