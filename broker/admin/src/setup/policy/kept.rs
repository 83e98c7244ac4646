//! Whether a policy that was added to says all that it said, and nothing new but what was wished.

use super::super::wishes::ClusterWish;
use xen_fence_broker::acl::{Cluster, Node, Operator, Targets};
use xen_fence_protocol::NodeName;

/// Lines move when something is added above them; nothing else may.
pub(super) fn is_kept(before: &Cluster, after: &Cluster, wish: &ClusterWish) -> bool {
    let head = |cluster: &Cluster| {
        let from = cluster.from().map(<[_]>::to_vec);
        (cluster.actions().to_vec(), from, cluster.brake())
    };
    let come = wish.nodes.iter().filter(|wished| before.node(&wished.name).is_none()).count();
    let same_node = |one: &Node| after.node(one.name()).is_some_and(|it| has_come(one, it, wish));
    let same_operator =
        |one: &Operator| after.operator(one.name()).is_some_and(|it| is_same(one, it));
    head(before) == head(after)
        && after.nodes().len() == before.nodes().len().saturating_add(come)
        && after.operators().len() == before.operators().len()
        && before.nodes().iter().all(same_node)
        && before.operators().iter().all(same_operator)
}

/// The same node, perhaps with the key more that was wished.
fn has_come(before: &Node, after: &Node, wish: &ClusterWish) -> bool {
    let facts = |node: &Node| {
        let config = node.config().map(ToOwned::to_owned);
        (node.domain().clone(), node.uuid(), config, named(node.targets()))
    };
    let wished = wish.nodes.iter().find(|wished| wished.name == *before.name());
    let key = wished.map(|wished| &wished.key.key).filter(|key| !before.keys().contains(key));
    let keys: Vec<_> = before.keys().iter().chain(key).collect();
    facts(before) == facts(after) && keys == after.keys().iter().collect::<Vec<_>>()
}

fn is_same(before: &Operator, after: &Operator) -> bool {
    before.actions() == after.actions()
        && before.from() == after.from()
        && before.keys() == after.keys()
        && named(before.targets()) == named(after.targets())
}

/// Targets without the line that they stand on.
fn named(targets: &Targets) -> Option<Vec<NodeName>> {
    match targets {
        Targets::Default => None,
        Targets::Named { nodes, .. } => Some(nodes.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::wishes;
    use xen_fence_broker::acl::parse;
    use xen_fence_broker::names::ClusterName;

    const KEYS: [&str; 3] = [
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBM1MWVx/aXNCQ/9eGUMx0a5n9T6hbPWJvjw1TBT8tDN",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE635By9TamHQAQfjPqiszpmb31e+6vm0isRK41ZAQOW",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFa5dYipapf0gC6lOeU7ZCc8xLu7RN7/L/XbjQPU1LCX",
    ];

    fn cluster(text: &str) -> Cluster {
        parse(&ClusterName::parse("alpha").unwrap(), text).unwrap()
    }

    /// A policy with everything that there is.
    fn before() -> String {
        format!(
            "actions = [\"off\"]\nfrom = [\"10.0.0.1\"]\nbrake = \"1 reset in 1m\"\n[nodes.n1]\n\
             config = \"/c\"\nuuid = \"0f6a1b2c-0000-4000-8000-000000000001\"\n\
             keys = [\n  \"{}\",\n]\ntargets = [\"n1\"]\n[operators.o]\nactions = [\"list\"]\n\
             from = [\"10.0.0.2\"]\nkeys = [\"{}\"]\ntargets = [\"n1\"]\n",
            KEYS[0], KEYS[1]
        )
    }

    fn kept(after: &str, node: &str) -> bool {
        let nodes = vec![wishes::node(&format!("{node}={}", KEYS[2])).unwrap()];
        let wish = ClusterWish::of(None, nodes, vec![], vec![]).unwrap();
        is_kept(&cluster(&before()), &cluster(after), &wish)
    }

    #[test]
    fn what_was_wished_may_come_and_lines_may_move() {
        let key = before().replace(KEYS[0], &format!("{}\",\n  \"{}", KEYS[0], KEYS[2]));
        assert!(kept(&key, "N1"));
        let node = format!(
            "{}[nodes.n2]\nuuid = \"0f6a1b2c-0000-4000-8000-000000000002\"\nkeys = [\"{}\"]\n",
            before(),
            KEYS[2]
        );
        assert!(kept(&node, "n2"));
        assert!(!kept(&node, "n1"), "a node that nobody wished");
        assert!(!kept(&before(), "n2"), "one that was wished and is not there");
        assert!(!kept(&before(), "n1"), "a key that was wished and is not there");
    }

    #[test]
    fn nothing_else_may_be_another() {
        let wished = |text: &str| text.replace(KEYS[0], &format!("{}\", \"{}", KEYS[0], KEYS[2]));
        assert!(kept(&wished(&before()), "n1"));
        for (old, new) in [
            ("actions = [\"off\"]", "actions = [\"on\"]"),
            ("from = [\"10.0.0.1\"]\n", ""),
            ("1 reset in 1m", "2 resets in 1m"),
            ("\"/c\"", "\"/d\""),
            ("000000000001", "000000000003"),
            ("]\ntargets = [\"n1\"]\n[operators", "]\n[operators"),
            ("actions = [\"list\"]", "actions = [\"list\", \"off\"]"),
            ("10.0.0.2", "10.0.0.3"),
            ("targets = [\"n1\"]\n", ""),
            ("[operators.o]", "[operators.p]"),
        ] {
            let after = wished(&before()).replace(old, new);
            assert_ne!(after, wished(&before()), "{old}");
            assert!(!kept(&after, "n1"), "{old} -> {new}");
        }
    }
}
