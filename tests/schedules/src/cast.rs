//! Who takes part: two clusters, their nodes and operators, and what the policy lets each of them do.
//! What is allowed stands here a second time, by hand, for the truth to be checked against.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use xen_fence_broker::identity::Environment;
use xen_fence_broker::names::PublicKey;
use xen_fence_protocol::Action;

/// Cluster and name of each node.
pub const NODES: [(&str, &str); 4] =
    [("alpha", "node1"), ("alpha", "node2"), ("alpha", "node3"), ("beta", "db1")];
/// The clusters.
pub const CLUSTERS: [&str; 2] = ["alpha", "beta"];

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// A node, by its place in [`NODES`].
    Node(usize),
    /// An operator of alpha who may do everything.
    Ops,
    /// An operator of alpha who may only look.
    Watch,
    /// Somebody with the account of alpha whose key is not in the policy.
    Stranger,
}

impl Who {
    /// The cluster whose account it has.
    pub const fn cluster(self) -> &'static str {
        match self {
            Self::Node(node) => NODES[node].0,
            Self::Ops | Self::Watch | Self::Stranger => CLUSTERS[0],
        }
    }

    /// Whether the policy lets it do that to a node.
    pub fn may(self, action: Action, node: usize) -> bool {
        let own = self.cluster() == NODES[node].0;
        match self {
            Self::Node(2) => own && node == 0,
            Self::Node(_) | Self::Ops => own,
            Self::Watch => own && !action.waits_for_go(),
            Self::Stranger => false,
        }
    }

    /// What sudo and sshd say of it.
    pub fn environment(self) -> Environment {
        let (caller, key) = match self {
            Self::Node(node) => (format!("node {}", NODES[node].1), node),
            Self::Ops => ("operator ops".to_owned(), 10),
            Self::Watch => ("operator watch".to_owned(), 11),
            Self::Stranger => ("node node1".to_owned(), 12),
        };
        let cluster = CLUSTERS.iter().position(|name| *name == self.cluster());
        Environment {
            sudo_uid: cluster.map(|at| (FIRST_UID + at).to_string()),
            caller: Some(caller),
            key: Some(public(key).fingerprint().to_string()),
            connection: Some("10.77.0.11 40000 10.77.0.254 2422".to_owned()),
        }
    }

    /// What the messages of a run call it.
    pub fn name(self) -> String {
        match self {
            Self::Node(node) => NODES[node].1.to_owned(),
            Self::Ops => "ops".to_owned(),
            Self::Watch => "watch".to_owned(),
            Self::Stranger => "a stranger".to_owned(),
        }
    }
}

const FIRST_UID: usize = 1001;

/// The account of a user id.
pub fn account(uid: u32) -> Option<&'static str> {
    ["fence-alpha", "fence-beta"].get((uid as usize).checked_sub(FIRST_UID)?).copied()
}

/// A node's domain.
pub fn domain(node: usize) -> String {
    format!("{}-{}", NODES[node].0, NODES[node].1)
}

/// A node's UUID.
pub fn uuid(node: usize) -> String {
    format!("0f6a1b2c-0000-4000-8000-00000000000{}", node + 1)
}

/// A node's configuration.
pub fn config(node: usize) -> String {
    format!("/etc/xen/{}.cfg", domain(node))
}

/// The node of a cluster that has this name.
pub fn named(cluster: &str, name: &str) -> Option<usize> {
    NODES.iter().position(|node| node.0 == cluster && node.1.eq_ignore_ascii_case(name))
}

fn key(number: usize) -> String {
    let mut blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
    blob.resize(blob.len() + 32, number as u8 + 1);
    format!("ssh-ed25519 {}", STANDARD.encode(blob))
}

fn public(number: usize) -> PublicKey {
    PublicKey::parse(&key(number)).expect("a key")
}

/// A cluster's policy.
pub fn policy(cluster: &str, brake: bool) -> String {
    let mut text = "actions = [\"reset\", \"off\", \"on\", \"status\"]\n".to_owned();
    if brake {
        text.push_str("brake = \"2 resets in 10m\"\n");
    }
    for (at, (_, name)) in NODES.iter().enumerate().filter(|(_, node)| node.0 == cluster) {
        let (domain, uuid, config, key) = (domain(at), uuid(at), config(at), key(at));
        text.push_str(&format!(
            "[nodes.{name}]\ndomain = \"{domain}\"\nuuid = \"{uuid}\"\nconfig = \"{config}\"\n\
             keys = [\"{key} {name}\"]\n"
        ));
        if at == 2 {
            text.push_str("targets = [\"node1\"]\n");
        }
    }
    if cluster == "alpha" {
        let (ops, watch) = (key(10), key(11));
        text.push_str(&format!(
            "[operators.ops]\nactions = [\"reset\", \"off\", \"on\", \"status\", \"monitor\"]\n\
             keys = [\"{ops} ops\"]\n[operators.watch]\nactions = [\"status\", \"monitor\"]\n\
             keys = [\"{watch} watch\"]\n"
        ));
    }
    text
}
