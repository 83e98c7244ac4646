//! What really lives on the hosts: each life of a node, what of it can still write, what would bring
//! it back. Brokers see of this what a toolstack and /proc show.

use super::{Event, World};
use crate::cast;

/// One life of a node: one domain.
pub struct Life {
    pub node: usize,
    pub host: usize,
    pub domid: u32,
    /// What its domain is called; nothing once that is gone, or not yet there.
    pub called: Option<String>,
    pub born: u64,
    /// When it was destroyed, or has ended by itself.
    pub ended: u64,
    pub state: State,
    /// The device model that serves its disk, if one does.
    pub writer: Option<i32>,
    /// The xl process that watches over it.
    pub monitor: Option<i32>,
    /// The broker whose destroy ended it.
    pub killed_by: Option<usize>,
    /// The request whose power-on it is.
    pub started_by: Option<usize>,
    /// Root creates the node by hand as soon as this life has left nothing behind.
    pub is_wanted: bool,
}

/// How far a life is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Runs,
    /// It was destroyed, and its row stays while a write is in flight.
    Dying,
    /// Nothing is left of it but perhaps a device model.
    Gone,
}

/// How long a corpse stays: microseconds.
const CORPSE: [u64; 5] = [800, 40_000, 700_000, 4_000_000, 25_000_000];
/// How much later its device model ends.
const WRITER: [u64; 4] = [500, 30_000, 900_000, 5_000_000];
/// How long a guest that reboots itself is in no listing.
const GAP: [u64; 4] = [200_000, 20_000, 1_500_000, 6_000_000];

impl Life {
    /// Whether the guest runs.
    pub fn runs(&self) -> bool {
        self.state == State::Runs
    }
}

impl World {
    /// The life that runs of a node.
    pub(super) fn life_of(&self, node: usize) -> Option<usize> {
        self.lives.iter().rposition(|life| life.node == node && life.runs())
    }

    /// Whether a write of it can still land.
    pub(super) fn can_write(&self, life: usize) -> bool {
        let life = &self.lives[life];
        let serves = |pid| self.hosts[life.host].procs.runs(pid);
        life.state != State::Gone || life.writer.is_some_and(serves)
    }

    /// A node begins to live. `cause` is since when something was there that would bring this about.
    pub(super) fn is_born(
        &mut self,
        node: usize,
        host: usize,
        called: Option<String>,
        started_by: Option<usize>,
        cause: u64,
    ) -> usize {
        let domid = self.hosts[host].next_domid;
        self.hosts[host].next_domid += 1;
        let now = self.now;
        let (number, name) = (domid.to_string(), cast::domain(node));
        // The second node's disk is served by a device model.
        let writer = (node == 1).then(|| {
            let args = ["qemu", "-xen-domid", &number, "-name", &name];
            self.hosts[host].procs.begin(now, 1, "qemu-system-i38", &args)
        });
        self.lives.push(Life {
            node,
            host,
            domid,
            called,
            born: now,
            ended: u64::MAX,
            state: State::Runs,
            writer,
            monitor: None,
            killed_by: None,
            started_by,
            is_wanted: false,
        });
        let life = self.lives.len() - 1;
        tell!(self, "{name} begins to live on {} as domain {domid}", Self::host_name(host));
        self.has_come_back(life, cause);
        life
    }

    /// The xl process that watches over a domain, and gives it a new life when it reboots.
    pub(super) fn is_watched(&mut self, life: usize) {
        let (host, now) = (self.lives[life].host, self.now);
        let config = cast::config(self.lives[life].node);
        let pid = self.hosts[host].procs.begin(now, 1, "xl", &["/usr/sbin/xl", "create", &config]);
        let log = format!("/var/log/xen/xl-{}.log", cast::domain(self.lives[life].node));
        if let Some(proc) = self.hosts[host].procs.all.get_mut(&pid) {
            proc.files.push(log);
        }
        self.lives[life].monitor = Some(pid);
    }

    /// A domain is destroyed, by a broker's xl or by something else.
    pub(super) fn is_destroyed(&mut self, life: usize, by: Option<usize>) {
        if self.lives[life].state != State::Runs {
            return;
        }
        tell!(self, "domain {} is destroyed", self.lives[life].domid);
        self.lives[life].state = State::Dying;
        self.lives[life].ended = self.now;
        self.lives[life].called = None;
        self.lives[life].killed_by = by;
        if let Some(broker) = by {
            self.has_killed(broker, life);
            self.is_missed(life);
        }
        let corpse = CORPSE[self.choices.seldom(4, 5) as usize];
        self.after(corpse, Event::Buried(life));
        if let Some(monitor) = self.lives[life].monitor {
            let host = self.lives[life].host;
            let ends = [2_000, 60_000, 800_000][self.choices.seldom(6, 3) as usize];
            self.after(ends, Event::MonitorEnds(host, monitor));
        }
    }

    /// Nothing of a domain is in any listing any more.
    pub(super) fn is_buried(&mut self, life: usize) {
        tell!(self, "domain {} is gone", self.lives[life].domid);
        self.lives[life].state = State::Gone;
        self.lives[life].called = None;
        if self.lives[life].writer.is_some() {
            let ends = WRITER[self.choices.seldom(4, 4) as usize];
            self.after(ends, Event::WriterEnds(life));
        }
        if self.lives[life].is_wanted {
            self.root_creates(self.lives[life].host, self.lives[life].node);
        }
    }

    pub(super) fn writer_ends(&mut self, life: usize) {
        let host = self.lives[life].host;
        if let Some(writer) = self.lives[life].writer {
            self.hosts[host].procs.all.remove(&writer);
        }
    }

    /// A guest ends by itself: its monitor gives it a new life, or it stays off.
    pub(super) fn ends_by_itself(&mut self, life: usize, reboots: bool) {
        if self.lives[life].state != State::Runs {
            return;
        }
        let reboots = reboots && self.lives[life].monitor.is_some();
        let what = if reboots { "reboots" } else { "powers itself off" };
        tell!(self, "domain {} {what}", self.lives[life].domid);
        self.is_buried(life);
        match self.lives[life].monitor {
            Some(_) if reboots => {
                let gap = GAP[self.choices.below(4) as usize];
                self.after(gap, Event::Reborn(life));
            }
            Some(monitor) => {
                let host = self.lives[life].host;
                self.after(3_000, Event::MonitorEnds(host, monitor));
            }
            None => {}
        }
    }

    pub(super) fn is_reborn(&mut self, before: usize) {
        let (node, host) = (self.lives[before].node, self.lives[before].host);
        let Some(monitor) = self.lives[before].monitor else { return };
        if !self.hosts[host].procs.runs(monitor) {
            return;
        }
        if self.is_called(host, &cast::domain(node)) {
            // The name is in use: the monitor gives up.
            self.after(1_000, Event::MonitorEnds(host, monitor));
            return;
        }
        let started_by = self.lives[before].started_by;
        let since = self.lives[before].born;
        let life = self.is_born(node, host, Some(cast::domain(node)), started_by, since);
        self.lives[life].monitor = Some(monitor);
    }

    /// Whether a node lives on a host already, or a domain there has its name.
    pub(super) fn is_there(&self, host: usize, node: usize) -> bool {
        let lives =
            self.lives.iter().any(|life| (life.host, life.node) == (host, node) && life.runs());
        lives || self.is_called(host, &cast::domain(node))
    }

    fn is_called(&self, host: usize, name: &str) -> bool {
        self.lives.iter().any(|life| life.host == host && life.called.as_deref() == Some(name))
    }
}
