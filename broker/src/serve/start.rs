//! on, and the second half of reset.

use super::case::{Case, End, Work};
use super::restraint::{self, Restraint};
use super::standoff::Go;
use super::{asker, kill, standoff};
use crate::acl::Node;
use crate::domain_config;
use crate::journal::{Event, POWERING_ON};
use crate::power_on::{NotStarted, Planned, PowerOn};
use crate::state::Remembered;
use crate::syslog::Severe;
use xen_fence_protocol::{Body, Failure, Note, POWER_ON, StartedHow, Text};

/// Carries out a granted on.
pub(super) fn carry_out(case: &mut Case<'_, '_>, work: &Work<'_>) -> Result<(), End> {
    let node = work.target()?;
    let (lock, before) = kill::take_lock(case, work, node)?;
    let starting = is_under_way(work, node);
    let sight = work.host.look(node)?;
    case.recorder.aims_at(node, sight.rows.first().map(|sighted| sighted.row.domid));
    case.recorder.passed("listed", &sight.evidence());
    let asker = asker::find(work, &sight, &before)?;
    let restraint = Restraint::find(case, work, node, false);
    // By this very request perhaps, whose first session broke.
    let under_way = starting || is_under_way(work, node);
    if !sight.runs() && !under_way {
        restraint.allows_start(work)?;
        is_wanted(work, node, &before)?;
        // Nothing is created beside a corpse: its last write may still be on the way.
        domain_config::fit(node).map_err(|unfit| cannot_start(&unfit.to_string()))?;
        if let Some(obstacle) = work.obstacle(node, &sight) {
            return Err(cannot_start(&obstacle));
        }
    }
    let power = work.power(node, &sight, starting);
    let hold = restraint.word();
    let Go { lock, .. } = standoff::ready(case, work, node.name(), power, asker, hold, lock)?;
    case.recorder.passed("go", "");
    if let Err(lost) = work.state().has_on(node.name(), work.id, work.host.clock) {
        case.note(Note::State, &format!("{lost}; a repeated request may start it once more"));
    }
    if under_way || is_under_way(work, node) {
        drop(lock);
        return watch(case, work, node);
    }
    if sight.runs() && work.host.look(node)?.runs() {
        restraint::lift_brake(case, work, node);
        drop(lock);
        say_started(case, node, StartedHow::Running);
        return Ok(());
    }
    // Root may have set a hold since.
    restraint.again(work, node).allows_start(work)?;
    is_wanted(work, node, &before)?;
    kill::leave_session(case);
    case.record(Event::Intent, Severe::Notice, POWERING_ON, &work.basis());
    restraint::lift_brake(case, work, node);
    // What a broker that was killed has asked systemd for would begin beside this one. It may have begun
    // since the look, and then it is not this request's to end what lives.
    if work.starts().has_any_for(node) {
        if work.host.look(node)?.runs() {
            drop(lock);
            say_started(case, node, StartedHow::Running);
            return Ok(());
        }
        let orphan = work.starts().has_orphan_for(node, &work.host).unwrap_or(true);
        let _gone = work.starts().call_off(node, &work.host).map_err(End::internal)?;
        if orphan {
            let text = "the power-on of a broker that was killed might have begun, and was called off; ask again, \
                 and if `status` says then that it runs, `off` removes what may be half built";
            return Err(End::internal(text.to_owned()));
        }
    }
    // Planned before the lock is let go: an `off` that holds it next calls this off.
    let planned = work.starts().plan(node, work.id).map_err(|why| cannot_start(&why))?;
    drop(lock);
    let started = start(work, node, &planned).map_err(|not| match not {
        NotStarted::Unable(why) if !planned.is_called_off() => cannot_start(&why),
        NotStarted::Unable(why) | NotStarted::Unwanted(why) => End::internal(why),
    })?;
    if started == StartedHow::Created
        && let Err(lost) = work.state().lives_anew(node.name(), work.host.clock)
    {
        case.note(Note::State, &format!("{lost}; a repeated request may kill it"));
    }
    say_started(case, node, started);
    Ok(())
}

/// Whether somebody's power-on of the node is known to be planned. Plans that cannot be read are nothing to
/// wait for.
fn is_under_way(work: &Work<'_>, node: &Node) -> bool {
    work.starts().planned(node, work.host.processes).is_ok_and(|requests| !requests.is_empty())
}

/// Waits for a power-on that is planned or under way already, and tells what came of it. What lives
/// meanwhile may be half built.
fn watch(case: &mut Case<'_, '_>, work: &Work<'_>, node: &Node) -> Result<(), End> {
    case.note(Note::Progress, "it is being powered on already; this request waits for that");
    let clock = work.host.clock;
    let until = clock.now().after(POWER_ON);
    while is_under_way(work, node) {
        if case.session.has_left() {
            return Err(End::Gone("while it waited for a power-on that is under way"));
        }
        if clock.now() >= until {
            return Err(cannot_start("another power-on of it does not end; look with `xl list`"));
        }
        clock.sleep(kill::PAUSE);
    }
    if work.host.look(node)?.runs() {
        restraint::lift_brake(case, work, node);
        say_started(case, node, StartedHow::Running);
        return Ok(());
    }
    let text = "the power-on that was under way has failed, or was called off";
    Err(End::internal(text.to_owned()))
}

/// Refuses the retry of an `on` that a fence has called off, or has undone, since its first attempt.
fn is_wanted(work: &Work<'_>, node: &Node, before: &Remembered) -> Result<(), End> {
    let last = before.fence_of(node.name());
    if last.is_some_and(|last| last.comes_after_that_of(work.id)) {
        return Err(End::internal("a later request wants it off; ask anew".to_owned()));
    }
    Ok(())
}

/// The node cannot be started here. An agent of several dom0s asks the next one for it, and so stops at
/// any other failure.
fn cannot_start(why: &str) -> End {
    End::failed(Failure::PowerOn, why.to_owned())
}

/// Whether a reset will power the node on again. A mismatch never stops the kill, and is said
/// before it.
pub(super) fn is_possible(case: &mut Case<'_, '_>, node: &Node) -> bool {
    match domain_config::fit(node) {
        Ok(_) => true,
        Err(unfit) => {
            case.note(Note::Config, &format!("{} will be left off: {unfit}", node.name()));
            false
        }
    }
}

/// Powers the node on after its death was proven and told.
pub(super) fn after_fence(case: &mut Case<'_, '_>, work: &Work<'_>, node: &Node, planned: Planned) {
    match start(work, node, &planned) {
        Ok(how) => {
            let state = work.state();
            // One that ran already was started by somebody else, or has never died.
            if how == StartedHow::Created
                && let Err(lost) =
                    state.has_started(node.name(), work.id, planned.begun_ms(), work.host.clock)
            {
                case.note(Note::State, &format!("{lost}; another reset may kill it again"));
            }
            say_started(case, node, how);
        }
        Err(not) => {
            let why = not.to_string();
            case.record(Event::Start, Severe::Error, "not started", &why);
            case.session
                .say(Body::Unstarted { node: node.name().clone(), text: Text::escaped(&why) });
        }
    }
}

/// Leaves the node off, because its agent has not said that every dom0 agrees: it may live on
/// another one by now. A retry of the same request powers it on.
pub(super) fn not_agreed(case: &mut Case<'_, '_>, work: &Work<'_>, node: &Node, planned: Planned) {
    // While the plan stands, nobody else makes one that this would forget.
    if let Err(lost) = work.state().is_left_off(node.name(), work.id, work.host.clock) {
        case.note(Note::State, &format!("{lost}; a retry may not power it on"));
    }
    drop(planned);
    let why = "its agent did not say that every dom0 agrees that it is off";
    case.record(Event::Start, Severe::Warning, "left off", why);
    case.session.say(Body::Unstarted { node: node.name().clone(), text: Text::escaped(why) });
}

/// Says why a reset ends as an off: because of this restraint, or of what else there is.
pub(super) fn left_off(case: &mut Case<'_, '_>, node: &Node, restrained: Option<String>) {
    let unfit = || domain_config::fit(node).err().map(|unfit| unfit.to_string());
    let unplanned = || "the power-on could not be prepared when it was killed".to_owned();
    let why = restrained.or_else(unfit).unwrap_or_else(unplanned);
    case.record(Event::Start, Severe::Warning, "left off", &why);
    case.session.say(Body::Unstarted { node: node.name().clone(), text: Text::escaped(&why) });
}

/// Plans the second half of a reset, before the node's death frees the cluster's lock.
pub(super) fn plan(case: &mut Case<'_, '_>, work: &Work<'_>, node: &Node) -> Option<Planned> {
    let planned = work.starts().plan(node, work.id);
    planned.map_err(|why| case.note(Note::LeftOff, &format!("it will be left off: {why}"))).ok()
}

fn start(work: &Work<'_>, node: &Node, planned: &Planned) -> Result<StartedHow, NotStarted> {
    let unable = NotStarted::Unable;
    let config = domain_config::fit(node).map_err(|unfit| unable(unfit.to_string()))?;
    let sight = work.host.look(node).map_err(|blind| unable(blind.to_string()))?;
    if sight.runs() {
        return Ok(StartedHow::Running);
    }
    // Looked at again here, because a domain can die between ready and go.
    if let Some(obstacle) = work.obstacle(node, &sight) {
        return Err(unable(obstacle));
    }
    let power_on = PowerOn {
        host: work.host,
        cluster: &work.cluster,
        holds: work.holds(),
        node,
        config,
        request: work.id,
        planned,
    };
    power_on.run()
}

fn say_started(case: &mut Case<'_, '_>, node: &Node, how: StartedHow) {
    let result = format!("started {how}");
    case.recorder.passed("started", "");
    let text = match how {
        StartedHow::Created => "its domain was created",
        StartedHow::Running => "it runs already",
    };
    case.record(Event::Start, Severe::Notice, &result, text);
    case.session.say(Body::Started { node: node.name().clone(), how });
}
