//! reset and off that an earlier fence already is: promise 4. It is told from the host and from what
//! is remembered, and answered without another kill.

use super::case::{Case, End, Work};
use super::restraint::Restraint;
use super::scene::second_look;
use super::{kill, start};
use crate::acl::Node;
use crate::earlier::{Asked, Earlier, earlier};
use crate::journal::{Event, POWERING_ON};
use crate::lock::Lock;
use crate::sight::Sight;
use crate::standoff::Then;
use crate::state::Fence;
use crate::syslog::Severe;
use xen_fence_protocol::{Action, Body, Failure, How, Note, Power, READY_SILENCE, StartedHow};

/// The earlier fence that already is what this request asks for, if there is one: promise 4.
pub(super) fn earlier_attempt(
    case: &Case<'_, '_>,
    work: &Work<'_>,
    node: &Node,
    sight: &Sight,
) -> Result<Option<Fence>, End> {
    // A power-on can end at any time since the look. It is remembered before its plan goes, so the
    // plans are looked at first.
    let starts = work.starts();
    // What lives while a power-on has yet to begin was started by somebody else.
    let starting = if sight.lives() {
        starts.begun(node, &work.host)
    } else {
        starts.planned(node, work.host.processes)
    };
    // Taken for one that is under way, it would call dead what lives.
    let starting = starting.map_err(|error| {
        End::internal(format!("nobody can tell whether {} is powered on: {error}", node.name()))
    })?;
    let before = work.state().recall();
    let last = before.fence_of(node.name());
    let since = |started: u64| started >= sight.at.millis();
    let cut_short = |request: &str| starts.was_cut_short(node, request);
    let asked = Asked {
        id: work.id,
        action: work.grant.action(),
        at: case.asked_at,
        lives: sight.lives() || last.and_then(|last| last.started_ms).is_some_and(since),
        comes: !sight.restarters.is_empty(),
        starting: !starting.is_empty(),
        comes_up: last.is_some_and(|last| starting.iter().any(|id| last.is_of_request(id))),
        cut_short: last.is_some_and(|last| cut_short(&last.request))
            || cut_short(&work.id.to_string()),
        answered: last.is_some_and(|last| last.has_answered(&work.caller())),
        now: work.host.clock.now(),
    };
    match earlier(&asked, last) {
        Earlier::KillAnew => Ok(None),
        Earlier::IsIt => Ok(last.cloned()),
        Earlier::WasIt => {
            let text = format!(
                "{} was fenced by this very request and has been powered on since; it is not \
                 killed twice",
                node.name()
            );
            Err(End::failed(Failure::Alive, text))
        }
    }
}

/// Whether this request was answered already: with this fence or with one before it.
pub(super) fn is_own(work: &Work<'_>, earlier: &Fence) -> bool {
    earlier.is_of(work.id) || earlier.comes_after_that_of(work.id)
}

/// Whether the brake has counted what this request repeats or joins.
pub(super) const fn was_counted(earlier: &Fence) -> bool {
    earlier.counted
}

/// Answers with an earlier fence's outcome.
pub(super) fn answer(
    case: &mut Case<'_, '_>,
    work: &Work<'_>,
    node: &Node,
    earlier: &Fence,
    (powers_on, restraint, then): (bool, Restraint, Then),
    lock: Lock,
) -> Result<(), End> {
    // What the earlier request was to power on, and did not, is this one's to power on.
    let under_way = earlier.restarts && work.starts().has_plan_for(node, work.host.processes);
    // Whose `off` came after this request's own fence wants it off.
    let off_since = earlier.comes_after_that_of(work.id) && !earlier.restarts;
    let starts = powers_on && earlier.started_ms.is_none() && !under_way && !off_since;
    let planned = starts.then(|| start::plan(case, work, node)).flatten();
    if planned.is_some() && !was_counted(earlier) {
        restraint.keep(case, work, node, true);
    }
    let caller = work.caller();
    let joins = (work.id, caller.as_str(), planned.is_some());
    if let Err(lost) = work.state().is_joined(node.name(), earlier, joins, work.host.clock) {
        case.note(Note::State, &format!("{lost}; a repeated request may kill twice"));
    }
    drop(lock);
    let text = format!("{} was fenced by request {}", node.name(), earlier.request);
    case.record(Event::Outcome, Severe::Notice, "fenced joined", &text);
    case.session.say(Body::Fenced { node: node.name().clone(), how: How::Joined });
    let agreed = second_look(case, work, node, then, planned.is_some());
    match planned {
        Some(planned) if agreed => {
            case.record(Event::Intent, Severe::Notice, POWERING_ON, &work.basis());
            start::after_fence(case, work, node, planned);
        }
        Some(planned) => start::not_agreed(case, work, node, planned),
        None if earlier.started_ms.is_some() => was_powered_on(case, work, node, earlier),
        None if under_way => powered_on_by_another(case, work, node),
        None if work.grant.action() == Action::Reset && then != Then::LeaveOff => {
            let since = || format!("request {} has left it off since", earlier.request);
            let why = restraint.leaves_off(work).or_else(|| off_since.then(since));
            start::left_off(case, node, why);
        }
        None => {}
    }
    Ok(())
}

/// Says whether the node, which the earlier request has powered on, runs.
fn was_powered_on(case: &mut Case<'_, '_>, work: &Work<'_>, node: &Node, earlier: &Fence) {
    let starting = work.is_starting(node);
    let by = &earlier.request;
    let why = match work.host.look(node).map(|sight| work.power(node, &sight, starting)) {
        Ok(Power::On) => {
            let node = node.name().clone();
            return case.session.say(Body::Started { node, how: StartedHow::Running });
        }
        Ok(Power::Off) => format!("request {by} powered it on, and it is off again"),
        Ok(Power::Unknown) => format!("request {by} powered it on, and it may be off again"),
        Err(blind) => format!("request {by} powered it on; nobody can tell what it does: {blind}"),
    };
    start::left_off(case, node, Some(why));
}

/// Says whether the earlier request powers the node on. With several dom0s that hangs on its own agent,
/// who may have fallen silent.
fn powered_on_by_another(case: &mut Case<'_, '_>, work: &Work<'_>, node: &Node) {
    let (starts, clock) = (work.starts(), work.host.clock);
    let until = clock.now().after(READY_SILENCE.saturating_mul(2));
    let mut begins = false;
    while !begins && clock.now() < until {
        // It is remembered before its plan goes.
        let waits = starts.has_plan_for(node, work.host.processes);
        begins = starts.begun(node, &work.host).is_ok_and(|begun| !begun.is_empty());
        if !waits && !begins {
            let now = work.state().recall();
            let last = now.fence_of(node.name()).filter(|last| last.started_ms.is_some());
            return match last {
                Some(last) => was_powered_on(case, work, node, last),
                None => {
                    let why = "the request that was to power it on has not".to_owned();
                    start::left_off(case, node, Some(why));
                }
            };
        }
        if case.session.has_left() {
            return;
        }
        clock.sleep(kill::PAUSE);
    }
    let text = if begins {
        "the request that fenced it powers it on"
    } else {
        "the request that fenced it has not begun to power it on; `status` tells later"
    };
    case.note(Note::Progress, text);
}
