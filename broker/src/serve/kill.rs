//! reset and off: steps 4 to 8 of the chain, in their order.

use super::case::{Case, End, Work};
use super::restraint::Restraint;
use super::scene::{Scene, dump_core, second_look};
use super::standoff::Go;
use super::{asker, join, standoff};
use crate::acl::Node;
use crate::clock::Moment;
use crate::detach;
use crate::journal::{Event, POWERING_ON};
use crate::lock::Lock;
use crate::names::Caller;
use crate::processes::start_of;
use crate::sight::Sight;
use crate::standoff::Then;
use crate::state::{Fence, Phase, Remembered, State};
use crate::syslog::Severe;
use std::path::Path;
use std::time::Duration;
use xen_fence_protocol::{Action, Body, GO_BY, How, LOOK_UP_FRESH, Note, Refusal};

/// A turn that nobody has is had in less.
const TURN_IS_FREE: Duration = Duration::from_millis(4);

/// A wait for a lock is worth a word after this.
const WORTH_A_WORD: Duration = Duration::from_secs(1);

/// Pause while another request is at the same node.
pub(super) const PAUSE: Duration = Duration::from_millis(20);

/// Carries out a granted reset or off.
pub(super) fn carry_out(case: &mut Case<'_, '_>, work: &Work<'_>) -> Result<(), End> {
    let node = work.target()?;
    // Step 4: the lock, the target, and what stands against it.
    let (lock, before) = take_lock(case, work, node)?;
    case.recorder.passed("locked", &before.evidence(node.name()));
    let starting = work.is_starting(node);
    let sight = work.host.look(node)?;
    case.recorder.passed("listed", &sight.evidence());
    case.recorder.aims_at(node, sight.rows.first().map(|sighted| sighted.row.domid));
    let asker = asker::find(work, &sight, &before)?;
    let earlier = join::earlier_attempt(case, work, node, &sight)?;
    let counted = earlier.as_ref().is_some_and(join::was_counted);
    let restraint = Restraint::find(case, work, node, counted);
    // A hold that root has set since is for others' requests, too.
    let earlier = earlier.filter(|earlier| join::is_own(work, earlier) || !restraint.is_hold());
    let powers_on = work.grant.action() == Action::Reset
        && (restraint.leaves_off(work).is_some() || super::start::is_possible(case, node));

    // Step 5: only a living asker can answer this.
    let power = work.power(node, &sight, starting);
    let hold = restraint.word();
    let Go { lock, then } = standoff::ready(case, work, node.name(), power, asker, hold, lock)?;
    let said =
        format!("ready was said: it is {power}, asker {asker}, hold {hold}; go came in time");
    case.recorder.passed("go", &said);
    // From here on nothing stops it short.
    leave_session(case);
    // An agent of several dom0s tells the others when the first has said this.
    case.note(Note::Going, "go was heard in time");

    // Root may have set or lifted a hold since, and an agent need not heed one.
    let restraint = restraint.again(work, node);
    let leaves_off = then == Then::LeaveOff || restraint.leaves_off(work).is_some();
    let powers_on = powers_on && !leaves_off;
    if restraint.forbids_kill() {
        return restraint.only_prove(case, work, node, then, lock);
    }
    if let Some(earlier) = earlier {
        return join::answer(case, work, node, &earlier, (powers_on, restraint, then), lock);
    }

    // Step 6: written, and then done.
    // The proof of a node that is off touches nothing, and who asks for it over and over fills no disk.
    let touches = |sight: &Sight| sight.lives() || !sight.restarters.is_empty();
    let starts = powers_on && then == Then::Start || work.starts().has_any_for(node);
    let mut intended = starts || touches(&sight);
    if intended {
        intends(case, work);
    }
    let touches_nothing = "no intent: nothing is to be touched";
    case.recorder.passed("written", if intended { "its intent" } else { touches_nothing });
    let called_off = work.starts().call_off(node, &work.host).map_err(End::internal)?;
    // A kill is followed by a look in any case. Absence has to be seen after `go`, or a domain
    // that came since would live on beside its proof.
    let old = work.host.clock.now().since(sight.at) > LOOK_UP_FRESH;
    let sight = if called_off || old || !sight.lives() { work.host.look(node)? } else { sight };
    if !intended && touches(&sight) {
        intends(case, work);
        intended = true;
    }
    let aim = sight.evidence();
    let writers = work.writers_of_before(node);
    remember(case, work, node, Phase::Killing, (powers_on, false));
    dump_core(case, work, node, &sight);
    let planned = powers_on.then(|| super::start::plan(case, work, node)).flatten();
    case.recorder.passed("aimed", &aim);
    let (lock, go_is_fresh) = (Some(lock), true);
    let mut scene = Scene { case, work, restraint: &restraint, lock, go_is_fresh, intended };
    let ended = work.host.fence(&work.grant, node, sight, writers, &mut scene);
    let intended = scene.intended;
    drop(scene);
    if let Err(not) = &ended {
        case.recorder.passed("unproven", &not.recorded);
    }

    // Step 7: written, then answered.
    let fenced = ended.as_ref().is_ok_and(|how| *how != How::Shell);
    if fenced {
        restraint.keep(case, work, node, planned.is_some());
    }
    let phase = if fenced { Phase::Fenced } else { Phase::Failed };
    remember(case, work, node, phase, (planned.is_some(), fenced && planned.is_some()));
    answer(case, node, ended?, &work.stated());
    if !fenced {
        // Another dom0 may have killed the node, whose shell this was.
        second_look(case, work, node, then, false);
        return Ok(());
    }

    let agreed = second_look(case, work, node, then, planned.is_some());

    // Step 8: apart from the agent's session, and after its answer.
    match planned {
        Some(planned) if agreed => {
            if !intended {
                case.record(Event::Intent, Severe::Notice, POWERING_ON, &work.basis());
            }
            super::start::after_fence(case, work, node, planned);
        }
        Some(planned) => super::start::not_agreed(case, work, node, planned),
        None if then == Then::LeaveOff && work.grant.action() == Action::Reset => {
            let by_root = matches!(work.grant.caller(), Caller::Root(_));
            let why = if by_root {
                "it was not seen to run on this dom0"
            } else {
                "another dom0 powers it on"
            };
            case.record(Event::Start, Severe::Notice, "left off", why);
        }
        None if work.grant.action() == Action::Reset => {
            super::start::left_off(case, node, restraint.leaves_off(work));
        }
        None => {}
    }
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
        let asked = work.host.clock.now();
        let others = "other requests of this very caller come first";
        let Some(turn) = take_fairly(case, &work.turn_path(), deadline, others)? else {
            return Err(busy(others));
        };
        // Who waited for another request of its own lets those of others pass: many sessions of one
        // caller would else hand the lock on among themselves.
        if work.host.clock.now().since(asked) > TURN_IS_FREE {
            work.host.clock.sleep(PAUSE);
        }
        let held = "another request of this cluster holds its lock";
        let Some(next) = take_fairly(case, &work.next_path(), deadline, held)? else {
            return Err(busy(held));
        };
        let Some(lock) = take(case, &work.lock_path(), deadline, held)? else {
            return Err(busy(held));
        };
        drop(next);
        let lock = lock.together_with(turn);
        let before = work.state().recall();
        if let Some(damage) = &before.damage {
            case.note(Note::State, &format!("{damage}; a repeated request may kill twice"));
        }
        let proving = before.fence_of(node.name()).is_some_and(|fence| {
            fence.phase == Phase::Killing && work.host.processes.acts(&fence.broker())
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

/// Takes a lock that is for fairness alone: where it cannot be had, nobody goes without a fence.
fn take_fairly(
    case: &mut Case<'_, '_>,
    path: &Path,
    deadline: Moment,
    held: &str,
) -> Result<Option<Lock>, End> {
    match take(case, path, deadline, held) {
        Err(End::Failed { .. }) => Ok(Some(Lock::default())),
        taken => taken,
    }
}

/// Takes one lock, as long as the agent is there and says nothing; none if it was not to be had. A wait
/// that is worth it is told, with the reason.
fn take(
    case: &mut Case<'_, '_>,
    path: &Path,
    deadline: Moment,
    held: &str,
) -> Result<Option<Lock>, End> {
    let word_at = case.house.clock.now().after(WORTH_A_WORD).min(deadline);
    for until in [word_at, deadline] {
        let session = &mut *case.session;
        let interrupted = || session.has_spoken() || session.is_gone();
        let taken = Lock::take(path, case.house.clock, until, interrupted);
        case.nothing_early()?;
        if case.session.is_gone() {
            return Err(End::Gone("while it waited for a lock"));
        }
        let taken = taken.map_err(|error| {
            End::internal(format!("{} cannot be locked: {error}", path.display()))
        })?;
        if taken.is_some() {
            return Ok(taken);
        }
        if until < deadline {
            case.note(Note::Progress, &format!("{held}; this one waits for it"));
        }
    }
    Ok(None)
}

/// From here on no end of the SSH session ends the broker.
pub(super) fn leave_session(case: &mut Case<'_, '_>) {
    let left = detach::leave_session();
    case.recorder.passed("detached", left.as_ref().map_or_else(String::as_str, |()| ""));
    if let Err(why) = left {
        case.note(Note::Cgroup, &format!("the broker could not leave its cgroup: {why}"));
    }
}

/// Writes down that the node is about to be killed.
pub(super) fn intends(case: &mut Case<'_, '_>, work: &Work<'_>) {
    case.record(Event::Intent, Severe::Notice, "killing", &work.basis());
}

/// Records what the fence came to, with what a person has stated, and says it.
pub(super) fn answer(case: &mut Case<'_, '_>, node: &Node, how: How, stated: &str) {
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
    case.record(Event::Outcome, severe, result, &format!("{text}{stated}"));
    case.session.say(Body::Fenced { node: node.name().clone(), how });
}

/// Writes down how far the fence is; without it promise 4 is not kept, and the reply says so.
fn remember(
    case: &mut Case<'_, '_>,
    work: &Work<'_>,
    node: &Node,
    phase: Phase,
    (restarts, counted): (bool, bool),
) {
    let pid = i32::try_from(std::process::id()).unwrap_or(0);
    let fence = Fence {
        request: work.id.to_string(),
        restarts,
        counted,
        phase,
        at_ms: work.host.clock.now().millis(),
        started_ms: None,
        begun_ms: None,
        joined: Vec::new(),
        before: Vec::new(),
        answered: if phase == Phase::Fenced { vec![work.caller()] } else { Vec::new() },
        writers: Vec::new(),
        perhaps: Vec::new(),
        pid,
        started: start_of(pid).unwrap_or(0),
    };
    let state: State = work.state();
    if let Err(lost) = state.remember(node.name(), fence, work.host.clock) {
        case.note(Note::State, &format!("{lost}; a repeated request may kill twice"));
    }
}
