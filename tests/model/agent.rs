//! The agent's side: what is around its [`Round`](xen_fence_protocol::Round), as the agent has it.

use crate::link::{DownEnd, Link, Stage, UpEnd};
use crate::machines::{Down, Happens, Stands, Up};
use crate::rules::{Rule, promise};
use crate::state::{AgentPhase, Key, State};
use crate::world::{Step, World, spend};
use xen_fence_protocol::{Action, COLLECTED_BY};

/// The seconds after which a round begins anew.
const COLLECTED: u8 = COLLECTED_BY.as_secs() as u8;

impl World {
    pub fn agent_steps(&self, state: &State, node: u8, steps: &mut Vec<Step>) {
        let agent = &state.nodes[usize::from(node)].agent;
        match agent.phase {
            AgentPhase::Idle | AgentPhase::Again if agent.rounds < self.bounds.rounds => {
                steps.push(Step::Asks(node));
            }
            AgentPhase::Asking => {
                let round = agent.rounds - 1;
                for host in 0..self.bounds.hosts as u8 {
                    let key = Key { node, round, host };
                    let link = state.link(key);
                    if link.answered().is_some() || link.down_end == DownEnd::Fin {
                        steps.push(Step::Hears(key));
                    }
                }
                if agent.second < self.bounds.seconds {
                    steps.push(Step::Waits(node));
                }
                if state.left.silences > 0 {
                    let second = agent.second + COLLECTED;
                    let target = usize::from(1 - node);
                    let (_, _, stands) =
                        self.machines.step(agent.round, target, Happens::Tick, second);
                    if stands == Stands::Again {
                        steps.push(Step::TakesTooLong(node));
                    }
                }
                if state.left.agent_crashes > 0 {
                    steps.push(Step::AgentCrashes(node));
                }
            }
            _ => {}
        }
    }

    /// A new round: with the first id, unless the node has been born anew or wants something else.
    pub fn asks(&self, state: &mut State, node: u8) {
        let at = usize::from(node);
        let agent = &mut state.nodes[at].agent;
        if agent.phase == AgentPhase::Idle {
            agent.victim = state.nodes[1 - at].life;
        }
        let agent = &mut state.nodes[at].agent;
        agent.phase = AgentPhase::Asking;
        agent.rounds += 1;
        agent.second = 0;
        agent.satisfied = false;
        let id = self.id(state, node);
        let round = self.machines.round(id, self.action(id), 1 - at, self.bounds.hosts);
        state.nodes[at].agent.round = round;
        self.happens(state, node, Happens::Tick);
    }

    /// The request's number: node, life, and whether it is another request than the life's first.
    pub fn id(&self, state: &State, node: u8) -> u8 {
        let of = &state.nodes[usize::from(node)];
        let other = self.bounds.then.is_some() && of.agent.rounds > 1;
        let id = node | of.life << 1 | u8::from(other) << 3;
        // Without the rule, each round has one of its own.
        if self.has(Rule::SameId) { id } else { id | of.agent.rounds << 4 }
    }

    pub fn agent_hears(&self, state: &mut State, key: Key) {
        let place = self.place(key.node, key.host);
        let link = state.link_mut(key);
        let Some(down) = link.answered() else {
            link.is_not_heard();
            return self.happens(state, key.node, Happens::Lost(place));
        };
        link.down.pop();
        self.happens(state, key.node, Happens::Reply(place, down));
        let ready = matches!(down, Down::ReadyOn | Down::ReadyOff | Down::ReadyUnknown);
        if ready && !self.has(Rule::GoWhenAllReady) {
            self.says(state, key, Up::Go);
        }
    }

    pub fn waits(&self, state: &mut State, node: u8) {
        state.nodes[usize::from(node)].agent.second += 1;
        self.happens(state, node, Happens::Tick);
    }

    pub fn takes_too_long(&self, state: &mut State, node: u8) {
        spend(&mut state.left.silences);
        state.nodes[usize::from(node)].agent.second += COLLECTED;
        self.happens(state, node, Happens::Tick);
        state.nodes[usize::from(node)].agent.second = 0;
    }

    /// The agent's process is over, or begins anew: behind what it said comes the end.
    pub fn leaves(&self, state: &mut State, node: u8) {
        for link in state.links[usize::from(node)].iter_mut().flatten() {
            if link.up_end == UpEnd::Open && link.stage != Stage::None {
                link.up_end = UpEnd::Fin;
            }
            link.is_not_heard();
        }
    }

    /// Takes a step of the shipped machine.
    fn happens(&self, state: &mut State, node: u8, happens: Happens) {
        let at = usize::from(node);
        let agent = &mut state.nodes[at].agent;
        let target = 1 - at;
        let (round, says, stands) = self.machines.step(agent.round, target, happens, agent.second);
        agent.round = round;
        let number = agent.rounds - 1;
        for (place, up) in says {
            let key = Key { node, round: number, host: self.host(node, place) };
            if up == Up::Look && !self.has(Rule::SecondLook) {
                self.happens(state, node, Happens::Reply(place, Down::SeenOff));
            } else {
                self.says(state, key, up);
            }
            if place == 0
                && matches!(up, Up::Go | Up::GoOff | Up::GoLater)
                && !self.has(Rule::FirstConfirms)
            {
                self.happens(state, node, Happens::Reply(0, Down::Going));
            }
        }
        self.stands(state, node, stands);
    }

    fn stands(&self, state: &mut State, node: u8, stands: Stands) {
        let at = usize::from(node);
        if state.nodes[at].agent.phase != AgentPhase::Asking {
            return;
        }
        let phase = match stands {
            Stands::Going => return,
            Stands::Again => AgentPhase::Again,
            Stands::Fenced => AgentPhase::Fenced,
            Stands::Ended => AgentPhase::Ended,
        };
        if stands == Stands::Fenced {
            let target = &state.nodes[1 - at];
            let victim_lives = target.at.is_some() && target.life == state.nodes[at].agent.victim;
            if victim_lives && !state.nodes[at].agent.satisfied {
                state.broken |= promise::FENCED_IS_DEAD;
            }
            let id = self.id(state, node);
            if self.action(id) == Action::Off {
                state.nodes[1 - at].stays_off = true;
                if state.nodes[1 - at].at.is_some() {
                    state.broken |= promise::FENCED_IS_DEAD;
                }
            }
        }
        self.leaves(state, node);
        state.nodes[at].agent.phase = phase;
        state.nodes[at].agent.round = 0;
        state.nodes[at].agent.second = 0;
    }

    fn says(&self, state: &mut State, key: Key, up: Up) {
        let id = self.id(state, key.node);
        let accepted = state.now(key.host);
        let link = state.link_mut(key);
        if up == Up::Request {
            *link = Link { stage: Stage::Accepted, id, accepted, ..Link::default() };
        }
        let is_go = matches!(up, Up::Go | Up::GoOff | Up::GoLater);
        if link.up_end != UpEnd::Open || link.stage == Stage::None {
            return;
        }
        link.said_go |= is_go;
        let up = if up == Up::GoOff && !self.has(Rule::OneStarter) { Up::Go } else { up };
        link.up.push(up as u8);
    }

    /// The host at a place of this asker's order.
    fn host(&self, node: u8, place: u8) -> u8 {
        let turned = node == 1 && !self.has(Rule::OneOrder);
        if turned { self.bounds.hosts as u8 - 1 - place } else { place }
    }

    fn place(&self, node: u8, host: u8) -> u8 {
        self.host(node, host)
    }
}
