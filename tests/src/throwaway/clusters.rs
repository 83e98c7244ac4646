//! The clusters of a throwaway dom0: names, UUIDs, addresses, and the files that say so to the
//! broker, to the toolstack and to the agents.

use super::network::Network;
use super::root::Root;
use super::{Result, Sshd};
use std::fmt::Write as _;

/// One node of a cluster, and the domain that it lives in.
#[derive(Clone, Debug)]
pub struct Node {
    /// The cluster's name.
    pub cluster: String,
    /// The name that the cluster knows.
    pub name: String,
    /// The domain's Xen name.
    pub domain: String,
    /// The domain's UUID.
    pub uuid: String,
    /// Its address on its first bridge.
    pub address: String,
    /// Its number in the cluster, from 1: the sector of its disk that its counter is in.
    pub slot: usize,
    /// How dom0 serves its disk: `phy`, `qdisk` (its qemu) or `tap` (a tapdisk process).
    pub backend: String,
}

impl Node {
    pub(crate) fn new(cluster: &str, name: &str, slot: usize, serial: usize) -> Self {
        Self {
            cluster: cluster.to_owned(),
            name: name.to_owned(),
            domain: format!("{cluster}-{name}"),
            // Random to look at, the same in every run: an output can be compared with an older one.
            uuid: format!(
                "{:08x}-77f0-4d0c-9a61-0016{:08x}",
                0x5eed_0000 + serial,
                0x3e00 + serial
            ),
            address: format!("10.77.0.{}", 10 + serial),
            slot,
            backend: "phy".to_owned(),
        }
    }

    /// The domain's configuration file.
    #[must_use]
    pub fn config(&self) -> String {
        format!("/etc/xen/{}.cfg", self.domain)
    }

    /// The directory of dom0 that is this node's /etc/xen-fence.
    #[must_use]
    pub fn etc(&self) -> String {
        format!("/srv/nodes/{}/etc-xen-fence", self.domain)
    }

    /// The image that is its disk.
    #[must_use]
    pub fn disk(&self) -> String {
        format!("/srv/disks/{}.img", self.domain)
    }

    /// What `xl create` reads.
    #[must_use]
    pub fn xl_config(&self, serial: usize, network: Network) -> String {
        let (vifs, told) = network.of_a_domain(10 + serial);
        format!(
            "name = \"{}\"\nuuid = \"{}\"\ntype = \"pvh\"\nmemory = 64\nvcpus = 1\n\
             kernel = \"{GUEST}\"\nextra = \"hostname={} slot={}{told}\"\n\
             disk = [\"{}:{},xvda,w\"]\n\
             vif = [{vifs}]\n\
             on_poweroff = \"destroy\"\non_reboot = \"restart\"\non_crash = \"restart\"\n",
            self.domain,
            self.uuid,
            self.name,
            self.slot,
            self.backend,
            self.disk(),
        )
    }
}

/// Where the program that a domain runs is in dom0.
pub(crate) const GUEST: &str = "/usr/lib/stand-in/guest";

/// dom0's address on its bridge.
pub const ADDRESS: &str = "10.77.0.254";

const FIRST: u8 = 254;
const SECOND: u8 = 253;

/// A dom0 as its nodes know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) address: String,
    /// The last byte of its addresses, and of its bridges' own.
    pub(crate) last: u8,
}

impl Host {
    /// The first dom0, and the one of most tests.
    pub(crate) fn first() -> Self {
        Self { name: super::HOST.to_owned(), address: ADDRESS.to_owned(), last: FIRST }
    }

    /// The second of two that share a network.
    pub(crate) fn second() -> Self {
        Self { name: "xen2".to_owned(), address: "10.77.0.253".to_owned(), last: SECOND }
    }

    /// [`Host::last`] of the other of the two.
    pub(crate) fn other_last(&self) -> u8 {
        if self.last == FIRST { SECOND } else { FIRST }
    }
}

/// The cluster's policy: its nodes with their keys, after what the test wants said first.
pub(crate) fn policy(first: &str, nodes: &[&Node], key_of: &dyn Fn(&Node) -> String) -> String {
    let mut text = String::from(first);
    for node in nodes {
        let _ = write!(
            text,
            "\n[nodes.{}]\ndomain = \"{}\"\nuuid = \"{}\"\nconfig = \"{}\"\nkeys = [\"{}\"]\n",
            toml_key(&node.name),
            node.domain,
            node.uuid,
            node.config(),
            key_of(node),
        );
    }
    text
}

fn toml_key(name: &str) -> String {
    let bare = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if bare { name.to_owned() } else { format!("\"{name}\"") }
}

/// Writes what a node's agent needs, beside the key that is there already: the dom0s and their keys.
pub(crate) fn write_agent(
    root: &Root,
    node: &Node,
    sshd: Sshd,
    dom0s: &[(&Host, &str)],
) -> Result<()> {
    let port = sshd.port();
    let (mut places, mut known) = (Vec::new(), String::new());
    for (Host { name, address, .. }, key) in dom0s {
        places.push(format!("\"fence-{}@{name}:{port}\"", node.cluster));
        let _ = match port {
            22 => writeln!(known, "{name},{address} {key}"),
            port => writeln!(known, "[{name}]:{port},[{address}]:{port} {key}"),
        };
    }
    let settings = format!("dom0 = [{}]\n", places.join(", "));
    root.write(&format!("{}/agent.toml", node.etc()), settings.as_bytes(), 0o644)?;
    root.write(&format!("{}/known_hosts", node.etc()), known.as_bytes(), 0o644)
}

/// Names and addresses of everybody on the bridge: no resolver is ever asked.
pub(crate) fn hosts(dom0s: &[&Host], nodes: &[Node]) -> String {
    let mut text = "127.0.0.1 localhost\n::1 localhost\n".to_owned();
    for Host { name, address, .. } in dom0s {
        let _ = writeln!(text, "{address} {name}");
    }
    for node in nodes {
        let _ = writeln!(text, "{} {}", node.address, node.name);
    }
    text
}
