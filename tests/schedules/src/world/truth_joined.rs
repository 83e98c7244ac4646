//! Promises 1 and 4 where an earlier fence stands for another request: whose death that was, and whether
//! the one who hears it can have met what came since.

use super::World;
use super::truth::Proof;
use super::truth_kills::ROUNDED;
use xen_fence_protocol::{Action, RESET_IS_NEW};

impl World {
    /// Who has asked after the last proof is content with a reset whose power-on is under way or was over
    /// ten seconds before at most; and not with what it had been answered with before that lived.
    pub(super) fn is_said_joined(&mut self, broker: usize, host: usize, node: usize) {
        if self.memory_may_lack(host) || self.is_retry(broker) {
            return;
        }
        let asked = self.brokers[broker].asked;
        let of_node = |proof: &&Proof| (proof.host, proof.node) == (host, node);
        let last = self.truth.proofs.iter().rfind(of_node);
        let name = self.name(broker);
        // What is proven need not have been said yet.
        let fenced_since = (0..self.brokers.len()).any(|by| {
            let one = &self.brokers[by];
            let kills = self.action(by).is_some_and(Action::kills) && self.target(by) == Some(node);
            by != broker && one.host == host && kills && one.gone.is_none_or(|at| at >= asked)
        });
        let proven = last.is_some_and(|last| last.at < asked) && !fenced_since;
        if proven && !self.was_reset_lately(broker, host, node) {
            self.breaks(
                "1, no false success",
                &format!("{name} says joined, and no reset has been lately"),
            );
        }
        for life in 0..self.lives.len() {
            let one = &self.lives[life];
            let met = (one.host, one.node) == (host, node) && one.born < asked;
            if met && self.can_write(life) && self.has_reset_it_itself(broker, life) {
                let domid = self.lives[life].domid;
                self.breaks(
                    "1, no false success",
                    &format!(
                        "{name} says joined of domain {domid} to who had been answered before"
                    ),
                );
            }
        }
    }

    /// Whether its id was heard on this host before.
    fn is_retry(&self, broker: usize) -> bool {
        let one = &self.brokers[broker];
        let same = |other: &super::brokers::Broker| {
            other.host == one.host
                && other.request.as_ref().map(|request| request.id())
                    == one.request.as_ref().map(|request| request.id())
        };
        self.brokers.iter().take(broker).any(same)
    }

    fn was_reset_lately(&self, broker: usize, host: usize, node: usize) -> bool {
        let looked = self.brokers[broker].listed_for_ready;
        let within = RESET_IS_NEW.as_micros() as u64 + ROUNDED;
        (0..self.brokers.len()).any(|by| {
            let one = &self.brokers[by];
            let resets = self.action(by) == Some(Action::Reset) && self.target(by) == Some(node);
            if one.host != host || !resets || by == broker {
                return false;
            }
            // What one that was killed has begun may go on without it. One whose agent has left says
            // nothing of the start, and ends after it.
            let started = self.lives.iter().any(|life| life.started_by == Some(by));
            let since = if started { within } else { 0 };
            let over = one.said_started.or(one.gone.filter(|_| !one.is_dead));
            one.said_fenced.is_some() && over.is_none_or(|at| looked <= at + since)
        })
    }

    /// Whether the same caller has heard that the reset which brought this life had fenced the node.
    fn has_reset_it_itself(&self, broker: usize, life: usize) -> bool {
        let who = self.brokers[broker].who;
        let Some(starter) = self.lives[life].started_by else { return false };
        let id = |one: usize| self.brokers[one].request.as_ref().map(|request| request.id());
        (0..self.brokers.len()).any(|other| {
            let one = &self.brokers[other];
            one.who == who && id(other) == id(starter) && one.said_fenced.is_some()
        })
    }
}
