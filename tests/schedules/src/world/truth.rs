//! The promises, checked against what really is: what lives, what was said into which session, what
//! is on disk. No word of a broker counts here but as that which is checked.

use super::World;
use super::truth_kills::ROUNDED;
use crate::cast::{self, NODES};
use libc::c_int;
use xen_fence_protocol::{Action, Body, ClientLine, How, Note, READY_SILENCE, Reply};

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
    pub causes: Vec<u64>,
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
    pub host: usize,
    pub node: usize,
    pub broker: usize,
    /// When its broker last began to look.
    pub looked: u64,
    pub at: u64,
    /// It had been killed, and not just been absent.
    pub killed: bool,
}

/// A node that root holds.
pub struct Held {
    pub host: usize,
    pub node: usize,
    pub at: u64,
    /// It may be killed, and is left off.
    pub kills: bool,
}

impl World {
    /// A promise is broken.
    pub(super) fn breaks(&mut self, promise: &str, how: &str) {
        tell!(self, "BROKEN: {promise}: {how}");
        self.truth.broken.push(format!("{promise}: {how}"));
    }

    pub(super) fn target(&self, broker: usize) -> Option<usize> {
        let one = &self.brokers[broker];
        cast::named(one.who.cluster(), one.request.as_ref()?.node()?.as_str())
    }

    pub(super) fn action(&self, broker: usize) -> Option<Action> {
        self.brokers[broker].request.as_ref().map(xen_fence_protocol::Request::action)
    }

    /// The life of the node that asks; none of an operator.
    pub(super) fn asker(&self, broker: usize) -> Option<usize> {
        self.agents[self.conns[self.brokers[broker].conn].agent].life
    }

    /// A broker hears a line of its agent.
    pub(super) fn has_heard(&mut self, broker: usize, line: &ClientLine) {
        let now = self.now;
        let one = &mut self.brokers[broker];
        match line {
            ClientLine::Request(request) if one.request.is_none() => {
                (one.request, one.asked) = (Some(request.clone()), now);
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
                self.is_about_to_die(broker);
            }
            Body::Note { about: Note::Journal, .. } => self.brokers[broker].lacks_record = true,
            Body::Started { .. } => {
                self.brokers[broker].said_started = Some(now);
                self.is_up_again(broker);
            }
            Body::Fenced { node, how } => {
                self.brokers[broker].said_fenced = Some(now);
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
        if how == How::Joined {
            self.is_said_joined(broker, host, node);
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
        // Without what they leave for each other, brokers do not wait for each other's proofs.
        if let Some(proof) = proof.filter(|_| !self.memory_may_lack(host)) {
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

    /// A broker has a lock.
    pub fn has_locked(&mut self, broker: usize, inode: usize) {
        let one = &mut self.brokers[broker];
        let path = format!("/run/xen-fence/{}.lock", one.who.cluster());
        if self.hosts[one.host].disk.find(&path) == Some(inode) {
            one.locked = self.now;
        }
    }

    /// A broker begins to look at the plans of power-ons.
    pub fn looks_at_plans(&mut self) -> Result<(), c_int> {
        if !self.calm && self.choices.once_in(400) { Err(libc::ENOMEM) } else { Ok(()) }
    }

    /// A broker begins to look at all processes.
    pub fn looks_at_processes(&mut self, broker: usize) -> Result<(), c_int> {
        if !self.calm && self.choices.once_in(400) {
            return Err(libc::EMFILE);
        }
        self.brokers[broker].scanned = self.now;
        Ok(())
    }
}
