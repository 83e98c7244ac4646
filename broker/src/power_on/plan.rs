//! Plans of power-ons: tokens on tmpfs, which an `off` takes away.

use super::{own, systemd};
use crate::acl::Node;
use crate::clock::{Clock, Moment};
use crate::lock::Lock;
use crate::names::ClusterName;
use crate::processes::{Process, Processes, start_of};
use crate::sight::Host;
use crate::whole_file;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;
use xen_fence_protocol::{POWER_ON, RESET_IS_NEW, RequestId};

/// A power-on that is going to be, from before the cluster's lock is let go until it has ended.
/// Whoever removes its token calls it off; when this value goes, so does the token.
#[derive(Debug)]
pub struct Planned {
    pub(super) token: PathBuf,
    starts: Starts,
}

/// The power-ons of one cluster: a directory of tokens, and a gate that one passes at a time, so
/// that a token is not taken away between the look at it and the start that it allows.
#[derive(Clone, Debug)]
pub struct Starts {
    dir: PathBuf,
    cluster: ClusterName,
}

/// What a token says of the power-on that it stands for.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Token {
    /// The broker that planned it, and its start.
    broker: (i32, u64),
    /// When the create was about to begin, in milliseconds since boot, if it was.
    #[serde(default)]
    begun_ms: Option<u64>,
    /// systemd's transient unit.
    unit: Option<String>,
    /// Leader of the session in which the toolstack runs, and its start.
    leader: Option<(i32, u64)>,
}

/// The gate is passed in a moment, or in as long as systemd may take to answer.
const GATE: Duration = Duration::from_secs(15);

impl Starts {
    /// The power-ons of a cluster, whose tokens are in this directory.
    #[must_use]
    pub const fn of(dir: PathBuf, cluster: ClusterName) -> Self {
        Self { dir, cluster }
    }

    /// Plans a power-on. Under the cluster's lock, so that the next one who holds it sees the plan.
    ///
    /// # Errors
    /// A sentence that names the file; the node is left off then, because what could not be called
    /// off must not be begun.
    pub fn plan(&self, node: &Node, request: RequestId) -> Result<Planned, String> {
        let token = self.dir.join(format!("{}{request}", self.prefix(node)));
        let planned = Token { broker: this_process(), ..Token::default() };
        crate::lock::make_private_dir(&self.dir)
            .and_then(|()| planned.write(&token))
            .map_err(|error| format!("{} cannot be written: {error}", token.display()))?;
        Ok(Planned { token, starts: self.clone() })
    }

    /// Whether a power-on could be planned, so that a reset does not end as an off.
    ///
    /// # Errors
    /// A sentence that names the directory.
    pub fn probe(&self) -> Result<(), String> {
        crate::host::takes_a_file(&self.dir, &format!("{}.probe", self.cluster))
    }

    /// Whether there is anything that [`Starts::call_off`] would call off.
    #[must_use]
    pub fn has_any_for(&self, node: &Node) -> bool {
        self.tokens(node).map_or(true, |tokens| !tokens.is_empty())
    }

    /// Whether a power-on of the node is planned or under way; where nobody can tell, it is.
    #[must_use]
    pub fn has_plan_for(&self, node: &Node, processes: &dyn Processes) -> bool {
        self.planned(node, processes).map_or(true, |requests| !requests.is_empty())
    }

    /// The requests by which a power-on of the node is planned or under way.
    ///
    /// # Errors
    /// If nobody can tell.
    pub fn planned(&self, node: &Node, processes: &dyn Processes) -> std::io::Result<Vec<String>> {
        // A unit speaks for itself: its create is an xl process that the sight shows.
        self.requests(node, |token| {
            token.is_its_brokers(processes) || token.is_carried_out(processes)
        })
    }

    /// The requests by which a power-on of the node has begun and goes on, so that a domain of it that
    /// lives may be theirs.
    ///
    /// # Errors
    /// If nobody can tell.
    pub fn begun(&self, node: &Node, host: &Host<'_>) -> std::io::Result<Vec<String>> {
        self.requests(node, |token| {
            let is_its_brokers = token.is_its_brokers(host.processes);
            let begun = token.begun_ms.is_some() && is_its_brokers && token.may_go_on(host.clock);
            begun || token.is_carried_out(host.processes)
        })
    }

    /// Whether a broker that is gone has asked systemd for a power-on, which may be yet to begin: a systemd
    /// that has not begun it for as long as a power-on may take never will.
    ///
    /// # Errors
    /// If nobody can tell.
    pub fn has_orphan_for(&self, node: &Node, host: &Host<'_>) -> std::io::Result<bool> {
        let orphan = |token: &Token| {
            token.unit.is_some()
                && !token.is_its_brokers(host.processes)
                && token.age(host.clock).is_none_or(|age| age <= POWER_ON)
        };
        Ok(!self.requests(node, orphan)?.is_empty())
    }

    fn requests(
        &self,
        node: &Node,
        wanted: impl Fn(&Token) -> bool,
    ) -> std::io::Result<Vec<String>> {
        let mut tokens = self.tokens(node)?;
        tokens.retain(|path| wanted(&Token::read(path)));
        let request = |path: &PathBuf| self.behind_prefix(node, path).map(str::to_owned);
        Ok(tokens.iter().filter_map(request).collect())
    }

    /// Whether the power-on by this request has begun, by its token: a broker that was killed has left
    /// it, and nobody takes it away but who kills the node again.
    #[must_use]
    pub fn was_cut_short(&self, node: &Node, request: &str) -> bool {
        Token::read(&self.dir.join(format!("{}{request}", self.prefix(node)))).begun_ms.is_some()
    }

    /// Calls off every power-on of the node, planned or under way, and kills what carries it out;
    /// removes what brokers that were killed have left beside their tokens. Says whether there was one.
    ///
    /// # Errors
    /// A sentence if it cannot be called off; then nothing is proven.
    pub fn call_off(&self, node: &Node, host: &Host<'_>) -> Result<bool, String> {
        let files = self.files(node).map_err(|error| {
            format!("power-ons cannot be called off: {}: {error}", self.dir.display())
        })?;
        let (tokens, beside): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|path| self.is_token(node, path));
        let _gate = if tokens.is_empty() { None } else { Some(self.gate(host.clock)?) };
        let called_off = !tokens.is_empty();
        for path in tokens {
            let token = Token::read(&path);
            // First the token, so that nothing new begins, then what has begun. It may have ended
            // by itself meanwhile; one that stays would still let its power-on begin.
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    let path = path.display();
                    return Err(format!("a power-on cannot be called off: {path}: {error}"));
                }
                Ok(()) | Err(_) => {}
            }
            if let Some(unit) = token.unit {
                systemd::kill(&unit);
            }
            if let Some(leader) = token.leader.filter(|leader| lives(*leader, host.processes)) {
                own::kill(leader.0);
            }
        }
        for path in beside {
            // What cannot be removed starts nothing.
            let _gone = fs::remove_file(path);
        }
        Ok(called_off)
    }

    fn gate(&self, clock: &dyn Clock) -> Result<Lock, String> {
        let path = self.dir.join(format!("{}.gate", self.cluster));
        let cannot =
            |why: &str| format!("a power-on cannot be called off: {}: {why}", path.display());
        match Lock::take(&path, clock, clock.now().after(GATE), || false) {
            Ok(Some(gate)) => Ok(gate),
            Ok(None) => Err(cannot("another broker holds it")),
            Err(error) => Err(cannot(&error.to_string())),
        }
    }

    /// The tokens of a node; `=` stands in no cluster's and no node's name.
    fn prefix(&self, node: &Node) -> String {
        format!("{}={}=", self.cluster, node.name().lower())
    }

    fn tokens(&self, node: &Node) -> std::io::Result<Vec<PathBuf>> {
        let mut files = self.files(node)?;
        files.retain(|path| self.is_token(node, path));
        Ok(files)
    }

    /// The tokens of a node, and the files beside them. Without the directory there are none.
    fn files(&self, node: &Node) -> std::io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if self.behind_prefix(node, &path).is_some() {
                files.push(path);
            }
        }
        Ok(files)
    }

    /// What follows is a request's id; with an extension it is a file beside a token.
    fn is_token(&self, node: &Node, path: &Path) -> bool {
        self.behind_prefix(node, path).is_some_and(|id| !id.contains('.'))
    }

    fn behind_prefix<'path>(&self, node: &Node, path: &'path Path) -> Option<&'path str> {
        path.file_name()?.to_str()?.strip_prefix(&self.prefix(node))
    }
}

impl Token {
    /// Whether the broker that planned it is still there.
    fn is_its_brokers(&self, processes: &dyn Processes) -> bool {
        processes.acts(&process(self.broker))
    }

    /// Whether the toolstack is still at it, without systemd.
    fn is_carried_out(&self, processes: &dyn Processes) -> bool {
        self.leader.is_some_and(|leader| lives(leader, processes))
    }

    /// For how long its create has been under way or over, if it has begun.
    fn age(&self, clock: &dyn Clock) -> Option<Duration> {
        let begun = Moment::since_boot(Duration::from_millis(self.begun_ms?));
        Some(clock.now().since(begun))
    }

    /// Whether its create may go on. When a unit has ended, systemd alone tells; one that has fallen silent
    /// vouches for nothing, and the node may have lived for minutes. A broker's own create it knows itself.
    fn may_go_on(&self, clock: &dyn Clock) -> bool {
        let is_old = self.age(clock).is_some_and(|age| age > RESET_IS_NEW);
        !is_old || self.leader.is_some() || self.unit.as_deref().is_none_or(systemd::goes_on)
    }

    fn read(path: &Path) -> Self {
        let text = fs::read(path).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    fn write(&self, path: &Path) -> std::io::Result<()> {
        whole_file::replace(path, &serde_json::to_vec(self)?)
    }
}

impl Planned {
    /// Puts down that the create is about to begin. Without it a retry fails, and kills nobody.
    pub(super) fn begins(&self, clock: &dyn Clock) {
        let begun_ms = Some(clock.now().millis());
        let _lost = Token { begun_ms, ..Token::read(&self.token) }.write(&self.token);
    }

    /// When the create was about to begin, in milliseconds since boot, as far as that was put down.
    #[must_use]
    pub fn begun_ms(&self) -> Option<u64> {
        Token::read(&self.token).begun_ms
    }

    /// Tells whoever would call it off what to kill. A unit that systemd was asked for stays: a systemd that
    /// fell silent may have the request still.
    pub(super) fn is_carried_out_by(
        &self,
        unit: Option<String>,
        leader: Option<(i32, u64)>,
    ) -> std::io::Result<()> {
        let before = Token::read(&self.token);
        Token { unit: unit.or(before.unit.clone()), leader, ..before }.write(&self.token)
    }

    /// Passes the gate: until the guard goes, nobody calls anything off.
    pub(super) fn gate(&self, clock: &dyn Clock) -> Result<Lock, String> {
        self.starts.gate(clock)
    }

    /// Whether somebody has called it off.
    #[must_use]
    pub fn is_called_off(&self) -> bool {
        !self.token.exists()
    }

    pub(super) fn output(&self) -> PathBuf {
        beside(&self.token, ".out")
    }
}

impl Drop for Planned {
    fn drop(&mut self) {
        // A retry may have made it anew, under the same name, once this one was left off.
        if self.token.exists() && Token::read(&self.token).broker != this_process() {
            return;
        }
        // What cannot be removed lies on tmpfs and ends with this boot.
        let _gone = fs::remove_file(&self.token);
        let _gone = fs::remove_file(self.output());
    }
}

/// This process, and its start.
fn this_process() -> (i32, u64) {
    let pid = i32::try_from(std::process::id()).unwrap_or(0);
    (pid, start_of(pid).unwrap_or(0))
}

fn lives(one: (i32, u64), processes: &dyn Processes) -> bool {
    processes.lives(&process(one))
}

const fn process((pid, started): (i32, u64)) -> Process {
    Process { pid, started, what: String::new() }
}

/// A file beside a token. Not `with_extension`: a node's name may hold dots.
fn beside(token: &Path, ending: &str) -> PathBuf {
    let mut name = token.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests;
