//! The policy: what the nodes and operators of one cluster may do to which of its nodes.
//!
//! A [`Cluster`] is whole and checked or does not exist. Only [`load()`] makes one and
//! only [`mod@decide`] makes a [`Grant`] of it; nothing here touches the host but to read one file.

pub mod decide;
mod error;
pub mod load;

pub use decide::{Decision, Grant, Refused, decide, decide_for_root};
pub use error::{Place, PolicyError};
pub use load::{load, parse};

use crate::names::{ClusterName, DomainName, PublicKey, Uuid};
use ipnet::IpNet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use xen_fence_protocol::{Action, NodeName};

/// The directory of the policy files, one for each cluster.
pub const CLUSTERS_DIR: &str = "/etc/xen-fence/clusters.d";

/// One cluster's policy, as its file says it.
#[derive(Clone, Debug)]
pub struct Cluster {
    name: ClusterName,
    actions: OnLine<Vec<Action>>,
    from: Option<OnLine<Vec<IpNet>>>,
    brake: Option<Brake>,
    nodes: Vec<Node>,
    operators: Vec<Operator>,
}

impl Cluster {
    /// The cluster's name: the stem of its file.
    #[must_use]
    pub const fn name(&self) -> &ClusterName {
        &self.name
    }

    /// Its account on dom0.
    #[must_use]
    pub fn account(&self) -> String {
        self.name.account()
    }

    /// What its nodes may do to their targets, beside list, monitor and check.
    #[must_use]
    pub fn actions(&self) -> &[Action] {
        &self.actions.value
    }

    /// Where its nodes may ask from; none means from anywhere.
    #[must_use]
    pub fn from(&self) -> Option<&[IpNet]> {
        self.from.as_ref().map(|from| from.value.as_slice())
    }

    /// When a node is left off after a reset.
    #[must_use]
    pub const fn brake(&self) -> Option<Brake> {
        self.brake
    }

    /// Its nodes, in the order of the file.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Its operators, in the order of the file.
    #[must_use]
    pub fn operators(&self) -> &[Operator] {
        &self.operators
    }

    /// The node of this name, whatever its case.
    #[must_use]
    pub fn node(&self, name: &NodeName) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == *name)
    }

    /// The operator of this name, whatever its case.
    #[must_use]
    pub fn operator(&self, name: &NodeName) -> Option<&Operator> {
        self.operators.iter().find(|operator| operator.name == *name)
    }
}

/// A node of a cluster, and the domain that it runs in.
#[derive(Clone, Debug)]
pub struct Node {
    name: NodeName,
    line: usize,
    domain: DomainName,
    uuid: Uuid,
    config: Option<PathBuf>,
    keys: OnLine<Vec<PublicKey>>,
    targets: Targets,
}

impl Node {
    /// The name that the cluster knows, as the file spells it.
    #[must_use]
    pub const fn name(&self) -> &NodeName {
        &self.name
    }

    /// The Xen name.
    #[must_use]
    pub const fn domain(&self) -> &DomainName {
        &self.domain
    }

    /// The UUID of its domain.
    #[must_use]
    pub const fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// What `on` may start; without it, `on` is refused and `reset` ends as off.
    #[must_use]
    pub fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// The keys that speak for it: one, or two while they are rotated.
    #[must_use]
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys.value
    }

    /// The nodes that it may act on.
    #[must_use]
    pub const fn targets(&self) -> &Targets {
        &self.targets
    }
}

/// A key that is no node of the cluster, and what it may do.
#[derive(Clone, Debug)]
pub struct Operator {
    name: NodeName,
    line: usize,
    actions: OnLine<Vec<Action>>,
    from: Option<OnLine<Vec<IpNet>>>,
    keys: OnLine<Vec<PublicKey>>,
    targets: Targets,
}

impl Operator {
    /// Its name, as the file spells it.
    #[must_use]
    pub const fn name(&self) -> &NodeName {
        &self.name
    }

    /// All that it may do: nothing is granted to an operator that its `actions` do not list.
    #[must_use]
    pub fn actions(&self) -> &[Action] {
        &self.actions.value
    }

    /// Where it may ask from; none means from anywhere.
    #[must_use]
    pub fn from(&self) -> Option<&[IpNet]> {
        self.from.as_ref().map(|from| from.value.as_slice())
    }

    /// The keys that speak for it.
    #[must_use]
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys.value
    }

    /// The nodes that it may act on.
    #[must_use]
    pub const fn targets(&self) -> &Targets {
        &self.targets
    }
}

/// Which nodes a caller may act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Targets {
    /// The file names none: every node of the cluster, the caller itself too.
    Default,
    /// The nodes that the file names, on this line of it.
    Named {
        /// The line of `targets`.
        line: usize,
        /// The nodes, in the order of the file.
        nodes: Vec<NodeName>,
    },
}

impl Targets {
    /// Whether a node of the cluster is among them.
    #[must_use]
    pub fn include(&self, node: &NodeName) -> bool {
        match self {
            Self::Default => true,
            Self::Named { nodes, .. } => nodes.contains(node),
        }
    }
}

/// A value of the file, and the line that a decision names as its rule.
#[derive(Clone, Debug)]
struct OnLine<T> {
    line: usize,
    value: T,
}

/// Beyond so many resets of one node within the window, it is killed but left off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Brake {
    count: u32,
    window: Duration,
}

impl Brake {
    /// Reads `3 resets in 10m`, with exactly one space between the words.
    fn parse(text: &str) -> Option<Self> {
        let (count, rest) = text.split_once(' ')?;
        let span = rest.strip_prefix("resets in ").or_else(|| rest.strip_prefix("reset in "))?;
        let unit = match span.chars().last()? {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            _ => return None,
        };
        let amount = number(span.get(..span.len().checked_sub(1)?)?)?;
        let seconds = u64::from(amount).checked_mul(unit)?;
        let count = number(count)?;
        let within = (1..=1000).contains(&count) && (1..=LONGEST_WINDOW).contains(&seconds);
        within.then(|| Self { count, window: Duration::from_secs(seconds) })
    }

    /// How many resets are carried out in full.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.count
    }

    /// Within how long.
    #[must_use]
    pub const fn window(self) -> Duration {
        self.window
    }
}

/// The brake as the policy spells it.
impl fmt::Display for Brake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.window.as_secs();
        let (amount, unit) = match seconds {
            s if s.is_multiple_of(3600) => (s / 3600, "h"),
            s if s.is_multiple_of(60) => (s / 60, "m"),
            s => (s, "s"),
        };
        let resets = if self.count == 1 { "reset" } else { "resets" };
        write!(f, "{} {resets} in {amount}{unit}", self.count)
    }
}

/// Digits alone: `parse` would take a sign as well.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

const LONGEST_WINDOW: u64 = 168 * 3600;
