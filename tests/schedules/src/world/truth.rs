//! The promises, checked against what really is: what lives, what was said into which session, what
//! is on disk. No word of a broker counts here but as that which is checked.

use super::World;
use crate::cast::{self, NODES};
use libc::c_int;
use xen_fence_broker::journal::{Event as Recorded, Record, hash};
use xen_fence_protocol::{Action, Body, ClientLine, How, Note, READY_SILENCE, Reply, WAIT_IN_ALL};

/// What is known of a schedule so far.
#[derive(Default)]
pub struct Truth {
    /// The promises that broke, and how.
    pub broken: Vec<String>,
    /// Lives that a broker's xl has ended: the broker, the life.
    pub kills: Vec<(usize, usize)>,
    /// What was said to be fenced.
    pub proofs: Vec<Proof>,
    pub holds: Vec<Held>,
    /// When each token of a power-on was written, on which host.
    tokens: Vec<Token>,
    /// Since when each life was about to be.
    causes: Vec<u64>,
}

/// What stands for a power-on that a broker plans, from then on.
struct Token {
    host: usize,
    name: String,
    broker: usize,
    at: u64,
}

/// A node that was said to be fenced.
pub struct Proof {
    host: usize,
    node: usize,
    broker: usize,
    /// When its broker last began to look.
    looked: u64,
    at: u64,
    /// It had been killed, and not just been absent.
    killed: bool,
}

/// A node that root holds.
pub struct Held {
    pub host: usize,
    pub node: usize,
    pub at: u64,
    /// It may be killed, and is left off.
    pub kills: bool,
}

/// From go to the kill there is a record, a listing, a power-on to be called off.
const SOON: u64 = 40_000_000;
/// What a poll's milliseconds round up.
const ROUNDED: u64 = 2_000;

impl World {
    /// A promise is broken.
    pub(super) fn breaks(&mut self, promise: &str, how: &str) {
        tell!(self, "BROKEN: {promise}: {how}");
        self.truth.broken.push(format!("{promise}: {how}"));
    }

    fn target(&self, broker: usize) -> Option<usize> {
        let one = &self.brokers[broker];
        cast::named(one.who.cluster(), one.request.as_ref()?.node()?.as_str())
    }

    fn action(&self, broker: usize) -> Option<Action> {
        self.brokers[broker].request.as_ref().map(xen_fence_protocol::Request::action)
    }

    /// The life of the node that asks; none of an operator.
    fn asker(&self, broker: usize) -> Option<usize> {
        self.agents[self.conns[self.brokers[broker].conn].agent].life
    }

    /// A broker hears a line of its agent.
    pub(super) fn has_heard(&mut self, broker: usize, line: &ClientLine) {
        let now = self.now;
        let one = &mut self.brokers[broker];
        match line {
            ClientLine::Request(request) => {
                one.request.get_or_insert_with(|| request.clone());
            }
            ClientLine::Wait(_) if one.go.is_none() && one.ready.is_some() => {
                let in_time = now <= one.word + READY_SILENCE.as_micros() as u64 + ROUNDED;
                if in_time {
                    one.word = now;
                }
            }
            ClientLine::Go(_) | ClientLine::GoOff(_) | ClientLine::GoLater(_)
                if one.ready.is_some() =>
            {
                one.go.get_or_insert((now, one.held_up));
            }
            _ => {}
        }
    }

    /// A broker says a line to its agent.
    pub(super) fn has_said_line(&mut self, broker: usize, reply: &Reply, bytes: &[u8]) {
        let now = self.now;
        let said = String::from_utf8_lossy(bytes).into_owned();
        let own = self.brokers[broker].who.cluster();
        for (node, (cluster, _)) in NODES.iter().enumerate() {
            if *cluster != own
                && [cast::domain(node), cast::uuid(node)].iter().any(|name| said.contains(name))
            {
                self.breaks("8, a tenant sees only its own", &said);
            }
        }
        match &reply.body {
            Body::Ready { .. } => {
                let one = &mut self.brokers[broker];
                (one.ready, one.word, one.listed_for_ready) = (Some(now), now, one.listed);
            }
            Body::Note { about: Note::Journal, .. } => self.brokers[broker].lacks_record = true,
            Body::Fenced { node, how } => {
                let Some(node) = cast::named(own, node.as_str()) else {
                    return self.breaks("8, a tenant sees only its own", &said);
                };
                self.is_said_fenced(broker, node, *how);
            }
            _ => {}
        }
    }

    /// Promise 1, when it is said.
    fn is_said_fenced(&mut self, broker: usize, node: usize, how: How) {
        let (host, looked, listed) =
            (self.brokers[broker].host, self.brokers[broker].looked, self.brokers[broker].listed);
        let accepted = self.conns[self.brokers[broker].conn].accepted;
        let go = self.brokers[broker].go.map_or(u64::MAX, |(at, _)| at);
        if matches!(how, How::Killed | How::Absent) && listed < go {
            let name = self.name(broker);
            self.breaks(
                "1, no false success",
                &format!("{name} says fenced, and has not looked since go"),
            );
        }
        for life in 0..self.lives.len() {
            let one = &self.lives[life];
            if (one.host, one.node) != (host, node) || !self.can_write(life) {
                continue;
            }
            let domid = one.domid;
            let old = match how {
                How::Killed | How::Absent => one.born <= listed,
                // What was started since counts as reset.
                How::Joined => one.born < accepted && !self.is_started_since(life),
                How::Shell => false,
            };
            let comes = matches!(how, How::Killed | How::Absent)
                && self.truth.causes[life] < looked
                && self.lives[life].started_by != Some(broker);
            if old || comes {
                let what = if old { "can still write" } else { "was about to live" };
                let name = self.name(broker);
                self.breaks(
                    "1, no false success",
                    &format!("{name} says fenced, and domain {domid} {what}"),
                );
            }
        }
        let at = self.now;
        if matches!(how, How::Killed | How::Absent) {
            let killed = how == How::Killed;
            self.truth.proofs.push(Proof { host, node, broker, looked, at, killed });
        }
    }

    /// Whether a power-on, or root, has begun to start it when its node had been proven dead.
    fn is_started_since(&self, life: usize) -> bool {
        let one = &self.lives[life];
        let since = |proof: &Proof| {
            (proof.host, proof.node) == (one.host, one.node)
                && self.truth.causes[life] >= proof.looked
        };
        one.started_by.is_some() || self.truth.proofs.iter().any(since)
    }

    /// Promise 1, behind what was said: nothing that was there before the proof brings a node back.
    pub(super) fn has_come_back(&mut self, life: usize, cause: u64) {
        let (host, node, by) =
            (self.lives[life].host, self.lives[life].node, self.lives[life].started_by);
        let planned = by.and_then(|broker| {
            let id = self.brokers[broker].request.as_ref()?.id().to_string();
            let tokens = &self.truth.tokens;
            let token =
                tokens.iter().find(|token| token.host == host && token.name.ends_with(&id))?;
            Some(token.at)
        });
        let cause = planned.unwrap_or(cause);
        self.truth.causes.resize(self.lives.len(), 0);
        self.truth.causes[life] = cause;
        let proof = self.truth.proofs.iter().find(|proof| {
            (proof.host, proof.node) == (host, node)
                && cause < proof.looked
                && Some(proof.broker) != by
        });
        if let Some(proof) = proof {
            let (name, domid) = (self.name(proof.broker), self.lives[life].domid);
            self.breaks(
                "1, no false success",
                &format!("{name} said fenced, and what was there before has made domain {domid}"),
            );
        }
    }

    /// Promise 1, for the agent: what lived when it began to ask is dead.
    pub(super) fn is_content(&mut self, agent: usize) {
        let asks = &self.agents[agent];
        let node =
            asks.request.node().and_then(|node| cast::named(asks.who.cluster(), node.as_str()));
        let begun = asks.begun.unwrap_or(0);
        for life in 0..self.lives.len() {
            let one = &self.lives[life];
            let old = one.born < begun && !self.is_started_since(life);
            if Some(one.node) == node && old && self.can_write(life) {
                let (name, domid) = (self.agent_name(agent), self.lives[life].domid);
                self.breaks(
                    "1, no false success",
                    &format!("{name} is content, and domain {domid} can still write"),
                );
            }
        }
    }

    /// Promises 2, 4, 6, 7 and the holds, when a destroy is about to begin.
    pub(super) fn is_going_to_kill(&mut self, broker: usize, domid: u32) {
        let host = self.brokers[broker].host;
        let name = self.name(broker);
        let aimed = self.lives.iter().position(|life| (life.host, life.domid) == (host, domid));
        let (target, action) = (self.target(broker), self.action(broker));
        let granted = target.zip(action).is_some_and(|(node, action)| {
            action.kills() && self.brokers[broker].who.may(action, node)
        });
        if !granted || aimed.map(|life| self.lives[life].node) != target {
            self.breaks("2, no effect without a grant", &format!("{name} destroys domain {domid}"));
            return;
        }
        if !std::mem::replace(&mut self.brokers[broker].has_begun, true) {
            self.has_right_to_begin(broker, &name);
        }
        if let Some(life) = aimed {
            self.is_not_its_second(broker, life, &name);
        }
        let held =
            self.truth.holds.iter().find(|held| (held.host, Some(held.node)) == (host, target));
        let since = self.brokers[broker].go.map_or(0, |(at, _)| at);
        if held.is_some_and(|held| !held.kills && held.at < since) && !self.holds_may_lack(host) {
            self.breaks("a hold binds", &format!("{name} kills what is held"));
        }
        if !self.has_record(broker, Recorded::Intent) {
            let said = self.brokers[broker].lacks_record
                || self.hosts[host].syslog.iter().any(|line| line.contains("NOT in the journal"));
            if !self.records_may_lack(host) || (!said && self.hosts[host].has_syslog) {
                self.breaks("7, written before done", &format!("{name} has no intent on record"));
            }
        }
    }

    /// Promise 6: a go that has just been said into this very session; and nobody dead kills.
    fn has_right_to_begin(&mut self, broker: usize, name: &str) {
        let one = &self.brokers[broker];
        let (Some(ready), Some((heard, held_up))) = (one.ready, one.go) else {
            return self.breaks("6, no late kill", &format!("{name} kills without a go"));
        };
        let conn = &self.conns[one.conn];
        let said = if self.agents[conn.agent].rude {
            // What a rude agent said too early, and was still on its way when ready was said, looks
            // to the broker like an answer. What had arrived before the listing had not.
            conn.gos_arrived.iter().any(|arrived| *arrived >= one.listed_for_ready)
        } else {
            conn.gos.iter().any(|said| (ready..=heard).contains(said))
        };
        let silence = READY_SILENCE.as_micros() as u64 + ROUNDED;
        let in_all = WAIT_IN_ALL.as_micros() as u64 + ROUNDED;
        let late = heard > one.word + silence || heard > ready + in_all;
        let slow = self.now - heard > SOON + (one.held_up - held_up);
        if !said || late || slow {
            return self
                .breaks("6, no late kill", &format!("{name} kills by a go that is none, or late"));
        }
        let asker = self.asker(broker);
        let dead = asker.is_some_and(|life| {
            let (life, host) = (&self.lives[life], self.brokers[broker].host);
            life.killed_by.is_some_and(|_| life.host == host && life.ended < heard)
        });
        // Who asks for its own end may be killed by another of its own.
        if dead && asker.map(|life| self.lives[life].node) != self.target(broker) {
            self.breaks("5, never both", &format!("{name} kills for a node that was killed"));
        }
    }

    /// Promise 4: what was born after a request had killed is not killed by it.
    fn is_not_its_second(&mut self, broker: usize, life: usize, name: &str) {
        let (host, node) = (self.lives[life].host, self.lives[life].node);
        let id = |broker: usize| {
            self.brokers[broker].request.as_ref().map(xen_fence_protocol::Request::id)
        };
        let of_node = |proof: &&Proof| (proof.host, proof.node) == (host, node);
        let own = |proof: &&Proof| id(proof.broker) == id(broker) && proof.broker != broker;
        let Some(last) = self.truth.proofs.iter().filter(of_node).rfind(own) else { return };
        // What is remembered is the last fence of each node.
        let other = self
            .truth
            .proofs
            .iter()
            .filter(of_node)
            .any(|proof| !own(&proof) && proof.at > last.looked);
        // What somebody begins to start between ready and go is not foreseen.
        let comes_late = self.truth.causes[life] >= self.brokers[broker].listed_for_ready;
        let second = last.killed && self.lives[life].born > last.at;
        if second && !other && !comes_late && !self.memory_may_lack(host) {
            self.breaks("4, one request, one kill", &format!("{name} kills again"));
        }
    }

    /// Promise 5, when a domain has died of a destroy.
    pub(super) fn has_killed(&mut self, broker: usize, life: usize) {
        let asker = self.asker(broker);
        let both = self.truth.kills.iter().any(|(other, victim)| {
            Some(*victim) == asker && self.asker(*other) == Some(life) && *victim != life
        });
        self.truth.kills.push((broker, life));
        // A destroy that outlives the broker that began it comes when nobody holds a lock for it.
        if both && !self.brokers[broker].is_dead {
            let name = self.name(broker);
            self.breaks("5, never both", &format!("{name} kills who has killed its asker"));
        }
    }

    /// Promise 2, for a power-on; and that it follows a proof.
    pub(super) fn is_going_to_create(&mut self, broker: usize, node: usize) {
        let (name, host) = (self.name(broker), self.brokers[broker].host);
        let action =
            self.action(broker).filter(|action| matches!(action, Action::Reset | Action::On));
        let granted = action.is_some_and(|action| self.brokers[broker].who.may(action, node));
        if !granted || self.target(broker) != Some(node) {
            self.breaks(
                "2, no effect without a grant",
                &format!("{name} starts {}", NODES[node].1),
            );
        }
        let go = self.brokers[broker].go.map_or(u64::MAX, |(at, _)| at);
        if go == u64::MAX {
            self.breaks("6, no late kill", &format!("{name} starts a node without a go"));
        }
        let held = self
            .truth
            .holds
            .iter()
            .any(|held| (held.host, held.node) == (host, node) && held.at < go);
        if held && !self.holds_may_lack(host) {
            self.breaks("a hold binds", &format!("{name} starts what is held"));
        }
    }

    /// What a broker may kill besides domains: its own programs, and power-ons of its cluster.
    pub(super) fn has_been_killed(&mut self, by: usize, of: usize, is_create: bool) {
        let own = of == by;
        let cluster = |broker: usize| self.brokers.get(broker).map(|one| one.who.cluster());
        let powers_on_there = is_create && cluster(of) == cluster(by);
        if !(own || powers_on_there) {
            let name = self.name(by);
            self.breaks(
                "2, no effect without a grant",
                &format!("{name} kills a process that is not its own"),
            );
        }
    }

    /// Promise 8: what a broker reads and writes is its cluster's.
    pub fn looks_into(&mut self, broker: usize, path: &str) {
        let own = self.brokers[broker].who.cluster();
        let other = cast::CLUSTERS.iter().find(|cluster| **cluster != own);
        let name = path.rsplit('/').next().unwrap_or_default();
        if path.contains("xen-fence/") && other.is_some_and(|other| name.starts_with(other)) {
            self.breaks(
                "8, a tenant sees only its own",
                &format!("{} opens {path}", self.name(broker)),
            );
        }
        if let Some(token) =
            path.strip_prefix("/run/xen-fence/starts/").and_then(|name| name.strip_suffix(".new"))
        {
            let (host, at, name) = (self.brokers[broker].host, self.now, token.to_owned());
            let tokens = &mut self.truth.tokens;
            if !tokens
                .iter()
                .any(|one| (one.host, one.broker) == (host, broker) && one.name == name)
            {
                tokens.retain(|one| one.host != host || one.name != name);
                tokens.push(Token { host, name, broker, at });
            }
        }
    }

    /// A file's name is gone; a token that is made under it again is another one.
    pub fn forgets(&mut self, host: usize, path: &str) {
        if let Some(gone) = path.strip_prefix("/run/xen-fence/starts/") {
            self.truth.tokens.retain(|token| token.host != host || token.name != gone);
        }
    }

    /// A broker begins to look at all processes.
    pub fn looks_at_processes(&mut self, broker: usize) -> Result<(), c_int> {
        if !self.calm && self.choices.once_in(400) {
            return Err(libc::EMFILE);
        }
        self.brokers[broker].scanned = self.now;
        Ok(())
    }

    fn records(&self, host: usize, cluster: &str) -> Vec<Record> {
        let text =
            self.hosts[host].disk.text(&format!("/var/lib/xen-fence/journal/{cluster}.jsonl"));
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn has_record(&self, broker: usize, event: Recorded) -> bool {
        let one = &self.brokers[broker];
        let id = one.request.as_ref().map(|request| request.id().to_string());
        let is_it = |record: &Record| {
            record.event == Some(event) && record.pid == Some(one.pid) && record.request == id
        };
        self.records(one.host, one.who.cluster()).iter().any(is_it)
    }

    /// Promises 3 and 7, when a broker has served: what it began has an end on record.
    pub(super) fn has_served(&mut self, broker: usize) {
        let host = self.brokers[broker].host;
        if self.records_may_lack(host) || !self.has_record(broker, Recorded::Intent) {
            return;
        }
        let ended =
            self.has_record(broker, Recorded::Outcome) || self.has_record(broker, Recorded::Start);
        if !ended {
            let name = self.name(broker);
            self.breaks(
                "7, written before done",
                &format!("{name} has an intent and no outcome on record"),
            );
        }
    }

    /// Promise 7, behind it all: the chain is whole, and what was cut short is closed.
    pub(super) fn reads_journal(&mut self, host: usize, cluster: &str) {
        let text =
            self.hosts[host].disk.text(&format!("/var/lib/xen-fence/journal/{cluster}.jsonl"));
        let (mut before, mut number) = (String::new(), 0);
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Ok(record) = serde_json::from_str::<Record>(line) {
                if record.prev != before || record.n != number + 1 {
                    return self
                        .breaks("7, written before done", &format!("the chain breaks at {line}"));
                }
                number = record.n;
            }
            before = hash(line.as_bytes());
        }
        let open = self.records(host, cluster).pop().map(|last| last.open).unwrap_or_default();
        if !open.is_empty() {
            self.breaks(
                "7, written before done",
                &format!("nobody says what became of {}", open[0].words()),
            );
        }
    }
}
