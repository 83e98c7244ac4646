//! Keys that are not one caller's alone, and keys that can be broken.
//!
//! Within one file the broker refuses a key that stands twice; between files nobody but this looks.

use super::look::{finding_of, text};
use crate::audit::{Code, Family, Finding, Scene, Severity};
use std::collections::BTreeMap;
use std::path::Path;
use xen_fence_broker::acl::{CLUSTERS_DIR, Cluster};
use xen_fence_broker::names::{ClusterName, PublicKey};

const SHARED: Code =
    Code { id: "XF003", severity: Severity::Serious, title: "one key speaks for several callers" };
const WEAK: Code = Code { id: "XF004", severity: Severity::Warning, title: "a key is weak" };

/// The keys of nodes and operators.
pub(crate) const FAMILY: Family = Family { codes: &[&SHARED, &WEAK], look };

/// Below this an RSA key is disallowed by NIST SP 800-131A since 2014.
const LEAST_RSA_BITS: usize = 2048;

/// A key where it stands.
struct Held<'a> {
    cluster: &'a ClusterName,
    /// `nodes.node1`.
    whose: String,
    key: &'a PublicKey,
}

impl Held<'_> {
    /// The file, with the line if it is found there.
    fn place(&self) -> String {
        let file = format!("{CLUSTERS_DIR}/{}.toml", self.cluster);
        let words = self.key.type_and_base64();
        let base64 = words.split(' ').nth(1).unwrap_or(&words);
        let text = text(Path::new(&file)).ok().flatten().unwrap_or_default();
        match text.lines().position(|line| line.contains(base64)) {
            Some(index) => format!("{file}:{}", index.saturating_add(1)),
            None => file,
        }
    }
}

fn look(scene: &Scene) -> Vec<Finding> {
    let held: Vec<Held<'_>> = scene.policy.clusters.iter().flat_map(of_cluster).collect();
    let mut by_key: BTreeMap<String, Vec<&Held<'_>>> = BTreeMap::new();
    for one in &held {
        by_key.entry(one.key.type_and_base64()).or_default().push(one);
    }
    let shared = by_key.values().filter(|holders| holders.len() > 1).map(|them| shared(them));
    shared.chain(held.iter().filter_map(weak)).collect()
}

fn of_cluster(cluster: &Cluster) -> Vec<Held<'_>> {
    let nodes = cluster.nodes().iter().map(|node| ("nodes", node.name(), node.keys()));
    let operators = cluster.operators().iter().map(|op| ("operators", op.name(), op.keys()));
    nodes
        .chain(operators)
        .flat_map(|(table, name, keys)| {
            let whose = format!("{table}.{name}");
            keys.iter().map(move |key| Held { cluster: cluster.name(), whose: whose.clone(), key })
        })
        .collect()
}

fn shared(holders: &[&Held<'_>]) -> Finding {
    let whose: Vec<_> =
        holders.iter().map(|held| format!("{} of {}", held.whose, held.cluster)).collect();
    let mut clusters: Vec<_> = holders.iter().map(|held| held.cluster).collect();
    clusters.dedup();
    let last = holders.last().map_or_else(String::new, |held| held.place());
    let fingerprint =
        holders.first().map_or_else(String::new, |held| held.key.fingerprint().to_string());
    let evidence = format!(
        "{} have the key {fingerprint}: whoever has its private half can act as each of them",
        whose.join(" and ")
    );
    let mend = format!(
        "give each a key of its own (ssh-keygen -t ed25519 there), put the new one into {last} in \
         the place of this one, and run xen-fence-admin acl apply"
    );
    finding_of(&clusters, &SHARED, last, evidence, mend)
}

fn weak(held: &Held<'_>) -> Option<Finding> {
    let bits = held.key.rsa_bits().filter(|bits| *bits < LEAST_RSA_BITS)?;
    let (place, whose) = (held.place(), &held.whose);
    let evidence = format!("{whose} has an RSA key of {bits} bits");
    let mend = format!(
        "make a new one there (ssh-keygen -t ed25519), put it into {place} in the place of this \
         one, and run xen-fence-admin acl apply"
    );
    Some(finding_of(&[held.cluster], &WEAK, place, evidence, mend))
}
