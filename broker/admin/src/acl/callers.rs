//! Everybody whom a policy lets ask, as a request of theirs would come: with a key and from an
//! address that the policy has for them. What they may do is nothing that is known here.

use std::net::IpAddr;
use xen_fence_broker::acl::Cluster;
use xen_fence_broker::identity::Identity;
use xen_fence_broker::names::{Caller, PublicKey};
use xen_fence_protocol::NodeName;

/// All of them: the nodes, then the operators, in the order of the file.
pub(super) fn all(policy: &Cluster) -> Vec<Identity> {
    let nodes = policy.nodes().iter().map(|node| Caller::Node(node.name().clone()));
    let operators = policy.operators().iter().map(|it| Caller::Operator(it.name().clone()));
    nodes.chain(operators).map(|caller| identity(policy, caller)).collect()
}

/// One of them. Of somebody whom the policy does not have, nothing but the name is known.
pub(super) fn identity(policy: &Cluster, caller: Caller) -> Identity {
    let key = keys(policy, &caller).first().map(PublicKey::fingerprint);
    let from = allowed(policy, &caller).and_then(|first| first.into_iter().next());
    Identity { cluster: policy.name().clone(), caller, key, from }
}

/// The addresses that stand in the policy's `from` for a caller, those of networks being the
/// network's own; none if it may ask from anywhere.
pub(super) fn allowed(policy: &Cluster, caller: &Caller) -> Option<Vec<IpAddr>> {
    let nets = match caller {
        Caller::Node(_) => policy.from(),
        Caller::Operator(name) | Caller::Root(name) => policy.operator(name)?.from(),
    };
    Some(nets?.iter().map(|net| net.addr()).collect())
}

/// Reads `node1`, or `operator:nagios`.
pub(super) fn parse(text: &str) -> Result<Caller, String> {
    let (name, caller): (_, fn(NodeName) -> Caller) = match text.split_once(':') {
        Some(("operator", name)) => (name, Caller::Operator),
        Some(("node", name)) => (name, Caller::Node),
        Some(_) | None => (text, Caller::Node),
    };
    NodeName::parse(name)
        .map(caller)
        .map_err(|error| format!("write NODE, or operator:NAME for an operator: {error}"))
}

fn keys<'policy>(policy: &'policy Cluster, caller: &Caller) -> &'policy [PublicKey] {
    let found = match caller {
        Caller::Node(name) => policy.node(name).map(|node| node.keys()),
        Caller::Operator(name) => policy.operator(name).map(|operator| operator.keys()),
        Caller::Root(_) => None,
    };
    found.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_a_node_unless_it_is_called_an_operator() {
        for (text, said) in [
            ("node1", "node node1"),
            ("node:node1", "node node1"),
            ("operator:nagios", "operator nagios"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), said);
        }
        for bad in ["", "operator:", "operator: a", "root:ada", "a b", "-f"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
