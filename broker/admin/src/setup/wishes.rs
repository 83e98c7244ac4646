//! What is wished of `setup`, as typed, and each part of it checked by itself.

use super::Fault;
use clap::ValueEnum;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use xen_fence_broker::names::{ClusterName, DomainName, PublicKey, Uuid};
use xen_fence_protocol::NodeName;

/// The options of `setup`.
#[derive(clap::Args)]
pub(crate) struct Wishes {
    /// The cluster: a new one, or one that exists and gets a node or a key
    #[arg(long, value_parser = cluster)]
    pub(super) cluster: Option<ClusterName>,
    /// A node of it with its public key, as `xen-fence enroll` prints it; may be given several times
    #[arg(long = "node", value_name = "NODE=KEY", value_parser = node, requires = "cluster")]
    pub(super) nodes: Vec<(NodeName, Key)>,
    /// The domain that a node runs in; default: the one of its name, or CLUSTER-NODE
    #[arg(long = "domain", value_name = "NODE=DOMAIN", value_parser = domain, requires = "nodes")]
    pub(super) domains: Vec<(NodeName, DomainName)>,
    /// The UUID of a node's domain that does not run now
    #[arg(long = "uuid", value_name = "NODE=UUID", value_parser = uuid, requires = "nodes")]
    pub(super) uuids: Vec<(NodeName, Uuid)>,
    /// The configuration of a node's domain; default: the one in /etc/xen that has its UUID or name
    #[arg(long = "config", value_name = "NODE=FILE", value_parser = config, requires = "nodes")]
    pub(super) configs: Vec<(NodeName, PathBuf)>,
    /// Where the nodes of a new cluster may ask from: an address or a network, or several with commas
    /// between [default: anywhere]
    #[arg(long, value_name = "NET", value_delimiter = ',', requires = "cluster")]
    pub(super) from: Vec<String>,
    /// What the nodes of a new cluster may do to each other [default: reset,off,on,status]
    #[arg(long, value_name = "ACTION", value_delimiter = ',', requires = "cluster")]
    pub(super) actions: Vec<String>,
    /// dom0's address on the network of the nodes, where the sshd for fencing is to listen
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = listen)]
    pub(super) listen: Option<Listen>,
    /// The way in: an sshd for fencing alone, or a Match block for the host's own [default: the one
    /// that is installed, else dedicated]
    #[arg(long, value_enum)]
    pub(super) sshd: Option<Way>,
    /// Write without asking
    #[arg(long)]
    pub(super) yes: bool,
    /// Only show what would be written and done
    #[arg(long, conflicts_with = "yes")]
    pub(super) dry_run: bool,
}

/// The way in through sshd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    /// An sshd for fencing alone, on a port of its own
    Dedicated,
    /// The host's own sshd
    Match,
}

/// Where the sshd for fencing is to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listen {
    pub(super) address: IpAddr,
    pub(super) port: Option<u16>,
}

/// A public key, and what stands behind it in the policy for the eye.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(super) key: PublicKey,
    comment: String,
}

impl Key {
    /// Reads the line of a `.pub` file. A comment of other than plain characters is left out: it was
    /// written in a guest, and root reads it on a terminal.
    fn parse(text: &str) -> Result<Self, String> {
        let key = PublicKey::parse(text).map_err(|error| format!("{error}; {}", error.hint()))?;
        let comment: Vec<_> = text.split(' ').filter(|word| !word.is_empty()).skip(2).collect();
        let plain = |c: char| matches!(c, ' ' | '!' | '#'..='[' | ']'..='~');
        let comment = comment.join(" ");
        let kept = comment.len() <= LONGEST_COMMENT && comment.chars().all(plain);
        Ok(Self { key, comment: if kept { comment } else { String::new() } })
    }

    /// Its line for a node's list of keys: behind it stands what came with it, or whose it is.
    pub(super) fn line(&self, node: &NodeName) -> String {
        let comment = if self.comment.is_empty() { node.as_str() } else { &self.comment };
        format!("{} {comment}", self.key.type_and_base64())
    }
}

const LONGEST_COMMENT: usize = 80;

/// What is wished of a cluster.
#[derive(Debug)]
pub(super) struct ClusterWish {
    pub(super) name: Option<ClusterName>,
    pub(super) nodes: Vec<NodeWish>,
    pub(super) from: Vec<String>,
    pub(super) actions: Vec<String>,
}

/// What is wished of a node.
#[derive(Debug)]
pub(super) struct NodeWish {
    pub(super) name: NodeName,
    pub(super) key: Key,
    pub(super) domain: Option<DomainName>,
    pub(super) uuid: Option<Uuid>,
    pub(super) config: Option<PathBuf>,
}

impl ClusterWish {
    pub(super) fn of(
        name: Option<ClusterName>,
        nodes: Vec<(NodeName, Key)>,
        from: Vec<String>,
        actions: Vec<String>,
    ) -> Result<Self, Fault> {
        let mut wish = Self { name, nodes: Vec::new(), from, actions };
        for (name, key) in nodes {
            wish.add(name, key)?;
        }
        Ok(wish)
    }

    /// One node more.
    pub(super) fn add(&mut self, name: NodeName, key: Key) -> Result<(), Fault> {
        if self.nodes.iter().any(|node| node.name == name) {
            return Err(format!(
                "the node {name} is given twice\n  hint: a second key is added by a second run"
            ));
        }
        self.nodes.push(NodeWish { name, key, domain: None, uuid: None, config: None });
        Ok(())
    }

    /// The same with what was said of single nodes.
    pub(super) fn with(
        mut self,
        domains: Vec<(NodeName, DomainName)>,
        uuids: Vec<(NodeName, Uuid)>,
        configs: Vec<(NodeName, PathBuf)>,
    ) -> Result<Self, Fault> {
        for (name, domain) in domains {
            once(&mut self.node(&name, "--domain")?.domain, domain, "--domain", &name)?;
        }
        for (name, uuid) in uuids {
            once(&mut self.node(&name, "--uuid")?.uuid, uuid, "--uuid", &name)?;
        }
        for (name, config) in configs {
            once(&mut self.node(&name, "--config")?.config, config, "--config", &name)?;
        }
        Ok(self)
    }

    fn node(&mut self, name: &NodeName, option: &str) -> Result<&mut NodeWish, Fault> {
        self.nodes.iter_mut().find(|node| node.name == *name).ok_or_else(|| {
            format!(
                "{option} names {name}, of which there is no --node\n  hint: --node '{name}=KEY'"
            )
        })
    }
}

fn once<T>(place: &mut Option<T>, value: T, option: &str, node: &NodeName) -> Result<(), Fault> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("{option} is given twice for {node}")),
    }
}

fn cluster(text: &str) -> Result<ClusterName, String> {
    ClusterName::parse(text).map_err(|error| format!("{error}; {}", error.hint()))
}

/// `NODE=KEY`, also for whoever pastes it at a question.
pub(super) fn node(text: &str) -> Result<(NodeName, Key), String> {
    pair(text, Key::parse)
}

fn domain(text: &str) -> Result<(NodeName, DomainName), String> {
    pair(text, |value| DomainName::parse(value).map_err(|error| error.to_string()))
}

fn uuid(text: &str) -> Result<(NodeName, Uuid), String> {
    pair(text, |value| Uuid::parse(value).map_err(|error| format!("{error}; {}", error.hint())))
}

fn config(text: &str) -> Result<(NodeName, PathBuf), String> {
    pair(text, |value| Ok(PathBuf::from(value)))
}

fn pair<T>(text: &str, value: impl Fn(&str) -> Result<T, String>) -> Result<(NodeName, T), String> {
    let (name, rest) = text.split_once('=').ok_or("write NODE=…, with the node's name")?;
    let name = NodeName::parse(name.trim()).map_err(|error| error.to_string())?;
    Ok((name, value(rest.trim())?))
}

/// An address, with a port or without.
pub(super) fn listen(text: &str) -> Result<Listen, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse() {
        return Ok(Listen { address, port: None });
    }
    match text.parse::<SocketAddr>() {
        Ok(place) if place.port() != 0 => {
            Ok(Listen { address: place.ip(), port: Some(place.port()) })
        }
        Ok(_) | Err(_) => {
            Err("write an address of this host, such as 192.168.2.1, 192.168.2.1:2422 \
                               or [fd00:2::1]:2422; a name would need DNS"
                .to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBM1MWVx/aXNCQ/9eGUMx0a5n9T6hbPWJvjw1TBT8tDN";

    #[test]
    fn a_comment_from_a_guest_is_plain_or_left_out() {
        for (comment, kept) in [
            ("", "Node1"),
            (" node1", "node1"),
            ("   root@node1  2026 ", "root@node1 2026"),
            (" a\"b", "Node1"),
            (" a\\b", "Node1"),
            (" \u{202e}edon", "Node1"),
        ] {
            let (name, key) = node(&format!("Node1={KEY}{comment}")).unwrap();
            assert_eq!((name.as_str(), key.line(&name)), ("Node1", format!("{KEY} {kept}")));
        }
        let (name, key) = node(&format!("n={KEY} {}", "x".repeat(81))).unwrap();
        assert_eq!(key.line(&name), format!("{KEY} n"));
        for bad in [KEY, &format!("={KEY}"), "n=", "n=ssh-ed25519 AAAA", &format!("a b={KEY}")] {
            assert!(node(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_place_to_listen_at_is_an_address() {
        let v4 = "192.168.2.1".parse().unwrap();
        let v6 = "fd00:2::1".parse().unwrap();
        for (text, address, port) in [
            ("192.168.2.1", v4, None),
            ("192.168.2.1:2522", v4, Some(2522)),
            ("fd00:2::1", v6, None),
            ("[fd00:2::1]", v6, None),
            ("[fd00:2::1]:22", v6, Some(22)),
        ] {
            assert_eq!(listen(text), Ok(Listen { address, port }), "{text}");
        }
        for bad in ["xen1", "xen1:2422", "192.168.2.1:0", "192.168.2.1:", "", "192.168.2.0/24"] {
            assert!(listen(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_is_said_twice_or_of_a_node_that_is_not_meant() {
        let name = |text: &str| NodeName::parse(text).unwrap();
        let wish = || {
            let nodes = vec![node(&format!("node1={KEY}")).unwrap()];
            ClusterWish::of(None, nodes, vec![], vec![]).unwrap()
        };
        let domain = |node: &str| (name(node), DomainName::parse("d").unwrap());
        assert!(wish().add(name("NODE1"), node(&format!("n={KEY}")).unwrap().1).is_err());
        let error = wish().with(vec![domain("node2")], vec![], vec![]).unwrap_err();
        assert!(error.contains("--domain names node2"), "{error}");
        let error = wish().with(vec![domain("node1"), domain("Node1")], vec![], vec![]);
        assert!(error.unwrap_err().contains("twice"));
    }
}
