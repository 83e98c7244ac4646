//! The broker from `go` on, in the order of `broker/src/serve/kill.rs`.

use crate::link::{Heed, Link, Saw, Stage};
use crate::machines::{Down, Up};
use crate::rules::{Rule, promise};
use crate::state::{Key, Orphan, Record, State};
use crate::world::{World, look};
use xen_fence_broker::state::Phase;
use xen_fence_protocol::Action;

impl World {
    /// `go`: joins an earlier fence, or writes down that the kill begins.
    pub fn goes(&self, state: &mut State, key: Key, then: Heed) {
        let target = usize::from(1 - key.node);
        let link = *state.link(key);
        let powers_on = self.action(link.id) == Action::Reset && then != Heed::LeaveOff;
        state.link_mut(key).then = then;
        if self.bounds.hosts > 1 {
            state.link_mut(key).say(Down::Going);
        }
        if let Some(restarts) = link.join {
            if powers_on && !restarts {
                state.hosts[usize::from(key.host)].plans[target] = Some(key);
            }
            self.lets_go(state, key);
            let link = state.link_mut(key);
            link.say(Down::Joined);
            link.stage = Stage::Fenced;
            return;
        }
        if !link.said_go {
            state.broken |= promise::LIVING_GO;
        }
        let host = &mut state.hosts[usize::from(key.host)];
        let called_off = host.plans[target].is_some() && self.has(Rule::CalledOff);
        if called_off {
            host.plans[target] = None;
        }
        if !self.bounds.forgets {
            host.records[target] = Record {
                phase: Some(Phase::Killing),
                id: link.id,
                restarts: powers_on,
                killer: Some(key),
                ..Record::default()
            };
        }
        if powers_on {
            host.plans[target] = Some(key);
        }
        let anew = (called_off || link.saw == Saw::Nothing) && self.has(Rule::AbsenceSeenAfterGo);
        let saw = if anew { look(state, 1 - key.node, key.host) } else { link.saw };
        let link = state.link_mut(key);
        (link.stage, link.saw) = (Stage::Killing, saw);
        link.standoff = 0;
        if !self.has(Rule::LockUntilDead) {
            self.lets_go(state, key);
        }
    }

    /// Destroys what was seen, and then all that a new look shows.
    pub fn kills(&self, state: &mut State, key: Key) {
        let target = 1 - key.node;
        let at = usize::from(target);
        let link = state.link_mut(key);
        let seen = link.saw;
        link.killed_node |= seen == Saw::Node;
        link.killed_shell |= seen == Saw::Shell;
        (link.stage, link.saw) = (Stage::Proving, Saw::Nothing);
        let id = link.id;
        // A look that shows nothing is the proof; only a destroy is followed by another.
        if seen != Saw::Nothing {
            if state.nodes[at].shell == Some(key.host) {
                state.nodes[at].shell = None;
                state.link_mut(key).killed_shell |= seen != Saw::Node;
            }
            if state.nodes[at].at == Some(key.host) {
                state.link_mut(key).killed_node = true;
                self.strikes(state, key.node, id, target);
            }
        }
        self.lets_go(state, key);
    }

    /// xl goes by the domain's number, so it is the life that was meant or none.
    pub fn orphan_destroys(&self, state: &mut State, node: u8, host: u8) {
        let orphan = state.hosts[usize::from(host)].orphans[usize::from(node)].take();
        let now = &state.nodes[usize::from(node)];
        let is_there = |orphan: &Orphan| now.at == Some(host) && now.life == orphan.life;
        if let Some(orphan) = orphan.filter(is_there) {
            self.strikes(state, orphan.asker, orphan.id, node);
        }
    }

    /// A domain dies by a request.
    fn strikes(&self, state: &mut State, asker: u8, id: u8, target: u8) {
        let (from, to) = (usize::from(asker), usize::from(target));
        let asking = id >> 1 & 3;
        let victim = state.nodes[to].life;
        if state.nodes[from].killed >> asking & 1 > 0 {
            state.broken |= promise::NEVER_BOTH;
        }
        let request = usize::from(asking | id >> 3 & 1);
        let victims = &mut state.nodes[from].victims[request];
        *victims |= 1 << victim;
        if victims.count_ones() > 1 {
            state.broken |= promise::ONE_KILL;
        }
        state.nodes[to].killed |= 1 << victim;
        Self::dies(state, target);
    }

    pub fn proves(&self, state: &mut State, key: Key) {
        let target = usize::from(1 - key.node);
        let now = state.now(key.host);
        let link = state.link(key);
        let shell = link.killed_shell && !link.killed_node;
        let word = match (shell, link.killed_node || link.killed_shell) {
            (true, _) => Down::Shell,
            (false, true) => Down::Killed,
            (false, false) => Down::Absent,
        };
        let record = &mut state.hosts[usize::from(key.host)].records[target];
        record.killer = None;
        if shell {
            *record = Record { phase: Some(Phase::Failed), ..Record::default() };
        } else {
            (record.phase, record.at) = (Some(Phase::Fenced), now);
        }
        if !self.has(Rule::Remembered) || self.bounds.forgets {
            *record = Record::default();
        }
        let link = state.link_mut(key);
        link.say(word);
        link.stage = Stage::Fenced;
        if shell {
            self.broker_ends(state, key);
        }
    }

    pub fn looks_again(&self, state: &mut State, key: Key) {
        let target = 1 - key.node;
        let plan = state.hosts[usize::from(key.host)].plans[usize::from(target)];
        let saw = look(state, target, key.host);
        let link = state.link_mut(key);
        let word = link.heard();
        link.up.pop();
        if word == Some(Up::Wait) {
            return;
        }
        if link.looked {
            return self.goes_on(state, key, true);
        }
        link.say(match saw {
            Saw::Node | Saw::Shell => Down::SeenOn,
            Saw::Nothing if plan.is_none() || plan == Some(key) => Down::SeenOff,
            Saw::Nothing => Down::SeenUnknown,
        });
        if plan == Some(key) && self.has(Rule::StartOnWord) {
            link.looked = true;
        } else {
            self.goes_on(state, key, true);
        }
    }

    /// What is left is the power-on, if one is planned.
    pub fn goes_on(&self, state: &mut State, key: Key, told: bool) {
        let (target, id) = (usize::from(1 - key.node), state.link(key).id);
        let may = told || state.link(key).then == Heed::Alone || !self.has(Rule::StartOnWord);
        let host = &mut state.hosts[usize::from(key.host)];
        let planned = host.plans[target] == Some(key);
        if planned && !may {
            host.plans[target] = None;
            let record = &mut host.records[target];
            if record.id == id {
                record.restarts = false;
            }
        }
        if planned && may {
            let link = state.link_mut(key);
            *link = Link {
                stage: Stage::Starting,
                id: link.id,
                down: link.down,
                down_end: link.down_end,
                ..Link::default()
            };
        } else {
            self.broker_ends(state, key);
        }
    }

    pub fn powers_on(&self, state: &mut State, key: Key) {
        let target = 1 - key.node;
        let (at, host) = (usize::from(target), usize::from(key.host));
        let now = state.now(key.host);
        let id = state.link(key).id;
        if state.hosts[host].plans[at] == Some(key) || !self.has(Rule::CalledOff) {
            if look(state, target, key.host) == Saw::Nothing {
                if state.nodes[at].at.is_some() {
                    state.broken |= promise::RUNS_ONCE;
                }
                if state.nodes[at].stays_off {
                    state.broken |= promise::STAYS_OFF;
                }
                self.is_born(state, target, key.host);
            }
            let record = &mut state.hosts[host].records[at];
            if record.phase.is_some() && record.id == id {
                record.started = now;
            }
        }
        self.broker_ends(state, key);
    }
}
