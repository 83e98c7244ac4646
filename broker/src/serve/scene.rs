//! A fence while it goes on, as the agent and the rest of the cluster see it.

use super::case::{Case, Work};
use super::kill;
use super::restraint::Restraint;
use crate::acl::Node;
use crate::clock::Moment;
use crate::dump::dump;
use crate::fence::Witness;
use crate::journal::Event;
use crate::lock::Lock;
use crate::names::Caller;
use crate::processes::{Writers, connection_accepted};
use crate::session::Heard;
use crate::sight::Sight;
use crate::standoff::Then;
use crate::syslog::Severe;
use xen_fence_protocol::{
    AGENT_DEADLINE, Body, ClientLine, GO_BY, LOOK_BY, Note, Power, READY_SILENCE, WAIT_IN_ALL,
};

/// Writes the guest's core, where the host wants one. The kill goes on whatever comes of it.
pub(super) fn dump_core(case: &mut Case<'_, '_>, work: &Work<'_>, node: &Node, sight: &Sight) {
    let living = sight.rows.iter().find(|sighted| sighted.row.lives());
    let (Some(wish), Some(living)) = (&work.dump, living) else { return };
    // Half of the time that the agent has left for its go: others of the cluster wait for the lock, and
    // each takes half of what is left to it then.
    let begun = asking_since(work.grant.caller(), connection_accepted(), case.asked_at);
    let wish = &wish.within(work.host.clock.left_until(begun.after(GO_BY)) / 2);
    let name = format!("{}-{}", work.cluster, node.name().lower());
    case.note(Note::Progress, "its core is written first");
    let (severe, result, text) = match dump(wish, work.host.toolstack, &name, living.row.domid) {
        Ok(file) => (Severe::Notice, "dumped", format!("its core is {}", file.display())),
        Err(why) => (Severe::Warning, "not dumped", format!("there is no core of it: {why}")),
    };
    case.record(Event::Note, severe, result, &text);
    case.recorder.passed("dumped", &text);
}

/// Since when it has been asked for. Root asks through no connection of its own: an sshd above it is that
/// of root's login, which may be of yesterday.
fn asking_since(caller: &Caller, accepted: Option<Moment>, asked: Moment) -> Moment {
    match caller {
        Caller::Root(_) => asked,
        Caller::Node(_) | Caller::Operator(_) => accepted.unwrap_or(asked),
    }
}

/// An agent that asks other dom0s too asks to look again when all have answered: a domain can
/// migrate between two answers. It says `wait` while others prove. Says whether a planned power-on
/// may begin: with several dom0s only the agent knows that all of them agree.
pub(super) fn second_look(
    case: &mut Case<'_, '_>,
    work: &Work<'_>,
    node: &Node,
    then: Then,
    powers_on: bool,
) -> bool {
    if then == Then::Start {
        return true;
    }
    let until = work.host.clock.now().after(LOOK_BY);
    if next_word(case, work, until) != Some(ClientLine::Look(work.id)) {
        return false;
    }
    let starting = work.is_starting(node);
    let power = work.host.look(node).map_or(Power::Unknown, |sight| {
        // The power-on that this request has planned is no reason for doubt: it waits for this.
        if powers_on { sight.power(&work.host) } else { work.power(node, &sight, starting) }
    });
    case.session.say(Body::Seen { node: node.name().clone(), power });
    powers_on && next_word(case, work, until) == Some(ClientLine::Start(work.id))
}

/// What the agent says next but `wait`; none if it falls silent.
fn next_word(case: &mut Case<'_, '_>, work: &Work<'_>, until: Moment) -> Option<ClientLine> {
    let clock = work.host.clock;
    // An agent that never ceases to say wait is none.
    while clock.now() < until {
        match case.session.hear(READY_SILENCE.min(clock.left_until(until))) {
            Heard::Line(ClientLine::Wait(id)) if id == work.id => {}
            Heard::Line(line) => return Some(line),
            Heard::Malformed(_) | Heard::Silence | Heard::Gone => return None,
        }
    }
    None
}

/// The fence as the rest of the world sees it: its lock, its words to the agent, its intent.
pub(super) struct Scene<'s, 'a, 'fd> {
    pub(super) case: &'s mut Case<'a, 'fd>,
    pub(super) work: &'s Work<'s>,
    /// What restrained the request when its go was heard.
    pub(super) restraint: &'s Restraint,
    /// The cluster's lock.
    pub(super) lock: Option<Lock>,
    /// Whether nothing was destroyed since it was looked for whatever forbids it.
    pub(super) go_is_fresh: bool,
    /// Whether the intent is written.
    pub(super) intended: bool,
}

impl Witness for Scene<'_, '_, '_> {
    fn harmless(&mut self) {
        self.lock = None;
        self.go_is_fresh = false;
    }

    fn may_destroy(&mut self) -> Result<(), String> {
        let clock = self.work.host.clock;
        // The agent has given up by then, and its go stands for nothing that lives now.
        let too_old = self.case.asked_at.after(AGENT_DEADLINE);
        if std::mem::take(&mut self.go_is_fresh) && clock.now() < too_old {
            return Ok(());
        }
        if self.lock.is_none() {
            // Most who hold it do so for seconds.
            let deadline = clock.now().after(WAIT_IN_ALL.saturating_mul(2)).min(too_old);
            let taken = Lock::take(&self.work.lock_path(), clock, deadline, || false);
            self.lock =
                taken.map_err(|error| format!("the cluster's lock cannot be had: {error}"))?;
        }
        if clock.now() >= too_old {
            let age = AGENT_DEADLINE.as_secs();
            return Err(format!("the request is more than {age} s old; ask again"));
        }
        if self.lock.is_none() {
            return Err("another request of its cluster holds the lock; ask again".to_owned());
        }
        // Root may have held the node while its corpse stayed, and started it by hand.
        let node = self.work.grant.targets().first();
        let held = node.map(|node| self.restraint.again(self.work, node));
        if let Some(held) = held.filter(Restraint::forbids_kill) {
            return Err(held.leaves_off(self.work).unwrap_or_default());
        }
        if !self.intended {
            kill::intends(self.case, self.work);
            self.intended = true;
        }
        Ok(())
    }

    fn writes(&mut self, writers: &Writers) {
        let (state, clock) = (self.work.state(), self.work.host.clock);
        let lost = self
            .work
            .target()
            .map(|node| state.has_writers(node.name(), self.work.id, writers, clock).err());
        if let Ok(Some(lost)) = lost {
            let text = format!("{lost}; another fence may not know who wrote for it");
            self.case.note(Note::State, &text);
        }
    }

    fn passed(&mut self, step: &'static str, evidence: &str) {
        self.case.recorder.passed(step, evidence);
    }

    fn waiting_for(&mut self, text: &str) {
        self.case.note(Note::Progress, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use xen_fence_protocol::NodeName;

    #[test]
    fn roots_own_request_is_no_older_than_itself() {
        let at = |secs| Moment::since_boot(Duration::from_secs(secs));
        let name = NodeName::parse("ada").unwrap();
        let since = |caller, accepted| asking_since(&caller, accepted, at(90));
        assert_eq!(since(Caller::Root(name.clone()), Some(at(5))), at(90));
        assert_eq!(since(Caller::Node(name.clone()), Some(at(5))), at(5));
        assert_eq!(since(Caller::Node(name), None), at(90));
    }
}
