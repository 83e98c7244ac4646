//! A fence while it goes on, as the agent and the rest of the cluster see it.

use super::case::{Case, Work};
use crate::acl::Node;
use crate::clock::{Clock, Moment};
use crate::dump::dump;
use crate::fence::Witness;
use crate::journal::Event;
use crate::lock::Lock;
use crate::session::{Heard, Session};
use crate::sight::Sight;
use crate::standoff::Then;
use crate::syslog::Severe;
use std::path::PathBuf;
use xen_fence_protocol::{
    Body, ClientLine, LOOK_BY, Note, Power, READY_SILENCE, Text, WAIT_IN_ALL,
};

/// Writes the guest's core, where the host wants one. The kill goes on whatever comes of it.
pub(super) fn dump_core(case: &mut Case<'_, '_>, work: &Work<'_>, node: &Node, sight: &Sight) {
    let living = sight.rows.iter().find(|sighted| sighted.row.lives());
    let (Some(wish), Some(living)) = (&work.dump, living) else { return };
    let name = format!("{}-{}", work.cluster, node.name().lower());
    case.note(Note::Progress, "its core is written first");
    let (severe, result, text) = match dump(wish, work.host.toolstack, &name, living.row.domid) {
        Ok(file) => (Severe::Notice, "dumped", format!("its core is {}", file.display())),
        Err(why) => (Severe::Warning, "not dumped", format!("there is no core of it: {why}")),
    };
    case.record(Event::Note, severe, result, &text);
    case.recorder.passed("dumped");
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
    let power = work.host.look(node).map_or(Power::Unknown, |sight| {
        // The power-on that this request has planned is no reason for doubt: it waits for this.
        if powers_on { sight.power(&work.host) } else { work.power(node, &sight) }
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

/// The fence as the rest of the world sees it: its lock and its words to the agent.
pub(super) struct Scene<'a, 'fd> {
    pub(super) session: &'a mut Session<'fd>,
    pub(super) clock: &'a dyn Clock,
    /// The cluster's lock.
    pub(super) path: PathBuf,
    pub(super) lock: Option<Lock>,
}

impl Witness for Scene<'_, '_> {
    fn harmless(&mut self) {
        self.lock = None;
    }

    fn killing_again(&mut self) {
        // Whoever holds it does so for seconds. A lock that cannot be had stops no kill.
        let deadline = self.clock.now().after(WAIT_IN_ALL.saturating_mul(2));
        self.lock = Lock::take(&self.path, self.clock, deadline, || false).ok().flatten();
    }

    fn waiting_for(&mut self, text: &str) {
        self.session.say(Body::Note { about: Note::Progress, text: Text::escaped(text) });
    }
}
