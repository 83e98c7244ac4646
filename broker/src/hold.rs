//! Holds: root's word that a node is not to be fenced for a while.
//!
//! One file for each cluster, root's alone, that outlives a reboot; so the end of a hold is a time
//! of the wall clock. A file that cannot be read, or not in time, forbids nothing, and whoever
//! reads it says so: a hold that nobody can see must not keep a cluster from fencing.

mod file;

pub use file::Unreadable;

use crate::clock::{Clock, show_wall, wall_seconds};
use crate::names::ClusterName;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use xen_fence_protocol::{Hold, NodeName, Text};

/// Where the holds of a real host are.
pub const HOLDS_DIR: &str = "/var/lib/xen-fence/holds";
/// Longest sentence that says why, in bytes as it goes over the wire.
pub const MAX_WHY: usize = 200;
/// The longest hold.
pub const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// What a fence of a held node comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFence {
    /// It is refused; only a node that is proven off is fenced.
    Refuse,
    /// It is killed, and left off.
    Off,
}

/// A node that is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The node, as the policy spelled it.
    pub node: String,
    /// Who set the hold.
    pub by: String,
    /// Why.
    pub why: String,
    /// When it was set, in seconds of Unix time.
    pub set: i64,
    /// When it ends, in seconds of Unix time.
    pub until: i64,
    /// What a fence comes to meanwhile.
    pub on_fence: OnFence,
}

impl Held {
    /// When a hold of this length is set, if it is set now, and when it ends.
    #[must_use]
    pub fn times(length: Duration) -> (i64, i64) {
        let set = wall_seconds();
        (set, set.saturating_add(i64::try_from(length.as_secs()).unwrap_or(i64::MAX)))
    }

    /// The word for it on the wire.
    #[must_use]
    pub const fn word(&self) -> Hold {
        match self.on_fence {
            OnFence::Refuse => Hold::Forbid,
            OnFence::Off => Hold::LeaveOff,
        }
    }

    /// Whether it has not ended yet. One that the clock says is yet to be set is in force as well:
    /// a clock that was set back, or lost its battery, must not end a hold.
    #[must_use]
    pub const fn is_in_force(&self, now: i64) -> bool {
        now < self.until
    }

    /// Whether it is this node's; case does not count.
    #[must_use]
    pub fn is_of(&self, node: &NodeName) -> bool {
        self.node.eq_ignore_ascii_case(node.as_str())
    }

    /// Who holds it, until when, why, what a fence comes to, and what ends it: what every door
    /// says of it.
    #[must_use]
    pub fn told(&self, cluster: &ClusterName) -> String {
        let come_to = match self.on_fence {
            OnFence::Refuse => {
                "it is neither killed nor started, so its cluster does not take over and asks again"
            }
            OnFence::Off => {
                "a fence kills it and leaves it off, and its cluster goes on without it"
            }
        };
        let node = &self.node;
        format!("{self}: {come_to}; `xen-fence-admin unhold {cluster} {node}` on dom0 ends that")
    }
}

/// `node2 is held by alice until 2026-11-21T20:47:00Z (upgrade)`.
impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, by, why, until, .. } = self;
        write!(f, "{node} is held by {by} until {} ({why})", show_wall(*until))
    }
}

/// The holds of one cluster.
#[derive(Clone, Debug)]
pub struct Holds {
    path: PathBuf,
}

impl Holds {
    /// Those of a cluster, in a file of this directory.
    #[must_use]
    pub fn of(dir: &Path, cluster: &ClusterName) -> Self {
        Self { path: dir.join(format!("{cluster}.json")) }
    }

    /// All that are in force.
    ///
    /// # Errors
    /// [`Unreadable`]: then nothing is held.
    pub fn in_force(&self) -> Result<Vec<Held>, Unreadable> {
        let now = wall_seconds();
        let mut all = file::read(&self.path)?;
        all.retain(|held| held.is_in_force(now));
        Ok(all)
    }

    /// The hold of a node, if one is in force.
    ///
    /// # Errors
    /// [`Unreadable`]: then it is not held.
    pub fn of_node(&self, node: &NodeName) -> Result<Option<Held>, Unreadable> {
        Ok(self.in_force()?.into_iter().find(|held| held.is_of(node)))
    }

    /// Sets a hold; answers with the one whose place it takes.
    ///
    /// # Errors
    /// A sentence that names the file; then nothing is changed.
    pub fn set(&self, held: Held, clock: &dyn Clock) -> Result<Option<Held>, Unreadable> {
        let Ok(node) = NodeName::parse(&held.node) else {
            return Err(Unreadable::new(format!("{:?} is no name of a node", held.node)));
        };
        self.exchange(&node, Some(held), clock)
    }

    /// Ends a hold; answers with it, if there was one.
    ///
    /// # Errors
    /// A sentence that names the file; then nothing is changed.
    pub fn clear(&self, node: &NodeName, clock: &dyn Clock) -> Result<Option<Held>, Unreadable> {
        self.exchange(node, None, clock)
    }

    fn exchange(
        &self,
        node: &NodeName,
        new: Option<Held>,
        clock: &dyn Clock,
    ) -> Result<Option<Held>, Unreadable> {
        let _guard = file::lock(&self.path, clock)?;
        let mut all = self.in_force()?;
        let old = all.iter().position(|held| held.is_of(node)).map(|at| all.remove(at));
        if old.is_some() || new.is_some() {
            all.extend(new);
            file::replace(&self.path, &all)?;
        }
        Ok(old)
    }
}

/// Reads `2h`: a number and s, m, h or d, at most [`LONGEST`].
#[must_use]
pub fn parse_span(text: &str) -> Option<Duration> {
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let digits = text.get(..text.len().checked_sub(1)?)?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let amount: u64 = plain.then(|| digits.parse().ok()).flatten()?;
    let span = Duration::from_secs(amount.checked_mul(unit)?);
    (!span.is_zero() && span <= LONGEST).then_some(span)
}

/// Whether a text can be the reason of a hold: something, in one line, that fits every sentence.
#[must_use]
pub fn is_reason(text: &str) -> bool {
    !text.trim().is_empty()
        && !text.chars().any(char::is_control)
        && Text::escaped(text).as_str().len() <= MAX_WHY
}

#[cfg(test)]
mod tests;
