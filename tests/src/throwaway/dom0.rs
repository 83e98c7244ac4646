//! A throwaway dom0 that is up: the places in it where commands run, and its files.

use super::builder::Builder;
use super::clusters::{Host, Node};
use super::command::Place;
use super::holder::Init;
use super::network::Network;
use super::root::Root;
use super::services::{self, Sshd, Syslog};
use crate::error::{Doing, Error, Result};
use crate::running::Output;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A throwaway dom0 that is up. Dropping it ends and removes everything.
pub struct Dom0 {
    // Dropped in this order: the machine ends first.
    pub(crate) holder: Holder,
    pub(crate) root: Root,
    pub(crate) place: Place,
    pub(crate) nodes: Vec<Node>,
    pub(crate) sshd: Sshd,
    pub(crate) host: Host,
    pub(crate) network: Network,
}

impl Dom0 {
    /// Says what a test wants.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// PID 1 of dom0, as the machine sees it.
    #[must_use]
    pub fn init(&self) -> i32 {
        self.holder.init
    }

    /// Its host name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.host.name
    }

    /// The nodes of all clusters.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A node.
    ///
    /// # Panics
    /// If there is no such node: the test is wrong.
    #[must_use]
    pub fn node(&self, cluster: &str, name: &str) -> &Node {
        let node = self.nodes.iter().find(|node| node.cluster == cluster && node.name == name);
        node.unwrap_or_else(|| panic!("this dom0 has no node {name} in a cluster {cluster}"))
    }

    /// dom0, as a place where root's commands run.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Runs a command on dom0, as root.
    #[must_use]
    pub fn on(&self, words: &[&str]) -> Output {
        self.place.run(words)
    }

    /// Runs a command in a shell on dom0, as root.
    #[must_use]
    pub fn sh(&self, line: &str) -> Output {
        self.place.run(&["sh", "-c", line])
    }

    /// A node's running domain, as a place where its root's commands run.
    ///
    /// # Panics
    /// If the domain is not running: the test is wrong.
    #[must_use]
    pub fn in_node(&self, cluster: &str, name: &str) -> Place {
        let node = self.node(cluster, name);
        let pid =
            self.domain_init(node).unwrap_or_else(|| panic!("{} is not running", node.domain));
        let mut place = self.place.clone();
        place.way.push(format!("--domain={pid}"));
        place.way.push(format!("--etc={}", node.etc()));
        place
    }

    /// PID 1 of a node's running domain, as dom0 sees it: from the stand-in's record of it.
    #[must_use]
    pub fn domain_init(&self, node: &Node) -> Option<i32> {
        const DOMAINS: &str = "/var/lib/stand-in/domains";
        let records = self.root.names(DOMAINS).unwrap_or_default();
        records.iter().filter(|name| name.ends_with(".json")).find_map(|name| {
            let record = self.root.read(&format!("{DOMAINS}/{name}")).ok()?;
            let record: serde_json::Value = serde_json::from_slice(&record).ok()?;
            let alive = record["name"] == node.domain.as_str() && record["dying"] == false;
            i32::try_from(record["init"].as_i64().filter(|_| alive)?).ok()
        })
    }

    /// Tells the stand-in hypervisor what it is to do wrong from now on.
    ///
    /// # Panics
    /// If it does not know this fault: the test is wrong.
    pub fn fault(&self, words: &[&str]) {
        let command: Vec<&str> = std::iter::once("stand-in").chain(words.iter().copied()).collect();
        let _ = self.on(&command).exits(0);
    }

    /// What a file of dom0 holds; nothing, if it is not there.
    #[must_use]
    pub fn file(&self, path: &str) -> String {
        self.root
            .read(path)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// True if dom0 has this file.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.root.metadata(path).is_ok()
    }

    /// A file's permission bits, owner and group.
    ///
    /// # Panics
    /// If it is not there.
    #[must_use]
    pub fn mode(&self, path: &str) -> (u32, u32, u32) {
        use std::os::unix::fs::MetadataExt;
        let found = self.root.metadata(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        (found.mode() & 0o7777, found.uid(), found.gid())
    }

    /// Writes a file of dom0.
    ///
    /// # Panics
    /// If it cannot.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>, mode: u32) {
        self.root.write(path, content.as_ref(), mode).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Removes a file of dom0.
    ///
    /// # Panics
    /// If it cannot.
    pub fn remove(&self, path: &str) {
        self.root.remove(path).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Starts the other sshd too, or the same again after it was stopped.
    pub fn start_sshd(&self, sshd: Sshd) -> Result<()> {
        services::start_sshd(sshd, &self.root, &self.place, self.holder.init)
    }

    /// Starts what is to be at /dev/log, after what was there has been stopped.
    pub fn start_syslog(&self, syslog: Syslog) -> Result<()> {
        services::start_syslog(syslog, &self.root, &self.place)
    }

    /// The sshd that the agents are told to use.
    #[must_use]
    pub fn sshd(&self) -> Sshd {
        self.sshd
    }

    pub(crate) fn root(&self) -> &Root {
        &self.root
    }
}

/// The process that holds a dom0, which ends with its standard input.
pub(crate) struct Holder {
    child: Child,
    helper: PathBuf,
    pub(crate) init: i32,
}

impl Holder {
    pub(crate) fn start(helper: &Path, init: Init) -> Result<Self> {
        let mut command = Command::new(helper);
        command.arg("hold").stdin(Stdio::piped()).stdout(Stdio::piped());
        if init == Init::Systemd {
            command.arg("--systemd");
        }
        let mut child = command.spawn().doing(format!("run {}", helper.display()))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).doing("hear from the holder")?;
        }
        match line.trim().strip_prefix("ready ").and_then(|pid| pid.parse().ok()) {
            Some(init) => Ok(Self { child, helper: helper.to_owned(), init }),
            None => {
                let _ = child.wait();
                Err(Error::new("the throwaway dom0 did not come up; its own words are above"))
            }
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let ended_well = self.child.wait().is_ok_and(|status| status.success());
        if !ended_well {
            let _ = Command::new(&self.helper).arg("sweep").status();
        }
    }
}
