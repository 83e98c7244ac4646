//! The broker's side: what is around its [`Standoff`](xen_fence_broker::standoff::Standoff), in the
//! order of `broker/src/serve/kill.rs`.

use crate::link::{Heed, Link, Saw, Stage, UpEnd};
use crate::machines::{Down, Follows, Hears, Up, request_id};
use crate::rules::{Rule, promise};
use crate::state::{Key, Record, State};
use crate::world::{Step, World, kills, look, spend};
use std::time::Duration;
use xen_fence_broker::clock::Moment;
use xen_fence_broker::earlier::{Asked, Earlier, asker_is_dead, earlier};
use xen_fence_broker::state::{Fence, Phase};
use xen_fence_protocol::RESET_IS_NEW;

impl World {
    pub fn broker_steps(&self, state: &State, key: Key, link: &Link, steps: &mut Vec<Step>) {
        let target = 1 - key.node;
        let host = &state.hosts[usize::from(key.host)];
        let is_free = host.lock.is_none() || !self.has(Rule::Lock);
        let silent = link.up.is_empty() && link.up_end == UpEnd::Mute || state.left.silences > 0;
        match link.stage {
            Stage::None => return,
            Stage::Accepted if link.heard().is_some() => steps.push(Step::Reads(key)),
            Stage::Accepted => {}
            Stage::Waiting => {
                let proving = kills(state, target, key.host) && self.has(Rule::ProofAwaited);
                if is_free && !proving {
                    steps.push(Step::Locks(key, false));
                    if host.records[usize::from(target)].started > 0 {
                        steps.push(Step::Locks(key, true));
                    }
                }
            }
            Stage::Ready => {
                if !link.up.is_empty() || link.up_end == UpEnd::Fin {
                    steps.push(Step::Hearkens(key, false));
                    if state.left.silences > 0 && !link.up.is_empty() {
                        steps.push(Step::Hearkens(key, true));
                    }
                }
                if silent {
                    steps.push(Step::Silence(key));
                }
            }
            Stage::Killing => steps.push(Step::Kills(key)),
            Stage::Proving => {
                steps.push(Step::Proves(key));
                let another = look(state, target, key.host) != Saw::Nothing;
                // A corpse kept the proof waiting meanwhile.
                let destroyed = link.killed_node || link.killed_shell;
                if another && destroyed {
                    steps.push(Step::SeesAnother(key));
                }
            }
            Stage::Again if is_free => steps.push(Step::LocksAgain(key)),
            Stage::Again => {}
            Stage::Fenced => {
                let word = link.heard();
                let expected = if link.looked { Up::Start } else { Up::Look };
                let listens = link.then != Heed::Alone;
                if listens && word.is_some_and(|word| word == expected || word == Up::Wait) {
                    steps.push(Step::LooksAgain(key));
                }
                if is_over(link)
                    || silent
                    || word.is_some_and(|word| word != expected && word != Up::Wait)
                {
                    steps.push(Step::GoesOn(key));
                }
            }
            Stage::Starting => steps.push(Step::PowersOn(key)),
        }
        if state.left.broker_crashes > 0 && link.stage != Stage::Accepted {
            steps.push(Step::BrokerCrashes(key));
            if link.stage == Stage::Killing && link.saw == Saw::Node {
                steps.push(Step::BrokerCrashesDestroying(key));
            }
        }
    }

    pub fn broker_step(&self, state: &mut State, step: Step) {
        match step {
            Step::Reads(key) => {
                let now = state.now(key.host);
                let link = state.link_mut(key);
                link.up.pop();
                (link.asked, link.stage) = (now, Stage::Waiting);
            }
            Step::Locks(key, late) => self.locks(state, key, late),
            Step::Hearkens(key, late) => {
                if late {
                    spend(&mut state.left.silences);
                }
                self.hearkens(state, key, late);
            }
            Step::Silence(key) => {
                let link = state.link(key);
                if !(link.up.is_empty() && link.up_end == UpEnd::Mute) {
                    spend(&mut state.left.silences);
                }
                self.hears(state, key, Hears::Silence);
            }
            Step::Kills(key) => self.kills(state, key),
            Step::Proves(key) => self.proves(state, key),
            Step::SeesAnother(key) => state.link_mut(key).stage = Stage::Again,
            Step::LocksAgain(key) => {
                let saw = look(state, 1 - key.node, key.host);
                let link = state.link_mut(key);
                (link.saw, link.stage) = (saw, Stage::Killing);
                state.hosts[usize::from(key.host)].lock = Some(key);
            }
            Step::LooksAgain(key) => self.looks_again(state, key),
            Step::GoesOn(key) => {
                let link = state.link(key);
                if !is_over(link) && link.up_end == UpEnd::Open {
                    spend(&mut state.left.silences);
                }
                self.goes_on(state, key, false);
            }
            Step::PowersOn(key) => self.powers_on(state, key),
            _ => unreachable!("not the broker's"),
        }
    }

    /// The lock, the look, and what stands against it; then `ready`.
    fn locks(&self, state: &mut State, key: Key, late: bool) {
        let target = 1 - key.node;
        let host = state.hosts[usize::from(key.host)];
        let link = *state.link(key);
        let accepted = moment(link.accepted);
        let record = &host.records[usize::from(key.node)];
        let own = fence(record);
        if self.has(Rule::AskerChecked)
            && asker_is_dead(own.as_ref(), record.killer.is_some(), accepted).is_some()
        {
            return self.refuses(state, key, Down::Refused);
        }
        let is_being_destroyed = host.orphans[usize::from(key.node)].is_some();
        if !link.up.is_empty() || is_being_destroyed && self.has(Rule::DestroyerSeen) {
            return self.refuses(state, key, Down::Refused);
        }
        let known = record.phase == Some(Phase::Fenced) && record.at >= link.accepted;
        let life = link.id >> 1 & 3;
        if known && state.nodes[usize::from(key.node)].killed >> life & 1 > 0 {
            state.broken |= promise::DEAD_REFUSED;
        }
        let saw = look(state, target, key.host);
        let last = &host.records[usize::from(target)];
        let starting = host.plans[usize::from(target)].is_some();
        let late = if late { RESET_IS_NEW } else { Duration::ZERO };
        let asked = Asked {
            id: request_id(link.id),
            action: self.action(link.id),
            at: moment(link.asked),
            lives: saw != Saw::Nothing,
            // Without the rule, each domain counts as powered on by the fence before.
            comes: false,
            starting: starting || !self.has(Rule::AstrayRefused),
            comes_up: starting || !self.has(Rule::AstrayRefused),
            cut_short: false,
            answered: fence(last).is_some_and(|last| last.has_answered(&caller(link.id))),
            now: moment(state.now(key.host)).after(late),
        };
        let join = match earlier(&asked, fence(last).as_ref()) {
            Earlier::KillAnew => None,
            Earlier::IsIt => Some(last.restarts),
            Earlier::WasIt => return self.refuses(state, key, Down::Failed),
        };
        let standoff = self.machines.standoff(link.id, self.action(link.id));
        // Another reset than this one is new: its outcome is good for this one, which saw no death.
        let other = join.is_some() && last.id != link.id && last.at < link.asked;
        state.nodes[usize::from(key.node)].agent.satisfied |= other;
        let link = state.link_mut(key);
        link.say(match (saw, starting) {
            (Saw::Node | Saw::Shell, _) => Down::ReadyOn,
            (Saw::Nothing, false) => Down::ReadyOff,
            (Saw::Nothing, true) => Down::ReadyUnknown,
        });
        (link.accepted, link.asked) = (0, 0);
        (link.stage, link.standoff, link.saw, link.join) = (Stage::Ready, standoff, saw, join);
        state.hosts[usize::from(key.host)].lock = Some(key);
        if !self.has(Rule::GoAwaited) {
            self.goes(state, key, Heed::Alone);
        }
    }

    fn hearkens(&self, state: &mut State, key: Key, late: bool) {
        let link = state.link_mut(key);
        let hears = match link.heard() {
            None => Hears::Gone,
            Some(word) if late => Hears::Late(word),
            Some(word) => Hears::InTime(word),
        };
        link.up.pop();
        self.hears(state, key, hears);
    }

    fn hears(&self, state: &mut State, key: Key, hears: Hears) {
        let link = state.link_mut(key);
        let (standoff, follows) = self.machines.hear(link.standoff, link.id, hears);
        link.standoff = standoff;
        match follows {
            Follows::Listen => {}
            Follows::LetGo => self.lets_go(state, key),
            Follows::Go(then) => self.goes(state, key, then.into()),
            Follows::Gone => self.broker_ends(state, key),
            Follows::Refuse(Down::LateGo) if !self.has(Rule::LateGoRefused) => {
                let (Hears::InTime(word) | Hears::Late(word)) = hears else { unreachable!() };
                self.goes(
                    state,
                    key,
                    match word {
                        Up::GoOff => Heed::LeaveOff,
                        Up::GoLater => Heed::OnWord,
                        _ => Heed::Alone,
                    },
                );
            }
            Follows::Refuse(reason) => self.refuses(state, key, reason),
        }
    }

    fn refuses(&self, state: &mut State, key: Key, word: Down) {
        state.link_mut(key).say(word);
        self.broker_ends(state, key);
    }

    pub fn lets_go(&self, state: &mut State, key: Key) {
        let lock = &mut state.hosts[usize::from(key.host)].lock;
        *lock = lock.filter(|holder| *holder != key);
    }

    /// The broker's process is over: nothing of it is left but what it wrote and said.
    pub fn broker_ends(&self, state: &mut State, key: Key) {
        self.lets_go(state, key);
        let host = &mut state.hosts[usize::from(key.host)];
        for plan in &mut host.plans {
            *plan = plan.filter(|planner| *planner != key);
        }
        for record in &mut host.records {
            record.killer = record.killer.filter(|killer| *killer != key);
        }
        state.link_mut(key).end();
    }
}

/// A broker that has said `fenced` waits for nothing more.
fn is_over(link: &Link) -> bool {
    link.up.is_empty() && link.up_end == UpEnd::Fin || link.then == Heed::Alone
}

fn moment(rank: u8) -> Moment {
    Moment::since_boot(Duration::from_millis(rank.into()))
}

/// Who asks under this id, whichever of its lives it is.
fn caller(id: u8) -> String {
    format!("node={}", id & 1)
}

/// A record as the product keeps it.
fn fence(record: &Record) -> Option<Fence> {
    let millis = |rank: u8| u64::from(rank);
    Some(Fence {
        request: request_id(record.id).to_string(),
        restarts: record.restarts,
        phase: record.phase?,
        at_ms: millis(record.at),
        started_ms: Some(millis(record.started)).filter(|at| *at > 0),
        counted: false,
        // A power-on is one step here.
        begun_ms: Some(millis(record.started)).filter(|at| *at > 0),
        joined: Vec::new(),
        before: Vec::new(),
        answered: vec![caller(record.id)],
        writers: Vec::new(),
        perhaps: Vec::new(),
        pid: 1,
        started: 1,
    })
}
