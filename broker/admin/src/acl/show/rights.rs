//! What everybody may do to everybody: the broker's decision on each request that there can be.

use crate::acl::callers;
use xen_fence_broker::acl::{Cluster, Decision};
use xen_fence_broker::identity::Identity;
use xen_fence_broker::names::Caller;
use xen_fence_broker::serve;
use xen_fence_protocol::{Action, NodeName, Request, RequestId};

/// A node or operator, and what it may do.
pub(crate) struct Row {
    pub(crate) caller: Caller,
    /// To each node, in the order of the file.
    pub(crate) to_nodes: Vec<Vec<Action>>,
    /// What names no node.
    pub(crate) whole: Vec<Action>,
}

/// Everybody's rights in one cluster.
pub(crate) struct Rights {
    pub(crate) nodes: Vec<NodeName>,
    pub(crate) rows: Vec<Row>,
}

/// What one caller may do to one node, or to none.
pub(crate) struct May<'rights> {
    pub(crate) caller: &'rights Caller,
    pub(crate) node: Option<&'rights NodeName>,
    pub(crate) actions: &'rights [Action],
}

impl Rights {
    pub(crate) fn of(policy: &Cluster) -> Self {
        let nodes: Vec<NodeName> = policy.nodes().iter().map(|node| node.name().clone()).collect();
        let row = |asker: Identity| Row {
            to_nodes: nodes.iter().map(|node| allowed(policy, &asker, Some(node))).collect(),
            whole: allowed(policy, &asker, None),
            caller: asker.caller,
        };
        Self { rows: callers::all(policy).into_iter().map(row).collect(), nodes }
    }

    /// All that anybody may do.
    pub(crate) fn all(&self) -> impl Iterator<Item = May<'_>> {
        self.rows.iter().flat_map(|row| {
            let to_nodes = self.nodes.iter().map(Some).zip(&row.to_nodes);
            let all = std::iter::once((None, &row.whole)).chain(to_nodes);
            let all = all.filter(|(_, actions)| !actions.is_empty());
            all.map(|(node, actions)| May { caller: &row.caller, node, actions })
        })
    }
}

impl May<'_> {
    /// Whether this node is the caller.
    pub(crate) fn is_by(&self, node: &NodeName) -> bool {
        matches!(self.caller, Caller::Node(name) if name == node)
    }
}

/// The actions that the broker would permit.
fn allowed(policy: &Cluster, asker: &Identity, node: Option<&NodeName>) -> Vec<Action> {
    let permits = |action: &Action| {
        // Not every action names a node, and not every action can be without one.
        Request::new(RequestId::from_bits(0), *action, node.cloned()).is_ok_and(|request| {
            matches!(serve::decide(policy, asker, &request), Decision::Permit(_))
        })
    };
    Action::ALL.iter().copied().filter(permits).collect()
}
