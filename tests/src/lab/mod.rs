//! A lab with the real hypervisor: Xen, a Debian dom0 with the installed product, and paravirtual
//! guests that write to a disk, all in QEMU. `tests/xen-lab build` makes its disk.
//!
//! The guests write a running number to a disk that dom0 can read, so that life and death are seen
//! from outside. One boot serves many cases: each goes back to a snapshot in which both nodes run.

mod control;
mod judge;
mod machine;
mod monitor;
mod nodes;
mod record;

pub use control::Script;
pub use judge::{Change, Watch};
pub use machine::Ports;
pub use record::record;

use crate::error::{Doing, Error, Result};
use crate::running::{Output, Running};
use crate::throwaway::clusters::Node;
use crate::throwaway::product::repository;
use machine::{Machine, Start};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The lab: a machine that runs Xen, with the cluster alpha of node1 and node2 on it.
pub struct Lab {
    // None only while one machine is exchanged for another.
    machine: Option<Machine>,
    ports: Ports,
    nodes: Vec<Node>,
    image: PathBuf,
    directory: tempfile::TempDir,
    /// How long it took until dom0 answered.
    pub booted_in: Duration,
}

/// Names the version of Xen to boot, as Debian names its packages; 4.17 by default.
pub const VERSION: &str = "XEN_LAB_VERSION";

impl Lab {
    /// Boots the lab, and returns when both nodes write.
    pub fn boot() -> Result<Self> {
        let version = std::env::var(VERSION).unwrap_or_else(|_| "4.17".to_owned());
        let image = repository().join("target/xen-lab").join(version);
        let directory = tempfile::Builder::new().prefix("run-").tempdir_in(&image);
        let directory = directory.doing(format!(
            "make a directory in {}, which tests/xen-lab build makes",
            image.display()
        ))?;
        let ports = Ports::free()?;
        let began = Instant::now();
        let machine = Some(Machine::start(&image, directory.path(), ports, Start::Boot)?);
        let booted_in = began.elapsed();
        let nodes = ["node1", "node2"];
        let nodes = (1..).zip(nodes).map(|(slot, name)| Node::new("alpha", name, slot, slot));
        let lab = Self { machine, ports, nodes: nodes.collect(), image, directory, booted_in };
        nodes::furnish(&lab)?;
        Ok(lab)
    }

    /// A node of the cluster.
    ///
    /// # Panics
    /// If there is none of that name.
    #[must_use]
    #[track_caller]
    pub fn node(&self, name: &str) -> &Node {
        let found = self.nodes.iter().find(|node| node.name == name);
        found.unwrap_or_else(|| panic!("the lab has no node {name}"))
    }

    /// Runs a shell script as root in dom0, to its end.
    ///
    /// # Panics
    /// If dom0 does not answer.
    #[must_use]
    #[track_caller]
    pub fn sh(&self, script: &str) -> Output {
        self.start(script).wait()
    }

    /// Starts a shell script as root in dom0.
    ///
    /// # Panics
    /// If dom0 cannot be reached.
    #[must_use]
    #[track_caller]
    pub fn start(&self, script: &str) -> Script {
        let machine = self.machine.as_ref().unwrap_or_else(|| panic!("the lab is not running"));
        machine.control.start(script).unwrap_or_else(|error| panic!("{error}"))
    }

    /// `xen-fence` with these arguments, as a node: with its key, over SSH.
    #[must_use]
    pub fn ask(&self, node: &str, arguments: &[&str]) -> Running {
        let mut command = Command::new(nodes::agent());
        command.env_clear().env("LC_ALL", "C.UTF-8").arg("--config");
        command.arg(nodes::etc(self, node).join("agent.toml")).args(arguments);
        let words: Vec<&str> = ["xen-fence"].into_iter().chain(arguments.iter().copied()).collect();
        Running::start(command, &words)
    }

    /// A command line that gives a person a shell in dom0.
    #[must_use]
    pub fn login(&self) -> Vec<String> {
        let port = self.ports.person.to_string();
        let key = self.image.join("id").display().to_string();
        let words = ["ssh", "-F", "none", "-p", &port, "-i", &key];
        let options =
            ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"];
        let options = options.into_iter().flat_map(|option| ["-o", option]);
        words.into_iter().chain(options).chain(["root@127.0.0.1"]).map(str::to_owned).collect()
    }

    /// What the hypervisor and dom0's kernel said.
    #[must_use]
    pub fn console(&self) -> PathBuf {
        self.directory.path().join("console.log")
    }

    /// What a node wrote last: its name, a running number, its uptime.
    #[must_use]
    #[track_caller]
    pub fn sector(&self, node: &str) -> String {
        let slot = self.node(node).slot;
        self.sh(&format!("dd if={DISK} bs=512 skip={slot} count=1 2>/dev/null | tr -s ' \\0'"))
            .exits(0)
            .stdout
            .trim()
            .to_owned()
    }

    /// Takes the snapshot that [`Lab::restore`] goes back to.
    pub fn save(&self) -> Result<()> {
        self.machine.as_ref().map_or(Ok(()), Machine::save)
    }

    /// Goes back to the snapshot: memory, disks, hypervisor, guests, clock.
    pub fn restore(&mut self) -> Result<()> {
        self.machine = None;
        let machine = Machine::start(&self.image, self.directory(), self.ports, Start::Resume)?;
        self.machine = Some(machine);
        Ok(())
    }

    /// Waits until this holds.
    pub fn until(&self, what: &str, time: Duration, mut holds: impl FnMut() -> bool) -> Result<()> {
        let end = Instant::now() + time;
        while !holds() {
            if Instant::now() > end {
                return Err(Error::new(format!("it did not come true in {time:?} that {what}")));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    fn directory(&self) -> &Path {
        self.directory.path()
    }
}

/// The file that is the disk of both nodes, on a file system of its own.
pub const DISK: &str = "/srv/shared/disk.img";
