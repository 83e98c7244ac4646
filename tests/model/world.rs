//! What is modelled of the world, within which bounds, and what can happen in it.
//!
//! The rules of the protocol are not here: the machines that ship decide. What stands here are the
//! nodes, the network, the faults, and the glue of broker and agent around their machines.

use crate::bounds::Bounds;
use crate::explore::Model;
use crate::link::{DownEnd, Link, Queue, Saw, Stage, UpEnd};
use crate::machines::Machines;
use crate::rules::{Rule, promise};
use crate::state::{Agent, AgentPhase, HOSTS, Key, Node, Orphan, ROUNDS, State};
use std::fmt;
use xen_fence_broker::state::Phase;
use xen_fence_protocol::Action;

/// The world, within bounds, with all its rules but perhaps one.
pub struct World {
    pub bounds: Bounds,
    pub without: Option<Rule>,
    pub machines: Machines,
}

/// What can happen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The agent of a node begins to ask, for the first time or again.
    Asks(u8),
    /// It hears what a host said, or that the session is over.
    Hears(Key),
    /// A second has passed.
    Waits(u8),
    /// It has collected for too long.
    TakesTooLong(u8),
    AgentCrashes(u8),
    /// A node dies by itself.
    Falls(u8),
    Moves(u8),
    ShellGoes(u8),
    /// A broker reads the request.
    Reads(Key),
    /// It gets the lock, looks, and says ready, or refuses. Late: more than ten seconds after the
    /// node was powered on.
    Locks(Key, bool),
    /// It hears a word after ready, in time or late.
    Hearkens(Key, bool),
    /// It hears nothing for too long.
    Silence(Key),
    Kills(Key),
    Proves(Key),
    /// It sees a domain that has come since.
    SeesAnother(Key),
    LocksAgain(Key),
    /// It goes on, without a word or with one.
    LooksAgain(Key),
    GoesOn(Key),
    PowersOn(Key),
    BrokerCrashes(Key),
    /// The same, and the destroy that it has begun goes on.
    BrokerCrashesDestroying(Key),
    /// Such a destroy of a node, on a host, does its work.
    OrphanDestroys(u8, u8),
    CutUp(Key),
    CutDown(Key),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node{}'s round {} on xen{}", self.node + 1, self.round + 1, self.host + 1)
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Asks(node) => write!(f, "node{} asks", node + 1),
            Self::Hears(key) => write!(f, "{key:?}: the agent hears the broker"),
            Self::Waits(node) => write!(f, "node{}'s agent has waited a second", node + 1),
            Self::TakesTooLong(node) => write!(f, "node{}'s agent begins anew", node + 1),
            Self::AgentCrashes(node) => write!(f, "node{}'s agent crashes", node + 1),
            Self::Falls(node) => write!(f, "node{} dies by itself", node + 1),
            Self::Moves(node) => write!(f, "node{} migrates", node + 1),
            Self::ShellGoes(node) => write!(f, "what node{} left behind is gone", node + 1),
            Self::Reads(key) => write!(f, "{key:?}: the request is read"),
            Self::Locks(key, false) => write!(f, "{key:?}: locked, ready"),
            Self::Locks(key, true) => write!(f, "{key:?}: locked, ready, ten seconds later"),
            Self::Hearkens(key, false) => write!(f, "{key:?}: the broker hears the agent"),
            Self::Hearkens(key, true) => write!(f, "{key:?}: the broker hears the agent late"),
            Self::Silence(key) => write!(f, "{key:?}: the broker hears nothing"),
            Self::Kills(key) => write!(f, "{key:?}: destroy"),
            Self::Proves(key) => write!(f, "{key:?}: proven, fenced"),
            Self::SeesAnother(key) => write!(f, "{key:?}: another domain has come"),
            Self::LocksAgain(key) => write!(f, "{key:?}: locked again"),
            Self::LooksAgain(key) => write!(f, "{key:?}: the broker hears look or wait"),
            Self::GoesOn(key) => write!(f, "{key:?}: the broker goes on without a look"),
            Self::PowersOn(key) => write!(f, "{key:?}: power-on"),
            Self::BrokerCrashes(key) => write!(f, "{key:?}: the broker crashes"),
            Self::BrokerCrashesDestroying(key) => {
                write!(f, "{key:?}: the broker crashes, its destroy goes on")
            }
            Self::OrphanDestroys(node, host) => {
                write!(f, "what was left on xen{} destroys node{}", host + 1, node + 1)
            }
            Self::CutUp(key) => write!(f, "{key:?}: cut, the broker sees it"),
            Self::CutDown(key) => write!(f, "{key:?}: cut, the agent sees it"),
        }
    }
}

impl World {
    pub fn new(bounds: Bounds, without: Option<Rule>) -> Self {
        Self { bounds, without, machines: Machines::new() }
    }

    pub fn has(&self, rule: Rule) -> bool {
        self.without != Some(rule)
    }

    /// What a node asks in a round; `then` is another request.
    pub fn action(&self, id: u8) -> Action {
        let first = self.bounds.asks[usize::from(id & 1)].unwrap_or(Action::Off);
        if id & 8 > 0 { self.bounds.then.unwrap_or(first) } else { first }
    }

    /// A node's domain is gone, and its agent with it: what it said is still on its way, and no end.
    pub fn dies(state: &mut State, node: u8) {
        let at = usize::from(node);
        state.nodes[at].at = None;
        for host in &mut state.hosts {
            host.orphans[at] = None;
        }
        state.nodes[at].agent = Agent { rounds: state.nodes[at].agent.rounds, ..Agent::default() };
        for link in state.links[at].iter_mut().flatten() {
            if link.up_end == UpEnd::Open {
                link.up_end = UpEnd::Mute;
            }
            link.is_not_heard();
        }
    }

    /// A node's domain begins to live.
    pub fn is_born(&self, state: &mut State, node: u8, host: u8) {
        let asks = self.bounds.asks[usize::from(node)].is_some() && self.bounds.asks_again;
        let node = &mut state.nodes[usize::from(node)];
        node.at = Some(host);
        node.life += 1;
        node.agent.phase = if asks { AgentPhase::Idle } else { AgentPhase::None };
    }

    fn network_steps(&self, state: &State, key: Key, link: &Link, steps: &mut Vec<Step>) {
        if state.left.cuts > 0 && link.stage != Stage::None && link.up_end == UpEnd::Open {
            steps.push(Step::CutUp(key));
        }
        let under_way = link.down_end == DownEnd::Open && link.stage != Stage::None
            || link.down_end == DownEnd::Fin && !link.down.is_empty();
        if state.left.cuts > 0 && under_way {
            steps.push(Step::CutDown(key));
        }
    }

    fn node_steps(&self, state: &State, at: u8, steps: &mut Vec<Step>) {
        let node = &state.nodes[usize::from(at)];
        if node.shell.is_some() {
            steps.push(Step::ShellGoes(at));
        }
        if node.at.is_some() && state.left.falls > 0 {
            steps.push(Step::Falls(at));
        }
        // What was just powered on does not migrate before a `ready` is over.
        let can_move = node.life == 0 && self.bounds.hosts > 1;
        if node.at.is_some() && state.left.moves > 0 && can_move {
            steps.push(Step::Moves(at));
        }
    }
}

impl Model for World {
    type State = State;
    type Step = Step;

    fn first(&self) -> State {
        let mut state = State { left: self.bounds.faults, ..State::default() };
        for (at, node) in state.nodes.iter_mut().enumerate() {
            let asks = self.bounds.asks[at].is_some();
            let phase = if asks { AgentPhase::Idle } else { AgentPhase::None };
            let agent = Agent { phase, ..Agent::default() };
            *node = Node { at: Some(self.bounds.homes[at]), agent, ..Node::default() };
        }
        state
    }

    fn steps(&self, state: &State, steps: &mut Vec<Step>) {
        for node in 0..2 {
            for host in 0..HOSTS as u8 {
                if state.hosts[usize::from(host)].orphans[usize::from(node)].is_some() {
                    steps.push(Step::OrphanDestroys(node, host));
                }
            }
            self.node_steps(state, node, steps);
            self.agent_steps(state, node, steps);
            for round in 0..ROUNDS as u8 {
                for host in 0..HOSTS as u8 {
                    let key = Key { node, round, host };
                    let link = state.link(key);
                    self.network_steps(state, key, link, steps);
                    self.broker_steps(state, key, link, steps);
                }
            }
        }
    }

    fn after(&self, state: &State, step: Step) -> State {
        let mut next = *state;
        match step {
            Step::Asks(node) => self.asks(&mut next, node),
            Step::Hears(key) => self.agent_hears(&mut next, key),
            Step::Waits(node) => self.waits(&mut next, node),
            Step::TakesTooLong(node) => self.takes_too_long(&mut next, node),
            Step::AgentCrashes(node) => {
                spend(&mut next.left.agent_crashes);
                self.leaves(&mut next, node);
                next.nodes[usize::from(node)].agent.phase = AgentPhase::Again;
            }
            Step::Falls(node) => {
                spend(&mut next.left.falls);
                Self::dies(&mut next, node);
            }
            Step::Moves(node) => {
                spend(&mut next.left.moves);
                let node = &mut next.nodes[usize::from(node)];
                node.shell = node.at;
                node.at = node.at.map(|host| 1 - host);
            }
            Step::ShellGoes(node) => next.nodes[usize::from(node)].shell = None,
            Step::CutUp(key) => {
                spend(&mut next.left.cuts);
                let link = next.link_mut(key);
                (link.up, link.up_end) = (Queue::default(), UpEnd::Fin);
            }
            Step::CutDown(key) => {
                spend(&mut next.left.cuts);
                let link = next.link_mut(key);
                (link.down, link.down_end) = (Queue::default(), DownEnd::Fin);
            }
            Step::BrokerCrashes(key) => {
                spend(&mut next.left.broker_crashes);
                self.broker_ends(&mut next, key);
            }
            Step::BrokerCrashesDestroying(key) => {
                spend(&mut next.left.broker_crashes);
                let (target, id) = (usize::from(1 - key.node), next.link(key).id);
                let life = next.nodes[target].life;
                let orphan = Orphan { asker: key.node, id, life };
                next.hosts[usize::from(key.host)].orphans[target] = Some(orphan);
                self.broker_ends(&mut next, key);
            }
            Step::OrphanDestroys(node, host) => self.orphan_destroys(&mut next, node, host),
            step => self.broker_step(&mut next, step),
        }
        next.tidy();
        next
    }

    fn broken(&self, state: &State, last: bool) -> Vec<&'static str> {
        let names = promise::NAMES.iter().filter(|(bit, _)| state.broken & bit > 0);
        let mut names: Vec<&'static str> = names.map(|(_, name)| *name).collect();
        if self.bounds.good_day && last && names.is_empty() {
            let killed: Vec<u32> =
                state.nodes.iter().map(|node| node.killed.count_ones()).collect();
            let knows = |at: usize| state.nodes[at].agent.phase == AgentPhase::Fenced;
            let one = killed == [1, 0] && knows(1) || killed == [0, 1] && knows(0);
            if !one {
                names.push("never none");
            }
        }
        names
    }
}

/// What a listing of a host shows of a node.
pub fn look(state: &State, node: u8, host: u8) -> Saw {
    let node = &state.nodes[usize::from(node)];
    if node.at == Some(host) {
        Saw::Node
    } else if node.shell == Some(host) {
        Saw::Shell
    } else {
        Saw::Nothing
    }
}

/// Faults without number stay.
pub fn spend(left: &mut u8) {
    if *left != u8::MAX {
        *left = left.saturating_sub(1);
    }
}

/// Whether a broker still runs that has begun a kill.
pub fn kills(state: &State, node: u8, host: u8) -> bool {
    let record = &state.hosts[usize::from(host)].records[usize::from(node)];
    record.phase == Some(Phase::Killing) && record.killer.is_some()
}
