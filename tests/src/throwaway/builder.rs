//! What a test wants of its throwaway dom0, and the steps that raise one.

use super::clusters::{self, Host, Node};
use super::command::Place;
use super::dom0::{Dom0, Holder};
use super::holder::Init;
use super::network::Network;
use super::pair;
use super::product::Product;
use super::root::Root;
use super::services::{self, Sshd, Syslog};
use crate::error::{Doing, Result};
use std::collections::BTreeMap;

/// What a test wants. Every wish has a default; [`Builder::raise`] makes it so.
#[derive(Clone, Debug)]
pub struct Builder {
    clusters: Vec<String>,
    nodes: Vec<Node>,
    policies: BTreeMap<String, String>,
    stopped: Vec<(String, String)>,
    bare: bool,
    init: Init,
    sshd: Sshd,
    syslog: Syslog,
    host: Host,
    network: Network,
}

/// What nodes may do, unless the test says otherwise.
const ACTIONS: &str = "actions = [\"reset\", \"off\", \"on\", \"status\"]\n";

/// The key that the agents are told to expect.
pub(crate) const HOST_KEY: &str = "/etc/ssh/ssh_host_ed25519_key.pub";

/// What a machine may already have of a Xen host with xen-fence, and what it has made of its sshd:
/// none of it is a test's business.
const AS_NEW: &str = "rm -rf /etc/xen-fence /var/lib/xen-fence /var/log/xen-fence /etc/xen \
    /var/log/xen /var/lib/stand-in /srv/disks /srv/nodes /etc/ssh/sshd_config.d/* \
    /etc/ssh/ssh_host_* /etc/sudoers.d/xen-fence
    rm -f /etc/systemd/system/*.wants/pacemaker.service /etc/systemd/system/*.wants/heartbeat.service \
    /etc/rc?.d/S??pacemaker /etc/rc?.d/S??heartbeat
    ! test -e /usr/share/openssh/sshd_config || cp /usr/share/openssh/sshd_config /etc/ssh/";

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            clusters: Vec::new(),
            nodes: Vec::new(),
            policies: BTreeMap::new(),
            stopped: Vec::new(),
            bare: false,
            init: Init::Plain,
            sshd: Sshd::Dedicated,
            syslog: Syslog::Real,
            host: Host::first(),
            network: Network::Bridge,
        }
    }

    /// A cluster with these nodes. Each is a running domain `CLUSTER-NODE`.
    #[must_use]
    pub fn cluster(mut self, name: &str, nodes: &[&str]) -> Self {
        self.clusters.push(name.to_owned());
        for (index, node) in nodes.iter().enumerate() {
            let serial = self.nodes.len() + 1;
            self.nodes.push(Node::new(name, node, index + 1, serial));
        }
        self
    }

    /// The lines that a cluster's policy file begins with, instead of those that allow everything:
    /// `actions = ["status"]`.
    #[must_use]
    pub fn policy(mut self, cluster: &str, lines: &str) -> Self {
        self.policies.insert(cluster.to_owned(), format!("{lines}\n"));
        self
    }

    /// How dom0 serves this node's disk: `qdisk` by its qemu, `tap` by a tapdisk process.
    #[must_use]
    pub fn disk_through(mut self, backend: &str, cluster: &str, node: &str) -> Self {
        let wanted = |one: &&mut Node| one.cluster == cluster && one.name == node;
        if let Some(node) = self.nodes.iter_mut().find(wanted) {
            backend.clone_into(&mut node.backend);
        }
        self
    }

    /// Leaves this node's domain unstarted.
    #[must_use]
    pub fn stopped(mut self, cluster: &str, node: &str) -> Self {
        self.stopped.push((cluster.to_owned(), node.to_owned()));
        self
    }

    /// Only the machine and the installed product: no accounts, keys, daemons or domains.
    #[must_use]
    pub fn bare(mut self) -> Self {
        self.bare = true;
        self
    }

    /// systemd as PID 1.
    #[must_use]
    pub fn systemd(mut self) -> Self {
        self.init = Init::Systemd;
        self
    }

    /// The agents go through an sshd of fencing's own; so it is by default.
    #[must_use]
    pub fn dedicated_sshd(mut self) -> Self {
        self.sshd = Sshd::Dedicated;
        self
    }

    /// The agents go through the host's own sshd.
    #[must_use]
    pub fn hosts_sshd(mut self) -> Self {
        self.sshd = Sshd::Host;
        self
    }

    /// What is to be at /dev/log; a real daemon by default.
    #[must_use]
    pub fn syslog(mut self, syslog: Syslog) -> Self {
        self.syslog = syslog;
        self
    }

    /// The network; one bridge by default. Cables lead somewhere with [`Builder::raise_two`] only.
    #[must_use]
    pub fn network(mut self, network: Network) -> Self {
        self.host.address = network.address(self.host.last);
        self.network = network;
        self
    }

    /// Raises two dom0s, xen1 and xen2, on one network, with the same clusters and the same policy. Each
    /// node runs on xen1, or on xen2 if it is named here, and its agent asks both.
    pub fn raise_two(self, on_second: &[(&str, &str)]) -> Result<(Dom0, Dom0)> {
        let mut builders = [self.clone(), self];
        let network = builders[1].network;
        builders[1].host = Host::second();
        builders[1] = builders[1].clone().network(network);
        for (cluster, node) in on_second {
            builders[0] = builders[0].clone().stopped(cluster, node);
        }
        let at_home: Vec<Node> = builders[1].nodes.clone();
        for node in at_home {
            if !on_second.contains(&(node.cluster.as_str(), node.name.as_str())) {
                builders[1] = builders[1].clone().stopped(&node.cluster, &node.name);
            }
        }
        let [first, second] = builders;
        let first = first.raise()?;
        let second = second.raise_beside(Some(&first))?;
        pair::join(&first, &second)?;
        Ok((first, second))
    }

    /// Raises the dom0, and returns when sshd listens and the domains run.
    pub fn raise(self) -> Result<Dom0> {
        self.raise_beside(None)
    }

    /// As [`Builder::raise`]; the nodes' keys are those that another dom0 has for them.
    fn raise_beside(self, other: Option<&Dom0>) -> Result<Dom0> {
        let product = Product::built()?;
        let holder = Holder::start(&product.helper(), self.init)?;
        let root = Root::of(holder.init)?;
        let way = vec![format!("--init={}", holder.init)];
        let place = Place { helper: product.helper(), way };
        let (nodes, host) = (self.nodes.clone(), self.host.clone());
        let (sshd, network) = (self.sshd, self.network);
        let dom0 = Dom0 { holder, root, place, nodes, sshd, host, network };
        if self.init == Init::Systemd {
            services::until("systemd is up", || {
                dom0.on(&["systemctl", "is-system-running"]).code == 0
            })?;
        }
        let hosts = clusters::hosts(&[&self.host], &self.nodes);
        dom0.root.write("/etc/hosts", hosts.as_bytes(), 0o644)?;
        let name = &self.host.name;
        dom0.root.write("/etc/hostname", format!("{name}\n").as_bytes(), 0o644)?;
        // systemd sets the one that the machine has.
        if *name != super::HOST || self.init == Init::Systemd {
            dom0.place.must(&["hostname", name])?;
        }
        // No name server at all: whoever asks for a name that is not in /etc/hosts hears so at once.
        dom0.root.write("/etc/resolv.conf", b"", 0o644)?;
        dom0.place.must(&["sh", "-ec", AS_NEW])?;
        product.install(dom0.holder.init)?;
        product.install_stand_in(&dom0.root, &dom0.place)?;
        if !self.bare {
            self.furnish(&dom0, other)?;
        }
        Ok(dom0)
    }

    fn furnish(&self, dom0: &Dom0, other: Option<&Dom0>) -> Result<()> {
        for node in other.map(|_| &self.nodes).into_iter().flatten() {
            for (file, mode) in [("id_ed25519", 0o600), ("id_ed25519.pub", 0o644)] {
                let path = format!("{}/{file}", node.etc());
                let key = other.map(|other| other.file(&path)).unwrap_or_default();
                dom0.root.write(&path, key.as_bytes(), mode)?;
            }
        }
        dom0.root.write("/tmp/set-up", self.script().as_bytes(), 0o755)?;
        dom0.place.must(&["sh", "-e", "/tmp/set-up"])?;
        dom0.root.remove("/tmp/set-up")?;
        let host_key = self.public_key(dom0, HOST_KEY)?;
        for (index, node) in self.nodes.iter().enumerate() {
            clusters::write_agent(&dom0.root, node, self.sshd, &[(&self.host, &host_key)])?;
            let config = node.xl_config(index + 1, self.network);
            dom0.root.write(&node.config(), config.as_bytes(), 0o644)?;
            for (file, text) in self.network.etc_of_a_domain() {
                dom0.root.write(&format!("{}/../{file}", node.etc()), text.as_bytes(), 0o644)?;
            }
        }
        for cluster in &self.clusters {
            self.write_policy(dom0, cluster)?;
        }
        dom0.place.must(&["xen-fence-admin", "acl", "apply"])?;
        services::start_syslog(self.syslog, &dom0.root, &dom0.place)?;
        if let Some(text) = self.network.of_sshd(&self.host) {
            dom0.root.write("/etc/xen-fence/sshd_config.d/host.conf", text.as_bytes(), 0o644)?;
        }
        if self.network == Network::Nat {
            dom0.start_dnsmasq()?;
        }
        services::start_sshd(self.sshd, &dom0.root, &dom0.place, dom0.holder.init)?;
        self.start_domains(dom0)
    }

    fn write_policy(&self, dom0: &Dom0, cluster: &str) -> Result<()> {
        let members: Vec<&Node> =
            self.nodes.iter().filter(|node| node.cluster == cluster).collect();
        let mut keys = BTreeMap::new();
        for node in &members {
            let path = format!("{}/id_ed25519.pub", node.etc());
            keys.insert(node.name.clone(), self.public_key(dom0, &path)?);
        }
        let first = self.policies.get(cluster).map_or(ACTIONS, String::as_str);
        let key_of = |node: &Node| keys.get(&node.name).cloned().unwrap_or_default();
        let text = clusters::policy(first, &members, &key_of);
        let path = format!("/etc/xen-fence/clusters.d/{cluster}.toml");
        dom0.root.write(&path, text.as_bytes(), 0o644)
    }

    fn public_key(&self, dom0: &Dom0, path: &str) -> Result<String> {
        let bytes = dom0.root.read(path).doing(format!("read {path} in dom0"))?;
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    }

    /// Keys, bridges and disks, as an administrator would make them; the accounts are `acl apply`'s.
    fn script(&self) -> String {
        let mut lines = vec![
            "key() { test -e \"$1\" || ssh-keygen -q -t ed25519 -N '' -C \"$2\" -f \"$1\"; }"
                .to_owned(),
            format!("key /etc/ssh/ssh_host_ed25519_key root@{} &", self.host.name),
        ];
        lines.extend(self.network.script(&self.host));
        for node in &self.nodes {
            lines.push(format!("truncate --size=64K {}", node.disk()));
            lines.push(format!("mkdir -p {}", node.etc()));
            lines.push(format!("key {}/id_ed25519 {} &", node.etc(), node.name));
        }
        lines.push("wait\n".to_owned());
        lines.join("\n")
    }

    fn start_domains(&self, dom0: &Dom0) -> Result<()> {
        for node in &self.nodes {
            let stays_off =
                |(cluster, name): &(String, String)| (cluster, name) == (&node.cluster, &node.name);
            if !self.stopped.iter().any(stays_off) {
                dom0.place.must(&["xl", "create", &node.config()])?;
            }
        }
        Ok(())
    }
}
