//! A lab with the real hypervisor: Xen, a Debian dom0 with the installed product, and paravirtual
//! guests that write to a disk, all in QEMU. `tests/xen-lab build` makes its disk.
//!
//! The guests write a running number to a disk that dom0 can read, so that life and death are seen
//! from outside. One boot serves many cases: each goes back to a snapshot in which both nodes run.

mod control;
mod figures;
mod heartbeat;
mod judge;
mod kept;
mod machine;
mod monitor;
mod nodes;
mod record;
mod xl;

pub use control::Script;
pub use figures::figures;
pub use judge::{Change, Watch};
pub use machine::Ports;
pub use record::record;

use crate::error::{Doing, Error, Result};
use crate::running::{Output, Running};
use crate::throwaway::clusters::Node;
use crate::throwaway::product::repository;
use machine::{Hardware, Machine, Start};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The lab: a machine that runs Xen, with the cluster alpha of node1 and node2 on it, or two clusters
/// that run Heartbeat.
pub struct Lab {
    // None only while one machine is exchanged for another.
    machine: Option<Machine>,
    ports: Ports,
    hardware: Hardware,
    nodes: Vec<Node>,
    image: PathBuf,
    directory: tempfile::TempDir,
    /// How long it took until dom0 answered, if it was booted.
    pub booted_in: Option<Duration>,
}

/// Names the version of Xen to boot, as Debian names its packages; 4.17 by default.
pub const VERSION: &str = "XEN_LAB_VERSION";

impl Lab {
    /// Raises the lab, and returns when both nodes write. What an earlier run booted from the same
    /// disk is taken up where it was.
    pub fn raise() -> Result<Self> {
        let mut lab = Self::of(Hardware::GUESTS, &[("alpha", "node1"), ("alpha", "node2")])?;
        if kept::take(&lab)? {
            nodes::point_agents(&lab)?;
            lab.restore()?;
            return Ok(lab);
        }
        lab.boot()?;
        nodes::furnish(&lab)?;
        // They load modules and fill caches until then.
        std::thread::sleep(Duration::from_secs(5));
        let machine = lab.machine.take().ok_or_else(|| Error::new("the lab is not running"))?;
        machine.save()?;
        machine.end();
        kept::keep(&lab)?;
        lab.restore()?;
        Ok(lab)
    }

    /// One that is off, with these nodes, each of a cluster.
    fn of(hardware: Hardware, nodes: &[(&str, &str)]) -> Result<Self> {
        let version = std::env::var(VERSION).unwrap_or_else(|_| "4.17".to_owned());
        let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
        let image = repository().join(target).join("xen-lab").join(version);
        let directory = tempfile::Builder::new().prefix("run-").tempdir_in(&image);
        let directory = directory.doing(format!(
            "make a directory in {}, which tests/xen-lab build makes",
            image.display()
        ))?;
        let nodes = (1..).zip(nodes);
        let nodes = nodes.map(|(slot, (cluster, name))| Node::new(cluster, name, slot, slot));
        Ok(Self {
            machine: None,
            ports: Ports::free()?,
            hardware,
            nodes: nodes.collect(),
            image,
            directory,
            booted_in: None,
        })
    }

    fn boot(&mut self) -> Result<()> {
        let began = Instant::now();
        self.machine = Some(self.start_machine(Start::Boot)?);
        self.booted_in = Some(began.elapsed());
        Ok(())
    }

    fn start_machine(&self, how: Start) -> Result<Machine> {
        Machine::start(&self.image, self.directory.path(), self.ports, self.hardware, how)
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

    /// Makes a node's domain anew, and returns when it writes. `extra` goes to its kernel's command
    /// line (tests/image/guest-init), `lines` overrule its configuration's.
    ///
    /// # Panics
    /// If it cannot be made.
    #[track_caller]
    pub fn remake(&self, node: &str, extra: &str, lines: &str) {
        let node = self.node(node);
        let (domain, config) = (&node.domain, node.config());
        let _ =
            self.sh(&format!("xl destroy {domain}; until ! xl domid {domain}; do sleep 0.5; done"));
        self.configure(&node.name, extra, lines);
        self.blank(&node.name);
        let _ = self.sh(&format!("xl create {config}")).exits(0);
        self.counts(&node.name);
    }

    /// Writes a node's configuration, which its next life begins with; see [`Lab::remake`].
    ///
    /// # Panics
    /// If it cannot be written.
    #[track_caller]
    pub fn configure(&self, node: &str, extra: &str, lines: &str) {
        let node = self.node(node);
        self.write(&node.config(), &nodes::xl_config(node, extra, lines));
    }

    /// Writes a file in dom0.
    ///
    /// # Panics
    /// If it cannot be written.
    #[track_caller]
    pub fn write(&self, path: &str, text: &str) {
        nodes::write(self, path, text).unwrap_or_else(|error| panic!("{error}"));
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
        let mut command = nodes::alone(self, node);
        command.arg(nodes::agent());
        command.env_clear().env("LC_ALL", "C.UTF-8").env("PATH", PATH).arg("--config");
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
        self.sh(&format!("/lab/disk show {slot}")).exits(0).stdout.trim().to_owned()
    }

    /// Empties a node's sector, so that what is read there next is new.
    #[track_caller]
    pub fn blank(&self, node: &str) {
        let slot = self.node(node).slot;
        let _ = self
            .sh(&format!(
                "dd if=/dev/zero of={DISK} bs=4096 seek={slot} count=1 conv=notrunc 2>/dev/null"
            ))
            .exits(0);
    }

    /// Goes back to where both nodes had begun to write: memory, disks, hypervisor, guests, clock.
    pub fn restore(&mut self) -> Result<()> {
        self.machine = None;
        nodes::forget(self)?;
        self.machine = Some(self.start_machine(Start::Resume)?);
        Ok(())
    }

    /// Takes dom0's power away and gives it back: what its disk has not seen is lost. No node runs
    /// when this returns.
    pub fn cut_power(&mut self) -> Result<()> {
        if let Some(machine) = self.machine.take() {
            machine.end();
        }
        self.machine = Some(self.start_machine(Start::Again)?);
        Ok(())
    }

    /// Waits until this holds.
    ///
    /// # Errors
    /// If it does not in this time.
    pub fn until(&self, what: &str, time: Duration, mut holds: impl FnMut() -> bool) -> Result<()> {
        let end = Instant::now() + time;
        while !holds() {
            if Instant::now() > end {
                return Err(Error::new(format!("it did not come true in {time:?} that {what}")));
            }
            std::thread::sleep(Duration::from_millis(400));
        }
        Ok(())
    }

    /// Waits up to a minute until this holds.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn settle(&self, what: &str, holds: impl FnMut() -> bool) {
        self.until(what, Duration::from_secs(60), holds).unwrap_or_else(|error| panic!("{error}"));
    }

    fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn image(&self) -> &Path {
        &self.image
    }
}

/// Where what stands around an agent finds its programs.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// The file that is the disk of both nodes, on a file system of its own.
pub const DISK: &str = "/srv/shared/disk.img";
