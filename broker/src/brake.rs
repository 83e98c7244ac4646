//! The brake: a node that is reset again and again is killed once more and then left off.
//!
//! `3 resets in 10m` lets a node be started by three resets whose lives together last less than ten
//! minutes. The next one kills it and leaves it off, and so does every other until somebody says
//! `on` or root clears it. The count is on tmpfs, by the boot clock, and ends with dom0's boot.

use crate::acl::Brake;
use crate::clock::{Moment, boot_id, wall_time};
use crate::names::ClusterName;
use crate::whole_file;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use xen_fence_protocol::NodeName;

/// So many resets are remembered: as many as a brake may allow.
const MOST: usize = 1000;

/// What is remembered of one node's resets, in this boot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resets {
    boot: String,
    /// The node, as the policy spelled it.
    pub node: String,
    /// The resets that were to start it again, the latest last, in milliseconds since boot.
    pub begun_ms: Vec<u64>,
    /// When it was first left off, by the wall clock, if it was.
    pub braked: Option<String>,
}

/// What the brake says to a reset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The node is started again; so many resets count so far.
    Free(usize),
    /// It is left off, and the brake is on from then.
    Spent(Brake),
    /// It is left off, as before: the brake is on since that time.
    On(Brake, String),
}

impl Verdict {
    /// Why a reset leaves the node off, what comes of it and what ends it; nothing if it does not.
    #[must_use]
    pub fn told(&self, cluster: &ClusterName, node: &NodeName) -> Option<String> {
        let why = match self {
            Self::Free(_) => return None,
            Self::Spent(brake) => {
                format!("{node} has been reset too often (brake = \"{brake}\")")
            }
            Self::On(brake, since) => {
                format!("the brake of {node} is on since {since} (brake = \"{brake}\")")
            }
        };
        Some(format!(
            "{why}: a reset kills it and leaves it off, and its cluster goes on without it; \
             `xen-fence on {node}`, or `xen-fence-admin brake clear {cluster} {node}` on dom0, \
             lifts the brake"
        ))
    }
}

/// Why a count cannot be relied on; the fence goes on without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotKept(String);

impl fmt::Display for NotKept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotKept {}

impl Resets {
    /// What the brake says to a reset at this moment.
    #[must_use]
    pub fn verdict(&self, brake: Brake, now: Moment) -> Verdict {
        if let Some(since) = &self.braked {
            return Verdict::On(brake, since.clone());
        }
        // Each of these began a life of the node that is shorter than the window, or it lives.
        let recent = |begun: &&u64| {
            let begun = Moment::since_boot(std::time::Duration::from_millis(**begun));
            now.since(begun) < brake.window()
        };
        let count = self.begun_ms.iter().filter(recent).count();
        let most = usize::try_from(brake.count()).unwrap_or(usize::MAX);
        if count >= most { Verdict::Spent(brake) } else { Verdict::Free(count) }
    }
}

/// The brakes of one cluster's nodes: a file for each node that was reset.
#[derive(Clone, Debug)]
pub struct Brakes {
    dir: PathBuf,
    cluster: ClusterName,
}

impl Brakes {
    /// Those of a cluster, below the directory of locks and state.
    #[must_use]
    pub fn of(run: &Path, cluster: &ClusterName) -> Self {
        Self { dir: run.join("brakes"), cluster: cluster.clone() }
    }

    /// What is remembered of a node.
    ///
    /// # Errors
    /// [`NotKept`] if there is something that cannot be read; it counts as nothing.
    pub fn recall(&self, node: &NodeName) -> Result<Resets, NotKept> {
        read(&self.path(node))
    }

    /// What the brake says to a reset of the node at this moment.
    ///
    /// # Errors
    /// As [`Self::recall`]; the node is free then.
    pub fn verdict(&self, node: &NodeName, brake: Brake, now: Moment) -> Result<Verdict, NotKept> {
        Ok(self.recall(node)?.verdict(brake, now))
    }

    /// Counts a reset that is going to start the node again.
    ///
    /// # Errors
    /// [`NotKept`] if it is not counted.
    pub fn count(&self, node: &NodeName, now: Moment) -> Result<(), NotKept> {
        // What cannot be read was told before, and counts as nothing.
        let mut resets = self.recall(node).unwrap_or_default();
        resets.begun_ms.push(now.millis());
        let surplus = resets.begun_ms.len().saturating_sub(MOST);
        resets.begun_ms.drain(..surplus);
        self.write(node, resets)
    }

    /// Puts the brake on, unless it is.
    ///
    /// # Errors
    /// [`NotKept`] if that is not written down.
    pub fn put_on(&self, node: &NodeName) -> Result<(), NotKept> {
        let mut resets = self.recall(node).unwrap_or_default();
        if resets.braked.is_some() {
            return Ok(());
        }
        resets.braked = Some(wall_time());
        self.write(node, resets)
    }

    /// Lifts the brake and forgets the resets; answers with what was remembered.
    ///
    /// # Errors
    /// [`NotKept`] if it cannot be lifted.
    pub fn lift(&self, node: &NodeName) -> Result<Option<Resets>, NotKept> {
        let path = self.path(node);
        let before = self.recall(node);
        match fs::remove_file(&path) {
            // A damaged count is gone as well, and that is worth a word.
            Ok(()) => Ok(before.map_or(Some(Resets::default()), |resets| {
                Some(resets).filter(Resets::says_something)
            })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(NotKept(format!("{} cannot be removed: {error}", path.display()))),
        }
    }

    /// Everything that is remembered of the cluster's nodes, in the order of their names.
    ///
    /// # Errors
    /// [`NotKept`] if the directory cannot be read. A file that cannot stands as such in the list.
    pub fn list(&self) -> Result<Vec<Result<Resets, NotKept>>, NotKept> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                return Err(NotKept(format!("{} cannot be read: {error}", self.dir.display())));
            }
        };
        let prefix = format!("{}=", self.cluster);
        let is_ours = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with(&prefix) && name.ends_with(SUFFIX)
        };
        let mut paths: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(is_ours).collect();
        paths.sort();
        let found = paths.iter().map(|path| read(path));
        Ok(found.filter(|one| one.as_ref().map_or(true, Resets::says_something)).collect())
    }

    /// `=` stands in no cluster's and no node's name.
    fn path(&self, node: &NodeName) -> PathBuf {
        self.dir.join(format!("{}={}{SUFFIX}", self.cluster, node.lower()))
    }

    fn write(&self, node: &NodeName, mut resets: Resets) -> Result<(), NotKept> {
        let path = self.path(node);
        resets.boot = boot_id();
        node.as_str().clone_into(&mut resets.node);
        replace(&path, &resets)
            .map_err(|error| NotKept(format!("{} cannot be written: {error}", path.display())))
    }
}

const SUFFIX: &str = ".json";

impl Resets {
    fn says_something(&self) -> bool {
        self.braked.is_some() || !self.begun_ms.is_empty()
    }
}

/// Reads a file; one that does not exist, or is of an earlier boot, says nothing.
fn read(path: &Path) -> Result<Resets, NotKept> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Resets::default()),
        Err(error) => return Err(NotKept(format!("{} cannot be read: {error}", path.display()))),
    };
    let resets: Resets = serde_json::from_slice(&text).map_err(|error| {
        NotKept(format!("{} is damaged and counts as empty: {error}", path.display()))
    })?;
    if resets.boot == boot_id() { Ok(resets) } else { Ok(Resets::default()) }
}

fn replace(path: &Path, resets: &Resets) -> std::io::Result<()> {
    whole_file::replace(path, &serde_json::to_vec(resets)?)
}

#[cfg(test)]
mod tests;
