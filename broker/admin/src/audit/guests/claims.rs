//! Domains that two clusters claim, and configurations that claim what is a node's.

use super::files::Whose;
use super::{Guests, quoted};
use crate::acl::Policy;
use crate::audit::{Code, Family, Finding, Scene, Severity};
use xen_fence_broker::acl::{CLUSTERS_DIR, Node};

const TWO_CLUSTERS: Code =
    Code { id: "XF051", severity: Severity::Serious, title: "a domain is in two clusters" };
const CLAIMED: Code = Code {
    id: "XF052",
    severity: Severity::Serious,
    title: "another configuration claims a node's name or UUID",
};
const SECOND: Code =
    Code { id: "XF053", severity: Severity::Note, title: "a node has a second configuration" };

pub(super) const FAMILY: Family = Family { codes: &[&TWO_CLUSTERS, &CLAIMED, &SECOND], look };

fn look(scene: &Scene) -> Vec<Finding> {
    let mut findings = two_clusters(&scene.policy);
    findings.extend(claimed(&scene.policy, scene.guests()));
    findings
}

fn nodes(policy: &Policy) -> Vec<(Whose, &Node)> {
    let of = |cluster| move |node| (Whose::of(cluster, node), node);
    policy.clusters.iter().flat_map(|cluster| cluster.nodes().iter().map(of(cluster))).collect()
}

fn two_clusters(policy: &Policy) -> Vec<Finding> {
    let nodes = nodes(policy);
    let mut findings = Vec::new();
    for (number, (one, first)) in nodes.iter().enumerate() {
        for (two, second) in nodes.iter().skip(number.saturating_add(1)) {
            if one.cluster == two.cluster {
                continue;
            }
            let evidence = if first.uuid() == second.uuid() {
                format!(
                    "both have the UUID {}: who may kill the one may kill the other",
                    first.uuid()
                )
            } else if first.domain() == second.domain() {
                format!(
                    "both are the domain {}, with two UUIDs: one of the nodes cannot be fenced \
                     while the other runs",
                    first.domain()
                )
            } else {
                continue;
            };
            findings.push(Finding {
                code: &TWO_CLUSTERS,
                clusters: vec![one.cluster.clone(), two.cluster.clone()],
                about: format!("{one} and {two}"),
                evidence,
                mend: format!(
                    "see with `xl list -v` whose it is, and correct or remove the other in \
                     {CLUSTERS_DIR}/{}.toml or {CLUSTERS_DIR}/{}.toml",
                    one.cluster, two.cluster
                ),
            });
        }
    }
    findings
}

/// Configurations that are no node's, and claim to be.
fn claimed(policy: &Policy, guests: &Guests) -> Vec<Finding> {
    let mut findings = Vec::new();
    for known in guests.configs.iter().filter(|known| known.of.is_none()) {
        let Ok(config) = &known.said else { continue };
        let file = known.file.display();
        for (whose, node) in nodes(policy) {
            let same_uuid = config.uuid() == Some(node.uuid());
            let same_name = config.name() == Some(node.domain().as_str());
            let own = node.config().map_or_else(
                || "the policy names none".to_owned(),
                |own| format!("the node's own is {}", own.display()),
            );
            let (code, evidence) = match (same_uuid, same_name) {
                (false, false) => continue,
                // Nobody has said which one is its own.
                (true, true) if node.config().is_none() => continue,
                (true, true) => (
                    &SECOND,
                    format!(
                        "it makes the domain {} too; {own}, and a fence powers on from that one",
                        node.domain()
                    ),
                ),
                (true, false) => (
                    &CLAIMED,
                    format!(
                        "it has the node's UUID {} under another name; {own}; while both run, \
                         nobody can fence the node",
                        node.uuid()
                    ),
                ),
                (false, true) => (
                    &CLAIMED,
                    format!(
                        "it has the node's name {} without its UUID; {own}; a domain made from it \
                         runs as the node, and nobody can fence it",
                        node.domain()
                    ),
                ),
            };
            findings.push(Finding {
                code,
                clusters: vec![whose.cluster.clone()],
                about: format!("{file} beside {whose}"),
                evidence,
                mend: format!("mv {} /root/", quoted(&known.file.display().to_string())),
            });
        }
    }
    findings
}
