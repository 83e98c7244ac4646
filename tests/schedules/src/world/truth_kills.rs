//! The promises about effects, checked when one is about to begin: promises 2, 4, 5 and 6, and holds.

use super::World;
use super::truth::Proof;
use crate::cast::NODES;
use xen_fence_broker::journal::Event as Recorded;
use xen_fence_protocol::{AGENT_DEADLINE, Action, READY_SILENCE, WAIT_IN_ALL};

/// From go to the kill there is a record, a listing, a power-on to be called off.
const SOON: u64 = 40_000_000;
/// From the last look at the clock to a kill: the holds are read, and there is a record.
const AT_ONCE: u64 = 5_000_000;
/// What a poll's milliseconds round up.
pub(super) const ROUNDED: u64 = 2_000;

impl World {
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
        let begins = !std::mem::replace(&mut self.brokers[broker].has_begun, true);
        if begins {
            self.has_right_to_begin(broker, &name);
        }
        if let Some(life) = aimed {
            self.is_not_its_second(broker, life, &name);
        }
        let held =
            self.truth.holds.iter().find(|held| (held.host, Some(held.node)) == (host, target));
        let go = self.brokers[broker].go.map_or(0, |(at, _)| at);
        // Who kills what came since it has let go of the lock looks for holds again, and so does whoever
        // kills once more.
        let just_now = self.now.saturating_sub(AT_ONCE + self.brokers[broker].held_up);
        let since = go.max(self.brokers[broker].locked).max(if begins { 0 } else { just_now });
        if held.is_some_and(|held| !held.kills && held.at < since) && !self.holds_may_lack(host) {
            self.breaks("a hold binds", &format!("{name} kills what is held"));
        }
        let given_up = self.brokers[broker].asked + AGENT_DEADLINE.as_micros() as u64;
        if self.now > given_up + AT_ONCE + self.brokers[broker].held_up {
            self.breaks("6, no late kill", &format!("{name} kills when nobody waits for it"));
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
        // Who has let go of the lock once there was nothing to kill has asked anew for what came since.
        let slow = self.now - heard.max(one.locked) > SOON + (one.held_up - held_up);
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
        // What somebody begins to start between ready and go is not foreseen.
        let comes_late = self.truth.causes[life] >= self.brokers[broker].listed_for_ready;
        let second = last.killed && self.lives[life].born > last.at;
        if second && !comes_late && !self.memory_may_lack(host) {
            self.breaks("4, one request, one kill", &format!("{name} kills again"));
        }
    }

    /// Promise 5, when a domain has died of a destroy.
    pub(super) fn has_killed(&mut self, broker: usize, life: usize) {
        let asker = self.asker(broker);
        let both = self.truth.kills.iter().any(|(other, victim)| {
            let back = Some(*victim) == asker && self.asker(*other) == Some(life);
            back && *victim != life
        });
        self.truth.kills.push((broker, life));
        if both {
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
}
