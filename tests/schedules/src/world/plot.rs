//! What a schedule has in store: who asks what when, what ails the hosts, what comes in between; and
//! how it ends, in calm.

use super::faults::{HOLDS, JOURNAL, Mood, Moods, PARTS, RUN};
use super::hosts::Host;
use super::{Event, World};
use crate::cast::{self, NODES, Who};
use xen_fence_protocol::Action;

/// Something that happens without anybody's asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// A node's guest reboots itself.
    Reboots(usize),
    /// It powers itself off.
    Ends(usize),
    /// Root creates it by hand.
    IsCreated(usize, usize),
    /// A connection is cut, if there are so many.
    Cut(usize),
    /// An agent's process is killed.
    AgentKilled(usize),
    /// A broker's process is killed.
    BrokerKilled(usize),
    /// Root holds a node: it is not to be killed, or to be left off.
    Held(usize, usize, bool),
    /// A host gets well, as far as its disks go.
    Mends(usize),
}

/// What root does about the first fence that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regret {
    /// Holds the node when a broker is ready to kill it.
    Holds,
    /// Holds it when it was killed, and creates it by hand once its corpse is gone.
    Restarts,
    /// Nothing; but when that reset is long over the node ends by itself, is powered on, and reset by
    /// another meanwhile.
    Forgets,
}

/// The nodes that an operator may do everything to come first.
const OPERATED: usize = 3;
/// When a reset is long over, in microseconds: no other request is content with it.
const OLD: u64 = 12_000_000;
const BEGINS: [u64; 8] = [0, 0, 3_000, 60_000, 800_000, 2_500_000, 9_000_000, 35_000_000];
const COMES: [u64; 8] =
    [100_000, 20_000, 35_000, 60_000, 600_000, 1_800_000, 5_000_000, 40_000_000];
const MOODS: [Mood; 5] = [Mood::Fine, Mood::Full, Mood::ReadOnly, Mood::Errs, Mood::Hangs];

impl World {
    /// Sets the scene.
    pub(super) fn begins(&mut self) {
        let hosts = if self.choices.once_in(4) { 2 } else { 1 };
        let brake = self.choices.once_in(10);
        for number in 0..hosts {
            self.hosts.push(Host::new(number, brake));
            self.ails(number);
        }
        self.haste = [40, 12, 200][self.choices.below(3) as usize];
        self.crashes = self.choices.seldom(3, 3);
        self.regret = [None, Some(Regret::Holds), Some(Regret::Restarts), Some(Regret::Forgets)]
            [self.choices.seldom(8, 4) as usize];
        for node in 0..NODES.len() {
            let place = self.choices.seldom(4, hosts as u32 + 1) as usize;
            if place < hosts {
                let life = self.is_born(node, place, Some(cast::domain(node)), None, 0);
                self.is_watched(life);
            }
        }
        for _ in 0..=self.choices.seldom(2, 4) {
            self.somebody_asks();
        }
        for _ in 0..self.choices.seldom(2, 4) {
            self.something_comes();
        }
    }

    fn ails(&mut self, host: usize) {
        let mut moods = Moods::default();
        for part in 0..PARTS.len() {
            moods.disk[part] = MOODS[self.choices.seldom(12, 5) as usize];
        }
        moods.no_tasks = self.choices.once_in(50);
        self.hosts[host].has_syslog = !self.choices.once_in(20);
        if moods.disk.iter().any(|mood| *mood != Mood::Fine) {
            tell!(self, "{}: {:?}", Self::host_name(host), moods.disk);
        }
        self.hosts[host].moods = moods;
    }

    fn somebody_asks(&mut self) {
        let who = match self.choices.below(12) {
            0..=2 => Who::Node(0),
            3..=5 => Who::Node(1),
            6 => Who::Node(2),
            7..=8 => Who::Ops,
            9 => Who::Node(3),
            10 => Who::Watch,
            _ => Who::Stranger,
        };
        let action = match self.choices.below(12) {
            0..=4 => Action::Off,
            5..=8 => Action::Reset,
            9 => Action::On,
            10 => Action::Status,
            _ => Action::Check,
        };
        let opponent = if who == Who::Node(1) { "node1" } else { "node2" };
        let usual = if who == Who::Node(3) { "db1" } else { opponent };
        let node = ["node1", "node2", "node3", "db1", "nobody"];
        let node = match self.choices.seldom(3, 6) {
            0 => usual,
            other => node[other as usize - 1],
        };
        let begins = BEGINS[self.choices.below(8) as usize];
        self.will_ask(self.now + begins, who, action, Some(node));
    }

    fn something_comes(&mut self) {
        let kind = self.choices.below(8);
        let which = self.choices.below(4) as usize;
        let host = which % self.hosts.len();
        let deed = match kind {
            0 => Deed::Reboots(which),
            1 => Deed::Cut(which),
            2 => Deed::AgentKilled(which),
            3 => Deed::BrokerKilled(which),
            4 => Deed::Ends(which),
            5 => Deed::IsCreated(host, which),
            6 => Deed::Held(host, which, self.choices.once_in(2)),
            _ => Deed::Mends(host),
        };
        let comes = COMES[self.choices.below(8) as usize];
        self.after(comes, Event::Plot(deed));
    }

    pub(super) fn is_done(&mut self, deed: Deed) {
        match deed {
            Deed::Reboots(node) | Deed::Ends(node) => {
                if let Some(life) = self.life_of(node) {
                    self.ends_by_itself(life, matches!(deed, Deed::Reboots(_)));
                }
            }
            Deed::IsCreated(host, node) => self.root_creates(host, node),
            Deed::Cut(conn) if conn < self.conns.len() => self.cuts(conn),
            Deed::AgentKilled(agent) if agent < self.agents.len() => self.agent_is_killed(agent),
            Deed::BrokerKilled(broker) if broker < self.brokers.len() => {
                if !self.brokers[broker].is_over() {
                    tell!(self, "{} is killed", self.name(broker));
                    self.broker_is_gone(broker, true);
                    self.wakes(broker, self.now);
                }
            }
            Deed::Held(host, node, kills) => self.is_held(host, node, kills),
            Deed::Mends(host) => self.hosts[host].moods.disk = [Mood::Fine; 4],
            Deed::Cut(_) | Deed::AgentKilled(_) | Deed::BrokerKilled(_) => {}
        }
    }

    /// A broker is ready to kill a node.
    pub(super) fn is_about_to_die(&mut self, broker: usize) {
        let target = self.target(broker).filter(|_| self.regret == Some(Regret::Holds));
        if let Some(node) = target {
            self.regret = None;
            self.will_hold(self.brokers[broker].host, node);
        }
    }

    /// A node was killed.
    pub(super) fn is_missed(&mut self, life: usize) {
        if self.regret == Some(Regret::Restarts) {
            self.regret = None;
            self.will_hold(self.lives[life].host, self.lives[life].node);
            self.lives[life].is_wanted = true;
        }
    }

    /// A reset has powered its node on.
    pub(super) fn is_up_again(&mut self, broker: usize) {
        let resets = self.action(broker) == Some(Action::Reset) && !self.calm;
        let target = self.target(broker).filter(|node| resets && *node < OPERATED);
        let Some(node) = target.filter(|_| self.regret == Some(Regret::Forgets)) else { return };
        self.regret = None;
        let old = self.now + OLD;
        self.at(old, Event::Plot(Deed::Ends(node)));
        let (name, another) = (Some(NODES[node].1), Who::Node(usize::from(node == 0)));
        self.will_ask(old + BEGINS[3], Who::Ops, Action::On, name);
        let asks = BEGINS[self.choices.below(6) as usize];
        self.will_ask(old + BEGINS[3] + asks, another, Action::Reset, name);
    }

    fn will_hold(&mut self, host: usize, node: usize) {
        let comes = [1_000, 50_000, 1_000_000][self.choices.below(3) as usize];
        self.after(comes, Event::Plot(Deed::Held(host, node, false)));
    }

    fn is_held(&mut self, host: usize, node: usize, kills: bool) {
        let (cluster, name) = NODES[node];
        let word = if kills { "off" } else { "refuse" };
        let path = format!("/var/lib/xen-fence/holds/{cluster}.json");
        let text = format!(
            "{{\"holds\":[{{\"node\":\"{name}\",\"by\":\"alice\",\"why\":\"upgrade\",\"set\":1,\
             \"until\":9000000000,\"on_fence\":\"{word}\"}}]}}\n"
        );
        tell!(self, "root holds {name} on {} ({word})", Self::host_name(host));
        self.hosts[host].disk.put(&path, &text);
        // One file holds all of a cluster's: this one takes the place of an earlier one.
        self.truth.holds.retain(|held| (held.host, NODES[held.node].0) != (host, cluster));
        let at = self.now;
        self.truth.holds.push(super::truth::Held { host, node, at, kills });
    }

    /// Nothing fails any more. Where brokers were killed somebody asks once more, so that the journal
    /// comes in order.
    pub(super) fn calms_down(&mut self) {
        self.calm = true;
        if !self.truth.broken.is_empty() {
            return;
        }
        self.now += 1_000_000;
        for host in 0..self.hosts.len() {
            self.hosts[host].moods.disk = [Mood::Fine; 4];
            // Where every broker has recorded its end, the journal has to be in order by now.
            let killed = self.brokers.iter().any(|broker| broker.host == host && broker.is_dead);
            if !killed && !self.records_may_lack(host) {
                continue;
            }
            let agent = self.will_ask(self.now, Who::Ops, Action::List, None);
            self.agents[agent].only_on = Some(host);
        }
    }

    /// Looks at what is left, and lets go of what hangs.
    pub(super) fn ends(&mut self) {
        for broker in 0..self.brokers.len() {
            let one = &self.brokers[broker];
            if !one.is_over() && self.truth.broken.is_empty() {
                let name = self.name(broker);
                self.breaks("every request ends", &format!("{name} hangs"));
            }
        }
        for host in 0..self.hosts.len() {
            if self.truth.broken.is_empty() {
                self.reads_journal(host, "alpha");
            }
        }
        for broker in &mut self.brokers {
            for hung in broker.open.hung.drain(..) {
                hung.let_go();
            }
        }
    }

    /// Whether records can be missing on a host.
    pub(super) fn records_may_lack(&self, host: usize) -> bool {
        let moods = &self.hosts[host].moods;
        moods.has_failed[JOURNAL] || moods.no_tasks
    }

    /// Whether what brokers leave for each other can be missing on a host.
    pub(super) fn memory_may_lack(&self, host: usize) -> bool {
        self.hosts[host].moods.has_failed[RUN]
    }

    /// Whether holds may not have been read.
    pub(super) fn holds_may_lack(&self, host: usize) -> bool {
        let moods = &self.hosts[host].moods;
        moods.has_failed[HOLDS] || moods.no_tasks
    }
}
