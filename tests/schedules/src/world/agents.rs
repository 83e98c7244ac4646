//! The agents: those that ship, by the shipped rounds, on nodes that can die under them; and rude
//! ones, that say what they like.

use super::{Event, World};
use crate::cast::Who;
use std::time::Duration;
use xen_fence_protocol::{
    AGENT_DEADLINE, Action, Body, ClientLine, Event as RoundEvent, NodeName, Outcome, Request,
    RequestId, Round, Standing, WAIT_EVERY,
};

/// One agent's process, or several one after the other that ask the same under one id.
pub struct Agent {
    pub who: Who,
    pub request: Request,
    /// The life of the node that it runs on; it ends with that. An operator lives on.
    pub life: Option<usize>,
    /// The only host that it asks, if it is to ask one.
    pub only_on: Option<usize>,
    /// When it first asked.
    pub begun: Option<u64>,
    pub(super) conns: Vec<usize>,
    round: Option<Round>,
    /// So many more processes ask the same when this one has not heard of success; or even then.
    tries: u32,
    insists: bool,
    /// It says go before it is asked to, and other things that it must not say.
    pub(super) rude: bool,
    token: u64,
    /// It has ended; the same request may be asked again.
    over: bool,
}

/// After how long the next process asks.
const AGAIN: [u64; 4] = [300_000, 50_000, 2_000_000, 15_000_000];

impl World {
    pub(super) fn agent_name(&self, agent: usize) -> String {
        format!("{} (agent {agent})", self.agents[agent].who.name())
    }

    /// Somebody is going to ask.
    pub(super) fn will_ask(
        &mut self,
        at: u64,
        who: Who,
        action: Action,
        node: Option<&str>,
    ) -> usize {
        let id = RequestId::from_bits(0x00c0_ffee_0000 + self.agents.len() as u128);
        let node = node.and_then(|node| NodeName::parse(node).ok());
        let request = Request::new(id, action, node).expect("a request");
        let (tries, insists, rude) = if self.calm {
            (0, false, false)
        } else {
            (self.choices.seldom(4, 3), self.choices.once_in(12), self.choices.once_in(15))
        };
        self.agents.push(Agent {
            who,
            request,
            life: None,
            only_on: None,
            begun: None,
            conns: Vec::new(),
            round: None,
            tries: tries + u32::from(insists),
            insists,
            rude,
            token: 0,
            over: false,
        });
        self.at(at, Event::Ask(self.agents.len() - 1));
        self.agents.len() - 1
    }

    /// Whether its node, if it is on one, still lives and runs it.
    fn is_alive(&self, agent: usize) -> bool {
        self.agents[agent].life.is_none_or(|life| self.lives[life].runs())
    }

    pub(super) fn asks(&mut self, agent: usize) {
        if let Who::Node(node) = self.agents[agent].who {
            // A process that asks again runs on whatever life its node has.
            let Some(life) = self.life_of(node) else { return };
            self.agents[agent].life = Some(life);
        }
        let now = self.now;
        self.agents[agent].begun.get_or_insert(now);
        self.agents[agent].over = false;
        let asked = ClientLine::Request(self.agents[agent].request.clone()).to_string();
        tell!(self, "{} asks: {}", self.agent_name(agent), asked.trim_end());
        let hosts = if self.agents[agent].request.action().kills() { self.hosts.len() } else { 1 };
        let first = self.agents[agent].only_on.unwrap_or(0);
        let conns = (first..first + hosts).map(|host| self.connects(agent, host)).collect();
        self.agents[agent].conns = conns;
        if self.agents[agent].rude {
            return self.is_rude(agent, 0);
        }
        if self.agents[agent].request.action().kills() {
            let begun = Duration::from_micros(now);
            let request = self.agents[agent].request.clone();
            self.agents[agent].round = Some(Round::new(request, hosts, begun));
            self.steps(agent, RoundEvent::Tick);
        } else {
            let line = ClientLine::Request(self.agents[agent].request.clone());
            self.sends(self.agents[agent].conns[0], &line);
        }
        self.will_tick(agent);
    }

    fn will_tick(&mut self, agent: usize) {
        self.agents[agent].token += 1;
        let token = self.agents[agent].token;
        self.after(WAIT_EVERY.as_micros() as u64, Event::Tick(agent, token));
    }

    pub(super) fn ticks(&mut self, agent: usize, token: u64) {
        if self.agents[agent].token != token || self.agents[agent].over || !self.is_alive(agent) {
            return;
        }
        let begun = self.agents[agent].begun.unwrap_or(self.now);
        if self.now - begun >= AGENT_DEADLINE.as_micros() as u64 {
            return self.agent_ends(agent, false);
        }
        self.steps(agent, RoundEvent::Tick);
        self.will_tick(agent);
    }

    /// Gives something to the round of an agent, and does what it says.
    fn steps(&mut self, agent: usize, event: RoundEvent<'_>) {
        let now = Duration::from_micros(self.now);
        let Some(round) = &mut self.agents[agent].round else { return };
        let said = round.step(event, now);
        let standing = round.standing();
        for say in said {
            self.sends(self.agents[agent].conns[say.host], &say.line);
        }
        match standing {
            Standing::Going => {}
            Standing::Again => {
                self.leaves(agent);
                let request = self.agents[agent].request.clone();
                let begun = Duration::from_micros(self.agents[agent].begun.unwrap_or(self.now));
                let hosts = self.hosts.len();
                self.agents[agent].conns =
                    (0..hosts).map(|host| self.connects(agent, host)).collect();
                self.agents[agent].round = Some(Round::new(request, hosts, begun));
                self.steps(agent, RoundEvent::Tick);
            }
            Standing::Ended(outcome) => {
                let fenced = outcome == Outcome::Fenced;
                tell!(self, "{} has {outcome:?}", self.agent_name(agent));
                if fenced {
                    self.is_content(agent);
                }
                self.agent_ends(agent, fenced);
            }
        }
    }

    pub(super) fn agent_hears(&mut self, conn: usize, body: &Body) {
        let agent = self.conns[conn].agent;
        if self.agents[agent].over || self.agents[agent].rude || !self.is_alive(agent) {
            return;
        }
        if self.agents[agent].round.is_some() {
            let host = self.agents[agent].conns.iter().position(|one| *one == conn);
            if let Some(host) = host {
                self.steps(agent, RoundEvent::Reply(host, body));
            }
            return;
        }
        let id = self.agents[agent].request.id();
        match body {
            Body::Ready { .. } => self.sends(conn, &ClientLine::Go(id)),
            Body::Done => self.agent_ends(agent, true),
            Body::Refused { .. } | Body::Failed { .. } => self.agent_ends(agent, false),
            _ => {}
        }
    }

    pub(super) fn agent_loses(&mut self, conn: usize) {
        let agent = self.conns[conn].agent;
        if self.agents[agent].over || !self.is_alive(agent) {
            return;
        }
        let host = self.agents[agent].conns.iter().position(|one| *one == conn);
        match (self.agents[agent].round.is_some(), host) {
            (true, Some(host)) => self.steps(agent, RoundEvent::Lost(host)),
            (false, Some(_)) => self.agent_ends(agent, false),
            (_, None) => {}
        }
    }

    /// An agent's process ends, content or not.
    pub(super) fn agent_ends(&mut self, agent: usize, content: bool) {
        let ended = &mut self.agents[agent];
        if std::mem::replace(&mut ended.over, true) {
            return;
        }
        ended.round = None;
        // Who is content may stay and watch the start; else everything is closed with the process.
        let stays = content && self.choices.once_in(3);
        if !stays {
            self.leaves(agent);
        }
        let again = &mut self.agents[agent];
        if again.tries > 0 && (!content || again.insists) && !self.calm {
            again.tries -= 1;
            let later = AGAIN[self.choices.seldom(2, 4) as usize];
            self.after(later, Event::Ask(agent));
        }
    }

    /// It closes all that it has open.
    fn leaves(&mut self, agent: usize) {
        for conn in self.agents[agent].conns.clone() {
            self.closes(conn);
        }
    }

    /// An agent's process is killed while its node lives on.
    pub(super) fn agent_is_killed(&mut self, agent: usize) {
        if self.agents[agent].begun.is_some() && !self.agents[agent].over {
            tell!(self, "{} is killed", self.agent_name(agent));
            self.leaves(agent);
            self.agent_ends(agent, false);
        }
    }

    /// Says a line that it likes, and then another.
    pub(super) fn is_rude(&mut self, agent: usize, line: usize) {
        if line >= 6 || !self.is_alive(agent) || self.agents[agent].over {
            return;
        }
        let (own, conn) = (self.agents[agent].request.clone(), self.agents[agent].conns[0]);
        let other = RequestId::from_bits(0xbad);
        let lines = [
            ClientLine::Request(own.clone()),
            ClientLine::Go(own.id()),
            ClientLine::Wait(own.id()),
            ClientLine::GoLater(own.id()),
            ClientLine::Go(other),
            ClientLine::Look(own.id()),
            ClientLine::Start(own.id()),
        ];
        // It has to ask, or nobody listens for long.
        let which = if line == 0 { 0 } else { self.choices.below(7) as usize };
        self.sends(conn, &lines[which]);
        let pause = [1_000, 40_000, 700_000, 1_900_000, 3_500_000][self.choices.below(5) as usize];
        if self.choices.once_in(6) {
            return self.closes(conn);
        }
        self.after(pause, Event::Rude(agent, line + 1));
    }
}
