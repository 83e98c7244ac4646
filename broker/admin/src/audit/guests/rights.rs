//! Who may kill whom, by the policy alone.

use super::files::Whose;
use crate::audit::{Code, Family, Finding, Scene, Severity};
use xen_fence_broker::acl::{CLUSTERS_DIR, Cluster, Node};
use xen_fence_protocol::Action;

const NOBODY: Code =
    Code { id: "XF162", severity: Severity::Serious, title: "nobody may kill a node" };
const ALONE: Code =
    Code { id: "XF163", severity: Severity::Warning, title: "a cluster has one node alone" };

pub(super) const FAMILY: Family = Family { codes: &[&NOBODY, &ALONE], look };

/// Whether one node may kill another.
pub(super) fn may_kill(cluster: &Cluster, killer: &Node, victim: &Node) -> bool {
    kills(cluster.actions()) && killer.targets().include(victim.name())
}

/// Whether anybody else may kill a node: another node, or an operator.
pub(super) fn may_be_killed(cluster: &Cluster, victim: &Node) -> bool {
    let others = || cluster.nodes().iter().filter(|node| node.name() != victim.name());
    others().any(|killer| may_kill(cluster, killer, victim))
        || cluster
            .operators()
            .iter()
            .any(|it| kills(it.actions()) && it.targets().include(victim.name()))
}

fn kills(actions: &[Action]) -> bool {
    actions.iter().any(|action| action.kills())
}

fn look(scene: &Scene) -> Vec<Finding> {
    let mut findings = Vec::new();
    for cluster in &scene.policy.clusters {
        let file = format!("{CLUSTERS_DIR}/{}.toml", cluster.name());
        let clusters = vec![cluster.name().to_string()];
        if let [node] = cluster.nodes() {
            findings.push(Finding {
                code: &ALONE,
                clusters,
                about: file.clone(),
                evidence: format!(
                    "{} is its only node: no other asks this host to fence it, and none is fenced",
                    node.name()
                ),
                mend: format!(
                    "add the tables of its other nodes to {file}, wherever they run, or remove it"
                ),
            });
            continue;
        }
        for victim in cluster.nodes().iter().filter(|node| !may_be_killed(cluster, node)) {
            let whose = Whose::of(cluster, victim);
            let (evidence, mend) = if kills(cluster.actions()) {
                (
                    "no other node and no operator has it among its `targets`",
                    format!("in {file}, put \"{}\" into the `targets` of a node", whose.node),
                )
            } else {
                (
                    "neither off nor reset is among the `actions`: a fence of it is refused",
                    format!("in {file}, put \"off\" and \"reset\" into `actions`"),
                )
            };
            findings.push(Finding {
                code: &NOBODY,
                clusters: clusters.clone(),
                about: whose.to_string(),
                evidence: evidence.to_owned(),
                mend,
            });
        }
    }
    findings
}
