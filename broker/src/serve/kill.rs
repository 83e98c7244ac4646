//! reset and off: steps 4 to 8 of the chain, in their order.

use super::case::{Case, End, Work};
use super::restraint::Restraint;
use super::{asker, standoff};
use crate::acl::Node;
use crate::clock::{Clock, Moment};
use crate::detach;
use crate::fence::Witness;
use crate::journal::Event;
use crate::lock::Lock;
use crate::processes::start_of;
use crate::session::{Heard, Session};
use crate::sight::Sight;
use crate::state::{Fence, Phase, Remembered, State};
use crate::syslog::Severe;
use std::path::{Path, PathBuf};
use std::time::Duration;
use xen_fence_protocol::{
    Action, Body, ClientLine, Failure, GO_BY, How, LOOK_UP_FRESH, Note, PROOF, Power, Refusal,
    Text, WAIT_IN_ALL,
};

/// Pause while another request proves the death of the same node.
const PAUSE: Duration = Duration::from_millis(20);

/// Carries out a granted reset or off.
pub(super) fn carry_out(case: &mut Case<'_, '_>, work: &Work<'_>) -> Result<(), End> {
    let node = work.target()?;
    // Step 4: the lock, the target, and what stands against it.
    let (lock, before) = take_lock(case, work, node)?;
    case.recorder.passed("locked");
    let sight = work.host.look(node)?;
    case.recorder.passed("listed");
    case.recorder.aims_at(node, sight.rows.first().map(|sighted| sighted.row.domid));
    let asker = asker::find(work, &sight, &before)?;
    let restraint = Restraint::find(case, work, node);
    let powers_on = work.grant.action() == Action::Reset
        && (restraint.leaves_off(work).is_some() || super::start::is_possible(case, node));
    let earlier = earlier_attempt(case, work, node, &before, &sight)?;

    // Step 5: only a living asker can answer this.
    let power = work.power(node, &sight);
    let lock = standoff::ready(case, work, node.name(), power, asker, restraint.word(), lock)?;

    // Root may have set or lifted a hold since, and an agent need not heed one.
    let restraint = Restraint::again(work, node);
    let powers_on = powers_on && restraint.leaves_off(work).is_none();
    if let Some(earlier) = earlier {
        return join(case, work, node, &earlier, (powers_on, restraint), lock);
    }
    if restraint.forbids_kill() {
        return restraint.only_prove(case, work, node);
    }

    case.recorder.passed("go");

    // Step 6: from here on nothing stops it short.
    leave_session(case);
    case.recorder.passed("detached");
    case.record(Event::Intent, Severe::Notice, "killing", work.grant.rule());
    case.recorder.passed("written");
    let called_off = work.starts().call_off(node, &work.host).map_err(End::internal)?;
    // A kill is followed by a look in any case. Absence has to be seen after `go`, or a domain
    // that came since would live on beside its proof.
    let old = work.host.clock.now().since(sight.at) > LOOK_UP_FRESH;
    let sight = if called_off || old || !sight.lives() { work.host.look(node)? } else { sight };
    remember(case, work, node, Phase::Killing, powers_on);
    let planned = powers_on.then(|| super::start::plan(case, work, node)).flatten();
    let mut scene = Scene {
        session: case.session,
        clock: case.house.clock,
        path: work.lock_path(),
        lock: Some(lock),
    };
    let ended = work.host.fence(&work.grant, node, sight, &mut scene);
    drop(scene);

    case.recorder.passed("proven");

    // Step 7: written, then answered.
    let fenced = ended.as_ref().is_ok_and(|how| *how != How::Shell);
    if fenced {
        restraint.keep(case, work, node, planned.is_some());
    }
    let phase = if fenced { Phase::Fenced } else { Phase::Failed };
    remember(case, work, node, phase, planned.is_some());
    answer(case, node, ended?);
    if !fenced {
        return Ok(());
    }

    // Step 8: apart from the agent's session, and after its answer.
    match planned {
        Some(planned) => super::start::after_fence(case, work, node, planned),
        None if work.grant.action() == Action::Reset => {
            super::start::left_off(case, node, restraint.leaves_off(work));
        }
        None => {}
    }
    second_look(case, work, node);
    Ok(())
}

/// Takes the cluster's lock, once no other request is proving the death of this node. Tells what
/// is remembered of the time before.
pub(super) fn take_lock(
    case: &mut Case<'_, '_>,
    work: &Work<'_>,
    node: &Node,
) -> Result<(Lock, Remembered), End> {
    let deadline = case.asked_at.after(GO_BY);
    let busy = |what: &str| {
        let text = format!("{what}; nothing was touched, ask again");
        End::refuse(Refusal::Busy, &text)
    };
    let mut told = false;
    loop {
        let Some(turn) = take(case, &work.turn_path(), deadline)? else {
            return Err(busy("other requests of this very caller come first"));
        };
        let Some(lock) = take(case, &work.lock_path(), deadline)? else {
            return Err(busy("another request of this cluster holds its lock"));
        };
        let lock = lock.together_with(turn);
        let before = work.state().recall();
        if let Some(damage) = &before.damage {
            case.note(Note::State, &format!("{damage}; a repeated request may kill twice"));
        }
        let proving = before.fence_of(node.name()).is_some_and(|fence| {
            fence.phase == Phase::Killing && work.host.processes.lives(&fence.broker())
        });
        if !proving {
            // Read anew: a broker that has ended since wrote what became of its fence before it did.
            return Ok((lock, work.state().recall()));
        }
        drop(lock);
        let proving = "the death of this node is being proven for another request";
        if work.host.clock.now() >= deadline {
            return Err(busy(proving));
        }
        if !told {
            case.note(Note::Progress, &format!("{proving}; this one waits for it"));
            told = true;
        }
        work.host.clock.sleep(PAUSE);
    }
}

/// Takes one lock, as long as the agent is there and says nothing; none if it was not to be had.
fn take(case: &mut Case<'_, '_>, path: &Path, deadline: Moment) -> Result<Option<Lock>, End> {
    let session = &mut *case.session;
    let taken =
        Lock::take(path, case.house.clock, deadline, || session.has_spoken() || session.is_gone());
    case.nothing_early()?;
    if case.session.is_gone() {
        return Err(End::Gone("while it waited for a lock"));
    }
    taken.map_err(|error| End::internal(format!("{} cannot be locked: {error}", path.display())))
}

/// The earlier fence that already is what this request asks for, if there is one: promise 4.
fn earlier_attempt(
    case: &Case<'_, '_>,
    work: &Work<'_>,
    node: &Node,
    before: &Remembered,
    sight: &Sight,
) -> Result<Option<Fence>, End> {
    let earlier = before.fence_of(node.name()).filter(|fence| fence.phase == Phase::Fenced);
    let Some(earlier) = earlier else { return Ok(None) };
    let retried = earlier.is_of(work.id);
    match work.grant.action() {
        // The very same request, or one that was read while this death was being proven.
        Action::Reset if retried || earlier.at_ms >= case.asked_at.millis() => {
            Ok(Some(earlier.clone()))
        }
        Action::Off if retried && sight.lives() => {
            let text = format!(
                "{} was fenced by this very request and has been powered on since; it is not \
                 killed twice",
                node.name()
            );
            Err(End::failed(Failure::Alive, text))
        }
        // Any other off asks for a proof of its own, which costs nothing if the node is off.
        Action::Reset
        | Action::Off
        | Action::On
        | Action::Status
        | Action::List
        | Action::Monitor
        | Action::Check => Ok(None),
    }
}

/// Answers with an earlier fence's outcome.
fn join(
    case: &mut Case<'_, '_>,
    work: &Work<'_>,
    node: &Node,
    earlier: &Fence,
    (powers_on, restraint): (bool, Restraint),
    lock: Lock,
) -> Result<(), End> {
    let planned = (powers_on && !earlier.restarts).then(|| super::start::plan(case, work, node));
    let planned = planned.flatten();
    if planned.is_some() {
        restraint.keep(case, work, node, true);
    }
    drop(lock);
    let text = format!("{} was fenced by request {}", node.name(), earlier.request);
    case.record(Event::Outcome, Severe::Notice, "fenced joined", &text);
    case.session.say(Body::Fenced { node: node.name().clone(), how: How::Joined });
    if earlier.restarts {
        case.note(Note::Progress, &format!("request {} powers it on", earlier.request));
    } else if let Some(planned) = planned {
        leave_session(case);
        super::start::after_fence(case, work, node, planned);
    } else if work.grant.action() == Action::Reset {
        super::start::left_off(case, node, restraint.leaves_off(work));
    }
    Ok(())
}

/// From here on no end of the SSH session ends the broker.
pub(super) fn leave_session(case: &mut Case<'_, '_>) {
    if let Err(why) = detach::leave_session() {
        case.note(Note::Cgroup, &format!("the broker could not leave its cgroup: {why}"));
    }
}

pub(super) fn answer(case: &mut Case<'_, '_>, node: &Node, how: How) {
    let (severe, result, text) = match how {
        How::Killed => (Severe::Notice, "fenced killed", "destroyed, and its death is proven"),
        How::Absent => (Severe::Notice, "fenced absent", "it was off already, and that is proven"),
        How::Joined => (Severe::Notice, "fenced joined", "an earlier request fenced it"),
        How::Shell => (
            Severe::Warning,
            "not fenced",
            "it has migrated away; only the shell that it left here was destroyed, and the node \
             may live on another host",
        ),
    };
    case.record(Event::Outcome, severe, result, text);
    case.session.say(Body::Fenced { node: node.name().clone(), how });
}

/// Writes down how far the fence is; without it promise 4 is not kept, and the reply says so.
fn remember(case: &mut Case<'_, '_>, work: &Work<'_>, node: &Node, phase: Phase, restarts: bool) {
    let pid = i32::try_from(std::process::id()).unwrap_or(0);
    let fence = Fence {
        request: work.id.to_string(),
        restarts,
        phase,
        at_ms: work.host.clock.now().millis(),
        pid,
        started: start_of(pid).unwrap_or(0),
    };
    let state: State = work.state();
    if let Err(lost) = state.remember(node.name(), fence, work.host.clock) {
        case.note(Note::State, &format!("{lost}; a repeated request may kill twice"));
    }
}

/// An agent that has more dom0s to hear asks to look again when all have answered: a domain can
/// migrate between two answers. It announces that with a `wait` behind its `go`.
pub(super) fn second_look(case: &mut Case<'_, '_>, work: &Work<'_>, node: &Node) {
    if !matches!(case.session.hear(Duration::ZERO), Heard::Line(ClientLine::Wait(id)) if id == work.id)
    {
        return;
    }
    if !matches!(case.session.hear(WAIT_IN_ALL), Heard::Line(ClientLine::Look(id)) if id == work.id)
    {
        return;
    }
    let power = work.host.look(node).map_or(Power::Unknown, |sight| work.power(node, &sight));
    case.session.say(Body::Seen { node: node.name().clone(), power });
}

/// The fence as the rest of the world sees it: its lock and its words to the agent.
struct Scene<'a, 'fd> {
    session: &'a mut Session<'fd>,
    clock: &'a dyn Clock,
    path: PathBuf,
    lock: Option<Lock>,
}

impl Witness for Scene<'_, '_> {
    fn harmless(&mut self) {
        self.lock = None;
    }

    fn killing_again(&mut self) {
        // Whoever holds it does so for seconds. A lock that cannot be had stops no kill.
        let deadline = self.clock.now().after(PROOF);
        self.lock = Lock::take(&self.path, self.clock, deadline, || false).ok().flatten();
    }

    fn waiting_for(&mut self, text: &str) {
        self.session.say(Body::Note { about: Note::Progress, text: Text::escaped(text) });
    }
}
