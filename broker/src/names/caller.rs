//! Who asks. A claim of the key line, until the policy has confirmed it; or root, who needs none.

use std::fmt;
use xen_fence_protocol::NodeName;

/// Who asks, as the key line says it and the policy must confirm it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Caller {
    /// A node of the cluster; it has a domain somewhere.
    Node(NodeName),
    /// A key that is no node: monitoring, an administrator's workstation.
    Operator(NodeName),
    /// Root on dom0, by the login that became root. No text from outside is read as this.
    Root(NodeName),
}

impl Caller {
    /// Reads `node NAME` or `operator NAME`, with exactly one space.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, name) = text.split_once(' ')?;
        let name = NodeName::parse(name).ok()?;
        match kind {
            "node" => Some(Self::Node(name)),
            "operator" => Some(Self::Operator(name)),
            _ => None,
        }
    }

    /// The name alone.
    #[must_use]
    pub const fn name(&self) -> &NodeName {
        match self {
            Self::Node(name) | Self::Operator(name) | Self::Root(name) => name,
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(name) => write!(f, "node {name}"),
            Self::Operator(name) => write!(f, "operator {name}"),
            Self::Root(name) => write!(f, "root {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_has_one_form() {
        for text in ["node node1", "operator nagios"] {
            assert_eq!(Caller::parse(text).unwrap().to_string(), text);
        }
        for bad in
            ["", "node", "node ", "node  a", "node a b", "Node a", "root a", "root root", " node a"]
        {
            assert_eq!(Caller::parse(bad), None, "{bad:?}");
        }
    }
}
