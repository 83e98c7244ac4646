//! The policy of the whole host: every cluster's file at once, which no request ever reads.
//!
//! Conflicts between files are found here and nowhere else.

pub(crate) mod accounts;
pub(crate) mod apply;
mod callers;
pub(crate) mod check;
pub(crate) mod explain;
pub(crate) mod keyfile;
mod lines;
pub(crate) mod show;
mod source;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use xen_fence_broker::acl::{Cluster, PolicyError, load};
use xen_fence_broker::names::ClusterName;

/// What lies in the policy's directory.
#[derive(Default)]
pub(crate) struct Policy {
    /// The clusters whose files are as they should be.
    pub(crate) clusters: Vec<Cluster>,
    /// Files of clusters that are refused.
    pub(crate) broken: Vec<PolicyError>,
    /// Files that are no cluster's, which the broker never reads.
    pub(crate) ignored: Vec<PathBuf>,
}

impl Policy {
    /// Whether there is a policy of this cluster, be it broken.
    pub(crate) fn speaks_of(&self, cluster: &ClusterName) -> bool {
        let is_its = |error: &PolicyError| {
            error.file().file_stem().and_then(|stem| stem.to_str()) == Some(cluster.as_str())
        };
        self.clusters.iter().any(|known| known.name() == cluster) || self.broken.iter().any(is_its)
    }

    /// Reads every file of the directory, in the order of their names.
    pub(crate) fn load(dir: &Path) -> io::Result<Self> {
        let mut paths: Vec<_> =
            fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
        paths.sort();
        let mut policy = Self::default();
        for path in paths {
            match cluster_of(&path).map(|name| load(dir, &name)) {
                Some(Ok(cluster)) => policy.clusters.push(cluster),
                Some(Err(error)) => policy.broken.push(error),
                None => policy.ignored.push(path),
            }
        }
        Ok(policy)
    }

    /// The same with this cluster as its file is about to be.
    pub(crate) fn with(mut self, cluster: Cluster) -> Self {
        self.clusters.retain(|other| other.name() != cluster.name());
        self.clusters.push(cluster);
        self.clusters.sort_by(|one, other| one.name().cmp(other.name()));
        self
    }

    /// Whether there is nothing that is, or should be, a cluster's.
    pub(crate) fn is_empty(&self) -> bool {
        self.clusters.is_empty() && self.broken.is_empty()
    }

    /// The clusters that are served.
    pub(crate) fn names(&self) -> Vec<String> {
        self.clusters.iter().map(|cluster| cluster.name().to_string()).collect()
    }

    /// What two clusters cannot both have: one sentence for each thing, with both places.
    fn conflicts(&self) -> Vec<Conflict> {
        let mut owners: BTreeMap<String, (&ClusterName, String)> = BTreeMap::new();
        let mut found = Vec::new();
        let mut claim = |thing: String, cluster, owner: String, why: &str| {
            // Of one cluster there may be two drafts; what one file has twice is refused with the file.
            if let Some((of, other)) = owners.insert(thing.clone(), (cluster, owner.clone()))
                && of != cluster
            {
                let words = format!("{owner} and {other} have {thing} in common: {why}");
                found.push(Conflict { cluster: cluster.clone(), words });
            }
        };
        for cluster in &self.clusters {
            let name = cluster.name();
            let nodes = cluster.nodes().iter();
            let operators = cluster.operators().iter();
            for node in cluster.nodes() {
                let owner = format!("{name}.toml nodes.{}", node.name());
                let thing = format!("the UUID {}", node.uuid());
                claim(thing, name, owner, "each could kill the other's node");
            }
            let of_nodes = nodes.map(|node| ("nodes", node.name(), node.keys()));
            let of_operators = operators.map(|op| ("operators", op.name(), op.keys()));
            for (table, caller, keys) in of_nodes.chain(of_operators) {
                for key in keys {
                    let owner = format!("{name}.toml {table}.{caller}");
                    let thing = format!("the key {}", key.fingerprint());
                    claim(thing, name, owner, "whoever has it speaks for both clusters");
                }
            }
        }
        found
    }
}

/// What two clusters have in common and cannot both have.
#[derive(Debug)]
struct Conflict {
    /// The later of the two.
    cluster: ClusterName,
    words: String,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

/// The cluster whose policy a file would be, by its name alone.
fn cluster_of(path: &Path) -> Option<ClusterName> {
    (path.extension() == Some(OsStr::new("toml")))
        .then(|| ClusterName::parse(path.file_stem()?.to_str()?).ok())
        .flatten()
}
