//! What one broker leaves for the next: the last fence of each node, on tmpfs, for this boot.
//!
//! Promises 4 and 5 rest on it: a retry reads the first attempt's outcome, a request for a node
//! whose death is being proven joins that proof, and a node that was fenced after its connection
//! was accepted shoots nobody. A damaged file counts as empty; what another version has written beside
//! the rest is passed over. No fence waits for it.

use crate::clock::{Clock, boot_id};
use crate::lock::Lock;
use crate::processes::{Process, Writers};
use crate::whole_file;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use xen_fence_protocol::{NodeName, RequestId};

/// How long a broker waits for another to write the file; each takes a moment.
const PATIENCE: Duration = Duration::from_millis(500);

/// So many requests are remembered to have been answered with one fence, and so many with earlier
/// ones; a cluster has fewer nodes, and a retry comes within two minutes.
const MOST_ANSWERED: usize = 64;

/// So many `on`s before a fence are: they push out no request that was answered.
const MOST_ONS: usize = 16;

/// How far a fence has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The kill has begun and is not proven.
    Killing,
    /// Proven.
    Fenced,
    /// Ended without a proof.
    Failed,
}

/// The last fence of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    /// The request's id.
    pub request: String,
    /// Whether the node is powered on again after it.
    pub restarts: bool,
    /// Whether the brake has counted it.
    #[serde(default)]
    pub counted: bool,
    /// How far it came.
    pub phase: Phase,
    /// When it came there, in milliseconds since boot.
    pub at_ms: u64,
    /// When the node ran again after it, in milliseconds since boot, if it does.
    #[serde(default)]
    pub started_ms: Option<u64>,
    /// When what made it run had begun, as far as that is known.
    #[serde(default)]
    pub begun_ms: Option<u64>,
    /// Other requests that were answered with it: their retries are answered with it, too.
    #[serde(default)]
    pub joined: Vec<String>,
    /// Requests that were answered with fences of this node before it: their retries kill nothing; and
    /// `on`s that it or they came after: their retries start nothing.
    #[serde(default)]
    pub before: Vec<String>,
    /// The callers that were answered with it.
    #[serde(default)]
    pub answered: Vec<String>,
    /// The processes that were seen to write for the node, as long as its death is not proven.
    #[serde(default)]
    pub writers: Vec<Process>,
    /// Those of which nobody could tell whether they do, likewise.
    #[serde(default)]
    pub perhaps: Vec<Process>,
    /// The broker's process number.
    pub pid: i32,
    /// The broker's start, in the kernel's ticks.
    pub started: u64,
}

/// The file of one cluster.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Saved {
    boot: String,
    fences: BTreeMap<String, Fence>,
    /// The `on`s of each node that were told to go since its last fence had begun.
    #[serde(default)]
    ons: BTreeMap<String, Vec<String>>,
}

/// One cluster's state.
#[derive(Clone, Debug)]
pub struct State {
    path: PathBuf,
}

/// What was read, and whether it may be relied on.
#[derive(Debug, Default)]
pub struct Remembered {
    fences: BTreeMap<String, Fence>,
    /// Why the file counts as empty, if it does for a bad reason.
    pub damage: Option<String>,
}

impl Remembered {
    /// The last fence of a node in this boot.
    #[must_use]
    pub fn fence_of(&self, node: &NodeName) -> Option<&Fence> {
        self.fences.get(&node.lower())
    }

    /// What is known of a node, in a sentence for the record.
    #[must_use]
    pub fn evidence(&self, node: &NodeName) -> String {
        let Some(last) = self.fence_of(node) else {
            return "no fence of it in this boot".to_owned();
        };
        let phase = match last.phase {
            Phase::Killing => "begun",
            Phase::Fenced => "proven",
            Phase::Failed => "not proven",
        };
        format!("its last fence is {phase}, by request {}", last.request)
    }
}

impl Fence {
    /// Whether this fence is what a request came to.
    #[must_use]
    pub fn is_of(&self, id: RequestId) -> bool {
        self.is_of_request(&id.to_string())
    }

    /// The same, for an id as it is written down.
    #[must_use]
    pub fn is_of_request(&self, id: &str) -> bool {
        self.request == id || self.joined.iter().any(|joined| joined == id)
    }

    /// Whether a request was answered with a fence of this node before this one, or was an `on` that this one
    /// came after.
    #[must_use]
    pub fn comes_after_that_of(&self, id: RequestId) -> bool {
        self.before.contains(&id.to_string())
    }

    /// This fence as the next of the node, after the one that was the last until now.
    fn after(mut self, last: Option<&Self>) -> Self {
        let Some(last) = last else { return self };
        if self.phase != Phase::Fenced {
            self.writers.clone_from(&last.writers);
            self.perhaps.clone_from(&last.perhaps);
        }
        self.before.splice(..0, last.before.iter().cloned());
        if last.phase == Phase::Fenced {
            self.before.retain(|id| *id != last.request);
            self.before.push(last.request.clone());
            self.before.extend(last.joined.iter().cloned());
        }
        self.forgets_the_oldest();
        self
    }

    fn forgets_the_oldest(&mut self) {
        let too_many = self.before.len().saturating_sub(MOST_ANSWERED);
        self.before.drain(..too_many);
    }

    /// Whether this caller has been answered with this fence.
    #[must_use]
    pub fn has_answered(&self, caller: &str) -> bool {
        self.answered.iter().any(|one| one == caller)
    }

    /// The broker that carries it out.
    #[must_use]
    pub fn broker(&self) -> Process {
        Process { pid: self.pid, started: self.started, what: "xen-fence-broker".to_owned() }
    }
}

impl State {
    /// The state in this file.
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Reads the state. An absent file, or one of an earlier boot, is an empty one.
    #[must_use]
    pub fn recall(&self) -> Remembered {
        match read(&self.path) {
            Ok(saved) => Remembered { fences: saved.fences, damage: None },
            Err(damage) => Remembered { fences: BTreeMap::new(), damage: Some(damage) },
        }
    }

    /// Remembers the last fence of a node.
    ///
    /// # Errors
    /// A sentence that names the file; the fence goes on without.
    pub fn remember(&self, node: &NodeName, fence: Fence, clock: &dyn Clock) -> Result<(), String> {
        self.change(clock, |saved| {
            let mut fence = fence;
            fence.before.extend(saved.ons.remove(&node.lower()).unwrap_or_default());
            let fence = fence.after(saved.fences.get(&node.lower()));
            saved.fences.insert(node.lower(), fence);
        })
    }

    /// Remembers which processes write for the node, or may, if its last fence is by this request: they have
    /// to be waited for, whoever proves its death.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn has_writers(
        &self,
        node: &NodeName,
        request: RequestId,
        writers: &Writers,
        clock: &dyn Clock,
    ) -> Result<(), String> {
        self.change_that_of(request, node, clock, |fence| {
            fence.writers.clone_from(&writers.known);
            fence.perhaps.clone_from(&writers.perhaps);
        })
    }

    /// Remembers that the node runs again after its last fence, if that was by this request, and when
    /// what made it run had begun.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn has_started(
        &self,
        node: &NodeName,
        request: RequestId,
        begun_ms: Option<u64>,
        clock: &dyn Clock,
    ) -> Result<(), String> {
        self.change_that_of(request, node, clock, |fence| {
            fence.started_ms = Some(clock.now().millis());
            fence.begun_ms = begun_ms;
        })
    }

    /// Remembers that this `on` was told to go: its retry is not to start what a fence has left off since.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn has_on(&self, node: &NodeName, on: RequestId, clock: &dyn Clock) -> Result<(), String> {
        self.change(clock, |saved| {
            let ons = saved.ons.entry(node.lower()).or_default();
            ons.retain(|id| *id != on.to_string());
            ons.push(on.to_string());
            ons.drain(..ons.len().saturating_sub(MOST_ONS));
        })
    }

    /// Remembers that somebody's `on` has created the node. A fence that was begun before and never proven
    /// was not of this life, and its retry is not to end it.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn lives_anew(&self, node: &NodeName, clock: &dyn Clock) -> Result<(), String> {
        self.change(clock, |saved| {
            let last =
                saved.fences.get_mut(&node.lower()).filter(|last| last.phase != Phase::Fenced);
            if let Some(last) = last {
                let own = std::iter::once(&last.request).chain(&last.joined).cloned();
                last.before = last.before.iter().cloned().chain(own).collect();
                last.forgets_the_oldest();
            }
        })
    }

    /// Remembers that another request was answered with the last fence of a node, and whether it
    /// powers the node on.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn is_joined(
        &self,
        node: &NodeName,
        fence: &Fence,
        (request, caller, starts): (RequestId, &str, bool),
        clock: &dyn Clock,
    ) -> Result<(), String> {
        self.change(clock, |saved| {
            let last = saved.fences.get_mut(&node.lower());
            if let Some(last) = last.filter(|last| last.request == fence.request) {
                last.restarts |= starts;
                last.counted |= starts;
                if !last.has_answered(caller) && last.answered.len() < MOST_ANSWERED {
                    last.answered.push(caller.to_owned());
                }
                if !last.is_of(request) && last.joined.len() < MOST_ANSWERED {
                    last.joined.push(request.to_string());
                }
            }
        })
    }

    /// Remembers that the node was left off after all, if its last fence was by this request.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn is_left_off(
        &self,
        node: &NodeName,
        request: RequestId,
        clock: &dyn Clock,
    ) -> Result<(), String> {
        self.change_that_of(request, node, clock, |fence| fence.restarts = false)
    }

    /// Changes the last fence of a node, if a request came to it.
    fn change_that_of(
        &self,
        request: RequestId,
        node: &NodeName,
        clock: &dyn Clock,
        change: impl FnOnce(&mut Fence),
    ) -> Result<(), String> {
        self.change(clock, |saved| {
            let last = saved.fences.get_mut(&node.lower());
            last.filter(|last| last.is_of(request)).map(change).unwrap_or_default();
        })
    }

    fn change(&self, clock: &dyn Clock, change: impl FnOnce(&mut Saved)) -> Result<(), String> {
        let cannot =
            |error: std::io::Error| format!("{} cannot be written: {error}", self.path.display());
        let guard = Lock::take(
            &self.path.with_extension("state-lock"),
            clock,
            clock.now().after(PATIENCE),
            || false,
        );
        let Some(_guard) = guard.map_err(cannot)? else {
            return Err(format!("{} is kept by another broker", self.path.display()));
        };
        let (mut saved, damage) = match read(&self.path) {
            Ok(saved) => (saved, None),
            Err(damage) => (Saved::default(), Some(damage)),
        };
        saved.boot = boot_id();
        change(&mut saved);
        let text = serde_json::to_vec(&saved).map_err(|error| cannot(error.into()))?;
        whole_file::replace(&self.path, &text).map_err(cannot)?;
        damage.map_or(Ok(()), |damage| Err(format!("{damage}; it was written anew")))
    }
}

fn read(path: &Path) -> Result<Saved, String> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Saved::default()),
        Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
    };
    let saved: Saved = serde_json::from_slice(&text)
        .map_err(|error| format!("{} is damaged and counts as empty: {error}", path.display()))?;
    if saved.boot == boot_id() { Ok(saved) } else { Ok(Saved::default()) }
}

#[cfg(test)]
pub(crate) mod tests;
